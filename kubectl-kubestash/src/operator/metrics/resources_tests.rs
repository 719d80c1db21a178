//! Samples of whole objects, held against the list of metrics.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use kubestash::deploy::metrics::METRICS;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::*;

fn object<K: DeserializeOwned>(group: &str, kind: &str, spec: Value, status: Value) -> K {
    serde_json::from_value(json!({
        "apiVersion": format!("{group}.kubestash.com/v1alpha1"), "kind": kind, "spec": spec, "status": status,
        "metadata": {"name": "x", "namespace": "demo", "creationTimestamp": "2026-01-01T00:00:00Z"},
    }))
    .unwrap()
}

fn everything() -> Vec<Sample> {
    let conditions = json!([{"type": "Done", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}]);
    let configuration = object(
        "core",
        "BackupConfiguration",
        json!({"sessions": [{"name": "often", "scheduler": {"schedule": "0 * * * *", "jobTemplate": {}}, "addon": {"name": "kubedump-addon"}}]}),
        json!({"phase": "Ready", "conditions": conditions}),
    );
    let session = object(
        "core",
        "BackupSession",
        json!({"invoker": {"kind": "BackupConfiguration", "name": "bc"}, "session": "often"}),
        json!({"phase": "Succeeded", "duration": "1m5s", "conditions": conditions, "snapshots": [{"name": "s", "phase": "Succeeded", "repository": "r"}]}),
    );
    let restore = object(
        "core",
        "RestoreSession",
        json!({"dataSource": {"repository": "r", "snapshot": "latest"}}),
        json!({"phase": "Failed", "duration": "2s", "totalComponents": 1, "conditions": conditions}),
    );
    let storage = object(
        "storage",
        "BackupStorage",
        json!({"storage": {"provider": "s3", "s3": {"bucket": "b"}}}),
        json!({"phase": "Ready", "totalSize": "1.500 KiB", "conditions": conditions, "repositories": [{"name": "r", "namespace": "demo", "size": "512 B"}]}),
    );
    let repository = object(
        "storage",
        "Repository",
        json!({"path": "/p", "appRef": {"apiGroup": "na", "kind": "", "name": "na"}}),
        json!({"phase": "Ready", "integrity": true, "size": "512 B", "snapshotCount": 3, "lastBackupTime": "2026-01-02T00:00:00Z", "conditions": conditions}),
    );
    let snapshot = object(
        "storage",
        "Snapshot",
        json!({"type": "FullBackup", "repository": "r", "session": "often", "backupSession": "bs", "version": "v1"}),
        json!({"phase": "Succeeded", "size": "512 B", "snapshotTime": "2026-01-02T00:00:00Z", "totalComponents": 1, "conditions": conditions}),
    );
    [
        of_configuration(&configuration),
        of_session(&session),
        of_restore(&restore),
        of_storage(&storage),
        of_repository(&repository),
        of_snapshot(&snapshot),
    ]
    .concat()
}

#[test]
fn samples_are_as_the_list_says() {
    let samples = everything();
    for sample in &samples {
        let metric = METRICS.iter().find(|metric| metric.name == sample.name).unwrap_or_else(|| panic!("{} is not in the list", sample.name));
        assert_eq!(sample.labels.iter().map(|(label, _)| *label).collect::<Vec<_>>(), metric.labels, "{}", sample.name);
    }
    let told: BTreeSet<&str> = samples.iter().map(|sample| sample.name).collect();
    let listed: BTreeSet<&str> = METRICS.iter().map(|metric| metric.name).filter(|name| !name.starts_with("kubestash_")).collect();
    assert_eq!(told, listed);
}

#[test]
fn values_have_the_units_of_the_list() {
    let samples = everything();
    let value = |name: &str, label: &str| {
        let found = samples.iter().find(|sample| sample.name == name && (label.is_empty() || sample.labels.iter().any(|(_, value)| value == label)));
        found.unwrap_or_else(|| panic!("no {name} {label}")).value
    };
    let rows = [
        ("core_kubestash_com_backupsession_duration_seconds", "", 65.0),
        ("core_kubestash_com_backupsession_created", "", 1_767_225_600.0),
        ("core_kubestash_com_restoresession_phase", "Failed", 1.0),
        ("core_kubestash_com_restoresession_phase", "Succeeded", 0.0),
        ("storage_kubestash_com_backupstorage_size_bytes", "", 1536.0),
        ("storage_kubestash_com_repository_snapshot_count_total", "", 3.0),
        ("storage_kubestash_com_repository_last_successful_backup", "", 1_767_312_000.0),
        ("storage_kubestash_com_snapshot_size_bytes", "", 512.0),
    ];
    for (name, label, wanted) in rows {
        assert_eq!(value(name, label), wanted, "{name}");
    }
}
