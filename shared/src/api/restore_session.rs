//! `RestoreSession`: bringing a Snapshot back.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    addon_info::AddonInfo,
    condition::Condition,
    hook::{HookStatus, RestoreHooks},
    invoker_status::ResourceFoundStatus,
    manifest_options::ManifestOptions,
    phase::RestorePhase,
    reference::{ObjectReference, TypedObjectReference},
};

/// `dataSource.snapshot` that means the newest successful Snapshot of the Repository.
pub const LATEST: &str = "latest";
/// Longest list of objects in [`RestoreComponentStatus::failures`].
pub const MAX_FAILURES: usize = 64;

/// Bringing a Snapshot back.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "core.kubestash.com",
    version = "v1alpha1",
    kind = "RestoreSession",
    plural = "restoresessions",
    shortname = "restore",
    namespaced,
    status = "RestoreSessionStatus",
    category = "kubestash",
    category = "appscode",
    category = "all",
    derive = "PartialEq",
    derive = "Default",
    doc = "Bringing a Snapshot back.",
    printcolumn = r#"{"name": "Repository", "type": "string", "jsonPath": ".spec.dataSource.repository"}"#,
    printcolumn = r#"{"name": "Phase", "type": "string", "jsonPath": ".status.phase"}"#,
    printcolumn = r#"{"name": "Duration", "type": "string", "jsonPath": ".status.duration"}"#,
    printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct RestoreSessionSpec {
    /// The application that the data goes into; absent for the resources of the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<TypedObjectReference>,
    /// The Snapshot that is brought back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_source: Option<DataSource>,
    /// What brings it back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub addon: Option<AddonInfo>,
    /// What runs before and after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hooks: Option<RestoreHooks>,
    /// How long it may take, such as `2h`; for ever if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore_timeout: Option<String>,
    /// What is restored of the manifests of databases; accepted and ignored, as the resources of a cluster are selected by `params`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest_options: Option<ManifestOptions>,
}

/// Which Snapshot is brought back.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DataSource {
    /// Namespace of the Repository and the Snapshot; the RestoreSession's own if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Name of the Repository; needed with `latest` and with `pitr`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// Name of the Snapshot, or `latest`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<String>,
    /// The newest Snapshot of a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pitr: Option<PointInTime>,
    /// Parts of the Snapshot to restore; all if absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub components: Vec<String>,
    /// Secret with the password of the repository; the Repository's own if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption_secret: Option<ObjectReference>,
}

impl DataSource {
    /// The namespace, which defaults to that of the RestoreSession.
    pub fn namespace_or<'a>(&'a self, own: &'a str) -> &'a str {
        self.namespace.as_deref().filter(|namespace| !namespace.is_empty()).unwrap_or(own)
    }

    /// Whether the newest successful Snapshot is meant.
    pub fn is_latest(&self) -> bool {
        self.snapshot.as_deref() == Some(LATEST)
    }
}

/// A time whose newest Snapshot is meant.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PointInTime {
    /// The time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_time: Option<Time>,
    /// Whether a Snapshot of exactly that time is too late.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exclusive: Option<bool>,
}

/// What is known of a RestoreSession.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RestoreSessionStatus {
    /// How far it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<RestorePhase>,
    /// Whether the application is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_found: Option<bool>,
    /// How long it took, such as `35s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<String>,
    /// When it is given up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore_deadline: Option<Time>,
    /// How many parts are restored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_components: Option<i32>,
    /// The parts that are restored.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub components: BTreeMap<String, RestoreComponentStatus>,
    /// What became of the hooks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hooks: Option<HookStatus>,
    /// What it needs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dependencies: Vec<ResourceFoundStatus>,
    /// The backups that wait until it has ended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paused_backups: Vec<TypedObjectReference>,
    /// What was observed. `MetricsPushed` is the last of all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

/// What became of a part of a Snapshot.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RestoreComponentStatus {
    /// How far it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<RestorePhase>,
    /// How far restic is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<RestoreProgress>,
    /// How long it took, such as `35s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<String>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// How many objects were treated how.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counts: Option<RestoreCounts>,
    /// Objects that could not be restored, 64 at most.
    #[schemars(length(max = 64))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<RestoreFailure>,
}

/// How many objects were treated how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RestoreCounts {
    /// Made anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<i64>,
    /// There, and changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated: Option<i64>,
    /// There, and replaced by new ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recreated: Option<i64>,
    /// Left alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skipped: Option<i64>,
    /// Not restored, because of an error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<i64>,
    /// All that were selected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<i64>,
}

/// An object that could not be restored.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RestoreFailure {
    /// The object, such as `deployments.apps/demo/web`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub object: String,
    /// Why not.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// How far a restore of restic is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RestoreProgress {
    /// Seconds since it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds_elapsed: Option<i64>,
    /// Part of the whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent_done: Option<String>,
    /// Files to write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_files: Option<i64>,
    /// Files that were written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files_done: Option<i64>,
    /// Size that was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore_done: Option<String>,
    /// Size to write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<String>,
    /// Size for each second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speed: Option<String>,
}
