//! What a plan needs to know about one stored object, read from its parts without parsing what it does not need.
//!
//! The parts are canonical YAML, whose indentation is known: `metadata` and a few single lines are found by scanning, and only
//! the metadata is parsed. For 100,000 objects that is the difference between a second and half a minute.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Reason, transforms::at};
use crate::object::{GroupResource, KindInfo, ObjectError, yaml};

/// Kinds of classes by group and plural, and the annotation of the one that is taken where none is named.
pub const CLASSES: [(&str, &str, &str); 3] = [
    ("storage.k8s.io", "storageclasses", "storageclass.kubernetes.io/is-default-class"),
    ("networking.k8s.io", "ingressclasses", "ingressclass.kubernetes.io/is-default-class"),
    ("snapshot.storage.k8s.io", "volumesnapshotclasses", "snapshot.storage.kubernetes.io/is-default-class"),
];

/// The parts of a stored object that its facts are read from. Empty where a source has none.
#[derive(Debug, Clone, Copy, Default)]
pub struct PartTexts<'a> {
    /// Manifest part.
    pub manifest: &'a [u8],
    /// Status part; only pods and jobs need it.
    pub status: &'a [u8],
    /// Server part.
    pub server: &'a [u8],
}

/// One entry of `metadata.ownerReferences`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Owner {
    /// `apps/v1`.
    pub api_version: String,
    /// `ReplicaSet`.
    pub kind: String,
    /// Name; the namespace is the owned object's, or none for cluster-scoped owners.
    pub name: String,
    /// Uid when the snapshot was taken.
    pub uid: String,
    /// Whether it is the managing controller.
    #[serde(default)]
    pub controller: bool,
}

/// Who owns an object's fields, where it is one manager alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manager {
    /// Field manager's name.
    pub name: String,
    /// Whether it got them by server-side apply rather than by create and update.
    pub apply: bool,
}

/// Whether an object comes back at all, as far as the object itself tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It does.
    Restore,
    /// It never does.
    Never(Reason),
    /// Only into a cluster that lacks it.
    IfMissing(Reason),
}

/// Facts of one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Uid when the snapshot was taken.
    pub uid: Option<String>,
    /// Resource version when the snapshot was taken.
    pub resource_version: Option<String>,
    /// Owners.
    pub owners: Vec<Owner>,
    /// The one manager of all fields but status.
    pub manager: Option<Manager>,
    /// Whether it comes back.
    pub verdict: Verdict,
    /// A Service with a selector: its endpoints are computed.
    pub selects_pods: bool,
    /// The volume that a claim is bound to.
    pub volume: Option<String>,
    /// The storage class that a claim asks for; empty for a volume without class.
    pub storage_class: Option<String>,
    /// A class that is taken where none is named.
    pub is_default_class: bool,
}

/// Labels of one object.
pub type Labels = BTreeMap<String, String>;

/// Reads the facts of one object, and its labels. They are apart because only a selector looks at them: those of all objects at once would
/// be the larger part of what a plan is made from.
///
/// # Errors
/// `Yaml` when a part is not the YAML that a backup writes.
pub fn read(kind: &KindInfo, name: &str, parts: PartTexts<'_>) -> Result<(Facts, Labels), ObjectError> {
    let metadata = match section(parts.manifest, b"metadata:\n") {
        Some(text) => yaml::read(text)?,
        None => Value::Null,
    };
    let metadata = at(&metadata, &["metadata"]).cloned().unwrap_or(Value::Null);
    let server = server_facts(parts.server);
    let owners = at(&metadata, &["ownerReferences"])
        .map(|owners| serde_json::from_value(owners.clone()))
        .transpose()
        .map_err(|_| ObjectError::Yaml { reason: "metadata.ownerReferences cannot be understood".to_owned() })?
        .unwrap_or_default();
    let labels = strings(at(&metadata, &["labels"]));
    let annotations = strings(at(&metadata, &["annotations"]));
    let verdict = if server.deleting {
        Verdict::Never(Reason::BeingDeleted)
    } else {
        verdict(&Seen { kind, name, labels: &labels, annotations: &annotations, parts })?
    };
    let is_claim = kind.group.is_empty() && kind.resource == "persistentvolumeclaims";
    let class = |head| if is_claim { line_value(parts.manifest, head) } else { None };
    let (volume, storage_class) = (class("  volumeName: "), class("  storageClassName: "));
    let facts = Facts {
        uid: server.uid,
        resource_version: server.resource_version,
        owners,
        manager: server.manager,
        verdict,
        selects_pods: kind.group.is_empty() && kind.resource == "services" && has_line(parts.manifest, "  selector:"),
        volume,
        storage_class,
        is_default_class: is_default_class(&kind.group_resource(), &annotations),
    };
    Ok((facts, labels))
}

/// Whether the annotations of a class say that it is taken where none is named.
pub fn is_default_class(kind: &GroupResource, annotations: &BTreeMap<String, String>) -> bool {
    let key = CLASSES.iter().find(|(group, resource, _)| kind.group == *group && kind.resource == *resource).map(|(.., key)| *key);
    key.is_some_and(|key| annotations.get(key).is_some_and(|value| value == "true"))
}

struct Seen<'a> {
    kind: &'a KindInfo,
    name: &'a str,
    labels: &'a BTreeMap<String, String>,
    annotations: &'a BTreeMap<String, String>,
    parts: PartTexts<'a>,
}

/// The rules that need nothing but the object.
fn verdict(seen: &Seen<'_>) -> Result<Verdict, ObjectError> {
    use Verdict::{IfMissing, Never, Restore};
    let Seen { kind, name, labels, annotations, parts } = *seen;
    let annotated = |key: &str, value: &str| annotations.get(key).is_some_and(|found| found == value);
    Ok(match (kind.group.as_str(), kind.resource.as_str()) {
        ("", "events" | "nodes" | "componentstatuses" | "bindings")
        | ("events.k8s.io" | "metrics.k8s.io" | "coordination.k8s.io", _)
        | ("storage.k8s.io", "csinodes" | "volumeattachments" | "csistoragecapacities")
        | ("certificates.k8s.io", "certificatesigningrequests")
        | ("networking.k8s.io", "ipaddresses")
        | ("internal.apiserver.k8s.io", _) => Never(Reason::RuntimeState),
        ("", "pods") if annotations.contains_key("kubernetes.io/config.mirror") => Never(Reason::MirrorPod),
        ("", "pods") if has_line(parts.status, "  phase: Succeeded") || has_line(parts.status, "  phase: Failed") => Never(Reason::Finished),
        ("batch", "jobs") if job_finished(parts.status)? => Never(Reason::Finished),
        ("", "endpoints") if labels.get("endpoints.kubernetes.io/managed-by").is_some_and(|by| by == "endpoint-controller") => {
            Never(Reason::ComputedEndpoints)
        }
        ("discovery.k8s.io", "endpointslices")
            if labels.get("endpointslice.kubernetes.io/managed-by").is_some_and(|by| by.starts_with("endpointslice") && by.ends_with(".k8s.io")) =>
        {
            Never(Reason::ComputedEndpoints)
        }
        ("", "configmaps") if name == "kube-root-ca.crt" => Never(Reason::RootCa),
        ("", "serviceaccounts") if name == "default" => IfMissing(Reason::DefaultServiceAccount),
        ("", "secrets") if is_generated_token(name, annotations, parts.manifest) => Never(Reason::GeneratedToken),
        ("", "services" | "endpoints") if name == "kubernetes" && labels.get("provider").is_some_and(|by| by == "kubernetes") => {
            IfMissing(Reason::ApiServerManaged)
        }
        ("", "persistentvolumes")
            if annotations.contains_key("pv.kubernetes.io/provisioned-by") && has_line(parts.manifest, "  persistentVolumeReclaimPolicy: Delete") =>
        {
            Never(Reason::DynamicVolume)
        }
        ("apiregistration.k8s.io", "apiservices")
            if labels.contains_key("kube-aggregator.kubernetes.io/automanaged") || !has_line(parts.manifest, "  service:") =>
        {
            Never(Reason::LocalApiService)
        }
        ("flowcontrol.apiserver.k8s.io", _) if annotated("apf.kubernetes.io/autoupdate-spec", "true") => IfMissing(Reason::ApiServerManaged),
        ("scheduling.k8s.io", "priorityclasses") if name.starts_with("system-") => IfMissing(Reason::ApiServerManaged),
        ("networking.k8s.io", "servicecidrs") if name == "kubernetes" => IfMissing(Reason::ApiServerManaged),
        ("", "configmaps") if ["extension-apiserver-authentication", "kube-apiserver-legacy-service-account-token-tracking"].contains(&name) => {
            IfMissing(Reason::ApiServerManaged)
        }
        ("rbac.authorization.k8s.io", _) if labels.get("kubernetes.io/bootstrapping").is_some_and(|by| by == "rbac-defaults") => {
            IfMissing(Reason::BuiltInRbac)
        }
        _ => Restore,
    })
}

fn is_generated_token(name: &str, annotations: &BTreeMap<String, String>, manifest: &[u8]) -> bool {
    use super::transforms::{TOKEN_TYPE, is_generated_secret};
    has_line(manifest, &format!("type: {TOKEN_TYPE}"))
        && annotations.get("kubernetes.io/service-account.name").is_some_and(|account| is_generated_secret(account, name))
}

fn job_finished(status: &[u8]) -> Result<bool, ObjectError> {
    if status.is_empty() {
        return Ok(false);
    }
    let status = yaml::read(status)?;
    let conditions = at(&status, &["status", "conditions"]).and_then(Value::as_array);
    let text = |condition: &Value, key: &str| at(condition, &[key]).and_then(Value::as_str).unwrap_or_default().to_owned();
    Ok(conditions
        .is_some_and(|all| all.iter().any(|one| text(one, "status") == "True" && ["Complete", "Failed"].contains(&text(one, "type").as_str()))))
}

#[derive(Default)]
struct ServerFacts {
    uid: Option<String>,
    resource_version: Option<String>,
    deleting: bool,
    manager: Option<Manager>,
}

/// Scans the server part. Its layout is ours: fields of metadata at two blanks, those of a managedFields entry at four.
fn server_facts(server: &[u8]) -> ServerFacts {
    let mut facts = ServerFacts::default();
    let mut entries: Vec<BTreeMap<String, String>> = Vec::new();
    let mut in_managed = false;
    for line in String::from_utf8_lossy(server).lines() {
        if let Some(field) = line.strip_prefix("  ").filter(|rest| !rest.starts_with([' ', '-'])) {
            in_managed = field == "managedFields:";
            match field.split_once(": ") {
                Some(("uid", value)) => facts.uid = Some(scalar(value)),
                Some(("resourceVersion", value)) => facts.resource_version = Some(scalar(value)),
                Some(("deletionTimestamp", _)) => facts.deleting = true,
                _ => {}
            }
        } else if in_managed {
            if line.starts_with("  - ") {
                entries.push(BTreeMap::new());
            }
            let field = line.strip_prefix("  - ").or_else(|| line.strip_prefix("    ")).filter(|rest| !rest.starts_with(' '));
            if let (Some(entry), Some((key, value))) = (entries.last_mut(), field.and_then(|field| field.split_once(": "))) {
                entry.insert(key.to_owned(), scalar(value));
            }
        }
    }
    let mut owners = entries.into_iter().filter(|entry| !entry.contains_key("subresource"));
    if let (Some(mut only), None) = (owners.next(), owners.next()) {
        let apply = only.get("operation").is_some_and(|operation| operation == "Apply");
        facts.manager = only.remove("manager").filter(|name| !name.is_empty()).map(|name| Manager { name, apply });
    }
    facts
}

fn scalar(text: &str) -> String {
    if text.starts_with(['"', '\'']) { serde_yaml::from_str(text).unwrap_or_else(|_| text.to_owned()) } else { text.to_owned() }
}

/// The lines of one top-level mapping, its own line included.
fn section<'a>(text: &'a [u8], head: &[u8]) -> Option<&'a [u8]> {
    let start = if text.starts_with(head) {
        0
    } else {
        text.windows(head.len() + 1).position(|window| window.first() == Some(&b'\n') && window.get(1..) == Some(head))? + 1
    };
    let body = start + head.len();
    let mut end = body;
    for line in text.get(body..)?.split_inclusive(|byte| *byte == b'\n') {
        if !matches!(line.first(), Some(b' ' | b'\n')) {
            break;
        }
        end += line.len();
    }
    text.get(start..end)
}

fn line_value(text: &[u8], head: &str) -> Option<String> {
    let line = text.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(head.as_bytes()))?;
    std::str::from_utf8(line).ok().map(scalar)
}

fn has_line(text: &[u8], line: &str) -> bool {
    text.split(|byte| *byte == b'\n').any(|found| found == line.as_bytes())
}

fn strings(map: Option<&Value>) -> BTreeMap<String, String> {
    map.and_then(Value::as_object)
        .map(|map| map.iter().filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect())
        .unwrap_or_default()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::object::{Parts, Sensitivity, TypeMeta, split};

    fn facts(kind: &str, object: &Value) -> Facts {
        with_labels(kind, object).0
    }

    fn with_labels(kind: &str, object: &Value) -> (Facts, Labels) {
        let group_resource: crate::object::GroupResource = kind.parse().unwrap();
        let info =
            KindInfo { group: group_resource.group, version: "v1".into(), resource: group_resource.resource, kind: "K".into(), namespaced: true };
        let mut parts = Parts::default();
        split(&serde_json::to_vec(object).unwrap(), TypeMeta { api_version: "v1", kind: "K" }, Sensitivity::Open, &mut parts).unwrap();
        let name = object.pointer("/metadata/name").and_then(Value::as_str).unwrap();
        read(&info, name, PartTexts { manifest: &parts.manifest, status: &parts.status, server: &parts.server }).unwrap()
    }

    #[test]
    fn metadata_is_read() {
        let (found, labels) = with_labels(
            "configmaps",
            &json!({
            "data": {"metadata": "metadata:\n  labels:\n    x: y\n"},
            "metadata": {"name": "a", "namespace": "n", "uid": "u-1", "resourceVersion": "42", "labels": {"app": "x", "yes": "no"},
                "annotations": {"text": "one\n\ntwo\nmetadata:\n"},
                "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "u-0", "controller": true}],
                "managedFields": [
                    {"manager": "a: b", "operation": "Apply", "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": {"f:metadata": {"f:labels": {".": {}, "k:{\"manager\":\"x\"}": {}}}}},
                    {"manager": "kubelet", "operation": "Update", "subresource": "status", "apiVersion": "v1"}]}}),
        );
        assert_eq!(
            found,
            Facts {
                uid: Some("u-1".into()),
                resource_version: Some("42".into()),
                owners: vec![Owner { api_version: "v1".into(), kind: "Pod".into(), name: "p".into(), uid: "u-0".into(), controller: true }],
                manager: Some(Manager { name: "a: b".into(), apply: true }),
                verdict: Verdict::Restore,
                selects_pods: false,
                volume: None,
                storage_class: None,
                is_default_class: false,
            }
        );
        assert_eq!(labels, [("app".into(), "x".into()), ("yes".into(), "no".into())].into());
    }

    #[test]
    fn classes_are_read() {
        let claim = |class: &str| {
            facts("persistentvolumeclaims", &json!({"metadata": {"name": "a"}, "spec": {"storageClassName": class, "volumeName": "v"}}))
        };
        let found = claim("fast");
        assert_eq!((found.storage_class.as_deref(), found.volume.as_deref()), (Some("fast"), Some("v")));
        assert_eq!(claim("").storage_class.as_deref(), Some(""));
        assert_eq!(facts("persistentvolumeclaims", &json!({"metadata": {"name": "a"}, "spec": {}})).storage_class, None);
        let class = |value: &str| json!({"metadata": {"name": "a", "annotations": {"storageclass.kubernetes.io/is-default-class": value}}});
        assert!(facts("storageclasses.storage.k8s.io", &class("true")).is_default_class);
        assert!(!facts("storageclasses.storage.k8s.io", &class("false")).is_default_class);
        assert!(!facts("configmaps", &class("true")).is_default_class);
    }

    #[test]
    fn several_managers_are_none() {
        let manager = |name: &str| json!({"manager": name, "operation": "Update"});
        let found = facts("configmaps", &json!({"metadata": {"name": "a", "managedFields": [manager("x"), manager("y")]}}));
        assert_eq!(found.manager, None);
    }

    #[test]
    fn what_is_not_restored() {
        use Verdict::{IfMissing, Never, Restore};
        let named = |name: &str| json!({"metadata": {"name": name}});
        let labelled = |key: &str, value: &str| json!({"metadata": {"name": "x", "labels": {key: value}}});
        let annotated = |key: &str, value: &str| json!({"metadata": {"name": "x", "annotations": {key: value}}});
        let token = |name: &str| json!({"type": "kubernetes.io/service-account-token", "metadata": {"name": name, "annotations": {"kubernetes.io/service-account.name": "bot"}}});
        let job = |kind: &str, status: &str| json!({"metadata": {"name": "x"}, "status": {"conditions": [{"type": kind, "status": status}]}});
        let volume = |policy: &str| json!({"metadata": {"name": "x", "annotations": {"pv.kubernetes.io/provisioned-by": "csi"}}, "spec": {"persistentVolumeReclaimPolicy": policy}});
        let rows = [
            ("events", named("x"), Never(Reason::RuntimeState)),
            ("leases.coordination.k8s.io", named("x"), Never(Reason::RuntimeState)),
            ("events.events.k8s.io", named("x"), Never(Reason::RuntimeState)),
            ("nodes", named("x"), Never(Reason::RuntimeState)),
            ("componentstatuses", named("x"), Never(Reason::RuntimeState)),
            ("csinodes.storage.k8s.io", named("x"), Never(Reason::RuntimeState)),
            ("volumeattachments.storage.k8s.io", named("x"), Never(Reason::RuntimeState)),
            ("storageclasses.storage.k8s.io", named("x"), Restore),
            ("certificatesigningrequests.certificates.k8s.io", named("x"), Never(Reason::RuntimeState)),
            ("ipaddresses.networking.k8s.io", named("x"), Never(Reason::RuntimeState)),
            ("nodes.metrics.k8s.io", named("x"), Never(Reason::RuntimeState)),
            ("configmaps", named("kube-root-ca.crt"), Never(Reason::RootCa)),
            ("configmaps", named("extension-apiserver-authentication"), IfMissing(Reason::ApiServerManaged)),
            ("configmaps", named("x"), Restore),
            ("serviceaccounts", named("default"), IfMissing(Reason::DefaultServiceAccount)),
            ("serviceaccounts", named("bot"), Restore),
            ("secrets", token("bot-token-x7k2p"), Never(Reason::GeneratedToken)),
            ("secrets", token("mine"), Restore),
            ("pods", annotated("kubernetes.io/config.mirror", "x"), Never(Reason::MirrorPod)),
            ("pods", json!({"metadata": {"name": "x"}, "status": {"phase": "Succeeded"}}), Never(Reason::Finished)),
            ("pods", json!({"metadata": {"name": "x"}, "status": {"phase": "Failed"}}), Never(Reason::Finished)),
            ("pods", json!({"metadata": {"name": "x"}, "status": {"phase": "Running"}}), Restore),
            ("jobs.batch", job("Complete", "True"), Never(Reason::Finished)),
            ("jobs.batch", job("Failed", "True"), Never(Reason::Finished)),
            ("jobs.batch", job("Suspended", "True"), Restore),
            ("jobs.batch", named("x"), Restore),
            ("endpoints", labelled("endpoints.kubernetes.io/managed-by", "endpoint-controller"), Never(Reason::ComputedEndpoints)),
            (
                "endpointslices.discovery.k8s.io",
                labelled("endpointslice.kubernetes.io/managed-by", "endpointslice-controller.k8s.io"),
                Never(Reason::ComputedEndpoints),
            ),
            (
                "endpointslices.discovery.k8s.io",
                labelled("endpointslice.kubernetes.io/managed-by", "endpointslicemirroring-controller.k8s.io"),
                Never(Reason::ComputedEndpoints),
            ),
            ("endpointslices.discovery.k8s.io", labelled("endpointslice.kubernetes.io/managed-by", "a-person"), Restore),
            ("endpointslices.discovery.k8s.io", named("x"), Restore),
            ("services", json!({"metadata": {"name": "kubernetes", "labels": {"provider": "kubernetes"}}}), IfMissing(Reason::ApiServerManaged)),
            ("services", named("kubernetes"), Restore),
            ("priorityclasses.scheduling.k8s.io", named("system-node-critical"), IfMissing(Reason::ApiServerManaged)),
            ("priorityclasses.scheduling.k8s.io", named("high"), Restore),
            ("servicecidrs.networking.k8s.io", named("kubernetes"), IfMissing(Reason::ApiServerManaged)),
            ("clusterroles.rbac.authorization.k8s.io", labelled("kubernetes.io/bootstrapping", "rbac-defaults"), IfMissing(Reason::BuiltInRbac)),
            ("clusterroles.rbac.authorization.k8s.io", named("x"), Restore),
            ("apiservices.apiregistration.k8s.io", named("v1."), Never(Reason::LocalApiService)),
            ("apiservices.apiregistration.k8s.io", json!({"metadata": {"name": "x"}, "spec": {"service": {"name": "s"}}}), Restore),
            ("flowschemas.flowcontrol.apiserver.k8s.io", annotated("apf.kubernetes.io/autoupdate-spec", "true"), IfMissing(Reason::ApiServerManaged)),
            ("persistentvolumes", volume("Delete"), Never(Reason::DynamicVolume)),
            ("persistentvolumes", volume("Retain"), Restore),
            ("configmaps", json!({"metadata": {"name": "x", "deletionTimestamp": "2024-01-01T00:00:00Z"}}), Never(Reason::BeingDeleted)),
        ];
        for (kind, object, expected) in rows {
            assert_eq!(facts(kind, &object).verdict, expected, "{kind} {object}");
        }
        assert!(facts("services", &json!({"metadata": {"name": "x"}, "spec": {"selector": {"a": "b"}}})).selects_pods);
        assert!(!facts("services", &json!({"metadata": {"name": "x"}, "spec": {}})).selects_pods);
    }
}
