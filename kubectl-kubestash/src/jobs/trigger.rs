//! `trigger-backup`: what a CronJob runs.

use clap::Args;
use kube::{ResourceExt as _, api::PostParams};
use kubestash::{
    api::{BackupConfiguration, BackupSession},
    cluster::Cluster,
    session::objects::{new_backup_session, retries},
};

use crate::{
    cli::{errors::hinted, exit},
    resources::{exists_already, namespaced},
};

/// Make a BackupSession
#[derive(Debug, Args)]
pub struct TriggerArgs {
    /// Name of the BackupConfiguration
    #[arg(long)]
    invoker_name: String,
    /// Its kind
    #[arg(long, default_value = "BackupConfiguration")]
    invoker_kind: String,
    /// Name of its session
    #[arg(long)]
    session_name: String,
}

pub async fn run(args: &TriggerArgs, cluster: &Cluster, namespace: &str) -> anyhow::Result<u8> {
    if args.invoker_kind != "BackupConfiguration" {
        return Err(hinted(format!("{} cannot be triggered", args.invoker_kind), "only a BackupConfiguration has sessions that make snapshots"));
    }
    let client = cluster.client();
    let configuration = namespaced::<BackupConfiguration>(&client, namespace).get(&args.invoker_name).await?;
    let session = configuration.spec.session(&args.session_name).ok_or_else(|| {
        let all: Vec<&str> = configuration.spec.sessions.iter().map(|session| session.name.as_str()).collect();
        hinted(
            format!("BackupConfiguration {namespace}/{} has no session {}", args.invoker_name, args.session_name),
            format!("its sessions are: {}", all.join(", ")),
        )
    })?;
    if configuration.spec.paused.unwrap_or(false) {
        tracing::info!("BackupConfiguration {namespace}/{} is paused; nothing was triggered", args.invoker_name);
        return Ok(exit::OK);
    }
    let made = new_backup_session(&configuration, session, retries(session), jiff::Timestamp::now());
    match namespaced::<BackupSession>(&client, namespace).create(&PostParams::default(), &made).await {
        Ok(_) => tracing::info!("made BackupSession {namespace}/{}", made.name_any()),
        // The Job was tried twice within a second.
        Err(error) if exists_already(&error) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(exit::OK)
}
