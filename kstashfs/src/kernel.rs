//! The kernel adapter: translates fuser's requests, and nothing else.

use std::{ffi::OsStr, sync::Arc};

use fuser::{
    AccessFlags, Errno, FileHandle, Filesystem, FopenFlags, Generation, INodeNo, InitFlags, IoctlFlags, KernelConfig, LockOwner, OpenFlags,
    PollEvents, PollFlags, PollNotifier, ReplyAttr, ReplyData, ReplyDirectory, ReplyDirectoryPlus, ReplyEmpty, ReplyEntry, ReplyIoctl, ReplyLseek,
    ReplyOpen, ReplyPoll, ReplyStatfs, ReplyXattr, Request,
};

use crate::{
    core::{Core, DataReply, Entry, Listing},
    counters::Counters,
};

/// One mount, as fuser sees it.
pub(crate) struct Kernel {
    core: Arc<Core>,
    no_open: bool,
    no_opendir: bool,
}

impl Kernel {
    pub(crate) const fn new(core: Arc<Core>) -> Self {
        Self { core, no_open: false, no_opendir: false }
    }
}

impl Listing for ReplyDirectory {
    fn add(&mut self, entry: &Entry<'_>) -> bool {
        !Self::add(self, entry.attr.ino, entry.next, entry.attr.kind, entry.name)
    }

    fn done(self) {
        self.ok();
    }

    fn fail(self, errno: Errno) {
        self.error(errno);
    }
}

impl Listing for ReplyDirectoryPlus {
    fn add(&mut self, entry: &Entry<'_>) -> bool {
        !Self::add(self, entry.attr.ino, entry.next, entry.name, &entry.ttl, &entry.attr, Generation(0))
    }

    fn done(self) {
        self.ok();
    }

    fn fail(self, errno: Errno) {
        self.error(errno);
    }
}

impl DataReply for ReplyData {
    fn bytes(self, bytes: &[u8]) {
        self.data(bytes);
    }

    fn fail(self, errno: Errno) {
        self.error(errno);
    }
}

impl Filesystem for Kernel {
    fn init(&mut self, _request: &Request, config: &mut KernelConfig) -> std::io::Result<()> {
        let offered = config.capabilities();
        // Without the bit a program would see ENOSYS.
        self.no_open = offered.contains(InitFlags::FUSE_NO_OPEN_SUPPORT);
        self.no_opendir = offered.contains(InitFlags::FUSE_NO_OPENDIR_SUPPORT);
        // In a mount of all, the time of a directory tells the kernel that its copy of the list is old.
        let invalidation = if self.core.forest.is_all() { InitFlags::FUSE_AUTO_INVAL_DATA } else { InitFlags::FUSE_EXPLICIT_INVAL_DATA };
        // One by one: an older kernel refuses a set with one it does not know.
        for flag in [
            InitFlags::FUSE_DO_READDIRPLUS,
            InitFlags::FUSE_PARALLEL_DIROPS,
            InitFlags::FUSE_NO_OPEN_SUPPORT,
            InitFlags::FUSE_NO_OPENDIR_SUPPORT,
            InitFlags::FUSE_CACHE_SYMLINKS,
            InitFlags::FUSE_ASYNC_READ,
            invalidation,
        ] {
            let _ = config.add_capabilities(flag);
        }
        Ok(())
    }

    fn lookup(&self, _request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        Counters::add(&self.core.counters.lookup);
        // Names of the API are text.
        let Some(name) = name.to_str().map(str::to_owned) else { return reply.error(Errno::ENOENT) };
        self.core.lookup(parent.0, name, reply, |reply: ReplyEntry, found| match found {
            Ok(found) => reply.entry_with_ttls(&found.attr_ttl, &found.name_ttl, &found.attr, Generation(0)),
            Err(errno) => reply.error(errno),
        });
    }

    fn forget(&self, _request: &Request, inode: INodeNo, _lookups: u64) {
        self.core.status.forget(inode.0);
    }

    fn getattr(&self, _request: &Request, inode: INodeNo, _handle: Option<FileHandle>, reply: ReplyAttr) {
        Counters::add(&self.core.counters.getattr);
        self.core.stat(inode.0, reply, |reply: ReplyAttr, found| match found {
            Ok((attr, ttl)) => reply.attr(&ttl, &attr),
            Err(errno) => reply.error(errno),
        });
    }

    fn readlink(&self, _request: &Request, inode: INodeNo, reply: ReplyData) {
        match self.core.link(inode.0) {
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

    fn opendir(&self, _request: &Request, _inode: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        Counters::add(&self.core.counters.opendir);
        if self.no_opendir {
            reply.error(Errno::ENOSYS);
        } else {
            reply.opened(FileHandle(0), FopenFlags::FOPEN_CACHE_DIR | FopenFlags::FOPEN_KEEP_CACHE);
        }
    }

    fn readdir(&self, _request: &Request, inode: INodeNo, _handle: FileHandle, offset: u64, reply: ReplyDirectory) {
        Counters::add(&self.core.counters.readdirplus);
        self.core.list(inode.0, offset, reply);
    }

    fn readdirplus(&self, _request: &Request, inode: INodeNo, _handle: FileHandle, offset: u64, reply: ReplyDirectoryPlus) {
        Counters::add(&self.core.counters.readdirplus);
        self.core.list(inode.0, offset, reply);
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
        self.core.read(inode.0, (offset, size), reply);
    }

    fn statfs(&self, _request: &Request, _inode: INodeNo, reply: ReplyStatfs) {
        let (nodes, bytes) = self.core.forest.totals();
        reply.statfs(bytes.div_ceil(4096), 0, 0, nodes, 0, 4096, 255, 4096);
    }

    // What follows has no meaning here. ENOSYS says so once and for all; fuser by itself would also log a warning.

    fn flush(&self, _request: &Request, _inode: INodeNo, _handle: FileHandle, _owner: LockOwner, reply: ReplyEmpty) {
        reply.error(Errno::ENOSYS);
    }

    fn fsync(&self, _request: &Request, _inode: INodeNo, _handle: FileHandle, _datasync: bool, reply: ReplyEmpty) {
        reply.error(Errno::ENOSYS);
    }

    fn fsyncdir(&self, _request: &Request, _inode: INodeNo, _handle: FileHandle, _datasync: bool, reply: ReplyEmpty) {
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

    fn lseek(&self, _request: &Request, _inode: INodeNo, _handle: FileHandle, _offset: i64, _whence: i32, reply: ReplyLseek) {
        reply.error(Errno::ENOSYS);
    }

    fn ioctl(
        &self,
        _request: &Request,
        _inode: INodeNo,
        _handle: FileHandle,
        _flags: IoctlFlags,
        _command: u32,
        _input: &[u8],
        _output_size: u32,
        reply: ReplyIoctl,
    ) {
        // What a program is told that asks whether a file is a terminal.
        reply.error(Errno::ENOTTY);
    }

    fn poll(
        &self,
        _request: &Request,
        _inode: INodeNo,
        _handle: FileHandle,
        _notifier: PollNotifier,
        _events: PollEvents,
        _flags: PollFlags,
        reply: ReplyPoll,
    ) {
        reply.error(Errno::ENOSYS);
    }
}
