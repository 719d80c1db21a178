//! Empty clusters, filled in turn by raw POSTs and by a restore of the same objects.
//!
//! ```text
//! Fill ─POST─▶ cluster ─backup, once─▶ snapshot ─restore─▶ another cluster      and again, as many rounds as were asked for
//!       timed                                    timed, requests counted
//! ```

use std::process::Command;

use anyhow::{Context as _, ensure};
use kubestash::restore::Report;

use super::{
    figure::median,
    fill::{Fill, Raw},
    process::{self, Used},
    requests::Requests,
    stage::Stage,
};
use crate::{cluster::Cluster, program::User};

/// Name of the snapshot.
pub const SNAPSHOT: &str = "filled";

/// One round.
#[derive(Debug)]
struct Round {
    raw: Raw,
    restore: Restore,
}

/// One restore.
#[derive(Debug)]
struct Restore {
    used: Used,
    report: Report,
    requests: Requests,
}

/// All rounds, and what they leave behind.
#[derive(Debug)]
pub struct Turns {
    /// Who restores; the repository is set in their environment.
    user: User,
    /// The cluster that was restored into last.
    pub restored: Cluster,
    /// Objects that were posted.
    posted: usize,
    rounds: Vec<Round>,
}

/// A cluster that nobody else uses.
///
/// # Errors
/// When every test shares one that was given.
pub fn empty_cluster() -> anyhow::Result<Cluster> {
    let cluster = Cluster::without_controllers();
    ensure!(cluster.state().is_some(), "a restore is measured in clusters of its own; unset KUBESTASH_TEST_KUBECONFIG");
    Ok(cluster)
}

impl Turns {
    /// Takes them. `selected` are the flags that choose what is restored.
    ///
    /// # Errors
    /// When a cluster cannot be filled, or an object is not restored.
    pub fn take(stage: &Stage, what: &str, fill: &Fill, selected: &[&str]) -> anyhow::Result<Self> {
        let user = User::new().variable("KUBESTASH_REPO", &stage.path(&format!("restore-{what}")).to_string_lossy());
        let (mut rounds, mut restored) = (Vec::new(), None);
        for number in 0..stage.options.rounds {
            // One cluster at a time: the last one ends before the next one begins.
            drop(restored.take());
            let original = empty_cluster()?;
            let connection = stage.wait(original.connect());
            let raw = stage.wait(fill.post(&connection))?;
            if number == 0 {
                stage.wait(fill.until_discovered(&connection))?;
                process::run(&mut command(&user, &original, &["backup", "--name", SNAPSHOT]))?.expect("the backup", &[0])?;
            }
            drop(original);
            let cluster = empty_cluster()?;
            let restore = restore(&user, &cluster, selected)?;
            stage.say(&format!(
                "{what}: {} objects in {:.2} s, raw POSTs of {} in {:.2} s and {:.2} s of waiting",
                restore.report.created,
                restore.used.seconds,
                fill.objects(),
                raw.posting,
                raw.waiting
            ));
            rounds.push(Round { raw, restore });
            restored = Some(cluster);
        }
        Ok(Self { user, restored: restored.context("there was no round")?, posted: fill.objects(), rounds })
    }

    /// A command of the same user for some cluster.
    pub fn command(&self, cluster: &Cluster, args: &[&str]) -> Command {
        command(&self.user, cluster, args)
    }

    /// The median of something that each round has: of the raw POSTs, of what the restore took and what it did.
    pub fn median(&self, of: impl Fn(&Raw, &Used, &Report) -> f64) -> f64 {
        median(self.rounds.iter().map(|round| of(&round.raw, &round.restore.used, &round.restore.report))).unwrap_or_default()
    }

    /// Fails when a restore created fewer objects than were posted. It may create one more, of those that the API server keeps itself.
    ///
    /// # Errors
    /// With both numbers.
    pub fn expect_all(self) -> anyhow::Result<Self> {
        for round in &self.rounds {
            let created = round.restore.report.created;
            ensure!(created >= self.posted as u64, "{created} of {} objects were created by a restore", self.posted);
        }
        Ok(self)
    }

    /// Objects a second of the restore, the whole command.
    pub fn rate(&self) -> f64 {
        self.median(|_, used, report| report.created as f64 / used.seconds)
    }

    /// Objects a second of raw POSTs, waiting for definitions included.
    pub fn raw_rate(&self) -> f64 {
        self.median(|raw, _, _| self.posted as f64 / (raw.posting + raw.waiting))
    }

    /// Requests for each object that was created, reads and all.
    pub fn requests_per_object(&self) -> f64 {
        let of = |round: &Round| round.restore.requests.all() as f64 / round.restore.report.created as f64;
        median(self.rounds.iter().map(of)).unwrap_or_default()
    }

    /// Most memory of a restore, MiB.
    pub fn peak_mib(&self) -> f64 {
        self.rounds.iter().map(|round| round.restore.used.peak_mib).fold(0.0, f64::max)
    }
}

fn command(user: &User, cluster: &Cluster, args: &[&str]) -> Command {
    let mut command = user.command(args);
    command.env("KUBECONFIG", cluster.kubeconfig());
    command
}

fn restore(user: &User, cluster: &Cluster, selected: &[&str]) -> anyhow::Result<Restore> {
    let before = Requests::so_far(cluster)?;
    // In part is looked into below, to tell what failed.
    let used = process::run(&mut command(user, cluster, &[&["restore", SNAPSHOT, "--yes"], selected].concat()))?.expect("the restore", &[0, 3])?;
    let requests = Requests::so_far(cluster)?.since(&before);
    let shown = process::run(&mut command(user, cluster, &["restore", "report", "-o", "json"]))?.expect("the report", &[0])?;
    let mut record: serde_json::Value = serde_json::from_str(&shown.out)?;
    let report: Report = serde_json::from_value(record["report"].take()).context("the report of the restore cannot be understood")?;
    ensure!(report.is_complete() && report.created > 0, "the restore is not complete: {:?}", report.causes);
    Ok(Restore { used, report, requests })
}
