//! A snapshot without what is lost of it, written beside the damaged one.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use serde::Serialize;

use crate::{
    object::KindInfo,
    repository::{
        KindOutcome, Repository, RepositoryError, Root, SnapshotId,
        blocks::pack_key,
        crypto::{block_binding, random},
        format::{
            BlockId, Class, Content, SEGMENT_ROWS, content,
            segment::{self, SegmentRow},
            top::{self, LayerKind, LayerTop, SegmentRef},
        },
        layers::MergedRows,
        packer::{FinishedPack, PackedBlock, Packer},
        prune::{Indexed, Lock, trash},
        root::LayerRef,
        snapshot::decode_segment,
        writer::of_catalog,
    },
    store::Created,
};

/// Lost objects of a kind that a root names: it has to stay small.
const MAX_NAMED: usize = 1_000;

/// What is lost of one kind.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LostObjects {
    /// `resource.group`.
    pub kind: String,
    /// Objects whose bytes are lost: `namespace/name`.
    pub objects: Vec<String>,
    /// Parts of the catalog that are lost: the first name of each, and how many names it held at most.
    pub unnamed: Vec<(String, u64)>,
}

/// What became of one snapshot.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SnapshotRepair {
    /// The damaged snapshot.
    pub damaged: Root,
    /// The new one, with what is left; nothing in a dry run, or when its table itself cannot be read.
    pub repaired: Option<Root>,
    /// What is lost.
    pub lost: Vec<LostObjects>,
    /// Why no snapshot can be made of it.
    pub hopeless: Option<String>,
}

/// A stretch of names of which a layer's rows are lost: what lower layers say about them does not hold.
struct Hole {
    layer: usize,
    from: String,
    to: Option<String>,
}

impl Hole {
    fn hides(&self, layer: usize, key: &str) -> bool {
        layer < self.layer && self.from.as_str() <= key && self.to.as_deref().is_none_or(|to| key < to)
    }
}

/// A kind without what is lost.
struct Rest {
    kind: Option<LayerKind>,
    rows: u64,
    lost: LostObjects,
}

impl Repository {
    /// Looks for snapshots that lost something, and writes each of them again without it; the damaged ones stay until they are forgotten.
    /// What counts as lost is what lies in no pack that is there: repair index and packs first. Snapshots that lost nothing are left out.
    ///
    /// # Errors
    /// `NeedsSensitiveKey`, `Locked`, `ReadOnly`, `Store`.
    pub async fn repair_snapshots(&self, roots: &[Root], dry_run: bool, now: jiff::Timestamp) -> Result<Vec<SnapshotRepair>, RepositoryError> {
        self.writable()?;
        let lock = if dry_run { None } else { Some(Lock::take(&self.inner.store, now).await?) };
        let repaired = self.uncached().repair_snapshots_locked(roots, dry_run).await;
        if let Some(lock) = lock {
            lock.release().await?;
        }
        repaired
    }

    async fn repair_snapshots_locked(&self, roots: &[Root], dry_run: bool) -> Result<Vec<SnapshotRepair>, RepositoryError> {
        self.inner.blocks.refresh().await?;
        self.inner.blocks.recover().await?;
        let readable = self.readable_blocks(roots).await?;
        let there = |id: BlockId| readable.contains(&id);
        let all = self.snapshots().await?.roots;
        let mut repairs = Vec::new();
        for root in roots {
            let tops = match self.tops(root).await {
                Err(error) if error.is_damage() => {
                    let (damaged, hopeless) = (root.clone(), Some(error.to_string()));
                    repairs.push(SnapshotRepair { damaged, repaired: None, lost: Vec::new(), hopeless });
                    continue;
                }
                tops => tops?,
            };
            let segments = self.readable_segments(&tops).await?;
            let mut kinds: BTreeMap<String, &KindInfo> = BTreeMap::new();
            for kind in tops.iter().flat_map(|top| &top.kinds) {
                kinds.insert(kind.info.group_resource().to_string(), &kind.info);
            }
            let writer = BaseWriter { repository: self, packer: Packer::default(), full: Mutex::default(), there: &there };
            let (mut left, mut rows, mut lost) = (Vec::new(), 0, Vec::new());
            for info in kinds.into_values() {
                let rest = writer.rest(&tops, info, &segments)?;
                rows += rest.rows;
                left.extend(rest.kind);
                if rest.lost.objects.len() + rest.lost.unnamed.len() > 0 {
                    lost.push(rest.lost);
                }
            }
            if lost.is_empty() {
                continue;
            }
            let before = all.iter().find(|other| other.name == repaired_name(root) && other.time == root.time);
            let repaired = match before {
                Some(before) => Some(before.clone()),
                None if dry_run => None,
                None => Some(self.commit_rest(root, &writer, left, rows, &lost).await?),
            };
            repairs.push(SnapshotRepair { damaged: root.clone(), repaired, lost, hopeless: None });
        }
        self.inner.blocks.refresh().await?;
        Ok(repairs)
    }

    /// Of all blocks that the snapshots need, those that lie in a pack that is there. What lies in the trash only is read: a repair may
    /// have put it there because it is damaged, or a prune beside a backup although it is whole.
    async fn readable_blocks(&self, roots: &[Root]) -> Result<HashSet<BlockId>, RepositoryError> {
        let (trashed, present) = (trash::listed(&self.inner.store).await?, self.inner.blocks.present().await?);
        let (mut readable, mut unsure) = (HashSet::new(), HashSet::new());
        for root in roots {
            let needed = match self.referenced(root).await {
                Err(error) if error.is_damage() => continue,
                needed => needed?,
            };
            let index = self.inner.blocks.index();
            for id in needed {
                let there = |hash: &[u8; 32], size| present.get(&pack_key(hash)).is_some_and(|(found, _)| *found == size);
                if index.holds(id, |hash, size| there(hash, size) && !trashed.contains(hash)) {
                    readable.insert(id);
                } else if index.holds(id, there) {
                    unsure.insert(id);
                }
            }
        }
        for id in unsure {
            match self.inner.blocks.get(id).await {
                Err(error) if error.is_damage() => {}
                read => {
                    read?;
                    readable.insert(id);
                }
            }
        }
        Ok(readable)
    }

    async fn readable_segments(&self, tops: &[Arc<LayerTop>]) -> Result<HashMap<BlockId, Bytes>, RepositoryError> {
        let mut segments = HashMap::new();
        for segment in tops.iter().flat_map(|top| &top.kinds).flat_map(|kind| &kind.segments) {
            match self.inner.blocks.get(segment.block).await {
                Err(error) if error.is_damage() => {}
                raw => {
                    segments.insert(segment.block, raw?);
                }
            }
        }
        Ok(segments)
    }

    /// Writes what is left as a snapshot of one layer: packs, index, root.
    async fn commit_rest(
        &self,
        damaged: &Root,
        writer: &BaseWriter<'_>,
        kinds: Vec<LayerKind>,
        rows: u64,
        lost: &[LostObjects],
    ) -> Result<Root, RepositoryError> {
        let top = writer.store(Content::Top, &top::encode(&LayerTop { kinds }))?;
        let mut indexed = Indexed::new();
        let full = std::mem::take(&mut *writer.full.lock().unwrap_or_else(PoisonError::into_inner));
        for FinishedPack { key, bytes, info } in full.into_iter().chain(writer.packer.finish(&self.inner.ring)?) {
            self.inner.store.put(&key, bytes).await?;
            indexed.insert(info.hash, info);
        }
        self.write_index(&indexed, &[]).await?;
        self.inner.blocks.refresh().await?;
        let mut root = damaged.clone();
        let milliseconds = u64::try_from(root.time.as_millisecond()).unwrap_or_default();
        root.id = SnapshotId(ulid::Ulid::from_parts(milliseconds, u128::from_le_bytes(random()?)));
        root.name = repaired_name(damaged);
        root.layers = vec![LayerRef { top, rows, packs: of_catalog(&indexed.into_values().collect::<Vec<_>>()) }];
        root.stats.objects = rows;
        note_losses(&mut root, lost);
        let (key, sealed) = self.seal_root(&root)?;
        match self.inner.store.put_new(&key, Bytes::from(sealed)).await? {
            Created::New => Ok(root),
            Created::AlreadyThere => Err(RepositoryError::AlreadyExists { place: key }),
        }
    }
}

fn repaired_name(damaged: &Root) -> String {
    format!("{}-repaired", damaged.name)
}

/// The snapshot itself says what it lacks, so that nobody takes it for complete.
fn note_losses(root: &mut Root, lost: &[LostObjects]) {
    for lost in lost {
        let Some(report) = root.kinds.iter_mut().find(|report| report.kind.group_resource().to_string() == lost.kind) else {
            root.failed_groups.push((lost.kind.clone(), "objects were lost by damage of the repository".to_owned()));
            continue;
        };
        if let KindOutcome::Read { not_stored, objects, .. } = &mut report.outcome {
            *objects = objects.saturating_sub(lost.objects.len() as u64);
            for name in lost.objects.iter().take(MAX_NAMED) {
                not_stored.insert(name.clone(), "lost by damage of the repository".to_owned());
            }
            if lost.objects.len() > MAX_NAMED {
                not_stored.insert("others".to_owned(), format!("{} more objects of this kind", lost.objects.len() - MAX_NAMED));
            }
            for (from, count) in &lost.unnamed {
                not_stored.insert(format!("{from} and up to {} behind it", count.saturating_sub(1)), "lost with a part of the catalog".to_owned());
            }
        }
    }
}

/// Writes the one layer of a repaired snapshot.
struct BaseWriter<'a> {
    repository: &'a Repository,
    packer: Packer,
    full: Mutex<Vec<FinishedPack>>,
    there: &'a (dyn Fn(BlockId) -> bool + Sync),
}

impl BaseWriter<'_> {
    fn store(&self, content: Content, raw: &[u8]) -> Result<BlockId, RepositoryError> {
        let (ring, class) = (&self.repository.inner.ring, Class::general(content));
        let id = ring.block_id(class, raw)?;
        if (self.there)(id) {
            return Ok(id);
        }
        let mut compressor = content::Compressor::new().map_err(|error| RepositoryError::Machine(format!("no compressor: {error}")))?;
        let sealed = ring.seal(false, &compressor.encode(raw), &block_binding(id, class))?;
        let block = PackedBlock { id, class, dictionary: None, raw: raw.len() as u32 };
        let full = self.packer.add(ring, block, &sealed)?;
        self.full.lock().unwrap_or_else(PoisonError::into_inner).extend(full);
        Ok(id)
    }

    /// The rows of a kind whose blocks are all there.
    fn rest(&self, tops: &[Arc<LayerTop>], info: &KindInfo, segments: &HashMap<BlockId, Bytes>) -> Result<Rest, RepositoryError> {
        let own = |kind: &&LayerKind| kind.info.group_resource() == info.group_resource();
        let mut layers: Vec<(usize, &LayerKind)> = Vec::new();
        for (number, kind) in tops.iter().enumerate().filter_map(|(number, top)| Some((number, top.kinds.iter().find(own)?))) {
            if kind.whole {
                layers.clear();
            }
            layers.push((number, kind));
        }
        let mut lost = LostObjects { kind: info.group_resource().to_string(), ..LostObjects::default() };
        let mut holes = Vec::new();
        for (layer, (_, kind)) in layers.iter().enumerate() {
            for (at, segment) in kind.segments.iter().enumerate().filter(|(_, segment)| decode_segment(segment, segments).is_err()) {
                lost.unnamed.push((segment.first_key.clone(), segment.rows.into()));
                holes.push(Hole { layer, from: segment.first_key.clone(), to: kind.segments.get(at + 1).map(|next| next.first_key.clone()) });
            }
        }
        let load = |wanted: &SegmentRef| Ok(decode_segment(wanted, segments).unwrap_or_default());
        let mut merged = MergedRows::new(tops, info, Box::new(load));
        let (mut table, mut numbers): (Vec<BlockId>, HashMap<BlockId, u32>) = Default::default();
        let mut kept: Vec<SegmentRow> = Vec::new();
        while let Some((layer, mut row)) = merged.next()? {
            if holes.iter().any(|hole| hole.hides(layer, &row.key)) {
                continue;
            }
            let redacted = row.lengths.redacted.is_some().then_some(&mut row.redacted);
            let mut whole = true;
            for place in [&mut row.manifest, &mut row.rest].into_iter().chain(redacted) {
                match merged.block(layer, place.block).filter(|&id| (self.there)(id)) {
                    Some(id) => {
                        let next = table.len() as u32;
                        place.block = *numbers.entry(id).or_insert(next);
                        if place.block == next {
                            table.push(id);
                        }
                    }
                    None => whole = false,
                }
            }
            if whole {
                kept.push(row);
            } else {
                lost.objects.push(row.key);
            }
        }
        // Dictionaries stand in the table of the blocks that need them.
        for &id in layers.iter().flat_map(|(_, kind)| &kind.blocks) {
            let found = self.repository.inner.blocks.index().get(id);
            if found.is_some_and(|found| found.class.content == Content::Dictionary) && !table.contains(&id) {
                table.push(id);
            }
        }
        let mut written = Vec::new();
        for rows in kept.chunks(SEGMENT_ROWS) {
            let block = self.store(Content::Segment, &segment::encode(rows))?;
            let first_key = rows.first().map(|row| row.key.clone()).unwrap_or_default();
            written.push(SegmentRef { block, rows: rows.len() as u32, first_key });
        }
        let kind = (!written.is_empty()).then(|| LayerKind { info: info.clone(), whole: true, segments: written, blocks: table });
        Ok(Rest { kind, rows: kept.len() as u64, lost })
    }
}
