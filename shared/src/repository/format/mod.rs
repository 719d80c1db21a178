//! The bytes of a repository, version 1. `docs/format.md` is the specification; these modules are its code: bytes in, values out.

pub(crate) mod bytes;
pub(crate) mod content;
pub(crate) mod digits;
pub(crate) mod pack;
pub(crate) mod segment;
pub(crate) mod structure;
pub(crate) mod top;

use std::fmt;

/// The format this program reads and writes.
pub const VERSION: u32 = 1;
/// Raw bytes of one kind and class after which a block is closed.
pub(crate) const BLOCK_TARGET: usize = 256 << 10;
/// No block holds more raw bytes: one object may be larger than [`BLOCK_TARGET`], and tables grow with the snapshot.
pub(crate) const MAX_BLOCK: usize = 64 << 20;
/// No dictionary is larger.
pub(crate) const MAX_DICTIONARY: usize = 1 << 20;
/// What sealing and the content's header add to the raw bytes: key id, nonce, tag, codec, length, dictionary id.
pub(crate) const MAX_OVERHEAD: usize = 4 + 24 + 16 + 1 + 4 + 32;
/// Bytes of one sealed object: of a block, an index file, a root.
pub(crate) const MAX_SEALED: u64 = (MAX_BLOCK + MAX_OVERHEAD) as u64;
/// `namespace/name`. Most names end at 253 bytes; those of RBAC objects are path segments of any length.
pub(crate) const MAX_KEY: usize = 4096;
/// Layers of one catalog.
pub(crate) const MAX_LAYERS: usize = 256;
/// Bytes of `config` and of a key file.
pub(crate) const MAX_HEADER_FILE: u64 = 64 << 10;
/// A pack is closed when it reaches this many bytes.
pub(crate) const PACK_TARGET: usize = 8 << 20;
/// No pack is larger.
pub(crate) const MAX_PACK: u64 = 256 << 20;
/// Rows of one catalog segment.
pub(crate) const SEGMENT_ROWS: usize = 4096;
/// Rows of one catalog.
pub(crate) const MAX_ROWS: usize = 64 << 20;

/// Name of a block: keyed BLAKE3 of its raw bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BlockId(pub [u8; 32]);

impl fmt::Display for BlockId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for BlockId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// What a block holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub(crate) enum Content {
    Manifest = 0,
    Rest = 1,
    Redacted = 2,
    Segment = 3,
    Top = 4,
    Dictionary = 5,
}

/// Content and key of a block, one byte: the content, and bit 7 for the sensitive key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Class {
    pub(crate) content: Content,
    pub(crate) sensitive: bool,
}

impl Content {
    /// Whether it is parts of objects, and no part of a catalog.
    pub(crate) const fn is_of_objects(self) -> bool {
        matches!(self, Self::Manifest | Self::Rest | Self::Redacted)
    }
}

impl Class {
    pub(crate) const fn general(content: Content) -> Self {
        Self { content, sensitive: false }
    }

    pub(crate) const fn to_byte(self) -> u8 {
        self.content as u8 | if self.sensitive { 0x80 } else { 0 }
    }

    pub(crate) fn from_byte(byte: u8) -> Result<Self, FormatError> {
        let content = match byte & 0x7F {
            0 => Content::Manifest,
            1 => Content::Rest,
            2 => Content::Redacted,
            3 => Content::Segment,
            4 => Content::Top,
            5 => Content::Dictionary,
            _ => return Err(FormatError::Invalid("an unknown block class")),
        };
        Ok(Self { content, sensitive: byte & 0x80 != 0 })
    }
}

/// Bytes that do not follow the format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// The bytes end too early.
    #[error("it ends too early")]
    Truncated,
    /// A size or count is above its maximum.
    #[error("{what} is {found}, above the maximum of {maximum}")]
    TooLarge {
        /// Which size or count.
        what: &'static str,
        /// The number found.
        found: u64,
        /// The number allowed.
        maximum: u64,
    },
    /// The authentication tag does not fit: changed, or under another key.
    #[error("its content was changed or damaged (authentication failed)")]
    Forged,
    /// Sealed with a data key that is not among those that the password opened.
    #[error("it is sealed with a data key that this password does not open: its first bytes are damaged, or the keys were rotated meanwhile")]
    UnknownKey,
    /// The name of a stored object is the hash of its bytes, and does not fit them.
    #[error("its bytes do not fit its name")]
    Misnamed,
    /// Anything else.
    #[error("it holds {0}")]
    Invalid(&'static str),
}

/// Lower-case hex digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().flat_map(|byte| hex_digits(*byte)).map(char::from).collect()
}

/// The two of a byte.
pub(crate) fn hex_digits(byte: u8) -> [u8; 2] {
    [byte >> 4, byte & 15].map(|value| if value < 10 { b'0' + value } else { b'a' + value - 10 })
}

/// What a lower-case hex digit stands for.
pub(crate) const fn hex_value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

/// The bytes that lower-case hex digits stand for.
pub(crate) fn unhex(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().chunks_exact(2);
    if !pairs.remainder().is_empty() {
        return None;
    }
    pairs.map(|pair| Some(hex_value(*pair.first()?)? << 4 | hex_value(*pair.get(1)?)?)).collect()
}
