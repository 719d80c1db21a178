//! What opening a snapshot costs, however many came before it.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use jiff::{SignedDuration, Timestamp};

use super::{
    prune::PruneOptions,
    tests::{Cluster, assert_holds, back_up, cluster, info, new_repository, password},
    *,
};
use crate::store::Traffic;

/// One object in fifty changes each day, other ones each day.
fn day(day: u32) -> Cluster {
    cluster(2_000, 0).into_iter().map(|(id, n)| (id, if n % 50 == day % 50 { n + day * 10_000 } else { n })).collect()
}

/// Opens the repository and its newest snapshot as `ls` does.
async fn opened(store: &Store) -> (Repository, Snapshot, Traffic) {
    let before = store.traffic();
    let repository = Repository::open(store.clone(), &password()).await.unwrap();
    let root = repository.newest().await.unwrap().unwrap();
    let snapshot = repository.open_snapshot(&root).await.unwrap();
    (repository, snapshot, store.traffic().since(&before))
}

#[tokio::test]
async fn a_snapshot_behind_many_others_opens_with_few_requests() {
    let store = Store::plain_memory();
    let repository = new_repository(&store).await;
    let (mut parent, mut most) = (None, 0);
    let mut catalog = 0;
    for number in 0..40_u32 {
        let root = back_up(&repository, &day(number), parent.take(), info(&format!("day-{number}"), i64::from(number) * 86_400)).await.unwrap();
        let (_, snapshot, asked) = opened(&store).await;
        assert_eq!(snapshot.root(), &root);
        // config, the keys and their list, the roots' list and one root; then the base and at most five packs.
        assert!(asked.requests() <= 5 + root.layers.len() as u64 && root.layers.len() <= 6, "day {number}: {asked:?}");
        let own: u64 = root.layers.iter().flat_map(|layer| &layer.packs).map(|pack| pack.size).sum();
        assert!(asked.bytes_read <= own + 16_384, "day {number}: {asked:?} for {own} bytes of catalog");
        most = most.max(asked.requests());
        catalog = catalog.max(own);
        parent = Some(root);
    }
    assert_eq!(most, 11);
    let (repository, snapshot, _) = opened(&store).await;
    assert_holds(&repository, snapshot.root(), &day(39)).await;
    // Layers above a base are a sixth of it at most, and rows that say the same twice are few.
    let base = back_up(&repository, &day(39), None, info("base", 40 * 86_400)).await.unwrap();
    let alone: u64 = base.layers[0].packs.iter().map(|pack| pack.size).sum();
    assert!(catalog * 2 <= alone * 3, "{catalog} bytes in layers, {alone} in one");
}

#[tokio::test]
async fn packs_that_were_written_anew_are_found_by_the_index() {
    let store = Store::plain_memory();
    let repository = new_repository(&store).await;
    let mut parent: Option<Root> = None;
    for number in 0..16_u32 {
        let root = back_up(&repository, &day(number), parent.clone(), info(&format!("day-{number}"), i64::from(number) * 86_400)).await.unwrap();
        if let Some(before) = parent.replace(root) {
            repository.forget(before.id).await.unwrap();
        }
    }
    let root = parent.unwrap();
    for hours in [0, 25] {
        let now = Timestamp::now() + SignedDuration::from_hours(hours);
        repository.prune(PruneOptions::new(now), &mut |_, _, _| {}).await.unwrap();
    }
    let (_, _, asked) = opened(&store).await;
    assert!(asked.requests() <= 12, "{asked:?}");
    // Whatever a root says of packs: the index knows better.
    for wrong in [vec![], vec![PackRef { hash: [7; 32], size: 100 }], vec![PackRef { hash: root.layers[0].packs[0].hash, size: u64::MAX }]] {
        let mut misled = root.clone();
        misled.layers.iter_mut().for_each(|layer| layer.packs.clone_from(&wrong));
        let again = Repository::open(store.clone(), &password()).await.unwrap();
        assert_eq!(again.open_snapshot(&misled).await.unwrap().catalog().len(), 2_000);
    }
    assert_holds(&repository, &root, &day(15)).await;
}
