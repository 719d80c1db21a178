//! Getting blocks: the index says where they are, a fetch is shared by all who wait for it, and the last ones stay in memory.

use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    ops::Range,
    sync::{
        PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;

use super::prune::trash;
use super::{
    Reading, RepositoryError,
    cache::Cache,
    coming::Coming,
    crypto::{KeyRing, block_binding},
    disk_cache::RepositoryCache,
    format::{
        BlockId, Class, Content, FormatError, MAX_PACK, MAX_SEALED, content, hex,
        pack::{PackEntry, PackInfo, TRAILER, decode_entries, decode_index, footer_length},
        structure, unhex,
    },
};
use crate::store::{Store, StoreError};

/// Decoded bytes kept by default.
const CACHE_BYTES: usize = 24 << 20;
/// Objects that are read at the same time.
pub(super) const PARALLEL: usize = 8;
/// How often the index is listed because a file of it is gone when it is read, and how long the second look waits; later ones wait longer.
const LOOKS: u32 = 5;
const LOOK_AGAIN: Duration = Duration::from_millis(20);
pub(super) const INDEX_BINDING: &[u8] = b"kubestash index";
pub(super) const FOOTER_BINDING: &[u8] = b"kubestash footer";

/// Where a block lies.
#[derive(Debug, Clone, Copy)]
pub(super) struct Located {
    pub(super) pack: u32,
    pub(super) class: Class,
    pub(super) dictionary: Option<BlockId>,
    pub(super) offset: u64,
    pub(super) stored: u32,
    pub(super) raw: u32,
}

impl Located {
    fn new(pack: u32, entry: &PackEntry) -> Self {
        Self { pack, class: entry.class, dictionary: entry.dictionary, offset: entry.offset, stored: entry.stored, raw: entry.raw }
    }

    /// Its bytes in its pack.
    fn range(&self) -> Range<u64> {
        self.offset..self.offset + u64::from(self.stored)
    }
}

/// All index files that were read, merged.
#[derive(Debug, Default)]
pub(super) struct Index {
    files: HashSet<String>,
    blocks: HashMap<BlockId, Located>,
    /// Further copies of a block, in other packs.
    copies: HashMap<BlockId, Vec<Located>>,
    packs: Vec<([u8; 32], u64)>,
    /// How often it was made anew because files of it were gone: places found before may be given up by now.
    generation: u64,
}

/// Index files as they lie in the store.
#[derive(Default)]
pub(super) struct IndexFiles {
    /// All that were listed.
    listed: HashSet<String>,
    /// Those that were read, and their packs.
    pub(super) read: Vec<(String, Vec<PackInfo>)>,
    /// Those that cannot be read.
    pub(super) damaged: Vec<(String, RepositoryError)>,
}

/// Packs of the index that a backup must not take blocks over from, as seen when it began.
#[derive(Debug, Default)]
pub(super) struct LostPacks {
    /// Gone, of another length, or about to be removed by a prune.
    pub(super) packs: HashSet<[u8; 32]>,
    /// Of these, the ones that are damage: gone, or of another length.
    pub(super) damaged: HashSet<[u8; 32]>,
    pub(super) generation: u64,
}

/// The packs of the store: key to size and time of writing.
pub(super) type Present = HashMap<String, (u64, Timestamp)>;

/// Files that are no index files, but what packs say themselves.
const FOOTERS: &str = "footers";

impl Index {
    pub(super) fn add(&mut self, file: String, packs: &[PackInfo]) {
        if !self.files.insert(file) {
            return;
        }
        for pack in packs {
            let number = self.packs.len() as u32;
            self.packs.push((pack.hash, pack.size));
            for entry in &pack.entries {
                let located = Located::new(number, entry);
                match self.blocks.entry(entry.id) {
                    Entry::Vacant(first) => {
                        first.insert(located);
                    }
                    Entry::Occupied(_) => self.copies.entry(entry.id).or_default().push(located),
                }
            }
        }
    }

    pub(super) fn get(&self, id: BlockId) -> Option<Located> {
        self.blocks.get(&id).copied()
    }

    pub(super) fn packs(&self) -> &[([u8; 32], u64)] {
        &self.packs
    }

    /// All places of a block.
    pub(super) fn places(&self, id: BlockId) -> impl Iterator<Item = Located> {
        self.get(id).into_iter().chain(self.copies.get(&id).into_iter().flatten().copied())
    }

    /// Whether a block lies in a pack that `whole` accepts by hash and size.
    pub(super) fn lies_in(&self, id: BlockId, whole: impl Fn(&[u8; 32], u64) -> bool) -> bool {
        self.places(id).any(|place| self.pack(place).is_some_and(|(hash, size)| whole(&hash, size)))
    }

    /// The same for a block with its dictionary: whether it can be read.
    pub(super) fn holds(&self, id: BlockId, whole: impl Fn(&[u8; 32], u64) -> bool) -> bool {
        // A dictionary has none itself.
        let readable = |dictionary: BlockId| self.lies_in(dictionary, &whole);
        let lies = |place: Located| self.pack(place).is_some_and(|(hash, size)| whole(&hash, size));
        self.places(id).any(|place| lies(place) && place.dictionary.is_none_or(readable))
    }

    /// The dictionaries of all copies of a block.
    pub(super) fn dictionaries(&self, id: BlockId) -> impl Iterator<Item = BlockId> {
        self.places(id).filter_map(|place| place.dictionary)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = BlockId> {
        self.blocks.keys().copied()
    }

    /// The pack of a place: its hash and size.
    pub(super) fn pack(&self, located: Located) -> Option<([u8; 32], u64)> {
        self.packs.get(located.pack as usize).copied()
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// The index files in it.
    fn stored_files(&self) -> HashSet<String> {
        self.files.iter().filter(|file| *file != FOOTERS).cloned().collect()
    }
}

/// Name of a pack in the store.
pub(super) fn pack_key(hash: &[u8; 32]) -> String {
    let name = hex(hash);
    format!("packs/{}/{name}", name.get(..2).unwrap_or_default())
}

/// Name of a block in the cache on disk.
fn kept_name(id: BlockId) -> String {
    let name = hex(&id.0);
    format!("blocks/{}/{name}", name.get(..2).unwrap_or_default())
}

/// The hash that ends a key of a pack or of a trash entry.
pub(super) fn hash_of(key: &str) -> Option<[u8; 32]> {
    key.rsplit('/').next().and_then(unhex).and_then(|hash| hash.try_into().ok())
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

    /// Reads the index files that are new, and all of them anew when some are gone: a prune has merged them, and packs that the merged one
    /// does not name must not be taken for stored any more. Damaged ones are returned, the others serve.
    pub(super) async fn refresh(&self) -> Result<Vec<RepositoryError>, RepositoryError> {
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
            *index = Index { generation: index.generation + 1, ..Index::default() };
        }
        for (file, packs) in &files.read {
            index.add(file.clone(), packs);
        }
        true
    }

    /// The index files but for those known already.
    pub(super) async fn index_files(&self, known: &HashSet<String>) -> Result<IndexFiles, RepositoryError> {
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

    fn decode_index(&self, key: &str, sealed: &[u8]) -> Result<Vec<PackInfo>, FormatError> {
        let named = key.rsplit('/').next().unwrap_or_default();
        if named != hex(blake3::hash(sealed).as_bytes()) {
            return Err(FormatError::Misnamed);
        }
        decode_index(&structure::decode(&self.ring.open(false, sealed, INDEX_BINDING)?)?)
    }

    /// All packs of the store.
    pub(super) async fn present(&self) -> Result<Present, RepositoryError> {
        Ok(self.store.list("packs").await?.into_iter().map(|entry| (entry.key, (entry.size, entry.modified))).collect())
    }

    /// Packs that the index names and a backup must not rely on.
    pub(super) async fn lost_packs(&self) -> Result<LostPacks, RepositoryError> {
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
        Ok(LostPacks { packs, damaged, generation: index.generation })
    }

    /// Reads the footers of packs that no index file names: an index that is gone or damaged loses nothing. Done once.
    pub(super) async fn recover(&self) -> Result<(), RepositoryError> {
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
    pub(super) async fn recovered(&self) -> Vec<PackInfo> {
        self.recovered.lock().await.clone().unwrap_or_default()
    }

    /// An index file names them now.
    pub(super) async fn recovered_are_indexed(&self) {
        if let Some(recovered) = self.recovered.lock().await.as_mut() {
            recovered.clear();
        }
    }

    /// What a pack says of itself.
    pub(super) async fn read_footer(&self, key: &str, size: u64) -> Result<PackInfo, RepositoryError> {
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
    pub(super) fn open_footer(&self, sealed: &[u8]) -> Result<Vec<PackEntry>, FormatError> {
        decode_entries(&structure::decode(&self.ring.open(false, sealed, FOOTER_BINDING)?)?)
    }

    /// All places of a block, each with the name of its pack; at least one.
    async fn locate(&self, id: BlockId) -> Result<Vec<(Located, String)>, RepositoryError> {
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

    fn indexed(&self, id: BlockId) -> Vec<(Located, String)> {
        let index = self.index();
        let named = |located: Located| Some((located, pack_key(&index.packs.get(located.pack as usize)?.0)));
        index.places(id).filter_map(named).collect()
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
        let of_catalog = matches!(class.content, Content::Segment | Content::Top);
        let raw = if of_catalog { structure::decode(&encoded) } else { content::decode(&encoded, dictionary.as_deref()) };
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
