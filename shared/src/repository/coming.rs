//! Blocks on their way into the disk cache: who needs one waits for it, and does not ask for it a second time.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Semaphore;

use super::format::BlockId;

/// All that are on their way.
#[derive(Default)]
pub(super) struct Coming(Mutex<HashMap<BlockId, Arc<Semaphore>>>);

/// Blocks that one task brings. When it is dropped, also in the middle of its work, nobody waits any longer.
pub(super) struct Batch<'a> {
    pub(super) ids: Vec<BlockId>,
    coming: &'a Coming,
    /// Never has a permit, and is closed at the end: that wakes all who wait.
    end: Arc<Semaphore>,
}

impl Coming {
    fn blocks(&self) -> MutexGuard<'_, HashMap<BlockId, Arc<Semaphore>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes over the blocks that nobody brings yet.
    pub(super) fn begin(&self, ids: Vec<BlockId>) -> Batch<'_> {
        let (end, mut blocks) = (Arc::new(Semaphore::new(0)), self.blocks());
        let ids: Vec<BlockId> = ids.into_iter().filter(|id| !blocks.contains_key(id)).collect();
        blocks.extend(ids.iter().map(|id| (*id, Arc::clone(&end))));
        Batch { ids, coming: self, end }
    }

    /// Until a block has come, or does not come after all. At once where nobody brings it.
    pub(super) async fn wait_for(&self, id: BlockId) {
        let end = self.blocks().get(&id).cloned();
        if let Some(end) = end {
            // An error is the end.
            let _ = end.acquire().await;
        }
    }
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        let mut blocks = self.coming.blocks();
        for id in &self.ids {
            blocks.remove(id);
        }
        self.end.close();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_block_is_waited_for_until_its_task_ends() {
        let (coming, [a, b, c]) = (Coming::default(), [1, 2, 3].map(|byte| BlockId([byte; 32])));
        let first = coming.begin(vec![a, b]);
        let second = coming.begin(vec![b, c]);
        assert_eq!((first.ids.as_slice(), second.ids.as_slice()), (&[a, b][..], &[c][..]), "each is brought once");
        let is_there = async |id| tokio::time::timeout(Duration::from_millis(20), coming.wait_for(id)).await.is_ok();
        assert!(!is_there(b).await && !is_there(c).await);
        drop(first);
        assert!(is_there(a).await && is_there(b).await && !is_there(c).await);
        drop(second);
        assert!(is_there(c).await);
    }
}
