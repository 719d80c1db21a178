//! The format is what docs/format.md says: a reader that was written from it alone gets the same bytes as the library.
#![cfg(feature = "real")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use kubestash::{
    object::KindInfo,
    repository::{Access, BackupOptions, KeyCost, Password, Repository, Root, Snapshot},
    store::Store,
};
use kubestash_tests::{digits, second_reader, write};
use serde_json::{Value, json};

/// Objects by kind and `namespace/name`.
type Objects = BTreeMap<&'static str, BTreeMap<String, Value>>;

fn kind(name: &str) -> KindInfo {
    let kind = |group: &str, resource: &str, kind: &str, namespaced| KindInfo {
        group: group.into(),
        version: "v1".into(),
        resource: resource.into(),
        kind: kind.into(),
        namespaced,
    };
    match name {
        "configmaps" => kind("", "configmaps", "ConfigMap", true),
        "secrets" => kind("", "secrets", "Secret", true),
        "deployments" => kind("apps", "deployments", "Deployment", true),
        "roles" => kind("rbac.authorization.k8s.io", "clusterroles", "ClusterRole", false),
        "tokens" => kind("example.com", "tokens", "Token", true),
        other => panic!("{other} is no kind of this test"),
    }
}

/// Letters and digits that do not compress, the same at every run.
fn noise(seed: u64, length: usize) -> String {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"[(state >> 58) as usize])
    };
    std::iter::repeat_with(next).take(length).collect()
}

fn metadata(namespace: Option<&str>, name: &str, version: u32) -> Value {
    let mut metadata = json!({"name": name, "uid": digits::uuid(name), "resourceVersion": version.to_string(), "creationTimestamp": "2026-01-01T00:00:00Z",
        "labels": {"app.kubernetes.io/name": name, "yes": "no"}, "annotations": {"note": "two\nlines\n", "checksum/config": digits::hash(name), "owner": digits::uuid(name), "again": digits::uuid(name), "long": "word ".repeat(40)},
        "managedFields": [{"manager": "kubectl", "operation": "Apply", "fieldsV1": {"f:spec": {"f:x": {}}}}]});
    if let Some(namespace) = namespace {
        metadata["namespace"] = namespace.into();
    }
    metadata
}

/// `generation` 0 and 1 differ in some of everything.
fn objects(generation: u32) -> Objects {
    let mut objects = Objects::new();
    let changed = |n: u32| if n % 7 == 3 { generation } else { 0 };
    let mut put = |kind: &'static str, key: String, value: Value| objects.entry(kind).or_default().insert(key, value);
    // More rows than one segment holds, and more bytes than one pack.
    for n in 0..4300 {
        let (namespace, name) = (["a", "a-b", "shop"][n as usize % 3], format!("settings-{n:05}"));
        let noise = noise(n.into(), if n % 300 == 0 { 900_000 } else { 20 });
        put(
            "configmaps",
            format!("{namespace}/{name}"),
            json!({"metadata": metadata(Some(namespace), &name, n + changed(n)), "data": {"n": (n + changed(n)).to_string(), "noise": noise}}),
        );
    }
    // Some are gone, some are new.
    for n in generation * 5..200 + generation * 5 {
        let name = format!("password-{n}");
        put(
            "secrets",
            format!("shop/{name}"),
            json!({"metadata": metadata(Some("shop"), &name, n), "type": "Opaque", "data": {"password": noise(u64::from(n + 9 * changed(n)), 40), "text": STANDARD.encode(format!("user number {n}\nof a database\n"))}}),
        );
    }
    for n in 0..300 {
        let name = format!("web-{n}");
        let awkward = json!({"zebra": 1, "alpha": [true, null, 1.5, "0x1F", "it's"], "spec": {"replicas": n}, "statusX": "behind status", "statu": 2, "stat3": 3});
        let mut deployment = json!({"metadata": metadata(Some("shop"), &name, n), "status": {"readyReplicas": n + changed(n), "text": "a: b"}});
        deployment.as_object_mut().unwrap().extend(awkward.as_object().unwrap().clone());
        // Keys between and around those of the server, one of them to be quoted.
        for key in ["uid2", "creationTimestam", "generation-x", "Ümlaut", "yes", "z", "finalizers"] {
            deployment["metadata"][key] = json!(["x", {"y": "z"}]);
        }
        put("deployments", format!("shop/{name}"), deployment);
    }
    for name in ["system:a".to_owned(), "cluster-admin".to_owned(), "é".repeat(200), "long-".repeat(100)] {
        put("roles", name.clone(), json!({"metadata": metadata(None, &name, 1), "rules": []}));
    }
    if generation == 0 {
        for n in 0..30 {
            let name = format!("token-{n}");
            put(
                "tokens",
                format!("a/{name}"),
                json!({"metadata": metadata(Some("a"), &name, n), "spec": {"token": noise(n.into(), 30)}, "status": {"used": n}}),
            );
        }
    }
    objects
}

async fn back_up(repository: &Repository, objects: Objects, parent: Option<Root>, name: &str) -> Root {
    let options = BackupOptions { parent, sensitive: vec![kind("tokens").group_resource()], ..BackupOptions::default() };
    write::snapshot(repository, options, name, objects.into_iter().map(|(name, objects)| (kind(name), objects))).await
}

fn files_below(folder: &Path) -> BTreeSet<PathBuf> {
    let mut files = BTreeSet::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { assert!(files.insert(path)) }
        }
    }
    files
}

/// What the second reader extracts is what the library reads: the same files, and in each the same bytes.
async fn compare(folder: &Path, password: &Path, snapshot: &Snapshot, full: bool) {
    let name = &snapshot.root().name;
    let target = tempfile::tempdir().unwrap();
    let mut arguments = vec![name.as_str(), target.path().to_str().unwrap()];
    if full {
        arguments.push("--full");
    }
    let ran = second_reader::read(folder, password, &arguments);
    assert!(ran.status.success(), "{name}: {}", String::from_utf8_lossy(&ran.stderr));
    let mut extracted = files_below(target.path());
    for row in snapshot.catalog().rows() {
        let hidden = row.sensitive && snapshot.access() == Access::General;
        let ours = if full && !hidden { snapshot.whole(row.number).await } else { snapshot.manifest(row.number).await }.unwrap();
        let path = target.path().join(row.id().mount_path());
        assert!(extracted.remove(&path), "{} was not extracted", path.display());
        assert!(std::fs::read(&path).unwrap() == ours, "{} differs", path.display());
    }
    assert!(extracted.is_empty(), "{extracted:?} are no objects");
}

#[test]
fn a_reader_written_from_the_specification_reads_the_same() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("repository");
        let password_file = |name: &str| {
            let path = home.path().join(name);
            std::fs::write(&path, format!("the password of {name}\n")).unwrap();
            (Password::new(format!("the password of {name}")), path)
        };
        let ((full, full_file), (general, general_file), (_, wrong_file)) =
            (password_file("full"), password_file("general"), password_file("nobody"));
        let store = Store::local(&folder, true).unwrap();
        let repository = Repository::init(store.clone(), &full, KeyCost::default(), "first", Timestamp::now()).await.unwrap();
        repository.add_key(&general, Access::General, KeyCost::CHEAP, "audit: \"quoted\"\n", Timestamp::now()).await.unwrap();
        let first = back_up(&repository, objects(0), None, "first").await;
        let second = back_up(&repository, objects(1), Some(first.clone()), "second").await;
        assert!(second.stats.unchanged > 3000 && second.stats.changed > 100 && second.stats.new == 5, "{:?}", second.stats);
        let layered = repository.write_layered(&first, &second, "layered").await.unwrap();
        assert_eq!(layered.layers.len(), 2);
        let packs = store.list("packs").await.unwrap().len();
        assert!(packs > 4, "only {packs} packs");

        let limited = Repository::open(store, &general).await.unwrap();
        for (root, full) in [(&first, true), (&second, false), (&second, true), (&layered, true)] {
            compare(&folder, &full_file, &repository.open_snapshot(root).await.unwrap(), full).await;
        }
        for (root, full) in [(&first, false), (&layered, true)] {
            compare(&folder, &general_file, &limited.open_snapshot(root).await.unwrap(), full).await;
        }
        let listed = second_reader::read(&folder, &general_file, &[]);
        assert_eq!(String::from_utf8_lossy(&listed.stdout).lines().count(), 3);
        let refused = second_reader::read(&folder, &wrong_file, &[]);
        assert_eq!(String::from_utf8_lossy(&refused.stderr), "error: no key opens with this password\n");
    });
}
