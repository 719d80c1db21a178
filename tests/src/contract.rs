//! What every store promises. Each one passes all of it, with a place of its own that is empty.

use std::collections::BTreeSet;

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};
use jiff::{SignedDuration, Timestamp};
use kubestash::store::{Created, Store, StoreError};

/// The whole suite.
pub async fn holds(store: &Store) {
    absent(&store.sub("absent")).await;
    written(&store.sub("written")).await;
    parts(&store.sub("parts")).await;
    created(&store.sub("created")).await;
    raced(&store.sub("raced")).await;
    listed(&store.sub("listed")).await;
    large(&store.sub("large")).await;
    below(store).await;
}

/// What is not there is told from what fails.
async fn absent(store: &Store) {
    assert!(store.get("a/b").await.unwrap_err().is_not_found());
    assert!(store.get_at_most("a/b", 10).await.unwrap_err().is_not_found());
    assert!(store.get_range("a/b", 0..1).await.unwrap_err().is_not_found());
    assert!(store.list("a").await.unwrap().is_empty());
    assert!(!store.exists("a/b").await.unwrap());
    store.delete("a/b").await.unwrap();
}

async fn written(store: &Store) {
    store.put("a/b", Bytes::from_static(b"first")).await.unwrap();
    store.put("a/b", Bytes::from_static(b"hello")).await.unwrap();
    assert_eq!(store.get("a/b").await.unwrap(), "hello");
    assert_eq!(store.get_at_most("a/b", 5).await.unwrap(), "hello");
    let refused = store.get_at_most("a/b", 4).await;
    assert!(matches!(refused, Err(StoreError::TooLarge { size: 5, maximum: 4, .. })), "{refused:?}");
    store.put("empty", Bytes::new()).await.unwrap();
    assert_eq!(store.get("empty").await.unwrap(), "");
    store.delete("a/b").await.unwrap();
    store.delete("a/b").await.unwrap();
    assert!(!store.exists("a/b").await.unwrap() && store.exists("empty").await.unwrap());
}

async fn parts(store: &Store) {
    store.put("a", Bytes::from_static(b"hello")).await.unwrap();
    assert_eq!(store.get_range("a", 1..3).await.unwrap(), "el");
    assert_eq!(store.get_range("a", 2..2).await.unwrap(), "");
    assert_eq!(store.get_ranges("a", &[4..5, 0..1]).await.unwrap(), ["o", "h"]);
    for range in [1..9, 5..6, 7..9] {
        let refused = store.get_range("a", range.clone()).await;
        assert!(matches!(refused, Err(StoreError::TooShort { size: 5, .. })), "{range:?}: {refused:?}");
        let refused = store.get_ranges("a", &[0..1, range.clone()]).await;
        assert!(matches!(refused, Err(StoreError::TooShort { size: 5, .. })), "{range:?}: {refused:?}");
    }
}

/// Nothing is replaced that was there before.
async fn created(store: &Store) {
    assert_eq!(store.put_new("a", Bytes::from_static(b"one")).await.unwrap(), Created::New);
    assert_eq!(store.put_new("a", Bytes::from_static(b"two")).await.unwrap(), Created::AlreadyThere);
    assert_eq!(store.get("a").await.unwrap(), "one");
    // A reply may have been lost.
    assert_eq!(store.put_new("a", Bytes::from_static(b"one")).await.unwrap(), Created::New);
    store.delete("a").await.unwrap();
    assert_eq!(store.put_new("a", Bytes::from_static(b"two")).await.unwrap(), Created::New);
    store.detect_conditions().await.unwrap();
    assert_eq!(store.keeps_conditions(), Some(true));
}

/// Of many who create a name at the same time one succeeds, and it is theirs that is there.
async fn raced(store: &Store) {
    for round in 0..4 {
        let key = format!("round-{round}");
        let tries = (0..16).map(async |n: u32| (n, store.put_new(&key, Bytes::from(format!("writer {n}"))).await.unwrap()));
        let tried: Vec<(u32, Created)> = futures::stream::iter(tries).buffer_unordered(16).collect().await;
        let winners: Vec<u32> = tried.iter().filter(|(_, created)| *created == Created::New).map(|(n, _)| *n).collect();
        let found = store.get(&key).await.unwrap();
        assert_eq!(winners.iter().map(|n| format!("writer {n}")).collect::<Vec<_>>(), [std::str::from_utf8(&found).unwrap()]);
    }
}

/// More names than stand in one page, also such that sort differently as paths and as texts. No name is a folder of another: not all stores
/// can have both.
async fn listed(store: &Store) {
    let mut names: BTreeSet<String> = (0..1_100).map(|n| format!("many/{n:04}")).collect();
    names.extend(["a/a-b", "a/a.b", "a/a/b", "a/A", "a/Z_z", "a-b/c", "ab/c"].map(str::to_owned));
    let before = Timestamp::now();
    let writes = names.iter().map(async |name| store.put(name, Bytes::from(name.clone())).await);
    futures::stream::iter(writes).buffer_unordered(16).try_collect::<Vec<()>>().await.unwrap();
    let found = store.list("").await.unwrap();
    assert_eq!(found.iter().map(|entry| entry.key.clone()).collect::<Vec<_>>(), names.into_iter().collect::<Vec<_>>());
    for entry in &found {
        assert_eq!(entry.size, entry.key.len() as u64);
        // The clock of a store may differ, by less than anything hangs on.
        assert!(entry.modified.duration_since(before).abs() < SignedDuration::from_mins(5), "{entry:?}");
    }
    let of = async |folder| store.list(folder).await.unwrap().into_iter().map(|entry| entry.key).collect::<Vec<_>>();
    assert_eq!(of("a").await, ["a/A", "a/Z_z", "a/a-b", "a/a.b", "a/a/b"], "a folder, not what begins like it");
    assert_eq!(of("many").await.len(), 1_100);
    assert_eq!(of("man").await, [""; 0]);
    // Asked only of buckets.
    if let Some(some) = store.sub("a").some_name().await.unwrap() {
        assert!(some.is_some_and(|name| ["A", "Z_z", "a-b", "a.b", "a/b"].contains(&&*name)));
        assert_eq!(store.sub("none").some_name().await.unwrap(), Some(None));
    }
}

/// Above the size at which a pack is closed.
async fn large(store: &Store) {
    let content: Bytes = (0..9_u32 << 20).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect::<Vec<u8>>().into();
    store.put("pack", content.clone()).await.unwrap();
    assert!(store.get("pack").await.unwrap() == content);
    let size = content.len() as u64;
    assert_eq!(store.get_range("pack", size - 12..size).await.unwrap(), content.slice(content.len() - 12..));
}

/// A part of a store is a store.
async fn below(store: &Store) {
    let part = store.sub("/below/");
    part.put("a", Bytes::from_static(b"one")).await.unwrap();
    assert_eq!(store.get("below/a").await.unwrap(), "one");
    assert_eq!(part.list("").await.unwrap().iter().map(|entry| entry.key.as_str()).collect::<Vec<_>>(), ["a"]);
    assert_eq!(part.label(), format!("{}/below", store.label()));
}
