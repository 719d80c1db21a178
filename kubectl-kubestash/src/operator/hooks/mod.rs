//! Running hooks: what `kubestash::session::hooks` has planned is carried out.
//!
//! ```text
//! HookTemplate ─▶ may this namespace use it? ─▶ plan ─▶ try, and try again ─▶ status of each hook as it ends
//!                                                       ├─ exec      a command in a container
//!                                                       ├─ request   HTTP, TCP
//!                                                       └─ function  a Job
//! ```
//! - Hooks run one after the other, in the order of the session. Before the work, one that fails stops those behind it; behind the work all run.
//! - A hook that succeeded is noted at once: an operator that takes over goes on behind it. One that it was in the middle of runs again, so
//!   hooks should bear being run twice.
//! - Messages of failures name hosts, Pods and exit codes, and the end of what a command printed; never paths, headers and bodies of
//!   requests, nor answers, for secrets may stand there.

mod exec;
mod function;
mod pods;
mod request;
mod run;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kubestash::{
    api::{HookExecutionStatus, HookInfo},
    session::hooks::Summary,
};

use super::backup_session::Stage;

pub use self::run::run;

/// The hooks of one stage of a session.
pub struct Hooks<'a> {
    /// In their order.
    pub list: &'a [HookInfo],
    /// Before or behind the work.
    pub stage: Stage,
    /// What is told of the session; its namespace is where the hooks run.
    pub summary: &'a Summary,
    /// `BackupSession` or `RestoreSession`.
    pub kind: &'static str,
    /// Name of the session within its BackupConfiguration.
    pub session: &'a str,
    /// The session, which Jobs of Functions belong to.
    pub owner: OwnerReference,
    /// What the status says of these hooks already.
    pub known: &'a [HookExecutionStatus],
    /// When hooks that come before the work are given up.
    pub deadline: Option<Timestamp>,
}

/// Puts a text of several lines into one, and keeps its end where it is longer than `most` characters.
fn tail(text: &str, most: usize) -> String {
    let line = text.split(|c: char| c.is_control() || c.is_whitespace()).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    let count = line.chars().count();
    if count <= most {
        return line;
    }
    let end: String = line.chars().skip(count - most).collect();
    format!("…{end}")
}

#[cfg(test)]
mod tests;
