//! The order in which kinds are restored.
//!
//! Stages follow what an API server and its controllers need: definitions before objects, namespaces before their content, what
//! pods mount before pods, and last what could refuse or remove other objects. A kind that is not listed goes to the middle.

use serde::{Deserialize, Serialize};

use crate::object::GroupResource;

/// One stage of a restore; stages run one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// CustomResourceDefinitions.
    Definitions,
    /// Namespaces.
    Namespaces,
    /// Cluster-wide things that others refer to by name: classes, volumes, ClusterRoles.
    ClusterBasics,
    /// ServiceAccounts and Roles: before token Secrets (deleted without their account), bindings and pods.
    Accounts,
    /// What pods need to start and to be reached: Secrets, ConfigMaps, claims, Services, limits, bindings.
    Configuration,
    /// What runs.
    Workloads,
    /// Custom resources and every kind not known here.
    CustomResources,
    /// ResourceQuotas: after workloads, or a tight quota refuses the second half of a namespace.
    Quotas,
    /// What acts on workloads: autoscalers and disruption budgets.
    Policies,
    /// Admission webhooks and policies: they could refuse what comes after them.
    Admission,
    /// Bindings that put admission policies in force.
    AdmissionBindings,
    /// APIServices: a dead one breaks discovery for everything after it.
    ApiServices,
    /// What is removed, in the reverse of this order.
    Removals,
}

impl Stage {
    /// The stage of a kind.
    pub fn of(kind: &GroupResource) -> Self {
        match (kind.group.as_str(), kind.resource.as_str()) {
            ("apiextensions.k8s.io", "customresourcedefinitions") => Self::Definitions,
            ("", "namespaces") => Self::Namespaces,
            ("", "persistentvolumes")
            | ("scheduling.k8s.io" | "node.k8s.io" | "storage.k8s.io" | "flowcontrol.apiserver.k8s.io" | "resource.k8s.io", _)
            | ("networking.k8s.io", "ingressclasses" | "servicecidrs")
            | ("snapshot.storage.k8s.io", "volumesnapshotclasses")
            | ("rbac.authorization.k8s.io", "clusterroles") => Self::ClusterBasics,
            ("", "serviceaccounts") | ("rbac.authorization.k8s.io", "roles") => Self::Accounts,
            ("", "resourcequotas") => Self::Quotas,
            ("", "pods" | "replicationcontrollers" | "podtemplates") | ("apps" | "batch", _) => Self::Workloads,
            ("" | "rbac.authorization.k8s.io" | "networking.k8s.io" | "discovery.k8s.io" | "certificates.k8s.io", _) => Self::Configuration,
            ("autoscaling" | "policy", _) => Self::Policies,
            ("admissionregistration.k8s.io", resource) if resource.ends_with("bindings") => Self::AdmissionBindings,
            ("admissionregistration.k8s.io", _) => Self::Admission,
            ("apiregistration.k8s.io", _) => Self::ApiServices,
            _ => Self::CustomResources,
        }
    }

    /// Name for tables and progress.
    pub fn name(self) -> &'static str {
        match self {
            Self::Definitions => "definitions",
            Self::Namespaces => "namespaces",
            Self::ClusterBasics => "cluster basics",
            Self::Accounts => "accounts",
            Self::Configuration => "configuration",
            Self::Workloads => "workloads",
            Self::CustomResources => "custom resources",
            Self::Quotas => "quotas",
            Self::Policies => "policies",
            Self::Admission => "admission",
            Self::AdmissionBindings => "admission bindings",
            Self::ApiServices => "API services",
            Self::Removals => "removals",
        }
    }
}

/// Place of an object in the order: its stage and, within it, how many owners stand above it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Stage.
    pub stage: Stage,
    /// Owners above it in that stage.
    pub depth: u32,
}

/// The place of an object that is removed: behind all that is created, what refers to others before what is referred to.
pub fn removal(kind: &GroupResource) -> Place {
    Place { stage: Stage::Removals, depth: (Stage::Removals as u32).saturating_sub(Stage::of(kind) as u32) }
}

/// Places objects so that every owner comes before what it owns.
///
/// `stages` holds each object's own stage and `owners` the indices of its owners among the same objects. A cycle, which only
/// a broken cluster holds, is cut where it closes.
pub fn place(stages: &[Stage], owners: &[Vec<usize>]) -> Vec<Place> {
    let mut places: Vec<Option<Place>> = vec![None; stages.len()];
    let mut open = vec![false; stages.len()];
    for start in 0..stages.len() {
        // Depth first with a stack of its own: an owner chain of any length must not overflow the thread's.
        let mut stack = vec![start];
        while let Some(&index) = stack.last() {
            let above = owners.get(index).map(Vec::as_slice).unwrap_or_default();
            let unplaced = |owner: &&usize| places.get(**owner).is_some_and(Option::is_none) && !open.get(**owner).copied().unwrap_or(true);
            let waiting = if places.get(index).is_some_and(Option::is_some) { None } else { above.iter().find(unplaced).copied() };
            if let Some(flag) = open.get_mut(index) {
                *flag = true;
            }
            if let Some(owner) = waiting.filter(|owner| *owner != index) {
                stack.push(owner);
                continue;
            }
            let own = stages.get(index).map(|stage| Place { stage: *stage, depth: 0 });
            let below = above.iter().filter_map(|owner| places.get(*owner).copied().flatten()).max();
            let place = match (own, below) {
                (Some(own), Some(owner)) if owner >= own => Some(Place { stage: owner.stage, depth: owner.depth + 1 }),
                (own, _) => own,
            };
            if let Some(slot) = places.get_mut(index) {
                *slot = slot.or(place);
            }
            stack.pop();
        }
    }
    places.into_iter().map(|place| place.unwrap_or(Place { stage: Stage::CustomResources, depth: 0 })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage(kind: &str) -> Stage {
        let Ok(kind) = kind.parse();
        Stage::of(&kind)
    }

    #[test]
    fn every_kind_comes_after_what_it_needs() {
        let before = [
            ("customresourcedefinitions.apiextensions.k8s.io", "namespaces"),
            ("namespaces", "priorityclasses.scheduling.k8s.io"),
            ("clusterroles.rbac.authorization.k8s.io", "clusterrolebindings.rbac.authorization.k8s.io"),
            ("roles.rbac.authorization.k8s.io", "rolebindings.rbac.authorization.k8s.io"),
            ("serviceaccounts", "secrets"),
            ("secrets", "pods"),
            ("configmaps", "deployments.apps"),
            ("persistentvolumes", "persistentvolumeclaims"),
            ("storageclasses.storage.k8s.io", "persistentvolumeclaims"),
            ("persistentvolumeclaims", "statefulsets.apps"),
            ("limitranges", "pods"),
            ("services", "deployments.apps"),
            ("jobs.batch", "resourcequotas"),
            ("pods", "resourcequotas"),
            // What answers a webhook, and what it would be asked about.
            ("services", "mutatingwebhookconfigurations.admissionregistration.k8s.io"),
            ("deployments.apps", "mutatingwebhookconfigurations.admissionregistration.k8s.io"),
            ("services", "apiservices.apiregistration.k8s.io"),
            ("deployments.apps", "prometheuses.monitoring.coreos.com"),
            ("prometheuses.monitoring.coreos.com", "validatingwebhookconfigurations.admissionregistration.k8s.io"),
            ("deployments.apps", "horizontalpodautoscalers.autoscaling"),
            ("deployments.apps", "poddisruptionbudgets.policy"),
            ("validatingadmissionpolicies.admissionregistration.k8s.io", "validatingadmissionpolicybindings.admissionregistration.k8s.io"),
            ("validatingadmissionpolicybindings.admissionregistration.k8s.io", "apiservices.apiregistration.k8s.io"),
        ];
        for (first, second) in before {
            assert!(stage(first) < stage(second), "{first} before {second}");
        }
    }

    #[test]
    fn what_is_removed_goes_in_reverse() {
        let place = |kind: &str| {
            let Ok(kind) = kind.parse();
            removal(&kind)
        };
        assert!(place("validatingwebhookconfigurations.admissionregistration.k8s.io") < place("deployments.apps"));
        assert!(place("deployments.apps") < place("configmaps"));
        assert!(place("configmaps").stage > Stage::ApiServices);
    }

    #[test]
    fn owners_come_first() {
        use Stage::{Configuration, CustomResources, Workloads};
        // 0 a ConfigMap owned by 1, a custom resource; 2 a pod owned by 0; 3 alone; 4 and 5 own each other; 6 owns itself.
        let stages = [Configuration, CustomResources, Workloads, Workloads, Workloads, Workloads, Workloads];
        let owners = [vec![1], vec![], vec![0], vec![], vec![5], vec![4], vec![6]];
        let places = place(&stages, &owners);
        let at = |stage, depth| Some(Place { stage, depth });
        assert_eq!(places.first().copied(), at(CustomResources, 1));
        assert_eq!(places.get(1).copied(), at(CustomResources, 0));
        assert_eq!(places.get(2).copied(), at(CustomResources, 2));
        assert_eq!(places.get(3).copied(), at(Workloads, 0));
        assert_ne!(places.get(4), places.get(5));
        assert_eq!(places.get(6).copied(), at(Workloads, 0));
    }
}
