//! The corpus itself in a repository: status, server fields and all, as a busy cluster would hold them.

use std::collections::BTreeMap;

use anyhow::{Context as _, ensure};
use jiff::Timestamp;
use kubestash::{
    object::KindInfo,
    repository::{BackupOptions, ClusterId, CommitInfo, KeyCost, Password, Repository, Root},
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
const DAYS: u32 = 17;

/// Objects of each kind by `namespace/name`, as an API server lists them.
type Listed = BTreeMap<String, (KindInfo, BTreeMap<String, Item>)>;

struct Item {
    namespace: Option<String>,
    name: String,
    json: String,
}

fn listed(corpus: &Corpus) -> Listed {
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

/// `corpus.*`.
///
/// # Errors
/// When the repository cannot be written.
pub fn figures(stage: &Stage) -> anyhow::Result<Vec<Figure>> {
    let folder = stage.path("corpus-repository");
    let place = folder.to_str().context("the folder's name is not UTF-8")?;
    let store = Location::parse(place)?.open(&StoreOptions::default(), true)?;
    let password = Password::generate()?;
    let repository = stage.wait(Repository::init(store, &password, KeyCost::default(), "bench", Timestamp::now()))?;
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
        Figure::cost("corpus.days", all, "MB").noting(format!("the first and {DAYS} more, each with as many changes")),
        Figure::cost("corpus.open", opened.requests() as f64, "requests")
            .aims_at_in(size, Target::Value(12.0))
            .noting(format!("opening the repository and its newest snapshot, which has {} layers", newest.layers.len())),
        Figure::cost("corpus.open_size", opened.bytes_read as f64 / MB, "MB").aims_at_in(size, Target::Value(5.0)),
    ])
}
