//! Manifests of KubeStash's kinds survive being read and written: no field is lost, none is added. Of our own samples, and with
//! `KUBESTASH_EXAMPLES` of every manifest in that folder.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::collections::BTreeSet;

use kubestash::{api, deploy::crds};
use kubestash_tests::manifests::{Manifest, samples};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

fn trip<K: DeserializeOwned + Serialize>(object: &Value) -> Result<Value, serde_json::Error> {
    serde_json::to_value(serde_json::from_value::<K>(object.clone())?)
}

fn read_and_write(manifest: &Manifest) -> Value {
    let object = &manifest.object;
    let written = match manifest.kind() {
        "BackupStorage" => trip::<api::BackupStorage>(object),
        "Repository" => trip::<api::Repository>(object),
        "RetentionPolicy" => trip::<api::RetentionPolicy>(object),
        "Snapshot" => trip::<api::Snapshot>(object),
        "BackupConfiguration" => trip::<api::BackupConfiguration>(object),
        "BackupSession" => trip::<api::BackupSession>(object),
        "RestoreSession" => trip::<api::RestoreSession>(object),
        "HookTemplate" => trip::<api::HookTemplate>(object),
        "BackupBlueprint" => trip::<api::BackupBlueprint>(object),
        "BackupBatch" => trip::<api::BackupBatch>(object),
        "BackupVerifier" => trip::<api::BackupVerifier>(object),
        "BackupVerificationSession" => trip::<api::BackupVerificationSession>(object),
        "Addon" => trip::<api::Addon>(object),
        "Function" => trip::<api::Function>(object),
        kind => panic!("{kind} has no type"),
    };
    written.unwrap_or_else(|error| panic!("{}: {error}", manifest.label()))
}

/// Every difference between two values, by its path.
fn differences(path: &str, before: &Value, after: &Value, into: &mut Vec<String>) {
    match (before, after) {
        (Value::Object(a), Value::Object(b)) => {
            for name in a.keys().chain(b.keys()).collect::<BTreeSet<_>>() {
                let below = format!("{path}.{name}");
                match (a.get(name), b.get(name)) {
                    (Some(a), Some(b)) => differences(&below, a, b, into),
                    (a, b) => into.push(format!("{below}: {a:?} became {b:?}")),
                }
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (at, (a, b)) in a.iter().zip(b).enumerate() {
                differences(&format!("{path}[{at}]"), a, b, into);
            }
        }
        (a, b) if a != b => into.push(format!("{path}: {a} became {b}")),
        _ => {}
    }
}

#[test]
fn manifests_survive_being_read_and_written() {
    let mut seen = BTreeSet::new();
    for manifest in samples() {
        let mut wrong = Vec::new();
        differences("", &manifest.object, &read_and_write(&manifest), &mut wrong);
        assert!(wrong.is_empty(), "{}:\n{}", manifest.label(), wrong.join("\n"));
        seen.insert(manifest.kind().to_owned());
    }
    let kinds: BTreeSet<String> = crds().into_iter().map(|crd| crd.spec.names.kind).collect();
    assert_eq!(seen, kinds, "there is a sample of each kind");
}

/// Every field of a sample is in the schema: an API server would drop it otherwise.
#[test]
fn samples_have_no_field_that_a_schema_has_not() {
    fn unknown(path: &str, value: &Value, schema: &Value, into: &mut Vec<String>) {
        if schema["x-kubernetes-preserve-unknown-fields"] == true {
            return;
        }
        match value {
            Value::Object(fields) => {
                for (name, below) in fields {
                    match schema["properties"].get(name).or_else(|| schema.get("additionalProperties")) {
                        Some(schema) => unknown(&format!("{path}.{name}"), below, schema, into),
                        None => into.push(format!("{path}.{name}")),
                    }
                }
            }
            Value::Array(items) => items.iter().for_each(|item| unknown(&format!("{path}[]"), item, &schema["items"], into)),
            _ => {}
        }
    }
    let definitions: Vec<Value> = crds().into_iter().map(|crd| serde_json::to_value(crd).unwrap()).collect();
    for manifest in samples() {
        let definition = definitions.iter().find(|crd| crd["spec"]["names"]["kind"] == manifest.kind()).unwrap();
        let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"];
        let mut wrong = Vec::new();
        for part in ["spec", "status"] {
            unknown(part, &manifest.object[part], &schema[part], &mut wrong);
        }
        assert!(wrong.is_empty(), "{}: {wrong:?}", manifest.label());
    }
}
