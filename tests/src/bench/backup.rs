//! Backups of a loaded cluster: time, processor, memory, bytes.

use std::path::PathBuf;

use anyhow::Context as _;
use kubestash::{
    collect::{Filters, plan},
    object::KindInfo,
};

use super::{
    figure::{Figure, Target, median},
    listing::{self, Listing},
    loaded, machine,
    process::{self, Used},
    stage::Stage,
};
use crate::{corpus::load, program::User};

/// Page sizes tried for the floor; the fastest is taken.
const PAGES: [usize; 3] = [500, 1000, 2000];
/// Everything that was loaded is backed up, also what a backup leaves out by default.
const EVERYTHING: &str = "--all-kinds";
const MB: f64 = 1e6;

/// Names of the first snapshot and of the one after the first change.
pub const SNAPSHOTS: [&str; 2] = ["first", "second"];

/// A backup, and the raw lists that ran before it.
#[derive(Debug)]
struct Round {
    floor: Listing,
    used: Used,
}

/// Timed backups, and the repository they left behind.
#[derive(Debug)]
pub struct Backups {
    /// Who made them; the repository is set in their environment.
    pub user: User,
    /// Where the packs lie.
    pub repository: PathBuf,
    /// Objects of the first snapshot.
    pub objects: usize,
    first: Vec<Round>,
    second: Vec<Round>,
    first_bytes: u64,
    second_bytes: u64,
    changed: usize,
    gzipped: u64,
    page: usize,
}

impl Backups {
    /// Loads a cluster, then takes turns: raw lists, backup; and again with one object in a hundred changed.
    pub(super) fn make(stage: &Stage) -> anyhow::Result<Self> {
        let cluster = loaded::start(stage)?;
        let connection = stage.wait(cluster.connect());
        let discovery = stage.wait(connection.discover())?;
        let filters = Filters { all_kinds: true, ..Filters::default() };
        let kinds: Vec<KindInfo> = plan(&discovery, &filters)?.read().cloned().collect();
        let list = |page| stage.wait(listing::list(&connection, &kinds, page));

        // Once for nothing: the API server has its caches filled afterwards.
        list(PAGES[0])?;
        let mut tried = Vec::new();
        for page in PAGES {
            tried.push((page, list(page)?.seconds));
        }
        let (page, seconds) = tried.iter().copied().min_by(|one, other| one.1.total_cmp(&other.1)).context("no page size was tried")?;
        stage.say(&format!("raw lists of {} kinds take {seconds:.2} s with pages of {page}", kinds.len()));

        let repository = stage.path("repository");
        let user = User::with_cluster(&cluster).variable("KUBESTASH_REPO", &repository.to_string_lossy());
        let round = |name: &str| -> anyhow::Result<Round> {
            let floor = list(page)?;
            let used = process::run(&mut user.command(&["backup", EVERYTHING, "--name", name]))?.expect("the backup", &[0])?;
            stage.say(&format!("{name}: {:.2} s, raw lists {:.2} s, {:.0} MiB", used.seconds, floor.seconds, used.peak_mib));
            Ok(Round { floor, used })
        };
        let (mut first, mut second) = (Vec::new(), Vec::new());
        for _ in 0..stage.options.rounds {
            let _ = std::fs::remove_dir_all(&repository);
            first.push(round(SNAPSHOTS[0])?);
        }
        let first_bytes = machine::bytes_below(&repository)?;
        let (mut second_bytes, mut changed) = (0, 0);
        for revision in 1..=stage.options.rounds {
            let corpus = stage.corpus().at_revision(u32::try_from(revision)?);
            changed = stage.wait(load::change(&connection, &corpus))?;
            second.push(round(&if revision == 1 { SNAPSHOTS[1].to_owned() } else { format!("later-{revision}") })?);
            if revision == 1 {
                second_bytes = machine::bytes_below(&repository)? - first_bytes;
            }
        }
        let gzipped = stage.wait(listing::gzipped(&connection, &kinds, page))?;
        let objects = objects_of(&user, SNAPSHOTS[0])?;
        Ok(Self { user, repository, objects, first, second, first_bytes, second_bytes, changed, gzipped, page })
    }
}

/// How many objects a snapshot holds.
fn objects_of(user: &User, snapshot: &str) -> anyhow::Result<usize> {
    let shown = process::run(&mut user.command(&["snapshots", snapshot, "-o", "json"]))?.expect("snapshots", &[0])?;
    let value: serde_json::Value = serde_json::from_str(&shown.out)?;
    let objects = value.pointer("/0/stats/objects").or_else(|| value.pointer("/stats/objects")).and_then(serde_json::Value::as_u64);
    Ok(objects.context("a snapshot does not say how many objects it holds")? as usize)
}

/// Medians of one kind of backup and of the lists beside it.
fn time(name: &str, rounds: &[Round]) -> Figure {
    let seconds = median(rounds.iter().map(|round| round.used.seconds)).unwrap_or_default();
    Figure::cost(name, seconds, "s").over(median(rounds.iter().map(|round| round.floor.seconds)))
}

/// `backup.*`.
///
/// # Errors
/// As [`Stage::backups`].
pub fn figures(stage: &Stage) -> anyhow::Result<Vec<Figure>> {
    let made = stage.backups()?;
    let size = super::figure::Size(made.objects);
    let all = || made.first.iter().chain(&made.second);
    let peak = all().map(|round| round.used.peak_mib).fold(0.0, f64::max);
    let cpu = |rounds: &[Round]| median(rounds.iter().map(|round| size.per_full(round.used.cpu_seconds))).unwrap_or_default();
    let raw_cpu = median(all().map(|round| size.per_full(round.floor.cpu_seconds)));
    let megabytes = made.first.last().map_or(0.0, |round| round.floor.bytes as f64 / MB);
    let floor = format!("floor: every kind listed raw over 8 connections in pages of {}, {megabytes:.0} MB for {} objects", made.page, made.objects);
    Ok(vec![
        time("backup.first", &made.first).aims_at(Target::TimesFloor(2.0)).noting(floor),
        time("backup.second", &made.second).aims_at(Target::TimesFloor(1.2)).noting(format!("{} objects changed before each", made.changed)),
        Figure::cost("backup.rss", peak, "MiB").aims_at(Target::Value(128.0)),
        Figure::cost("backup.cpu", cpu(&made.first), "s")
            .over(raw_cpu)
            .aims_at(Target::Value(7.0))
            .noting("own processor time for 100,000 objects; floor: that of the raw lists"),
        Figure::cost("backup.cpu_second", cpu(&made.second), "s").over(raw_cpu),
    ])
}

/// `store.*`.
///
/// # Errors
/// As [`Stage::backups`].
pub fn store_figures(stage: &Stage) -> anyhow::Result<Vec<Figure>> {
    let made = stage.backups()?;
    let (first, second) = (made.first_bytes as f64 / MB, made.second_bytes as f64 / MB);
    let gzipped = made.gzipped as f64 / MB;
    Ok(vec![
        Figure::cost("store.first", first, "MB")
            .over(Some(gzipped))
            .aims_at_in(stage.size(), Target::Value(46.0))
            .noting("objects of the loaded cluster, whose status is what the API server makes of a POST; floor: the lists through gzip -6"),
        Figure::cost("store.second", second, "MB")
            .over(Some(gzipped))
            .aims_at_in(stage.size(), Target::Value(0.5))
            .noting(format!("{} objects changed", made.changed)),
    ])
}
