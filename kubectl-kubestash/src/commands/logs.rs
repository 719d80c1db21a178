//! `kubectl kubestash logs` and `wait`: what a session of the cluster says, and how it ends.

use clap::Args;
use futures::{AsyncBufReadExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    ResourceExt as _,
    api::{ListParams, LogParams},
};
use kubestash::api::{BackupSession, RestoreSession};

use crate::{
    cli::{
        CliContext,
        errors::hinted,
        names,
        output::print_bytes,
        session::{follow_backup, follow_restore},
    },
    resources::{is_missing, namespaced},
};

/// Print the logs of a BackupSession's or RestoreSession's Jobs
#[derive(Debug, Args)]
pub struct LogsArgs {
    /// Name of the BackupSession or RestoreSession
    #[arg(value_parser = names::session)]
    pub session: String,
    /// Go on until the Pods end
    #[arg(short = 'f', long)]
    pub follow: bool,
}

/// Wait for the end of a BackupSession or RestoreSession; the exit code says how it ended
#[derive(Debug, Args)]
pub struct WaitArgs {
    /// Name of the BackupSession or RestoreSession
    #[arg(value_parser = names::session)]
    pub session: String,
}

enum Found {
    Backup,
    Restore,
}

async fn find(client: &kube::Client, namespace: &str, name: &str) -> anyhow::Result<Found> {
    if namespaced::<BackupSession>(client, namespace).get_opt(name).await?.is_some() {
        return Ok(Found::Backup);
    }
    if namespaced::<RestoreSession>(client, namespace).get_opt(name).await?.is_some() {
        return Ok(Found::Restore);
    }
    Err(hinted(
        format!("there is no BackupSession or RestoreSession {namespace}/{name}"),
        format!("`kubectl get backupsessions,restoresessions -n {namespace}` lists them; -n names another namespace"),
    ))
}

pub async fn logs(args: &LogsArgs, context: &CliContext) -> anyhow::Result<u8> {
    let cluster = context.cluster().await?;
    let client = cluster.client();
    let namespace = context.namespace(&cluster);
    find(&client, namespace, &args.session).await?;
    let pods = namespaced::<Pod>(&client, namespace);
    // Jobs of a session carry its name as their invoker.
    let label = format!("kubestash.com/invoker-name={}", args.session.chars().take(63).collect::<String>());
    let mut found = pods.list(&ListParams::default().labels(&label)).await?.items;
    found.sort_by_key(|pod| (pod.creation_timestamp(), pod.name_any()));
    if found.is_empty() {
        return Err(hinted(
            format!("the session {namespace}/{} has no Pods", args.session),
            "they are made when it begins and removed with it; `kubectl describe` of the session tells what became of it",
        ));
    }
    for pod in found {
        context.note(&format!("Pod {}:", pod.name_any()));
        let parameters = LogParams { follow: args.follow, ..LogParams::default() };
        let stream = match pods.log_stream(&pod.name_any(), &parameters).await {
            Ok(stream) => stream,
            Err(error) if is_missing(&error) => continue,
            Err(error) => {
                context.note(&format!("no log yet: {}", crate::resources::said(&error)));
                continue;
            }
        };
        let mut lines = stream.lines();
        while let Some(line) = lines.try_next().await? {
            print_bytes(format!("{line}\n").as_bytes())?;
        }
    }
    Ok(crate::cli::exit::OK)
}

pub async fn wait(args: &WaitArgs, context: &CliContext) -> anyhow::Result<u8> {
    let cluster = context.cluster().await?;
    let client = cluster.client();
    let namespace = context.namespace(&cluster);
    let line = |line: &str| context.note(line);
    let ended = match find(&client, namespace, &args.session).await? {
        Found::Backup => follow_backup(&client, namespace, &args.session, line).await?,
        Found::Restore => follow_restore(&namespaced::<RestoreSession>(&client, namespace), &args.session, line).await?,
    };
    context.note(&ended.text);
    Ok(ended.code)
}
