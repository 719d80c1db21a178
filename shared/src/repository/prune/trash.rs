//! `trash/<hash>`: packs that a prune wants gone, each with the time at which it was given up.

use std::collections::{BTreeMap, HashSet};

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::delete_allowed;
use crate::{
    repository::{
        blocks::hash_of,
        format::{MAX_HEADER_FILE, hex},
    },
    store::{Store, StoreError},
};

/// Requests at the same time.
const PARALLEL: usize = 8;

#[derive(Serialize, Deserialize)]
struct Entry {
    time: Timestamp,
}

fn key(pack: &[u8; 32]) -> String {
    format!("trash/{}", hex(pack))
}

/// The packs that are in the trash.
pub(in crate::repository) async fn listed(store: &Store) -> Result<HashSet<[u8; 32]>, StoreError> {
    Ok(store.list("trash").await?.iter().filter_map(|entry| hash_of(&entry.key)).collect())
}

/// The packs that are in the trash and since when. An entry that cannot be read counts from the time at which the store got it.
pub(super) async fn read(store: &Store) -> Result<BTreeMap<[u8; 32], Timestamp>, StoreError> {
    let entries = store.list("trash").await?.into_iter().filter_map(|entry| Some((hash_of(&entry.key)?, entry)));
    let read = futures::stream::iter(entries).map(async |(pack, entry)| match store.get_at_most(&entry.key, MAX_HEADER_FILE).await {
        Err(StoreError::NotFound { .. }) => Ok(None),
        Err(StoreError::TooLarge { .. }) => Ok(Some((pack, entry.modified))),
        Err(error) => Err(error),
        Ok(text) => Ok(Some((pack, serde_json::from_slice(&text).map_or(entry.modified, |Entry { time }| time)))),
    });
    Ok(read.buffer_unordered(PARALLEL).try_collect::<Vec<_>>().await?.into_iter().flatten().collect())
}

/// Puts a pack into the trash; one that is there stays there since when it was.
pub(in crate::repository) async fn put(store: &Store, pack: &[u8; 32], time: Timestamp) -> Result<(), StoreError> {
    let mut text = serde_json::to_string(&Entry { time }).unwrap_or_default();
    text.push('\n');
    store.put_new(&key(pack), Bytes::from(text)).await.map(|_| ())
}

/// Takes a pack out of the trash. Where the store does not allow that its entry stays, for a later prune; a pack that an index names counts as
/// taken out for those who read, and a backup stores again what it would take over from it.
pub(super) async fn take_out(store: &Store, pack: &[u8; 32]) -> Result<(), StoreError> {
    delete_allowed(store, &key(pack)).await.map(|_| ())
}
