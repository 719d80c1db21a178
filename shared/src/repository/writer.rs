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
    blocks::{INDEX_BINDING, Index, LostPacks},
    crypto::block_binding,
    dictionaries::Dictionary,
    format::{
        BlockId, Class, Content, MAX_BLOCK, content, hex,
        pack::{PackInfo, encode_index},
        top::{self, LayerKind, LayerTop, SegmentRef},
    },
    packer::{FinishedPack, PackedBlock, Packer},
    root::{LayerRef, PackRef, Stats},
    snapshot::decode_segment,
};
use crate::{
    object::{GroupResource, KindInfo, Sensitivity},
    store::Created,
};

/// Packs on their way to the store at the same time.
const UPLOADS: usize = 2;

/// Most layers above the base: each is a request for whoever opens the snapshot.
const MOST_ABOVE: usize = 5;
/// The layers above a base have at most one row for so many of its own: who opens the snapshot reads all of them, 5 MB of 100,000 objects.
const MOST_OF_BASE: u64 = 6;
/// Segments that are looked at together.
const SEGMENTS_AT_ONCE: usize = 16;

/// How many layers of its parent a snapshot is to stand on, which have so many rows; the others are written anew, together with what is
/// `expected` to have changed since. None, so that it is a base of its own, when those above
/// the lowest have more than one row for [`MOST_OF_BASE`] of its own.
///
/// Nothing is written again until there are [`MOST_ABOVE`] layers above the base. Then the topmost is, and each below it that is not
/// larger than all above it: so rows are written about twice each while a base serves, and a snapshot never has many layers.
fn layers_below(rows: &[u64], expected: u64) -> usize {
    let Some((base, above)) = rows.split_first() else { return 0 };
    if above.iter().sum::<u64>() > base / MOST_OF_BASE {
        return 0;
    }
    let (mut below, mut taken) = (rows.len(), expected);
    if above.len() < MOST_ABOVE {
        return below;
    }
    while let Some(&top) = above.get(below.wrapping_sub(2)).filter(|&&top| top <= taken || below > MOST_ABOVE) {
        taken = taken.saturating_add(top);
        below -= 1;
    }
    below
}

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
    /// Its id, where somebody else has chosen it already; else one is made from the time.
    pub id: Option<SnapshotId>,
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
            id: None,
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
    /// Whose dictionaries are used: those of the parent, or of the snapshot that is written again.
    pub(super) dictionary_tops: Vec<Arc<LayerTop>>,
    /// So many of the parent's layers, the lowest ones, stay; what is written is a layer above them, or a base.
    pub(super) below: usize,
    sensitive: Vec<GroupResource>,
    /// Store also what the repository has already.
    pub(super) anew: bool,
    lost_packs: LostPacks,
    data: Packer,
    meta: Packer,
    /// What this backup has stored.
    stored: Mutex<HashSet<BlockId>>,
    kinds: Mutex<Vec<LayerKind>>,
    /// Kinds that are as in the parent, so that the layer need not have them.
    unchanged: Mutex<HashSet<GroupResource>>,
    packs: Mutex<Vec<PackInfo>>,
    compressors: Mutex<Vec<content::Compressor>>,
    uploads: Semaphore,
    pub(super) handle: Handle,
    pub(super) stats: Mutex<Stats>,
    stored_bytes: AtomicU64,
}

/// A snapshot that is being written. Dropping it without a commit leaves packs that nothing refers to, and nothing else.
pub struct SnapshotWriter {
    pub(super) shared: Arc<Shared>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    /// Whether what is written is a layer above others.
    pub(super) fn delta(&self) -> bool {
        self.below > 0
    }

    /// Whether a layer that does not stay has this kind whole: nothing of the layers below counts for it.
    pub(super) fn replaces_whole(&self, kind: &KindInfo) -> bool {
        let replaced = self.parent_tops.get(self.below..).unwrap_or_default();
        replaced.iter().flat_map(|top| &top.kinds).any(|own| own.whole && own.info.group_resource() == kind.group_resource())
    }

    /// Whether the repository has a block, as far as the list of its packs tells.
    pub(super) fn has(&self, id: BlockId) -> bool {
        self.holds(&self.repository.inner.blocks.index(), id)
    }

    /// The same in an index that is held already.
    pub(super) fn holds(&self, index: &Index, id: BlockId) -> bool {
        index.holds(id, |pack, _| !self.lost_packs.packs.contains(pack))
    }

    /// Stores a block unless the repository or this backup has it.
    pub(super) fn store_block(
        &self,
        class: Class,
        raw: &[u8],
        dictionary: Option<&Dictionary>,
    ) -> Result<(BlockId, Option<FinishedPack>), RepositoryError> {
        let ring = &self.repository.inner.ring;
        let id = ring.block_id(class, raw)?;
        if raw.len() > MAX_BLOCK {
            let what = format!("a block of {} bytes is above the maximum of {MAX_BLOCK}", raw.len());
            return Err(RepositoryError::Machine(what));
        }
        // A layer lies together in the packs that its root names, whatever other layers have.
        let of_catalog = matches!(class.content, Content::Segment | Content::Top);
        let known = !self.anew && !of_catalog && self.has(id);
        if known || !lock(&self.stored).insert(id) {
            return Ok((id, None));
        }
        let compressor = lock(&self.compressors).pop();
        let mut compressor = match compressor {
            Some(compressor) => compressor,
            None => content::Compressor::new().map_err(|error| RepositoryError::Machine(format!("no compressor: {error}")))?,
        };
        let encoded = match class.content.is_of_objects() {
            true => compressor.encode_objects(raw, dictionary.map(|dictionary| (dictionary.id, &dictionary.raw[..]))),
            false => compressor.encode(raw),
        };
        lock(&self.compressors).push(compressor);
        let sealed = ring.seal(class.sensitive, &encoded, &block_binding(id, class))?;
        self.stored_bytes.fetch_add(sealed.len() as u64, Ordering::Relaxed);
        let packer = if of_catalog { &self.meta } else { &self.data };
        let dictionary = dictionary.map(|dictionary| dictionary.id).filter(|_| content::has_dictionary(&encoded));
        let block = PackedBlock { id, class, dictionary, raw: raw.len() as u32 };
        Ok((id, packer.add(ring, block, &sealed)?))
    }

    /// The same for threads that may wait: also takes a full pack to the store.
    pub(super) fn store_block_blocking(&self, class: Class, raw: &[u8], dictionary: Option<&Dictionary>) -> Result<BlockId, RepositoryError> {
        let (id, full) = self.store_block(class, raw, dictionary)?;
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

    pub(super) fn add_unchanged(&self, kind: GroupResource) {
        lock(&self.unchanged).insert(kind);
    }

    /// What the layer holds: the kinds that were written, and those of the parent that are gone, as empty ones.
    fn take_kinds(&self) -> Vec<LayerKind> {
        let mut kinds = std::mem::take(&mut *lock(&self.kinds));
        if self.delta() {
            let mut seen: HashSet<GroupResource> = kinds.iter().map(|kind| kind.info.group_resource()).collect();
            seen.extend(lock(&self.unchanged).drain());
            let parents = self.parent_tops.iter().enumerate().rev().flat_map(|(layer, top)| top.kinds.iter().map(move |kind| (layer, kind)));
            for (layer, kind) in parents {
                // Of each kind the topmost layer tells whether the parent had it; that it was gone is said again where that layer goes.
                let gone_below = kind.whole && kind.segments.is_empty() && layer < self.below;
                if seen.insert(kind.info.group_resource()) && !gone_below {
                    kinds.push(LayerKind { info: kind.info.clone(), whole: true, segments: Vec::new(), blocks: Vec::new() });
                }
            }
        }
        kinds.sort_by_cached_key(|kind| kind.info.group_resource().to_string());
        kinds
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
        self.uncached().begin(options, None).await
    }

    /// With dictionaries of these tables instead of the parent's.
    pub(super) async fn begin(&self, options: BackupOptions, dictionaries: Option<Vec<Arc<LayerTop>>>) -> Result<SnapshotWriter, RepositoryError> {
        self.inner.blocks.refresh().await?;
        let (parent, parent_tops, whole) = match options.parent {
            Some(root) => match self.tops(&root).await {
                Ok(tops) => {
                    let whole = self.segments_are_whole(&tops).await?;
                    (Some(root), tops, whole)
                }
                Err(error) if error.is_damage() => (None, Vec::new(), false),
                Err(error) => return Err(error),
            },
            None => (None, Vec::new(), true),
        };
        let rows: Vec<u64> = parent.iter().flat_map(|root| &root.layers).map(|layer| layer.rows).collect();
        let expected = parent.as_ref().map_or(0, |root| root.stats.new + root.stats.changed);
        let lost_packs = self.inner.blocks.lost_packs().await?;
        let given_up = {
            let tables = parent.iter().flat_map(|root| &root.layers).map(|layer| layer.top);
            let segments = parent_tops.iter().flat_map(|top| &top.kinds).flat_map(|kind| &kind.segments).map(|segment| segment.block);
            let objects = parent_tops.iter().flat_map(|top| &top.kinds).flat_map(|kind| &kind.blocks).copied();
            let index = self.inner.blocks.index();
            let stays = |pack: &[u8; 32], _| !lost_packs.packs.contains(pack);
            // A layer names blocks of objects that are gone as well. Those that are lost are known as damage; those in the trash are not.
            let in_trash = |id| index.holds(id, |pack, _| !lost_packs.damaged.contains(pack)) && !index.holds(id, stays);
            tables.chain(segments).any(|id| !index.lies_in(id, stays)) || objects.into_iter().any(in_trash)
        };
        // Nothing new stands on what is damaged, or about to be removed by a prune.
        let below = if whole && !given_up { layers_below(&rows, expected) } else { 0 };
        let shared = Shared {
            repository: self.clone(),
            parent,
            dictionary_tops: dictionaries.unwrap_or_else(|| parent_tops.clone()),
            parent_tops,
            below,
            sensitive: options.sensitive,
            anew: options.anew,
            lost_packs,
            data: Packer::default(),
            meta: Packer::default(),
            stored: Mutex::default(),
            kinds: Mutex::default(),
            unchanged: Mutex::default(),
            packs: Mutex::default(),
            compressors: Mutex::default(),
            uploads: Semaphore::new(UPLOADS),
            handle: Handle::current(),
            stats: Mutex::default(),
            stored_bytes: AtomicU64::new(0),
        };
        Ok(SnapshotWriter { shared: Arc::new(shared) })
    }

    /// Whether all segments of these layers can be read. They stay in memory as far as there is room: the writers of kinds come for them.
    /// A store that fails is an error.
    async fn segments_are_whole(&self, tops: &[Arc<LayerTop>]) -> Result<bool, RepositoryError> {
        let segments: Vec<&SegmentRef> = tops.iter().flat_map(|top| &top.kinds).flat_map(|kind| &kind.segments).collect();
        for some in segments.chunks(SEGMENTS_AT_ONCE) {
            let ids: Vec<BlockId> = some.iter().map(|segment| segment.block).collect();
            let read = self.inner.blocks.get_many(&ids).await;
            let decoded = read.and_then(|blocks| {
                some.iter().try_for_each(|segment| decode_segment(segment, &blocks).map(|_| ()))?;
                Ok(blocks)
            });
            match decoded {
                Err(error) if error.is_damage() => return Ok(false),
                blocks => self.inner.blocks.keep(blocks?),
            }
        }
        Ok(true)
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
        let (layers, stats) = self.close().await?;
        let shared = &self.shared;
        let id = match info.id {
            Some(id) => id,
            None => SnapshotId::new(info.time)?,
        };
        let root = Root {
            id,
            name: info.name,
            time: info.time,
            cluster: info.cluster,
            filters: info.filters,
            resource_version: info.resource_version,
            kinds: info.kinds,
            failed_groups: info.failed_groups,
            layers,
            parent: shared.parent.as_ref().map(|parent| parent.id),
            tags: info.tags,
            program: env!("CARGO_PKG_VERSION").to_owned(),
            duration_ms: info.duration_ms,
            stats,
        };
        let (key, sealed) = shared.repository.seal_root(&root)?;
        let confirmed = shared.repository.confirm(&root, &shared.lost_packs).await?;
        match shared.repository.inner.store.put_new(&key, Bytes::from(sealed)).await? {
            Created::New => {}
            Created::AlreadyThere => return Err(RepositoryError::AlreadyExists { place: key }),
        }
        shared.repository.settle(&root, &shared.lost_packs, confirmed).await?;
        Ok(root)
    }

    /// Puts a snapshot that says the same in the place of one that is there: the writer was given the same objects, which lie elsewhere now.
    /// Gives nothing where the snapshot was forgotten meanwhile, or the store lets nothing be replaced.
    ///
    /// # Errors
    /// `Overtaken`, `Store`; the snapshot stays as it was then.
    pub(super) async fn commit_over(self, old: &Root) -> Result<Option<Root>, RepositoryError> {
        let (layers, _) = self.close().await?;
        let root = Root { layers, ..old.clone() };
        self.shared.repository.confirm(&root, &self.shared.lost_packs).await?;
        Ok(self.shared.repository.replace_root(&root).await?.then_some(root))
    }

    /// Stores table, last packs and index: all that a root can name.
    async fn close(&self) -> Result<(Vec<LayerRef>, Stats), RepositoryError> {
        let shared = &self.shared;
        let kinds = shared.take_kinds();
        let mut layers: Vec<LayerRef> = shared.parent.iter().flat_map(|parent| &parent.layers).take(shared.below).cloned().collect();
        let rows = kinds.iter().flat_map(|kind| &kind.segments).map(|segment| u64::from(segment.rows)).sum();
        // Where nothing differs from the layers below they say it all.
        let (own, full) = if kinds.is_empty() && !layers.is_empty() {
            (None, None)
        } else {
            let (top, full) = shared.store_block(Class::general(Content::Top), &top::encode(&LayerTop { kinds }), None)?;
            (Some(top), full)
        };
        let inner = &shared.repository.inner;
        let last = [full, shared.data.finish(&inner.ring)?, shared.meta.finish(&inner.ring)?];
        for pack in last.into_iter().flatten() {
            shared.upload(pack).await?;
        }
        let mut stats = *lock(&shared.stats);
        stats.stored_bytes = shared.stored_bytes.load(Ordering::Relaxed);
        let mut packs = std::mem::take(&mut *lock(&shared.packs));
        layers.extend(own.map(|top| LayerRef { top, rows, packs: of_catalog(&packs) }));
        // Packs that stand in no index: what this snapshot took over from them would be hard to find again.
        packs.extend(inner.blocks.recovered().await);
        if !packs.is_empty() {
            let sealed = inner.ring.seal(false, &content::encode_raw(&encode_index(&packs)), INDEX_BINDING)?;
            let key = format!("index/{}", hex(blake3::hash(&sealed).as_bytes()));
            stats.stored_bytes += sealed.len() as u64;
            inner.store.put(&key, Bytes::from(sealed)).await?;
            inner.blocks.add_index(key, &packs);
            inner.blocks.recovered_are_indexed().await;
        }
        Ok((layers, stats))
    }
}

/// Those that hold parts of a catalog.
pub(super) fn of_catalog(packs: &[PackInfo]) -> Vec<PackRef> {
    let holds = |pack: &&PackInfo| pack.entries.iter().any(|entry| matches!(entry.class.content, Content::Segment | Content::Top));
    packs.iter().filter(holds).map(|pack| PackRef { hash: pack.hash, size: pack.size }).collect()
}

#[cfg(test)]
mod tests {
    use super::layers_below;

    #[test]
    fn layers_are_taken_together_when_they_are_many_and_a_base_is_made_when_they_are_large() {
        let table: [(&[u64], u64, usize); 11] = [
            (&[], 5, 0),
            (&[100], 5, 1),
            (&[100, 16], 5, 2),
            (&[100, 11, 6], 5, 0),
            (&[0], 0, 1),
            (&[0, 1], 0, 0),
            (&[1000, 0], 0, 2),
            (&[1000, 20, 10, 10, 10], 10, 5),
            // One too many: the topmost goes, and what is not larger than all above it.
            (&[1000, 20, 19, 18, 17, 16], 10, 1),
            (&[1000, 90, 20, 9, 8, 7], 7, 2),
            (&[1000, 1, 1, 1, 1, 1, 1, 1], 0, 1),
        ];
        for (rows, expected, below) in table {
            assert_eq!(layers_below(rows, expected), below, "{rows:?} and {expected}");
        }
    }

    /// The same number of rows changes each day.
    #[test]
    fn rows_are_written_about_twice_each() {
        let (mut layers, mut written, mut most) = (vec![100_000_u64], 0, 0);
        for _ in 0..17 {
            let below = layers_below(&layers, 1_000);
            assert!(below > 0, "{layers:?}");
            let taken = layers.split_off(below).iter().sum::<u64>() + 1_000;
            layers.push(taken);
            written += taken;
            most = most.max(layers.len());
        }
        assert_eq!((most, written), (6, 29_000), "{layers:?}");
    }
}
