//! Names that people use for a kind: plural, singular, short, with and without its group.

use super::KindInfo;

/// Short names of built-in kinds: a snapshot does not store them.
const SHORT_NAMES: [(&str, &str); 33] = [
    ("po", "pods"),
    ("svc", "services"),
    ("ep", "endpoints"),
    ("cm", "configmaps"),
    ("sa", "serviceaccounts"),
    ("ns", "namespaces"),
    ("no", "nodes"),
    ("pv", "persistentvolumes"),
    ("pvc", "persistentvolumeclaims"),
    ("quota", "resourcequotas"),
    ("limits", "limitranges"),
    ("rc", "replicationcontrollers"),
    ("ev", "events"),
    ("deploy", "deployments.apps"),
    ("ds", "daemonsets.apps"),
    ("rs", "replicasets.apps"),
    ("sts", "statefulsets.apps"),
    ("cj", "cronjobs.batch"),
    ("hpa", "horizontalpodautoscalers.autoscaling"),
    ("ing", "ingresses.networking.k8s.io"),
    ("netpol", "networkpolicies.networking.k8s.io"),
    ("pdb", "poddisruptionbudgets.policy"),
    ("sc", "storageclasses.storage.k8s.io"),
    ("pc", "priorityclasses.scheduling.k8s.io"),
    ("crd", "customresourcedefinitions.apiextensions.k8s.io"),
    ("crds", "customresourcedefinitions.apiextensions.k8s.io"),
    ("csr", "certificatesigningrequests.certificates.k8s.io"),
    ("gtw", "gateways.gateway.networking.k8s.io"),
    ("gc", "gatewayclasses.gateway.networking.k8s.io"),
    ("prom", "prometheuses.monitoring.coreos.com"),
    ("smon", "servicemonitors.monitoring.coreos.com"),
    ("pmon", "podmonitors.monitoring.coreos.com"),
    ("promrule", "prometheusrules.monitoring.coreos.com"),
];

/// Short names of a kind, as far as they are known: those that built-in kinds and a few others have.
pub fn short_names(info: &KindInfo) -> impl Iterator<Item = &'static str> {
    let own = info.group_resource().to_string();
    SHORT_NAMES.iter().filter(move |(_, long)| *long == own).map(|(short, _)| *short)
}

/// Whether a person may mean this kind by `text`.
pub fn names_kind(info: &KindInfo, text: &str) -> bool {
    let lower = text.to_lowercase();
    let long = SHORT_NAMES.iter().find(|(short, _)| *short == lower).map_or(lower.as_str(), |(_, long)| *long);
    let (name, group) = long.split_once('.').unwrap_or((long, ""));
    let kind = info.kind.to_lowercase();
    (info.resource == name || kind == name) && (group.is_empty() || info.group == group || info.group.starts_with(&format!("{group}.")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_as_people_type_them() {
        let info = |group: &str, resource: &str, kind: &str| KindInfo {
            group: group.into(),
            version: "v1".into(),
            resource: resource.into(),
            kind: kind.into(),
            namespaced: true,
        };
        let deployments = info("apps", "deployments", "Deployment");
        for text in ["deploy", "deployments", "deployment", "Deployment", "deployments.apps", "deployment.apps"] {
            assert!(names_kind(&deployments, text), "{text}");
        }
        for text in ["pods", "deployments.extensions", "dep"] {
            assert!(!names_kind(&deployments, text), "{text}");
        }
        assert!(names_kind(&info("gateway.networking.k8s.io", "gateways", "Gateway"), "gateways.gateway"));
        assert_eq!(short_names(&deployments).collect::<Vec<_>>(), ["deploy"]);
        assert_eq!(short_names(&info("apiextensions.k8s.io", "customresourcedefinitions", "X")).collect::<Vec<_>>(), ["crd", "crds"]);
    }
}
