//! `kubectl kubestash trigger`: run sessions of a BackupConfiguration now.

use anyhow::Context as _;
use clap::Args;
use kube::{ResourceExt as _, api::PostParams};
use kubestash::{
    api::{BackupConfiguration, BackupSession, Session},
    session::objects::new_backup_session,
};

use crate::{
    cli::{CliContext, errors::hinted, exit, names, output::print_bytes, session::follow_backup},
    resources::{is_missing, is_unserved, namespaced},
};

/// Run sessions of a BackupConfiguration now, in the cluster
///
/// Makes a BackupSession for each, and follows them to their end. Prints their names.
#[derive(Debug, Args)]
pub struct TriggerArgs {
    /// Name of the BackupConfiguration
    #[arg(value_parser = names::configuration)]
    pub configuration: String,
    #[command(flatten)]
    pub flags: TriggerFlags,
}

/// Which sessions, and how long.
#[derive(Debug, Clone, Args)]
pub struct TriggerFlags {
    /// Sessions to run [default: all]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub sessions: Vec<String>,
    /// Do not wait for their end
    #[arg(long)]
    pub no_wait: bool,
}

pub async fn run(args: &TriggerArgs, context: &CliContext) -> anyhow::Result<u8> {
    trigger(&args.configuration, &args.flags, context).await
}

/// Makes the BackupSessions, and follows them.
pub async fn trigger(configuration: &str, flags: &TriggerFlags, context: &CliContext) -> anyhow::Result<u8> {
    let cluster = context.cluster().await?;
    let client = cluster.client();
    let namespace = context.namespace(&cluster);
    let found = find(&client, namespace, configuration).await?;
    if found.spec.paused.unwrap_or(false) {
        return Err(hinted(
            format!("BackupConfiguration {namespace}/{configuration} is paused"),
            format!("kubectl kubestash resume {configuration} -n {namespace}"),
        ));
    }
    let api = namespaced::<BackupSession>(&client, namespace);
    let mut made = Vec::new();
    for session in chosen(&found, &flags.sessions)? {
        // As KubeStash has it, what a person has asked for is not tried again by itself.
        let session = new_backup_session(&found, session, 0, jiff::Timestamp::now());
        let name = session.name_any();
        api.create(&PostParams::default(), &session).await.with_context(|| format!("cannot make BackupSession {namespace}/{name}"))?;
        print_bytes(format!("{name}\n").as_bytes())?;
        made.push(name);
    }
    if flags.no_wait {
        return Ok(exit::OK);
    }
    let mut code = exit::OK;
    for name in made {
        let ended = follow_backup(&client, namespace, &name, |line| context.note(line)).await?;
        context.note(&ended.text);
        code = worse(code, ended.code);
    }
    Ok(code)
}

/// Of two exit codes the one that needs more attention.
fn worse(one: u8, other: u8) -> u8 {
    let rank = |code| match code {
        exit::OK => 0,
        exit::PARTIAL => 1,
        _ => 2,
    };
    if rank(other) > rank(one) { other } else { one }
}

/// A BackupConfiguration by name.
pub async fn find(client: &kube::Client, namespace: &str, name: &str) -> anyhow::Result<BackupConfiguration> {
    namespaced::<BackupConfiguration>(client, namespace).get(name).await.map_err(|error| {
        if is_missing(&error) && !is_unserved(&error) {
            hinted(
                format!("there is no BackupConfiguration {namespace}/{name}"),
                format!("`kubectl get backupconfigurations -n {namespace}` lists them; -n names another namespace"),
            )
        } else {
            anyhow::Error::new(error).context(format!("cannot read BackupConfiguration {namespace}/{name}"))
        }
    })
}

fn chosen<'a>(configuration: &'a BackupConfiguration, names: &[String]) -> anyhow::Result<Vec<&'a Session>> {
    let all = &configuration.spec.sessions;
    if names.is_empty() {
        return Ok(all.iter().collect());
    }
    let session = |name: &String| {
        configuration.spec.session(name).ok_or_else(|| {
            let known: Vec<&str> = all.iter().map(|session| session.name.as_str()).collect();
            hinted(format!("{} has no session {name}", configuration.name_any()), format!("its sessions are: {}", known.join(", ")))
        })
    };
    names.iter().map(session).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_end_counts() {
        for (one, other, wanted) in [
            (exit::OK, exit::OK, exit::OK),
            (exit::OK, exit::PARTIAL, exit::PARTIAL),
            (exit::PARTIAL, exit::OK, exit::PARTIAL),
            (exit::PARTIAL, exit::ERROR, exit::ERROR),
            (exit::ERROR, exit::PARTIAL, exit::ERROR),
        ] {
            assert_eq!(worse(one, other), wanted);
        }
    }
}
