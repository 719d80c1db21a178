//! Neighbour push, the act: files into the page cache ahead of their reader, without ever standing in anybody's way.
//!
//! Storing waits for the lock of a page, and a page that is being read stays locked until it is answered. Therefore:
//! - never the file being answered nor one with a read in flight;
//! - only what is decoded in memory, and never from a thread that fetches; an event loop waits for a fetch for a moment at most, and not
//!   while it stores;
//! - no lock of ours is held meanwhile;
//! - always one event loop stays free to answer;
//! - one loop pushes for a directory at a time: a read in its way makes it go on behind that, and gets some files pushed by its own loop;
//! - when a store takes long all the same, pushing ends for this mount.
//!
//! Most of a push comes behind the answer, while the reader works on another core on what was pushed before it.

use std::{
    ops::Range,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use fuser::{INodeNo, Notifier};

use crate::{
    content::{Recent, SnapshotFiles},
    counters::Counters,
    forest::join,
    push::{CATCH_UP, HEAD_START, LARGEST_BYTES, Policy},
    tree::{File, View},
};

/// A store that takes longer waits for a page that somebody keeps locked.
const SLOW: Duration = Duration::from_millis(100);

/// Directories whose first blocks are fetched while the one before them is read.
const DIRECTORIES_AHEAD: usize = 3;

/// Whether somebody waits for a fetch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wait {
    No,
    AMoment,
}

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
    /// Directories that are being pushed, each with the row that comes next.
    under_way: Mutex<Vec<(u64, Arc<AtomicU32>)>>,
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
            under_way: Mutex::default(),
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

    fn under_way(&self) -> MutexGuard<'_, Vec<(u64, Arc<AtomicU32>)>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The beginning of a file was asked for: what to push for it. To be asked before the answer.
    pub(crate) fn push<'a>(&'a self, number: u64, files: &'a SnapshotFiles, file: File) -> Option<Push<'a>> {
        let notifier = self.notifier.get().filter(|_| self.on.load(Ordering::Relaxed))?;
        let run = files.tree.run(file.row);
        // A directory is known by the inode of its first file.
        let directory = join(number, files.tree.inode(File { row: run.start, ..file }));
        let (window, goes_on) = {
            let mut policy = self.policy();
            (policy.asked(directory, file.row, &run), policy.goes_on())
        };
        let first = file.row.saturating_add(1);
        let (next, turn) = {
            let mut under_way = self.under_way();
            if let Some((_, next)) = under_way.iter().find(|(other, _)| *other == directory) {
                // The reader was faster than the push, which shall not work behind it.
                if next.fetch_max(first, Ordering::Relaxed) >= first {
                    return None;
                }
                (Arc::clone(next), None)
            } else if window == 0 {
                return None;
            } else {
                let next = Arc::new(AtomicU32::new(first));
                under_way.push((directory, Arc::clone(&next)));
                (next, Some(Turn { pusher: self, directory }))
            }
        };
        let (window, head_start) = if turn.is_some() { (window, HEAD_START) } else { (CATCH_UP, CATCH_UP) };
        let permit = self.permit()?;
        Some(Push {
            pusher: self,
            notifier,
            files,
            number,
            view: file.view,
            directory,
            rows: first..first.saturating_add(window).min(run.end),
            run,
            next,
            head_start,
            goes_on,
            bytes: 0,
            recent: Recent::default(),
            _turn: turn,
            _permit: permit,
        })
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

/// The place of a directory's first push, given back when dropped.
struct Turn<'a> {
    pusher: &'a Pusher,
    directory: u64,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.pusher.under_way().retain(|(directory, _)| *directory != self.directory);
    }
}

/// Files that are being pushed for one read.
pub(crate) struct Push<'a> {
    pusher: &'a Pusher,
    notifier: &'a Notifier,
    files: &'a SnapshotFiles,
    number: u64,
    view: View,
    directory: u64,
    /// All rows of the directory.
    run: Range<u32>,
    /// Those to push.
    rows: Range<u32>,
    /// The row that comes next; readers move it, and so does another push for the same directory.
    next: Arc<AtomicU32>,
    /// How many of the rows come before the answer.
    head_start: u32,
    /// Whether the directory behind this one will be read, too.
    goes_on: bool,
    bytes: usize,
    recent: Recent,
    /// Nothing in a push beside another one, for a reader that has overtaken that.
    _turn: Option<Turn<'a>>,
    _permit: Permit<'a>,
}

impl Push<'_> {
    fn file(&self, row: u32) -> File {
        File { row, view: self.view }
    }

    /// Files whose blocks will be wanted next and are not in memory.
    fn wanted(&self) -> Vec<File> {
        let from = self.next.load(Ordering::Relaxed);
        let here = self.files.first_not_ready(self.view, from..self.run.end.min(self.rows.end.saturating_add(1)));
        if here.is_some() || !self.goes_on {
            return here.into_iter().collect();
        }
        let next = |file: &File| self.files.tree.next_directory(*file);
        let beyond = std::iter::successors(next(&self.file(self.run.start)), next).take(DIRECTORIES_AHEAD);
        beyond.filter_map(|file| self.files.first_not_ready(file.view, self.files.tree.run(file.row))).collect()
    }

    /// Pushes the files that must be there before the answer.
    pub(crate) fn begin(&mut self, fetch: &impl Fn(File, Wait)) {
        self.go_on_until(self.rows.start.saturating_add(self.head_start), fetch);
    }

    /// Pushes the others. `fetch` gets files whose blocks are missing, and shall wait a moment for the one that it is told to.
    pub(crate) fn finish(mut self, fetch: &impl Fn(File, Wait)) {
        let mut last = None;
        while let Some(missing) = self.go_on_until(self.rows.end, fetch)
            && last != Some(missing)
        {
            fetch(missing, Wait::AMoment);
            last = Some(missing);
        }
        let next = self.next.load(Ordering::Relaxed);
        self.pusher.policy().pushed(self.directory, next, &self.run);
    }

    /// Gives the file that is not in memory, if one is in the way.
    fn go_on_until(&mut self, end: u32, fetch: &impl Fn(File, Wait)) -> Option<File> {
        let (mut pushed, mut missing) = (0, None);
        loop {
            let row = self.next.load(Ordering::Relaxed);
            if row >= end.min(self.rows.end) {
                break;
            }
            let file = self.file(row);
            let inode = join(self.number, self.files.tree.inode(file));
            if self.pusher.reading().contains(&inode) {
                self.next.fetch_max(row + 1, Ordering::Relaxed);
                continue;
            }
            let before = self.recent.first();
            let Some(bytes) = self.files.ready_with(file, &mut self.recent) else {
                missing = Some(file);
                break;
            };
            if self.recent.first() != before {
                // While this block is pushed the next one can come.
                self.wanted().into_iter().for_each(|file| fetch(file, Wait::No));
            }
            if self.next.compare_exchange(row, row + 1, Ordering::Relaxed, Ordering::Relaxed).is_err() {
                // A reader or another push was here.
                continue;
            }
            self.bytes += bytes.len();
            if self.bytes > LARGEST_BYTES || !self.pusher.store(self.notifier, inode, &bytes) {
                break;
            }
            pushed += 1;
        }
        self.pusher.counters.pushed.fetch_add(pushed, Ordering::Relaxed);
        missing
    }
}
