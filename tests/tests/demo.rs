//! The demo, as a newcomer without a terminal runs it, and what is left when it is killed.
#![cfg(feature = "real")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::{
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Command, Stdio},
};

use kubestash_tests::{
    program::programs,
    tests_folder,
    traces::{traces, wait_for, wait_until_gone},
};

/// The demo with a folder for temporary files of its own. Its standard input is closed, not merely empty.
fn demo(temporary: &Path) -> Command {
    let mut command = Command::new("bash");
    command.args(["-c", "exec \"$0\" <&-"]).arg(tests_folder("demo"));
    command.env("CI", "true").env("KUBESTASH_BIN", programs()).env("TMPDIR", temporary);
    command
}

fn entries(folder: &Path) -> Vec<String> {
    std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn the_story_is_told_to_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let output = demo(folder.path()).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}\n{err}");
    let mut rest = said.as_str();
    for key in [
        "$ kubectl kubestash backup --name monday",
        " new, 0 changed, 0 unchanged)",
        "$ mkdir monday && kubectl kubestash mount monday monday\nMounted monday, ",
        "\nmonday/namespaces/shop/configmaps/settings.yaml:  colour: blue\n",
        "\nnamespace \"shop\" deleted\n",
        "\nM namespaces/monitoring/prometheuses.monitoring.coreos.com/k8s.yaml ",
        "\n-  replicas: 2\n+  replicas: 0\n",
        "$ kubectl kubestash restore monday --existing=update --force-conflicts --yes\nACTION ",
        " 1 updated, ",
        ", 0 failed\n",
        "\nNo differences.\n",
        "{\"colour\":\"blue\"",
        "\nno damage found\n",
        "\nUnmounted monday.\n",
    ] {
        let (_, behind) = rest.split_once(key).unwrap_or_else(|| panic!("{key:?} is not told, or not in its place:\n{said}"));
        rest = behind;
    }
    // One that nobody reads to its end convinces nobody.
    let lines = said.lines().count();
    assert!((80..=120).contains(&lines), "{lines} lines:\n{said}");
    assert!(!said.contains('\u{1b}'), "colours without a terminal:\n{said}");
    // The folder itself is ours.
    assert_eq!(entries(folder.path()), Vec::<String>::new());
    assert_eq!(traces(folder.path()).len(), 1, "{:#?}", traces(folder.path()));
}

/// Kills the demo when something is there, and waits until all of it is gone.
fn killed(when: &str, there: impl Fn(&Path) -> bool) {
    let folder = tempfile::tempdir().unwrap();
    // A group of its own: killing that is what a terminal or a CI runner that gives up does.
    let mut child = demo(folder.path()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0).spawn().unwrap();
    let place = || entries(folder.path()).first().map(|name| folder.path().join(name));
    wait_for(when, || place().is_some_and(|place| there(&place)), || format!("{:#?}", traces(folder.path())));
    let place = place().unwrap();
    assert!(child.try_wait().unwrap().is_none(), "it was over before it could be killed");
    // SAFETY: a plain system call; the group is the child's own.
    assert_eq!(unsafe { libc::kill(-(child.id() as i32), libc::SIGKILL) }, 0);
    child.wait().unwrap();
    wait_until_gone(&place);
}

#[test]
fn killed_while_its_cluster_starts_it_leaves_nothing() {
    killed("the API server's process", |place| place.join("cluster/apiserver.pid").exists());
}

#[test]
fn killed_while_its_snapshot_is_mounted_it_leaves_nothing() {
    killed("the mount", |place| place.join("home/monday/cluster").exists());
}
