//! The definitions of `deploy/crds` on a real API server: it takes them, it takes every sample as it is, it refuses what the rules refuse and
//! says why, and kubectl shows the columns, short names and categories that users of KubeStash know.
#![cfg(feature = "real")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::OnceLock,
};

use kubestash::{api, deploy};
use kubestash_tests::{
    cluster::Cluster,
    manifests::{Manifest, manifests_below, samples},
    tests_folder,
};
use serde_json::{Value, json};

/// A control plane with the definitions and the namespaces of all samples.
fn cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(|| {
        let cluster = Cluster::without_controllers();
        // As users do, which needs room for the whole definition in an annotation.
        cluster.kubectl(&["apply", "-f", tests_folder("../deploy/crds").to_str().unwrap()]);
        cluster.kubectl(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"]);
        let namespaces: BTreeSet<String> =
            samples().iter().filter_map(|sample| Some(sample.object["metadata"]["namespace"].as_str()?.to_owned())).collect();
        for namespace in namespaces {
            cluster.apply(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}).to_string());
        }
        cluster
    })
}

async fn client() -> kube::Client {
    let file = kube::config::Kubeconfig::read_from(cluster().kubeconfig()).unwrap();
    let config = kube::Config::from_custom_kubeconfig(file, &kube::config::KubeConfigOptions::default()).await.unwrap();
    kube::Client::try_from(config).unwrap()
}

/// Our own samples, in the cluster with their status.
fn stored_samples() -> &'static [Manifest] {
    static SAMPLES: OnceLock<Vec<Manifest>> = OnceLock::new();
    SAMPLES.get_or_init(|| {
        let own = manifests_below(&tests_folder("fixtures/kubestash"));
        for sample in &own {
            let text = sample.object.to_string();
            cluster().kubectl_with_input(&["apply", "--server-side", "--validate=strict", "-f", "-"], &text);
            if sample.object.get("status").is_some() {
                cluster().kubectl_with_input(&["apply", "--server-side", "--validate=strict", "--subresource=status", "-f", "-"], &text);
            }
        }
        own
    })
}

/// A sample by kind and name.
fn sample(kind: &str, name: &str) -> Value {
    let own = manifests_below(&tests_folder("fixtures/kubestash"));
    let found = own.into_iter().find(|sample| sample.kind() == kind && sample.object["metadata"]["name"] == name);
    found.unwrap_or_else(|| panic!("there is no sample {kind} {name}")).object
}

fn resource(sample: &Manifest) -> String {
    let group = sample.object["apiVersion"].as_str().unwrap().split('/').next().unwrap().to_owned();
    format!("{}.{group}", sample.kind().to_lowercase())
}

#[test]
fn every_sample_applies_as_it_is() {
    let files: BTreeSet<PathBuf> = samples().into_iter().map(|sample| sample.file).collect();
    assert!(files.len() >= 14, "{files:?}");
    for file in files {
        cluster().kubectl(&["apply", "--dry-run=server", "--validate=strict", "-f", file.to_str().unwrap()]);
    }
}

/// Whether all that is in `part` is in `whole`.
fn is_in(part: &Value, whole: &Value) -> bool {
    match (part, whole) {
        (Value::Object(part), Value::Object(whole)) => part.iter().all(|(name, below)| whole.get(name).is_some_and(|whole| is_in(below, whole))),
        (Value::Array(part), Value::Array(whole)) => part.len() == whole.len() && part.iter().zip(whole).all(|(part, whole)| is_in(part, whole)),
        _ => part == whole,
    }
}

#[tokio::test]
async fn what_is_stored_is_what_was_written_and_can_be_read() {
    for sample in stored_samples() {
        let name = sample.object["metadata"]["name"].as_str().unwrap();
        let namespace = sample.object["metadata"]["namespace"].as_str().unwrap_or("default");
        let stored: Value = serde_json::from_str(&cluster().kubectl(&["get", &resource(sample), name, "-n", namespace, "-o", "json"])).unwrap();
        assert!(is_in(&sample.object, &stored), "{} became {stored:#}", sample.label());
    }
    let client = client().await;
    async fn read<K>(client: &kube::Client) -> usize
    where
        K: kube::Resource<DynamicType = ()> + Clone + std::fmt::Debug + serde::de::DeserializeOwned,
    {
        kube::Api::<K>::all(client.clone()).list(&kube::api::ListParams::default()).await.unwrap().items.len()
    }
    let counts = [
        read::<api::BackupStorage>(&client).await,
        read::<api::Repository>(&client).await,
        read::<api::RetentionPolicy>(&client).await,
        read::<api::Snapshot>(&client).await,
        read::<api::BackupConfiguration>(&client).await,
        read::<api::BackupSession>(&client).await,
        read::<api::RestoreSession>(&client).await,
        read::<api::HookTemplate>(&client).await,
        read::<api::BackupBlueprint>(&client).await,
        read::<api::BackupBatch>(&client).await,
        read::<api::BackupVerifier>(&client).await,
        read::<api::BackupVerificationSession>(&client).await,
        read::<api::Addon>(&client).await,
        read::<api::Function>(&client).await,
    ];
    assert!(counts.iter().all(|count| *count > 0), "{counts:?}");
}

/// Numbers where Kubernetes wants quantities are stored as they are, and must not make a list unreadable.
#[tokio::test]
async fn quantities_may_be_numbers() {
    let mut function = sample("Function", "harbour-backup");
    function["metadata"]["name"] = json!("numbers");
    function["spec"]["runtimeSettings"]["resources"] = json!({"limits": {"cpu": 2}});
    cluster().apply(&function.to_string());
    let client = client().await;
    let read = kube::Api::<api::Function>::all(client).get("numbers").await.unwrap();
    let limits = read.spec.runtime_settings.unwrap().resources.unwrap().limits.unwrap();
    assert_eq!(limits["cpu"].0, "2");
}

#[test]
fn defaults_are_filled_in() {
    let bare = |kind: &str, version: &str, spec: Value| {
        let object = json!({"apiVersion": version, "kind": kind, "metadata": {"name": "bare", "namespace": "ships"}, "spec": spec});
        let stored = cluster().kubectl_with_input(&["create", "--dry-run=server", "-o", "json", "-f", "-"], &object.to_string());
        serde_json::from_str::<Value>(&stored).unwrap()["spec"].clone()
    };
    let storage = bare(
        "BackupStorage",
        "storage.kubestash.com/v1alpha1",
        json!({"usagePolicy": {"allowedNamespaces": {}}, "storage": {"provider": "s3", "s3": {}}}),
    );
    assert_eq!((&storage["deletionPolicy"], &storage["usagePolicy"]["allowedNamespaces"]["from"]), (&json!("Delete"), &json!("Same")));
    let policy = bare("RetentionPolicy", "storage.kubestash.com/v1alpha1", json!({"maxRetentionPeriod": "1d", "failedSnapshots": {}}));
    assert_eq!(policy["failedSnapshots"]["last"], 1);
    let mut session = sample("BackupConfiguration", "plain")["spec"]["sessions"][0].clone();
    session["retryConfig"] = json!({});
    session["hooks"] = json!({"preBackup": [{"name": "ring"}]});
    let session = bare("BackupConfiguration", "core.kubestash.com/v1alpha1", json!({"sessions": [session]}))["sessions"][0].clone();
    assert_eq!((&session["sessionHistoryLimit"], &session["retryConfig"]["maxRetry"]), (&json!(1), &json!(1)));
    assert_eq!(session["hooks"]["preBackup"][0]["executionPolicy"], "Always");
    assert_eq!(session.get("initialBackup"), None);
}

type Change = fn(&mut Value);

fn remove(object: &mut Value, path: &str) {
    let (above, name) = path.rsplit_once('/').unwrap();
    object.pointer_mut(above).unwrap().as_object_mut().unwrap().remove(name).unwrap();
}

/// Sample, what is wrong with it, and a part of what the API server says.
const BAD: [(&str, &str, Change, &str); 34] = [
    (
        "BackupStorage",
        "harbour",
        |o| o["spec"]["usagePolicy"]["allowedNamespaces"] = json!({"from": "Selector"}),
        "selector must say which namespaces",
    ),
    (
        "RetentionPolicy",
        "a-few",
        |o| o["spec"]["usagePolicy"]["allowedNamespaces"] = json!({"from": "Selector"}),
        "selector must say which namespaces",
    ),
    ("BackupStorage", "harbour", |o| remove(o, "/spec/storage/s3"), "provider is s3"),
    ("BackupStorage", "harbour", |o| o["spec"]["storage"]["provider"] = json!("gcs"), "provider is gcs"),
    ("BackupStorage", "harbour", |o| o["spec"]["storage"]["provider"] = json!("azure"), "provider is azure"),
    ("BackupStorage", "harbour", |o| o["spec"]["storage"]["provider"] = json!("local"), "provider is local"),
    ("RetentionPolicy", "a-few", |o| o["spec"] = json!({"default": true}), "needs maxRetentionPeriod, successfulSnapshots or both"),
    ("RetentionPolicy", "a-few", |o| o["spec"]["maxRetentionPeriod"] = json!("3 weeks"), "as in 30d or 1y6mo"),
    ("RetentionPolicy", "a-few", |o| o["spec"]["maxRetentionPeriod"] = json!("30"), "as in 30d or 1y6mo"),
    ("BackupBlueprint", "for-all-ships", |o| remove(o, "/spec/backupConfigurationTemplate"), "backupConfigurationTemplate must say"),
    ("RestoreSession", "bring-back", |o| remove(o, "/spec/dataSource"), "dataSource must say"),
    ("RestoreSession", "bring-back", |o| remove(o, "/spec/dataSource/snapshot"), "snapshot must name a Snapshot"),
    ("RestoreSession", "bring-back", |o| remove(o, "/spec/dataSource/repository"), "repository must say of which"),
    ("RestoreSession", "of-a-time", |o| remove(o, "/spec/dataSource/pitr/targetTime"), "pitr needs its targetTime"),
    ("RestoreSession", "of-a-time", |o| remove(o, "/spec/dataSource/repository"), "pitr needs its targetTime"),
    ("HookTemplate", "bell", |o| remove(o, "/spec/executor"), "executor must say who"),
    ("HookTemplate", "bell", |o| remove(o, "/spec/executor/type"), "executor.type must be"),
    ("HookTemplate", "bell", |o| remove(o, "/spec/action"), "action must hold"),
    ("HookTemplate", "letter", |o| o["spec"]["action"] = json!({"containerName": "x"}), "action must hold"),
    ("HookTemplate", "dance", |o| remove(o, "/spec/executor/function"), "executor.function must name it"),
    ("HookTemplate", "bell", |o| o["spec"]["executor"]["pod"]["selector"] = json!("app=tower,upper"), "executor.pod.selector must give labels"),
    ("HookTemplate", "bell", |o| remove(o, "/spec/executor/pod"), "executor.pod.selector must give labels"),
    ("BackupConfiguration", "plain", |o| remove(o, "/spec/sessions"), "a BackupConfiguration needs a session"),
    ("BackupConfiguration", "plain", |o| o["spec"]["sessions"] = json!([]), "a BackupConfiguration needs a session"),
    ("BackupConfiguration", "plain", |o| o["spec"]["sessions"][0]["repositories"][0]["backend"] = json!("x"), "must be one of spec.backends"),
    ("BackupConfiguration", "fleet", |o| remove(o, "/spec/sessions/0/repositories/0/backend"), "there are several backends"),
    ("BackupConfiguration", "fleet", |o| o["spec"]["backends"][1]["name"] = json!("near"), "each backend needs a name of its own"),
    ("BackupConfiguration", "fleet", |o| remove(o, "/spec/backends/0/storageRef"), "a backend needs a storageRef"),
    (
        "BackupConfiguration",
        "plain",
        |o| {
            let session = o["spec"]["sessions"][0].clone();
            o["spec"]["sessions"].as_array_mut().unwrap().push(session);
        },
        "each session needs a name of its own",
    ),
    ("BackupConfiguration", "plain", |o| remove(o, "/spec/sessions/0/name"), "a session needs a name"),
    ("BackupConfiguration", "plain", |o| remove(o, "/spec/sessions/0/scheduler"), "a session needs a scheduler"),
    ("BackupConfiguration", "plain", |o| remove(o, "/spec/sessions/0/addon/tasks"), "a session needs an addon"),
    ("BackupConfiguration", "plain", |o| o["spec"]["sessions"][0]["addon"]["tasks"] = json!([{"params": {}}]), "each task of an addon needs a name"),
    ("BackupConfiguration", "plain", |o| o["spec"]["sessions"][0]["repositories"] = json!([]), "a session needs a repository"),
];

/// The same for repositories of a session.
const BAD_REPOSITORIES: [(Change, &str); 3] = [
    (|r| *r = json!([{"name": "a", "directory": "a"}, {"name": "a", "directory": "b"}]), "needs a name of its own"),
    (|r| *r = json!([{"directory": "a"}]), "needs a name of its own"),
    (|r| *r = json!([{"name": "a"}]), "each repository needs a directory"),
];

/// What the API server says to a change.
fn complaint(args: &[&str], object: &Value) -> String {
    let answer = cluster().try_kubectl(args, &object.to_string());
    answer.expect_err(&format!("this is accepted: {object:#}"))
}

fn messages() -> BTreeSet<String> {
    fn collect(value: &Value, into: &mut BTreeSet<String>) {
        match value {
            Value::Object(fields) => fields.iter().for_each(|(name, below)| match (name.as_str(), below) {
                ("x-kubernetes-validations", Value::Array(rules)) => {
                    into.extend(rules.iter().filter_map(|rule| Some(rule["message"].as_str()?.to_owned())));
                }
                (_, below) => collect(below, into),
            }),
            Value::Array(items) => items.iter().for_each(|item| collect(item, into)),
            _ => {}
        }
    }
    let mut found = BTreeSet::new();
    for crd in deploy::crds() {
        collect(&serde_json::to_value(crd).unwrap(), &mut found);
    }
    found
}

/// Changes of objects that are there: what is made first, its status, the change, and a part of what the API server says.
fn bad_changes() -> Vec<(Value, Option<Value>, Change, &'static str)> {
    let named = |mut object: Value, name: &str| {
        object["metadata"]["name"] = json!(name);
        object.as_object_mut().unwrap().remove("status");
        object
    };
    let used = Some(json!({"repositories": [{"name": "r"}]}));
    let storage = |name: &str| (named(sample("BackupStorage", name), &format!("used-{name}")), used.clone());
    let mut changes: Vec<(Value, Option<Value>, Change, &'static str)> = Vec::new();
    let rows: [(&str, Change, &'static str); 10] = [
        ("harbour", |o| o["spec"]["storage"] = json!({"provider": "gcs", "gcs": {"bucket": "cargo"}}), "its provider cannot be changed"),
        ("harbour", |o| o["spec"]["storage"]["s3"]["bucket"] = json!("x"), "its bucket cannot be changed"),
        ("harbour", |o| o["spec"]["storage"]["s3"]["prefix"] = json!("x"), "its prefix cannot be changed"),
        ("harbour", |o| remove(o, "/spec/storage/s3/prefix"), "its prefix cannot be changed"),
        ("cloud-of-google", |o| o["spec"]["storage"]["gcs"]["bucket"] = json!("x"), "its bucket cannot be changed"),
        ("cloud-of-google", |o| o["spec"]["storage"]["gcs"]["prefix"] = json!("x"), "its prefix cannot be changed"),
        ("cloud-of-azure", |o| o["spec"]["storage"]["azure"]["storageAccount"] = json!("x"), "its storage account cannot be changed"),
        ("cloud-of-azure", |o| o["spec"]["storage"]["azure"]["container"] = json!("x"), "its container cannot be changed"),
        ("cloud-of-azure", |o| o["spec"]["storage"]["azure"]["prefix"] = json!("x"), "its prefix cannot be changed"),
        ("shed", |o| o["spec"]["storage"]["local"]["subPath"] = json!("x"), "its subPath cannot be changed"),
    ];
    for (name, change, says) in rows {
        let (object, status) = storage(name);
        changes.push((object, status, change, says));
    }
    let others: [(&str, &str, Change, &'static str); 4] = [
        ("Repository", "fleet", |o| o["spec"]["path"] = json!("/x"), "the path of a Repository cannot be changed"),
        ("Repository", "fleet", |o| remove(o, "/spec/path"), "the path of a Repository cannot be changed"),
        ("BackupSession", "fleet-tide-1772355600", |o| o["spec"]["retryLeft"] = json!(9), "the spec of a BackupSession cannot be changed"),
        (
            "BackupVerificationSession",
            "fleet-far-tide-1772355700",
            |o| o["spec"]["retryLeft"] = json!(9),
            "the spec of a BackupVerificationSession cannot be changed",
        ),
    ];
    for (kind, name, change, says) in others {
        changes.push((named(sample(kind, name), "changing"), None, change, says));
    }
    changes
}

#[test]
fn every_rule_refuses_and_says_why() {
    let mut said = Vec::new();
    let create = ["create", "--dry-run=server", "-f", "-"];
    let repositories = BAD_REPOSITORIES.map(|(change, says)| {
        let mut object = sample("BackupConfiguration", "plain");
        change(&mut object["spec"]["sessions"][0]["repositories"]);
        (object, says)
    });
    let bad = BAD.map(|(kind, name, change, says)| {
        let mut object = sample(kind, name);
        change(&mut object);
        (object, says)
    });
    for (mut object, says) in bad.into_iter().chain(repositories) {
        object["metadata"]["name"] = json!("bad");
        let complaint = complaint(&create, &object);
        assert!(complaint.contains(says), "{says:?} is not in {complaint}");
        said.push(complaint);
    }
    for (mut object, status, change, says) in bad_changes() {
        // Storages in use do not let go of their place; each row starts with the same.
        cluster().kubectl_with_input(&["apply", "--server-side", "--force-conflicts", "-f", "-"], &object.to_string());
        if let Some(status) = status {
            let mut with_status = object.clone();
            with_status["status"] = status;
            cluster().kubectl_with_input(&["apply", "--server-side", "--subresource=status", "-f", "-"], &with_status.to_string());
        }
        change(&mut object);
        let complaint = complaint(&["apply", "--server-side", "-f", "-"], &object);
        assert!(complaint.contains(says), "{says:?} is not in {complaint}");
        said.push(complaint);
    }
    let silent: Vec<String> = messages().into_iter().filter(|message| !said.iter().any(|complaint| complaint.contains(message.as_str()))).collect();
    assert!(silent.is_empty(), "no bad object is refused with {silent:#?}");
}

/// Keys are rotated and servers move: only the place stays.
#[test]
fn a_storage_in_use_may_get_other_keys_and_another_server() {
    let mut storage = sample("BackupStorage", "harbour");
    storage["metadata"]["name"] = json!("rotating");
    let apply = ["apply", "--server-side", "--force-conflicts", "-f", "-"];
    cluster().kubectl_with_input(&apply, &storage.to_string());
    cluster().kubectl_with_input(&["apply", "--server-side", "--subresource=status", "-f", "-"], &storage.to_string());
    let s3 = &mut storage["spec"]["storage"]["s3"];
    (s3["secretName"], s3["endpoint"], s3["region"]) = (json!("other-keys"), json!("https://elsewhere.example.com"), json!("eu-north-2"));
    (s3["maxConnections"], s3["insecureTLS"]) = (json!(99), json!(true));
    cluster().kubectl_with_input(&apply, &storage.to_string());
}

/// As kubectl heads its tables.
const COLUMNS: [(&str, &str); 14] = [
    ("backupstorages", "NAME PROVIDER DEFAULT DELETION-POLICY TOTAL-SIZE PHASE AGE"),
    ("repositories", "NAME INTEGRITY SNAPSHOT-COUNT SIZE PHASE LAST-SUCCESSFUL-BACKUP AGE"),
    ("retentionpolicies", "NAME MAX-RETENTION-PERIOD DEFAULT AGE"),
    ("snapshots.storage.kubestash.com", "NAME REPOSITORY SESSION SNAPSHOT-TIME DELETION-POLICY PHASE AGE"),
    ("backupconfigurations", "NAME PHASE PAUSED AGE"),
    ("backupsessions", "NAME INVOKER-TYPE INVOKER-NAME PHASE DURATION AGE"),
    ("restoresessions", "NAME REPOSITORY PHASE DURATION AGE"),
    ("hooktemplates", "NAME EXECUTOR TIMEOUT AGE"),
    ("backupverificationsession", "NAME PHASE DURATION AGE"),
    ("backupblueprints", "NAME AGE"),
    ("backupbatches", "NAME AGE"),
    ("backupverifier", "NAME AGE"),
    ("addons", "NAME AGE"),
    ("functions", "NAME AGE"),
];

#[test]
fn tables_have_the_known_columns() {
    stored_samples();
    for (resource, columns) in COLUMNS {
        let table = cluster().kubectl(&["get", resource, "-n", "ships"]);
        let head: Vec<&str> = table.lines().next().unwrap_or_default().split_whitespace().collect();
        assert_eq!(head.join(" "), columns, "{resource}");
    }
    let table = cluster().kubectl(&["get", "backupstorage", "harbour", "-n", "ships", "--no-headers"]);
    let row: Vec<&str> = table.split_whitespace().collect();
    assert_eq!(row.get(..7).unwrap_or_default(), ["harbour", "s3", "true", "Delete", "3.500", "MiB", "Ready"], "{table}");
}

/// Group, plural, kind, short name, whether it lives in a namespace, whether it has a status, whether it is of category `all`.
type Kind = (&'static str, &'static str, &'static str, &'static str, bool, bool, bool);
const KINDS: [Kind; 14] = [
    ("storage", "backupstorages", "BackupStorage", "", true, true, true),
    ("storage", "repositories", "Repository", "repo", true, true, true),
    ("storage", "retentionpolicies", "RetentionPolicy", "", true, false, false),
    ("storage", "snapshots", "Snapshot", "", true, true, false),
    ("core", "backupconfigurations", "BackupConfiguration", "bc", true, true, true),
    ("core", "backupsessions", "BackupSession", "", true, true, true),
    ("core", "restoresessions", "RestoreSession", "restore", true, true, true),
    ("core", "hooktemplates", "HookTemplate", "", true, false, true),
    ("core", "backupblueprints", "BackupBlueprint", "", true, false, true),
    ("core", "backupbatches", "BackupBatch", "", true, true, true),
    ("core", "backupverifier", "BackupVerifier", "", true, false, true),
    ("core", "backupverificationsession", "BackupVerificationSession", "", true, true, true),
    ("addons", "addons", "Addon", "", false, false, true),
    ("addons", "functions", "Function", "fn", false, false, true),
];

#[test]
fn kinds_have_the_known_names() {
    let mut served: BTreeMap<(String, String), Value> = BTreeMap::new();
    for group in ["storage", "core", "addons"] {
        let list: Value = serde_json::from_str(&cluster().kubectl(&["get", "--raw", &format!("/apis/{group}.kubestash.com/v1alpha1")])).unwrap();
        for resource in list["resources"].as_array().unwrap() {
            served.insert((group.to_owned(), resource["name"].as_str().unwrap().to_owned()), resource.clone());
        }
    }
    for (group, plural, kind, short, namespaced, status, all) in KINDS {
        let found = served.remove(&(group.to_owned(), plural.to_owned())).unwrap_or_else(|| panic!("{plural} is not served"));
        let shorts = if short.is_empty() { Value::Null } else { json!([short]) };
        let mut categories = BTreeSet::from(["kubestash", "appscode"]);
        categories.extend(all.then_some("all"));
        let told: BTreeSet<&str> = found["categories"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        assert_eq!((&found["kind"], &found["namespaced"], &found["shortNames"]), (&json!(kind), &json!(namespaced), &shorts), "{plural}");
        assert_eq!(told, categories, "{plural}");
        assert_eq!(served.remove(&(group.to_owned(), format!("{plural}/status"))).is_some(), status, "{plural}");
    }
    assert!(served.is_empty(), "these are served, too: {:?}", served.keys());
}

#[test]
fn short_names_and_categories_work() {
    stored_samples();
    for (short, name) in [
        ("bc", "backupconfiguration.core.kubestash.com/fleet"),
        ("repo", "repository.storage.kubestash.com/fleet"),
        ("restore", "restoresession.core.kubestash.com/bring-back"),
        ("fn", "function.addons.kubestash.com/harbour-backup"),
        ("kubestash", "retentionpolicy.storage.kubestash.com/a-few"),
        ("appscode", "snapshot.storage.kubestash.com/archive-1"),
        ("all", "backupstorage.storage.kubestash.com/harbour"),
    ] {
        let names = cluster().kubectl(&["get", short, "-n", "ships", "-o", "name"]);
        assert!(names.lines().any(|line| line == name), "{short}: {names}");
    }
}
