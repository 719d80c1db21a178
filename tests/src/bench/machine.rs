//! What this machine lets us do: cold caches and kernel file systems need root.

use std::{ffi::CString, fs, io, path::Path, process::Command};

use anyhow::{Context as _, ensure};

/// What `drop_caches` forgets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forget {
    /// Names and inodes; files that nobody has in use stay in memory.
    Names = 2,
    /// Contents too: the next read comes from the disk.
    Everything = 3,
}

/// Writes out what is dirty and drops caches.
///
/// # Errors
/// Without root.
pub fn drop_caches(what: Forget) -> anyhow::Result<()> {
    // SAFETY: takes nothing and touches no memory of ours.
    unsafe { libc::sync() };
    fs::write("/proc/sys/vm/drop_caches", (what as u8).to_string()).context("cannot drop caches")
}

/// Why caches cannot be dropped here, if so.
pub fn no_cold_caches() -> Option<String> {
    drop_caches(Forget::Names).err().map(|error| format!("cold caches need root: {error:#}"))
}

/// A read-only file system of the kernel that lies in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageKind {
    /// Uncompressed, as fast as such files can be shown.
    Erofs,
    /// Compressed as its program does it for most speed of reading: zstd in blocks of 128 KiB.
    Squashfs,
}

impl ImageKind {
    /// As mount(8) knows it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Erofs => "erofs",
            Self::Squashfs => "squashfs",
        }
    }

    const fn program(self) -> (&'static str, &'static str) {
        match self {
            Self::Erofs => ("mkfs.erofs", "erofs-utils"),
            Self::Squashfs => ("mksquashfs", "squashfs-tools"),
        }
    }

    /// Why such images cannot be made or mounted here, if so.
    pub fn unusable(self) -> Option<String> {
        let (name, (program, package)) = (self.name(), self.program());
        // SAFETY: takes nothing.
        if unsafe { libc::geteuid() } != 0 {
            return Some(format!("mounting {name} needs root"));
        }
        if !fs::read_to_string("/proc/filesystems").is_ok_and(|known| known.contains(name)) {
            let loaded = Command::new("modprobe").arg(name).status().is_ok_and(|status| status.success());
            if !loaded {
                return Some(format!("this kernel has no {name}"));
            }
        }
        let found = Command::new(program).arg("--help").output().is_ok();
        (!found).then(|| format!("there is no {program}; on Debian it is in {package}"))
    }
}

/// Why restic cannot be measured here, if so.
pub fn no_restic() -> Option<String> {
    let found = Command::new("restic").arg("version").output().is_ok();
    (!found).then(|| "there is no restic; on Debian it is in restic".to_owned())
}

/// Makes an image of a folder.
///
/// # Errors
/// In the words of the program that makes it.
pub fn make_image(kind: ImageKind, image: &Path, folder: &Path) -> anyhow::Result<()> {
    let (program, _) = kind.program();
    let mut command = Command::new(program);
    match kind {
        ImageKind::Erofs => command.arg("--quiet").arg(image).arg(folder),
        ImageKind::Squashfs => command.arg(folder).arg(image).args(["-comp", "zstd", "-b", "128K", "-quiet", "-no-progress"]),
    };
    let output = command.output().with_context(|| format!("cannot start {program}"))?;
    ensure!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// Mounts an image: EROFS straight from its file, which kernels before 6.12 need a loop device for, as squashfs always does.
///
/// # Errors
/// When it cannot be mounted.
pub fn mount_image(kind: ImageKind, image: &Path, place: &Path) -> anyhow::Result<()> {
    let text = |path: &Path| CString::new(path.as_os_str().as_encoded_bytes());
    let (source, target, name) = (text(image)?, text(place)?, CString::new(kind.name())?);
    // SAFETY: the strings live as long as the call; no options are given.
    let mounted = unsafe { libc::mount(source.as_ptr(), target.as_ptr(), name.as_ptr(), libc::MS_RDONLY, std::ptr::null()) };
    if mounted == 0 {
        return Ok(());
    }
    let direct = io::Error::last_os_error();
    let output = Command::new("mount").args(["-t", kind.name(), "-o", "ro,loop"]).args([image, place]).output()?;
    ensure!(output.status.success(), "cannot mount {}: {direct}; with a loop device: {}", image.display(), String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// Unmounts.
///
/// # Errors
/// In the words of umount.
pub fn unmount(place: &Path) -> anyhow::Result<()> {
    let output = Command::new("umount").arg(place).output()?;
    ensure!(output.status.success(), "cannot unmount {}: {}", place.display(), String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// Name of the file system that a folder lies on.
pub fn file_system(folder: &Path) -> String {
    let output = Command::new("stat").args(["-f", "-c", "%T"]).arg(folder).output();
    let name = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default();
    match name.as_str() {
        "" => "disk".to_owned(),
        // The magic numbers of the three are the same.
        "ext2/ext3" => "ext4".to_owned(),
        other => other.replace('/', "-"),
    }
}

/// Bytes of all files below a folder.
///
/// # Errors
/// When it cannot be read.
pub fn bytes_below(folder: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes += if metadata.is_dir() { bytes_below(&entry.path())? } else { metadata.len() };
    }
    Ok(bytes)
}

/// Reads files so that they are in the page cache.
///
/// # Errors
/// When one cannot be read.
pub fn warm(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        for entry in fs::read_dir(path)? {
            warm(&entry?.path())?;
        }
    } else {
        io::copy(&mut fs::File::open(path)?, &mut io::sink())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_counted_below() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("a")).unwrap();
        fs::write(folder.path().join("a/b"), [0; 10]).unwrap();
        fs::write(folder.path().join("c"), [0; 5]).unwrap();
        assert_eq!(bytes_below(folder.path()).unwrap(), 15);
        warm(folder.path()).unwrap();
        assert!(!file_system(folder.path()).is_empty());
    }
}
