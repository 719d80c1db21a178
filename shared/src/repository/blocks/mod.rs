//! Getting blocks: the index says where they are, a fetch is shared by all who wait for it, and the last ones stay in memory.

mod index;
mod look;

use std::{
    collections::{HashMap, HashSet},
    sync::{
        PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;

use self::index::Located;
pub(super) use self::{
    index::{Index, hash_of, pack_key},
    look::{IndexFiles, LostPacks},
};
use super::{
    Reading, RepositoryError,
    cache::Cache,
    coming::Coming,
    crypto::{KeyRing, block_binding},
    disk_cache::RepositoryCache,
    format::{
        BlockId, Class, Content, FormatError, MAX_SEALED, content, hex,
        pack::{PackEntry, PackInfo},
        structure,
    },
};
use crate::store::{Store, StoreError};

/// Decoded bytes kept by default.
const CACHE_BYTES: usize = 24 << 20;
/// Objects that are read at the same time.
pub(super) const PARALLEL: usize = 8;
pub(super) const INDEX_BINDING: &[u8] = b"kubestash index";
pub(super) const FOOTER_BINDING: &[u8] = b"kubestash footer";

/// Name of a block in the cache on disk.
fn kept_name(id: BlockId) -> String {
    let name = hex(&id.0);
    format!("blocks/{}/{name}", name.get(..2).unwrap_or_default())
}

/// Reads blocks of one repository.
pub(super) struct Blocks {
    store: Store,
    ring: KeyRing,
    index: std::sync::RwLock<Index>,
    cache: Cache,
    /// Packs that no index file names, once somebody had to look for them.
    recovered: tokio::sync::Mutex<Option<Vec<PackInfo>>>,
    /// Held by whoever reads the index because a block was not found in it: the others wait for what comes of it.
    looking: tokio::sync::Mutex<()>,
    disk: Option<RepositoryCache>,
    /// Blocks on their way into the disk cache.
    coming: Coming,
    /// Blocks that were decrypted and decompressed.
    decoded: AtomicU64,
}

impl Blocks {
    pub(super) fn new(store: Store, ring: KeyRing, disk: Option<RepositoryCache>) -> Self {
        Self {
            store,
            ring,
            index: std::sync::RwLock::default(),
            cache: Cache::new(CACHE_BYTES),
            recovered: tokio::sync::Mutex::default(),
            looking: tokio::sync::Mutex::default(),
            disk,
            coming: Coming::default(),
            decoded: AtomicU64::new(0),
        }
    }

    /// What reading has cost so far.
    pub(super) fn reading(&self) -> Reading {
        let ((kept_bytes, kept_limit), disk) = (self.cache.bytes(), self.disk.as_ref().map(RepositoryCache::hits_and_misses));
        let (disk_hits, disk_misses) = disk.unwrap_or_default();
        let (kept_bytes, kept_limit) = (kept_bytes as u64, kept_limit as u64);
        Reading { store: self.store.traffic(), decoded: self.decoded.load(Ordering::Relaxed), kept_bytes, kept_limit, disk_hits, disk_misses }
    }

    pub(super) fn index(&self) -> std::sync::RwLockReadGuard<'_, Index> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add_index(&self, file: String, packs: &[PackInfo]) {
        self.index.write().unwrap_or_else(PoisonError::into_inner).add(file, packs);
    }

    /// Reads an object whose name says what is in it: from the disk if it is there and whole, else from the store.
    pub(super) async fn read_kept<T>(
        &self,
        key: &str,
        kept: &str,
        maximum: u64,
        decode: impl Fn(&Bytes) -> Result<T, FormatError>,
    ) -> Result<T, RepositoryError> {
        if let Some(disk) = &self.disk
            && let Some(bytes) = disk.get(kept, maximum).await
        {
            match decode(&bytes) {
                Ok(decoded) => return Ok(decoded),
                Err(_) => disk.remove(kept).await,
            }
        }
        let bytes = self.store.get_at_most(key, maximum).await.map_err(|error| damage_of(error, key))?;
        let decoded = decode(&bytes).map_err(RepositoryError::damaged(key))?;
        if let Some(disk) = &self.disk {
            disk.put(kept, vec![bytes]).await;
        }
        Ok(decoded)
    }

    /// Keeps blocks that [`Blocks::get_many`] gave, as far as there is room.
    pub(super) fn keep(&self, blocks: HashMap<BlockId, Bytes>) {
        blocks.into_iter().for_each(|(id, bytes)| self.cache.keep(id, bytes));
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
            let bytes = self.fetch(id).await?;
            // Before the fetch ends: whoever comes behind it finds the block kept.
            self.cache.keep(id, bytes.clone());
            Ok(bytes)
        };
        fetch.cell().get_or_try_init(|| fetched).await.cloned()
    }

    /// Whether there is a disk cache to bring blocks into.
    pub(super) const fn brings(&self) -> bool {
        self.disk.is_some()
    }

    /// Brings blocks into the disk cache, as they are: they are decoded by who needs them.
    pub(super) async fn bring(&self, ids: &[BlockId]) {
        let Some(disk) = &self.disk else { return };
        // At once, before anything is waited for: whoever needs one of them now shall not ask for it as well.
        let batch = self.coming.begin(ids.iter().copied().filter(|id| self.cache.get(*id).is_none()).collect());
        let mut by_pack: HashMap<String, Vec<(BlockId, Located)>> = HashMap::new();
        for &id in &batch.ids {
            if !disk.has(&kept_name(id)).await
                && let Ok(places) = self.locate(id).await
                && let Some((located, pack)) = places.into_iter().next()
            {
                by_pack.entry(pack).or_default().push((id, located));
            }
        }
        for (pack, wanted) in by_pack {
            let ranges: Vec<_> = wanted.iter().map(|(_, at)| at.range()).collect();
            let Ok(parts) = self.store.get_ranges(&pack, &ranges).await else { continue };
            for ((id, located), sealed) in wanted.into_iter().zip(parts) {
                disk.put(&kept_name(id), vec![Bytes::from(vec![located.class.to_byte()]), sealed]).await;
            }
        }
    }

    /// A block that is kept on the disk: its class, then its sealed bytes.
    async fn kept_on_disk(&self, id: BlockId) -> Result<Option<Bytes>, RepositoryError> {
        let Some(disk) = &self.disk else { return Ok(None) };
        let name = kept_name(id);
        let Some(kept) = disk.get(&name, MAX_SEALED + 1).await else { return Ok(None) };
        let class = kept.first().and_then(|&byte| Class::from_byte(byte).ok());
        let read = match class {
            Some(class) => self.decode(id, class, "the cache", &kept.slice(1..)).await.map(|(raw, _)| raw),
            None => Err(RepositoryError::Damaged { object: name.clone(), reason: FormatError::Truncated }),
        };
        match read {
            Err(error) if error.is_damage() => {
                disk.remove(&name).await;
                Ok(None)
            }
            read => read.map(Some),
        }
    }

    /// The first copy of a block that is whole.
    async fn fetch(&self, id: BlockId) -> Result<Bytes, RepositoryError> {
        self.coming.wait_for(id).await;
        if let Some(bytes) = self.kept_on_disk(id).await? {
            return Ok(bytes);
        }
        let places = self.locate(id).await?;
        let failed = match self.fetch_from(id, &places).await {
            Err(error) if error.is_damage() => error,
            other => return other,
        };
        if matches!(failed, RepositoryError::Missing { .. }) {
            // A prune has stored the block in another pack since the index was read.
            self.refresh().await?;
            let tried: HashSet<String> = places.into_iter().map(|(_, pack)| pack).collect();
            let new: Vec<_> = self.indexed(id).into_iter().filter(|(_, pack)| !tried.contains(pack)).collect();
            if !new.is_empty() {
                return self.fetch_from(id, &new).await;
            }
        }
        Err(failed)
    }

    async fn fetch_from(&self, id: BlockId, places: &[(Located, String)]) -> Result<Bytes, RepositoryError> {
        let mut first = None;
        for (located, pack) in places {
            let read = async {
                let sealed = self.store.get_range(pack, located.range()).await.map_err(|error| damage_of(error, pack))?;
                let raw = self.decode_located(id, *located, pack, &sealed).await?;
                if let Some(disk) = &self.disk {
                    disk.put(&kept_name(id), vec![Bytes::from(vec![located.class.to_byte()]), sealed]).await;
                }
                Ok::<_, RepositoryError>(raw)
            };
            match read.await {
                Err(error) if error.is_damage() => first = first.or(Some(error)),
                other => return other,
            }
        }
        Err(first.unwrap_or_else(|| RepositoryError::Missing { object: format!("block {id}") }))
    }

    /// A block's raw bytes, out of a pack of which an index or a footer tells how it was compressed.
    async fn decode_located(&self, id: BlockId, located: Located, pack: &str, sealed: &[u8]) -> Result<Bytes, RepositoryError> {
        let (raw, dictionary) = self.decode(id, located.class, pack, sealed).await?;
        if dictionary != located.dictionary {
            // Else a prune would take the dictionary for one that nobody needs.
            let reason = FormatError::Invalid("another dictionary than its pack says");
            return Err(RepositoryError::Damaged { object: format!("block {id} in {pack}"), reason });
        }
        Ok(raw)
    }

    /// The raw bytes, and the dictionary that it took to get them.
    async fn decode(&self, id: BlockId, class: Class, pack: &str, sealed: &[u8]) -> Result<(Bytes, Option<BlockId>), RepositoryError> {
        if class.sensitive && self.ring.sensitive.is_empty() {
            return Err(RepositoryError::NeedsSensitiveKey);
        }
        let damaged = |reason| RepositoryError::Damaged { object: format!("block {id} in {pack}"), reason };
        let encoded = self.ring.open(class.sensitive, sealed, &block_binding(id, class)).map_err(damaged)?;
        let needs = content::dictionary(&encoded).map_err(damaged)?;
        let dictionary = match needs {
            Some(dictionary) => {
                let found = self.index().get(dictionary).map(|found| found.class);
                // A dictionary is stored without one, so this ends.
                if class.content == Content::Dictionary || found.is_some_and(|found| found.content != Content::Dictionary) {
                    return Err(damaged(FormatError::Invalid("a dictionary that is none")));
                }
                Some(Box::pin(self.get(dictionary)).await?)
            }
            None => None,
        };
        let raw = match class.content {
            Content::Segment | Content::Top => structure::decode(&encoded),
            Content::Dictionary if content::is_of_objects(&encoded) => Err(FormatError::Invalid("a dictionary with a codec of objects")),
            _ => content::decode(&encoded, dictionary.as_deref()),
        };
        let raw = raw.map_err(damaged)?;
        self.decoded.fetch_add(1, Ordering::Relaxed);
        Ok((raw.into(), needs))
    }

    /// The raw bytes of a block that came with its pack.
    pub(super) async fn decode_entry(&self, entry: &PackEntry, pack: &str, sealed: &[u8]) -> Result<Bytes, RepositoryError> {
        self.decode_located(entry.id, Located::new(0, entry), pack, sealed).await
    }

    /// Many blocks, near ones of a pack in one request. Meant for catalogs: nothing stays in the cache.
    pub(super) async fn get_many(&self, ids: &[BlockId]) -> Result<HashMap<BlockId, Bytes>, RepositoryError> {
        let mut by_pack: HashMap<String, Vec<(BlockId, Located)>> = HashMap::new();
        for &id in ids {
            if let Some((located, pack)) = self.locate(id).await?.into_iter().next() {
                by_pack.entry(pack).or_default().push((id, located));
            }
        }
        let mut found = HashMap::new();
        for (pack, wanted) in by_pack {
            match self.get_of_pack(&pack, &wanted).await {
                Ok(blocks) => found.extend(blocks),
                // One by one, so that other copies are tried.
                Err(error) if error.is_damage() => {
                    for (id, _) in wanted {
                        found.insert(id, self.fetch(id).await?);
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }

    async fn get_of_pack(&self, pack: &str, wanted: &[(BlockId, Located)]) -> Result<Vec<(BlockId, Bytes)>, RepositoryError> {
        let ranges: Vec<_> = wanted.iter().map(|(_, at)| at.range()).collect();
        let parts = self.store.get_ranges(pack, &ranges).await.map_err(|error| damage_of(error, pack))?;
        let mut found = Vec::new();
        for (&(id, located), sealed) in wanted.iter().zip(parts) {
            found.push((id, self.decode_located(id, located, pack, &sealed).await?));
        }
        Ok(found)
    }
}

/// A stored object that is gone or has an impossible size is damage of the repository, not of the store.
pub(super) fn damage_of(error: StoreError, key: &str) -> RepositoryError {
    let object = key.to_owned();
    match error {
        StoreError::NotFound { .. } => RepositoryError::Missing { object },
        StoreError::TooShort { .. } => RepositoryError::Damaged { object, reason: FormatError::Truncated },
        StoreError::TooLarge { size, maximum, .. } => {
            RepositoryError::Damaged { object, reason: FormatError::TooLarge { what: "its size", found: size, maximum } }
        }
        error => RepositoryError::Store(error),
    }
}
