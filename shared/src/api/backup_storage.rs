//! `BackupStorage`: a place that holds repositories.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    condition::{Condition, has_condition, is_true},
    conditions::{BACKEND_INITIALIZED, BACKEND_SECRET_FOUND},
    deletion::DeletionPolicy,
    names::{format_size, parse_size},
    phase::BackupStoragePhase,
    runtime_settings::RuntimeSettings,
    schema::rules,
    usage_policy::UsagePolicy,
    volume::VolumeSource,
};

/// A place that holds repositories: a bucket, a container or a volume.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "storage.kubestash.com",
    version = "v1alpha1",
    kind = "BackupStorage",
    plural = "backupstorages",
    namespaced,
    status = "BackupStorageStatus",
    category = "kubestash",
    category = "appscode",
    category = "all",
    derive = "PartialEq",
    derive = "Default",
    doc = "A place that holds repositories: a bucket, a container or a volume.",
    printcolumn = r#"{"name": "Provider", "type": "string", "jsonPath": ".spec.storage.provider"}"#,
    printcolumn = r#"{"name": "Default", "type": "boolean", "jsonPath": ".spec.default"}"#,
    printcolumn = r#"{"name": "Deletion-Policy", "type": "string", "jsonPath": ".spec.deletionPolicy"}"#,
    printcolumn = r#"{"name": "Total-Size", "type": "string", "jsonPath": ".status.totalSize"}"#,
    printcolumn = r#"{"name": "Phase", "type": "string", "jsonPath": ".status.phase"}"#,
    printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct BackupStorageSpec {
    /// Where the place is and how to reach it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<Storage>,
    /// Which namespaces may use the storage; its own if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage_policy: Option<UsagePolicy>,
    /// Whether backups that name no storage use this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<bool>,
    /// What deleting this object does to the data in the backend.
    #[schemars(extend("default" = "Delete"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_policy: Option<DeletionPolicy>,
    /// How the Pods are run that look after the storage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime_settings: Option<RuntimeSettings>,
}

/// What makes the place of a storage: fields of `spec.storage`, and what they are called.
const PLACE: [(&str, &str); 9] = [
    ("provider", "provider"),
    ("s3.bucket", "bucket"),
    ("s3.prefix", "prefix"),
    ("gcs.bucket", "bucket"),
    ("gcs.prefix", "prefix"),
    ("azure.storageAccount", "storage account"),
    ("azure.container", "container"),
    ("azure.prefix", "prefix"),
    ("local.subPath", "subPath"),
];

/// Rules of the whole object: the place of a storage that holds repositories stays. Elsewhere they would be missing, and their data would stay
/// behind.
///
/// KubeStash refuses every other change of `spec.storage` as well. Here `secretName`, `endpoint`, `region`, `maxConnections` and `insecureTLS`
/// may change, on purpose: keys are rotated, and servers move and take their buckets with them.
pub(crate) fn object_rules() -> Vec<(String, String)> {
    let rule = |(field, name): (&str, &str)| {
        // A field can be asked for only where all above it are there.
        let value = |object: &str| {
            let mut path = format!("{object}.spec.storage");
            let mut there = format!("has({path})");
            for step in field.split('.') {
                path = format!("{path}.{step}");
                there = format!("{there} && has({path})");
            }
            (format!("({there} && {path} != '')"), path)
        };
        let ((is_new, new), (is_old, old)) = (value("self"), value("oldSelf"));
        let unused = "!has(oldSelf.status) || !has(oldSelf.status.repositories) || size(oldSelf.status.repositories) == 0";
        (
            format!("{unused} || ({is_new} ? ({is_old} && {new} == {old}) : !{is_old})"),
            format!("the storage holds repositories, so its {name} cannot be changed: they would be missing there; make another BackupStorage"),
        )
    };
    PLACE.map(rule).into()
}

const RULES: [(&str, &str); 4] = [
    ("self.?provider.orValue('') != 's3' || has(self.s3)", "provider is s3, so the field s3 must name the bucket"),
    ("self.?provider.orValue('') != 'gcs' || has(self.gcs)", "provider is gcs, so the field gcs must name the bucket"),
    ("self.?provider.orValue('') != 'azure' || has(self.azure)", "provider is azure, so the field azure must name the container"),
    ("self.?provider.orValue('') != 'local' || has(self.local)", "provider is local, so the field local must name the volume"),
];

/// Where a storage is and how to reach it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = rules(&RULES)))]
pub struct Storage {
    /// `s3`, `gcs`, `azure` or `local`; the field of that name says the rest.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub provider: String,
    /// A bucket of S3 or of a server that speaks like it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub s3: Option<S3Storage>,
    /// A bucket of Google Cloud Storage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gcs: Option<GcsStorage>,
    /// A container of Azure Blob Storage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub azure: Option<AzureStorage>,
    /// A volume of the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local: Option<LocalStorage>,
}

/// A bucket of S3 or of a server that speaks like it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct S3Storage {
    /// URL of the server; AWS itself if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Name of the bucket.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub bucket: String,
    /// Directory in the bucket below which everything lies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// Region of the bucket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Secret of the namespace with `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and, for servers with a certificate of their own,
    /// `CA_CERT_DATA`. If absent, the identity of the Pod is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_name: Option<String>,
    /// Accepted from older releases and ignored: `secretName` has taken its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// How many connections are open at once, at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_connections: Option<i64>,
    /// Whether any certificate is accepted.
    #[serde(rename = "insecureTLS", default, skip_serializing_if = "Option::is_none")]
    pub insecure_tls: Option<bool>,
}

/// A bucket of Google Cloud Storage.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GcsStorage {
    /// Name of the bucket.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub bucket: String,
    /// Directory in the bucket below which everything lies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// Secret of the namespace with `GOOGLE_SERVICE_ACCOUNT_JSON_KEY`. If absent, the identity of the Pod is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_name: Option<String>,
    /// How many connections are open at once, at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_connections: Option<i64>,
}

/// A container of Azure Blob Storage.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AzureStorage {
    /// Name of the storage account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_account: Option<String>,
    /// Name of the container.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub container: String,
    /// Directory in the container below which everything lies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// Secret of the namespace with `AZURE_ACCOUNT_KEY`. If absent, the identity of the Pod is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_name: Option<String>,
    /// How many connections are open at once, at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_connections: Option<i64>,
}

/// A volume of the cluster. It must be there before.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LocalStorage {
    /// The volume.
    #[serde(flatten)]
    pub source: VolumeSource,
    /// Where Pods mount the volume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mount_path: Option<String>,
    /// Directory in the volume below which everything lies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sub_path: Option<String>,
    /// How many files are open at once, at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_connections: Option<i64>,
}

/// What is known of a storage.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackupStorageStatus {
    /// Whether the storage can be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<BackupStoragePhase>,
    /// Size of all its repositories.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_size: Option<String>,
    /// Its repositories.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub repositories: Vec<StorageRepository>,
    /// What was observed: `BackendInitialized`, `BackendSecretFound`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

/// A repository of a storage.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StorageRepository {
    /// Name of the Repository.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Namespace of the Repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Directory of the repository in the storage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Size of the repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<String>,
    /// Whether the objects of the cluster were made from what the storage holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub synced: Option<bool>,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl BackupStorageStatus {
    /// The phase that the conditions make: ready when the backend is initialised and no Secret is missing.
    pub fn compute_phase(&self) -> BackupStoragePhase {
        let secret = !has_condition(&self.conditions, BACKEND_SECRET_FOUND) || is_true(&self.conditions, BACKEND_SECRET_FOUND);
        if secret && is_true(&self.conditions, BACKEND_INITIALIZED) { BackupStoragePhase::Ready } else { BackupStoragePhase::NotReady }
    }

    /// The sizes of all repositories together; those that are not known count nothing.
    pub fn compute_total_size(&self) -> String {
        let sizes = self.repositories.iter().filter_map(|repository| parse_size(repository.size.as_deref()?));
        format_size(sizes.fold(0, u64::saturating_add))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases() {
        use BackupStoragePhase::{NotReady, Ready};
        let rows: [(&[(&str, bool)], BackupStoragePhase); 6] = [
            (&[], NotReady),
            (&[(BACKEND_INITIALIZED, true)], Ready),
            (&[(BACKEND_INITIALIZED, false)], NotReady),
            (&[(BACKEND_INITIALIZED, true), (BACKEND_SECRET_FOUND, true)], Ready),
            (&[(BACKEND_INITIALIZED, true), (BACKEND_SECRET_FOUND, false)], NotReady),
            (&[(BACKEND_SECRET_FOUND, true)], NotReady),
        ];
        for (conditions, phase) in rows {
            let conditions: Vec<_> = conditions.iter().map(|(type_, status)| Condition::new(type_, *status, "", "")).collect();
            let status = BackupStorageStatus { conditions, ..BackupStorageStatus::default() };
            assert_eq!(status.compute_phase(), phase, "{:?}", status.conditions);
        }
    }

    #[test]
    fn sizes_add_up() {
        let repository = |size: Option<&str>| StorageRepository { size: size.map(str::to_owned), ..StorageRepository::default() };
        let repositories = vec![repository(Some("1.500 KiB")), repository(None), repository(Some("512 B")), repository(Some("?"))];
        let status = BackupStorageStatus { repositories, ..BackupStorageStatus::default() };
        assert_eq!(status.compute_total_size(), "2.000 KiB");
    }
}
