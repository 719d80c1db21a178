//! A part of snapshots: what filters and names leave of each, for those who show it.
//!
//! Kinds, namespaces and names are told by catalogs. Labels stand in manifests: of the objects that all else has chosen each manifest is read
//! once, and what came of it is remembered by the manifest's hash. Of the next snapshot only manifests that changed are read.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Mutex, PoisonError},
};

use futures::{StreamExt as _, TryStreamExt as _, stream};

use super::{LabelSelector, Selection, SelectionError, SelectorError};
use crate::{
    cluster::Kind,
    collect::{FilterError, Filters},
    object::{KindInfo, yaml},
    repository::{Catalog, KindOutcome, RepositoryError, Root, Row, Snapshot},
};

/// Manifests read at the same time.
const PARALLEL: usize = 8;
/// Names in a hint.
const FEW: usize = 20;

/// What to show of snapshots.
#[derive(Debug, Default)]
pub struct SnapshotFilter {
    /// Nothing: all of them.
    selection: Option<Selection>,
    /// Whether labels fit, by the hash of the manifest that they stand in. About 40 bytes each.
    known: Mutex<HashMap<[u8; 16], bool>>,
}

/// A filter that cannot be understood.
#[derive(Debug, thiserror::Error)]
pub enum ShowError {
    /// A pattern of kinds or namespaces.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// A pattern of names.
    #[error(transparent)]
    Name(#[from] SelectionError),
    /// The label selector.
    #[error(transparent)]
    Labels(#[from] SelectorError),
}

/// A filter that leaves nothing, or names what is not there.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum NothingShown {
    /// A kind to show of which there is no object.
    #[error("the snapshot holds no {wanted:?}")]
    Kind {
        /// As given.
        wanted: String,
        /// Kinds that are there.
        held: Vec<String>,
    },
    /// A namespace to show in which there is no object.
    #[error("the snapshot holds no namespace {wanted:?}")]
    Namespace {
        /// As given.
        wanted: String,
        /// Namespaces that are there.
        held: Vec<String>,
    },
    /// Each for itself is there.
    #[error("nothing of the snapshot is selected")]
    Nothing,
}

impl NothingShown {
    /// What a person can do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::Kind { held, .. } | Self::Namespace { held, .. } => format!("it holds {}", few(held)),
            Self::Nothing => "look with `kubectl kubestash ls`; fewer filters show more".to_owned(),
        }
    }
}

fn few(names: &[String]) -> String {
    let shown = names.get(..FEW).unwrap_or(names);
    let more = names.len() - shown.len();
    let rest = if more == 0 { String::new() } else { format!(" and {more} more") };
    format!("{}{rest}", shown.join(", "))
}

impl SnapshotFilter {
    /// What the filters of a backup, and names or globs of objects, would have taken.
    ///
    /// # Errors
    /// A pattern or selector that does not parse.
    pub fn new(filters: &Filters, names: &[String]) -> Result<Self, ShowError> {
        if *filters == (Filters { all_kinds: filters.all_kinds, ..Filters::default() }) && names.is_empty() {
            return Ok(Self::default());
        }
        let labels: Option<LabelSelector> = Some(filters.selector.trim()).filter(|text| !text.is_empty()).map(str::parse).transpose()?;
        let selection = Selection::default().filters(filters, [])?.names(names)?.labels(labels);
        Ok(Self { selection: Some(selection), known: Mutex::default() })
    }

    /// Whether it leaves snapshots as they are.
    pub const fn is_everything(&self) -> bool {
        self.selection.is_none()
    }

    /// What is left of a snapshot. An object whose labels cannot be read for damage is left in, so that it is missed by nobody.
    ///
    /// # Errors
    /// `Store` when labels have to be read and the store fails.
    pub async fn of(&self, snapshot: &Snapshot) -> Result<Snapshot, RepositoryError> {
        let Some(selection) = &self.selection else { return Ok(snapshot.clone()) };
        let kinds: Vec<Kind> = snapshot.catalog().kinds().iter().map(|kind| Kind::stored(&kind.info)).collect();
        let selection = selection.clone().among(&kinds);
        let mut rows = admitted(snapshot.catalog(), &selection);
        if selection.needs_labels() {
            let selection = &selection;
            let fitting = stream::iter(rows).map(|row| async move { self.fits(snapshot, row, selection).await.map(|fits| fits.then_some(row)) });
            rows = fitting.buffered(PARALLEL).try_filter_map(|row| async move { Ok(row) }).try_collect().await?;
        }
        Ok(snapshot.only(&rows))
    }

    async fn fits(&self, snapshot: &Snapshot, row: u32, selection: &Selection) -> Result<bool, RepositoryError> {
        let Some(hash) = snapshot.catalog().row(row).map(|row| *row.manifest_hash) else { return Ok(false) };
        if let Some(&fits) = self.known().get(&hash) {
            return Ok(fits);
        }
        let fits = match snapshot.manifest(row).await {
            Err(error) if error.is_damage() => return Ok(true),
            manifest => selection.admits_labels(&labels(&manifest?)),
        };
        self.known().insert(hash, fits);
        Ok(fits)
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<[u8; 16], bool>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether all that it names is in the snapshot, and something of it is left.
    ///
    /// # Errors
    /// See [`NothingShown`].
    pub fn check(&self, whole: &Catalog, shown: &Catalog) -> Result<(), NothingShown> {
        self.check_kinds(whole.kinds().iter().map(|kind| &kind.info))?;
        let namespaces: BTreeSet<&str> = whole.rows().filter_map(namespace_of).collect();
        if let Some(wanted) = self.selection.as_ref().and_then(|selection| selection.unknown_namespace(&namespaces)) {
            return Err(NothingShown::Namespace { wanted: wanted.to_owned(), held: namespaces.into_iter().map(str::to_owned).collect() });
        }
        if shown.is_empty() && !whole.is_empty() { Err(NothingShown::Nothing) } else { Ok(()) }
    }

    /// Whether each kind that it names is in one of several snapshots at least, as far as their roots tell.
    ///
    /// # Errors
    /// `Kind`.
    pub fn check_all(&self, newest: Option<&Catalog>, roots: &[Root]) -> Result<(), NothingShown> {
        let held = |outcome: &KindOutcome| matches!(outcome, KindOutcome::Read { objects, .. } if *objects > 0);
        let told = roots.iter().flat_map(|root| &root.kinds).filter(|report| held(&report.outcome)).map(|report| &report.kind);
        self.check_kinds(told.chain(newest.into_iter().flat_map(Catalog::kinds).map(|kind| &kind.info)))
    }

    fn check_kinds<'a>(&self, infos: impl Iterator<Item = &'a KindInfo>) -> Result<(), NothingShown> {
        let Some(selection) = &self.selection else { return Ok(()) };
        let kinds: BTreeMap<String, &KindInfo> = infos.map(|info| (info.group_resource().to_string(), info)).collect();
        let stored: Vec<Kind> = kinds.values().map(|info| Kind::stored(info)).collect();
        match selection.unknown_kind(&stored).filter(|_| !kinds.is_empty()) {
            Some(wanted) => Err(NothingShown::Kind { wanted: wanted.to_owned(), held: kinds.into_keys().collect() }),
            None => Ok(()),
        }
    }
}

/// Rows that a selection takes, labels apart.
fn admitted(catalog: &Catalog, selection: &Selection) -> Vec<u32> {
    let mut rows = Vec::new();
    for kind in catalog.kinds() {
        let name = kind.info.group_resource();
        rows.extend(catalog.rows_of(kind).filter(|row| selection.admits(&name, row.namespace, row.name)).map(|row| row.number));
    }
    rows
}

/// The namespace that an object is in, or is.
fn namespace_of(row: Row<'_>) -> Option<&str> {
    let is_namespace = row.kind.group.is_empty() && row.kind.resource == "namespaces";
    row.namespace.or(is_namespace.then_some(row.name))
}

/// Labels of a manifest; none in text that is no manifest.
fn labels(manifest: &[u8]) -> BTreeMap<String, String> {
    let object = yaml::read(manifest).unwrap_or_default();
    let labels = object.pointer("/metadata/labels").and_then(serde_json::Value::as_object);
    labels.into_iter().flatten().filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::{
        repository::{Access, BackupOptions, CommitInfo, KeyCost, Part, Password, Repository},
        store::Store,
    };

    /// `namespace/name` or `name`, and the value of the label `app`.
    type Objects = &'static [(&'static str, &'static str)];

    /// Objects by kind.
    const OBJECTS: [(&str, &str, bool, Objects); 4] = [
        ("", "configmaps", true, &[("demo/a", "web"), ("demo/b", "db"), ("other/a", "web")]),
        ("apps", "deployments", true, &[("demo/web", "web"), ("other/web", "web")]),
        ("", "namespaces", false, &[("demo", "web"), ("other", "x")]),
        ("", "secrets", true, &[("demo/s", "web")]),
    ];

    async fn repository() -> (Store, Repository) {
        let (store, password) = (Store::memory(), Password::new("all"));
        let repository = Repository::init(store.clone(), &password, KeyCost::CHEAP, "test", Timestamp::UNIX_EPOCH).await.unwrap();
        repository.add_key(&Password::new("general"), Access::General, KeyCost::CHEAP, "general", Timestamp::UNIX_EPOCH).await.unwrap();
        (store, repository)
    }

    async fn snapshot(repository: &Repository) -> Snapshot {
        let writer = repository.backup(BackupOptions::default()).await.unwrap();
        let writer = tokio::task::spawn_blocking(move || {
            for (group, resource, namespaced, objects) in OBJECTS {
                let (version, kind) = ("v1".to_owned(), resource.trim_end_matches('s').to_owned());
                let mut kind = writer.kind(&KindInfo { group: group.to_owned(), version, resource: resource.to_owned(), kind, namespaced });
                for (key, app) in objects {
                    let (namespace, name) = key.split_once('/').map_or((None, *key), |(namespace, name)| (Some(namespace), name));
                    let object =
                        serde_json::json!({"metadata": {"name": name, "namespace": namespace, "labels": {"app": app}}, "data": {"k": "dg=="}});
                    kind.push(namespace, name, object.to_string().as_bytes()).unwrap();
                }
                kind.finish().unwrap();
            }
            writer
        });
        let root = writer.await.unwrap().commit(CommitInfo::new("one", Timestamp::UNIX_EPOCH)).await.unwrap();
        repository.open_snapshot(&root).await.unwrap()
    }

    fn list(words: &str) -> Vec<String> {
        words.split_whitespace().map(str::to_owned).collect()
    }

    fn filters(namespaces: &str, kinds: &str, selector: &str) -> Filters {
        Filters { include_namespaces: list(namespaces), include_resources: list(kinds), selector: selector.to_owned(), ..Filters::default() }
    }

    fn shown(snapshot: &Snapshot) -> Vec<String> {
        snapshot.catalog().rows().map(|row| row.id().to_string()).collect()
    }

    #[tokio::test]
    async fn a_part_of_a_snapshot_reads_as_the_whole_does() {
        let (store, repository) = repository().await;
        let whole = snapshot(&repository).await;
        let cases = [
            (filters("", "", ""), "", "a b a web web demo other s"),
            (filters("demo", "", ""), "", "a b web demo s"),
            (filters("d*", "cm deploy", ""), "", "a b web"),
            (filters("", "configmaps", "app=web"), "", "a a"),
            (filters("", "", "app=web"), "w* s", "web web s"),
            (filters("", "secrets", "app in (db)"), "", ""),
            (Filters { exclude_namespaces: list("other"), exclude_resources: list("secrets"), ..Filters::default() }, "", "a b web demo"),
        ];
        let general = Repository::open(store, &Password::new("general")).await.unwrap();
        let hidden = general.open_snapshot(whole.root()).await.unwrap();
        for (filters, names, expected) in cases {
            let filter = SnapshotFilter::new(&filters, &list(names)).unwrap();
            let part = filter.of(&whole).await.unwrap();
            let found: Vec<&str> = part.catalog().rows().map(|row| row.name).collect();
            assert_eq!(found, list(expected), "{filters:?} {names}");
            assert_eq!(filter.is_everything(), part.catalog().len() == whole.catalog().len());
            for row in part.catalog().rows() {
                let own = whole.catalog().find(&row.id()).unwrap();
                for read in [Part::Manifest, Part::Status, Part::Server, Part::Redacted] {
                    assert_eq!(part.read(row.number, read).await.unwrap(), whole.read(own, read).await.unwrap());
                }
                assert_eq!((row.sensitive, row.lengths), (row.kind.is_secret(), whole.catalog().row(own).unwrap().lengths));
                assert_eq!(part.catalog().find(&row.id()), Some(row.number));
            }
            // Labels of hidden Secrets are no secrets.
            assert_eq!(shown(&SnapshotFilter::new(&filters, &list(names)).unwrap().of(&hidden).await.unwrap()), shown(&part));
            // A part of a part is one of the whole.
            let last = part.catalog().len().checked_sub(1);
            let of_part = part.only(&last.into_iter().collect::<Vec<_>>());
            assert_eq!(shown(&of_part).first(), shown(&part).last());
        }
    }

    #[tokio::test]
    async fn what_names_nothing_is_told() {
        let whole = snapshot(&repository().await.1).await;
        let told = async |filters: Filters, names: &str| {
            let filter = SnapshotFilter::new(&filters, &list(names)).unwrap();
            let part = filter.of(&whole).await.unwrap();
            filter.check(whole.catalog(), part.catalog()).map_err(|error| (error.to_string(), error.hint()))
        };
        let held = "it holds configmaps, deployments.apps, namespaces, secrets";
        assert_eq!(told(filters("", "cm po", ""), "").await, Err(("the snapshot holds no \"po\"".to_owned(), held.to_owned())));
        let no_namespace = ("the snapshot holds no namespace \"x\"".to_owned(), "it holds demo, other".to_owned());
        assert_eq!(told(filters("demo x", "", ""), "").await, Err(no_namespace));
        assert_eq!(told(filters("demo", "", ""), "nobody").await.unwrap_err().0, "nothing of the snapshot is selected");
        assert_eq!(told(filters("demo", "deploy", "app=web"), "w*").await, Ok(()));
        // Of several snapshots one suffices.
        let filter = SnapshotFilter::new(&filters("x", "secrets", ""), &[]).unwrap();
        assert_eq!(filter.check_all(Some(whole.catalog()), &[]), Ok(()));
        assert_eq!(filter.check_all(None, &[]), Ok(()), "an empty repository holds nothing yet");
        for wrong in [filters("[a", "", ""), filters("", "", "a in")] {
            assert!(SnapshotFilter::new(&wrong, &[]).is_err(), "{wrong:?}");
        }
        assert_eq!(few(&(0..25).map(|n| n.to_string()).collect::<Vec<_>>()).rsplit_once(" and").unwrap().1, " 5 more");
    }
}
