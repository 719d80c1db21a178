//! What is sealed: a codec byte, the raw length, and the bytes, compressed or not.
//!
//! offset 0, 1 byte: codec, 0 as is, 1 zstd, 2 zstd with a dictionary, 3 and 4 the same of a text whose [digits] are apart; offset 1, 4 bytes: raw
//! length; with codec 2 and 4 the 32 bytes of the dictionary's block id; with codec 3 and 4 the lengths of text and digits, 4 bytes each,
//! and the digits; then the payload, one zstd frame or the raw bytes.

use super::{
    BlockId, FormatError, MAX_BLOCK, MAX_DICTIONARY,
    bytes::Reader,
    digits::{self, Apart},
};

const RAW: u8 = 0;
const ZSTD: u8 = 1;
const ZSTD_DICTIONARY: u8 = 2;
const DIGITS: u8 = 3;
const DIGITS_DICTIONARY: u8 = 4;
const LEVEL: i32 = 9;
/// Pieces of a dictionary, and bytes of each.
const SAMPLES: usize = 32;
const SAMPLE: usize = 1 << 10;
/// zstd makes at most 128 KiB out of 4 bytes: a small payload that states more is refused before memory is reserved.
const MAX_RATIO: usize = (128 << 10) / 4;

/// A compressor that keeps its memory between blocks.
pub(crate) struct Compressor(zstd::bulk::Compressor<'static>);

impl Compressor {
    pub(crate) fn new() -> std::io::Result<Self> {
        zstd::bulk::Compressor::new(LEVEL).map(Self)
    }

    /// Encodes raw bytes, compressed where that is smaller.
    pub(crate) fn encode(&mut self, raw: &[u8]) -> Vec<u8> {
        self.smaller(raw, ZSTD, &[], raw).unwrap_or_else(|| encode_raw(raw))
    }

    /// Encodes parts of objects, digits apart, with a dictionary where that is smaller; [`dictionary`] tells.
    pub(crate) fn encode_objects(&mut self, raw: &[u8], dictionary: Option<(BlockId, &[u8])>) -> Vec<u8> {
        let apart = digits::take_out(raw);
        let (text, front) = apart.as_ref().map_or((raw, Vec::new()), |apart| (&apart.text, front(apart)));
        let (plain, with_dictionary) = if apart.is_some() { (DIGITS, DIGITS_DICTIONARY) } else { (ZSTD, ZSTD_DICTIONARY) };
        if let Some((id, dictionary)) = dictionary
            && self.0.set_dictionary(LEVEL, dictionary).is_ok()
        {
            let encoded = self.smaller(raw, with_dictionary, &[&id.0[..], &front].concat(), text);
            if self.0.set_dictionary(LEVEL, &[]).is_ok()
                && let Some(encoded) = encoded
            {
                return encoded;
            }
        }
        self.smaller(raw, plain, &front, text).unwrap_or_else(|| encode_raw(raw))
    }

    /// What was raw, as a frame of this text behind this front, where that is smaller.
    fn smaller(&mut self, raw: &[u8], codec: u8, front: &[u8], text: &[u8]) -> Option<Vec<u8>> {
        let frame = self.0.compress(text).ok()?;
        (front.len() + frame.len() < raw.len()).then(|| encoded(codec, raw.len(), &[front, &frame].concat()))
    }
}

fn front(apart: &Apart) -> Vec<u8> {
    let lengths = [&apart.text, &apart.digits].map(|bytes| (bytes.len() as u32).to_le_bytes());
    [lengths.as_flattened(), &apart.digits].concat()
}

/// Encodes bytes that do not compress.
pub(crate) fn encode_raw(raw: &[u8]) -> Vec<u8> {
    encoded(RAW, raw.len(), raw)
}

/// A dictionary made of a block's raw bytes: pieces from all over its text, for the blocks that follow it in its kind. Trained ones are 1 % better
/// and take 40 times as long, measured on 100,000 objects.
pub(crate) fn sample(raw: &[u8]) -> Vec<u8> {
    let apart = digits::take_out(raw);
    let text = apart.as_ref().map_or(raw, |apart| &apart.text);
    let step = text.len() / SAMPLES;
    if step <= SAMPLE {
        return text.get(..SAMPLES * SAMPLE).unwrap_or(text).to_vec();
    }
    (0..SAMPLES).filter_map(|n| text.get(n * step..n * step + SAMPLE)).flatten().copied().collect()
}

fn encoded(codec: u8, raw_length: usize, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(5 + payload.len());
    out.push(codec);
    out.extend_from_slice(&u32::try_from(raw_length).unwrap_or(u32::MAX).to_le_bytes());
    out.extend_from_slice(payload);
    out
}

/// The dictionary that must be at hand to decode these bytes.
pub(crate) fn dictionary(encoded: &[u8]) -> Result<Option<BlockId>, FormatError> {
    let mut reader = Reader::new(encoded);
    reader.byte()?;
    reader.u32()?;
    if has_dictionary(encoded) { reader.id().map(Some) } else { Ok(None) }
}

/// Whether [`decode`] needs a dictionary for them.
pub(crate) fn has_dictionary(encoded: &[u8]) -> bool {
    matches!(encoded.first(), Some(&(ZSTD_DICTIONARY | DIGITS_DICTIONARY)))
}

/// Whether only blocks of objects may be encoded so.
pub(crate) fn is_of_objects(encoded: &[u8]) -> bool {
    encoded.first().is_some_and(|&codec| codec > ZSTD)
}

/// Decodes. Never reserves more than twice the stated raw length, which is bounded first.
pub(crate) fn decode(encoded: &[u8], dictionary: Option<&[u8]>) -> Result<Vec<u8>, FormatError> {
    let mut reader = Reader::new(encoded);
    let codec = reader.byte()?;
    let raw_length = reader.u32()? as usize;
    let apart = matches!(codec, DIGITS | DIGITS_DICTIONARY);
    let maximum = if apart { digits::MAX_RAW } else { MAX_BLOCK };
    if raw_length > maximum {
        return Err(FormatError::TooLarge { what: "the raw length", found: raw_length as u64, maximum: maximum as u64 });
    }
    let dictionary = match codec {
        RAW | ZSTD | DIGITS => None,
        ZSTD_DICTIONARY | DIGITS_DICTIONARY => {
            reader.id()?;
            Some(dictionary.ok_or(FormatError::Invalid("a block whose dictionary is missing"))?)
        }
        _ => return Err(FormatError::Invalid("an unknown codec")),
    };
    let raw = if codec == RAW {
        reader.rest().to_vec()
    } else if apart {
        let text_length = reader.u32()? as usize;
        let digits_length = reader.u32()? as usize;
        let digits = reader.take(digits_length)?;
        if text_length > raw_length {
            return Err(FormatError::Invalid("a text that is longer than with its digits"));
        }
        let text = decompress(reader.rest(), text_length, dictionary)?;
        if text.len() != text_length {
            return Err(FormatError::Invalid("a text of another length than it states"));
        }
        digits::put_back(&text, digits, raw_length)?
    } else {
        decompress(reader.rest(), raw_length, dictionary)?
    };
    if raw.len() != raw_length {
        return Err(FormatError::Invalid("another number of bytes than it states"));
    }
    Ok(raw)
}

/// Into one buffer of the stated length; a frame that holds more is an error.
fn decompress(payload: &[u8], raw_length: usize, dictionary: Option<&[u8]>) -> Result<Vec<u8>, FormatError> {
    let wrong = |_| FormatError::Invalid("bytes that do not decompress");
    if raw_length > payload.len().saturating_mul(MAX_RATIO) {
        return Err(FormatError::Invalid("fewer compressed bytes than its raw length needs"));
    }
    let mut decompressor = match dictionary {
        Some(dictionary) if dictionary.len() > MAX_DICTIONARY => {
            let (found, maximum) = (dictionary.len() as u64, MAX_DICTIONARY as u64);
            return Err(FormatError::TooLarge { what: "the length of a dictionary", found, maximum });
        }
        Some(dictionary) => zstd::bulk::Decompressor::with_dictionary(dictionary),
        None => zstd::bulk::Decompressor::new(),
    }
    .map_err(wrong)?;
    decompressor.decompress(payload, raw_length).map_err(wrong)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn content_reads_back() {
        let mut compressor = Compressor::new().unwrap();
        for raw in [Vec::new(), b"a".to_vec(), b"abc".repeat(1000)] {
            let encoded = compressor.encode(&raw);
            assert_eq!(decode(&encoded, None).unwrap(), raw);
        }
        assert!(compressor.encode(&b"abc".repeat(1000)).len() < 100);
    }

    #[test]
    fn digits_are_apart_where_that_is_smaller() {
        let mut compressor = Compressor::new().unwrap();
        let uuids: String =
            (0..200_u64).map(|n| format!("uid: {:08x}-0000-4000-8000-000000000000\n", n.wrapping_mul(0x9E37_79B9) & 0xFFFF_FFFF)).collect();
        let one = "metadata: {}\n".repeat(20);
        for (raw, codec) in [(uuids.as_str(), DIGITS), (&one, ZSTD), ("name: a", RAW)] {
            let encoded = compressor.encode_objects(raw.as_bytes(), None);
            assert_eq!((encoded[0], decode(&encoded, None).unwrap().as_slice()), (codec, raw.as_bytes()));
            assert!(compressor.encode(raw.as_bytes())[0] <= ZSTD, "not in what the repository itself consists of");
        }
        let encoded = compressor.encode_objects(uuids.as_bytes(), Some((BlockId([7; 32]), b"uid: \x01\x00\nuid: \x01\x00\nuid: \x01\x00\n")));
        assert_eq!(encoded[0], DIGITS_DICTIONARY);
        // Lengths of text and digits that do not fit.
        let encoded = compressor.encode_objects(uuids.as_bytes(), None);
        for (place, value) in
            [(1, 8399_u32), (1, 8401), (1, 9 << 20), (5, 1400 - 1), (5, 1400 + 1), (5, u32::MAX), (9, 3199), (9, 3201), (9, u32::MAX)]
        {
            let mut wrong = encoded.clone();
            assert_ne!(wrong[place..place + 4], value.to_le_bytes());
            wrong[place..place + 4].copy_from_slice(&value.to_le_bytes());
            assert!(decode(&wrong, None).is_err(), "{place} {value}");
        }
    }

    #[test]
    fn content_with_a_dictionary_reads_back() {
        let words = |n: u32| format!("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: object-{n}\n  namespace: shop\n");
        let samples: Vec<String> = (0..200).map(words).collect();
        let dictionary = zstd::dict::from_samples(&samples, 4096).unwrap();
        let id = BlockId([7; 32]);
        let raw = words(1000);
        let mut compressor = Compressor::new().unwrap();
        let plain = compressor.encode(raw.as_bytes());
        for dictionary in [dictionary, sample(samples.concat().as_bytes())] {
            let content = compressor.encode_objects(raw.as_bytes(), Some((id, &dictionary)));
            assert_eq!(super::dictionary(&content).unwrap(), Some(id));
            assert_eq!(decode(&content, Some(&dictionary)).unwrap(), raw.as_bytes());
            assert_eq!(decode(&content, None), Err(FormatError::Invalid("a block whose dictionary is missing")));
            assert!(decode(&content, Some(&vec![0; MAX_DICTIONARY + 1])).is_err());
            // The dictionary does not stay.
            assert_eq!(compressor.encode(raw.as_bytes()), plain);
        }
        // Where it does not help it is not used.
        assert_eq!(super::dictionary(&compressor.encode_objects(b"short", Some((id, b"another text")))).unwrap(), None);
    }

    #[test]
    fn a_sample_comes_from_all_over() {
        let raw: Vec<u8> = (0..=255).flat_map(|byte| [byte; 1024]).collect();
        let sample = sample(&raw);
        assert_eq!(sample.len(), SAMPLES * SAMPLE);
        let seen: std::collections::BTreeSet<u8> = sample.iter().copied().collect();
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), (0..32).map(|n| n * 8).collect::<Vec<u8>>());
        for length in [0, 10, SAMPLES * SAMPLE, SAMPLES * SAMPLE + 1, SAMPLES * SAMPLE * 2 - 1] {
            assert_eq!(super::sample(&raw[..length]).len(), length.min(SAMPLES * SAMPLE));
        }
    }

    #[test]
    fn a_small_object_cannot_claim_much_memory() {
        let zeros = Compressor::new().unwrap().encode(&vec![0; 1 << 20]);
        assert_eq!(decode(&zeros, None).unwrap().len(), 1 << 20);
        for claimed in [64 << 20, (64 << 20) + 1, u32::MAX as usize] {
            let claims = encoded(ZSTD, claimed, &[0; 1000]);
            assert!(matches!(
                decode(&claims, None),
                Err(FormatError::TooLarge { .. } | FormatError::Invalid("fewer compressed bytes than its raw length needs"))
            ));
        }
        let mut more = zeros;
        more[1..5].copy_from_slice(&1000_u32.to_le_bytes());
        assert_eq!(decode(&more, None), Err(FormatError::Invalid("bytes that do not decompress")));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = decode(&bytes, Some(b"dictionary"));
            let _ = dictionary(&bytes);
        }
    }
}
