//! Objects for the tests of pages.
#![allow(clippy::unwrap_used)]

use jiff::Timestamp;
use serde_json::{Value, json};

/// An object of a kind of ours, in the namespace `demo`.
pub(super) fn object<K: serde::de::DeserializeOwned>(group: &str, kind: &str, name: &str, spec: Value, status: Value) -> K {
    serde_json::from_value(json!({
        "apiVersion": format!("{group}.kubestash.com/v1alpha1"), "kind": kind, "spec": spec, "status": status,
        "metadata": {"name": name, "namespace": "demo", "creationTimestamp": "2026-01-01T00:00:00Z"},
    }))
    .unwrap()
}

/// Ten minutes after all of them were made.
pub(super) fn now() -> Timestamp {
    "2026-01-01T00:10:00Z".parse().unwrap()
}

/// A condition of its status.
pub(super) fn condition(type_: &str, status: &str, message: &str) -> Value {
    json!({"type": type_, "status": status, "message": message, "lastTransitionTime": "2026-01-01T00:00:00Z"})
}
