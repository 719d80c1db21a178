//! A run that may begin, for tests.
#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};

use super::decide::Seen;
use crate::operator::job_state::JobState;

/// An object of the namespace `demo`.
pub fn object<K: serde::de::DeserializeOwned>(group: &str, kind: &str, name: &str, rest: Value) -> K {
    let mut whole = json!({
        "apiVersion": format!("{group}.kubestash.com/v1alpha1"), "kind": kind,
        "metadata": {"name": name, "namespace": "demo", "creationTimestamp": "2026-01-01T00:00:00Z"},
    });
    whole.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
    serde_json::from_value(whole).unwrap()
}

/// A run of a session with one repository.
pub fn seen() -> Seen {
    Seen {
        session: object(
            "core",
            "BackupSession",
            "run-1",
            json!({"spec": {"invoker": {"kind": "BackupConfiguration", "name": "bc"}, "session": "s", "retryLeft": 1}}),
        ),
        configuration: Some(object(
            "core",
            "BackupConfiguration",
            "bc",
            json!({
                "spec": {
                    "backends": [{"name": "b", "storageRef": {"name": "x"}, "retentionPolicy": {"name": "p"}}],
                    "sessions": [{"name": "s", "repositories": [{"name": "repo", "backend": "b", "directory": "/d"}], "retryConfig": {"delay": "5m"}}],
                },
                "status": {"phase": "Ready"},
            }),
        )),
        running: None,
        repositories: vec![object("storage", "Repository", "repo", json!({"spec": {}, "status": {"phase": "Ready"}}))],
        snapshots: Vec::new(),
        earlier: Vec::new(),
        job: JobState::Absent,
        retention: JobState::Absent,
        ended: Vec::new(),
    }
}
