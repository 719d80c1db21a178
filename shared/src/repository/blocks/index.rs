//! Where blocks lie, as the index files say that were read.

use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    ops::Range,
};

use crate::repository::format::{
    BlockId, Class, hex,
    pack::{PackEntry, PackInfo},
    unhex,
};

/// Where a block lies.
#[derive(Debug, Clone, Copy)]
pub(in crate::repository) struct Located {
    pub(in crate::repository) pack: u32,
    pub(in crate::repository) class: Class,
    pub(in crate::repository) dictionary: Option<BlockId>,
    pub(in crate::repository) offset: u64,
    pub(in crate::repository) stored: u32,
    pub(in crate::repository) raw: u32,
}

impl Located {
    pub(super) fn new(pack: u32, entry: &PackEntry) -> Self {
        Self { pack, class: entry.class, dictionary: entry.dictionary, offset: entry.offset, stored: entry.stored, raw: entry.raw }
    }

    /// Its bytes in its pack.
    pub(super) fn range(&self) -> Range<u64> {
        self.offset..self.offset + u64::from(self.stored)
    }
}

/// All index files that were read, merged.
#[derive(Debug, Default)]
pub(in crate::repository) struct Index {
    files: HashSet<String>,
    blocks: HashMap<BlockId, Located>,
    /// Further copies of a block, in other packs.
    copies: HashMap<BlockId, Vec<Located>>,
    pub(super) packs: Vec<([u8; 32], u64)>,
    /// How often it was made anew because files of it were gone: places found before may be given up by now.
    generation: u64,
}

/// Files that are no index files, but what packs say themselves.
pub(super) const FOOTERS: &str = "footers";

impl Index {
    /// Empties it: files of it are gone.
    pub(super) fn make_anew(&mut self) {
        *self = Self { generation: self.generation + 1, ..Self::default() };
    }

    pub(in crate::repository) fn add(&mut self, file: String, packs: &[PackInfo]) {
        if !self.files.insert(file) {
            return;
        }
        for pack in packs {
            let number = self.packs.len() as u32;
            self.packs.push((pack.hash, pack.size));
            for entry in &pack.entries {
                let located = Located::new(number, entry);
                match self.blocks.entry(entry.id) {
                    Entry::Vacant(first) => {
                        first.insert(located);
                    }
                    Entry::Occupied(_) => self.copies.entry(entry.id).or_default().push(located),
                }
            }
        }
    }

    pub(in crate::repository) fn get(&self, id: BlockId) -> Option<Located> {
        self.blocks.get(&id).copied()
    }

    pub(in crate::repository) fn packs(&self) -> &[([u8; 32], u64)] {
        &self.packs
    }

    /// All places of a block.
    pub(in crate::repository) fn places(&self, id: BlockId) -> impl Iterator<Item = Located> {
        self.get(id).into_iter().chain(self.copies.get(&id).into_iter().flatten().copied())
    }

    /// Whether a block lies in a pack that `whole` accepts by hash and size.
    pub(in crate::repository) fn lies_in(&self, id: BlockId, whole: impl Fn(&[u8; 32], u64) -> bool) -> bool {
        self.places(id).any(|place| self.pack(place).is_some_and(|(hash, size)| whole(&hash, size)))
    }

    /// The same for a block with its dictionary: whether it can be read.
    pub(in crate::repository) fn holds(&self, id: BlockId, whole: impl Fn(&[u8; 32], u64) -> bool) -> bool {
        // A dictionary has none itself.
        let readable = |dictionary: BlockId| self.lies_in(dictionary, &whole);
        let lies = |place: Located| self.pack(place).is_some_and(|(hash, size)| whole(&hash, size));
        self.places(id).any(|place| lies(place) && place.dictionary.is_none_or(readable))
    }

    /// The dictionaries of all copies of a block.
    pub(in crate::repository) fn dictionaries(&self, id: BlockId) -> impl Iterator<Item = BlockId> {
        self.places(id).filter_map(|place| place.dictionary)
    }

    pub(in crate::repository) fn all(&self) -> impl Iterator<Item = BlockId> {
        self.blocks.keys().copied()
    }

    /// The pack of a place: its hash and size.
    pub(in crate::repository) fn pack(&self, located: Located) -> Option<([u8; 32], u64)> {
        self.packs.get(located.pack as usize).copied()
    }

    pub(in crate::repository) fn generation(&self) -> u64 {
        self.generation
    }

    /// The index files in it.
    pub(super) fn stored_files(&self) -> HashSet<String> {
        self.files.iter().filter(|file| *file != FOOTERS).cloned().collect()
    }
}

/// Name of a pack in the store.
pub(in crate::repository) fn pack_key(hash: &[u8; 32]) -> String {
    let name = hex(hash);
    format!("packs/{}/{name}", name.get(..2).unwrap_or_default())
}

/// The hash that ends a key of a pack or of a trash entry.
pub(in crate::repository) fn hash_of(key: &str) -> Option<[u8; 32]> {
    key.rsplit('/').next().and_then(unhex).and_then(|hash| hash.try_into().ok())
}
