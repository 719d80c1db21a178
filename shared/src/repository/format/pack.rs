//! Packs and the index: which block is where.
//!
//! A pack is sealed blocks back to back, the sealed footer, 4 bytes with the footer's length, and 8 bytes of magic. Footer and index
//! list blocks alike: id (32 bytes), class (1), with bit 6 of it the dictionary's id (32), offset, stored length, raw length (varints).

use super::{
    BlockId, Class, FormatError, MAX_BLOCK, MAX_PACK, MAX_SEALED,
    bytes::{Reader, put_varint},
};

pub(crate) const MAGIC: &[u8; 8] = b"KSTPACK1";
/// Length and magic at the end of a pack.
pub(crate) const TRAILER: usize = 12;
const INDEX_VERSION: u8 = 1;
/// Bit of the class byte: the block needs a dictionary, whose id follows.
const WITH_DICTIONARY: u8 = 0x40;
const MAX_ENTRIES: usize = 1 << 20;
const MAX_PACKS: usize = 1 << 20;

/// One block of a pack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PackEntry {
    pub(crate) id: BlockId,
    pub(crate) class: Class,
    /// The dictionary that it was compressed with.
    pub(crate) dictionary: Option<BlockId>,
    pub(crate) offset: u64,
    pub(crate) stored: u32,
    pub(crate) raw: u32,
}

/// A pack as the index knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PackInfo {
    /// BLAKE3 of the stored bytes.
    pub(crate) hash: [u8; 32],
    /// Stored bytes, footer included.
    pub(crate) size: u64,
    pub(crate) entries: Vec<PackEntry>,
}

pub(crate) fn encode_entries(entries: &[PackEntry]) -> Vec<u8> {
    let mut out = Vec::with_capacity(entries.len() * 48 + 4);
    put_entries(&mut out, entries);
    out
}

fn put_entries(out: &mut Vec<u8>, entries: &[PackEntry]) {
    put_varint(out, entries.len() as u64);
    for entry in entries {
        out.extend_from_slice(&entry.id.0);
        let class = entry.class.to_byte();
        out.push(if entry.dictionary.is_some() { class | WITH_DICTIONARY } else { class });
        out.extend(entry.dictionary.iter().flat_map(|dictionary| dictionary.0));
        put_varint(out, entry.offset);
        put_varint(out, u64::from(entry.stored));
        put_varint(out, u64::from(entry.raw));
    }
}

pub(crate) fn decode_entries(bytes: &[u8]) -> Result<Vec<PackEntry>, FormatError> {
    let mut reader = Reader::new(bytes);
    let entries = read_entries(&mut reader)?;
    reader.end()?;
    Ok(entries)
}

fn read_entries(reader: &mut Reader<'_>) -> Result<Vec<PackEntry>, FormatError> {
    let count = reader.count("the number of blocks in a pack", MAX_ENTRIES)?;
    let mut entries = Vec::new();
    for _ in 0..count {
        let (id, byte) = (reader.id()?, reader.byte()?);
        let class = Class::from_byte(byte & !WITH_DICTIONARY)?;
        let dictionary = if byte & WITH_DICTIONARY == 0 { None } else { Some(reader.id()?) };
        if dictionary.is_some() && !class.content.is_of_objects() {
            return Err(FormatError::Invalid("a block with a dictionary that holds no objects"));
        }
        let offset = reader.varint()?;
        let (stored, raw) = (reader.varint_u32()?, reader.varint_u32()?);
        let end = offset.saturating_add(u64::from(stored));
        let bounded = |what, found: u64, maximum: u64| if found > maximum { Err(FormatError::TooLarge { what, found, maximum }) } else { Ok(()) };
        bounded("the end of a block in its pack", end, MAX_PACK)?;
        bounded("the raw length of a block", raw.into(), MAX_BLOCK as u64)?;
        bounded("the stored length of a block", stored.into(), MAX_SEALED)?;
        entries.push(PackEntry { id, class, dictionary, offset, stored, raw });
    }
    Ok(entries)
}

/// Length of the sealed footer that stands before a pack's last bytes.
pub(crate) fn footer_length(trailer: &[u8]) -> Result<u64, FormatError> {
    let mut reader = Reader::new(trailer);
    let length = reader.u32()?;
    if reader.take(MAGIC.len())? != MAGIC {
        return Err(FormatError::Invalid("no footer at its end"));
    }
    Ok(length.into())
}

pub(crate) fn encode_index(packs: &[PackInfo]) -> Vec<u8> {
    let mut out = vec![INDEX_VERSION];
    put_varint(&mut out, packs.len() as u64);
    for pack in packs {
        out.extend_from_slice(&pack.hash);
        put_varint(&mut out, pack.size);
        put_entries(&mut out, &pack.entries);
    }
    out
}

pub(crate) fn decode_index(bytes: &[u8]) -> Result<Vec<PackInfo>, FormatError> {
    let mut reader = Reader::new(bytes);
    if reader.byte()? != INDEX_VERSION {
        return Err(FormatError::Invalid("an index of another version"));
    }
    let count = reader.count("the number of packs", MAX_PACKS)?;
    let mut packs = Vec::new();
    for _ in 0..count {
        let (hash, size) = (reader.array()?, reader.varint()?);
        if size > MAX_PACK {
            return Err(FormatError::TooLarge { what: "the size of a pack", found: size, maximum: MAX_PACK });
        }
        packs.push(PackInfo { hash, size, entries: read_entries(&mut reader)? });
    }
    reader.end()?;
    Ok(packs)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::{super::Content, *};

    #[test]
    fn an_index_reads_back() {
        let class = Class { content: Content::Rest, sensitive: true };
        let entry = |n: u8, dictionary| PackEntry { id: BlockId([n; 32]), class, dictionary, offset: 300, stored: 70_000, raw: 5 };
        let entries = vec![entry(1, None), entry(2, Some(BlockId([3; 32]))), entry(4, None)];
        let packs = vec![PackInfo { hash: [7; 32], size: MAX_PACK, entries }];
        let bytes = encode_index(&packs);
        assert_eq!(decode_index(&bytes).unwrap(), packs);
        for length in 0..bytes.len() {
            assert!(decode_index(bytes.get(..length).unwrap()).is_err());
        }
    }

    #[test]
    fn sizes_above_their_maximum_are_refused() {
        let class = Class::general(Content::Rest);
        let entry = |offset, stored, raw| PackEntry { id: BlockId([0; 32]), class, dictionary: None, offset, stored, raw };
        for (what, bad) in [
            ("the end of a block in its pack", entry(MAX_PACK, 1, 0)),
            ("the end of a block in its pack", entry(u64::MAX, 1, 0)),
            ("the raw length of a block", entry(0, 1, MAX_BLOCK as u32 + 1)),
            ("the stored length of a block", entry(0, MAX_SEALED as u32 + 1, 1)),
        ] {
            let found = decode_entries(&encode_entries(&[bad])).unwrap_err();
            assert!(matches!(found, FormatError::TooLarge { what: named, .. } if named == what), "{found}");
        }
    }

    #[test]
    fn only_blocks_of_objects_have_a_dictionary() {
        for content in [Content::Manifest, Content::Rest, Content::Redacted, Content::Segment, Content::Top, Content::Dictionary] {
            let dictionary = Some(BlockId([3; 32]));
            let entry = PackEntry { id: BlockId([0; 32]), class: Class::general(content), dictionary, offset: 0, stored: 1, raw: 1 };
            assert_eq!(decode_entries(&encode_entries(&[entry])).is_ok(), content.is_of_objects(), "{content:?}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode_index(&bytes);
            let _ = decode_entries(&bytes);
        }
    }
}
