//! The rows of one kind over all layers of a snapshot: the topmost layer wins, tombstones remove, and a layer that holds the kind whole
//! hides what is below.

use std::collections::VecDeque;
use std::sync::Arc;

use super::{
    RepositoryError,
    format::{
        BlockId,
        segment::SegmentRow,
        top::{LayerKind, LayerTop, SegmentRef},
    },
};
use crate::object::KindInfo;

/// Gets the rows of a segment.
pub(super) type LoadSegment<'a> = Box<dyn FnMut(&SegmentRef) -> Result<Vec<SegmentRow>, RepositoryError> + Send + 'a>;

/// Walks the rows of one kind in ascending order of their keys.
pub(super) struct MergedRows<'a> {
    /// Lowest layer first.
    cursors: Vec<Cursor>,
    load: LoadSegment<'a>,
}

struct Cursor {
    top: Arc<LayerTop>,
    /// Number of the layer, from the lowest up.
    layer: usize,
    /// Place of the kind in the layer.
    kind: usize,
    next: usize,
    rows: VecDeque<SegmentRow>,
}

impl Cursor {
    fn layer_kind(&self) -> Option<&LayerKind> {
        self.top.kinds.get(self.kind)
    }

    fn fill(&mut self, load: &mut LoadSegment<'_>) -> Result<(), RepositoryError> {
        while self.rows.is_empty() {
            let Some(segment) = self.top.kinds.get(self.kind).and_then(|kind| kind.segments.get(self.next)) else {
                break;
            };
            self.next += 1;
            self.rows = load(segment)?.into();
        }
        Ok(())
    }
}

impl<'a> MergedRows<'a> {
    pub(super) fn new(tops: &[Arc<LayerTop>], kind: &KindInfo, load: LoadSegment<'a>) -> Self {
        let mut cursors: Vec<Cursor> = Vec::new();
        for (layer, top) in tops.iter().enumerate() {
            let Some(at) = top.kinds.iter().position(|own| own.info.group == kind.group && own.info.resource == kind.resource) else {
                continue;
            };
            if top.kinds.get(at).is_some_and(|own| own.whole) {
                cursors.clear();
            }
            cursors.push(Cursor { top: Arc::clone(top), layer, kind: at, next: 0, rows: VecDeque::new() });
        }
        Self { cursors, load }
    }

    /// The block tables that rows point into, by the numbers that [`MergedRows::next`] gives.
    pub(super) fn tables(&self) -> impl Iterator<Item = &[BlockId]> {
        self.cursors.iter().map(|cursor| cursor.layer_kind().map_or(&[][..], |kind| &kind.blocks))
    }

    /// The block that a row names.
    pub(super) fn block(&self, table: usize, block: u32) -> Option<BlockId> {
        self.cursors.get(table)?.layer_kind()?.blocks.get(block as usize).copied()
    }

    /// The layer that a table belongs to, counted from the lowest up.
    pub(super) fn layer(&self, table: usize) -> usize {
        self.cursors.get(table).map_or(0, |cursor| cursor.layer)
    }

    /// The next row and the number of the table that it points into.
    pub(super) fn next(&mut self) -> Result<Option<(usize, SegmentRow)>, RepositoryError> {
        loop {
            match self.next_or_tombstone()? {
                Some((_, row)) if row.tombstone => {}
                found => return Ok(found),
            }
        }
    }

    /// The same with tombstones, which say that a lower layer may have an object that is gone.
    pub(super) fn next_or_tombstone(&mut self) -> Result<Option<(usize, SegmentRow)>, RepositoryError> {
        for cursor in &mut self.cursors {
            cursor.fill(&mut self.load)?;
        }
        let Some(key) = self.cursors.iter().filter_map(|cursor| cursor.rows.front()).map(|row| &row.key).min().cloned() else {
            return Ok(None);
        };
        let mut found = None;
        for (table, cursor) in self.cursors.iter_mut().enumerate() {
            if cursor.rows.front().is_some_and(|row| row.key == key) {
                found = cursor.rows.pop_front().map(|row| (table, row));
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn pods() -> KindInfo {
        KindInfo { group: String::new(), version: "v1".into(), resource: "pods".into(), kind: "Pod".into(), namespaced: true }
    }

    fn row(key: &str, hash: u64, tombstone: bool) -> SegmentRow {
        SegmentRow { key: key.into(), raw_hash: hash, tombstone, ..SegmentRow::default() }
    }

    fn layer(ids: &[u8], whole: bool) -> Arc<LayerTop> {
        let segments = ids.iter().map(|&id| SegmentRef { block: BlockId([id; 32]), rows: 2, first_key: String::new() }).collect();
        Arc::new(LayerTop { kinds: vec![LayerKind { info: pods(), whole, segments, blocks: Vec::new() }] })
    }

    fn merged(tops: &[Arc<LayerTop>]) -> Vec<(usize, String, u64)> {
        let stored: HashMap<BlockId, Vec<SegmentRow>> = HashMap::from([
            (BlockId([1; 32]), vec![row("a", 1, false), row("b", 1, false)]),
            (BlockId([2; 32]), vec![row("c", 1, false), row("d", 1, false)]),
            (BlockId([3; 32]), vec![row("b", 2, false), row("c", 0, true), row("e", 2, false)]),
            (BlockId([4; 32]), vec![row("a", 0, true), row("e", 3, false)]),
        ]);
        let mut rows = MergedRows::new(tops, &pods(), Box::new(|segment| Ok(stored[&segment.block].clone())));
        let mut seen = Vec::new();
        while let Some((table, row)) = rows.next().unwrap() {
            seen.push((table, row.key, row.raw_hash));
        }
        seen
    }

    #[test]
    fn the_top_layer_wins_and_tombstones_remove() {
        let seen = merged(&[layer(&[1, 2], true), layer(&[3], false), layer(&[4], false)]);
        assert_eq!(seen, [(1, "b".to_owned(), 2), (0, "d".to_owned(), 1), (2, "e".to_owned(), 3)]);
    }

    #[test]
    fn a_whole_kind_hides_what_is_below() {
        let seen = merged(&[layer(&[1, 2], true), layer(&[3], false), layer(&[4], true)]);
        assert_eq!(seen, [(0, "e".to_owned(), 3)]);
        // A kind that is gone: whole, and without rows.
        assert_eq!(merged(&[layer(&[1, 2], true), layer(&[], true)]), []);
    }
}
