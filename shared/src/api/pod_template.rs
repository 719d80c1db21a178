//! KubeStash's own template of a Pod: fields of the Pod and of its main container side by side.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Affinity, Container, EnvVar, Lifecycle, LocalObjectReference, PodDNSConfig, PodSecurityContext, Probe, ResourceRequirements, SecurityContext,
    Toleration, TopologySpreadConstraint, Volume, VolumeMount,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema::{embedded, lenient};

/// A Pod and what runs it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PodTemplateSpec {
    /// Labels and annotations of the Pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<PartialMeta>,
    /// Labels and annotations of the Job or CronJob.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub controller: Option<PartialMeta>,
    /// The Pod and its main container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spec: Option<PodSpec>,
}

/// Labels and annotations.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PartialMeta {
    /// Labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// A named policy of where Pods go.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlacementPolicyReference {
    /// Name of the policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// A Pod and its main container.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PodSpec {
    /// Volumes of the Pod.
    #[schemars(schema_with = "embedded::<Vec<Volume>>")]
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "lenient")]
    pub volumes: Vec<Volume>,
    /// Containers that run before the main one.
    #[schemars(schema_with = "embedded::<Vec<Container>>")]
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "lenient")]
    pub init_containers: Vec<Container>,
    /// Seconds that the Pod gets for ending.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub termination_grace_period_seconds: Option<i64>,
    /// How names are resolved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dns_policy: Option<String>,
    /// Parameters of name resolution.
    #[schemars(schema_with = "embedded::<PodDNSConfig>")]
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    pub dns_config: Option<PodDNSConfig>,
    /// Labels that a node needs to run the Pod.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub node_selector: BTreeMap<String, String>,
    /// The ServiceAccount that the Pod runs as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account_name: Option<String>,
    /// Whether the Pod uses the network of its node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_network: Option<bool>,
    /// Whether the Pod sees the processes of its node.
    #[serde(rename = "hostPID", default, skip_serializing_if = "Option::is_none")]
    pub host_pid: Option<bool>,
    /// Whether the Pod shares the IPC namespace of its node.
    #[serde(rename = "hostIPC", default, skip_serializing_if = "Option::is_none")]
    pub host_ipc: Option<bool>,
    /// Whether the containers see each other's processes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share_process_namespace: Option<bool>,
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
    /// Arguments of the main container.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// Environment variables of the main container.
    #[schemars(schema_with = "embedded::<Vec<EnvVar>>")]
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "lenient")]
    pub env: Vec<EnvVar>,
    /// CPU and memory of the main container.
    #[schemars(schema_with = "embedded::<ResourceRequirements>")]
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    pub resources: Option<ResourceRequirements>,
    /// Tells whether the main container must be restarted.
    #[schemars(schema_with = "embedded::<Probe>")]
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    pub liveness_probe: Option<Probe>,
    /// Tells whether the main container takes requests.
    #[schemars(schema_with = "embedded::<Probe>")]
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    pub readiness_probe: Option<Probe>,
    /// What runs in the main container after start and before stop.
    #[schemars(schema_with = "embedded::<Lifecycle>")]
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    pub lifecycle: Option<Lifecycle>,
    /// Security attributes of the main container.
    #[schemars(schema_with = "embedded::<SecurityContext>")]
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    pub container_security_context: Option<SecurityContext>,
    /// Volumes that are mounted into the main container.
    #[schemars(schema_with = "embedded::<Vec<VolumeMount>>")]
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "lenient")]
    pub volume_mounts: Vec<VolumeMount>,
    /// Where Pods go; accepted and ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_placement_policy: Option<PlacementPolicyReference>,
}
