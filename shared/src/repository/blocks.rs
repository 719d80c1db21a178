//! Getting blocks: the index says where they are, a fetch is shared by all who wait for it, and the last ones stay in memory.

use std::{
    collections::{HashMap, HashSet},
    sync::PoisonError,
};

use bytes::Bytes;

use super::{
    RepositoryError,
    cache::Cache,
    crypto::{KeyRing, block_binding},
    format::{
        BlockId, Class, FormatError, content, hex,
        pack::{PackInfo, decode_index},
    },
};
use crate::store::{Store, StoreError};

/// Decoded bytes kept by default.
const CACHE_BYTES: usize = 24 << 20;
pub(super) const INDEX_BINDING: &[u8] = b"kubestash index";
pub(super) const FOOTER_BINDING: &[u8] = b"kubestash footer";

/// Where a block lies.
#[derive(Debug, Clone, Copy)]
pub(super) struct Located {
    pub(super) pack: u32,
    pub(super) class: Class,
    pub(super) offset: u64,
    pub(super) stored: u32,
}

/// All index files that were read, merged.
#[derive(Debug, Default)]
pub(super) struct Index {
    files: HashSet<String>,
    blocks: HashMap<BlockId, Located>,
    packs: Vec<([u8; 32], u64)>,
}

impl Index {
    pub(super) fn add(&mut self, file: String, packs: &[PackInfo]) {
        if !self.files.insert(file) {
            return;
        }
        for pack in packs {
            let number = self.packs.len() as u32;
            self.packs.push((pack.hash, pack.size));
            for entry in &pack.entries {
                let located = Located { pack: number, class: entry.class, offset: entry.offset, stored: entry.stored };
                self.blocks.entry(entry.id).or_insert(located);
            }
        }
    }

    pub(super) fn get(&self, id: BlockId) -> Option<Located> {
        self.blocks.get(&id).copied()
    }

    pub(super) fn packs(&self) -> &[([u8; 32], u64)] {
        &self.packs
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (BlockId, Located)> {
        self.blocks.iter().map(|(&id, &located)| (id, located))
    }
}

/// Name of a pack in the store.
pub(super) fn pack_key(hash: &[u8; 32]) -> String {
    let name = hex(hash);
    format!("packs/{}/{name}", name.get(..2).unwrap_or_default())
}

/// Reads blocks of one repository.
pub(super) struct Blocks {
    store: Store,
    ring: KeyRing,
    index: std::sync::RwLock<Index>,
    cache: Cache,
}

impl Blocks {
    pub(super) fn new(store: Store, ring: KeyRing) -> Self {
        Self { store, ring, index: std::sync::RwLock::default(), cache: Cache::new(CACHE_BYTES) }
    }

    pub(super) fn index(&self) -> std::sync::RwLockReadGuard<'_, Index> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add_index(&self, file: String, packs: &[PackInfo]) {
        self.index.write().unwrap_or_else(PoisonError::into_inner).add(file, packs);
    }

    /// Reads the index files that are new. Damaged ones are returned, the others serve.
    pub(super) async fn refresh(&self) -> Result<Vec<RepositoryError>, RepositoryError> {
        let listed = self.store.list("index").await?;
        let new: Vec<String> = listed.into_iter().map(|entry| entry.key).filter(|key| !self.index().files.contains(key)).collect();
        let mut damaged = Vec::new();
        for key in new {
            let sealed = match self.store.get(&key).await {
                // A prune merged it away between listing and reading.
                Err(error) if error.is_not_found() => continue,
                other => other?,
            };
            let packs =
                self.ring.open(false, &sealed, INDEX_BINDING).and_then(|content| content::decode(&content, None)).and_then(|raw| decode_index(&raw));
            match packs {
                Ok(packs) => self.add_index(key, &packs),
                Err(reason) => damaged.push(RepositoryError::Damaged { object: key, reason }),
            }
        }
        Ok(damaged)
    }

    fn locate(&self, id: BlockId) -> Result<(Located, String), RepositoryError> {
        let index = self.index();
        let missing = || RepositoryError::Missing { object: format!("block {id}") };
        let located = index.get(id).ok_or_else(missing)?;
        let (hash, _) = index.packs.get(located.pack as usize).ok_or_else(missing)?;
        Ok((located, pack_key(hash)))
    }

    /// The raw bytes of a block, if they are in memory.
    pub(super) fn cached(&self, id: BlockId) -> Option<Bytes> {
        self.cache.get(id)
    }

    /// The raw bytes of a block. Callers that ask at the same time share one fetch; a failed fetch is tried again by the next.
    pub(super) async fn get(&self, id: BlockId) -> Result<Bytes, RepositoryError> {
        if let Some(bytes) = self.cache.get(id) {
            return Ok(bytes);
        }
        let fetch = self.cache.fetch(id);
        let fetched = async {
            let (located, pack) = self.locate(id)?;
            let range = located.offset..located.offset + u64::from(located.stored);
            let sealed = self.store.get_range(&pack, range).await.map_err(|error| missing_pack(error, &pack))?;
            let bytes = self.decode(id, located, &pack, &sealed).await?;
            // Before the fetch ends: whoever comes behind it finds the block kept.
            self.cache.keep(id, bytes.clone());
            Ok(bytes)
        };
        fetch.cell().get_or_try_init(|| fetched).await.cloned()
    }

    async fn decode(&self, id: BlockId, located: Located, pack: &str, sealed: &[u8]) -> Result<Bytes, RepositoryError> {
        if located.class.sensitive && self.ring.sensitive.is_empty() {
            return Err(RepositoryError::NeedsSensitiveKey);
        }
        let named = || format!("block {id} in {pack}");
        let encoded = self
            .ring
            .open(located.class.sensitive, sealed, &block_binding(id, located.class))
            .map_err(|reason| RepositoryError::Damaged { object: named(), reason })?;
        let damaged = |reason| RepositoryError::Damaged { object: named(), reason };
        let dictionary = match content::dictionary(&encoded).map_err(damaged)? {
            // Dictionaries are stored without one, so this ends.
            Some(dictionary) => Some(Box::pin(self.get(dictionary)).await?),
            None => None,
        };
        content::decode(&encoded, dictionary.as_deref()).map(Bytes::from).map_err(damaged)
    }

    /// Many blocks, near ones of a pack in one request. Meant for catalogs: nothing stays in the cache.
    pub(super) async fn get_many(&self, ids: &[BlockId]) -> Result<HashMap<BlockId, Bytes>, RepositoryError> {
        let mut by_pack: HashMap<String, Vec<(BlockId, Located)>> = HashMap::new();
        for &id in ids {
            let (located, pack) = self.locate(id)?;
            by_pack.entry(pack).or_default().push((id, located));
        }
        let mut found = HashMap::new();
        for (pack, wanted) in by_pack {
            let ranges: Vec<_> = wanted.iter().map(|(_, at)| at.offset..at.offset + u64::from(at.stored)).collect();
            let parts = self.store.get_ranges(&pack, &ranges).await.map_err(|error| missing_pack(error, &pack))?;
            for ((id, located), sealed) in wanted.into_iter().zip(parts) {
                found.insert(id, self.decode(id, located, &pack, &sealed).await?);
            }
        }
        Ok(found)
    }
}

/// A pack that is gone or cut short is damage of the repository, not of the store.
pub(super) fn missing_pack(error: StoreError, pack: &str) -> RepositoryError {
    match error {
        StoreError::NotFound { .. } => RepositoryError::Missing { object: pack.to_owned() },
        StoreError::TooShort { .. } => RepositoryError::Damaged { object: pack.to_owned(), reason: FormatError::Truncated },
        error => RepositoryError::Store(error),
    }
}
