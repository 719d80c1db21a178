//! Every byte of every file of a small repository is changed in turn: whoever touches it finds out, and names the file.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};

use super::{
    Access, CheckDepth, KeyCost, Part, Password, Repository, RepositoryError, Root, blocks,
    prune::{Lock, PruneOptions},
    tests::{back_up, cluster, info, keys_of, password},
};
use crate::store::Store;

/// What a changed byte of a file means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Meaning {
    /// Opening the repository fails, and names the file.
    Closed,
    /// `check --read-data` names the file; what is read is right or an error.
    Named,
    /// Nobody needs to notice, for the reason given: everything reads as before, and a prune loses nothing.
    Harmless(&'static str),
}

/// A repository with all that the format knows: two snapshots in layers with a dictionary, passwords of both kinds, packs in use and in the
/// trash, a lock.
struct Small {
    files: BTreeMap<String, Bytes>,
    now: Timestamp,
    given_up: BTreeSet<String>,
    own_key: String,
}

impl Small {
    async fn new() -> Self {
        let (store, now) = (Store::plain_memory(), "2026-03-01T12:00:00Z".parse::<Timestamp>().unwrap());
        let repository = Repository::init(store.clone(), &password(), KeyCost::CHEAP, "own", now).await.unwrap();
        repository.add_key(&Password::new("general"), Access::General, KeyCost::CHEAP, "auditor", now).await.unwrap();
        let gone = back_up(&repository, &cluster(12, 90_000), None, info("gone", 1)).await.unwrap();
        let first = back_up(&repository, &cluster(12, 0), None, info("one", 2)).await.unwrap();
        let second = back_up(&repository, &cluster(12, 50), Some(first.clone()), info("two", 3)).await.unwrap();
        repository.write_layered(&first, &second, "two-layered").await.unwrap();
        repository.forget(gone.id).await.unwrap();
        repository.prune(PruneOptions::new(now), &mut |_, _, _| {}).await.unwrap();
        // A prune that is at work: nobody gives its lock back.
        std::mem::forget(Lock::take(&store, now).await.unwrap());
        store.put("locks/probe", "kubestash probe\n".into()).await.unwrap();
        let mut files = BTreeMap::new();
        for key in keys_of(&store).await {
            files.insert(key.clone(), store.get(&key).await.unwrap());
        }
        let trash = files.keys().filter_map(|key| blocks::hash_of(key).filter(|_| key.starts_with("trash/")));
        let given_up = trash.map(|hash| blocks::pack_key(&hash)).collect();
        Self { files, now, given_up, own_key: format!("keys/{}", repository.inner.key_id) }
    }

    fn meaning(&self, key: &str) -> Meaning {
        match key.split_once('/').map_or(key, |(folder, _)| folder) {
            "config" => Meaning::Closed,
            "keys" if key == self.own_key => Meaning::Closed,
            "packs" if self.given_up.contains(key) => {
                Meaning::Harmless("no snapshot needs it; a prune reads a pack before it takes one back, and looks for another copy")
            }
            "keys" | "packs" | "index" | "roots" => Meaning::Named,
            "trash" => {
                Meaning::Harmless("it only tells how long a pack was given up: a prune deletes none that a snapshot needs, whatever the entry says")
            }
            "locks" => Meaning::Harmless("two prunes at the same time harm nothing, and one waits for a day at most"),
            other => panic!("{other} is no folder of the format"),
        }
    }

    /// A store with the repository.
    async fn store(&self) -> Store {
        let store = Store::plain_memory();
        for (name, content) in &self.files {
            store.put(name, content.clone()).await.unwrap();
        }
        store
    }
}

/// Everything that can be read: objects by snapshot, and the errors.
#[derive(Debug, Clone, Default, PartialEq)]
struct Read {
    objects: BTreeMap<(String, String), Vec<Bytes>>,
    errors: Vec<String>,
}

async fn read_all(repository: &Repository) -> Read {
    let (mut read, list) = (Read::default(), repository.snapshots().await.unwrap());
    read.errors.extend(list.damaged.iter().map(|(_, error)| error.to_string()));
    for root in &list.roots {
        if let Err(error) = read_snapshot(repository, root, &mut read).await {
            read.errors.push(error.to_string());
        }
    }
    read
}

async fn read_snapshot(repository: &Repository, root: &Root, read: &mut Read) -> Result<(), RepositoryError> {
    let snapshot = repository.open_snapshot(root).await?;
    for row in snapshot.catalog().rows() {
        let mut parts = Vec::new();
        for part in [Part::Manifest, Part::Status, Part::Server, Part::Redacted] {
            match snapshot.read(row.number, part).await {
                Ok(bytes) => parts.push(bytes),
                Err(error) => read.errors.push(error.to_string()),
            }
        }
        if parts.len() == 4 {
            read.objects.insert((root.name.clone(), row.id().to_string()), parts);
        }
    }
    Ok(())
}

/// Changes one byte of a file in a store, touches everything, and asserts what the file's meaning promises. `opened` is the same store, opened
/// while it was whole: what it has read since is forgotten.
async fn assert_found(small: &Small, whole: &Read, opened: &Repository, (key, at, bit): (&str, usize, u32)) {
    let store = &opened.inner.store;
    let mut bytes = small.files[key].to_vec();
    bytes[at] ^= 1 << bit;
    store.put(key, bytes.into()).await.unwrap();
    let (meaning, what) = (small.meaning(key), format!("bit {bit} of byte {at} of {key}"));
    if meaning == Meaning::Closed {
        let error = Repository::open(store.clone(), &password()).await.unwrap_err();
        assert!(error.is_damage() && error.to_string().contains(key), "{what}: {error}");
        return;
    }
    // A check reads every byte each time; of packs it is enough to read the objects for some.
    let reading = !key.starts_with("packs/") || at % 8 == 0;
    let read = if reading { read_all(&opened.on_disk(None)).await } else { whole.clone() };
    // Right or an error, never anything else, and no error without its file.
    for (object, parts) in &read.objects {
        assert_eq!(parts, &whole.objects[object], "{what}: {object:?}");
    }
    assert!(read.errors.iter().all(|error| error.contains(key)), "{what}: {:?}", read.errors);
    assert_eq!(read.objects.len() < whole.objects.len(), !read.errors.is_empty(), "{what}: {:?}", read.errors);
    let report = opened.on_disk(None).check(CheckDepth::Data, &mut |_, _| {}).await.unwrap();
    match meaning {
        Meaning::Harmless(reason) => {
            assert!(read == *whole && report.errors.is_empty(), "{what} is not harmless ({reason}): {report:?}");
            if !key.starts_with("packs/") {
                let store = small.store().await;
                store.put(key, opened.inner.store.get(key).await.unwrap()).await.unwrap();
                survives_a_prune(small, whole, &store, &what).await;
            }
        }
        Meaning::Named | Meaning::Closed => assert!(report.errors.iter().any(|found| found.error.contains(key)), "{what}: {report:?}"),
    }
}

/// The lock holds or does not; a prune that runs, at whatever time, deletes nothing that is needed.
async fn survives_a_prune(small: &Small, whole: &Read, store: &Store, what: &str) {
    for hours in [0, 25] {
        let repository = Repository::open(store.clone(), &password()).await.unwrap();
        let options = PruneOptions::new(small.now + SignedDuration::from_hours(hours));
        match repository.prune(options, &mut |_, _, _| {}).await {
            Ok(report) => assert!(report.damage.is_empty(), "{what}: {report:?}"),
            Err(RepositoryError::Locked { .. }) => assert!(hours < 24, "{what} stands in the way for more than a day"),
            Err(error) => panic!("{what}: {error}"),
        }
        assert_eq!(&read_all(&Repository::open(store.clone(), &password()).await.unwrap()).await, whole, "{what}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_changed_byte_is_found_and_named() {
    let small = std::sync::Arc::new(Small::new().await);
    let opened = Repository::open(small.store().await, &password()).await.unwrap();
    let whole = std::sync::Arc::new(read_all(&opened).await);
    assert_eq!((whole.objects.len(), whole.errors.len()), (36, 0), "{:?}", whole.errors);
    let folders: BTreeSet<&str> = small.files.keys().filter_map(|key| key.split('/').next()).collect();
    assert_eq!(folders.into_iter().collect::<Vec<_>>(), ["config", "index", "keys", "locks", "packs", "roots", "trash"]);
    let meanings: BTreeSet<Meaning> = small.files.keys().map(|key| small.meaning(key)).collect();
    assert_eq!(meanings.len(), 5, "{meanings:?}");

    let mut tasks = tokio::task::JoinSet::new();
    for (key, bytes) in &small.files {
        // Of texts every bit, of what is random anyway one of each byte.
        let text = bytes.is_ascii();
        let (small, whole, key, length) = (small.clone(), whole.clone(), key.clone(), bytes.len());
        tasks.spawn(async move {
            let opened = Repository::open(small.store().await, &password()).await.unwrap();
            for at in 0..length {
                for bit in (0..8).filter(|bit| text && at % 8 == 0 || at as u32 % 8 == *bit) {
                    assert_found(&small, &whole, &opened, (&key, at, bit)).await;
                }
            }
        });
    }
    tasks.join_all().await;
}
