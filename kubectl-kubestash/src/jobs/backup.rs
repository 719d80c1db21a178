//! `backup`: what the Function `kubedump-backup` runs. One reading of the cluster goes into every Snapshot of the session.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Instant,
};

use anyhow::Context as _;
use clap::Args;
use jiff::Timestamp;
use kube::{Client, ResourceExt as _};
use kubestash::{
    api::{self, BackupSession, Component, Condition, Snapshot, SnapshotPhase},
    backend,
    cluster::Cluster,
    collect::{Progress, collect, plan},
    repository::{BackupOptions, CommitInfo, Root, SnapshotId, SnapshotWriter},
};

use super::{every_ten_seconds, filters::FilterFlags, on_termination, report, target::Target};
use crate::{
    cli::exit,
    resources::{advice::explained, namespaced, outcome::to_yaml, status::update_status},
};

/// Back the cluster up into the Snapshots of a BackupSession
#[derive(Debug, Args)]
pub struct BackupArgs {
    /// Name of the BackupSession
    #[arg(long)]
    backupsession: String,
    #[command(flatten)]
    filters: FilterFlags,
}

/// One Snapshot, and where it goes.
struct Goal {
    snapshot: String,
    id: SnapshotId,
    target: Target,
}

struct Run {
    progress: Arc<Progress>,
    client: Client,
    namespace: String,
    started: Instant,
}

pub async fn run(args: &BackupArgs, cluster: &Cluster, namespace: &str) -> anyhow::Result<u8> {
    let progress = Arc::new(Progress::default());
    let stop = Arc::clone(&progress);
    on_termination(move || stop.cancelled.store(true, Ordering::Relaxed));
    let run = Run { progress, client: cluster.client(), namespace: namespace.to_owned(), started: Instant::now() };
    let snapshots = run.snapshots(&args.backupsession).await?;
    anyhow::ensure!(!snapshots.is_empty(), "BackupSession {namespace}/{} has no Snapshots yet", args.backupsession);
    let mut goals = Vec::new();
    let mut failures = 0;
    for snapshot in snapshots {
        match run.reach(&snapshot).await {
            // A Pod that was started again finds what it has done.
            Ok(None) => {}
            Ok(Some(goal)) => goals.push(goal),
            Err(error) => {
                failures += 1;
                run.fail(&snapshot.name_any(), &error, None).await?;
            }
        }
    }
    if let Err(error) = run.back_up(args, cluster, &goals).await {
        failures += goals.len();
        for goal in &goals {
            run.fail(&goal.snapshot, &error, Some(goal)).await?;
        }
    }
    Ok(if failures == 0 { exit::OK } else { exit::ERROR })
}

impl Run {
    /// The Snapshots of the session, as it lists them.
    async fn snapshots(&self, session: &str) -> anyhow::Result<Vec<Snapshot>> {
        let session = namespaced::<BackupSession>(&self.client, &self.namespace).get(session).await?;
        let api = namespaced::<Snapshot>(&self.client, &self.namespace);
        let mut all = Vec::new();
        for listed in session.status.unwrap_or_default().snapshots {
            all.push(api.get(&listed.name).await?);
        }
        Ok(all)
    }

    async fn reach(&self, snapshot: &Snapshot) -> anyhow::Result<Option<Goal>> {
        if snapshot.status.as_ref().and_then(|status| status.phase).is_some_and(SnapshotPhase::is_completed) {
            return Ok(None);
        }
        let id = snapshot.spec.snapshot_id.parse().with_context(|| format!("spec.snapshotID {:?} is no ULID", snapshot.spec.snapshot_id))?;
        let repository = namespaced::<api::Repository>(&self.client, &self.namespace).get(&snapshot.spec.repository).await?;
        let target = Target::open_or_make(&self.client, repository).await?;
        Ok(Some(Goal { snapshot: snapshot.name_any(), id, target }))
    }

    async fn back_up(&self, args: &BackupArgs, cluster: &Cluster, goals: &[Goal]) -> anyhow::Result<()> {
        if goals.is_empty() {
            return Ok(());
        }
        let filters = args.filters.parameters().backup()?;
        let asked = serde_json::to_value(&filters)?;
        let identity = cluster.identity().await?;
        let plan = plan(&cluster.discover().await?, &filters)?;
        anyhow::ensure!(plan.read().next().is_some(), "the parameters of the task leave no kind to read");
        let progress = &self.progress;
        let (mut writers, mut writing) = (Vec::new(), Vec::new());
        for goal in goals {
            let roots = goal.target.data.snapshots().await?.roots;
            // Committed by a Pod that could not tell it any more.
            if let Some(root) = roots.iter().find(|root| root.id == goal.id) {
                self.succeed(goal, root).await?;
                continue;
            }
            let parent = roots.into_iter().rev().find(|root| root.cluster.uid == identity.uid && root.filters == asked);
            writers.push(goal.target.data.backup(BackupOptions { parent, ..BackupOptions::default() }).await?);
            writing.push(goal);
        }
        if writing.is_empty() {
            return Ok(());
        }
        let writers = Arc::new(writers);
        let report = {
            let names: Vec<String> = writing.iter().map(|goal| goal.snapshot.clone()).collect();
            let (client, namespace, shown) = (self.client.clone(), self.namespace.clone(), Arc::clone(progress));
            let _reporter = every_ten_seconds(move || report_progress(client.clone(), namespace.clone(), names.clone(), Arc::clone(&shown)));
            collect(cluster, &plan, &filters, Arc::clone(&writers), progress).await?
        };
        let writers: Vec<SnapshotWriter> = Arc::into_inner(writers).context("the snapshots are still being written")?;
        let mut first_failure = None;
        for (writer, goal) in writers.into_iter().zip(writing) {
            let info = CommitInfo {
                name: goal.snapshot.clone(),
                id: Some(goal.id),
                // KubeStash calls this moment the snapshot's time; ids are in the same order.
                time: goal.id.time(),
                cluster: identity.clone(),
                filters: asked.clone(),
                resource_version: report.resource_version.clone(),
                kinds: report.kinds.clone(),
                failed_groups: report.failed_groups.clone(),
                tags: Vec::new(),
                duration_ms: self.milliseconds(),
            };
            let done = async { self.succeed(goal, &writer.commit(info).await?).await }.await;
            if let Err(error) = done {
                // The others shall not suffer from it.
                self.fail(&goal.snapshot, &error, Some(goal)).await?;
                first_failure.get_or_insert(error);
            }
        }
        first_failure.map_or(Ok(()), Err)
    }

    fn milliseconds(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    async fn succeed(&self, goal: &Goal, root: &Root) -> anyhow::Result<()> {
        let component = report::succeeded(root, goal.target.stored_bytes().await.unwrap_or(root.stats.stored_bytes));
        self.finish(&goal.snapshot, component, report::partial(root), Some(goal)).await?;
        tracing::info!("Snapshot {}: {} objects, {} new, {} changed", goal.snapshot, root.stats.objects, root.stats.new, root.stats.changed);
        Ok(())
    }

    /// Keeps what was told before: the first cause is the one that counts.
    async fn fail(&self, snapshot: &str, error: &anyhow::Error, goal: Option<&Goal>) -> anyhow::Result<()> {
        let text = explained(error);
        tracing::error!("Snapshot {snapshot}: {text}");
        self.finish(snapshot, report::failed(&text, self.milliseconds()), None, goal).await
    }

    /// Writes the Snapshot's file, and then its status, so that nothing succeeds of which the backend knows nothing.
    async fn finish(&self, name: &str, component: Component, partial: Option<Condition>, goal: Option<&Goal>) -> anyhow::Result<()> {
        let api = namespaced::<Snapshot>(&self.client, &self.namespace);
        let now = Timestamp::now();
        let mut snapshot = api.get(name).await?;
        if snapshot.status.as_ref().and_then(|status| status.phase).is_some_and(SnapshotPhase::is_completed) {
            return Ok(());
        }
        let news: Vec<Condition> = partial.into_iter().collect();
        let whole = [news.clone(), vec![report::uploaded(Ok(()))]].concat();
        report::note(&mut snapshot, component.clone(), whole, now);
        let uploaded = match goal {
            Some(goal) => put_file(goal, snapshot).await.map_err(|error| explained(&error)),
            None => Err("the repository could not be opened".to_owned()),
        };
        let news = [news, vec![report::uploaded(uploaded)]].concat();
        update_status(&api, name, |snapshot: &mut Snapshot| report::note(snapshot, component.clone(), news.clone(), now)).await?;
        Ok(())
    }
}

async fn put_file(goal: &Goal, mut snapshot: Snapshot) -> anyhow::Result<()> {
    // What only this cluster knows of the object.
    snapshot.metadata.managed_fields = None;
    snapshot.metadata.owner_references = None;
    snapshot.metadata.resource_version = None;
    snapshot.metadata.uid = None;
    let yaml = to_yaml(&snapshot)?;
    goal.target.directory.put(&backend::snapshot_file(&goal.snapshot), yaml.into()).await?;
    Ok(())
}

async fn report_progress(client: Client, namespace: String, names: Vec<String>, progress: Arc<Progress>) {
    let api = namespaced::<Snapshot>(&client, &namespace);
    let component = report::running(progress.objects.load(Ordering::Relaxed));
    for name in names {
        let written = update_status(&api, &name, |snapshot: &mut Snapshot| {
            let done = snapshot.status.as_ref().and_then(|status| status.phase).is_some_and(SnapshotPhase::is_completed);
            if !done {
                report::note(snapshot, component.clone(), [], Timestamp::now());
            }
        });
        if let Err(error) = written.await {
            tracing::warn!("the progress of Snapshot {name} cannot be told: {error}");
        }
    }
}
