//! Rules of a restore that only an API server and its controllers can show, each by the name that it has in the reference.
#![cfg(feature = "real")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::time::{Duration, Instant};

use kubestash::restore::{
    Selection, Source,
    apply::Mode,
    plan::{Action, Existing, Options, Plan},
};
use kubestash_tests::{
    cluster::Cluster,
    program::User,
    restoring::{applied, planned, repository, restored},
};

fn cluster() -> &'static Cluster {
    Cluster::shared()
}

/// The state of some namespaces.
async fn snapshot(namespaces: &[&str]) -> (Source, Selection) {
    let snapshot = cluster().snapshot(&repository().await, "before").await;
    let names: Vec<String> = namespaces.iter().map(|name| (*name).to_owned()).collect();
    (Source::Snapshot(snapshot), Selection::default().namespaces(&names).unwrap())
}

fn namespace(name: &str) {
    cluster().apply(&format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}}}\n"));
}

fn get(namespace: &str, object: &str, path: &str) -> String {
    cluster().kubectl(&["-n", namespace, "get", object, "--ignore-not-found", "-o", &format!("jsonpath={{{path}}}")])
}

/// Waits until kubectl prints something.
fn until(namespace: &str, object: &str, path: &str, wanted: &str) {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        let found = get(namespace, object, path);
        if found == wanted {
            return;
        }
        assert!(Instant::now() < end, "{object} {path} is {found:?}, {wanted:?} was awaited");
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn warnings(plan: &Plan) -> Vec<String> {
    plan.steps().flat_map(|step| step.warnings.iter().map(|warning| format!("{}: {warning}", step.id()))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn node_ports_and_addresses_come_back_but_those_that_are_taken() {
    namespace("ports");
    let service = |name: &str, ip: &str, ports: &[u16]| {
        let ports: Vec<String> = ports.iter().map(|port| format!("{{name: p{port}, port: {}, nodePort: {port}}}", port - 30000)).collect();
        format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: ports}}\nspec: {{type: NodePort, clusterIP: {ip}, ports: [{}]}}\n",
            ports.join(", ")
        )
    };
    cluster().apply(&service("free", "10.96.7.1", &[30701]));
    cluster().apply(&service("port-taken", "10.96.7.2", &[30702, 30703]));
    cluster().apply(&service("ip-taken", "10.96.7.3", &[30704]));
    let (source, selection) = snapshot(&["ports"]).await;
    cluster().kubectl(&["-n", "ports", "delete", "service", "--all"]);
    cluster().apply(&service("thief", "10.96.7.9", &[30703]));
    cluster().apply(&service("squatter", "10.96.7.3", &[30709]));

    let same = Options { same_cluster: true, ..Options::default() };
    let report = restored(cluster(), &source, &selection, &same).await;
    assert!(report.is_complete(), "{:#?}", report.failures);
    let addresses = |name: &str| get("ports", &format!("service/{name}"), ".spec.clusterIP} {.spec.ports[*].nodePort");
    assert_eq!(addresses("free"), "10.96.7.1 30701");
    let kept = addresses("port-taken");
    assert!(kept.starts_with("10.96.7.2 30702 ") && !kept.ends_with(" 30703"), "only what is taken is given up: {kept}");
    let moved = addresses("ip-taken");
    assert!(moved.ends_with(" 30704") && !moved.starts_with("10.96.7.3 "), "{moved}");
    for warning in ["services/port-taken -n ports: node port 30703 cannot be had", "services/ip-taken -n ports: cluster IP 10.96.7.3 cannot be had"] {
        assert!(report.warnings.iter().any(|own| own.starts_with(warning)), "{:#?}", report.warnings);
    }

    // Asked for, also for a snapshot of another cluster; and new ones in the same cluster.
    cluster().kubectl(&["-n", "ports", "delete", "service", "free"]);
    restored(cluster(), &source, &selection, &Options { keep_addresses: Some(true), ..Options::default() }).await;
    assert_eq!(addresses("free"), "10.96.7.1 30701");
    cluster().kubectl(&["-n", "ports", "delete", "service", "free"]);
    restored(cluster(), &source, &selection, &Options { keep_addresses: Some(false), ..same }).await;
    assert_ne!(addresses("free"), "10.96.7.1 30701");
}

#[tokio::test(flavor = "multi_thread")]
async fn claims_without_a_class_that_serves_them_are_told_and_so_are_two_defaults() {
    namespace("claims");
    let claim = |name: &str, class: &str| {
        format!(
            "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {{name: {name}, namespace: claims}}\nspec: {{accessModes: [ReadWriteOnce], {class}resources: {{requests: {{storage: 1Gi}}}}}}\n"
        )
    };
    let class = |name: &str, default: bool| {
        format!(
            "apiVersion: storage.k8s.io/v1\nkind: StorageClass\nmetadata: {{name: {name}, annotations: {{storageclass.kubernetes.io/is-default-class: \"{default}\"}}}}\nprovisioner: none.example.com\n"
        )
    };
    cluster().apply(&claim("bare", ""));
    cluster().apply(&claim("named", "storageClassName: old-default, "));
    cluster().apply(&class("old-default", true));
    let (source, selection) = snapshot(&["claims"]).await;
    cluster().kubectl(&["-n", "claims", "delete", "pvc", "--all"]);
    cluster().kubectl(&["delete", "storageclass", "old-default"]);

    let lost = warnings(&planned(cluster(), &source, &selection, &Options::default()).await);
    assert_eq!(
        lost,
        [
            "persistentvolumeclaims/bare -n claims: it names no storage class, and no class is the default: it gets no volume until one is",
            "persistentvolumeclaims/named -n claims: storage class old-default is neither in the cluster nor restored: it gets no volume until it is there; --storage-class-mapping old-default=OTHER names another"
        ]
    );
    cluster().apply(&class("new-default", true));
    let all = planned(cluster(), &source, &Selection::default(), &Options::default()).await;
    assert!(warnings(&all).iter().all(|warning| !warning.contains("-n claims")), "{:#?}", warnings(&all));
    let two = "storageclasses.storage.k8s.io: new-default and old-default are all the default, claims without class get the one that was made last";
    assert!(all.notes.iter().any(|note| note.starts_with(two)), "{:#?}", all.notes);
    cluster().kubectl(&["delete", "storageclass", "new-default"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_of_a_person_is_bound_to_its_claim_again() {
    namespace("bound");
    // Of an access mode that no claim of another test asks for: the controller gives a volume to whichever claim fits first.
    cluster().apply(
        r#"
apiVersion: v1
kind: PersistentVolume
metadata: {name: bound-disk}
spec: {capacity: {storage: 1Gi}, accessModes: [ReadWriteMany], persistentVolumeReclaimPolicy: Retain, storageClassName: "", hostPath: {path: /nowhere}}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data, namespace: bound}
spec: {accessModes: [ReadWriteMany], storageClassName: "", volumeName: bound-disk, resources: {requests: {storage: 1Gi}}}
"#,
    );
    until("bound", "pvc/data", ".status.phase", "Bound");
    let (source, _) = snapshot(&["bound"]).await;
    // Nothing of what the other tests take away at the same time.
    let both = Selection::default().names(&["bound-disk".to_owned(), "data".to_owned()]).unwrap();
    cluster().kubectl(&["-n", "bound", "delete", "pvc", "data"]);
    cluster().kubectl(&["delete", "pv", "bound-disk"]);
    let report = restored(cluster(), &source, &both, &Options::default()).await;
    assert!(report.is_complete(), "{:#?}", report.failures);
    until("bound", "pvc/data", ".status.phase", "Bound");
    assert_eq!(get("bound", "pvc/data", ".spec.volumeName"), "bound-disk");
    assert_eq!(get("bound", "pv/bound-disk", ".spec.claimRef.uid"), get("bound", "pvc/data", ".metadata.uid"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_quota_and_missing_rights_are_told_by_cause() {
    namespace("tight");
    for number in 0..4 {
        cluster().apply(&format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: s{number}, namespace: tight}}\n"));
    }
    let (source, selection) = snapshot(&["tight"]).await;
    cluster().kubectl(&["-n", "tight", "delete", "secret", "--all"]);
    cluster().apply("apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: few, namespace: tight}\nspec: {hard: {secrets: \"1\"}}\n");
    until("tight", "resourcequota/few", ".status.hard.secrets", "1");
    let report = restored(cluster(), &source, &selection, &Options::default()).await;
    assert_eq!((report.created, report.failed), (1, 3), "{report:#?}");
    let [cause] = &report.causes[..] else { panic!("{:#?}", report.causes) };
    assert!(cause.cause.contains("exceeded quota: few") && cause.count == 3, "{cause:?}");

    // Nobody gives what he does not have.
    namespace("rights");
    cluster().apply(
        r#"
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: strong, namespace: rights}
rules: [{apiGroups: [""], resources: [secrets], verbs: ["*"]}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: plain, namespace: rights}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: restorer}
rules:
- {apiGroups: ["", rbac.authorization.k8s.io], resources: [configmaps, roles, namespaces, serviceaccounts], verbs: [get, list, create, patch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: restorer}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: restorer}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: rory}]
"#,
    );
    let user = User::with_cluster(cluster());
    user.ok(&["backup", "-n", "rights", "--name", "mine"]);
    cluster().kubectl(&["-n", "rights", "delete", "role/strong", "configmap/plain"]);
    let ran = user.run(&["restore", "mine", "-n", "rights", "--as", "rory", "--yes"]);
    assert_eq!(ran.code, 3, "{ran:?}");
    assert!(ran.out.contains("attempting to grant RBAC permissions not currently held"), "{ran:?}");
    assert!(ran.out.contains("restore it with an account that holds these permissions, or may escalate and bind"), "{ran:?}");
    assert_eq!(get("rights", "cm/plain", ".metadata.name"), "plain");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_takes_long_to_go_is_awaited() {
    namespace("slow");
    cluster().apply("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: dying, namespace: slow, finalizers: [example.com/hold]}\ndata: {a: b}\n");
    let (source, selection) = snapshot(&["slow"]).await;
    let old = get("slow", "cm/dying", ".metadata.uid");
    cluster().kubectl(&["-n", "slow", "delete", "cm", "dying", "--wait=false"]);
    let plan = planned(cluster(), &source, &selection, &Options::default()).await;
    assert!(plan.steps().any(|step| step.action == Action::Create && step.name == "dying"));
    let freed = tokio::task::spawn_blocking(|| {
        std::thread::sleep(Duration::from_secs(3));
        cluster().kubectl(&["-n", "slow", "patch", "cm", "dying", "--type=merge", "-p", r#"{"metadata":{"finalizers":null}}"#]);
    });
    let report = applied(cluster(), &source, plan, Mode::Write).await;
    freed.await.unwrap();
    assert_eq!((report.created, report.failed), (1, 0), "{report:#?}");
    assert_ne!(get("slow", "cm/dying", ".metadata.uid"), old);
    assert_eq!(get("slow", "cm/dying", ".data.a"), "b");
    cluster().kubectl(&["-n", "slow", "patch", "cm", "dying", "--type=merge", "-p", r#"{"metadata":{"finalizers":null}}"#]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_largest_secret_comes_back_byte_by_byte() {
    namespace("large");
    // As much as a Secret may hold.
    let text = "0123456789abcde\n".repeat((1 << 20) / 16);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("big");
    std::fs::write(&file, &text).unwrap();
    cluster().kubectl(&["-n", "large", "create", "secret", "generic", "big", &format!("--from-file=big={}", file.display())]);
    let stored = get("large", "secret/big", ".data.big");
    let (source, selection) = snapshot(&["large"]).await;
    cluster().kubectl(&["-n", "large", "delete", "secret", "big"]);
    let report = restored(cluster(), &source, &selection, &Options::default()).await;
    assert!(report.is_complete(), "{:#?}", report.failures);
    assert!(get("large", "secret/big", ".data.big") == stored, "its value is another one");
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_applies_behind_a_restore_without_conflict() {
    namespace("owners");
    let settings =
        |colour: &str| format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: settings, namespace: owners}}\ndata: {{colour: {colour}}}\n");
    cluster().apply(&settings("blue"));
    let (source, selection) = snapshot(&["owners"]).await;
    cluster().kubectl(&["-n", "owners", "delete", "cm", "settings"]);
    assert!(restored(cluster(), &source, &selection, &Options::default()).await.is_complete());
    // As a field of its own manager: neither --force-conflicts nor a second owner.
    cluster().kubectl_with_input(&["apply", "--server-side", "-f", "-"], &settings("red"));
    assert_eq!(get("owners", "cm/settings", ".data.colour"), "red");
    let managers =
        cluster().kubectl(&["-n", "owners", "get", "cm/settings", "--show-managed-fields", "-o", "jsonpath={.metadata.managedFields[*].manager}"]);
    assert_eq!(managers, "kubectl");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cron_job_that_comes_back_does_not_make_up_for_what_was_missed() {
    namespace("nightly");
    cluster().apply(
        "apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: nightly, namespace: nightly}\nspec:\n  schedule: 0 0 1 1 *\n  jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: a, image: none}]}}}}\n",
    );
    // As if it had run long ago and missed years since.
    cluster().kubectl(&[
        "-n",
        "nightly",
        "patch",
        "cronjob",
        "nightly",
        "--subresource=status",
        "--type=merge",
        "-p",
        r#"{"status":{"lastScheduleTime":"2020-01-01T00:00:00Z"}}"#,
    ]);
    let (source, selection) = snapshot(&["nightly"]).await;
    cluster().kubectl(&["-n", "nightly", "delete", "cronjob", "nightly"]);
    cluster().kubectl(&["-n", "nightly", "delete", "jobs", "--all"]);
    assert!(restored(cluster(), &source, &selection, &Options::default()).await.is_complete());
    cluster().settle().await;
    assert_eq!(cluster().kubectl(&["-n", "nightly", "get", "jobs", "-o", "name"]), "");
    assert_eq!(get("nightly", "cronjob/nightly", ".status.lastScheduleTime"), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_are_updated_and_keep_what_others_gave_them() {
    namespace("accounts");
    let account = |label: &str| {
        format!(
            "apiVersion: v1\nkind: ServiceAccount\nmetadata: {{name: bot, namespace: accounts, labels: {{tier: {label}}}}}\nimagePullSecrets: [{{name: ours}}]\n"
        )
    };
    cluster().apply(&account("gold"));
    let (source, selection) = snapshot(&["accounts"]).await;
    cluster().kubectl(&["-n", "accounts", "delete", "sa", "bot"]);
    cluster().apply("apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: bot, namespace: accounts, labels: {theirs: kept}}\n");
    let update = Options { existing: Existing::Update.into(), ..Options::default() };
    let report = restored(cluster(), &source, &selection, &update).await;
    assert_eq!((report.updated, report.failed), (1, 0), "{report:#?}");
    let found = |path: &str| get("accounts", "sa/bot", path);
    assert_eq!((found(".metadata.labels.tier"), found(".metadata.labels.theirs")), ("gold".to_owned(), "kept".to_owned()));
    assert_eq!(found(".imagePullSecrets[*].name"), "ours");
    // Its pull secrets are one value: whose they are is a person's to say.
    cluster().kubectl(&["-n", "accounts", "delete", "sa", "bot"]);
    cluster().apply("apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: bot, namespace: accounts}\nimagePullSecrets: [{name: theirs}]\n");
    let report = restored(cluster(), &source, &selection, &update).await;
    let [cause] = &report.causes[..] else { panic!("{:#?}", report.causes) };
    assert!(cause.cause.contains("conflict with \"kubectl\": .imagePullSecrets"), "{cause:?}");
    assert_eq!(found(".imagePullSecrets[*].name"), "theirs");
}
