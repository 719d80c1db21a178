//! The differences that a plan shows are those that `kubectl diff` shows for the same manifests.
#![cfg(feature = "real")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::process::Command;

use kubestash_tests::{
    cluster::{Cluster, kubectl},
    program::User,
};

const APPLICATION: &str = r#"
apiVersion: v1
kind: Namespace
metadata: {name: demo}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: demo, labels: {app: web}}
data: {colour: blue, "yes": "no", "settings.yaml": "a: 1\nb:\n- 2\n"}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: demo}
spec: {selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: demo, annotations: {note: first}}
spec:
  replicas: 0
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: 'example.com/web:1', args: [--level, info], env: [{name: COLOUR, value: blue}]}]}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: nightly, namespace: demo}
spec: {schedule: "0 3 * * *", suspend: true, jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: none}]}}}}}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: unchanged, namespace: demo}
spec: {podSelector: {}}
"#;

const OBJECTS: [&str; 5] =
    ["configmaps/settings", "services/web", "deployments.apps/web", "cronjobs.batch/nightly", "networkpolicies.networking.k8s.io/unchanged"];

/// Lines that are taken away and added; `generation` counts changes, and a restore leaves that to the server.
fn changed(diff: &str) -> Vec<String> {
    let lines = diff.lines().filter(|line| line.starts_with(['+', '-']) && !line.starts_with("+++ ") && !line.starts_with("--- "));
    let mut lines: Vec<String> = lines.filter(|line| !line[1..].starts_with("  generation: ")).map(str::to_owned).collect();
    lines.sort();
    lines
}

/// What `kubectl diff` with these flags says about manifests; nothing where it finds no difference.
fn kubectl_diff(cluster: &Cluster, user: &User, manifests: &str, flags: &[&str]) -> String {
    let file = user.home().join("manifests.yaml");
    std::fs::write(&file, manifests).unwrap();
    let mut command: Command = kubectl();
    command.arg("--kubeconfig").arg(cluster.kubeconfig()).args(["diff", "--server-side", "--field-manager=kubectl-kubestash"]).args(flags);
    let output = command.arg("-f").arg(file).output().unwrap();
    assert!(output.status.code().is_some_and(|code| code <= 1), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_plan_shows_what_kubectl_diff_shows() {
    let cluster = Cluster::start();
    cluster.apply(APPLICATION);
    let user = User::with_cluster(&cluster);
    user.ok(&["backup", "--name", "one", "-n", "demo"]);
    let manifests: Vec<String> = OBJECTS.iter().map(|object| user.ok(&["cat", "one", object, "-n", "demo"])).collect();
    let manifests = manifests.join("---\n");
    let patch = |object: &str, kind: &str, patch: &str| cluster.kubectl(&["-n", "demo", "patch", object, "--type", kind, "-p", patch]);
    patch("cm/settings", "merge", r#"{"metadata":{"labels":{"app":"other"}},"data":{"colour":"red","yes":null,"settings.yaml":"a: 2\n"}}"#);
    patch("svc/web", "json", r#"[{"op":"replace","path":"/spec/ports/0/targetPort","value":9090}]"#);
    patch(
        "deploy/web",
        "json",
        r#"[{"op":"replace","path":"/spec/template/spec/containers/0/image","value":"example.com/web:2"},
            {"op":"replace","path":"/spec/template/spec/containers/0/args","value":["--level","debug"]},
            {"op":"replace","path":"/metadata/annotations/note","value":"second"}]"#,
    );
    patch("cronjob/nightly", "merge", r#"{"spec":{"schedule":"0 4 * * *"}}"#);

    let expected = changed(&kubectl_diff(&cluster, &user, &manifests, &["--force-conflicts"]));
    assert!(expected.len() > 14, "{expected:#?}");
    let flags = ["restore", "one", "-n", "demo", "--existing=update", "--force-conflicts"];
    for dry_run in ["--dry-run=client", "--dry-run=server"] {
        let ran = user.run(&[&flags[..], &[dry_run]].concat());
        assert_eq!(ran.code, 0, "{ran:?}");
        assert_eq!(changed(&ran.out), expected, "{dry_run}: {ran:?}");
        assert!(!ran.out.contains("unchanged.yaml"), "{ran:?}");
    }
    // What was announced is what is done, but for the counter of rollouts, which a restore leaves to its controller.
    let done = user.run(&[&flags[..], &["--yes"]].concat());
    assert_eq!(done.code, 0, "{done:?}");
    let mut left = changed(&kubectl_diff(&cluster, &user, &manifests, &["--force-conflicts"]));
    left.retain(|line| !line.contains("deployment.kubernetes.io/revision: "));
    assert!(left.is_empty(), "{left:#?}\n{done:?}");
}

/// Without `--force-conflicts` an update leaves what others have added, and says so.
#[test]
fn a_plan_does_not_show_what_stays_as_removed() {
    let cluster = Cluster::start();
    cluster.kubectl(&["create", "namespace", "demo"]);
    let settings = |colour: &str| {
        format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: settings, namespace: demo}}\ndata: {{colour: {colour}, size: big}}\n")
    };
    let apply = |colour: &str| {
        cluster.kubectl_with_input(&["apply", "--server-side", "--field-manager=kubectl-kubestash", "-f", "-"], &settings(colour));
    };
    apply("blue");
    let user = User::with_cluster(&cluster);
    user.ok(&["backup", "--name", "one", "-n", "demo"]);
    apply("red");
    cluster.kubectl(&["-n", "demo", "patch", "cm/settings", "--type=merge", "-p", r#"{"data":{"added":"later"}}"#]);

    let manifest = user.ok(&["cat", "one", "configmaps/settings", "-n", "demo"]);
    let expected = changed(&kubectl_diff(&cluster, &user, &manifest, &[]));
    assert_eq!(expected, ["+  colour: blue", "-  colour: red"]);
    let flags = ["restore", "one", "configmaps/settings", "-n", "demo", "--existing=update"];
    let shown = user.run(&[&flags[..], &["--dry-run=client"]].concat());
    assert_eq!((shown.code, changed(&shown.out)), (0, expected), "{shown:?}");
    assert!(shown.out.contains("keeps what the snapshot does not have: .data.added (removed with --force-conflicts)"), "{shown:?}");
    user.ok(&[&flags[..], &["--yes"]].concat());
    let data = cluster.kubectl(&["-n", "demo", "get", "cm/settings", "-o", "jsonpath={.data}"]);
    assert_eq!(data, r#"{"added":"later","colour":"blue","size":"big"}"#);
}
