//! Collects sealed blocks into packs.

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;

use super::{
    RepositoryError,
    blocks::{FOOTER_BINDING, pack_key},
    crypto::KeyRing,
    format::{
        BlockId, Class, PACK_TARGET, content,
        pack::{MAGIC, PackEntry, PackInfo, encode_entries},
    },
};

/// What a pack says of a block beside its place.
#[derive(Debug, Clone, Copy)]
pub(super) struct PackedBlock {
    pub(super) id: BlockId,
    pub(super) class: Class,
    pub(super) dictionary: Option<BlockId>,
    /// Its raw length.
    pub(super) raw: u32,
}

impl From<&PackEntry> for PackedBlock {
    fn from(entry: &PackEntry) -> Self {
        Self { id: entry.id, class: entry.class, dictionary: entry.dictionary, raw: entry.raw }
    }
}

/// A pack that is ready to be stored.
pub(super) struct FinishedPack {
    pub(super) key: String,
    pub(super) bytes: Bytes,
    pub(super) info: PackInfo,
}

#[derive(Default)]
struct Open {
    bytes: Vec<u8>,
    entries: Vec<PackEntry>,
}

/// One open pack. Blocks of all threads go in; whoever fills it gets it to store.
#[derive(Default)]
pub(super) struct Packer {
    open: Mutex<Open>,
}

impl Packer {
    /// Adds a sealed block. Returns the pack that is full with it.
    pub(super) fn add(&self, ring: &KeyRing, block: PackedBlock, sealed: &[u8]) -> Result<Option<FinishedPack>, RepositoryError> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let offset = open.bytes.len() as u64;
        open.bytes.extend_from_slice(sealed);
        let PackedBlock { id, class, dictionary, raw } = block;
        open.entries.push(PackEntry { id, class, dictionary, offset, stored: sealed.len() as u32, raw });
        if open.bytes.len() < PACK_TARGET {
            return Ok(None);
        }
        let full = std::mem::take(&mut *open);
        drop(open);
        finish(ring, full).map(Some)
    }

    /// The last pack, if it holds anything.
    pub(super) fn finish(&self, ring: &KeyRing) -> Result<Option<FinishedPack>, RepositoryError> {
        let open = std::mem::take(&mut *self.open.lock().unwrap_or_else(PoisonError::into_inner));
        if open.entries.is_empty() { Ok(None) } else { finish(ring, open).map(Some) }
    }
}

fn finish(ring: &KeyRing, open: Open) -> Result<FinishedPack, RepositoryError> {
    let Open { mut bytes, entries } = open;
    let footer = ring.seal(false, &content::encode_raw(&encode_entries(&entries)), FOOTER_BINDING)?;
    bytes.extend_from_slice(&footer);
    bytes.extend_from_slice(&(footer.len() as u32).to_le_bytes());
    bytes.extend_from_slice(MAGIC);
    let hash = *blake3::hash(&bytes).as_bytes();
    let info = PackInfo { hash, size: bytes.len() as u64, entries };
    Ok(FinishedPack { key: pack_key(&hash), bytes: bytes.into(), info })
}
