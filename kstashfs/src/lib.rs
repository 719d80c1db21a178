//! Mounts a snapshot, or all snapshots of a repository, as a directory of YAML manifests.
//!
//! ```text
//! kernel  (fuser: translation only) ─▶ forest (one tree a snapshot, loaded when entered) ─▶ tree (inodes, names, sizes)
//!                                  └─▶ content (a file's bytes: cached block, or a fetch with a deadline)
//!                                  └─▶ push    (policy: which neighbours the kernel gets before it asks)
//! ```
//! Snapshots never change, so the kernel may keep everything for ever: names, attributes and pages.

pub mod content;
pub mod counters;
pub mod daemon;
pub mod forest;
mod kernel;
pub mod mount;
pub mod push;
pub mod tree;

pub use mount::{Mount, MountError, MountOptions, mount, unmount};
