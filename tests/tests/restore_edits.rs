//! What is changed between snapshot and cluster, which objects are taken along, and single fields, on a real API server, as a user types it.
#![cfg(feature = "real")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use kubestash_tests::{cluster::Cluster, program::User};

const APPLICATION: &str = r#"
apiVersion: v1
kind: Namespace
metadata: {name: demo, labels: {team: a}, annotations: {note: kept}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: web, namespace: demo}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: settings
  namespace: demo
  labels: {app: web, kustomize.toolkit.fluxcd.io/name: shop}
  annotations: {argocd.argoproj.io/tracking-id: "shop:/ConfigMap:demo/settings"}
data: {colour: blue, "settings.json": "{\"deep\": 1}", url: "http://web.demo.svc.cluster.local"}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: unrelated, namespace: demo}
---
apiVersion: v1
kind: Secret
metadata: {name: login, namespace: demo}
stringData: {password: hunter2}
---
apiVersion: v1
kind: Secret
type: helm.sh/release.v1
metadata: {name: sh.helm.release.v1.shop.v1, namespace: demo, labels: {owner: helm}}
stringData: {release: x}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: disk, namespace: demo}
spec: {accessModes: [ReadWriteOnce], storageClassName: slow, resources: {requests: {storage: 1Gi}}}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: demo}
spec: {type: NodePort, selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: demo}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      serviceAccountName: web
      containers:
      - name: web
        image: none
        env: [{name: POD_NAMESPACE, value: demo}, {name: PASSWORD, valueFrom: {secretKeyRef: {name: login, key: password}}}]
      volumes: [{name: settings, configMap: {name: settings}}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader, namespace: demo}
rules: [{apiGroups: [""], resources: [configmaps], verbs: [get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: readers, namespace: demo}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects: [{kind: ServiceAccount, name: web, namespace: demo}, {kind: User, name: "system:serviceaccount:demo:web", apiGroup: rbac.authorization.k8s.io}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: own, namespace: demo}
spec: {podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: demo}}}]}]}
"#;

const PATCHES: &str = "
- target: {kind: Deployment, name: 'w*', labelSelector: '!frozen'}
  patch:
  - {op: replace, path: /spec/replicas, value: 1}
  - {op: replace, path: /spec/template/spec/containers/0/env/0/value, value: demo-copy}
- target: {kind: Pod, name: nothing}
  patch: []
";

fn stage() -> (Cluster, User) {
    let cluster = Cluster::start();
    cluster.apply(APPLICATION);
    let user = User::with_cluster(&cluster);
    user.ok(&["backup", "--name", "one"]);
    (cluster, user)
}

fn get(cluster: &Cluster, namespace: &str, object: &str, path: &str) -> String {
    cluster.kubectl(&["-n", namespace, "get", object, "--ignore-not-found", "-o", &format!("jsonpath={{{path}}}")])
}

#[test]
fn a_namespace_is_copied_with_all_that_refers_to_it() {
    let (cluster, user) = stage();
    let patches = user.home().join("patches.yaml");
    std::fs::write(&patches, PATCHES).unwrap();
    let flags =
        ["restore", "one", "-n", "demo", "--namespace-mapping", "demo:demo-copy", "--storage-class-mapping", "slow=fast", "--label", "copy=yes"];
    let more = ["--annotation", "note-", "--drop", "gitops,helm", "--patches", patches.to_str().unwrap()];
    let args = |rest: &[&'static str]| [&flags[..], &more[..], rest].concat();

    let plan = user.ok(&args(&["--dry-run"]));
    for line in [
        "warning: patch 2 is for nothing that is selected",
        "create namespaces/demo-copy from demo: not in the cluster",
        "create configmaps/settings -n demo-copy from demo: not in the cluster\n  warning: still names namespace demo at .data.url; a JSON patch can change it",
    ] {
        assert!(plan.contains(line) || line.starts_with("warning: patch"), "{line}\n{plan}");
    }
    let server = user.run(&args(&["--dry-run=server"]));
    assert_eq!(server.code, 0, "{server:?}");
    assert!(server.err.contains("warning: patch 2 is for nothing that is selected"), "{server:?}");

    let done = user.run(&args(&["--yes"]));
    assert_eq!(done.code, 0, "{done:?}");
    assert!(done.err.contains("warning: configmaps/settings -n demo-copy: still names namespace demo at .data.url"), "{done:?}");
    for (object, path, expected) in [
        ("cm/settings", ".metadata.labels", r#"{"app":"web","copy":"yes"}"#),
        ("cm/settings", ".metadata.annotations", ""),
        ("cm/settings", ".data.url", "http://web.demo.svc.cluster.local"),
        ("pvc/disk", ".spec.storageClassName", "fast"),
        ("deploy/web", ".spec.replicas", "1"),
        ("deploy/web", ".spec.template.spec.containers[0].env[0].value", "demo-copy"),
        ("deploy/web", ".spec.template.metadata.labels", r#"{"app":"web"}"#),
        ("rolebinding/readers", ".subjects[0].namespace", "demo-copy"),
        ("rolebinding/readers", ".subjects[1].name", "system:serviceaccount:demo-copy:web"),
        ("networkpolicy/own", ".spec.ingress[0].from[0].namespaceSelector.matchLabels", r#"{"kubernetes.io/metadata.name":"demo-copy"}"#),
        ("secret/sh.helm.release.v1.shop.v1", ".metadata.name", ""),
        ("secret/login", ".data.password", "aHVudGVyMg=="),
        ("ns/demo-copy", ".metadata.labels", r#"{"copy":"yes","kubernetes.io/metadata.name":"demo-copy","team":"a"}"#),
        ("ns/demo-copy", ".metadata.annotations", ""),
    ] {
        assert_eq!(get(&cluster, "demo-copy", object, path), expected, "{object} {path}");
    }
    // The original is what it was, its addresses are its own.
    assert_eq!(get(&cluster, "demo", "deploy/web", ".spec.replicas"), "3");
    assert_ne!(get(&cluster, "demo", "svc/web", ".spec.clusterIP"), get(&cluster, "demo-copy", "svc/web", ".spec.clusterIP"));
    assert!(!done.err.contains("addresses are taken"), "{done:?}");

    // Again: nothing to do, and the same with updates, because edited objects are compared with edited objects.
    let again = user.run(&args(&["--yes", "--existing=update", "--detailed-exit-code"]));
    assert_eq!(again.code, 5, "{again:?}");

    // A copy is made exact by what it is a copy of.
    cluster.kubectl(&["-n", "demo-copy", "create", "cm", "extra"]);
    let exact = user.run(&args(&["--yes", "--exact"]));
    assert!(exact.out.starts_with("0 created, 0 updated, 1 removed, "), "{exact:?}");
    assert_eq!(get(&cluster, "demo", "cm/unrelated", ".metadata.name"), "unrelated");

    // A patch that does not fit stops its object, and no other.
    std::fs::write(&patches, "- target: {kind: ConfigMap, name: settings}\n  patch: [{op: test, path: /data/colour, value: red}]\n").unwrap();
    cluster.kubectl(&["-n", "demo", "delete", "cm", "settings", "unrelated"]);
    let refused = user.run(&["restore", "one", "-n", "demo", "--yes", "--patches", patches.to_str().unwrap()]);
    assert_eq!(refused.code, 3, "{refused:?}");
    assert!(
        refused.out.contains("a change that was asked for does not fit: patch 1 does not fit: test at /data/colour: value did not match"),
        "{refused:?}"
    );
    assert_eq!(get(&cluster, "demo", "cm/unrelated", ".metadata.name"), "unrelated");
}

#[test]
fn two_namespaces_do_not_come_to_one_name() {
    let (cluster, user) = stage();
    cluster.apply("apiVersion: v1\nkind: Namespace\nmetadata: {name: other}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings, namespace: other}\n");
    user.ok(&["backup", "--name", "two"]);
    let ran =
        user.run(&["restore", "two", "--include-resources", "cm,ns", "--name", "settings", "--namespace-mappings", "demo:both,other:both", "--yes"]);
    assert_eq!(ran.code, 3, "{ran:?}");
    assert!(ran.out.contains("another object comes under its name: configmaps/NAME -n demo comes there"), "{ran:?}");
    let wrong = user.run(&["restore", "two", "--namespace-mapping", "demo", "--dry-run"]);
    assert!(wrong.code == 1 && wrong.err.contains("\"demo\" maps no namespace: write from:to"), "{wrong:?}");
}

#[test]
fn related_objects_and_single_fields() {
    let (cluster, user) = stage();
    cluster.kubectl(&["delete", "namespace", "demo", "--timeout=120s"]);
    cluster.kubectl(&["create", "namespace", "demo"]);
    let plan = user.ok(&["restore", "one", "deploy/web", "-n", "demo", "--related", "--dry-run"]);
    for line in [
        "create deployments.apps/web -n demo: not in the cluster",
        "create configmaps/settings -n demo: referred to by selected objects (by deployments.apps/web -n demo)",
        "create secrets/login -n demo: referred to by selected objects (by deployments.apps/web -n demo)",
        "create serviceaccounts/web -n demo: referred to by selected objects (by deployments.apps/web -n demo)",
        "create rolebindings.rbac.authorization.k8s.io/readers -n demo: referred to by selected objects (by serviceaccounts/web -n demo)",
        "create roles.rbac.authorization.k8s.io/reader -n demo: referred to by selected objects (by rolebindings.rbac.authorization.k8s.io/readers -n demo)",
    ] {
        assert!(plan.contains(line), "{line}\n{plan}");
    }
    assert!(!plan.contains("unrelated") && !plan.contains("persistentvolumeclaims"), "{plan}");
    let asked = user.run(&["restore", "one", "deploy/web", "-n", "demo", "--related"]);
    assert!(asked.code == 1 && asked.err.contains("create secrets/login -n demo: referred to by selected objects"), "{asked:?}");
    let done = user.ok(&["restore", "one", "deploy/web", "-n", "demo", "--related", "--yes"]);
    assert!(done.starts_with("6 created, "), "{done}");

    cluster.kubectl(&[
        "-n",
        "demo",
        "patch",
        "cm",
        "settings",
        "--type=merge",
        "-p",
        r#"{"data":{"colour":"red","settings.json":"broken","new":"kept"}}"#,
    ]);
    let field = ["restore", "one", "cm/settings", "-n", "demo", "--field", "data.settings.json"];
    let shown = user.ok(&[&field[..], &["--dry-run"]].concat());
    assert!(shown.contains("update configmaps/settings -n demo: differs from the snapshot (only data.settings.json)"), "{shown}");
    assert!(shown.contains("-  settings.json: broken\n+  settings.json: '{\"deep\": 1}'\n") && !shown.contains("-  colour"), "{shown}");
    let done = user.ok(&[&field[..], &["--yes"]].concat());
    assert!(done.starts_with("0 created, 1 updated, "), "{done}");
    assert_eq!(get(&cluster, "demo", "cm/settings", r".data.settings\.json"), r#"{"deep": 1}"#);
    assert_eq!(get(&cluster, "demo", "cm/settings", ".data.colour") + &get(&cluster, "demo", "cm/settings", ".data.new"), "redkept");
    assert_eq!(user.run(&[&field[..], &["--yes", "--detailed-exit-code"]].concat()).code, 5);

    cluster.kubectl(&["-n", "demo", "set", "image", "deploy/web", "web=other"]);
    let image = user.run(&["restore", "one", "deploy/web", "-n", "demo", "--field", "spec.template.spec.containers[name=web].image", "--yes"]);
    assert_eq!(image.code, 0, "{image:?}");
    assert_eq!(get(&cluster, "demo", "deploy/web", ".spec.template.spec.containers[0].image"), "none");

    let several = user.run(&["restore", "one", "-n", "demo", "--field", "data.colour"]);
    assert!(several.code == 1 && several.err.contains("--field is for one object"), "{several:?}");
    let missing = user.run(&["restore", "one", "cm", "settings", "-n", "demo", "--field", "data.color", "--yes"]);
    assert_eq!(missing.code, 1, "{missing:?}");
    assert!(missing.out.contains("there is no data.color; data holds colour, settings.json, url"), "{missing:?}");
    let gone = user.run(&["restore", "one", "cm/unrelated", "-n", "demo", "--field", "data", "--yes"]);
    assert!(gone.code == 1 && gone.out.contains("restore all of it, without --field"), "{gone:?}");
}

#[test]
fn a_plan_is_executed_later_or_refused_when_the_cluster_moved() {
    let (cluster, user) = stage();
    cluster.kubectl(&["-n", "demo", "delete", "cm", "unrelated"]);
    cluster.kubectl(&["-n", "demo", "patch", "cm", "settings", "--type=merge", "-p", r#"{"data":{"colour":"red"}}"#]);
    let file = |name: &str| user.home().join(name).to_str().unwrap().to_owned();
    let plan = |name: &str| {
        let made = user.run(&["restore", "one", "-n", "demo", "--existing=update", "--force-conflicts", "--plan-out", &file(name)]);
        assert_eq!(made.code, 0, "{made:?}");
        assert!(made.err.contains(&format!("Execute the plan with: kubectl kubestash restore --plan {}", file(name))), "{made:?}");
    };
    plan("first");
    assert_eq!(get(&cluster, "demo", "cm/unrelated", ".metadata.name"), "", "a plan that is saved changes nothing");

    cluster.kubectl(&["-n", "demo", "patch", "cm", "settings", "--type=merge", "-p", r#"{"data":{"colour":"green"}}"#]);
    cluster.kubectl(&["-n", "demo", "create", "cm", "unrelated"]);
    let moved = user.run(&["restore", "--plan", &file("first"), "--yes"]);
    assert_eq!(moved.code, 1, "{moved:?}");
    for line in [
        "the cluster has moved since the plan was made, 2 objects are decided otherwise:",
        "configmaps/settings -n demo: changed since",
        "configmaps/unrelated -n demo: was to be created (not in the cluster), is left alone (unchanged)",
        "nothing was changed; make a new plan",
    ] {
        assert!(moved.err.contains(line), "{line}\n{moved:?}");
    }
    assert_eq!(get(&cluster, "demo", "cm/settings", ".data.colour"), "green");

    // Printed as JSON it is the same document.
    cluster.kubectl(&["-n", "demo", "delete", "cm", "unrelated"]);
    let json = user.ok(&["restore", "one", "-n", "demo", "--existing=update", "--force-conflicts", "--dry-run", "-o", "json"]);
    std::fs::write(file("second"), json).unwrap();
    let done = user.run(&["restore", "--plan", &file("second"), "--yes"]);
    assert_eq!(done.code, 0, "{done:?}");
    assert!(done.out.starts_with("1 created, 1 updated, "), "{done:?}");
    assert_eq!(get(&cluster, "demo", "cm/settings", ".data.colour"), "blue");

    std::fs::write(file("wrong"), "{}").unwrap();
    let wrong = user.run(&["restore", "--plan", &file("wrong")]);
    assert!(wrong.code == 1 && wrong.err.contains("it is no plan of a restore: it has no version"), "{wrong:?}");
}

#[test]
fn reports_are_shown_again() {
    let (cluster, user) = stage();
    let none = user.run(&["restore", "report"]);
    assert!(none.code == 1 && none.err.contains("no restore was made from this machine"), "{none:?}");
    cluster.kubectl(&["-n", "demo", "delete", "cm", "--all"]);
    cluster.apply("apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: none, namespace: demo}\nspec: {hard: {count/configmaps: '1'}}\n");
    let start = std::time::Instant::now();
    while get(&cluster, "demo", "quota/none", ".status.used").is_empty() {
        assert!(start.elapsed().as_secs() < 60, "the quota is not counted");
        std::thread::sleep(std::time::Duration::from_millis(300));
    }
    let ran = user.run(&["restore", "one", "--include-resources", "cm", "--name", "settings", "--name", "unrelated", "-n", "demo", "--yes"]);
    // One of them fits into the quota, beside the one that a controller made, or none.
    assert!([1, 3].contains(&ran.code), "{ran:?}");
    assert!(ran.err.contains("`kubectl kubestash restore report` shows this again"), "{ran:?}");
    let report = user.ok(&["restore", "report"]);
    for text in ["snapshot one into ", "exceeded quota: none", "OBJECT"] {
        assert!(report.contains(text), "{text}\n{report}");
    }
    cluster.kubectl(&["-n", "demo", "delete", "quota", "none"]);
    user.ok(&["restore", "one", "--include-resources", "cm", "-n", "demo", "--yes"]);
    let list = user.ok(&["restore", "report", "--list"]);
    let rows: Vec<&str> = list.lines().collect();
    assert!(rows.len() == 3 && rows[1].contains(" failed") && rows[2].contains("0 failed"), "{list}");
    let first = rows[1].split_whitespace().next().unwrap();
    let json: serde_json::Value = serde_json::from_str(&user.ok(&["restore", "report", first, "-o", "json"])).unwrap();
    assert!(json["report"]["failed"].as_u64().unwrap() >= 1, "{json}");
    assert_eq!(user.run(&["restore", "report", "19990101-000000"]).code, 1);
}
