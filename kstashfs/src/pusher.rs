//! Neighbour push, the act: files into the page cache ahead of their reader, without ever standing in anybody's way.
//!
//! Storing waits for the lock of a page, and a page that is being read stays locked until it is answered. Therefore:
//! - never the file being answered nor one with a read in flight;
//! - only what is decoded in memory, and never from a thread that fetches;
//! - no lock of ours is held meanwhile;
//! - always one event loop stays free to answer;
//! - when a store takes long all the same, pushing ends for this mount.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use fuser::{INodeNo, Notifier};

use crate::{
    content::SnapshotFiles,
    counters::Counters,
    forest::join,
    push::{LARGEST_BYTES, LARGEST_WINDOW, Policy},
    tree::File,
};

/// A store that takes longer waits for a page that somebody keeps locked.
const SLOW: Duration = Duration::from_millis(100);

/// Pushes for one mount.
pub(crate) struct Pusher {
    counters: Arc<Counters>,
    on: AtomicBool,
    /// Threads that may push at the same time.
    limit: usize,
    pushing: AtomicUsize,
    policy: Mutex<Policy>,
    /// Inodes with a read in flight, one entry a read.
    reading: Mutex<Vec<u64>>,
    notifier: OnceLock<Notifier>,
}

/// A read that is not answered yet.
pub(crate) struct InFlight {
    pusher: Arc<Pusher>,
    inode: u64,
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut reading = self.pusher.reading();
        if let Some(at) = reading.iter().position(|&inode| inode == self.inode) {
            reading.swap_remove(at);
        }
    }
}

/// The right to push, given back when dropped.
struct Permit<'a>(&'a AtomicUsize);

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Pusher {
    /// For a mount with so many event loops; with one of them nothing is ever pushed.
    pub(crate) fn new(counters: Arc<Counters>, wanted: bool, threads: usize) -> Arc<Self> {
        let limit = threads.saturating_sub(1);
        Arc::new(Self {
            counters,
            on: AtomicBool::new(wanted && limit > 0),
            limit,
            pushing: AtomicUsize::new(0),
            policy: Mutex::default(),
            reading: Mutex::default(),
            notifier: OnceLock::new(),
        })
    }

    /// The way to the kernel, once there is one.
    pub(crate) fn connect(&self, notifier: Notifier) {
        let _ = self.notifier.set(notifier);
    }

    fn reading(&self) -> MutexGuard<'_, Vec<u64>> {
        self.reading.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn policy(&self) -> MutexGuard<'_, Policy> {
        self.policy.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a read begins; it ends when the value is dropped, which is behind its answer.
    pub(crate) fn begin(self: &Arc<Self>, inode: u64) -> InFlight {
        self.reading().push(inode);
        InFlight { pusher: Arc::clone(self), inode }
    }

    fn permit(&self) -> Option<Permit<'_>> {
        let permit = Permit(&self.pushing);
        (self.pushing.fetch_add(1, Ordering::AcqRel) < self.limit).then_some(permit)
    }

    /// The beginning of a file was asked for. How many files behind it to push, and under which directory.
    fn asked(&self, number: u64, files: &SnapshotFiles, file: File) -> (u64, u32, u32) {
        let run = files.tree.run(file.row);
        let directory = join(number, files.tree.inode(File { row: run.start, ..file }));
        let window = self.policy().asked(directory, file.row, run.start == file.row);
        (directory, window, run.end)
    }

    /// A file that must be fetched was asked for: only noted, so that the reader is known when it goes on.
    pub(crate) fn note(&self, number: u64, files: &SnapshotFiles, file: File) {
        if self.on.load(Ordering::Relaxed) {
            self.asked(number, files, file);
        }
    }

    /// Pushes the files behind one that is about to be answered. Gives a file that will be wanted soon and is not in memory.
    pub(crate) fn push(&self, number: u64, files: &SnapshotFiles, file: File) -> Option<File> {
        let notifier = self.notifier.get().filter(|_| self.on.load(Ordering::Relaxed))?;
        let (directory, window, end) = self.asked(number, files, file);
        if window == 0 {
            return None;
        }
        let _permit = self.permit()?;
        let (mut pushed, mut bytes_pushed) = (0, 0);
        let behind = |distance: u32| file.row.saturating_add(distance).saturating_add(1).min(end);
        for row in behind(0)..behind(window) {
            let next = File { row, ..file };
            let inode = join(number, files.tree.inode(next));
            let Some(bytes) = files.ready(next) else { break };
            bytes_pushed += bytes.len();
            if bytes_pushed > LARGEST_BYTES || self.reading().contains(&inode) || !self.store(notifier, inode, &bytes) {
                break;
            }
            pushed += 1;
        }
        self.counters.pushed.fetch_add(u64::from(pushed), Ordering::Relaxed);
        self.policy().pushed(directory, pushed);
        // The next file, and the one a whole window behind it: its block can come while the files before it are read.
        let ahead = [behind(pushed), behind(pushed + LARGEST_WINDOW).saturating_sub(1)];
        let wanted = ahead.into_iter().filter(|&row| row > file.row && row < end).map(|row| File { row, ..file });
        wanted.into_iter().find(|&next| !files.is_ready(next))
    }

    /// Whether the kernel took it. An inode that it does not know is fine too.
    fn store(&self, notifier: &Notifier, inode: u64, bytes: &[u8]) -> bool {
        let started = Instant::now();
        let stored = notifier.store(INodeNo(inode), 0, bytes).is_ok();
        if started.elapsed() > SLOW {
            tracing::warn!("storing a file ahead of its reader took {:?}; no more are stored in this mount", started.elapsed());
            self.on.store(false, Ordering::Relaxed);
            return false;
        }
        stored
    }
}
