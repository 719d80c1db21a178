//! What a restore shows of itself: a table of kinds on a terminal, and nothing that moves elsewhere.
#![cfg(feature = "real")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::{
    fmt::Write as _,
    process::{Command, Stdio},
};

use kubestash_tests::{cluster::Cluster, program::User};

/// Objects to restore: enough to be looked at on the way.
const OBJECTS: usize = 1000;

/// Runs a command on a terminal of its own, and gives all that was drawn.
fn on_a_terminal(user: &User, args: &[&str]) -> String {
    let inner = user.command(args);
    let words = std::iter::once(inner.get_program()).chain(inner.get_args()).map(|word| format!("'{}'", word.to_str().unwrap()));
    let mut script = Command::new("script");
    script
        .args(["-qec", &words.collect::<Vec<_>>().join(" "), "/dev/null"])
        .env_clear()
        .stdin(Stdio::null())
        .env("TERM", "xterm")
        .env("SHELL", "/bin/sh");
    script.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = script.output().expect("`script` of util-linux is installed");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn kinds_are_shown_while_they_are_restored() {
    let cluster = Cluster::without_controllers();
    let mut text = String::new();
    for number in 0..OBJECTS {
        write!(text, "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: cm-{number}}}\n").unwrap();
    }
    let user = User::with_cluster(&cluster);
    let file = user.home().join("crowd.yaml");
    std::fs::write(&file, &text).unwrap();
    let restore = ["restore", "-f", file.to_str().unwrap(), "-n", "default", "--yes"];
    let delete = || cluster.kubectl(&["delete", "--raw", "/api/v1/namespaces/default/configmaps"]);

    let drawn = on_a_terminal(&user, &restore);
    for shown in ["KIND", "CREATED", "CHANGED", "LEFT", "FAILED", "configmaps", &format!("/{OBJECTS} objects")] {
        assert!(drawn.contains(shown), "{shown} is not in {drawn:?}");
    }
    let last = drawn.trim_end().lines().last().unwrap().to_owned();
    assert!(last.contains("created, 0 updated"), "the report stands where the table was: {last:?}");

    delete();
    let plain = user.run(&restore);
    assert_eq!(plain.code, 0, "{plain:?}");
    assert!(!plain.err.contains("CHANGED"), "{plain:?}");
    delete();
    let quiet = [&restore[..], &["--quiet"]].concat();
    assert!(!on_a_terminal(&user, &quiet).contains("CHANGED"));
}
