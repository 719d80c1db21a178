//! Writing a snapshot: kinds side by side, then the commit.
//!
//! ```text
//! item ─▶ KindWriter: same raw hash in the parent? ─yes─▶ row of the parent
//!                     └─ parse ─ same manifest? ─yes─▶ place of the parent's manifest
//!                                └─ open blocks ─256 KiB─▶ compress, seal ─▶ Packer ─8 MiB─▶ store
//! commit: table of the layer ─▶ last packs ─▶ index ─▶ root
//! ```
//! Memory: per open kind three blocks and 4,096 rows, two open packs, two packs on their way, one compressor a thread.

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use jiff::Timestamp;
use tokio::{runtime::Handle, sync::Semaphore};

use super::{
    KindWriter, Repository, RepositoryError, Root, SnapshotId,
    blocks::{INDEX_BINDING, LostPacks},
    crypto::block_binding,
    format::{
        BlockId, Class, Content, MAX_BLOCK, content, hex,
        pack::{PackInfo, encode_index},
        top::{self, LayerKind, LayerTop},
    },
    packer::{FinishedPack, Packer},
    root::{LayerRef, Stats},
};
use crate::{
    object::{GroupResource, KindInfo, Sensitivity},
    store::Created,
};

/// Packs on their way to the store at the same time.
const UPLOADS: usize = 2;

/// How a snapshot is to be written.
#[derive(Debug, Clone, Default)]
pub struct BackupOptions {
    /// Take unchanged objects over from this snapshot.
    pub parent: Option<Root>,
    /// Kinds to protect like Secrets.
    pub sensitive: Vec<GroupResource>,
    /// Store also what the repository has already: it may be damaged there.
    pub anew: bool,
}

/// Everything a root says that the writer does not know by itself.
#[derive(Debug, Clone)]
pub struct CommitInfo {
    /// Name of the snapshot.
    pub name: String,
    /// When the cluster was read.
    pub time: Timestamp,
    /// The cluster.
    pub cluster: super::ClusterId,
    /// What was asked for.
    pub filters: serde_json::Value,
    /// The one version.
    pub resource_version: Option<String>,
    /// What became of each kind.
    pub kinds: Vec<super::KindReport>,
    /// Groups that did not answer.
    pub failed_groups: Vec<(String, String)>,
    /// Words of the user's.
    pub tags: Vec<String>,
    /// Milliseconds so far.
    pub duration_ms: u64,
}

impl CommitInfo {
    /// Of a snapshot about which nothing else is known: no cluster, no filters, no kinds.
    pub fn new(name: impl Into<String>, time: Timestamp) -> Self {
        Self {
            name: name.into(),
            time,
            cluster: super::ClusterId::default(),
            filters: serde_json::Value::Null,
            resource_version: None,
            kinds: Vec::new(),
            failed_groups: Vec::new(),
            tags: Vec::new(),
            duration_ms: 0,
        }
    }
}

pub(super) struct Shared {
    pub(super) repository: Repository,
    pub(super) parent: Option<Root>,
    pub(super) parent_tops: Vec<Arc<LayerTop>>,
    sensitive: Vec<GroupResource>,
    anew: bool,
    lost_packs: LostPacks,
    data: Packer,
    meta: Packer,
    /// What this backup has stored.
    stored: Mutex<HashSet<BlockId>>,
    kinds: Mutex<Vec<LayerKind>>,
    packs: Mutex<Vec<PackInfo>>,
    compressors: Mutex<Vec<content::Compressor>>,
    uploads: Semaphore,
    pub(super) handle: Handle,
    pub(super) stats: Mutex<Stats>,
    stored_bytes: AtomicU64,
}

/// A snapshot that is being written. Dropping it without a commit leaves packs that nothing refers to, and nothing else.
pub struct SnapshotWriter {
    shared: Arc<Shared>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    /// Whether the repository has a block, as far as the list of its packs tells.
    pub(super) fn has(&self, id: BlockId) -> bool {
        let index = self.repository.inner.blocks.index();
        index.places(id).filter_map(|located| index.pack(located)).any(|(pack, _)| !self.lost_packs.packs.contains(&pack))
    }

    /// Stores a block unless the repository or this backup has it.
    pub(super) fn store_block(&self, class: Class, raw: &[u8]) -> Result<(BlockId, Option<FinishedPack>), RepositoryError> {
        let ring = &self.repository.inner.ring;
        let id = ring.block_id(class, raw)?;
        if raw.len() > MAX_BLOCK {
            let what = format!("a block of {} bytes is above the maximum of {MAX_BLOCK}", raw.len());
            return Err(RepositoryError::Machine(what));
        }
        let known = !self.anew && self.has(id);
        if known || !lock(&self.stored).insert(id) {
            return Ok((id, None));
        }
        let compressor = lock(&self.compressors).pop();
        let mut compressor = match compressor {
            Some(compressor) => compressor,
            None => content::Compressor::new().map_err(|error| RepositoryError::Machine(format!("no compressor: {error}")))?,
        };
        let encoded = compressor.encode(raw);
        lock(&self.compressors).push(compressor);
        let sealed = ring.seal(class.sensitive, &encoded, &block_binding(id, class))?;
        self.stored_bytes.fetch_add(sealed.len() as u64, Ordering::Relaxed);
        let packer = if matches!(class.content, Content::Segment | Content::Top) { &self.meta } else { &self.data };
        Ok((id, packer.add(ring, id, class, raw.len(), &sealed)?))
    }

    /// The same for threads that may wait: also takes a full pack to the store.
    pub(super) fn store_block_blocking(&self, class: Class, raw: &[u8]) -> Result<BlockId, RepositoryError> {
        let (id, full) = self.store_block(class, raw)?;
        if let Some(pack) = full {
            self.handle.block_on(self.upload(pack))?;
        }
        Ok(id)
    }

    async fn upload(&self, pack: FinishedPack) -> Result<(), RepositoryError> {
        let _turn = self.uploads.acquire().await.map_err(|_| RepositoryError::Machine("uploads were closed".to_owned()))?;
        self.repository.inner.store.put(&pack.key, pack.bytes).await?;
        lock(&self.packs).push(pack.info);
        Ok(())
    }

    pub(super) fn add_kind(&self, kind: LayerKind) {
        lock(&self.kinds).push(kind);
    }

    pub(super) fn add_stats(&self, add: &Stats) {
        let mut stats = lock(&self.stats);
        stats.objects += add.objects;
        stats.new += add.new;
        stats.changed += add.changed;
        stats.unchanged += add.unchanged;
        stats.raw_bytes += add.raw_bytes;
        stats.logical_bytes += add.logical_bytes;
    }

    pub(super) fn sensitivity(&self, kind: &KindInfo) -> Sensitivity {
        if kind.is_secret() {
            Sensitivity::Secret
        } else if self.sensitive.contains(&kind.group_resource()) {
            Sensitivity::Everything
        } else {
            Sensitivity::Open
        }
    }
}

impl Repository {
    /// Starts a snapshot.
    ///
    /// # Errors
    /// `NeedsSensitiveKey` with a general-only password; `Store`; damage of the parent's catalog is no error, the backup then
    /// stores every object as if there were no parent.
    pub async fn backup(&self, options: BackupOptions) -> Result<SnapshotWriter, RepositoryError> {
        self.writable()?;
        if self.access() != super::Access::Full {
            return Err(RepositoryError::NeedsSensitiveKey);
        }
        self.inner.blocks.refresh().await?;
        let (parent, parent_tops) = match options.parent {
            Some(root) => match self.tops(&root).await {
                Ok(tops) => (Some(root), tops),
                Err(error) if error.is_damage() => (None, Vec::new()),
                Err(error) => return Err(error),
            },
            None => (None, Vec::new()),
        };
        let shared = Shared {
            repository: self.clone(),
            parent,
            parent_tops,
            sensitive: options.sensitive,
            anew: options.anew,
            lost_packs: self.inner.blocks.lost_packs().await?,
            data: Packer::default(),
            meta: Packer::default(),
            stored: Mutex::default(),
            kinds: Mutex::default(),
            packs: Mutex::default(),
            compressors: Mutex::default(),
            uploads: Semaphore::new(UPLOADS),
            handle: Handle::current(),
            stats: Mutex::default(),
            stored_bytes: AtomicU64::new(0),
        };
        Ok(SnapshotWriter { shared: Arc::new(shared) })
    }
}

impl SnapshotWriter {
    /// Starts a kind. Kinds may be written from several threads at once, each by one; the writer blocks, so keep it off async threads.
    pub fn kind(&self, kind: &KindInfo) -> KindWriter {
        KindWriter::new(Arc::clone(&self.shared), kind.clone())
    }

    /// The snapshot that unchanged objects are taken over from.
    pub fn parent(&self) -> Option<&Root> {
        self.shared.parent.as_ref()
    }

    /// Makes the snapshot real: table, last packs, index, and last of all the root, which is only created if it is new.
    ///
    /// # Errors
    /// `Store`; nothing that was in the repository before is touched.
    pub async fn commit(self, info: CommitInfo) -> Result<Root, RepositoryError> {
        let shared = &self.shared;
        let mut kinds = std::mem::take(&mut *lock(&shared.kinds));
        kinds.sort_by_cached_key(|kind| kind.info.group_resource().to_string());
        let rows = kinds.iter().flat_map(|kind| &kind.segments).map(|segment| u64::from(segment.rows)).sum();
        let raw = top::encode(&LayerTop { kinds });
        let (top, full) = shared.store_block(Class::general(Content::Top), &raw)?;
        let inner = &shared.repository.inner;
        let last = [full, shared.data.finish(&inner.ring)?, shared.meta.finish(&inner.ring)?];
        for pack in last.into_iter().flatten() {
            shared.upload(pack).await?;
        }
        let mut stats = *lock(&shared.stats);
        stats.stored_bytes = shared.stored_bytes.load(Ordering::Relaxed);
        let mut packs = std::mem::take(&mut *lock(&shared.packs));
        // Packs that stand in no index: what this snapshot took over from them would be hard to find again.
        packs.extend(inner.blocks.recovered().await);
        if !packs.is_empty() {
            let sealed = inner.ring.seal(false, &content::encode_raw(&encode_index(&packs)), INDEX_BINDING)?;
            let key = format!("index/{}", hex(blake3::hash(&sealed).as_bytes()));
            stats.stored_bytes += sealed.len() as u64;
            inner.store.put(&key, Bytes::from(sealed)).await?;
            inner.blocks.add_index(key, &packs);
        }
        let milliseconds = u64::try_from(info.time.as_millisecond()).unwrap_or_default();
        let random = u128::from_le_bytes(super::crypto::random()?);
        let root = Root {
            id: SnapshotId(ulid::Ulid::from_parts(milliseconds, random)),
            name: info.name,
            time: info.time,
            cluster: info.cluster,
            filters: info.filters,
            resource_version: info.resource_version,
            kinds: info.kinds,
            failed_groups: info.failed_groups,
            layers: vec![LayerRef { top, rows }],
            parent: shared.parent.as_ref().map(|parent| parent.id),
            tags: info.tags,
            program: env!("CARGO_PKG_VERSION").to_owned(),
            duration_ms: info.duration_ms,
            stats,
        };
        let (key, sealed) = shared.repository.seal_root(&root)?;
        let confirmed = shared.repository.confirm(&root, &shared.lost_packs).await?;
        match inner.store.put_new(&key, Bytes::from(sealed.clone())).await? {
            Created::New => {}
            // A reply got lost and the store was asked again: the root that is there is ours.
            Created::AlreadyThere if inner.store.get(&key).await? == sealed => {}
            Created::AlreadyThere => return Err(RepositoryError::AlreadyExists { place: key }),
        }
        shared.repository.settle(&root, &shared.lost_packs, confirmed).await?;
        Ok(root)
    }
}
