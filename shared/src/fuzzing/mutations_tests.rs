//! Real bytes, changed by chance: what fuzzing does, without a guide, in bounded time and always the same. `KUBESTASH_TORTURE_SEEDS` makes it longer.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use super::{DECODERS, bounded_tests::inputs, decode};
use crate::store::faults::Random;

/// Of each decoder.
const CHANGED: u64 = 1_500;
/// Numbers at the edges of what is read.
const EDGES: [&[u8]; 8] =
    [&[0], &[0x7F], &[0x80], &[0xFF], &[0xFF, 0xFF, 0xFF, 0xFF], &[0xFF, 0xFF, 0xFF, 0xFF, 0x0F], &[0, 0, 0, 0x80], &[0xFF; 10]];

/// A few changes: bits, bytes at the edge, pieces that go, come twice, or come from another input.
fn changed(random: &mut Random, all: &[Vec<u8>]) -> Vec<u8> {
    let any = |random: &mut Random| &all[random.below(all.len() as u64) as usize];
    let mut bytes = any(random).clone();
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len() as u64 + 1) as usize;
        let end = (at + 1 + random.below(16) as usize).min(bytes.len());
        match random.below(6) {
            0 | 1 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            2 if at < bytes.len() => drop(bytes.drain(at..end)),
            3 => drop(bytes.splice(at..(at + 1).min(bytes.len()), EDGES[random.below(8) as usize].iter().copied())),
            4 => {
                let again = bytes[at..end].to_vec();
                bytes.splice(at..at, again);
            }
            _ => {
                let other = any(random);
                let from = random.below(other.len() as u64 + 1) as usize;
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
        }
    }
    bytes
}

#[test]
fn changed_bytes_panic_no_decoder() {
    let more: u64 = std::env::var("KUBESTASH_TORTURE_SEEDS").map_or(0, |number| number.parse().unwrap());
    let first: u64 = std::env::var("KUBESTASH_TORTURE_SEED").map_or(7, |number| number.parse().unwrap());
    for (name, _) in DECODERS {
        let inputs = inputs(name);
        for number in 0..CHANGED + more * 200 {
            let bytes = changed(&mut Random::new(first + number), &inputs);
            // Which bytes it was is told by the number alone.
            if std::panic::catch_unwind(|| decode(name, &bytes)).is_err() {
                panic!("{name}, number {}: {:?}", first + number, String::from_utf8_lossy(&bytes));
            }
        }
    }
}
