//! Looking for blocks: index files that are new or gone, and packs that no index names.

use std::{
    collections::{HashMap, HashSet},
    sync::PoisonError,
    time::Duration,
};

use futures::{StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;

use super::{
    Blocks, FOOTER_BINDING, INDEX_BINDING, PARALLEL, damage_of,
    index::{FOOTERS, Located, hash_of, pack_key},
};
use crate::repository::{
    RepositoryError,
    format::{
        BlockId, FormatError, MAX_PACK, MAX_SEALED, hex,
        pack::{PackEntry, PackInfo, TRAILER, decode_entries, decode_index, footer_length},
        structure,
    },
    prune::trash,
};

/// How often the index is listed because a file of it is gone when it is read, and how long the second look waits; later ones wait longer.
const LOOKS: u32 = 5;
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Index files as they lie in the store.
#[derive(Default)]
pub(in crate::repository) struct IndexFiles {
    /// All that were listed.
    listed: HashSet<String>,
    /// Those that were read, and their packs.
    pub(in crate::repository) read: Vec<(String, Vec<PackInfo>)>,
    /// Those that cannot be read.
    pub(in crate::repository) damaged: Vec<(String, RepositoryError)>,
}

/// Packs of the index that a backup must not take blocks over from, as seen when it began.
#[derive(Debug, Default)]
pub(in crate::repository) struct LostPacks {
    /// Gone, of another length, or about to be removed by a prune.
    pub(in crate::repository) packs: HashSet<[u8; 32]>,
    /// Of these, the ones that are damage: gone, or of another length.
    pub(in crate::repository) damaged: HashSet<[u8; 32]>,
    pub(in crate::repository) generation: u64,
}

/// The packs of the store: key to size and time of writing.
pub(in crate::repository) type Present = HashMap<String, (u64, Timestamp)>;

impl Blocks {
    /// Reads the index files that are new, and all of them anew when some are gone: a prune has merged them, and packs that the merged one
    /// does not name must not be taken for stored any more. Damaged ones are returned, the others serve.
    pub(in crate::repository) async fn refresh(&self) -> Result<Vec<RepositoryError>, RepositoryError> {
        loop {
            let known = self.index().stored_files();
            let mut files = self.index_files(&known).await?;
            let gone = !known.is_subset(&files.listed);
            if gone {
                files = self.index_files(&HashSet::new()).await?;
            }
            if !self.install(&files, &known, gone) {
                continue;
            }
            if gone {
                *self.recovered.lock().await = None;
            }
            return Ok(files.damaged.into_iter().map(|(_, error)| error).collect());
        }
    }

    /// Puts files into the index, which is made anew for it when some are gone; `false` when a backup of this process has added its own
    /// meanwhile, so that everything has to be looked at again.
    fn install(&self, files: &IndexFiles, known: &HashSet<String>, gone: bool) -> bool {
        let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
        if gone {
            if index.stored_files() != *known {
                return false;
            }
            index.make_anew();
        }
        for (file, packs) in &files.read {
            index.add(file.clone(), packs);
        }
        true
    }

    /// The index files but for those known already.
    pub(in crate::repository) async fn index_files(&self, known: &HashSet<String>) -> Result<IndexFiles, RepositoryError> {
        let mut files = IndexFiles::default();
        for look in 1..=LOOKS {
            files.listed = self.store.list("index").await?.into_iter().map(|entry| entry.key).collect();
            files.read.retain(|(key, _)| files.listed.contains(key));
            let mut new: Vec<String> = files.listed.iter().filter(|key| !known.contains(*key)).cloned().collect();
            new.retain(|key| !files.read.iter().any(|(read, _)| read == key) && !files.damaged.iter().any(|(damaged, _)| damaged == key));
            new.sort();
            let read = futures::stream::iter(new).map(async |key| match self.read_index(&key).await {
                // A prune merged it away between listing and reading: there is another one that names its packs.
                Err(RepositoryError::Missing { .. }) => Ok((key, None)),
                Err(error) if !error.is_damage() => Err(error),
                read => Ok((key, Some(read))),
            });
            let mut gone = Vec::new();
            for (key, read) in read.buffered(PARALLEL).try_collect::<Vec<_>>().await? {
                match read {
                    None => gone.push(key),
                    Some(Ok(packs)) => files.read.push((key, packs)),
                    Some(Err(error)) => files.damaged.push((key, error)),
                }
            }
            if gone.is_empty() {
                break;
            }
            // A store whose listings are behind shows it for a while; what it named is found by the packs' footers.
            if look == LOOKS {
                files.listed.retain(|key| !gone.contains(key));
            } else {
                tokio::time::sleep(LOOK_AGAIN * look * look).await;
            }
        }
        Ok(files)
    }

    async fn read_index(&self, key: &str) -> Result<Vec<PackInfo>, RepositoryError> {
        self.read_kept(key, key, MAX_SEALED, |sealed| self.decode_index(key, sealed)).await
    }

    fn decode_index(&self, key: &str, sealed: &[u8]) -> Result<Vec<PackInfo>, FormatError> {
        let named = key.rsplit('/').next().unwrap_or_default();
        if named != hex(blake3::hash(sealed).as_bytes()) {
            return Err(FormatError::Misnamed);
        }
        decode_index(&structure::decode(&self.ring.open(false, sealed, INDEX_BINDING)?)?)
    }

    /// All packs of the store.
    pub(in crate::repository) async fn present(&self) -> Result<Present, RepositoryError> {
        Ok(self.store.list("packs").await?.into_iter().map(|entry| (entry.key, (entry.size, entry.modified))).collect())
    }

    /// Packs that the index names and a backup must not rely on.
    pub(in crate::repository) async fn lost_packs(&self) -> Result<LostPacks, RepositoryError> {
        let trashed = trash::listed(&self.store).await?;
        let present = self.present().await?;
        if let Some(recovered) = self.recovered.lock().await.as_mut() {
            // A prune may have removed them since, and the next index must not name them.
            recovered.retain(|pack| present.contains_key(&pack_key(&pack.hash)) && !trashed.contains(&pack.hash));
        }
        let index = self.index();
        let damaged = |(hash, size): &&([u8; 32], u64)| present.get(&pack_key(hash)).is_none_or(|(found, _)| found != size);
        let damaged: HashSet<[u8; 32]> = index.packs.iter().filter(damaged).map(|(hash, _)| *hash).collect();
        let packs = damaged.union(&trashed).copied().collect();
        Ok(LostPacks { packs, damaged, generation: index.generation() })
    }

    /// Reads the footers of packs that no index file names: an index that is gone or damaged loses nothing. Done once.
    pub(in crate::repository) async fn recover(&self) -> Result<(), RepositoryError> {
        let mut recovered = self.recovered.lock().await;
        if recovered.is_some() {
            return Ok(());
        }
        let known: HashSet<String> = self.index().packs().iter().map(|(hash, _)| pack_key(hash)).collect();
        let mut found = Vec::new();
        for entry in self.store.list("packs").await? {
            if known.contains(&entry.key) {
                continue;
            }
            match self.read_footer(&entry.key, entry.size).await {
                // What an interrupted backup left may be anything.
                Err(error) if error.is_damage() => {}
                info => found.push(info?),
            }
        }
        self.add_index(FOOTERS.to_owned(), &found);
        *recovered = Some(found);
        Ok(())
    }

    /// The packs that were found without an index.
    pub(in crate::repository) async fn recovered(&self) -> Vec<PackInfo> {
        self.recovered.lock().await.clone().unwrap_or_default()
    }

    /// An index file names them now.
    pub(in crate::repository) async fn recovered_are_indexed(&self) {
        if let Some(recovered) = self.recovered.lock().await.as_mut() {
            recovered.clear();
        }
    }

    /// What a pack says of itself.
    pub(in crate::repository) async fn read_footer(&self, key: &str, size: u64) -> Result<PackInfo, RepositoryError> {
        let damaged = |reason| RepositoryError::Damaged { object: key.to_owned(), reason };
        let hash = hash_of(key).ok_or(FormatError::Misnamed).map_err(damaged)?;
        let end = size.checked_sub(TRAILER as u64).filter(|_| size <= MAX_PACK).ok_or(FormatError::Truncated).map_err(damaged)?;
        let part = async |range| self.store.get_range(key, range).await.map_err(|error| damage_of(error, key));
        let length = footer_length(&part(end..size).await?).map_err(damaged)?;
        let start = end.checked_sub(length).ok_or(FormatError::Truncated).map_err(damaged)?;
        let entries = self.open_footer(&part(start..end).await?).map_err(damaged)?;
        Ok(PackInfo { hash, size, entries })
    }

    /// The blocks that a pack names itself.
    pub(in crate::repository) fn open_footer(&self, sealed: &[u8]) -> Result<Vec<PackEntry>, FormatError> {
        decode_entries(&structure::decode(&self.ring.open(false, sealed, FOOTER_BINDING)?)?)
    }

    /// All places of a block, each with the name of its pack; at least one.
    pub(super) async fn locate(&self, id: BlockId) -> Result<Vec<(Located, String)>, RepositoryError> {
        let found = self.indexed(id);
        if !found.is_empty() {
            return Ok(found);
        }
        let _looking = self.looking.lock().await;
        let found = self.indexed(id);
        if !found.is_empty() {
            return Ok(found);
        }
        // The index was not read yet, or another program has written to it since.
        let damaged = self.refresh().await?;
        let found = self.indexed(id);
        if !found.is_empty() {
            return Ok(found);
        }
        self.recover().await?;
        let found = self.indexed(id);
        if !found.is_empty() {
            return Ok(found);
        }
        // A block that cannot be found is better explained by the index file that could not be read.
        Err(damaged.into_iter().next().unwrap_or_else(|| RepositoryError::Missing { object: format!("block {id}") }))
    }

    pub(super) fn indexed(&self, id: BlockId) -> Vec<(Located, String)> {
        let index = self.index();
        let named = |located: Located| Some((located, pack_key(&index.packs.get(located.pack as usize)?.0)));
        index.places(id).filter_map(named).collect()
    }
}
