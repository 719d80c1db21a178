//! The rows of one kind over all layers of a snapshot: the topmost layer wins, tombstones remove.

use std::collections::VecDeque;
use std::sync::Arc;

use super::{
    RepositoryError,
    format::{
        BlockId,
        segment::SegmentRow,
        top::{LayerTop, SegmentRef},
    },
};
use crate::object::KindInfo;

/// Gets the rows of a segment.
pub(super) type LoadSegment<'a> = Box<dyn FnMut(&SegmentRef) -> Result<Vec<SegmentRow>, RepositoryError> + Send + 'a>;

/// Walks the rows of one kind in ascending order of their keys.
pub(super) struct MergedRows<'a> {
    /// Base first.
    cursors: Vec<Cursor>,
    load: LoadSegment<'a>,
}

struct Cursor {
    layer: usize,
    segments: VecDeque<SegmentRef>,
    rows: VecDeque<SegmentRow>,
}

impl Cursor {
    fn fill(&mut self, load: &mut LoadSegment<'_>) -> Result<(), RepositoryError> {
        while self.rows.is_empty() {
            let Some(segment) = self.segments.pop_front() else {
                break;
            };
            self.rows = load(&segment)?.into();
        }
        Ok(())
    }
}

impl<'a> MergedRows<'a> {
    pub(super) fn new(tops: &[Arc<LayerTop>], kind: &KindInfo, load: LoadSegment<'a>) -> Self {
        let cursors = tops.iter().enumerate().filter_map(|(layer, top)| {
            let own = top.kinds.iter().find(|own| own.info.group == kind.group && own.info.resource == kind.resource)?;
            Some(Cursor { layer, segments: own.segments.iter().cloned().collect(), rows: VecDeque::new() })
        });
        Self { cursors: cursors.collect(), load }
    }

    /// The next row and the layer whose block table it points into.
    pub(super) fn next(&mut self) -> Result<Option<(usize, SegmentRow)>, RepositoryError> {
        loop {
            for cursor in &mut self.cursors {
                cursor.fill(&mut self.load)?;
            }
            let Some(key) = self.cursors.iter().filter_map(|cursor| cursor.rows.front()).map(|row| &row.key).min().cloned() else {
                return Ok(None);
            };
            let mut found = None;
            for cursor in &mut self.cursors {
                if cursor.rows.front().is_some_and(|row| row.key == key) {
                    found = cursor.rows.pop_front().map(|row| (cursor.layer, row));
                }
            }
            match found {
                Some((_, row)) if row.tombstone => {}
                found => return Ok(found),
            }
        }
    }
}

/// The block that a row of a layer names.
pub(super) fn block_of(tops: &[Arc<LayerTop>], layer: usize, block: u32) -> Option<BlockId> {
    tops.get(layer)?.blocks.get(block as usize).copied()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::repository::format::top::LayerKind;

    #[test]
    fn the_top_layer_wins_and_tombstones_remove() {
        let info = KindInfo { group: String::new(), version: "v1".into(), resource: "pods".into(), kind: "Pod".into(), namespaced: true };
        let row = |key: &str, hash: u64, tombstone| SegmentRow { key: key.into(), raw_hash: hash, tombstone, ..SegmentRow::default() };
        let stored: HashMap<BlockId, Vec<SegmentRow>> = HashMap::from([
            (BlockId([1; 32]), vec![row("a", 1, false), row("b", 1, false)]),
            (BlockId([2; 32]), vec![row("c", 1, false), row("d", 1, false)]),
            (BlockId([3; 32]), vec![row("b", 2, false), row("c", 0, true), row("e", 2, false)]),
            (BlockId([4; 32]), vec![row("a", 0, true), row("e", 3, false)]),
        ]);
        let layer = |ids: &[u8]| {
            let segments = ids.iter().map(|&id| SegmentRef { block: BlockId([id; 32]), rows: 2, first_key: String::new() }).collect();
            Arc::new(LayerTop { kinds: vec![LayerKind { info: info.clone(), segments }], blocks: Vec::new() })
        };
        let tops = [layer(&[1, 2]), layer(&[3]), layer(&[4])];
        let mut rows = MergedRows::new(&tops, &info, Box::new(|segment| Ok(stored[&segment.block].clone())));
        let mut seen = Vec::new();
        while let Some((layer, row)) = rows.next().unwrap() {
            seen.push((layer, row.key, row.raw_hash));
        }
        assert_eq!(seen, [(1, "b".to_owned(), 2), (0, "d".to_owned(), 1), (2, "e".to_owned(), 3)]);
    }
}
