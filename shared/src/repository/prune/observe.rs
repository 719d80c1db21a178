//! Looking at everything before anything is decided: packs, trash, and what the snapshots need.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
};

use futures::{StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;

use super::{
    Fate, PruneOptions,
    plan::{self, PackFacts},
    trash,
};
use crate::repository::{
    Repository, RepositoryError, SnapshotId,
    blocks::{IndexFiles, PARALLEL, damage_of, hash_of, pack_key},
    crypto::{KEY_ID_LEN, block_binding},
    format::{
        BlockId,
        pack::{PackEntry, PackInfo},
    },
};

pub(super) type Hash = [u8; 32];

/// A pack that is in the store.
pub(super) struct Pack {
    pub(super) size: u64,
    pub(super) modified: Timestamp,
    pub(super) indexed: bool,
    pub(super) trashed: Option<Timestamp>,
    /// Its blocks, as far as an index or its footer was read.
    pub(super) entries: Option<Vec<PackEntry>>,
    /// Numbers of the entries that snapshots take from here.
    pub(super) live: BTreeSet<usize>,
    /// It cannot be told what it holds, or what of it is whole.
    pub(super) unclear: bool,
    /// Its blocks are sealed with an old data key, and that was asked for.
    pub(super) old_key: bool,
}

impl Pack {
    /// One of which nothing is known yet but what the store tells.
    fn new(size: u64, modified: Timestamp, trashed: Option<Timestamp>) -> Self {
        Self { size, modified, indexed: false, trashed, entries: None, live: BTreeSet::new(), unclear: false, old_key: false }
    }

    pub(super) fn info(&self, hash: Hash) -> Option<PackInfo> {
        Some(PackInfo { hash, size: self.size, entries: self.entries.clone()? })
    }

    fn facts(&self) -> PackFacts {
        let entries = self.entries.as_deref().unwrap_or_default();
        PackFacts {
            size: self.size,
            modified: self.modified,
            indexed: self.indexed,
            trashed: self.trashed,
            held: entries.iter().map(|entry| u64::from(entry.stored)).sum(),
            live: self.live.iter().filter_map(|&at| entries.get(at)).map(|entry| u64::from(entry.stored)).sum(),
            unclear: self.unclear,
            old_key: self.old_key,
        }
    }
}

/// All that prune knows before it decides.
pub(super) struct Seen {
    pub(super) roots: HashSet<SnapshotId>,
    pub(super) files: IndexFiles,
    pub(super) trash: BTreeMap<Hash, Timestamp>,
    pub(super) packs: BTreeMap<Hash, Pack>,
    /// Packs that are named and not there, and that a snapshot needs: the index shall go on naming them.
    pub(super) lost: Vec<PackInfo>,
    pub(super) damage: Vec<String>,
}

impl Seen {
    pub(super) fn fates(&self, options: PruneOptions) -> BTreeMap<Hash, Fate> {
        let facts: Vec<PackFacts> = self.packs.values().map(Pack::facts).collect();
        self.packs.keys().copied().zip(plan::fates(&facts, options)).collect()
    }
}

/// Where a needed block lies: packs, and the number of the entry in each.
type Holders = HashMap<BlockId, Vec<(Hash, usize)>>;

impl Repository {
    /// The order matters. What a backup stores until its commit is listed before the roots: a pack of a finished backup that is seen here
    /// has its root by then, or soon.
    pub(super) async fn observe(&self, options: PruneOptions) -> Result<Seen, RepositoryError> {
        let blocks = &self.inner.blocks;
        let files = blocks.index_files(&HashSet::new()).await?;
        for (key, packs) in &files.read {
            blocks.add_index(key.clone(), packs);
        }
        let present = blocks.present().await?;
        let trash = trash::read(&self.inner.store).await?;
        let mut damage: Vec<String> = files.damaged.iter().map(|(_, error)| error.to_string()).collect();

        let mut packs: BTreeMap<Hash, Pack> = BTreeMap::new();
        for (key, (size, modified)) in present {
            match hash_of(&key).filter(|hash| pack_key(hash) == key) {
                Some(hash) => drop(packs.insert(hash, Pack::new(size, modified, trash.get(&hash).copied()))),
                None => damage.push(format!("{key} is not the name of a pack; it was left as it is")),
            }
        }
        let mut absent: HashMap<Hash, PackInfo> = HashMap::new();
        for info in files.read.iter().flat_map(|(_, packs)| packs) {
            match packs.get_mut(&info.hash) {
                Some(pack) if pack.size == info.size => {
                    pack.indexed = true;
                    pack.entries = Some(info.entries.clone());
                }
                Some(pack) => {
                    damage.push(format!("{} has {} bytes instead of {}: it was cut or changed", pack_key(&info.hash), pack.size, info.size));
                    pack.unclear = true;
                    absent.insert(info.hash, info.clone());
                }
                None => {
                    absent.insert(info.hash, info.clone());
                }
            }
        }
        let (roots, needed) = self.needed(&HashSet::new()).await?;
        let mut seen = Seen { roots, files, trash, packs, lost: Vec::new(), damage };
        self.settle_homes(&mut seen, needed, absent).await?;
        if options.re_encrypt {
            self.find_old_keys(&mut seen).await?;
        }
        Ok(seen)
    }

    /// Looks with which data key the packs were sealed. One process writes a pack, with one key: its first block tells for all.
    async fn find_old_keys(&self, seen: &mut Seen) -> Result<(), RepositoryError> {
        let needed: Vec<(Hash, u64)> = seen.packs.iter().filter(|(_, pack)| !pack.live.is_empty()).map(|(hash, pack)| (*hash, pack.size)).collect();
        let head = async |(hash, size): (Hash, u64)| match self.inner.store.get_range(&pack_key(&hash), 0..size.min(KEY_ID_LEN as u64)).await {
            Err(error) => match damage_of(error, &pack_key(&hash)) {
                error if error.is_damage() => Ok(None),
                error => Err(error),
            },
            Ok(head) => Ok(self.inner.ring.is_old(&head).then_some(hash)),
        };
        let old: Vec<Option<Hash>> = futures::stream::iter(needed).map(head).buffered(PARALLEL).try_collect().await?;
        for hash in old.into_iter().flatten() {
            if let Some(pack) = seen.packs.get_mut(&hash) {
                pack.old_key = true;
            }
        }
        Ok(())
    }

    /// What the snapshots need that are not among those known already; also the ids of all snapshots.
    pub(super) async fn needed(&self, known: &HashSet<SnapshotId>) -> Result<(HashSet<SnapshotId>, HashSet<BlockId>), RepositoryError> {
        self.inner.blocks.refresh().await?;
        let (list, ids) = self.snapshots_beside(known).await?;
        let blocked = |object: String, error| RepositoryError::PruneBlocked { object, source: Box::new(error) };
        if let Some((key, error)) = list.damaged.into_iter().next() {
            return Err(blocked(key, error));
        }
        let mut needed = HashSet::new();
        for root in &list.roots {
            match self.referenced(root).await {
                Err(error) if error.is_damage() => return Err(blocked(format!("snapshot {} (roots/{})", root.name, root.id), error)),
                blocks => needed.extend(blocks?),
            }
        }
        Ok((ids, needed))
    }

    /// Decides from which pack each needed block is taken.
    async fn settle_homes(&self, seen: &mut Seen, mut needed: HashSet<BlockId>, absent: HashMap<Hash, PackInfo>) -> Result<(), RepositoryError> {
        add_dictionaries(&mut needed, &seen.packs);
        let mut holders = holders(&seen.packs, &needed);
        // A pack that no index names, and then one of a backup that has ended since the packs were listed.
        for listed_again in [false, true] {
            if needed.len() == holders.len() {
                break;
            }
            if listed_again {
                self.list_again(seen).await?;
            }
            self.read_footers(seen).await?;
            add_dictionaries(&mut needed, &seen.packs);
            holders = self::holders(&seen.packs, &needed);
        }
        needed.retain(|id| !holders.contains_key(id));
        let missing = needed;
        if !missing.is_empty() {
            seen.damage.push(format!("blocks that snapshots need and no pack holds: {}", missing.len()));
            for pack in seen.packs.values_mut().filter(|pack| pack.entries.is_none()) {
                pack.unclear = true;
            }
            seen.lost = absent.into_values().filter(|info| info.entries.iter().any(|entry| missing.contains(&entry.id))).collect();
        }
        // A copy is worth nothing without its dictionary.
        let readable = |(hash, at): &(Hash, usize)| {
            let entry = seen.packs.get(hash).and_then(|pack| pack.entries.as_ref()?.get(*at));
            entry.and_then(|entry| entry.dictionary).is_none_or(|dictionary| !missing.contains(&dictionary))
        };
        for places in holders.values_mut().filter(|places| places.iter().any(readable)) {
            places.retain(readable);
        }
        let mut several = Vec::new();
        for (id, places) in holders {
            match places.as_slice() {
                [(hash, at)] => take_from(seen, *hash, *at),
                _ => several.push((id, places)),
            }
        }
        self.choose_copies(seen, several).await
    }

    /// Adds packs that have come since they were listed.
    async fn list_again(&self, seen: &mut Seen) -> Result<(), RepositoryError> {
        for (key, (size, modified)) in self.inner.blocks.present().await? {
            if let Some(hash) = hash_of(&key).filter(|hash| pack_key(hash) == key) {
                seen.packs.entry(hash).or_insert_with(|| Pack::new(size, modified, None));
            }
        }
        Ok(())
    }

    /// Asks the packs that no index file names what they hold.
    async fn read_footers(&self, seen: &mut Seen) -> Result<(), RepositoryError> {
        for (hash, pack) in seen.packs.iter_mut().filter(|(_, pack)| pack.entries.is_none() && !pack.unclear) {
            match self.inner.blocks.read_footer(&pack_key(hash), pack.size).await {
                Err(error) if error.is_damage() => seen.damage.push(error.to_string()),
                info => pack.entries = Some(info?.entries),
            }
        }
        Ok(())
    }

    /// Of several copies one that can be read stays: outside of the trash, in a pack where no other copy is damaged, the newest, and
    /// where more is needed, in this order, for a backup with `anew` stores whole copies beside damaged ones. If none can be read, all stay.
    async fn choose_copies(&self, seen: &mut Seen, several: Vec<(BlockId, Vec<(Hash, usize)>)>) -> Result<(), RepositoryError> {
        let mut by_pack: BTreeMap<Hash, Vec<usize>> = BTreeMap::new();
        for &(hash, at) in several.iter().flat_map(|(_, places)| places) {
            by_pack.entry(hash).or_default().push(at);
        }
        let mut whole: HashSet<(Hash, usize)> = HashSet::new();
        let mut damaged: HashSet<Hash> = HashSet::new();
        for (hash, wanted) in by_pack {
            let entries = seen.packs.get(&hash).and_then(|pack| pack.entries.as_deref()).unwrap_or_default();
            let entries: Vec<PackEntry> = wanted.iter().filter_map(|&at| entries.get(at).cloned()).collect();
            for (at, found) in wanted.into_iter().zip(self.read_blocks(&hash, &entries).await?) {
                if found.is_some() {
                    whole.insert((hash, at));
                } else {
                    damaged.insert(hash);
                }
            }
        }
        for (_, places) in several {
            let rank = |(hash, _): &&(Hash, usize)| {
                let pack = seen.packs.get(hash);
                let trashed = pack.is_some_and(|pack| pack.trashed.is_some());
                let held = pack.map(|pack| pack.live.len());
                (trashed, damaged.contains(hash), Reverse(pack.map(|pack| pack.modified)), Reverse(held), *hash)
            };
            match places.iter().filter(|place| whole.contains(*place)).min_by_key(rank) {
                Some(&(hash, at)) => take_from(seen, hash, at),
                None => places.into_iter().for_each(|(hash, at)| take_from(seen, hash, at)),
            }
        }
        Ok(())
    }

    /// Sealed blocks of a pack, each proven to be whole; nothing for one that is not.
    pub(in crate::repository) async fn read_blocks(&self, pack: &Hash, entries: &[PackEntry]) -> Result<Vec<Option<bytes::Bytes>>, RepositoryError> {
        let key = pack_key(pack);
        let range = |entry: &PackEntry| entry.offset..entry.offset + u64::from(entry.stored);
        let ranges: Vec<_> = entries.iter().map(range).collect();
        let parts = match self.inner.store.get_ranges(&key, &ranges).await.map_err(|error| damage_of(error, &key)) {
            Ok(parts) => parts.into_iter().map(Some).collect(),
            // A pack that was cut off: what lies before may be whole.
            Err(error) if error.is_damage() => {
                let mut parts = Vec::new();
                for range in ranges {
                    match self.inner.store.get_range(&key, range).await.map_err(|error| damage_of(error, &key)) {
                        Err(error) if error.is_damage() => parts.push(None),
                        part => parts.push(Some(part?)),
                    }
                }
                parts
            }
            Err(error) => return Err(error),
        };
        let ring = &self.inner.ring;
        let whole =
            |entry: &PackEntry, sealed: &bytes::Bytes| ring.open(entry.class.sensitive, sealed, &block_binding(entry.id, entry.class)).is_ok();
        Ok(entries.iter().zip(parts).map(|(entry, part)| part.filter(|sealed| whole(entry, sealed))).collect())
    }
}

/// Adds the dictionaries of all copies of the blocks that are needed.
fn add_dictionaries(needed: &mut HashSet<BlockId>, packs: &BTreeMap<Hash, Pack>) {
    let entries = packs.values().flat_map(|pack| pack.entries.iter().flatten()).filter(|entry| needed.contains(&entry.id));
    let dictionaries: HashSet<BlockId> = entries.filter_map(|entry| entry.dictionary).collect();
    needed.extend(dictionaries);
}

fn holders(packs: &BTreeMap<Hash, Pack>, needed: &HashSet<BlockId>) -> Holders {
    let mut holders = Holders::new();
    for (hash, pack) in packs.iter().filter(|(_, pack)| !pack.unclear) {
        for (at, entry) in pack.entries.iter().flatten().enumerate().filter(|(_, entry)| needed.contains(&entry.id)) {
            let places = holders.entry(entry.id).or_default();
            // A block that lies twice in one pack is one copy.
            if places.last().is_none_or(|(last, _)| last != hash) {
                places.push((*hash, at));
            }
        }
    }
    holders
}

fn take_from(seen: &mut Seen, hash: Hash, entry: usize) {
    if let Some(pack) = seen.packs.get_mut(&hash) {
        pack.live.insert(entry);
    }
}
