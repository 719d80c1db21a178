//! A part of Go's `text/template`, as hooks use it: in the body of a POST request and in commands, over the summary of a session.
//!
//! | written | is |
//! |---|---|
//! | `{{ .Status.Phase }}` | a field of the summary; one that does not exist is an error |
//! | `{{- … -}}` | without the blanks before or behind |
//! | `{{ if P }} … {{ else if P }} … {{ else }} … {{ end }}` | a choice |
//! | `{{ $x := P }}` `{{ $x = P }}` | a variable of the block is made or changed |
//! | `{{ f a (g b) \| h }}` | functions, groups and pipelines; see [`functions::NAMES`] |
//! | `{{/* … */}}` | nothing |
//!
//! Loops and named templates are refused: whatever is written ends after a time that its length bounds. Own code rather than a crate: those
//! that are published either do not know `$x = …`, which KubeStash's own examples use, or bring a second provider of TLS along.

mod eval;
pub mod functions;
mod lexer;
mod parser;
mod printf;

use serde_json::Value;

/// Longest template, in bytes.
const MAX_TEMPLATE: usize = 1 << 18;

/// A template that cannot be carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the template: {reason}")]
pub struct TemplateError {
    /// Where, from 1 on.
    pub line: usize,
    /// What is wrong.
    pub reason: String,
}

fn wrong(line: usize, reason: impl Into<String>) -> TemplateError {
    TemplateError { line, reason: reason.into() }
}

/// Carries a template out.
///
/// # Errors
/// What is not of the dialect, fields that do not exist, and values that a function cannot take.
pub fn render(text: &str, data: &Value) -> Result<String, TemplateError> {
    if text.len() > MAX_TEMPLATE {
        return Err(wrong(1, format!("it has {} bytes, and may have {MAX_TEMPLATE}", text.len())));
    }
    let nodes = parser::parse(lexer::pieces(text)?)?;
    eval::render(&nodes, data)
}

#[cfg(test)]
mod tests;
