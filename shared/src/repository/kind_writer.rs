//! Writing the objects of one kind: all of them, or what differs from the layers that the new one is to stand on.
//!
//! These are the lowest of the parent's. What the parent's other layers say is said again by the new one, which takes their place.

use std::{
    cmp::Ordering,
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::{
    RepositoryError,
    dictionaries::Dictionaries,
    format::{
        BLOCK_TARGET, BlockId, Class, Content, MAX_BLOCK, MAX_KEY, SEGMENT_ROWS,
        segment::{self, Lengths, Place, SegmentRow},
        top::{LayerKind, SegmentRef},
    },
    gather::{Life, thin},
    layers::MergedRows,
    root::Stats,
    snapshot::decode_segment,
    writer::Shared,
};
use crate::object::{KindInfo, ObjectError, Parts, Sensitivity, TypeMeta, split};

/// Rows of the parent, walked beside the items.
struct Parent {
    rows: MergedRows<'static>,
    head: Option<(usize, SegmentRow)>,
    /// Same version and kind: an item with the same bytes is the same object.
    same_type: bool,
    /// Blocks with so little that is alive that their objects are stored anew.
    thin: HashSet<BlockId>,
}

/// A row of the parent, or of another snapshot of the repository, with those of its blocks that can be taken over.
pub(super) struct Old {
    pub(super) row: SegmentRow,
    /// With the redacted form, where there is one.
    pub(super) manifest: Option<(BlockId, Option<BlockId>)>,
    pub(super) rest: Option<BlockId>,
}

/// Numbers for blocks, in the order in which they are first named.
#[derive(Default)]
struct BlockTable {
    blocks: Vec<BlockId>,
    numbers: HashMap<BlockId, u32>,
}

impl BlockTable {
    fn number(&mut self, id: BlockId) -> u32 {
        let next = self.blocks.len() as u32;
        let number = *self.numbers.entry(id).or_insert(next);
        if number == next {
            self.blocks.push(id);
        }
        number
    }
}

/// A block that is being filled, and the rows that point into it.
struct OpenBlock {
    class: Class,
    raw: Vec<u8>,
    rows: Vec<usize>,
}

/// Takes the objects of one kind in the order of `namespace/name`. Blocks its thread; not for async threads.
///
/// Dropping it without [`KindWriter::finish`] leaves the kind out of the snapshot, so that it can be started again.
pub struct KindWriter {
    shared: Arc<Shared>,
    kind: KindInfo,
    api_version: String,
    sensitivity: Sensitivity,
    parent: Option<Parent>,
    /// Only what differs from the layers below becomes rows.
    delta: bool,
    manifest: OpenBlock,
    rest: OpenBlock,
    redacted: OpenBlock,
    rows: Vec<SegmentRow>,
    /// Blocks of the rows above, in the order in which they were closed or taken over.
    open_table: BlockTable,
    /// Blocks of the segments, in the order of the rows: it depends on the objects alone.
    table: BlockTable,
    segments: Vec<SegmentRef>,
    dictionaries: Dictionaries,
    parts: Parts,
    last_key: String,
    stats: Stats,
}

/// Where the parts of an object come from, when they are needed.
enum Source<'a> {
    /// Item of a LIST body.
    Item(&'a [u8]),
    /// Parts that were made before.
    Parts(LoadParts<'a>),
    /// A row of this repository, and its parts where a block is not to be taken over.
    Row(Box<Old>, LoadParts<'a>),
}

/// Puts the parts of an object in the place of others.
pub(super) type LoadParts<'a> = &'a mut dyn FnMut(&mut Parts) -> Result<(), RepositoryError>;

impl KindWriter {
    pub(super) fn new(shared: Arc<Shared>, kind: KindInfo) -> Self {
        let sensitivity = shared.sensitivity(&kind);
        Self::with_sensitivity(shared, kind, sensitivity)
    }

    /// The same for a caller who knows by himself whether the kind is protected.
    pub(super) fn with_sensitivity(shared: Arc<Shared>, kind: KindInfo, sensitivity: Sensitivity) -> Self {
        let sensitive = sensitivity != Sensitivity::Open;
        let open = |content, sensitive| OpenBlock { class: Class { content, sensitive }, raw: Vec::new(), rows: Vec::new() };
        let parent = Self::open_parent(&shared, &kind);
        Self {
            api_version: kind.api_version(),
            // A kind in another version is written whole, and so are a new one and one that a layer has whole which this one replaces.
            delta: shared.delta() && parent.as_ref().is_some_and(|parent| parent.same_type) && !shared.replaces_whole(&kind),
            parent,
            sensitivity,
            manifest: open(Content::Manifest, sensitive),
            rest: open(Content::Rest, sensitive),
            redacted: open(Content::Redacted, false),
            rows: Vec::new(),
            open_table: BlockTable::default(),
            table: BlockTable::default(),
            segments: Vec::new(),
            dictionaries: Dictionaries::new(Arc::clone(&shared), kind.group_resource()),
            parts: Parts::default(),
            last_key: String::new(),
            stats: Stats::default(),
            shared,
            kind,
        }
    }

    fn open_parent(shared: &Arc<Shared>, kind: &KindInfo) -> Option<Parent> {
        let stored = shared.parent_tops.iter().rev().flat_map(|top| &top.kinds).find(|own| own.info.group_resource() == kind.group_resource())?;
        let open = || {
            let source = Arc::clone(shared);
            let load = move |wanted: &SegmentRef| {
                let raw = source.handle.block_on(source.repository.inner.blocks.get(wanted.block))?;
                decode_segment(wanted, &HashMap::from([(wanted.block, raw)]))
            };
            MergedRows::new(&shared.parent_tops, kind, Box::new(load))
        };
        // A layer above others leaves their blocks as they are: whoever reads the snapshot before needs them all the same.
        let thin = if shared.delta() { HashSet::new() } else { thin_blocks(open(), shared).ok()? };
        Some(Parent { rows: open(), head: None, same_type: stored.info == *kind, thin })
    }

    /// The parent's row of this key. What it had before that key and is not there any more becomes tombstones. Damage of the parent's
    /// catalog only costs the reuse, unless this layer would stand on it.
    fn parent_row(&mut self, key: Option<&str>) -> Result<Option<(usize, SegmentRow)>, RepositoryError> {
        loop {
            let Some(parent) = &mut self.parent else {
                return Ok(None);
            };
            if parent.head.is_none() {
                match parent.rows.next_or_tombstone() {
                    Ok(head) => parent.head = head,
                    Err(error) if error.is_damage() && !self.delta => {
                        self.parent = None;
                        return Ok(None);
                    }
                    Err(error) => return Err(error),
                }
            }
            let order = match (&parent.head, key) {
                (None, _) => return Ok(None),
                (Some((_, row)), Some(key)) => row.key.as_str().cmp(key),
                (Some(_), None) => Ordering::Less,
            };
            match (order, parent.head.take()) {
                // It was gone, and is there again.
                (Ordering::Equal, Some((_, row))) if row.tombstone => return Ok(None),
                (Ordering::Equal, head) => return Ok(head),
                // What a layer said that stays need not be said again.
                (Ordering::Less, Some((table, row))) if row.tombstone && parent.rows.layer(table) < self.shared.below => {}
                (Ordering::Less, Some((_, row))) if self.delta => self.bury(row.key)?,
                (Ordering::Less, _) => {}
                (Ordering::Greater, head) => {
                    parent.head = head;
                    return Ok(None);
                }
            }
        }
    }

    /// Notes that an object of the parent is gone.
    fn bury(&mut self, key: String) -> Result<(), RepositoryError> {
        self.make_room()?;
        self.rows.push(SegmentRow { key, tombstone: true, ..SegmentRow::default() });
        Ok(())
    }

    /// What can be taken over of a row of the parent: nothing of it where a block is lost, so that it is stored again.
    fn resolve(&self, table: usize, row: SegmentRow) -> Option<Old> {
        let parent = self.parent.as_ref()?;
        let block = |place: Place| parent.rows.block(table, place.block).filter(|&id| self.shared.has(id) && !parent.thin.contains(&id));
        let manifest = match (block(row.manifest), row.lengths.redacted) {
            (Some(manifest), None) => Some((manifest, None)),
            (Some(manifest), Some(_)) => block(row.redacted).map(|redacted| (manifest, Some(redacted))),
            (None, _) => None,
        };
        Some(Old { manifest, rest: block(row.rest), row })
    }

    /// Adds one item of a LIST body.
    ///
    /// # Errors
    /// `OutOfOrder` unless its key is above the last one; `Object` when it cannot be stored, others still can; `Store` when a pack cannot
    /// be stored; damage of the parent's catalog where this snapshot stands on it and it was whole when the backup began: a backup that is
    /// begun anew does not.
    pub fn push(&mut self, namespace: Option<&str>, name: &str, item: &[u8]) -> Result<(), RepositoryError> {
        let key = namespace.map_or_else(|| name.to_owned(), |namespace| format!("{namespace}/{name}"));
        let raw_hash = self.short_hash(item)?;
        self.push_object(key, raw_hash, Source::Item(item))?;
        self.stats.raw_bytes += item.len() as u64;
        Ok(())
    }

    /// Adds an object whose parts were made before. They are asked for unless the parent has a row of the same `raw_hash`.
    ///
    /// # Errors
    /// As [`KindWriter::push`], and those of `parts`.
    pub(super) fn push_parts(&mut self, key: String, raw_hash: u64, parts: LoadParts<'_>) -> Result<(), RepositoryError> {
        self.push_object(key, raw_hash, Source::Parts(parts))
    }

    /// Adds an object as another snapshot of the same repository has it. Its blocks are taken over as far as `old` names them; its parts are asked
    /// for where it does not and the parent has no row of the same hash.
    ///
    /// # Errors
    /// As [`KindWriter::push`], and those of `parts`.
    pub(super) fn push_row(&mut self, old: Old, parts: LoadParts<'_>) -> Result<(), RepositoryError> {
        self.push_object(old.row.key.clone(), old.row.raw_hash, Source::Row(Box::new(old), parts))
    }

    /// Whether the parts of its objects lie under the sensitive key.
    pub(super) fn is_sensitive(&self) -> bool {
        self.sensitivity != Sensitivity::Open
    }

    /// Head of the hash that tells whether two objects of the kind are the same.
    pub(super) fn short_hash(&self, bytes: &[u8]) -> Result<u64, RepositoryError> {
        let hash = self.shared.repository.inner.ring.hash(self.is_sensitive(), bytes)?;
        Ok(hash.first_chunk().map_or(0, |head| u64::from_le_bytes(*head)))
    }

    fn push_object(&mut self, key: String, raw_hash: u64, source: Source<'_>) -> Result<(), RepositoryError> {
        if key <= self.last_key {
            return Err(RepositoryError::OutOfOrder { kind: self.kind.group_resource().to_string(), key, previous: self.last_key.clone() });
        }
        if key.len() > MAX_KEY {
            return Err(self.refused(&key, ObjectError::NameTooLong { length: key.len(), limit: MAX_KEY }));
        }
        let sensitive = self.is_sensitive();
        let before = self.parent_row(Some(&key))?;
        let known = before.is_some();
        // A row of a layer that stays says it already.
        let said = before.as_ref().is_some_and(|(table, _)| self.said_below(*table));
        let old = before.filter(|(_, row)| row.sensitive == sensitive).and_then(|(table, row)| self.resolve(table, row));
        let same = old.as_ref().is_some_and(|old| old.row.raw_hash == raw_hash) && self.parent.as_ref().is_some_and(|parent| parent.same_type);
        let lengths = match old {
            Some(Old { row, manifest: Some(manifest), rest: Some(rest) }) if same => self.keep(row, manifest, rest, said)?,
            old => match self.take_or_add(&key, source, raw_hash, old) {
                // Not what the parent had, and not this: the snapshot is without the object.
                Err(error @ RepositoryError::Object { .. }) if known && self.delta => {
                    self.bury(key)?;
                    return Err(error);
                }
                added => added?,
            },
        };
        let count = match (known, same) {
            (false, _) => &mut self.stats.new,
            (true, true) => &mut self.stats.unchanged,
            (true, false) => &mut self.stats.changed,
        };
        *count += 1;
        self.stats.objects += 1;
        self.stats.logical_bytes += u64::from(lengths.manifest) + u64::from(lengths.status) + u64::from(lengths.server);
        self.last_key = key;
        Ok(())
    }

    fn take_or_add(&mut self, key: &str, source: Source<'_>, raw_hash: u64, old: Option<Old>) -> Result<Lengths, RepositoryError> {
        match source {
            Source::Row(own, parts) => match *own {
                Old { row, manifest: Some(manifest), rest: Some(rest) } => self.keep(row, manifest, rest, false),
                own => self.add(key, Source::Parts(parts), raw_hash, if own.manifest.is_some() { Some(own) } else { old }),
            },
            source => self.add(key, source, raw_hash, old),
        }
    }

    fn refused(&self, key: &str, source: ObjectError) -> RepositoryError {
        // A name that is too long would fill the screen.
        let shown: String = key.chars().take(300).collect();
        let more = if shown.len() < key.len() { "…" } else { "" };
        RepositoryError::Object { object: format!("{}/{shown}{more}", self.kind.group_resource()), source }
    }

    fn take_over(&mut self, place: Place, block: BlockId) -> Place {
        Place { block: self.open_table.number(block), offset: place.offset }
    }

    /// Whether a row with this table stands in a layer that this one is written above.
    fn said_below(&self, table: usize) -> bool {
        self.delta && self.parent.as_ref().is_some_and(|parent| parent.rows.layer(table) < self.shared.below)
    }

    /// Takes a row of the parent over; where a layer below says it already there is nothing to do.
    fn keep(
        &mut self,
        mut row: SegmentRow,
        (manifest, redacted): (BlockId, Option<BlockId>),
        rest: BlockId,
        said: bool,
    ) -> Result<Lengths, RepositoryError> {
        let lengths = row.lengths;
        if said {
            return Ok(lengths);
        }
        self.make_room()?;
        row.manifest = self.take_over(row.manifest, manifest);
        row.rest = self.take_over(row.rest, rest);
        if let Some(redacted) = redacted {
            row.redacted = self.take_over(row.redacted, redacted);
        }
        self.rows.push(row);
        Ok(lengths)
    }

    fn add(&mut self, key: &str, source: Source<'_>, raw_hash: u64, old: Option<Old>) -> Result<Lengths, RepositoryError> {
        let type_meta = TypeMeta { api_version: &self.api_version, kind: &self.kind.kind };
        match source {
            Source::Item(item) => split(item, type_meta, self.sensitivity, &mut self.parts).map_err(|source| self.refused(key, source))?,
            Source::Parts(load) | Source::Row(_, load) => load(&mut self.parts)?,
        }
        let largest = self.parts.manifest.len().max(self.parts.status.len() + self.parts.server.len());
        if largest > MAX_BLOCK {
            return Err(self.refused(key, ObjectError::ItemTooLarge { limit: MAX_BLOCK }));
        }
        let sensitive = self.is_sensitive();
        let hash = self.shared.repository.inner.ring.hash(sensitive, &self.parts.manifest)?;
        let manifest_hash = hash.first_chunk().copied().unwrap_or_default();
        let length = |part: &[u8]| u32::try_from(part.len()).unwrap_or(u32::MAX);
        let lengths = Lengths {
            manifest: length(&self.parts.manifest),
            status: length(&self.parts.status),
            server: length(&self.parts.server),
            redacted: self.parts.redacted.as_deref().map(length),
        };
        let mut row = SegmentRow { key: key.to_owned(), sensitive, raw_hash, manifest_hash, lengths, ..SegmentRow::default() };
        let kept = old.filter(|old| old.row.manifest_hash == manifest_hash && old.row.lengths.redacted == lengths.redacted);
        self.make_room()?;
        let at = self.rows.len();
        if let Some(Old { row: before, manifest: Some((manifest, redacted)), .. }) = kept {
            row.manifest = self.take_over(before.manifest, manifest);
            if let Some(redacted) = redacted {
                row.redacted = self.take_over(before.redacted, redacted);
            }
            self.rows.push(row);
        } else {
            self.rows.push(row);
            let manifest = std::mem::take(&mut self.parts.manifest);
            self.append(Content::Manifest, at, &[&manifest])?;
            self.parts.manifest = manifest;
            if let Some(redacted) = self.parts.redacted.take() {
                self.append(Content::Redacted, at, &[&redacted])?;
            }
        }
        let (status, server) = (std::mem::take(&mut self.parts.status), std::mem::take(&mut self.parts.server));
        self.append(Content::Rest, at, &[&status, &server])?;
        (self.parts.status, self.parts.server) = (status, server);
        Ok(lengths)
    }

    /// Room for one more row.
    fn make_room(&mut self) -> Result<(), RepositoryError> {
        if self.rows.len() >= SEGMENT_ROWS { self.flush() } else { Ok(()) }
    }

    fn open_block(&mut self, content: Content) -> &mut OpenBlock {
        match content {
            Content::Manifest => &mut self.manifest,
            Content::Redacted => &mut self.redacted,
            _ => &mut self.rest,
        }
    }

    fn append(&mut self, content: Content, at: usize, pieces: &[&[u8]]) -> Result<(), RepositoryError> {
        let length: usize = pieces.iter().map(|piece| piece.len()).sum();
        let open = self.open_block(content);
        if !open.raw.is_empty() && open.raw.len() + length > BLOCK_TARGET {
            self.seal(content)?;
        }
        let open = self.open_block(content);
        let offset = open.raw.len() as u32;
        for piece in pieces {
            open.raw.extend_from_slice(piece);
        }
        open.rows.push(at);
        if let Some(row) = self.rows.get_mut(at) {
            place_of(row, content).offset = offset;
        }
        Ok(())
    }

    /// Closes an open block and tells its rows the number.
    fn seal(&mut self, content: Content) -> Result<(), RepositoryError> {
        let shared = Arc::clone(&self.shared);
        let open = self.open_block(content);
        let (class, rows, raw) = (open.class, std::mem::take(&mut open.rows), std::mem::take(&mut open.raw));
        if rows.is_empty() {
            return Ok(());
        }
        let dictionary = self.dictionaries.get(class)?;
        let number = self.open_table.number(shared.store_block_blocking(class, &raw, dictionary.as_ref())?);
        self.dictionaries.learn(class, &raw);
        for at in rows {
            if let Some(row) = self.rows.get_mut(at) {
                place_of(row, content).block = number;
            }
        }
        let mut raw = raw;
        raw.clear();
        self.open_block(content).raw = raw;
        Ok(())
    }

    /// Closes the open blocks and writes the rows so far as a segment.
    fn flush(&mut self) -> Result<(), RepositoryError> {
        for content in [Content::Manifest, Content::Rest, Content::Redacted] {
            self.seal(content)?;
        }
        let Some(first) = self.rows.first() else {
            return Ok(());
        };
        let first_key = first.key.clone();
        self.number_blocks()?;
        let raw = segment::encode(&self.rows);
        let block = self.shared.store_block_blocking(Class::general(Content::Segment), &raw, None)?;
        self.segments.push(SegmentRef { block, rows: self.rows.len() as u32, first_key });
        self.rows.clear();
        Ok(())
    }

    /// Gives the blocks of all rows their places in the kind's table.
    fn number_blocks(&mut self) -> Result<(), RepositoryError> {
        let open = std::mem::take(&mut self.open_table).blocks;
        for row in self.rows.iter_mut().filter(|row| !row.tombstone) {
            let redacted = row.lengths.redacted.is_some().then_some(&mut row.redacted);
            for place in [&mut row.manifest, &mut row.rest].into_iter().chain(redacted) {
                let id = open.get(place.block as usize).copied();
                place.block = self.table.number(id.ok_or_else(|| RepositoryError::Machine("a row without its block".to_owned()))?);
            }
        }
        Ok(())
    }

    /// Makes the kind part of the snapshot.
    ///
    /// # Errors
    /// `Store` when a pack cannot be stored.
    pub fn finish(mut self) -> Result<Stats, RepositoryError> {
        if self.stats.objects == 0 {
            // Without rows it is no kind of this snapshot, also where the parent had it.
            return Ok(self.stats);
        }
        if self.delta {
            self.parent_row(None)?;
        }
        self.flush()?;
        self.shared.add_stats(&self.stats);
        if self.segments.is_empty() {
            self.shared.add_unchanged(self.kind.group_resource());
        } else {
            self.shared.add_kind(LayerKind { info: self.kind, whole: !self.delta, segments: self.segments, blocks: self.table.blocks });
        }
        Ok(self.stats)
    }
}

/// Blocks of which these rows need so little that their objects are put together in new ones.
fn thin_blocks(mut rows: MergedRows<'_>, shared: &Shared) -> Result<HashSet<BlockId>, RepositoryError> {
    let mut needed: HashMap<BlockId, usize> = HashMap::new();
    while let Some((table, row)) = rows.next()? {
        let Lengths { manifest, status, server, redacted } = row.lengths;
        let rest = status.saturating_add(server);
        for (place, length) in [(row.manifest, manifest), (row.rest, rest), (row.redacted, redacted.unwrap_or(0))] {
            if let Some(block) = rows.block(table, place.block) {
                *needed.entry(block).or_default() += length as usize;
            }
        }
    }
    let index = shared.repository.inner.blocks.index();
    let lives = needed.into_iter().filter_map(|(id, needed)| Some((id, Life { needed, raw: index.get(id)?.raw as usize })));
    Ok(thin(&lives.collect::<Vec<_>>()))
}

fn place_of(row: &mut SegmentRow, content: Content) -> &mut Place {
    match content {
        Content::Manifest => &mut row.manifest,
        Content::Redacted => &mut row.redacted,
        _ => &mut row.rest,
    }
}
