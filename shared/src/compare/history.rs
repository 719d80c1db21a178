//! The versions of every object over many snapshots, from their catalogs alone.
//!
//! Snapshots of one cluster and with one set of filters make a *series*: only within one does an absent object tell that it was deleted. A
//! catalog is looked at once and let go. What stays is, for each object and series, its *runs*: stretches of snapshots that have it with the
//! same manifest. A run takes 40 bytes, an object about 100 and its name. A kind that a snapshot could not read ends no run.
//!
//! Snapshots may be unlisted later, when they are forgotten: a version is then shown at the first snapshot of its run that is left.

use std::{
    borrow::Borrow,
    collections::{BTreeMap, HashMap},
    hash::Hash,
};

use jiff::Timestamp;

use crate::{
    object::{GroupResource, KindInfo},
    repository::{BlockId, BlockRange, Catalog, Gaps, Part, Root, SnapshotId},
};

/// Versions of the objects of snapshots.
#[derive(Debug, Default)]
pub struct History {
    series: Vec<Series>,
    /// Kinds in the order in which they were first seen.
    kinds: Vec<HistoryKind>,
    /// Namespaces, likewise.
    namespaces: Interned<String>,
    /// Blocks, which many runs name.
    blocks: Interned<BlockId>,
}

/// Values that are kept once and known by a number.
#[derive(Debug)]
struct Interned<T> {
    values: Vec<T>,
    numbers: HashMap<T, u32>,
}

impl<T> Default for Interned<T> {
    fn default() -> Self {
        Self { values: Vec::new(), numbers: HashMap::new() }
    }
}

impl<T: Clone + Eq + Hash> Interned<T> {
    fn number<Q: Eq + Hash + ToOwned<Owned = T> + ?Sized>(&mut self, value: &Q) -> u32
    where
        T: Borrow<Q>,
    {
        if let Some(&number) = self.numbers.get(value) {
            return number;
        }
        let number = self.values.len() as u32;
        self.values.push(value.to_owned());
        self.numbers.insert(value.to_owned(), number);
        number
    }
}

/// Snapshots of one cluster with equal filters, oldest first.
#[derive(Debug)]
struct Series {
    cluster: String,
    filters: serde_json::Value,
    looks: Vec<Look>,
}

/// One snapshot.
#[derive(Debug)]
struct Look {
    /// What the caller calls it.
    snapshot: u32,
    order: (Timestamp, SnapshotId),
    listed: bool,
    gaps: Gaps,
}

/// All objects of one kind that there ever were. They have numbers that stay what they are.
#[derive(Debug)]
pub struct HistoryKind {
    kind: GroupResource,
    namespaced: bool,
    objects: Vec<Object>,
    /// Numbers of objects, sorted by the bytes of `namespace/name`.
    sorted: Vec<u32>,
    /// Numbers of objects in a namespace, or in none, in the order in which they were first seen.
    within: BTreeMap<Option<u32>, Vec<u32>>,
}

#[derive(Debug)]
struct Object {
    /// `namespace/name` or `name`.
    key: Box<str>,
    runs: Vec<Run>,
}

/// Snapshots of a series, one behind the other, that have an object with the same manifest.
#[derive(Debug, Clone, Copy)]
struct Run {
    /// Place of the first snapshot among those of the series.
    first: u32,
    last: u32,
    hash: [u8; 16],
    block: u32,
    offset: u32,
    length: u32,
    series: u16,
    sensitive: bool,
}

/// One version of an object, or its absence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// The first snapshot that has it, or has the object no more.
    pub snapshot: u32,
    /// Where its text lies; nothing where the object was gone.
    pub content: Option<Content>,
}

/// The text of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Content {
    /// Where it lies, unless a prune has put it elsewhere since.
    pub place: BlockRange,
    /// Whether the object lies under the sensitive key.
    pub sensitive: bool,
}

/// A snapshot that is older than one of its series that was added before: forget all versions and begin anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the snapshot is older than one that was looked at before")]
pub struct OutOfOrder;

impl Series {
    /// The snapshot before a place that has read a kind.
    fn read_before(&self, place: usize, kind: &GroupResource) -> Option<u32> {
        let before = self.looks.get(..place)?;
        before.iter().rposition(|look| look.gaps.has_read(kind)).map(|place| place as u32)
    }

    /// The first snapshot of a run that is listed: one that is known to have the object.
    fn shown(&self, run: &Run, kind: &GroupResource) -> Option<&Look> {
        (run.first..=run.last).filter_map(|place| Some((place, self.looks.get(place as usize)?))).find_map(|(place, look)| {
            let has = place == run.first || place == run.last || look.gaps.has_read(kind);
            (look.listed && has).then_some(look)
        })
    }

    /// The first listed snapshot behind a run, before the next one, that has read the kind and thus lacks the object.
    fn gone(&self, run: &Run, next: Option<&Run>, kind: &GroupResource) -> Option<&Look> {
        let end = next.map_or(self.looks.len(), |next| next.first as usize);
        self.looks.get(run.last as usize + 1..end)?.iter().find(|look| look.listed && look.gaps.has_read(kind))
    }
}

impl HistoryKind {
    /// The kind.
    pub const fn kind(&self) -> &GroupResource {
        &self.kind
    }

    /// Whether its objects live in namespaces.
    pub const fn namespaced(&self) -> bool {
        self.namespaced
    }

    /// Numbers of its objects in a namespace, or of all where it has none, in an order to which others are only added at the end.
    pub fn objects(&self, namespace: Option<u32>) -> &[u32] {
        self.within.get(&namespace).map_or(&[], Vec::as_slice)
    }

    /// Numbers of the same objects, sorted by their names' bytes.
    pub fn sorted(&self, namespace: Option<&str>) -> &[u32] {
        let Some(namespace) = namespace else { return &self.sorted };
        let is = |number: &u32| self.split(*number).0.is_some_and(|own| own == namespace);
        let prefix = format!("{namespace}/");
        let start = self.sorted.partition_point(|&number| self.key(number) < prefix.as_str());
        let rest = self.sorted.get(start..).unwrap_or_default();
        rest.get(..rest.partition_point(is)).unwrap_or_default()
    }

    fn key(&self, object: u32) -> &str {
        self.objects.get(object as usize).map_or("", |object| &object.key)
    }

    fn split(&self, object: u32) -> (Option<&str>, &str) {
        let key = self.key(object);
        match key.split_once('/') {
            Some((namespace, name)) if self.namespaced => (Some(namespace), name),
            _ => (None, key),
        }
    }

    /// Name of an object.
    pub fn name(&self, object: u32) -> &str {
        self.split(object).1
    }

    /// Namespace of an object.
    pub fn namespace(&self, object: u32) -> Option<&str> {
        self.split(object).0
    }

    fn runs(&self, object: u32) -> &[Run] {
        self.objects.get(object as usize).map_or(&[], |object| &object.runs)
    }
}

/// The last run of an object in a series.
fn last_run(runs: &mut [Run], series: u16) -> Option<&mut Run> {
    runs.iter_mut().rev().find(|run| run.series == series)
}

impl History {
    /// Looks at a snapshot. Those of one series come in the order of their times; nothing is read of one whose catalog cannot be.
    /// `hidden`: show of sensitive objects what their values do not tell.
    ///
    /// # Errors
    /// `OutOfOrder`; nothing is changed then.
    pub fn add(&mut self, snapshot: u32, root: &Root, catalog: Option<&Catalog>, hidden: bool) -> Result<(), OutOfOrder> {
        let alike = |series: &Series| series.cluster == root.cluster.uid && series.filters == root.filters;
        let number = self.series.iter().position(alike).unwrap_or_else(|| {
            self.series.push(Series { cluster: root.cluster.uid.clone(), filters: root.filters.clone(), looks: Vec::new() });
            self.series.len() - 1
        });
        let Self { series, kinds, namespaces, blocks } = self;
        let (Some(series), Ok(of)) = (series.get_mut(number), u16::try_from(number)) else { return Ok(()) };
        let (order, place) = ((root.time, root.id), series.looks.len());
        if series.looks.last().is_some_and(|last| last.order >= order) {
            return Err(OutOfOrder);
        }
        let gaps = if catalog.is_some() { root.gaps() } else { Gaps::everything() };
        series.looks.push(Look { snapshot, order, listed: true, gaps });
        let Some(catalog) = catalog else { return Ok(()) };
        for stored in catalog.kinds() {
            let own = kind_of(kinds, &stored.info);
            let before = series.read_before(place, &own.kind);
            let mut added = Vec::new();
            let mut known = 0;
            for row in catalog.rows_of(stored) {
                let key = catalog.key(row.number);
                while own.sorted.get(known).is_some_and(|&number| own.key(number) < key) {
                    known += 1;
                }
                let object = own.sorted.get(known).copied().filter(|&number| own.key(number) == key).unwrap_or_else(|| {
                    let number = own.objects.len() as u32;
                    own.objects.push(Object { key: key.into(), runs: Vec::new() });
                    own.within.entry(row.namespace.map(|name| namespaces.number(name))).or_default().push(number);
                    added.push(number);
                    number
                });
                let Some(Object { runs, .. }) = own.objects.get_mut(object as usize) else { continue };
                let at = place as u32;
                match last_run(runs, of) {
                    // A snapshot between that did not read the kind says nothing against it.
                    Some(run) if run.hash == *row.manifest_hash && before.is_none_or(|before| run.last >= before) => run.last = at,
                    _ => {
                        let part = if hidden && row.sensitive { Part::Redacted } else { Part::Manifest };
                        let Some(text) = catalog.place(row.number, part) else { continue };
                        if runs.is_empty() {
                            // Most objects never change.
                            runs.reserve_exact(1);
                        }
                        let (block, offset, length) = (blocks.number(&text.block), text.offset, text.length);
                        let (hash, sensitive) = (*row.manifest_hash, row.sensitive);
                        runs.push(Run { first: at, last: at, hash, block, offset, length, series: of, sensitive });
                    }
                }
            }
            let HistoryKind { objects, sorted, .. } = own;
            sorted.extend(added);
            sorted.sort_by(|&one, &other| objects.get(one as usize).map(|one| &one.key).cmp(&objects.get(other as usize).map(|other| &other.key)));
        }
        Ok(())
    }

    /// Says which snapshots are there now.
    pub fn list(&mut self, listed: &dyn Fn(u32) -> bool) {
        for look in self.series.iter_mut().flat_map(|series| &mut series.looks) {
            look.listed = listed(look.snapshot);
        }
    }

    /// Forgets what was seen, but for the numbers of kinds, namespaces and objects.
    pub fn forget_versions(&mut self) {
        self.series.clear();
        self.blocks = Interned::default();
        for object in self.kinds.iter_mut().flat_map(|kind| &mut kind.objects) {
            object.runs.clear();
        }
    }

    /// Kinds; the place of one is its number.
    pub fn kinds(&self) -> &[HistoryKind] {
        &self.kinds
    }

    /// A kind by its number.
    pub fn kind(&self, kind: u32) -> Option<&HistoryKind> {
        self.kinds.get(kind as usize)
    }

    /// Namespaces; the place of one is its number.
    pub fn namespaces(&self) -> &[String] {
        &self.namespaces.values
    }

    /// Whether a version of an object is to be seen.
    pub fn is_shown(&self, kind: u32, object: u32) -> bool {
        let Some(kind) = self.kind(kind) else { return false };
        kind.runs(object).iter().any(|run| self.series.get(usize::from(run.series)).is_some_and(|series| series.shown(run, &kind.kind).is_some()))
    }

    /// The versions of an object, oldest first: each at the first snapshot that has it. Equal neighbours are one; absence follows a version,
    /// unless another series saw the object at that time.
    pub fn versions(&self, kind: u32, object: u32) -> Vec<Version> {
        let Some(kind) = self.kind(kind) else { return Vec::new() };
        let runs = kind.runs(object);
        let mut events: Vec<(&str, &Look, Option<&Run>)> = Vec::new();
        for (at, run) in runs.iter().enumerate() {
            let Some(series) = self.series.get(usize::from(run.series)) else { continue };
            let next = runs.get(at + 1..).unwrap_or_default().iter().find(|next| next.series == run.series);
            if let Some(look) = series.shown(run, &kind.kind) {
                events.push((&series.cluster, look, Some(run)));
            }
            if let Some(look) = series.gone(run, next, &kind.kind)
                && !runs.iter().any(|other| other.series != run.series && self.covers(other, &series.cluster, look))
            {
                events.push((&series.cluster, look, None));
            }
        }
        events.sort_by_key(|(_, look, _)| look.order);
        // Each cluster's objects have a life of their own.
        let mut last: HashMap<&str, Option<[u8; 16]>> = HashMap::new();
        let mut versions = Vec::new();
        for (cluster, look, run) in events {
            let hash = run.map(|run| run.hash);
            if last.insert(cluster, hash).unwrap_or_default() == hash {
                continue;
            }
            versions.push(Version { snapshot: look.snapshot, content: run.map(|run| self.content(run)) });
        }
        versions
    }

    fn covers(&self, run: &Run, cluster: &str, look: &Look) -> bool {
        let Some(series) = self.series.get(usize::from(run.series)).filter(|series| series.cluster == cluster) else { return false };
        let order = |place: u32| series.looks.get(place as usize).map(|look| look.order);
        order(run.first) <= Some(look.order) && Some(look.order) <= order(run.last)
    }

    fn content(&self, run: &Run) -> Content {
        let block = self.blocks.values.get(run.block as usize).copied().unwrap_or(BlockId([0; 32]));
        Content { place: BlockRange { block, offset: run.offset, length: run.length }, sensitive: run.sensitive }
    }

    /// The text that an object had in a snapshot, whether that is listed or not.
    pub fn at(&self, kind: u32, object: u32, snapshot: u32) -> Option<Content> {
        self.kind(kind)?.runs(object).iter().find_map(|run| {
            let looks = &self.series.get(usize::from(run.series))?.looks;
            let within = looks.get(run.first as usize..=run.last as usize)?;
            within.iter().any(|look| look.snapshot == snapshot).then(|| self.content(run))
        })
    }
}

fn kind_of<'a>(kinds: &'a mut Vec<HistoryKind>, info: &KindInfo) -> &'a mut HistoryKind {
    let at = kinds.iter().position(|own| own.kind.group == info.group && own.kind.resource == info.resource).unwrap_or(kinds.len());
    if at == kinds.len() {
        let (kind, namespaced) = (info.group_resource(), info.namespaced);
        kinds.push(HistoryKind { kind, namespaced, objects: Vec::new(), sorted: Vec::new(), within: BTreeMap::new() });
    }
    #[allow(clippy::indexing_slicing, reason = "it was found or made above")]
    &mut kinds[at]
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
mod tests {
    use proptest::{prelude::*, test_runner::TestRunner};

    use super::*;
    use crate::{
        repository::{BackupOptions, ClusterId, CommitInfo, KeyCost, KindOutcome, KindReport, Password, Repository, Snapshot},
        store::Store,
    };

    fn configmaps() -> KindInfo {
        KindInfo { group: String::new(), version: "v1".into(), resource: "configmaps".into(), kind: "ConfigMap".into(), namespaced: true }
    }

    async fn repository() -> Repository {
        Repository::init(Store::memory(), &Password::new("p"), KeyCost::CHEAP, "test", Timestamp::UNIX_EPOCH).await.unwrap()
    }

    /// One snapshot: its cluster and filters, its objects with a number that makes the content, and whether the kind could be read.
    #[derive(Debug, Clone)]
    struct Made<'a> {
        cluster: &'a str,
        filters: &'a str,
        objects: BTreeMap<String, u8>,
        gap: bool,
    }

    fn made<'a>(cluster: &'a str, filters: &'a str, objects: &str) -> Made<'a> {
        let (gap, objects) = objects.strip_prefix('?').map_or((false, objects), |objects| (true, objects));
        let one = |word: &str| word.split_once('=').map(|(key, value)| (key.to_owned(), value.parse().unwrap())).unwrap();
        Made { cluster, filters, objects: objects.split_whitespace().map(one).collect(), gap }
    }

    async fn snapshot(repository: &Repository, made: &Made<'_>, second: i64) -> Snapshot {
        let writer = repository.backup(BackupOptions::default()).await.unwrap();
        let objects = made.objects.clone();
        let writer = tokio::task::spawn_blocking(move || {
            let mut kind = writer.kind(&configmaps());
            for (key, value) in &objects {
                let (namespace, name) = key.split_once('/').unwrap();
                let object = serde_json::json!({"metadata": {"name": name, "namespace": namespace}, "data": {"value": value.to_string()}});
                kind.push(Some(namespace), name, object.to_string().as_bytes()).unwrap();
            }
            kind.finish().unwrap();
            writer
        });
        let outcome = KindOutcome::Failed { message: "slow".to_owned() };
        let kinds = if made.gap { vec![KindReport { kind: configmaps(), outcome }] } else { Vec::new() };
        let cluster = ClusterId { uid: made.cluster.to_owned(), ..ClusterId::default() };
        let info = CommitInfo::new(format!("s{second}"), Timestamp::from_second(second).unwrap());
        let root = writer.await.unwrap().commit(CommitInfo { cluster, kinds, filters: made.filters.into(), ..info }).await.unwrap();
        repository.open_snapshot(&root).await.unwrap()
    }

    async fn history(repository: &Repository, all: &[Made<'_>]) -> History {
        let mut history = History::default();
        for (number, made) in (0..).zip(all) {
            let snapshot = snapshot(repository, made, i64::from(number)).await;
            history.add(number, snapshot.root(), Some(snapshot.catalog()), false).unwrap();
        }
        history
    }

    /// `1@0 2@3 -@5`: which content at which snapshot, of every object that shows one.
    async fn timelines(history: &History, repository: &Repository) -> BTreeMap<String, String> {
        let mut lines = BTreeMap::new();
        for (kind, own) in (0..).zip(history.kinds()) {
            for object in own.sorted(None).iter().copied() {
                let mut line = Vec::new();
                for version in history.versions(kind, object) {
                    let value = match version.content {
                        Some(content) => {
                            let text = repository.read(content.place).await.unwrap();
                            let text = String::from_utf8(text.to_vec()).unwrap();
                            let text = text.split_once("\n  value: \"").unwrap_or_else(|| panic!("{text}")).1;
                            assert_eq!(history.at(kind, object, version.snapshot), Some(content));
                            text.split_once('"').unwrap().0.to_owned()
                        }
                        None => "-".to_owned(),
                    };
                    line.push(format!("{value}@{}", version.snapshot));
                }
                assert_eq!(history.is_shown(kind, object), !line.is_empty());
                if !line.is_empty() {
                    lines.insert(own.key(object).to_owned(), line.join(" "));
                }
            }
        }
        lines
    }

    #[tokio::test]
    async fn versions_are_told_by_what_snapshots_have_seen() {
        let (a, b) = ("a", "b");
        let cases: [(&str, Vec<Made<'_>>, &[u32], &str); 10] = [
            ("equal neighbours are one", vec![made(a, "", "n/x=1"), made(a, "", "n/x=1"), made(a, "", "n/x=2")], &[], "1@0 2@2"),
            ("back to what it was", vec![made(a, "", "n/x=1"), made(a, "", "n/x=2"), made(a, "", "n/x=1")], &[], "1@0 2@1 1@2"),
            ("deleted and made again", vec![made(a, "", "n/x=1"), made(a, "", ""), made(a, "", ""), made(a, "", "n/x=1")], &[], "1@0 -@1 1@3"),
            ("a kind that could not be read is no deletion", vec![made(a, "", "n/x=1"), made(a, "", "?"), made(a, "", "n/x=1")], &[], "1@0"),
            ("nor does it hide one", vec![made(a, "", "n/x=1"), made(a, "", "?"), made(a, "", "")], &[], "1@0 -@2"),
            ("other filters do not see it", vec![made(a, "", "n/x=1"), made(a, "f", ""), made(a, "", "n/x=1"), made(a, "f", "n/x=1")], &[], "1@0"),
            ("other filters see a version", vec![made(a, "", "n/x=1"), made(a, "f", "n/x=2"), made(a, "", "n/x=2")], &[], "1@0 2@1"),
            (
                "what leaves some filters is still there",
                vec![made(a, "", "n/x=1"), made(a, "f", "n/x=1"), made(a, "f", ""), made(a, "", "n/x=1"), made(a, "", ""), made(a, "f", "")],
                &[],
                "1@0 -@4",
            ),
            (
                "clusters apart",
                vec![made(a, "", "n/x=1"), made(b, "", "n/x=2"), made(a, "", "n/x=1"), made(b, "", "n/x=2"), made(b, "", "")],
                &[],
                "1@0 2@1 -@4",
            ),
            (
                "forgotten snapshots",
                vec![made(a, "", "n/x=1"), made(a, "", "?"), made(a, "", "n/x=1"), made(a, "", ""), made(a, "", "")],
                &[0, 3],
                "1@2 -@4",
            ),
        ];
        let repository = repository().await;
        for (what, snapshots, forgotten, expected) in cases {
            let mut history = history(&repository, &snapshots).await;
            history.list(&|number| !forgotten.contains(&number));
            assert_eq!(timelines(&history, &repository).await.remove("n/x").as_deref(), Some(expected), "{what}");
        }
    }

    #[tokio::test]
    async fn objects_keep_their_numbers() {
        let repository = repository().await;
        let all = [made("a", "", "a-b/x=1 a/x=1 a/y=1"), made("a", "", "a/w=1 a/y=1 b/x=1")];
        let mut history = history(&repository, &all).await;
        let names =
            |history: &History, numbers: &[u32]| -> Vec<String> { numbers.iter().map(|&number| history.kinds()[0].key(number).to_owned()).collect() };
        assert_eq!(history.namespaces(), ["a-b", "a", "b"]);
        assert_eq!(names(&history, &[0, 1, 2, 3, 4]), ["a-b/x", "a/x", "a/y", "a/w", "b/x"]);
        assert_eq!(names(&history, history.kinds()[0].objects(Some(1))), ["a/x", "a/y", "a/w"]);
        assert_eq!(names(&history, history.kinds()[0].sorted(Some("a"))), ["a/w", "a/x", "a/y"]);
        assert_eq!(names(&history, history.kinds()[0].sorted(Some("nowhere"))), [""; 0]);
        // An older snapshot is none of the next.
        let old = snapshot(&repository, &made("a", "", "c/x=1"), -5).await;
        assert_eq!(history.add(2, old.root(), Some(old.catalog()), false), Err(OutOfOrder));
        history.forget_versions();
        assert!(timelines(&history, &repository).await.is_empty());
        history.add(2, old.root(), Some(old.catalog()), false).unwrap();
        assert_eq!(timelines(&history, &repository).await, [("c/x".to_owned(), "1@2".to_owned())].into());
        assert_eq!(names(&history, &[4, 5]), ["b/x", "c/x"]);
        // A catalog that cannot be read tells nothing.
        let lost = snapshot(&repository, &made("a", "", ""), 9).await;
        history.add(3, lost.root(), None, false).unwrap();
        assert_eq!(timelines(&history, &repository).await["c/x"], "1@2");
    }

    #[test]
    fn memory_is_as_documented() {
        assert_eq!((size_of::<Run>(), size_of::<Object>()), (40, 40));
    }

    /// What somebody sees who looks through the listed snapshots of one series, one by one.
    fn by_hand(all: &[Made<'_>], forgotten: &[bool]) -> BTreeMap<String, String> {
        let mut lines: BTreeMap<String, (Option<u8>, Vec<String>)> = BTreeMap::new();
        let listed = all.iter().enumerate().filter(|(number, _)| !forgotten.get(*number).copied().unwrap_or_default());
        for (number, made) in listed.filter(|(_, made)| !made.gap) {
            for (key, &value) in &made.objects {
                let (last, line) = lines.entry(key.clone()).or_default();
                if last.replace(value) != Some(value) {
                    line.push(format!("{value}@{number}"));
                }
            }
            for (_, (last, line)) in lines.iter_mut().filter(|(key, _)| !made.objects.contains_key(*key)) {
                if last.take().is_some() {
                    line.push(format!("-@{number}"));
                }
            }
        }
        lines.into_iter().map(|(key, (_, line))| (key, line.join(" "))).collect()
    }

    #[test]
    fn it_is_what_looking_through_all_snapshots_gives() {
        let objects = proptest::collection::btree_map("[ab]/[xy]", 1..3_u8, 0..4);
        let snapshots = proptest::collection::vec((objects, proptest::bool::weighted(0.2)), 1..8);
        let strategy = (snapshots, proptest::collection::vec(any::<bool>(), 8));
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let repository = runtime.block_on(repository());
        let mut runner = TestRunner::new(ProptestConfig { cases: 64, ..ProptestConfig::default() });
        let run = runner.run(&strategy, |(snapshots, forgotten)| {
            // What could not be read is not there.
            let make = |(objects, gap): (BTreeMap<String, u8>, bool)| Made {
                cluster: "a",
                filters: "",
                objects: if gap { BTreeMap::new() } else { objects },
                gap,
            };
            let all: Vec<Made<'_>> = snapshots.into_iter().map(make).collect();
            let found = runtime.block_on(async {
                let mut history = history(&repository, &all).await;
                history.list(&|number| !forgotten[number as usize]);
                timelines(&history, &repository).await
            });
            prop_assert_eq!(found, by_hand(&all, &forgotten));
            Ok(())
        });
        run.unwrap();
    }
}
