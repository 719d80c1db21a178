//! The native repository: encrypted, deduplicated, append-only. `docs/format.md` is its specification.
//!
//! ```text
//! config · keys/<id> · packs/<2 hex>/<hash> · index/<hash> · roots/<ULID>
//! ```
//! A [`Repository`] is opened with a [`Password`]; [`Repository::backup`] gives a [`SnapshotWriter`], [`Repository::open_snapshot`] a
//! [`Snapshot`]. Everything read from the store is authenticated and bounded; damage is an error that names the object, and what is not
//! damaged stays readable.

mod blocks;
mod cache;
#[cfg(test)]
mod cache_tests;
mod catalog;
mod catalog_packs;
mod check;
mod choose;
mod coming;
pub mod copy;
mod crypto;
mod dictionaries;
#[cfg(test)]
mod dictionaries_tests;
mod disk_cache;
mod error;
#[cfg(test)]
mod flips_tests;
mod format;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod gather;
mod keys;
mod kind_writer;
#[cfg(any(test, feature = "test-faults"))]
mod layered;
mod layers;
#[cfg(test)]
mod layers_tests;
#[cfg(test)]
mod opening_tests;
mod packer;
pub mod prune;
pub mod repair;
pub mod retention;
mod root;
mod rotate;
#[cfg(test)]
mod rotate_tests;
mod snapshot;
#[cfg(test)]
mod tests;
mod writer;

use std::{collections::HashSet, sync::Arc};

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use catalog::{BlockRange, Catalog, CatalogKind, Part, Row};
pub use check::{CheckDepth, CheckError, CheckReport, Percent};
pub use choose::{ChooseError, LATEST, choose};
pub use disk_cache::DiskCache;
pub use error::RepositoryError;
pub use format::{BlockId, FormatError, VERSION, segment::Lengths};
pub use keys::{Access, KeyCost, KeyInfo, KeyList, Password};
pub use kind_writer::KindWriter;
pub use root::{ClusterId, Gaps, KindOutcome, KindReport, LayerRef, PackRef, Root, SnapshotId, Stats};
pub use rotate::Rotation;
pub use snapshot::{Snapshot, slice};
pub use writer::{BackupOptions, CommitInfo, SnapshotWriter};

use crate::store::{Created, Entry, Store, StoreError, Traffic};
use blocks::{Blocks, damage_of};
use crypto::{DataKey, KeyRing};
use disk_cache::RepositoryCache;
use format::{MAX_HEADER_FILE, MAX_SEALED, content, hex, structure};
use keys::{KeyFile, KeyHeader};

/// Features that this program knows. None yet.
const KNOWN_FEATURES: [&str; 0] = [];

#[derive(Debug, Clone, Serialize, Deserialize, Default)]
struct Features {
    /// An older program may ignore these.
    #[serde(default)]
    compatible: Vec<String>,
    /// An older program may read, and must not write.
    #[serde(default)]
    read_only_compatible: Vec<String>,
    /// An older program must not even read.
    #[serde(default)]
    incompatible: Vec<String>,
}

/// The first line of `config`; the second is its MAC, the third a checksum that tells damage from a wrong password.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Config {
    version: u32,
    /// Random, 32 hex digits.
    pub id: String,
    /// When the repository was made.
    pub created: Timestamp,
    #[serde(default)]
    features: Features,
}

struct Inner {
    store: Store,
    config: Config,
    /// A feature for whose sake this program must not write.
    read_only: Option<String>,
    ring: KeyRing,
    key_id: String,
    blocks: Blocks,
    disk: Option<RepositoryCache>,
}

/// An opened repository. Cloning is cheap.
#[derive(Clone)]
pub struct Repository {
    inner: Arc<Inner>,
}

impl std::fmt::Debug for Repository {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Repository({})", self.inner.store.label())
    }
}

/// What reading from a repository has cost since it was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reading {
    /// What was asked of the store.
    pub store: Traffic,
    /// Blocks that were decrypted and decompressed.
    pub decoded: u64,
    /// Bytes of decoded blocks that are kept in memory.
    pub kept_bytes: u64,
    /// The most that may be.
    pub kept_limit: u64,
    /// Files that the cache on this machine had.
    pub disk_hits: u64,
    /// Files that it was asked for and did not have.
    pub disk_misses: u64,
}

/// The snapshots of a repository.
#[derive(Debug, Default)]
pub struct SnapshotList {
    /// Oldest first.
    pub roots: Vec<Root>,
    /// Roots that cannot be read: the object and why.
    pub damaged: Vec<(String, RepositoryError)>,
}

impl Repository {
    /// Makes a new repository with one key of full access.
    ///
    /// # Errors
    /// `AlreadyExists` when there is one, `ConfigMissing` when there is data of one; `Store`.
    pub async fn init(store: Store, password: &Password, cost: KeyCost, label: &str, now: Timestamp) -> Result<Self, RepositoryError> {
        if store.exists("config").await? {
            return Err(RepositoryError::AlreadyExists { place: store.label().to_owned() });
        }
        if has_data(&store).await? {
            return Err(RepositoryError::ConfigMissing { place: store.label().to_owned() });
        }
        store.detect_conditions().await?;
        let ring = KeyRing::generate()?;
        let config = Config { version: VERSION, id: hex(&crypto::random::<16>()?), created: now, features: Features::default() };
        let line = serde_json::to_string(&config).map_err(|error| RepositoryError::Machine(error.to_string()))?;
        let key_id = put_key(&store, &ring, &config.id, (password, cost, label, now)).await?;
        let text = write_config(&line, &ring.config_mac(line.as_bytes())?);
        // The config comes last: without it there is no repository.
        match store.put_new("config", Bytes::from(text)).await? {
            Created::New => Ok(Self::assemble(store, config, None, ring, key_id)),
            Created::AlreadyThere => Err(RepositoryError::AlreadyExists { place: store.label().to_owned() }),
        }
    }

    /// Opens a repository.
    ///
    /// # Errors
    /// `NotARepository`, `ConfigMissing`, `WrongPassword`, `Unsupported`, `Damaged`, `Store`.
    pub async fn open(store: Store, password: &Password) -> Result<Self, RepositoryError> {
        let place = store.label().to_owned();
        let text = match store.get_at_most("config", MAX_HEADER_FILE).await {
            Err(error) if error.is_not_found() => {
                let data = has_data(&store).await?;
                return Err(if data { RepositoryError::ConfigMissing { place } } else { RepositoryError::NotARepository { place } });
            }
            other => other.map_err(|error| damage_of(error, &format!("{place}/config")))?,
        };
        let parsed = read_config(&text).map_err(RepositoryError::damaged(format!("{place}/config")))?;
        let read_only = supported(&parsed.config, &place)?;
        let KeyFiles { files, damaged } = read_keys(&store, &parsed.config.id).await?;
        let (readable, mut damaged) = (files.len(), damaged.into_iter().next().map(|(_, error)| error));
        for (id, file) in files {
            match open_key(&Arc::new(file), password, &id).await? {
                Ok(Some(ring)) => {
                    if ring.config_mac(parsed.line.as_bytes())? != parsed.mac {
                        return Err(RepositoryError::Damaged { object: format!("{place}/config"), reason: FormatError::Forged });
                    }
                    return Ok(Self::assemble(store, parsed.config, read_only, ring, id));
                }
                Ok(None) => {}
                Err(reason) => damaged = Some(RepositoryError::Damaged { object: format!("keys/{id}"), reason }),
            }
        }
        // With every readable key refused, a damaged one may have been the right one.
        Err(damaged.unwrap_or(RepositoryError::WrongPassword { place, keys: readable }))
    }

    fn assemble(store: Store, config: Config, read_only: Option<String>, ring: KeyRing, key_id: String) -> Self {
        let blocks = Blocks::new(store.clone(), ring.clone(), None);
        Self { inner: Arc::new(Inner { store, config, read_only, ring, key_id, blocks, disk: None }) }
    }

    fn on_disk(&self, disk: Option<RepositoryCache>) -> Self {
        let Inner { store, config, read_only, ring, key_id, .. } = &*self.inner;
        let (store, config, read_only, ring, key_id) = (store.clone(), config.clone(), read_only.clone(), ring.clone(), key_id.clone());
        let blocks = Blocks::new(store.clone(), ring.clone(), disk.clone());
        Self { inner: Arc::new(Inner { store, config, read_only, ring, key_id, blocks, disk }) }
    }

    /// The same repository; what is read of it is kept on this machine, and looked for there first. Backups, checks, prunes and repairs look
    /// into the store all the same: they have to know what is there.
    #[must_use]
    pub fn with_cache(&self, cache: &DiskCache) -> Self {
        self.on_disk(cache.of(&self.inner.config.id))
    }

    /// The same repository as it is in the store.
    fn uncached(&self) -> Self {
        if self.inner.disk.is_some() { self.on_disk(None) } else { self.clone() }
    }

    /// Every operation that writes asks here first.
    fn writable(&self) -> Result<(), RepositoryError> {
        match &self.inner.read_only {
            Some(found) => Err(RepositoryError::ReadOnly { place: self.place().to_owned(), found: found.clone() }),
            None => Ok(()),
        }
    }

    /// An empty repository in memory with the same data keys: hashes of the two can be compared.
    ///
    /// A password of general access could keep no Secrets. It gets a sensitive key made for the moment, whose hashes compare with none, and
    /// [`Repository::seen_with`] takes it away again.
    ///
    /// # Errors
    /// `Machine` when the system gives no random bytes.
    pub fn scratch(&self) -> Result<Self, RepositoryError> {
        let mut ring = self.inner.ring.clone();
        if ring.sensitive.is_empty() {
            ring.sensitive.push(DataKey::generate()?);
        }
        Ok(Self::assemble(Store::memory(), self.inner.config.clone(), None, ring, self.inner.key_id.clone()))
    }

    /// This repository with the data keys that `other` has opened: a holder of general access sees Secrets of a scratch repository as redacted
    /// as stored ones.
    #[must_use]
    pub fn seen_with(&self, other: &Self) -> Self {
        Self::assemble(self.inner.store.clone(), self.inner.config.clone(), None, other.inner.ring.clone(), other.inner.key_id.clone())
    }

    /// What the repository says of itself.
    pub fn config(&self) -> &Config {
        &self.inner.config
    }

    /// Where it is, as a user would name it.
    pub fn place(&self) -> &str {
        self.inner.store.label()
    }

    /// What reading has cost so far, by all clones together.
    pub fn reading(&self) -> Reading {
        self.inner.blocks.reading()
    }

    /// How much the password opens.
    pub fn access(&self) -> Access {
        if self.inner.ring.sensitive.is_empty() { Access::General } else { Access::Full }
    }

    /// All snapshots, oldest first. A root that cannot be read is reported beside them.
    ///
    /// # Errors
    /// `Store`.
    pub async fn snapshots(&self) -> Result<SnapshotList, RepositoryError> {
        self.snapshots_beside(&HashSet::new()).await.map(|(list, _)| list)
    }

    /// Bytes of a block. For those that know where an object lies and have its snapshot not open.
    ///
    /// # Errors
    /// `Missing` or `Damaged` when the block cannot be read, `NeedsSensitiveKey`, or `Store`.
    pub async fn read(&self, place: BlockRange) -> Result<Bytes, RepositoryError> {
        slice(&self.inner.blocks.get(place.block).await?, place)
    }

    /// The snapshots that are not among those known already, and the ids of all: for those who look again and again.
    ///
    /// # Errors
    /// `Store`.
    pub async fn snapshots_beside(&self, known: &HashSet<SnapshotId>) -> Result<(SnapshotList, HashSet<SnapshotId>), RepositoryError> {
        use futures::{StreamExt as _, TryStreamExt as _};

        let mut listed = self.inner.store.list("roots").await?;
        let ids = listed.iter().filter_map(|entry| id_of(&entry.key)).collect();
        listed.retain(|entry| id_of(&entry.key).is_none_or(|id| !known.contains(&id)));
        let read = futures::stream::iter(listed).map(async |entry| match self.read_root(&entry).await {
            // Forgotten between listing and reading.
            Ok(None) => Ok(None),
            Err(error) if !error.is_damage() => Err(error),
            root => Ok(root.transpose().map(|root| (entry.key, root))),
        });
        let mut list = SnapshotList::default();
        for (key, root) in read.buffered(8).try_collect::<Vec<_>>().await?.into_iter().flatten() {
            match root {
                Ok(root) => list.roots.push(root),
                Err(error) => list.damaged.push((key, error)),
            }
        }
        list.roots.sort_by_key(|root| (root.time, root.id));
        Ok((list, ids))
    }

    /// The newest snapshot, without a look at the others: an id begins with the time of its snapshot. Nothing where there is none, or where
    /// it cannot be read, so that [`Repository::snapshots`] has to tell.
    ///
    /// # Errors
    /// `Store`.
    pub async fn newest(&self) -> Result<Option<Root>, RepositoryError> {
        let listed = self.inner.store.list("roots").await?;
        let mut ids: Vec<(SnapshotId, &Entry)> = listed.iter().filter_map(|entry| Some((id_of(&entry.key)?, entry))).collect();
        ids.sort_by_key(|(id, _)| *id);
        // Of those of one millisecond only their roots tell.
        let time = ids.last().map(|(id, _)| id.0.timestamp_ms());
        let mut newest: Option<Root> = None;
        for (_, entry) in ids.into_iter().rev().take_while(|(id, _)| Some(id.0.timestamp_ms()) == time) {
            match self.read_root(entry).await {
                Err(error) if error.is_damage() => return Ok(None),
                root => newest = newest.into_iter().chain(root?).max_by_key(|root| (root.time, root.id)),
            }
        }
        Ok(newest)
    }

    /// A snapshot by its id, if there is one.
    ///
    /// # Errors
    /// `Damaged`, `Store`.
    pub async fn snapshot(&self, id: SnapshotId) -> Result<Option<Root>, RepositoryError> {
        Ok(self.fetch_root(&format!("roots/{id}")).await?.map(|(root, _)| root))
    }

    /// A root that was listed; nothing for one that is not there any more.
    async fn read_root(&self, listed: &Entry) -> Result<Option<Root>, RepositoryError> {
        let Some(disk) = &self.inner.disk else { return Ok(self.fetch_root(&listed.key).await?.map(|(root, _)| root)) };
        let name = disk_cache::root_name(listed);
        if let Some(sealed) = disk.get(&name, MAX_SEALED).await {
            match self.open_root(&listed.key, &sealed) {
                Ok(root) => return Ok(Some(root)),
                Err(_) => disk.remove(&name).await,
            }
        }
        let Some((root, sealed)) = self.fetch_root(&listed.key).await? else { return Ok(None) };
        disk.put(&name, vec![sealed]).await;
        Ok(Some(root))
    }

    /// A root as it is in the store, with its stored bytes.
    async fn fetch_root(&self, key: &str) -> Result<Option<(Root, Bytes)>, RepositoryError> {
        let sealed = match self.inner.store.get_at_most(key, MAX_SEALED).await {
            Err(StoreError::NotFound { .. }) => return Ok(None),
            sealed => sealed.map_err(|error| damage_of(error, key))?,
        };
        let root = self.open_root(key, &sealed).map_err(RepositoryError::damaged(key))?;
        Ok(Some((root, sealed)))
    }

    fn seal_root(&self, root: &Root) -> Result<(String, Vec<u8>), RepositoryError> {
        let key = format!("roots/{}", root.id);
        let json = serde_json::to_vec(root).map_err(|error| RepositoryError::Machine(error.to_string()))?;
        let mut compressor = content::Compressor::new().map_err(|error| RepositoryError::Machine(error.to_string()))?;
        let sealed = self.inner.ring.seal(false, &compressor.encode(&json), root_binding(&key).as_bytes())?;
        Ok((key, sealed))
    }

    fn open_root(&self, key: &str, sealed: &[u8]) -> Result<Root, FormatError> {
        let content = self.inner.ring.open(false, sealed, root_binding(key).as_bytes())?;
        let json = structure::decode(&content)?;
        let root: Root = serde_json::from_slice(&json).map_err(|_| FormatError::Invalid("a root that this program cannot read"))?;
        if key != format!("roots/{}", root.id) { Err(FormatError::Misnamed) } else { Ok(root) }
    }

    /// Writes a root in the place of the one of the same id; `false` where the snapshot was forgotten, or the store lets nothing be replaced. Who
    /// forgets it in this very moment may find it there again.
    async fn replace_root(&self, root: &Root) -> Result<bool, RepositoryError> {
        let (key, sealed) = self.seal_root(root)?;
        if !self.inner.store.exists(&key).await? {
            return Ok(false);
        }
        Ok(prune::replace_allowed(&self.inner.store, &key, Bytes::from(sealed)).await?)
    }

    /// Removes a snapshot. Its data stays until a prune; other snapshots are not touched.
    ///
    /// # Errors
    /// `ReadOnly`, `Store`.
    pub async fn forget(&self, id: SnapshotId) -> Result<(), RepositoryError> {
        self.writable()?;
        Ok(self.inner.store.delete(&format!("roots/{id}")).await?)
    }

    /// All keys, oldest first. A key file that cannot be read is reported beside them.
    ///
    /// # Errors
    /// `Store`.
    pub async fn keys(&self) -> Result<KeyList, RepositoryError> {
        let KeyFiles { files, damaged } = read_keys(&self.inner.store, &self.inner.config.id).await?;
        let mut keys: Vec<KeyInfo> = files.into_iter().map(|(id, file)| self.key_info(id, file.header)).collect();
        keys.sort_by_key(|key| key.created);
        Ok(KeyList { keys, damaged })
    }

    fn key_info(&self, id: String, header: KeyHeader) -> KeyInfo {
        let KeyHeader { label, created, access, data_keys, .. } = header;
        KeyInfo { current: id == self.inner.key_id, id, label, created, access, data_keys }
    }

    /// Adds a password. With general access it opens everything but the values of Secrets.
    ///
    /// # Errors
    /// `NeedsSensitiveKey` when a password of general access should give full access; `Store`.
    pub async fn add_key(&self, password: &Password, access: Access, cost: KeyCost, label: &str, now: Timestamp) -> Result<String, RepositoryError> {
        self.writable()?;
        let ring = match access {
            Access::General => self.inner.ring.general_only(),
            Access::Full if self.access() == Access::General => return Err(RepositoryError::NeedsSensitiveKey),
            Access::Full => self.inner.ring.clone(),
        };
        put_key(&self.inner.store, &ring, &self.inner.config.id, (password, cost, label, now)).await
    }

    /// Puts another password in the place of the one that opened the repository, with the same access and label. The new key is there before the
    /// old one goes: who is interrupted in between has both. Returns the ids of the old key and the new one.
    ///
    /// # Errors
    /// `ReadOnly`, `Store`; a key of one's own that is not there any more is no error.
    pub async fn change_key(&self, password: &Password, cost: KeyCost, now: Timestamp) -> Result<(String, String), RepositoryError> {
        self.writable()?;
        let old = self.inner.key_id.clone();
        let label = self.keys().await?.keys.into_iter().find(|key| key.id == old).map(|key| key.label).unwrap_or_default();
        let new = put_key(&self.inner.store, &self.inner.ring, &self.inner.config.id, (password, cost, &label, now)).await?;
        self.inner.store.delete(&format!("keys/{old}")).await?;
        Ok((old, new))
    }

    /// Removes a key by its id or a unique beginning of it, never the last one with full access to all data keys. Also removes a damaged one.
    ///
    /// # Errors
    /// `NotFound`, `LastKey`, `ReadOnly`, `Store`.
    pub async fn remove_key(&self, id: &str) -> Result<String, RepositoryError> {
        self.writable()?;
        let list = self.keys().await?;
        let all = list.keys.iter().map(|key| &key.id).chain(list.damaged.iter().map(|(id, _)| id));
        let mut matching = all.filter(|own| own.starts_with(id));
        let (Some(own), None) = (matching.next(), matching.next()) else {
            return Err(RepositoryError::NotFound { what: format!("one key whose id begins with {id}") });
        };
        // Where a rotation was cut off only some open what is newest.
        let newest = list.keys.iter().map(|key| key.data_keys).max();
        let opens_all = |key: &&KeyInfo| key.access == Access::Full && Some(key.data_keys) == newest;
        let mut opening = list.keys.iter().filter(opens_all);
        if opening.next().is_some_and(|key| key.id == *own) && opening.next().is_none() {
            return Err(RepositoryError::LastKey { id: own.clone() });
        }
        self.inner.store.delete(&format!("keys/{own}")).await?;
        Ok(own.clone())
    }
}

/// Whether this is the place of a native repository, be it a damaged one.
///
/// # Errors
/// The store's.
pub async fn is_repository(store: &Store) -> Result<bool, StoreError> {
    match store.some_name().await? {
        Some(None) => return Ok(false),
        Some(Some(name)) if name == "config" || ["index/", "packs/", "roots/"].iter().any(|folder| name.starts_with(folder)) => return Ok(true),
        // What an `init` left that was cut off, or a store that names others first.
        Some(Some(_)) | None => {}
    }
    Ok(store.exists("config").await? || has_data(store).await?)
}

/// Whether snapshots or their data are there. Keys alone are left over from an `init` that was cut off.
async fn has_data(store: &Store) -> Result<bool, StoreError> {
    for folder in ["roots", "index", "packs"] {
        if !store.list(folder).await?.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

fn id_of(key: &str) -> Option<SnapshotId> {
    key.strip_prefix("roots/").and_then(|id| id.parse().ok())
}

/// The key files by their ids, those with the most data keys first, and those that cannot be read.
#[derive(Default)]
struct KeyFiles {
    files: Vec<(String, KeyFile)>,
    damaged: Vec<(String, RepositoryError)>,
}

async fn read_keys(store: &Store, repository: &str) -> Result<KeyFiles, RepositoryError> {
    let mut keys = KeyFiles::default();
    for entry in store.list("keys").await? {
        let id = entry.key.trim_start_matches("keys/").to_owned();
        match read_key(store, &entry.key, repository).await {
            Ok(file) => keys.files.extend(file.map(|file| (id, file))),
            Err(error) if error.is_damage() => keys.damaged.push((id, error)),
            Err(error) => return Err(error),
        }
    }
    keys.files.sort_by_key(|(_, file)| std::cmp::Reverse(file.header.data_keys));
    Ok(keys)
}

/// The data keys of a file, or nothing for another's password. Deriving its key takes a good part of a second of one core.
async fn open_key(file: &Arc<KeyFile>, password: &Password, id: &str) -> Result<Result<Option<KeyRing>, FormatError>, RepositoryError> {
    let (file, password, id) = (Arc::clone(file), password.clone(), id.to_owned());
    tokio::task::spawn_blocking(move || file.open(&password, &id)).await.map_err(|error| RepositoryError::Machine(error.to_string()))
}

/// Nothing for a key file that was removed since it was listed.
async fn read_key(store: &Store, key: &str, repository: &str) -> Result<Option<KeyFile>, RepositoryError> {
    match store.get_at_most(key, MAX_HEADER_FILE).await {
        Err(StoreError::NotFound { .. }) => Ok(None),
        Err(error) => Err(damage_of(error, key)),
        Ok(file) => KeyFile::decode(&file, repository).map(Some).map_err(RepositoryError::damaged(key)),
    }
}

/// A root is bound to its name.
fn root_binding(key: &str) -> String {
    format!("kubestash {key}")
}

async fn put_key(
    store: &Store,
    ring: &KeyRing,
    repository: &str,
    (password, cost, label, now): (&Password, KeyCost, &str, Timestamp),
) -> Result<String, RepositoryError> {
    let id = hex(&crypto::random::<8>()?);
    let (ring, password, repository, label, own) = (ring.clone(), password.clone(), repository.to_owned(), label.to_owned(), id.clone());
    let file = tokio::task::spawn_blocking(move || KeyFile::seal(&ring, &password, cost, (&own, &repository), &label, now))
        .await
        .map_err(|error| RepositoryError::Machine(error.to_string()))??;
    store.put_new(&format!("keys/{id}"), Bytes::from(file)).await?;
    Ok(id)
}

struct ParsedConfig {
    config: Config,
    /// The config as it is written.
    line: String,
    mac: String,
}

fn write_config(line: &str, mac: &str) -> String {
    let text = format!("{line}\n{mac}\n");
    let sum = blake3::hash(text.as_bytes()).to_hex();
    format!("{text}{sum}\n")
}

fn read_config(text: &[u8]) -> Result<ParsedConfig, FormatError> {
    let wrong = FormatError::Invalid("something that is not a config");
    let text = std::str::from_utf8(text).map_err(|_| wrong.clone())?;
    let [line, mac, ..] = text.split('\n').collect::<Vec<_>>()[..] else {
        return Err(wrong);
    };
    if write_config(line, mac) != text {
        return Err(FormatError::Forged);
    }
    let config = serde_json::from_str(line).map_err(|_| wrong)?;
    Ok(ParsedConfig { config, line: line.to_owned(), mac: mac.to_owned() })
}

/// What this program may do with a repository: nothing, read it (the answer names the feature that forbids writing), or all.
fn supported(config: &Config, place: &str) -> Result<Option<String>, RepositoryError> {
    let unsupported = |found: String, supported: String| RepositoryError::Unsupported { place: place.to_owned(), found, supported };
    if config.version != VERSION {
        return Err(unsupported(format!("format version {}", config.version), format!("version {VERSION}")));
    }
    let unknown = |features: &[String]| features.iter().find(|feature| !KNOWN_FEATURES.contains(&feature.as_str())).cloned();
    if let Some(feature) = unknown(&config.features.incompatible) {
        return Err(unsupported(format!("the feature {feature}"), "no optional feature".to_owned()));
    }
    Ok(unknown(&config.features.read_only_compatible).map(|feature| format!("the feature {feature}")))
}
