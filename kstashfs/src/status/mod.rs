//! `.kstashfs/` at the root of a mount: what is mounted, how it fares, and figures. It is not listed; who knows the name reaches it.
//!
//! Its files change, but the kernel opens files by itself, keeps their pages and never reads beyond the size that it knows. Therefore each
//! look at a name gives an inode of its own, with the text of that moment: sizes are exact, pages may be kept, and whoever opens a file reads
//! one moment to its end. The kernel keeps a name for a second: programs such as `cp` look first and open then, and want the same file. A text
//! stays until the kernel forgets its inode.

pub mod info;
pub mod metrics;
mod texts;
mod unreadable;

use std::{
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use bytes::Bytes;
use fuser::{Errno, FileAttr, FileType};
use jiff::Timestamp;

pub use unreadable::{UnreadableFile, UnreadableList};

use crate::{
    core::{Core, Entry, FOREVER, Found, Listing, SHORT},
    forest::{STATUS, join},
    tree::ROOT,
};
use info::Info;
use metrics::Figures;
use texts::Texts;
use unreadable::Unreadable;

/// The name of the folder.
pub const FOLDER: &str = ".kstashfs";
/// The file that says what is mounted.
pub const INFO: &str = "info";
/// The file of figures.
pub const METRICS: &str = "metrics";

/// The folder's inode; those of its files follow.
const INODE: u64 = join(STATUS, 0);

/// What the folder knows beside forest and counters.
#[derive(Debug)]
pub(crate) struct Status {
    since: Timestamp,
    place: PathBuf,
    repository: String,
    unreadable: Mutex<Unreadable>,
    texts: Mutex<Texts>,
}

/// One of the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum File {
    Info,
    Metrics,
}

const FILES: [(&str, File); 2] = [(INFO, File::Info), (METRICS, File::Metrics)];

impl Status {
    /// Of a repository that is mounted on a place from now on.
    pub(crate) fn new(place: PathBuf, repository: String) -> Self {
        Self { since: Timestamp::now(), place, repository, unreadable: Mutex::default(), texts: Mutex::default() }
    }

    fn unreadable(&self) -> MutexGuard<'_, Unreadable> {
        self.unreadable.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn texts(&self) -> MutexGuard<'_, Texts> {
        self.texts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A file, or with [`ROOT`] a whole snapshot, cannot be read for damage.
    pub(crate) fn damaged(&self, inode: u64, file: UnreadableFile) {
        self.unreadable().note(inode, file);
    }

    /// It was read all the same, as when a repair has brought its data back.
    pub(crate) fn readable(&self, inode: u64) {
        self.unreadable().forget(inode);
    }

    /// The kernel does not know an inode any more.
    pub(crate) fn forget(&self, inode: u64) {
        if let Some(number) = inode.checked_sub(INODE) {
            self.texts().forget(number);
        }
    }
}

impl Core {
    fn write_status(&self, file: File) -> Bytes {
        let status = &self.status;
        match file {
            File::Info => Info::of(&self.forest, status.since, &status.place, &status.repository, status.unreadable().list()).to_yaml().into(),
            File::Metrics => {
                let (files, bytes) = self.forest.totals();
                let figures = Figures {
                    mountpoint: status.place.display().to_string(),
                    since: status.since,
                    counts: self.counters.now(),
                    reading: self.forest.repository().reading(),
                    files,
                    bytes,
                    unreadable: status.unreadable().list().count,
                    resident: metrics::resident(),
                };
                figures.to_text().into()
            }
        }
    }

    fn status_folder(&self) -> FileAttr {
        self.directory(INODE, 0, self.status.since.into())
    }

    /// A new inode with the text of now. Its name means another one the next time.
    fn status_file(&self, file: File) -> Found {
        let (text, now) = (self.write_status(file), SystemTime::now());
        let size = text.len() as u64;
        let number = self.status.texts().keep(text, now);
        let attr = self.attr(INODE + number, FileType::RegularFile, size, (self.permissions.file(false), 1), now);
        Found { attr, name_ttl: SHORT, attr_ttl: FOREVER }
    }

    /// Looks a name up, if the folder or one of its files may be meant.
    pub(crate) fn status_lookup(&self, parent: u64, name: &str) -> Option<Result<Found, Errno>> {
        match parent {
            ROOT if name == FOLDER => Some(Ok(Found { attr: self.status_folder(), name_ttl: FOREVER, attr_ttl: FOREVER })),
            INODE => Some(FILES.iter().find(|(own, _)| *own == name).map(|(_, file)| self.status_file(*file)).ok_or(Errno::ENOENT)),
            _ => None,
        }
    }

    /// Attributes, if the folder or one of its files is meant.
    pub(crate) fn status_stat(&self, inode: u64) -> Option<Result<FileAttr, Errno>> {
        match inode.checked_sub(INODE)? {
            0 => Some(Ok(self.status_folder())),
            number => {
                let text = self.status.texts().get(number);
                let attr =
                    text.map(|(text, time)| self.attr(inode, FileType::RegularFile, text.len() as u64, (self.permissions.file(false), 1), time));
                Some(attr.ok_or(Errno::ESTALE))
            }
        }
    }

    /// The text of a file, if one of the folder's is meant.
    pub(crate) fn status_text(&self, inode: u64) -> Option<Result<Bytes, Errno>> {
        match inode.checked_sub(INODE)? {
            0 => Some(Err(Errno::EISDIR)),
            number => Some(self.status.texts().get(number).map(|(text, _)| text).ok_or(Errno::ESTALE)),
        }
    }

    /// Lists the folder, if it is meant; else gives the reply back.
    pub(crate) fn status_list<L: Listing>(&self, inode: u64, from: u64, mut listing: L) -> Option<L> {
        if inode != INODE {
            return Some(listing);
        }
        let (own, root) = (self.status_folder(), self.directory(ROOT, 0, self.status.since.into()));
        let dots = [(".", own), ("..", root)].map(|(name, attr)| (name, Found { attr, name_ttl: FOREVER, attr_ttl: FOREVER }));
        let files = FILES.iter().map(|(name, file)| (*name, self.status_file(*file)));
        let skipped = usize::try_from(from).unwrap_or(usize::MAX);
        for (next, (name, found)) in (1..).zip(dots.into_iter().chain(files)).skip(skipped) {
            let inode = found.attr.ino.0;
            if !listing.add(&Entry { next, name, attr: found.attr, ttl: found.name_ttl }) {
                self.status.forget(inode);
                break;
            }
        }
        listing.done();
        None
    }
}
