//! One way to show an error: what failed, why, what to do.

use anstyle::{AnsiColor, Style};
use kubestash::{api::StorageError, repository::RepositoryError, restore::NothingShown, store::StoreError};

use super::exit;
use crate::resources::is_unserved;

/// An error whose text is complete, with advice of its own.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Hinted {
    message: String,
    hint: String,
}

/// Makes an error with a hint.
pub fn hinted(message: impl Into<String>, hint: impl Into<String>) -> anyhow::Error {
    Hinted { message: message.into(), hint: hint.into() }.into()
}

const ERROR: Style = AnsiColor::Red.on_default().bold();
const CAUSE: Style = Style::new().bold();
const HINT: Style = AnsiColor::Cyan.on_default().bold();

/// Prints the chain to stderr.
pub fn print(error: &anyhow::Error) {
    anstream::eprint!("{}", render(error));
}

fn render(error: &anyhow::Error) -> String {
    let mut last = text_of(error.as_ref());
    let mut out = format!("{ERROR}error:{ERROR:#} {last}\n");
    for (outer, cause) in error.chain().zip(error.chain().skip(1)) {
        let text = text_of(cause);
        // Wrappers often repeat the words of what they wrap. An answer of the API server has been told already.
        if !last.contains(&text) && !matches!(outer.downcast_ref(), Some(kube::Error::Api(_))) {
            out.push_str(&format!("  {CAUSE}cause:{CAUSE:#} {text}\n"));
        }
        last = text;
    }
    if let Some(hint) = error.chain().find_map(hint_of) {
        out.push_str(&format!("  {HINT}hint:{HINT:#} {hint}\n"));
    }
    out
}

/// An error's own words; of an answer of the API server its message, without the rest of the status object.
fn text_of(error: &(dyn std::error::Error + 'static)) -> String {
    match error.downcast_ref::<kube::Error>() {
        Some(error) if is_unserved(error) => "the API server of this cluster does not know the operator's kinds".to_owned(),
        Some(kube::Error::Api(status)) if !status.message.is_empty() => status.message.clone(),
        _ => error.to_string(),
    }
}

fn hint_of(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    if let Some(hinted) = error.downcast_ref::<Hinted>() {
        return Some(hinted.hint.clone());
    }
    if error.downcast_ref::<kube::Error>().is_some_and(is_unserved) {
        return Some("`kubectl kubestash install` brings them, and the operator".to_owned());
    }
    if let Some(error) = error.downcast_ref::<kstashfs::MountError>() {
        return error.hint();
    }
    if let Some(error) = error.downcast_ref::<NothingShown>() {
        return Some(error.hint());
    }
    if let Some(error) = error.downcast_ref::<kstashfs::UnmountError>() {
        return error.hint();
    }
    if let Some(error) = error.downcast_ref::<StoreError>() {
        return hint_of_store(error).map(str::to_owned);
    }
    if let Some(StorageError::Store(error)) = error.downcast_ref::<StorageError>() {
        return hint_of_store(error).map(str::to_owned);
    }
    hint_of_repository(error.downcast_ref::<RepositoryError>()?).map(str::to_owned)
}

fn hint_of_store(error: &StoreError) -> Option<&'static str> {
    match error {
        StoreError::Denied { .. } => Some("check the credentials and their rights: read, write, list and delete"),
        StoreError::Full { .. } => Some("free some space and run the command again; nothing stored before is lost"),
        StoreError::Timeout { .. } | StoreError::Other { .. } => {
            Some("check that the store exists and is reachable from here; --repo names it, --s3-endpoint or --azure-endpoint where it listens")
        }
        StoreError::NotFound { .. } | StoreError::TooShort { .. } | StoreError::TooLarge { .. } | StoreError::Unusable { .. } => None,
    }
}

fn hint_of_repository(error: &RepositoryError) -> Option<&'static str> {
    match error {
        RepositoryError::Store(error) => hint_of_store(error),
        RepositoryError::NotARepository { .. } => {
            Some("`kubectl kubestash backup` makes one on first use, `kubectl kubestash repo init` an empty one")
        }
        RepositoryError::ConfigMissing { .. } => {
            Some("put this file back from a copy of the storage: it is written once and never changes, and no snapshot can be read without it")
        }
        RepositoryError::WrongPassword { .. } => {
            Some("check --password-file, KUBESTASH_PASSWORD_FILE and KUBESTASH_PASSWORD; --repo may name another repository than you think")
        }
        RepositoryError::Unsupported { .. } | RepositoryError::ReadOnly { .. } => Some("use a newer kubectl-kubestash"),
        RepositoryError::Damaged { object, .. } if object.ends_with("/config") => {
            Some("put this file back from a copy of the storage: it is written once and never changes; what lies beside it is not damaged by this")
        }
        RepositoryError::Damaged { object, .. } if object.starts_with("keys/") => {
            Some("use another password of this repository, or put this file back from a copy of the storage; the snapshots are not damaged by this")
        }
        RepositoryError::KeysChanged { .. } => Some(
            "run it again; if that does not help, open the repository with a password that was used since: `kubectl kubestash key list` shows when",
        ),
        RepositoryError::PruneBlocked { .. } => Some(
            "put the missing or damaged file back from a copy of the storage, or remove that snapshot with `kubectl kubestash forget` and its name or id; then prune again",
        ),
        RepositoryError::Locked { .. } => Some("wait for it; if it was killed, `kubectl kubestash unlock` removes its lock at once"),
        RepositoryError::Overtaken { .. } => Some("run the backup again: it stores that data anew; no other snapshot is touched"),
        RepositoryError::Damaged { .. } | RepositoryError::Missing { .. } => {
            Some("`kubectl kubestash check --read-data` lists every snapshot and object that is hit; all others stay readable")
        }
        _ => None,
    }
}

/// The exit code of an error.
pub fn exit_code(_error: &anyhow::Error) -> u8 {
    exit::ERROR
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[test]
    fn errors_read_as_what_why_and_what_next() {
        let error = Err::<(), _>(hinted("the Secret has no key", "add the key")).context("cannot open repository demo").unwrap_err();
        let text = anstream::adapter::strip_str(&render(&error)).to_string();
        assert_eq!(text, "error: cannot open repository demo\n  cause: the Secret has no key\n  hint: add the key\n");
    }

    #[test]
    fn an_answer_of_the_api_server_is_told_in_its_own_words() {
        let answer = |code: u16, reason: &str, message: &str| {
            let status: kube::core::Status =
                serde_json::from_value(serde_json::json!({"code": code, "reason": reason, "message": message})).unwrap_or_default();
            let error = Err::<(), _>(kube::Error::Api(status.boxed())).context("cannot list").unwrap_err();
            anstream::adapter::strip_str(&render(&error)).to_string()
        };
        assert_eq!(answer(403, "Forbidden", "jane cannot list"), "error: cannot list\n  cause: jane cannot list\n");
        assert_eq!(
            answer(404, "Failed to parse error data", "404 page not found"),
            "error: cannot list\n  cause: the API server of this cluster does not know the operator's kinds\n  hint: `kubectl kubestash install` brings them, and the operator\n"
        );
        assert!(answer(404, "NotFound", "pods \"x\" not found").ends_with("cause: pods \"x\" not found\n"));
    }
}
