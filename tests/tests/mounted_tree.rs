//! `diff -r` between a mounted snapshot and a tree that kubectl wrote finds nothing but what is left out on purpose.
//!
//! The second tree shares no code with the product: kubectl prints the objects (`kubestash_tests::printed`), and the parts that a mount leaves
//! out are cut away here by lines. It is written before and after the backup; only when both are equal did the cluster stand still.
#![cfg(feature = "real")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::{Command, Output},
};

use kubestash_tests::{
    cluster::Cluster,
    mounts::Place,
    printed::{self, Name},
    program::User,
};

/// Kinds that a backup leaves out unless they are asked for, with the reasons.
const LEFT_OUT_KINDS: [(&str, &str); 9] = [
    ("events", "they pass by"),
    ("events.events.k8s.io", "they pass by"),
    ("leases.coordination.k8s.io", "they belong to running processes"),
    ("nodes", "they register themselves"),
    ("csinodes.storage.k8s.io", "they register themselves"),
    ("volumeattachments.storage.k8s.io", "kept by the storage drivers"),
    ("csistoragecapacities.storage.k8s.io", "kept by the storage drivers"),
    ("ipaddresses.networking.k8s.io", "allocated by the API server"),
    ("certificatesigningrequests.certificates.k8s.io", "requests of a moment"),
];

/// Endpoints that controllers keep for Services are left out too, while those that people write are not. Both kinds carry one of these.
const LEFT_OUT_OBJECTS: [&str; 2] = ["    endpoints.kubernetes.io/managed-by: endpoint", "    endpointslice.kubernetes.io/managed-by: endpoint"];

/// What the API server stamps on metadata, and nobody applies.
const LEFT_OUT_FIELDS: [&str; 8] =
    ["creationTimestamp", "deletionGracePeriodSeconds", "deletionTimestamp", "generation", "managedFields", "resourceVersion", "selfLink", "uid"];

/// What a directory shows of an object.
#[derive(Debug, Clone, Copy)]
enum Part {
    Whole,
    Manifest,
    ManifestAndStatus,
}

/// One member of a block map with all its lines.
struct Member<'a> {
    key: &'a str,
    text: String,
}

/// The members that start at `indent`: at a line that is neither deeper, nor empty, nor an item of a list.
fn members(text: &str, indent: usize) -> Vec<Member<'_>> {
    let mut members: Vec<Member<'_>> = Vec::new();
    for line in text.split_inclusive('\n') {
        let starts = line.get(..indent).is_some_and(|margin| margin.trim().is_empty())
            && line.get(indent..).is_some_and(|rest| !rest.starts_with([' ', '-', '\n']));
        match members.last_mut() {
            Some(last) if !starts => last.text.push_str(line),
            _ => members.push(Member { key: line.trim_start().split(':').next().unwrap(), text: line.to_owned() }),
        }
    }
    members
}

fn cut(object: &str, part: Part) -> String {
    if let Part::Whole = part {
        return object.to_owned();
    }
    let (mut manifest, mut status) = (String::new(), String::new());
    for member in members(object, 0) {
        match member.key {
            "status" => status = member.text,
            "metadata" => {
                manifest.push_str("metadata:\n");
                let fields = member.text.strip_prefix("metadata:\n").unwrap();
                let applied = members(fields, 2).into_iter().filter(|field| !LEFT_OUT_FIELDS.contains(&field.key));
                manifest.extend(applied.map(|field| field.text));
            }
            _ => manifest.push_str(&member.text),
        }
    }
    if let Part::ManifestAndStatus = part { manifest + &status } else { manifest }
}

fn write(folder: &Path, path: &str, text: &str) {
    let file = folder.join(path);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, text).unwrap();
}

/// All objects, laid out as a mount lays them out.
fn write_tree(objects: &BTreeMap<Name, String>, folder: &Path, main: Part) {
    for (name, object) in objects {
        write(folder, &format!("{name}.yaml"), &cut(object, main));
        let scope = name.namespace.as_ref().map_or_else(|| "cluster".to_owned(), |namespace| format!("namespaces/{namespace}"));
        write(folder, &format!("resources/{}/{scope}/{}.yaml", name.resource, name.name), &cut(object, Part::ManifestAndStatus));
    }
}

fn diff(one: &Path, other: &Path) -> Output {
    Command::new("diff").arg("-r").arg(one).arg(other).output().unwrap()
}

fn kinds(cluster: &Cluster) -> Vec<String> {
    let mut kinds = printed::listable(cluster, ",create");
    for (left_out, _) in LEFT_OUT_KINDS {
        let count = kinds.len();
        kinds.retain(|kind| kind != left_out);
        assert!(kinds.len() < count, "the cluster has no {left_out}: nothing to leave out");
    }
    kinds
}

/// Backs up a cluster that stands still, and gives what kubectl printed of it.
fn back_up(cluster: &Cluster, user: &User) -> BTreeMap<Name, String> {
    let kinds = kinds(cluster);
    let mut before = printed::print_all(cluster, &kinds);
    for round in 0..6 {
        let backup = user.run(&["backup", "--name", &format!("round-{round}")]);
        assert_eq!(backup.code, 0, "{backup:?}");
        let after = printed::print_all(cluster, &kinds);
        if before == after {
            let count = after.len();
            let kept = after.into_iter().filter(|(_, text)| !LEFT_OUT_OBJECTS.iter().any(|label| text.contains(label)));
            let kept: BTreeMap<Name, String> = kept.collect();
            assert!(kept.len() < count, "no Service has endpoints");
            return kept;
        }
        before = after;
    }
    panic!("the cluster never stands still");
}

#[test]
fn a_mount_is_what_kubectl_writes() {
    let cluster = Cluster::start();
    cluster.apply_everything();
    let user = User::with_cluster(&cluster);
    let objects = back_up(&cluster, &user);
    assert!(objects.len() > 350, "only {} objects", objects.len());

    for (main, flags) in [(Part::Whole, &["--full"][..]), (Part::Manifest, &[])] {
        let (tree, place) = (tempfile::tempdir().unwrap(), Place::new());
        write_tree(&objects, tree.path(), main);
        user.ok(&[&["mount", "latest", place.text()], flags].concat());
        let found = diff(tree.path(), place.path());
        let report = String::from_utf8_lossy(&found.stdout);
        assert!(found.status.success() && report.is_empty(), "{main:?}: {}", report.chars().take(4000).collect::<String>());
        println!("{main:?}: {} objects, no difference", objects.len());

        // It would have found one.
        let (name, text) = objects.iter().next_back().unwrap();
        write(tree.path(), &format!("{name}.yaml"), &format!("{text}#\n"));
        let found = diff(tree.path(), place.path());
        assert!(String::from_utf8_lossy(&found.stdout).contains(&format!("{name}.yaml")), "{found:?}");
        user.ok(&["umount", place.text()]);
    }
}
