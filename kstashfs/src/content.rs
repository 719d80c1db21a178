//! The bytes of files: from blocks in memory at once, else by a fetch with a deadline.

use std::{
    collections::HashSet,
    ops::Range,
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

use bytes::Bytes;
use kubestash::{
    object::{merge, merged_len},
    repository::{Access, BlockId, BlockRange, Lengths, Part, RepositoryError, Snapshot, slice},
};

use crate::{
    ahead::Ahead,
    tree::{File, Tree, View},
};

/// How files look and how long their readers wait.
#[derive(Debug, Clone, Copy)]
pub struct FileOptions {
    /// Whole objects instead of manifests.
    pub full: bool,
    /// Secrets without their values, as who has no key to them sees them.
    pub hide_secrets: bool,
    /// Longest wait of a reader for the store. A process that waits for a read cannot be killed, so every wait ends.
    pub deadline: Duration,
}

impl Default for FileOptions {
    fn default() -> Self {
        Self { full: false, hide_secrets: false, deadline: Duration::from_secs(60) }
    }
}

impl FileOptions {
    /// A word for how files look: the same bytes come of the same word.
    pub(crate) const fn looks(&self) -> &'static str {
        match (self.full, self.hide_secrets) {
            (false, false) => "manifest",
            (false, true) => "manifest-hidden",
            (true, false) => "full",
            (true, true) => "full-hidden",
        }
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
    /// The snapshot as its objects lie now: a prune may write it again while it is mounted. Rows keep their numbers.
    lies: RwLock<Snapshot>,
    /// Held by whoever looks where it lies now.
    looking: tokio::sync::Mutex<()>,
    ahead: Mutex<Ahead>,
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
        Self::laid_out(snapshot, tree, options)
    }

    /// Lays out what changed, given as a part of a snapshot, with texts beside it.
    pub(crate) fn of_changes(snapshot: Snapshot, texts: Vec<(&'static str, String)>, options: FileOptions) -> Arc<Self> {
        let tree = Tree::of_changes(snapshot.shared_catalog(), texts);
        Self::laid_out(snapshot, tree, options)
    }

    fn laid_out(snapshot: Snapshot, tree: Tree, options: FileOptions) -> Arc<Self> {
        let lies = RwLock::new(snapshot.clone());
        Arc::new(Self { snapshot, tree, options, lies, looking: tokio::sync::Mutex::default(), ahead: Mutex::default() })
    }

    fn hides(&self, sensitive: bool) -> bool {
        sensitive && (self.options.hide_secrets || self.snapshot.access() == Access::General)
    }

    /// Length of a file, exact, without reading it; and whether it shows values of secrets.
    pub fn size(&self, file: File) -> Option<(u64, bool)> {
        let row = self.tree.catalog().row(file.row)?;
        let lengths = row.lengths;
        let size = match file.view {
            _ if self.hides(row.sensitive) => u64::from(lengths.redacted.unwrap_or(0)),
            View::Manifest if self.options.full => merged_len(lengths.manifest, lengths.status, lengths.server),
            View::Manifest => lengths.manifest.into(),
            View::WithStatus => u64::from(lengths.manifest) + u64::from(lengths.status),
        };
        Some((size, row.sensitive && !self.hides(row.sensitive)))
    }

    /// Bytes of all that its objects are made of.
    pub fn bytes(&self) -> u64 {
        let length = |lengths: Lengths| u64::from(lengths.manifest) + u64::from(lengths.status) + u64::from(lengths.server);
        self.tree.catalog().rows().map(|row| length(row.lengths)).sum()
    }

    fn lies(&self) -> Snapshot {
        self.lies.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Looks whether the snapshot lies elsewhere than `was`. False where it does not.
    async fn follow(&self, was: &Snapshot) -> Result<bool, RepositoryError> {
        let _looking = self.looking.lock().await;
        let lies = self.lies();
        if lies.root() != was.root() {
            return Ok(true);
        }
        match lies.moved().await? {
            Some(moved) if moved.catalog().len() == self.tree.catalog().len() => {
                tracing::info!("snapshot {} was written again by a prune, and is read where it lies now", moved.root().name);
                *self.lies.write().unwrap_or_else(PoisonError::into_inner) = moved;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    fn recipe(&self, lies: &Snapshot, file: File) -> Option<Recipe> {
        let catalog = lies.catalog();
        let place = |part| catalog.place(file.row, part);
        let hidden = self.hides(catalog.row(file.row)?.sensitive);
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
        let recipe = self.recipe(&self.lies(), file)?;
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
        let (lies, mut seen): (_, [Option<BlockId>; 3]) = (self.lies(), [None; 3]);
        rows.map(|row| File { row, view }).find(|&file| {
            let Some(recipe) = self.recipe(&lies, file) else { return false };
            recipe.pieces.into_iter().zip(&mut seen).any(|(place, seen)| {
                let Some(place) = place.filter(|place| seen.replace(place.block) != Some(place.block)) else { return false };
                self.snapshot.cached_block(place.block).is_none()
            })
        })
    }

    /// Whether [`SnapshotFiles::ready`] would give bytes.
    pub fn is_ready(&self, file: File) -> bool {
        let cached = |place: BlockRange| self.snapshot.cached_block(place.block).is_some();
        self.recipe(&self.lies(), file).is_some_and(|recipe| recipe.pieces.into_iter().flatten().all(cached))
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
        let lies = self.lies();
        match self.read_at(&lies, file).await {
            Err(ContentError::Repository(error @ RepositoryError::Missing { .. })) => {
                if !self.follow(&lies).await? {
                    return Err(error.into());
                }
                self.read_at(&self.lies(), file).await
            }
            read => read,
        }
    }

    async fn read_at(&self, lies: &Snapshot, file: File) -> Result<Bytes, ContentError> {
        let recipe = self.recipe(lies, file).ok_or(ContentError::NoFile)?;
        if self.snapshot.brings() && !self.is_ready(file) {
            self.bring(file).await;
        }
        let mut pieces = [Bytes::new(), Bytes::new(), Bytes::new()];
        for (piece, place) in pieces.iter_mut().zip(recipe.pieces) {
            if let Some(place) = place {
                *piece = slice(&self.snapshot.block(place.block).await?, place)?;
            }
        }
        Ok(self.cook(file, recipe.merged, pieces)?)
    }

    /// Fetches the blocks of a file that are not in memory, and from a store that is far away those that a walk needs next; nobody waits for it.
    pub async fn prefetch(&self, file: File) {
        let Some(recipe) = self.recipe(&self.lies(), file) else { return };
        let blocks = recipe.pieces.into_iter().flatten().map(|place| place.block);
        let fetch = async {
            self.bring(file).await;
            for block in blocks.collect::<Vec<BlockId>>() {
                // A failure shows when the file is read.
                let _ = self.snapshot.block(block).await;
            }
        };
        let _ = tokio::time::timeout(self.options.deadline, fetch).await;
    }

    /// Has the blocks that a walk needs next brought from a store that is far away: those about the file before this ends, others meanwhile.
    async fn bring(&self, file: File) {
        let (with_it, behind_it) = self.ahead_of(file);
        if !behind_it.is_empty() {
            let snapshot = self.snapshot.clone();
            tokio::spawn(async move { snapshot.bring(&behind_it).await });
        }
        self.snapshot.bring(&with_it).await;
    }

    /// Blocks to bring together with those of a file that is needed, and others to bring meanwhile.
    fn ahead_of(&self, file: File) -> (Vec<BlockId>, Vec<BlockId>) {
        let nothing = (Vec::new(), Vec::new());
        let Some(kind) = self.tree.catalog().kind_of(file.row).filter(|_| self.snapshot.brings()) else { return nothing };
        let mut ahead = self.ahead.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(wanted) = ahead.needed(kind.rows.start, file.row) else { return nothing };
        let (mut blocks, mut seen, lies) = (Vec::new(), HashSet::new(), self.lies());
        let (mut end, mut counted) = (wanted.from, 0);
        for row in wanted.from..kind.rows.end {
            let Some(recipe) = self.recipe(&lies, File { row, view: file.view }) else { break };
            // Of each row its first piece counts: the others lie beside it.
            if recipe.pieces[0].is_some_and(|place| !seen.contains(&place.block)) {
                if counted == wanted.blocks {
                    break;
                }
                counted += 1;
            }
            blocks.extend(recipe.pieces.into_iter().flatten().map(|place| place.block).filter(|block| seen.insert(*block)));
            end = row + 1;
        }
        ahead.bringing(kind.rows.start, wanted.from..end);
        match (wanted.has_asked, wanted.blocks) {
            // It is fetched by who needs it.
            (true, 1) => nothing,
            (true, _) => (blocks, Vec::new()),
            (false, _) => (Vec::new(), blocks),
        }
    }

    /// As people know the object, for messages.
    pub fn name(&self, file: File) -> String {
        self.tree.catalog().row(file.row).map_or_else(|| "?".to_owned(), |row| row.id().to_string())
    }
}
