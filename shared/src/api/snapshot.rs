//! `Snapshot`: what was backed up at one time.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    condition::Condition,
    deletion::DeletionPolicy,
    driver::Driver,
    driver_stats::{ClickHouseStats, KStashStats, LogStats, MedusaStats, Neo4jStats, ResticStats, SolrStats, VolumeSnapshotterStats, WalGStats},
    phase::{ComponentPhase, SnapshotPhase, VerificationStatus},
    reference::TypedObjectReference,
};

/// `spec.type` of a Snapshot that stands alone.
pub const FULL_BACKUP: &str = "FullBackup";
/// `spec.type` of a Snapshot that needs an earlier one.
pub const INCREMENTAL_BACKUP: &str = "IncrementalBackup";
/// `spec.version` of the Snapshots of today.
pub const SNAPSHOT_VERSION: &str = "v1";

/// What was backed up at one time. Made by the operator.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "storage.kubestash.com",
    version = "v1alpha1",
    kind = "Snapshot",
    plural = "snapshots",
    namespaced,
    status = "SnapshotStatus",
    category = "kubestash",
    category = "appscode",
    derive = "PartialEq",
    derive = "Default",
    doc = "What was backed up at one time. Made by the operator.",
    printcolumn = r#"{"name": "Repository", "type": "string", "jsonPath": ".spec.repository"}"#,
    printcolumn = r#"{"name": "Session", "type": "string", "jsonPath": ".spec.session"}"#,
    printcolumn = r#"{"name": "Snapshot-Time", "type": "string", "jsonPath": ".status.snapshotTime"}"#,
    printcolumn = r#"{"name": "Deletion-Policy", "type": "string", "jsonPath": ".spec.deletionPolicy"}"#,
    printcolumn = r#"{"name": "Phase", "type": "string", "jsonPath": ".status.phase"}"#,
    printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct SnapshotSpec {
    /// Identity of the Snapshot, whatever it is called.
    #[serde(rename = "snapshotID", default, skip_serializing_if = "String::is_empty")]
    pub snapshot_id: String,
    /// `FullBackup` or `IncrementalBackup`.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub type_: Option<String>,
    /// Name of the Repository, in the same namespace.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub repository: String,
    /// The session of the BackupConfiguration.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub session: String,
    /// Name of the BackupSession that made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup_session: Option<String>,
    /// Version of the layout in the backend.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The application that was backed up; `na` for the resources of the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app_ref: Option<TypedObjectReference>,
    /// What deleting this object does to the data in the backend.
    #[schemars(extend("default" = "Delete"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_policy: Option<DeletionPolicy>,
    /// Whether the operator leaves this object alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<bool>,
}

/// What is known of a Snapshot.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SnapshotStatus {
    /// How far it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<SnapshotPhase>,
    /// Whether it was read back and checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verification_status: Option<VerificationStatus>,
    /// The BackupVerificationSession that did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verification_session: Option<String>,
    /// When its backup began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot_time: Option<Time>,
    /// When this status was last written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_update_time: Option<Time>,
    /// Size of all its components.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<String>,
    /// Whether its data was found undamaged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub integrity: Option<bool>,
    /// What was observed: `SnapshotMetadataUploaded`, `RecentSnapshotListUpdated`, `BackupIncomplete`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// How many components it is going to have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_components: Option<i32>,
    /// Its parts, each written by a driver; `manifest` for the resources of the cluster.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub components: BTreeMap<String, Component>,
}

/// A part of a Snapshot.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Component {
    /// Directory of the part below that of the repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// How far it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<ComponentPhase>,
    /// Size of the part. Restic's is that of the whole repository of the part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<String>,
    /// How long it took, such as `35s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<String>,
    /// Whether its data was found undamaged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub integrity: Option<bool>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub driver: Option<Driver>,
    /// What this program's own driver wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kstash_stats: Option<KStashStats>,
    /// What restic wrote, by path.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub restic_stats: Vec<ResticStats>,
    /// What WAL-G wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wal_g_stats: Option<WalGStats>,
    /// The archive of write-ahead logs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_stats: Option<LogStats>,
    /// The snapshots of volumes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub volume_snapshotter_stats: Vec<VolumeSnapshotterStats>,
    /// What Solr wrote, by collection.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub solr_stats: Vec<SolrStats>,
    /// What Medusa wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub medusa_stats: Option<MedusaStats>,
    /// What clickhouse-backup wrote, by host.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub click_house_stats: Vec<ClickHouseStats>,
    /// What neo4j-admin wrote, by database.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub neo4j_stats: Vec<Neo4jStats>,
}
