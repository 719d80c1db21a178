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
mod catalog;
mod check;
mod choose;
mod crypto;
mod error;
mod format;
mod keys;
mod kind_writer;
mod layers;
mod packer;
mod root;
mod snapshot;
#[cfg(test)]
mod tests;
mod writer;

use std::{collections::HashSet, sync::Arc};

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use catalog::{BlockRange, Catalog, CatalogKind, Part, Row};
pub use check::{CheckDepth, CheckError, CheckReport};
pub use choose::{ChooseError, LATEST, choose};
pub use error::RepositoryError;
pub use format::{BlockId, FormatError, VERSION, segment::Lengths};
pub use keys::{Access, KeyCost, KeyInfo, Password};
pub use kind_writer::KindWriter;
pub use root::{ClusterId, KindOutcome, KindReport, LayerRef, Root, SnapshotId, Stats};
pub use snapshot::{Snapshot, slice};
pub use writer::{BackupOptions, CommitInfo, SnapshotWriter};

use crate::store::{Created, Store, StoreError};
use blocks::Blocks;
use crypto::KeyRing;
use format::{content, hex};
use keys::KeyFile;

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

/// The first line of `config`; the second is its MAC.
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
    ring: KeyRing,
    key_id: String,
    blocks: Blocks,
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
    /// `AlreadyExists` when there is one; `Store`.
    pub async fn init(store: Store, password: &Password, cost: KeyCost, label: &str, now: Timestamp) -> Result<Self, RepositoryError> {
        if store.exists("config").await? {
            return Err(RepositoryError::AlreadyExists { place: store.label().to_owned() });
        }
        let ring = KeyRing::generate()?;
        let config = Config { version: VERSION, id: hex(&crypto::random::<16>()?), created: now, features: Features::default() };
        let line = serde_json::to_string(&config).map_err(|error| RepositoryError::Machine(error.to_string()))?;
        let key_id = put_key(&store, &ring, &config.id, (password, cost, label, now)).await?;
        let text = format!("{line}\n{}\n", ring.config_mac(line.as_bytes())?);
        // The config comes last: without it there is no repository.
        match store.put_new("config", Bytes::from(text)).await? {
            Created::New => Ok(Self::assemble(store, config, ring, key_id)),
            Created::AlreadyThere => Err(RepositoryError::AlreadyExists { place: store.label().to_owned() }),
        }
    }

    /// Opens a repository.
    ///
    /// # Errors
    /// `NotARepository`, `WrongPassword`, `Unsupported`, `Damaged`, `Store`.
    pub async fn open(store: Store, password: &Password) -> Result<Self, RepositoryError> {
        let place = store.label().to_owned();
        let text = match store.get("config").await {
            Err(error) if error.is_not_found() => {
                return Err(RepositoryError::NotARepository { place });
            }
            other => other?,
        };
        let (line, config) = read_config(&text, &place)?;
        let mut readable = 0;
        let mut damaged = None;
        for entry in store.list("keys").await? {
            let id = entry.key.trim_start_matches("keys/").to_owned();
            let file = match store.get(&entry.key).await {
                Err(StoreError::NotFound { .. }) => continue,
                other => other?,
            };
            // Deriving a key takes a good part of a second of one core.
            let (password, repository, own) = (password.clone(), config.id.clone(), id.clone());
            let opened = tokio::task::spawn_blocking(move || KeyFile::decode(&file)?.open(&password, &own, &repository))
                .await
                .map_err(|error| RepositoryError::Machine(error.to_string()))?;
            match opened {
                Ok(Some(ring)) => {
                    if ring.config_mac(line.as_bytes())? != text_mac(&text) {
                        return Err(RepositoryError::Damaged { object: format!("{place}/config"), reason: FormatError::Forged });
                    }
                    return Ok(Self::assemble(store, config, ring, id));
                }
                Ok(None) => readable += 1,
                Err(reason) => damaged = Some(RepositoryError::Damaged { object: format!("{place}/{}", entry.key), reason }),
            }
        }
        // With every readable key refused, a damaged one may have been the right one.
        Err(damaged.unwrap_or(RepositoryError::WrongPassword { place, keys: readable }))
    }

    fn assemble(store: Store, config: Config, ring: KeyRing, key_id: String) -> Self {
        let blocks = Blocks::new(store.clone(), ring.clone());
        Self { inner: Arc::new(Inner { store, config, ring, key_id, blocks }) }
    }

    /// An empty repository in memory with the same data keys: hashes of the two can be compared.
    pub fn scratch(&self) -> Self {
        Self::assemble(Store::memory(), self.inner.config.clone(), self.inner.ring.clone(), self.inner.key_id.clone())
    }

    /// What the repository says of itself.
    pub fn config(&self) -> &Config {
        &self.inner.config
    }

    /// Where it is, as a user would name it.
    pub fn place(&self) -> &str {
        self.inner.store.label()
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

    /// The snapshots that are not among those known already, and the ids of all: for those who look again and again.
    ///
    /// # Errors
    /// `Store`.
    pub async fn snapshots_beside(&self, known: &HashSet<SnapshotId>) -> Result<(SnapshotList, HashSet<SnapshotId>), RepositoryError> {
        use futures::{StreamExt as _, TryStreamExt as _};

        let id_of = |key: &str| key.strip_prefix("roots/").and_then(|id| id.parse::<SnapshotId>().ok());
        let mut listed = self.inner.store.list("roots").await?;
        let ids = listed.iter().filter_map(|entry| id_of(&entry.key)).collect();
        listed.retain(|entry| id_of(&entry.key).is_none_or(|id| !known.contains(&id)));
        let read = futures::stream::iter(listed).map(async |entry| {
            let sealed = match self.inner.store.get(&entry.key).await {
                // Forgotten between listing and reading.
                Err(StoreError::NotFound { .. }) => return Ok(None),
                other => other?,
            };
            let root = self.open_root(&entry.key, &sealed);
            Ok::<_, RepositoryError>(Some((entry.key, root)))
        });
        let mut list = SnapshotList::default();
        for (key, root) in read.buffered(8).try_collect::<Vec<_>>().await?.into_iter().flatten() {
            match root {
                Ok(root) => list.roots.push(root),
                Err(reason) => list.damaged.push((key.clone(), RepositoryError::Damaged { object: key, reason })),
            }
        }
        list.roots.sort_by_key(|root| (root.time, root.id));
        Ok((list, ids))
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
        let json = content::decode(&content, None)?;
        serde_json::from_slice(&json).map_err(|_| FormatError::Invalid("a root that this program cannot read"))
    }

    /// Removes a snapshot. Its data stays until a prune; other snapshots are not touched.
    ///
    /// # Errors
    /// `Store`.
    pub async fn forget(&self, id: SnapshotId) -> Result<(), RepositoryError> {
        Ok(self.inner.store.delete(&format!("roots/{id}")).await?)
    }

    /// All keys; those that cannot be read are left out and counted by `check`'s reading of the store.
    ///
    /// # Errors
    /// `Store`, or `Damaged` for a key file that cannot be read.
    pub async fn keys(&self) -> Result<Vec<KeyInfo>, RepositoryError> {
        let mut keys = Vec::new();
        for entry in self.inner.store.list("keys").await? {
            let file = KeyFile::decode(&self.inner.store.get(&entry.key).await?).map_err(RepositoryError::damaged(entry.key.clone()))?;
            let id = entry.key.trim_start_matches("keys/").to_owned();
            keys.push(KeyInfo { current: id == self.inner.key_id, id, label: file.label, created: file.created, access: file.access });
        }
        keys.sort_by_key(|key| key.created);
        Ok(keys)
    }

    /// Adds a password. With general access it opens everything but the values of Secrets.
    ///
    /// # Errors
    /// `NeedsSensitiveKey` when a password of general access should give full access; `Store`.
    pub async fn add_key(&self, password: &Password, access: Access, cost: KeyCost, label: &str, now: Timestamp) -> Result<String, RepositoryError> {
        let mut ring = self.inner.ring.clone();
        match access {
            Access::General => ring.sensitive.clear(),
            Access::Full if ring.sensitive.is_empty() => {
                return Err(RepositoryError::NeedsSensitiveKey);
            }
            Access::Full => {}
        }
        put_key(&self.inner.store, &ring, &self.inner.config.id, (password, cost, label, now)).await
    }

    /// Removes a key by its id or a unique beginning of it, never the last one with full access.
    ///
    /// # Errors
    /// `NotFound`, `LastKey`, `Store`.
    pub async fn remove_key(&self, id: &str) -> Result<String, RepositoryError> {
        let keys = self.keys().await?;
        let mut matching = keys.iter().filter(|key| key.id.starts_with(id));
        let (Some(key), None) = (matching.next(), matching.next()) else {
            return Err(RepositoryError::NotFound { what: format!("one key whose id begins with {id}") });
        };
        if key.access == Access::Full && keys.iter().filter(|key| key.access == Access::Full).count() == 1 {
            return Err(RepositoryError::LastKey { id: key.id.clone() });
        }
        self.inner.store.delete(&format!("keys/{}", key.id)).await?;
        Ok(key.id.clone())
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

fn text_mac(text: &[u8]) -> &str {
    text.split(|&byte| byte == b'\n').nth(1).and_then(|line| std::str::from_utf8(line).ok()).unwrap_or_default()
}

fn read_config(text: &[u8], place: &str) -> Result<(String, Config), RepositoryError> {
    let damaged = |what| RepositoryError::Damaged { object: format!("{place}/config"), reason: FormatError::Invalid(what) };
    let line = text.split(|&byte| byte == b'\n').next().and_then(|line| std::str::from_utf8(line).ok()).unwrap_or_default();
    let config: Config = serde_json::from_str(line).map_err(|_| damaged("something that is not a config"))?;
    let unsupported = |found: String, supported: String| RepositoryError::Unsupported { place: place.to_owned(), found, supported };
    if config.version != VERSION {
        return Err(unsupported(format!("format version {}", config.version), format!("version {VERSION}")));
    }
    // Nothing is known yet that an older program could read past, so both lists refuse.
    let needed = config.features.incompatible.iter().chain(&config.features.read_only_compatible);
    if let Some(feature) = needed.into_iter().find(|feature| !KNOWN_FEATURES.contains(&feature.as_str())) {
        return Err(unsupported(format!("the feature {feature}"), "no optional feature".to_owned()));
    }
    Ok((line.to_owned(), config))
}
