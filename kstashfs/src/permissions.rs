//! Owner and modes of what is mounted.

use clap::Args;

/// Modes of files that hold Secrets, of all other files, and of directories, before the mask.
const SECRET: u16 = 0o400;
const FILE: u16 = 0o444;
const DIRECTORY: u16 = 0o555;

/// What a user may choose of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Args)]
pub struct PermissionArgs {
    /// Owner of all files, by number [default: who mounts]
    #[arg(long, value_name = "UID")]
    pub uid: Option<u32>,
    /// Group of all files, by number [default: that of who mounts]
    #[arg(long, value_name = "GID")]
    pub gid: Option<u32>,
    /// Octal bits that all modes lack, as in 027
    #[arg(long, value_name = "MASK", value_parser = octal::<0o777>)]
    pub umask: Option<u16>,
    /// Octal mode of files that hold Secrets [default: 400]
    #[arg(long, value_name = "MODE", value_parser = octal::<FILE>)]
    pub secret_mode: Option<u16>,
}

/// An octal number without other bits than these.
fn octal<const BITS: u16>(text: &str) -> Result<u16, String> {
    let number = u16::from_str_radix(text, 8).ok().filter(|number| number & !BITS == 0);
    number.ok_or_else(|| format!("write an octal number of the bits {BITS:o}"))
}

/// Owner and modes, decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Permissions {
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    umask: u16,
    secret: u16,
}

impl Permissions {
    /// What was chosen; what was not belongs to this process.
    pub fn of(args: &PermissionArgs) -> Self {
        // SAFETY: these calls have no arguments and cannot fail.
        let (uid, gid) = unsafe { (libc::geteuid(), libc::getegid()) };
        Self {
            uid: args.uid.unwrap_or(uid),
            gid: args.gid.unwrap_or(gid),
            umask: args.umask.unwrap_or(0),
            secret: args.secret_mode.unwrap_or(SECRET),
        }
    }

    /// The mode of a file.
    pub const fn file(&self, sensitive: bool) -> u16 {
        (if sensitive { self.secret } else { FILE }) & !self.umask
    }

    /// The mode of a directory.
    pub const fn directory(&self) -> u16 {
        DIRECTORY & !self.umask
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_read_only_and_masked() {
        for (umask, secret_mode, wanted) in [
            (None, None, [0o555, 0o444, 0o400]),
            (Some(0o027), None, [0o550, 0o440, 0o400]),
            (Some(0o027), Some(0o444), [0o550, 0o440, 0o440]),
            (Some(0o777), None, [0, 0, 0]),
        ] {
            let permissions = Permissions::of(&PermissionArgs { umask, secret_mode, ..PermissionArgs::default() });
            assert_eq!([permissions.directory(), permissions.file(false), permissions.file(true)], wanted, "{umask:?} {secret_mode:?}");
        }
        let owner = Permissions::of(&PermissionArgs { uid: Some(7), gid: Some(8), ..PermissionArgs::default() });
        assert_eq!((owner.uid, owner.gid), (7, 8));
    }

    #[test]
    fn octal_numbers_are_read() {
        for (text, number) in [("027", Some(0o27)), ("0", Some(0)), ("777", Some(0o777)), ("1000", None), ("8", None), ("", None), ("-1", None)] {
            assert_eq!(octal::<0o777>(text).ok(), number, "{text}");
        }
        assert_eq!((octal::<FILE>("0440").ok(), octal::<FILE>("600").ok()), (Some(0o440), None));
    }
}
