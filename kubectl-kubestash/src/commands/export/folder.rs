//! An export as a folder: made beside its place under another name, which it loses when all is there.

use std::{
    fs::{self, FileTimes, OpenOptions, Permissions},
    io::{self, Write as _},
    os::{
        fd::AsRawFd as _,
        unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    },
    path::{Path, PathBuf},
    time::SystemTime,
};

use anyhow::Context as _;
use bytes::Bytes;
use kstashfs::browse::Entry;
use tempfile::TempDir;

use super::{Sink, beside};
use crate::cli::errors::hinted;

/// Whether a folder can be made at a place: it is empty or not there.
pub fn check(place: &Path) -> anyhow::Result<()> {
    let hint = "name a folder that is empty or not there";
    match fs::read_dir(place).map(|mut entries| entries.next().is_some()) {
        Ok(false) => Ok(()),
        Ok(true) => Err(hinted(format!("cannot export to {}: the folder is not empty", place.display()), hint)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(anyhow::Error::new(error).context(format!("cannot export to {}", place.display()))),
    }
}

/// A folder that is being filled; it is removed when dropped.
pub struct Folder {
    folder: TempDir,
    /// Directories with their modes and times, which they get when nothing is written into them any more.
    directories: Vec<(PathBuf, u16, SystemTime)>,
}

impl Folder {
    /// Begins a folder beside a place.
    pub fn new(place: &Path) -> anyhow::Result<Self> {
        let (parent, name) = beside(place)?;
        let folder = tempfile::Builder::new().prefix(&format!(".{name}.")).tempdir_in(parent);
        let folder = folder.with_context(|| format!("cannot write into {}", parent.display()))?;
        Ok(Self { folder, directories: Vec::new() })
    }

    /// Gives all directories their modes and times, and has everything written to the disk.
    pub fn complete(self) -> anyhow::Result<Complete> {
        let finish = || {
            // What is below first: afterwards nothing can be changed there.
            for (path, mode, time) in self.directories.iter().rev() {
                fs::File::open(path)?.set_times(FileTimes::new().set_modified(*time).set_accessed(*time))?;
                fs::set_permissions(path, Permissions::from_mode(u32::from(*mode)))?;
            }
            let opened = fs::File::open(self.folder.path())?;
            // SAFETY: the descriptor is open during the call.
            if unsafe { libc::syncfs(opened.as_raw_fd()) } == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
        };
        let finished = finish();
        let directories = self.directories.into_iter().map(|(path, ..)| path).collect();
        let complete = Complete { folder: Some(self.folder), directories };
        finished.with_context(|| format!("cannot write {}", complete.path().display()))?;
        Ok(complete)
    }

    /// Lets it have its name.
    pub fn finish(self, place: &Path) -> anyhow::Result<()> {
        let complete = self.complete()?;
        match fs::rename(complete.path(), place) {
            Ok(()) => {
                complete.keep();
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
                Err(hinted(format!("cannot export to {}: something is mounted there", place.display()), "name a folder below it"))
            }
            Err(error) => Err(anyhow::Error::new(error).context(format!("cannot export to {}", place.display()))),
        }
    }
}

impl Sink for Folder {
    fn directory(&mut self, path: &str, entry: &Entry) -> anyhow::Result<()> {
        let place = self.folder.path().join(path);
        if !path.is_empty() {
            fs::DirBuilder::new().mode(0o700).create(&place).with_context(|| format!("cannot make {}", place.display()))?;
        }
        self.directories.push((place, entry.mode, entry.modified));
        Ok(())
    }

    fn file(&mut self, path: &str, entry: &Entry, content: &Bytes) -> anyhow::Result<()> {
        let place = self.folder.path().join(path);
        let write = || {
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&place)?;
            file.write_all(content)?;
            file.set_permissions(Permissions::from_mode(u32::from(entry.mode)))?;
            file.set_times(FileTimes::new().set_modified(entry.modified).set_accessed(entry.modified))
        };
        write().with_context(|| format!("cannot write {}", place.display()))
    }
}

/// A whole folder that still has its other name. It is removed when dropped, though nothing in it may be written.
pub struct Complete {
    folder: Option<TempDir>,
    directories: Vec<PathBuf>,
}

impl Complete {
    /// Where it is.
    pub fn path(&self) -> &Path {
        self.folder.as_ref().map(TempDir::path).unwrap_or_else(|| Path::new(""))
    }

    fn keep(mut self) {
        if let Some(folder) = self.folder.take() {
            let _ = folder.keep();
        }
    }
}

impl Drop for Complete {
    fn drop(&mut self) {
        if self.folder.is_some() {
            for directory in &self.directories {
                let _ = fs::set_permissions(directory, Permissions::from_mode(0o700));
            }
        }
    }
}
