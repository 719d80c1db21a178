//! The tree that KubeStash keeps in a storage: who is there, and what a person or another cluster needs to find it again.
//!
//! ```text
//! metadata.yaml                          which directories hold repositories
//! DIRECTORY/repository.yaml              the Repository object
//! DIRECTORY/snapshots/NAME.yaml          the Snapshot object with its status
//! DIRECTORY/kstash/v1/…                  the data: crate::repository
//! ```
//! Commands, operator and Jobs all write it through here. `metadata.yaml` is the one file that is written again and again: two that register
//! repositories of one storage at the same moment can lose one entry, so whoever watches over a storage registers again what is missing.

use futures::{StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;

use crate::{
    api::{BackendMeta, MAX_META, NATIVE_PATH, RepositoryEntry, StorageError},
    repository::SnapshotId,
    store::{Created, Store, StoreError},
};

/// The file at the root of a storage.
pub const METADATA: &str = "metadata.yaml";
/// The file at the root of a directory.
pub const REPOSITORY: &str = "repository.yaml";
/// Bytes of a Snapshot's or Repository's file: far more than the API server takes.
const MAX_OBJECT: u64 = 4 << 20;
/// Requests at the same time.
const PARALLEL: usize = 8;

/// Name of a snapshot's file below its directory.
pub fn snapshot_file(name: &str) -> String {
    format!("snapshots/{name}.yaml")
}

async fn read_meta(storage: &Store) -> Result<Option<BackendMeta>, StorageError> {
    match storage.get_at_most(METADATA, MAX_META).await {
        Ok(text) => BackendMeta::read(&text).map(Some).map_err(|source| StorageError::Meta { storage: storage.label().to_owned(), source }),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// What a storage holds; a storage that is new gets its `metadata.yaml`.
///
/// # Errors
/// The store's, or a `metadata.yaml` of something else, which is left as it is.
pub async fn initialise(storage: &Store, now: Timestamp) -> Result<BackendMeta, StorageError> {
    if let Some(meta) = read_meta(storage).await? {
        return Ok(meta);
    }
    let meta = BackendMeta::new(now);
    match storage.put_new(METADATA, meta.write().into()).await? {
        Created::New => Ok(meta),
        Created::AlreadyThere => Ok(read_meta(storage).await?.unwrap_or(meta)),
    }
}

/// Puts a repository into a storage: its `repository.yaml`, and its entry in `metadata.yaml`. Doing it again changes nothing but what is new.
///
/// # Errors
/// As [`initialise`].
pub async fn register(storage: &Store, entry: &RepositoryEntry, yaml: Vec<u8>, now: Timestamp) -> Result<(), StorageError> {
    storage.sub(&entry.path).put(REPOSITORY, yaml.into()).await?;
    enter(storage, entry, now).await
}

/// Puts the entry of a repository into `metadata.yaml`, in the place of one of the same directory.
///
/// # Errors
/// As [`initialise`].
pub async fn enter(storage: &Store, entry: &RepositoryEntry, now: Timestamp) -> Result<(), StorageError> {
    let mut meta = initialise(storage, now).await?;
    if meta.repositories.contains(entry) {
        return Ok(());
    }
    meta.repositories.retain(|other| other.path.trim_matches('/') != entry.path.trim_matches('/'));
    meta.repositories.push(entry.clone());
    meta.repositories.sort_by(|a, b| a.path.cmp(&b.path));
    storage.put(METADATA, meta.write().into()).await?;
    Ok(())
}

/// Takes a repository's entry out of `metadata.yaml`. None is no error.
///
/// # Errors
/// As [`initialise`].
pub async fn unregister(storage: &Store, path: &str) -> Result<(), StorageError> {
    let Some(mut meta) = read_meta(storage).await? else { return Ok(()) };
    let before = meta.repositories.len();
    meta.repositories.retain(|other| other.path.trim_matches('/') != path.trim_matches('/'));
    if meta.repositories.len() != before {
        storage.put(METADATA, meta.write().into()).await?;
    }
    Ok(())
}

/// Names of all Snapshot objects of a directory.
///
/// # Errors
/// The store's.
pub async fn snapshot_names(directory: &Store) -> Result<Vec<String>, StoreError> {
    let entries = directory.list("snapshots").await?;
    Ok(entries.iter().filter_map(|entry| entry.key.strip_prefix("snapshots/")?.strip_suffix(".yaml").map(str::to_owned)).collect())
}

/// The texts of Snapshot objects of a directory; those that are gone are left out.
///
/// # Errors
/// The store's.
pub async fn snapshot_texts(directory: &Store, names: Vec<String>) -> Result<Vec<(String, bytes::Bytes)>, StoreError> {
    let read = futures::stream::iter(names).map(async |name| match directory.get_at_most(&snapshot_file(&name), MAX_OBJECT).await {
        Ok(text) => Ok(Some((name, text))),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    });
    Ok(read.buffered(PARALLEL).try_collect::<Vec<_>>().await?.into_iter().flatten().collect())
}

/// The text of a directory's Repository object, if there is one.
///
/// # Errors
/// The store's.
pub async fn repository_text(directory: &Store) -> Result<Option<bytes::Bytes>, StoreError> {
    match directory.get_at_most(REPOSITORY, MAX_OBJECT).await {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Removes a snapshot: its root and its file. What only it needed is freed by the next prune, and every other snapshot stays whole. Needs no
/// password. What is not there is no error.
///
/// # Errors
/// The store's.
pub async fn remove_snapshot(directory: &Store, name: &str, id: Option<SnapshotId>) -> Result<(), StoreError> {
    if let Some(id) = id {
        directory.delete(&format!("{NATIVE_PATH}/roots/{id}")).await?;
    }
    directory.delete(&snapshot_file(name)).await
}

/// Erases a repository: everything below its directory, and its entry in `metadata.yaml`. Gives the number of objects.
///
/// # Errors
/// `Refused` for a directory that is the storage itself or that holds another repository's; else as [`initialise`].
pub async fn wipe_repository(storage: &Store, path: &str) -> Result<u64, StorageError> {
    let refused = |reason: String| StorageError::Refused { storage: storage.label().to_owned(), reason };
    let own = path.trim_matches('/');
    if own.is_empty() {
        return Err(refused("the repository has no directory of its own; remove its files by hand".to_owned()));
    }
    let others = read_meta(storage).await?.map(|meta| meta.repositories).unwrap_or_default();
    if let Some(other) = others.iter().find(|other| other.path.trim_matches('/').strip_prefix(own).is_some_and(|below| below.starts_with('/'))) {
        let reason = format!("Repository {}/{} lies below {path}, at {}; erase that one first", other.namespace, other.name, other.path);
        return Err(refused(reason));
    }
    let removed = wipe(&storage.sub(own)).await?;
    unregister(storage, path).await?;
    Ok(removed)
}

/// Erases all repositories that `metadata.yaml` lists, and this file. What else lies in the storage is not ours and stays.
///
/// # Errors
/// As [`wipe_repository`].
pub async fn wipe_storage(storage: &Store) -> Result<u64, StorageError> {
    let Some(meta) = read_meta(storage).await? else { return Ok(0) };
    let mut removed = 0;
    let mut entries = meta.repositories;
    // What lies below another goes before it.
    entries.sort_by_key(|entry| std::cmp::Reverse(entry.path.trim_matches('/').len()));
    for entry in entries {
        removed += wipe_repository(storage, &entry.path).await?;
    }
    storage.delete(METADATA).await?;
    Ok(removed + 1)
}

/// Removes everything below a directory; roots go first, so that what is interrupted is no repository with holes.
async fn wipe(directory: &Store) -> Result<u64, StoreError> {
    let mut removed = 0;
    for folder in [&format!("{NATIVE_PATH}/roots"), ""] {
        let entries = directory.list(folder).await?;
        removed += entries.len() as u64;
        let each = futures::stream::iter(entries).map(Ok::<_, StoreError>);
        each.try_for_each_concurrent(PARALLEL, async |entry| directory.delete(&entry.key).await).await?;
    }
    Ok(removed)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn entry(name: &str, path: &str) -> RepositoryEntry {
        RepositoryEntry { name: name.to_owned(), namespace: "demo".to_owned(), path: path.to_owned() }
    }

    #[tokio::test]
    async fn repositories_come_and_go() {
        let storage = Store::memory();
        let now = Timestamp::UNIX_EPOCH;
        assert!(initialise(&storage, now).await.unwrap().repositories.is_empty());
        register(&storage, &entry("a", "/one"), b"a: 1\n".to_vec(), now).await.unwrap();
        register(&storage, &entry("b", "two"), b"b: 1\n".to_vec(), now).await.unwrap();
        register(&storage, &entry("a", "/one"), b"a: 2\n".to_vec(), now).await.unwrap();
        let meta = initialise(&storage, Timestamp::now()).await.unwrap();
        assert_eq!(meta.repositories, [entry("a", "/one"), entry("b", "two")]);
        assert_eq!(meta.creation_timestamp, Some(now));
        assert_eq!(repository_text(&storage.sub("/one")).await.unwrap().as_deref(), Some(&b"a: 2\n"[..]));
        unregister(&storage, "one/").await.unwrap();
        unregister(&storage, "never there").await.unwrap();
        assert_eq!(initialise(&storage, now).await.unwrap().repositories, [entry("b", "two")]);
    }

    #[tokio::test]
    async fn a_strange_metadata_file_is_left_alone() {
        let storage = Store::memory();
        storage.put(METADATA, "kind: Something\n".into()).await.unwrap();
        assert!(initialise(&storage, Timestamp::UNIX_EPOCH).await.is_err());
        assert!(register(&storage, &entry("a", "a"), Vec::new(), Timestamp::UNIX_EPOCH).await.is_err());
        assert_eq!(storage.get(METADATA).await.unwrap(), "kind: Something\n");
    }

    #[tokio::test]
    async fn snapshots_and_directories_are_removed() {
        let storage = Store::memory();
        let directory = storage.sub("repo");
        let id = SnapshotId::new(Timestamp::UNIX_EPOCH).unwrap();
        for key in [&snapshot_file("a"), &snapshot_file("b"), &format!("{NATIVE_PATH}/roots/{id}"), "repository.yaml"] {
            directory.put(key, "x".into()).await.unwrap();
        }
        storage.put("other/file", "x".into()).await.unwrap();
        remove_snapshot(&directory, "a", Some(id)).await.unwrap();
        remove_snapshot(&directory, "a", Some(id)).await.unwrap();
        let left = snapshot_names(&directory).await.unwrap();
        assert_eq!(left, ["b"]);
        let texts = snapshot_texts(&directory, vec!["a".to_owned(), "b".to_owned()]).await.unwrap();
        assert_eq!(texts, [("b".to_owned(), bytes::Bytes::from("x"))]);
        assert_eq!(wipe_repository(&storage, "/repo/").await.unwrap(), 2);
        assert_eq!(storage.list("").await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn only_what_is_ours_is_erased() {
        let storage = Store::memory();
        let now = Timestamp::UNIX_EPOCH;
        storage.put("somebody/else", "x".into()).await.unwrap();
        for (name, path) in [("outer", "/backups"), ("inner", "backups/inner"), ("beside", "backups-2")] {
            register(&storage, &entry(name, path), b"a: 1\n".to_vec(), now).await.unwrap();
        }
        for root in ["", "/"] {
            assert!(matches!(wipe_repository(&storage, root).await, Err(StorageError::Refused { .. })), "{root:?}");
        }
        let nested = wipe_repository(&storage, "backups").await.unwrap_err().to_string();
        assert!(nested.contains("demo/inner lies below backups"), "{nested}");
        assert_eq!(storage.list("").await.unwrap().len(), 5, "nothing is gone");
        wipe_repository(&storage, "backups-2").await.unwrap();
        assert_eq!(wipe_storage(&storage).await.unwrap(), 3);
        let left: Vec<String> = storage.list("").await.unwrap().into_iter().map(|entry| entry.key).collect();
        assert_eq!(left, ["somebody/else"]);
        assert_eq!(wipe_storage(&storage).await.unwrap(), 0);
    }
}
