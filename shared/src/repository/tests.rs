//! The repository as a whole, in memory.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeMap;

use super::*;
use crate::object::{GroupResource, KindInfo, ObjectId};

pub(super) fn pods() -> KindInfo {
    KindInfo { group: String::new(), version: "v1".into(), resource: "pods".into(), kind: "Pod".into(), namespaced: true }
}

pub(super) fn secrets() -> KindInfo {
    KindInfo { resource: "secrets".into(), kind: "Secret".into(), ..pods() }
}

pub(super) fn password() -> Password {
    Password::new("right")
}

pub(super) async fn new_repository(store: &Store) -> Repository {
    Repository::init(store.clone(), &password(), KeyCost::CHEAP, "test", Timestamp::UNIX_EPOCH).await.unwrap()
}

pub(super) fn info(name: &str, second: i64) -> CommitInfo {
    CommitInfo::new(name, Timestamp::from_second(second).unwrap())
}

/// Objects of a cluster: `(secret, namespace, name)` to a number that makes the content.
pub(super) type Cluster = BTreeMap<(bool, String), u32>;

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

pub(super) fn cluster(size: u32, changed: u32) -> Cluster {
    (0..size).map(|n| ((n % 5 == 0, format!("ns-{}/object-{n:05}", n % 3)), if n % 10 == 3 { n + changed } else { n })).collect()
}

pub(super) async fn back_up(repository: &Repository, cluster: &Cluster, parent: Option<Root>, commit: CommitInfo) -> Result<Root, RepositoryError> {
    let writer = repository.backup(BackupOptions { parent, ..BackupOptions::default() }).await?;
    fill(writer, cluster).await?.commit(commit).await
}

pub(super) async fn fill(writer: SnapshotWriter, cluster: &Cluster) -> Result<SnapshotWriter, RepositoryError> {
    let cluster = cluster.clone();
    tokio::task::spawn_blocking(move || {
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
    .unwrap()
}

pub(super) async fn assert_holds(repository: &Repository, root: &Root, cluster: &Cluster) {
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
    let second = back_up(&repository.scratch().unwrap(), &Cluster::from([(key, 8)]), None, info("two", 2)).await.unwrap();
    let scratch = repository.scratch().unwrap();
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

    let keys = repository.keys().await.unwrap().keys;
    let full = keys.iter().find(|key| key.access == Access::Full).unwrap();
    assert!(full.current);
    assert!(matches!(repository.remove_key(&full.id).await, Err(RepositoryError::LastKey { .. })));
    let other = keys.iter().find(|key| key.access == Access::General).unwrap();
    let newer = Password::new("a newer general one".to_owned());
    let changed = Repository::open(store.clone(), &general).await.unwrap().change_key(&newer, KeyCost::CHEAP, Timestamp::UNIX_EPOCH).await.unwrap();
    assert_eq!(changed.0, other.id);
    assert!(Repository::open(store.clone(), &general).await.is_err());
    assert_eq!(Repository::open(store.clone(), &newer).await.unwrap().access(), Access::General);
    repository.remove_key(&changed.1).await.unwrap();
    assert!(Repository::open(store, &newer).await.is_err());
}

pub(super) async fn keys_of(store: &Store) -> Vec<String> {
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
async fn truncated_and_missing_objects_are_named_and_the_rest_reads() {
    let store = Store::memory();
    let repository = new_repository(&store).await;
    let first = back_up(&repository, &cluster(30, 0), None, info("one", 1)).await.unwrap();
    let packs_of_first: Vec<String> = keys_of(&store).await.into_iter().filter(|key| key.starts_with("packs/")).collect();
    let (first, root) = (first.id.to_string(), first);
    back_up(&repository, &cluster(40, 5000), Some(root), info("two", 2)).await.unwrap();
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
            let named = |texts: &[String]| texts.iter().any(|text| text.contains(&key));
            let reported: Vec<String> = report.errors.iter().map(|found| found.error.clone()).collect();
            let present = store.exists(&key).await.unwrap();
            match key.split('/').next() {
                // A root that is gone is a snapshot that was forgotten.
                Some("roots") => assert_eq!((read, present, present), (if key.contains(&first) { 40 } else { 30 }, named(&errors), named(&reported))),
                // Packs say themselves what is in them.
                Some("index") => {
                    assert_eq!((read, errors), (70, Vec::new()), "{key}");
                    assert_eq!(named(&reported), present);
                    assert!(reported.iter().any(|text| text.starts_with("an index file is missing or damaged: packs that stand in no other: 2;")));
                }
                _ => {
                    assert!(named(&errors) && named(&reported), "{key}: {errors:?} {reported:?}");
                    assert!(read >= 30 || packs_of_first.contains(&key), "{key}: {read} {errors:?}");
                }
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

/// A config that a program wrote which knows more.
fn with_line(repository: &Repository, text: &str, from: &str, to: &str) -> String {
    let line = text.lines().next().unwrap().replace(from, to);
    write_config(&line, &repository.inner.ring.config_mac(line.as_bytes()).unwrap())
}

#[tokio::test]
async fn what_this_program_does_not_know_is_refused() {
    let store = Store::memory();
    let repository = new_repository(&store).await;
    let text = String::from_utf8(store.get("config").await.unwrap().to_vec()).unwrap();
    for (from, to, found) in
        [("\"version\":1", "\"version\":2", "format version 2"), ("\"incompatible\":[]", "\"incompatible\":[\"x\"]", "the feature x")]
    {
        store.put("config", with_line(&repository, &text, from, to).into()).await.unwrap();
        let error = Repository::open(store.clone(), &password()).await.unwrap_err().to_string();
        assert!(error.contains(found), "{error}");
    }
    let read_only = with_line(&repository, &text, "\"read_only_compatible\":[]", "\"read_only_compatible\":[\"y\"]");
    store.put("config", read_only.into()).await.unwrap();
    let reader = Repository::open(store.clone(), &password()).await.unwrap();
    assert!(reader.snapshots().await.unwrap().damaged.is_empty());
    let root = SnapshotId(ulid::Ulid::nil());
    let refused = [
        reader.backup(BackupOptions::default()).await.map(|_| ()),
        reader.forget(root).await,
        reader.add_key(&password(), Access::Full, KeyCost::CHEAP, "", Timestamp::UNIX_EPOCH).await.map(|_| ()),
        reader.remove_key("").await.map(|_| ()),
    ];
    for result in refused {
        assert!(matches!(result, Err(RepositoryError::ReadOnly { ref found, .. }) if found == "the feature y"), "{result:?}");
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

#[tokio::test]
async fn equal_objects_give_an_equal_catalog() {
    let repository = new_repository(&Store::memory()).await;
    let objects = cluster(9000, 0);
    let first = back_up(&repository, &objects, None, info("one", 1)).await.unwrap();
    let second = back_up(&repository, &objects, Some(first.clone()), info("two", 2)).await.unwrap();
    assert_eq!(first.layers, second.layers);
    assert_eq!(second.stats.stored_bytes, 0);
    let third = back_up(&repository.scratch().unwrap(), &objects, None, info("three", 3)).await.unwrap();
    let tables = |root: &Root| root.layers.iter().map(|layer| (layer.top, layer.rows)).collect::<Vec<_>>();
    assert_eq!(tables(&first), tables(&third), "in other packs");
}

#[tokio::test]
async fn an_object_that_does_not_fit_is_refused_and_the_rest_stored() {
    let repository = new_repository(&Store::memory()).await;
    let writer = repository.backup(BackupOptions::default()).await.unwrap();
    // Small as JSON, large as YAML: every element gets an indent of a kilobyte.
    let (depth, leaves) = (500, 80_000);
    let deep =
        format!(r#"{{"metadata":{{"name":"d"}},"a":{}{}}}"#, r#"{"a":"#.repeat(depth), format!("[{}1]", "1,".repeat(leaves)) + &"}".repeat(depth));
    let writer = tokio::task::spawn_blocking(move || {
        let mut kind = writer.kind(&pods());
        kind.push(None, "a", br#"{"metadata":{"name":"a"}}"#).unwrap();
        let long = "b".repeat(4097);
        let error = kind.push(None, &long, br#"{"metadata":{"name":"b"}}"#).unwrap_err();
        assert!(matches!(error, RepositoryError::Object { source: crate::object::ObjectError::NameTooLong { length: 4097, .. }, .. }), "{error}");
        assert!(error.to_string().len() < 400, "{error}");
        let error = kind.push(None, "d", deep.as_bytes()).unwrap_err();
        assert!(
            matches!(error, RepositoryError::Object { ref object, source: crate::object::ObjectError::ItemTooLarge { .. } } if object == "pods/d")
        );
        kind.push(None, &"e".repeat(4096), br#"{"metadata":{"name":"e"}}"#).unwrap();
        assert_eq!(kind.finish().unwrap().objects, 2);
        writer
    })
    .await
    .unwrap();
    let root = writer.commit(info("one", 1)).await.unwrap();
    assert_eq!(repository.open_snapshot(&root).await.unwrap().catalog().len(), 2);
}

#[tokio::test]
async fn a_backup_does_not_rely_on_packs_that_are_gone() {
    let store = Store::memory();
    let repository = new_repository(&store).await;
    let objects = cluster(500, 0);
    let first = back_up(&repository, &objects, None, info("one", 1)).await.unwrap();
    for key in keys_of(&store).await.into_iter().filter(|key| key.starts_with("packs/")) {
        store.delete(&key).await.unwrap();
    }
    let again = Repository::open(store.clone(), &password()).await.unwrap();
    let second = back_up(&again, &objects, Some(first.clone()), info("two", 2)).await.unwrap();
    assert_eq!(second.stats.unchanged, 0);
    let again = Repository::open(store, &password()).await.unwrap();
    assert_holds(&again, &second, &objects).await;
    // The same blocks are there again, so that the first snapshot can be read as well.
    assert_holds(&again, &first, &objects).await;
}

#[tokio::test]
async fn a_backup_anew_heals_damaged_blocks() {
    let store = Store::memory();
    let repository = new_repository(&store).await;
    let objects = cluster(500, 0);
    let first = back_up(&repository, &objects, None, info("one", 1)).await.unwrap();
    for key in keys_of(&store).await.into_iter().filter(|key| key.starts_with("packs/")) {
        let mut bytes = store.get(&key).await.unwrap().to_vec();
        bytes[100] ^= 1;
        store.put(&key, bytes.into()).await.unwrap();
    }
    let damaged = Repository::open(store.clone(), &password()).await.unwrap();
    let report = damaged.check(CheckDepth::Data, &mut |_, _| {}).await.unwrap();
    assert!(report.errors.iter().any(|error| !error.snapshots.is_empty()), "{report:?}");
    let writer = damaged.backup(BackupOptions { anew: true, ..BackupOptions::default() }).await.unwrap();
    fill(writer, &objects).await.unwrap().commit(info("two", 2)).await.unwrap();
    let healed = Repository::open(store, &password()).await.unwrap();
    assert_holds(&healed, &first, &objects).await;
    let report = healed.check(CheckDepth::Data, &mut |_, _| {}).await.unwrap();
    assert!(report.errors.iter().all(|error| error.error.ends_with("no block is lost by it") && error.snapshots.is_empty()), "{report:?}");
}

#[tokio::test]
async fn data_without_its_config_is_never_taken_for_an_empty_place() {
    let store = Store::memory();
    let repository = new_repository(&store).await;
    back_up(&repository, &cluster(5, 0), None, info("one", 1)).await.unwrap();
    let config = store.get("config").await.unwrap();
    store.delete("config").await.unwrap();
    assert!(matches!(Repository::open(store.clone(), &password()).await, Err(RepositoryError::ConfigMissing { .. })));
    let again = Repository::init(store.clone(), &password(), KeyCost::CHEAP, "", Timestamp::UNIX_EPOCH).await;
    assert!(matches!(again, Err(RepositoryError::ConfigMissing { .. })));
    store.put("config", config).await.unwrap();
    assert_eq!(read_all(&store).await.0, 5);
}

#[tokio::test]
async fn a_key_left_over_from_another_init_opens_nothing_and_can_be_removed() {
    let store = Store::memory();
    new_repository(&store).await;
    // Cut off before the config was written.
    store.delete("config").await.unwrap();
    let repository = new_repository(&store).await;
    let list = repository.keys().await.unwrap();
    assert_eq!((list.keys.len(), list.damaged.len()), (1, 1));
    assert!(matches!(repository.remove_key(&list.keys[0].id).await, Err(RepositoryError::LastKey { .. })));
    let report = repository.check(CheckDepth::Structure, &mut |_, _| {}).await.unwrap();
    assert!(report.errors[0].error.contains("a key of another repository"), "{report:?}");
    repository.remove_key(&list.damaged[0].0).await.unwrap();
    assert!(repository.keys().await.unwrap().damaged.is_empty());
    assert!(Repository::open(store, &password()).await.is_ok());
}

#[tokio::test]
async fn stored_objects_of_impossible_size_are_not_read() {
    let store = Store::memory();
    let repository = new_repository(&store).await;
    back_up(&repository, &cluster(6, 0), None, info("one", 1)).await.unwrap();
    for kind in ["config", "keys/"] {
        let key = keys_of(&store).await.into_iter().find(|key| key.starts_with(kind)).unwrap();
        let good = store.get(&key).await.unwrap();
        store.put(&key, vec![b'x'; 100 << 10].into()).await.unwrap();
        let error = Repository::open(store.clone(), &password()).await.unwrap_err().to_string();
        assert!(error.contains(&key) && error.contains("its size is 102400, above the maximum of 65536"), "{error}");
        store.put(&key, good).await.unwrap();
    }
    assert_eq!(read_all(&store).await, (6, Vec::new()));
}

#[tokio::test]
async fn the_next_backup_makes_a_lost_index_again() {
    let store = Store::memory();
    let repository = new_repository(&store).await;
    let objects = cluster(300, 0);
    let first = back_up(&repository, &objects, None, info("one", 1)).await.unwrap();
    let index = keys_of(&store).await.into_iter().find(|key| key.starts_with("index/")).unwrap();
    store.delete(&index).await.unwrap();
    let again = Repository::open(store.clone(), &password()).await.unwrap();
    let second = back_up(&again, &objects, Some(first), info("two", 2)).await.unwrap();
    assert_eq!((second.stats.unchanged, second.stats.new), (300, 0));
    let report = Repository::open(store, &password()).await.unwrap().check(CheckDepth::Data, &mut |_, _| {}).await.unwrap();
    assert!(report.errors.is_empty() && report.unreferenced_packs == 0, "{report:?}");
}

#[tokio::test]
async fn the_example_of_the_specification_is_true() {
    let key = crypto::DataKey::new(std::array::from_fn(|at| 0xa0 + at as u8), std::array::from_fn(|at| at as u8));
    let ring = KeyRing { general: vec![key], sensitive: Vec::new() };
    let specification = include_str!("../../../docs/format.md");
    let raw = b"apiVersion: v1\nkind: Namespace\nmetadata:\n  name: shop\n";
    let class = format::Class::general(format::Content::Manifest);
    let id = ring.block_id(class, raw).unwrap();
    assert!(specification.contains(&format!("has the id `{id}`")));
    let (_, example) = specification.split_once("Sealed with the nonce").unwrap();
    let example: String = example.split("```").nth(1).unwrap().lines().filter_map(|line| line.split("  ").next()).collect();
    let sealed = format::unhex(&example.replace(' ', "")).unwrap();
    assert_eq!(sealed.len(), 103);
    let content = ring.open(false, &sealed, &crypto::block_binding(id, class)).unwrap();
    assert_eq!(content, content::encode_raw(raw));
}
