//! Tables of the rules across objects.
#![allow(clippy::unwrap_used)]

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::*;

fn object<K: DeserializeOwned>(kind: &str, name: &str, spec: Value) -> K {
    let group = if matches!(kind, "BackupConfiguration" | "RestoreSession" | "HookTemplate") { "core" } else { "storage" };
    let (namespace, name) = name.split_once('/').unwrap();
    serde_json::from_value(json!({
        "apiVersion": format!("{group}.kubestash.com/v1alpha1"), "kind": kind, "metadata": {"name": name, "namespace": namespace}, "spec": spec,
    }))
    .unwrap()
}

fn storage(name: &str, spec: Value) -> BackupStorage {
    object("BackupStorage", name, spec)
}

fn repository(name: &str, storage: &str, path: &str) -> Repository {
    let (namespace, at) = storage.split_once('/').unwrap();
    object("Repository", name, json!({"storageRef": {"name": at, "namespace": namespace}, "path": path}))
}

#[test]
fn a_namespace_has_one_default() {
    let all = [storage("a/one", json!({"default": true})), storage("a/two", json!({})), storage("b/three", json!({"default": true}))];
    let rows = [
        ("a/new", json!({"default": true}), true),
        ("a/new", json!({"default": false}), false),
        ("a/new", json!({}), false),
        ("a/one", json!({"default": true}), false),
        ("c/new", json!({"default": true}), false),
    ];
    for (name, spec, refused) in rows {
        assert_eq!(second_default(&storage(name, spec.clone()), &all).is_some(), refused, "{name} {spec}");
    }
    let policy = |name: &str| object::<RetentionPolicy>("RetentionPolicy", name, json!({"default": true}));
    let said = second_default(&policy("a/new"), &[policy("a/old")]).unwrap();
    assert_eq!(said, "RetentionPolicy a/old is the default of its namespace already; set spec.default of one of the two to false");
}

#[test]
fn one_storage_is_at_one_place() {
    let s3 = |s3: Value| json!({"storage": {"provider": "s3", "s3": s3}});
    let azure = |account: &str| json!({"storage": {"provider": "azure", "azure": {"storageAccount": account, "container": "c"}}});
    let local = json!({"storage": {"provider": "local", "local": {"hostPath": {"path": "/x"}}}});
    let all = [
        storage("a/s3", s3(json!({"bucket": "b", "prefix": "p/", "endpoint": "https://one.example.com/"}))),
        storage("a/gcs", json!({"storage": {"provider": "gcs", "gcs": {"bucket": "b"}}})),
        storage("a/azure", azure("x")),
        storage("a/local", local.clone()),
    ];
    let rows = [
        (s3(json!({"bucket": "b", "prefix": "/p", "endpoint": "https://ONE.example.com"})), Some("a/s3")),
        (s3(json!({"bucket": "b", "prefix": "p", "endpoint": "https://one.example.com", "region": "eu"})), Some("a/s3")),
        (s3(json!({"bucket": "b", "prefix": "p", "endpoint": "https://two.example.com"})), None),
        (s3(json!({"bucket": "b", "prefix": "q", "endpoint": "https://one.example.com"})), None),
        (json!({"storage": {"provider": "gcs", "gcs": {"bucket": "b", "prefix": "/"}}}), Some("a/gcs")),
        (azure("x"), Some("a/azure")),
        (azure("y"), None),
        (local, None),
        (json!({}), None),
    ];
    for (spec, wanted) in rows {
        let said = same_place(&storage("b/new", spec.clone()), &all);
        assert_eq!(said.is_some(), wanted.is_some(), "{spec}");
        assert!(wanted.is_none_or(|wanted| said.unwrap().contains(wanted)), "{spec}");
    }
    assert_eq!(same_place(&all[0], &all), None, "of itself");
}

#[test]
fn one_repository_has_a_directory() {
    let all = [repository("a/one", "s/disk", "/x/"), repository("a/two", "s/disk", "y")];
    let rows = [("b/new", "s/disk", "x", true), ("b/new", "s/disk", "z", false), ("b/new", "s/other", "x", false), ("a/one", "s/disk", "x", false)];
    for (name, at, path, refused) in rows {
        assert_eq!(same_directory(&repository(name, at, path), &all).is_some(), refused, "{name} {at} {path}");
    }
}

fn known() -> Known {
    let selected = json!({"allowedNamespaces": {"from": "Selector", "selector": {"matchLabels": {"team": "a"}}}});
    let period = |policy: Value| json!({"maxRetentionPeriod": "30d", "usagePolicy": policy});
    Known {
        storages: vec![storage("s/open", json!({"usagePolicy": selected})), storage("s/closed", json!({})), storage("demo/own", json!({}))],
        policies: vec![object("RetentionPolicy", "s/open", period(selected.clone())), object("RetentionPolicy", "s/closed", period(Value::Null))],
        repositories: vec![repository("demo/there", "s/open", "there"), repository("x/foreign", "s/open", "taken")],
        hooks: vec![object("HookTemplate", "s/open", json!({"usagePolicy": selected})), object("HookTemplate", "s/closed", json!({}))],
        namespace_labels: [("team".to_owned(), "a".to_owned())].into(),
    }
}

fn valid() -> Value {
    json!({
        "backends": [{"name": "b", "storageRef": {"name": "open", "namespace": "s"}, "retentionPolicy": {"name": "open", "namespace": "s"}}],
        "sessions": [{
            "name": "often", "scheduler": {"schedule": "0 * * * *", "jobTemplate": {}},
            "addon": {"name": "kubedump-addon", "tasks": [{"name": "manifest-backup"}]},
            "repositories": [{"name": "new", "backend": "b", "directory": "/new", "encryptionSecret": {"name": "e"}}],
            "hooks": {"preBackup": [{"name": "h", "hookTemplate": {"name": "open", "namespace": "s"}}]},
        }],
    })
}

#[test]
fn configurations_use_what_they_may() {
    let said = |pointer: &str, value: Value| {
        let mut spec = valid();
        if !pointer.is_empty() {
            *spec.pointer_mut(pointer).unwrap() = value;
        }
        configuration(&object("BackupConfiguration", "demo/bc", spec), &known())
    };
    assert_eq!(said("", Value::Null), [] as [String; 0]);
    let repository = "/sessions/0/repositories/0";
    let second = json!([
        {"name": "p", "backend": "b", "directory": "same", "encryptionSecret": {"name": "e"}},
        {"name": "q", "backend": "b", "directory": "/same/", "encryptionSecret": {"name": "e"}},
    ]);
    let rows: [(String, Value, &str); 9] = [
        ("/backends/0/storageRef/name".to_owned(), json!("closed"), "BackupStorage s/closed does not allow its use from namespace demo"),
        ("/backends/0/retentionPolicy/name".to_owned(), json!("closed"), "RetentionPolicy s/closed does not allow"),
        ("/sessions/0/hooks/preBackup/0/hookTemplate/name".to_owned(), json!("closed"), "HookTemplate s/closed does not allow"),
        (format!("{repository}/directory"), json!("taken/"), "Repository x/foreign has the directory \"taken\" of BackupStorage s/open already"),
        (format!("{repository}/name"), json!("there"), "a Repository demo/there is there already, in BackupStorage s/open at \"there\""),
        (format!("{repository}/backend"), json!("other"), "\"other\", which is not in spec.backends"),
        ("/sessions/0/scheduler".to_owned(), Value::Null, "scheduler is missing"),
        ("/sessions/0/repositories".to_owned(), second, "Repository demo/p has the directory \"same\""),
        ("/backends/0/storageRef".to_owned(), json!({"name": "not-there-yet"}), ""),
    ];
    for (pointer, value, wanted) in rows {
        let all = said(&pointer, value);
        let found = if wanted.is_empty() { all.is_empty() } else { all.iter().any(|text| text.contains(wanted)) };
        assert!(found, "{pointer}: {all:?}");
    }
}

#[test]
fn restores_use_what_they_may() {
    let said = |storage: &str, hook: &str| {
        let session = object(
            "RestoreSession",
            "demo/r",
            json!({
                "dataSource": {"namespace": "x", "repository": "foreign", "snapshot": "latest"},
                "addon": {"name": "kubedump-addon", "tasks": [{"name": "manifest-restore"}]},
                "hooks": {"postRestore": [{"name": "h", "hookTemplate": {"name": hook, "namespace": "s"}}]},
            }),
        );
        restore(&session, Some(&repository("x/foreign", storage, "p")), &known())
    };
    assert_eq!(said("s/open", "open"), [] as [String; 0]);
    assert!(said("s/closed", "open")[0].contains("BackupStorage s/closed does not allow its use from namespace demo"));
    assert!(said("s/open", "closed")[0].contains("HookTemplate s/closed does not allow"));
    let empty = object("RestoreSession", "demo/r", json!({}));
    assert!(restore(&empty, None, &known())[0].contains("dataSource is missing"));
}
