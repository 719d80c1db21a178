//! An export as an image of a read-only file system, made by the tools of that file system out of a folder.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context as _;
use kubestash::repository::Root;

use super::beside;
use crate::cli::errors::hinted;

/// A file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Erofs,
    Squashfs,
}

impl Format {
    /// The program that makes it, and the package that it comes in.
    const fn tool(self) -> (&'static str, &'static str) {
        match self {
            Self::Erofs => ("mkfs.erofs", "erofs-utils"),
            Self::Squashfs => ("mksquashfs", "squashfs-tools"),
        }
    }

    /// What to try when it fails.
    const fn hint(self) -> &'static str {
        match self {
            Self::Erofs => "version 1.5 fails on file names of 255 bytes: take a newer one, or make a .squashfs",
            Self::Squashfs => "look whether there is enough space, also for a copy of the files beside the image",
        }
    }

    /// Whether its program is there.
    pub fn check(self) -> anyhow::Result<()> {
        self.program().map(drop)
    }

    fn program(self) -> anyhow::Result<PathBuf> {
        let (name, package) = self.tool();
        // Administration tools are not on everybody's PATH.
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
        let found = folders.map(|folder| folder.join(name)).find(|program| program.exists());
        found.ok_or_else(|| {
            hinted(format!("{name} is not installed, and without it no such image can be made"), format!("install the package {package}"))
        })
    }

    /// What the program is told: nothing of the image may depend on when and where it is made.
    fn arguments(self, folder: &Path, image: &Path, root: &Root) -> Vec<OsString> {
        let time = root.time.as_second().max(0).to_string();
        let words = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
        match self {
            Self::Erofs => {
                let mut all = words(&["--quiet", "-zlz4hc", "--all-root", "-T", &time, "-U", &uuid(u128::from(root.id.0))]);
                all.extend([image.into(), folder.into()]);
                all
            }
            Self::Squashfs => {
                let mut all = vec![folder.into(), image.into()];
                all.extend(words(&["-noappend", "-all-root", "-no-xattrs", "-no-progress", "-quiet", "-mkfs-time", &time]));
                all
            }
        }
    }

    /// Makes an image of a folder, under another name first.
    pub fn make(self, folder: &Path, place: &Path, root: &Root) -> anyhow::Result<()> {
        let (parent, name) = beside(place)?;
        let image = tempfile::Builder::new().prefix(&format!(".{name}.")).tempfile_in(parent);
        let image = image.with_context(|| format!("cannot write into {}", parent.display()))?;
        let (program, failed) = (self.program()?, || format!("cannot make {}", place.display()));
        let mut command = Command::new(&program);
        // Both take the first time of a folder's files from this, where they know it.
        command.args(self.arguments(folder, image.path(), root)).env_remove("SOURCE_DATE_EPOCH");
        let output = command.output().with_context(failed)?;
        if !output.status.success() {
            let said = [output.stderr, output.stdout].concat();
            let said = String::from_utf8_lossy(&said).trim().to_owned();
            return Err(hinted(format!("{}: {} ended with {}: {said}", failed(), program.display(), output.status), self.hint()));
        }
        image.as_file().sync_all().with_context(failed)?;
        image.persist(place).map_err(std::io::Error::from).with_context(failed)?;
        Ok(())
    }
}

/// A number as a UUID is written.
fn uuid(number: u128) -> String {
    let text = format!("{number:032x}");
    let part = |from: usize, to: usize| text.get(from..to).unwrap_or_default();
    [part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)].join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_uuids() {
        assert_eq!(uuid(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef), "01234567-89ab-cdef-0123-456789abcdef");
        assert_eq!(uuid(1), "00000000-0000-0000-0000-000000000001");
    }
}
