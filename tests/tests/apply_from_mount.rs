//! Mounted manifests are manifests: a plain `kubectl apply -f` of them brings deleted objects back.
#![cfg(feature = "real")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::time::{Duration, Instant};

use kubestash_tests::{cluster::Cluster, program::User};

/// The API server refuses these as they were, whoever sends them: a Job's generated selector names the old Job's uid, and a token's
/// Secret is removed again because it names the old account's uid. `kubectl kubestash restore -f` knows what to leave out.
const NEED_RESTORE: [&str; 2] = ["jobs.batch/once.yaml", "secrets/web-key.yaml"];
/// What stands in front of others; everything else goes in any order.
const FIRST: &str = "serviceaccounts";

#[test]
fn what_is_mounted_can_be_applied() {
    let cluster = Cluster::start();
    cluster.apply_corpus(&["gateway-api", "shop"]);
    let user = User::with_cluster(&cluster);
    user.ok(&["backup", "--name", "before"]);
    let mount = user.home().join("mount");
    user.ok(&["mount", "before", mount.to_str().unwrap()]);

    // All that nobody makes again by itself.
    let shop = mount.join("namespaces/shop");
    let mut files: Vec<String> = Vec::new();
    for kind in std::fs::read_dir(&shop).unwrap().map(|entry| entry.unwrap()) {
        for file in std::fs::read_dir(kind.path()).unwrap().map(|entry| entry.unwrap()) {
            let text = std::fs::read_to_string(file.path()).unwrap();
            let by_controller = text.contains("    controller: true\n") || file.file_name() == "kube-root-ca.crt.yaml";
            if !by_controller {
                files.push(format!("{}/{}", kind.file_name().to_str().unwrap(), file.file_name().to_str().unwrap()));
            }
        }
    }
    files.sort_by_key(|file| (!file.starts_with(FIRST), file.clone()));
    assert!(files.len() >= 14, "{files:?}");

    cluster.kubectl(&["delete", "validatingadmissionpolicy,validatingadmissionpolicybinding", "safe-upgrades.gateway.networking.k8s.io"]);
    cluster.kubectl(&["delete", "namespace", "shop", "--timeout=120s"]);
    cluster.kubectl(&["delete", "crd", "httproutes.gateway.networking.k8s.io", "--timeout=60s"]);
    for path in ["cluster/namespaces/shop.yaml", "cluster/customresourcedefinitions.apiextensions.k8s.io/httproutes.gateway.networking.k8s.io.yaml"] {
        // On the client's side an annotation would have to hold the whole definition, which is too large for one.
        cluster.kubectl(&["apply", "--server-side", "-f", mount.join(path).to_str().unwrap()]);
    }
    for file in &files {
        let path = shop.join(file);
        if NEED_RESTORE.contains(&file.as_str()) {
            user.ok(&["restore", "-y", "-f", path.to_str().unwrap()]);
        } else {
            apply(&cluster, path.to_str().unwrap());
        }
    }

    // Compared as the program compares: only what people set.
    let start = Instant::now();
    loop {
        let missing: Vec<&String> = files
            .iter()
            .filter(|file| {
                let (kind, name) = file.split_once('/').unwrap();
                cluster.kubectl(&["get", "-n", "shop", kind, name.trim_end_matches(".yaml"), "--ignore-not-found", "-o", "name"]).is_empty()
            })
            .collect();
        if missing.is_empty() {
            break;
        }
        assert!(start.elapsed() < Duration::from_secs(60), "still missing: {missing:?}");
        std::thread::sleep(Duration::from_secs(1));
    }
    let diff = user.run(&["diff", "before", "live", "-n", "shop", "--name-only"]);
    let differing: Vec<&str> = diff.out.lines().filter(|line| !NEED_RESTORE.iter().any(|file| line.ends_with(file))).collect();
    // `kubectl apply` leaves its own annotation behind, and nothing else.
    for line in &differing {
        assert!(line.starts_with("M "), "{diff:?}");
    }
    let text = user.run(&["diff", "before", "live", "-n", "shop", "--kind", "cm,deploy,svc,sa,cronjobs,pdb,quota"]).out;
    let removed: Vec<&str> = text.lines().filter(|line| line.starts_with('-') && !line.starts_with("---")).collect();
    assert!(removed.is_empty(), "{text}");
    assert!(!cluster.kubectl(&["get", "crd", "httproutes.gateway.networking.k8s.io", "-o", "name"]).is_empty());
    user.ok(&["umount", mount.to_str().unwrap()]);
}

/// Again while the new namespace is not ready for pods.
fn apply(cluster: &Cluster, path: &str) {
    let start = Instant::now();
    while let Err(error) = cluster.try_kubectl(&["apply", "-f", path], "") {
        assert!(start.elapsed() < Duration::from_secs(30), "{path}: {error}");
        std::thread::sleep(Duration::from_millis(500));
    }
}
