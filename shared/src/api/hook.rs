//! What runs before and after a backup or a restore.

use k8s_openapi::api::core::v1::{EnvVar, Volume, VolumeMount};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    phase::HookPhase,
    reference::ObjectReference,
    runtime_settings::RuntimeSettings,
    schema::{Params, anything, embedded, lenient},
    words::words,
};

/// Hooks around a backup.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackupHooks {
    /// Run before the backup; one that fails prevents it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pre_backup: Vec<HookInfo>,
    /// Run after the backup, as their `executionPolicy` says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub post_backup: Vec<HookInfo>,
}

/// Hooks around a restore.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RestoreHooks {
    /// Run before the restore; one that fails prevents it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pre_restore: Vec<HookInfo>,
    /// Run after the restore, as their `executionPolicy` says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub post_restore: Vec<HookInfo>,
}

words! {
    /// When a hook runs.
    HookExecutionPolicy {
        /// In any case.
        Always,
        /// When all went well.
        OnSuccess,
        /// When something failed.
        OnFailure,
    }
}

/// One use of a HookTemplate.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HookInfo {
    /// Name of this use, which the status shows.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The HookTemplate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hook_template: Option<ObjectReference>,
    /// Values of the template's parameters.
    #[schemars(schema_with = "anything")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub params: Option<Params>,
    /// How often a hook that failed is tried again.
    #[schemars(range(min = 0))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_retry: Option<i32>,
    /// How long a try may take, such as `30s` or `5m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<String>,
    /// When the hook runs; only hooks that come after look at it.
    #[schemars(extend("default" = "Always"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution_policy: Option<HookExecutionPolicy>,
    /// Environment variables for parameters of the template.
    #[schemars(schema_with = "embedded::<Vec<EnvVar>>")]
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "lenient")]
    pub variables: Vec<EnvVar>,
    /// Volumes; only with a Function.
    #[schemars(schema_with = "embedded::<Vec<Volume>>")]
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "lenient")]
    pub volumes: Vec<Volume>,
    /// Where the volumes are mounted; only with a Function.
    #[schemars(schema_with = "embedded::<Vec<VolumeMount>>")]
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "lenient")]
    pub volume_mounts: Vec<VolumeMount>,
    /// How the Pod is run; only with a Function.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime_settings: Option<RuntimeSettings>,
}

/// What became of the hooks of a session.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HookStatus {
    /// The hooks that come before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pre_hooks: Vec<HookExecutionStatus>,
    /// The hooks that come after.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub post_hooks: Vec<HookExecutionStatus>,
}

/// What became of one hook.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HookExecutionStatus {
    /// Name of the hook.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// How far it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<HookPhase>,
}
