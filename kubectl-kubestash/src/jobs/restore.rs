//! `restore`: what the Function `kubedump-restore` runs.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use anyhow::Context as _;
use clap::Args;
use kube::Client;
use kubestash::{
    api::{
        self, COMPONENT, MAX_FAILURES, RestoreComponentStatus, RestoreCounts, RestoreFailure, RestorePhase, RestoreProgress, RestoreSession,
        Snapshot, go_duration,
    },
    cluster::{Cluster, Kind},
    repository::SnapshotId,
    restore::{
        Progress, Report, Selection, Source,
        apply::{self, Mode, Patience},
        observe,
        plan::{Options, Served, plan},
    },
    session::parameters::{boolean, list},
};

use super::{every_ten_seconds, filters::FilterFlags, on_termination, options::OptionFlags, target::Target};
use crate::{
    cli::exit,
    commands::kind_of,
    resources::{advice::explained, namespaced, outcome::one_line, status::update_status},
};

/// Restore a Snapshot as a RestoreSession says
#[derive(Debug, Args)]
pub struct RestoreArgs {
    /// Name of the RestoreSession
    #[arg(long)]
    restoresession: String,
    /// Name of the Snapshot
    #[arg(long)]
    snapshot: String,
    #[command(flatten)]
    filters: FilterFlags,
    #[command(flatten)]
    options: OptionFlags,
    /// Names to restore, as globs
    #[arg(long, default_value = "")]
    names: String,
    /// Whether to restore PersistentVolumes
    #[arg(long, default_value = "")]
    restore_pvs: String,
    /// Accepted from KubeStash: one pass in the right order needs no others
    #[arg(long, default_value = "")]
    max_iterations: String,
}

pub async fn run(args: &RestoreArgs, cluster: &Cluster, namespace: &str) -> anyhow::Result<u8> {
    let client = cluster.client();
    let started = Instant::now();
    let session = namespaced::<RestoreSession>(&client, namespace).get(&args.restoresession).await?;
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    on_termination(move || stopped.store(true, Ordering::Relaxed));
    let done = restore(args, cluster, &session, namespace, stop).await;
    let milliseconds = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let status = match &done {
        Ok(report) => finished(report, milliseconds),
        Err(error) => {
            tracing::error!("{}", explained(error));
            RestoreComponentStatus {
                phase: Some(RestorePhase::Failed),
                error: Some(explained(error)),
                duration: Some(go_duration(milliseconds)),
                ..RestoreComponentStatus::default()
            }
        }
    };
    let succeeded = status.phase == Some(RestorePhase::Succeeded);
    note(&client, namespace, &args.restoresession, status).await?;
    Ok(if succeeded { exit::OK } else { exit::ERROR })
}

async fn restore(args: &RestoreArgs, cluster: &Cluster, session: &RestoreSession, namespace: &str, stop: Arc<AtomicBool>) -> anyhow::Result<Report> {
    let client = cluster.client();
    let data = session.spec.data_source.clone().context("spec.dataSource is missing")?;
    let place = data.namespace_or(namespace);
    let snapshot = namespaced::<Snapshot>(&client, place)
        .get(&args.snapshot)
        .await
        .with_context(|| format!("cannot read Snapshot {place}/{}", args.snapshot))?;
    let repository = namespaced::<api::Repository>(&client, place).get(&snapshot.spec.repository).await?;
    let secret = data.encryption_secret.as_ref().map(|secret| secret.resolved(namespace));
    let target = Target::open(&client, repository, secret.as_ref()).await?;
    let id: SnapshotId = snapshot.spec.snapshot_id.parse().with_context(|| format!("Snapshot {place}/{} has no id of ours", args.snapshot))?;
    let root = target.data.snapshot(id).await?;
    let root =
        root.with_context(|| format!("the repository holds no data of Snapshot {place}/{}; it was removed, or its backup failed", args.snapshot))?;
    let same_cluster = cluster.identity().await?.uid == root.cluster.uid;
    let stored = target.data.open_snapshot(&root).await?;
    let discovery = cluster.discover().await?;

    let parameters = args.filters.parameters();
    let filters = parameters.restore(boolean("RestorePVs", &args.restore_pvs)?)?;
    // A kind of the snapshot may be one that this cluster does not serve yet.
    let kinds: Vec<Kind> = stored
        .catalog()
        .kinds()
        .iter()
        .map(|own| discovery.kind(&own.info.group_resource()).cloned().unwrap_or_else(|| Kind::stored(&own.info)))
        .collect();
    let labels = Some(parameters.label_selector.trim()).filter(|selector| !selector.is_empty()).map(str::parse).transpose()?;
    let selection = Selection::default().names(&list(&args.names))?.filters(&filters, &kinds)?.labels(labels);
    let source = Source::Snapshot(stored);
    let given = args.options.parameters().options(&|word| kind_of(word, &source, &discovery))?;
    let options = Options { same_cluster, ..given };
    let plan = plan(&observe(&source, &selection, cluster, Served::from(&discovery), &options).await?, &options);
    let progress = Arc::new(Progress::default());
    let (shown, name, own) = (Arc::clone(&progress), args.restoresession.clone(), namespace.to_owned());
    let started = Instant::now();
    let _reporter = every_ten_seconds(move || {
        let status = running(&shown, started.elapsed().as_secs());
        let (client, name, own) = (client.clone(), name.clone(), own.clone());
        async move {
            if let Err(error) = note(&client, &own, &name, status).await {
                tracing::warn!("the progress cannot be told: {}", one_line(&error));
            }
        }
    });
    let notes = plan.notes.clone();
    let report = apply::apply(Arc::new(plan), source, cluster.clone(), Mode::Write, Patience::default(), stop, progress).await;
    tell(&notes, &report);
    Ok(report)
}

/// What a status has no room for stands in the log.
fn tell(notes: &[String], report: &Report) {
    for warning in notes.iter().chain(&report.warnings) {
        tracing::warn!("{warning}");
    }
    for failure in &report.failures {
        tracing::error!("{}: {}", failure.object, failure.cause);
    }
    if report.more_warnings > 0 {
        tracing::warn!("and {} more warnings", report.more_warnings);
    }
}

async fn note(client: &Client, namespace: &str, name: &str, component: RestoreComponentStatus) -> anyhow::Result<()> {
    update_status(&namespaced(client, namespace), name, |session: &mut RestoreSession| {
        let status = session.status.get_or_insert_default();
        let ended = status.components.get(COMPONENT).and_then(|own| own.phase).is_some_and(RestorePhase::is_completed);
        if !ended {
            status.total_components = Some(1);
            status.components.insert(COMPONENT.to_owned(), component.clone());
            status.phase = Some(status.compute_phase());
        }
    })
    .await?;
    Ok(())
}

fn running(progress: &Progress, seconds: u64) -> RestoreComponentStatus {
    let (done, total) = (progress.done(), progress.total());
    RestoreComponentStatus {
        phase: Some(RestorePhase::Running),
        progress: Some(RestoreProgress {
            seconds_elapsed: i64::try_from(seconds).ok(),
            percent_done: Some(format!("{:.2}", if total == 0 { 0.0 } else { 100.0 * done as f64 / total as f64 })),
            total_files: i64::try_from(total).ok(),
            files_done: i64::try_from(done).ok(),
            ..RestoreProgress::default()
        }),
        ..RestoreComponentStatus::default()
    }
}

/// The end of a restore: what was done, and of what was not, as much as a status may hold.
fn finished(report: &Report, milliseconds: u64) -> RestoreComponentStatus {
    let number = |count: u64| i64::try_from(count).ok();
    let skipped: u64 = report.skipped.values().sum::<u64>() + report.unchanged;
    let total = report.changed() + skipped + report.failed + report.not_attempted;
    let failures = report.failures.iter().take(MAX_FAILURES);
    let error = if report.not_attempted > 0 {
        let why = report.lost.as_ref().map_or_else(String::new, |why| format!(": {why}"));
        Some(format!("stopped before {} of {total} objects{why}; a new RestoreSession goes on from here", report.not_attempted))
    } else {
        let causes: Vec<String> = report.causes.iter().take(3).map(|group| format!("{} objects: {}", group.count, group.cause)).collect();
        (report.failed > 0).then(|| format!("{} of {total} objects were not restored: {}", report.failed, causes.join("; ")))
    };
    RestoreComponentStatus {
        phase: Some(if report.is_complete() { RestorePhase::Succeeded } else { RestorePhase::Failed }),
        duration: Some(go_duration(milliseconds)),
        error,
        counts: Some(RestoreCounts {
            created: number(report.created),
            updated: number(report.updated),
            recreated: number(report.recreated),
            skipped: number(skipped),
            failed: number(report.failed),
            total: number(total),
        }),
        failures: failures.map(|failure| RestoreFailure { object: failure.object.clone(), reason: failure.cause.clone() }).collect(),
        progress: None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: RestoreArgs,
    }

    #[test]
    fn every_parameter_of_the_function_is_a_flag() {
        // A Function passes every parameter, the unset ones empty.
        let settings = kubestash::deploy::Settings::default();
        let function = kubestash::deploy::addon::catalogue(&settings).into_iter().find(|one| one["metadata"]["name"] == "kubedump-restore").unwrap();
        let flags: Vec<String> = function["spec"]["args"]
            .as_array()
            .unwrap()
            .iter()
            .skip(3)
            .map(|arg| {
                let flag = arg.as_str().unwrap().split('=').next().unwrap();
                format!("{flag}=")
            })
            .collect();
        let line = ["restore", "--restoresession=r"].into_iter().chain(flags.iter().map(String::as_str));
        let args = Line::try_parse_from(line).unwrap().args;
        assert_eq!(args.options.parameters(), kubestash::session::parameters::RestoreParameters::default());
        let some =
            Line::try_parse_from(["restore", "--restoresession=r", "--snapshot=s", "--existing=update", "--patches=- {}", "--max-iterations=5"])
                .unwrap()
                .args;
        assert_eq!((some.options.parameters().existing.as_str(), some.options.parameters().patches.as_str()), ("update", "- {}"));
    }
}
