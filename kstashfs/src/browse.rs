//! The tree of a mount for readers in this process: what a kernel would be answered, without one. Exports and the HTTP server show it.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use fuser::{Errno, FileType};
use tokio::{runtime::Handle, sync::oneshot};

use crate::{
    content::ContentError,
    core::{self, Core, Listing},
    forest::{Forest, split},
    permissions::Permissions,
    tree::{Node, ROOT},
};

/// Links that are followed one behind the other. There are none to links.
const LINKS: u32 = 4;

/// The tree of a forest.
pub struct Browser {
    core: Arc<Core>,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A directory.
    Directory,
    /// A file of so many bytes.
    File(u64),
    /// A link to another place below the same directory.
    Link(String),
}

/// One entry of the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name; empty for the root.
    pub name: String,
    /// What a mount gives it as its inode number.
    pub inode: u64,
    /// What it is.
    pub kind: Kind,
    /// Its mode, without the bits of its type.
    pub mode: u16,
    /// Its time.
    pub modified: SystemTime,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum BrowseError {
    /// There is no such path.
    #[error("there is no such file or directory")]
    NotFound,
    /// A directory cannot be shown: its snapshot cannot be opened, for a reason that was logged.
    #[error("the directory cannot be read")]
    Directory(#[source] std::io::Error),
    /// A file cannot be read.
    #[error(transparent)]
    Content(#[from] ContentError),
}

impl From<Errno> for BrowseError {
    fn from(errno: Errno) -> Self {
        match errno.code() {
            libc::ENOENT => Self::NotFound,
            code => Self::Directory(std::io::Error::from_raw_os_error(code)),
        }
    }
}

/// A directory that is listed into memory.
struct Collected {
    entries: Vec<(String, fuser::FileAttr)>,
    reply: oneshot::Sender<Result<Vec<(String, fuser::FileAttr)>, Errno>>,
}

impl Listing for Collected {
    fn add(&mut self, entry: &core::Entry<'_>) -> bool {
        if entry.name != "." && entry.name != ".." {
            self.entries.push((entry.name.to_owned(), entry.attr));
        }
        true
    }

    fn done(self) {
        tell(self.reply, Ok(self.entries));
    }

    fn fail(self, errno: Errno) {
        tell(self.reply, Err(errno));
    }
}

fn tell<T>(reply: oneshot::Sender<Result<T, Errno>>, answer: Result<T, Errno>) {
    // Whoever asked may have left.
    let _ = reply.send(answer);
}

/// An answer that never comes is one of a runtime that ends.
fn answered<T>(answer: Result<Result<T, Errno>, oneshot::error::RecvError>) -> Result<T, BrowseError> {
    answer.unwrap_or(Err(Errno::EIO)).map_err(BrowseError::from)
}

/// The path that a link in a directory leads to, with what follows behind it.
fn followed<'a>(directory: impl Iterator<Item = &'a str>, target: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut path: Vec<&str> = directory.collect();
    for name in target {
        if name == ".." {
            path.pop();
        } else {
            path.push(name);
        }
    }
    path.into_iter().map(str::to_owned).collect()
}

impl std::fmt::Debug for Browser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Browser({})", self.core.forest.repository().place())
    }
}

impl Browser {
    /// Shows a forest, with these modes.
    pub fn new(forest: Forest, permissions: Permissions, runtime: Handle) -> Self {
        Self { core: Arc::new(Core::unmounted(forest, permissions, runtime)) }
    }

    /// What it shows.
    pub fn forest(&self) -> &Forest {
        &self.core.forest
    }

    fn entry(&self, name: String, attr: &fuser::FileAttr) -> Entry {
        let kind = match attr.kind {
            FileType::Directory => Kind::Directory,
            FileType::Symlink => Kind::Link(self.core.link(attr.ino.0).unwrap_or_default()),
            _ => Kind::File(attr.size),
        };
        Entry { name, inode: attr.ino.0, kind, mode: attr.perm, modified: attr.mtime }
    }

    /// The root of the tree.
    ///
    /// # Errors
    /// `Directory`.
    pub async fn root(&self) -> Result<Entry, BrowseError> {
        let (sender, receiver) = oneshot::channel();
        self.core.stat(ROOT, sender, |sender, found| tell(sender, found.map(|(attr, _)| attr)));
        Ok(self.entry(String::new(), &answered(receiver.await)?))
    }

    async fn lookup(&self, parent: u64, name: &str) -> Result<Entry, BrowseError> {
        let (sender, receiver) = oneshot::channel();
        self.core.lookup(parent, name.to_owned(), sender, |sender, found| tell(sender, found.map(|found| found.attr)));
        let attr = answered(receiver.await)?;
        // A name that is known not to be there has no inode.
        if attr.ino.0 == 0 { Err(BrowseError::NotFound) } else { Ok(self.entry(name.to_owned(), &attr)) }
    }

    /// Finds what stands at a path of names; links on the way, and at its end, are followed.
    ///
    /// # Errors
    /// `NotFound`, `Directory`.
    pub async fn find(&self, path: &[&str]) -> Result<Entry, BrowseError> {
        let mut names: Vec<String> = path.iter().map(|name| (*name).to_owned()).collect();
        for _ in 0..LINKS {
            let (mut entry, mut link) = (self.root().await?, None);
            for (at, name) in names.iter().enumerate() {
                entry = self.lookup(entry.inode, name).await?;
                if let Kind::Link(target) = &entry.kind {
                    let rest = names.iter().skip(at + 1).map(String::as_str);
                    link = Some(followed(names.iter().take(at).map(String::as_str), target.split('/').chain(rest)));
                    break;
                }
            }
            match link {
                Some(followed) => names = followed,
                None => return Ok(entry),
            }
        }
        Err(BrowseError::NotFound)
    }

    /// The entries of a directory, in the order of a mount.
    ///
    /// # Errors
    /// `Directory`.
    pub async fn list(&self, directory: u64) -> Result<Vec<Entry>, BrowseError> {
        let (sender, receiver) = oneshot::channel();
        self.core.list(directory, 0, Collected { entries: Vec::new(), reply: sender });
        let found = answered(receiver.await)?;
        Ok(found.into_iter().map(|(name, attr)| self.entry(name, &attr)).collect())
    }

    /// The bytes of a file.
    ///
    /// # Errors
    /// `Content`: damage, a store that fails, or the deadline.
    pub async fn read(&self, file: u64) -> Result<Bytes, BrowseError> {
        Ok(self.core.bytes(file).await?)
    }

    /// The row in its snapshot's catalog of the object that a file shows.
    pub fn row(&self, file: &Entry) -> Option<u32> {
        let (number, own) = split(file.inode);
        match self.core.forest.loaded(number)?.tree.node(own)? {
            Node::File(file) => Some(file.row),
            Node::Directory(_) | Node::Text(_) => None,
        }
    }

    /// A name for the bytes of a file at its path: of the snapshot, the file in it and how it is shown. Of a text that belongs to no object the
    /// hash, as it may become another one.
    pub fn tag(&self, file: &Entry) -> String {
        if let Some(text) = self.core.text(file.inode) {
            return blake3::hash(&text).to_hex().to_string();
        }
        let (number, own) = split(file.inode);
        let snapshot = self.core.forest.slot(number).map(|slot| slot.root.id.to_string()).unwrap_or_default();
        let size = if let Kind::File(size) = file.kind { size } else { 0 };
        format!("{snapshot}-{own:x}-{size:x}-{}", self.core.forest.options().looks())
    }

    /// As [`SystemTime`], in whole seconds since 1970; before that is 0.
    pub fn seconds(time: SystemTime) -> u64 {
        time.duration_since(SystemTime::UNIX_EPOCH).as_ref().map_or(0, Duration::as_secs)
    }
}
