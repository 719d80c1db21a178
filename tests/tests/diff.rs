//! `diff` against a real cluster, as users with different passwords see it.
#![cfg(feature = "real")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use kubestash_tests::{cluster::Cluster, program::User};

#[test]
fn what_the_cluster_generates_is_shown_on_demand() {
    let cluster = Cluster::shared();
    cluster.apply_corpus(&["shop"]);
    let user = User::with_cluster(cluster);
    user.ok(&["backup", "--name", "one", "-n", "shop"]);

    // A Job that is made again gets a uid of its own, which its selector and labels hold.
    cluster.kubectl(&["-n", "shop", "delete", "job", "once"]);
    user.ok(&["restore", "one", "job/once", "-n", "shop", "--yes"]);
    let quiet = user.run(&["diff", "one", "live"]);
    assert_eq!((quiet.code, quiet.out.as_str()), (0, ""), "{quiet:?}");
    assert!(quiet.err.contains("Not shown: 1 object that differs only in uids, "), "{quiet:?}");
    let shown = user.run(&["diff", "one", "live", "--generated"]);
    assert_eq!(shown.code, 1, "{shown:?}");
    assert!(shown.out.starts_with("--- a/namespaces/shop/jobs.batch/once.yaml\n+++ b/namespaces/shop/jobs.batch/once.yaml\n"), "{shown:?}");
    let changed: Vec<&str> = shown.out.lines().skip(2).filter(|line| line.starts_with(['+', '-'])).collect();
    assert!(!changed.is_empty() && changed.iter().all(|line| line.contains("controller-uid: ")), "{changed:#?}");

    cluster.kubectl(&["-n", "shop", "patch", "cm", "settings", "--type=merge", "-p", r#"{"data":{"colour":"red"}}"#]);
    cluster.kubectl(&["-n", "shop", "create", "cm", "a-name-of-another-length"]);
    let stat = user.run(&["diff", "one", "live", "--stat"]);
    assert_eq!(stat.code, 1, "{stat:?}");
    assert_eq!(
        stat.out,
        "A namespaces/shop/configmaps/a-name-of-another-length.yaml   +5   -0\n\
         M namespaces/shop/configmaps/settings.yaml                   +1   -1\n"
    );
}

#[test]
fn a_general_password_compares_what_it_may_see_of_secrets() {
    let cluster = Cluster::shared();
    cluster.apply("apiVersion: v1\nkind: Namespace\nmetadata: {name: hush}\n");
    let login =
        |data: &str| cluster.apply(&format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: login, namespace: hush}}\nstringData: {data}\n"));
    login("{password: hunter2}");
    cluster.apply("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: colours, namespace: hush}\ndata: {sky: blue}\n");
    // A controller puts it into every namespace, some time after.
    cluster.kubectl(&["-n", "hush", "wait", "--for=create", "cm/kube-root-ca.crt", "--timeout=60s"]);
    let user = User::with_cluster(cluster);
    user.ok(&["backup", "--name", "one", "-n", "hush", "--sensitive", "configmaps"]);
    user.ok(&["key", "add", "--new-password-file", "general", "--general-only"]);
    let general = |sides: [&str; 2]| user.run(&["diff", sides[0], sides[1], "--password-file", "general"]);
    let both = ["one", "live"];

    // The ConfigMap of every namespace with the cluster's certificate is sensitive here too.
    let note = "Values of 3 sensitive objects were not compared, only their keys and lengths: this password does not open them.\n";
    for sides in [both, ["live", "one"]] {
        let equal = general(sides);
        assert_eq!((equal.code, equal.out.as_str()), (3, ""), "{equal:?}");
        assert!(equal.err.contains(note) && equal.err.contains("No differences."), "{equal:?}");
    }
    let full = user.run(&["diff", "one", "live"]);
    assert_eq!((full.code, full.out.as_str()), (0, ""), "{full:?}");

    // Of the same length: nobody can tell, and nobody says so.
    login("{password: hunter3}");
    assert_eq!(general(both).code, 3);
    let full = user.run(&["diff", "one", "live", "--name-only"]);
    assert_eq!((full.code, full.out.as_str()), (1, "M namespaces/hush/secrets/login.yaml\n"), "{full:?}");
    user.ok(&["backup", "--name", "two", "-n", "hush", "--sensitive", "configmaps"]);
    let stored = general(["one", "two"]);
    let path = "namespaces/hush/secrets/login.yaml";
    assert_eq!((stored.code, stored.out), (1, format!("Hidden values of a/{path} and b/{path} differ\n")));

    login("{password: hunter2, token: abc}");
    cluster.kubectl(&["-n", "hush", "create", "secret", "generic", "fresh", "--from-literal=key=value"]);
    let seen = general(both);
    assert_eq!(seen.code, 1, "{seen:?}");
    assert!(seen.out.contains("\n   password: '<hidden: 7 bytes>'\n+  token: '<hidden: 3 bytes>'\n"), "{seen:?}");
    assert!(seen.out.contains("+++ b/namespaces/hush/secrets/fresh.yaml\n") && seen.out.contains("\n+  key: '<hidden: 5 bytes>'\n"), "{seen:?}");
    assert!(!seen.out.contains("aHVudG") && seen.err.contains(note) && seen.err.contains("2 objects differ."), "{seen:?}");
}
