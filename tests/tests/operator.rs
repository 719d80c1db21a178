//! KubeStash's guide, step by step, on a real cluster with real pods: what an outsider sees of objects and storage.
#![cfg(feature = "real")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use kubestash::store::Store;
use kubestash_tests::{
    guide::{ACCOUNT, Backend, CONFIGURATION, Guide, NAMESPACE, RESOURCES, RESTORE},
    s3::S3Server,
};
use serde_json::{Value, json};

/// A condition of an object.
fn condition<'a>(object: &'a Value, type_: &str) -> &'a Value {
    let all = object["status"]["conditions"].as_array().unwrap_or_else(|| panic!("no conditions: {object:#}"));
    all.iter().find(|condition| condition["type"] == type_).unwrap_or_else(|| panic!("no {type_}: {object:#}"))
}

fn assert_condition(object: &Value, type_: &str, status: &str, reason: &str) {
    let found = condition(object, type_);
    assert_eq!((&found["status"], &found["reason"]), (&json!(status), &json!(reason)), "{type_}");
}

fn name(object: &Value) -> String {
    object["metadata"]["name"].as_str().unwrap().to_owned()
}

fn keys(store: &Store, folder: &str) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut keys: Vec<String> = runtime.block_on(store.list(folder)).unwrap().into_iter().map(|entry| entry.key).collect();
    keys.sort();
    keys
}

fn text(store: &Store, key: &str) -> Value {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    serde_yaml::from_slice(&runtime.block_on(store.get(key)).unwrap()).unwrap()
}

/// Steps of the backup, in the guide's order.
fn back_up(guide: &Guide, backend: Backend<'_>, store: &Store, configuration: &str) -> Value {
    let cluster = &guide.cluster;
    cluster.apply(RESOURCES);
    // 1 and 2: the Secret and the BackupStorage. 3: the operator initialises the storage.
    guide.prepare(backend);
    cluster.apply(ACCOUNT);
    let storage = guide.wait_for_phase("backupstorage", "storage", "Ready");
    assert_condition(&storage, "BackendInitialized", "True", "BackendInitializationSucceeded");
    assert_eq!(storage["metadata"]["finalizers"], json!(["kubestash.com/cleanup"]));
    assert_eq!(text(store, "metadata.yaml")["kind"], "BackendMeta");

    // 4: the BackupConfiguration. 5: the Repository and its file. 6: the CronJob.
    cluster.apply(configuration);
    let configuration = guide.wait_for_phase("bc", "cluster-resources-backup", "Ready");
    assert_condition(&configuration, "ValidationPassed", "True", "ResourceValidationPassed");
    let repository = guide.wait_for_phase("repo", "repo", "Ready");
    assert_condition(&repository, "RepositoryInitialized", "True", "RepositoryInitializationSucceeded");
    assert_eq!(repository["spec"]["appRef"], json!({"apiGroup": "na", "kind": "", "name": "na"}));
    let stored = text(store, "cluster-manifests/repository.yaml");
    assert_eq!((&stored["kind"], &stored["metadata"]["name"]), (&json!("Repository"), &json!("repo")));
    let listed = text(store, "metadata.yaml")["repositories"].clone();
    assert_eq!(listed, json!([{"name": "repo", "namespace": "demo", "path": "/cluster-manifests"}]));
    let cron = guide.get("cronjob", "trigger-cluster-resources-backup-frequent-backup");
    assert_eq!(cron["spec"]["schedule"], "0 * * * *");
    assert_eq!(cron["metadata"]["ownerReferences"][0]["kind"], "BackupConfiguration");

    // 7: a first BackupSession, as soon as everything is ready. 8: a Snapshot for each repository.
    let session = name(&guide.wait_for_one("backupsession"));
    assert!(session.starts_with("cluster-resources-backup-frequent-backup-"), "{session}");
    let ended = guide.wait_for_phase("backupsession", &session, "Succeeded");
    for (type_, reason) in [
        ("SnapshotsEnsured", "SuccessfullyEnsuredSnapshots"),
        ("BackupExecutorEnsured", "SuccessfullyEnsuredBackupExecutor"),
        ("RetentionPolicyExecutorEnsured", "SuccessfullyEnsuredRetentionPolicyExecutor"),
        ("SessionHistoryCleaned", "SuccessfullyCleanedSessionHistory"),
        ("MetricsPushed", "SuccessfullyPushedMetrics"),
    ] {
        assert_condition(&ended, type_, "True", reason);
    }
    assert_eq!(ended["status"]["retentionPolicy"][0]["phase"], "Applied");
    // 9 to 12: Addon and Function became a Job, which stored the manifests.
    let job = guide.get("job", &session);
    let container = &job["spec"]["template"]["spec"]["containers"][0];
    assert!(container["args"].as_array().unwrap().contains(&json!("--or-label-selectors=app:my-app,app:my-sts")), "{container:#}");
    assert_eq!(job["spec"]["template"]["spec"]["serviceAccountName"], "cluster-resource-reader-writer");
    assert_eq!(job["metadata"]["labels"]["app.kubernetes.io/component"], "kubestash-backup");
    // 13: the Snapshot's component. 14: its file.
    let snapshot_name = format!("repo-{session}");
    let snapshot = guide.wait_for_phase("snapshots.storage.kubestash.com", &snapshot_name, "Succeeded");
    assert_eq!(snapshot["metadata"]["labels"]["kubestash.com/repo-name"], "repo");
    assert_eq!(snapshot["metadata"]["ownerReferences"][0]["kind"], "Repository");
    let component = &snapshot["status"]["components"]["manifest"];
    assert_eq!((&component["phase"], &component["driver"], &component["integrity"]), (&json!("Succeeded"), &json!("KStash"), &json!(true)));
    // Two Namespaces, two ConfigMaps, a Secret, a Service, its Endpoints, a Deployment, a ClusterRole and what controllers have made with the labels.
    assert!(component["kstashStats"]["objects"].as_i64().unwrap() >= 8, "{component:#}");
    assert_condition(&snapshot, "SnapshotMetadataUploaded", "True", "SuccessfullyUploadedSnapshotMetadata");
    guide.wait_until("the repository lists the snapshot", || {
        let repository = guide.get("repo", "repo");
        repository["status"]["recentSnapshots"][0]["phase"] == "Succeeded" && repository["status"]["snapshotCount"] == 1
    });
    let listed = guide.wait_for_phase("snapshots.storage.kubestash.com", &snapshot_name, "Succeeded");
    assert_condition(&listed, "RecentSnapshotListUpdated", "True", "SuccessfullyUpdatedRecentSnapshotList");
    let stored = text(store, &format!("cluster-manifests/snapshots/{snapshot_name}.yaml"));
    assert_eq!((&stored["status"]["phase"], &stored["spec"]["snapshotID"]), (&json!("Succeeded"), &snapshot["spec"]["snapshotID"]));
    let root = format!("cluster-manifests/kstash/v1/roots/{}", snapshot["spec"]["snapshotID"].as_str().unwrap());
    assert_eq!(keys(store, "cluster-manifests/kstash/v1/roots"), [root]);
    assert_no_secrets(guide);
    snapshot
}

/// Values of Secrets are in no log, Event or status.
fn assert_no_secrets(guide: &Guide) {
    let everything = guide.everything() + &guide.cluster.kubectl(&["get", "events", "-A", "-o", "yaml"]);
    for value in ["keep-me-safe", "testsecret", "changeit"] {
        assert!(!everything.contains(value), "{value} is shown");
    }
}

/// Steps of the restore.
fn restore(guide: &Guide) {
    let cluster = &guide.cluster;
    let before: Vec<String> = ["configmap/config-a", "secret/secret-a", "deployment/deployment-a"]
        .map(|object| cluster.kubectl(&["-n", "demo-a", "get", object, "-o", "jsonpath={.data}{.spec.template}"]))
        .to_vec();
    cluster.kubectl(&["delete", "namespace", "demo-a", "demo-b", "--wait=true"]);
    cluster.kubectl(&["delete", "clusterrole", "clusterrole-b"]);
    cluster.apply(RESTORE);
    let ended = guide.wait_for_phase("restoresession", "cluster-resources-restore", "Succeeded");
    assert_condition(&ended, "ValidationPassed", "True", "ResourceValidationPassed");
    assert_condition(&ended, "RestoreExecutorEnsured", "True", "SuccessfullyEnsuredRestoreExecutor");
    assert_condition(&ended, "MetricsPushed", "True", "SuccessfullyPushedMetrics");
    let component = &ended["status"]["components"]["manifest"];
    assert_eq!((&component["phase"], &component["counts"]["failed"]), (&json!("Succeeded"), &json!(0)));
    assert!(component["counts"]["created"].as_i64().unwrap() >= 5, "{component:#}");
    let after: Vec<String> = ["configmap/config-a", "secret/secret-a", "deployment/deployment-a"]
        .map(|object| cluster.kubectl(&["-n", "demo-a", "get", object, "-o", "jsonpath={.data}{.spec.template}"]))
        .to_vec();
    assert_eq!(before, after);
    cluster.kubectl(&["get", "clusterrole", "clusterrole-b"]);
    a_copy(guide, &after);
    // Left out by the filters of backup and restore.
    assert!(cluster.try_kubectl(&["-n", "demo-a", "get", "configmap", "unlabelled"], "").is_err());
    assert!(cluster.try_kubectl(&["-n", "demo-b", "get", "configmap", "config-b"], "").is_err());
}

/// One namespace once more, under another name; a storage class that no claim has, and a parameter that says nothing here, do no harm.
fn a_copy(guide: &Guide, expected: &[String]) {
    let session =
        RESTORE.replace("cluster-resources-restore", "a-copy").replace("IncludeClusterResources: \"true\"", "IncludeNamespaces: demo-a").replace(
            "ExcludeNamespaces: \"demo-b\"",
            "NamespaceMappings: demo-a:demo-copy\n          StorageClassMappings: slow=fast\n          MaxIterations: \"5\"",
        );
    guide.cluster.apply(&session);
    let ended = guide.wait_for_phase("restoresession", "a-copy", "Succeeded");
    let counts = &ended["status"]["components"]["manifest"]["counts"];
    assert!(counts["created"].as_i64().unwrap() >= 4 && counts["failed"] == 0, "{ended:#}");
    let found = ["configmap/config-a", "secret/secret-a", "deployment/deployment-a"]
        .map(|object| guide.cluster.kubectl(&["-n", "demo-copy", "get", object, "-o", "jsonpath={.data}{.spec.template}"]));
    assert_eq!(found, expected);
}

#[test]
fn the_guide_with_a_bucket_and_a_second_cluster() {
    let guide = Guide::start();
    let server = S3Server::start_at(&guide.cluster.machine_address());
    let store = server.store("guide");
    let snapshot = back_up(&guide, Backend::Bucket(&server, "guide"), &store, CONFIGURATION);
    restore(&guide);

    // A snapshot that is removed with its data takes nothing else along.
    let first = name(&snapshot);
    let session = guide.user.ok(&["trigger", "cluster-resources-backup", "-n", NAMESPACE]);
    let second = format!("repo-{}", session.trim());
    guide.wait_for_phase("snapshots.storage.kubestash.com", &second, "Succeeded");
    let patch = r#"{"spec":{"deletionPolicy":"WipeOut"}}"#;
    guide.cluster.kubectl(&["-n", NAMESPACE, "patch", "snapshots.storage.kubestash.com", &first, "--type=merge", "-p", patch]);
    guide.cluster.kubectl(&["-n", NAMESPACE, "delete", "snapshots.storage.kubestash.com", &first, "--wait=true"]);
    assert_eq!(keys(&store, "cluster-manifests/snapshots"), [format!("cluster-manifests/snapshots/{second}.yaml")]);
    assert_eq!(keys(&store, "cluster-manifests/kstash/v1/roots").len(), 1);

    // Another cluster that is pointed at the bucket sees what is there, and restores it.
    let other = Guide::start();
    other.prepare(Backend::Bucket(&server, "guide"));
    other.cluster.apply(ACCOUNT);
    other.wait_for_phase("backupstorage", "storage", "Ready");
    let adopted = other.wait_for_phase("repo", "repo", "Ready");
    assert_eq!(adopted["spec"]["path"], "/cluster-manifests");
    let snapshot = other.wait_for_phase("snapshots.storage.kubestash.com", &second, "Succeeded");
    assert_eq!(snapshot["status"]["components"]["manifest"]["phase"], "Succeeded");
    other.cluster.apply(RESTORE);
    other.wait_for_phase("restoresession", "cluster-resources-restore", "Succeeded");
    let greeting = other.cluster.kubectl(&["-n", "demo-a", "get", "configmap", "config-a", "-o", "jsonpath={.data.greeting}"]);
    assert_eq!(greeting, "hello: world");
    // What is deleted here is not adopted again, and its data stays.
    other.cluster.kubectl(&["-n", NAMESPACE, "delete", "snapshots.storage.kubestash.com", &second, "--wait=true"]);
    other.cluster.kubectl(&["-n", NAMESPACE, "annotate", "backupstorage", "storage", "look=again"]);
    std::thread::sleep(std::time::Duration::from_secs(5));
    assert_eq!(other.list("snapshots.storage.kubestash.com"), [] as [Value; 0]);
    assert_eq!(keys(&store, "cluster-manifests/snapshots").len(), 1);
    drop(other);

    // The storage's own deletion erases what its policy says.
    guide.cluster.kubectl(&["-n", NAMESPACE, "delete", "bc", "cluster-resources-backup", "--wait=true"]);
    guide.get("repo", "repo");
    guide.cluster.kubectl(&["-n", NAMESPACE, "delete", "backupstorage", "storage", "--wait=true", "--timeout=120s"]);
    assert_eq!(keys(&store, ""), [] as [String; 0]);
    guide.wait_until("the objects go with their storage", || guide.list("repo,snapshots.storage.kubestash.com").is_empty());
}

#[test]
fn the_guide_with_a_folder_of_the_node() {
    on_a_volume(|path| Backend::HostPath(path));
}

#[test]
fn the_guide_with_a_claim() {
    on_a_volume(|path| Backend::Claim(path));
}

/// The guide on a volume that ends in a folder of the node.
fn on_a_volume(backend: impl Fn(&str) -> Backend<'_>) {
    let guide = Guide::start();
    let folder = guide.cluster.state().unwrap().join("storage");
    let path = folder.to_str().unwrap();
    std::fs::create_dir(&folder).unwrap();
    let store = Store::local(&folder, false).unwrap();
    // Storage and policy are both the defaults of their namespace.
    let (begin, rest) = CONFIGURATION.split_once("  backends:").unwrap();
    let configuration = format!("{begin}  sessions:{}", rest.split_once("  sessions:").unwrap().1).replace("          backend: backend\n", "");
    std::fs::write(folder.join("of-somebody-else"), "stays").unwrap();
    let snapshot = back_up(&guide, backend(path), &store, &configuration);
    restore(&guide);
    let patch = r#"{"spec":{"deletionPolicy":"WipeOut"}}"#;
    guide.cluster.kubectl(&["-n", NAMESPACE, "patch", "snapshots.storage.kubestash.com", &name(&snapshot), "--type=merge", "-p", patch]);
    guide.cluster.kubectl(&["-n", NAMESPACE, "delete", "snapshots.storage.kubestash.com", &name(&snapshot), "--wait=true", "--timeout=120s"]);
    assert_eq!(keys(&store, "cluster-manifests/snapshots"), [] as [String; 0]);
    guide.cluster.kubectl(&["-n", NAMESPACE, "delete", "bc", "cluster-resources-backup", "--wait=true"]);
    guide.cluster.kubectl(&["-n", NAMESPACE, "delete", "backupstorage", "storage", "--wait=true", "--timeout=120s"]);
    assert_eq!(keys(&store, ""), ["of-somebody-else"], "what is not ours stays");
}
