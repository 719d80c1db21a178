//! Versions of built-in kinds, and what differs between them.
//!
//! Source: kubernetes.io, "Deprecated API Migration Guide", and the release notes of the versions in it.

use serde_json::Value;

use super::{autoscaler, definition, ingress, small, webhook, workload};
use crate::object::{GroupResource, KindInfo};

/// What differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Nothing but the name.
    Name,
    /// Ingresses name Services in another form.
    Ingress,
    /// Autoscalers name measurements and aims in another form.
    Autoscaler,
    /// A budget with an empty selector is for no Pods, and then for all.
    Budget,
    /// Definitions have schema, columns and subresources by version.
    Definition,
    /// Webhooks lose their defaults.
    Webhook,
    /// Workloads lose their defaults, of the selector above all.
    Workload,
    /// Slices name node and zone in fields of their own.
    Slice,
    /// Priority levels call their shares otherwise.
    PriorityLevel,
}

impl Change {
    /// Makes the change, but for `apiVersion`. Returns what there is to know, one line each.
    pub fn apply(self, from: &KindInfo, object: &mut Value) -> Vec<String> {
        match self {
            Self::Name => {}
            Self::Ingress => ingress::convert(object),
            Self::Autoscaler => autoscaler::convert(object),
            Self::Budget => small::budget(object),
            Self::Definition => definition::convert(object),
            Self::Webhook => return webhook::convert(object),
            Self::Workload => workload::convert(from, object),
            Self::Slice => small::slice(object),
            Self::PriorityLevel => small::priority_level(object),
        }
        Vec::new()
    }
}

/// Group and version.
type Place = (&'static str, &'static str);

/// From, to, plural names, and what differs.
struct Row(Place, Place, &'static [&'static str], Change);

const WORKLOADS: &[&str] = &["deployments", "daemonsets", "replicasets", "statefulsets"];
const HOOKS: &[&str] = &["mutatingwebhookconfigurations", "validatingwebhookconfigurations"];
const RBAC: &[&str] = &["roles", "rolebindings", "clusterroles", "clusterrolebindings"];
const FLOWS: &str = "flowcontrol.apiserver.k8s.io";
const ADMISSION: &str = "admissionregistration.k8s.io";
const POLICIES: &[&str] = &["validatingadmissionpolicies", "validatingadmissionpolicybindings"];
const MUTATING: &[&str] = &["mutatingadmissionpolicies", "mutatingadmissionpolicybindings"];

/// Where several targets are served, the API server's order decides.
const ROWS: &[Row] = &[
    Row(("extensions", "v1beta1"), ("apps", "v1"), WORKLOADS, Change::Workload),
    Row(("apps", "v1beta1"), ("apps", "v1"), WORKLOADS, Change::Workload),
    Row(("apps", "v1beta2"), ("apps", "v1"), WORKLOADS, Change::Workload),
    Row(("extensions", "v1beta1"), ("networking.k8s.io", "v1"), &["networkpolicies"], Change::Name),
    Row(("extensions", "v1beta1"), ("networking.k8s.io", "v1"), &["ingresses"], Change::Ingress),
    Row(("networking.k8s.io", "v1beta1"), ("networking.k8s.io", "v1"), &["ingresses"], Change::Ingress),
    Row(("extensions", "v1beta1"), ("networking.k8s.io", "v1beta1"), &["ingresses"], Change::Name),
    Row(("autoscaling", "v2beta1"), ("autoscaling", "v2"), &["horizontalpodautoscalers"], Change::Autoscaler),
    Row(("autoscaling", "v2beta1"), ("autoscaling", "v2beta2"), &["horizontalpodautoscalers"], Change::Autoscaler),
    Row(("policy", "v1beta1"), ("policy", "v1"), &["poddisruptionbudgets"], Change::Budget),
    Row(("apiextensions.k8s.io", "v1beta1"), ("apiextensions.k8s.io", "v1"), &["customresourcedefinitions"], Change::Definition),
    Row((ADMISSION, "v1beta1"), (ADMISSION, "v1"), HOOKS, Change::Webhook),
    Row(("discovery.k8s.io", "v1beta1"), ("discovery.k8s.io", "v1"), &["endpointslices"], Change::Slice),
    Row((FLOWS, "v1beta1"), (FLOWS, "v1"), &["prioritylevelconfigurations"], Change::PriorityLevel),
    Row((FLOWS, "v1beta2"), (FLOWS, "v1"), &["prioritylevelconfigurations"], Change::PriorityLevel),
    Row((FLOWS, "v1beta1"), (FLOWS, "v1beta3"), &["prioritylevelconfigurations"], Change::PriorityLevel),
    Row((FLOWS, "v1beta2"), (FLOWS, "v1beta3"), &["prioritylevelconfigurations"], Change::PriorityLevel),
];

/// Versions of one group that differ in nothing but their name, each way.
const SAME: &[(&str, &[&str], &[&str])] = &[
    ("autoscaling", &["v2", "v2beta2"], &["horizontalpodautoscalers"]),
    ("batch", &["v1", "v1beta1"], &["cronjobs"]),
    ("networking.k8s.io", &["v1", "v1beta1"], &["ingressclasses", "servicecidrs"]),
    ("rbac.authorization.k8s.io", &["v1", "v1beta1"], RBAC),
    ("scheduling.k8s.io", &["v1", "v1beta1"], &["priorityclasses"]),
    ("storage.k8s.io", &["v1", "v1beta1"], &["storageclasses", "csidrivers", "volumeattributesclasses"]),
    ("node.k8s.io", &["v1", "v1beta1"], &["runtimeclasses"]),
    ("apiregistration.k8s.io", &["v1", "v1beta1"], &["apiservices"]),
    (FLOWS, &["v1", "v1beta3", "v1beta2", "v1beta1"], &["flowschemas"]),
    (FLOWS, &["v1", "v1beta3"], &["prioritylevelconfigurations"]),
    (ADMISSION, &["v1", "v1beta1"], POLICIES),
    (ADMISSION, &["v1", "v1beta1"], MUTATING),
    ("snapshot.storage.k8s.io", &["v1", "v1beta1"], &["volumesnapshots", "volumesnapshotclasses", "volumesnapshotcontents"]),
];

/// What differs between two versions; nothing where that is not known.
pub fn change(from: &KindInfo, to: &KindInfo) -> Option<Change> {
    let same = SAME.iter().any(|(group, versions, resources)| {
        let all = [&from.version, &to.version].iter().all(|version| versions.contains(&version.as_str()));
        from.group == *group && to.group == *group && resources.contains(&from.resource.as_str()) && all
    });
    if same {
        return Some(Change::Name);
    }
    let is = |place: &Place, kind: &KindInfo| place.0 == kind.group && place.1 == kind.version;
    ROWS.iter().find(|Row(old, new, resources, _)| is(old, from) && is(new, to) && resources.contains(&from.resource.as_str())).map(|row| row.3)
}

/// The kinds of other groups that a kind lives on in.
pub fn successors(stored: &KindInfo) -> impl Iterator<Item = GroupResource> {
    let rows = ROWS.iter().filter(|Row(old, new, resources, _)| {
        old.0 == stored.group && old.1 == stored.version && new.0 != old.0 && resources.contains(&stored.resource.as_str())
    });
    rows.map(|Row(_, new, ..)| GroupResource::new(new.0, &stored.resource))
}

/// The group and version that a reference of an old form means today; for references that objects hold.
pub fn renamed(api_version: &str, kind: &str) -> Option<&'static str> {
    match (api_version, kind) {
        ("extensions/v1beta1" | "apps/v1beta1" | "apps/v1beta2", "Deployment" | "ReplicaSet" | "StatefulSet" | "DaemonSet") => Some("apps/v1"),
        _ => None,
    }
}
