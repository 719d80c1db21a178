//! `retention`: removes the Snapshots that the RetentionPolicy of a backend does not keep, and frees their space.

use anyhow::Context as _;
use clap::Args;
use jiff::Timestamp;
use kube::{
    Client, ResourceExt as _,
    api::{ListParams, Patch, PatchParams},
};
use kubestash::{
    api::{
        self, BackupConfiguration, BackupSession, DeletionPolicy, RetentionPolicy, RetentionPolicyApplyStatus, RetentionPolicyPhase, Snapshot,
        SnapshotPhase, labels,
    },
    backend,
    cluster::Cluster,
    repository::{
        RepositoryError, SnapshotId,
        prune::PruneOptions,
        retention::{Candidate, PolicyOptions, State, apply_policy},
    },
};
use serde_json::json;

use super::target::Target;
use crate::{
    cli::exit,
    resources::{advice::explained, namespaced, status::update_status},
};

/// Apply the retention policies of a BackupSession's repositories
#[derive(Debug, Args)]
pub struct RetentionArgs {
    /// Name of the BackupSession
    #[arg(long)]
    backupsession: String,
    /// Remove the newest successful Snapshot too, when it is older than the policy's longest period
    #[arg(long)]
    literal_period: bool,
}

pub async fn run(args: &RetentionArgs, cluster: &Cluster, namespace: &str) -> anyhow::Result<u8> {
    let client = cluster.client();
    let sessions = namespaced::<BackupSession>(&client, namespace);
    let session = sessions.get(&args.backupsession).await?;
    let invoker = session.spec.invoker.as_ref().map(|invoker| invoker.name.clone()).unwrap_or_default();
    let configuration = namespaced::<BackupConfiguration>(&client, namespace).get(&invoker).await?;
    let own = configuration.spec.session(&session.spec.session).with_context(|| format!("{invoker} has no session {}", session.spec.session))?;
    let mut code = exit::OK;
    for info in &own.repositories {
        let Some(reference) = configuration.retention_policy_of(info.backend.as_deref()) else { continue };
        let place = Place { client: &client, namespace, session: &session, repository: &info.name };
        let done = place.apply(&reference, !args.literal_period).await;
        if let Err(error) = &done {
            code = exit::ERROR;
            tracing::error!("RetentionPolicy {reference} on {}: {}", info.name, explained(error));
        }
        let status = RetentionPolicyApplyStatus {
            ref_: Some(reference),
            repository: Some(info.name.clone()),
            phase: Some(if done.is_ok() { RetentionPolicyPhase::Applied } else { RetentionPolicyPhase::FailedToApply }),
            error: done.err().map(|error| explained(&error)),
        };
        update_status(&sessions, &args.backupsession, |session: &mut BackupSession| {
            let all = &mut session.status.get_or_insert_default().retention_policy;
            all.retain(|other| other.repository != status.repository);
            all.push(status.clone());
        })
        .await?;
    }
    Ok(code)
}

struct Place<'a> {
    client: &'a Client,
    namespace: &'a str,
    session: &'a BackupSession,
    repository: &'a str,
}

impl Place<'_> {
    async fn apply(&self, policy: &api::ObjectReference, keep_newest: bool) -> anyhow::Result<()> {
        let policies = namespaced::<RetentionPolicy>(self.client, policy.namespace_or(self.namespace));
        let policy = policies.get(&policy.name).await.with_context(|| format!("cannot read RetentionPolicy {policy}"))?;
        let repository = namespaced::<api::Repository>(self.client, self.namespace).get(self.repository).await?;
        let own = ListParams::default().labels(&format!("{}={}", labels::REPO_NAME, self.repository));
        let mut snapshots = namespaced::<Snapshot>(self.client, self.namespace).list(&own).await?.items;
        snapshots.retain(|snapshot| snapshot.spec.session == self.session.spec.session && snapshot.metadata.deletion_timestamp.is_none());
        let current = self.session.name_any();
        let goes = superfluous(&snapshots, &current, &policy, keep_newest, Timestamp::now())?;
        if goes.is_empty() {
            return Ok(());
        }
        let target = Target::open(self.client, repository, None).await?;
        for snapshot in goes {
            self.remove(&target, snapshot).await.with_context(|| format!("cannot remove Snapshot {}", snapshot.name_any()))?;
        }
        match target.data.prune(PruneOptions::new(Timestamp::now()), &mut |_, _, _| ()).await {
            Ok(_) => Ok(()),
            // Another session's retention is at it; it or the next one frees the space.
            Err(RepositoryError::Locked { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// The data first, the object last: what is interrupted is found again.
    async fn remove(&self, target: &Target, snapshot: &Snapshot) -> anyhow::Result<()> {
        let (name, id) = (snapshot.name_any(), snapshot.spec.snapshot_id.parse::<SnapshotId>().ok());
        backend::remove_snapshot(&target.directory, &name, id).await?;
        let api = namespaced::<Snapshot>(self.client, self.namespace);
        // There is nothing left that the operator would have to clean up.
        let patch = json!({"metadata": {"finalizers": null}, "spec": {"deletionPolicy": DeletionPolicy::WipeOut}});
        match api.patch(&name, &PatchParams::default(), &Patch::Merge(&patch)).await {
            Ok(_) => crate::resources::delete(&api, &name).await?,
            Err(error) if crate::resources::is_missing(&error) => {}
            Err(error) => return Err(error.into()),
        }
        tracing::info!("removed Snapshot {name}");
        Ok(())
    }
}

/// The Snapshots that a policy does not keep. Those of the current run are never among them.
fn superfluous<'a>(
    snapshots: &'a [Snapshot],
    current: &str,
    policy: &RetentionPolicy,
    keep_newest: bool,
    now: Timestamp,
) -> anyhow::Result<Vec<&'a Snapshot>> {
    // What carries no id of ours cannot be ordered among the others, and is left alone.
    let known: Vec<(&Snapshot, Candidate)> = snapshots.iter().filter_map(|snapshot| Some((snapshot, candidate(snapshot)?))).collect();
    let own = known.iter().find(|(snapshot, _)| snapshot.spec.backup_session.as_deref() == Some(current)).map(|(_, candidate)| candidate.id);
    let candidates: Vec<Candidate> = known.iter().map(|(_, candidate)| candidate.clone()).collect();
    let reasons = apply_policy(&policy.spec.rules(), &candidates, PolicyOptions { current: own, keep_newest }, now)?;
    Ok(known.into_iter().zip(reasons).filter(|(_, reasons)| reasons.is_empty()).map(|((snapshot, _), _)| snapshot).collect())
}

fn candidate(snapshot: &Snapshot) -> Option<Candidate> {
    let status = snapshot.status.as_ref()?;
    let state = match status.phase? {
        SnapshotPhase::Succeeded => State::Succeeded,
        SnapshotPhase::Failed => State::Failed,
        SnapshotPhase::Pending | SnapshotPhase::Running => State::Running,
    };
    let time = status.snapshot_time.as_ref().or(snapshot.metadata.creation_timestamp.as_ref())?.0;
    Some(Candidate { id: snapshot.spec.snapshot_id.parse().ok()?, time, tags: Vec::new(), state })
}
