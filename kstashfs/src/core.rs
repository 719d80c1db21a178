//! What the requests of the kernel mean: nodes, their attributes, directories, reads.
//!
//! Event loops do not wait for a store: what must be fetched first is finished on the fetch pool, with its reply in hand. Only those that may
//! push wait a moment for a block, which is all that a local one takes.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use fuser::{Errno, FileAttr, FileType, INodeNo};
use kubestash::repository::RepositoryError;
use tokio::runtime::Handle;

use crate::{
    content::{ContentError, SnapshotFiles},
    counters::Counters,
    forest::{Forest, HISTORY, join, split},
    history::HistoryFiles,
    permissions::Permissions,
    pusher::{InFlight, Pusher, Wait},
    status::{Status, UnreadableFile},
    top::TopEntry,
    tree::{File, Node, ROOT},
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

/// What the adapter works on.
pub(crate) struct Core {
    pub(crate) forest: Forest,
    pub(crate) history: HistoryFiles,
    pub(crate) counters: Arc<Counters>,
    pub(crate) runtime: Handle,
    pub(crate) pusher: Arc<Pusher>,
    pub(crate) permissions: Permissions,
    pub(crate) status: Status,
    /// Directories listed since the last read of a file.
    pub(crate) listings: AtomicU32,
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

/// A reply of bytes.
pub(crate) trait DataReply: Send + 'static {
    fn bytes(self, bytes: &[u8]);
    fn fail(self, errno: Errno);
}

/// Every error as an errno. Damage and failures of the store are I/O errors of the file that they hit.
pub(crate) fn errno(error: &ContentError) -> Errno {
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
            | RepositoryError::KeysChanged { .. }
            | RepositoryError::PruneBlocked { .. }
            | RepositoryError::Locked { .. }
            | RepositoryError::Overtaken { .. }
            | RepositoryError::Machine(_) => Errno::EIO,
        },
    }
}

/// An error with its causes, on one line.
pub(crate) fn explain(error: &dyn std::error::Error) -> String {
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
    /// For readers in this process: there is no kernel that anything could be pushed to.
    pub(crate) fn unmounted(forest: Forest, permissions: Permissions, runtime: Handle) -> Self {
        let counters = Arc::new(Counters::default());
        let status = Status::new(PathBuf::new(), forest.repository().place().to_owned());
        let pusher = Pusher::new(Arc::clone(&counters), false, 1);
        Self { forest, history: HistoryFiles::default(), counters, runtime, pusher, permissions, status, listings: AtomicU32::new(0) }
    }

    pub(crate) fn attr(&self, inode: u64, kind: FileType, size: u64, (perm, nlink): (u16, u32), time: SystemTime) -> FileAttr {
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
            uid: self.permissions.uid,
            gid: self.permissions.gid,
            rdev: 0,
            blksize: 4096,
            flags: 0,
        }
    }

    pub(crate) fn directory(&self, inode: u64, subdirectories: u32, time: SystemTime) -> FileAttr {
        self.attr(inode, FileType::Directory, 4096, (self.permissions.directory(), 2 + subdirectories), time)
    }

    fn node(&self, number: u64, files: &SnapshotFiles, node: Node) -> Option<FileAttr> {
        let time = files.snapshot.root().time.into();
        Some(match node {
            Node::Directory(inode) => self.directory(join(number, inode), files.tree.subdirectories(inode), time),
            Node::File(file) => {
                let (size, shows_secrets) = files.size(file)?;
                self.attr(join(number, files.tree.inode(file)), FileType::RegularFile, size, (self.permissions.file(shows_secrets), 1), time)
            }
            Node::Text(at) => {
                let size = files.tree.text(at)?.len() as u64;
                self.attr(join(number, files.tree.text_inode(at)), FileType::RegularFile, size, (self.permissions.file(false), 1), time)
            }
        })
    }

    /// What the kernel remembers of a name that a snapshot does not have: an entry without inode.
    fn nothing(&self) -> Found {
        let attr = self.attr(0, FileType::RegularFile, 0, (0, 0), SystemTime::UNIX_EPOCH);
        Found { attr, name_ttl: FOREVER, attr_ttl: FOREVER }
    }

    /// Runs `work` behind a look for other snapshots, when it is time for one.
    pub(crate) fn looked<R: Send + 'static>(self: &Arc<Self>, reply: R, work: impl FnOnce(&Arc<Self>, R) + Send + 'static) {
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
                Ok(files) => {
                    core.status.readable(join(number, ROOT));
                    work(&core, Ok(&files), reply);
                }
                Err(error) => {
                    Counters::add(&core.counters.errors);
                    let name = core.forest.slot(number).map_or_else(|| number.to_string(), |slot| slot.name.clone());
                    tracing::error!("cannot open snapshot {name}: {}", explain(&error));
                    if let Some(damaged) = UnreadableFile::of(&error, &name, None) {
                        core.status.damaged(join(number, ROOT), damaged);
                    }
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
        if let Some(found) = self.status_lookup(parent, &name) {
            return answer(reply, found);
        }
        if let Some(top) = self.top(parent) {
            return self.looked(reply, move |core, reply| {
                let found = core.top_entries(top).into_iter().find(|entry| entry.name == name);
                answer(reply, found.map(|entry| core.found_above(entry.attr)).ok_or(Errno::ENOENT));
            });
        }
        let (number, own) = split(parent);
        if number == HISTORY {
            return self.with_history(reply, move |core, ready, reply| answer(reply, ready.and_then(|()| core.history_lookup(own, &name))));
        }
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
        if let Some(attr) = self.status_stat(inode) {
            return answer(reply, attr.map(|attr| (attr, FOREVER)));
        }
        if let Some(top) = self.top(inode) {
            return self.looked(reply, move |core, reply| answer(reply, Ok((core.top_attr(top), SHORT))));
        }
        let (number, own) = split(inode);
        if number == HISTORY {
            return self.with_history(reply, move |core, ready, reply| answer(reply, ready.and_then(|()| core.history_stat(own))));
        }
        if let Some(attr) = self.attr_without_tree(number, own) {
            return answer(reply, attr.map(|attr| (attr, FOREVER)).ok_or(Errno::ENOENT));
        }
        self.with_files(number, reply, move |core, files, reply| {
            let attr = files.and_then(|files| files.tree.node(own).and_then(|node| core.node(number, files, node)).ok_or(Errno::ENOENT));
            answer(reply, attr.map(|attr| (attr, FOREVER)));
        });
    }

    /// Fills a directory reply from a place on. Places 1 and 2 are behind `.` and `..`.
    pub(crate) fn list<L: Listing>(self: &Arc<Self>, inode: u64, from: u64, listing: L) {
        let Some(listing) = self.status_list(inode, from, listing) else { return };
        if let Some(top) = self.top(inode) {
            let work = move |core: &Arc<Self>, mut listing: L| {
                if add_dots(from, [core.top_attr(top), core.top_attr(top.parent())], SHORT, &mut listing) {
                    for TopEntry { place, name, attr } in core.top_entries(top).into_iter().filter(|entry| entry.place + 2 > from) {
                        if !listing.add(&Entry { next: place + 2, name: &name, attr, ttl: SHORT }) {
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
        if number == HISTORY {
            return self.with_history(listing, move |core, ready, listing| match ready {
                Ok(()) => core.history_list(own, from, listing),
                Err(errno) => listing.fail(errno),
            });
        }
        self.with_files(number, listing, move |core, files, mut listing| {
            let files = match files {
                Ok(files) => files,
                Err(errno) => return listing.fail(errno),
            };
            if from == 0 {
                core.prefetch_directory(files, own);
            }
            let parent = if own == ROOT && core.forest.is_all() { core.above(number) } else { join(number, files.tree.parent(own)) };
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
    pub(crate) fn read<R: DataReply>(self: &Arc<Self>, inode: u64, range: (u64, u32), reply: R) {
        if let Some(text) = self.status_text(inode) {
            return match text {
                Ok(text) => reply.bytes(part(&text, range)),
                Err(errno) => reply.fail(errno),
            };
        }
        let (number, own) = split(inode);
        if number == HISTORY {
            return self.history_read(own, range, reply);
        }
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
                (Some(bytes), None) => return reply.bytes(part(&bytes, range)),
                (Some(bytes), Some(mut push)) => {
                    let fetch = |file, wait| self.fetch_ahead(&files, file, wait);
                    push.begin(&fetch);
                    reply.bytes(part(&bytes, range));
                    drop(in_flight);
                    return push.finish(&fetch);
                }
                (None, _) => {}
            }
        }
        self.with_files(number, reply, move |core, files, reply| match files.map(|files| (files, files.tree.node(own))) {
            Ok((files, Some(Node::File(file)))) => {
                core.runtime.spawn(Arc::clone(core).fetch(Arc::clone(files), (inode, file), range, in_flight, reply));
            }
            Ok((files, Some(Node::Text(at)))) => reply.bytes(files.tree.text(at).map_or(&[][..], |text| part(text, range))),
            Ok((_, Some(Node::Directory(_)))) => reply.fail(Errno::EISDIR),
            Ok((_, None)) => reply.fail(Errno::ENOENT),
            Err(errno) => reply.fail(errno),
        });
    }

    async fn fetch<R: DataReply>(
        self: Arc<Self>,
        files: Arc<SnapshotFiles>,
        (inode, file): (u64, File),
        range: (u64, u32),
        in_flight: InFlight,
        reply: R,
    ) {
        match self.read_file(&files, inode, file).await {
            Ok(bytes) => reply.bytes(part(&bytes, range)),
            Err(error) => {
                tracing::error!("cannot read {} of snapshot {}: {}", files.name(file), files.snapshot.root().name, explain(&error));
                reply.fail(errno(&error));
            }
        }
        drop(in_flight);
    }

    /// Reads a file, and notes whether that works.
    async fn read_file(&self, files: &SnapshotFiles, inode: u64, file: File) -> Result<Bytes, ContentError> {
        let read = files.read(file).await;
        match &read {
            Ok(_) => self.status.readable(inode),
            Err(error) => {
                Counters::add(&self.counters.errors);
                let path = files.tree.catalog().row(file.row).map(|row| row.id().mount_path());
                if let Some(damaged) = UnreadableFile::of(error, &files.snapshot.root().name, path) {
                    self.status.damaged(inode, damaged);
                }
            }
        }
        read
    }

    /// A file whose text is in memory and belongs to no object.
    pub(crate) fn text(&self, inode: u64) -> Option<Bytes> {
        if let Some(text) = self.status_text(inode) {
            return text.ok();
        }
        let (number, own) = split(inode);
        let files = self.forest.loaded(number)?;
        match files.tree.node(own)? {
            Node::Text(at) => files.tree.text(at).cloned(),
            Node::Directory(_) | Node::File(_) => None,
        }
    }

    /// The bytes of a file, for readers in this process.
    pub(crate) async fn bytes(&self, inode: u64) -> Result<Bytes, ContentError> {
        let (number, own) = split(inode);
        if number == HISTORY {
            return self.history_bytes(own).await;
        }
        if let Some(text) = self.status_text(inode) {
            return text.map_err(|_| ContentError::NoFile);
        }
        let files = self.forest.load(number).await?;
        match files.tree.node(own) {
            Some(Node::File(file)) => self.read_file(&files, inode, file).await,
            Some(Node::Text(_)) => self.text(inode).ok_or(ContentError::NoFile),
            Some(Node::Directory(_)) | None => Err(ContentError::NoFile),
        }
    }
}

/// `.` and `..`, of which the kernel takes no more than name, inode and type. False when there was no room for them.
pub(crate) fn add_dots(from: u64, [own, parent]: [FileAttr; 2], ttl: Duration, listing: &mut impl Listing) -> bool {
    let dots = [Entry { next: 1, name: ".", attr: own, ttl }, Entry { next: 2, name: "..", attr: parent, ttl }];
    dots.iter().filter(|entry| entry.next > from).all(|entry| listing.add(entry))
}

pub(crate) fn part(bytes: &[u8], (offset, size): (u64, u32)) -> &[u8] {
    let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
    let end = start.saturating_add(size as usize).min(bytes.len());
    bytes.get(start..end).unwrap_or_default()
}
