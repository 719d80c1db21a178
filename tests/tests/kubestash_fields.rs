//! Whatever KubeStash accepts is accepted: every field of its definitions is in ours, no stricter, and with the same default.
//!
//! `fixtures/kubestash-fields.tsv` holds the fields of its definitions: kind, path, type, required, default, validation. `[]` stands for the
//! items of a list, `{}` for the values of a map. Where a type of Kubernetes begins, its fields are not listed.
#![allow(clippy::unwrap_used, missing_docs)]

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::OnceLock,
};

use kubestash::deploy::crds;
use serde_json::Value;

const FIELDS: &str = include_str!("../fixtures/kubestash-fields.tsv");

/// Where ours lists the words that may stand in a field and theirs takes any text. Only the operator writes these, and no others.
const CLOSED: [(&str, &str); 3] = [
    ("BackupStorage", "status.phase"),
    ("BackupConfiguration", "status.backends[].storage.phase"),
    ("BackupBatch", "status.backends[].storage.phase"),
];

/// Required by ours alone: without a spec an object says nothing, and could not be read.
const REQUIRED: &str = "spec";

#[derive(Debug)]
struct Field<'a> {
    kind: &'a str,
    path: &'a str,
    type_: &'a str,
    required: bool,
    default: &'a str,
    validation: &'a str,
}

fn fields() -> Vec<Field<'static>> {
    let field = |line: &'static str| {
        let mut cells = line.split('\t').chain(std::iter::repeat(""));
        let mut cell = || cells.next().unwrap_or_default();
        let (kind, path, type_) = (cell(), cell(), cell());
        let (required, default, validation) = (cell() == "required", cell(), cell());
        Field { kind, path, type_, required, default, validation }
    };
    FIELDS.lines().skip(1).map(field).collect()
}

fn schemas() -> &'static BTreeMap<String, Value> {
    static SCHEMAS: OnceLock<BTreeMap<String, Value>> = OnceLock::new();
    SCHEMAS.get_or_init(|| {
        let schema = |crd: &Value| crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone();
        let values = crds().into_iter().map(|crd| serde_json::to_value(crd).unwrap());
        values.map(|crd| (crd["spec"]["names"]["kind"].as_str().unwrap().to_owned(), schema(&crd))).collect()
    })
}

/// The schema of a field, and whether it is required.
fn find<'a>(root: &'a Value, path: &str) -> Option<(&'a Value, bool)> {
    let (mut schema, mut required) = (root, false);
    for step in path.split('.') {
        let name = step.trim_end_matches("[]").trim_end_matches("{}");
        required = schema["required"].as_array().is_some_and(|names| names.iter().any(|required| required == name));
        schema = schema["properties"].get(name)?;
        schema = match step.strip_prefix(name) {
            Some("[]") => schema.get("items")?,
            Some("{}") => schema.get("additionalProperties")?,
            _ => schema,
        };
    }
    Some((schema, required))
}

fn is_type(schema: &Value, wanted: &str) -> bool {
    let type_ = schema["type"].as_str().unwrap_or_default();
    match wanted {
        "object" | "array" | "string" | "integer" | "boolean" | "number" => type_ == wanted,
        "int-or-string" => schema["x-kubernetes-int-or-string"] == true,
        "map[string]string" => type_ == "object" && schema["additionalProperties"]["type"] == "string",
        "[]string" => type_ == "array" && schema["items"]["type"] == "string",
        list if list.starts_with("[]core/v1.") => type_ == "array" && is_type(&schema["items"], list.trim_start_matches("[]")),
        // Its fields are Kubernetes' own.
        _ if wanted.starts_with("core/v1.") || wanted.starts_with("meta/v1.") => type_ == "object" && schema["properties"].is_object(),
        _ => false,
    }
}

/// A default as the list writes it.
fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn complaints(field: &Field<'_>, schema: &Value, required: bool) -> Vec<String> {
    let mut wrong = Vec::new();
    let rules: BTreeMap<&str, &str> = field.validation.split(' ').map(|rule| rule.split_once('=').unwrap_or((rule, ""))).collect();
    if !is_type(schema, field.type_) {
        wrong.push(format!("is no {}, but {}", field.type_, schema["type"]));
    }
    if required && !field.required && field.path != REQUIRED {
        wrong.push("is required".to_owned());
    }
    if text(&schema["default"]) != field.default {
        wrong.push(format!("has default {}, not {:?}", schema["default"], field.default));
    }
    if rules.contains_key("preserve-unknown-fields") && schema["x-kubernetes-preserve-unknown-fields"] != true {
        wrong.push("does not keep unknown fields".to_owned());
    }
    let ours: BTreeSet<&str> = schema["enum"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let theirs: BTreeSet<&str> = rules.get("enum").into_iter().flat_map(|words| words.split('|')).collect();
    let closed = theirs.is_empty() && !CLOSED.contains(&(field.kind, field.path));
    if !ours.is_empty() && (closed || !ours.is_superset(&theirs)) {
        wrong.push(format!("allows {ours:?}, not {theirs:?}"));
    }
    let format = schema["format"].as_str().unwrap_or_default();
    if ["int32", "date-time"].contains(&format) && rules.get("format") != Some(&format) {
        wrong.push(format!("has format {format}"));
    }
    let least = schema["minimum"].as_f64();
    let theirs: Option<f64> = rules.get("minimum").and_then(|number| number.parse().ok());
    if least.is_some_and(|least| theirs.is_none_or(|theirs| least > theirs)) {
        wrong.push(format!("is at least {least:?}, not {theirs:?}"));
    }
    wrong
}

#[test]
fn every_field_of_kubestash_is_there() {
    let schemas = schemas();
    let mut wrong = Vec::new();
    let fields = fields();
    assert!(fields.len() > 2_000, "only {} fields are listed", fields.len());
    for field in &fields {
        match schemas.get(field.kind).and_then(|schema| find(schema, field.path)) {
            Some((schema, required)) => {
                wrong.extend(complaints(field, schema, required).into_iter().map(|complaint| format!("{} {} {complaint}", field.kind, field.path)));
            }
            None => wrong.push(format!("{} {} is missing", field.kind, field.path)),
        }
    }
    assert!(wrong.is_empty(), "{} complaints:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn what_is_said_to_be_closed_is() {
    let schemas = schemas();
    for (kind, path) in CLOSED {
        let (schema, _) = find(&schemas[kind], path).unwrap();
        assert!(schema["enum"].is_array(), "{kind} {path}");
    }
}

#[test]
fn fields_of_older_releases_are_accepted() {
    let schemas = schemas();
    for (kind, path) in [
        ("BackupConfiguration", "spec.sessions[].failurePolicy"),
        ("BackupConfiguration", "spec.backends[].storageRef.apiGroup"),
        ("BackupConfiguration", "spec.backends[].storageRef.kind"),
        ("BackupBatch", "spec.sessions[].failurePolicy"),
        ("Repository", "spec.storageRef.apiGroup"),
        ("Repository", "spec.storageRef.kind"),
        ("BackupStorage", "spec.storage.s3.secret"),
        ("BackupConfiguration", "spec.target.kind"),
    ] {
        assert!(find(&schemas[kind], path).is_some(), "{kind} {path}");
    }
}
