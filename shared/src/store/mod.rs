//! Object stores behind one contract: a local folder, S3, Google Cloud Storage, Azure, memory.
//!
//! The promise: an object is seen whole or not at all; deleting what is absent succeeds; [`Store::put_new`] never replaces anything;
//! every call ends within its deadline, and is tried again within a budget of tries and time; every error names the store and the object.
//! `docs/stores.md` is the guide for users.

mod create;
mod error;
#[cfg(any(test, feature = "test-faults"))]
pub mod faults;
mod location;
mod open;
mod options;
mod read;
mod retention;
#[cfg(test)]
mod tests;
mod traffic;

use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::TryStreamExt as _;
use jiff::Timestamp;
use object_store::{
    ObjectStore, ObjectStoreExt as _, PutPayload,
    list::{PaginatedListOptions, PaginatedListStore},
    path::Path,
};
use tokio::sync::{Semaphore, SemaphorePermit};

pub use error::StoreError;
pub use location::Location;
pub use options::{Credentials, OptionsError, Provider, StoreOptions};
pub use traffic::Traffic;

/// Longest time for one call, retries included.
const DEADLINE: Duration = Duration::from_secs(90);
/// The same for asking whether an object is there. It is the first thing that is asked of a store, and one that never answers shall not
/// keep a person waiting.
const FIRST_ANSWER: Duration = Duration::from_secs(20);

/// A place that holds objects. Cloning is cheap.
#[derive(Clone)]
pub struct Store {
    inner: Arc<dyn ObjectStore>,
    /// Of a bucket: the same, asked for listings page by page.
    pages: Option<Arc<dyn PaginatedListStore>>,
    /// Empty, or ending in `/`.
    prefix: String,
    /// As a user would name it.
    label: String,
    deadline: Duration,
    /// One permit for each request that may be under way.
    turns: Option<Arc<Semaphore>>,
    conditions: Arc<create::Conditions>,
    traffic: Arc<traffic::Counters>,
    #[cfg(any(test, feature = "test-faults"))]
    faults: faults::Faults,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Store({})", self.label)
    }
}

/// One listed object.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Name below the store.
    pub key: String,
    /// Length in bytes.
    pub size: u64,
    /// Time of the last change as the store tells it.
    pub modified: Timestamp,
}

/// What [`Store::put_new`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    /// The object is new.
    New,
    /// There was one of that name; it was left alone.
    AlreadyThere,
}

impl Store {
    pub(crate) fn new(inner: Arc<dyn ObjectStore>, prefix: &str, label: impl Into<String>) -> Self {
        let prefix = prefix.trim_matches('/');
        Self {
            inner,
            pages: None,
            prefix: if prefix.is_empty() { String::new() } else { format!("{prefix}/") },
            label: label.into(),
            deadline: DEADLINE,
            turns: None,
            conditions: Arc::default(),
            traffic: Arc::default(),
            #[cfg(any(test, feature = "test-faults"))]
            faults: faults::Faults::default(),
        }
    }

    /// A store that lives as long as its last clone.
    pub fn memory() -> Self {
        let store = Self::plain_memory();
        #[cfg(test)]
        let store = faults::unnoticed(store);
        store
    }

    /// The same for tests that count requests.
    pub(crate) fn plain_memory() -> Self {
        Self { conditions: create::Conditions::kept(), ..Self::new(Arc::new(object_store::memory::InMemory::new()), "", "memory") }
    }

    /// A folder. It is created when `create` is set, and must exist otherwise.
    ///
    /// # Errors
    /// `Unusable` when the folder is not there, not a folder or cannot be created.
    pub fn local(folder: &std::path::Path, create: bool) -> Result<Self, StoreError> {
        let unusable = |reason: String| StoreError::Unusable { store: folder.display().to_string(), reason };
        if create {
            std::fs::create_dir_all(folder).map_err(|error| unusable(format!("the folder cannot be created: {error}")))?;
        }
        if !folder.is_dir() {
            return Err(unusable("there is no such folder".to_owned()));
        }
        let inner = object_store::local::LocalFileSystem::new_with_prefix(folder).map_err(|error| unusable(error.to_string()))?.with_fsync(true);
        Ok(Self { conditions: create::Conditions::kept(), ..Self::new(Arc::new(inner), "", folder.display().to_string()) })
    }

    /// At most so many requests at the same time, of all clones together.
    #[must_use]
    pub fn limited_to(self, requests: Option<NonZeroUsize>) -> Self {
        Self { turns: requests.map(|requests| Arc::new(Semaphore::new(requests.get().min(Semaphore::MAX_PERMITS)))), ..self }
    }

    /// Waiting for a turn does not count against the deadline of a call: those before it have deadlines of their own.
    async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        match &self.turns {
            // It is never closed.
            Some(turns) => turns.acquire().await.ok(),
            None => None,
        }
    }

    /// The part of this store below a folder.
    #[must_use]
    pub fn sub(&self, folder: &str) -> Self {
        let folder = folder.trim_matches('/');
        if folder.is_empty() {
            return self.clone();
        }
        Self { prefix: format!("{}{folder}/", self.prefix), label: format!("{}/{folder}", self.label.trim_end_matches('/')), ..self.clone() }
    }

    /// What was asked of it so far, by all clones together.
    pub fn traffic(&self) -> Traffic {
        self.traffic.so_far()
    }

    /// The store as a user would name it.
    pub fn label(&self) -> &str {
        &self.label
    }

    fn path(&self, key: &str) -> Path {
        Path::from(format!("{}{key}", self.prefix))
    }

    fn failed(&self, key: &str, source: object_store::Error) -> StoreError {
        StoreError::of(self.label.clone(), key.to_owned(), source)
    }

    async fn timed<T>(&self, key: &str, call: impl Future<Output = object_store::Result<T>>) -> Result<T, StoreError> {
        self.within(self.deadline, key, call).await
    }

    async fn within<T>(&self, deadline: Duration, key: &str, call: impl Future<Output = object_store::Result<T>>) -> Result<T, StoreError> {
        let _turn = self.turn().await;
        match tokio::time::timeout(deadline, call).await {
            Ok(result) => result.map_err(|source| self.failed(key, source)),
            Err(_) => Err(StoreError::Timeout { store: self.label.clone(), key: key.to_owned(), seconds: deadline.as_secs() }),
        }
    }

    /// A call that changes nothing.
    async fn reading<T>(&self, key: &str, call: impl Future<Output = object_store::Result<T>>) -> Result<T, StoreError> {
        self.reading_within(self.deadline, key, call).await
    }

    async fn reading_within<T>(&self, deadline: Duration, key: &str, call: impl Future<Output = object_store::Result<T>>) -> Result<T, StoreError> {
        #[cfg(any(test, feature = "test-faults"))]
        self.faults.before_read(&self.label, key).await?;
        self.within(deadline, key, call).await
    }

    /// Writes an object, over one of the same name. For content that its name determines, and for the YAML files beside the repository.
    ///
    /// # Errors
    /// `Full`, `Denied`, `Timeout` or `Other`.
    pub async fn put(&self, key: &str, content: Bytes) -> Result<(), StoreError> {
        #[cfg(any(test, feature = "test-faults"))]
        self.faults.before_put(&self.label, key).await?;
        self.traffic.write(content.len());
        let path = self.path(key);
        self.timed(key, self.inner.put(&path, PutPayload::from(content))).await.map(|_| ())
    }

    /// All objects below a folder, sorted by name.
    ///
    /// # Errors
    /// `Denied`, `Timeout` or `Other`; a folder that is not there is empty.
    pub async fn list(&self, folder: &str) -> Result<Vec<Entry>, StoreError> {
        let path = self.path(folder);
        let found: Vec<_> = match self.reading(folder, self.inner.list(Some(&path)).try_collect()).await {
            Err(error) if error.is_not_found() => Vec::new(),
            other => other?,
        };
        self.traffic.list(found.len());
        let mut entries: Vec<Entry> = found
            .into_iter()
            .filter_map(|meta: object_store::ObjectMeta| {
                let key = meta.location.as_ref().strip_prefix(self.prefix.as_str())?.to_owned();
                let modified = Timestamp::from_millisecond(meta.last_modified.timestamp_millis()).unwrap_or_default();
                Some(Entry { key, size: meta.size, modified })
            })
            .collect();
        entries.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(entries)
    }

    /// One name of those in a bucket, the first in most stores, at the cost of one small request; `None` where stores are asked otherwise.
    ///
    /// # Errors
    /// `Denied`, `Timeout` or `Other`.
    pub async fn some_name(&self) -> Result<Option<Option<String>>, StoreError> {
        let Some(pages) = &self.pages else { return Ok(None) };
        let options = PaginatedListOptions { max_keys: Some(1), ..PaginatedListOptions::default() };
        self.traffic.list(1);
        let call = pages.list_paginated(Some(&self.prefix).filter(|prefix| !prefix.is_empty()).map(String::as_str), options);
        let found = self.reading_within(self.deadline.min(FIRST_ANSWER), "its names", call).await?;
        let name = |meta: &object_store::ObjectMeta| meta.location.as_ref().strip_prefix(self.prefix.as_str()).map(str::to_owned);
        Ok(Some(found.result.objects.first().and_then(name)))
    }

    /// Deletes an object; one that is not there is fine.
    ///
    /// # Errors
    /// `Denied`, `Timeout` or `Other`.
    pub async fn delete(&self, key: &str) -> Result<(), StoreError> {
        #[cfg(any(test, feature = "test-faults"))]
        self.faults.before_delete(&self.label, key).await?;
        self.traffic.delete();
        let path = self.path(key);
        match self.timed(key, self.inner.delete(&path)).await {
            Err(error) if error.is_not_found() => Ok(()),
            other => other,
        }
    }

    /// Whether an object is there.
    ///
    /// # Errors
    /// `Denied`, `Timeout` or `Other`.
    pub async fn exists(&self, key: &str) -> Result<bool, StoreError> {
        self.traffic.read(0);
        let path = self.path(key);
        match self.reading_within(self.deadline.min(FIRST_ANSWER), key, self.inner.head(&path)).await {
            Ok(_) => Ok(true),
            Err(error) if error.is_not_found() => Ok(false),
            Err(error) => Err(error),
        }
    }
}
