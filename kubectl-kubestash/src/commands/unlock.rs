//! `kubectl kubestash unlock`: remove the lock of a prune that was killed.

use clap::Args;

use crate::cli::{CliContext, exit, output::print_bytes};

/// Remove the lock that a killed prune or repair left behind
///
/// It would run out by itself within the hour. Backups, restores and mounts need no lock.
#[derive(Debug, Args)]
pub struct UnlockArgs {}

pub async fn run(_args: &UnlockArgs, context: &CliContext) -> anyhow::Result<u8> {
    context.repository(false).await?.repository.unlock().await?;
    print_bytes(b"unlocked\n")?;
    Ok(exit::OK)
}
