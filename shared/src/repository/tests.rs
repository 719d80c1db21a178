//! The repository as a whole, in memory.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeMap;

use super::*;
use crate::object::{GroupResource, KindInfo, ObjectId};

fn pods() -> KindInfo {
    KindInfo { group: String::new(), version: "v1".into(), resource: "pods".into(), kind: "Pod".into(), namespaced: true }
}

fn secrets() -> KindInfo {
    KindInfo { resource: "secrets".into(), kind: "Secret".into(), ..pods() }
}

fn password() -> Password {
    Password::new("right")
}

async fn new_repository(store: &Store) -> Repository {
    Repository::init(store.clone(), &password(), KeyCost::CHEAP, "test", Timestamp::UNIX_EPOCH).await.unwrap()
}

fn info(name: &str, second: i64) -> CommitInfo {
    CommitInfo {
        name: name.to_owned(),
        time: Timestamp::from_second(second).unwrap(),
        cluster: ClusterId::default(),
        filters: serde_json::Value::Null,
        resource_version: None,
        kinds: Vec::new(),
        failed_groups: Vec::new(),
        tags: Vec::new(),
        duration_ms: 0,
    }
}

/// Objects of a cluster: `(secret, namespace, name)` to a number that makes the content.
type Cluster = BTreeMap<(bool, String), u32>;

fn item(secret: bool, key: &str, value: u32) -> String {
    let (namespace, name) = key.split_once('/').unwrap();
    let filler = "x".repeat((value % 7) as usize * 100);
    if secret {
        format!(
            r#"{{"metadata":{{"name":"{name}","namespace":"{namespace}","uid":"u{value}"}},"data":{{"password":"c2VjcmV0{value:04}"}},"type":"Opaque"}}"#
        )
    } else {
        format!(
            r#"{{"metadata":{{"name":"{name}","namespace":"{namespace}","resourceVersion":"{value}"}},"spec":{{"n":{},"f":"{filler}"}},"status":{{"v":{value}}}}}"#,
            value / 2
        )
    }
}

fn cluster(size: u32, changed: u32) -> Cluster {
    (0..size).map(|n| ((n % 5 == 0, format!("ns-{}/object-{n:05}", n % 3)), if n % 10 == 3 { n + changed } else { n })).collect()
}

async fn back_up(repository: &Repository, cluster: &Cluster, parent: Option<Root>, commit: CommitInfo) -> Result<Root, RepositoryError> {
    let writer = repository.backup(BackupOptions { parent, sensitive: Vec::new() }).await?;
    let cluster = cluster.clone();
    let writer = tokio::task::spawn_blocking(move || {
        for secret in [false, true] {
            let mut kind = writer.kind(&if secret { secrets() } else { pods() });
            for ((_, key), value) in cluster.iter().filter(|((own, _), _)| *own == secret) {
                let (namespace, name) = key.split_once('/').unwrap();
                kind.push(Some(namespace), name, item(secret, key, *value).as_bytes())?;
            }
            kind.finish()?;
        }
        Ok::<_, RepositoryError>(writer)
    })
    .await
    .unwrap()?;
    writer.commit(commit).await
}

async fn assert_holds(repository: &Repository, root: &Root, cluster: &Cluster) {
    let snapshot = repository.open_snapshot(root).await.unwrap();
    assert_eq!(snapshot.catalog().len() as usize, cluster.len());
    for ((secret, key), value) in cluster {
        let (namespace, name) = key.split_once('/').unwrap();
        let kind = if *secret { secrets() } else { pods() };
        let id = ObjectId { kind: kind.group_resource(), namespace: Some(namespace.into()), name: name.into() };
        let row = snapshot.catalog().find(&id).unwrap();
        let whole: serde_json::Value = crate::object::yaml::read(&snapshot.whole(row).await.unwrap()).unwrap();
        let mut sent: serde_json::Value = serde_json::from_str(&item(*secret, key, *value)).unwrap();
        sent["apiVersion"] = "v1".into();
        sent["kind"] = kind.kind.into();
        assert_eq!(whole, sent);
    }
}

#[tokio::test]
async fn a_snapshot_reads_back() {
    let store = Store::memory();
    let repository = new_repository(&store).await;
    let objects = cluster(9000, 0);
    let root = back_up(&repository, &objects, None, info("one", 1)).await.unwrap();
    assert_eq!(root.stats.new, 9000);
    let again = Repository::open(store, &password()).await.unwrap();
    let listed = again.snapshots().await.unwrap();
    assert_eq!(listed.roots, [root]);
    assert_holds(&again, &listed.roots[0], &objects).await;
    let report = again.check(CheckDepth::Data, &mut |_, _| {}).await.unwrap();
    assert!(report.errors.is_empty(), "{report:?}");
    assert!(report.blocks > 10 && report.bytes_read > 0);
}

#[tokio::test]
async fn unchanged_objects_are_taken_over() {
    let repository = new_repository(&Store::memory()).await;
    let (before, after) = (cluster(5000, 0), cluster(5000, 1000));
    let first = back_up(&repository, &before, None, info("one", 1)).await.unwrap();
    let second = back_up(&repository, &after, Some(first.clone()), info("two", 2)).await.unwrap();
    assert_eq!((second.stats.unchanged, second.stats.changed, second.stats.new), (4500, 500, 0));
    assert_eq!(second.parent, Some(first.id));
    assert_holds(&repository, &first, &before).await;
    assert_holds(&repository, &second, &after).await;
    repository.forget(first.id).await.unwrap();
    assert_holds(&repository, &second, &after).await;
}

#[tokio::test]
async fn equal_manifests_have_equal_hashes_whatever_the_server_stamped() {
    let repository = new_repository(&Store::memory()).await;
    let key = (false, "a/b".to_owned());
    let first = back_up(&repository, &Cluster::from([(key.clone(), 8)]), None, info("one", 1)).await.unwrap();
    // 8 and 9 differ in resourceVersion and status, and give the same spec but for its filler.
    let second = back_up(&repository.scratch(), &Cluster::from([(key, 8)]), None, info("two", 2)).await.unwrap();
    let scratch = repository.scratch();
    assert!(scratch.snapshots().await.unwrap().roots.is_empty());
    assert_eq!(first.stats.logical_bytes, second.stats.logical_bytes);
}

#[tokio::test]
async fn passwords_open_what_they_should() {
    let store = Store::memory();
    let repository = new_repository(&store).await;
    let objects = cluster(20, 0);
    let root = back_up(&repository, &objects, None, info("one", 1)).await.unwrap();
    let general = Password::new("general");
    repository.add_key(&general, Access::General, KeyCost::CHEAP, "auditor", Timestamp::UNIX_EPOCH).await.unwrap();
    let error = Repository::open(store.clone(), &Password::new("wrong")).await.unwrap_err();
    assert!(matches!(error, RepositoryError::WrongPassword { keys: 2, .. }), "{error}");

    let limited = Repository::open(store.clone(), &general).await.unwrap();
    assert_eq!(limited.access(), Access::General);
    let snapshot = limited.open_snapshot(&root).await.unwrap();
    let (secret, pod): (Vec<_>, Vec<_>) =
        snapshot.catalog().rows().map(|row| row.number).partition(|&row| snapshot.catalog().row(row).unwrap().sensitive);
    assert!(!snapshot.manifest(pod[0]).await.unwrap().is_empty());
    let hidden = snapshot.manifest(secret[0]).await.unwrap();
    assert!(String::from_utf8_lossy(&hidden).contains("<hidden:"));
    assert!(matches!(snapshot.whole(secret[0]).await, Err(RepositoryError::NeedsSensitiveKey)));
    assert!(matches!(limited.backup(BackupOptions::default()).await, Err(RepositoryError::NeedsSensitiveKey)));

    let keys = repository.keys().await.unwrap();
    let full = keys.iter().find(|key| key.access == Access::Full).unwrap();
    assert!(full.current);
    assert!(matches!(repository.remove_key(&full.id).await, Err(RepositoryError::LastKey { .. })));
    let other = keys.iter().find(|key| key.access == Access::General).unwrap();
    repository.remove_key(&other.id).await.unwrap();
    assert!(Repository::open(store, &general).await.is_err());
}

/// One of each kind of stored object.
fn samples(keys: &[String]) -> Vec<String> {
    ["config", "keys/", "packs/", "index/", "roots/"].iter().map(|kind| keys.iter().find(|key| key.starts_with(kind)).unwrap().clone()).collect()
}

async fn keys_of(store: &Store) -> Vec<String> {
    store.list("").await.unwrap().into_iter().map(|entry| entry.key).collect()
}

/// Reads everything there is; gives what could be read and the errors.
async fn read_all(store: &Store) -> (usize, Vec<String>) {
    let (mut read, mut errors) = (0, Vec::new());
    let repository = match Repository::open(store.clone(), &password()).await {
        Ok(repository) => repository,
        Err(error) => return (0, vec![error.to_string()]),
    };
    let list = repository.snapshots().await.unwrap();
    errors.extend(list.damaged.iter().map(|(_, error)| error.to_string()));
    for root in &list.roots {
        match repository.open_snapshot(root).await {
            Ok(snapshot) => {
                for row in 0..snapshot.catalog().len() {
                    match snapshot.whole(row).await {
                        Ok(_) => read += 1,
                        Err(error) => errors.push(error.to_string()),
                    }
                }
            }
            Err(error) => errors.push(error.to_string()),
        }
    }
    (read, errors)
}

#[tokio::test]
async fn every_flipped_byte_is_found() {
    let store = Store::memory();
    let repository = new_repository(&store).await;
    back_up(&repository, &cluster(6, 0), None, info("one", 1)).await.unwrap();
    for key in samples(&keys_of(&store).await) {
        let good = store.get(&key).await.unwrap();
        for at in 0..good.len() {
            let mut bad = good.to_vec();
            bad[at] ^= 0x10;
            store.put(&key, bad.into()).await.unwrap();
            let (read, errors) = read_all(&store).await;
            let report = match Repository::open(store.clone(), &password()).await {
                Ok(opened) => opened.check(CheckDepth::Data, &mut |_, _| {}).await.unwrap().errors.len(),
                Err(_) => 1,
            };
            // A label or a date in a key file is not protected by itself, and hurts nobody.
            let harmless = key.starts_with("keys/") && read == 6;
            assert!(report > 0 || harmless, "byte {at} of {key} changed and nobody noticed");
            assert!(read < 6 || !errors.is_empty() || report > 0 || harmless);
        }
        store.put(&key, good).await.unwrap();
    }
    assert_eq!(read_all(&store).await, (6, Vec::new()));
}

#[tokio::test]
async fn truncated_and_missing_objects_are_named_and_the_rest_reads() {
    let store = Store::memory();
    let repository = new_repository(&store).await;
    let first = back_up(&repository, &cluster(30, 0), None, info("one", 1)).await.unwrap();
    let packs_of_first: Vec<String> = keys_of(&store).await.into_iter().filter(|key| key.starts_with("packs/")).collect();
    back_up(&repository, &cluster(40, 5000), Some(first), info("two", 2)).await.unwrap();
    for key in keys_of(&store).await.into_iter().filter(|key| !key.starts_with("config") && !key.starts_with("keys")) {
        let good = store.get(&key).await.unwrap();
        for damage in [None, Some(good.slice(..good.len() / 2)), Some(Bytes::new())] {
            match damage {
                None => store.delete(&key).await.unwrap(),
                Some(cut) => store.put(&key, cut).await.unwrap(),
            }
            let (read, errors) = read_all(&store).await;
            let opened = Repository::open(store.clone(), &password()).await.unwrap();
            let report = opened.check(CheckDepth::Structure, &mut |_, _| {}).await.unwrap();
            if store.exists(&key).await.unwrap() || !key.starts_with("roots/") {
                assert!(!report.errors.is_empty(), "{key}: {errors:?}");
                assert!(!errors.is_empty(), "{key}");
            }
            if !packs_of_first.contains(&key) && !key.starts_with("index/") {
                assert!(read >= 30, "{key}: {read} {errors:?}");
            }
        }
        store.put(&key, good).await.unwrap();
    }
    assert_eq!(read_all(&store).await, (70, Vec::new()));
}

#[tokio::test]
async fn cut_off_behind_any_write_nothing_is_lost() {
    for writes in 0.. {
        let store = Store::memory();
        let repository = new_repository(&store).await;
        let (before, after) = (cluster(300, 0), cluster(320, 7000));
        let first = back_up(&repository, &before, None, info("one", 1)).await.unwrap();
        let cut = Repository::open(store.failing_after(writes), &password()).await.unwrap();
        let ended = back_up(&cut, &after, Some(first.clone()), info("two", 2)).await;

        let later = Repository::open(store.clone(), &password()).await.unwrap();
        let report = later.check(CheckDepth::Data, &mut |_, _| {}).await.unwrap();
        assert!(report.errors.is_empty(), "after {writes} writes: {report:?}");
        assert_holds(&later, &first, &before).await;
        let next = back_up(&later, &after, Some(first.clone()), info("three", 3)).await.unwrap();
        assert_holds(&later, &next, &after).await;
        if ended.is_ok() {
            assert_eq!(later.snapshots().await.unwrap().roots.len(), 3);
            assert!(writes >= 3, "packs, index and root are written one by one");
            return;
        }
        assert_eq!(later.snapshots().await.unwrap().roots.len(), 2);
    }
}

#[tokio::test]
async fn what_this_program_does_not_know_is_refused() {
    let store = Store::memory();
    new_repository(&store).await;
    let text = String::from_utf8(store.get("config").await.unwrap().to_vec()).unwrap();
    for (from, to, found) in
        [("\"version\":1", "\"version\":2", "format version 2"), ("\"incompatible\":[]", "\"incompatible\":[\"x\"]", "the feature x")]
    {
        store.put("config", text.replace(from, to).into()).await.unwrap();
        let error = Repository::open(store.clone(), &password()).await.unwrap_err().to_string();
        assert!(error.contains(found), "{error}");
    }
    let empty = Repository::open(Store::memory(), &password()).await.unwrap_err();
    assert!(matches!(empty, RepositoryError::NotARepository { .. }));
    let kind: GroupResource = "pods".parse().unwrap();
    assert_eq!(kind.to_string(), "pods");
}

#[tokio::test]
async fn objects_out_of_order_are_refused() {
    let repository = new_repository(&Store::memory()).await;
    let writer = repository.backup(BackupOptions::default()).await.unwrap();
    tokio::task::spawn_blocking(move || {
        let mut kind = writer.kind(&pods());
        kind.push(Some("a"), "b", br#"{"metadata":{"name":"b"}}"#).unwrap();
        assert!(matches!(kind.push(Some("a"), "a", b"{}"), Err(RepositoryError::OutOfOrder { .. })));
        assert!(matches!(kind.push(Some("a"), "c", b"{"), Err(RepositoryError::Object { .. })));
    })
    .await
    .unwrap();
}
