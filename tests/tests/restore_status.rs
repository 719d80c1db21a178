//! The status of objects: left to controllers, and restored where it is asked for.
#![cfg(feature = "real")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use kubestash::restore::{Selection, Source, apply::Mode, plan::Options};
use kubestash_tests::{
    cluster::Cluster,
    program::User,
    restoring::{applied, planned, repository, restored},
};
use serde_json::{Value, json};

/// With a status of its own, and with one that is a field as any other.
const KINDS: [(&str, &str, bool); 2] = [("gauges", "Gauge", true), ("plains", "Plain", false)];

fn definition(plural: &str, kind: &str, subresource: bool) -> String {
    let subresources = if subresource { json!({"status": {}}) } else { json!({}) };
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": format!("{plural}.example.com")},
        "spec": {"group": "example.com", "scope": "Namespaced", "names": {"plural": plural, "singular": kind.to_lowercase(), "kind": kind, "listKind": format!("{kind}List")},
            "versions": [{"name": "v1", "served": true, "storage": true, "subresources": subresources,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}]},
    })
    .to_string()
}

fn options(kinds: &[&str]) -> Options {
    Options { status: kinds.iter().map(|kind| kind.parse().unwrap()).collect(), ..Options::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn status_is_restored_where_it_is_asked_for() {
    let cluster = Cluster::without_controllers();
    for (plural, kind, subresource) in KINDS {
        cluster.apply(&definition(plural, kind, subresource));
    }
    cluster.kubectl(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"]);
    cluster.apply("apiVersion: v1\nkind: Namespace\nmetadata: {name: states}\n");
    let status = json!({"phase": "Ready", "level": 7, "conditions": [{"type": "Ready", "status": "True"}]});
    for (plural, kind, subresource) in KINDS {
        for name in ["one", "without"] {
            let object = json!({"apiVersion": "example.com/v1", "kind": kind, "metadata": {"name": name, "namespace": "states"}, "spec": {"a": 1}});
            cluster.apply(&object.to_string());
        }
        let mut args = vec!["-n", "states", "patch", plural, "one", "--type=merge"];
        args.extend(subresource.then_some("--subresource=status"));
        let patch = json!({"status": status}).to_string();
        args.extend(["-p", &patch]);
        cluster.kubectl(&args);
    }
    let source = Source::Snapshot(cluster.snapshot(&repository().await, "before").await);
    let user = User::with_cluster(&cluster);
    user.ok(&["backup", "--name", "before"]);
    let found = |plural: &str| -> Value {
        let text = cluster.kubectl(&["-n", "states", "get", plural, "one", "-o", "json"]);
        serde_json::from_str::<Value>(&text).unwrap().get("status").cloned().unwrap_or_default()
    };
    let delete = || cluster.kubectl(&["-n", "states", "delete", "gauges,plains", "--all"]);

    delete();
    let plain = restored(&cluster, &source, &Selection::default(), &options(&[])).await;
    assert_eq!((plain.created, plain.statuses, plain.failed), (4, 0, 0), "{plain:#?}");
    assert_eq!((found("gauges"), found("plains")), (Value::Null, Value::Null), "controllers write it");

    delete();
    let one = restored(&cluster, &source, &Selection::default(), &options(&["gauges.example.com"])).await;
    assert_eq!((one.created, one.statuses, one.failed), (4, 1, 0), "{one:#?}");
    assert_eq!((found("gauges"), found("plains")), (status.clone(), Value::Null));

    delete();
    let plan = planned(&cluster, &source, &Selection::default(), &options(&["gauges.example.com", "plains.example.com"])).await;
    assert_eq!(plan.steps().filter(|step| step.restores_status).count(), 4);
    let dry = applied(&cluster, &source, plan.clone(), Mode::ServerDryRun).await;
    assert_eq!((dry.created, dry.statuses, dry.failed), (4, 0, 0), "{dry:#?}");
    let both = applied(&cluster, &source, plan, Mode::Write).await;
    assert_eq!((both.created, both.statuses, both.failed), (4, 2, 0), "{both:#?}");
    assert_eq!((found("gauges"), found("plains")), (status.clone(), status.clone()));
    // What is there is not written again, nor is its status.
    let again = restored(&cluster, &source, &Selection::default(), &options(&["gauges.example.com"])).await;
    assert_eq!((again.write_requests, again.statuses), (0, 0), "{again:#?}");

    // By the command, with kinds as people name them.
    delete();
    let dry = user.ok(&["restore", "before", "-n", "states", "--restore-status", "gauge", "--dry-run"]);
    assert!(dry.contains("create gauges.example.com/one -n states: not in the cluster, with its status"), "{dry}");
    let done = user.ok(&["restore", "before", "-n", "states", "--restore-status", "gauge", "--yes"]);
    assert!(done.starts_with("4 created, 0 updated, 1 with their status,"), "{done}");
    assert_eq!(found("gauges"), status);
    let unknown = user.run(&["restore", "before", "--restore-status", "nothings", "--dry-run"]);
    assert!(unknown.code == 1 && unknown.err.contains("\"nothings\" is no kind of the snapshot or the cluster"), "{unknown:?}");
}
