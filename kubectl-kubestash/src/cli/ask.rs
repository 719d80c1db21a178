//! Questions before something that cannot be undone.

use std::io::{IsTerminal as _, Write as _};

use super::errors::hinted;

/// Asks a person; no is the answer to all but `y` and `yes`.
///
/// # Errors
/// Where there is no terminal to ask, with `otherwise` as the hint.
pub fn confirm(question: &str, otherwise: &str) -> anyhow::Result<bool> {
    if !std::io::stdin().is_terminal() {
        return Err(hinted(format!("{question} There is no terminal to ask"), otherwise));
    }
    let mut out = std::io::stderr();
    write!(out, "{question} [y/N] ")?;
    out.flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
