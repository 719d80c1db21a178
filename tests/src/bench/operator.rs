//! The operator that looks after a fleet: memory, time of the processor while nothing happens, and how soon it turns to a new run.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use k8s_openapi::api::batch::v1::Job;
use kube::{Api, ResourceExt as _, api::PostParams};
use kubestash::{
    api::{BackupConfiguration, BackupSession, Repository, RepositoryPhase},
    session::objects::new_backup_session,
};

use super::{
    figure::{Figure, Target, median},
    fleet::{Fleet, NAMESPACE, name, session_of},
    process::{cpu_seconds_of, peak_kib},
    stage::Stage,
};
use crate::{cluster::Cluster, operator::Operator, program::User, s3::S3Server};

/// How often Prometheus asks, as most installations set it.
const SCRAPE: Duration = Duration::from_secs(30);
/// Between two looks at what the operator does.
const LOOK: Duration = Duration::from_millis(10);
/// What does not come at all.
const PATIENCE: Duration = Duration::from_secs(180);

/// When the first signs of a run were seen, in seconds after it was created.
#[derive(Debug, Clone, Copy)]
struct Reaction {
    status: f64,
    job: f64,
}

/// `operator.*`.
///
/// # Errors
/// When cluster, store or operator cannot be started.
pub fn figures(stage: &Stage) -> anyhow::Result<Vec<Figure>> {
    let fleet = Fleet::of(stage.size());
    let (cluster, server) = (Cluster::without_controllers(), S3Server::start());
    let user = User::with_cluster(&cluster);
    let client = stage.wait(cluster.connect()).client();
    stage.say(&format!("loading {} configurations and {} snapshots", fleet.configurations, fleet.snapshots()));
    let mut operator = Operator::beside(&cluster, &user, &[]);
    cluster.apply(&fleet.manifests(&server));
    let repositories = Api::<Repository>::namespaced(client.clone(), NAMESPACE);
    let ready = |repository: &Repository| repository.status.as_ref().is_some_and(|status| status.phase == Some(RepositoryPhase::Ready));
    stage.wait(until("all Repositories are ready", async || {
        let found = repositories.list(&kube::api::ListParams::default()).await?.items;
        Ok((found.len() == fleet.configurations && found.iter().all(ready)).then_some(()))
    }))?;
    stage.wait(fleet.load(&client))?;

    // One that begins with everything there: memory is highest when all of it is read.
    operator.restart();
    let metrics = stage.wait(until("the operator knows all Snapshots", async || {
        let text = operator.metrics().unwrap_or_default();
        let known = text.lines().filter(|line| line.starts_with("storage_kubestash_com_snapshot_info")).count();
        Ok((known == fleet.snapshots()).then_some(text.len()))
    }))?;
    stage.wait(settle(&operator))?;
    let idle = stage.wait(idle(&operator, if stage.size().is_full() { Duration::from_secs(90) } else { Duration::from_secs(30) }))?;
    let mut reactions = Vec::new();
    for number in 0..fleet.configurations.min(stage.options.rounds * 3) {
        reactions.push(stage.wait(react(&client, number))?);
    }
    let peak = peak_kib(operator.process()).context("the operator has ended")? as f64 / 1024.0;
    let resident = resident_mib(operator.process()).context("the operator has ended")?;
    let worst = |of: fn(&Reaction) -> f64| reactions.iter().map(of).fold(0.0, f64::max);
    let middle = |of: fn(&Reaction) -> f64| median(reactions.iter().map(of)).unwrap_or_default();
    let seen = format!(
        "peak with {} configurations and {} Snapshots, from start on; {resident:.0} MiB in the end; {:.1} MB of metrics",
        fleet.configurations,
        fleet.snapshots(),
        metrics as f64 / 1e6
    );
    Ok(vec![
        Figure::cost("operator.rss", peak, "MiB").aims_at_in(stage.size(), Target::Value(96.0)).noting(seen),
        Figure::cost("operator.idle_cpu", idle * 100.0, "%")
            .aims_at(Target::Value(1.0))
            .noting(format!("of one core, asked for metrics every {} s", SCRAPE.as_secs())),
        Figure::cost("operator.reaction", worst(|one| one.status), "s").aims_at(Target::Value(2.0)).noting(format!(
            "until the first write, slowest of {} runs; the median is {:.2} s",
            reactions.len(),
            middle(|one| one.status)
        )),
        Figure::cost("operator.first_job", worst(|one| one.job), "s")
            .aims_at(Target::Value(2.0))
            .noting(format!("until the Job is there, slowest as well; the median is {:.2} s", middle(|one| one.job))),
    ])
}

/// Looks until something is there.
async fn until<T>(what: &str, look: impl AsyncFn() -> anyhow::Result<Option<T>>) -> anyhow::Result<T> {
    let start = Instant::now();
    loop {
        if let Some(found) = look().await? {
            return Ok(found);
        }
        ensure!(start.elapsed() < PATIENCE, "{what}: not in {} s", PATIENCE.as_secs());
        tokio::time::sleep(LOOK).await;
    }
}

/// Waits until the operator has looked at everything once: two seconds in which it uses next to no processor.
async fn settle(operator: &Operator) -> anyhow::Result<()> {
    let used = || cpu_seconds_of(operator.process()).context("the operator has ended");
    let (start, mut before) = (Instant::now(), used()?);
    loop {
        tokio::time::sleep(Duration::from_secs(2)).await;
        let now = used()?;
        if now - before < 0.1 {
            return Ok(());
        }
        ensure!(start.elapsed() < PATIENCE, "the operator does not come to rest");
        before = now;
    }
}

/// Share of a core that is used while nothing happens but that Prometheus asks.
async fn idle(operator: &Operator, time: Duration) -> anyhow::Result<f64> {
    let used = || cpu_seconds_of(operator.process()).context("the operator has ended");
    let (start, before) = (Instant::now(), used()?);
    while start.elapsed() < time {
        operator.metrics().context("the operator has ended")?;
        tokio::time::sleep(SCRAPE).await;
    }
    Ok((used()? - before) / start.elapsed().as_secs_f64())
}

/// Creates a run and looks for what the operator does about it.
async fn react(client: &kube::Client, number: usize) -> anyhow::Result<Reaction> {
    let configuration = Api::<BackupConfiguration>::namespaced(client.clone(), NAMESPACE).get(&name(number)).await?;
    let run = new_backup_session(&configuration, session_of(&configuration)?, 0, jiff::Timestamp::now());
    let (runs, jobs) = (Api::<BackupSession>::namespaced(client.clone(), NAMESPACE), Api::<Job>::namespaced(client.clone(), NAMESPACE));
    runs.create(&PostParams::default(), &run).await?;
    let (start, name) = (Instant::now(), run.name_any());
    let status = until("the operator writes the status of a run", async || {
        let found = runs.get_status(&name).await?.status.filter(|status| !status.conditions.is_empty() || status.phase.is_some());
        Ok(found.map(|_| start.elapsed().as_secs_f64()))
    })
    .await?;
    let job = until("a run has its Job", async || Ok(jobs.get_opt(&name).await?.map(|_| start.elapsed().as_secs_f64()))).await?;
    Ok(Reaction { status, job })
}

/// What a process is resident with now.
fn resident_mib(process: u32) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let kib: f64 = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.trim().trim_end_matches(" kB").parse().ok()?;
    Some(kib / 1024.0)
}
