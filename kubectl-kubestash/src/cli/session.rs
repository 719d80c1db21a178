//! Following BackupSessions and RestoreSessions of the cluster to their end.

use std::time::Duration;

use kube::{Api, ResourceExt as _};
use kubestash::api::{BackupSession, BackupSessionPhase, COMPONENT, RestorePhase, RestoreSession, Snapshot, conditions, is_true};

use super::{CliContext, exit, output::count};
use crate::resources::namespaced;

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(500);

/// How a session ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// The exit code that says the same.
    pub code: u8,
    /// What to tell a person, in one line.
    pub text: String,
}

/// Follows a backup; `line` hears how far it is whenever that changes.
///
/// # Errors
/// The API server's.
pub async fn follow_backup(client: &kube::Client, namespace: &str, name: &str, mut line: impl FnMut(&str)) -> anyhow::Result<Ended> {
    let sessions = namespaced::<BackupSession>(client, namespace);
    let snapshots = namespaced::<Snapshot>(client, namespace);
    let mut last = String::new();
    loop {
        let session = sessions.get(name).await?;
        let status = session.status.clone().unwrap_or_default();
        let mut own = Vec::new();
        for listed in &status.snapshots {
            own.extend(snapshots.get_opt(&listed.name).await?);
        }
        if status.phase.is_some_and(BackupSessionPhase::is_completed) {
            return Ok(backup_ended(&session, &own));
        }
        let phase = status.phase.map_or("Pending", BackupSessionPhase::as_str);
        let objects: i64 = own.iter().filter_map(objects_of).max().unwrap_or(0);
        let waits = status
            .conditions
            .iter()
            .find(|condition| condition.type_ == conditions::POD_HAS_BEEN_IN_PENDING_STATE_FOR_LONGER_THAN_EXPECTED && condition.is_true());
        let shown = match waits.and_then(|condition| condition.message.clone()) {
            Some(why) => format!("{name}: {phase}, {why}"),
            None if objects > 0 => format!("{name}: {phase}, {}", count(u64::try_from(objects).unwrap_or(0), "object")),
            None => format!("{name}: {phase}"),
        };
        if shown != last {
            line(&shown);
            last = shown;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn objects_of(snapshot: &Snapshot) -> Option<i64> {
    snapshot.status.as_ref()?.components.get(COMPONENT)?.kstash_stats.as_ref()?.objects
}

fn backup_ended(session: &BackupSession, snapshots: &[Snapshot]) -> Ended {
    let name = session.name_any();
    let status = session.status.clone().unwrap_or_default();
    let partial: Vec<String> = snapshots
        .iter()
        .filter(|snapshot| snapshot.status.as_ref().is_some_and(|status| is_true(&status.conditions, conditions::BACKUP_PARTIAL)))
        .map(|snapshot| snapshot.name_any())
        .collect();
    match status.phase {
        Some(BackupSessionPhase::Succeeded) => {
            let objects = snapshots.iter().filter_map(objects_of).max().unwrap_or(0);
            let number = count(u64::try_from(objects).unwrap_or(0), "object");
            let text =
                format!("{name}: Succeeded in {}, {number} in {}", status.duration.unwrap_or_default(), count(snapshots.len() as u64, "snapshot"));
            if partial.is_empty() {
                Ended { code: exit::OK, text }
            } else {
                let text = format!(
                    "{text}. NOT COMPLETE: `kubectl describe snapshots.storage.kubestash.com {}` names what could not be read",
                    partial.join(" ")
                );
                Ended { code: exit::PARTIAL, text }
            }
        }
        Some(BackupSessionPhase::Skipped) => {
            let why = status.conditions.iter().find(|condition| condition.type_ == conditions::BACKUP_SKIPPED);
            let why = why.and_then(|condition| condition.message.clone()).unwrap_or_default();
            Ended { code: exit::ERROR, text: format!("{name}: Skipped, {why}") }
        }
        _ => Ended { code: exit::ERROR, text: format!("{name}: Failed, {}", status.failure().unwrap_or_else(|| "no reason is known".to_owned())) },
    }
}

/// Follows a restore.
///
/// # Errors
/// The API server's.
pub async fn follow_restore(api: &Api<RestoreSession>, name: &str, mut line: impl FnMut(&str)) -> anyhow::Result<Ended> {
    let mut last = String::new();
    loop {
        let session = api.get(name).await?;
        let status = session.status.clone().unwrap_or_default();
        let own = status.components.get(COMPONENT).cloned().unwrap_or_default();
        if let Some(phase) = status.phase.filter(|phase| phase.is_completed()) {
            let counts = own.counts.unwrap_or_default();
            let number = |count: Option<i64>| count.unwrap_or(0);
            let done = format!(
                "{} created, {} updated, {} skipped, {} failed",
                number(counts.created),
                number(counts.updated),
                number(counts.skipped),
                number(counts.failed)
            );
            return Ok(if phase == RestorePhase::Succeeded {
                Ended { code: exit::OK, text: format!("{name}: Succeeded in {}: {done}", status.duration.unwrap_or_default()) }
            } else {
                let why = own.error.or_else(|| status.failure()).unwrap_or_else(|| "no reason is known".to_owned());
                let code = if number(counts.created) + number(counts.updated) > 0 { exit::PARTIAL } else { exit::ERROR };
                Ended { code, text: format!("{name}: {phase}, {why}") }
            });
        }
        let phase = status.phase.map_or("Pending", RestorePhase::as_str);
        let progress = own.progress.unwrap_or_default();
        let shown = match (progress.files_done, progress.total_files) {
            (Some(done), Some(total)) => format!("{name}: {phase}, {done}/{total} objects"),
            _ => format!("{name}: {phase}"),
        };
        if shown != last {
            line(&shown);
            last = shown;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

impl CliContext {
    /// The namespace of `-n`, or of the kubeconfig's context.
    pub fn namespace<'a>(&'a self, cluster: &'a kubestash::cluster::Cluster) -> &'a str {
        self.args.namespace.as_deref().unwrap_or_else(|| cluster.default_namespace())
    }
}
