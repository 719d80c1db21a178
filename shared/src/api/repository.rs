//! `Repository`: the snapshots of one application in one storage.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    condition::{Condition, is_true},
    conditions::REPOSITORY_INITIALIZED,
    deletion::DeletionPolicy,
    phase::{RepositoryPhase, SnapshotPhase},
    reference::{ObjectReference, StorageReference, TypedObjectReference},
    schema::rules,
};

const RULES: [(&str, &str); 1] = [(
    "!has(oldSelf.path) || self.?path.orValue('') == oldSelf.path",
    "the path of a Repository cannot be changed: its data would stay behind; make another Repository",
)];

/// The snapshots of one application in one storage.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "storage.kubestash.com",
    version = "v1alpha1",
    kind = "Repository",
    plural = "repositories",
    shortname = "repo",
    namespaced,
    status = "RepositoryStatus",
    category = "kubestash",
    category = "appscode",
    category = "all",
    derive = "PartialEq",
    derive = "Default",
    doc = "The snapshots of one application in one storage.",
    printcolumn = r#"{"name": "Integrity", "type": "boolean", "jsonPath": ".status.integrity"}"#,
    printcolumn = r#"{"name": "Snapshot-Count", "type": "integer", "jsonPath": ".status.snapshotCount"}"#,
    printcolumn = r#"{"name": "Size", "type": "string", "jsonPath": ".status.size"}"#,
    printcolumn = r#"{"name": "Phase", "type": "string", "jsonPath": ".status.phase"}"#,
    printcolumn = r#"{"name": "Last-Successful-Backup", "type": "date", "format": "date-time", "jsonPath": ".status.lastBackupTime"}"#,
    printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = rules(&RULES)))]
pub struct RepositorySpec {
    /// The application that is backed up; `na` for the resources of the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app_ref: Option<TypedObjectReference>,
    /// The storage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_ref: Option<StorageReference>,
    /// Directory in the storage. It cannot be changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// What deleting this object does to the data in the backend.
    #[schemars(extend("default" = "Delete"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_policy: Option<DeletionPolicy>,
    /// Secret with the password of the repository, under `RESTIC_PASSWORD`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption_secret: Option<ObjectReference>,
    /// Whether the operator leaves this object alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<bool>,
}

/// What is known of a repository.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RepositoryStatus {
    /// Whether the repository can be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<RepositoryPhase>,
    /// When the last backup succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_backup_time: Option<Time>,
    /// Whether the data was found undamaged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub integrity: Option<bool>,
    /// How many Snapshots there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot_count: Option<i32>,
    /// Size of the repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<String>,
    /// The newest Snapshots, five at most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recent_snapshots: Vec<SnapshotInfo>,
    /// What was observed: `RepositoryInitialized`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// Directories of the components below that of the repository.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub component_paths: Vec<String>,
}

/// A Snapshot in short.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SnapshotInfo {
    /// Name of the Snapshot.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// How far the Snapshot is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<SnapshotPhase>,
    /// The session of the BackupConfiguration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// Size of the Snapshot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<String>,
    /// When the Snapshot was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot_time: Option<Time>,
}

/// Longest list of Snapshots in [`RepositoryStatus::recent_snapshots`].
pub const MAX_RECENT: usize = 5;

impl RepositoryStatus {
    /// The phase that the conditions make: ready when the repository is initialised.
    pub fn compute_phase(&self) -> RepositoryPhase {
        if is_true(&self.conditions, REPOSITORY_INITIALIZED) { RepositoryPhase::Ready } else { RepositoryPhase::NotReady }
    }

    /// Puts a Snapshot among the recent ones, in the place of the one of its name, and keeps the newest five, newest first.
    pub fn set_recent(&mut self, snapshot: SnapshotInfo) {
        self.recent_snapshots.retain(|recent| recent.name != snapshot.name);
        self.recent_snapshots.push(snapshot);
        self.recent_snapshots.sort_by(|a, b| b.snapshot_time.cmp(&a.snapshot_time).then_with(|| a.name.cmp(&b.name)));
        self.recent_snapshots.truncate(MAX_RECENT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases() {
        for (conditions, phase) in [
            (vec![], RepositoryPhase::NotReady),
            (vec![Condition::new(REPOSITORY_INITIALIZED, false, "", "")], RepositoryPhase::NotReady),
            (vec![Condition::new(REPOSITORY_INITIALIZED, true, "", "")], RepositoryPhase::Ready),
        ] {
            assert_eq!(RepositoryStatus { conditions, ..RepositoryStatus::default() }.compute_phase(), phase);
        }
    }

    #[test]
    fn five_recent_snapshots_stay() {
        let mut status = RepositoryStatus::default();
        let info = |second: i64, phase| SnapshotInfo {
            name: format!("s{second}"),
            phase: Some(phase),
            snapshot_time: Some(Time(jiff::Timestamp::from_second(second).unwrap())),
            ..SnapshotInfo::default()
        };
        for second in 1..=7 {
            status.set_recent(info(second, SnapshotPhase::Running));
        }
        status.set_recent(info(6, SnapshotPhase::Succeeded));
        let names: Vec<&str> = status.recent_snapshots.iter().map(|recent| recent.name.as_str()).collect();
        assert_eq!(names, ["s7", "s6", "s5", "s4", "s3"]);
        assert_eq!(status.recent_snapshots[1].phase, Some(SnapshotPhase::Succeeded));
    }
}
