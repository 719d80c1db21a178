//! How much of each block is alive: part of an object of some snapshot.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use tokio::runtime::Handle;

use crate::{
    object::KindInfo,
    repository::{
        Repository, RepositoryError, Root,
        format::{
            BlockId,
            segment::{Lengths, SegmentRow},
            top::{LayerTop, SegmentRef},
        },
        layers::MergedRows,
        snapshot::decode_segment,
    },
};

/// Raw bytes of a block, and those that snapshots need.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Life {
    pub(super) raw: u64,
    pub(super) live: u64,
    /// Bytes in the store.
    pub(super) stored: u64,
}

/// Snapshots with the tables of their layers.
pub(super) type Opened = Vec<(Root, Vec<Arc<LayerTop>>)>;

impl Repository {
    /// All snapshots with their tables, oldest first. Layers that several have are read once.
    pub(super) async fn open_tables(&self) -> Result<Opened, RepositoryError> {
        let mut known: HashMap<BlockId, Arc<LayerTop>> = HashMap::new();
        let mut opened = Opened::new();
        for root in self.snapshots().await?.roots {
            let mut tops = self.tops(&root).await?;
            for (layer, top) in root.layers.iter().zip(&mut tops) {
                *top = Arc::clone(known.entry(layer.top).or_insert_with(|| Arc::clone(top)));
            }
            opened.push((root, tops));
        }
        Ok(opened)
    }

    /// How much of each block of objects that these snapshots name is alive.
    pub(super) async fn living(&self, opened: &Arc<Opened>) -> Result<HashMap<BlockId, Life>, RepositoryError> {
        let (repository, opened, handle) = (self.clone(), Arc::clone(opened), Handle::current());
        let counted = tokio::task::spawn_blocking(move || repository.count_living(&opened, &handle)).await;
        counted.unwrap_or_else(|error| Err(RepositoryError::Machine(error.to_string())))
    }

    fn count_living(&self, opened: &Opened, handle: &Handle) -> Result<HashMap<BlockId, Life>, RepositoryError> {
        let mut lives: HashMap<BlockId, Life> = HashMap::new();
        let mut kinds: BTreeMap<String, &KindInfo> = BTreeMap::new();
        for kind in opened.iter().flat_map(|(_, tops)| tops).flat_map(|top| &top.kinds) {
            kinds.insert(kind.info.group_resource().to_string(), &kind.info);
            let index = self.inner.blocks.index();
            for id in &kind.blocks {
                let found = index.get(*id).map(|found| Life { raw: found.raw.into(), live: 0, stored: found.stored.into() });
                lives.entry(*id).or_insert_with(|| found.unwrap_or_default());
            }
        }
        // Kind by kind: what has to be remembered are the places of one.
        for kind in kinds.into_values() {
            let mut places: HashSet<(BlockId, u32)> = HashSet::new();
            for (_, tops) in opened {
                let load = |wanted: &SegmentRef| {
                    let raw = handle.block_on(self.inner.blocks.get(wanted.block))?;
                    decode_segment(wanted, &HashMap::from([(wanted.block, raw)]))
                };
                let mut rows = MergedRows::new(tops, kind, Box::new(load));
                while let Some((table, row)) = rows.next()? {
                    for (number, offset, length) in parts(&row) {
                        let Some(block) = rows.block(table, number) else { continue };
                        if places.insert((block, offset)) {
                            lives.entry(block).or_default().live += u64::from(length);
                        }
                    }
                }
            }
        }
        Ok(lives)
    }
}

/// Number of the block, offset and length of each part that is not empty.
fn parts(row: &SegmentRow) -> impl Iterator<Item = (u32, u32, u32)> {
    let Lengths { manifest, status, server, redacted } = row.lengths;
    [(row.manifest, manifest), (row.rest, status.saturating_add(server)), (row.redacted, redacted.unwrap_or(0))]
        .into_iter()
        .filter(|(_, length)| *length > 0)
        .map(|(place, length)| (place.block, place.offset, length))
}
