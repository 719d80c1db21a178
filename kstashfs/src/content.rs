//! The bytes of files: from blocks in memory at once, else by a fetch with a deadline.

use std::{ops::Range, sync::Arc, time::Duration};

use bytes::Bytes;
use kubestash::{
    object::{merge, merged_len},
    repository::{Access, BlockId, BlockRange, Part, RepositoryError, Snapshot, slice},
};

use crate::tree::{File, Tree, View};

/// How files look and how long their readers wait.
#[derive(Debug, Clone, Copy)]
pub struct FileOptions {
    /// Whole objects instead of manifests.
    pub full: bool,
    /// Longest wait of a reader for the store. A process that waits for a read cannot be killed, so every wait ends.
    pub deadline: Duration,
}

impl Default for FileOptions {
    fn default() -> Self {
        Self { full: false, deadline: Duration::from_secs(60) }
    }
}

/// A snapshot with its tree, and how its files look.
#[derive(Debug)]
pub struct SnapshotFiles {
    /// The snapshot.
    pub snapshot: Snapshot,
    /// Its tree.
    pub tree: Tree,
    options: FileOptions,
}

/// Why a file could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ContentError {
    /// The repository failed.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// The store took too long.
    #[error("the store did not answer within {} s", .0.as_secs_f32())]
    Deadline(Duration),
    /// No such row.
    #[error("there is no such file")]
    NoFile,
}

/// What a file is made of: manifest (or its redacted form), status, server part.
struct Recipe {
    pieces: [Option<BlockRange>; 3],
    /// Put together to one object instead of one behind the other.
    merged: bool,
}

/// The blocks that the last file came from, one for each of its pieces.
#[derive(Debug, Default)]
pub struct Recent([Option<(BlockId, Bytes)>; 3]);

impl Recent {
    /// The block of the first piece.
    pub fn first(&self) -> Option<BlockId> {
        self.0[0].as_ref().map(|(id, _)| *id)
    }
}

impl SnapshotFiles {
    /// Lays out the tree.
    pub fn new(snapshot: Snapshot, options: FileOptions) -> Arc<Self> {
        let tree = Tree::new(snapshot.shared_catalog());
        Arc::new(Self { snapshot, tree, options })
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
            View::Manifest if self.options.full => merged_len(lengths.manifest, lengths.status, lengths.server),
            View::Manifest => lengths.manifest.into(),
            View::WithStatus => u64::from(lengths.manifest) + u64::from(lengths.status),
        };
        Some((size, row.sensitive))
    }

    fn recipe(&self, file: File) -> Option<Recipe> {
        let catalog = self.tree.catalog();
        let place = |part| catalog.place(file.row, part);
        let hidden = self.snapshot.access() == Access::General && catalog.row(file.row)?.sensitive;
        let (pieces, merged) = match file.view {
            _ if hidden => ([place(Part::Redacted), None, None], false),
            View::Manifest if self.options.full => ([place(Part::Manifest), place(Part::Status), place(Part::Server)], true),
            View::Manifest => ([place(Part::Manifest), None, None], false),
            View::WithStatus => ([place(Part::Manifest), place(Part::Status), None], false),
        };
        Some(Recipe { pieces, merged })
    }

    fn cook(&self, file: File, merged: bool, pieces: [Bytes; 3]) -> Result<Bytes, RepositoryError> {
        let [first, status, server] = pieces;
        if merged {
            let named = |source| RepositoryError::Object { object: self.name(file), source };
            return merge(&first, &status, &server).map(Bytes::from).map_err(named);
        }
        // Mostly there is but one, and it need not be copied.
        Ok(if status.is_empty() { first } else { [first, status].concat().into() })
    }

    /// The bytes of a file, if all its blocks are in memory.
    pub fn ready(&self, file: File) -> Option<Bytes> {
        self.ready_with(file, &mut Recent::default())
    }

    /// As [`SnapshotFiles::ready`], for one file after the other: neighbours mostly lie in the same blocks.
    pub fn ready_with(&self, file: File, recent: &mut Recent) -> Option<Bytes> {
        let recipe = self.recipe(file)?;
        let mut pieces = [Bytes::new(), Bytes::new(), Bytes::new()];
        for ((piece, place), last) in pieces.iter_mut().zip(recipe.pieces).zip(&mut recent.0) {
            let Some(place) = place else { continue };
            let block = match last {
                Some((id, block)) if *id == place.block => block,
                last => &mut last.insert((place.block, self.snapshot.cached_block(place.block)?)).1,
            };
            *piece = slice(block, place).ok()?;
        }
        self.cook(file, recipe.merged, pieces).ok()
    }

    /// The first file of some rows that [`SnapshotFiles::ready`] would not give.
    pub fn first_not_ready(&self, view: View, rows: Range<u32>) -> Option<File> {
        let mut seen: [Option<BlockId>; 3] = [None; 3];
        rows.map(|row| File { row, view }).find(|&file| {
            let Some(recipe) = self.recipe(file) else { return false };
            recipe.pieces.into_iter().zip(&mut seen).any(|(place, seen)| {
                let Some(place) = place.filter(|place| seen.replace(place.block) != Some(place.block)) else { return false };
                self.snapshot.cached_block(place.block).is_none()
            })
        })
    }

    /// Whether [`SnapshotFiles::ready`] would give bytes.
    pub fn is_ready(&self, file: File) -> bool {
        let cached = |place: BlockRange| self.snapshot.cached_block(place.block).is_some();
        self.recipe(file).is_some_and(|recipe| recipe.pieces.into_iter().flatten().all(cached))
    }

    /// The bytes of a file; readers of one block share its fetch.
    ///
    /// # Errors
    /// Damage, a store that fails, or the deadline.
    pub async fn read(&self, file: File) -> Result<Bytes, ContentError> {
        let deadline = self.options.deadline;
        tokio::time::timeout(deadline, self.read_now(file)).await.map_err(|_| ContentError::Deadline(deadline))?
    }

    async fn read_now(&self, file: File) -> Result<Bytes, ContentError> {
        let recipe = self.recipe(file).ok_or(ContentError::NoFile)?;
        let mut pieces = [Bytes::new(), Bytes::new(), Bytes::new()];
        for (piece, place) in pieces.iter_mut().zip(recipe.pieces) {
            if let Some(place) = place {
                *piece = slice(&self.snapshot.block(place.block).await?, place)?;
            }
        }
        Ok(self.cook(file, recipe.merged, pieces)?)
    }

    /// Fetches the blocks of a file that are not in memory; nobody waits for it.
    pub async fn prefetch(&self, file: File) {
        let Some(recipe) = self.recipe(file) else { return };
        let blocks = recipe.pieces.into_iter().flatten().map(|place| place.block);
        let fetch = async {
            for block in blocks.collect::<Vec<BlockId>>() {
                // A failure shows when the file is read.
                let _ = self.snapshot.block(block).await;
            }
        };
        let _ = tokio::time::timeout(self.options.deadline, fetch).await;
    }

    /// As people know the object, for messages.
    pub fn name(&self, file: File) -> String {
        self.tree.catalog().row(file.row).map_or_else(|| "?".to_owned(), |row| row.id().to_string())
    }
}
