//! What a backup asks before and behind its root: is all that it takes over still there, and shall it stay?

use jiff::Timestamp;

use super::{Grace, trash};
use crate::repository::{
    Repository, RepositoryError, Root,
    blocks::{LostPacks, pack_key},
    format::BlockId,
};

/// When a backup last looked at the trash.
pub(in crate::repository) struct Confirmed(Timestamp);

impl Confirmed {
    /// Whether so much time has passed since that a prune may have trashed and deleted a pack meanwhile. Half of the shortest grace time:
    /// the clock that tells is this machine's, also while it sleeps.
    fn is_stale(&self, now: Timestamp) -> bool {
        let passed = now.duration_since(self.0);
        passed.is_negative() || passed.as_secs() >= Grace::SHORTEST.seconds() / 2
    }
}

impl Repository {
    /// All blocks that a snapshot names: those of its catalog, and those of its objects.
    pub(in crate::repository) async fn referenced(&self, root: &Root) -> Result<Vec<BlockId>, RepositoryError> {
        let tops = self.tops(root).await?;
        let kinds = || tops.iter().flat_map(|top| &top.kinds);
        let segments = kinds().flat_map(|kind| &kind.segments).map(|segment| segment.block);
        let blocks = kinds().flat_map(|kind| &kind.blocks).copied();
        Ok(root.layers.iter().map(|layer| layer.top).chain(segments).chain(blocks).collect())
    }

    /// Between index and root: everything that the snapshot needs is there, and no prune wants it gone.
    ///
    /// # Errors
    /// `Overtaken`; `Store`.
    pub(in crate::repository) async fn confirm(&self, root: &Root, lost: &LostPacks) -> Result<Confirmed, RepositoryError> {
        let confirmed = Confirmed(Timestamp::now());
        // The trash first: a prune deletes the pack, then the entry. What is in neither list is gone.
        let trashed = trash::listed(&self.inner.store).await?;
        let present = self.inner.blocks.present().await?;
        let needed = match self.referenced(root).await {
            // Tables of layers could be read, or were stored, when the backup began.
            Err(error) if error.is_damage() => return Err(RepositoryError::Overtaken { blocks: 1 }),
            needed => needed?,
        };
        let index = self.inner.blocks.index();
        let overtaken = |id: &&BlockId| {
            let safe = |hash: &[u8; 32], size| !trashed.contains(hash) && present.get(&pack_key(hash)).is_some_and(|(found, _)| *found == size);
            // What was lost when the backup began is damage: the backup stored again what it needs of it.
            let lost_before = index.generation() == lost.generation && !index.holds(**id, |hash, _| !lost.damaged.contains(hash));
            !index.holds(**id, safe) && !lost_before
        };
        match needed.iter().filter(overtaken).count() {
            0 => Ok(confirmed),
            blocks => Err(RepositoryError::Overtaken { blocks }),
        }
    }

    /// Behind the root: if it took too long to get there, everything is looked at once more, and the root goes again if need be.
    ///
    /// # Errors
    /// `Overtaken`: there is no snapshot then; `Store`.
    pub(in crate::repository) async fn settle(&self, root: &Root, lost: &LostPacks, confirmed: Confirmed) -> Result<(), RepositoryError> {
        if !confirmed.is_stale(Timestamp::now()) {
            return Ok(());
        }
        match self.confirm(root, lost).await {
            Err(error @ RepositoryError::Overtaken { .. }) => {
                self.forget(root.id).await?;
                Err(error)
            }
            other => other.map(|_| ()),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_look_at_the_trash_counts_for_half_an_hour() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let confirmed = Confirmed(at(10_000));
        assert!(!confirmed.is_stale(at(10_000)) && !confirmed.is_stale(at(11_799)));
        assert!(confirmed.is_stale(at(11_800)) && confirmed.is_stale(at(200_000)));
        // A clock that was set back tells nothing.
        assert!(confirmed.is_stale(at(9_999)));
    }
}
