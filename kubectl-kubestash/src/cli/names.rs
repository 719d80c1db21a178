//! Names of the operator's objects as people type them: plain, or `KIND/NAME` as kubectl prints them.

/// Words for a BackupConfiguration: kind, plural, short names.
pub const CONFIGURATION: &[&str] = &["backupconfiguration", "backupconfigurations", "bc", "configuration"];
/// Words for a BackupSession.
pub const BACKUP: &[&str] = &["backupsession", "backupsessions", "session"];
/// Words for a RestoreSession.
pub const RESTORE: &[&str] = &["restoresession", "restoresessions", "restore"];

/// The word for a kind without its group: `snapshots.storage.kubestash.com` is what kubectl prints.
pub fn kind_word(word: &str) -> String {
    word.split('.').next().unwrap_or_default().to_lowercase()
}

/// The name of a BackupConfiguration, for clap.
///
/// # Errors
/// The name of something else.
pub fn configuration(text: &str) -> Result<String, String> {
    named(text, &[CONFIGURATION], "a BackupConfiguration")
}

/// The name of a BackupSession or RestoreSession, for clap.
///
/// # Errors
/// The name of something else.
pub fn session(text: &str) -> Result<String, String> {
    named(text, &[BACKUP, RESTORE], "a BackupSession or RestoreSession")
}

fn named(text: &str, kinds: &[&[&str]], wanted: &str) -> Result<String, String> {
    let Some((kind, name)) = text.split_once('/') else { return Ok(text.to_owned()) };
    if kinds.iter().any(|words| words.contains(&kind_word(kind).as_str())) {
        Ok(name.to_owned())
    } else {
        Err(format!("{kind} is not {wanted}; write the name alone, or behind its kind"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_may_stand_in_front_of_a_name() {
        for text in ["nightly", "bc/nightly", "BackupConfiguration/nightly", "backupconfigurations.core.kubestash.com/nightly"] {
            assert_eq!(configuration(text).as_deref(), Ok("nightly"), "{text}");
        }
        assert!(configuration("session/nightly").is_err());
        for text in ["s-1", "session/s-1", "restore/s-1", "restoresessions.core.kubestash.com/s-1"] {
            assert_eq!(session(text).as_deref(), Ok("s-1"), "{text}");
        }
        assert!(session("bc/s-1").is_err());
    }
}
