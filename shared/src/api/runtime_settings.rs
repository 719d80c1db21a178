//! How the Pods that do the work are run.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Affinity, EnvFromSource, EnvVar, Lifecycle, LocalObjectReference, PodReadinessGate, PodSecurityContext, Probe, ResourceRequirements,
    SecurityContext, Toleration, TopologySpreadConstraint,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema::{embedded, lenient};

/// Settings of Pods and of their containers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RuntimeSettings {
    /// Settings of the Pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<PodRuntimeSettings>,
    /// Settings of its containers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<ContainerRuntimeSettings>,
}

/// Settings of a Pod.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PodRuntimeSettings {
    /// Labels that are added to the Pod.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub pod_labels: BTreeMap<String, String>,
    /// Annotations that are added to the Pod.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub pod_annotations: BTreeMap<String, String>,
    /// Labels that a node needs to run the Pod.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub node_selector: BTreeMap<String, String>,
    /// The ServiceAccount that the Pod runs as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account_name: Option<String>,
    /// Annotations of the ServiceAccount, as cloud providers read them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub service_account_annotations: BTreeMap<String, String>,
    /// Whether the token of the ServiceAccount is mounted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub automount_service_account_token: Option<bool>,
    /// The node that runs the Pod, past the scheduler.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_name: Option<String>,
    /// Security attributes of the Pod.
    #[schemars(schema_with = "embedded::<PodSecurityContext>")]
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    pub security_context: Option<PodSecurityContext>,
    /// Secrets for pulling images.
    #[schemars(schema_with = "embedded::<Vec<LocalObjectReference>>")]
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "lenient")]
    pub image_pull_secrets: Vec<LocalObjectReference>,
    /// Preferences among nodes.
    #[schemars(schema_with = "embedded::<Affinity>")]
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    pub affinity: Option<Affinity>,
    /// The scheduler that places the Pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduler_name: Option<String>,
    /// Taints of nodes that the Pod tolerates.
    #[schemars(schema_with = "embedded::<Vec<Toleration>>")]
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "lenient")]
    pub tolerations: Vec<Toleration>,
    /// Name of the Pod's PriorityClass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority_class_name: Option<String>,
    /// Priority of the Pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<i32>,
    /// Further conditions that make the Pod ready.
    #[schemars(schema_with = "embedded::<Vec<PodReadinessGate>>")]
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "lenient")]
    pub readiness_gates: Vec<PodReadinessGate>,
    /// Name of the RuntimeClass that runs the Pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime_class_name: Option<String>,
    /// Whether the services of the namespace appear as environment variables.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enable_service_links: Option<bool>,
    /// How Pods spread over zones and nodes.
    #[schemars(schema_with = "embedded::<Vec<TopologySpreadConstraint>>")]
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "lenient")]
    pub topology_spread_constraints: Vec<TopologySpreadConstraint>,
}

/// Settings of a container.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ContainerRuntimeSettings {
    /// CPU and memory.
    #[schemars(schema_with = "embedded::<ResourceRequirements>")]
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    pub resources: Option<ResourceRequirements>,
    /// Tells whether the container must be restarted.
    #[schemars(schema_with = "embedded::<Probe>")]
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    pub liveness_probe: Option<Probe>,
    /// Tells whether the container takes requests.
    #[schemars(schema_with = "embedded::<Probe>")]
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    pub readiness_probe: Option<Probe>,
    /// What runs after start and before stop.
    #[schemars(schema_with = "embedded::<Lifecycle>")]
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    pub lifecycle: Option<Lifecycle>,
    /// Security attributes of the container.
    #[schemars(schema_with = "embedded::<SecurityContext>")]
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    pub security_context: Option<SecurityContext>,
    /// Scheduling priority of the process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nice: Option<NiceSettings>,
    /// Scheduling class of the process's input and output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ionice: Option<IoNiceSettings>,
    /// Sources of environment variables.
    #[schemars(schema_with = "embedded::<Vec<EnvFromSource>>")]
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "lenient")]
    pub env_from: Vec<EnvFromSource>,
    /// Environment variables.
    #[schemars(schema_with = "embedded::<Vec<EnvVar>>")]
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "lenient")]
    pub env: Vec<EnvVar>,
}

/// Scheduling priority of a process, see nice(1).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NiceSettings {
    /// From -20, the most favourable, to 19.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adjustment: Option<i32>,
}

/// Scheduling of a process's input and output, see ionice(1).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IoNiceSettings {
    /// 1 is realtime, 2 best effort, 3 idle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<i32>,
    /// Priority within the class, from 0, the highest, to 7.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class_data: Option<i32>,
}
