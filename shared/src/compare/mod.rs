//! What differs between two snapshots, or between a snapshot and the cluster.
//!
//! [`changes()`] joins two sorted listings and compares hashes: no object is read. [`text`] makes the readable difference of two
//! manifests, for the objects that a person wants to see. The live cluster is no special case: it is collected into a repository
//! in memory that shares the keys of the other side, so that hashes compare. [`History`] follows objects over many snapshots.

mod changes;
mod controlled;
mod history;
mod live;
pub mod text;

pub use changes::{Change, ChangeKind, Entry, changes};
pub use controlled::{is_controlled, may_be_controlled};
pub use history::{Content, History, HistoryKind, OutOfOrder, Version};
pub use live::{LiveError, live};
