//! What has to be there before objects are written: definitions that are served, webhooks that answer.
#![cfg(feature = "real")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::time::Duration;

use kubestash::{
    object::KindInfo,
    repository::BackupOptions,
    restore::{
        Selection, Source,
        apply::{Mode, Patience},
        plan::Options,
    },
};
use kubestash_tests::{
    cluster::Cluster,
    restoring::{applied_as, applied_with, planned, repository, restored},
    webhook::Webhook,
    write,
};
use serde_json::{Value, json};

/// Definitions in the test, and one object of each.
const DEFINITIONS: usize = 120;
const GROUP: &str = "many.example.com";

fn kind(group: &str, plural: &str, kind: &str, version: &str) -> KindInfo {
    KindInfo { group: group.into(), version: version.into(), resource: plural.into(), kind: kind.into(), namespaced: group == GROUP }
}

/// Definitions and an object of each, as a snapshot holds them.
fn objects(count: usize) -> Vec<(KindInfo, Vec<(String, Value)>)> {
    let names: Vec<String> = (0..count).map(|number| format!("thing{number:03}s")).collect();
    let definition = |plural: &String| {
        let (name, kind) = (format!("{plural}.{GROUP}"), plural.to_uppercase());
        let object = json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": name},
            "spec": {
                "group": GROUP, "scope": "Namespaced", "names": {"plural": plural, "singular": plural, "kind": kind, "listKind": format!("{kind}LIST")},
                "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {"type": "object"}}}],
            },
        });
        (name, object)
    };
    let one = |plural: &String| {
        let object = json!({"apiVersion": format!("{GROUP}/v1"), "kind": plural.to_uppercase(), "metadata": {"name": "one", "namespace": "default"}});
        (kind(GROUP, plural, &plural.to_uppercase(), "v1"), vec![("default/one".to_owned(), object)])
    };
    let definitions = kind("apiextensions.k8s.io", "customresourcedefinitions", "CustomResourceDefinition", "v1");
    std::iter::once((definitions, names.iter().map(definition).collect())).chain(names.iter().map(one)).collect()
}

/// How often the API server was asked for one definition.
fn gets(cluster: &Cluster) -> u64 {
    let metrics = cluster.kubectl(&["get", "--raw", "/metrics"]);
    let of_definitions = |line: &&str| {
        line.starts_with("apiserver_request_total{") && line.contains("resource=\"customresourcedefinitions\"") && line.contains("verb=\"GET\"")
    };
    metrics.lines().filter(of_definitions).map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap() as u64).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_definitions_are_awaited_by_one_watch() {
    let cluster = Cluster::without_controllers();
    let repository = repository().await;
    let root = write::snapshot(&repository, BackupOptions::default(), "many", objects(DEFINITIONS)).await;
    let source = Source::Snapshot(repository.open_snapshot(&root).await.unwrap());

    let before = gets(&cluster);
    let report = restored(&cluster, &source, &Selection::default(), &Options::default()).await;
    assert_eq!((report.created as usize, report.failed), (2 * DEFINITIONS, 0), "{:#?}", report.causes);
    let looked = gets(&cluster) - before;
    // One for each kind of the objects, to see whether a webhook converts it, and none while they were awaited.
    assert!(looked <= DEFINITIONS as u64, "definitions were asked for {looked} times");
}

/// May write definitions and look at them, but not watch them.
const NORA: &str = "
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: nora}
rules:
- {apiGroups: [apiextensions.k8s.io], resources: [customresourcedefinitions], verbs: [get, list, create, patch]}
- {apiGroups: [many.example.com], resources: ['*'], verbs: [get, list, create, patch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: nora}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: nora}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: nora}]
";

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_watch_definitions_restores_their_objects_all_the_same() {
    let cluster = Cluster::without_controllers();
    cluster.apply(NORA);
    let repository = repository().await;
    let root = write::snapshot(&repository, BackupOptions::default(), "some", objects(5)).await;
    let source = Source::Snapshot(repository.open_snapshot(&root).await.unwrap());
    let plan = planned(&cluster, &source, &Selection::default(), &Options::default()).await;
    let report = applied_as(Some("nora"), &cluster, &source, plan, Mode::Write, Patience::default()).await;
    assert_eq!((report.created, report.failed), (10, 0), "{:#?}", report.causes);
    assert!(report.warnings.iter().any(|warning| warning.contains("is not known when new definitions are served")), "{:#?}", report.warnings);
}

const JUDGED: &str = r"
apiVersion: v1
kind: Namespace
metadata: {name: hooks}
---
apiVersion: v1
kind: Service
metadata: {name: judge, namespace: hooks}
spec: {ports: [{port: 443, name: https}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: judged, namespace: hooks}
data: {a: b}
";

/// Refuses ConfigMaps of one namespace when it does not answer.
fn configuration(webhook: &Webhook) -> String {
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration", "metadata": {"name": "judge"},
        "webhooks": [{
            "name": "judge.example.com", "sideEffects": "None", "admissionReviewVersions": ["v1"], "failurePolicy": "Fail", "timeoutSeconds": 2,
            "clientConfig": {"service": {"namespace": "hooks", "name": "judge", "port": 443}, "caBundle": webhook.bundle()},
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "hooks"}},
            "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]}],
        }],
    })
    .to_string()
}

fn endpoint(webhook: &Webhook, ready: bool) -> String {
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": "judge-1", "namespace": "hooks", "labels": {"kubernetes.io/service-name": "judge"}},
        "endpoints": [{"addresses": [webhook.address().ip()], "conditions": {"ready": ready}}],
        "ports": [{"name": "https", "port": webhook.address().port(), "protocol": "TCP"}],
    })
    .to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_wait_for_the_webhook_that_is_asked_about_them() {
    let cluster = Cluster::without_controllers();
    cluster.apply(JUDGED);
    let source = Source::Snapshot(cluster.snapshot(&repository().await, "before").await);
    let webhook = Webhook::of_service("hooks", "judge");
    cluster.apply(&configuration(&webhook));
    let judged = || cluster.kubectl(&["-n", "hooks", "get", "cm", "judged", "--ignore-not-found", "-o", "name"]);

    // It does not come: that is told by its name, and the object is tried.
    cluster.kubectl(&["-n", "hooks", "delete", "cm", "judged"]);
    let (everything, options) = (Selection::default(), Options { same_cluster: true, ..Options::default() });
    let plan = || planned(&cluster, &source, &everything, &options);
    let short = Patience { settle: Duration::from_secs(1), undecided: Duration::from_secs(1), ..Patience::default() };
    let report = applied_with(&cluster, &source, plan().await, Mode::Write, short).await;
    assert_eq!((report.created, report.failed), (0, 1), "{report:#?}");
    let told = "webhook judge.example.com of judge: its Service has no endpoint that is ready after 1 s; what it is asked about may be refused: see to Service hooks/judge";
    assert!(report.warnings.iter().any(|warning| warning.starts_with(told)), "{:#?}", report.warnings);

    // It comes while the restore waits: one request, which it was asked about.
    let (seen, restored) = tokio::join!(
        async {
            tokio::time::sleep(Duration::from_secs(2)).await;
            let seen = judged();
            cluster.apply(&endpoint(&webhook, false));
            tokio::time::sleep(Duration::from_secs(1)).await;
            cluster.apply(&endpoint(&webhook, true));
            seen
        },
        applied_with(&cluster, &source, plan().await, Mode::Write, Patience::default())
    );
    assert_eq!(seen, "");
    assert_eq!((restored.created, restored.failed, restored.write_requests), (1, 0, 1), "{restored:#?}");
    assert_eq!(webhook.asked(), ["CREATE configmaps/judged"]);
    assert_eq!(judged().trim(), "configmap/judged");

    // With its Service in the same restore nothing is waited for: only that restore could bring it.
    cluster.kubectl(&["-n", "hooks", "delete", "cm/judged", "service/judge", "endpointslice/judge-1"]);
    let patience = Patience { settle: Duration::from_secs(600), undecided: Duration::from_secs(1), ..Patience::default() };
    let both = tokio::time::timeout(Duration::from_secs(300), applied_with(&cluster, &source, plan().await, Mode::Write, patience)).await;
    let both = both.expect("it waits for what it makes itself");
    // Whether the API server still knew the old endpoint decides about the ConfigMap.
    assert_eq!(both.created + both.failed, 2, "{both:#?}");
}
