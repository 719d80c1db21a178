//! An opened snapshot: its catalog in memory, its objects on demand.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;

use super::{
    Access, BlockRange, Catalog, Part, Repository, RepositoryError, Root,
    catalog_packs::CatalogPacks,
    format::{BlockId, FormatError, MAX_LAYERS, segment, top},
};
use crate::object;

/// One snapshot. Cloning is cheap.
#[derive(Clone)]
pub struct Snapshot {
    repository: Repository,
    root: Arc<Root>,
    catalog: Arc<Catalog>,
    /// Which rows of the whole catalog are in `catalog`, where those are not all.
    rows: Option<Arc<[u32]>>,
}

impl Repository {
    /// Loads the catalog of a snapshot: from the packs that its root names, without any index. Where they do not serve any more, the index
    /// says where its blocks are. A snapshot that a prune has written again since its root was read is opened as it lies now.
    ///
    /// # Errors
    /// `Missing` or `Damaged` when its catalog cannot be read.
    pub async fn open_snapshot(&self, root: &Root) -> Result<Snapshot, RepositoryError> {
        match self.open_as_read(root).await {
            Err(error) if error.is_damage() => match self.moved(root).await? {
                Some(now) => self.open_as_read(&now).await,
                None => Err(error),
            },
            opened => opened,
        }
    }

    async fn open_as_read(&self, root: &Root) -> Result<Snapshot, RepositoryError> {
        check_layers(root)?;
        let packs = self.inner.blocks.catalog_packs(root).await?;
        self.open_with(root, &packs).await
    }

    /// The root as it is now, if a prune has written the snapshot again.
    pub(super) async fn moved(&self, root: &Root) -> Result<Option<Root>, RepositoryError> {
        match self.snapshot(root.id).await {
            Err(error) if error.is_damage() => Ok(None),
            now => Ok(now?.filter(|now| now.layers != root.layers)),
        }
    }

    /// The same by the index alone, as anybody has to who comes later: for those who look whether all is there.
    pub(super) async fn open_indexed(&self, root: &Root) -> Result<Snapshot, RepositoryError> {
        self.open_with(root, &CatalogPacks::default()).await
    }

    async fn open_with(&self, root: &Root, packs: &CatalogPacks) -> Result<Snapshot, RepositoryError> {
        let opened = async {
            let tops = self.tops_from(root, packs).await?;
            let segments: Vec<BlockId> =
                tops.iter().flat_map(|top| &top.kinds).flat_map(|kind| &kind.segments).map(|segment| segment.block).collect();
            let (mut stored, mut elsewhere) = (HashMap::new(), Vec::new());
            for id in segments {
                match packs.get(&self.inner.blocks, id).await? {
                    Some(raw) => drop(stored.insert(id, raw)),
                    None => elsewhere.push(id),
                }
            }
            stored.extend(self.inner.blocks.get_many(&elsewhere).await?);
            let mut load = |wanted: &top::SegmentRef| decode_segment(wanted, &stored);
            Catalog::build(&tops, &mut load)
        };
        match opened.await {
            Err(RepositoryError::Missing { object }) => Err(RepositoryError::Missing { object: in_catalog(&object, root) }),
            // An index file that cannot be read is no part of it.
            Err(RepositoryError::Damaged { object, reason }) if !object.starts_with("index/") => {
                Err(RepositoryError::Damaged { object: in_catalog(&object, root), reason })
            }
            catalog => Ok(Snapshot { repository: self.clone(), root: Arc::new(root.clone()), catalog: Arc::new(catalog?), rows: None }),
        }
    }

    /// The blocks that a snapshot's catalog itself lies in.
    pub(super) async fn catalog_blocks(&self, root: &Root) -> Result<Vec<BlockId>, RepositoryError> {
        let tops = self.tops(root).await?;
        let segments = tops.iter().flat_map(|top| &top.kinds).flat_map(|kind| &kind.segments).map(|segment| segment.block);
        Ok(root.layers.iter().map(|layer| layer.top).chain(segments).collect())
    }

    /// The tables of a snapshot's layers, base first.
    pub(super) async fn tops(&self, root: &Root) -> Result<Vec<Arc<top::LayerTop>>, RepositoryError> {
        self.tops_from(root, &CatalogPacks::default()).await
    }

    async fn tops_from(&self, root: &Root, packs: &CatalogPacks) -> Result<Vec<Arc<top::LayerTop>>, RepositoryError> {
        check_layers(root)?;
        let mut tops = Vec::new();
        for layer in &root.layers {
            let raw = match packs.get(&self.inner.blocks, layer.top).await? {
                Some(raw) => raw,
                None => self.inner.blocks.get(layer.top).await?,
            };
            tops.push(Arc::new(top::decode(&raw).map_err(RepositoryError::damaged(TABLE))?));
        }
        Ok(tops)
    }
}

const TABLE: &str = "the table of a layer";

pub(super) fn check_layers(root: &Root) -> Result<(), RepositoryError> {
    let (found, maximum) = (root.layers.len() as u64, MAX_LAYERS as u64);
    if found <= maximum {
        return Ok(());
    }
    Err(RepositoryError::Damaged { object: TABLE.to_owned(), reason: FormatError::TooLarge { what: "the number of layers", found, maximum } })
}

/// Says of a damaged block which snapshot cannot be opened for it.
pub(super) fn in_catalog(object: &str, root: &Root) -> String {
    format!("{object}, part of the catalog of snapshot {},", root.name)
}

pub(super) fn decode_segment(wanted: &top::SegmentRef, stored: &HashMap<BlockId, Bytes>) -> Result<Vec<segment::SegmentRow>, RepositoryError> {
    let named = || format!("catalog block {}", wanted.block);
    let raw = stored.get(&wanted.block).ok_or_else(|| RepositoryError::Missing { object: named() })?;
    let rows = segment::decode(raw).map_err(RepositoryError::damaged(named()))?;
    if rows.len() != wanted.rows as usize {
        return Err(RepositoryError::Damaged { object: named(), reason: FormatError::Invalid("another number of rows than its table says") });
    }
    Ok(rows)
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Snapshot({})", self.root.name)
    }
}

impl Snapshot {
    /// The snapshot as it lies now, if a prune has written it again since it was opened: the same objects in the same order, so that numbers of
    /// rows stay. For those who have one open for days and miss a block.
    ///
    /// # Errors
    /// As [`Repository::open_snapshot`].
    pub async fn moved(&self) -> Result<Option<Self>, RepositoryError> {
        match self.repository.moved(&self.root).await? {
            Some(now) => {
                let whole = self.repository.open_snapshot(&now).await?;
                Ok(Some(match &self.rows {
                    Some(rows) => whole.only(rows),
                    None => whole,
                }))
            }
            None => Ok(None),
        }
    }

    /// The same snapshot with only some of its rows, given in ascending order. They are numbered anew.
    #[must_use]
    pub fn only(&self, rows: &[u32]) -> Self {
        let whole: Arc<[u32]> = match &self.rows {
            Some(own) => rows.iter().filter_map(|&row| own.get(row as usize).copied()).collect(),
            None => rows.into(),
        };
        Self { catalog: Arc::new(self.catalog.only(rows)), rows: Some(whole), ..self.clone() }
    }

    /// What is known without the catalog.
    pub fn root(&self) -> &Root {
        &self.root
    }

    /// The repository that it is in.
    pub fn repository(&self) -> &Repository {
        &self.repository
    }

    /// All its objects.
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// The same, to be shared.
    pub fn shared_catalog(&self) -> Arc<Catalog> {
        Arc::clone(&self.catalog)
    }

    /// Whether values of Secrets can be read.
    pub fn access(&self) -> Access {
        self.repository.access()
    }

    /// The raw bytes of a block. Concurrent callers share one fetch, and the last blocks stay in memory.
    ///
    /// # Errors
    /// `Missing` or `Damaged` when the block cannot be read, `NeedsSensitiveKey`, or `Store`.
    pub async fn block(&self, id: BlockId) -> Result<Bytes, RepositoryError> {
        self.repository.inner.blocks.get(id).await
    }

    /// The raw bytes of a block if they are in memory.
    pub fn cached_block(&self, id: BlockId) -> Option<Bytes> {
        self.repository.inner.blocks.cached(id)
    }

    /// Whether [`Snapshot::bring`] does anything: there is a disk cache, as there is for stores that are far away.
    pub fn brings(&self) -> bool {
        self.repository.inner.blocks.brings()
    }

    /// Brings blocks into the disk cache, near ones of a pack in one request. Whoever needs one of them meanwhile waits for it. What cannot be
    /// read is left to who needs it.
    pub async fn bring(&self, blocks: &[BlockId]) {
        self.repository.inner.blocks.bring(blocks).await;
    }

    async fn bytes(&self, place: Option<BlockRange>) -> Result<Bytes, RepositoryError> {
        let Some(place) = place else {
            return Ok(Bytes::new());
        };
        slice(&self.block(place.block).await?, place)
    }

    /// One part of an object; empty for a part that it does not have.
    ///
    /// # Errors
    /// As [`Snapshot::block`].
    pub async fn read(&self, row: u32, part: Part) -> Result<Bytes, RepositoryError> {
        self.bytes(self.catalog.place(row, part)).await
    }

    /// What one would apply; of sensitive objects the redacted form when the password does not open more.
    ///
    /// # Errors
    /// As [`Snapshot::block`].
    pub async fn manifest(&self, row: u32) -> Result<Bytes, RepositoryError> {
        let hidden = self.access() == Access::General && self.catalog.row(row).is_some_and(|row| row.sensitive);
        self.read(row, if hidden { Part::Redacted } else { Part::Manifest }).await
    }

    /// The whole object, as `kubectl get -o yaml --show-managed-fields` prints it.
    ///
    /// # Errors
    /// As [`Snapshot::block`].
    pub async fn whole(&self, row: u32) -> Result<Bytes, RepositoryError> {
        let (manifest, status, server) =
            (self.read(row, Part::Manifest).await?, self.read(row, Part::Status).await?, self.read(row, Part::Server).await?);
        let named = || self.catalog.row(row).map_or_else(|| format!("row {row}"), |row| row.id().to_string());
        object::merge(&manifest, &status, &server).map(Bytes::from).map_err(|source| RepositoryError::Object { object: named(), source })
    }

    /// Manifest and status as one document.
    ///
    /// # Errors
    /// As [`Snapshot::block`].
    pub async fn with_status(&self, row: u32) -> Result<Bytes, RepositoryError> {
        let (manifest, status) = (self.read(row, Part::Manifest).await?, self.read(row, Part::Status).await?);
        Ok(object::with_status(&manifest, &status).into())
    }
}

/// A part of a decoded block.
///
/// # Errors
/// `Damaged` when the catalog points outside of the block.
pub fn slice(block: &Bytes, place: BlockRange) -> Result<Bytes, RepositoryError> {
    let (start, length) = (place.offset as usize, place.length as usize);
    let end = start.checked_add(length).filter(|&end| end <= block.len());
    let Some(end) = end else {
        return Err(RepositoryError::Damaged { object: format!("block {}", place.block), reason: FormatError::Truncated });
    };
    Ok(block.slice(start..end))
}
