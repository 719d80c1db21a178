//! Tenants share a cluster: who may only write BackupConfigurations and RestoreSessions gains nothing by them.
//!
//! The operator runs beside the control plane with the rights of its own account, and the API server calls its webhook at an address of this
//! machine. No node is needed: what Jobs may do can be asked before they run.
#![cfg(feature = "real")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::time::{Duration, Instant};

use kubestash::deploy::metrics::METRICS;
use kubestash_tests::{cluster::Cluster, operator::Operator, program::User};
use serde_json::{Value, json};

/// Seconds for which a certificate of this test is valid: it is renewed after two thirds of them.
const CERTIFICATE_SECONDS: &str = "90";

/// A cluster, and the operator as a process of this machine.
struct World {
    cluster: Cluster,
    operator: Operator,
}

impl World {
    fn start() -> Self {
        let cluster = Cluster::own();
        let operator = Operator::beside(&cluster, &User::with_cluster(&cluster), &["--certificate-seconds", CERTIFICATE_SECONDS]);
        Self { cluster, operator }
    }

    fn until<T>(&self, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
        let start = Instant::now();
        loop {
            if let Some(found) = look() {
                return found;
            }
            assert!(start.elapsed() < Duration::from_secs(120), "{what}: not in two minutes\n{}", self.everything());
            std::thread::sleep(Duration::from_millis(300));
        }
    }

    fn everything(&self) -> String {
        let kinds = "backupstorage,repository,backupconfiguration,backupsession,snapshots.storage.kubestash.com,restoresession,job";
        self.cluster.try_kubectl(&["get", kinds, "-A", "-o", "yaml"], "").unwrap_or_else(|error| error)
    }

    fn get(&self, kind: &str, name: &str) -> Value {
        serde_json::from_str(&self.cluster.kubectl(&["-n", "team", "get", kind, name, "-o", "json"])).unwrap()
    }

    /// What the API server says to an object of a user; it is not stored.
    fn tries(&self, user: &[&str], object: &Value) -> Result<String, String> {
        let args = ["create", "--dry-run=server", "-f", "-"];
        self.cluster.try_kubectl(&[&args, user].concat(), &object.to_string())
    }

    fn refused(&self, user: &[&str], object: &Value, says: &str) {
        let said = self.tries(user, object).expect_err(&format!("this was not refused with {says:?}: {object}"));
        assert!(said.contains("admission webhook \"validate.kubestash.com\" denied the request") && said.contains(says), "{says:?} is not in {said}");
    }

    fn can(&self, account: &str, question: &[&str]) -> bool {
        let account = format!("system:serviceaccount:team:{account}");
        let answer = self.cluster.try_kubectl(&[&["auth", "can-i", "--as", &account], question].concat(), "");
        answer.is_ok_and(|answer| answer.trim() == "yes")
    }

    fn metrics(&self) -> String {
        self.operator.metrics().expect("the operator serves metrics")
    }

    fn set_status(&self, kind: &str, name: &str, status: &Value) {
        let patch = json!({"status": status}).to_string();
        self.cluster.kubectl(&["-n", "team", "patch", kind, name, "--subresource=status", "--type=merge", "-p", &patch]);
    }
}

const ADMIN: &[&str] = &[];
const TENANT: &[&str] = &["--as", "tenant"];

/// The tenant, who may write two kinds in one namespace; and what an administrator has prepared.
const PREPARED: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: team}
---
apiVersion: v1
kind: Namespace
metadata: {name: vault}
---
apiVersion: v1
kind: Secret
metadata: {name: encrypt, namespace: vault}
stringData: {RESTIC_PASSWORD: of-the-vault}
---
apiVersion: v1
kind: Secret
metadata: {name: encrypt, namespace: team}
stringData: {RESTIC_PASSWORD: of-the-team}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: tenant, namespace: team}
rules: [{apiGroups: [core.kubestash.com], resources: [backupconfigurations, restoresessions], verbs: ['*']}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: tenant, namespace: team}
subjects: [{kind: User, name: tenant, apiGroup: rbac.authorization.k8s.io}]
roleRef: {kind: Role, name: tenant, apiGroup: rbac.authorization.k8s.io}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: powerful, namespace: team}
---
apiVersion: storage.kubestash.com/v1alpha1
kind: BackupStorage
metadata: {name: disk, namespace: team}
spec: {storage: {provider: local, local: {hostPath: {path: /x}}}}
---
apiVersion: storage.kubestash.com/v1alpha1
kind: BackupStorage
metadata: {name: bucket, namespace: vault}
spec: {default: true, storage: {provider: s3, s3: {bucket: b, endpoint: 'http://127.0.0.1:1', region: r}}}
---
apiVersion: storage.kubestash.com/v1alpha1
kind: RetentionPolicy
metadata: {name: month, namespace: team}
spec: {default: true, maxRetentionPeriod: 30d}
";

fn configuration(change: impl Fn(&mut Value)) -> Value {
    let mut object = json!({
        "apiVersion": "core.kubestash.com/v1alpha1", "kind": "BackupConfiguration", "metadata": {"name": "bc", "namespace": "team"},
        "spec": {
            "backends": [{"name": "b", "storageRef": {"name": "disk"}, "retentionPolicy": {"name": "month"}}],
            "sessions": [{
                "name": "often", "scheduler": {"schedule": "0 * * * *", "jobTemplate": {}},
                "addon": {"name": "kubedump-addon", "tasks": [{"name": "manifest-backup", "params": {"IncludeNamespaces": "team"}}]},
                "repositories": [{"name": "repo", "backend": "b", "directory": "/x", "encryptionSecret": {"name": "encrypt"}}],
            }],
        },
    });
    change(&mut object["spec"]);
    object
}

fn restore(name: &str, change: impl Fn(&mut Value)) -> Value {
    let mut object = json!({
        "apiVersion": "core.kubestash.com/v1alpha1", "kind": "RestoreSession", "metadata": {"name": name, "namespace": "team"},
        "spec": {
            "dataSource": {"repository": "repo", "snapshot": "taken"},
            "addon": {"name": "kubedump-addon", "tasks": [{"name": "manifest-restore", "params": {"IncludeNamespaces": "team"}}]},
        },
    });
    change(&mut object["spec"]);
    object
}

fn role(name: &str, rules: &Value) -> String {
    let binding = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name});
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": name, "namespace": "team"}, "rules": rules});
    let bound = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": name, "namespace": "team"}, "roleRef": binding,
        "subjects": [{"kind": "User", "name": "tenant", "apiGroup": "rbac.authorization.k8s.io"}],
    });
    format!("{role}\n---\n{bound}")
}

#[test]
fn tenants_gain_nothing() {
    let world = World::start();
    world.cluster.apply(PREPARED);
    // The webhook answers as soon as the API server trusts the certificate.
    let second = json!({
        "apiVersion": "storage.kubestash.com/v1alpha1", "kind": "RetentionPolicy", "metadata": {"name": "other", "namespace": "team"},
        "spec": {"default": true, "maxRetentionPeriod": "1d"},
    });
    world.until("the webhook does not answer", || world.tries(ADMIN, &second).err());
    world.refused(ADMIN, &second, "RetentionPolicy team/month is the default of its namespace already");

    rules_across_objects(&world);
    the_tenant_asks_for_too_much(&world);
    jobs_have_what_they_need(&world);
    secrets_of_others_are_not_used_without_the_webhook(&world);
    metrics_are_told(&world);
    a_bucket_that_does_not_answer_is_left_alone(&world);
    the_certificate_is_renewed(&world, &second);
}

fn rules_across_objects(world: &World) {
    let storage = |endpoint: &str| {
        json!({
            "apiVersion": "storage.kubestash.com/v1alpha1", "kind": "BackupStorage", "metadata": {"name": "twin", "namespace": "team"},
            "spec": {"storage": {"provider": "s3", "s3": {"bucket": "b", "endpoint": endpoint, "prefix": "/", "region": "elsewhere"}}},
        })
    };
    world.refused(ADMIN, &storage("http://127.0.0.1:1/"), "BackupStorage vault/bucket is at the same place");
    world.tries(ADMIN, &storage("http://127.0.0.1:2")).unwrap();
    let foreign = configuration(|spec| spec["backends"][0]["storageRef"] = json!({"name": "bucket", "namespace": "vault"}));
    world.refused(ADMIN, &foreign, "BackupStorage vault/bucket does not allow its use from namespace team");
    let ignored = configuration(|spec| spec["sessions"][0]["failurePolicy"] = json!("Retry"));
    let said = world.tries(&["--warnings-as-errors"], &ignored).unwrap_err();
    assert!(said.contains("failurePolicy is ignored: use retryConfig"), "{said}");
}

fn the_tenant_asks_for_too_much(world: &World) {
    let account = json!({"spec": {"serviceAccountName": "powerful"}});
    let named = configuration(|spec| spec["sessions"][0]["addon"]["jobTemplate"] = account.clone());
    let foreign = json!({"name": "encrypt", "namespace": "vault"});
    let rows: [(Value, &str); 8] = [
        (named.clone(), "\"tenant\" must be allowed to create pods in namespace team"),
        (configuration(|_| ()), "must be allowed to get and list everything in namespace team"),
        (configuration(|spec| spec["sessions"][0]["addon"]["tasks"][0]["params"] = json!({})), "get and list everything in the whole cluster"),
        (
            configuration(|spec| spec["sessions"][0]["addon"]["jobTemplate"] = json!({"spec": {"initContainers": [{"name": "x", "image": "y"}]}})),
            "must be allowed to create pods in namespace team",
        ),
        (
            configuration(|spec| spec["sessions"][0]["repositories"][0]["encryptionSecret"] = foreign.clone()),
            "must be allowed to get Secret vault/encrypt",
        ),
        (restore("r", |_| ()), "must be allowed to do everything in namespace team"),
        (restore("r", |spec| spec["addon"]["jobTemplate"] = account.clone()), "must be allowed to create pods in namespace team"),
        (restore("r", |spec| spec["dataSource"]["encryptionSecret"] = foreign.clone()), "must be allowed to get Secret vault/encrypt"),
    ];
    for (object, says) in &rows {
        world.refused(TENANT, object, says);
        world.tries(ADMIN, object).unwrap();
    }
    // Who may do it without the operator may do it with it.
    world.cluster.apply(&role("pods", &json!([{"apiGroups": [""], "resources": ["pods"], "verbs": ["create"]}])));
    world.until("pods may be created", || world.tries(TENANT, &named).ok());
    world.cluster.apply(&role("reads", &json!([{"apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list"]}])));
    world.until("everything may be read", || world.tries(TENANT, &configuration(|_| ())).ok());
    world.refused(TENANT, &restore("r", |_| ()), "must be allowed to do everything in namespace team");
}

fn jobs_have_what_they_need(world: &World) {
    // No Pod prepares the volume here: what it would tell is told for it.
    let done = |type_: &str| json!({"conditions": [{"type": type_, "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}]});
    world.set_status("backupstorage", "disk", &done("BackendInitialized"));
    world.cluster.kubectl_with_input(&["create", "-f", "-", "--as", "tenant"], &configuration(|_| ()).to_string());
    world.until("the Repository is made", || world.cluster.try_kubectl(&["-n", "team", "get", "repo", "repo"], "").ok());
    world.set_status("repo", "repo", &done("RepositoryInitialized"));
    let job = world.until("the backup's Job is made", || {
        let all = world.cluster.kubectl(&["-n", "team", "get", "jobs", "-o", "name"]);
        all.lines().find_map(|line| line.strip_prefix("job.batch/bc-often-").map(|end| format!("bc-often-{end}")))
    });
    for question in [&["list", "secrets", "-n", "team"][..], &["get", "deployments.apps", "-n", "team"], &["get", "namespaces/kube-system"]] {
        assert!(world.can(&job, question), "the backup may not {question:?}");
    }
    for question in [
        &["create", "configmaps", "-n", "team"][..],
        &["update", "secrets", "-n", "team"],
        &["delete", "pods", "-n", "team"],
        &["create", "pods", "--subresource=exec", "-n", "team"],
        &["get", "secrets", "-n", "vault"],
        &["list", "configmaps", "-n", "default"],
        &["list", "namespaces"],
    ] {
        assert!(!world.can(&job, question), "the backup may {question:?}");
    }
    let trigger = "trigger-bc-often";
    assert!(world.can(trigger, &["create", "backupsessions.core.kubestash.com", "-n", "team"]));
    for question in [
        &["create", "backupconfigurations.core.kubestash.com", "-n", "team"][..],
        &["create", "restoresessions.core.kubestash.com", "-n", "team"],
        &["delete", "backupsessions.core.kubestash.com", "-n", "team"],
        &["create", "backupsessions.core.kubestash.com", "-n", "vault"],
        &["get", "secrets", "-n", "team"],
    ] {
        assert!(!world.can(trigger, question), "the trigger may {question:?}");
    }
}

fn secrets_of_others_are_not_used_without_the_webhook(world: &World) {
    let snapshot = json!({
        "apiVersion": "storage.kubestash.com/v1alpha1", "kind": "Snapshot",
        "metadata": {"name": "taken", "namespace": "team", "labels": {"kubestash.com/repo-name": "repo"}},
        "spec": {"snapshotID": "01ARZ3NDEKTSV4RRFFQ69G5FAV", "type": "FullBackup", "repository": "repo", "session": "often", "version": "v1"},
    });
    world.cluster.apply(&snapshot.to_string());
    let ended = json!({"type": "SnapshotMetadataUploaded", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"});
    let status = json!({
        "phase": "Succeeded", "snapshotTime": "2026-01-01T00:00:00Z", "totalComponents": 1, "size": "1 B", "conditions": [ended],
        "components": {"manifest": {"phase": "Succeeded", "path": "kstash/v1"}},
    });
    world.set_status("snapshots.storage.kubestash.com", "taken", &status);
    // As if the webhook were out of reach; it is back afterwards.
    let rules = |value: &Value| json!([{"op": "replace", "path": "/webhooks/0/rules", "value": value}]).to_string();
    let path = ["get", "validatingwebhookconfiguration", "kubestash-operator", "-o", "json"];
    let before: Value = serde_json::from_str(&world.cluster.kubectl(&path)).unwrap();
    let patch = |value: &Value| {
        world.cluster.kubectl(&["patch", "validatingwebhookconfiguration", "kubestash-operator", "--type=json", "-p", &rules(value)]);
    };
    patch(&json!([]));
    let foreign = |name: &str| restore(name, |spec| spec["dataSource"]["encryptionSecret"] = json!({"name": "encrypt", "namespace": "vault"}));
    let create = ["create", "-f", "-", "--as", "tenant"];
    world.until("nobody is asked any more", || world.tries(TENANT, &foreign("stolen")).ok());
    world.cluster.kubectl_with_input(&create, &foreign("stolen").to_string());
    let message = world.until("the restore is refused", || {
        let session = world.get("restoresession", "stolen");
        let found = session["status"]["conditions"].as_array()?.iter().find(|condition| condition["type"] == "RestoreExecutorEnsured")?.clone();
        (found["status"] == "False").then(|| found["message"].as_str().unwrap_or_default().to_owned())
    });
    assert!(message.contains("Secret vault/encrypt does not allow its use from namespace team"), "{message}");
    let secret = |account: &str| world.can(account, &["get", "secrets/encrypt", "-n", "vault"]);
    assert!(!secret("stolen"));
    world.cluster.kubectl(&["-n", "vault", "annotate", "secret", "encrypt", "kubestash.com/allowed-namespaces=elsewhere,team"]);
    world.cluster.kubectl_with_input(&create, &foreign("lent").to_string());
    world.until("the restore's Job is made", || world.cluster.try_kubectl(&["-n", "team", "get", "job", "lent"], "").ok());
    assert!(secret("lent"));
    for (allowed, question) in [
        (true, &["create", "configmaps", "-n", "team"][..]),
        (true, &["patch", "deployments.apps", "-n", "team"]),
        (true, &["get", "namespaces/team", "-n", "team"]),
        (false, &["create", "configmaps", "-n", "default"]),
        (false, &["get", "secrets", "-n", "kube-system"]),
        (false, &["create", "clusterroles"]),
        (false, &["delete", "configmaps", "-n", "team"]),
    ] {
        assert_eq!(world.can("lent", question), allowed, "{question:?}");
    }
    patch(&before["webhooks"][0]["rules"]);
}

fn metrics_are_told(world: &World) {
    let text = world.metrics();
    let mut names: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    for name in &names {
        assert!(METRICS.iter().any(|metric| metric.name == *name), "{name} is not documented");
    }
    // What is not known yet is absent: nothing has ended well here.
    let absent = ["core_kubestash_com_backupsession_duration_seconds", "storage_kubestash_com_repository_last_successful_backup"];
    names.extend(absent);
    let missing: Vec<&str> = METRICS.iter().map(|metric| metric.name).filter(|name| !names.contains(name)).collect();
    assert!(missing.is_empty(), "these are not told: {missing:?}\n{text}");
    let ready =
        "storage_kubestash_com_backupstorage_phase{namespace=\"team\",invoker_kind=\"BackupStorage\",invoker_name=\"disk\",phase=\"Ready\"} 1";
    assert!(text.lines().any(|line| line == ready), "{text}");
    assert!(text.contains("kubestash_admission_reviews_total{kind=\"RestoreSession\",outcome=\"refused\"}"), "{text}");
}

/// The reason in its status must stay the same text: a change would be seen, and looked at again at once, for ever.
fn a_bucket_that_does_not_answer_is_left_alone(world: &World) {
    let version = || world.cluster.kubectl(&["-n", "vault", "get", "backupstorage", "bucket", "-o", "jsonpath={.metadata.resourceVersion}"]);
    world.until("its status does not change any more", || {
        let before = version();
        std::thread::sleep(Duration::from_secs(4));
        (version() == before).then_some(())
    });
}

fn the_certificate_is_renewed(world: &World, second: &Value) {
    let certificate =
        || world.cluster.kubectl(&["-n", "kubestash", "get", "secret", "kubestash-operator-webhook", "-o", "jsonpath={.data.tls\\.crt}"]);
    let before = certificate();
    assert!(!before.is_empty());
    world.until("the certificate is renewed", || (certificate() != before).then_some(()));
    // Both authorities are trusted, and the API server goes on asking.
    let path = "jsonpath={.webhooks[0].clientConfig.caBundle}";
    world.until("the new authority is trusted", || {
        let bundle = world.cluster.kubectl(&["get", "validatingwebhookconfiguration", "kubestash-operator", "-o", path]);
        let previous =
            world.cluster.kubectl(&["-n", "kubestash", "get", "secret", "kubestash-operator-webhook", "-o", "jsonpath={.data.previous-ca\\.crt}"]);
        (!previous.is_empty() && bundle.len() > previous.len()).then_some(())
    });
    world.until("the webhook answers with the new certificate", || world.tries(ADMIN, second).err());
    world.refused(ADMIN, second, "RetentionPolicy team/month is the default of its namespace already");
}
