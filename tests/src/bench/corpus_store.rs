//! The corpus itself in a repository: status, server fields and all, as a busy cluster would hold them.

use std::{collections::BTreeMap, path::PathBuf, time::Instant};

use anyhow::{Context as _, ensure};
use jiff::Timestamp;
use kubestash::{
    object::KindInfo,
    repository::{
        BackupOptions, ClusterId, CommitInfo, KeyCost, Password, Repository, Root,
        prune::{Grace, PruneOptions, PruneReport},
    },
    store::{Location, StoreOptions, Traffic},
};

use super::{
    figure::{Figure, Target},
    listing::Gzip,
    machine,
    stage::Stage,
};
use crate::corpus::Corpus;

const MB: f64 = 1e6;
/// Snapshots behind the first.
const DAYS: u32 = 29;

/// Objects of each kind by `namespace/name`, as an API server lists them.
pub(super) type Listed = BTreeMap<String, (KindInfo, BTreeMap<String, Item>)>;

/// An object of a list.
pub(super) struct Item {
    pub(super) namespace: Option<String>,
    pub(super) name: String,
    pub(super) json: String,
}

/// All objects of a corpus.
pub(super) fn listed(corpus: &Corpus) -> Listed {
    let mut kinds = Listed::new();
    for object in corpus.iter() {
        let (namespace, name) = (object.namespace().map(str::to_owned), object.name().to_owned());
        let key = namespace.as_ref().map_or_else(|| name.clone(), |namespace| format!("{namespace}/{name}"));
        let (_, items) = kinds.entry(object.kind.folder()).or_insert_with(|| (object.kind.info(), BTreeMap::new()));
        items.insert(key, Item { namespace, name, json: object.value.to_string() });
    }
    kinds
}

fn back_up(stage: &Stage, repository: &Repository, kinds: &Listed, name: &str, parent: Option<Root>) -> anyhow::Result<Root> {
    let writer = stage.wait(repository.backup(BackupOptions { parent, ..BackupOptions::default() }))?;
    for (info, items) in kinds.values() {
        let mut kind = writer.kind(info);
        for item in items.values() {
            kind.push(item.namespace.as_deref(), &item.name, item.json.as_bytes())?;
        }
        kind.finish()?;
    }
    let info = CommitInfo {
        cluster: ClusterId { uid: "corpus".to_owned(), name: "corpus".to_owned(), server_version: String::new() },
        ..CommitInfo::new(name, Timestamp::now())
    };
    Ok(stage.wait(writer.commit(info))?)
}

/// What the store is asked for until `ls` has the rows of the newest snapshot.
fn opening(stage: &Stage, place: &str, password: &Password, newest: &Root) -> anyhow::Result<Traffic> {
    let store = Location::parse(place)?.open(&StoreOptions::default(), false)?;
    let repository = stage.wait(Repository::open(store.clone(), password))?;
    let root = stage.wait(repository.newest())?.context("there is no snapshot")?;
    ensure!(root == *newest, "another snapshot is the newest");
    stage.wait(repository.open_snapshot(&root))?;
    Ok(store.traffic())
}

/// Forgets all snapshots but one, and frees what is free then.
fn keep_one(stage: &Stage, repository: &Repository, kept: &Root) -> anyhow::Result<PruneReport> {
    for root in stage.wait(repository.snapshots())?.roots.iter().filter(|root| root.id != kept.id) {
        stage.wait(repository.forget(root.id))?;
    }
    let options = PruneOptions { grace: Grace::NONE, ..PruneOptions::new(Timestamp::now()) };
    Ok(stage.wait(repository.prune(options, &mut |_, _, _| {}))?)
}

fn new_repository(stage: &Stage, name: &str, password: &Password) -> anyhow::Result<(PathBuf, Repository)> {
    let folder = stage.path(name);
    let store = Location::parse(folder.to_str().context("the folder's name is not UTF-8")?)?.open(&StoreOptions::default(), true)?;
    let repository = stage.wait(Repository::init(store, password, KeyCost::default(), "bench", Timestamp::now()))?;
    Ok((folder, repository))
}

/// `corpus.*`.
///
/// # Errors
/// When the repository cannot be written.
pub fn figures(stage: &Stage) -> anyhow::Result<Vec<Figure>> {
    let password = Password::generate()?;
    let (folder, repository) = new_repository(stage, "corpus-repository", &password)?;
    let place = folder.to_str().context("the folder's name is not UTF-8")?;
    let corpus = stage.corpus();

    let kinds = listed(&corpus);
    let gzip = Gzip::start()?;
    for item in kinds.values().flat_map(|(_, items)| items.values()) {
        gzip.write(item.json.as_bytes());
    }
    let gzipped = gzip.finish()? as f64 / MB;
    let parent = back_up(stage, &repository, &kinds, "first", None)?;
    let first = machine::bytes_below(&folder)? as f64 / MB;

    let raw = parent.stats.raw_bytes as f64 / MB;
    let root = back_up(stage, &repository, &listed(&stage.corpus().at_revision(1)), "second", Some(parent))?;
    let second = machine::bytes_below(&folder)? as f64 / MB - first;
    let changed = root.stats.changed;
    let mut newest = root;
    for revision in 2..=DAYS {
        newest = back_up(stage, &repository, &listed(&stage.corpus().at_revision(revision)), &format!("day {revision}"), Some(newest))?;
    }
    let all = machine::bytes_below(&folder)? as f64 / MB;
    let opened = opening(stage, place, &password, &newest)?;
    let (started, report) = (Instant::now(), keep_one(stage, &repository, &newest)?);
    let (pruning, pruned) = (started.elapsed(), machine::bytes_below(&folder)? as f64 / MB);
    ensure!(stage.wait(repository.snapshot(newest.id))?.is_some() && report.damage.is_empty(), "the prune met damage: {report:?}");
    let (fresh_folder, fresh) = new_repository(stage, "fresh-repository", &password)?;
    back_up(stage, &fresh, &listed(&stage.corpus().at_revision(DAYS)), "fresh", None)?;
    let fresh = machine::bytes_below(&fresh_folder)? as f64 / MB;
    let size = stage.size();
    Ok(vec![
        Figure::cost("corpus.first", first, "MB")
            .over(Some(gzipped))
            .aims_at_in(size, Target::Value(46.0))
            .noting(format!("the corpus as a busy cluster would hold it, {raw:.0} MB of JSON; floor: gzip -6 of that")),
        Figure::cost("corpus.second", second, "MB")
            .over(Some(gzipped))
            .aims_at_in(size, Target::Value(0.5))
            .noting(format!("{changed} objects changed")),
        Figure::cost("corpus.days", all, "MB")
            .aims_at_in(size, Target::Value(66.0))
            .noting(format!("the first and {DAYS} more, each with as many changes")),
        Figure::cost("corpus.pruned", pruned, "MB")
            .over(Some(fresh))
            .aims_at(Target::TimesFloor(1.1))
            .noting(format!("the last of them alone, after a prune of {:.1} s; floor: a new repository with it", pruning.as_secs_f64())),
        Figure::cost("corpus.open", opened.requests() as f64, "requests")
            .aims_at_in(size, Target::Value(12.0))
            .noting(format!("opening the repository and its newest snapshot, which has {} layers", newest.layers.len())),
        Figure::cost("corpus.open_size", opened.bytes_read as f64 / MB, "MB").aims_at_in(size, Target::Value(5.0)),
    ])
}
