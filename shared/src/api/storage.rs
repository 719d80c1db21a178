//! Finding the repositories of a storage.

use super::{BackendMeta, MAX_META, NATIVE_PATH, RepositoryEntry};
use crate::{
    object::ObjectError,
    repository::is_repository,
    store::{Store, StoreError},
};

/// Why the repositories of a storage cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It would erase what is not its own.
    #[error("nothing of {storage} was erased: {reason}")]
    Refused {
        /// The storage.
        storage: String,
        /// What it would have hit, and the way on.
        reason: String,
    },
    /// `metadata.yaml` is something else.
    #[error("cannot read metadata.yaml of {storage}")]
    Meta {
        /// The storage.
        storage: String,
        /// What is wrong with it.
        #[source]
        source: ObjectError,
    },
}

/// The native repositories of a storage, each with its directory: the place itself if it is one, else those that `metadata.yaml` lists.
/// `directory` picks one by its path. No repository is an empty answer.
///
/// # Errors
/// The store's, or a `metadata.yaml` that cannot be read.
pub async fn find_repositories(storage: &Store, directory: Option<&str>) -> Result<Vec<(Store, RepositoryEntry)>, StorageError> {
    if directory.is_none() && is_repository(&storage.sub(NATIVE_PATH)).await? {
        let name = storage.label().rsplit('/').next().unwrap_or_default().to_owned();
        return Ok(vec![(storage.clone(), RepositoryEntry { name: name.clone(), namespace: "default".to_owned(), path: name })]);
    }
    let meta = match storage.get_at_most("metadata.yaml", MAX_META).await {
        Ok(text) => BackendMeta::read(&text).map_err(|source| StorageError::Meta { storage: storage.label().to_owned(), source })?,
        Err(error) if error.is_not_found() => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let mut found = Vec::new();
    for entry in meta.repositories {
        let wanted = directory.is_none_or(|wanted| wanted.trim_matches('/') == entry.path.trim_matches('/'));
        let place = storage.sub(&entry.path);
        // Others may be restic repositories of KubeStash.
        if wanted && is_repository(&place.sub(NATIVE_PATH)).await? {
            found.push((place, entry));
        }
    }
    Ok(found)
}
