//! Reading real clusters: whole, in part, and with what breaks in them.
#![cfg(feature = "real")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::process::Command;

use kubestash_tests::{cluster::Cluster, program::User, s3::S3Server};

const READER: &str = r#"
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: no-secrets}
rules:
- {apiGroups: [""], resources: [namespaces, configmaps, pods, services], verbs: [get, list]}
- {apiGroups: [apps], resources: ["*"], verbs: [get, list]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: no-secrets}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: no-secrets}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: auditor}]
"#;

/// An aggregated API whose server is not there, and a kind stored in a version that only a dead webhook can convert.
const BROKEN: &str = r#"
apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata: {name: v1.broken.example.com}
spec:
  group: broken.example.com
  version: v1
  groupPriorityMinimum: 100
  versionPriority: 100
  insecureSkipTLSVerify: true
  service: {namespace: default, name: nobody, port: 443}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.com}
spec:
  group: example.com
  names: {kind: Widget, plural: widgets, singular: widget}
  scope: Namespaced
  versions:
  - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}
  - {name: v2, served: true, storage: false, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}
"#;

const DEAD_WEBHOOK: &str = r#"{"spec":{"conversion":{"strategy":"Webhook","webhook":{"conversionReviewVersions":["v1"],
"clientConfig":{"service":{"namespace":"default","name":"nobody","path":"/convert"}}}},"versions":[
{"name":"v1","served":true,"storage":false,"schema":{"openAPIV3Schema":{"type":"object","x-kubernetes-preserve-unknown-fields":true}}},
{"name":"v2","served":true,"storage":true,"schema":{"openAPIV3Schema":{"type":"object","x-kubernetes-preserve-unknown-fields":true}}}]}}"#;

#[test]
fn what_cannot_be_read_is_named_and_the_exit_code_says_so() {
    let cluster = Cluster::start();
    cluster.apply_corpus(&["shop"]);
    let user = User::with_cluster(&cluster);

    let whole = user.run(&["backup", "--name", "whole"]);
    assert_eq!(whole.code, 0, "{whole:?}");
    assert!(whole.err.contains("all at resourceVersion"), "{whole:?}");

    cluster.apply(READER);
    let part = user.run(&["backup", "--name", "part", "--as", "auditor"]);
    assert_eq!(part.code, 3, "{part:?}");
    assert!(part.err.contains("NOT COMPLETE") && part.err.contains("secrets: forbidden:"), "{part:?}");
    assert!(user.ok(&["snapshots"]).contains("Partial"));
    // What was not read is not reported as deleted.
    let diff = user.run(&["diff", "whole", "part", "--name-only"]);
    assert!(!diff.out.contains("/secrets/"), "{diff:?}");
    assert!(diff.err.contains("Not compared"), "{diff:?}");

    cluster.apply(BROKEN);
    cluster.kubectl(&["wait", "--for=condition=Established", "crd/widgets.example.com", "--timeout=30s"]);
    cluster.apply("apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: w, namespace: shop}\n");
    cluster.kubectl(&["patch", "crd", "widgets.example.com", "--type=merge", "-p", DEAD_WEBHOOK]);
    std::thread::sleep(std::time::Duration::from_secs(5));
    let broken = user.run(&["backup", "--name", "broken"]);
    assert_eq!(broken.code, 3, "{broken:?}");
    assert!(broken.err.contains("broken.example.com/v1: "), "{broken:?}");
    assert!(broken.err.contains("widgets.example.com: "), "{broken:?}");
    assert!(user.ok(&["ls", "broken", "deploy", "-A"]).contains("deployments.apps"));
    assert!(user.ok(&["check", "--read-data"]).contains("no damage found"));
}

#[test]
fn an_object_that_cannot_be_stored_is_named_and_the_rest_of_its_kind_kept() {
    let cluster = Cluster::start();
    // Names of RBAC objects may be of any length.
    for length in [4096, 4097] {
        let name = format!("{length}{}", "x".repeat(length - 4));
        cluster.apply(&format!("apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {{name: {name}}}\nrules: []\n"));
    }
    let user = User::with_cluster(&cluster);
    let ran = user.run(&["backup", "--name", "one"]);
    assert_eq!(ran.code, 3, "{ran:?}");
    assert!(ran.err.contains("clusterroles.rbac.authorization.k8s.io/4097xxx"), "{ran:?}");
    assert!(ran.err.contains("…: its namespace and name have 4097 bytes, above the maximum of 4096\n"), "{ran:?}");
    assert!(user.ok(&["snapshots"]).contains("Partial"));
    let stored = user.ok(&["ls", "one", "clusterroles", "-o", "name"]);
    assert!(stored.contains("cluster/clusterroles.rbac.authorization.k8s.io/4096xxx") && stored.contains("/cluster-admin.yaml"), "{stored}");
    assert!(user.ok(&["check", "--read-data"]).contains("no damage found"));
}

#[test]
fn filters_take_what_they_say() {
    let cluster = Cluster::shared();
    cluster.apply_corpus(&["shop"]);
    let user = User::with_cluster(cluster);
    user.ok(&["backup", "--name", "one-namespace", "-n", "shop"]);
    let names = user.ok(&["ls", "one-namespace", "all", "-o", "name"]);
    assert!(names.lines().all(|path| path.starts_with("namespaces/shop/") || path == "cluster/namespaces/shop.yaml"), "{names}");
    user.ok(&["backup", "--name", "some-kinds", "--include-resources", "cm,secrets", "--exclude-namespaces", "kube-*"]);
    let kinds = user.ok(&["ls", "some-kinds"]);
    assert!(kinds.contains("configmaps") && kinds.contains("secrets") && !kinds.contains("pods"), "{kinds}");
    assert!(!user.ok(&["ls", "some-kinds", "all", "-o", "name"]).contains("kube-system"));
    let plan = user.ok(&["backup", "--dry-run"]);
    assert!(plan.contains("skip: events pass by"), "{plan}");
    assert_eq!(user.ok(&["snapshots", "-o", "name"]).lines().count(), 2);
}

#[test]
fn a_real_s3_server_holds_a_repository() {
    let cluster = Cluster::shared();
    cluster.apply_corpus(&["shop"]);
    let server = S3Server::start();
    let (place, variables) = server.settings("clusters/one");
    let mut user = User::with_cluster(cluster).variable("KUBESTASH_REPO", &place);
    for (name, value) in &variables {
        user = user.variable(name, value);
    }
    user.ok(&["backup", "--name", "first"]);
    let second = user.run(&["backup", "--name", "second"]);
    assert_eq!(second.code, 0, "{second:?}");
    assert!(user.ok(&["check", "--read-data"]).contains("2 snapshots"));
    assert!(user.ok(&["cat", "first", "cm/settings", "-n", "shop"]).contains("colour: blue"));
    let stored = tokio::runtime::Runtime::new().unwrap().block_on(server.store("clusters/one").list("")).unwrap();
    let keys: Vec<&str> = stored.iter().map(|entry| entry.key.as_str()).collect();
    for key in ["metadata.yaml", "cluster-resources/repository.yaml", "cluster-resources/snapshots/first.yaml", "cluster-resources/kstash/v1/config"]
    {
        assert!(keys.contains(&key), "{key} is not among {keys:?}");
    }
    // Nobody without the password learns anything: no name of the cluster stands in the data.
    for entry in stored.iter().filter(|entry| entry.key.contains("/packs/")) {
        let bytes = tokio::runtime::Runtime::new().unwrap().block_on(server.store("clusters/one").get(&entry.key)).unwrap();
        assert!(!bytes.windows(8).any(|window| window == b"settings"), "{}", entry.key);
    }
    drop(server);
    let gone = user.run(&["snapshots"]);
    assert_eq!(gone.code, 1, "{gone:?}");
    assert!(gone.err.contains("check that the store exists and is reachable"), "{gone:?}");
}

#[test]
fn killed_at_any_moment_nothing_is_lost() {
    let cluster = Cluster::shared();
    cluster.apply_corpus(&["gateway-api", "shop"]);
    let user = User::with_cluster(cluster);
    user.ok(&["backup", "--name", "good"]);
    let good = user.ok(&["cat", "good", "cm/settings", "-n", "shop"]);
    let start = std::time::Instant::now();
    user.ok(&["backup", "--name", "timed"]);
    let whole = start.elapsed();
    let mut killed = 0;
    for round in 0..50_u32 {
        // All moments of a run, and a little beyond.
        let moment = whole * round / 45;
        let mut child: std::process::Child = user.command(&["backup", "--quiet", "--no-parent", "--name", &format!("try-{round}")]).spawn().unwrap();
        std::thread::sleep(moment);
        child.kill().unwrap();
        killed += u32::from(!child.wait().unwrap().success());
        if round % 10 == 9 {
            assert_eq!(user.ok(&["cat", "good", "cm/settings", "-n", "shop"]), good);
            assert!(user.ok(&["check", "--read-data"]).contains("no damage found"));
        }
    }
    assert!(killed > 20, "only {killed} runs were killed in time");
    user.ok(&["backup", "--name", "after"]);
    assert!(user.ok(&["check", "--read-data"]).contains("no damage found"));
}

#[test]
fn a_full_disk_is_a_clear_error() {
    let cluster = Cluster::shared();
    cluster.apply_corpus(&["gateway-api", "shop"]);
    let folder = tempfile::tempdir().unwrap();
    let small = folder.path().join("small");
    std::fs::create_dir(&small).unwrap();
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=160k", "tmpfs"]).arg(&small).status().unwrap();
    assert!(mounted.success(), "this test mounts a tmpfs and needs root");
    let user = User::with_cluster(cluster).variable("KUBESTASH_REPO", small.to_str().unwrap());
    user.ok(&["backup", "--name", "fits", "-n", "shop"]);
    let full = user.run(&["backup", "--name", "too-much"]);
    assert_eq!(full.code, 1, "{full:?}");
    assert!(full.err.contains("is full"), "{full:?}");
    assert!(user.ok(&["cat", "fits", "cm/settings", "-n", "shop"]).contains("colour: blue"));
    assert!(user.ok(&["check", "--read-data"]).contains("no damage found"));
    assert!(Command::new("umount").arg("-l").arg(&small).status().unwrap().success());
}
