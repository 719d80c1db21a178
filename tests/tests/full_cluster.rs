//! The guide to backing up a whole cluster: an operator with its definitions, and what it looks after, are lost and come back.
//!
//! The manifests have the shape of KubeStash's own guide, which names an account that its text never makes: `…-writter` where it makes
//! `…-writer`. As written it cannot work; the account that is named is made here, after the failure that tells of it. The guide runs every five
//! minutes, which would now and then meet what is triggered here.
#![cfg(feature = "real")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use kubestash_tests::{
    guide::{ACCOUNT, Backend, Guide, NAMESPACE},
    s3::S3Server,
};
use serde_json::json;

/// A definition, and the namespaces of an operator of databases and of a database.
const DATABASES: &str = "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: databases.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {kind: Database, plural: databases, singular: database}
  versions:
    - name: v1
      served: true
      storage: true
      subresources: {status: {}}
      schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, x-kubernetes-preserve-unknown-fields: true}}}}
---
apiVersion: v1
kind: Namespace
metadata: {name: db-operator, labels: {team: platform}}
---
apiVersion: v1
kind: Namespace
metadata: {name: db}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: operator, namespace: db-operator}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: db-operator}
rules: [{apiGroups: [example.com], resources: [databases], verbs: ['*']}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: db-operator}
subjects: [{kind: ServiceAccount, name: operator, namespace: db-operator}]
roleRef: {kind: ClusterRole, name: db-operator, apiGroup: rbac.authorization.k8s.io}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: operator, namespace: db-operator}
spec:
  replicas: 0
  selector: {matchLabels: {app: operator}}
  template:
    metadata: {labels: {app: operator}}
    spec: {serviceAccountName: operator, containers: [{name: c, image: 'example.com/none:1'}]}
---
apiVersion: v1
kind: Secret
metadata: {name: auth, namespace: db}
stringData: {password: keep-me-safe}
";

const DATABASE: &str = "
apiVersion: example.com/v1
kind: Database
metadata: {name: orders, namespace: db}
spec: {version: '8.4', replicas: 3, authSecret: {name: auth}}
";

const CONFIGURATION: &str = r#"
apiVersion: core.kubestash.com/v1alpha1
kind: BackupConfiguration
metadata: {name: cluster-resources-backup, namespace: demo}
spec:
  backends:
    - name: main-backend
      storageRef: {namespace: demo, name: storage}
      retentionPolicy: {name: demo-retention, namespace: demo}
  sessions:
    - name: frequent-backup
      sessionHistoryLimit: 1
      scheduler:
        schedule: "5 4 1 1 *"
        jobTemplate: {backoffLimit: 1}
      repositories:
        - name: main-repo
          backend: main-backend
          directory: /tmp/kubedump-manifests
          encryptionSecret: {name: encrypt-secret, namespace: demo}
          deletionPolicy: Retain
      addon:
        name: kubedump-addon
        tasks:
          - name: manifest-backup
            params:
              IncludeClusterResources: "true"
              IncludeNamespaces: "db-operator,db"
              IncludeResources: "*"
        jobTemplate:
          spec:
            serviceAccountName: cluster-resource-reader-writter
"#;

const RESTORE: &str = r#"
apiVersion: core.kubestash.com/v1alpha1
kind: RestoreSession
metadata: {name: cluster-restore, namespace: demo}
spec:
  dataSource:
    repository: main-repo
    snapshot: latest
    encryptionSecret: {name: encrypt-secret, namespace: demo}
  addon:
    name: kubedump-addon
    tasks:
      - name: manifest-restore
        params:
          IncludeClusterResources: "true"
          IncludeNamespaces: "db-operator,db"
          IncludeResources: "*"
          ExcludeResources: "nodes.metrics.k8s.io,nodes,pods.metrics.k8s.io,endpointslices.discovery.k8s.io"
    jobTemplate:
          spec:
            serviceAccountName: cluster-resource-reader-writter
"#;

/// What is to come back as it was.
fn state(guide: &Guide) -> Vec<String> {
    let get =
        |args: &[&str]| guide.cluster.kubectl(&[&["get"], args, &["-o", "jsonpath={.spec}{.data}{.rules}{.subjects}{.metadata.labels}"]].concat());
    vec![
        get(&["-n", "db", "databases.example.com", "orders"]),
        get(&["-n", "db", "secret", "auth"]),
        get(&["-n", "db-operator", "deployment", "operator"]),
        get(&["clusterrole", "db-operator"]),
        get(&["clusterrolebinding", "db-operator"]),
        guide.cluster.kubectl(&["get", "namespace", "db-operator", "-o", "jsonpath={.metadata.labels.team}"]),
    ]
}

#[test]
fn a_cluster_is_lost_and_comes_back() {
    let guide = Guide::start();
    let server = S3Server::start_at(&guide.cluster.machine_address());
    guide.cluster.apply(DATABASES);
    guide.cluster.kubectl(&["wait", "--for=condition=Established", "crd", "databases.example.com", "--timeout=60s"]);
    guide.cluster.apply(DATABASE);
    let before = state(&guide);
    guide.prepare(Backend::Bucket(&server, "full"));
    guide.cluster.apply(ACCOUNT);
    guide.wait_for_phase("backupstorage", "storage", "Ready");

    // As the guide is written: the account does not exist, and the session says so.
    guide.cluster.apply(CONFIGURATION);
    let first = guide.wait_for_one("backupsession")["metadata"]["name"].as_str().unwrap().to_owned();
    let failed = guide.wait_for_phase("backupsession", &first, "Failed");
    let told = failed["status"]["snapshots"][0]["message"].as_str().unwrap();
    assert!(told.starts_with("ServiceAccount demo/cluster-resource-reader-writter, which") && told.contains("create it"), "{told}");
    guide.cluster.apply(&ACCOUNT.replace("reader-writer", "reader-writter"));

    let made = guide.user.run(&["trigger", "cluster-resources-backup", "-n", NAMESPACE]);
    assert_eq!(made.code, 0, "{made:?}\n{}", guide.everything());
    let session = made.out.trim().to_owned();
    let columns = guide.cluster.kubectl(&["-n", NAMESPACE, "get", "backupsession", &session, "--no-headers"]);
    let columns: Vec<&str> = columns.split_whitespace().collect();
    assert_eq!(columns[1..4], ["BackupConfiguration", "cluster-resources-backup", "Succeeded"]);
    let snapshot = guide.wait_for_phase("snapshots.storage.kubestash.com", &format!("main-repo-{session}"), "Succeeded");
    assert_eq!(snapshot["status"]["components"]["manifest"]["phase"], "Succeeded");
    guide.cluster.kubectl(&["-n", NAMESPACE, "patch", "bc", "cluster-resources-backup", "--type=merge", "-p", r#"{"spec":{"paused":true}}"#]);

    guide.cluster.kubectl(&["delete", "namespace", "db", "db-operator", "--wait=true"]);
    guide.cluster.kubectl(&["delete", "crd", "databases.example.com", "--wait=true"]);
    guide.cluster.kubectl(&["delete", "clusterrolebinding,clusterrole", "db-operator"]);
    guide.cluster.apply(RESTORE);
    let ended = guide.wait_for_phase("restoresession", "cluster-restore", "Succeeded");
    assert_eq!(ended["status"]["components"]["manifest"]["counts"]["failed"], json!(0));
    assert_eq!(state(&guide), before);
    let columns = guide.cluster.kubectl(&["-n", NAMESPACE, "get", "restoresession", "cluster-restore", "--no-headers"]);
    let columns: Vec<&str> = columns.split_whitespace().collect();
    assert_eq!(columns[..3], ["cluster-restore", "main-repo", "Succeeded"]);
}
