//! `Function`: a container that does one task.

use k8s_openapi::api::core::v1::{ContainerPort, VolumeDevice, VolumeMount};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    runtime_settings::ContainerRuntimeSettings,
    schema::{embedded, lenient},
};

/// A container that does one task. Its texts may hold variables such as `${namespace}` or `${repository:=none}`.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "addons.kubestash.com",
    version = "v1alpha1",
    kind = "Function",
    plural = "functions",
    shortname = "fn",
    category = "kubestash",
    category = "appscode",
    category = "all",
    derive = "PartialEq",
    derive = "Default",
    doc = "A container that does one task.",
    printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct FunctionSpec {
    /// Image of the container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Command of the container; that of the image if absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// Arguments of the command.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// Folder that the command starts in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub working_dir: Option<String>,
    /// Ports of the container.
    #[schemars(schema_with = "embedded::<Vec<ContainerPort>>")]
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "lenient")]
    pub ports: Vec<ContainerPort>,
    /// Volumes that are mounted.
    #[schemars(schema_with = "embedded::<Vec<VolumeMount>>")]
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "lenient")]
    pub volume_mounts: Vec<VolumeMount>,
    /// Block devices of the container.
    #[schemars(schema_with = "embedded::<Vec<VolumeDevice>>")]
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "lenient")]
    pub volume_devices: Vec<VolumeDevice>,
    /// How the container is run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime_settings: Option<ContainerRuntimeSettings>,
    /// Versions of the application that it knows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub available_versions: Vec<String>,
}
