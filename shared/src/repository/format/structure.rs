//! Content of what a repository itself consists of: tables, segments, footers, index files, roots.
//!
//! They hold hashes and names, and shrink by a few times at most. So a small object cannot make a reader decode a large structure, which takes more
//! memory than its raw bytes.

use super::{FormatError, content};

/// No structure is so many times larger than its stored payload.
const MAX_RATIO: usize = 1024;

/// Decodes the content of a structure.
///
/// # Errors
/// As [`content::decode`], also for one that states an impossible raw length.
pub(crate) fn decode(encoded: &[u8]) -> Result<Vec<u8>, FormatError> {
    let raw = encoded.get(1..5).and_then(|length| length.first_chunk()).map_or(0, |length| u32::from_le_bytes(*length)) as usize;
    if raw > encoded.len().saturating_mul(MAX_RATIO) {
        return Err(FormatError::Invalid("a table, index or root that shrank more than any can"));
    }
    if content::is_of_objects(encoded) {
        return Err(FormatError::Invalid("a codec that only blocks of objects have"));
    }
    content::decode(encoded, None)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_shrinks_too_well_is_no_structure() {
        let mut compressor = content::Compressor::new().unwrap();
        let names: Vec<u8> = (0..4096).flat_map(|n: u32| format!("namespace/object-{n:05}").into_bytes()).collect();
        assert_eq!(decode(&compressor.encode(&names)).unwrap(), names);
        assert_eq!(decode(&content::encode_raw(&names)).unwrap(), names);
        let zeros = compressor.encode(&vec![0; 4 << 20]);
        assert!(zeros.len() < 1024 && decode(&zeros).is_err());
        assert!(matches!(decode(&[]), Err(FormatError::Truncated)));
        let digits = compressor.encode_objects("5f0c81d2-07ab-4cde-8f00-112233445566\n".repeat(9).as_bytes(), None);
        assert_eq!(decode(&digits), Err(FormatError::Invalid("a codec that only blocks of objects have")));
    }
}
