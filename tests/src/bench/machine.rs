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

/// Why EROFS images cannot be made or mounted here, if so.
pub fn no_erofs() -> Option<String> {
    // SAFETY: takes nothing.
    if unsafe { libc::geteuid() } != 0 {
        return Some("mounting EROFS needs root".to_owned());
    }
    if !fs::read_to_string("/proc/filesystems").is_ok_and(|known| known.contains("erofs")) {
        let loaded = Command::new("modprobe").arg("erofs").status().is_ok_and(|status| status.success());
        if !loaded {
            return Some("this kernel has no EROFS".to_owned());
        }
    }
    let found = Command::new("mkfs.erofs").arg("--help").output().is_ok();
    (!found).then(|| "there is no mkfs.erofs; on Debian it is in erofs-utils".to_owned())
}

/// Makes an uncompressed EROFS image of a folder.
///
/// # Errors
/// In the words of mkfs.erofs.
pub fn make_erofs(image: &Path, folder: &Path) -> anyhow::Result<()> {
    let output = Command::new("mkfs.erofs").arg("--quiet").arg(image).arg(folder).output().context("cannot start mkfs.erofs")?;
    ensure!(output.status.success(), "mkfs.erofs: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// Mounts an image straight from its file; kernels before 6.12 need a loop device for that, which is slower.
///
/// # Errors
/// When both fail.
pub fn mount_erofs(image: &Path, place: &Path) -> anyhow::Result<()> {
    let text = |path: &Path| CString::new(path.as_os_str().as_encoded_bytes());
    let (source, target) = (text(image)?, text(place)?);
    // SAFETY: the strings live as long as the call; EROFS takes no options.
    let mounted = unsafe { libc::mount(source.as_ptr(), target.as_ptr(), c"erofs".as_ptr(), libc::MS_RDONLY, std::ptr::null()) };
    if mounted == 0 {
        return Ok(());
    }
    let direct = io::Error::last_os_error();
    let output = Command::new("mount").args(["-t", "erofs", "-o", "ro,loop"]).args([image, place]).output()?;
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
