//! The table of a layer: its kinds, each with its segments and the blocks that its rows point into.
//!
//! version (1 byte); kinds (varint), each: group, version, resource, kind (texts), flags (1 byte), segments (varint), each: block id (32),
//! rows (varint), first key (text); then blocks (varint) and their ids (32 each). Flags: 1 namespaced, 2 whole: rows of this kind in the
//! layers below do not count. Rows name blocks by their place in the table of their own kind, so equal rows give equal segments in every
//! snapshot. The table also lists the dictionaries that its blocks need.

use super::{
    BlockId, FormatError, MAX_KEY, SEGMENT_ROWS,
    bytes::{Reader, put_text, put_varint},
};
use crate::object::KindInfo;

const VERSION: u8 = 1;
const MAX_KINDS: usize = 1 << 16;
const MAX_SEGMENTS: usize = 1 << 17;
const MAX_BLOCKS: usize = 1 << 21;
const MAX_NAME: usize = 1024;

const NAMESPACED: u8 = 1;
const WHOLE: u8 = 2;

/// One segment of a kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SegmentRef {
    pub(crate) block: BlockId,
    pub(crate) rows: u32,
    pub(crate) first_key: String,
}

/// One kind of a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LayerKind {
    pub(crate) info: KindInfo,
    /// Rows of this kind in the layers below do not count.
    pub(crate) whole: bool,
    pub(crate) segments: Vec<SegmentRef>,
    /// Data blocks; rows name them by their place here.
    pub(crate) blocks: Vec<BlockId>,
}

/// A layer's table.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct LayerTop {
    /// Sorted by `resource.group`.
    pub(crate) kinds: Vec<LayerKind>,
}

pub(crate) fn encode(top: &LayerTop) -> Vec<u8> {
    let mut out = vec![VERSION];
    put_varint(&mut out, top.kinds.len() as u64);
    for kind in &top.kinds {
        for text in [&kind.info.group, &kind.info.version, &kind.info.resource, &kind.info.kind] {
            put_text(&mut out, text);
        }
        out.push((u8::from(kind.info.namespaced) * NAMESPACED) | (u8::from(kind.whole) * WHOLE));
        put_varint(&mut out, kind.segments.len() as u64);
        for segment in &kind.segments {
            out.extend_from_slice(&segment.block.0);
            put_varint(&mut out, u64::from(segment.rows));
            put_text(&mut out, &segment.first_key);
        }
        put_varint(&mut out, kind.blocks.len() as u64);
        for id in &kind.blocks {
            out.extend_from_slice(&id.0);
        }
    }
    out
}

pub(crate) fn decode(bytes: &[u8]) -> Result<LayerTop, FormatError> {
    let mut reader = Reader::new(bytes);
    if reader.byte()? != VERSION {
        return Err(FormatError::Invalid("a layer of another version"));
    }
    let mut top = LayerTop::default();
    let (mut segments, mut blocks, mut last) = (MAX_SEGMENTS, MAX_BLOCKS, String::new());
    for _ in 0..reader.count("the number of kinds", MAX_KINDS)? {
        let kind = read_kind(&mut reader, &mut segments, &mut blocks)?;
        let name = kind.info.group_resource().to_string();
        if name <= last {
            return Err(FormatError::Invalid("kinds out of order"));
        }
        last = name;
        top.kinds.push(kind);
    }
    reader.end()?;
    Ok(top)
}

/// `segments` and `blocks`: how many more the layer may have.
fn read_kind(reader: &mut Reader<'_>, segments: &mut usize, blocks: &mut usize) -> Result<LayerKind, FormatError> {
    let mut text = || reader.text(MAX_NAME).map(str::to_owned);
    let (group, version, resource, kind) = (text()?, text()?, text()?, text()?);
    let flags = reader.byte()?;
    if flags & !(NAMESPACED | WHOLE) != 0 {
        return Err(FormatError::Invalid("a kind with an unknown flag"));
    }
    let info = KindInfo { group, version, resource, kind, namespaced: flags & NAMESPACED != 0 };
    let mut read = LayerKind { info, whole: flags & WHOLE != 0, segments: Vec::new(), blocks: Vec::new() };
    let count = reader.count("the number of segments", *segments)?;
    *segments -= count;
    for _ in 0..count {
        let block = reader.id()?;
        let rows = reader.count("the rows of a segment", SEGMENT_ROWS)? as u32;
        read.segments.push(SegmentRef { block, rows, first_key: reader.text(MAX_KEY)?.to_owned() });
    }
    let count = reader.count("the number of blocks", *blocks)?;
    *blocks -= count;
    for _ in 0..count {
        read.blocks.push(reader.id()?);
    }
    Ok(read)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn kind(group: &str, resource: &str, whole: bool) -> LayerKind {
        let info = KindInfo { group: group.into(), version: "v1".into(), resource: resource.into(), kind: "Deployment".into(), namespaced: true };
        let segment = SegmentRef { block: BlockId([3; 32]), rows: 4096, first_key: "a/b".into() };
        LayerKind { info, whole, segments: vec![segment], blocks: vec![BlockId([1; 32]), BlockId([2; 32])] }
    }

    #[test]
    fn a_table_reads_back() {
        let top = LayerTop { kinds: vec![kind("", "configmaps", true), kind("apps", "deployments", false)] };
        let bytes = encode(&top);
        assert_eq!(decode(&bytes).unwrap(), top);
        for length in 0..bytes.len() {
            assert!(decode(bytes.get(..length).unwrap()).is_err());
        }
        assert!(decode(&[bytes, vec![0]].concat()).is_err(), "bytes behind the end");
    }

    #[test]
    fn a_kind_stands_once_and_in_order() {
        for (first, second) in [("pods", "pods"), ("services", "pods")] {
            let top = LayerTop { kinds: vec![kind("", first, false), kind("", second, false)] };
            assert_eq!(decode(&encode(&top)), Err(FormatError::Invalid("kinds out of order")));
        }
    }

    #[test]
    fn a_large_cluster_fits() {
        let objects = 1_000_000;
        let mut kind = kind("", "configmaps", true);
        let segment = SegmentRef { block: BlockId([9; 32]), rows: 4096, first_key: "n".repeat(63 + 1 + 253) };
        kind.segments = vec![segment; objects / SEGMENT_ROWS + 1];
        kind.blocks = vec![BlockId([8; 32]); 100_000];
        let bytes = encode(&LayerTop { kinds: vec![kind] });
        assert!(bytes.len() < super::super::MAX_BLOCK / 16, "{}", bytes.len());
        assert!(decode(&bytes).is_ok());
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&bytes);
        }
    }
}
