//! All snapshots of a mount. Each has a number, which is the upper part of its inodes; its tree is loaded when somebody enters it.
//!
//! Number 0 is the mount's root: the snapshot itself, or with `--all` a directory with `snapshots/` and `latest`.

use std::sync::{Arc, PoisonError, RwLock};

use kubestash::repository::{Repository, RepositoryError, Root, SnapshotId};
use tokio::sync::OnceCell;

use crate::content::SnapshotFiles;

/// Bits of an inode that belong to the tree.
const TREE_BITS: u32 = 40;

/// Inode of the directory `snapshots` of a mount of all.
pub const SNAPSHOTS: u64 = 2;
/// Inode of the link `latest`.
pub const LATEST: u64 = 3;

/// One snapshot of the forest.
pub struct Slot {
    /// Its directory name.
    pub name: String,
    /// The snapshot.
    pub root: Root,
    files: OnceCell<Arc<SnapshotFiles>>,
}

/// The snapshots of a mount.
pub struct Forest {
    repository: Repository,
    full: bool,
    all: bool,
    /// Slot of number n at n - 1 with `--all`, at n otherwise. Slots are added, never moved: inodes stay what they are.
    slots: RwLock<Vec<Arc<Slot>>>,
    /// Numbers that are listed, oldest first.
    listed: RwLock<Vec<u64>>,
}

/// Splits an inode into number and inode within the tree.
pub const fn split(inode: u64) -> (u64, u64) {
    (inode >> TREE_BITS, inode & ((1 << TREE_BITS) - 1))
}

/// The inode of a tree's inode.
pub const fn join(number: u64, inode: u64) -> u64 {
    (number << TREE_BITS) | inode
}

impl Forest {
    /// One snapshot at the root.
    pub fn single(repository: Repository, root: Root, full: bool) -> Self {
        let slot = Arc::new(Slot { name: root.name.clone(), root, files: OnceCell::new() });
        Self { repository, full, all: false, slots: RwLock::new(vec![slot]), listed: RwLock::default() }
    }

    /// A snapshot that is open already, at the root.
    pub fn of(snapshot: &kubestash::repository::Snapshot, full: bool) -> Self {
        let forest = Self::single(snapshot.repository().clone(), snapshot.root().clone(), full);
        if let Some(slot) = forest.slot(0) {
            // A new cell is empty.
            let _ = slot.files.set(SnapshotFiles::new(snapshot.clone(), full));
        }
        forest
    }

    /// All snapshots of a repository.
    pub fn all(repository: Repository, roots: Vec<Root>, full: bool) -> Self {
        let forest = Self { repository, full, all: true, slots: RwLock::default(), listed: RwLock::default() };
        forest.update(roots);
        forest
    }

    /// Whether this is a mount of all snapshots.
    pub const fn is_all(&self) -> bool {
        self.all
    }

    fn slots(&self) -> Vec<Arc<Slot>> {
        self.slots.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The snapshots that are there now. Returns whether the list changed.
    pub fn update(&self, roots: Vec<Root>) -> bool {
        let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
        let mut listed = Vec::new();
        for root in roots {
            let at = slots.iter().position(|slot| slot.root.id == root.id).unwrap_or_else(|| {
                let taken = slots.iter().any(|slot| slot.name == root.name);
                let name = if taken { format!("{}.{}", root.name, root.id) } else { root.name.clone() };
                slots.push(Arc::new(Slot { name, root, files: OnceCell::new() }));
                slots.len() - 1
            });
            listed.push(at as u64 + 1);
        }
        let mut own = self.listed.write().unwrap_or_else(PoisonError::into_inner);
        let changed = *own != listed;
        *own = listed;
        changed
    }

    /// Reads the list of snapshots anew.
    ///
    /// # Errors
    /// The store's.
    pub async fn refresh(&self) -> Result<bool, RepositoryError> {
        Ok(self.update(self.repository.snapshots().await?.roots))
    }

    /// The snapshot of a number.
    pub fn slot(&self, number: u64) -> Option<Arc<Slot>> {
        let at = if self.all { number.checked_sub(1)? } else { number };
        self.slots.read().unwrap_or_else(PoisonError::into_inner).get(usize::try_from(at).ok()?).cloned()
    }

    /// Numbers and snapshots that are listed, oldest first.
    pub fn listed(&self) -> Vec<(u64, Arc<Slot>)> {
        let numbers = self.listed.read().unwrap_or_else(PoisonError::into_inner).clone();
        numbers.into_iter().filter_map(|number| Some((number, self.slot(number)?))).collect()
    }

    /// The tree of a number, if it is loaded.
    pub fn loaded(&self, number: u64) -> Option<Arc<SnapshotFiles>> {
        self.slot(number)?.files.get().cloned()
    }

    /// The tree of a number; loads it the first time.
    ///
    /// # Errors
    /// Damage of the catalog, or the store's.
    pub async fn load(&self, number: u64) -> Result<Arc<SnapshotFiles>, RepositoryError> {
        let slot = self.slot(number).ok_or_else(|| RepositoryError::NotFound { what: format!("snapshot number {number}") })?;
        let files = slot
            .files
            .get_or_try_init(|| async { Ok::<_, RepositoryError>(SnapshotFiles::new(self.repository.open_snapshot(&slot.root).await?, self.full)) });
        files.await.cloned()
    }

    /// Number of files and bytes of the trees that are loaded, for `df`.
    pub fn totals(&self) -> (u64, u64) {
        let loaded = self.slots().into_iter().filter_map(|slot| slot.files.get().cloned());
        loaded.fold((0, 0), |(nodes, bytes), files| (nodes + files.tree.nodes(), bytes + files.snapshot.root().stats.logical_bytes))
    }

    /// Ids of the snapshots that are listed.
    pub fn ids(&self) -> Vec<SnapshotId> {
        self.listed().into_iter().map(|(_, slot)| slot.root.id).collect()
    }
}
