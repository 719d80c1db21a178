//! Copies between repositories in memory, with other passwords and data keys.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::sync::{Arc, atomic::Ordering};

use jiff::Timestamp;

use super::{Copier, CopyAction, CopyProgress, nearest, plan};
use crate::{
    object::GroupResource,
    repository::{
        Access, BackupOptions, CheckDepth, CommitInfo, KeyCost, Part, Password, Repository, RepositoryError, Root,
        tests::{Cluster, assert_holds, back_up, cluster, fill, info, keys_of, new_repository, password},
    },
    store::Store,
};

async fn target_in(store: &Store) -> Repository {
    Repository::init(store.clone(), &Password::new("another"), KeyCost::CHEAP, "target", Timestamp::UNIX_EPOCH).await.unwrap()
}

async fn target() -> Repository {
    target_in(&Store::memory()).await
}

/// Copies all snapshots that the target lacks; gives how many that were, and how many bytes of the source's blocks were read.
async fn copy_all(source: &Repository, target: &Repository) -> Result<(usize, u64), RepositoryError> {
    let copier = Copier::new(source, target).await?;
    let (wanted, mut there) = (source.snapshots().await?.roots, target.snapshots().await?.roots);
    let progress = Arc::new(CopyProgress::default());
    let mut copied = 0;
    for (item, root) in plan(&wanted, &there).into_iter().zip(&wanted) {
        if item.action == CopyAction::Copy {
            there.push(copier.copy(root, nearest(root, &there).cloned(), &progress).await?);
            copied += 1;
        }
    }
    Ok((copied, progress.bytes.load(Ordering::Relaxed)))
}

async fn packs_of(store: &Store) -> Vec<String> {
    keys_of(store).await.into_iter().filter(|key| key.starts_with("packs/")).collect()
}

/// Every part of every object, and all that roots tell of snapshots.
async fn assert_equal(source: &Repository, target: &Repository) {
    let (from, to) = (source.snapshots().await.unwrap().roots, target.snapshots().await.unwrap().roots);
    assert_eq!(from.len(), to.len());
    for (from, to) in from.iter().zip(&to) {
        // What the target made of it is its own; all else stays.
        let told = |root: &Root| Root { layers: Vec::new(), parent: None, stats: Default::default(), program: String::new(), ..root.clone() };
        assert_eq!(told(from), told(to));
        let sizes = |root: &Root| (root.stats.objects, root.stats.raw_bytes, root.stats.logical_bytes);
        assert_eq!(sizes(from), sizes(to));
        let (from, to) = (source.open_snapshot(from).await.unwrap(), target.open_snapshot(to).await.unwrap());
        let kinds = |snapshot: &crate::repository::Snapshot| snapshot.catalog().kinds().iter().map(|kind| kind.info.clone()).collect::<Vec<_>>();
        assert_eq!(kinds(&from), kinds(&to));
        assert_eq!(from.catalog().len(), to.catalog().len());
        for (a, b) in from.catalog().rows().zip(to.catalog().rows()) {
            assert_eq!((a.id(), a.lengths, a.sensitive), (b.id(), b.lengths, b.sensitive));
            for part in [Part::Manifest, Part::Status, Part::Server, Part::Redacted] {
                assert_eq!(from.read(a.number, part).await.unwrap(), to.read(b.number, part).await.unwrap(), "{}", a.id());
            }
        }
    }
    let report = target.check(CheckDepth::Data, &mut |_, _| {}).await.unwrap();
    assert!(report.errors.is_empty() && report.unreferenced_packs == 0, "{report:?}");
}

#[tokio::test]
async fn a_copy_is_the_same_and_is_made_once() {
    let (source, target) = (new_repository(&Store::memory()).await, target().await);
    let (before, after) = (cluster(9000, 0), cluster(9000, 1000));
    let mut told = info("one", 1);
    (told.tags, told.resource_version, told.cluster.uid) = (vec!["gold".to_owned()], Some("77".to_owned()), "u1".to_owned());
    told.failed_groups = vec![("broken.example.com".to_owned(), "no answer".to_owned())];
    let first = back_up(&source, &before, None, told.clone()).await.unwrap();
    let second = back_up(&source, &after, Some(first), CommitInfo { name: "two".to_owned(), time: info("", 2).time, ..told }).await.unwrap();
    assert_eq!(copy_all(&source, &target).await.unwrap().0, 2);
    assert_equal(&source, &target).await;
    assert_eq!(copy_all(&source, &target).await.unwrap(), (0, 0));

    let there = target.snapshots().await.unwrap().roots;
    assert_eq!(there[1].parent, Some(there[0].id));
    assert_eq!((there[1].stats.unchanged, there[1].stats.changed), (second.stats.unchanged, second.stats.changed));
    assert!(there[1].layers.len() == 2 && there[1].stats.stored_bytes < there[0].stats.stored_bytes / 2, "{there:?}");
    for (root, objects) in there.iter().zip([&before, &after]) {
        assert_holds(&target, root, objects).await;
    }
}

#[tokio::test]
async fn objects_of_a_parent_are_not_read_again() {
    let (source, target) = (new_repository(&Store::memory()).await, target().await);
    let objects = cluster(3000, 0);
    let first = back_up(&source, &objects, None, info("one", 1)).await.unwrap();
    let (_, read) = copy_all(&source, &target).await.unwrap();
    assert!(read > 100_000, "{read}");
    back_up(&source, &objects, Some(first), info("two", 2)).await.unwrap();
    assert_eq!(copy_all(&source, &target).await.unwrap(), (1, 0));
    assert_equal(&source, &target).await;
}

#[tokio::test]
async fn a_backup_goes_on_where_a_copy_ended() {
    let store = Store::memory();
    let (source, target) = (new_repository(&Store::memory()).await, target_in(&store).await);
    let objects = cluster(3000, 0);
    back_up(&source, &objects, None, info("one", 1)).await.unwrap();
    copy_all(&source, &target).await.unwrap();
    let (copied, packs) = (target.newest().await.unwrap().unwrap(), packs_of(&store).await.len());
    // The hash of what the API server sends is not known of a copy; what is stored has the same bytes, and is not stored again.
    let next = back_up(&target, &objects, Some(copied.clone()), info("two", 2)).await.unwrap();
    assert_eq!(packs_of(&store).await.len(), packs + 1, "the catalog alone");
    assert_holds(&target, &next, &objects).await;
    let third = back_up(&target, &objects, Some(next), info("three", 3)).await.unwrap();
    assert_eq!(third.stats.unchanged, 3000);
}

#[tokio::test]
async fn copies_come_back_and_go_on_to_others() {
    let (source, middle, end) = (new_repository(&Store::memory()).await, target().await, target().await);
    let objects = cluster(50, 0);
    back_up(&source, &objects, None, info("one", 1)).await.unwrap();
    copy_all(&source, &middle).await.unwrap();
    copy_all(&middle, &end).await.unwrap();
    assert_equal(&source, &end).await;
    assert_eq!(copy_all(&source, &end).await.unwrap().0, 0);
    assert_eq!(copy_all(&end, &source).await.unwrap().0, 0);
}

#[tokio::test]
async fn two_copies_at_once_make_one() {
    let (source, target) = (new_repository(&Store::memory()).await, target().await);
    let root = back_up(&source, &cluster(50, 0), None, info("one", 1)).await.unwrap();
    let copier = Copier::new(&source, &target).await.unwrap();
    let (one, other) = (Arc::default(), Arc::default());
    let (one, other) = tokio::join!(copier.copy(&root, None, &one), copier.copy(&root, None, &other));
    assert_eq!(one.unwrap(), other.unwrap());
    assert_equal(&source, &target).await;
}

#[tokio::test]
async fn kinds_named_sensitive_stay_so() {
    let (source, target) = (new_repository(&Store::memory()).await, target().await);
    let pods: GroupResource = "pods".parse().unwrap();
    let objects = cluster(40, 0);
    let writer = source.backup(BackupOptions { sensitive: vec![pods], ..BackupOptions::default() }).await.unwrap();
    fill(writer, &objects).await.unwrap().commit(info("one", 1)).await.unwrap();
    copy_all(&source, &target).await.unwrap();
    assert_equal(&source, &target).await;
    let copied = target.newest().await.unwrap().unwrap();
    assert!(target.open_snapshot(&copied).await.unwrap().catalog().rows().all(|row| row.sensitive && row.lengths.redacted.is_some()));
}

#[tokio::test]
async fn secrets_are_never_left_behind() {
    let (store, target) = (Store::memory(), target().await);
    let source = new_repository(&store).await;
    back_up(&source, &cluster(20, 0), None, info("one", 1)).await.unwrap();
    let general = Password::new("general");
    source.add_key(&general, Access::General, KeyCost::CHEAP, "auditor", Timestamp::UNIX_EPOCH).await.unwrap();
    let limited = Repository::open(store, &general).await.unwrap();
    assert!(matches!(copy_all(&limited, &target).await, Err(RepositoryError::NeedsSensitiveKey)));
    assert!(matches!(copy_all(&target, &limited).await, Err(RepositoryError::NeedsSensitiveKey)));
    assert!(target.snapshots().await.unwrap().roots.is_empty());
}

#[tokio::test]
async fn damage_of_the_source_is_named_and_other_snapshots_are_copied() {
    let store = Store::memory();
    let source = new_repository(&store).await;
    let one: Cluster = cluster(30, 0);
    let first = back_up(&source, &one, None, info("one", 1)).await.unwrap();
    let before = packs_of(&store).await;
    let other: Cluster = cluster(30, 0).into_iter().map(|((secret, key), value)| ((secret, format!("{key}-b")), value + 50)).collect();
    let second = back_up(&source, &other, None, info("two", 2)).await.unwrap();
    for key in before {
        let mut bytes = store.get(&key).await.unwrap().to_vec();
        bytes[60] ^= 1;
        store.put(&key, bytes.into()).await.unwrap();
    }
    let source = Repository::open(store, &password()).await.unwrap();
    let target = target().await;
    let copier = Copier::new(&source, &target).await.unwrap();
    let error = copier.copy(&first, None, &Arc::default()).await.unwrap_err();
    let text = error.to_string();
    assert!(error.is_damage() && text.contains("of snapshot one") && text.contains("packs/"), "{text}");
    copier.copy(&second, None, &Arc::default()).await.unwrap();
    let there = target.snapshots().await.unwrap().roots;
    assert_eq!(there.iter().map(|root| root.name.as_str()).collect::<Vec<_>>(), ["two"]);
    assert_holds(&target, &there[0], &other).await;
}

/// A copy is cut off after each single write; the next one ends it, and stores no data again that is there.
#[tokio::test]
async fn a_copy_that_was_cut_off_goes_on() {
    let source = new_repository(&Store::memory()).await;
    let objects = cluster(60, 0);
    let first = back_up(&source, &objects, None, info("one", 1)).await.unwrap();
    back_up(&source, &cluster(60, 500), Some(first), info("two", 2)).await.unwrap();
    let whole = Store::memory();
    copy_all(&source, &target_in(&whole).await).await.unwrap();
    let blocks_of_data = async |store: &Store| {
        let repository = Repository::open(store.clone(), &Password::new("another")).await.unwrap();
        repository.inner.blocks.refresh().await.unwrap();
        let index = repository.inner.blocks.index();
        index
            .all()
            .filter(|&id| index.get(id).is_some_and(|found| found.class.content.is_of_objects()))
            .map(|id| index.places(id).count())
            .sum::<usize>()
    };
    let mut cut = 0;
    for writes in 0.. {
        let store = Store::memory();
        target_in(&store).await;
        let open = async |store: &Store| Repository::open(store.clone(), &Password::new("another")).await.unwrap();
        let ended = copy_all(&source, &open(&store.failing_after(writes)).await).await;
        let check = open(&store).await.check(CheckDepth::Data, &mut |_, _| {}).await.unwrap();
        assert!(check.errors.is_empty(), "{writes}: {check:?}");
        copy_all(&source, &open(&store).await).await.unwrap();
        assert_equal(&source, &open(&store).await).await;
        assert_eq!(blocks_of_data(&store).await, blocks_of_data(&whole).await, "cut off after {writes} writes");
        if ended.is_ok() {
            break;
        }
        cut += 1;
    }
    assert!(cut >= 7, "{cut}");
}
