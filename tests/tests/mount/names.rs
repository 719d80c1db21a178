//! Every name that an API server takes is a file that is found, listed and read by that name, and leads back to its object.

use std::collections::{BTreeMap, BTreeSet};

use kstashfs::{FileOptions, Forest, MountOptions};
use kubestash::{
    object::{KindInfo, ObjectId, is_shortened},
    repository::BackupOptions,
};
use kubestash_tests::{
    mounts::{Mounted, sh},
    sample::{Sample, Shape},
    write,
};
use serde_json::json;

fn kind(group: &str, resource: &str, kind: &str, namespaced: bool) -> KindInfo {
    KindInfo { group: group.into(), version: "v1".into(), resource: resource.into(), kind: kind.into(), namespaced }
}

/// Names of RBAC objects may be any segment of a path; those of ConfigMaps are DNS names of up to 253 bytes.
fn names() -> Vec<(KindInfo, BTreeSet<String>)> {
    let roles = [
        "a",
        "A",
        "aA",
        "Aa",
        "system:node",
        "system:controller:x",
        "a b",
        " ",
        "ä",
        "日本語",
        "..a",
        "a..",
        "...",
        "-",
        "~",
        "*",
        "?",
        "$(id)",
        "a\\b",
        "a\"b",
        "a'b",
        "#",
        "con",
        "nul.txt",
        "a.yaml",
        ".hidden",
        "\u{202e}x",
        "a\nb",
        "\t",
    ];
    let mut roles: BTreeSet<String> = roles.map(str::to_owned).into();
    // The limit is the store's, not the API server's.
    roles.extend([250, 251, 255, 256, 400].map(|length| "R".repeat(length)));
    roles.extend([250, 251, 255, 256, 400].map(|length| "r".repeat(length)));
    let dns = ["a", "a.b", "a-b", "a.b.yaml", "0", "a--b"].map(|name| format!("demo/{name}"));
    let mut dns: BTreeSet<String> = dns.into();
    dns.extend([249, 250, 251, 252, 253].map(|length| format!("demo/{}", "n".repeat(length))));
    dns.insert(format!("demo/{}b", "n".repeat(252)));
    dns.insert(format!("{}/x", "n".repeat(63)));
    vec![(kind("", "configmaps", "ConfigMap", true), dns), (kind("rbac.authorization.k8s.io", "clusterroles", "ClusterRole", false), roles)]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_name_the_api_allows_round_trips() {
    let sample = Sample::new(Shape { namespaces: 0, kinds: 0, each: 0, bytes: 0 }).await;
    let kinds = names().into_iter().map(|(kind, keys)| {
        let objects = keys.into_iter().map(|key| {
            let (namespace, name) = key.split_once('/').map_or((None, key.as_str()), |(namespace, name)| (Some(namespace), name));
            let object = json!({"metadata": {"name": name, "namespace": namespace}});
            (key, object)
        });
        (kind, objects.collect::<BTreeMap<_, _>>())
    });
    let root = write::snapshot(sample.repository(), BackupOptions::default(), "one", kinds.collect::<Vec<_>>()).await;
    let snapshot = sample.repository().open_snapshot(&root).await.unwrap();
    let one = Mounted::new(Forest::of(&snapshot, FileOptions::default()), &MountOptions::default());
    let all = Mounted::new(Forest::all(sample.repository().clone(), vec![root.clone()], FileOptions::default()), &MountOptions::default());
    let mut paths = BTreeSet::new();
    for row in snapshot.catalog().rows() {
        let (id, text) = (row.id(), snapshot.manifest(row.number).await.unwrap());
        let path = id.mount_path();
        assert!(paths.insert(path.clone()), "two objects at {path}");
        let (folder, file) = path.rsplit_once('/').unwrap();
        assert!(file.len() <= 255);
        // By name, which nobody has listed yet.
        assert_eq!(std::fs::read(one.path().join(&path)).unwrap(), text, "{id}");
        assert_eq!(std::fs::read(all.path().join("snapshots/one").join(&path)).unwrap(), text, "{id}");
        let versions = all.path().join("history").join(folder).join(file.strip_suffix(".yaml").unwrap());
        let version = versions.join(format!("{}.yaml", kubestash::api::time_name(root.time)));
        assert_eq!(std::fs::read(version).unwrap(), text, "{id}");
        // And back.
        if is_shortened(file) {
            assert!(file.len() > 251 && id.name.len() > 250, "{id}");
        } else {
            assert_eq!(ObjectId::from_mount_path(one.path().join(&path).to_str().unwrap()).unwrap(), id);
        }
    }
    let listed: BTreeSet<String> = sh(one.path(), "find cluster namespaces -type f -print0").split_terminator('\0').map(str::to_owned).collect();
    assert_eq!(listed, paths);
    let versions = sh(all.path(), "find history -type f -print0");
    assert_eq!(versions.split_terminator('\0').count(), paths.len());
    for (other, own) in [("cluster/clusterroles.rbac.authorization.k8s.io/AA.yaml", "aA"), ("namespaces/Demo", "demo"), ("CLUSTER", "cluster")] {
        assert!(!one.path().join(other).exists(), "{other} is not {own}");
    }
}
