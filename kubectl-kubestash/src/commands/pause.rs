//! `kubectl kubestash pause` and `resume`: stop and start the schedules of a BackupConfiguration.

use anyhow::Context as _;
use clap::Args;
use kube::api::{Patch, PatchParams};
use kubestash::api::BackupConfiguration;
use serde_json::json;

use super::trigger::find;
use crate::{
    cli::{CliContext, exit, names},
    resources::namespaced,
};

/// Stop the schedules of a BackupConfiguration; a backup that runs goes on
#[derive(Debug, Args)]
pub struct PauseArgs {
    /// Name of the BackupConfiguration
    #[arg(value_parser = names::configuration)]
    pub configuration: String,
}

/// Start the schedules of a BackupConfiguration again
#[derive(Debug, Args)]
pub struct ResumeArgs {
    /// Name of the BackupConfiguration
    #[arg(value_parser = names::configuration)]
    pub configuration: String,
}

pub async fn pause(args: &PauseArgs, context: &CliContext) -> anyhow::Result<u8> {
    set(&args.configuration, true, context).await
}

pub async fn resume(args: &ResumeArgs, context: &CliContext) -> anyhow::Result<u8> {
    set(&args.configuration, false, context).await
}

async fn set(name: &str, paused: bool, context: &CliContext) -> anyhow::Result<u8> {
    let cluster = context.cluster().await?;
    let client = cluster.client();
    let namespace = context.namespace(&cluster);
    let found = find(&client, namespace, name).await?;
    let word = if paused { "paused" } else { "not paused" };
    if found.spec.paused.unwrap_or(false) == paused {
        context.note(&format!("BackupConfiguration {namespace}/{name} is {word} already."));
        return Ok(exit::OK);
    }
    let patch = Patch::Merge(json!({"spec": {"paused": paused}}));
    let api = namespaced::<BackupConfiguration>(&client, namespace);
    api.patch(name, &PatchParams::default(), &patch).await.with_context(|| format!("cannot change BackupConfiguration {namespace}/{name}"))?;
    context.note(&format!("BackupConfiguration {namespace}/{name} is {word}."));
    Ok(exit::OK)
}
