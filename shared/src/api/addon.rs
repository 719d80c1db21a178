//! `Addon`: tasks that back up and restore one kind of thing.

use k8s_openapi::api::core::v1::VolumeMount;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    driver::Driver,
    parameter::ParameterDefinition,
    schema::{embedded, lenient},
    volume::TaskVolumeSource,
    words::words,
};

/// Tasks that back up and restore one kind of thing.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "addons.kubestash.com",
    version = "v1alpha1",
    kind = "Addon",
    plural = "addons",
    category = "kubestash",
    category = "appscode",
    category = "all",
    derive = "PartialEq",
    derive = "Default",
    doc = "Tasks that back up and restore one kind of thing.",
    printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct AddonSpec {
    /// Tasks that back up.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub backup_tasks: Vec<AddonTask>,
    /// Tasks that restore.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub restore_tasks: Vec<AddonTask>,
}

words! {
    /// What runs a task.
    TaskExecutor {
        /// A Job.
        Job,
        /// A container beside the application.
        Sidecar,
        /// A container that joins a Pod of the application.
        EphemeralContainer,
        /// Several Jobs, one after the other.
        MultiLevelJob,
    }
}

/// A task of an Addon.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AddonTask {
    /// Name of the task.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Name of the Function that does it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub function: Option<String>,
    /// What keeps the data, such as `KStash` or `Restic`.
    #[schemars(with = "String")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub driver: Option<Driver>,
    /// What runs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub executor: Option<TaskExecutor>,
    /// Whether it cannot run together with other tasks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub singleton: Option<bool>,
    /// The parameters that it takes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parameters: Vec<ParameterDefinition>,
    /// Volumes that it needs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub volume_template: Vec<VolumeTemplate>,
    /// Where they are mounted.
    #[schemars(schema_with = "embedded::<Vec<VolumeMount>>")]
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "lenient")]
    pub volume_mounts: Vec<VolumeMount>,
}

/// A volume that a task needs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VolumeTemplate {
    /// Name of the volume.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<String>,
    /// What it is made of, unless a session says otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<TaskVolumeSource>,
}
