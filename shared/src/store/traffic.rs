//! How much is asked of a store: what a provider bills, and what a test holds against its bound.

use std::sync::atomic::{AtomicU64, Ordering};

/// Requests and bytes so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Traffic {
    /// Objects or parts of them that were asked for, and questions whether one is there.
    pub reads: u64,
    /// Pages of listings.
    pub lists: u64,
    /// Objects that were written.
    pub writes: u64,
    /// Objects that were deleted.
    pub deletes: u64,
    /// Bytes of what was read.
    pub bytes_read: u64,
    /// Bytes of what was written.
    pub bytes_written: u64,
}

impl Traffic {
    /// All requests together.
    pub fn requests(&self) -> u64 {
        self.reads + self.lists + self.writes + self.deletes
    }

    /// What came since an earlier look.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        Self {
            reads: self.reads - before.reads,
            lists: self.lists - before.lists,
            writes: self.writes - before.writes,
            deletes: self.deletes - before.deletes,
            bytes_read: self.bytes_read - before.bytes_read,
            bytes_written: self.bytes_written - before.bytes_written,
        }
    }
}

/// Names that a store puts into one page of a listing.
const PAGE: usize = 1_000;

#[derive(Debug, Default)]
pub(super) struct Counters {
    reads: AtomicU64,
    lists: AtomicU64,
    writes: AtomicU64,
    deletes: AtomicU64,
    bytes_read: AtomicU64,
    bytes_written: AtomicU64,
}

impl Counters {
    pub(super) fn read(&self, bytes: usize) {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.bytes_read.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn list(&self, names: usize) {
        self.lists.fetch_add(names.div_ceil(PAGE).max(1) as u64, Ordering::Relaxed);
    }

    pub(super) fn write(&self, bytes: usize) {
        self.writes.fetch_add(1, Ordering::Relaxed);
        self.bytes_written.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn delete(&self) {
        self.deletes.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn so_far(&self) -> Traffic {
        let now = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Traffic {
            reads: now(&self.reads),
            lists: now(&self.lists),
            writes: now(&self.writes),
            deletes: now(&self.deletes),
            bytes_read: now(&self.bytes_read),
            bytes_written: now(&self.bytes_written),
        }
    }
}
