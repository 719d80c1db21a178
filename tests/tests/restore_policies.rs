//! What a restore does with what exists, on a real API server: update, recreate, conflicts, exact.
#![cfg(feature = "real")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::collections::BTreeMap;

use kubestash::restore::{
    Reason, Selection, Source,
    apply::Mode,
    plan::{Action, Options, Plan, Policies},
};
use kubestash_tests::{
    cluster::Cluster,
    program::User,
    restoring::{applied, planned, repository, restored},
};

const APPLICATION: &str = r"
apiVersion: v1
kind: Namespace
metadata: {name: demo}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: frozen, namespace: demo}
immutable: true
data: {colour: blue}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: demo}
data: {colour: blue}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: disk, namespace: demo}
spec: {accessModes: [ReadWriteOnce], storageClassName: none, resources: {requests: {storage: 1Gi}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: demo}
spec:
  selector: {matchLabels: {app: web}}
  template: {metadata: {labels: {app: web}}, spec: {containers: [{name: web, image: none}]}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: readers, namespace: demo}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}
subjects: [{kind: User, name: jane, apiGroup: rbac.authorization.k8s.io}]
";

/// The same objects, each changed in a field that cannot be changed.
const OTHERS: &str = r"
apiVersion: v1
kind: ConfigMap
metadata: {name: frozen, namespace: demo}
immutable: true
data: {colour: red}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: disk, namespace: demo}
spec: {accessModes: [ReadWriteMany], storageClassName: none, resources: {requests: {storage: 1Gi}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: demo}
spec:
  selector: {matchLabels: {app: other}}
  template: {metadata: {labels: {app: other}}, spec: {containers: [{name: web, image: none}]}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: readers, namespace: demo}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: edit}
subjects: [{kind: User, name: jane, apiGroup: rbac.authorization.k8s.io}]
";

/// Refuses to create what the snapshot has of `frozen`, and nothing else.
const REFUSAL: &str = r#"
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: no-blue}
spec:
  matchConstraints: {resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [configmaps]}]}
  validations: [{expression: "!has(object.data) || !('colour' in object.data) || object.data.colour != 'blue' || object.metadata.name != 'frozen'", message: blue is out of fashion}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: no-blue}
spec: {policyName: no-blue, validationActions: [Deny]}
"#;

fn options(words: &[&str]) -> Options {
    let existing = Policies::parse(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>(), &|kind| kind.parse().ok()).unwrap();
    Options { existing, same_cluster: true, force: true, ..Options::default() }
}

fn demo() -> Selection {
    Selection::default().namespaces(&["demo".to_owned()]).unwrap()
}

/// Action, reason and detail by `resource/name`, of what is not skipped.
fn decisions(plan: &Plan) -> BTreeMap<String, (Action, Reason, String)> {
    let wanted = plan.steps().filter(|step| step.action != Action::Skip);
    wanted
        .map(|step| (format!("{}/{}", step.kind.resource, step.name), (step.action, step.reason, step.detail.clone().unwrap_or_default())))
        .collect()
}

fn get(cluster: &Cluster, object: &str, path: &str) -> String {
    cluster.kubectl(&["-n", "demo", "get", object, "--ignore-not-found", "-o", &format!("jsonpath={{{path}}}")])
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_changed_is_created_anew_when_asked_for() {
    let cluster = Cluster::start();
    cluster.apply(APPLICATION);
    cluster.settle().await;
    let source = Source::Snapshot(cluster.snapshot(&repository().await, "before").await);

    cluster.kubectl(&["-n", "demo", "delete", "cm/frozen", "pvc/disk", "deploy/web", "rolebinding/readers", "--wait"]);
    cluster.apply(OTHERS);
    let uid = get(&cluster, "cm/frozen", ".metadata.uid");
    cluster.apply(&format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: owned\n  namespace: demo\n  ownerReferences:\n  - {{apiVersion: v1, kind: ConfigMap, name: frozen, uid: {uid}}}\n"
    ));
    cluster.settle().await;

    let update = decisions(&planned(&cluster, &source, &demo(), &options(&["update"])).await);
    assert_eq!(update.len(), 4, "{update:#?}");
    for (name, field) in [
        ("configmaps/frozen", "data; --existing=configmaps=recreate"),
        ("deployments/web", "spec.selector; --existing=deployments.apps=recreate"),
        ("persistentvolumeclaims/disk", "spec; it is deleted and created anew only when its kind is named"),
        ("rolebindings/readers", "roleRef; --existing=rolebindings.rbac.authorization.k8s.io=recreate"),
    ] {
        let (action, reason, detail) = &update[name];
        assert_eq!((*action, *reason), (Action::Fail, Reason::Immutable), "{name}");
        assert!(detail.starts_with(field), "{name}: {detail}");
    }

    let recreate = planned(&cluster, &source, &demo(), &options(&["recreate"])).await;
    let decided = decisions(&recreate);
    assert_eq!(decided["persistentvolumeclaims/disk"].0, Action::Fail, "a claim is not deleted because everything is to be updated");
    let dry = applied(&cluster, &source, recreate.clone(), Mode::ServerDryRun).await;
    assert_eq!((dry.failed, dry.changed(), dry.not_checkable.values().sum::<u64>()), (1, 0, 3), "{dry:#?}");
    assert_eq!(get(&cluster, "cm/frozen", ".data.colour"), "red");

    let report = applied(&cluster, &source, recreate, Mode::Write).await;
    assert_eq!((report.recreated, report.failed), (3, 1), "{report:#?}");
    assert_eq!(get(&cluster, "cm/frozen", ".data.colour"), "blue");
    assert_eq!(get(&cluster, "deploy/web", ".spec.selector.matchLabels.app"), "web");
    assert_eq!(get(&cluster, "rolebinding/readers", ".roleRef.name"), "view");
    // What a deleted object owned is not collected with it.
    cluster.settle().await;
    assert_eq!(get(&cluster, "cm/owned", ".metadata.name"), "owned");

    let claims = options(&["persistentvolumeclaims=recreate"]);
    let named = planned(&cluster, &source, &demo(), &claims).await;
    let (action, _, detail) = &decisions(&named)["persistentvolumeclaims/disk"];
    assert_eq!(*action, Action::Recreate);
    assert!(detail.contains("lost are its volume and the data in it"), "{detail}");
    assert_eq!(applied(&cluster, &source, named, Mode::Write).await.recreated, 1);
    assert_eq!(get(&cluster, "pvc/disk", ".spec.accessModes[0]"), "ReadWriteOnce");

    what_cannot_come_back_is_put_back(&cluster, &source).await;
    conflicts_are_named_before_anything_is_written(&cluster, &source).await;
}

async fn what_cannot_come_back_is_put_back(cluster: &Cluster, source: &Source) {
    cluster.kubectl(&["-n", "demo", "delete", "cm/frozen"]);
    cluster.apply(OTHERS.split("---").next().unwrap());
    cluster.apply(REFUSAL);
    let frozen = demo().names(&["frozen".to_owned()]).unwrap();
    let start = std::time::Instant::now();
    // The policy is in force a moment later.
    while cluster
        .try_kubectl(&["-n", "demo", "create", "cm", "frozen", "--from-literal=colour=blue", "--dry-run=server"], "")
        .unwrap_err()
        .contains("exists")
    {
        assert!(start.elapsed().as_secs() < 60, "the policy is not in force");
        std::thread::sleep(std::time::Duration::from_millis(300));
    }
    let report = restored(cluster, source, &frozen, &options(&["recreate"])).await;
    let cause = &report.failures.first().unwrap().cause;
    assert!(cause.contains("blue is out of fashion") && cause.ends_with("; what was there before was put back"), "{report:#?}");
    assert_eq!(get(cluster, "cm/frozen", ".data.colour"), "red");
    cluster.kubectl(&["delete", "validatingadmissionpolicy,validatingadmissionpolicybinding", "no-blue"]);
}

async fn conflicts_are_named_before_anything_is_written(cluster: &Cluster, source: &Source) {
    cluster.kubectl(&["-n", "demo", "patch", "cm", "settings", "--type=merge", "-p", r#"{"data":{"colour":"green"}}"#, "--field-manager=painter"]);
    let settings = demo().names(&["settings".to_owned()]).unwrap();
    let careful = Options { force: false, ..options(&["update"]) };
    let plan = planned(cluster, source, &settings, &careful).await;
    let (action, reason, detail) = &decisions(&plan)["configmaps/settings"];
    assert_eq!((*action, *reason), (Action::Fail, Reason::Conflict));
    assert_eq!(detail, "conflict with \"painter\" using v1: .data.colour; --force-conflicts takes the fields over");
    assert!(plan.steps().any(|step| step.diff.as_ref().is_some_and(|diff| diff.contains("-  colour: green\n+  colour: blue\n"))));
    assert_eq!(applied(cluster, source, plan, Mode::Write).await.write_requests, 0);
    let report = restored(cluster, source, &settings, &options(&["update"])).await;
    assert_eq!((report.updated, report.failed), (1, 0), "{report:#?}");
    assert_eq!(get(cluster, "cm/settings", ".data.colour"), "blue");
}

/// Objects that came after the snapshot.
const LATER: &str = r"
apiVersion: v1
kind: ConfigMap
metadata: {name: new, namespace: demo}
---
apiVersion: v1
kind: Secret
metadata: {name: new, namespace: demo}
---
apiVersion: v1
kind: Namespace
metadata: {name: other}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: new, namespace: other}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: new, namespace: demo}
spec:
  selector: {matchLabels: {app: new}}
  template: {metadata: {labels: {app: new}}, spec: {containers: [{name: new, image: none}]}}
";

#[tokio::test(flavor = "multi_thread")]
async fn exact_removes_what_came_later_and_nothing_else() {
    let cluster = Cluster::start();
    cluster.apply(APPLICATION);
    cluster.settle().await;
    let user = User::with_cluster(&cluster);
    user.ok(&["backup", "--name", "all", "--exclude-resources", "secrets"]);
    cluster.apply(LATER);
    cluster.settle().await;

    let dry = user.ok(&["restore", "all", "-n", "demo", "--exact", "--dry-run"]);
    let removed: Vec<&str> = dry.lines().filter(|line| line.starts_with("remove ") && line.contains('/')).collect();
    assert_eq!(removed, ["remove deployments.apps/new -n demo: not in the snapshot", "remove configmaps/new -n demo: not in the snapshot"], "{dry}");

    let asked = user.run(&["restore", "all", "-n", "demo", "--exact"]);
    assert_eq!(asked.code, 1);
    assert!(asked.err.contains("remove configmaps/new -n demo: not in the snapshot"), "{asked:?}");
    assert!(asked.err.contains("and remove 2 objects? There is no terminal to ask"), "{asked:?}");

    let one = user.run(&["restore", "all", "cm/settings", "-n", "demo", "--exact", "--yes"]);
    assert!(one.code == 1 && one.err.contains("choose namespaces, kinds, labels, or folders of a mount"), "{one:?}");

    // Saved, it is refused when there is more to remove, and not because pods came and went.
    let file = user.home().join("exact.plan").to_str().unwrap().to_owned();
    assert_eq!(user.run(&["restore", "all", "-n", "demo", "--exact", "--plan-out", &file]).code, 0);
    cluster.kubectl(&["-n", "demo", "create", "cm", "late"]);
    let moved = user.run(&["restore", "--plan", &file, "--yes"]);
    assert!(moved.code == 1 && moved.err.contains("configmaps/late -n demo: is to be removed (not in the snapshot) as well"), "{moved:?}");
    cluster.kubectl(&["-n", "demo", "delete", "cm", "late"]);
    cluster.kubectl(&["-n", "demo", "delete", "pods", "-l", "app=new"]);
    cluster.settle().await;
    let done = user.run(&["restore", "--plan", &file, "--yes"]);
    assert_eq!(done.code, 0, "{done:?}");
    assert!(done.out.starts_with("0 created, 0 updated, 2 removed, "), "{done:?}");
    cluster.settle().await;
    for gone in ["cm/new", "deploy/new", "rs -l app=new", "pods -l app=new"] {
        let args: Vec<&str> = ["-n", "demo", "get", "--ignore-not-found", "-o", "name"].into_iter().chain(gone.split(' ')).collect();
        assert_eq!(cluster.kubectl(&args), "", "{gone}");
    }
    for kept in [
        &["-n", "demo", "get", "secret", "new"][..],
        &["-n", "other", "get", "cm", "new"],
        &["-n", "demo", "get", "cm", "kube-root-ca.crt"],
        &["-n", "demo", "get", "sa", "default"],
    ] {
        cluster.kubectl(kept);
    }
    assert_eq!(user.ok(&["restore", "all", "-n", "demo", "--exact", "--dry-run"]).lines().filter(|line| line.starts_with("remove ")).count(), 0);

    // Of the whole cluster: the namespace that came later keeps its name, and loses what the snapshot would hold.
    let all = user.run(&["restore", "all", "--exact", "--yes"]);
    assert_eq!(all.code, 0, "{all:?}");
    assert!(all.err.contains("remove configmaps/new -n other: not in the snapshot"), "{all:?}");
    cluster.kubectl(&["get", "namespace", "other"]);
    cluster.kubectl(&["-n", "other", "get", "cm", "kube-root-ca.crt"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_restore_has_created_another_one_updates() {
    let cluster = Cluster::without_controllers();
    cluster.kubectl(&["create", "namespace", "demo"]);
    cluster.kubectl(&["-n", "demo", "create", "configmap", "settings", "--from-literal=colour=blue"]);
    let repository = repository().await;
    let blue = Source::Snapshot(cluster.snapshot(&repository, "blue").await);
    cluster.kubectl(&["-n", "demo", "patch", "configmap", "settings", "-p", r#"{"data":{"colour":"red"}}"#]);
    let red = Source::Snapshot(cluster.snapshot(&repository, "red").await);
    cluster.kubectl(&["-n", "demo", "delete", "configmap", "settings"]);
    // It belongs to two managers, so the restore creates it in its own name.
    let update = Options { force: false, ..options(&["update"]) };
    let settings = || demo().names(&["settings".to_owned()]).unwrap();
    let created = restored(&cluster, &red, &settings(), &update).await;
    assert_eq!((created.created, created.failed), (1, 0), "{created:#?}");
    let colour = || cluster.kubectl(&["-n", "demo", "get", "configmap", "settings", "-o", "jsonpath={.data.colour}"]);
    assert_eq!(colour(), "red");

    let plan = planned(&cluster, &blue, &settings(), &update).await;
    assert_eq!(decisions(&plan).into_values().map(|(action, ..)| action).collect::<Vec<_>>(), [Action::Update], "{plan:#?}");
    let updated = applied(&cluster, &blue, plan, Mode::Write).await;
    assert_eq!((updated.updated, updated.failed), (1, 0), "{updated:#?}");
    assert_eq!(colour(), "blue");
    // What somebody else has set meanwhile is still theirs.
    cluster.kubectl(&["-n", "demo", "patch", "configmap", "settings", "-p", r#"{"data":{"colour":"green"}}"#]);
    let refused = restored(&cluster, &red, &settings(), &update).await;
    assert_eq!((refused.updated, refused.failed), (0, 1), "{refused:#?}");
    assert_eq!(colour(), "green");
}
