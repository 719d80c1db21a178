//! Removing what no snapshot needs any more, in two phases, beside running backups. `docs/format.md` §14 argues why nothing is lost.
//!
//! ```text
//! recut:   blocks of which too little is needed ─▶ their snapshots are written again, and take the place of the old ones
//! observe: index files ─▶ packs ─▶ trash ─▶ roots ─▶ their tables: which blocks are needed, and from which pack each is taken
//! plan:    a fate for each pack (pure)
//! run:     repack ─▶ new index ─▶ old index files go ─▶ trash ─▶ roots again, take back ─▶ delete what the grace time is over for
//! ```
//! Whatever point it is cut off at, all snapshots can be read, and the next prune goes on.

mod confirm;
mod index;
mod living;
mod lock;
#[cfg(test)]
mod model;
mod observe;
mod plan;
mod recut;
#[cfg(test)]
mod recut_tests;
mod run;
#[cfg(test)]
mod tests;
mod thin;
pub(super) mod trash;

use jiff::Timestamp;
use serde::Serialize;

use index::delete_allowed;
pub(super) use index::replace_allowed;
pub(super) use index::{Indexed, Reuse};
pub(super) use lock::Lock;
pub use plan::{Fate, Grace, GraceError, PruneOptions};
pub(super) use run::Copies;
pub use run::Progress;
pub use thin::MaxUnused;

use super::{Repository, RepositoryError};

/// A number of packs and their bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Amount {
    /// Packs.
    pub packs: usize,
    /// Their stored bytes.
    pub bytes: u64,
}

impl Amount {
    pub(super) fn add(&mut self, bytes: u64) {
        self.packs += 1;
        self.bytes += bytes;
    }
}

/// Snapshots that are written again, so that blocks of which little is needed can go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Recut {
    /// Snapshots.
    pub snapshots: usize,
    /// Blocks that they need no more.
    pub blocks: usize,
    /// Stored bytes of these.
    pub bytes: u64,
}

/// What a prune did, or would do.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PruneReport {
    /// Snapshots that were asked what they need.
    pub snapshots: usize,
    /// Snapshots that were written again, and the blocks that were left behind by it.
    pub recut: Recut,
    /// Packs that stay as they are.
    pub kept: Amount,
    /// Packs of which too little was needed, or whose data key is old: what is needed of them was written anew.
    pub repacked: Amount,
    /// The same, above the limit, so that they stay for now.
    pub repack_later: Amount,
    /// New packs for the parts that were needed.
    pub written: Amount,
    /// Packs that came into the trash: those that nothing needs, and those that were written anew.
    pub trashed: Amount,
    /// Packs in the trash whose time is not over.
    pub waiting: Amount,
    /// Packs taken out of the trash, because a snapshot needs them.
    pub taken_back: Amount,
    /// Packs that may belong to a backup that is running.
    pub young: Amount,
    /// Packs that were deleted: the space that is free now.
    pub deleted: Amount,
    /// Packs that would have been deleted, had the store allowed it: it keeps them until a time is over.
    pub denied: Amount,
    /// From when on the first of these can be deleted, if the store tells.
    pub denied_until: Option<Timestamp>,
    /// Roots that were sealed with the newest data key instead of an old one.
    pub re_encrypted_roots: usize,
    /// Index files before and after.
    pub index_files: (usize, usize),
    /// When the next pack may be deleted.
    pub next_deletion: Option<Timestamp>,
    /// Damage that was met on the way. What is damaged was left as it is.
    pub damage: Vec<String>,
}

impl Repository {
    /// What a prune would do now. Changes nothing.
    ///
    /// # Errors
    /// As [`Repository::prune`], but for `Locked`.
    pub async fn plan_prune(&self, options: PruneOptions) -> Result<PruneReport, RepositoryError> {
        self.may_prune()?;
        let repository = self.uncached();
        let seen = repository.observe(options).await?;
        let mut report = run::planned(&seen, &seen.fates(options), options);
        repository.thin_blocks(options, &mut report).await?;
        Ok(report)
    }

    /// Removes what no snapshot needs. `progress` hears the step, how much of it is done, and of how much.
    ///
    /// # Errors
    /// `PruneBlocked` when a snapshot cannot be asked what it needs: nothing was removed then; `Locked` beside another prune;
    /// `NeedsSensitiveKey` with a password of general access; `ReadOnly`; `Store`.
    pub async fn prune(&self, options: PruneOptions, progress: Progress<'_>) -> Result<PruneReport, RepositoryError> {
        self.may_prune()?;
        let mut lock = Lock::take(&self.inner.store, options.now).await?;
        let pruned = self.uncached().prune_locked(options, &mut lock, progress).await;
        // A lock that was lost belongs to somebody else now.
        if !matches!(pruned, Err(RepositoryError::Locked { .. })) {
            lock.release().await?;
        }
        pruned
    }

    fn may_prune(&self) -> Result<(), RepositoryError> {
        self.writable()?;
        // Copies of blocks are compared before one of them goes, also those under the sensitive key.
        if self.access() == super::Access::Full { Ok(()) } else { Err(RepositoryError::NeedsSensitiveKey) }
    }

    /// Removes the lock of a prune that was killed.
    ///
    /// # Errors
    /// `Store`.
    pub async fn unlock(&self) -> Result<(), RepositoryError> {
        self.writable()?;
        Ok(lock::remove(&self.inner.store).await?)
    }
}
