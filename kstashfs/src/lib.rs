//! Mounts a snapshot, or all snapshots of a repository, as a directory of YAML manifests.
//!
//! ```text
//! kernel  (fuser: translation only) ─▶ core ─▶ forest  (one tree a snapshot, loaded when entered) ─▶ tree (inodes, names, order)
//!                                         ├──▶ content (a file's bytes: cached blocks, or a fetch with a deadline)
//!                                         └──▶ pusher  (neighbours into the page cache before they are asked for; push is its policy)
//! mount   (checks, start, end) · place (the table of mounts, unmounting) · daemon (life in the background)
//! ```
//! Snapshots never change, so the kernel may keep everything for ever: names, attributes and pages.

pub mod content;
mod core;
pub mod counters;
pub mod daemon;
pub mod forest;
mod kernel;
pub mod mount;
pub mod place;
pub mod push;
mod pusher;
pub mod tree;

pub use content::FileOptions;
pub use forest::Forest;
pub use mount::{Mount, MountError, MountOptions, check, mount};
pub use place::{State, UnmountError, state, unmount};
