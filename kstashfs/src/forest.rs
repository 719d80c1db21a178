//! All trees of a mount. Each has a number, which is the upper part of its inodes; it is loaded when somebody enters it.
//!
//! Number 0 is the mount's root: the snapshot itself, or with `--all` the directories above the snapshots. With `--all` each snapshot has one
//! number, and another for what differs from the one before it of the same cluster and filters. The last number is the history's.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::{Duration, Instant, SystemTime},
};

use kubestash::{
    api::time_name,
    object::directory_name,
    repository::{Repository, RepositoryError, Root, Snapshot, SnapshotId},
    restore::SnapshotFilter,
};
use tokio::sync::OnceCell;

use crate::{
    changes,
    content::{ContentError, FileOptions, SnapshotFiles},
};

/// Bits of an inode that belong to the tree.
const TREE_BITS: u32 = 40;
/// The number of the folder that says what is mounted: the last, so that no inode of others is above its own.
pub const STATUS: u64 = (1 << (64 - TREE_BITS)) - 1;
/// The number of the history.
pub const HISTORY: u64 = STATUS - 1;
/// A list of snapshots that is older is read anew when somebody looks.
const FRESH: Duration = Duration::from_secs(3);

/// One tree of the forest.
pub struct Slot {
    /// The snapshot's directory name.
    pub name: String,
    /// The snapshot.
    pub root: Arc<Root>,
    /// What the snapshot's versions are called in the history: its time, so that names sort as times do.
    pub time_name: String,
    /// Shows only what differs from an earlier snapshot.
    pub since: Option<Since>,
    files: OnceCell<Arc<SnapshotFiles>>,
}

/// Two snapshots, by their numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Since {
    /// The earlier one.
    pub before: u64,
    /// The later one.
    pub after: u64,
}

/// Which snapshots are there.
#[derive(Debug)]
struct Listing {
    /// Their numbers, oldest snapshot first.
    numbers: Vec<u64>,
    /// Numbers of what changed, oldest first.
    changes: Vec<u64>,
    /// Those ever made.
    known_changes: HashMap<Since, u64>,
    /// How often these became others.
    generation: u64,
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
    filter: SnapshotFilter,
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

impl Slot {
    fn new(root: Root, others: &[Arc<Self>]) -> Self {
        let (own, time) = (directory_name(&root.name).into_owned(), time_name(root.time));
        // Two backups at the same moment may have taken one name, and have one time.
        let name = if others.iter().any(|slot| slot.name == own) { format!("{own}.{}", root.id) } else { own };
        let time_name = if others.iter().any(|slot| slot.time_name == time) { format!("{time}_{}", root.id) } else { time };
        Self { name, root: Arc::new(root), time_name, since: None, files: OnceCell::new() }
    }
}

impl Forest {
    fn new(repository: Repository, options: FileOptions, all: bool) -> Self {
        let (changed, looked) = (SystemTime::now(), Instant::now());
        let (numbers, changes, known_changes, reported) = Default::default();
        let listing = Listing { numbers, changes, known_changes, generation: 0, changed, looked, reported };
        Self { repository, options, filter: SnapshotFilter::default(), all, slots: RwLock::default(), listing: Mutex::new(listing) }
    }

    /// A snapshot, or what a filter left of one, at the root.
    pub fn of(snapshot: &Snapshot, options: FileOptions) -> Self {
        let forest = Self::new(snapshot.repository().clone(), options, false);
        let files = OnceCell::new_with(Some(SnapshotFiles::new(snapshot.clone(), options)));
        forest.slots_mut().push(Arc::new(Slot { files, ..Slot::new(snapshot.root().clone(), &[]) }));
        forest
    }

    /// All snapshots of a repository, which were just read.
    pub fn all(repository: Repository, roots: Vec<Root>, options: FileOptions) -> Self {
        let forest = Self::new(repository, options, true);
        let ids = roots.iter().map(|root| root.id).collect();
        forest.update(roots, &ids);
        forest
    }

    /// The repository that the snapshots are in.
    pub const fn repository(&self) -> &Repository {
        &self.repository
    }

    /// How files look.
    pub const fn options(&self) -> FileOptions {
        self.options
    }

    /// The same with what a filter leaves of each snapshot. For those that are not open yet.
    #[must_use]
    pub fn filtered(mut self, filter: SnapshotFilter) -> Self {
        self.filter = filter;
        self
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
        let mut slots = self.slots_mut();
        for root in new {
            if !slots.iter().any(|slot| slot.root.id == root.id) {
                let slot = Arc::new(Slot::new(root, &slots));
                slots.push(slot);
            }
        }
        let whole = (1..).zip(slots.iter()).filter(|(_, slot)| slot.since.is_none() && present.contains(&slot.root.id));
        let mut listed: Vec<(u64, Arc<Slot>)> = whole.map(|(number, slot)| (number, Arc::clone(slot))).collect();
        listed.sort_by_key(|(_, slot)| (slot.root.time, slot.root.id));
        let numbers: Vec<u64> = listed.iter().map(|(number, _)| *number).collect();
        let mut listing = self.listing();
        if listing.numbers == numbers {
            return;
        }
        listing.changes.clear();
        for since in neighbours(&listed) {
            let Some((_, after)) = listed.iter().find(|(number, _)| *number == since.after) else { continue };
            let number = *listing.known_changes.entry(since).or_insert_with(|| {
                let (name, root, time_name) = (after.name.clone(), Arc::clone(&after.root), after.time_name.clone());
                slots.push(Arc::new(Slot { name, root, time_name, since: Some(since), files: OnceCell::new() }));
                slots.len() as u64
            });
            listing.changes.push(number);
        }
        listing.numbers = numbers;
        listing.generation += 1;
        listing.changed = SystemTime::now();
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

    /// How often the list of snapshots has changed.
    pub fn generation(&self) -> u64 {
        self.listing().generation
    }

    /// The tree of a number.
    pub fn slot(&self, number: u64) -> Option<Arc<Slot>> {
        let at = if self.all { number.checked_sub(1)? } else { number };
        self.slots.read().unwrap_or_else(PoisonError::into_inner).get(usize::try_from(at).ok()?).cloned()
    }

    fn with_slots(&self, numbers: Vec<u64>) -> Vec<(u64, Arc<Slot>)> {
        numbers.into_iter().filter_map(|number| Some((number, self.slot(number)?))).collect()
    }

    /// Numbers and snapshots that are listed, by number: a place in the list stays what it is when others come and go.
    pub fn listed(&self) -> Vec<(u64, Arc<Slot>)> {
        let mut numbers = self.listing().numbers.clone();
        numbers.sort_unstable();
        self.with_slots(numbers)
    }

    /// The same of what changed from one snapshot to the next.
    pub fn listed_changes(&self) -> Vec<(u64, Arc<Slot>)> {
        let mut numbers = self.listing().changes.clone();
        numbers.sort_unstable();
        self.with_slots(numbers)
    }

    /// The listed snapshots, oldest first, and the generation of the list.
    pub fn in_time(&self) -> (u64, Vec<(u64, Arc<Slot>)>) {
        let (generation, numbers) = {
            let listing = self.listing();
            (listing.generation, listing.numbers.clone())
        };
        (generation, self.with_slots(numbers))
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

    /// What is shown of a snapshot, by its number. It is not kept.
    ///
    /// # Errors
    /// Damage of the catalog, or the store's.
    pub async fn open(&self, number: u64) -> Result<Snapshot, ContentError> {
        let slot = self.slot(number).ok_or(ContentError::NoFile)?;
        if let (Some(files), None) = (slot.files.get(), slot.since) {
            return Ok(files.snapshot.clone());
        }
        let whole = self.repository.open_snapshot(&slot.root).await?;
        Ok(self.filter.of(&whole).await?)
    }

    /// The tree of a number; loads it the first time.
    ///
    /// # Errors
    /// Damage of the catalog, the store's, or the deadline.
    pub async fn load(&self, number: u64) -> Result<Arc<SnapshotFiles>, ContentError> {
        let slot = self.slot(number).ok_or(ContentError::NoFile)?;
        let load = async || {
            let Some(since) = slot.since else { return Ok(SnapshotFiles::new(self.open(number).await?, self.options)) };
            let (part, texts) = changes::between(&self.open(since.before).await?, &self.open(since.after).await?);
            Ok::<_, ContentError>(SnapshotFiles::of_changes(part, texts, self.options))
        };
        let deadline = self.options.deadline;
        let loaded = tokio::time::timeout(deadline, slot.files.get_or_try_init(load)).await;
        loaded.map_err(|_| ContentError::Deadline(deadline))?.cloned()
    }

    /// Number of files and bytes of all snapshots that are shown, for `df`. Trees that nobody entered count what their roots say.
    pub fn totals(&self) -> (u64, u64) {
        let slots = if self.all { self.listed().into_iter().map(|(_, slot)| slot).collect() } else { self.slots() };
        slots.into_iter().fold((0, 0), |(nodes, bytes), slot| {
            let stats = slot.root.stats;
            let own = slot.files.get().map_or((2 * stats.objects, stats.logical_bytes), |files| (files.tree.nodes(), files.bytes()));
            (nodes + own.0, bytes + own.1)
        })
    }
}

/// Each snapshot with the one before it of the same cluster and filters. They come oldest first.
fn neighbours(listed: &[(u64, Arc<Slot>)]) -> Vec<Since> {
    let mut last: HashMap<(&str, String), u64> = HashMap::new();
    let pairs = listed.iter().filter_map(|(after, slot)| {
        let before = last.insert((&slot.root.cluster.uid, slot.root.filters.to_string()), *after)?;
        Some(Since { before, after: *after })
    });
    pairs.collect()
}
