//! The catalog of one snapshot in memory: flat arrays, all keys in one text, less than 100 bytes a row.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::Arc;

use super::{
    RepositoryError,
    format::{
        BlockId, FormatError, MAX_ROWS,
        segment::{Lengths, Place, SegmentRow},
        top::{LayerTop, SegmentRef},
    },
    layers::MergedRows,
};
use crate::object::{GroupResource, KindInfo, ObjectId};

/// One kind of a catalog.
#[derive(Debug, Clone)]
pub struct CatalogKind {
    /// The kind, in the version that was read.
    pub info: KindInfo,
    /// Its rows, sorted by the bytes of `namespace/name`.
    pub rows: Range<u32>,
}

/// A part of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    /// What one would apply.
    Manifest,
    /// The status.
    Status,
    /// What the server stamped.
    Server,
    /// The manifest with hidden values.
    Redacted,
}

/// Where bytes lie: in the raw bytes of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockRange {
    /// The block.
    pub block: BlockId,
    /// First byte.
    pub offset: u32,
    /// Number of bytes.
    pub length: u32,
}

#[derive(Debug, Clone, Copy)]
struct PackedRow {
    key_end: u32,
    manifest: Place,
    rest: Place,
    lengths: [u32; 3],
    raw_hash: u64,
    manifest_hash: [u8; 16],
    sensitive: bool,
}

/// All objects of a snapshot: kinds sorted by `resource.group`, rows by the bytes of `namespace/name`.
#[derive(Debug, Default)]
pub struct Catalog {
    kinds: Vec<CatalogKind>,
    keys: String,
    rows: Vec<PackedRow>,
    /// Few rows have a redacted part.
    redacted: HashMap<u32, (Place, u32)>,
    blocks: Vec<BlockId>,
}

/// One object of a catalog.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    /// Its number.
    pub number: u32,
    /// Its kind.
    pub kind: &'a KindInfo,
    /// Its namespace, if its kind has one.
    pub namespace: Option<&'a str>,
    /// Its name.
    pub name: &'a str,
    /// Lengths of its parts.
    pub lengths: Lengths,
    /// Equal hashes in one repository: nothing that a person sets has changed.
    pub manifest_hash: &'a [u8; 16],
    /// Equal hashes: the API server sent the same bytes.
    pub raw_hash: u64,
    /// Whether its parts lie under the sensitive key.
    pub sensitive: bool,
}

impl Row<'_> {
    /// Which object this is.
    pub fn id(&self) -> ObjectId {
        ObjectId { kind: self.kind.group_resource(), namespace: self.namespace.map(str::to_owned), name: self.name.to_owned() }
    }
}

impl Catalog {
    pub(super) fn build(
        tops: &[Arc<LayerTop>],
        load: &mut (dyn FnMut(&SegmentRef) -> Result<Vec<SegmentRow>, RepositoryError> + Send),
    ) -> Result<Self, RepositoryError> {
        let mut catalog = Self::default();
        let mut kinds: BTreeMap<String, &KindInfo> = BTreeMap::new();
        // The topmost layer tells the version of a kind.
        for kind in tops.iter().flat_map(|top| &top.kinds) {
            kinds.insert(kind.info.group_resource().to_string(), &kind.info);
        }
        for (name, kind) in kinds {
            let start = catalog.rows.len() as u32;
            let mut rows = MergedRows::new(tops, kind, Box::new(&mut *load));
            let mut tables = Vec::new();
            for table in rows.tables() {
                tables.push(catalog.blocks.len()..catalog.blocks.len() + table.len());
                catalog.blocks.extend_from_slice(table);
            }
            while let Some((table, row)) = rows.next()? {
                let blocks = tables.get(table).cloned().unwrap_or_default();
                catalog.push(row, &blocks).map_err(RepositoryError::damaged(format!("the catalog of {name}")))?;
            }
            let rows = start..catalog.rows.len() as u32;
            if !rows.is_empty() {
                catalog.kinds.push(CatalogKind { info: kind.clone(), rows });
            }
        }
        catalog.keys.shrink_to_fit();
        catalog.rows.shrink_to_fit();
        Ok(catalog)
    }

    /// `blocks`: places of the row's table among all blocks.
    fn push(&mut self, row: SegmentRow, blocks: &Range<usize>) -> Result<(), FormatError> {
        if self.rows.len() >= MAX_ROWS {
            return Err(FormatError::TooLarge { what: "the number of rows", found: self.rows.len() as u64, maximum: MAX_ROWS as u64 });
        }
        let place = |place: Place| {
            let block = blocks.start.checked_add(place.block as usize).filter(|&block| block < blocks.end);
            let block = block.and_then(|block| u32::try_from(block).ok()).ok_or(FormatError::Invalid("a row that names no block"))?;
            Ok(Place { block, offset: place.offset })
        };
        if let Some(length) = row.lengths.redacted {
            self.redacted.insert(self.rows.len() as u32, (place(row.redacted)?, length));
        }
        self.keys.push_str(&row.key);
        self.rows.push(PackedRow {
            key_end: u32::try_from(self.keys.len()).map_err(|_| FormatError::Invalid("more than 4 GiB of names"))?,
            manifest: place(row.manifest)?,
            rest: place(row.rest)?,
            lengths: [row.lengths.manifest, row.lengths.status, row.lengths.server],
            raw_hash: row.raw_hash,
            manifest_hash: row.manifest_hash,
            sensitive: row.sensitive,
        });
        Ok(())
    }

    /// A catalog of only these rows, given in ascending order. They are numbered anew; those that are not there are left out.
    pub fn only(&self, rows: &[u32]) -> Self {
        let mut part = Self { blocks: self.blocks.clone(), ..Self::default() };
        let mut rows = rows.iter().copied().peekable();
        for kind in &self.kinds {
            let start = part.rows.len() as u32;
            while let Some(number) = rows.next_if(|&number| number < kind.rows.end) {
                let Some(packed) = self.rows.get(number as usize) else { continue };
                part.keys.push_str(self.key(number));
                if let Some(&redacted) = self.redacted.get(&number) {
                    part.redacted.insert(part.rows.len() as u32, redacted);
                }
                // Names of a part are no longer than those of the whole.
                part.rows.push(PackedRow { key_end: part.keys.len() as u32, ..*packed });
            }
            let rows = start..part.rows.len() as u32;
            if !rows.is_empty() {
                part.kinds.push(CatalogKind { info: kind.info.clone(), rows });
            }
        }
        part.keys.shrink_to_fit();
        part.rows.shrink_to_fit();
        part
    }

    /// The kinds that have objects.
    pub fn kinds(&self) -> &[CatalogKind] {
        &self.kinds
    }

    /// Number of objects.
    pub fn len(&self) -> u32 {
        self.rows.len() as u32
    }

    /// Whether there is no object.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// `namespace/name` or `name` of a row; empty when there is no such row.
    pub(crate) fn key(&self, number: u32) -> &str {
        let at = number as usize;
        let start = at.checked_sub(1).and_then(|before| self.rows.get(before)).map_or(0, |row| row.key_end as usize);
        let end = self.rows.get(at).map_or(start, |row| row.key_end as usize);
        self.keys.get(start..end).unwrap_or_default()
    }

    /// The object of a row; `None` when there is no such row.
    pub fn row(&self, number: u32) -> Option<Row<'_>> {
        let kind = self.kind_of(number)?;
        self.row_of_kind(number, &kind.info)
    }

    fn row_of_kind<'a>(&'a self, number: u32, kind: &'a KindInfo) -> Option<Row<'a>> {
        let packed = self.rows.get(number as usize)?;
        let key = self.key(number);
        let (namespace, name) = match key.split_once('/') {
            Some((namespace, name)) if kind.namespaced => (Some(namespace), name),
            _ => (None, key),
        };
        let [manifest, status, server] = packed.lengths;
        let redacted = if packed.sensitive { self.redacted.get(&number).map(|&(_, length)| length) } else { None };
        Some(Row {
            number,
            kind,
            namespace,
            name,
            lengths: Lengths { manifest, status, server, redacted },
            manifest_hash: &packed.manifest_hash,
            raw_hash: packed.raw_hash,
            sensitive: packed.sensitive,
        })
    }

    /// The kind of a row.
    pub fn kind_of(&self, number: u32) -> Option<&CatalogKind> {
        let at = self.kinds.partition_point(|kind| kind.rows.end <= number);
        self.kinds.get(at).filter(|kind| kind.rows.contains(&number))
    }

    /// All objects of a kind, in order.
    pub fn rows_of<'a>(&'a self, kind: &'a CatalogKind) -> impl Iterator<Item = Row<'a>> + 'a {
        kind.rows.clone().filter_map(|number| self.row_of_kind(number, &kind.info))
    }

    /// All objects, in order.
    pub fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        self.kinds.iter().flat_map(|kind| self.rows_of(kind))
    }

    /// A kind by its plural name and group.
    pub fn kind(&self, kind: &GroupResource) -> Option<&CatalogKind> {
        self.kinds.iter().find(|own| own.info.group == kind.group && own.info.resource == kind.resource)
    }

    /// The row of an object.
    pub fn find(&self, id: &ObjectId) -> Option<u32> {
        let kind = self.kind(&id.kind)?;
        let key = id.key();
        let (mut low, mut high) = (kind.rows.start, kind.rows.end);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.key(middle).cmp(&key) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return Some(middle),
            }
        }
        None
    }

    /// Where a part of a row lies; `None` for a part that the object does not have.
    pub fn place(&self, number: u32, part: Part) -> Option<BlockRange> {
        let row = self.rows.get(number as usize)?;
        let [manifest, status, server] = row.lengths;
        let (place, skip, length) = match part {
            Part::Manifest => (row.manifest, 0, manifest),
            Part::Status if status > 0 => (row.rest, 0, status),
            Part::Server if server > 0 => (row.rest, status, server),
            Part::Status | Part::Server => return None,
            Part::Redacted => self.redacted.get(&number).map(|&(place, length)| (place, 0, length))?,
        };
        Some(BlockRange { block: *self.blocks.get(place.block as usize)?, offset: place.offset.checked_add(skip)?, length })
    }

    /// All blocks that rows may point into.
    pub(super) fn blocks(&self) -> &[BlockId] {
        &self.blocks
    }
}
