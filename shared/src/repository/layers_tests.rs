//! Snapshots in layers: what each layer holds, and that all of them read back, whatever came before and whatever is forgotten.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeMap;

use super::{
    blocks::pack_key,
    format::BlockId,
    tests::{Cluster, assert_holds, back_up, cluster, info, new_repository, password, pods},
    *,
};
use crate::object::KindInfo;

/// Kinds of the topmost layer: name, whole, rows.
async fn top_layer(repository: &Repository, root: &Root) -> Vec<(String, bool, u32)> {
    let tops = repository.tops(root).await.unwrap();
    let kinds = &tops.last().unwrap().kinds;
    kinds.iter().map(|kind| (kind.info.resource.clone(), kind.whole, kind.segments.iter().map(|segment| segment.rows).sum())).collect()
}

fn only(cluster: &Cluster, secret: bool) -> Cluster {
    cluster.iter().filter(|((own, _), _)| *own == secret).map(|(id, value)| (id.clone(), *value)).collect()
}

#[tokio::test]
async fn a_layer_holds_what_differs() {
    let store = Store::memory();
    let repository = new_repository(&store).await;
    let before = cluster(600, 0);
    // One in ten changed, 25 are new.
    let mut after: Cluster = cluster(625, 4000);
    let removed = ["ns-1/object-00001", "ns-2/object-00599"];
    after.retain(|(_, key), _| !removed.contains(&key.as_str()));
    let first = back_up(&repository, &before, None, info("one", 1)).await.unwrap();
    let second = back_up(&repository, &after, Some(first.clone()), info("two", 2)).await.unwrap();
    assert_eq!(second.layers[..1], first.layers[..]);
    assert_eq!((second.stats.changed, second.stats.new, second.stats.unchanged), (60, 25, 538));
    // 60 changed, 20 of the new ones and two tombstones; of Secrets 5 new ones.
    assert_eq!(top_layer(&repository, &second).await, [("pods".to_owned(), false, 82), ("secrets".to_owned(), false, 5)]);

    // Nothing changed: no layer at all.
    let third = back_up(&repository, &after, Some(second.clone()), info("three", 3)).await.unwrap();
    assert_eq!(third.layers, second.layers);
    // A kind that is gone is whole and empty, and comes back whole.
    let pods_only = only(&after, false);
    let fourth = back_up(&repository, &pods_only, Some(third.clone()), info("four", 4)).await.unwrap();
    assert_eq!(top_layer(&repository, &fourth).await, [("secrets".to_owned(), true, 0)]);
    let fifth = back_up(&repository, &pods_only, Some(fourth.clone()), info("five", 5)).await.unwrap();
    assert_eq!(fifth.layers, fourth.layers, "it is gone already");
    let sixth = back_up(&repository, &after, Some(fifth.clone()), info("six", 6)).await.unwrap();
    assert_eq!(top_layer(&repository, &sixth).await, [("secrets".to_owned(), false, 125)]);

    let again = Repository::open(store, &password()).await.unwrap();
    for (root, objects) in [(&first, &before), (&second, &after), (&third, &after), (&fourth, &pods_only), (&fifth, &pods_only), (&sixth, &after)] {
        assert_holds(&again, root, objects).await;
    }
    assert_eq!(again.open_snapshot(&fifth).await.unwrap().catalog().kinds().len(), 1);
    let report = again.check(CheckDepth::Data, &mut |_, _| {}).await.unwrap();
    assert!(report.errors.is_empty(), "{report:?}");
    // No snapshot needs another one's root.
    for root in [&first, &second, &third, &fourth, &fifth] {
        again.forget(root.id).await.unwrap();
    }
    assert_holds(&again, &sixth, &after).await;
}

#[tokio::test]
async fn a_kind_in_another_version_is_written_whole() {
    let repository = new_repository(&Store::memory()).await;
    let write = async |kind: KindInfo, parent: Option<Root>, second: i64| {
        let writer = repository.backup(BackupOptions { parent, ..BackupOptions::default() }).await.unwrap();
        let writer = tokio::task::spawn_blocking(move || {
            let mut kind = writer.kind(&kind);
            for name in ["a", "b"] {
                kind.push(Some("x"), name, format!(r#"{{"metadata":{{"name":"{name}","namespace":"x"}}}}"#).as_bytes()).unwrap();
            }
            kind.finish().unwrap();
            writer
        });
        writer.await.unwrap().commit(info(&format!("at-{second}"), second)).await.unwrap()
    };
    let first = write(pods(), None, 1).await;
    let later = KindInfo { version: "v2".into(), ..pods() };
    let second = write(later, Some(first), 2).await;
    assert_eq!(top_layer(&repository, &second).await, [("pods".to_owned(), true, 2)]);
    let snapshot = repository.open_snapshot(&second).await.unwrap();
    assert_eq!((snapshot.catalog().len(), &*snapshot.catalog().kinds()[0].info.version), (2, "v2"));
}

#[tokio::test]
async fn an_object_that_cannot_be_stored_any_more_is_not_shown_as_it_was() {
    let repository = new_repository(&Store::memory()).await;
    let write = async |item: String, parent: Option<Root>, second: i64| {
        let writer = repository.backup(BackupOptions { parent, ..BackupOptions::default() }).await.unwrap();
        let writer = tokio::task::spawn_blocking(move || {
            let mut kind = writer.kind(&pods());
            kind.push(None, "a", br#"{"metadata":{"name":"a"}}"#).unwrap();
            let stored = kind.push(None, "b", item.as_bytes());
            kind.push(None, "c", br#"{"metadata":{"name":"c"}}"#).unwrap();
            kind.finish().unwrap();
            (writer, stored.is_ok())
        });
        let (writer, stored) = writer.await.unwrap();
        (writer.commit(info(&format!("at-{second}"), second)).await.unwrap(), stored)
    };
    let (first, stored) = write(r#"{"metadata":{"name":"b"}}"#.to_owned(), None, 1).await;
    assert!(stored);
    let (second, stored) = write(r#"{"metadata":{"name":"b"},"#.to_owned(), Some(first), 2).await;
    assert!(!stored);
    let names: Vec<String> = repository.open_snapshot(&second).await.unwrap().catalog().rows().map(|row| row.name.to_owned()).collect();
    assert_eq!(names, ["a", "c"]);
}

#[tokio::test]
async fn nothing_stands_on_a_damaged_layer() {
    for of_table in [false, true] {
        let store = Store::memory();
        let repository = new_repository(&store).await;
        let objects = cluster(100, 0);
        let first = back_up(&repository, &objects, None, info("one", 1)).await.unwrap();
        let second = back_up(&repository, &cluster(100, 5_000), Some(first), info("two", 2)).await.unwrap();
        let tops = repository.tops(&second).await.unwrap();
        // Of the lowest layer, so that a base of the same objects would consist of the same blocks.
        damage(&store, &repository, if of_table { second.layers[0].top } else { tops[0].kinds[0].segments[0].block }).await;
        let again = Repository::open(store, &password()).await.unwrap();
        let third = back_up(&again, &objects, Some(second), info("three", 3)).await.unwrap();
        assert_eq!(third.layers.len(), 1, "a base of its own");
        assert_holds(&again, &third, &objects).await;
    }
}

async fn damage(store: &Store, repository: &Repository, block: BlockId) {
    let (pack, at) = {
        let index = repository.inner.blocks.index();
        let located = index.get(block).unwrap();
        (pack_key(&index.pack(located).unwrap().0), located.offset as usize + 40)
    };
    let mut bytes = store.get(&pack).await.unwrap().to_vec();
    bytes[at] ^= 1;
    store.put(&pack, bytes.into()).await.unwrap();
}

/// A chain of days with random changes reads back day by day, has a new base now and then, and gathers what is left of old blocks.
#[tokio::test]
async fn long_chains_read_back_and_begin_anew() {
    for seed in 1..=3_u64 {
        let store = Store::memory();
        let repository = new_repository(&store).await;
        let mut random = seed;
        let mut below = |limit: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) % limit
        };
        let mut objects = cluster(400, 0);
        let mut days: Vec<(Root, Cluster)> = Vec::new();
        for day in 0..40_i64 {
            let root = back_up(&repository, &objects, days.last().map(|(root, _)| root.clone()), info(&format!("day-{day}"), day)).await.unwrap();
            days.push((root, objects.clone()));
            for _ in 0..below(12) {
                let number = below(420);
                let key = (number % 5 == 0, format!("ns-{}/object-{number:05}", number % 3));
                match below(4) {
                    0 => drop(objects.remove(&key)),
                    _ => drop(objects.insert(key, below(100_000) as u32)),
                }
            }
            match below(25) {
                0 => objects.retain(|(secret, _), _| !secret),
                1 => objects.extend(only(&cluster(400, 0), true)),
                _ => {}
            }
        }
        let layers: Vec<usize> = days.iter().map(|(root, _)| root.layers.len()).collect();
        assert!(layers.iter().all(|&count| count <= 16) && layers[1..].contains(&1), "seed {seed}: {layers:?}");
        let again = Repository::open(store, &password()).await.unwrap();
        let report = again.check(CheckDepth::Data, &mut |_, _| {}).await.unwrap();
        assert!(report.errors.is_empty(), "seed {seed}: {report:?}");
        let mut kept = Vec::new();
        for (root, objects) in days {
            if below(2) == 0 {
                again.forget(root.id).await.unwrap();
            } else {
                kept.push((root, objects));
            }
        }
        for (root, objects) in &kept {
            assert_holds(&again, root, objects).await;
        }
    }
}

/// What is left of old blocks is put together when a base is written, so that a mount of day 1000 reads at most about twice as many blocks as one of day 1.
#[tokio::test]
async fn a_base_gathers_what_is_left_in_thin_blocks() {
    let repository = new_repository(&Store::memory()).await;
    // Blocks full of objects, of which one in a hundred changes each day.
    let day = |day: u32| -> Cluster {
        (0..3_000_u32).map(|n| ((false, format!("ns-0/object-{n:05}")), if n % 100 == day { 700 * n + 6 + 7 * day } else { 700 * n + 6 })).collect()
    };
    let mut parent: Option<Root> = None;
    let mut spread = BTreeMap::new();
    for number in 0..60 {
        let root = back_up(&repository, &day(number), parent.take(), info(&format!("day-{number}"), number.into())).await.unwrap();
        let blocks = repository.open_snapshot(&root).await.unwrap().catalog().blocks().len();
        spread.insert(number, (root.layers.len(), blocks));
        parent = Some(root);
    }
    let first = spread[&0].1;
    let bases: Vec<usize> = spread.values().skip(1).filter(|(layers, _)| *layers == 1).map(|(_, blocks)| *blocks).collect();
    assert!(bases.len() > 1 && bases.iter().all(|blocks| *blocks <= 2 * first + 16), "{spread:?}");
    assert!(bases.iter().any(|blocks| *blocks <= first + 3), "{spread:?}");
    assert_holds(&repository, &parent.unwrap(), &day(59)).await;
}
