//! Reading a catalog from the packs that its root names, without any index.
//!
//! A layer's table and segments lie together in few packs, which hold nothing else: they are fetched whole, one request each. A pack that is
//! gone, changed or lacks a block costs nothing but the look: the caller then asks the index, as for any other block.

use std::collections::HashMap;

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};

use super::{
    RepositoryError, Root,
    blocks::{Blocks, pack_key},
    format::{
        BlockId, FormatError, hex,
        pack::{PackEntry, TRAILER, footer_length},
    },
    root::PackRef,
};

/// Packs that are fetched at the same time.
const PARALLEL: usize = 4;
/// A pack of a catalog is closed at 8 MiB; one that is said to be much larger is left to the index, which tells what of it is needed.
const LARGEST: u64 = 32 << 20;

/// Blocks of a catalog, sealed as they came.
#[derive(Default)]
pub(super) struct CatalogPacks {
    found: HashMap<BlockId, (PackEntry, String, Bytes)>,
}

impl CatalogPacks {
    /// The raw bytes of a block; nothing when it has to be looked for elsewhere, also when it is damaged here.
    pub(super) async fn get(&self, blocks: &Blocks, id: BlockId) -> Result<Option<Bytes>, RepositoryError> {
        let Some((entry, pack, sealed)) = self.found.get(&id) else { return Ok(None) };
        match blocks.decode_entry(entry, pack, sealed).await {
            Err(error) if error.is_damage() => Ok(None),
            raw => raw.map(Some),
        }
    }
}

impl Blocks {
    /// Fetches the packs that a root names for its catalog.
    ///
    /// # Errors
    /// The store's; a pack that is gone or damaged is no error.
    pub(super) async fn catalog_packs(&self, root: &Root) -> Result<CatalogPacks, RepositoryError> {
        let mut packs: Vec<PackRef> = root.layers.iter().flat_map(|layer| &layer.packs).copied().filter(|pack| pack.size <= LARGEST).collect();
        packs.sort_by_key(|pack| pack.hash);
        packs.dedup();
        let fetched = futures::stream::iter(packs).map(async |pack| match self.fetch_catalog_pack(&pack).await {
            Err(error) if error.is_damage() => Ok(Vec::new()),
            fetched => fetched,
        });
        let fetched: Vec<_> = fetched.buffer_unordered(PARALLEL).try_collect().await?;
        Ok(CatalogPacks { found: fetched.into_iter().flatten().map(|found| (found.0.id, found)).collect() })
    }

    async fn fetch_catalog_pack(&self, pack: &PackRef) -> Result<Vec<(PackEntry, String, Bytes)>, RepositoryError> {
        let key = pack_key(&pack.hash);
        let decode = |bytes: &Bytes| {
            if *blake3::hash(bytes).as_bytes() != pack.hash {
                return Err(FormatError::Misnamed);
            }
            Ok((bytes.clone(), self.open_footer(footer_of(bytes)?)?))
        };
        let (bytes, entries) = self.read_kept(&key, &format!("packs/{}", hex(&pack.hash)), pack.size, decode).await?;
        let part = |entry: &PackEntry| {
            let end = usize::try_from(entry.offset.checked_add(entry.stored.into())?).ok()?;
            (end <= bytes.len()).then(|| bytes.slice(entry.offset as usize..end))
        };
        Ok(entries.into_iter().filter_map(|entry| part(&entry).map(|sealed| (entry, key.clone(), sealed))).collect())
    }
}

/// The sealed footer of a whole pack.
fn footer_of(bytes: &[u8]) -> Result<&[u8], FormatError> {
    let end = bytes.len().checked_sub(TRAILER).ok_or(FormatError::Truncated)?;
    let (before, trailer) = bytes.split_at_checked(end).ok_or(FormatError::Truncated)?;
    let length = usize::try_from(footer_length(trailer)?).map_err(|_| FormatError::Truncated)?;
    let start = before.len().checked_sub(length).ok_or(FormatError::Truncated)?;
    before.get(start..).ok_or(FormatError::Truncated)
}
