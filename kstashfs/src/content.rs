//! The bytes of files: from blocks in memory at once, else by a fetch with a deadline.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use kubestash::{
    object::merged_len,
    repository::{Access, BlockRange, Part, RepositoryError, Snapshot, slice},
};

use crate::tree::{File, Tree, View};

/// Longest wait of a reader for the store. A process that waits for a read cannot be killed, so every wait ends.
const DEADLINE: Duration = Duration::from_secs(60);

/// A snapshot with its tree, and how its files look.
#[derive(Debug)]
pub struct SnapshotFiles {
    /// The snapshot.
    pub snapshot: Snapshot,
    /// Its tree.
    pub tree: Tree,
    /// Whole objects instead of manifests.
    pub full: bool,
}

/// Why a file could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ContentError {
    /// The repository failed.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// The store took too long.
    #[error("the store did not answer in {} s", DEADLINE.as_secs())]
    Deadline,
    /// No such row.
    #[error("there is no such file")]
    NoFile,
}

/// The pieces that a file is made of.
enum Recipe {
    /// One after the other.
    Pieces([Option<BlockRange>; 2]),
    /// Manifest, status and server, merged.
    Merged([Option<BlockRange>; 3]),
}

impl SnapshotFiles {
    /// Lays out the tree.
    pub fn new(snapshot: Snapshot, full: bool) -> Arc<Self> {
        let tree = Tree::new(snapshot.shared_catalog());
        Arc::new(Self { snapshot, tree, full })
    }

    fn hides(&self, sensitive: bool) -> bool {
        sensitive && self.snapshot.access() == Access::General
    }

    /// Length of a file, exact, without reading it; and whether it holds secrets.
    pub fn size(&self, file: File) -> Option<(u64, bool)> {
        let row = self.tree.catalog().row(file.row)?;
        let lengths = row.lengths;
        let size = match file.view {
            _ if self.hides(row.sensitive) => u64::from(lengths.redacted.unwrap_or(0)),
            View::Manifest if self.full => merged_len(lengths.manifest, lengths.status, lengths.server),
            View::Manifest => lengths.manifest.into(),
            View::WithStatus => u64::from(lengths.manifest) + u64::from(lengths.status),
        };
        Some((size, row.sensitive))
    }

    fn recipe(&self, file: File) -> Option<Recipe> {
        let catalog = self.tree.catalog();
        let place = |part| catalog.place(file.row, part);
        let row = catalog.row(file.row)?;
        Some(match file.view {
            _ if self.hides(row.sensitive) => Recipe::Pieces([place(Part::Redacted), None]),
            View::Manifest if self.full => Recipe::Merged([place(Part::Manifest), place(Part::Status), place(Part::Server)]),
            View::Manifest => Recipe::Pieces([place(Part::Manifest), None]),
            View::WithStatus => Recipe::Pieces([place(Part::Manifest), place(Part::Status)]),
        })
    }

    /// The bytes of a file, if all its blocks are in memory.
    pub fn ready(&self, file: File) -> Option<Bytes> {
        let part = |place: &Option<BlockRange>| match place {
            Some(place) => slice(&self.snapshot.cached_block(place.block)?, *place).ok(),
            None => Some(Bytes::new()),
        };
        match self.recipe(file)? {
            Recipe::Pieces([first, None]) => part(&first),
            Recipe::Pieces([first, second]) => Some([part(&first)?, part(&second)?].concat().into()),
            Recipe::Merged([manifest, status, server]) => {
                kubestash::object::merge(&part(&manifest)?, &part(&status)?, &part(&server)?).ok().map(Bytes::from)
            }
        }
    }

    /// The bytes of a file; readers of one block share its fetch.
    ///
    /// # Errors
    /// Damage, a store that fails, or the deadline.
    pub async fn read(&self, file: File) -> Result<Bytes, ContentError> {
        tokio::time::timeout(DEADLINE, self.read_now(file)).await.map_err(|_| ContentError::Deadline)?
    }

    async fn read_now(&self, file: File) -> Result<Bytes, ContentError> {
        let part = async |place: Option<BlockRange>| match place {
            Some(place) => slice(&self.snapshot.block(place.block).await?, place),
            None => Ok(Bytes::new()),
        };
        match self.recipe(file).ok_or(ContentError::NoFile)? {
            Recipe::Pieces([first, None]) => Ok(part(first).await?),
            Recipe::Pieces([first, second]) => Ok([part(first).await?, part(second).await?].concat().into()),
            Recipe::Merged(_) => Ok(self.snapshot.whole(file.row).await?),
        }
    }

    /// Starts fetching what a file needs; nobody waits for it.
    pub async fn prefetch(&self, file: File) {
        // A failure shows when the file is read.
        let _ = self.read(file).await;
    }

    /// As people know the object, for messages.
    pub fn name(&self, file: File) -> String {
        self.tree.catalog().row(file.row).map_or_else(|| "?".to_owned(), |row| row.id().to_string())
    }
}
