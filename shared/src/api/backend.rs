//! The YAML files of KubeStash's backend tree, in its shape: `metadata.yaml`, `repository.yaml`, `snapshots/<name>.yaml`.
//!
//! A storage that a command fills can be adopted by the operator, and the other way round.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::names::{format_size, go_duration};
use crate::{
    object::{ObjectError, yaml},
    repository::Root,
};

/// Place of the native repository below its directory.
pub const NATIVE_PATH: &str = "kstash/v1";
/// Bytes of `metadata.yaml`: some ten thousand repositories.
pub const MAX_META: u64 = 4 << 20;
/// The one component of a cluster-resource snapshot.
pub const COMPONENT: &str = "manifest";

/// `metadata.yaml` at the root of a storage: which directories hold repositories.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BackendMeta {
    /// Always `config.kubestash.com/v1alpha1`.
    pub api_version: String,
    /// Always `BackendMeta`.
    pub kind: String,
    /// When the storage was initialised.
    #[serde(default)]
    pub creation_timestamp: Option<Timestamp>,
    /// Version of the program that initialised it.
    #[serde(default)]
    pub operator_version: String,
    /// The repositories.
    #[serde(default)]
    pub repositories: Vec<RepositoryEntry>,
}

/// One repository of a storage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RepositoryEntry {
    /// Name of the Repository object.
    pub name: String,
    /// Its namespace.
    #[serde(default)]
    pub namespace: String,
    /// Its directory in the storage.
    pub path: String,
}

impl BackendMeta {
    /// Of a storage that is new.
    pub fn new(now: Timestamp) -> Self {
        Self {
            api_version: "config.kubestash.com/v1alpha1".to_owned(),
            kind: "BackendMeta".to_owned(),
            creation_timestamp: Some(now),
            operator_version: format!("v{}", env!("CARGO_PKG_VERSION")),
            repositories: Vec::new(),
        }
    }

    /// Reads the file.
    ///
    /// # Errors
    /// `Yaml` when it is something else.
    pub fn read(text: &[u8]) -> Result<Self, ObjectError> {
        let wrong = |reason: &str| ObjectError::Yaml { reason: reason.to_owned() };
        let meta: Self = serde_json::from_value(yaml::read(text)?).map_err(|_| wrong("it is not a BackendMeta"))?;
        if meta.kind == "BackendMeta" { Ok(meta) } else { Err(wrong("it is not a BackendMeta")) }
    }

    /// The file.
    pub fn write(&self) -> Vec<u8> {
        to_yaml(&serde_json::to_value(self).unwrap_or_default())
    }
}

fn to_yaml(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    // A value always writes.
    let _ = yaml::write_value(value, &mut out);
    out
}

/// A Repository object as `repository.yaml` holds it.
pub fn repository_yaml(entry: &RepositoryEntry, now: Timestamp) -> Vec<u8> {
    to_yaml(&json!({
        "apiVersion": "storage.kubestash.com/v1alpha1",
        "kind": "Repository",
        "metadata": {"name": entry.name, "namespace": entry.namespace, "creationTimestamp": seconds(now)},
        "spec": {
            // What KubeStash writes for backups without a target.
            "appRef": {"apiGroup": "na", "kind": "", "name": "na"},
            "storageRef": {"name": entry.name, "namespace": entry.namespace},
            "path": entry.path,
            "deletionPolicy": "Delete",
        },
    }))
}

/// A Snapshot object with its status as `snapshots/<name>.yaml` holds it.
pub fn snapshot_yaml(root: &Root, repository: &RepositoryEntry) -> Vec<u8> {
    let complete = root.is_complete();
    let phase = "Succeeded";
    let size = format_size(root.stats.logical_bytes);
    let duration = go_duration(root.duration_ms);
    let mut conditions = vec![json!({
        "type": "SnapshotMetadataUploaded", "status": "True", "reason": "SuccessfullyUploadedSnapshotMetadata",
        "message": "Snapshot metadata has been uploaded.", "lastTransitionTime": seconds(root.time),
    })];
    if !complete {
        let gaps = root.kinds.iter().filter(|report| report.outcome.is_gap()).map(|report| report.kind.group_resource().to_string());
        let gaps: Vec<String> = gaps.chain(root.failed_groups.iter().map(|(group, _)| group.clone())).collect();
        conditions.push(json!({
            "type": "BackupPartial", "status": "True", "reason": "SomeKindsNotRead",
            "message": format!("Not read: {}", gaps.join(", ")), "lastTransitionTime": seconds(root.time),
        }));
    }
    to_yaml(&json!({
        "apiVersion": "storage.kubestash.com/v1alpha1",
        "kind": "Snapshot",
        "metadata": {
            "name": root.name, "namespace": repository.namespace, "creationTimestamp": seconds(root.time),
            "labels": {"kubestash.com/repo-name": repository.name},
        },
        "spec": {
            "snapshotID": root.id.to_string(), "type": "FullBackup", "repository": repository.name, "session": "manual", "version": "v1",
            "appRef": {"apiGroup": "na", "kind": "", "name": "na"}, "deletionPolicy": "Delete",
        },
        "status": {
            "phase": phase, "verificationStatus": "NotVerified", "snapshotTime": seconds(root.time), "lastUpdateTime": seconds(root.time),
            "size": size, "integrity": true, "totalComponents": 1, "conditions": conditions,
            "components": {COMPONENT: {
                "path": NATIVE_PATH, "phase": phase, "size": size, "duration": duration, "integrity": true, "driver": "KStash",
            }},
        },
    }))
}

/// Kubernetes writes times in whole seconds.
fn seconds(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn backend_meta_reads_back() {
        let mut meta = BackendMeta::new(Timestamp::UNIX_EPOCH);
        meta.repositories.push(RepositoryEntry { name: "a".into(), namespace: "b".into(), path: "/c/d".into() });
        assert_eq!(BackendMeta::read(&meta.write()).unwrap(), meta);
        assert!(BackendMeta::read(b"kind: Pod\napiVersion: v1\n").is_err());
    }

    #[test]
    fn a_repository_file_looks_like_kubestash_s() {
        let entry = RepositoryEntry { name: "r".into(), namespace: "demo".into(), path: "r".into() };
        let text = String::from_utf8(repository_yaml(&entry, Timestamp::UNIX_EPOCH)).unwrap();
        assert!(
            text.starts_with(
                "apiVersion: storage.kubestash.com/v1alpha1\nkind: Repository\nmetadata:\n  creationTimestamp: \"1970-01-01T00:00:00Z\"\n"
            ),
            "{text}"
        );
    }
}
