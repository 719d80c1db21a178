//! Roles of this program in Pods that the operator makes. Their flags are those of KubeStash's Functions and CronJobs, so that a user's own
//! copies of them go on working.

mod backup;
mod cleanup;
mod filters;
mod init;
mod options;
pub mod report;
mod restore;
mod retention;
mod target;
mod trigger;

pub use target::storage_of;

use std::sync::Arc;

use clap::{Args, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::CliContext;

/// Exit code of a process that was asked to end.
const TERMINATED: i32 = 128 + 15;

/// Work of a Pod
#[derive(Debug, Args)]
pub struct JobArgs {
    #[command(subcommand)]
    role: Role,
}

#[derive(Debug, Subcommand)]
enum Role {
    Backup(backup::BackupArgs),
    Restore(Box<restore::RestoreArgs>),
    Retention(retention::RetentionArgs),
    Init(init::InitArgs),
    Cleanup(cleanup::CleanupArgs),
    TriggerBackup(trigger::TriggerArgs),
}

/// Does the work; the result is the exit code of the Pod.
pub async fn run(args: &JobArgs, context: &CliContext) -> anyhow::Result<u8> {
    let cluster = context.cluster().await?;
    let namespace = cluster.default_namespace().to_owned();
    if !matches!(args.role, Role::Backup(_) | Role::Restore(_)) {
        // The first process of a Pod ignores the signal unless it says otherwise. These roles may end at any moment and begin anew.
        on_termination(|| std::process::exit(TERMINATED));
    }
    match &args.role {
        Role::Backup(args) => backup::run(args, &cluster, &namespace).await,
        Role::Restore(args) => restore::run(args, &cluster, &namespace).await,
        Role::Retention(args) => retention::run(args, &cluster, &namespace).await,
        Role::Init(args) => init::run(args, &cluster, &namespace).await,
        Role::Cleanup(args) => cleanup::run(args, &cluster, &namespace).await,
        Role::TriggerBackup(args) => trigger::run(args, &cluster, &namespace).await,
    }
}

/// Calls back when the Pod is to end, as at an eviction, a deadline, or the deletion of its Job.
fn on_termination(stop: impl FnOnce() + Send + 'static) {
    tokio::spawn(async move {
        let Ok(mut terminated) = signal(SignalKind::terminate()) else { return };
        let Ok(mut interrupted) = signal(SignalKind::interrupt()) else { return };
        tokio::select! {
            _ = terminated.recv() => {}
            _ = interrupted.recv() => {}
        }
        stop();
    });
}

/// A task that ends with this value.
struct Until(tokio::task::AbortHandle);

impl Drop for Until {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Calls a function every ten seconds, as KubeStash patches its progress, until the value is dropped.
fn every_ten_seconds<F, R>(report: F) -> Until
where
    F: Fn() -> R + Send + Sync + 'static,
    R: Future<Output = ()> + Send,
{
    let report = Arc::new(report);
    let task = tokio::spawn(async move {
        let mut timer = tokio::time::interval(std::time::Duration::from_secs(10));
        loop {
            timer.tick().await;
            report().await;
        }
    });
    Until(task.abort_handle())
}
