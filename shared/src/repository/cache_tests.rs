//! The cache on disk: it saves requests, and nothing that is wrong with it matters.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::path::{Path, PathBuf};

use super::{
    tests::{Cluster, assert_holds, back_up, cluster, info, new_repository, password},
    *,
};
use crate::store::Traffic;

async fn stored() -> (Store, Root, Cluster) {
    let store = Store::plain_memory();
    let repository = new_repository(&store).await;
    let first = back_up(&repository, &cluster(200, 0), None, info("one", 1)).await.unwrap();
    let root = back_up(&repository, &cluster(210, 0), Some(first), info("two", 2)).await.unwrap();
    (store, root, cluster(210, 0))
}

/// Reads all of the newest snapshot through a cache; gives what was asked of the store behind the opening of the repository.
async fn read(store: &Store, cache: &DiskCache, objects: &Cluster) -> Traffic {
    let repository = Repository::open(store.clone(), &password()).await.unwrap().with_cache(cache);
    let before = store.traffic();
    let root = repository.newest().await.unwrap().unwrap();
    assert_holds(&repository, &root, objects).await;
    store.traffic().since(&before)
}

#[tokio::test]
async fn what_reading_costs_is_counted() {
    let (store, _, objects) = stored().await;
    let folder = tempfile::tempdir().unwrap();
    for warm in [false, true] {
        let repository = Repository::open(store.clone(), &password()).await.unwrap().with_cache(&DiskCache::new(folder.path(), 10 << 20));
        assert_eq!((repository.reading().decoded, repository.reading().disk_hits, repository.reading().kept_bytes), (0, 0, 0));
        let root = repository.newest().await.unwrap().unwrap();
        assert_holds(&repository, &root, &objects).await;
        let reading = repository.reading();
        assert!(reading.decoded > 5 && reading.kept_bytes > 0 && reading.kept_bytes <= reading.kept_limit, "{reading:?}");
        assert_eq!(reading.store, store.traffic());
        assert!(if warm { reading.disk_hits > 5 && reading.disk_misses == 0 } else { reading.disk_misses > 5 }, "{reading:?}");
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.retain(|path| !path.ends_with("CACHEDIR.TAG"));
    found.sort();
    found
}

#[tokio::test]
async fn what_was_read_once_is_not_asked_for_again() {
    let (store, root, objects) = stored().await;
    let folder = tempfile::tempdir().unwrap();
    let cache = DiskCache::new(folder.path(), 10 << 20);
    let cold = read(&store, &cache, &objects).await;
    let warm = read(&store, &cache, &objects).await;
    assert!(cold.reads > 5, "{cold:?}");
    // Which snapshots there are is asked always.
    assert_eq!((warm.requests(), warm.lists, warm.bytes_read), (1, 1, 0), "{warm:?}");
    // What lies there is what lies in the store.
    let kept = folder.path().join(&Repository::open(store.clone(), &password()).await.unwrap().config().id);
    let pack = root.layers[0].packs[0];
    assert_eq!(std::fs::read(kept.join("packs").join(hex(&pack.hash))).unwrap(), store.get(&blocks::pack_key(&pack.hash)).await.unwrap());
    for file in files(folder.path()) {
        let text = std::fs::read(&file).unwrap();
        assert!(!text.windows(6).any(|part| part == b"object" || part == b"secret"), "{}", file.display());
    }
    // A snapshot that was forgotten is gone, whatever the cache knows.
    let repository = Repository::open(store.clone(), &password()).await.unwrap().with_cache(&cache);
    repository.forget(root.id).await.unwrap();
    assert_eq!(repository.newest().await.unwrap().unwrap().name, "one");
    assert_eq!(repository.snapshot(root.id).await.unwrap(), None);
}

#[tokio::test]
async fn a_damaged_cache_is_as_good_as_none() {
    let (store, _, objects) = stored().await;
    let folder = tempfile::tempdir().unwrap();
    let cache = DiskCache::new(folder.path(), 10 << 20);
    let cold = read(&store, &cache, &objects).await;
    let names = files(folder.path());
    assert!(names.len() > 6, "{names:?}");
    let damages: [fn(&mut Vec<u8>); 5] = [
        |bytes| bytes.clear(),
        |bytes| bytes.truncate(bytes.len() / 2),
        |bytes| bytes[0] ^= 1,
        |bytes| *bytes.last_mut().unwrap() ^= 1,
        |bytes| bytes.extend_from_slice(&[0; 100]),
    ];
    for damage in damages {
        for name in &names {
            let mut bytes = std::fs::read(name).unwrap();
            damage(&mut bytes);
            std::fs::write(name, bytes).unwrap();
        }
        let again = read(&store, &cache, &objects).await;
        assert_eq!((again.requests(), files(folder.path())), (cold.requests(), names.clone()));
        let warm = read(&store, &cache, &objects).await;
        assert_eq!(warm.requests(), 1, "it was made good");
    }
    // Another file under the same name.
    for pair in names.chunks_exact(2) {
        std::fs::rename(&pair[0], &pair[1]).unwrap();
    }
    read(&store, &cache, &objects).await;
    std::fs::remove_dir_all(folder.path()).unwrap();
    read(&store, &cache, &objects).await;
}

/// What maintains a repository looks at the repository.
#[tokio::test]
async fn damage_of_the_store_is_not_hidden_by_the_cache() {
    let (store, root, objects) = stored().await;
    let folder = tempfile::tempdir().unwrap();
    let cache = DiskCache::new(folder.path(), 10 << 20);
    read(&store, &cache, &objects).await;
    let key = blocks::pack_key(&root.layers[0].packs[0].hash);
    store.put(&key, Bytes::from_static(b"damaged")).await.unwrap();
    let repository = Repository::open(store.clone(), &password()).await.unwrap().with_cache(&cache);
    let report = repository.check(CheckDepth::Structure, &mut |_, _| {}).await.unwrap();
    assert!(report.errors.iter().any(|error| !error.snapshots.is_empty()), "{report:?}");
    let third = back_up(&repository, &objects, Some(root), info("three", 3)).await.unwrap();
    assert_eq!(third.layers.len(), 1, "nothing stands on a damaged layer");
    // Who only reads is better off.
    assert_holds(&repository, &repository.newest().await.unwrap().unwrap(), &objects).await;
}

#[tokio::test]
async fn neighbours_are_brought_together_and_read_from_the_disk() {
    let (store, root, objects) = stored().await;
    let folder = tempfile::tempdir().unwrap();
    let repository = Repository::open(store.clone(), &password()).await.unwrap().with_cache(&DiskCache::new(folder.path(), 10 << 20));
    let snapshot = repository.open_snapshot(&root).await.unwrap();
    let mut ids: Vec<BlockId> = (0..snapshot.catalog().len()).filter_map(|row| Some(snapshot.catalog().place(row, Part::Manifest)?.block)).collect();
    ids.sort();
    ids.dedup();
    assert!(snapshot.brings() && ids.len() > 2, "{}", ids.len());
    // The index is read for the first block of all.
    snapshot.block(ids[0]).await.unwrap();
    let before = store.traffic();
    // Two at once share the work, and whoever needs one meanwhile waits for it.
    tokio::join!(snapshot.bring(&ids), snapshot.bring(&ids), async { drop(snapshot.block(ids[1]).await.unwrap()) });
    let brought = store.traffic().since(&before);
    assert!(brought.reads <= ids.len() as u64 / 2, "{brought:?} for {} blocks", ids.len());
    for id in &ids {
        snapshot.block(*id).await.unwrap();
    }
    assert_eq!(store.traffic().since(&before).requests(), brought.requests());
    assert_holds(&repository, &root, &objects).await;

    // What cannot be read is no matter of who brings it.
    let without = Repository::open(store.clone(), &password()).await.unwrap().with_cache(&DiskCache::new(folder.path().join("b"), 10 << 20));
    let snapshot = without.open_snapshot(&root).await.unwrap();
    let gone = BlockId([7; 32]);
    snapshot.bring(&[gone]).await;
    assert!(matches!(snapshot.block(gone).await, Err(RepositoryError::Missing { .. })));
}
