//! The kinds of the corpus and where an API server keeps them.

use kubestash::object::KindInfo;

/// One kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    /// `Deployment`.
    pub kind: &'static str,
    /// `apps/v1`, or `v1` in the core group.
    pub api_version: &'static str,
    /// `deployments`.
    pub resource: &'static str,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
}

impl Kind {
    /// Group, empty for the core group.
    pub fn group(&self) -> &'static str {
        self.api_version.split_once('/').map_or("", |(group, _)| group)
    }

    /// `deployments.apps`, or `pods`.
    pub fn folder(&self) -> String {
        self.info().group_resource().to_string()
    }

    /// As the library names it.
    pub fn info(&self) -> KindInfo {
        KindInfo {
            group: self.group().to_owned(),
            version: self.api_version.rsplit('/').next().unwrap_or_default().to_owned(),
            resource: self.resource.to_owned(),
            kind: self.kind.to_owned(),
            namespaced: self.namespaced,
        }
    }

    /// Path of its collection.
    pub fn path(&self, namespace: Option<&str>) -> String {
        let root = if self.group().is_empty() { "/api" } else { "/apis" };
        match namespace {
            Some(namespace) if self.namespaced => format!("{root}/{}/namespaces/{namespace}/{}", self.api_version, self.resource),
            _ => format!("{root}/{}/{}", self.api_version, self.resource),
        }
    }
}

const fn namespaced(kind: &'static str, api_version: &'static str, resource: &'static str) -> Kind {
    Kind { kind, api_version, resource, namespaced: true }
}

const fn cluster_wide(kind: &'static str, api_version: &'static str, resource: &'static str) -> Kind {
    Kind { kind, api_version, resource, namespaced: false }
}

macro_rules! kinds {
    ($($constant:ident = $kind:expr;)*) => {
        $(pub(super) const $constant: Kind = $kind;)*
        /// Every kind of the corpus.
        pub const ALL: &[Kind] = &[$($constant),*];
    };
}

kinds! {
    NAMESPACE = cluster_wide("Namespace", "v1", "namespaces");
    NODE = cluster_wide("Node", "v1", "nodes");
    PERSISTENT_VOLUME = cluster_wide("PersistentVolume", "v1", "persistentvolumes");
    POD = namespaced("Pod", "v1", "pods");
    SERVICE = namespaced("Service", "v1", "services");
    ENDPOINTS = namespaced("Endpoints", "v1", "endpoints");
    CONFIG_MAP = namespaced("ConfigMap", "v1", "configmaps");
    SECRET = namespaced("Secret", "v1", "secrets");
    SERVICE_ACCOUNT = namespaced("ServiceAccount", "v1", "serviceaccounts");
    CLAIM = namespaced("PersistentVolumeClaim", "v1", "persistentvolumeclaims");
    EVENT = namespaced("Event", "v1", "events");
    DEPLOYMENT = namespaced("Deployment", "apps/v1", "deployments");
    REPLICA_SET = namespaced("ReplicaSet", "apps/v1", "replicasets");
    STATEFUL_SET = namespaced("StatefulSet", "apps/v1", "statefulsets");
    CONTROLLER_REVISION = namespaced("ControllerRevision", "apps/v1", "controllerrevisions");
    JOB = namespaced("Job", "batch/v1", "jobs");
    CRON_JOB = namespaced("CronJob", "batch/v1", "cronjobs");
    AUTOSCALER = namespaced("HorizontalPodAutoscaler", "autoscaling/v2", "horizontalpodautoscalers");
    DISRUPTION_BUDGET = namespaced("PodDisruptionBudget", "policy/v1", "poddisruptionbudgets");
    INGRESS = namespaced("Ingress", "networking.k8s.io/v1", "ingresses");
    NETWORK_POLICY = namespaced("NetworkPolicy", "networking.k8s.io/v1", "networkpolicies");
    ENDPOINT_SLICE = namespaced("EndpointSlice", "discovery.k8s.io/v1", "endpointslices");
    ROLE = namespaced("Role", "rbac.authorization.k8s.io/v1", "roles");
    ROLE_BINDING = namespaced("RoleBinding", "rbac.authorization.k8s.io/v1", "rolebindings");
    CLUSTER_ROLE = cluster_wide("ClusterRole", "rbac.authorization.k8s.io/v1", "clusterroles");
    CLUSTER_ROLE_BINDING = cluster_wide("ClusterRoleBinding", "rbac.authorization.k8s.io/v1", "clusterrolebindings");
    LEASE = namespaced("Lease", "coordination.k8s.io/v1", "leases");
    DEFINITION = cluster_wide("CustomResourceDefinition", "apiextensions.k8s.io/v1", "customresourcedefinitions");
    CERTIFICATE = namespaced("Certificate", "cert-manager.io/v1", "certificates");
    CERTIFICATE_REQUEST = namespaced("CertificateRequest", "cert-manager.io/v1", "certificaterequests");
    SERVICE_MONITOR = namespaced("ServiceMonitor", "monitoring.coreos.com/v1", "servicemonitors");
    PROMETHEUS_RULE = namespaced("PrometheusRule", "monitoring.coreos.com/v1", "prometheusrules");
    VIRTUAL_SERVICE = namespaced("VirtualService", "networking.istio.io/v1", "virtualservices");
    APPLICATION = namespaced("Application", "argoproj.io/v1alpha1", "applications");
}

/// Those that need a definition first.
pub const CUSTOM: &[Kind] = &[CERTIFICATE, CERTIFICATE_REQUEST, SERVICE_MONITOR, PROMETHEUS_RULE, VIRTUAL_SERVICE, APPLICATION];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_at_the_api_server() {
        for (kind, namespace, path, folder) in [
            (POD, Some("a"), "/api/v1/namespaces/a/pods", "pods"),
            (NODE, None, "/api/v1/nodes", "nodes"),
            (DEPLOYMENT, Some("a"), "/apis/apps/v1/namespaces/a/deployments", "deployments.apps"),
            (CLUSTER_ROLE, None, "/apis/rbac.authorization.k8s.io/v1/clusterroles", "clusterroles.rbac.authorization.k8s.io"),
        ] {
            assert_eq!((kind.path(namespace).as_str(), kind.folder().as_str()), (path, folder));
        }
    }
}
