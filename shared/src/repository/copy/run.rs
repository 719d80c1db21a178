//! Copying one snapshot.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
};

use bytes::Bytes;
use tokio::runtime::Handle;

use super::{BATCH_BYTES, BATCH_ROWS, CopyProgress, KINDS_AT_ONCE, TRIES};
use crate::{
    object::{KindInfo, Parts, Sensitivity},
    repository::{
        Access, BackupOptions, BlockRange, CommitInfo, KindWriter, Repository, RepositoryError, Root,
        format::{
            BlockId, FormatError,
            segment::{Lengths, Place, SegmentRow},
            top::{LayerTop, SegmentRef},
        },
        kind_writer::Old,
        layers::MergedRows,
        root::Stats,
        slice,
        snapshot::{decode_segment, in_catalog},
        writer::Shared,
    },
};

/// What the threads of one copy share.
pub(super) struct Work {
    pub(super) source: Repository,
    pub(super) root: Root,
    pub(super) tops: Vec<Arc<LayerTop>>,
    pub(super) target: Arc<Shared>,
    /// Where source and target are one repository: the blocks that are not to be taken over. All others are.
    pub(super) thin: Option<Arc<HashSet<BlockId>>>,
    pub(super) progress: Arc<CopyProgress>,
    pub(super) handle: Handle,
}

/// A row of the source with the places of its parts.
struct Wanted {
    row: SegmentRow,
    manifest: BlockRange,
    /// Status, and the server's part behind it.
    rest: BlockRange,
    redacted: Option<BlockRange>,
}

impl Wanted {
    fn places(&self) -> impl Iterator<Item = BlockRange> {
        [Some(self.manifest), Some(self.rest), self.redacted].into_iter().flatten()
    }
}

/// Two repositories that are ready for copying from one into the other.
pub struct Copier {
    source: Repository,
    target: Repository,
}

impl Copier {
    /// Looks what the target has already, also what a copy stored that was cut off.
    ///
    /// # Errors
    /// `NeedsSensitiveKey` unless both are open with full access: the values of Secrets are part of a copy. `ReadOnly`, `Store`.
    pub async fn new(source: &Repository, target: &Repository) -> Result<Self, RepositoryError> {
        target.writable()?;
        if source.access() != Access::Full || target.access() != Access::Full {
            return Err(RepositoryError::NeedsSensitiveKey);
        }
        let target = target.uncached();
        target.inner.blocks.refresh().await?;
        // Packs that no index names, among them those of a copy that was cut off.
        target.inner.blocks.recover().await?;
        Ok(Self { source: source.clone(), target })
    }

    /// Copies a snapshot of the source under the same id. `parent` is the snapshot of the target that unchanged objects are taken over from,
    /// see [`nearest`](super::nearest).
    ///
    /// # Errors
    /// Damage of the source that hits the snapshot, with the object's name; `Overtaken` when prunes were quicker each time; `Store`. A copy that
    /// fails changes nothing that was in the target before. That the target has the snapshot is no error, nor that a prune has written the
    /// source's again since its root was read.
    pub async fn copy(&self, root: &Root, parent: Option<Root>, progress: &Arc<CopyProgress>) -> Result<Root, RepositoryError> {
        let mut root = root.clone();
        let mut copied = self.try_copy(&root, parent.clone(), progress).await;
        for _ in 1..TRIES {
            match &copied {
                // The next try stores what the prune is about to remove.
                Err(RepositoryError::Overtaken { .. }) => {}
                Err(error) if error.is_damage() => match self.source.moved(&root).await? {
                    Some(now) => root = now,
                    None => break,
                },
                _ => break,
            }
            copied = self.try_copy(&root, parent.clone(), progress).await;
        }
        match copied {
            // Another copy was quicker.
            Err(RepositoryError::AlreadyExists { place }) => self.target.snapshot(root.id).await?.ok_or(RepositoryError::AlreadyExists { place }),
            copied => copied,
        }
    }

    async fn try_copy(&self, root: &Root, parent: Option<Root>, progress: &Arc<CopyProgress>) -> Result<Root, RepositoryError> {
        progress.objects.store(0, Ordering::Relaxed);
        let tops = self.source.tops(root).await.map_err(|error| of_snapshot(error, root))?;
        let writer = self.target.backup(BackupOptions { parent, ..BackupOptions::default() }).await?;
        let work = Arc::new(Work {
            source: self.source.clone(),
            root: root.clone(),
            tops,
            target: Arc::clone(&writer.shared),
            thin: None,
            progress: Arc::clone(progress),
            handle: Handle::current(),
        });
        copy_kinds(&work).await?;
        // How much the API server sent is known from the source alone.
        writer.shared.add_stats(&Stats { raw_bytes: root.stats.raw_bytes, ..Stats::default() });
        writer.commit(told(root)).await
    }
}

/// What a root tells of its snapshot, but for what its repository made of it.
fn told(root: &Root) -> CommitInfo {
    let root = root.clone();
    CommitInfo {
        name: root.name,
        id: Some(root.id),
        time: root.time,
        cluster: root.cluster,
        filters: root.filters,
        resource_version: root.resource_version,
        kinds: root.kinds,
        failed_groups: root.failed_groups,
        tags: root.tags,
        duration_ms: root.duration_ms,
    }
}

pub(super) async fn copy_kinds(work: &Arc<Work>) -> Result<(), RepositoryError> {
    let kinds = Arc::new(Mutex::new(kinds_of(&work.tops)));
    let mut threads = tokio::task::JoinSet::new();
    for _ in 0..KINDS_AT_ONCE {
        let (work, kinds) = (Arc::clone(work), Arc::clone(&kinds));
        threads.spawn_blocking(move || {
            let next = || kinds.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            while let Some(kind) = next() {
                if let Err(error) = work.copy_kind(&kind) {
                    // The snapshot will not be made: the other threads need not go on.
                    kinds.lock().unwrap_or_else(PoisonError::into_inner).clear();
                    return Err(error);
                }
            }
            Ok(())
        });
    }
    let mut ended = Ok(());
    while let Some(thread) = threads.join_next().await {
        let thread = thread.unwrap_or_else(|error| Err(RepositoryError::Machine(error.to_string())));
        ended = ended.and(thread);
    }
    ended
}

/// The kinds of a snapshot as its topmost layers have them, the largest first.
fn kinds_of(tops: &[Arc<LayerTop>]) -> VecDeque<KindInfo> {
    let mut kinds: HashMap<_, (KindInfo, u64)> = HashMap::new();
    for kind in tops.iter().flat_map(|top| &top.kinds) {
        let rows = kind.segments.iter().map(|segment| u64::from(segment.rows)).sum::<u64>();
        let known = kinds.entry(kind.info.group_resource()).or_insert_with(|| (kind.info.clone(), 0));
        *known = (kind.info.clone(), known.1 + rows);
    }
    let mut kinds: Vec<(KindInfo, u64)> = kinds.into_values().collect();
    kinds.sort_by_cached_key(|(kind, rows)| (std::cmp::Reverse(*rows), kind.group_resource().to_string()));
    kinds.into_iter().map(|(kind, _)| kind).collect()
}

/// Says of a damaged object of the source which snapshot needs it.
fn of_snapshot(error: RepositoryError, root: &Root) -> RepositoryError {
    match error {
        RepositoryError::Missing { object } => RepositoryError::Missing { object: in_catalog(&object, root) },
        RepositoryError::Damaged { object, reason } => RepositoryError::Damaged { object: in_catalog(&object, root), reason },
        error => error,
    }
}

impl Work {
    /// Rows of a kind over layers of one of the two repositories.
    fn rows<'a>(&'a self, repository: &'a Repository, tops: &[Arc<LayerTop>], kind: &KindInfo) -> MergedRows<'a> {
        let load = move |wanted: &SegmentRef| {
            let raw = self.handle.block_on(repository.inner.blocks.get(wanted.block))?;
            decode_segment(wanted, &HashMap::from([(wanted.block, raw)]))
        };
        MergedRows::new(tops, kind, Box::new(load))
    }

    fn copy_kind(&self, kind: &KindInfo) -> Result<(), RepositoryError> {
        let mut rows = self.rows(&self.source, &self.tops, kind);
        let mut batch = self.next_batch(&mut rows, kind)?;
        let Some(first) = batch.first() else { return Ok(()) };
        let sensitivity = match (kind.is_secret(), first.row.sensitive) {
            (true, _) => Sensitivity::Secret,
            (false, true) => Sensitivity::Everything,
            (false, false) => Sensitivity::Open,
        };
        let mut writer = KindWriter::with_sensitivity(Arc::clone(&self.target), kind.clone(), sensitivity);
        let mut known = Known { rows: Some(self.rows(&self.target.repository, &self.target.parent_tops, kind)), head: None };
        let mut blocks = HashMap::new();
        while !batch.is_empty() {
            blocks = self.read(&batch, &mut known, &writer, blocks)?;
            for wanted in batch {
                self.copy_row(kind, &wanted, &blocks, &mut writer)?;
            }
            batch = self.next_batch(&mut rows, kind)?;
        }
        writer.finish()?;
        Ok(())
    }

    /// The next rows, as many as need about [`BATCH_BYTES`] of blocks if none of them is in the target.
    fn next_batch(&self, rows: &mut MergedRows<'_>, kind: &KindInfo) -> Result<Vec<Wanted>, RepositoryError> {
        let (mut batch, mut sizes) = (Vec::new(), HashMap::new());
        while batch.len() < BATCH_ROWS && sizes.values().sum::<u64>() < BATCH_BYTES {
            let Some((table, row)) = rows.next().map_err(|error| of_snapshot(error, &self.root))? else { break };
            let place = |place: Place, length: u32| {
                let block =
                    rows.block(table, place.block).ok_or_else(|| self.damaged(kind, &row.key, FormatError::Invalid("a row that names no block")))?;
                Ok::<_, RepositoryError>(BlockRange { block, offset: place.offset, length })
            };
            let Lengths { manifest, status, server, redacted } = row.lengths;
            let wanted = Wanted {
                manifest: place(row.manifest, manifest)?,
                rest: place(row.rest, status.saturating_add(server))?,
                redacted: redacted.map(|length| place(row.redacted, length)).transpose()?,
                row,
            };
            for place in wanted.places() {
                let size: &mut u64 = sizes.entry(place.block).or_default();
                *size = (*size).max(u64::from(place.offset) + u64::from(place.length));
            }
            batch.push(wanted);
        }
        Ok(batch)
    }

    /// Reads the blocks of the rows that the target's parent does not have, but for those that are in hand. One that cannot be read is left to
    /// the row that needs it.
    fn read(
        &self,
        batch: &[Wanted],
        known: &mut Known<'_>,
        writer: &KindWriter,
        mut in_hand: HashMap<BlockId, Bytes>,
    ) -> Result<HashMap<BlockId, Bytes>, RepositoryError> {
        let (mut kept, mut missing) = (HashMap::new(), Vec::new());
        for wanted in batch {
            if known.has(&wanted.row.key, self.short_hash(writer, &wanted.row)?) {
                continue;
            }
            for place in wanted.places().filter(|place| place.length > 0 && !self.is_taken_over(place.block)) {
                match in_hand.remove(&place.block) {
                    Some(raw) => drop(kept.insert(place.block, raw)),
                    None if kept.contains_key(&place.block) || missing.contains(&place.block) => {}
                    None => missing.push(place.block),
                }
            }
        }
        match self.handle.block_on(self.source.inner.blocks.get_many(&missing)) {
            Err(error) if error.is_damage() => {}
            read => {
                let read = read?;
                self.progress.bytes.fetch_add(read.values().map(|raw| raw.len() as u64).sum(), Ordering::Relaxed);
                kept.extend(read);
            }
        }
        Ok(kept)
    }

    fn copy_row(&self, kind: &KindInfo, wanted: &Wanted, blocks: &HashMap<BlockId, Bytes>, writer: &mut KindWriter) -> Result<(), RepositoryError> {
        if wanted.row.sensitive != writer.is_sensitive() {
            return Err(self.damaged(kind, &wanted.row.key, FormatError::Invalid("a kind of which some rows are sensitive and some are not")));
        }
        let raw_hash = self.short_hash(writer, &wanted.row)?;
        let bytes = |place: BlockRange| {
            if place.length == 0 {
                return Ok(Bytes::new());
            }
            let raw = match blocks.get(&place.block) {
                Some(raw) => raw.clone(),
                None => self.handle.block_on(self.source.inner.blocks.get(place.block))?,
            };
            slice(&raw, place)
        };
        let mut load = |parts: &mut Parts| {
            let named = |error| self.of_object(error, kind, &wanted.row.key);
            let (manifest, rest) = (bytes(wanted.manifest).map_err(named)?, bytes(wanted.rest).map_err(named)?);
            let redacted = wanted.redacted.map(|place| bytes(place).map_err(named)).transpose()?;
            let hash = self.source.inner.ring.hash(wanted.row.sensitive, &manifest)?;
            if hash.first_chunk() != Some(&wanted.row.manifest_hash) {
                return Err(self.damaged(kind, &wanted.row.key, FormatError::Invalid("a manifest that is not the one of its row")));
            }
            let (status, server) = rest.split_at_checked(wanted.row.lengths.status as usize).unwrap_or((&rest, &[]));
            parts.manifest.clear();
            parts.status.clear();
            parts.server.clear();
            parts.manifest.extend_from_slice(&manifest);
            parts.status.extend_from_slice(status);
            parts.server.extend_from_slice(server);
            parts.redacted = redacted.map(|bytes| bytes.to_vec());
            Ok(())
        };
        match &self.thin {
            None => writer.push_parts(wanted.row.key.clone(), raw_hash, &mut load)?,
            Some(_) => writer.push_row(self.as_it_lies(wanted), &mut load)?,
        }
        self.progress.objects.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Whether a block of the source serves in the target as it is.
    fn is_taken_over(&self, block: BlockId) -> bool {
        self.thin.as_ref().is_some_and(|thin| !thin.contains(&block) && self.target.has(block))
    }

    /// A row with those of its blocks that are taken over.
    fn as_it_lies(&self, wanted: &Wanted) -> Old {
        let taken = |place: BlockRange| Some(place.block).filter(|&block| self.is_taken_over(block));
        let manifest = match (taken(wanted.manifest), wanted.redacted) {
            (Some(manifest), None) => Some((manifest, None)),
            (Some(manifest), Some(redacted)) => taken(redacted).map(|redacted| (manifest, Some(redacted))),
            (None, _) => None,
        };
        Old { row: wanted.row.clone(), manifest, rest: taken(wanted.rest) }
    }

    /// What stands for the hash of the item, which nobody has any more: equal for equal objects of the same source.
    fn short_hash(&self, writer: &KindWriter, row: &SegmentRow) -> Result<u64, RepositoryError> {
        if self.thin.is_some() {
            return Ok(row.raw_hash);
        }
        let Lengths { manifest, status, server, redacted } = row.lengths;
        let mut text = format!("kubestash copy {} {:016x}", self.source.inner.config.id, row.raw_hash).into_bytes();
        text.extend_from_slice(&row.manifest_hash);
        for length in [Some(manifest), Some(status), Some(server), redacted].into_iter().flatten() {
            text.extend_from_slice(&length.to_le_bytes());
        }
        writer.short_hash(&text)
    }

    fn damaged(&self, kind: &KindInfo, key: &str, reason: FormatError) -> RepositoryError {
        RepositoryError::Damaged { object: format!("{}/{key} of snapshot {}", kind.group_resource(), self.root.name), reason }
    }

    fn of_object(&self, error: RepositoryError, kind: &KindInfo, key: &str) -> RepositoryError {
        let named = |object: &str| format!("{object}, part of {}/{key} of snapshot {},", kind.group_resource(), self.root.name);
        match error {
            RepositoryError::Missing { object } => RepositoryError::Missing { object: named(&object) },
            RepositoryError::Damaged { object, reason } => RepositoryError::Damaged { object: named(&object), reason },
            error => error,
        }
    }
}

/// Rows of the target's parent, walked beside those of the source to tell what has to be read.
struct Known<'a> {
    rows: Option<MergedRows<'a>>,
    head: Option<SegmentRow>,
}

impl Known<'_> {
    /// Whether the parent has such a row. Keys have to come in ascending order. Where its catalog is damaged it has none: the writer tells.
    fn has(&mut self, key: &str, raw_hash: u64) -> bool {
        while self.head.as_ref().is_none_or(|head| head.key.as_str() < key) {
            let Some(rows) = &mut self.rows else { return false };
            match rows.next() {
                Ok(Some((_, row))) => self.head = Some(row),
                Ok(None) | Err(_) => {
                    (self.rows, self.head) = (None, None);
                    return false;
                }
            }
        }
        self.head.as_ref().is_some_and(|head| head.key == key && head.raw_hash == raw_hash)
    }
}
