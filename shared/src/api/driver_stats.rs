//! What drivers tell of a component of a Snapshot.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Longest list of kinds in [`KStashStats::not_read`]: the whole list is in the snapshot itself.
pub const MAX_NOT_READ: usize = 64;

/// What this program's own driver wrote. Absent is what is not known yet.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KStashStats {
    /// Objects in the snapshot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objects: Option<i64>,
    /// Objects that its parent has not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new: Option<i64>,
    /// Objects that are otherwise in its parent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed: Option<i64>,
    /// Objects that are the same in its parent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unchanged: Option<i64>,
    /// Objects of its parent that are gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removed: Option<i64>,
    /// Kinds in the snapshot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kinds: Option<i64>,
    /// Kinds and API groups that could not be read, 64 at most.
    #[schemars(length(max = 64))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_read: Vec<NotRead>,
    /// Bytes that were added to the repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stored_bytes: Option<i64>,
    /// Bytes of all objects in the snapshot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logical_bytes: Option<i64>,
    /// Resource version of the cluster that the snapshot shows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_version: Option<String>,
}

/// A kind or an API group that could not be read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NotRead {
    /// Plural and group, such as `deployments.apps`, or the group alone.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub resource: String,
    /// Why not.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// What restic wrote of one path.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResticStats {
    /// The outcome.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<ResticSummary>,
    /// How far it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<ResticProgress>,
}

/// The outcome of one backup of restic.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResticSummary {
    /// Id of restic's snapshot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Size that was added to the repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uploaded: Option<String>,
    /// The path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_path: Option<String>,
    /// Size of the snapshot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<String>,
    /// When it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Time>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_time: Option<Time>,
}

/// How far a backup of restic is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResticProgress {
    /// Seconds since it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds_elapsed: Option<i64>,
    /// Part of the whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent_done: Option<String>,
    /// Files to read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_files: Option<i64>,
    /// Files that were read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files_done: Option<i64>,
    /// Size that was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup_done: Option<String>,
    /// Size to read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<String>,
    /// Size for each second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speed: Option<String>,
}

/// What WAL-G wrote.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WalGStats {
    /// Id of the backup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The databases in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub databases: Vec<String>,
    /// When it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Time>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_time: Option<Time>,
}

/// The archive of write-ahead logs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LogStats {
    /// Time of the first log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<String>,
    /// Time of the last log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<String>,
    /// Sequence number of the last log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lsn: Option<String>,
    /// How many logs were archived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_succeeded_count: Option<i64>,
    /// The last archived logs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub last_succeeded_stats: Vec<LogRun>,
    /// How many logs could not be archived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_failed_count: Option<i64>,
    /// The last logs that could not be archived.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub last_failed_stats: Vec<LogRun>,
    /// What the retention of logs did.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub last_log_retention_stats: Vec<LogRetention>,
}

/// One run of the archiver.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LogRun {
    /// When it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<String>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<String>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// One run of the retention of logs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LogRetention {
    /// When it ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_execution_time: Option<String>,
    /// The period that it kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention_period_applied: Option<String>,
    /// How many logs it removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted_log_count: Option<i64>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A snapshot of a volume.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VolumeSnapshotterStats {
    /// Name of the claim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pvc_name: Option<String>,
    /// Where the volume was mounted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_path: Option<String>,
    /// Name of the VolumeSnapshot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume_snapshot_name: Option<String>,
    /// When it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume_snapshot_time: Option<Time>,
}

/// What Solr wrote of one collection.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SolrStats {
    /// The collection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collection: Option<String>,
    /// Name of the backup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup_name: Option<String>,
    /// Id of the backup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup_id: Option<i64>,
    /// Where it lies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// When it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_time: Option<String>,
    /// How many files the index has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index_file_count: Option<i64>,
    /// Size of the index, in megabytes.
    #[serde(rename = "indexSizeMB", default, skip_serializing_if = "Option::is_none")]
    pub index_size_mb: Option<f64>,
    /// Size of what was uploaded, in megabytes.
    #[serde(rename = "uploadedIndexFileMB", default, skip_serializing_if = "Option::is_none")]
    pub uploaded_index_file_mb: Option<f64>,
}

/// What Medusa wrote.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MedusaStats {
    /// Name of the backup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup_name: Option<String>,
    /// The nodes in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub backup_nodes: Vec<String>,
    /// When it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_time: Option<String>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finish_time: Option<String>,
    /// How it went.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
}

/// What clickhouse-backup wrote of one host.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClickHouseStats {
    /// Id of the backup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// When it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Time>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finish_time: Option<Time>,
    /// How it went.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
}

/// What neo4j-admin wrote of one database.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Neo4jStats {
    /// The file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    /// Id of the database.
    #[serde(rename = "databaseID", default, skip_serializing_if = "Option::is_none")]
    pub database_id: Option<String>,
    /// When it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// Whether it stands alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub full: Option<bool>,
    /// Whether it is compressed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compressed: Option<bool>,
    /// Whether it was recovered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovered: Option<bool>,
    /// First transaction in it.
    #[serde(rename = "lowestTX", default, skip_serializing_if = "Option::is_none")]
    pub lowest_tx: Option<i64>,
    /// Last transaction in it.
    #[serde(rename = "highestTX", default, skip_serializing_if = "Option::is_none")]
    pub highest_tx: Option<i64>,
    /// Hash of the store's id.
    #[serde(rename = "storeIDHash", default, skip_serializing_if = "Option::is_none")]
    pub store_id_hash: Option<String>,
}
