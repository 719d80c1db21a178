//! All snapshots of a mount. Each has a number, which is the upper part of its inodes; its tree is loaded when somebody enters it.
//!
//! Number 0 is the mount's root: the snapshot itself, or with `--all` a directory with `snapshots/` and `latest`.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::{Duration, Instant, SystemTime},
};

use kubestash::{
    object::directory_name,
    repository::{Repository, RepositoryError, Root, Snapshot, SnapshotId},
};
use tokio::sync::OnceCell;

use crate::content::{ContentError, FileOptions, SnapshotFiles};

/// Bits of an inode that belong to the tree.
const TREE_BITS: u32 = 40;
/// A list of snapshots that is older is read anew when somebody looks.
const FRESH: Duration = Duration::from_secs(3);

/// One snapshot of the forest.
pub struct Slot {
    /// Its directory name.
    pub name: String,
    /// The snapshot.
    pub root: Root,
    files: OnceCell<Arc<SnapshotFiles>>,
}

/// Which snapshots are there.
#[derive(Debug)]
struct Listing {
    /// Their numbers, oldest snapshot first.
    numbers: Vec<u64>,
    /// When they became these: the time of the directories that show them, by which the kernel knows that its copy is old.
    changed: SystemTime,
    /// When somebody last looked for others.
    looked: Instant,
    /// Roots that could not be read and were reported.
    reported: HashSet<String>,
}

/// The snapshots of a mount.
pub struct Forest {
    repository: Repository,
    options: FileOptions,
    all: bool,
    /// Slot of number n at n - 1 with `--all`, at n otherwise. Slots are added, never moved: inodes stay what they are.
    slots: RwLock<Vec<Arc<Slot>>>,
    listing: Mutex<Listing>,
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
    fn new(repository: Repository, options: FileOptions, all: bool) -> Self {
        let listing = Listing { numbers: Vec::new(), changed: SystemTime::now(), looked: Instant::now(), reported: HashSet::new() };
        Self { repository, options, all, slots: RwLock::default(), listing: Mutex::new(listing) }
    }

    /// A snapshot at the root.
    pub fn of(snapshot: &Snapshot, options: FileOptions) -> Self {
        let forest = Self::new(snapshot.repository().clone(), options, false);
        let root = snapshot.root().clone();
        let files = OnceCell::new_with(Some(SnapshotFiles::new(snapshot.clone(), options)));
        forest.slots_mut().push(Arc::new(Slot { name: root.name.clone(), root, files }));
        forest
    }

    /// All snapshots of a repository, which were just read.
    pub fn all(repository: Repository, roots: Vec<Root>, options: FileOptions) -> Self {
        let forest = Self::new(repository, options, true);
        let ids = roots.iter().map(|root| root.id).collect();
        forest.update(roots, &ids);
        forest
    }

    /// Whether this is a mount of all snapshots.
    pub const fn is_all(&self) -> bool {
        self.all
    }

    fn slots(&self) -> Vec<Arc<Slot>> {
        self.slots.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn slots_mut(&self) -> std::sync::RwLockWriteGuard<'_, Vec<Arc<Slot>>> {
        self.slots.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn listing(&self) -> std::sync::MutexGuard<'_, Listing> {
        self.listing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds snapshots that are new, and lists those that are there now.
    fn update(&self, new: Vec<Root>, present: &HashSet<SnapshotId>) {
        let mut numbers: Vec<(u64, Arc<Slot>)> = {
            let mut slots = self.slots_mut();
            for root in new {
                if slots.iter().any(|slot| slot.root.id == root.id) {
                    continue;
                }
                let own = directory_name(&root.name).into_owned();
                // Two backups at the same moment may have taken one name.
                let name = if slots.iter().any(|slot| slot.name == own) { format!("{own}.{}", root.id) } else { own };
                slots.push(Arc::new(Slot { name, root, files: OnceCell::new() }));
            }
            (1..).zip(slots.iter().cloned()).filter(|(_, slot)| present.contains(&slot.root.id)).collect()
        };
        numbers.sort_by_key(|(_, slot)| (slot.root.time, slot.root.id));
        let numbers: Vec<u64> = numbers.into_iter().map(|(number, _)| number).collect();
        let mut listing = self.listing();
        if listing.numbers != numbers {
            listing.numbers = numbers;
            listing.changed = SystemTime::now();
        }
    }

    /// Whether the caller shall look for other snapshots: the list is old, and nobody else looks.
    pub fn shall_look(&self) -> bool {
        let mut listing = self.listing();
        let old = self.all && listing.looked.elapsed() > FRESH;
        if old {
            listing.looked = Instant::now();
        }
        old
    }

    /// Reads the list of snapshots anew. Of those known already nothing is read.
    ///
    /// # Errors
    /// The store's.
    pub async fn look(&self) -> Result<(), RepositoryError> {
        let known = self.slots().iter().map(|slot| slot.root.id).collect();
        let (list, present) = self.repository.snapshots_beside(&known).await?;
        for (key, error) in list.damaged {
            if self.listing().reported.insert(key) {
                tracing::error!("a snapshot cannot be shown: {error}");
            }
        }
        self.update(list.roots, &present);
        Ok(())
    }

    /// When the list of snapshots last changed.
    pub fn changed(&self) -> SystemTime {
        self.listing().changed
    }

    /// The snapshot of a number.
    pub fn slot(&self, number: u64) -> Option<Arc<Slot>> {
        let at = if self.all { number.checked_sub(1)? } else { number };
        self.slots.read().unwrap_or_else(PoisonError::into_inner).get(usize::try_from(at).ok()?).cloned()
    }

    /// Numbers and snapshots that are listed, by number: a place in the list stays what it is when others come and go.
    pub fn listed(&self) -> Vec<(u64, Arc<Slot>)> {
        let mut numbers = self.listing().numbers.clone();
        numbers.sort_unstable();
        numbers.into_iter().filter_map(|number| Some((number, self.slot(number)?))).collect()
    }

    /// The newest snapshot that is listed.
    pub fn latest(&self) -> Option<(u64, Arc<Slot>)> {
        let number = self.listing().numbers.last().copied()?;
        Some((number, self.slot(number)?))
    }

    /// The tree of a number, if it is loaded.
    pub fn loaded(&self, number: u64) -> Option<Arc<SnapshotFiles>> {
        self.slot(number)?.files.get().cloned()
    }

    /// The tree of a number; loads it the first time.
    ///
    /// # Errors
    /// Damage of the catalog, the store's, or the deadline.
    pub async fn load(&self, number: u64) -> Result<Arc<SnapshotFiles>, ContentError> {
        let slot = self.slot(number).ok_or(ContentError::NoFile)?;
        let load = async || {
            let snapshot = self.repository.open_snapshot(&slot.root).await?;
            Ok::<_, ContentError>(SnapshotFiles::new(snapshot, self.options))
        };
        let deadline = self.options.deadline;
        let loaded = tokio::time::timeout(deadline, slot.files.get_or_try_init(load)).await;
        loaded.map_err(|_| ContentError::Deadline(deadline))?.cloned()
    }

    /// Number of files and bytes of all that is shown, for `df`. Trees that nobody entered count what their roots say.
    pub fn totals(&self) -> (u64, u64) {
        let slots = if self.all { self.listed().into_iter().map(|(_, slot)| slot).collect() } else { self.slots() };
        slots.into_iter().fold((0, 0), |(nodes, bytes), slot| {
            let own = slot.files.get().map_or(2 * slot.root.stats.objects, |files| files.tree.nodes());
            (nodes + own, bytes + slot.root.stats.logical_bytes)
        })
    }
}
