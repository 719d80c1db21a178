//! Proving that a repository can be read: its structure, or every byte.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use serde::Serialize;

use super::{
    Repository, RepositoryError,
    blocks::{Located, pack_key},
    format::{
        BlockId, MAX_PACK,
        pack::{TRAILER, footer_length},
    },
    snapshot::in_tables,
};

/// How deep to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckDepth {
    /// Every root, catalog and reference; packs by their presence and size.
    Structure,
    /// Every byte of every pack as well.
    Data,
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
    /// Packs that no index knows: left over from interrupted backups, harmless.
    pub unreferenced_packs: usize,
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
        let mut report = CheckReport::default();
        let plain = |error: &RepositoryError| CheckError { error: error.to_string(), snapshots: Vec::new(), objects: Vec::new() };
        let blocks = &self.inner.blocks;
        report.errors.extend(blocks.refresh().await?.iter().map(plain));
        blocks.recover().await?;
        let recovered: HashSet<[u8; 32]> = blocks.recovered().await.iter().map(|pack| pack.hash).collect();
        let mut needed = BTreeSet::new();
        let listed = self.snapshots().await?;
        report.snapshots = listed.roots.len();
        report.errors.extend(listed.damaged.iter().map(|(_, error)| plain(error)));
        report.errors.extend(self.keys().await?.damaged.iter().map(|(_, error)| plain(error)));

        let mut bad = self.damaged_blocks(depth, &mut report, progress).await?;
        // Which snapshots and objects each damage hits.
        let mut hits: BTreeMap<String, (BTreeSet<String>, BTreeSet<String>)> =
            bad.values().map(|error| (error.clone(), Default::default())).collect();
        for root in &listed.roots {
            let snapshot = match self.open_snapshot(root).await {
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
                let pack = |located: Located| index.packs().get(located.pack as usize).map(|(hash, _)| *hash);
                if index.places(id).filter_map(pack).all(|hash| recovered.contains(&hash)) {
                    needed.extend(index.places(id).filter_map(pack));
                }
            }
            for &id in catalog.blocks() {
                let located = blocks.index().get(id);
                match located {
                    None => {
                        bad.entry(id).or_insert_with(|| RepositoryError::Missing { object: format!("block {id}") }.to_string());
                    }
                    Some(located) if !in_tables(located.class.content) => {
                        bad.entry(id).or_insert_with(|| format!("block {id} is not one that holds objects"));
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
        }));
        report.unreferenced_packs -= needed.len().min(report.unreferenced_packs);
        if !needed.is_empty() {
            let error = format!(
                "an index file is missing or damaged: packs that stand in no other: {}; they can be read, and the next backup makes an index of them",
                needed.len()
            );
            report.errors.push(CheckError { error, snapshots: Vec::new(), objects: Vec::new() });
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
        report: &mut CheckReport,
        progress: &mut (dyn FnMut(usize, usize) + Send),
    ) -> Result<HashMap<BlockId, String>, RepositoryError> {
        let present: HashMap<String, u64> = self.inner.store.list("packs").await?.into_iter().map(|entry| (entry.key, entry.size)).collect();
        let (packs, by_pack) = {
            let index = self.inner.blocks.index();
            let mut by_pack: Vec<Vec<BlockId>> = vec![Vec::new(); index.packs().len()];
            for id in index.all() {
                for located in index.places(id) {
                    if let Some(ids) = by_pack.get_mut(located.pack as usize) {
                        ids.push(id);
                    }
                }
            }
            (index.packs().to_vec(), by_pack)
        };
        let mut known: HashSet<String> = packs.iter().map(|(hash, _)| pack_key(hash)).collect();
        for pack in self.inner.blocks.recovered().await {
            known.remove(&pack_key(&pack.hash));
        }
        report.unreferenced_packs = present.keys().filter(|key| !known.contains(*key)).count();
        let mut damages: HashMap<u32, String> = HashMap::new();
        for (number, ((hash, size), ids)) in packs.iter().zip(&by_pack).enumerate() {
            progress(number, packs.len());
            report.packs += 1;
            report.blocks += ids.len();
            let key = pack_key(hash);
            let damage = match present.get(&key) {
                None => Some(format!("{key} is missing")),
                Some(found) if found != size => Some(format!("{key} has {found} bytes instead of {size}: it was cut or changed")),
                Some(_) if depth == CheckDepth::Data => {
                    let bytes = self.inner.store.get_at_most(&key, MAX_PACK).await?;
                    report.bytes_read += bytes.len() as u64;
                    self.damaged_pack(&key, hash, &bytes, ids)
                }
                Some(_) => None,
            };
            damages.extend(damage.map(|damage| (number as u32, damage)));
        }
        progress(packs.len(), packs.len());
        let mut bad = HashMap::new();
        for (&number, damage) in &damages {
            let mut hit = false;
            for &id in by_pack.get(number as usize).into_iter().flatten() {
                let whole_copy = self.inner.blocks.index().places(id).any(|located| !damages.contains_key(&located.pack));
                // Of a damaged pack most blocks may still be whole.
                if !whole_copy && (depth == CheckDepth::Structure || self.inner.blocks.get(id).await.is_err()) {
                    bad.insert(id, damage.clone());
                    hit = true;
                }
            }
            if !hit {
                report.errors.push(CheckError { error: format!("{damage}; no block is lost by it"), snapshots: Vec::new(), objects: Vec::new() });
            }
        }
        Ok(bad)
    }
}
