//! Blocks that need a dictionary to be read: made, used again, kept by a prune, named when they are lost.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::BTreeSet;

use super::{
    format::{BlockId, Class, Content, pack::PackEntry},
    prune::{Grace, PruneOptions, Reuse},
    tests::*,
    *,
};

/// What the index says of all blocks.
async fn entries(store: &Store) -> Vec<PackEntry> {
    let repository = Repository::open(store.clone(), &password()).await.unwrap();
    let files = repository.inner.blocks.index_files(&HashSet::new()).await.unwrap();
    files.read.into_iter().flat_map(|(_, packs)| packs).flat_map(|pack| pack.entries).collect()
}

/// The dictionaries in use, by the class of the blocks.
async fn used(store: &Store) -> BTreeSet<(u8, BlockId)> {
    entries(store).await.into_iter().filter_map(|entry| Some((entry.class.to_byte(), entry.dictionary?))).collect()
}

async fn prune_at_once(repository: &Repository) {
    repository.prune(PruneOptions { grace: Grace::NONE, ..PruneOptions::new(Timestamp::now()) }, &mut |_, _, _| {}).await.unwrap();
}

async fn errors(repository: &Repository, depth: CheckDepth) -> Vec<CheckError> {
    repository.check(depth, &mut |_, _| {}).await.unwrap().errors
}

#[tokio::test]
async fn each_class_of_a_kind_has_one_dictionary_for_all_snapshots() {
    let store = Store::memory();
    let repository = new_repository(&store).await;
    let (before, after) = (cluster(15_000, 0), cluster(15_000, 1_000));
    let first = back_up(&repository, &before, None, info("one", 1)).await.unwrap();
    let dictionaries = used(&store).await;
    let classes: Vec<u8> = dictionaries.iter().map(|(class, _)| *class).collect();
    let secret = |content| Class { content, sensitive: true }.to_byte();
    assert_eq!(classes, [Content::Manifest as u8, Content::Rest as u8, Content::Redacted as u8, secret(Content::Manifest)]);
    let stored = entries(&store).await;
    for (class, dictionary) in &dictionaries {
        let own = stored.iter().find(|entry| entry.id == *dictionary).unwrap();
        assert_eq!((own.class.content, own.class.sensitive, own.dictionary), (Content::Dictionary, class & 0x80 != 0, None));
        assert!(own.raw <= 32 << 10, "{own:?}");
    }

    let second = back_up(&Repository::open(store.clone(), &password()).await.unwrap(), &after, Some(first.clone()), info("two", 2)).await.unwrap();
    assert_eq!(used(&store).await, dictionaries, "the second backup uses those of the first");
    let new = |entry: &&PackEntry| !stored.iter().any(|old| old.id == entry.id);
    let blocks = entries(&store).await;
    assert!(blocks.iter().filter(new).any(|entry| entry.dictionary.is_some()));

    repository.forget(first.id).await.unwrap();
    prune_at_once(&repository).await;
    assert_eq!(used(&store).await, dictionaries, "a prune keeps them");
    let opened = Repository::open(store, &password()).await.unwrap();
    assert!(errors(&opened, CheckDepth::Data).await.is_empty());
    assert_holds(&opened, &second, &after).await;
}

#[tokio::test]
async fn small_kinds_have_none() {
    let store = Store::memory();
    back_up(&new_repository(&store).await, &cluster(300, 0), None, info("one", 1)).await.unwrap();
    assert!(entries(&store).await.iter().all(|entry| entry.dictionary.is_none() && entry.class.content != Content::Dictionary));
}

/// Writes the dictionaries' packs anew without them, as if they had been lost.
async fn lose_dictionaries(store: &Store) {
    let repository = Repository::open(store.clone(), &password()).await.unwrap();
    let files = repository.inner.blocks.index_files(&HashSet::new()).await.unwrap();
    let mut indexed = prune::Indexed::new();
    let mut copies = prune::Copies::new(&repository);
    for pack in files.read.iter().flat_map(|(_, packs)| packs) {
        let rest: Vec<PackEntry> = pack.entries.iter().filter(|entry| entry.class.content != Content::Dictionary).cloned().collect();
        if rest.len() == pack.entries.len() {
            indexed.insert(pack.hash, pack.clone());
            continue;
        }
        copies.add(&pack.hash, &rest).await.unwrap();
        store.delete(&blocks::pack_key(&pack.hash)).await.unwrap();
    }
    indexed.extend(copies.finish().await.unwrap());
    repository.replace_index(&indexed, &files.read, &[], Reuse::Yes).await.unwrap();
}

#[tokio::test]
async fn a_lost_dictionary_is_named_and_the_next_backup_does_without() {
    let store = Store::memory();
    let objects = cluster(9_000, 0);
    let first = back_up(&new_repository(&store).await, &objects, None, info("one", 1)).await.unwrap();
    lose_dictionaries(&store).await;

    for depth in [CheckDepth::Structure, CheckDepth::Data] {
        let found = errors(&Repository::open(store.clone(), &password()).await.unwrap(), depth).await;
        assert_eq!(found.len(), entries(&store).await.iter().filter(|entry| entry.dictionary.is_some()).count(), "{found:?}");
        for error in found {
            assert!(error.error.contains("compressed with") && error.error.contains("is missing"), "{}", error.error);
            assert_eq!(error.snapshots, ["one"]);
            assert!(!error.objects.is_empty());
        }
    }
    let repository = Repository::open(store.clone(), &password()).await.unwrap();
    let repaired = repository.repair_snapshots(std::slice::from_ref(&first), true, Timestamp::now()).await.unwrap();
    assert!(repaired[0].lost.iter().any(|lost| lost.kind == "pods" && !lost.objects.is_empty()), "{repaired:?}");

    let second = back_up(&repository, &objects, Some(first.clone()), info("two", 2)).await.unwrap();
    assert_holds(&Repository::open(store.clone(), &password()).await.unwrap(), &second, &objects).await;
    repository.forget(first.id).await.unwrap();
    prune_at_once(&repository).await;
    let opened = Repository::open(store, &password()).await.unwrap();
    assert_holds(&opened, &second, &objects).await;
    assert!(errors(&opened, CheckDepth::Data).await.is_empty());
}

#[tokio::test]
async fn a_copy_with_another_dictionary_does_not_cost_a_prune_its_own() {
    let store = Store::memory();
    let (objects, other) = (cluster(9_000, 0), cluster(9_001, 0));
    let first = back_up(&new_repository(&store).await, &objects, None, info("one", 1)).await.unwrap();
    let repository = Repository::open(store.clone(), &password()).await.unwrap();
    // The same blocks again, of which some are compressed with dictionaries of other first blocks.
    let writer = repository.backup(BackupOptions { anew: true, ..BackupOptions::default() }).await.unwrap();
    let second = fill(writer, &other).await.unwrap().commit(info("two", 2)).await.unwrap();
    for (forgotten, kept, holds) in [(&first, &second, &other), (&second, &first, &objects)] {
        let copy = Store::memory();
        for entry in store.list("").await.unwrap() {
            copy.put(&entry.key, store.get_at_most(&entry.key, u64::MAX).await.unwrap()).await.unwrap();
        }
        let repository = Repository::open(copy.clone(), &password()).await.unwrap();
        repository.forget(forgotten.id).await.unwrap();
        prune_at_once(&repository).await;
        let opened = Repository::open(copy, &password()).await.unwrap();
        assert_holds(&opened, kept, holds).await;
        assert!(errors(&opened, CheckDepth::Data).await.is_empty());
    }
}
