//! Whole objects of a live cluster are, byte for byte, what `kubectl get -o yaml --show-managed-fields` prints: every object of every kind
//! that can be listed. How kubectl is asked stands in `kubestash_tests::printed`.
#![cfg(feature = "real")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::collections::{BTreeMap, BTreeSet};

use kubestash::{
    collect::Filters,
    repository::{KeyCost, Password, Repository, Snapshot},
    store::Store,
};
use kubestash_tests::{
    awkward,
    cluster::Cluster,
    differences::{Place, Reason, may_differ},
    printed::{self, Name},
};
use serde_json::{Map, Value, json};

/// A kind that takes whatever is in its objects.
const DEFINITION: &str = r"
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: strings.example.com}
spec:
  group: example.com
  names: {kind: Strings, plural: strings, singular: strings}
  scope: Namespaced
  versions:
  - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}
";

/// Kinds that kubectl lists and a backup of all kinds leaves out, with the reason.
const LEFT_OUT: [(&str, &str); 1] = [("events.events.k8s.io", "the same objects as the core group's events")];

/// Objects that are printed otherwise on purpose, by name.
const DIFFERENT: [(&str, &[Reason]); 1] = [(
    "namespaces/default/strings.example.com/differs",
    &[Reason::LineSeparator, Reason::KubectlLosesText, Reason::MergeKey, Reason::NumberForOthers, Reason::ByteOrderMark, Reason::KeyOfSeveralLines],
)];

/// An object that holds strings as keys, values and items.
fn strings(name: &str, wanted: impl Fn(Option<Reason>) -> bool) -> Value {
    let all = awkward::strings();
    let values: Vec<&String> = all.iter().filter(|string| wanted(may_differ(string, Place::Value))).collect();
    let keys: Vec<Value> = all.iter().filter(|string| wanted(may_differ(string, Place::Key))).map(|string| json!([{string: string.len()}])).collect();
    let numbers = json!([0, 1.5, -7, 1e-7, 123_456_789.25, 1e300, 9_007_199_254_740_993_i64]);
    json!({"apiVersion": "example.com/v1", "kind": "Strings", "metadata": {"name": name, "namespace": "default"},
           "values": values, "keys": keys, "numbers": numbers, "nested": [[{"deep": {"values": values}}]]})
}

/// A ConfigMap with every string that kubectl prints as we do, in values and in an annotation.
fn config_map() -> Value {
    let plain: Vec<String> = awkward::strings().into_iter().filter(|string| may_differ(string, Place::Value).is_none()).collect();
    let data: Map<String, Value> = plain.iter().enumerate().map(|(at, string)| (format!("string-{at}"), json!(string))).collect();
    json!({"apiVersion": "v1", "kind": "ConfigMap", "data": data,
           "metadata": {"name": "awkward", "namespace": "default", "annotations": {"example.com/all": plain.concat(), "example.com/one": "yes"}}})
}

fn apply_extras(cluster: &Cluster) {
    cluster.apply(DEFINITION);
    cluster.kubectl(&["wait", "--for=condition=Established", "crd/strings.example.com", "--timeout=60s"]);
    // What kubectl cannot print it cannot compare either, and would stop the printing of its kind.
    let printable = |reason: Option<Reason>| !matches!(reason, Some(Reason::KubectlCannotPrint | Reason::KubectlCannotPrintKey));
    for object in [config_map(), strings("alike", |reason| reason.is_none()), strings("differs", |reason| reason.is_some() && printable(reason))] {
        // A cluster that was given may hold them already.
        cluster.kubectl_with_input(&["delete", "--ignore-not-found", "-f", "-"], &object.to_string());
        cluster.kubectl_with_input(&["create", "-f", "-"], &object.to_string());
    }
}

async fn whole_objects(snapshot: &Snapshot) -> BTreeMap<Name, String> {
    let mut objects = BTreeMap::new();
    for row in snapshot.catalog().rows() {
        let id = row.id();
        let name = Name { resource: id.kind.to_string(), namespace: id.namespace, name: id.name };
        objects.insert(name, String::from_utf8(snapshot.whole(row.number).await.unwrap().to_vec()).unwrap());
    }
    objects
}

/// What became of the comparison of one object.
#[derive(Debug, Default)]
struct Outcome {
    same: BTreeSet<Name>,
    different: BTreeMap<Name, String>,
    /// Changed, made or deleted between the two reads.
    moved: BTreeSet<Name>,
}

fn compare(ours: &BTreeMap<Name, String>, theirs: &BTreeMap<Name, String>) -> Outcome {
    let mut outcome = Outcome::default();
    for name in ours.keys().chain(theirs.keys()).collect::<BTreeSet<_>>() {
        match (ours.get(name), theirs.get(name)) {
            (Some(a), Some(b)) if a == b => _ = outcome.same.insert(name.clone()),
            (Some(a), Some(b)) if printed::version(a) == printed::version(b) => {
                let line = a.lines().zip(b.lines()).position(|(a, b)| a != b).unwrap_or(0);
                let shown = |text: &str| text.lines().skip(line).take(2).collect::<Vec<_>>().join("\n");
                outcome.different.insert(name.clone(), format!("line {}\nours:    {}\nkubectl: {}", line + 1, shown(a), shown(b)));
            }
            _ => _ = outcome.moved.insert(name.clone()),
        }
    }
    outcome
}

#[tokio::test(flavor = "multi_thread")]
async fn whole_objects_are_what_kubectl_prints() {
    let cluster = Cluster::start();
    cluster.apply_everything();
    apply_extras(&cluster);
    cluster.settle().await;
    let repository = Repository::init(Store::memory(), &Password::new("right"), KeyCost::CHEAP, "test", jiff::Timestamp::now()).await.unwrap();

    let mut kinds = printed::listable(&cluster, "");
    kinds.retain(|kind| LEFT_OUT.iter().all(|(left_out, _)| left_out != kind));
    let (mut same, mut different) = (BTreeSet::new(), BTreeMap::new());
    // Objects that change between the two reads are read again, with all of their kinds.
    for round in 0..8 {
        let filters = Filters { include_resources: kinds.clone(), include_cluster_resources: Some(true), all_kinds: true, ..Filters::default() };
        let ours = whole_objects(&cluster.snapshot_of(&repository, &format!("round-{round}"), &filters).await).await;
        let theirs = printed::print_all(&cluster, &kinds);
        let outcome = compare(&ours, &theirs);
        println!("round {round}: {} kinds, {} same, {} moved", kinds.len(), outcome.same.len(), outcome.moved.len());
        same.extend(outcome.same);
        different.extend(outcome.different);
        kinds = outcome.moved.into_iter().map(|name| name.resource).collect::<BTreeSet<_>>().into_iter().collect();
        if kinds.is_empty() {
            break;
        }
    }
    assert!(kinds.is_empty(), "objects of {kinds:?} change faster than they can be compared");
    for (name, reasons) in DIFFERENT {
        let difference = different.iter().find(|(own, _)| own.to_string() == name).map(|(own, _)| own.clone());
        let difference = difference.unwrap_or_else(|| panic!("{name} is printed alike although it holds {reasons:?}"));
        different.remove(&difference);
    }
    assert!(
        different.is_empty(),
        "{} objects differ:\n{}",
        different.len(),
        different.iter().map(|(name, at)| format!("{name}, {at}\n")).collect::<String>()
    );
    println!("{} objects of {} kinds have kubectl's bytes", same.len(), same.iter().map(|name| &name.resource).collect::<BTreeSet<_>>().len());
    assert!(same.len() > 450, "only {} objects", same.len());
}
