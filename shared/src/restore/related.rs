//! Objects that another object cannot do its work without: what it names in fields that are known to name objects. Pure.

use std::collections::{BTreeSet, HashMap};

use serde_json::Value;

use super::transforms::at;
use crate::object::{GroupResource, KindInfo, ObjectId};

/// Kinds by group and name: the plural, and whether objects live in namespaces. Made by [`super::owners::know`].
pub type Kinds = HashMap<(String, String), (GroupResource, bool)>;

/// What an object refers to, in the order of names.
pub fn references(kind: &KindInfo, namespace: Option<&str>, object: &Value, kinds: &Kinds) -> BTreeSet<ObjectId> {
    let mut found = Found { namespace: namespace.map(str::to_owned), ids: BTreeSet::new() };
    match (kind.group.as_str(), kind.resource.as_str()) {
        ("", "pods") => found.pod(at(object, &["spec"])),
        ("apps", _) | ("", "replicationcontrollers") | ("batch", "jobs") => found.pod(at(object, &["spec", "template", "spec"])),
        ("batch", "cronjobs") => found.pod(at(object, &["spec", "jobTemplate", "spec", "template", "spec"])),
        ("", "serviceaccounts") => found.named_list(object, &["secrets", "imagePullSecrets"], "secrets"),
        ("", "persistentvolumeclaims") => found.claim(object),
        ("networking.k8s.io", "ingresses") => found.ingress(object),
        ("autoscaling", _) => found.by_kind(at(object, &["spec", "scaleTargetRef"]), kinds),
        ("rbac.authorization.k8s.io", "rolebindings" | "clusterrolebindings") => {
            found.by_kind(at(object, &["roleRef"]), kinds);
            for subject in entries(object, &["subjects"]) {
                found.account(subject);
            }
        }
        _ => {}
    }
    if kind.resource == "statefulsets" {
        found.add("services", text(object, &["spec", "serviceName"]));
        for template in entries(object, &["spec", "volumeClaimTemplates"]) {
            found.claim(template);
        }
    }
    // Of a custom resource, what defines its kind.
    if kind.group.contains('.') && !kind.group.ends_with(".k8s.io") {
        found.cluster("customresourcedefinitions.apiextensions.k8s.io", Some(kind.group_resource().to_string()));
    }
    found.ids
}

/// ServiceAccounts that a binding gives rights to.
pub fn bound_accounts(namespace: Option<&str>, binding: &Value) -> BTreeSet<ObjectId> {
    let mut found = Found { namespace: namespace.map(str::to_owned), ids: BTreeSet::new() };
    for subject in entries(binding, &["subjects"]) {
        found.account(subject);
    }
    found.ids
}

struct Found {
    namespace: Option<String>,
    ids: BTreeSet<ObjectId>,
}

impl Found {
    fn insert(&mut self, kind: &str, namespace: Option<String>, name: Option<String>) {
        let Ok(kind) = kind.parse();
        if let Some(name) = name.filter(|name| !name.is_empty()) {
            self.ids.insert(ObjectId { kind, namespace, name });
        }
    }

    /// Of the object's own namespace.
    fn add(&mut self, kind: &str, name: Option<String>) {
        self.insert(kind, self.namespace.clone(), name);
    }

    fn cluster(&mut self, kind: &str, name: Option<String>) {
        self.insert(kind, None, name);
    }

    fn named_list(&mut self, object: &Value, lists: &[&str], kind: &str) {
        for entry in lists.iter().flat_map(|list| entries(object, &[list])) {
            self.add(kind, text(entry, &["name"]));
        }
    }

    /// Something named by kind, as `scaleTargetRef` and `roleRef` do.
    fn by_kind(&mut self, reference: Option<&Value>, kinds: &Kinds) {
        let Some(reference) = reference else { return };
        let version = text(reference, &["apiVersion"]).unwrap_or_default();
        let group = text(reference, &["apiGroup"]).unwrap_or_else(|| version.split_once('/').map_or_else(String::new, |(group, _)| group.to_owned()));
        let Some((kind, namespaced)) = text(reference, &["kind"]).and_then(|kind| kinds.get(&(group, kind))) else { return };
        self.insert(&kind.to_string(), self.namespace.clone().filter(|_| *namespaced), text(reference, &["name"]));
    }

    fn account(&mut self, subject: &Value) {
        if text(subject, &["kind"]).as_deref() == Some("ServiceAccount") {
            let namespace = text(subject, &["namespace"]).or_else(|| self.namespace.clone());
            self.insert("serviceaccounts", namespace, text(subject, &["name"]));
        }
    }

    fn claim(&mut self, claim: &Value) {
        self.cluster("storageclasses.storage.k8s.io", text(claim, &["spec", "storageClassName"]));
        self.cluster("persistentvolumes", text(claim, &["spec", "volumeName"]));
    }

    fn ingress(&mut self, object: &Value) {
        self.cluster("ingressclasses.networking.k8s.io", text(object, &["spec", "ingressClassName"]));
        self.add("services", text(object, &["spec", "defaultBackend", "service", "name"]));
        for tls in entries(object, &["spec", "tls"]) {
            self.add("secrets", text(tls, &["secretName"]));
        }
        for path in entries(object, &["spec", "rules"]).flat_map(|rule| entries(rule, &["http", "paths"])) {
            self.add("services", text(path, &["backend", "service", "name"]));
        }
    }

    fn pod(&mut self, spec: Option<&Value>) {
        let Some(spec) = spec else { return };
        self.add("serviceaccounts", text(spec, &["serviceAccountName"]));
        self.named_list(spec, &["imagePullSecrets"], "secrets");
        self.cluster("priorityclasses.scheduling.k8s.io", text(spec, &["priorityClassName"]));
        self.cluster("runtimeclasses.node.k8s.io", text(spec, &["runtimeClassName"]));
        for volume in entries(spec, &["volumes"]) {
            self.add("configmaps", text(volume, &["configMap", "name"]));
            self.add("secrets", text(volume, &["secret", "secretName"]));
            self.add("secrets", text(volume, &["csi", "nodePublishSecretRef", "name"]));
            self.add("persistentvolumeclaims", text(volume, &["persistentVolumeClaim", "claimName"]));
            for source in entries(volume, &["projected", "sources"]) {
                self.add("configmaps", text(source, &["configMap", "name"]));
                self.add("secrets", text(source, &["secret", "name"]));
            }
        }
        for container in ["initContainers", "containers"].into_iter().flat_map(|list| entries(spec, &[list])) {
            for from in entries(container, &["envFrom"]) {
                self.add("configmaps", text(from, &["configMapRef", "name"]));
                self.add("secrets", text(from, &["secretRef", "name"]));
            }
            for variable in entries(container, &["env"]) {
                self.add("configmaps", text(variable, &["valueFrom", "configMapKeyRef", "name"]));
                self.add("secrets", text(variable, &["valueFrom", "secretKeyRef", "name"]));
            }
        }
    }
}

fn text(value: &Value, path: &[&str]) -> Option<String> {
    at(value, path).and_then(Value::as_str).map(str::to_owned)
}

fn entries<'a>(value: &'a Value, path: &[&str]) -> impl Iterator<Item = &'a Value> + use<'a> {
    at(value, path).and_then(Value::as_array).into_iter().flatten()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    fn kinds() -> Kinds {
        [
            ("apps", "Deployment", "deployments.apps", true),
            ("rbac.authorization.k8s.io", "Role", "roles.rbac.authorization.k8s.io", true),
            ("rbac.authorization.k8s.io", "ClusterRole", "clusterroles.rbac.authorization.k8s.io", false),
        ]
        .into_iter()
        .map(|(group, kind, plural, namespaced)| ((group.to_owned(), kind.to_owned()), (plural.parse().unwrap(), namespaced)))
        .collect()
    }

    fn found(kind: &str, object: &Value) -> Vec<String> {
        let gr: GroupResource = kind.parse().unwrap();
        let info = KindInfo { group: gr.group, version: "v1".into(), resource: gr.resource, kind: "K".into(), namespaced: true };
        references(&info, Some("demo"), object, &kinds()).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_pods_need_is_found_in_every_template() {
        let spec = json!({
            "serviceAccountName": "web", "imagePullSecrets": [{"name": "pull"}], "priorityClassName": "high",
            "volumes": [
                {"configMap": {"name": "c1"}}, {"secret": {"secretName": "s1"}}, {"persistentVolumeClaim": {"claimName": "data"}},
                {"projected": {"sources": [{"configMap": {"name": "c2"}}, {"secret": {"name": "s2"}}]}}, {"emptyDir": {}}],
            "initContainers": [{"envFrom": [{"configMapRef": {"name": "c3"}}, {"secretRef": {"name": "s3"}}]}],
            "containers": [{"env": [{"name": "a", "value": "b"}, {"valueFrom": {"configMapKeyRef": {"name": "c4"}}}, {"valueFrom": {"secretKeyRef": {"name": "s4"}}}]}]});
        let expected = [
            "configmaps/c1 -n demo",
            "configmaps/c2 -n demo",
            "configmaps/c3 -n demo",
            "configmaps/c4 -n demo",
            "persistentvolumeclaims/data -n demo",
            "secrets/pull -n demo",
            "secrets/s1 -n demo",
            "secrets/s2 -n demo",
            "secrets/s3 -n demo",
            "secrets/s4 -n demo",
            "serviceaccounts/web -n demo",
            "priorityclasses.scheduling.k8s.io/high",
        ];
        let template = json!({"spec": {"template": {"spec": spec}}});
        for (kind, object) in [
            ("pods", json!({"spec": spec})),
            ("deployments.apps", template.clone()),
            ("jobs.batch", template.clone()),
            ("cronjobs.batch", json!({"spec": {"jobTemplate": template}})),
        ] {
            assert_eq!(found(kind, &object), expected, "{kind}");
        }
    }

    #[test]
    fn other_kinds_name_what_they_need() {
        let rows = [
            (
                "persistentvolumeclaims",
                json!({"spec": {"storageClassName": "fast", "volumeName": "pv1"}}),
                vec!["persistentvolumes/pv1", "storageclasses.storage.k8s.io/fast"],
            ),
            (
                "ingresses.networking.k8s.io",
                json!({"spec": {"ingressClassName": "nginx", "tls": [{"secretName": "cert"}], "rules": [{"http": {"paths": [{"backend": {"service": {"name": "web"}}}]}}]}}),
                vec!["secrets/cert -n demo", "services/web -n demo", "ingressclasses.networking.k8s.io/nginx"],
            ),
            (
                "horizontalpodautoscalers.autoscaling",
                json!({"spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}}}),
                vec!["deployments.apps/web -n demo"],
            ),
            (
                "rolebindings.rbac.authorization.k8s.io",
                json!({"roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"}, "subjects": [{"kind": "ServiceAccount", "name": "web"}, {"kind": "ServiceAccount", "name": "x", "namespace": "other"}, {"kind": "User", "name": "jane"}]}),
                vec!["serviceaccounts/web -n demo", "serviceaccounts/x -n other", "clusterroles.rbac.authorization.k8s.io/view"],
            ),
            (
                "statefulsets.apps",
                json!({"spec": {"serviceName": "db", "volumeClaimTemplates": [{"spec": {"storageClassName": "fast"}}]}}),
                vec!["services/db -n demo", "storageclasses.storage.k8s.io/fast"],
            ),
            ("widgets.example.com", json!({}), vec!["customresourcedefinitions.apiextensions.k8s.io/widgets.example.com"]),
            ("configmaps", json!({"data": {"serviceAccountName": "x"}}), vec![]),
        ];
        for (kind, object, expected) in rows {
            assert_eq!(found(kind, &object), expected, "{kind}");
        }
    }
}
