//! One way to show an error: what failed, why, what to do.

use anstyle::{AnsiColor, Style};
use kubestash::repository::RepositoryError;

use super::exit;

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
    let mut out = format!("{ERROR}error:{ERROR:#} {error}\n");
    let mut last = error.to_string();
    for cause in error.chain().skip(1) {
        let text = cause.to_string();
        // Wrappers often repeat the words of what they wrap.
        if !last.contains(&text) {
            out.push_str(&format!("  {CAUSE}cause:{CAUSE:#} {text}\n"));
        }
        last = text;
    }
    if let Some(hint) = error.chain().find_map(hint_of) {
        out.push_str(&format!("  {HINT}hint:{HINT:#} {hint}\n"));
    }
    out
}

fn hint_of(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    if let Some(hinted) = error.downcast_ref::<Hinted>() {
        return Some(hinted.hint.clone());
    }
    if let Some(error) = error.downcast_ref::<kstashfs::MountError>() {
        return error.hint();
    }
    if let Some(error) = error.downcast_ref::<kstashfs::UnmountError>() {
        return error.hint();
    }
    match error.downcast_ref::<RepositoryError>()? {
        RepositoryError::NotARepository { .. } => {
            Some("`kubectl kubestash backup` makes one on first use, `kubectl kubestash repo init` an empty one".to_owned())
        }
        RepositoryError::Damaged { .. } | RepositoryError::Missing { .. } => {
            Some("`kubectl kubestash check --read-data` lists every snapshot and object that is hit; all others stay readable".to_owned())
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
}
