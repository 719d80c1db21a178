//! For tests: a snapshot whose topmost layer lies in blocks with trained dictionaries, as another program may write them.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use bytes::Bytes;

use super::{
    BlockRange, Repository, RepositoryError, Root, SnapshotId, blocks,
    crypto::block_binding,
    format::{
        BlockId, Class, Content, MAX_DICTIONARY, content, hex,
        pack::encode_index,
        segment::{self, Place, SegmentRow},
        top::{self, LayerKind, LayerTop, SegmentRef},
    },
    layers::MergedRows,
    packer::{PackedBlock, Packer},
    root::LayerRef,
    slice,
    snapshot::decode_segment,
    writer::of_catalog,
};
use crate::object::KindInfo;

/// Rows of a kind by their keys, with the blocks that they name: manifest, rest, redacted.
type Rows = BTreeMap<String, (SegmentRow, [Option<BlockId>; 3])>;

/// A layer that is being written, and its pack.
struct Layer<'a> {
    repository: &'a Repository,
    packer: Packer,
}

impl Layer<'_> {
    fn store(&self, class: Class, raw: &[u8], encoded: &[u8]) -> Result<BlockId, RepositoryError> {
        let ring = &self.repository.inner.ring;
        let id = ring.block_id(class, raw)?;
        let sealed = ring.seal(class.sensitive, encoded, &block_binding(id, class))?;
        let dictionary = content::dictionary(encoded).map_err(RepositoryError::damaged("a block"))?;
        self.packer.add(ring, PackedBlock { id, class, dictionary, raw: raw.len() as u32 }, &sealed)?;
        Ok(id)
    }

    fn store_plain(&self, class: Class, raw: &[u8]) -> Result<BlockId, RepositoryError> {
        self.store(class, raw, &content::encode_raw(raw))
    }
}

impl Repository {
    /// Writes the snapshot `after` once more: the layers of `before`, and one above them with the differences. Manifests that changed lie in
    /// blocks with a dictionary, which is trained on all manifests of the kind.
    ///
    /// # Errors
    /// As reading and writing snapshots.
    pub async fn write_layered(&self, before: &Root, after: &Root, name: &str) -> Result<Root, RepositoryError> {
        let (lower, upper) = (self.tops(before).await?, self.tops(after).await?);
        let layer = Layer { repository: self, packer: Packer::default() };
        let mut kinds: BTreeMap<String, LayerKind> = BTreeMap::new();
        for info in infos(&lower) {
            let gone = LayerKind { info: info.clone(), whole: true, segments: Vec::new(), blocks: Vec::new() };
            kinds.insert(info.group_resource().to_string(), gone);
        }
        for info in infos(&upper) {
            let (old, new) = (self.rows_of(&lower, info).await?, self.rows_of(&upper, info).await?);
            let name = info.group_resource().to_string();
            match self.difference(&layer, info, &old, new).await? {
                Some(kind) => kinds.insert(name, kind),
                None => kinds.remove(&name),
            };
        }
        let kinds: Vec<LayerKind> = kinds.into_values().collect();
        let rows = kinds.iter().flat_map(|kind| &kind.segments).map(|segment| u64::from(segment.rows)).sum();
        let top = layer.store_plain(Class::general(Content::Top), &top::encode(&LayerTop { kinds }))?;
        let mut packs = Vec::new();
        if let Some(pack) = layer.packer.finish(&self.inner.ring)? {
            packs = of_catalog(std::slice::from_ref(&pack.info));
            self.inner.store.put(&pack.key, pack.bytes).await?;
            let index = self.inner.ring.seal(false, &content::encode_raw(&encode_index(&[pack.info])), blocks::INDEX_BINDING)?;
            self.inner.store.put(&format!("index/{}", hex(blake3::hash(&index).as_bytes())), index.into()).await?;
        }
        let mut root = Root { name: name.to_owned(), parent: Some(before.id), layers: before.layers.clone(), ..after.clone() };
        root.id = SnapshotId(ulid::Ulid::from_parts(after.id.0.timestamp_ms(), u128::from_le_bytes(super::crypto::random()?)));
        root.layers.push(LayerRef { top, rows, packs });
        let (key, sealed) = self.seal_root(&root)?;
        self.inner.store.put_new(&key, Bytes::from(sealed)).await?;
        Ok(root)
    }

    async fn rows_of(&self, tops: &[Arc<LayerTop>], info: &KindInfo) -> Result<Rows, RepositoryError> {
        let segments = tops.iter().flat_map(|top| &top.kinds).filter(|kind| kind.info == *info).flat_map(|kind| &kind.segments);
        let ids: Vec<BlockId> = segments.map(|segment| segment.block).collect();
        let stored = self.inner.blocks.get_many(&ids).await?;
        let mut merged = MergedRows::new(tops, info, Box::new(|wanted| decode_segment(wanted, &stored)));
        let mut rows = Rows::new();
        while let Some((table, row)) = merged.next()? {
            let places = [row.manifest, row.rest, row.redacted].map(|place| merged.block(table, place.block));
            rows.insert(row.key.clone(), (row, places));
        }
        Ok(rows)
    }

    /// Nothing where nothing changed.
    async fn difference(&self, layer: &Layer<'_>, info: &KindInfo, old: &Rows, new: Rows) -> Result<Option<LayerKind>, RepositoryError> {
        let keys: BTreeSet<String> = old.keys().chain(new.keys()).cloned().collect();
        let mut manifests: BTreeMap<&String, Bytes> = BTreeMap::new();
        for (key, (row, [manifest, ..])) in &new {
            if let (Some(block), false) = (manifest, row.sensitive) {
                let place = BlockRange { block: *block, offset: row.manifest.offset, length: row.lengths.manifest };
                manifests.insert(key, slice(&self.inner.blocks.get(*block).await?, place)?);
            }
        }
        let (mut changed, mut raw) = (Vec::new(), Vec::new());
        for key in keys {
            match (old.get(&key), new.get(&key)) {
                (_, None) => changed.push((SegmentRow { key, tombstone: true, ..SegmentRow::default() }, [None; 3])),
                (Some((before, _)), Some((after, _))) if before.raw_hash == after.raw_hash => {}
                (_, Some((after, blocks))) => {
                    let (mut row, mut blocks) = (after.clone(), *blocks);
                    if let Some(manifest) = manifests.get(&key) {
                        (row.manifest.offset, blocks[0]) = (raw.len() as u32, None);
                        raw.extend_from_slice(manifest);
                    }
                    changed.push((row, blocks));
                }
            }
        }
        let Some((first, _)) = changed.first() else { return Ok(None) };
        let first_key = first.key.clone();
        let own = if raw.is_empty() { None } else { Some(store_with_dictionary(layer, &raw, &manifests)?) };
        let mut table = Vec::new();
        let mut numbers: HashMap<BlockId, u32> = HashMap::new();
        let mut rows = Vec::new();
        for (mut row, blocks) in changed {
            for (place, block) in [&mut row.manifest, &mut row.rest, &mut row.redacted].into_iter().zip([blocks[0].or(own), blocks[1], blocks[2]]) {
                let (Some(block), false) = (block, row.tombstone) else { continue };
                let number = *numbers.entry(block).or_insert_with(|| {
                    table.push(block);
                    table.len() as u32 - 1
                });
                *place = Place { block: number, ..*place };
            }
            if row.lengths.redacted.is_none() {
                row.redacted = Place::default();
            }
            rows.push(row);
        }
        let block = layer.store_plain(Class::general(Content::Segment), &segment::encode(&rows))?;
        let segments = vec![SegmentRef { block, rows: rows.len() as u32, first_key }];
        Ok(Some(LayerKind { info: info.clone(), whole: false, segments, blocks: table }))
    }
}

fn infos(tops: &[Arc<LayerTop>]) -> impl Iterator<Item = &KindInfo> {
    tops.iter().flat_map(|top| &top.kinds).map(|kind| &kind.info)
}

/// Stores manifests with a dictionary in zstd's own format, which no writer makes and every reader reads.
fn store_with_dictionary(layer: &Layer<'_>, raw: &[u8], samples: &BTreeMap<&String, Bytes>) -> Result<BlockId, RepositoryError> {
    let failed = |error: std::io::Error| RepositoryError::Machine(format!("no dictionary: {error}"));
    let samples: Vec<&[u8]> = samples.values().map(|sample| &sample[..]).collect();
    let dictionary = zstd::dict::from_samples(&samples, MAX_DICTIONARY / 64).map_err(failed)?;
    let id = layer.store_plain(Class::general(Content::Dictionary), &dictionary)?;
    let encoded = content::Compressor::new().map_err(failed)?.encode_objects(raw, Some((id, &dictionary)));
    layer.store(Class::general(Content::Manifest), raw, &encoded)
}
