//! The command line as mount(8) and `/etc/fstab` write it: `SOURCE DIR -o snapshot=monday,allow_other,uid=1000`.
//!
//! mount(8) runs `mount.fuse.kstashfs SOURCE DIR [-sfnv] [-N NAMESPACE] -o OPTIONS [-t TYPE]` where there is such a program, else mount.fuse3, which runs
//! `kstashfs SOURCE DIR -o OPTIONS`. Each option is turned into the program's own of the same name.

use std::{ffi::OsString, path::Path};

/// What the table of file systems, systemd and the kernel know and has no meaning for a daemon that only ever reads.
const IGNORED: [&str; 40] = [
    "ro",
    "rw",
    "defaults",
    "auto",
    "noauto",
    "nofail",
    "user",
    "users",
    "nouser",
    "owner",
    "group",
    "_netdev",
    "dev",
    "nodev",
    "suid",
    "nosuid",
    "exec",
    "noexec",
    "atime",
    "noatime",
    "relatime",
    "norelatime",
    "strictatime",
    "nostrictatime",
    "diratime",
    "nodiratime",
    "lazytime",
    "nolazytime",
    "async",
    "sync",
    "dirsync",
    "mand",
    "nomand",
    "iversion",
    "noiversion",
    "silent",
    "loud",
    "nonempty",
    "default_permissions",
    "subtype",
];
/// Labels of SELinux, which the kernel is told as they are.
const LABELS: [&str; 4] = ["context", "fscontext", "defcontext", "rootcontext"];

/// An option of the program: its long name, and whether it takes a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Without dashes in front.
    pub name: String,
    /// Whether a value has to follow.
    pub takes_value: bool,
}

/// What mount(8) wants.
#[derive(Debug, PartialEq, Eq)]
pub enum Wanted {
    /// A mount, by the program's own words.
    Mount(Vec<OsString>),
    /// `mount -f`: as if, and nothing else.
    Nothing,
}

/// Turns the words that the program was called with into its own.
///
/// # Errors
/// Words for the user about an option that is not known, or lacks its value.
pub fn translate(words: Vec<OsString>, known: &[Known]) -> Result<Wanted, String> {
    let mut words = words.into_iter();
    let program = words.next().unwrap_or_default();
    let as_helper = Path::new(&program).file_name().is_some_and(|name| name.to_string_lossy().starts_with("mount."));
    let (mut own, mut options, mut sloppy) = (vec![program], Vec::new(), false);
    while let Some(word) = words.next() {
        let text = word.to_string_lossy().into_owned();
        match text.as_str() {
            "--" => {
                own.push(word);
                own.extend(words.by_ref());
            }
            "-o" => options.push(words.next().ok_or("-o needs options behind it")?.to_string_lossy().into_owned()),
            "-N" | "-t" if as_helper => drop(words.next()),
            "-f" if as_helper => return Ok(Wanted::Nothing),
            flags if as_helper && flags.len() > 1 && flags.starts_with('-') && flags.chars().skip(1).all(|flag| "snv".contains(flag)) => {
                sloppy |= flags.contains('s');
            }
            joined if joined.starts_with("-o") => options.push(joined.trim_start_matches("-o").to_owned()),
            _ => own.push(word),
        }
    }
    // In front of what else there is: behind `--` they would be no options.
    let mut translated = Vec::new();
    for option in options.iter().flat_map(|options| split(options)) {
        match one(option, known) {
            Ok(argument) => translated.extend(argument.map(OsString::from)),
            Err(_) if sloppy => {}
            Err(error) => return Err(error),
        }
    }
    own.splice(1..1, translated);
    Ok(Wanted::Mount(own))
}

/// Options at their commas, but for those in quotes.
fn split(options: &str) -> Vec<&str> {
    let mut quoted = false;
    let parts = options.split(move |c| {
        quoted ^= c == '"';
        c == ',' && !quoted
    });
    parts.filter(|part| !part.is_empty()).collect()
}

/// The argument for an option, if it needs one.
fn one(option: &str, known: &[Known]) -> Result<Option<String>, String> {
    let (name, value) = option.split_once('=').map_or((option, None), |(name, value)| (name, Some(value)));
    if IGNORED.contains(&name) || name.starts_with("x-") || name.starts_with("X-") || name == "comment" {
        return Ok(None);
    }
    if LABELS.contains(&name) {
        return Ok(Some(format!("--mount-option={option}")));
    }
    let long = name.replace('_', "-");
    let own = known.iter().find(|known| known.name == long).ok_or_else(|| {
        let names: Vec<&str> = known.iter().map(|known| known.name.as_str()).collect();
        format!("the mount option {name:?} is not known; there are {}", names.join(", "))
    })?;
    match (own.takes_value, value) {
        (true, Some(value)) => Ok(Some(format!("--{long}={}", value.trim_matches('"')))),
        (false, None) => Ok(Some(format!("--{long}"))),
        (true, None) => Err(format!("the mount option {name:?} needs a value: {name}=…")),
        (false, Some(_)) => Err(format!("the mount option {name:?} takes no value")),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn translated(words: &str) -> Result<String, String> {
        let known = [("snapshot", true), ("password-file", true), ("allow-other", false), ("uid", true)];
        let known = known.map(|(name, takes_value)| Known { name: name.to_owned(), takes_value });
        let words = words.split(' ').map(OsString::from).collect();
        Ok(match translate(words, &known)? {
            Wanted::Mount(words) => words.iter().map(|word| word.to_str().unwrap()).collect::<Vec<_>>().join(" "),
            Wanted::Nothing => "nothing".to_owned(),
        })
    }

    #[test]
    fn words_of_mount_become_words_of_the_program() {
        for (words, wanted) in [
            ("kstashfs /repo /m", "kstashfs /repo /m"),
            ("kstashfs /repo /m --full -f", "kstashfs /repo /m --full -f"),
            ("kstashfs /repo /m -o rw,nosuid,_netdev,x-systemd.automount,x-a=b,comment=c", "kstashfs /repo /m"),
            ("kstashfs /repo /m -o snapshot=monday,allow_other", "kstashfs --snapshot=monday --allow-other /repo /m"),
            ("kstashfs -opassword_file=/a=b,uid=7 /repo /m", "kstashfs --password-file=/a=b --uid=7 /repo /m"),
            ("kstashfs -o password-file=/p -- -repo /m", "kstashfs --password-file=/p -- -repo /m"),
            ("kstashfs /repo /m -o context=\"a:b:s0:c1,c2\",ro,uid=1", "kstashfs --mount-option=context=\"a:b:s0:c1,c2\" --uid=1 /repo /m"),
            ("/sbin/mount.fuse.kstashfs /repo /m -n -v -o rw,uid=1 -t fuse.kstashfs -N 7", "/sbin/mount.fuse.kstashfs --uid=1 /repo /m"),
            ("/sbin/mount.fuse.kstashfs /repo /m -sv -o huge,uid=1", "/sbin/mount.fuse.kstashfs --uid=1 /repo /m"),
            ("mount.fuse.kstashfs /repo /m -f -o ro", "nothing"),
        ] {
            assert_eq!(translated(words).as_deref(), Ok(wanted), "{words}");
        }
    }

    #[test]
    fn options_that_are_wrong_are_refused() {
        for (words, error) in [
            ("kstashfs /repo /m -o huge", "\"huge\" is not known; there are snapshot, password-file"),
            ("kstashfs /repo /m -o remount,ro", "\"remount\" is not known"),
            ("kstashfs /repo /m -o snapshot", "\"snapshot\" needs a value"),
            ("kstashfs /repo /m -o allow_other=yes", "\"allow_other\" takes no value"),
            ("kstashfs /repo /m -o", "-o needs options"),
        ] {
            assert!(translated(words).unwrap_err().contains(error), "{words}");
        }
    }
}
