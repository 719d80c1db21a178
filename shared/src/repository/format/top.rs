//! The table of a layer: its kinds with their segments, and the blocks that rows point into.
//!
//! version (1 byte); kinds (varint), each: group, version, resource, kind (texts), namespaced (1 byte), segments (varint), each: block id
//! (32), rows (varint), first key (text); then blocks (varint) and their ids (32 each).

use super::{
    BlockId, FormatError, MAX_BLOCK, SEGMENT_ROWS,
    bytes::{Reader, put_text, put_varint},
};
use crate::object::KindInfo;

const VERSION: u8 = 1;
const MAX_KINDS: usize = 1 << 16;
const MAX_NAME: usize = 1024;

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
    pub(crate) segments: Vec<SegmentRef>,
}

/// A layer's table.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct LayerTop {
    /// Sorted by `resource.group`.
    pub(crate) kinds: Vec<LayerKind>,
    /// Data blocks; rows name them by their place here.
    pub(crate) blocks: Vec<BlockId>,
}

pub(crate) fn encode(top: &LayerTop) -> Vec<u8> {
    let mut out = vec![VERSION];
    put_varint(&mut out, top.kinds.len() as u64);
    for kind in &top.kinds {
        for text in [&kind.info.group, &kind.info.version, &kind.info.resource, &kind.info.kind] {
            put_text(&mut out, text);
        }
        out.push(u8::from(kind.info.namespaced));
        put_varint(&mut out, kind.segments.len() as u64);
        for segment in &kind.segments {
            out.extend_from_slice(&segment.block.0);
            put_varint(&mut out, u64::from(segment.rows));
            put_text(&mut out, &segment.first_key);
        }
    }
    put_varint(&mut out, top.blocks.len() as u64);
    for id in &top.blocks {
        out.extend_from_slice(&id.0);
    }
    out
}

pub(crate) fn decode(bytes: &[u8]) -> Result<LayerTop, FormatError> {
    let mut reader = Reader::new(bytes);
    if reader.byte()? != VERSION {
        return Err(FormatError::Invalid("a layer of another version"));
    }
    let mut top = LayerTop::default();
    for _ in 0..reader.count("the number of kinds", MAX_KINDS)? {
        let mut text = || reader.text(MAX_NAME).map(str::to_owned);
        let (group, version, resource, kind) = (text()?, text()?, text()?, text()?);
        let info = KindInfo { group, version, resource, kind, namespaced: reader.byte()? != 0 };
        let mut segments = Vec::new();
        for _ in 0..reader.count("the number of segments", MAX_BLOCK / 34)? {
            let block = reader.id()?;
            let rows = reader.count("the rows of a segment", SEGMENT_ROWS)? as u32;
            segments.push(SegmentRef { block, rows, first_key: reader.text(MAX_NAME)?.to_owned() });
        }
        top.kinds.push(LayerKind { info, segments });
    }
    for _ in 0..reader.count("the number of blocks", MAX_BLOCK / 32)? {
        top.blocks.push(reader.id()?);
    }
    Ok(top)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_table_reads_back() {
        let info =
            KindInfo { group: "apps".into(), version: "v1".into(), resource: "deployments".into(), kind: "Deployment".into(), namespaced: true };
        let segment = SegmentRef { block: BlockId([3; 32]), rows: 4096, first_key: "a/b".into() };
        let top = LayerTop { kinds: vec![LayerKind { info, segments: vec![segment] }], blocks: vec![BlockId([1; 32]), BlockId([2; 32])] };
        let bytes = encode(&top);
        assert_eq!(decode(&bytes).unwrap(), top);
        for length in 0..bytes.len() {
            assert!(decode(bytes.get(..length).unwrap()).is_err());
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&bytes);
        }
    }
}
