//! Directories to mount on: what the table of mounts says of them, whether a mount there lives, and unmounting.

use std::{
    ffi::CString,
    io,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    process::Command,
    sync::mpsc,
    time::Duration,
};

/// What the source of our mounts begins with in the table of mounts: a root mount shows no subtype there.
pub(crate) const SOURCE: &str = "kstashfs:";
/// How long a mount has to answer before it counts as silent.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is mounted on a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// None of our mounts.
    Free,
    /// One of our mounts, and it answers.
    Alive,
    /// One of our mounts whose process has ended.
    Dead,
    /// One of our mounts whose process does not answer.
    Silent,
}

/// Why something is still mounted.
#[derive(Debug, thiserror::Error)]
pub enum UnmountError {
    /// Somebody is inside.
    #[error("{} is in use", .0.display())]
    Busy(PathBuf),
    /// A user needs the helper.
    #[error("{} cannot be unmounted: fusermount3 is not installed, and only root can do it without", .0.display())]
    NoFusermount(PathBuf),
    /// The system refused.
    #[error("{} cannot be unmounted", .0.display())]
    Refused(PathBuf, #[source] io::Error),
}

impl UnmountError {
    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Busy(place) => Some(format!("leave it, or unmount with --lazy; `fuser -vm {}` tells who is inside", place.display())),
            Self::NoFusermount(_) => Some("install the package fuse3, or unmount as root".to_owned()),
            Self::Refused(..) => None,
        }
    }
}

/// The path as the table of mounts has it. The last part is not looked at, as a dead mount cannot be.
fn resolved(place: &Path) -> PathBuf {
    let absolute = std::path::absolute(place).unwrap_or_else(|_| place.to_owned());
    match (absolute.parent().and_then(|parent| parent.canonicalize().ok()), absolute.file_name()) {
        (Some(parent), Some(name)) => parent.join(name),
        _ => absolute,
    }
}

/// Blanks and the like are written in octal.
pub(crate) fn unescaped(field: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = field.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        let octal = tail.get(..3).and_then(|digits| std::str::from_utf8(digits).ok()).and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match octal.filter(|_| byte == b'\\') {
            Some(code) => {
                out.push(code);
                rest = tail.get(3..).unwrap_or_default();
            }
            None => {
                out.push(byte);
                rest = tail;
            }
        }
    }
    out
}

/// Whether the uppermost mount on a place is one of ours.
fn is_ours(table: &str, place: &Path) -> bool {
    // Later lines lie above earlier ones.
    let source = table.lines().rev().find_map(|line| {
        let mut fields = line.split(' ');
        let (source, at) = (fields.next()?, fields.next()?);
        (unescaped(at) == place.as_os_str().as_bytes()).then_some(source)
    });
    source.is_some_and(|source| source.starts_with(SOURCE))
}

/// What is mounted on a directory. Takes at most some seconds.
pub fn state(place: &Path) -> State {
    let place = resolved(place);
    if !is_ours(&std::fs::read_to_string("/proc/self/mounts").unwrap_or_default(), &place) {
        return State::Free;
    }
    // Names and attributes come from the kernel's memory, also when the process is gone; the totals it always asks for. Who asks a process
    // that is stopped waits, so somebody else does.
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || sender.send(totals(&place)));
    match receiver.recv_timeout(PATIENCE) {
        Ok(Ok(())) => State::Alive,
        Ok(Err(error)) if is_dead(&error) => State::Dead,
        // Another user's mount says only that we may not look.
        Ok(Err(_)) => State::Alive,
        Err(_) => State::Silent,
    }
}

/// What the kernel says of a mount whose process has ended.
pub(crate) fn is_dead(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOTCONN | libc::ECONNABORTED))
}

pub(crate) fn totals(place: &Path) -> io::Result<()> {
    let path = CString::new(place.as_os_str().as_bytes())?;
    // SAFETY: all-zero is a valid value of this struct of numbers.
    let mut totals: libc::statfs = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are valid for the call.
    if unsafe { libc::statfs(path.as_ptr(), &raw mut totals) } == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The program that lets users mount.
pub(crate) fn fusermount() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join("fusermount3")).find(|program| program.exists())
}

/// Unmounts a directory; lazily: it is gone at once, and those inside keep it until they leave.
///
/// # Errors
/// `Busy` when somebody is inside and it is not lazy; `NoFusermount`; `Refused`.
pub fn unmount(place: &Path, lazy: bool) -> Result<(), UnmountError> {
    let refused = |error| UnmountError::Refused(place.to_owned(), error);
    let path = CString::new(place.as_os_str().as_bytes()).map_err(|error| refused(error.into()))?;
    let flags = libc::UMOUNT_NOFOLLOW | if lazy { libc::MNT_DETACH } else { 0 };
    // SAFETY: the path is a valid C string that outlives the call.
    if unsafe { libc::umount2(path.as_ptr(), flags) } == 0 {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::EBUSY) => Err(UnmountError::Busy(place.to_owned())),
        Some(libc::EPERM) => unmount_as_user(place, lazy),
        _ => Err(refused(error)),
    }
}

fn unmount_as_user(place: &Path, lazy: bool) -> Result<(), UnmountError> {
    let program = fusermount().ok_or_else(|| UnmountError::NoFusermount(place.to_owned()))?;
    let mut command = Command::new(program);
    command.arg("-u").args(lazy.then_some("-z")).arg("--").arg(place);
    let output = command.output().map_err(|error| UnmountError::Refused(place.to_owned(), error))?;
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    match output.status.success() {
        true => Ok(()),
        false if said.contains("busy") => Err(UnmountError::Busy(place.to_owned())),
        false => Err(UnmountError::Refused(place.to_owned(), io::Error::other(said))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_uppermost_mount_of_a_place_counts() {
        let table = "proc /proc proc rw 0 0\n\
            kstashfs:/var/my\\040repo /mnt/a\\040b fuse ro,nosuid 0 0\n\
            kstashfs:s3://bucket /mnt/covered fuse.kstashfs ro 0 0\n\
            tmpfs /mnt/covered tmpfs rw 0 0\n\
            tmpfs /mnt/under tmpfs rw 0 0\n\
            kstashfs:x /mnt/under fuse ro 0 0\n";
        for (place, ours) in [("/mnt/a b", true), ("/mnt/a", false), ("/mnt/covered", false), ("/mnt/under", true), ("/proc", false)] {
            assert_eq!(is_ours(table, Path::new(place)), ours, "{place}");
        }
    }

    #[test]
    fn what_is_not_ours_is_free_and_cannot_be_unmounted() {
        for place in ["/", "/proc", "/nonexistent/x"] {
            assert_eq!(state(Path::new(place)), State::Free, "{place}");
        }
        assert!(matches!(unmount(Path::new("/nonexistent/x"), true), Err(UnmountError::Refused(..) | UnmountError::NoFusermount(_))));
    }
}
