//! Decoded blocks in memory: a bounded number of bytes, the least recently used go first. Fetches under way are shared.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use tokio::sync::OnceCell;

use super::format::BlockId;

#[derive(Default)]
struct Inner {
    /// Each block with the time of its last use.
    kept: HashMap<BlockId, (Bytes, u64)>,
    /// The same by time.
    order: BTreeMap<u64, BlockId>,
    bytes: usize,
    clock: u64,
    fetching: HashMap<BlockId, Arc<OnceCell<Bytes>>>,
}

/// Keeps at most so many bytes.
pub(super) struct Cache {
    limit: usize,
    inner: Mutex<Inner>,
}

/// A place in a shared fetch. The last one to leave takes the fetch away, also when it failed or was given up.
pub(super) struct Fetch<'a> {
    cache: &'a Cache,
    id: BlockId,
    cell: Arc<OnceCell<Bytes>>,
}

impl Cache {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, inner: Mutex::default() }
    }

    /// Bytes that are kept, and the most that may be.
    pub(super) fn bytes(&self) -> (usize, usize) {
        (self.inner().bytes, self.limit)
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A block that is kept; using it makes it young.
    pub(super) fn get(&self, id: BlockId) -> Option<Bytes> {
        let mut guard = self.inner();
        let inner = &mut *guard;
        let (bytes, used) = inner.kept.get_mut(&id)?;
        inner.clock += 1;
        inner.order.remove(used);
        inner.order.insert(inner.clock, id);
        *used = inner.clock;
        Some(bytes.clone())
    }

    /// Joins the fetch of a block, or begins one.
    pub(super) fn fetch(&self, id: BlockId) -> Fetch<'_> {
        let cell = Arc::clone(self.inner().fetching.entry(id).or_default());
        Fetch { cache: self, id, cell }
    }

    pub(super) fn keep(&self, id: BlockId, bytes: Bytes) {
        let mut guard = self.inner();
        let inner = &mut *guard;
        inner.clock += 1;
        inner.bytes += bytes.len();
        inner.order.insert(inner.clock, id);
        if let Some((old, used)) = inner.kept.insert(id, (bytes, inner.clock)) {
            inner.bytes -= old.len();
            inner.order.remove(&used);
        }
        while inner.bytes > self.limit {
            let Some((_, oldest)) = inner.order.pop_first() else { break };
            inner.bytes -= inner.kept.remove(&oldest).map_or(0, |(bytes, _)| bytes.len());
        }
    }
}

impl Fetch<'_> {
    /// What all who wait for the block share.
    pub(super) fn cell(&self) -> &OnceCell<Bytes> {
        &self.cell
    }
}

impl Drop for Fetch<'_> {
    fn drop(&mut self) {
        let mut inner = self.cache.inner();
        // The map's and ours.
        if Arc::strong_count(&self.cell) <= 2 && inner.fetching.get(&self.id).is_some_and(|cell| Arc::ptr_eq(cell, &self.cell)) {
            inner.fetching.remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u8) -> BlockId {
        BlockId([number; 32])
    }

    fn block(length: usize) -> Bytes {
        Bytes::from(vec![0; length])
    }

    #[test]
    fn the_least_recently_used_blocks_go_first() {
        let cache = Cache::new(100);
        for number in 0..4 {
            cache.keep(id(number), block(25));
        }
        assert!(cache.get(id(0)).is_some());
        cache.keep(id(4), block(50));
        let kept: Vec<u8> = (0..5).filter(|&number| cache.get(id(number)).is_some()).collect();
        assert_eq!(kept, [0, 3, 4]);
        assert_eq!(cache.inner().bytes, 100);
        // The same block again counts once.
        cache.keep(id(4), block(50));
        assert_eq!(cache.inner().bytes, 100);
        // What is larger than all room is not kept, and nothing is counted wrongly for it.
        cache.keep(id(9), block(101));
        let inner = cache.inner();
        assert_eq!((inner.bytes, inner.kept.len(), inner.order.len()), (0, 0, 0));
    }

    #[test]
    fn fetches_are_shared_and_leave_nothing_behind() {
        let cache = Cache::new(100);
        let (first, second) = (cache.fetch(id(1)), cache.fetch(id(1)));
        assert!(Arc::ptr_eq(&first.cell, &second.cell));
        drop(first);
        assert_eq!(cache.inner().fetching.len(), 1);
        drop(second);
        assert!(cache.inner().fetching.is_empty());
    }
}
