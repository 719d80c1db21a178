//! The YAML files of KubeStash's backend tree, in its shape: `metadata.yaml`, `repository.yaml`, `snapshots/<name>.yaml`.
//!
//! A storage that a command fills can be adopted by the operator, and the other way round.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use serde::{Deserialize, Serialize};

use super::{
    condition::{Condition, set_condition},
    conditions::{BACKUP_PARTIAL, SNAPSHOT_METADATA_UPLOADED, reason},
    deletion::DeletionPolicy,
    driver::Driver,
    driver_stats::{KStashStats, MAX_NOT_READ, NotRead},
    labels::REPO_NAME,
    names::{format_size, go_duration},
    phase::{ComponentPhase, SnapshotPhase, VerificationStatus},
    reference::{StorageReference, TypedObjectReference},
    repository::{Repository, RepositorySpec},
    snapshot::{Component, FULL_BACKUP, SNAPSHOT_VERSION, Snapshot, SnapshotSpec, SnapshotStatus},
};
use crate::{
    object::{ObjectError, yaml},
    repository::{KindOutcome, Root},
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
        to_yaml(self)
    }
}

fn to_yaml(value: &impl Serialize) -> Vec<u8> {
    let mut out = Vec::new();
    // Our own types always write.
    let _ = yaml::write_value(&serde_json::to_value(value).unwrap_or_default(), &mut out);
    out
}

fn metadata(name: &str, namespace: &str, created: Timestamp) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        namespace: Some(namespace.to_owned()),
        creation_timestamp: Some(Time(created)),
        ..ObjectMeta::default()
    }
}

/// A Repository object as `repository.yaml` holds it.
pub fn repository_yaml(entry: &RepositoryEntry, now: Timestamp) -> Vec<u8> {
    let spec = RepositorySpec {
        app_ref: Some(TypedObjectReference::none()),
        storage_ref: Some(StorageReference::new(&entry.name, &entry.namespace)),
        path: Some(entry.path.clone()),
        deletion_policy: Some(DeletionPolicy::Delete),
        ..RepositorySpec::default()
    };
    to_yaml(&Repository { metadata: metadata(&entry.name, &entry.namespace, now), spec, status: None })
}

/// What our own driver tells of a snapshot.
pub fn kstash_stats(root: &Root) -> KStashStats {
    let count = |number: u64| Some(i64::try_from(number).unwrap_or(i64::MAX));
    let kinds = root.kinds.iter().filter(|report| matches!(report.outcome, KindOutcome::Read { objects, .. } if objects > 0)).count();
    let of_kinds = root.kinds.iter().filter_map(|report| {
        let reason = match &report.outcome {
            KindOutcome::Read { not_stored, .. } if !not_stored.is_empty() => format!("{} objects cannot be stored", not_stored.len()),
            KindOutcome::Read { .. } | KindOutcome::Absent => return None,
            KindOutcome::Forbidden { message } | KindOutcome::Failed { message } => message.clone(),
        };
        Some(NotRead { resource: report.kind.group_resource().to_string(), reason })
    });
    let of_groups = root.failed_groups.iter().map(|(group, reason)| NotRead { resource: group.clone(), reason: reason.clone() });
    KStashStats {
        objects: count(root.stats.objects),
        new: count(root.stats.new),
        changed: count(root.stats.changed),
        unchanged: count(root.stats.unchanged),
        removed: None,
        kinds: i64::try_from(kinds).ok(),
        not_read: of_kinds.chain(of_groups).take(MAX_NOT_READ).collect(),
        stored_bytes: count(root.stats.stored_bytes),
        logical_bytes: count(root.stats.logical_bytes),
        resource_version: root.resource_version.clone(),
    }
}

/// The component of a snapshot that is whole, as the Snapshot object tells it.
pub fn kstash_component(root: &Root) -> Component {
    Component {
        path: Some(NATIVE_PATH.to_owned()),
        phase: Some(ComponentPhase::Succeeded),
        size: Some(format_size(root.stats.logical_bytes)),
        duration: Some(go_duration(root.duration_ms)),
        integrity: Some(true),
        driver: Some(Driver::KStash),
        kstash_stats: Some(kstash_stats(root)),
        ..Component::default()
    }
}

/// The conditions of a snapshot that is whole, or whole but for what could not be read.
fn snapshot_conditions(root: &Root) -> Vec<Condition> {
    let uploaded = reason::SUCCESSFULLY_UPLOADED_SNAPSHOT_METADATA;
    let mut list = Vec::new();
    set_condition(&mut list, Condition::new(SNAPSHOT_METADATA_UPLOADED, true, uploaded, "Snapshot metadata has been uploaded."), root.time);
    if !root.is_complete() {
        let gaps = root.kinds.iter().filter(|report| report.outcome.is_gap()).map(|report| report.kind.group_resource().to_string());
        let gaps: Vec<String> = gaps.chain(root.failed_groups.iter().map(|(group, _)| group.clone())).collect();
        let message = format!("Not read: {}", gaps.join(", "));
        set_condition(&mut list, Condition::new(BACKUP_PARTIAL, true, reason::SOME_KINDS_NOT_READ, message), root.time);
    }
    list
}

/// A Snapshot object with its status as `snapshots/<name>.yaml` holds it.
pub fn snapshot_yaml(root: &Root, repository: &RepositoryEntry) -> Vec<u8> {
    let mut metadata = metadata(&root.name, &repository.namespace, root.time);
    metadata.labels = Some(BTreeMap::from([(REPO_NAME.to_owned(), repository.name.clone())]));
    let component = kstash_component(root);
    let spec = SnapshotSpec {
        snapshot_id: root.id.to_string(),
        type_: Some(FULL_BACKUP.to_owned()),
        repository: repository.name.clone(),
        session: "manual".to_owned(),
        version: Some(SNAPSHOT_VERSION.to_owned()),
        app_ref: Some(TypedObjectReference::none()),
        deletion_policy: Some(DeletionPolicy::Delete),
        ..SnapshotSpec::default()
    };
    let status = SnapshotStatus {
        phase: Some(SnapshotPhase::Succeeded),
        verification_status: Some(VerificationStatus::NotVerified),
        snapshot_time: Some(Time(root.time)),
        last_update_time: Some(Time(root.time)),
        size: component.size.clone(),
        integrity: Some(true),
        total_components: Some(1),
        conditions: snapshot_conditions(root),
        components: BTreeMap::from([(COMPONENT.to_owned(), component)]),
        ..SnapshotStatus::default()
    };
    to_yaml(&Snapshot { metadata, spec, status: Some(status) })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

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
        let wanted = r#"apiVersion: storage.kubestash.com/v1alpha1
kind: Repository
metadata:
  creationTimestamp: "1970-01-01T00:00:00Z"
  name: r
  namespace: demo
spec:
  appRef:
    apiGroup: na
    kind: ""
    name: na
  deletionPolicy: Delete
  path: r
  storageRef:
    name: r
    namespace: demo
"#;
        assert_eq!(text, wanted);
    }

    #[test]
    fn a_snapshot_file_tells_what_was_read_and_what_was_not() {
        let kind = |plural: &str, outcome: serde_json::Value| {
            let info = json!({"group": "apps", "version": "v1", "resource": plural, "kind": "K", "namespaced": true});
            let mut report = json!({"kind": info});
            report.as_object_mut().unwrap().extend(outcome.as_object().unwrap().clone());
            report
        };
        let read = json!({"outcome": "read", "objects": 3, "bytes": 9, "resourceVersion": "7", "exact": true});
        let root: Root = serde_json::from_value(json!({
            "id": "01HHKQQ59XN4979HMDFNCANA9V", "name": "s", "time": "2026-01-02T03:04:05.678Z",
            "cluster": {"uid": "", "name": "", "serverVersion": ""}, "filters": {}, "resourceVersion": "7",
            "kinds": [kind("deployments", read), kind("secrets", json!({"outcome": "forbidden", "message": "may not list"}))],
            "failedGroups": [["metrics.k8s.io", "no answer"]], "layers": [], "parent": null, "program": "p", "durationMs": 61_000,
            "stats": {"objects": 3, "new": 1, "changed": 2, "unchanged": 0, "rawBytes": 9, "logicalBytes": 2048, "storedBytes": 100},
        }))
        .unwrap();
        let entry = RepositoryEntry { name: "r".into(), namespace: "demo".into(), path: "r".into() };
        let wanted = r#"apiVersion: storage.kubestash.com/v1alpha1
kind: Snapshot
metadata:
  creationTimestamp: "2026-01-02T03:04:05Z"
  labels:
    kubestash.com/repo-name: r
  name: s
  namespace: demo
spec:
  appRef:
    apiGroup: na
    kind: ""
    name: na
  deletionPolicy: Delete
  repository: r
  session: manual
  snapshotID: 01HHKQQ59XN4979HMDFNCANA9V
  type: FullBackup
  version: v1
status:
  components:
    manifest:
      driver: KStash
      duration: 1m1s
      integrity: true
      kstashStats:
        changed: 2
        kinds: 1
        logicalBytes: 2048
        new: 1
        notRead:
        - reason: may not list
          resource: secrets.apps
        - reason: no answer
          resource: metrics.k8s.io
        objects: 3
        resourceVersion: "7"
        storedBytes: 100
        unchanged: 0
      path: kstash/v1
      phase: Succeeded
      size: 2.000 KiB
  conditions:
  - lastTransitionTime: "2026-01-02T03:04:05Z"
    message: Snapshot metadata has been uploaded.
    reason: SuccessfullyUploadedSnapshotMetadata
    status: "True"
    type: SnapshotMetadataUploaded
  - lastTransitionTime: "2026-01-02T03:04:05Z"
    message: 'Not read: secrets.apps, metrics.k8s.io'
    reason: SomeKindsNotRead
    status: "True"
    type: BackupPartial
  integrity: true
  lastUpdateTime: "2026-01-02T03:04:05Z"
  phase: Succeeded
  size: 2.000 KiB
  snapshotTime: "2026-01-02T03:04:05Z"
  totalComponents: 1
  verificationStatus: NotVerified
"#;
        assert_eq!(String::from_utf8(snapshot_yaml(&root, &entry)).unwrap(), wanted);
    }
}
