//! Proving that a repository can be read: its structure, or every byte.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use serde::Serialize;

use super::{
    Repository, RepositoryError,
    blocks::{hash_of, pack_key},
    crypto::random,
    format::{
        BlockId, MAX_PACK,
        pack::{TRAILER, footer_length},
    },
    prune::trash,
};

/// How deep to look.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum CheckDepth {
    /// Every root, catalog and reference; packs by their presence and size.
    Structure,
    /// Every byte of every pack as well.
    Data,
    /// Every byte of a part of the packs, in percent of their number. Which ones is drawn anew each time.
    Subset(Percent),
}

/// More than nothing, and at most 100.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Percent(f64);

impl std::str::FromStr for Percent {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = text.trim_end_matches('%').parse().ok().filter(|number| *number > 0.0 && *number <= 100.0);
        number.map(Self).ok_or_else(|| format!("{text:?} is no percentage above 0 and up to 100"))
    }
}

impl CheckDepth {
    /// Whether the bytes of a pack are read. `seed` draws the packs of a subset: those that come first in an order of its own.
    fn chosen(self, seed: &[u8; 32], packs: &BTreeMap<[u8; 32], u64>) -> HashSet<[u8; 32]> {
        match self {
            Self::Structure => HashSet::new(),
            Self::Data => packs.keys().copied().collect(),
            Self::Subset(Percent(percent)) => {
                let count = (packs.len() as f64 * percent / 100.0).ceil() as usize;
                let mut drawn: Vec<_> = packs.keys().map(|hash| (*blake3::keyed_hash(seed, hash).as_bytes(), *hash)).collect();
                drawn.sort_unstable();
                drawn.into_iter().take(count).map(|(_, hash)| hash).collect()
            }
        }
    }
}

/// One damage.
#[derive(Debug, Clone, Serialize)]
pub struct CheckError {
    /// What is damaged, and how.
    pub error: String,
    /// Names of the snapshots that it hits.
    pub snapshots: Vec<String>,
    /// Objects that it hits, a few of them.
    pub objects: Vec<String>,
    /// Whether no snapshot loses anything by it: what an index said stands in the packs as well, and a pack may hold what nobody needs.
    pub harmless: bool,
}

impl CheckError {
    fn new(error: String) -> Self {
        Self { error, snapshots: Vec::new(), objects: Vec::new(), harmless: false }
    }

    fn harmless(error: String) -> Self {
        Self { harmless: true, ..Self::new(error) }
    }
}

/// What a check looked at and found.
#[derive(Debug, Clone, Default, Serialize)]
pub struct CheckReport {
    /// Snapshots looked at.
    pub snapshots: usize,
    /// Packs looked at.
    pub packs: usize,
    /// Blocks looked at.
    pub blocks: usize,
    /// Bytes read from packs.
    pub bytes_read: u64,
    /// Packs that were read byte by byte.
    pub packs_read: usize,
    /// Packs that no index knows: left over from interrupted backups, harmless.
    pub unreferenced_packs: usize,
    /// Packs that a prune wants gone: it deletes them later, or takes them back where a snapshot needs them.
    pub trashed_packs: usize,
    /// What is damaged.
    pub errors: Vec<CheckError>,
}

const OBJECTS_NAMED: usize = 10;

impl Repository {
    /// Checks the repository; `progress` hears the packs done and their number.
    ///
    /// # Errors
    /// `Store` when the store itself fails. Damage is not an error but in the report.
    pub async fn check(&self, depth: CheckDepth, progress: &mut (dyn FnMut(usize, usize) + Send)) -> Result<CheckReport, RepositoryError> {
        self.uncached().check_store(depth, progress).await
    }

    async fn check_store(&self, depth: CheckDepth, progress: &mut (dyn FnMut(usize, usize) + Send)) -> Result<CheckReport, RepositoryError> {
        let mut report = CheckReport::default();
        let blocks = &self.inner.blocks;
        // What is lost with it is found missing below.
        report.errors.extend(blocks.refresh().await?.iter().map(|error| CheckError::harmless(error.to_string())));
        blocks.recover().await?;
        let trashed = trash::listed(&self.inner.store).await?;
        // What a backup took over while a prune gave it up is found in the packs themselves, until the next prune makes an index of it.
        let recovered: HashSet<[u8; 32]> = blocks.recovered().await.iter().map(|pack| pack.hash).filter(|hash| !trashed.contains(hash)).collect();
        let mut needed = BTreeSet::new();
        let listed = self.snapshots().await?;
        report.snapshots = listed.roots.len();
        report.errors.extend(listed.damaged.iter().map(|(_, error)| CheckError::new(error.to_string())));
        let keys = self.keys().await?.damaged;
        report.errors.extend(keys.iter().map(|(id, error)| {
            CheckError::harmless(format!(
                "{error}; put the file back from a copy of the storage, or remove it with `kubectl kubestash key remove {id}`"
            ))
        }));

        let mut bad = self.damaged_blocks(depth, &trashed, &mut report, progress).await?;
        // Which snapshots and objects each damage hits.
        let mut hits: BTreeMap<String, (BTreeSet<String>, BTreeSet<String>)> =
            bad.values().map(|error| (error.clone(), Default::default())).collect();
        for root in &listed.roots {
            let snapshot = match self.open_indexed(root).await {
                Ok(snapshot) => snapshot,
                Err(error @ RepositoryError::Store(_)) => return Err(error),
                Err(error) => {
                    hits.entry(error.to_string()).or_default().0.insert(root.name.clone());
                    continue;
                }
            };
            let catalog = snapshot.catalog();
            let own = self.catalog_blocks(root).await?;
            for &id in catalog.blocks().iter().chain(&own) {
                let index = blocks.index();
                let places = || index.places(id).filter_map(|located| index.pack(located)).map(|(hash, _)| hash);
                if places().all(|hash| recovered.contains(&hash)) {
                    needed.extend(places());
                }
            }
            for &id in catalog.blocks() {
                let located = blocks.index().get(id);
                let given_up = {
                    let index = blocks.index();
                    index.holds(id, |_, _| true) && !index.holds(id, |hash, _| !trashed.contains(hash))
                };
                // A prune beside a backup gives up whole packs, a repair damaged ones.
                if given_up {
                    match blocks.get(id).await {
                        Err(error) if error.is_damage() => {
                            bad.entry(id).or_insert_with(|| error.to_string());
                        }
                        Ok(_) | Err(RepositoryError::NeedsSensitiveKey) => {}
                        Err(error) => return Err(error),
                    }
                }
                match located {
                    None => {
                        bad.entry(id).or_insert_with(|| RepositoryError::Missing { object: format!("block {id}") }.to_string());
                    }
                    Some(located) if !located.class.content.is_of_objects() => {
                        bad.entry(id).or_insert_with(|| format!("block {id} is not one that holds objects"));
                    }
                    Some(_) if !blocks.index().holds(id, |_, _| true) => {
                        let dictionary = located.and_then(|located| located.dictionary).unwrap_or(id);
                        let object = format!("block {dictionary}, which block {id} was compressed with");
                        bad.entry(id).or_insert_with(|| RepositoryError::Missing { object }.to_string());
                    }
                    Some(_) => {}
                }
            }
            if bad.is_empty() {
                continue;
            }
            for row in catalog.rows() {
                for part in [super::Part::Manifest, super::Part::Server, super::Part::Redacted] {
                    let Some(error) = catalog.place(row.number, part).and_then(|place| bad.get(&place.block)) else {
                        continue;
                    };
                    let (snapshots, objects) = hits.entry(error.clone()).or_default();
                    snapshots.insert(root.name.clone());
                    if objects.len() < OBJECTS_NAMED {
                        objects.insert(row.id().to_string());
                    }
                }
            }
        }
        report.errors.extend(hits.into_iter().map(|(error, (snapshots, objects))| CheckError {
            error,
            snapshots: snapshots.into_iter().collect(),
            objects: objects.into_iter().collect(),
            harmless: false,
        }));
        report.unreferenced_packs -= needed.len().min(report.unreferenced_packs);
        if !needed.is_empty() {
            let error = format!(
                "an index file is missing or damaged: packs that stand in no other: {}; they can be read, and `kubectl kubestash repair index` makes an index of them",
                needed.len()
            );
            report.errors.push(CheckError::harmless(error));
        }
        Ok(report)
    }

    /// A pack's bytes against its name, and its footer against the index, so that the index could be made again from it.
    fn damaged_pack(&self, key: &str, hash: &[u8; 32], bytes: &[u8], indexed: &[BlockId]) -> Option<String> {
        if blake3::hash(bytes).as_bytes() != hash {
            return Some(format!("{key} is damaged: its bytes do not fit its name"));
        }
        let footer = || {
            let (rest, trailer) = bytes.split_last_chunk::<TRAILER>()?;
            let length = usize::try_from(footer_length(trailer).ok()?).ok()?;
            self.inner.blocks.open_footer(rest.get(rest.len().checked_sub(length)?..)?).ok()
        };
        match footer() {
            Some(entries) if indexed.iter().all(|id| entries.iter().any(|entry| entry.id == *id)) => None,
            _ => Some(format!("{key} has a footer that does not fit the index")),
        }
    }

    /// Packs by presence and size, and their blocks by content where asked. Gives the blocks of which no whole copy is left.
    async fn damaged_blocks(
        &self,
        depth: CheckDepth,
        trashed: &HashSet<[u8; 32]>,
        report: &mut CheckReport,
        progress: &mut (dyn FnMut(usize, usize) + Send),
    ) -> Result<HashMap<BlockId, String>, RepositoryError> {
        let present = self.inner.blocks.present().await?;
        // By name: numbers of packs change when a prune replaces the index meanwhile.
        let (packs, by_pack) = {
            let index = self.inner.blocks.index();
            let packs: BTreeMap<[u8; 32], u64> = index.packs().iter().copied().collect();
            let mut by_pack: HashMap<[u8; 32], Vec<BlockId>> = HashMap::new();
            for id in index.all() {
                for (hash, _) in index.places(id).filter_map(|located| index.pack(located)) {
                    by_pack.entry(hash).or_default().push(id);
                }
            }
            (packs, by_pack)
        };
        let mut known: HashSet<String> = packs.keys().map(pack_key).collect();
        for pack in self.inner.blocks.recovered().await {
            known.remove(&pack_key(&pack.hash));
        }
        let in_trash = |key: &String| hash_of(key).is_some_and(|hash| trashed.contains(&hash));
        report.trashed_packs = present.keys().filter(|key| in_trash(key)).count();
        report.unreferenced_packs = present.keys().filter(|key| !known.contains(*key) && !in_trash(key)).count();
        let chosen = depth.chosen(&random()?, &packs);
        let mut damages: HashMap<[u8; 32], String> = HashMap::new();
        for (number, (hash, size)) in packs.iter().enumerate() {
            progress(number, packs.len());
            let ids = by_pack.get(hash).map(Vec::as_slice).unwrap_or_default();
            report.packs += 1;
            report.blocks += ids.len();
            let key = pack_key(hash);
            let damage = match present.get(&key) {
                None => Some(format!("{key} is missing")),
                Some((found, _)) if found != size => Some(format!("{key} has {found} bytes instead of {size}: it was cut or changed")),
                Some(_) if chosen.contains(hash) => {
                    report.packs_read += 1;
                    match self.inner.store.get_at_most(&key, MAX_PACK).await {
                        Err(error) if error.is_not_found() => Some(format!("{key} is missing")),
                        bytes => {
                            let bytes = bytes?;
                            report.bytes_read += bytes.len() as u64;
                            self.damaged_pack(&key, hash, &bytes, ids)
                        }
                    }
                }
                Some(_) => None,
            };
            damages.extend(damage.map(|damage| (*hash, damage)));
        }
        progress(packs.len(), packs.len());
        if !damages.is_empty() {
            // What a prune has deleted since stands in no index any more.
            self.inner.blocks.refresh().await?;
            let named: HashSet<[u8; 32]> = self.inner.blocks.index().packs().iter().map(|(hash, _)| *hash).collect();
            damages.retain(|hash, _| named.contains(hash));
        }
        let mut bad = HashMap::new();
        // What is in the trash may be damaged, as long as no snapshot needs it.
        for (hash, damage) in damages.iter().filter(|(hash, _)| !trashed.contains(*hash)) {
            let mut hit = false;
            for &id in by_pack.get(hash).into_iter().flatten() {
                let whole_copy = {
                    let index = self.inner.blocks.index();
                    index.places(id).filter_map(|located| index.pack(located)).any(|(pack, _)| !damages.contains_key(&pack))
                };
                // Of a damaged pack most blocks may still be whole.
                if !whole_copy && (!chosen.contains(hash) || self.inner.blocks.get(id).await.is_err()) {
                    bad.insert(id, damage.clone());
                    hit = true;
                }
            }
            if !hit {
                report.errors.push(CheckError::harmless(format!("{damage}; no block is lost by it")));
            }
        }
        let index = self.inner.blocks.index();
        let without_dictionary = index.all().filter(|id| !bad.contains_key(id)).filter_map(|id| {
            let errors: Option<Vec<&String>> = index.places(id).map(|place| bad.get(&place.dictionary?)).collect();
            Some((id, (*errors?.first()?).clone()))
        });
        bad.extend(without_dictionary.collect::<Vec<_>>());
        drop(index);
        Ok(bad)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_subset_is_drawn_and_never_empty() {
        let packs: BTreeMap<[u8; 32], u64> = (0..10).map(|n| ([n; 32], 1)).collect();
        let drawn = |percent: &str, seed: u8| CheckDepth::Subset(percent.parse().unwrap()).chosen(&[seed; 32], &packs);
        for (percent, count) in [("100", 10), ("50%", 5), ("41", 5), ("0.1", 1)] {
            assert_eq!(drawn(percent, 1).len(), count, "{percent}");
        }
        assert_eq!(drawn("50", 1), drawn("50", 1));
        assert!((2..20).any(|seed| drawn("50", seed) != drawn("50", 1)), "each check reads other packs");
        assert!((CheckDepth::Data.chosen(&[1; 32], &packs).len(), CheckDepth::Structure.chosen(&[1; 32], &packs).len()) == (10, 0));
        for refused in ["0", "-1", "101", "half", "NaN"] {
            assert!(refused.parse::<Percent>().is_err(), "{refused}");
        }
    }
}
