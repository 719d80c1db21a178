//! Requests of the kernel, counted.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts since the mount.
#[derive(Debug, Default)]
pub struct Counters {
    /// Names looked up one by one.
    pub lookup: AtomicU64,
    /// Attributes asked for one by one.
    pub getattr: AtomicU64,
    /// Files opened through us; the kernel stops asking after the first.
    pub open: AtomicU64,
    /// Directories opened through us; likewise.
    pub opendir: AtomicU64,
    /// Directory pages.
    pub readdirplus: AtomicU64,
    /// File reads.
    pub read: AtomicU64,
    /// Files put into the page cache before they were asked for.
    pub pushed: AtomicU64,
    /// Reads that ended in an I/O error.
    pub errors: AtomicU64,
}

/// The counts at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs, reason = "the same fields as above")]
pub struct Counts {
    pub lookup: u64,
    pub getattr: u64,
    pub open: u64,
    pub opendir: u64,
    pub readdirplus: u64,
    pub read: u64,
    pub pushed: u64,
    pub errors: u64,
}

impl Counters {
    pub(crate) fn add(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// The counts now.
    pub fn now(&self) -> Counts {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            lookup: get(&self.lookup),
            getattr: get(&self.getattr),
            open: get(&self.open),
            opendir: get(&self.opendir),
            readdirplus: get(&self.readdirplus),
            read: get(&self.read),
            pushed: get(&self.pushed),
            errors: get(&self.errors),
        }
    }
}
