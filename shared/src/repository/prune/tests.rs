//! Prune in memory: cut off anywhere, beside backups, without the right to delete, over damage. Time is an argument.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};

use super::*;
use crate::{
    repository::{
        BackupOptions, CheckDepth, Root,
        tests::{Cluster, assert_holds, back_up, cluster, fill, info, keys_of, new_repository, password},
    },
    store::{Store, faults::Pause},
};

/// Hours from now on; packs in memory are as old as they are.
pub(super) fn hours(hours: i64) -> PruneOptions {
    PruneOptions::new(Timestamp::now() + SignedDuration::from_hours(hours))
}

pub(super) fn at_once() -> PruneOptions {
    PruneOptions { grace: Grace::NONE, ..hours(0) }
}

pub(super) async fn open(store: &Store) -> Repository {
    Repository::open(store.clone(), &password()).await.unwrap()
}

pub(super) async fn prune(repository: &Repository, options: PruneOptions) -> Result<PruneReport, RepositoryError> {
    repository.prune(options, &mut |_, _, _| {}).await
}

pub(super) async fn assert_whole(store: &Store, snapshots: &[(Root, Cluster)], when: &str) {
    let repository = open(store).await;
    let report = repository.check(CheckDepth::Data, &mut |_, _| {}).await.unwrap();
    assert!(report.errors.is_empty(), "{when}: {report:?}");
    let mut roots = repository.snapshots().await.unwrap().roots;
    roots.sort_by_key(|root| root.id);
    let mut expected: Vec<&Root> = snapshots.iter().map(|(root, _)| root).collect();
    expected.sort_by_key(|root| root.id);
    assert_eq!(roots.iter().collect::<Vec<_>>(), expected, "{when}");
    for (root, objects) in snapshots {
        assert_holds(&repository, root, objects).await;
    }
}

/// The pods of a cluster change all together, its Secrets stay.
fn state(value: u32) -> Cluster {
    cluster(40, 0).into_iter().map(|((secret, key), n)| ((secret, key), if secret { n } else { n + value * 1_000 })).collect()
}

pub(super) async fn bytes_in(store: &Store) -> u64 {
    store.list("").await.unwrap().iter().map(|entry| entry.size).sum()
}

/// A repository with three snapshots, of which two were forgotten. The pack with the objects of the first is needed for the Secrets
/// alone, its catalog and the packs of the second for nothing.
async fn half_dead(store: &Store) -> (Root, Cluster) {
    let repository = new_repository(store).await;
    let first = back_up(&repository, &state(1), None, info("one", 1)).await.unwrap();
    let second = back_up(&repository, &state(2), Some(first.clone()), info("two", 2)).await.unwrap();
    let third = back_up(&repository, &state(3), Some(second.clone()), info("three", 3)).await.unwrap();
    repository.forget(first.id).await.unwrap();
    repository.forget(second.id).await.unwrap();
    (third, state(3))
}

#[tokio::test]
async fn two_prunes_free_what_nothing_needs() {
    let store = Store::memory();
    let kept = half_dead(&store).await;
    let (before, repository) = (bytes_in(&store).await, open(&store).await);
    let planned = repository.plan_prune(hours(0)).await.unwrap();
    assert_eq!(bytes_in(&store).await, before, "a plan changes nothing");
    let first = prune(&repository, hours(0)).await.unwrap();
    assert_eq!((planned.repacked, planned.trashed, planned.deleted), (first.repacked, first.trashed, Amount::default()));
    assert_eq!((first.repacked.packs, first.trashed.packs, first.kept.packs, first.written.packs), (1, 3, 2, 1));
    assert_eq!((first.index_files, first.deleted, first.next_deletion), ((3, 1), Amount::default(), None));
    assert_whole(&store, std::slice::from_ref(&kept), "after the first").await;

    let waits = prune(&repository, hours(23)).await.unwrap();
    assert_eq!((waits.waiting.packs, waits.deleted.packs), (4, 0));
    assert!(waits.next_deletion.unwrap() > hours(23).now);
    let second = prune(&repository, hours(25)).await.unwrap();
    assert_eq!((second.deleted.packs, second.kept.packs, second.written.packs), (4, 3, 0));
    assert_eq!(second.deleted.bytes, first.repacked.bytes + first.trashed.bytes);
    assert!(!keys_of(&store).await.iter().any(|key| key.starts_with("trash/") || key.starts_with("locks/")));
    assert_whole(&store, &[kept], "after the second").await;
    let third = prune(&repository, hours(26)).await.unwrap();
    assert_eq!((third.kept, third.index_files), (second.kept, (1, 1)), "nothing is left to do");
}

#[tokio::test]
async fn cut_off_behind_any_write_nothing_is_lost() {
    for phase in 0..2 {
        for writes in 0.. {
            let store = Store::memory();
            let kept = half_dead(&store).await;
            if phase == 1 {
                prune(&open(&store).await, hours(0)).await.unwrap();
            }
            let cut = Repository::open(store.failing_after(writes), &password()).await.unwrap();
            let ended = prune(&cut, hours(25 * phase)).await;
            let when = format!("phase {phase}, after {writes} writes");
            assert_whole(&store, std::slice::from_ref(&kept), &when).await;
            // The next ones go on, when the lock has run out, and come to the same end.
            for later in [27, 52] {
                prune(&open(&store).await, hours(later + 25 * phase)).await.unwrap();
            }
            assert_whole(&store, std::slice::from_ref(&kept), &when).await;
            let packs = keys_of(&store).await.into_iter().filter(|key| key.starts_with("packs/") || key.starts_with("trash/")).count();
            assert_eq!(packs, 3, "{when}");
            if ended.is_ok() {
                assert!(writes > 4, "lock, trash and deletions are made one by one");
                break;
            }
        }
    }
}

#[tokio::test]
async fn a_forget_that_is_cut_off_is_done_or_not() {
    for writes in 0..2 {
        let store = Store::memory();
        let repository = new_repository(&store).await;
        let first = back_up(&repository, &state(1), None, info("one", 1)).await.unwrap();
        let second = back_up(&repository, &state(2), Some(first.clone()), info("two", 2)).await.unwrap();
        let cut = Repository::open(store.failing_after(writes), &password()).await.unwrap();
        assert_eq!(cut.forget(first.id).await.is_ok(), writes == 1);
        let mut snapshots = vec![(second, state(2))];
        if writes == 0 {
            snapshots.push((first, state(1)));
        }
        assert_whole(&store, &snapshots, &format!("after {writes} writes")).await;
    }
}

/// Runs a backup or a prune, and something else when it has made so many calls; `None` when it ended before.
pub(super) async fn beside<T>(store: &Store, calls: i64, long: impl AsyncFnOnce(Repository) -> T, short: impl AsyncFnOnce(&Pause)) -> Option<T> {
    let (paused, pause) = store.pausing_after(calls);
    // Opening is not what is looked at.
    let opened = open(store).await;
    let repository = Repository::assemble(paused, opened.inner.config.clone(), None, opened.inner.ring.clone(), opened.inner.key_id.clone());
    let mut met = false;
    let (ended, ()) = futures::future::join(
        async {
            let ended = long(repository).await;
            pause.end();
            ended
        },
        async {
            if pause.reached().await.is_some() {
                met = true;
                short(&pause).await;
                pause.go_on();
            }
        },
    )
    .await;
    met.then_some(ended)
}

#[tokio::test]
async fn a_backup_in_the_middle_of_a_prune_loses_nothing() {
    let (mut made, mut refused, mut rescued) = (0, 0, 0);
    for calls in 0.. {
        let store = Store::memory();
        let kept = half_dead(&store).await;
        let (root, mut third) = (kept.0.clone(), None);
        // The pods are as they were in the snapshot that was forgotten: its blocks are taken over as long as they are there.
        let ended = beside(
            &store,
            calls,
            async |repository| prune(&repository, hours(0)).await,
            async |_| {
                third = Some(back_up(&open(&store).await, &state(1), Some(root), info("four", 4)).await);
            },
        )
        .await;
        let when = format!("beside call {calls}");
        let Some(ended) = ended else {
            break;
        };
        let report = ended.unwrap();
        assert!(report.damage.is_empty(), "{when}: {report:?}");
        rescued += report.taken_back.packs;
        let mut snapshots = vec![kept];
        match third.unwrap() {
            Ok(root) => {
                made += 1;
                snapshots.push((root, state(1)));
            }
            Err(RepositoryError::Overtaken { .. }) => refused += 1,
            Err(error) => panic!("{when}: {error}"),
        }
        for later in [0, 25, 50] {
            assert_whole(&store, &snapshots, &when).await;
            let report = prune(&open(&store).await, hours(later)).await.unwrap();
            assert_eq!(report.taken_back.packs, 0, "{when}: the prune itself took back what the backup needs");
        }
        assert_whole(&store, &snapshots, &when).await;
    }
    assert!(made > 25 && rescued > 5, "{made} made, {rescued} packs taken back");
    assert_eq!(refused, 0, "who begins beside a prune sees what it gives up");
}

#[tokio::test]
async fn a_prune_in_the_middle_of_a_backup_loses_nothing() {
    let (mut made, mut refused) = (0, 0);
    // One prune at any time; or two, a day apart, as long as the backup has not looked at the trash for the last time.
    for days in 0..2 {
        let mut looked = false;
        for calls in 0.. {
            let store = Store::memory();
            let kept = half_dead(&store).await;
            let root = kept.0.clone();
            let ended = beside(
                &store,
                calls,
                async |repository| back_up(&repository, &state(1), Some(root), info("four", 4)).await,
                async |pause| {
                    // The first time is when it begins.
                    looked = pause.passed("trash") == 2;
                    for day in 0..=if looked { 0 } else { days } {
                        prune(&open(&store).await, hours(25 * day)).await.unwrap();
                    }
                },
            )
            .await;
            let when = format!("beside call {calls}, {days} days");
            let Some(ended) = ended else {
                break;
            };
            let mut snapshots = vec![kept];
            match ended {
                Ok(root) => {
                    made += 1;
                    snapshots.push((root, state(1)));
                }
                Err(RepositoryError::Overtaken { .. }) => refused += 1,
                Err(error) => panic!("{when}: {error}"),
            }
            assert_whole(&store, &snapshots, &when).await;
            for later in [26, 52] {
                prune(&open(&store).await, hours(25 * days + later)).await.unwrap();
            }
            assert_whole(&store, &snapshots, &when).await;
            if days == 1 && looked {
                break;
            }
        }
    }
    assert!(made > 5 && refused > 2, "both happen: {made} made, {refused} refused");
}

#[tokio::test]
async fn a_reader_goes_on_while_packs_are_replaced() {
    let store = Store::memory();
    let (root, objects) = half_dead(&store).await;
    let reader = open(&store).await;
    let snapshot = reader.open_snapshot(&root).await.unwrap();
    for hour in [0, 25] {
        prune(&open(&store).await, hours(hour)).await.unwrap();
    }
    for row in 0..snapshot.catalog().len() {
        snapshot.whole(row).await.unwrap();
    }
    assert_holds(&reader, &root, &objects).await;
}

#[tokio::test]
async fn a_snapshot_that_cannot_be_read_stops_prune() {
    let store = Store::memory();
    let (root, _) = half_dead(&store).await;
    let key = format!("roots/{}", root.id);
    let mut bytes = store.get(&key).await.unwrap().to_vec();
    bytes[50] ^= 1;
    store.put(&key, bytes.into()).await.unwrap();
    let before = keys_of(&store).await;
    let refused = prune(&open(&store).await, at_once()).await.unwrap_err();
    assert_eq!(refused.to_string(), format!("nothing was removed: it cannot be told what {key} needs"));
    assert_eq!(keys_of(&store).await, before);
    // Forgetting it lets prune go on.
    open(&store).await.forget(root.id).await.unwrap();
    let report = prune(&open(&store).await, at_once()).await.unwrap();
    assert_eq!((report.kept.packs, report.deleted.packs), (0, 6));
}

#[tokio::test]
async fn what_the_store_does_not_let_go_is_counted_and_the_rest_is_done() {
    for locked in ["packs/", "index/", ""] {
        let store = Store::memory();
        let kept = half_dead(&store).await;
        let limited = open(&store.never_deleting(locked)).await;
        prune(&limited, hours(0)).await.unwrap();
        let second = prune(&limited, hours(25)).await.unwrap();
        assert_eq!((second.deleted.packs, second.denied.packs), (0, 4), "{locked}");
        assert!(second.denied.bytes > 0);
        assert_whole(&store, std::slice::from_ref(&kept), locked).await;
        let files = keys_of(&store).await.iter().filter(|key| key.starts_with("index/")).count();
        let third = prune(&limited, hours(50)).await.unwrap();
        assert_eq!(third.index_files.1, files, "index files do not pile up");
        // When the lock's time is over, all of it goes.
        let last = prune(&open(&store).await, hours(75)).await.unwrap();
        assert_eq!((last.deleted.packs, last.denied.packs), (4, 0));
        assert_whole(&store, &[kept], locked).await;
    }
}

#[tokio::test]
async fn of_several_copies_the_whole_one_stays() {
    let store = Store::memory();
    let repository = new_repository(&store).await;
    let first = back_up(&repository, &state(1), None, info("one", 1)).await.unwrap();
    for key in keys_of(&store).await.into_iter().filter(|key| key.starts_with("packs/")) {
        let mut bytes = store.get(&key).await.unwrap().to_vec();
        bytes[100] ^= 1;
        store.put(&key, bytes.into()).await.unwrap();
    }
    let damaged = open(&store).await;
    let writer = damaged.backup(BackupOptions { anew: true, ..BackupOptions::default() }).await.unwrap();
    let second = fill(writer, &state(1)).await.unwrap().commit(info("two", 2)).await.unwrap();
    let report = prune(&open(&store).await, at_once()).await.unwrap();
    assert_eq!((report.deleted.packs, report.kept.packs), (2, 2), "{report:?}");
    assert_whole(&store, &[(first, state(1)), (second, state(1))], "healed").await;
}

#[tokio::test]
async fn what_is_damaged_or_lost_stays_and_is_named() {
    let store = Store::memory();
    let (root, objects) = half_dead(&store).await;
    let pack = keys_of(&store).await.into_iter().filter(|key| key.starts_with("packs/")).collect::<Vec<_>>();
    let repository = open(&store).await;
    let lost = repository.plan_prune(hours(0)).await.unwrap();
    assert_eq!((lost.repacked.packs, lost.damage.len()), (1, 0));
    // Whichever pack is cut or gone, what can be read stays readable, and putting the pack back heals everything.
    for key in pack {
        let good = store.get(&key).await.unwrap();
        for bad in [Some(Bytes::from_static(b"cut")), None] {
            match bad {
                Some(bad) => store.put(&key, bad).await.unwrap(),
                None => store.delete(&key).await.unwrap(),
            }
            // The table of the snapshot itself may have been in it.
            match prune(&open(&store).await, hours(0)).await {
                Ok(report) => assert!(report.deleted.packs == 0, "{report:?}"),
                Err(error) => assert!(matches!(error, RepositoryError::PruneBlocked { .. }), "{error}"),
            }
            store.put(&key, good.clone()).await.unwrap();
            assert_holds(&open(&store).await, &root, &objects).await;
        }
    }
}

#[tokio::test]
async fn a_limit_leaves_the_rest_for_later() {
    let store = Store::memory();
    let kept = half_dead(&store).await;
    let report = prune(&open(&store).await, PruneOptions { max_repack: Some(10), ..hours(0) }).await.unwrap();
    assert_eq!((report.repacked.packs, report.repack_later.packs, report.written.packs), (0, 1, 0));
    assert_whole(&store, std::slice::from_ref(&kept), "later").await;
    let report = prune(&open(&store).await, hours(1)).await.unwrap();
    assert_eq!((report.repacked.packs, report.repack_later.packs), (1, 0));
    assert_whole(&store, &[kept], "now").await;
}

#[tokio::test]
async fn one_prune_at_a_time() {
    let store = Store::memory();
    half_dead(&store).await;
    let now = hours(0);
    let lock = Lock::take(&store, now.now).await.unwrap();
    let refused = prune(&open(&store).await, now).await.unwrap_err();
    assert!(matches!(refused, RepositoryError::Locked { .. }), "{refused}");
    assert!(store.exists(lock::KEY).await.unwrap(), "the other one's lock is left alone");
    drop(lock);
    open(&store).await.unlock().await.unwrap();
    prune(&open(&store).await, now).await.unwrap();
}

#[tokio::test]
async fn thirty_days_shrink_to_one_with_its_layers() {
    let store = Store::memory();
    let repository = new_repository(&store).await;
    // Every day the same three in a hundred change, as status does.
    let day = |day: u32| -> Cluster { cluster(2_000, 0).into_iter().map(|(id, n)| (id, if n % 100 < 3 { n + day * 10_000 } else { n })).collect() };
    let mut parent = None;
    for number in 0..30 {
        let root = back_up(&repository, &day(number), parent.take(), info(&format!("day-{number}"), i64::from(number) * 86_400)).await.unwrap();
        if number > 0 {
            for old in repository.snapshots().await.unwrap().roots.iter().filter(|old| old.id != root.id && number == 29) {
                repository.forget(old.id).await.unwrap();
            }
        }
        parent = Some(root);
    }
    let thirty = bytes_in(&store).await;
    for hour in [0, 25] {
        prune(&repository, hours(hour)).await.unwrap();
    }
    let fresh = Store::memory();
    back_up(&new_repository(&fresh).await, &day(29), None, info("fresh", 1)).await.unwrap();
    let (pruned, fresh) = (bytes_in(&store).await, bytes_in(&fresh).await);
    // 29 days of changes are gone, and what is left lies as in a repository that knows no other day.
    assert!(pruned * 100 <= fresh * 110 && thirty > pruned * 3 / 2, "{thirty} bytes shrank to {pruned}, a fresh repository has {fresh}");
    let root = repository.snapshots().await.unwrap().roots.remove(0);
    let parent = parent.unwrap();
    assert_eq!((root.id, &root.name, root.stats, root.time), (parent.id, &parent.name, parent.stats, parent.time));
    assert_whole(&store, &[(root, day(29))], "one of thirty").await;
}
