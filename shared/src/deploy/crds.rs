//! The definitions of the custom resources.
//!
//! Made from the Rust types. What derived schemas say differently from those of a Go program is put right here: absent and null are the same
//! to an API server only where a field is not `nullable`.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt as _;
use serde_json::{Map, Value, json};

use crate::api::{self, for_each_schema};

/// The definitions of all kinds, in the order in which people meet them.
pub fn crds() -> Vec<CustomResourceDefinition> {
    let derived = [
        api::BackupStorage::crd(),
        api::Repository::crd(),
        api::RetentionPolicy::crd(),
        api::Snapshot::crd(),
        api::BackupConfiguration::crd(),
        api::BackupSession::crd(),
        api::RestoreSession::crd(),
        api::HookTemplate::crd(),
        api::BackupBlueprint::crd(),
        api::BackupBatch::crd(),
        api::BackupVerifier::crd(),
        api::BackupVerificationSession::crd(),
        api::Addon::crd(),
        api::Function::crd(),
    ];
    derived.into_iter().map(finish).collect()
}

/// Defaults that Kubernetes gives to volumes, and KubeStash with it: volume, field, value.
const VOLUME_DEFAULTS: [(&str, &str, &str); 7] = [
    ("azureDisk", "fsType", "ext4"),
    ("iscsi", "iscsiInterface", "default"),
    ("rbd", "keyring", "/etc/ceph/keyring"),
    ("rbd", "pool", "rbd"),
    ("rbd", "user", "admin"),
    ("scaleIO", "fsType", "xfs"),
    ("scaleIO", "storageMode", "ThinProvisioned"),
];

fn finish(crd: CustomResourceDefinition) -> CustomResourceDefinition {
    let Ok(mut value) = serde_json::to_value(&crd) else { return crd };
    let kind = crd.spec.names.kind.as_str();
    if let Some(versions) = value.pointer_mut("/spec/versions").and_then(Value::as_array_mut) {
        for schema in versions.iter_mut().filter_map(|version| version.pointer_mut("/schema/openAPIV3Schema")) {
            drop_nullable(schema);
            if kind == "BackupStorage" {
                add_volume_defaults(schema);
                if let Some(root) = schema.as_object_mut() {
                    root.insert(api::VALIDATIONS.to_owned(), api::rules(&api::storage_object_rules()));
                }
            }
        }
    }
    // Only fields that a definition has were touched.
    serde_json::from_value(value).unwrap_or(crd)
}

/// A null where none may be is dropped by the API server before anybody sees it; one that may be there would be stored, and count as present.
fn drop_nullable(schema: &mut Value) {
    for_each_schema(schema, &mut |schema| {
        if schema.get("nullable") == Some(&Value::Bool(true)) {
            schema.remove("nullable");
        }
        if let Some(words) = schema.get_mut("enum").and_then(Value::as_array_mut) {
            words.retain(|word| !word.is_null());
        }
    });
}

fn add_volume_defaults(schema: &mut Value) {
    let local = "/properties/spec/properties/storage/properties/local/properties";
    let Some(sources) = schema.pointer_mut(local) else { return };
    let mut add = |volume: &str, field: &str, value: Value| {
        let field: Option<&mut Map<String, Value>> = sources.pointer_mut(&format!("/{volume}/properties/{field}")).and_then(Value::as_object_mut);
        if let Some(field) = field {
            field.insert("default".to_owned(), value);
        }
    };
    for (volume, field, value) in VOLUME_DEFAULTS {
        add(volume, field, json!(value));
    }
    add("azureDisk", "readOnly", json!(false));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes of the annotation in which `kubectl apply` keeps what was applied; all annotations together may have 262,144.
    const MAX_APPLIED: usize = 200_000;

    fn walk(path: &str, schema: &Value, look: &mut impl FnMut(&str, &Map<String, Value>)) {
        let Some(keywords) = schema.as_object() else { return };
        look(path, keywords);
        for (name, below) in keywords.get("properties").and_then(Value::as_object).into_iter().flatten() {
            walk(&format!("{path}.{name}"), below, look);
        }
        for keyword in ["items", "additionalProperties"] {
            if let Some(below) = keywords.get(keyword) {
                walk(&format!("{path}[]"), below, look);
            }
        }
    }

    #[test]
    fn schemas_are_structural_and_small() {
        for crd in crds() {
            let value = serde_json::to_value(&crd).unwrap();
            let name = crd.metadata.name.unwrap();
            let size = value.to_string().len();
            assert!(size < MAX_APPLIED, "{name} has {size} bytes");
            let mut wrong = Vec::new();
            walk("", &value["spec"]["versions"][0]["schema"]["openAPIV3Schema"], &mut |path, keywords| {
                let free = keywords.contains_key("x-kubernetes-int-or-string") || keywords.contains_key("x-kubernetes-preserve-unknown-fields");
                let complaint = ["anyOf", "oneOf", "allOf", "not", "nullable", "$ref"].into_iter().find(|keyword| keywords.contains_key(*keyword));
                if complaint.is_some() || !(free || keywords.contains_key("type")) {
                    wrong.push(format!("{path}: {complaint:?} {keywords:?}"));
                }
            });
            assert!(wrong.is_empty(), "{name}:\n{}", wrong.join("\n"));
        }
    }

    #[test]
    fn every_field_of_ours_says_what_it_is_for() {
        for crd in crds() {
            let value = serde_json::to_value(&crd).unwrap();
            let spec = &value["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"];
            for (name, field) in spec.as_object().unwrap() {
                assert!(field["description"].is_string(), "{} spec.{name}", crd.spec.names.kind);
            }
        }
    }
}
