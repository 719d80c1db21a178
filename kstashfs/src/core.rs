//! What the requests of the kernel mean: nodes, their attributes, directories, reads.
//!
//! Event loops do not wait for a store: what must be fetched first is finished on the fetch pool, with its reply in hand. Only those that may
//! push wait a moment for a block, which is all that a local one takes.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, SystemTime},
};

use fuser::{Errno, FileAttr, FileType, INodeNo, ReplyData};
use kubestash::repository::RepositoryError;
use tokio::runtime::Handle;

use crate::{
    content::{ContentError, SnapshotFiles},
    counters::Counters,
    forest::{Forest, join, split},
    pusher::{InFlight, Pusher, Wait},
    tree::{File, Node, ROOT, TOP},
};

/// Snapshots never change.
pub(crate) const FOREVER: Duration = Duration::from_secs(u64::MAX / 4);
/// The list of snapshots does.
pub(crate) const SHORT: Duration = Duration::from_secs(1);
/// Longest wait of somebody who looks at the list of snapshots; then they see the one before.
const LOOK_DEADLINE: Duration = Duration::from_secs(2);
/// Longest wait of an event loop for a block.
const MOMENT: Duration = Duration::from_millis(5);
/// Directories listed in a row without a file being read, after which their files are no longer fetched ahead: it is `find` or `ls`.
const LISTINGS_ONLY: u32 = 4;

/// Inode of the directory `snapshots` of a mount of all.
const SNAPSHOTS: u64 = 2;
/// The link `latest` to a snapshot has inode 0 of that snapshot's tree, so that a link's target never changes.
const LATEST: u64 = 0;

/// What the adapter works on.
pub(crate) struct Core {
    pub(crate) forest: Forest,
    pub(crate) counters: Arc<Counters>,
    pub(crate) runtime: Handle,
    pub(crate) pusher: Arc<Pusher>,
    pub(crate) owner: (u32, u32),
    /// Directories listed since the last read of a file.
    pub(crate) listings: AtomicU32,
}

/// A directory above the snapshots: it may change.
#[derive(Clone, Copy)]
enum Top {
    Root,
    Snapshots,
}

/// A name that was found, and how long the kernel may keep name and attributes.
pub(crate) struct Found {
    pub(crate) attr: FileAttr,
    pub(crate) name_ttl: Duration,
    pub(crate) attr_ttl: Duration,
}

/// One entry of a directory.
pub(crate) struct Entry<'a> {
    /// Place behind it.
    pub(crate) next: u64,
    pub(crate) name: &'a str,
    pub(crate) attr: FileAttr,
    pub(crate) ttl: Duration,
}

/// A directory reply that is being filled.
pub(crate) trait Listing: Send + 'static {
    /// Adds an entry; false when there is no room left for it.
    fn add(&mut self, entry: &Entry<'_>) -> bool;
    fn done(self);
    fn fail(self, errno: Errno);
}

/// Every error as an errno. Damage and failures of the store are I/O errors of the file that they hit.
fn errno(error: &ContentError) -> Errno {
    match error {
        ContentError::NoFile => Errno::ENOENT,
        ContentError::Deadline(_) => Errno::EIO,
        ContentError::Repository(error) => match error {
            RepositoryError::NotFound { .. } => Errno::ENOENT,
            RepositoryError::NeedsSensitiveKey | RepositoryError::WrongPassword { .. } => Errno::EACCES,
            RepositoryError::Store(_)
            | RepositoryError::NotARepository { .. }
            | RepositoryError::AlreadyExists { .. }
            | RepositoryError::Unsupported { .. }
            | RepositoryError::ConfigMissing { .. }
            | RepositoryError::ReadOnly { .. }
            | RepositoryError::Damaged { .. }
            | RepositoryError::Missing { .. }
            | RepositoryError::OutOfOrder { .. }
            | RepositoryError::Object { .. }
            | RepositoryError::LastKey { .. }
            | RepositoryError::PruneBlocked { .. }
            | RepositoryError::Locked { .. }
            | RepositoryError::Overtaken { .. }
            | RepositoryError::Machine(_) => Errno::EIO,
        },
    }
}

/// An error with its causes, on one line.
fn explain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

impl Core {
    fn attr(&self, inode: u64, kind: FileType, size: u64, (perm, nlink): (u16, u32), time: SystemTime) -> FileAttr {
        FileAttr {
            ino: INodeNo(inode),
            size,
            blocks: size.div_ceil(512),
            atime: time,
            mtime: time,
            ctime: time,
            crtime: time,
            kind,
            perm,
            nlink,
            uid: self.owner.0,
            gid: self.owner.1,
            rdev: 0,
            blksize: 4096,
            flags: 0,
        }
    }

    fn directory(&self, inode: u64, subdirectories: u32, time: SystemTime) -> FileAttr {
        self.attr(inode, FileType::Directory, 4096, (0o555, 2 + subdirectories), time)
    }

    fn node(&self, number: u64, files: &SnapshotFiles, node: Node) -> Option<FileAttr> {
        let time = files.snapshot.root().time.into();
        Some(match node {
            Node::Directory(inode) => self.directory(join(number, inode), files.tree.subdirectories(inode), time),
            Node::File(file) => {
                let (size, sensitive) = files.size(file)?;
                let perm = if sensitive { 0o400 } else { 0o444 };
                self.attr(join(number, files.tree.inode(file)), FileType::RegularFile, size, (perm, 1), time)
            }
        })
    }

    /// What the kernel remembers of a name that a snapshot does not have: an entry without inode.
    fn nothing(&self) -> Found {
        let attr = self.attr(0, FileType::RegularFile, 0, (0, 0), SystemTime::UNIX_EPOCH);
        Found { attr, name_ttl: FOREVER, attr_ttl: FOREVER }
    }

    fn top(&self, inode: u64) -> Option<Top> {
        match inode {
            ROOT if self.forest.is_all() => Some(Top::Root),
            SNAPSHOTS if self.forest.is_all() => Some(Top::Snapshots),
            _ => None,
        }
    }

    fn top_attr(&self, top: Top) -> FileAttr {
        match top {
            Top::Root => self.directory(ROOT, 1, self.forest.changed()),
            Top::Snapshots => self.directory(SNAPSHOTS, u32::try_from(self.forest.listed().len()).unwrap_or(u32::MAX - 2), self.forest.changed()),
        }
    }

    /// The top of a snapshot, which need not be loaded for that.
    fn snapshot_attr(&self, number: u64) -> Option<FileAttr> {
        let slot = self.forest.slot(number)?;
        Some(self.directory(join(number, ROOT), TOP.len() as u32, slot.root.time.into()))
    }

    fn link_attr(&self, number: u64) -> Option<FileAttr> {
        let (slot, target) = (self.forest.slot(number)?, self.link(join(number, LATEST))?);
        Some(self.attr(join(number, LATEST), FileType::Symlink, target.len() as u64, (0o777, 1), slot.root.time.into()))
    }

    /// Target of a link.
    pub(crate) fn link(&self, inode: u64) -> Option<String> {
        match split(inode) {
            (number, LATEST) if self.forest.is_all() => Some(format!("snapshots/{}", self.forest.slot(number)?.name)),
            _ => None,
        }
    }

    /// Entries of a directory above the snapshots: a number that stays with each, name, attributes.
    fn top_entries(&self, top: Top) -> Vec<(u64, String, FileAttr)> {
        match top {
            Top::Root => {
                let latest = self.forest.latest().and_then(|(number, _)| Some((2, "latest".to_owned(), self.link_attr(number)?)));
                [(1, "snapshots".to_owned(), self.top_attr(Top::Snapshots))].into_iter().chain(latest).collect()
            }
            Top::Snapshots => {
                let listed = self.forest.listed().into_iter();
                listed.filter_map(|(number, slot)| Some((number, slot.name.clone(), self.snapshot_attr(number)?))).collect()
            }
        }
    }

    /// Runs `work` behind a look for other snapshots, when it is time for one.
    fn looked<R: Send + 'static>(self: &Arc<Self>, reply: R, work: impl FnOnce(&Self, R) + Send + 'static) {
        if !self.forest.shall_look() {
            return work(self, reply);
        }
        let core = Arc::clone(self);
        self.runtime.spawn(async move {
            match tokio::time::timeout(LOOK_DEADLINE, core.forest.look()).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!("the list of snapshots may be old: {}", explain(&error)),
                Err(_) => tracing::warn!("the list of snapshots may be old: the store does not answer"),
            }
            work(&core, reply);
        });
    }

    /// Runs `work` on a snapshot's tree: at once when it is loaded, else on the fetch pool.
    fn with_files<R: Send + 'static>(
        self: &Arc<Self>,
        number: u64,
        reply: R,
        work: impl FnOnce(&Arc<Self>, Result<&Arc<SnapshotFiles>, Errno>, R) + Send + 'static,
    ) {
        if let Some(files) = self.forest.loaded(number) {
            return work(self, Ok(&files), reply);
        }
        let core = Arc::clone(self);
        self.runtime.spawn(async move {
            match core.forest.load(number).await {
                Ok(files) => work(&core, Ok(&files), reply),
                Err(error) => {
                    Counters::add(&core.counters.errors);
                    let name = core.forest.slot(number).map_or_else(|| number.to_string(), |slot| slot.name.clone());
                    tracing::error!("cannot open snapshot {name}: {}", explain(&error));
                    work(&core, Err(errno(&error)), reply);
                }
            }
        });
    }

    /// Looks a name up in a directory.
    pub(crate) fn lookup<R: Send + 'static>(
        self: &Arc<Self>,
        parent: u64,
        name: String,
        reply: R,
        answer: impl FnOnce(R, Result<Found, Errno>) + Send + 'static,
    ) {
        if let Some(top) = self.top(parent) {
            return self.looked(reply, move |core, reply| {
                let found = core.top_entries(top).into_iter().find(|(_, own, _)| *own == name);
                let found = found.map(|(_, _, attr)| {
                    let attr_ttl = if core.top(attr.ino.0).is_some() { SHORT } else { FOREVER };
                    Found { attr, name_ttl: SHORT, attr_ttl }
                });
                answer(reply, found.ok_or(Errno::ENOENT));
            });
        }
        let (number, own) = split(parent);
        self.with_files(number, reply, move |core, files, reply| {
            let found = files.map(|files| {
                let attr = files.tree.lookup(own, &name).and_then(|node| core.node(number, files, node));
                attr.map_or_else(|| core.nothing(), |attr| Found { attr, name_ttl: FOREVER, attr_ttl: FOREVER })
            });
            answer(reply, found);
        });
    }

    /// Attributes of an inode.
    pub(crate) fn stat<R: Send + 'static>(
        self: &Arc<Self>,
        inode: u64,
        reply: R,
        answer: impl FnOnce(R, Result<(FileAttr, Duration), Errno>) + Send + 'static,
    ) {
        if let Some(top) = self.top(inode) {
            return self.looked(reply, move |core, reply| answer(reply, Ok((core.top_attr(top), SHORT))));
        }
        let (number, own) = split(inode);
        let known = match own {
            LATEST => Some(self.link_attr(number)),
            ROOT => Some(self.snapshot_attr(number)),
            _ => None,
        };
        if let Some(attr) = known {
            return answer(reply, attr.map(|attr| (attr, FOREVER)).ok_or(Errno::ENOENT));
        }
        self.with_files(number, reply, move |core, files, reply| {
            let attr = files.and_then(|files| files.tree.node(own).and_then(|node| core.node(number, files, node)).ok_or(Errno::ENOENT));
            answer(reply, attr.map(|attr| (attr, FOREVER)));
        });
    }

    /// Fills a directory reply from a place on. Places 1 and 2 are behind `.` and `..`.
    pub(crate) fn list<L: Listing>(self: &Arc<Self>, inode: u64, from: u64, listing: L) {
        if let Some(top) = self.top(inode) {
            let work = move |core: &Self, mut listing: L| {
                if add_dots(from, [core.top_attr(top), core.top_attr(Top::Root)], SHORT, &mut listing) {
                    let entries = core.top_entries(top).into_iter().filter(|(at, ..)| at + 2 > from);
                    for (at, name, attr) in entries {
                        if !listing.add(&Entry { next: at + 2, name: &name, attr, ttl: SHORT }) {
                            break;
                        }
                    }
                }
                listing.done();
            };
            // In the middle of a list nothing shall change.
            return if from == 0 { self.looked(listing, work) } else { work(self, listing) };
        }
        let (number, own) = split(inode);
        self.with_files(number, listing, move |core, files, mut listing| {
            let files = match files {
                Ok(files) => files,
                Err(errno) => return listing.fail(errno),
            };
            if from == 0 {
                core.prefetch_directory(files, own);
            }
            let parent = if own == ROOT && core.forest.is_all() { SNAPSHOTS } else { join(number, files.tree.parent(own)) };
            let time = files.snapshot.root().time.into();
            if add_dots(from, [core.directory(inode, 0, time), core.directory(parent, 0, time)], FOREVER, &mut listing) {
                files.tree.list(own, from.saturating_sub(2), &mut |at, name, node| {
                    let attr = core.node(number, files, node);
                    attr.is_none_or(|attr| listing.add(&Entry { next: at + 3, name, attr, ttl: FOREVER }))
                });
            }
            listing.done();
        });
    }

    /// A directory that is being listed will be read: fetch its first blocks, unless nobody reads what is listed.
    fn prefetch_directory(self: &Arc<Self>, files: &Arc<SnapshotFiles>, directory: u64) {
        let Some((rows, view)) = files.tree.files(directory) else { return };
        if self.listings.fetch_add(1, Ordering::Relaxed) < LISTINGS_ONLY {
            self.fetch_ahead(files, File { row: rows.start, view }, Wait::No);
        }
    }

    /// Has the blocks of a file fetched. Only on an event loop that others can stand in for may be waited, and only as long as reading from
    /// a disk takes.
    fn fetch_ahead(self: &Arc<Self>, files: &Arc<SnapshotFiles>, file: File, wait: Wait) {
        if files.is_ready(file) {
            return;
        }
        let own = Arc::clone(files);
        let fetched = self.runtime.spawn(async move { own.prefetch(file).await });
        if wait == Wait::AMoment {
            let _ = self.runtime.block_on(async { tokio::time::timeout(MOMENT, fetched).await });
        }
    }

    /// Answers a read of a file.
    pub(crate) fn read(self: &Arc<Self>, inode: u64, range: (u64, u32), reply: ReplyData) {
        let (number, own) = split(inode);
        let in_flight = self.pusher.begin(inode);
        self.listings.store(0, Ordering::Relaxed);
        // Only here, on an event loop, may be pushed: a thread of the fetch pool that waits for a page could be the one to fetch it.
        if let Some(files) = self.forest.loaded(number)
            && let Some(Node::File(file)) = files.tree.node(own)
        {
            let push = if range.0 == 0 { self.pusher.push(number, &files, file) } else { None };
            let mut bytes = files.ready(file);
            if bytes.is_none() && push.is_some() {
                self.fetch_ahead(&files, file, Wait::AMoment);
                bytes = files.ready(file);
            }
            match (bytes, push) {
                (Some(bytes), None) => return reply.data(part(&bytes, range)),
                (Some(bytes), Some(mut push)) => {
                    let fetch = |file, wait| self.fetch_ahead(&files, file, wait);
                    push.begin(&fetch);
                    reply.data(part(&bytes, range));
                    drop(in_flight);
                    return push.finish(&fetch);
                }
                (None, _) => {}
            }
        }
        self.with_files(number, reply, move |core, files, reply| match files.map(|files| (files, files.tree.node(own))) {
            Ok((files, Some(Node::File(file)))) => {
                core.runtime.spawn(Arc::clone(core).fetch(Arc::clone(files), file, range, in_flight, reply));
            }
            Ok((_, Some(Node::Directory(_)))) => reply.error(Errno::EISDIR),
            Ok((_, None)) => reply.error(Errno::ENOENT),
            Err(errno) => reply.error(errno),
        });
    }

    async fn fetch(self: Arc<Self>, files: Arc<SnapshotFiles>, file: File, range: (u64, u32), in_flight: InFlight, reply: ReplyData) {
        match files.read(file).await {
            Ok(bytes) => reply.data(part(&bytes, range)),
            Err(error) => {
                Counters::add(&self.counters.errors);
                tracing::error!("cannot read {} of snapshot {}: {}", files.name(file), files.snapshot.root().name, explain(&error));
                reply.error(errno(&error));
            }
        }
        drop(in_flight);
    }
}

/// `.` and `..`, of which the kernel takes no more than name, inode and type. False when there was no room for them.
fn add_dots(from: u64, [own, parent]: [FileAttr; 2], ttl: Duration, listing: &mut impl Listing) -> bool {
    let dots = [Entry { next: 1, name: ".", attr: own, ttl }, Entry { next: 2, name: "..", attr: parent, ttl }];
    dots.iter().filter(|entry| entry.next > from).all(|entry| listing.add(entry))
}

fn part(bytes: &[u8], (offset, size): (u64, u32)) -> &[u8] {
    let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
    let end = start.saturating_add(size as usize).min(bytes.len());
    bytes.get(start..end).unwrap_or_default()
}
