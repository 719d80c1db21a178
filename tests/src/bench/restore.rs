//! Restores into empty clusters beside raw POSTs of the same objects, restores with nothing to do, dry runs, and plans.

use anyhow::ensure;

use super::{
    figure::{Figure, Size, Target, median},
    fill::Fill,
    planning, process,
    requests::Requests,
    stage::Stage,
    turns::{SNAPSHOT, Turns, empty_cluster},
};
use crate::corpus::Corpus;

/// Where the Secrets are.
const NAMESPACE: &str = "vault";
/// What the dry run chooses: the first 10,000 of them.
const FIRST: (&str, usize) = ("secret-0*", 10_000);
/// The exit code of a restore that had nothing to do, where it was asked for.
const NOTHING_TO_DO: i32 = 5;
/// The share of the raw rate that a restore is to reach.
const RATE: Target = Target::TimesFloor(0.6);
/// Requests for each object, reads included.
const REQUESTS: Target = Target::Value(1.05);

/// So many in a full run, fewer in a smaller one.
fn scaled(size: Size, full: usize) -> usize {
    (size.0 * full / Size::FULL.0).clamp(1, full)
}

/// `restore.*`.
///
/// # Errors
/// When a cluster cannot be filled, an object is not restored, or something was written that should not have been.
pub fn figures(stage: &Stage) -> anyhow::Result<Vec<Figure>> {
    Ok([secrets(stage)?, mixed(stage)?, definitions(stage)?, planning::figures(stage)?].concat())
}

/// Secrets into a new namespace; the same again, with nothing to do; and a dry run where the namespace is there and they are not.
fn secrets(stage: &Stage) -> anyhow::Result<Vec<Figure>> {
    let count = scaled(stage.size(), 31_000);
    let turns = Turns::take(stage, "secrets", &Fill::secrets(NAMESPACE, count), &["-n", NAMESPACE])?.expect_all()?;
    let note = format!("{count} Secrets, the whole command, {:.0} MiB; floor: raw POSTs over 32 connections, their bodies ready", turns.peak_mib());
    let writes = turns.median(|_, _, report| report.write_requests as f64);
    Ok(vec![
        Figure::rate("restore.secrets", turns.rate(), "objects/s").over(Some(turns.raw_rate())).aims_at(RATE).noting(note),
        Figure::cost("restore.requests_per_object", turns.requests_per_object(), "requests")
            .aims_at(REQUESTS)
            .noting(format!("all that the API server counted, for discovery and comparing too; of these {writes:.0} wrote")),
        noop(stage, &turns)?,
        dry_run(stage, &turns, count.min(FIRST.1))?,
    ])
}

fn noop(stage: &Stage, turns: &Turns) -> anyhow::Result<Figure> {
    let (mut seconds, mut reads) = (Vec::new(), 0);
    for _ in 0..stage.options.rounds {
        let before = Requests::so_far(&turns.restored)?;
        let mut command = turns.command(&turns.restored, &["restore", SNAPSHOT, "-n", NAMESPACE, "--yes", "--detailed-exit-code"]);
        seconds.push(process::run(&mut command)?.expect("a restore with nothing to do", &[NOTHING_TO_DO])?.seconds);
        let asked = Requests::so_far(&turns.restored)?.since(&before);
        ensure!(asked.writes().is_empty() && asked.tried() == 0, "a restore with nothing to do wrote: {}", asked.writes().join(", "));
        reads = asked.all();
    }
    let note = format!("everything is there already; {reads} reads, no write");
    Ok(Figure::cost("restore.noop", median(seconds).unwrap_or_default(), "s").noting(note))
}

fn dry_run(stage: &Stage, turns: &Turns, count: usize) -> anyhow::Result<Figure> {
    let cluster = empty_cluster()?;
    // What would go into a namespace that the restore has yet to make cannot be checked.
    cluster.kubectl(&["create", "namespace", NAMESPACE]);
    let mut seconds = Vec::new();
    for _ in 0..stage.options.rounds {
        let before = Requests::so_far(&cluster)?;
        let mut command = turns.command(&cluster, &["restore", SNAPSHOT, "-n", NAMESPACE, "--name", FIRST.0, "--dry-run=server"]);
        seconds.push(process::run(&mut command)?.expect("the dry run", &[0])?.seconds);
        let asked = Requests::so_far(&cluster)?.since(&before);
        ensure!(asked.writes().is_empty(), "a dry run wrote: {}", asked.writes().join(", "));
        ensure!(asked.tried() >= count as u64, "a dry run asked about {} of {count} objects", asked.tried());
    }
    let note = format!("{count} Secrets, each checked and admitted by the API server; nothing was written");
    Ok(Figure::cost("restore.dry_run", median(seconds).unwrap_or_default(), "s").aims_at_in(stage.size(), Target::Value(30.0)).noting(note))
}

/// The made-up cluster into an empty one.
fn mixed(stage: &Stage) -> anyhow::Result<Vec<Figure>> {
    let corpus = Corpus::new(scaled(stage.size(), 20_000), &stage.options.seed);
    let turns = Turns::take(stage, "mixed", &Fill::corpus(&corpus), &[])?;
    let created = turns.median(|_, _, report| report.created as f64);
    let note = format!(
        "{created:.0} objects of the corpus, {:.0} MiB; floor: raw POSTs of all {}, also of events, nodes and leases, which a restore leaves out",
        turns.peak_mib(),
        corpus.len()
    );
    Ok(vec![
        Figure::rate("restore.mixed", turns.rate(), "objects/s").over(Some(turns.raw_rate())).aims_at(RATE).noting(note),
        Figure::cost("restore.mixed_requests_per_object", turns.requests_per_object(), "requests").aims_at(REQUESTS),
    ])
}

/// Definitions with objects into an empty cluster: how long it waits for kinds to be served.
fn definitions(stage: &Stage) -> anyhow::Result<Vec<Figure>> {
    let count = scaled(stage.size(), 300);
    let fill = Fill::definitions(count);
    let turns = Turns::take(stage, "definitions", &fill, &[])?.expect_all()?;
    let waiting = turns.median(|raw, used, _| (used.seconds - raw.posting).max(0.0));
    let note = format!(
        "{count} definitions and {} objects of them: seconds beyond those of raw POSTs, so reading and comparing too; {}",
        fill.objects() - count,
        "floor: from the last raw POST of a definition until all are served"
    );
    let figure = Figure::cost("restore.crds", waiting, "s").over(Some(turns.median(|raw, _, _| raw.waiting)));
    Ok(vec![figure.aims_at_in(stage.size(), Target::Value(10.0)).noting(note)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_run_is_what_was_promised() {
        assert_eq!(scaled(Size::FULL, 31_000), 31_000);
        assert_eq!(scaled(Size(5_000), 31_000), 1_550);
        assert_eq!(scaled(Size(200_000), 300), 300);
        assert_eq!(scaled(Size(1), 300), 1);
    }
}
