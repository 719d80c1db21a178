//! `BackupSession`: one run of a session.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    condition::Condition,
    hook::HookStatus,
    phase::{BackupSessionPhase, RetentionPolicyPhase, SnapshotPhase},
    reference::{ObjectReference, TypedLocalObjectReference, TypedObjectReference},
};

/// One run of a session. It cannot be changed.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "core.kubestash.com",
    version = "v1alpha1",
    kind = "BackupSession",
    plural = "backupsessions",
    namespaced,
    status = "BackupSessionStatus",
    category = "kubestash",
    category = "appscode",
    category = "all",
    derive = "PartialEq",
    derive = "Default",
    doc = "One run of a session of a BackupConfiguration.",
    printcolumn = r#"{"name": "Invoker-Type", "type": "string", "jsonPath": ".spec.invoker.kind"}"#,
    printcolumn = r#"{"name": "Invoker-Name", "type": "string", "jsonPath": ".spec.invoker.name"}"#,
    printcolumn = r#"{"name": "Phase", "type": "string", "jsonPath": ".status.phase"}"#,
    printcolumn = r#"{"name": "Duration", "type": "string", "jsonPath": ".status.duration"}"#,
    printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct BackupSessionSpec {
    /// The BackupConfiguration or BackupBatch that it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invoker: Option<TypedLocalObjectReference>,
    /// The session that it runs.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub session: String,
    /// How often it may be tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_left: Option<i32>,
    /// How long it may take, such as `2h`; for ever if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup_timeout: Option<String>,
}

/// What is known of a BackupSession.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackupSessionStatus {
    /// How far it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<BackupSessionPhase>,
    /// How long it took, such as `35s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<String>,
    /// When it is given up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup_deadline: Option<Time>,
    /// How many Snapshots it is going to make.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_snapshots: Option<i32>,
    /// The Snapshots that it makes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub snapshots: Vec<SnapshotStatusInfo>,
    /// What became of the hooks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hooks: Option<HookStatus>,
    /// What became of the policies, by repository.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub retention_policy: Vec<RetentionPolicyApplyStatus>,
    /// Whether it was tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retried: Option<bool>,
    /// When it is going to be tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_retry: Option<Time>,
    /// What was observed. `MetricsPushed` is the last of all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

/// A Snapshot that a BackupSession makes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SnapshotStatusInfo {
    /// Name of the Snapshot.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// How far it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<SnapshotPhase>,
    /// The application that is backed up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app_ref: Option<TypedObjectReference>,
    /// Name of the Repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
}

/// What became of a policy in one repository.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RetentionPolicyApplyStatus {
    /// The policy.
    #[serde(rename = "ref", default, skip_serializing_if = "Option::is_none")]
    pub ref_: Option<ObjectReference>,
    /// Name of the Repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// How far it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<RetentionPolicyPhase>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}
