//! The benchmark: what the programs take, beside the least that the same work can take on this machine, in the same run.
//!
//! ```text
//! corpus ─▶ cluster ─▶ Stage: backups, timed ─┬─▶ backup.* store.*
//!       │                                     ├─▶ compare.*
//!       └─▶ object.* corpus.*                  ├─▶ mount.*   kstashfs · EROFS · squashfs · the disk · restic, in turn
//!                                              └─▶ remote.*  an S3 server, 20 ms away
//! corpus, ten times ─▶ million.*
//! configurations and snapshots of a fleet ─▶ cluster ─▶ operator.*
//! Secrets · corpus · definitions ─▶ raw POSTs and restores, in turn ─▶ restore.*
//! ```
//! A new figure is a line in the group it belongs to; a new group is a file here and a line in [`GROUPS`]. Nothing in it fails for being
//! slow: only a measurement that is wrong in itself does, such as a backup that did not read everything.

pub mod backup;
pub mod compare;
pub mod corpus_store;
pub mod emit;
pub mod figure;
pub mod fill;
pub mod fleet;
pub mod listing;
pub mod loaded;
pub mod machine;
pub mod million;
pub mod mount;
pub mod operator;
pub mod output;
pub mod planning;
pub mod process;
pub mod remote;
pub mod requests;
pub mod restore;
pub mod stage;
pub mod trees;
pub mod turns;

use self::{figure::Figure, stage::Stage};

/// Figures that are measured together.
#[derive(Debug)]
pub struct Group {
    /// What their names begin with.
    pub name: &'static str,
    /// What they tell.
    pub about: &'static str,
    /// Measures them.
    pub run: fn(&Stage) -> anyhow::Result<Vec<Figure>>,
}

/// All groups, in the order in which they run.
pub const GROUPS: &[Group] = &[
    Group { name: "object", about: "JSON to the parts of objects, on one core, beside the least that reading the JSON takes", run: emit::figures },
    Group { name: "backup", about: "backups of a cluster, beside raw lists of the same kinds", run: backup::figures },
    Group { name: "store", about: "bytes of two snapshots of a cluster, beside gzip of the same lists", run: backup::store_figures },
    Group { name: "corpus", about: "bytes of two snapshots of the corpus itself, without a cluster", run: corpus_store::figures },
    Group { name: "compare", about: "changes between two snapshots", run: compare::figures },
    Group { name: "mount", about: "a mounted snapshot, beside EROFS, squashfs, the disk and restic with the same files", run: mount::figures },
    Group { name: "remote", about: "the same mount with an S3 server 20 ms away", run: remote::figures },
    Group { name: "million", about: "ten times as many objects: memory of backup, mount and diff", run: million::figures },
    Group { name: "operator", about: "the operator beside many configurations and snapshots: memory, idle time, reaction", run: operator::figures },
    Group { name: "restore", about: "restores into empty clusters, beside raw POSTs of the same objects; dry runs and plans", run: restore::figures },
];
