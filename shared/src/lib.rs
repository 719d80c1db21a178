//! All thinking of kubectl-kubestash and kstashfs: objects, the repository format, stores, collecting, comparing, restoring.
//!
//! Prints nothing and parses no flags; the two programs are thin shells around this crate.

pub mod api;
pub mod backend;
pub mod cluster;
pub mod collect;
pub mod compare;
pub mod deploy;
#[doc(hidden)]
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
pub mod object;
pub mod repository;
pub mod restore;
pub mod session;
pub mod store;
