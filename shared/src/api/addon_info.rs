//! How a session uses an Addon.

use k8s_openapi::api::core::v1::{EnvVar, Volume, VolumeMount};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    pod_template::PodTemplateSpec,
    runtime_settings::ContainerRuntimeSettings,
    schema::{Params, anything, embedded, lenient},
    volume::{TaskVolumeSource, VolumeClaim},
};

/// Which tasks of which Addon do the work.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AddonInfo {
    /// Name of the Addon.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The tasks.
    #[schemars(length(max = 64))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tasks: Vec<TaskReference>,
    /// How the containers of the tasks are run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container_runtime_settings: Option<ContainerRuntimeSettings>,
    /// The Job of the tasks: its ServiceAccount, resources, volumes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_template: Option<PodTemplateSpec>,
}

/// A task of an Addon.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TaskReference {
    /// Name of the task in the Addon.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Environment variables for the parameters of the task.
    #[schemars(schema_with = "embedded::<Vec<EnvVar>>")]
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "lenient")]
    pub variables: Vec<EnvVar>,
    /// Values of the parameters of the task: strings, or booleans and numbers.
    #[schemars(schema_with = "anything")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub params: Option<Params>,
    /// Volumes of the application; accepted and ignored, as the resources of a cluster have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_volumes: Option<TargetVolumes>,
    /// Volumes that take the place of the Addon's volumes of the same names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addon_volumes: Vec<AddonVolume>,
}

/// Volumes of an application.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TargetVolumes {
    /// The volumes.
    #[schemars(schema_with = "embedded::<Vec<Volume>>")]
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "lenient")]
    pub volumes: Vec<Volume>,
    /// Where they are mounted.
    #[schemars(schema_with = "embedded::<Vec<VolumeMount>>")]
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "lenient")]
    pub volume_mounts: Vec<VolumeMount>,
    /// Claims to be made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub volume_claim_templates: Vec<VolumeClaim>,
}

/// A volume of a task.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AddonVolume {
    /// Name of the volume in the Addon.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// What it is made of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<TaskVolumeSource>,
}
