//! Clusters for tests are real, stand side by side, and leave nothing behind, however they end.
#![cfg(feature = "real")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::{
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use kubestash_tests::{
    cluster::Cluster,
    image, tests_folder,
    traces::{lives_on, node_traces, traces, wait_for, wait_until_gone},
};

const PODS: &str = "
apiVersion: batch/v1
kind: Job
metadata: {name: once}
spec: {template: {spec: {restartPolicy: Never, dnsPolicy: Default, containers: [{name: c, image: 'localhost/hello:1', imagePullPolicy: Never}]}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: stays}
spec:
  selector: {matchLabels: {app: stays}}
  template:
    metadata: {labels: {app: stays}}
    spec: {dnsPolicy: Default, containers: [{name: c, image: 'localhost/hello:1', imagePullPolicy: Never, args: [stay]}]}
";

#[test]
fn pods_run_on_a_node_and_end_with_it() {
    let others = node_traces();
    let cluster = Cluster::with_node();
    image::import_hello(&cluster);
    cluster.apply(PODS);
    cluster.kubectl(&["wait", "--for=condition=Complete", "job/once", "--timeout=180s"]);
    assert_eq!(cluster.kubectl(&["logs", "job/once"]), "hello from a pod\n");
    cluster.kubectl(&["wait", "--for=condition=Available", "deploy/stays", "--timeout=180s"]);

    let state = cluster.state().unwrap();
    let left = traces(&state);
    for needle in ["/hello stay", "containerd", "kubelet", "network namespace", "folder"] {
        assert!(left.iter().any(|trace| trace.contains(needle)), "{needle} is not among {left:#?}");
    }
    assert!(lives_on(&left));
    // Nothing of the pods is seen from outside but the processes.
    assert!(!left.iter().any(|trace| trace.starts_with("mount")), "{left:#?}");
    assert!(node_traces().difference(&others).count() >= 2);

    drop(cluster);
    wait_until_gone(&state);
    wait_for("the end of the network namespace", || !lives_on(&left), String::new);
    // Other tests' nodes come and go; what this one had is gone.
    let own = node_name(&state);
    assert!(!node_traces().iter().any(|trace| trace.ends_with(&own)), "{:?}", node_traces());
}

/// The end of the names that a node gives to what it makes outside of its folder.
fn node_name(state: &Path) -> String {
    let output = Command::new("sh").args(["-c", "printf %s \"$1\" | sha256sum | cut -c1-8", "name"]).arg(state).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn two_clusters_stand_side_by_side() {
    let (one, other) = std::thread::scope(|scope| {
        let other = scope.spawn(Cluster::own);
        (Cluster::own(), other.join().unwrap())
    });
    one.apply("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: here, namespace: default}\n");
    assert!(one.kubectl(&["get", "configmaps", "-n", "default", "-o", "name"]).contains("configmap/here"));
    assert!(!other.kubectl(&["get", "configmaps", "-n", "default", "-o", "name"]).contains("configmap/here"));
    let states = [one.state().unwrap(), other.state().unwrap()];
    assert!(states.iter().all(|state| traces(state).iter().filter(|trace| trace.starts_with("process")).count() >= 4));
    drop(one);
    wait_until_gone(&states[0]);
    assert_eq!(other.kubectl(&["get", "namespace", "default", "-o", "name"]), "namespace/default\n");
    drop(other);
    wait_until_gone(&states[1]);
}

/// A test process of its own, whose temporary files are all below a folder.
fn test_process(test: &str, temporary: &Path) -> Child {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", test, "--nocapture"]).env("NODE_TEST_CHILD", "1").env("TMPDIR", temporary).stdout(Stdio::null()).stderr(Stdio::null());
    child.spawn().unwrap()
}

/// A file of the only cluster below a folder.
fn in_state(temporary: &Path, name: &str) -> Option<PathBuf> {
    let folder = std::fs::read_dir(temporary).unwrap().next()?.unwrap().path();
    Some(folder.join("state").join(name)).filter(|path| path.exists())
}

#[test]
fn a_killed_test_leaves_nothing() {
    if std::env::var_os("NODE_TEST_CHILD").is_some() {
        let cluster = Cluster::own();
        std::fs::write(cluster.state().unwrap().join("test-is-ready"), "").unwrap();
        std::thread::sleep(std::time::Duration::from_secs(3600));
    }
    // While the cluster starts, and when it runs.
    for moment in ["etcd.pid", "test-is-ready"] {
        let folder = tempfile::tempdir().unwrap();
        let temporary = folder.path().join("tmp");
        std::fs::create_dir(&temporary).unwrap();
        let mut child = test_process("a_killed_test_leaves_nothing", &temporary);
        wait_for(moment, || in_state(&temporary, moment).is_some(), || format!("{:#?}", traces(&temporary)));
        child.kill().unwrap();
        child.wait().unwrap();
        wait_for("an empty folder", || std::fs::read_dir(&temporary).unwrap().next().is_none(), || format!("{:#?}", traces(&temporary)));
        std::fs::remove_dir(&temporary).unwrap();
        wait_until_gone(&temporary);
    }
}

#[test]
fn a_killed_start_is_cleared_away_and_twice_is_fine() {
    for (flags, moment) in [(&[][..], "up.pid"), (&[][..], "etcd.pid"), (&["--node"][..], "unshare.pid"), (&["--node"][..], "containerd.pid")] {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        let script = tests_folder("devcluster/devcluster");
        let mut up = Command::new(&script);
        up.arg("up").arg(&state).args(flags).stdout(Stdio::null()).stderr(Stdio::null());
        // The script alone is killed, not what it started.
        let mut up = up.process_group(0).spawn().unwrap();
        wait_for(moment, || state.join(moment).exists(), || format!("{:#?}", traces(&state)));
        up.kill().unwrap();
        up.wait().unwrap();
        for _ in 0..2 {
            assert!(Command::new(&script).arg("down").arg(&state).status().unwrap().success());
            let left = traces(&state);
            assert!(left.is_empty(), "killed at {moment}: {left:#?}");
        }
        let own = node_name(&state);
        assert!(!node_traces().iter().any(|trace| trace.ends_with(&own)), "{:?}", node_traces());
    }
}

#[test]
fn only_clusters_are_removed() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("precious"), "").unwrap();
    for command in ["up", "down"] {
        let refused = Command::new(tests_folder("devcluster/devcluster")).arg(command).arg(folder.path()).output().unwrap();
        assert!(!refused.status.success(), "{command}");
        assert!(folder.path().join("precious").exists());
    }
}
