//! A catalog segment: up to 4,096 rows of one kind, column by column.
//!
//! version (1 byte), rows, columns (varints), then per column its number and length (varints) and its bytes. A reader skips columns it
//! does not know. 1 keys: shared prefix with the key before, length of the rest, the rest. 2 flags: a byte a row. 3 hash of the raw item:
//! 8 bytes. 4 hash of the manifest: 16 bytes. 5 lengths: manifest, status, server, and redacted where flagged. 6 places: per part the
//! block as a difference to the row before, and the offset as a difference to where that row's part ended. Tombstones have no lengths
//! and places. A flag that a reader does not know is an error: it could change what the row means.

use super::{
    FormatError, MAX_KEY, SEGMENT_ROWS,
    bytes::{Reader, put_signed, put_varint},
};

const VERSION: u8 = 1;
const KEYS: u64 = 1;
const FLAGS: u64 = 2;
const RAW_HASHES: u64 = 3;
const MANIFEST_HASHES: u64 = 4;
const LENGTHS: u64 = 5;
const PLACES: u64 = 6;

const TOMBSTONE: u8 = 1;
const SENSITIVE: u8 = 2;
const REDACTED: u8 = 4;

/// Where a part lies: a block by its place in the layer's table, and the offset in its raw bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Place {
    pub(crate) block: u32,
    pub(crate) offset: u32,
}

/// Lengths of an object's parts in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lengths {
    /// The manifest.
    pub manifest: u32,
    /// The status, 0 for none.
    pub status: u32,
    /// What the server stamped.
    pub server: u32,
    /// The manifest with hidden values, for sensitive objects.
    pub redacted: Option<u32>,
}

/// One object of a layer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct SegmentRow {
    /// `namespace/name` or `name`.
    pub(crate) key: String,
    /// The object is gone since the layer below.
    pub(crate) tombstone: bool,
    pub(crate) sensitive: bool,
    pub(crate) raw_hash: u64,
    pub(crate) manifest_hash: [u8; 16],
    pub(crate) lengths: Lengths,
    pub(crate) manifest: Place,
    /// Status, directly followed by server.
    pub(crate) rest: Place,
    pub(crate) redacted: Place,
}

/// Follows one part from row to row: the next one usually lies behind the one before.
#[derive(Default)]
struct Track {
    block: i64,
    end: i64,
}

impl Track {
    fn put(&mut self, out: &mut Vec<u8>, place: Place, length: u32) {
        let (block, offset) = (i64::from(place.block), i64::from(place.offset));
        put_signed(out, block - self.block);
        put_signed(out, offset - if block == self.block { self.end } else { 0 });
        (self.block, self.end) = (block, offset + i64::from(length));
    }

    fn get(&mut self, reader: &mut Reader<'_>, length: u32) -> Result<Place, FormatError> {
        let wrong = FormatError::Invalid("a place outside of every block");
        let block = self.block.checked_add(reader.signed()?).ok_or(wrong.clone())?;
        let base = if block == self.block { self.end } else { 0 };
        let offset = base.checked_add(reader.signed()?).ok_or(wrong.clone())?;
        (self.block, self.end) = (block, offset.saturating_add(i64::from(length)));
        let narrow = |value: i64| u32::try_from(value).map_err(|_| wrong.clone());
        Ok(Place { block: narrow(block)?, offset: narrow(offset)? })
    }
}

/// Encodes rows in ascending order of their keys.
pub(crate) fn encode(rows: &[SegmentRow]) -> Vec<u8> {
    let mut columns: [Vec<u8>; 6] = Default::default();
    let [keys, flags, raw_hashes, manifest_hashes, lengths, places] = &mut columns;
    let (mut manifest, mut rest, mut redacted) = (Track::default(), Track::default(), Track::default());
    let mut previous = "";
    for row in rows {
        let shared = row.key.bytes().zip(previous.bytes()).take_while(|(a, b)| a == b).count();
        put_varint(keys, shared as u64);
        put_varint(keys, (row.key.len() - shared) as u64);
        keys.extend_from_slice(row.key.as_bytes().get(shared..).unwrap_or_default());
        previous = &row.key;
        let has_redacted = row.lengths.redacted.is_some();
        flags.push((u8::from(row.tombstone) * TOMBSTONE) | (u8::from(row.sensitive) * SENSITIVE) | (u8::from(has_redacted) * REDACTED));
        raw_hashes.extend_from_slice(&row.raw_hash.to_le_bytes());
        manifest_hashes.extend_from_slice(&row.manifest_hash);
        if row.tombstone {
            continue;
        }
        for length in [Some(row.lengths.manifest), Some(row.lengths.status), Some(row.lengths.server), row.lengths.redacted].into_iter().flatten() {
            put_varint(lengths, u64::from(length));
        }
        manifest.put(places, row.manifest, row.lengths.manifest);
        rest.put(places, row.rest, row.lengths.status.saturating_add(row.lengths.server));
        if let Some(length) = row.lengths.redacted {
            redacted.put(places, row.redacted, length);
        }
    }
    let mut out = vec![VERSION];
    put_varint(&mut out, rows.len() as u64);
    put_varint(&mut out, columns.len() as u64);
    for (number, column) in [KEYS, FLAGS, RAW_HASHES, MANIFEST_HASHES, LENGTHS, PLACES].into_iter().zip(&columns) {
        put_varint(&mut out, number);
        put_varint(&mut out, column.len() as u64);
        out.extend_from_slice(column);
    }
    out
}

/// Decodes a segment and checks the order of its keys.
pub(crate) fn decode(bytes: &[u8]) -> Result<Vec<SegmentRow>, FormatError> {
    let mut reader = Reader::new(bytes);
    if reader.byte()? != VERSION {
        return Err(FormatError::Invalid("a catalog segment of another version"));
    }
    let count = reader.count("the number of rows", SEGMENT_ROWS)?;
    let mut columns: [&[u8]; 6] = Default::default();
    let mut last = 0;
    for _ in 0..reader.count("the number of columns", 64)? {
        let number = reader.varint()?;
        if number <= last {
            return Err(FormatError::Invalid("columns out of order"));
        }
        last = number;
        let length = reader.count("the length of a column", bytes.len())?;
        let column = reader.take(length)?;
        if let Some(slot) = usize::try_from(number).ok().and_then(|number| number.checked_sub(1)).and_then(|at| columns.get_mut(at)) {
            *slot = column;
        }
    }
    reader.end()?;
    let [keys, flags, raw_hashes, manifest_hashes, lengths, places] = columns.map(Reader::new);
    let mut decoder = Decoder { keys, flags, raw_hashes, manifest_hashes, lengths, places, tracks: Default::default(), key: Vec::new() };
    let mut rows: Vec<SegmentRow> = Vec::new();
    for _ in 0..count {
        let row = decoder.row()?;
        if rows.last().is_some_and(|last| last.key >= row.key) {
            return Err(FormatError::Invalid("rows out of order"));
        }
        rows.push(row);
    }
    decoder.end()?;
    Ok(rows)
}

struct Decoder<'a> {
    keys: Reader<'a>,
    flags: Reader<'a>,
    raw_hashes: Reader<'a>,
    manifest_hashes: Reader<'a>,
    lengths: Reader<'a>,
    places: Reader<'a>,
    tracks: [Track; 3],
    key: Vec<u8>,
}

impl Decoder<'_> {
    fn end(&self) -> Result<(), FormatError> {
        [&self.keys, &self.flags, &self.raw_hashes, &self.manifest_hashes, &self.lengths, &self.places].into_iter().try_for_each(Reader::end)
    }

    fn row(&mut self) -> Result<SegmentRow, FormatError> {
        let shared = self.keys.count("a shared prefix", self.key.len())?;
        let length = self.keys.count("the length of a key", MAX_KEY)?;
        self.key.truncate(shared);
        self.key.extend_from_slice(self.keys.take(length)?);
        if self.key.len() > MAX_KEY {
            return Err(FormatError::TooLarge { what: "the length of a key", found: self.key.len() as u64, maximum: MAX_KEY as u64 });
        }
        let key = std::str::from_utf8(&self.key).map_err(|_| FormatError::Invalid("a key that is not UTF-8"))?.to_owned();
        let flags = self.flags.byte()?;
        if flags & !(TOMBSTONE | SENSITIVE | REDACTED) != 0 {
            return Err(FormatError::Invalid("a row with an unknown flag"));
        }
        let mut row = SegmentRow {
            key,
            tombstone: flags & TOMBSTONE != 0,
            sensitive: flags & SENSITIVE != 0,
            raw_hash: u64::from_le_bytes(self.raw_hashes.array()?),
            manifest_hash: self.manifest_hashes.array()?,
            ..SegmentRow::default()
        };
        if row.tombstone {
            return Ok(row);
        }
        let [manifest, status, server] = [self.lengths.varint_u32()?, self.lengths.varint_u32()?, self.lengths.varint_u32()?];
        let redacted = if flags & REDACTED != 0 { Some(self.lengths.varint_u32()?) } else { None };
        row.lengths = Lengths { manifest, status, server, redacted };
        let [manifest_track, rest_track, redacted_track] = &mut self.tracks;
        row.manifest = manifest_track.get(&mut self.places, manifest)?;
        row.rest = rest_track.get(&mut self.places, status.saturating_add(server))?;
        if let Some(length) = redacted {
            row.redacted = redacted_track.get(&mut self.places, length)?;
        }
        Ok(row)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn arbitrary_row() -> impl Strategy<Value = SegmentRow> {
        let place = (0_u32..9, any::<u32>()).prop_map(|(block, offset)| Place { block, offset });
        (
            any::<bool>(),
            any::<bool>(),
            any::<(u64, [u8; 16], u32, u32, u32)>(),
            proptest::option::of(any::<u32>()),
            place.clone(),
            place.clone(),
            place,
        )
            .prop_map(|(tombstone, sensitive, (raw_hash, manifest_hash, manifest, status, server), redacted, a, b, c)| {
                let mut row = SegmentRow { tombstone, sensitive, raw_hash, manifest_hash, ..SegmentRow::default() };
                if !tombstone {
                    row.lengths = Lengths { manifest, status, server, redacted };
                    (row.manifest, row.rest) = (a, b);
                    row.redacted = if redacted.is_some() { c } else { Place::default() };
                }
                row
            })
    }

    proptest! {
        #[test]
        fn rows_read_back(rows in proptest::collection::btree_map("[a-c/é]{0,8}", arbitrary_row(), 0..30)) {
            let rows: Vec<SegmentRow> = rows.into_iter().map(|(key, row)| SegmentRow { key, ..row }).collect();
            prop_assert_eq!(decode(&encode(&rows)).unwrap(), rows);
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&bytes);
            let mut plausible = vec![VERSION, 3, 6];
            plausible.extend(bytes);
            let _ = decode(&plausible);
        }
    }
}
