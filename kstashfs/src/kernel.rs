//! The kernel adapter: translates fuser's requests, and nothing else.

use std::{
    collections::HashSet,
    ffi::OsStr,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use fuser::{
    AccessFlags, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo, InitFlags, KernelConfig, LockOwner, Notifier,
    OpenFlags, ReplyAttr, ReplyData, ReplyDirectory, ReplyDirectoryPlus, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyStatfs, ReplyXattr, Request,
};
use kubestash::repository::RepositoryError;
use tokio::runtime::Handle;

use crate::{
    content::{ContentError, SnapshotFiles},
    counters::Counters,
    forest::{Forest, LATEST, SNAPSHOTS, join, split},
    push::{LARGEST_BYTES, Policy},
    tree::{File, Node, ROOT, View},
};

/// Snapshots never change.
const FOREVER: Duration = Duration::from_secs(u64::MAX / 4);
/// The list of snapshots does.
const SHORT: Duration = Duration::from_secs(1);
/// A push that takes longer means that pages are locked by somebody: pushing stops for this mount.
const SLOW_PUSH: Duration = Duration::from_millis(100);

/// What the adapter works on.
pub(crate) struct Core {
    pub(crate) forest: Forest,
    pub(crate) counters: Arc<Counters>,
    pub(crate) runtime: Handle,
    pub(crate) notifier: OnceLock<Notifier>,
    pub(crate) threads: usize,
    pub(crate) push: AtomicBool,
    pub(crate) owner: (u32, u32),
    pub(crate) group_readable: bool,
    pub(crate) policy: Mutex<Policy>,
    pub(crate) reading: Mutex<HashSet<u64>>,
    pub(crate) pushing: AtomicUsize,
    pub(crate) mounted_at: SystemTime,
}

pub(crate) struct Kernel {
    pub(crate) core: Arc<Core>,
    no_open: bool,
    no_opendir: bool,
}

impl Kernel {
    pub(crate) const fn new(core: Arc<Core>) -> Self {
        Self { core, no_open: false, no_opendir: false }
    }
}

/// Every error of the repository as an errno. Damage and failures of the store are I/O errors of the file that they hit.
fn errno(error: &ContentError) -> Errno {
    match error {
        ContentError::NoFile => Errno::ENOENT,
        ContentError::Deadline => Errno::EIO,
        ContentError::Repository(error) => repository_errno(error),
    }
}

fn repository_errno(error: &RepositoryError) -> Errno {
    match error {
        RepositoryError::NotFound { .. } => Errno::ENOENT,
        RepositoryError::NeedsSensitiveKey | RepositoryError::WrongPassword { .. } => Errno::EACCES,
        RepositoryError::Store(_)
        | RepositoryError::NotARepository { .. }
        | RepositoryError::AlreadyExists { .. }
        | RepositoryError::Unsupported { .. }
        | RepositoryError::Damaged { .. }
        | RepositoryError::Missing { .. }
        | RepositoryError::OutOfOrder { .. }
        | RepositoryError::Object { .. }
        | RepositoryError::LastKey { .. }
        | RepositoryError::Machine(_) => Errno::EIO,
    }
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

    fn node_attr(&self, number: u64, files: &SnapshotFiles, node: Node) -> Option<FileAttr> {
        let time = files.snapshot.root().time.into();
        Some(match node {
            Node::Directory(inode) => self.attr(join(number, inode), FileType::Directory, 4096, (0o555, 2 + files.tree.subdirectories(inode)), time),
            Node::File(file) => {
                let (size, sensitive) = files.size(file)?;
                let perm = if sensitive && !self.group_readable { 0o400 } else { 0o444 };
                self.attr(join(number, files.tree.inode(file)), FileType::RegularFile, size, (perm, 1), time)
            }
        })
    }

    /// Attributes of what does not belong to a snapshot's tree, and of the top of one.
    fn top_attr(&self, inode: u64) -> Option<FileAttr> {
        let (number, own) = split(inode);
        match (self.forest.is_all(), number, own) {
            (true, 0, ROOT | SNAPSHOTS) => Some(self.attr(inode, FileType::Directory, 4096, (0o555, 3), self.mounted_at)),
            (true, 0, LATEST) => {
                let target = self.latest()?;
                Some(self.attr(inode, FileType::Symlink, target.len() as u64, (0o777, 1), self.mounted_at))
            }
            (_, _, ROOT) => {
                let slot = self.forest.slot(number)?;
                Some(self.attr(inode, FileType::Directory, 4096, (0o555, 5), slot.root.time.into()))
            }
            _ => None,
        }
    }

    fn latest(&self) -> Option<String> {
        self.forest.listed().last().map(|(_, slot)| format!("snapshots/{}", slot.name))
    }

    /// Runs `work` on a snapshot's tree: at once when it is loaded, else on the fetch pool, so that no event loop waits.
    fn with_files<R: Send + 'static>(
        self: &Arc<Self>,
        number: u64,
        reply: R,
        work: impl FnOnce(&Arc<Self>, &Arc<SnapshotFiles>, R) + Send + 'static,
        fail: impl FnOnce(R, Errno) + Send + 'static,
    ) {
        if let Some(files) = self.forest.loaded(number) {
            return work(self, &files, reply);
        }
        let core = Arc::clone(self);
        self.runtime.spawn(async move {
            match core.forest.load(number).await {
                Ok(files) => work(&core, &files, reply),
                Err(error) => {
                    Counters::add(&core.counters.errors);
                    tracing::error!("cannot open snapshot number {number}: {error}");
                    fail(reply, repository_errno(&error));
                }
            }
        });
    }

    /// A directory that is being read will be read on: fetch its first blocks.
    fn prefetch_directory(self: &Arc<Self>, files: &Arc<SnapshotFiles>, directory: u64) {
        let Some((rows, view)) = files.tree.siblings(directory) else { return };
        let file = File { row: rows.start, view };
        if !rows.is_empty() && files.ready(file).is_none() {
            let files = Arc::clone(files);
            self.runtime.spawn(async move { files.prefetch(file).await });
        }
    }

    fn read(self: &Arc<Self>, (number, files): (u64, &Arc<SnapshotFiles>), file: File, range: (u64, u32), in_flight: InFlight, reply: ReplyData) {
        if let Some(bytes) = files.ready(file) {
            if range.0 == 0 && self.push.load(Ordering::Relaxed) {
                self.push_neighbours(number, files, file);
            }
            return reply.data(part(&bytes, range));
        }
        let (core, files) = (Arc::clone(self), Arc::clone(files));
        self.runtime.spawn(async move {
            match files.read(file).await {
                Ok(bytes) => reply.data(part(&bytes, range)),
                Err(error) => {
                    Counters::add(&core.counters.errors);
                    tracing::error!("cannot read {}: {error}", files.name(file));
                    reply.error(errno(&error));
                }
            }
            drop(in_flight);
        });
    }

    /// Stores the files behind one that is about to be answered into the page cache.
    ///
    /// Storing waits for the lock of a page, and a page that is being read stays locked until it is answered. So: never the file being
    /// answered nor one with a read in flight, only what is decoded in memory, no lock of ours held, and always one event loop free to
    /// answer.
    fn push_neighbours(&self, number: u64, files: &SnapshotFiles, file: File) {
        let Some(notifier) = self.notifier.get() else { return };
        let neighbours = files.tree.neighbours(file.row);
        let directory = {
            let first = files.tree.catalog().row(file.row);
            // Kind and namespace, hashed: a directory without looking its inode up.
            let key = first.map(|row| (row.kind.resource.as_str(), row.kind.group.as_str(), row.namespace, file.view, number));
            let mut hasher = std::hash::DefaultHasher::new();
            std::hash::Hash::hash(&key, &mut hasher);
            std::hash::Hasher::finish(&hasher)
        };
        let window = self.policy.lock().unwrap_or_else(PoisonError::into_inner).asked(directory, file.row, neighbours.start == file.row);
        if window == 0 {
            return;
        }
        if self.pushing.fetch_add(1, Ordering::AcqRel) + 1 >= self.threads {
            self.pushing.fetch_sub(1, Ordering::AcqRel);
            return;
        }
        let started = Instant::now();
        let (mut pushed, mut bytes_pushed) = (0, 0);
        for row in (file.row + 1..neighbours.end).take(window as usize) {
            let next = File { row, view: file.view };
            let own = join(number, files.tree.inode(next));
            let Some(bytes) = files.ready(next) else {
                self.prefetch_next(files, next);
                break;
            };
            bytes_pushed += bytes.len();
            let busy = self.reading.lock().unwrap_or_else(PoisonError::into_inner).contains(&own);
            if bytes_pushed > LARGEST_BYTES || busy {
                break;
            }
            // An inode that the kernel does not know is fine.
            if notifier.store(INodeNo(own), 0, &bytes).is_err() {
                break;
            }
            pushed += 1;
        }
        if started.elapsed() > SLOW_PUSH {
            tracing::warn!("pushing took {:?} and is switched off for this mount", started.elapsed());
            self.push.store(false, Ordering::Relaxed);
        }
        self.pushing.fetch_sub(1, Ordering::AcqRel);
        self.counters.pushed.fetch_add(u64::from(pushed), Ordering::Relaxed);
        self.policy.lock().unwrap_or_else(PoisonError::into_inner).pushed(directory, pushed);
    }

    fn prefetch_next(&self, files: &SnapshotFiles, next: File) {
        let (snapshot, full) = (files.snapshot.clone(), files.full);
        let row = next.row;
        self.runtime.spawn(async move {
            use kubestash::repository::Part;
            // A failure shows when the file is read.
            let _ = snapshot.manifest(row).await;
            if full || next.view == View::WithStatus {
                let _ = snapshot.read(row, Part::Status).await;
            }
        });
    }
}

fn part(bytes: &[u8], (offset, size): (u64, u32)) -> &[u8] {
    let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
    let end = start.saturating_add(size as usize).min(bytes.len());
    bytes.get(start..end).unwrap_or_default()
}

const fn file_type(node: Node) -> FileType {
    match node {
        Node::Directory(_) => FileType::Directory,
        Node::File(_) => FileType::RegularFile,
    }
}

/// Entries of the directories above the snapshots: inode, type, name.
fn top_entries(core: &Core, inode: u64) -> Option<Vec<(u64, FileType, String)>> {
    if !core.forest.is_all() {
        return None;
    }
    match split(inode) {
        (0, ROOT) => {
            let mut entries = vec![(SNAPSHOTS, FileType::Directory, "snapshots".to_owned())];
            if core.latest().is_some() {
                entries.push((LATEST, FileType::Symlink, "latest".to_owned()));
            }
            Some(entries)
        }
        (0, SNAPSHOTS) => {
            Some(core.forest.listed().into_iter().map(|(number, slot)| (join(number, ROOT), FileType::Directory, slot.name.clone())).collect())
        }
        _ => None,
    }
}

impl Filesystem for Kernel {
    fn init(&mut self, _request: &Request, config: &mut KernelConfig) -> std::io::Result<()> {
        let offered = config.capabilities();
        self.no_open = offered.contains(InitFlags::FUSE_NO_OPEN_SUPPORT);
        self.no_opendir = offered.contains(InitFlags::FUSE_NO_OPENDIR_SUPPORT);
        // One by one: an older kernel refuses a set with one it does not know.
        for flag in [
            InitFlags::FUSE_DO_READDIRPLUS,
            InitFlags::FUSE_PARALLEL_DIROPS,
            InitFlags::FUSE_NO_OPEN_SUPPORT,
            InitFlags::FUSE_NO_OPENDIR_SUPPORT,
            InitFlags::FUSE_CACHE_SYMLINKS,
            InitFlags::FUSE_EXPLICIT_INVAL_DATA,
            InitFlags::FUSE_ASYNC_READ,
        ] {
            let _ = config.add_capabilities(flag);
        }
        Ok(())
    }

    fn lookup(&self, _request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        Counters::add(&self.core.counters.lookup);
        // Names of the API are text.
        let Some(name) = name.to_str().map(str::to_owned) else { return reply.error(Errno::ENOENT) };
        if let Some(entries) = top_entries(&self.core, parent.0) {
            let found = entries.into_iter().find(|(_, _, own)| *own == name).and_then(|(inode, ..)| self.core.top_attr(inode));
            return match found {
                Some(attr) => reply.entry(&SHORT, &attr, Generation(0)),
                None => reply.error(Errno::ENOENT),
            };
        }
        let (number, own) = split(parent.0);
        self.core.with_files(
            number,
            reply,
            move |core, files, reply| match files.tree.lookup(own, &name).and_then(|node| core.node_attr(number, files, node)) {
                Some(attr) => reply.entry(&FOREVER, &attr, Generation(0)),
                // An entry without inode: the kernel remembers that there is none.
                None => reply.entry(&FOREVER, &core.attr(0, FileType::RegularFile, 0, (0, 0), SystemTime::UNIX_EPOCH), Generation(0)),
            },
            |reply, errno| reply.error(errno),
        );
    }

    fn getattr(&self, _request: &Request, inode: INodeNo, _handle: Option<FileHandle>, reply: ReplyAttr) {
        Counters::add(&self.core.counters.getattr);
        if let Some(attr) = self.core.top_attr(inode.0) {
            let ttl = if self.core.forest.is_all() { SHORT } else { FOREVER };
            return reply.attr(&ttl, &attr);
        }
        let (number, own) = split(inode.0);
        self.core.with_files(
            number,
            reply,
            move |core, files, reply| match files.tree.node(own).and_then(|node| core.node_attr(number, files, node)) {
                Some(attr) => reply.attr(&FOREVER, &attr),
                None => reply.error(Errno::ENOENT),
            },
            |reply, errno| reply.error(errno),
        );
    }

    fn readlink(&self, _request: &Request, inode: INodeNo, reply: ReplyData) {
        match self.core.latest().filter(|_| self.core.forest.is_all() && inode.0 == LATEST) {
            Some(target) => reply.data(target.as_bytes()),
            None => reply.error(Errno::EINVAL),
        }
    }

    fn open(&self, _request: &Request, _inode: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        Counters::add(&self.core.counters.open);
        if self.no_open {
            // The kernel then opens everything by itself and keeps what it cached.
            reply.error(Errno::ENOSYS);
        } else {
            reply.opened(FileHandle(0), FopenFlags::FOPEN_KEEP_CACHE | FopenFlags::FOPEN_NOFLUSH);
        }
    }

    fn opendir(&self, _request: &Request, inode: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        Counters::add(&self.core.counters.opendir);
        // Once refused, the kernel caches all directories for ever; the list of snapshots must not be.
        if self.no_opendir && !self.core.forest.is_all() {
            return reply.error(Errno::ENOSYS);
        }
        let changes = top_entries(&self.core, inode.0).is_some();
        let flags = if changes { FopenFlags::empty() } else { FopenFlags::FOPEN_CACHE_DIR | FopenFlags::FOPEN_KEEP_CACHE };
        reply.opened(FileHandle(0), flags);
    }

    fn readdir(&self, _request: &Request, inode: INodeNo, _handle: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        Counters::add(&self.core.counters.readdirplus);
        if let Some(entries) = top_entries(&self.core, inode.0) {
            for (at, (inode, kind, name)) in (1..).zip(entries).skip(usize::try_from(offset).unwrap_or(usize::MAX)) {
                if reply.add(INodeNo(inode), at, kind, name) {
                    break;
                }
            }
            return reply.ok();
        }
        let (number, own) = split(inode.0);
        self.core.with_files(
            number,
            reply,
            move |_, files, mut reply| {
                files.tree.list(own, offset, &mut |at, name, node| {
                    let inode = match node {
                        Node::Directory(inode) => inode,
                        Node::File(file) => files.tree.inode(file),
                    };
                    !reply.add(INodeNo(join(number, inode)), at + 1, file_type(node), name)
                });
                reply.ok();
            },
            |reply, errno| reply.error(errno),
        );
    }

    fn readdirplus(&self, _request: &Request, inode: INodeNo, _handle: FileHandle, offset: u64, mut reply: ReplyDirectoryPlus) {
        Counters::add(&self.core.counters.readdirplus);
        if let Some(entries) = top_entries(&self.core, inode.0) {
            for (at, (inode, _, name)) in (1..).zip(entries).skip(usize::try_from(offset).unwrap_or(usize::MAX)) {
                let Some(attr) = self.core.top_attr(inode) else { continue };
                if reply.add(INodeNo(inode), at, name, &SHORT, &attr, Generation(0)) {
                    break;
                }
            }
            return reply.ok();
        }
        let (number, own) = split(inode.0);
        self.core.with_files(
            number,
            reply,
            move |core, files, mut reply| {
                if offset == 0 {
                    core.prefetch_directory(files, own);
                }
                files.tree.list(own, offset, &mut |at, name, node| {
                    let Some(attr) = core.node_attr(number, files, node) else { return true };
                    !reply.add(attr.ino, at + 1, name, &FOREVER, &attr, Generation(0))
                });
                reply.ok();
            },
            |reply, errno| reply.error(errno),
        );
    }

    fn read(
        &self,
        _request: &Request,
        inode: INodeNo,
        _handle: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        Counters::add(&self.core.counters.read);
        let (number, own) = split(inode.0);
        let guard = InFlight::new(&self.core, inode.0);
        self.core.with_files(
            number,
            reply,
            move |core, files, reply| match files.tree.node(own) {
                Some(Node::File(file)) => core.read((number, files), file, (offset, size), guard, reply),
                Some(Node::Directory(_)) => reply.error(Errno::EISDIR),
                None => reply.error(Errno::ENOENT),
            },
            |reply, errno| reply.error(errno),
        );
    }

    fn flush(&self, _request: &Request, _inode: INodeNo, _handle: FileHandle, _owner: LockOwner, reply: ReplyEmpty) {
        reply.error(Errno::ENOSYS);
    }

    fn getxattr(&self, _request: &Request, _inode: INodeNo, _name: &OsStr, _size: u32, reply: ReplyXattr) {
        reply.error(Errno::ENOSYS);
    }

    fn listxattr(&self, _request: &Request, _inode: INodeNo, _size: u32, reply: ReplyXattr) {
        reply.error(Errno::ENOSYS);
    }

    fn access(&self, _request: &Request, _inode: INodeNo, _mask: AccessFlags, reply: ReplyEmpty) {
        reply.error(Errno::ENOSYS);
    }

    fn statfs(&self, _request: &Request, _inode: INodeNo, reply: ReplyStatfs) {
        let (nodes, bytes) = self.core.forest.totals();
        reply.statfs(bytes.div_ceil(4096), 0, 0, nodes, 0, 4096, 255, 4096);
    }
}

/// A read that is not answered yet.
struct InFlight {
    core: Arc<Core>,
    inode: u64,
}

impl InFlight {
    fn new(core: &Arc<Core>, inode: u64) -> Self {
        core.reading.lock().unwrap_or_else(PoisonError::into_inner).insert(inode);
        Self { core: Arc::clone(core), inode }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.core.reading.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.inode);
    }
}
