//! Making the best of a damaged repository: an index from the packs, whole packs from the whole blocks of damaged ones, snapshots without
//! the objects that are lost. Nothing is deleted but index files that are replaced: damaged packs go to the trash, and a later prune
//! deletes them.
//!
//! ```text
//! repair index ─▶ repair packs ─▶ check: what is lost ─▶ repair snapshots
//! ```
//! Each takes the lock of prune.

mod snapshots;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashSet};

use jiff::Timestamp;
use serde::Serialize;

pub use snapshots::{LostObjects, SnapshotRepair};

use super::{
    Access, Repository, RepositoryError,
    blocks::{hash_of, pack_key},
    format::{MAX_PACK, hex, pack::PackInfo},
    prune::{Amount, Copies, Indexed, Lock, Progress, Reuse, trash},
};

/// What became of the index.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct IndexRepair {
    /// Packs that the index names now.
    pub packs: usize,
    /// Of these, packs that no readable index file named.
    pub added: usize,
    /// Packs that were named, and are gone or have another length.
    pub dropped: Vec<String>,
    /// Packs that no index names and that do not say what they hold.
    pub unreadable: Vec<String>,
    /// Index files that could not be read, and were replaced.
    pub damaged_files: Vec<String>,
    /// Index files that the store did not let go.
    pub denied: Vec<String>,
}

/// What became of one damaged pack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RepairedPack {
    /// Its name in the store.
    pub pack: String,
    /// What is wrong with it.
    pub reason: String,
    /// Blocks that were copied into a new pack.
    pub saved: usize,
    /// Blocks that could not be read.
    pub lost: usize,
}

/// What became of the damaged packs.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PackRepair {
    /// Packs that were looked at.
    pub packs: usize,
    /// The damaged ones.
    pub damaged: Vec<RepairedPack>,
    /// New packs with what was saved.
    pub written: Amount,
    /// Blocks of which no copy is left.
    pub lost_blocks: BTreeSet<String>,
}

impl Repository {
    /// Makes the index anew from the packs that are there. With `read_all` every pack is asked what it holds, else only those that no
    /// readable index file names.
    ///
    /// # Errors
    /// `Locked`, `ReadOnly`, `Store`. Packs that cannot be read are in the report.
    pub async fn repair_index(&self, read_all: bool, now: Timestamp, progress: Progress<'_>) -> Result<IndexRepair, RepositoryError> {
        self.writable()?;
        let lock = Lock::take(&self.inner.store, now).await?;
        let repaired = self.uncached().repair_index_locked(read_all, progress).await;
        lock.release().await?;
        repaired
    }

    async fn repair_index_locked(&self, read_all: bool, progress: Progress<'_>) -> Result<IndexRepair, RepositoryError> {
        let blocks = &self.inner.blocks;
        let files = blocks.index_files(&HashSet::new()).await?;
        let present = blocks.present().await?;
        let trashed = trash::listed(&self.inner.store).await?;
        let named: BTreeMap<String, &PackInfo> = files.read.iter().flat_map(|(_, packs)| packs).map(|pack| (pack_key(&pack.hash), pack)).collect();
        let mut report = IndexRepair::default();
        let gone = |(key, pack): &(&String, &&PackInfo)| present.get(*key).is_none_or(|(size, _)| *size != pack.size);
        report.dropped = named.iter().filter(gone).map(|(key, _)| key.clone()).collect();
        let mut indexed = Indexed::new();
        let count = present.len();
        for (done, (key, (size, _))) in present.into_iter().collect::<BTreeMap<_, _>>().into_iter().enumerate() {
            progress("packs", done, count);
            if hash_of(&key).is_some_and(|hash| trashed.contains(&hash)) {
                continue;
            }
            let known = named.get(&key).filter(|pack| pack.size == size);
            let info = match known.filter(|_| !read_all) {
                Some(pack) => (*pack).clone(),
                None => match blocks.read_footer(&key, size).await {
                    // A damaged footer: what the index said may still be right.
                    Err(error) if error.is_damage() => match known {
                        Some(pack) => (*pack).clone(),
                        None => {
                            report.unreadable.push(error.to_string());
                            continue;
                        }
                    },
                    info => info?,
                },
            };
            report.added += usize::from(known.is_none());
            indexed.insert(info.hash, info);
        }
        report.packs = indexed.len();
        report.damaged_files = files.damaged.iter().map(|(key, _)| key.clone()).collect();
        report.denied = self.replace_index(&indexed, &files.read, &report.damaged_files, Reuse::Yes).await?;
        blocks.refresh().await?;
        Ok(report)
    }

    /// Reads packs byte by byte, all of them or those named, and copies the whole blocks of damaged ones into new packs. The damaged ones
    /// go to the trash.
    ///
    /// # Errors
    /// `NotFound` for a name that no pack has; `NeedsSensitiveKey`, `Locked`, `ReadOnly`, `Store`.
    pub async fn repair_packs(&self, names: &[String], now: Timestamp, progress: Progress<'_>) -> Result<PackRepair, RepositoryError> {
        self.writable()?;
        if self.access() != Access::Full {
            return Err(RepositoryError::NeedsSensitiveKey);
        }
        let mut lock = Lock::take(&self.inner.store, now).await?;
        let repaired = self.uncached().repair_packs_locked(names, &mut lock, progress).await;
        lock.release().await?;
        repaired
    }

    async fn repair_packs_locked(&self, names: &[String], lock: &mut Lock, progress: Progress<'_>) -> Result<PackRepair, RepositoryError> {
        let blocks = &self.inner.blocks;
        let files = blocks.index_files(&HashSet::new()).await?;
        let present = blocks.present().await?;
        let trashed = trash::listed(&self.inner.store).await?;
        let named: Indexed = files.read.iter().flat_map(|(_, packs)| packs).map(|pack| (pack.hash, pack.clone())).collect();
        let all: BTreeSet<[u8; 32]> =
            named.keys().copied().chain(present.keys().filter_map(|key| hash_of(key)).filter(|hash| !trashed.contains(hash))).collect();
        let wanted = chosen(&all, names)?;

        let (mut report, mut copies, mut indexed) = (PackRepair::default(), Copies::new(self), named.clone());
        let mut lost = BTreeSet::new();
        for (done, hash) in wanted.iter().enumerate() {
            progress("packs", done, wanted.len());
            report.packs += 1;
            let Some(reason) =
                self.damage_of_pack(hash, named.get(hash).map(|pack| pack.size), present.get(&pack_key(hash)).map(|found| found.0)).await?
            else {
                continue;
            };
            lock.hold().await?;
            let entries = match (named.get(hash), present.get(&pack_key(hash))) {
                (Some(pack), _) => pack.entries.clone(),
                (None, Some(&(size, _))) => match blocks.read_footer(&pack_key(hash), size).await {
                    Err(error) if error.is_damage() => Vec::new(),
                    info => info?.entries,
                },
                (None, None) => Vec::new(),
            };
            let unread = copies.add(hash, &entries).await?;
            report.damaged.push(RepairedPack { pack: pack_key(hash), reason, saved: entries.len() - unread.len(), lost: unread.len() });
            lost.extend(unread);
            indexed.remove(hash);
        }
        let written = copies.finish().await?;
        for info in written.values() {
            report.written.add(info.size);
        }
        indexed.extend(written);
        for entry in indexed.values().flat_map(|pack| &pack.entries) {
            lost.remove(&entry.id);
        }
        report.lost_blocks = lost.iter().map(ToString::to_string).collect();
        if report.damaged.is_empty() {
            return Ok(report);
        }
        lock.hold().await?;
        self.replace_index(&indexed, &files.read, &[], Reuse::Yes).await?;
        for damaged in &report.damaged {
            if let Some(hash) = hash_of(&damaged.pack).filter(|_| present.contains_key(&damaged.pack)) {
                trash::put(&self.inner.store, &hash, lock.now()).await?;
            }
        }
        blocks.refresh().await?;
        Ok(report)
    }

    /// What is wrong with a pack, if anything: `named` is its size in the index, `found` the one in the store.
    async fn damage_of_pack(&self, hash: &[u8; 32], named: Option<u64>, found: Option<u64>) -> Result<Option<String>, RepositoryError> {
        let Some(size) = found else {
            return Ok(Some("it is missing".to_owned()));
        };
        if let Some(named) = named.filter(|named| *named != size) {
            return Ok(Some(format!("it has {size} bytes instead of {named}")));
        }
        if size > MAX_PACK {
            return Ok(Some(format!("it has {size} bytes, more than any pack")));
        }
        let bytes = self.inner.store.get_at_most(&pack_key(hash), MAX_PACK).await?;
        Ok((blake3::hash(&bytes).as_bytes() != hash).then(|| "its bytes do not fit its name".to_owned()))
    }
}

/// The packs that are meant: all, or those with these names, with or without their folder.
fn chosen(all: &BTreeSet<[u8; 32]>, names: &[String]) -> Result<Vec<[u8; 32]>, RepositoryError> {
    if names.is_empty() {
        return Ok(all.iter().copied().collect());
    }
    let find = |name: &String| {
        let short = name.rsplit('/').next().unwrap_or_default();
        let mut found = all.iter().filter(|hash| !short.is_empty() && hex(&hash[..]).starts_with(short));
        match (found.next(), found.next()) {
            (Some(hash), None) => Ok(*hash),
            _ => Err(RepositoryError::NotFound { what: format!("one pack whose name begins with {name}") }),
        }
    };
    names.iter().map(find).collect()
}
