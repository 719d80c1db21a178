#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use super::*;
use crate::repository::{KindOutcome, format::Content};
use crate::{
    repository::{
        CheckDepth, KindReport, Root,
        prune::{Grace, PruneOptions},
        tests::{Cluster, assert_holds, back_up, cluster, info, keys_of, new_repository, password, pods, secrets},
    },
    store::Store,
};

async fn open(store: &Store) -> Repository {
    Repository::open(store.clone(), &password()).await.unwrap()
}

async fn damage_of(store: &Store) -> Vec<crate::repository::CheckError> {
    open(store).await.check(CheckDepth::Data, &mut |_, _| {}).await.unwrap().errors
}

async fn two(store: &Store) -> [(Root, Cluster); 2] {
    let repository = new_repository(store).await;
    let (before, after) = (cluster(60, 0), cluster(70, 5_000));
    let first = back_up(&repository, &before, None, info("one", 1)).await.unwrap();
    let second = back_up(&repository, &after, Some(first.clone()), info("two", 2)).await.unwrap();
    [(first, before), (second, after)]
}

async fn of_folder(store: &Store, folder: &str) -> Vec<String> {
    keys_of(store).await.into_iter().filter(|key| key.starts_with(folder)).collect()
}

async fn flip(store: &Store, key: &str, at: usize) {
    let mut bytes = store.get(key).await.unwrap().to_vec();
    bytes[at] ^= 1;
    store.put(key, bytes.into()).await.unwrap();
}

#[tokio::test]
async fn an_index_is_made_anew_from_packs() {
    for read_all in [false, true] {
        let store = Store::memory();
        let snapshots = two(&store).await;
        let files = of_folder(&store, "index/").await;
        store.delete(&files[0]).await.unwrap();
        flip(&store, &files[1], 60).await;
        store.put(&format!("packs/aa/{}", "aa".repeat(32)), "no pack".into()).await.unwrap();
        assert!(!damage_of(&store).await.is_empty());
        let report = open(&store).await.repair_index(read_all, Timestamp::UNIX_EPOCH, &mut |_, _, _| {}).await.unwrap();
        assert_eq!((report.packs, report.added, report.unreadable.len(), report.dropped.len()), (4, 4, 1, 0), "{report:?}");
        assert_eq!(report.damaged_files, files[1..]);
        assert!(damage_of(&store).await.is_empty());
        for (root, objects) in &snapshots {
            assert_holds(&open(&store).await, root, objects).await;
        }
        // A pack that is gone stands in it no more.
        let pack = of_folder(&store, "packs/").await.into_iter().find(|key| !key.starts_with("packs/aa/aaaa")).unwrap();
        store.delete(&pack).await.unwrap();
        let report = open(&store).await.repair_index(read_all, Timestamp::UNIX_EPOCH, &mut |_, _, _| {}).await.unwrap();
        assert_eq!((report.packs, report.added, report.dropped), (3, 0, vec![pack]));
    }
}

/// The pack with the largest block of manifests, and a place within that block.
async fn of_manifests(store: &Store) -> (String, usize) {
    let files = open(store).await.inner.blocks.index_files(&HashSet::new()).await.unwrap().read;
    let entries = files.iter().flat_map(|(_, packs)| packs).flat_map(|pack| pack.entries.iter().map(move |entry| (pack, entry)));
    let (pack, entry) = entries.filter(|(_, entry)| entry.class.content == Content::Manifest).max_by_key(|(_, entry)| entry.raw).unwrap();
    (pack_key(&pack.hash), entry.offset as usize + 60)
}

#[tokio::test]
async fn what_is_whole_of_a_damaged_pack_is_saved_and_the_rest_named() {
    let store = Store::memory();
    let snapshots = two(&store).await;
    let (pack, at) = of_manifests(&store).await;
    flip(&store, &pack, at).await;
    let report = open(&store).await.repair_packs(&[], Timestamp::UNIX_EPOCH, &mut |_, _, _| {}).await.unwrap();
    assert_eq!((report.packs, report.damaged.len(), report.lost_blocks.len(), report.written.packs), (4, 1, 1, 1), "{report:?}");
    assert_eq!((report.damaged[0].pack.as_str(), report.damaged[0].lost), (pack.as_str(), 1));
    assert!(report.damaged[0].saved > 0);
    assert!(store.exists(&pack).await.unwrap() && of_folder(&store, "trash/").await.len() == 1, "a later prune deletes it");
    // What is lost is a block of one kind; check says of what.
    let errors = damage_of(&store).await;
    assert!(errors.len() == 1 && !errors[0].objects.is_empty(), "{errors:?}");

    let repository = open(&store).await;
    let roots = repository.snapshots().await.unwrap().roots;
    let planned = repository.repair_snapshots(&roots, true, Timestamp::UNIX_EPOCH).await.unwrap();
    assert!(planned.iter().all(|repair| repair.repaired.is_none()));
    let repairs = repository.repair_snapshots(&roots, false, Timestamp::UNIX_EPOCH).await.unwrap();
    assert_eq!(planned.iter().map(|repair| &repair.lost).collect::<Vec<_>>(), repairs.iter().map(|repair| &repair.lost).collect::<Vec<_>>());
    for repair in &repairs {
        let (damaged, objects) = snapshots.iter().find(|(root, _)| root.id == repair.damaged.id).unwrap();
        let lost: BTreeSet<&String> = repair.lost.iter().flat_map(|lost| &lost.objects).collect();
        let left: Cluster = objects.iter().filter(|((_, key), _)| !lost.contains(key)).map(|(id, value)| (id.clone(), *value)).collect();
        assert!(!lost.is_empty() && !left.is_empty() && lost.len() + left.len() == objects.len());
        assert_holds(&open(&store).await, repair.repaired.as_ref().unwrap(), &left).await;
        repository.forget(damaged.id).await.unwrap();
    }
    assert!(damage_of(&store).await.is_empty());
    let whole: Vec<Root> = repository.snapshots().await.unwrap().roots;
    assert_eq!(repository.repair_snapshots(&whole, false, Timestamp::UNIX_EPOCH).await.unwrap(), [], "nothing is left to repair");
    let options = PruneOptions { grace: Grace::NONE, ..PruneOptions::new(Timestamp::now()) };
    let pruned = repository.prune(options, &mut |_, _, _| {}).await.unwrap();
    assert!(pruned.damage.is_empty() && !store.exists(&pack).await.unwrap(), "{pruned:?}");
    assert!(damage_of(&store).await.is_empty());
}

#[tokio::test]
async fn a_repaired_snapshot_says_what_it_lacks() {
    let store = Store::memory();
    let repository = new_repository(&store).await;
    let mut commit = info("one", 1);
    let outcome = KindOutcome::Read {
        objects: 60,
        bytes: 0,
        left_out: BTreeMap::new(),
        not_stored: BTreeMap::new(),
        resource_version: String::new(),
        exact: true,
    };
    commit.kinds = [pods(), secrets()].map(|kind| KindReport { kind, outcome: outcome.clone() }).into();
    let root = back_up(&repository, &cluster(60, 0), None, commit).await.unwrap();
    assert!(root.is_complete());
    // Those of the pods.
    let (pack, at) = of_manifests(&store).await;
    flip(&store, &pack, at).await;
    open(&store).await.repair_packs(&[pack[..20].to_owned()], Timestamp::UNIX_EPOCH, &mut |_, _, _| {}).await.unwrap();
    let repairs = open(&store).await.repair_snapshots(&[root], false, Timestamp::UNIX_EPOCH).await.unwrap();
    let repaired = repairs[0].repaired.clone().unwrap();
    assert_eq!((repaired.name.as_str(), repaired.is_complete(), repaired.stats.objects), ("one-repaired", false, 12));
    assert_eq!((repairs[0].lost.len(), repairs[0].lost[0].objects.len()), (1, 48));
}

#[tokio::test]
async fn a_lost_part_of_a_layer_brings_nothing_old_back() {
    let store = Store::memory();
    let repository = new_repository(&store).await;
    let first = back_up(&repository, &cluster(60, 0), None, info("one", 1)).await.unwrap();
    let after = cluster(60, 5_000);
    let layered = back_up(&repository, &after, Some(first), info("two", 2)).await.unwrap();
    let tops = repository.tops(&layered).await.unwrap();
    // The changed pods and Secrets of the upper layer are lost with its segments.
    let segments: Vec<_> = tops[1].kinds.iter().flat_map(|kind| &kind.segments).map(|segment| segment.block).collect();
    assert_eq!(segments.len(), 1, "one in ten changes, and no Secret");
    let mut gone = 0;
    for (_, packs) in repository.inner.blocks.index_files(&HashSet::new()).await.unwrap().read {
        for (pack, entry) in packs.iter().flat_map(|pack| pack.entries.iter().map(move |entry| (pack, entry))) {
            if segments.contains(&entry.id) {
                flip(&store, &pack_key(&pack.hash), entry.offset as usize + 40).await;
                gone += 1;
            }
        }
    }
    assert_eq!(gone, 1);
    open(&store).await.repair_packs(&[], Timestamp::UNIX_EPOCH, &mut |_, _, _| {}).await.unwrap();
    let repairs = open(&store).await.repair_snapshots(&[layered], false, Timestamp::UNIX_EPOCH).await.unwrap();
    let repaired = repairs[0].repaired.clone().unwrap();
    assert_eq!(repairs[0].lost[0].unnamed, [("ns-0/object-00003".to_owned(), 6)]);
    let repository = open(&store).await;
    let snapshot = repository.open_snapshot(&repaired).await.unwrap();
    // Pods before the first changed one are as they were; what was behind it could be old, and is not shown.
    let secrets: Cluster = after.iter().filter(|((secret, _), _)| *secret).map(|(id, value)| (id.clone(), *value)).collect();
    assert_eq!(snapshot.catalog().len() as usize, secrets.len());
    assert_holds(&repository, &repaired, &secrets).await;
}

#[tokio::test]
async fn repairs_that_are_cut_off_lose_nothing_more() {
    let mut expected = None;
    for writes in 0.. {
        let store = Store::memory();
        let snapshots = two(&store).await;
        let (pack, at) = of_manifests(&store).await;
        flip(&store, &pack, at).await;
        let files = of_folder(&store, "index/").await;
        flip(&store, &files[0], 60).await;
        // An hour apart, for the lock of the one that was cut off.
        let hour = |hours: i64| Timestamp::from_second(hours * 3_600).unwrap();
        let cut = Repository::open(store.failing_after(writes), &password()).await.unwrap();
        let mut ended = cut.repair_index(false, hour(0), &mut |_, _, _| {}).await.is_ok();
        ended = ended && cut.repair_packs(&[], hour(1), &mut |_, _, _| {}).await.is_ok();
        let again = open(&store).await;
        again.repair_index(false, hour(3), &mut |_, _, _| {}).await.unwrap();
        again.repair_packs(&[], hour(5), &mut |_, _, _| {}).await.unwrap();
        let errors = damage_of(&store).await;
        assert_eq!(errors.len(), 1, "after {writes} writes: {errors:?}");
        // Whatever does not lie in the one damaged block can be read.
        let repository = open(&store).await;
        let (mut read, mut lost) = (0, 0);
        for (root, _) in &snapshots {
            let snapshot = repository.open_snapshot(root).await.unwrap();
            for row in 0..snapshot.catalog().len() {
                match snapshot.whole(row).await {
                    Ok(_) => read += 1,
                    Err(_) => lost += 1,
                }
            }
        }
        assert!(read > 0 && lost > 0);
        assert_eq!((read, lost), *expected.get_or_insert((read, lost)), "after {writes} writes");
        if ended {
            assert!(writes > 6, "packs, index files and trash are written one by one");
            return;
        }
    }
}

#[tokio::test]
async fn a_name_that_means_no_pack_is_refused() {
    let store = Store::memory();
    two(&store).await;
    for name in ["zz", "", "packs/"] {
        let refused = open(&store).await.repair_packs(&[name.to_owned()], Timestamp::UNIX_EPOCH, &mut |_, _, _| {}).await.unwrap_err();
        assert!(matches!(refused, RepositoryError::NotFound { .. }), "{refused}");
    }
}
