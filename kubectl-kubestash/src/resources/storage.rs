//! Opening the store behind a BackupStorage, and the password of a repository in it.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Secret;
use kube::{Client, ResourceExt as _};
use kubestash::{
    api::{self, BackupStorage, labels::PASSWORD_KEY},
    repository::Password,
    session::job::local_mount_path,
    store::{Location, OptionsError, Provider, Store, StoreError, StoreOptions},
};

use super::{is_missing, namespaced};

/// Why a storage cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The spec does not say where it is.
    #[error("BackupStorage {storage} cannot be used: {reason}")]
    Spec {
        /// Namespace and name.
        storage: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A Secret is not there.
    #[error("Secret {secret} does not exist; create it in the namespace {namespace}")]
    SecretMissing {
        /// Namespace and name.
        secret: String,
        /// Its namespace.
        namespace: String,
    },
    /// A Secret cannot be read.
    #[error("Secret {secret} cannot be read")]
    SecretUnreadable {
        /// Namespace and name.
        secret: String,
        /// Why.
        #[source]
        source: kube::Error,
    },
    /// A Secret lacks what is needed.
    #[error("Secret {secret} cannot be used: {reason}")]
    SecretContent {
        /// Namespace and name.
        secret: String,
        /// Which key is missing. Holds no value.
        reason: String,
    },
    /// The store refuses.
    #[error("the store of BackupStorage {storage} cannot be opened")]
    Store {
        /// Namespace and name.
        storage: String,
        /// Why.
        #[source]
        source: StoreError,
    },
}

/// Namespace and name of an object.
pub fn full_name<K: kube::Resource>(object: &K) -> String {
    match object.namespace() {
        Some(namespace) => format!("{namespace}/{}", object.name_any()),
        None => object.name_any(),
    }
}

/// Where a storage is, and how it is opened but for what the Secret holds.
struct Place {
    location: Location,
    options: StoreOptions,
    provider: Option<Provider>,
    secret: Option<String>,
}

fn place(storage: &BackupStorage) -> Result<Place, OpenError> {
    let wrong = |reason: &str| OpenError::Spec { storage: full_name(storage), reason: reason.to_owned() };
    let bad = |error: StoreError| OpenError::Store { storage: full_name(storage), source: error };
    let spec = storage.spec.storage.as_ref().ok_or_else(|| wrong("spec.storage is missing"))?;
    let text = |value: &Option<String>| value.clone().filter(|value| !value.is_empty());
    let connections = |value: Option<i64>| value.and_then(|number| usize::try_from(number).ok()).and_then(std::num::NonZeroUsize::new);
    match spec.provider.as_str() {
        "s3" => {
            let s3 = spec.s3.as_ref().ok_or_else(|| wrong("spec.storage.s3 is missing"))?;
            let location = Location::bucket(Provider::S3, &s3.bucket, s3.prefix.as_deref().unwrap_or_default()).map_err(bad)?;
            let options = StoreOptions {
                endpoint: text(&s3.endpoint).map(|endpoint| endpoint.trim_end_matches('/').to_owned()),
                region: text(&s3.region),
                insecure_tls: s3.insecure_tls.unwrap_or(false),
                max_connections: connections(s3.max_connections),
                ..StoreOptions::default()
            };
            let secret = text(&s3.secret_name).or_else(|| text(&s3.secret));
            Ok(Place { location, options, provider: Some(Provider::S3), secret })
        }
        "gcs" => {
            let gcs = spec.gcs.as_ref().ok_or_else(|| wrong("spec.storage.gcs is missing"))?;
            let location = Location::bucket(Provider::Gcs, &gcs.bucket, gcs.prefix.as_deref().unwrap_or_default()).map_err(bad)?;
            let options = StoreOptions { max_connections: connections(gcs.max_connections), ..StoreOptions::default() };
            Ok(Place { location, options, provider: Some(Provider::Gcs), secret: text(&gcs.secret_name) })
        }
        "azure" => {
            let azure = spec.azure.as_ref().ok_or_else(|| wrong("spec.storage.azure is missing"))?;
            let account = text(&azure.storage_account).ok_or_else(|| wrong("spec.storage.azure.storageAccount is missing"))?;
            let location = Location::bucket(Provider::Azure, &azure.container, azure.prefix.as_deref().unwrap_or_default()).map_err(bad)?;
            let options = StoreOptions { account: Some(account), max_connections: connections(azure.max_connections), ..StoreOptions::default() };
            Ok(Place { location, options, provider: Some(Provider::Azure), secret: text(&azure.secret_name) })
        }
        "local" => {
            spec.local.as_ref().ok_or_else(|| wrong("spec.storage.local is missing"))?;
            let location = Location::Folder(local_mount_path(storage).into());
            Ok(Place { location, options: StoreOptions::default(), provider: None, secret: None })
        }
        other => Err(wrong(&format!("provider {other:?} is not known; use s3, gcs, azure or local"))),
    }
}

/// The Secret of a storage, in its own namespace; none for ambient credentials and local storages.
pub fn secret_of(storage: &BackupStorage) -> Option<String> {
    place(storage).ok()?.secret
}

/// Whether a spec says where the storage is, as much as can be told without asking the store.
///
/// # Errors
/// `Spec`, or `Store` for a bucket's name that cannot be one.
pub fn check(storage: &BackupStorage) -> Result<(), OpenError> {
    place(storage).map(|_| ())
}

/// Whether a storage is a volume, which only Pods that mount it can reach.
pub fn is_local(storage: &BackupStorage) -> bool {
    storage.spec.storage.as_ref().is_some_and(|storage| storage.provider == "local")
}

async fn secret(client: &Client, namespace: &str, name: &str) -> Result<BTreeMap<String, Vec<u8>>, OpenError> {
    let secret = format!("{namespace}/{name}");
    match namespaced::<Secret>(client, namespace).get(name).await {
        Ok(found) => Ok(found.data.unwrap_or_default().into_iter().map(|(key, value)| (key, value.0)).collect()),
        Err(error) if is_missing(&error) => Err(OpenError::SecretMissing { secret, namespace: namespace.to_owned() }),
        Err(source) => Err(OpenError::SecretUnreadable { secret, source }),
    }
}

/// Opens the store of a storage, at its prefix. A local one is expected where our Jobs mount it.
///
/// # Errors
/// See [`OpenError`]; nothing has been asked of the store yet.
pub async fn open(client: &Client, storage: &BackupStorage) -> Result<Store, OpenError> {
    let place = place(storage)?;
    let namespace = storage.namespace().unwrap_or_default();
    let mut options = place.options;
    if let (Some(provider), Some(name)) = (place.provider, &place.secret) {
        let data = secret(client, &namespace, name).await?;
        let wrong = |error: OptionsError| OpenError::SecretContent { secret: format!("{namespace}/{name}"), reason: error.to_string() };
        let read = StoreOptions::from_secret(provider, &data).map_err(wrong)?;
        options.credentials = read.credentials;
        options.ca_certificate = read.ca_certificate;
    }
    place.location.open(&options, false).map_err(|source| OpenError::Store { storage: full_name(storage), source })
}

/// The password of a repository; the reference's namespace defaults to `own`.
///
/// # Errors
/// A Secret that is not there, or without the key.
pub async fn password(client: &Client, reference: &api::ObjectReference, own: &str) -> Result<Password, OpenError> {
    let namespace = reference.namespace_or(own);
    let mut data = secret(client, namespace, &reference.name).await?;
    let full = format!("{namespace}/{}", reference.name);
    let content = |reason: String| OpenError::SecretContent { secret: full.clone(), reason };
    let bytes = data.remove(PASSWORD_KEY).ok_or_else(|| content(format!("it has no key {PASSWORD_KEY}")))?;
    let text = String::from_utf8(bytes).map_err(|_| content(format!("{PASSWORD_KEY} is no text")))?;
    let password = Password::new(text);
    if password.is_empty() { Err(content(format!("{PASSWORD_KEY} is empty"))) } else { Ok(password) }
}
