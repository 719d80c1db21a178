//! Copying snapshots from one repository into another: across stores, passwords and data keys.
//!
//! ```text
//! source: root ─▶ rows of all layers, merged ─▶ rows that the target lacks ─▶ their blocks ─▶ parts of objects
//!                                                                                                 │
//! target:        the normal writer: reuse against the nearest snapshot ─▶ blocks ─▶ packs ─▶ index ─▶ root of the same id
//! ```
//! Parts are copied byte for byte, and so is what a root says of a snapshot: its id, name, time, cluster, filters, tags and gaps. As the id
//! stays, a snapshot that the target has is not copied again, also when it comes by another way. Blocks, layers and hashes are the target's own.
//!
//! Memory: per kind at work what a [`KindWriter`](super::KindWriter) takes, [`BATCH_ROWS`] rows and the blocks that they need, [`BATCH_BYTES`]
//! of them unless one object alone is larger.

mod plan;
mod recut;
mod run;
#[cfg(test)]
mod tests;

use std::sync::atomic::AtomicU64;

pub use plan::{CopyAction, CopyItem, nearest, plan};
pub use run::Copier;

/// Rows that are looked at together.
const BATCH_ROWS: usize = 1024;
/// Raw bytes of the blocks that are read together, about.
const BATCH_BYTES: u64 = 8 << 20;
/// Kinds that are copied at the same time: one waits for the source while another compresses.
const KINDS_AT_ONCE: usize = 3;
/// How often a snapshot is copied that a prune of the target overtakes.
const TRIES: usize = 3;

/// How far the copy of a snapshot has got.
#[derive(Debug, Default)]
pub struct CopyProgress {
    /// Objects of this snapshot that are done, whether copied or there already.
    pub objects: AtomicU64,
    /// Raw bytes of blocks that were read from the source.
    pub bytes: AtomicU64,
}
