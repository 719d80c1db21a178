//! Snapshots that are written again because their blocks hold too much that nobody needs: cut off anywhere, beside backups and readers.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::{collections::HashSet, sync::Arc};

use super::{
    tests::{assert_whole, at_once, beside, bytes_in, hours, open, prune},
    *,
};
use crate::{
    repository::{
        DiskCache, Root,
        copy::Copier,
        tests::{Cluster, assert_holds, back_up, cluster, info, new_repository, password},
    },
    store::Store,
};

/// So few that none of them makes a new base: that gathers what is left in small blocks as well.
const DAYS: u32 = 5;

/// Each day other four in a hundred change, and one object is there on odd days only.
fn day(day: u32) -> Cluster {
    let mut objects: Cluster = cluster(200, 0)
        .into_iter()
        .map(|(id, n)| (id, (0..=day).rev().find(|day| n % 25 == day % 25).map_or(n, |changed| n + changed * 1_000)))
        .collect();
    if day % 2 == 1 {
        objects.insert((false, "ns-9/odd".to_owned()), day);
    }
    objects
}

/// Backups of five days, of which the last three are kept.
async fn worn(store: &Store) -> Vec<(Root, Cluster)> {
    let repository = new_repository(store).await;
    let mut roots: Vec<Root> = Vec::new();
    for number in 0..DAYS {
        let commit = info(&format!("day-{number}"), i64::from(number) * 86_400);
        roots.push(back_up(&repository, &day(number), roots.last().cloned(), commit).await.unwrap());
    }
    let mut kept = Vec::new();
    for (number, root) in roots.into_iter().enumerate() {
        if number > 1 {
            kept.push((root, day(number as u32)));
        } else {
            repository.forget(root.id).await.unwrap();
        }
    }
    kept
}

/// The same snapshots as they lie now: all but their layers has to be as it was.
async fn as_they_lie(store: &Store, kept: &[(Root, Cluster)]) -> Vec<(Root, Cluster)> {
    let mut now = Vec::new();
    for (root, objects) in kept {
        let found = open(store).await.snapshot(root.id).await.unwrap().unwrap();
        assert_eq!(Root { layers: root.layers.clone(), ..found.clone() }, *root);
        now.push((found, objects.clone()));
    }
    now
}

#[tokio::test]
async fn snapshots_leave_blocks_behind_of_which_too_little_is_needed() {
    let store = Store::memory();
    let kept = worn(&store).await;
    let before = bytes_in(&store).await;
    let planned = open(&store).await.plan_prune(at_once()).await.unwrap();
    assert_eq!(bytes_in(&store).await, before, "a plan changes nothing");
    let first = prune(&open(&store).await, at_once()).await.unwrap();
    assert_eq!((first.recut, first.recut.snapshots), (planned.recut, 3));
    assert!(first.recut.blocks > 3 && first.recut.bytes > 1_000, "{:?}", first.recut);
    let now = as_they_lie(&store, &kept).await;
    assert!(now.iter().zip(&kept).all(|((now, _), (before, _))| now.layers != before.layers));
    assert_whole(&store, &now, "written again").await;
    // Old roots in hand lead to the new ones.
    for (root, objects) in &kept {
        assert_holds(&open(&store).await, root, objects).await;
    }
    let after = bytes_in(&store).await;
    assert!(after < before, "{before} bytes, then {after}");
    for _ in 0..2 {
        let again = prune(&open(&store).await, at_once()).await.unwrap();
        assert_eq!((again.recut, again.repacked), (Recut::default(), Amount::default()), "once is enough");
    }
    assert_eq!(as_they_lie(&store, &now).await, now);
    // Backups go on from there, and take over what did not change.
    let next =
        back_up(&open(&store).await, &day(DAYS), now.last().map(|(root, _)| root.clone()), info("next", i64::from(DAYS) * 86_400)).await.unwrap();
    assert!(next.stats.unchanged > 150);
    assert_holds(&open(&store).await, &next, &day(DAYS)).await;
}

#[tokio::test]
async fn unused_data_stays_where_that_is_wanted() {
    let store = Store::memory();
    let kept = worn(&store).await;
    for options in [PruneOptions { max_unused: MaxUnused::UNLIMITED, ..at_once() }, PruneOptions { max_repack: Some(10), ..at_once() }] {
        let report = prune(&open(&store).await, options).await.unwrap();
        assert_eq!((report.recut, report.repacked), (Recut::default(), Amount::default()), "{options:?}");
        assert_whole(&store, &kept, "as it was").await;
    }
}

#[tokio::test]
async fn written_again_and_cut_off_nothing_is_lost() {
    let mut cuts = 0;
    for writes in 0.. {
        let store = Store::memory();
        let kept = worn(&store).await;
        let cut = Repository::open(store.failing_after(writes), &password()).await.unwrap();
        let ended = prune(&cut, hours(0)).await;
        let when = format!("after {writes} writes");
        assert_whole(&store, &as_they_lie(&store, &kept).await, &when).await;
        for later in [27, 52, 77] {
            prune(&open(&store).await, hours(later)).await.unwrap();
            assert_whole(&store, &as_they_lie(&store, &kept).await, &when).await;
        }
        let last = prune(&open(&store).await, hours(102)).await.unwrap();
        assert_eq!((last.recut.snapshots, last.trashed.packs, last.waiting.packs), (0, 0, 0), "{when}");
        cuts += 1;
        if ended.is_ok() {
            break;
        }
    }
    assert!(cuts > 12, "{cuts}");
}

#[tokio::test]
async fn a_backup_beside_it_loses_nothing() {
    let (mut made, mut refused) = (0, 0);
    for calls in 0.. {
        let store = Store::memory();
        let kept = worn(&store).await;
        let parent = kept[2].0.clone();
        let mut next = None;
        let ended = beside(
            &store,
            calls * 3,
            async |repository| prune(&repository, hours(0)).await,
            async |_| {
                next = Some(back_up(&open(&store).await, &day(DAYS), Some(parent), info("next", i64::from(DAYS) * 86_400)).await);
            },
        )
        .await;
        let Some(ended) = ended else { break };
        assert!(ended.unwrap().damage.is_empty(), "beside call {calls}");
        let mut snapshots = kept;
        match next.unwrap() {
            Ok(root) => {
                made += 1;
                snapshots.push((root, day(DAYS)));
            }
            Err(RepositoryError::Overtaken { .. }) => refused += 1,
            Err(error) => panic!("beside call {calls}: {error}"),
        }
        for later in [0, 25, 50] {
            assert_whole(&store, &as_they_lie(&store, &snapshots).await, &format!("beside call {calls}")).await;
            prune(&open(&store).await, hours(later)).await.unwrap();
        }
        assert_whole(&store, &as_they_lie(&store, &snapshots).await, &format!("beside call {calls}")).await;
    }
    assert!(made > 10 && refused == 0, "{made} made, {refused} refused");
}

/// Found by the test above, once in many runs: a prune had put packs of objects into the trash, and not yet those of the tables that name them.
#[tokio::test]
async fn a_backup_stands_on_no_layer_whose_objects_are_in_the_trash() {
    let store = Store::memory();
    let kept = worn(&store).await;
    let (parent, _) = &kept[2];
    let repository = open(&store).await;
    repository.inner.blocks.refresh().await.unwrap();
    let tops = repository.tops(parent).await.unwrap();
    let packs: HashSet<[u8; 32]> = {
        let index = repository.inner.blocks.index();
        let blocks = tops.iter().flat_map(|top| &top.kinds).flat_map(|kind| &kind.blocks);
        blocks.flat_map(|id| index.places(*id).filter_map(|place| Some(index.pack(place)?.0)).collect::<Vec<_>>()).collect()
    };
    for pack in &packs {
        trash::put(&store, pack, Timestamp::now()).await.unwrap();
    }
    let commit = info("next", i64::from(DAYS) * 86_400);
    let root = back_up(&open(&store).await, &day(DAYS), Some(parent.clone()), commit).await.unwrap();
    assert_eq!((packs.is_empty(), root.layers.len()), (false, 1));
    assert_holds(&open(&store).await, &root, &day(DAYS)).await;
}

#[tokio::test]
async fn a_forget_beside_it_harms_no_other_snapshot() {
    let mut back = 0;
    for calls in 0.. {
        let store = Store::memory();
        let kept = worn(&store).await;
        let gone = kept[0].0.id;
        let ended =
            beside(&store, calls, async |repository| prune(&repository, hours(0)).await, async |_| open(&store).await.forget(gone).await.unwrap())
                .await;
        let Some(ended) = ended else { break };
        ended.unwrap();
        let there: HashSet<_> = open(&store).await.snapshots().await.unwrap().roots.iter().map(|root| root.id).collect();
        back += usize::from(there.contains(&gone));
        let left: Vec<(Root, Cluster)> = kept.into_iter().filter(|(root, _)| there.contains(&root.id)).collect();
        assert!(left.len() >= 2);
        for later in [25, 50] {
            prune(&open(&store).await, hours(later)).await.unwrap();
            assert_whole(&store, &as_they_lie(&store, &left).await, &format!("beside call {calls}")).await;
        }
    }
    // There is one moment between the look whether it is there and the write, for the first root once more when it is tried.
    assert!(back <= 2, "{back}");
}

#[tokio::test]
async fn a_snapshot_that_stays_open_is_found_where_it_lies_now() {
    let store = Store::memory();
    let kept = worn(&store).await;
    let reader = open(&store).await;
    let (root, _) = &kept[2];
    let opened = reader.open_snapshot(root).await.unwrap();
    assert!(opened.moved().await.unwrap().is_none());
    let mut before = Vec::new();
    for row in 0..opened.catalog().len() {
        before.push(opened.whole(row).await.unwrap());
    }
    // Nothing of it is in memory any more.
    let opened = open(&store).await.open_snapshot(root).await.unwrap();
    prune(&open(&store).await, at_once()).await.unwrap();
    let mut missing = 0;
    for (row, before) in before.iter().enumerate() {
        match opened.whole(row as u32).await {
            Err(RepositoryError::Missing { .. }) => missing += 1,
            read => assert_eq!(read.unwrap(), before),
        }
    }
    assert!(missing > 0);
    let moved = opened.moved().await.unwrap().unwrap();
    assert_eq!(moved.catalog().len(), opened.catalog().len());
    for (row, before) in before.iter().enumerate() {
        let row = row as u32;
        assert_eq!(moved.catalog().row(row).unwrap().id(), opened.catalog().row(row).unwrap().id());
        assert_eq!(moved.whole(row).await.unwrap(), before);
    }
    assert!(moved.moved().await.unwrap().is_none());
    open(&store).await.forget(root.id).await.unwrap();
    assert!(opened.moved().await.unwrap().is_none());
}

/// Found by the random sequences: who copies many snapshots has read their roots long before the last one's turn comes.
#[tokio::test]
async fn a_copy_takes_a_snapshot_as_it_lies_now() {
    let store = Store::memory();
    let kept = worn(&store).await;
    prune(&open(&store).await, at_once()).await.unwrap();
    let target = new_repository(&Store::memory()).await;
    let copier = Copier::new(&open(&store).await, &target).await.unwrap();
    for (root, objects) in &kept {
        let copied = copier.copy(root, None, &Arc::default()).await.unwrap();
        assert_holds(&target, &copied, objects).await;
    }
    // Of one that is gone there is nothing to take.
    let gone = &kept[0].0;
    open(&store).await.forget(gone.id).await.unwrap();
    assert!(copier.copy(gone, None, &Arc::default()).await.is_err_and(|error| error.is_damage()));
}

#[tokio::test]
async fn who_may_replace_nothing_leaves_it_as_it_is() {
    let store = Store::memory();
    let kept = worn(&store).await;
    let report = prune(&open(&store.never_replacing("roots/")).await, at_once()).await.unwrap();
    assert_eq!(report.recut.snapshots, 0);
    assert_whole(&store, &kept, "as it was").await;
}

#[tokio::test]
async fn a_cache_on_disk_has_no_say_in_where_it_lies() {
    let (store, folder) = (Store::memory(), tempfile::tempdir().unwrap());
    let kept = worn(&store).await;
    let cached = async || open(&store).await.with_cache(&DiskCache::new(folder.path(), DiskCache::DEFAULT_LIMIT));
    // The catalogs are in the cache then, and no block of objects.
    for root in cached().await.snapshots().await.unwrap().roots {
        cached().await.open_snapshot(&root).await.unwrap();
    }
    prune(&open(&store).await, at_once()).await.unwrap();
    let now = as_they_lie(&store, &kept).await;
    let repository = cached().await;
    assert_eq!(repository.snapshots().await.unwrap().roots, now.iter().map(|(root, _)| root.clone()).collect::<Vec<_>>());
    assert_eq!(repository.newest().await.unwrap().as_ref(), now.last().map(|(root, _)| root));
    for (root, objects) in &now {
        assert_holds(&repository, root, objects).await;
    }
}
