//! Read-ahead from a store that is far away, the policy: how many blocks come with the one that is needed. Pure.
//!
//! A snapshot lies kind by kind, a mount shows namespace by namespace. So whoever reads all of it goes through the blocks of many kinds at
//! once, of each from the first to the last: each kind is followed by itself. Each time a reader comes to the end of what was brought, four
//! times as many blocks follow, and they are asked for when it is half through those before. Anything else brings one block.

use std::{collections::HashMap, ops::Range};

/// Most blocks that are brought at once: about 2 MB of the store.
pub const LARGEST_WINDOW: u32 = 64;
const GROWTH: u32 = 4;
/// A reader may leave out so many files and still be walking: filters of a mount leave out some of a kind.
const LARGEST_GAP: u32 = 64;
/// Readers of a kind that are followed at the same time: somebody fetches the first files of the next directories, which lie further on.
const READERS: usize = 4;

#[derive(Debug, Clone, Default)]
struct Reader {
    /// Rows whose blocks were brought, those of the last windows.
    brought: Range<u32>,
    /// Rows of the last window.
    last: Range<u32>,
    window: u32,
    /// Whether the next window is asked for.
    asked: bool,
}

/// What is to be brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// The first row.
    pub from: u32,
    /// How many blocks, from that row's on.
    pub blocks: u32,
    /// Whether the file that was needed is among them, and waits for them.
    pub has_asked: bool,
}

/// Follows the readers of kinds, of each kind those that were here last; a kind is known by its first row.
#[derive(Debug, Default)]
pub struct Ahead(HashMap<u32, Vec<Reader>>);

impl Ahead {
    /// A file is needed whose blocks are not in memory. Gives what is to be brought from the store, one block where nobody walks; nothing where
    /// it was brought already.
    pub fn needed(&mut self, kind: u32, row: u32) -> Option<Wanted> {
        let readers = self.0.entry(kind).or_default();
        let holds = |reader: &Reader| reader.brought.contains(&row);
        let is_near = |reader: &Reader| row.checked_sub(reader.brought.end).is_some_and(|gap| gap <= LARGEST_GAP);
        let known = readers.iter().position(holds).or_else(|| readers.iter().position(is_near));
        let reader = known.map_or_else(Reader::default, |at| readers.remove(at));
        readers.truncate(READERS - 1);
        // The last one to be here comes first.
        readers.insert(0, reader);
        let reader = &mut readers[0];
        if reader.brought.contains(&row) {
            let is_half_through = row >= reader.last.start + (reader.last.end - reader.last.start) / 2;
            // Behind a single block nobody is known to walk.
            if !is_half_through || reader.window < GROWTH || std::mem::replace(&mut reader.asked, true) {
                return None;
            }
            reader.window = (reader.window * GROWTH).min(LARGEST_WINDOW);
            return Some(Wanted { from: reader.brought.end, blocks: reader.window, has_asked: false });
        }
        // One that nobody knew has none.
        reader.window = (reader.window * GROWTH).clamp(1, LARGEST_WINDOW);
        reader.asked = false;
        Some(Wanted { from: row, blocks: reader.window, has_asked: true })
    }

    /// Rows whose blocks are being brought for who needed a file last, as many as were wanted; none where the kind has no more.
    pub fn bringing(&mut self, kind: u32, rows: Range<u32>) {
        if !rows.is_empty()
            && let Some(reader) = self.0.get_mut(&kind).and_then(|readers| readers.first_mut())
        {
            // Who asks for the next window is still in the one before.
            let goes_on = rows.start == reader.brought.end && reader.window > 1;
            let start = if goes_on { reader.last.start } else { rows.start };
            (reader.brought, reader.last, reader.asked) = (start..rows.end, rows, false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows to a block.
    const ROWS: u32 = 50;

    /// Needs each block of these rows in turn, as whoever walks does; gives how many were brought at once.
    fn walk(ahead: &mut Ahead, kind: u32, rows: Range<u32>) -> Vec<u32> {
        let mut brought = Vec::new();
        for row in rows.clone().step_by(ROWS as usize) {
            if let Some(wanted) = ahead.needed(kind, row).filter(|wanted| wanted.from < rows.end) {
                brought.push(wanted.blocks);
                ahead.bringing(kind, wanted.from..(wanted.from + wanted.blocks * ROWS).min(rows.end));
            }
        }
        brought
    }

    #[test]
    fn a_walk_brings_more_each_time() {
        let mut ahead = Ahead::default();
        assert_eq!(walk(&mut ahead, 0, 0..10_000), [1, 4, 16, 64, 64, 64]);
        // Another kind begins anew, and one does not disturb the other.
        assert_eq!(walk(&mut ahead, 20_000, 20_000..20_500), [1, 4, 16]);
    }

    #[test]
    fn the_next_blocks_are_asked_for_once_and_in_time() {
        let mut ahead = Ahead::default();
        ahead.needed(0, 0);
        ahead.bringing(0, 0..50);
        assert_eq!(ahead.needed(0, 50), Some(Wanted { from: 50, blocks: 4, has_asked: true }));
        ahead.bringing(0, 50..250);
        assert_eq!(ahead.needed(0, 100), None);
        assert_eq!(ahead.needed(0, 150), Some(Wanted { from: 250, blocks: 16, has_asked: false }));
        // Until that is known to be on its way, and where the kind has no more.
        assert_eq!(ahead.needed(0, 200), None);
        ahead.bringing(0, 250..250);
        assert_eq!(ahead.needed(0, 200), None);
    }

    #[test]
    fn who_looks_further_on_does_not_disturb_a_walk() {
        let mut ahead = Ahead::default();
        assert_eq!(walk(&mut ahead, 0, 0..500), [1, 4, 16]);
        for row in [3_000, 5_000, 7_000] {
            assert_eq!(ahead.needed(0, row).map(|wanted| wanted.blocks), Some(1));
            ahead.bringing(0, row..row + ROWS);
        }
        assert_eq!(ahead.needed(0, 500), Some(Wanted { from: 500, blocks: 64, has_asked: true }));
        // The walk comes to where somebody looked already.
        assert_eq!(ahead.needed(0, 5_050).map(|wanted| wanted.blocks), Some(4));
    }

    #[test]
    fn single_files_bring_one_block() {
        let mut ahead = Ahead::default();
        for row in [700, 10, 3_000, 1_500] {
            assert_eq!(ahead.needed(0, row), Some(Wanted { from: row, blocks: 1, has_asked: true }), "{row}");
            ahead.bringing(0, row..row + 20);
        }
        assert_eq!(ahead.needed(0, 1_515), None, "the same block, which was forgotten");
    }
}
