//! `BackupVerificationSession`: one check of a Snapshot.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{condition::Condition, phase::VerificationSessionPhase, reference::TypedLocalObjectReference, schema::rules};

const RULES: [(&str, &str); 1] = [("self == oldSelf", "the spec of a BackupVerificationSession cannot be changed; make a new one")];

/// One check of a Snapshot. It cannot be changed. The plural is `backupverificationsession`, as in KubeStash.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "core.kubestash.com",
    version = "v1alpha1",
    kind = "BackupVerificationSession",
    plural = "backupverificationsession",
    namespaced,
    status = "BackupVerificationSessionStatus",
    category = "kubestash",
    category = "appscode",
    category = "all",
    derive = "PartialEq",
    derive = "Default",
    doc = "One check of a Snapshot.",
    printcolumn = r#"{"name": "Phase", "type": "string", "jsonPath": ".status.phase"}"#,
    printcolumn = r#"{"name": "Duration", "type": "string", "jsonPath": ".status.duration"}"#,
    printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = rules(&RULES)))]
pub struct BackupVerificationSessionSpec {
    /// The BackupConfiguration or BackupBatch whose Snapshot is checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invoker: Option<TypedLocalObjectReference>,
    /// The session that made the Snapshot.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub session: String,
    /// Name of the Repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// Name of the Snapshot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<String>,
    /// How often it may be tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_left: Option<i32>,
}

/// What is known of a BackupVerificationSession.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackupVerificationSessionStatus {
    /// How far it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<VerificationSessionPhase>,
    /// How long it took, such as `11s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<String>,
    /// Whether it was tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retried: Option<bool>,
    /// What was observed. `VerificationSessionHistoryCleaned` is the last of all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}
