//! A storage that holds repositories already: their Repository and Snapshot objects appear in this cluster.
//!
//! What KubeStash leaves open is decided so. A namespace that does not exist is not made: the repository is reported, and found when the namespace
//! is there. An object of the same name with another place is left alone and reported. `storageRef` names the storage that was looked
//! at, whatever it was called elsewhere. A repository is adopted once: what somebody deletes afterwards stays deleted. A new BackupStorage
//! adopts everything again; repositories that others put into a bucket later are found when its `metadata.yaml` is read again.

use std::collections::HashSet;

use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Client, ResourceExt as _,
    api::{ListParams, PostParams},
};
use kubestash::{
    api::{BackendMeta, BackupStorage, Repository, RepositoryEntry, Snapshot, StorageReference, StorageRepository, labels},
    backend,
    object::yaml,
    store::{Store, StoreError},
};
use serde::de::DeserializeOwned;

use super::{cluster_wide, exists_already, is_missing, namespaced, owned_by, status::update_status, storage::full_name};

/// Brings the repositories of a storage into the cluster that its status does not call synchronised yet; tells of each how that went.
pub async fn adopt(client: &Client, store: &Store, storage: &BackupStorage, meta: &BackendMeta) -> Vec<StorageRepository> {
    let mut all = Vec::new();
    let known = storage.status.as_ref().map(|status| status.repositories.as_slice()).unwrap_or_default();
    for entry in &meta.repositories {
        let same =
            |other: &&StorageRepository| other.synced == Some(true) && other.name == entry.name && other.namespace.as_ref() == Some(&entry.namespace);
        if let Some(done) = known.iter().find(same) {
            all.push(done.clone());
            continue;
        }
        let outcome = adopt_one(client, store, storage, entry).await;
        all.push(StorageRepository {
            name: entry.name.clone(),
            namespace: Some(entry.namespace.clone()),
            path: Some(entry.path.clone()),
            size: outcome.as_ref().ok().and_then(|repository| repository.status.as_ref()?.size.clone()),
            synced: Some(outcome.is_ok()),
            error: outcome.err(),
        });
    }
    all
}

async fn adopt_one(client: &Client, store: &Store, storage: &BackupStorage, entry: &RepositoryEntry) -> Result<Repository, String> {
    let api = namespaced::<Repository>(client, &entry.namespace);
    let found = api.get_opt(&entry.name).await.map_err(|error| format!("cannot look for Repository {}/{}: {error}", entry.namespace, entry.name))?;
    let directory = store.sub(&entry.path);
    let repository = match found {
        Some(found) => same_place(found, storage, entry)?,
        None => {
            match cluster_wide::<Namespace>(client).get_opt(&entry.namespace).await {
                Ok(Some(_)) => {}
                Ok(None) => return Err(format!("namespace {} does not exist; create it, and the repository will appear", entry.namespace)),
                Err(error) => return Err(format!("cannot look for namespace {}: {error}", entry.namespace)),
            }
            create(client, &directory, storage, entry).await?
        }
    };
    snapshots(client, &directory, &repository).await?;
    Ok(repository)
}

fn same_place(found: Repository, storage: &BackupStorage, entry: &RepositoryEntry) -> Result<Repository, String> {
    let own = found.namespace().unwrap_or_default();
    let reference = found.spec.storage_ref.clone().unwrap_or_default().object();
    let same_storage = reference.name == storage.name_any() && Some(reference.namespace_or(&own).to_owned()) == storage.namespace();
    let same_path = found.spec.path.as_deref().unwrap_or_default().trim_matches('/') == entry.path.trim_matches('/');
    if same_storage && same_path {
        return Ok(found);
    }
    Err(format!(
        "a Repository {own}/{} of BackupStorage {reference} with path {:?} is there already; rename or remove it to see this one",
        entry.name,
        found.spec.path.unwrap_or_default()
    ))
}

fn read<K: DeserializeOwned>(text: &[u8], what: &str) -> Result<K, String> {
    let value = yaml::read(text).map_err(|error| format!("{what} cannot be read: {error}"))?;
    serde_json::from_value(value).map_err(|error| format!("{what} cannot be read: {error}"))
}

async fn create(client: &Client, directory: &Store, storage: &BackupStorage, entry: &RepositoryEntry) -> Result<Repository, String> {
    let text = backend::repository_text(directory).await.map_err(|error| error.to_string())?;
    let text = text.ok_or_else(|| format!("{} has no {}", entry.path, backend::REPOSITORY))?;
    let stored: Repository = read(&text, backend::REPOSITORY)?;
    let mut made = Repository::new(&entry.name, stored.spec);
    made.metadata.namespace = Some(entry.namespace.clone());
    made.metadata.labels = stored.metadata.labels;
    made.metadata.annotations = stored.metadata.annotations;
    made.metadata.finalizers = Some(vec![labels::CLEANUP_FINALIZER.to_owned()]);
    made.spec.storage_ref = Some(StorageReference::new(storage.name_any(), storage.namespace().unwrap_or_default()));
    made.spec.path = Some(entry.path.clone());
    let api = namespaced::<Repository>(client, &entry.namespace);
    match api.create(&PostParams::default(), &made).await {
        Ok(created) => Ok(created),
        Err(error) if exists_already(&error) => api.get(&entry.name).await.map_err(|error| error.to_string()),
        Err(error) => Err(format!("Repository {}/{} cannot be created: {error}", entry.namespace, entry.name)),
    }
}

async fn snapshots(client: &Client, directory: &Store, repository: &Repository) -> Result<(), String> {
    let namespace = repository.namespace().unwrap_or_default();
    let api = namespaced::<Snapshot>(client, &namespace);
    // Only what is not there yet, or was left without its status when somebody was killed in between.
    let own = ListParams::default().labels(&format!("{}={}", labels::REPO_NAME, repository.name_any()));
    let there = api.list(&own).await.map_err(|error| format!("Snapshots of {namespace} cannot be listed: {error}"))?;
    let whole: HashSet<String> = there.iter().filter(|snapshot| snapshot.status.is_some()).map(|snapshot| snapshot.name_any()).collect();
    let unread = |error: StoreError| format!("snapshots cannot be read: {error}");
    let mut names = backend::snapshot_names(directory).await.map_err(unread)?;
    names.retain(|name| !whole.contains(name));
    let texts = backend::snapshot_texts(directory, names).await.map_err(unread)?;
    let mut unreadable = Vec::new();
    for (name, text) in texts {
        let stored: Snapshot = match read(&text, &name) {
            Ok(stored) => stored,
            Err(error) => {
                unreadable.push(error);
                continue;
            }
        };
        let mut made = Snapshot::new(&name, stored.spec);
        made.metadata.namespace = Some(namespace.clone());
        made.metadata.labels = stored.metadata.labels;
        made.metadata.labels.get_or_insert_default().insert(labels::REPO_NAME.to_owned(), repository.name_any());
        made.metadata.finalizers = Some(vec![labels::CLEANUP_FINALIZER.to_owned()]);
        made.metadata.owner_references = Some(vec![owned_by(repository)]);
        made.spec.repository = repository.name_any();
        let failed = |error: kube::Error| format!("Snapshot {namespace}/{name} cannot be created: {error}");
        match api.create(&PostParams::default(), &made).await {
            Ok(_) => {}
            Err(error) if exists_already(&error) => {}
            Err(error) => return Err(failed(error)),
        }
        let status = stored.status.unwrap_or_default();
        match update_status(&api, &name, |snapshot: &mut Snapshot| snapshot.status = Some(status.clone())).await {
            Ok(_) => {}
            Err(error) if is_missing(&error) => {}
            Err(error) => return Err(failed(error)),
        }
    }
    if unreadable.is_empty() { Ok(()) } else { Err(format!("{} of {}: {}", unreadable.len(), full_name(repository), unreadable.join("; "))) }
}
