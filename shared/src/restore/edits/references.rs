//! References inside objects that are known to name namespaces.
//!
//! Three sorts: fields of known kinds; shapes that mean a namespace wherever they stand (a selector for the label
//! `kubernetes.io/metadata.name`, the namespaces of a pod affinity term); and names that carry a namespace (`system:serviceaccount:NS:NAME` of
//! RBAC subjects, `NS/NAME` of cert-manager's annotations).

use serde_json::Value;

use super::namespaces::{Mappings, NAME_LABEL};
use crate::{object::GroupResource, restore::transforms::at_mut};

/// Fields that hold the name of a namespace: group, resource (empty for all of the group), paths; `*` stands for every entry.
const FIELDS: &[(&str, &str, &[&str])] = &[
    ("rbac.authorization.k8s.io", "", &["subjects.*.namespace"]),
    ("admissionregistration.k8s.io", "", &["webhooks.*.clientConfig.service.namespace", "spec.paramRef.namespace"]),
    ("apiextensions.k8s.io", "", &["spec.conversion.webhook.clientConfig.service.namespace"]),
    ("apiregistration.k8s.io", "", &["spec.service.namespace"]),
    (
        "",
        "persistentvolumes",
        &[
            "spec.claimRef.namespace",
            "spec.csi.controllerPublishSecretRef.namespace",
            "spec.csi.nodeStageSecretRef.namespace",
            "spec.csi.nodePublishSecretRef.namespace",
            "spec.csi.controllerExpandSecretRef.namespace",
            "spec.csi.nodeExpandSecretRef.namespace",
            "spec.azureFile.secretNamespace",
            "spec.cephfs.secretRef.namespace",
            "spec.rbd.secretRef.namespace",
            "spec.iscsi.secretRef.namespace",
            "spec.flexVolume.secretRef.namespace",
        ],
    ),
    ("", "persistentvolumeclaims", &["spec.dataSourceRef.namespace"]),
    ("", "endpoints", &["subsets.*.addresses.*.targetRef.namespace", "subsets.*.notReadyAddresses.*.targetRef.namespace"]),
    ("discovery.k8s.io", "endpointslices", &["endpoints.*.targetRef.namespace"]),
    ("flowcontrol.apiserver.k8s.io", "flowschemas", &["spec.rules.*.subjects.*.serviceAccount.namespace"]),
    ("networking.k8s.io", "ingressclasses", &["spec.parameters.namespace"]),
    ("snapshot.storage.k8s.io", "volumesnapshotcontents", &["spec.volumeSnapshotRef.namespace"]),
    (
        "monitoring.coreos.com",
        "",
        &["spec.namespaceSelector.matchNames.*", "spec.targets.ingress.namespaceSelector.matchNames.*", "spec.alerting.alertmanagers.*.namespace"],
    ),
    (
        "gateway.networking.k8s.io",
        "",
        &[
            "spec.parentRefs.*.namespace",
            "spec.rules.*.backendRefs.*.namespace",
            "spec.rules.*.filters.*.requestMirror.backendRef.namespace",
            "spec.listeners.*.tls.certificateRefs.*.namespace",
            "spec.parametersRef.namespace",
            "spec.from.*.namespace",
        ],
    ),
    ("source.toolkit.fluxcd.io", "", &["spec.sourceRef.namespace"]),
    (
        "kustomize.toolkit.fluxcd.io",
        "",
        &["spec.sourceRef.namespace", "spec.targetNamespace", "spec.dependsOn.*.namespace", "spec.healthChecks.*.namespace"],
    ),
    (
        "helm.toolkit.fluxcd.io",
        "",
        &[
            "spec.chart.spec.sourceRef.namespace",
            "spec.chartRef.namespace",
            "spec.targetNamespace",
            "spec.storageNamespace",
            "spec.dependsOn.*.namespace",
        ],
    ),
    ("argoproj.io", "applications", &["spec.destination.namespace"]),
    (
        "core.kubestash.com",
        "",
        &[
            "spec.target.namespace",
            "spec.backends.*.storageRef.namespace",
            "spec.backends.*.retentionPolicy.namespace",
            "spec.sessions.*.repositories.*.encryptionSecret.namespace",
            "spec.dataSource.namespace",
            "spec.dataSource.encryptionSecret.namespace",
        ],
    ),
];

/// Annotations whose value is `NAMESPACE/NAME`.
const PAIRS: [&str; 2] = ["cert-manager.io/inject-ca-from", "cert-manager.io/inject-ca-from-secret"];
/// Names of users and groups that carry the namespace of a ServiceAccount.
const ACCOUNTS: [&str; 2] = ["system:serviceaccount:", "system:serviceaccounts:"];

/// Renames the namespaces that an object refers to.
pub fn rewrite(kind: &GroupResource, object: &mut Value, mappings: &Mappings) {
    let own = FIELDS.iter().filter(|(group, resource, _)| *group == kind.group && (resource.is_empty() || *resource == kind.resource));
    for path in own.flat_map(|(_, _, paths)| *paths) {
        let path: Vec<&str> = path.split('.').collect();
        each(object, &path, &mut |value| {
            if let Value::String(name) = value {
                mappings.rename(name);
            }
        });
    }
    match (kind.group.as_str(), kind.resource.as_str()) {
        ("rbac.authorization.k8s.io", _) => each(object, &["subjects", "*", "name"], &mut |value| rename_account(value, mappings)),
        ("flowcontrol.apiserver.k8s.io", _) => {
            for subject in ["user", "group"] {
                each(object, &["spec", "rules", "*", "subjects", "*", subject, "name"], &mut |value| rename_account(value, mappings));
            }
        }
        ("storage.k8s.io", "storageclasses") => {
            let parameters = at_mut(object, &["parameters"]).and_then(Value::as_object_mut);
            for (key, value) in parameters.into_iter().flatten() {
                if let (true, Value::String(name)) = (key.ends_with("-secret-namespace"), value) {
                    mappings.rename(name);
                }
            }
        }
        _ => {}
    }
    for annotation in PAIRS {
        if let Some(Value::String(pair)) = at_mut(object, &["metadata", "annotations", annotation])
            && let Some((namespace, name)) = pair.split_once('/')
        {
            *pair = format!("{}/{name}", mappings.target(namespace));
        }
    }
    shapes(object, mappings);
}

/// Calls a function for every value below a path.
fn each(value: &mut Value, path: &[&str], change: &mut dyn FnMut(&mut Value)) {
    match path {
        [] => change(value),
        ["*", rest @ ..] => value.as_array_mut().into_iter().flatten().for_each(|entry| each(entry, rest, change)),
        [key, rest @ ..] => {
            if let Some(inner) = value.get_mut(*key) {
                each(inner, rest, change);
            }
        }
    }
}

fn rename_account(value: &mut Value, mappings: &Mappings) {
    let Value::String(name) = value else { return };
    for prefix in ACCOUNTS {
        if let Some(rest) = name.strip_prefix(prefix) {
            let (namespace, account) = rest.split_once(':').map_or((rest, None), |(namespace, account)| (namespace, Some(account)));
            let account = account.map_or_else(String::new, |account| format!(":{account}"));
            *name = format!("{prefix}{}{account}", mappings.target(namespace));
            return;
        }
    }
}

/// Shapes that mean a namespace wherever they stand.
fn shapes(value: &mut Value, mappings: &Mappings) {
    match value {
        Value::Array(entries) => entries.iter_mut().for_each(|entry| shapes(entry, mappings)),
        Value::Object(map) => {
            if let Some(Value::String(name)) = map.get_mut("matchLabels").and_then(|labels| labels.get_mut(NAME_LABEL)) {
                mappings.rename(name);
            }
            let is_requirement = map.get("key").and_then(Value::as_str) == Some(NAME_LABEL);
            let names = match (is_requirement, map.contains_key("topologyKey")) {
                (true, _) => map.get_mut("values"),
                (false, true) => map.get_mut("namespaces"),
                (false, false) => None,
            };
            for name in names.and_then(Value::as_array_mut).into_iter().flatten() {
                if let Value::String(name) = name {
                    mappings.rename(name);
                }
            }
            map.values_mut().for_each(|inner| shapes(inner, mappings));
        }
        _ => {}
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_names_a_namespace_is_renamed_and_nothing_else() {
        let mappings = Mappings::parse(&["demo:copy".to_owned()]).unwrap();
        let rows = [
            (
                "rolebindings.rbac.authorization.k8s.io",
                json!({"subjects": [{"kind": "ServiceAccount", "name": "demo", "namespace": "demo"}, {"kind": "User", "name": "system:serviceaccount:demo:web"}, {"kind": "Group", "name": "system:serviceaccounts:demo"}, {"kind": "User", "name": "demo"}]}),
                json!({"subjects": [{"kind": "ServiceAccount", "name": "demo", "namespace": "copy"}, {"kind": "User", "name": "system:serviceaccount:copy:web"}, {"kind": "Group", "name": "system:serviceaccounts:copy"}, {"kind": "User", "name": "demo"}]}),
            ),
            (
                "validatingwebhookconfigurations.admissionregistration.k8s.io",
                json!({"webhooks": [{"name": "demo", "clientConfig": {"service": {"name": "demo", "namespace": "demo"}}, "namespaceSelector": {"matchLabels": {NAME_LABEL: "demo", "team": "demo"}}}]}),
                json!({"webhooks": [{"name": "demo", "clientConfig": {"service": {"name": "demo", "namespace": "copy"}}, "namespaceSelector": {"matchLabels": {NAME_LABEL: "copy", "team": "demo"}}}]}),
            ),
            (
                "customresourcedefinitions.apiextensions.k8s.io",
                json!({"metadata": {"annotations": {"cert-manager.io/inject-ca-from": "demo/cert"}}, "spec": {"conversion": {"webhook": {"clientConfig": {"service": {"namespace": "demo"}}}}}}),
                json!({"metadata": {"annotations": {"cert-manager.io/inject-ca-from": "copy/cert"}}, "spec": {"conversion": {"webhook": {"clientConfig": {"service": {"namespace": "copy"}}}}}}),
            ),
            (
                "apiservices.apiregistration.k8s.io",
                json!({"spec": {"service": {"namespace": "demo"}}}),
                json!({"spec": {"service": {"namespace": "copy"}}}),
            ),
            (
                "persistentvolumes",
                json!({"spec": {"claimRef": {"namespace": "demo", "name": "demo"}}}),
                json!({"spec": {"claimRef": {"namespace": "copy", "name": "demo"}}}),
            ),
            (
                "servicemonitors.monitoring.coreos.com",
                json!({"spec": {"namespaceSelector": {"matchNames": ["demo", "other"]}}}),
                json!({"spec": {"namespaceSelector": {"matchNames": ["copy", "other"]}}}),
            ),
            (
                "networkpolicies.networking.k8s.io",
                json!({"spec": {"ingress": [{"from": [{"namespaceSelector": {"matchExpressions": [{"key": NAME_LABEL, "operator": "In", "values": ["demo"]}, {"key": "team", "operator": "In", "values": ["demo"]}]}}]}]}}),
                json!({"spec": {"ingress": [{"from": [{"namespaceSelector": {"matchExpressions": [{"key": NAME_LABEL, "operator": "In", "values": ["copy"]}, {"key": "team", "operator": "In", "values": ["demo"]}]}}]}]}}),
            ),
            (
                "deployments.apps",
                json!({"spec": {"template": {"spec": {"affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": "zone", "namespaces": ["demo"]}]}}, "containers": [{"env": [{"name": "N", "value": "demo"}]}]}}}}),
                json!({"spec": {"template": {"spec": {"affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": "zone", "namespaces": ["copy"]}]}}, "containers": [{"env": [{"name": "N", "value": "demo"}]}]}}}}),
            ),
            (
                "httproutes.gateway.networking.k8s.io",
                json!({"spec": {"parentRefs": [{"namespace": "demo"}], "rules": [{"backendRefs": [{"namespace": "demo"}]}]}}),
                json!({"spec": {"parentRefs": [{"namespace": "copy"}], "rules": [{"backendRefs": [{"namespace": "copy"}]}]}}),
            ),
            (
                "storageclasses.storage.k8s.io",
                json!({"parameters": {"csi.storage.k8s.io/provisioner-secret-namespace": "demo", "pool": "demo"}}),
                json!({"parameters": {"csi.storage.k8s.io/provisioner-secret-namespace": "copy", "pool": "demo"}}),
            ),
            ("widgets.example.com", json!({"spec": {"namespace": "demo"}}), json!({"spec": {"namespace": "demo"}})),
        ];
        for (kind, mut object, expected) in rows {
            rewrite(&kind.parse().unwrap(), &mut object, &mappings);
            assert_eq!(object, expected, "{kind}");
        }
    }
}
