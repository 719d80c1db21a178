//! The repository behind a Repository object: its storage, its directory, its data.

use anyhow::Context as _;
use kube::{Client, ResourceExt as _};
use kubestash::{
    api::{self, BackupStorage, NATIVE_PATH, ObjectReference},
    repository::{Repository, RepositoryError},
    store::Store,
};

use crate::resources::{
    namespaced,
    storage::{full_name, open, password},
};

/// A repository that can be read and written.
pub struct Target {
    /// With `repository.yaml` and `snapshots/`.
    pub directory: Store,
    /// The data.
    pub data: Repository,
}

/// The storage of a repository.
///
/// # Errors
/// One that is not named, or not there.
pub async fn storage_of(client: &Client, repository: &api::Repository) -> anyhow::Result<BackupStorage> {
    let own = repository.namespace().unwrap_or_default();
    let reference = repository.spec.storage_ref.as_ref().map(api::StorageReference::object);
    let reference = reference.with_context(|| format!("Repository {} has no spec.storageRef", full_name(repository)))?;
    let place = reference.resolved(&own);
    let api = namespaced::<BackupStorage>(client, place.namespace_or(&own));
    api.get(&place.name).await.with_context(|| format!("cannot read BackupStorage {place}"))
}

/// The directory of a repository in its storage.
///
/// # Errors
/// As [`storage_of`] and [`open`].
pub async fn directory_of(client: &Client, repository: &api::Repository) -> anyhow::Result<Store> {
    let storage = storage_of(client, repository).await?;
    Ok(open(client, &storage).await?.sub(repository.spec.path.as_deref().unwrap_or_default()))
}

impl Target {
    /// Opens a repository with the password of its encryption Secret, or of another one that is given.
    ///
    /// # Errors
    /// Objects, Secrets or data that cannot be read.
    pub async fn open(client: &Client, object: api::Repository, secret: Option<&ObjectReference>) -> anyhow::Result<Self> {
        let failed = format!("cannot open Repository {}", full_name(&object));
        Self::reach(client, object, secret, false).await.context(failed)
    }

    /// The same; one that has no data yet is made.
    ///
    /// # Errors
    /// As [`Target::open`].
    pub async fn open_or_make(client: &Client, object: api::Repository) -> anyhow::Result<Self> {
        let failed = format!("cannot open Repository {}", full_name(&object));
        Self::reach(client, object, None, true).await.context(failed)
    }

    async fn reach(client: &Client, object: api::Repository, secret: Option<&ObjectReference>, make: bool) -> anyhow::Result<Self> {
        let own = object.namespace().unwrap_or_default();
        let directory = directory_of(client, &object).await?;
        let secret = secret
            .or(object.spec.encryption_secret.as_ref())
            .context("spec.encryptionSecret is missing; name a Secret with the key RESTIC_PASSWORD")?;
        let password = password(client, secret, &own).await?;
        let place = directory.sub(NATIVE_PATH);
        let data = match Repository::open(place.clone(), &password).await {
            Err(RepositoryError::NotARepository { .. }) if make => {
                let label = format!("Secret {}", secret.resolved(&own));
                let now = jiff::Timestamp::now();
                match Repository::init(place.clone(), &password, kubestash::repository::KeyCost::default(), &label, now).await {
                    // Another session was faster.
                    Err(RepositoryError::AlreadyExists { .. }) => Repository::open(place, &password).await?,
                    other => other?,
                }
            }
            other => other?,
        };
        Ok(Self { directory, data })
    }

    /// Bytes of everything that the repository has stored.
    ///
    /// # Errors
    /// The store's.
    pub async fn stored_bytes(&self) -> anyhow::Result<u64> {
        Ok(self.directory.list(NATIVE_PATH).await?.iter().map(|entry| entry.size).sum())
    }
}
