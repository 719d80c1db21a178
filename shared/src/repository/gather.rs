//! Which blocks of a kind are given up when a base is written, as their objects are put together in new ones: a pure function.

use std::collections::HashSet;

use super::format::{BLOCK_TARGET, BlockId};

/// Needed bytes with which a block is always given up: next to nothing is written for it, and each block is a request.
const NEXT_TO_NOTHING: usize = 8 << 10;
/// So many blocks more than twice those that full ones would make are left to a kind.
const SPARE: usize = 16;

/// A block of a kind.
#[derive(Debug, Clone, Copy)]
pub(super) struct Life {
    /// Bytes of it that objects need.
    pub(super) needed: usize,
    /// All its bytes.
    pub(super) raw: usize,
}

/// Those of which less than a quarter is needed, or next to nothing. Small ones that are needed as a whole, which each day leaves behind, are
/// written again only where they are many: then whoever reads the kind has twice as many blocks to fetch as it needs.
pub(super) fn thin(blocks: &[(BlockId, Life)]) -> HashSet<BlockId> {
    let empty = |life: &Life| life.needed < life.raw / 4 || life.needed < NEXT_TO_NOTHING;
    let all: usize = blocks.iter().map(|(_, life)| life.needed).sum();
    let stay = blocks.iter().filter(|(_, life)| !empty(life)).count();
    let many = stay > 2 * all.div_ceil(BLOCK_TARGET) + SPARE;
    let small = |life: &Life| many && life.needed < BLOCK_TARGET / 4;
    blocks.iter().filter(|(_, life)| empty(life) || small(life)).map(|(id, _)| *id).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many blocks of which so much is needed of so much.
    type Alike = (u32, usize, usize);

    /// How many blocks are given up.
    fn given_up(alike: &[Alike]) -> usize {
        let life = |&(count, needed, raw): &Alike| (0..count).map(move |_| Life { needed, raw });
        let named = alike.iter().flat_map(life).zip(0_u64..).map(|(life, n)| {
            let mut id = [0; 32];
            id[..8].copy_from_slice(&n.to_le_bytes());
            (BlockId(id), life)
        });
        thin(&named.collect::<Vec<_>>()).len()
    }

    #[test]
    fn what_is_nearly_empty_goes_and_what_is_small_only_where_it_is_much() {
        const FULL: usize = BLOCK_TARGET;
        let table: [(&[Alike], usize); 8] = [
            (&[], 0),
            (&[(100, FULL, FULL)], 0),
            (&[(1, FULL / 4, FULL), (1, FULL / 4 - 1, FULL)], 1),
            // Of a small one a quarter is little as well.
            (&[(1, 10_000, 50_000), (1, 20_000, 50_000)], 1),
            (&[(3, 8_191, 8_191), (3, 8_192, 8_192)], 3),
            // A month beside a large kind, and beside a small one.
            (&[(100, FULL, FULL), (60, 20_000, 20_000)], 0),
            (&[(4, FULL, FULL), (20, 20_000, 20_000)], 0),
            (&[(4, FULL, FULL), (30, 20_000, 20_000)], 30),
        ];
        for (blocks, wanted) in table {
            assert_eq!(given_up(blocks), wanted, "{blocks:?}");
        }
    }
}
