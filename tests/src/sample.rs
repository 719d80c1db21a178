//! Repositories filled without a cluster: made-up objects that go the way of real ones, through the library.

use std::{collections::BTreeMap, path::Path};

use jiff::Timestamp;
use kubestash::{
    api::{BackendMeta, NATIVE_PATH, RepositoryEntry, repository_yaml, snapshot_yaml},
    object::{KindInfo, ObjectId},
    repository::{Access, BackupOptions, KeyCost, Password, Repository, Root, Snapshot},
    store::Store,
};
use serde_json::{Value, json};

use crate::{program::User, write};

/// Opens everything.
pub const PASSWORD: &str = "all of it";
/// Opens everything but the values of Secrets.
pub const GENERAL_PASSWORD: &str = "no secrets";
const DIRECTORY: &str = "sample";

/// How many objects there are: in every namespace so many of every kind.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Namespaces, besides `odd`, which holds what is unusual.
    pub namespaces: usize,
    /// Namespaced kinds.
    pub kinds: usize,
    /// Objects of one kind in one namespace.
    pub each: usize,
    /// Length of an object, about, in bytes.
    pub bytes: usize,
}

impl Shape {
    /// Some hundred objects.
    pub const SMALL: Self = Self { namespaces: 4, kinds: 5, each: 20, bytes: 1500 };
    /// Directories as large as those of a busy cluster.
    pub const WIDE: Self = Self { namespaces: 4, kinds: 5, each: 120, bytes: 3000 };
}

/// A repository in a folder.
#[derive(Debug)]
pub struct Sample {
    folder: tempfile::TempDir,
    entry: RepositoryEntry,
    repository: Repository,
    shape: Shape,
}

impl Sample {
    /// An empty one that the programs find.
    pub async fn new(shape: Shape) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (now, storage) = (Timestamp::now(), Store::local(folder.path(), true).unwrap());
        let entry = RepositoryEntry { name: DIRECTORY.into(), namespace: "default".into(), path: DIRECTORY.into() };
        let mut meta = BackendMeta::new(now);
        meta.repositories.push(entry.clone());
        storage.put("metadata.yaml", meta.write().into()).await.unwrap();
        let directory = storage.sub(DIRECTORY);
        directory.put("repository.yaml", repository_yaml(&entry, now).into()).await.unwrap();
        let repository = Repository::init(directory.sub(NATIVE_PATH), &Password::new(PASSWORD), KeyCost::CHEAP, "all", now).await.unwrap();
        repository.add_key(&Password::new(GENERAL_PASSWORD), Access::General, KeyCost::CHEAP, "general", now).await.unwrap();
        Self { folder, entry, repository, shape }
    }

    /// One with a snapshot `one`.
    pub async fn with_snapshot(shape: Shape) -> Self {
        let sample = Self::new(shape).await;
        sample.back_up("one", 0).await;
        sample
    }

    /// The folder: what `--repo` names.
    pub fn place(&self) -> &Path {
        self.folder.path()
    }

    /// The folder of the native repository, to do harm in.
    pub fn native(&self) -> std::path::PathBuf {
        self.folder.path().join(DIRECTORY).join(NATIVE_PATH)
    }

    /// The repository, with full access.
    pub fn repository(&self) -> &Repository {
        &self.repository
    }

    /// The repository as somebody else sees it, through a store of theirs.
    pub async fn open_with(&self, password: &str, store: impl FnOnce(Store) -> Store) -> Repository {
        let store = store(Store::local(&self.native(), false).unwrap());
        Repository::open(store, &Password::new(password)).await.unwrap()
    }

    /// A user of this repository, without a cluster.
    pub fn user(&self, password: &str) -> User {
        User::new().variable("KUBESTASH_REPO", self.place().to_str().unwrap()).variable("KUBESTASH_PASSWORD", password)
    }

    /// Makes a snapshot. Of one in a hundred objects the text differs from one `revision` to the next.
    pub async fn back_up(&self, name: &str, revision: usize) -> Snapshot {
        self.back_up_on(None, name, revision).await
    }

    /// The same; what did not change is taken over from a snapshot.
    pub async fn back_up_on(&self, parent: Option<&Snapshot>, name: &str, revision: usize) -> Snapshot {
        let kinds = kinds(self.shape).into_iter().map(move |(kind, objects)| {
            let objects = objects.into_iter().map(move |(key, make)| {
                let (namespace, name) = key.split_once('/').map_or((None, key.as_str()), |(namespace, name)| (Some(namespace), name));
                let object = object(namespace, name, &make, revision);
                (key, object)
            });
            (kind, objects)
        });
        let options = BackupOptions { parent: parent.map(|parent| parent.root().clone()), ..BackupOptions::default() };
        let root = write::snapshot(&self.repository, options, name, kinds).await;
        self.write_snapshot_file(&root);
        self.repository.open_snapshot(&root).await.unwrap()
    }

    fn write_snapshot_file(&self, root: &Root) {
        let folder = self.folder.path().join(DIRECTORY).join("snapshots");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(format!("{}.yaml", root.name)), snapshot_yaml(root, &self.entry)).unwrap();
    }

    /// Writes what a mount of a snapshot shows into a folder, by another way: object by object, as the library reads them.
    pub async fn write_tree(snapshot: &Snapshot, full: bool, folder: &Path) {
        for row in snapshot.catalog().rows() {
            let hidden = row.sensitive && snapshot.access() == Access::General;
            let manifest = snapshot.manifest(row.number).await.unwrap();
            let with_status = if hidden { manifest.clone() } else { snapshot.with_status(row.number).await.unwrap() };
            let shown = if full && !hidden { snapshot.whole(row.number).await.unwrap() } else { manifest };
            let path = row.id().mount_path();
            write(&folder.join(&path), &shown);
            write(&folder.join(resources_path(&row.id(), &path)), &with_status);
        }
    }
}

/// KubeStash's layout: `resources/KIND/namespaces/NAMESPACE/FILE` or `resources/KIND/cluster/FILE`.
fn resources_path(id: &ObjectId, path: &str) -> String {
    let file = path.rsplit('/').next().unwrap();
    match &id.namespace {
        Some(namespace) => format!("resources/{}/namespaces/{namespace}/{file}", id.kind),
        None => format!("resources/{}/cluster/{file}", id.kind),
    }
}

fn write(path: &Path, bytes: &[u8]) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

/// What an object is made of.
#[derive(Debug, Clone)]
enum Make {
    Secret(usize),
    Data(usize),
    Workload(usize),
    Bare,
}

fn kind(group: &str, resource: &str, kind: &str, namespaced: bool) -> KindInfo {
    KindInfo { group: group.into(), version: "v1".into(), resource: resource.into(), kind: kind.into(), namespaced }
}

/// Kinds with the keys of their objects, in order.
fn kinds(shape: Shape) -> Vec<(KindInfo, BTreeMap<String, Make>)> {
    let known = [("", "configmaps", "ConfigMap"), ("", "secrets", "Secret"), ("apps", "deployments", "Deployment"), ("", "pods", "Pod")];
    let mut kinds = Vec::new();
    for number in 0..shape.kinds {
        let info = match known.get(number) {
            Some((group, resource, name)) => kind(group, resource, name, true),
            None => kind("example.com", &format!("things{number}"), &format!("Thing{number}"), true),
        };
        let mut objects = BTreeMap::new();
        for namespace in 0..shape.namespaces {
            for at in 0..shape.each {
                let make = match number {
                    0 => Make::Data(shape.bytes),
                    1 => Make::Secret(shape.bytes),
                    _ => Make::Workload(shape.bytes),
                };
                // With a dash: such a namespace sorts before `team`, behind it would stand what is in it.
                objects.insert(format!("team-{namespace}/{}-{at}", info.resource), make);
            }
        }
        if number == 0 {
            objects.extend(odd());
        }
        kinds.push((info, objects));
    }
    let namespaces = (0..shape.namespaces).map(|at| (format!("team-{at}"), Make::Bare)).chain([("odd".to_owned(), Make::Bare)]);
    kinds.push((kind("", "namespaces", "Namespace", false), namespaces.collect()));
    let roles = ["system:controller:job-controller", "system:node", "edit", "two words", "größe", "a.b.c"];
    let roles = roles.into_iter().map(|name| (name.to_owned(), Make::Bare)).collect();
    kinds.push((kind("rbac.authorization.k8s.io", "clusterroles", "ClusterRole", false), roles));
    kinds
}

/// Names at the limits of a file name, an object of a mebibyte, and `team` between those that begin with it.
fn odd() -> BTreeMap<String, Make> {
    let mut objects = BTreeMap::new();
    for length in [249, 250, 251, 252, 253] {
        objects.insert(format!("odd/{}", "n".repeat(length)), Make::Bare);
    }
    // Equal but for the end, which is cut off in the file name.
    objects.insert(format!("odd/{}x", "n".repeat(252)), Make::Data(100));
    objects.insert("odd/large".to_owned(), Make::Data(1 << 20));
    objects.insert("team/between".to_owned(), Make::Data(100));
    objects
}

fn object(namespace: Option<&str>, name: &str, make: &Make, revision: usize) -> Value {
    let seed = mixed(name, namespace);
    let mut metadata = json!({
        "name": name, "uid": format!("{seed:032x}"), "resourceVersion": (seed % 100_000).to_string(), "creationTimestamp": "2026-01-02T03:04:05Z",
        "labels": {"app": format!("app-{}", seed % 17)},
        "managedFields": [{"manager": "kubectl", "operation": "Apply", "fieldsV1": {"f:metadata": {"f:labels": {"f:app": {}}}}}],
    });
    if let Some(namespace) = namespace {
        metadata["namespace"] = namespace.into();
    }
    let changed = if seed.is_multiple_of(100) { revision } else { 0 };
    match make {
        Make::Bare => json!({"metadata": metadata}),
        Make::Data(bytes) => json!({"metadata": metadata, "data": {"text": text(seed, *bytes), "revision": changed.to_string()}}),
        Make::Secret(bytes) => json!({"metadata": metadata, "type": "Opaque", "data": {"token": text(seed, *bytes).replace(['\n', ' '], "A")}}),
        Make::Workload(bytes) => json!({
            "metadata": metadata,
            "spec": {"replicas": changed, "template": {"spec": {"containers": [{"name": "main", "image": format!("registry.example.com/{name}:v{changed}"),
                "env": [{"name": "TEXT", "value": text(seed, *bytes / 2)}]}]}}},
            "status": {"phase": "Running", "message": text(seed + 1, *bytes / 4)},
        }),
    }
}

/// A number that looks random and is always the same for an object.
fn mixed(name: &str, namespace: Option<&str>) -> u64 {
    namespace
        .unwrap_or_default()
        .bytes()
        .chain(name.bytes())
        .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Lines of words, so long.
fn text(seed: u64, bytes: usize) -> String {
    const WORDS: [&str; 16] = [
        "connection",
        "pool",
        "timeout",
        "retry",
        "backoff",
        "interval",
        "threshold",
        "limit",
        "buffer",
        "cache",
        "flush",
        "level",
        "format",
        "region",
        "bucket",
        "offset",
    ];
    let (mut state, mut out) = (seed, String::with_capacity(bytes + 32));
    while out.len() < bytes {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        out.push_str(WORDS[(state >> 60) as usize]);
        out.push_str(&format!("={}", (state >> 40) % 10_000));
        out.push(if state >> 33 & 7 == 0 { '\n' } else { ' ' });
    }
    out
}
