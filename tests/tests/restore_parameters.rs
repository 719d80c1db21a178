//! The parameters of the task `manifest-restore`, each with what it does on a real API server.
#![cfg(feature = "real")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::collections::BTreeSet;

use kubestash::{
    restore::{Selection, Source, apply::Mode, plan::Options},
    session::parameters::{FilterParameters, RestoreParameters},
};
use kubestash_tests::{
    cluster::Cluster,
    restoring::{applied, planned, repository},
};

const OBJECTS: &str = r#"
apiVersion: v1
kind: ConfigMap
metadata: {name: param-one, namespace: param-a, labels: {app: web, tier: gold}}
data: {colour: blue}
---
apiVersion: v1
kind: Secret
metadata: {name: param-key, namespace: param-a, labels: {app: web}}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: param-data, namespace: param-a}
spec: {accessModes: [ReadWriteOnce], storageClassName: slow, resources: {requests: {storage: 1Gi}}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: param-two, namespace: param-b, labels: {app: db}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: param-role}
rules: []
---
apiVersion: v1
kind: PersistentVolume
metadata: {name: param-disk}
spec: {capacity: {storage: 1Gi}, accessModes: [ReadWriteOnce], persistentVolumeReclaimPolicy: Retain, storageClassName: other, hostPath: {path: /nowhere}}
"#;

/// What a row gives, by the names of parameters.
type Given<'a> = &'a [(&'a str, &'a str)];

fn given(parameters: Given<'_>) -> (FilterParameters, RestoreParameters, bool) {
    let (mut filters, mut options, mut volumes) = (FilterParameters::default(), RestoreParameters::default(), false);
    for (name, value) in parameters {
        let field = match *name {
            "ANDedLabelSelectors" => &mut filters.anded_labels,
            "ORedLabelSelectors" => &mut filters.ored_labels,
            "labelSelector" => &mut filters.label_selector,
            "IncludeClusterResources" => &mut filters.include_cluster_resources,
            "IncludeNamespaces" => &mut filters.include_namespaces,
            "ExcludeNamespaces" => &mut filters.exclude_namespaces,
            "IncludeResources" => &mut filters.include_resources,
            "ExcludeResources" => &mut filters.exclude_resources,
            "OverrideResources" => &mut options.override_resources,
            "StorageClassMappings" => &mut options.storage_classes,
            "NamespaceMappings" => &mut options.namespaces,
            "Existing" => &mut options.existing,
            "ForceConflicts" => &mut options.force_conflicts,
            "Labels" => &mut options.labels,
            "Patches" => &mut options.patches,
            "RestorePVs" => {
                volumes = *value == "true";
                continue;
            }
            other => panic!("there is no parameter {other}"),
        };
        (*value).clone_into(field);
    }
    (filters, options, volumes)
}

/// Restores as a Job with these parameters does, and names what was written.
async fn run(cluster: &Cluster, source: &Source, parameters: Given<'_>) -> BTreeSet<String> {
    let (filters, options, volumes) = given(parameters);
    let discovery = cluster.connect().await.discover().await.unwrap();
    let labels = (!filters.label_selector.is_empty()).then(|| filters.label_selector.parse().unwrap());
    let selection = Selection::default().filters(&filters.restore(volumes).unwrap(), &discovery.kinds).unwrap().labels(labels);
    let options =
        Options { same_cluster: true, ..options.options(&|word| discovery.resolve(word).ok().map(|kind| kind.info.group_resource())).unwrap() };
    let plan = planned(cluster, source, &selection, &options).await;
    let written: BTreeSet<String> =
        plan.steps().filter(|step| step.action.writes() && step.name.starts_with("param-")).map(|step| step.id().to_string()).collect();
    let report = applied(cluster, source, plan, Mode::Write).await;
    assert!(report.is_complete(), "{parameters:?}: {:#?}", report.failures);
    written
}

#[tokio::test(flavor = "multi_thread")]
async fn each_parameter_does_what_it_says() {
    let cluster = Cluster::start();
    for namespace in ["param-a", "param-b", "param-copy"] {
        cluster.apply(&format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {namespace}}}\n"));
    }
    cluster.apply(OBJECTS);
    cluster.settle().await;
    let source = Source::Snapshot(cluster.snapshot(&repository().await, "before").await);
    let delete = || {
        for namespace in ["param-a", "param-b", "param-copy"] {
            cluster.kubectl(&["-n", namespace, "delete", "--ignore-not-found", "cm/param-one", "cm/param-two", "secret/param-key", "pvc/param-data"]);
        }
        cluster.kubectl(&["delete", "--ignore-not-found", "clusterrole/param-role", "pv/param-disk"]);
    };
    let (one, key, data) = ("configmaps/param-one -n param-a", "secrets/param-key -n param-a", "persistentvolumeclaims/param-data -n param-a");
    let two = "configmaps/param-two -n param-b";
    let (role, disk) = ("clusterroles.rbac.authorization.k8s.io/param-role", "persistentvolumes/param-disk");
    let rows: [(Given<'_>, &[&str]); 12] = [
        (&[], &[one, key, data, two]),
        (&[("IncludeClusterResources", "true")], &[one, key, data, two, role]),
        (&[("IncludeClusterResources", "true"), ("RestorePVs", "true")], &[one, key, data, two, role, disk]),
        (&[("RestorePVs", "true")], &[one, key, data, two]),
        (&[("IncludeNamespaces", "param-a")], &[one, key, data]),
        (&[("IncludeNamespaces", "param-*"), ("ExcludeNamespaces", "param-a")], &[two]),
        (&[("IncludeResources", "configmaps")], &[one, two]),
        (&[("ExcludeResources", "secrets,persistentvolumeclaims")], &[one, two]),
        (&[("ANDedLabelSelectors", "app:web,tier:gold")], &[one]),
        (&[("ORedLabelSelectors", "app:db,tier:gold")], &[one, two]),
        (&[("labelSelector", "app=web,tier!=gold")], &[key]),
        (
            &[("IncludeNamespaces", "param-a"), ("NamespaceMappings", "param-a:param-copy"), ("IncludeResources", "configmaps")],
            &["configmaps/param-one -n param-copy"],
        ),
    ];
    for (parameters, expected) in rows {
        delete();
        let written = run(&cluster, &source, parameters).await;
        assert_eq!(written, expected.iter().map(|id| (*id).to_owned()).collect(), "{parameters:?}");
    }

    let get = |object: &str, path: &str| cluster.kubectl(&["-n", "param-a", "get", object, "-o", &format!("jsonpath={{{path}}}")]);
    delete();
    run(&cluster, &source, &[("StorageClassMappings", "slow=fast"), ("Labels", "restored=yes"), ("IncludeNamespaces", "param-a")]).await;
    assert_eq!(
        (get("pvc/param-data", ".spec.storageClassName"), get("secret/param-key", ".metadata.labels.restored")),
        ("fast".into(), "yes".into())
    );
    // By kind: the Secret differs as well, and stays.
    let by_kind: Given<'_> =
        &[("Existing", "configmaps=update"), ("ForceConflicts", "true"), ("IncludeNamespaces", "param-a"), ("Labels", "restored=no")];
    let updated = run(&cluster, &source, by_kind).await;
    assert_eq!(updated, [one.to_owned()].into());
    assert_eq!((get("cm/param-one", ".metadata.labels.restored"), get("secret/param-key", ".metadata.labels.restored")), ("no".into(), "yes".into()));

    // What exists is left alone, unless it is overridden: then also against whoever changed it.
    cluster.kubectl(&["-n", "param-a", "patch", "cm", "param-one", "--type=merge", "-p", r#"{"data":{"colour":"red","new":"1"}}"#]);
    assert!(run(&cluster, &source, &[("IncludeNamespaces", "param-a")]).await.is_empty());
    assert_eq!(get("cm/param-one", ".data.colour"), "red");
    let overridden =
        run(&cluster, &source, &[("OverrideResources", "true"), ("IncludeResources", "configmaps"), ("IncludeNamespaces", "param-a")]).await;
    assert_eq!(overridden, [one.to_owned()].into());
    assert_eq!(get("cm/param-one", ".data"), r#"{"colour":"blue"}"#);
    delete();
    let patch = "- target: {kind: ConfigMap, name: param-one}\n  patch: [{op: replace, path: /data/colour, value: green}]\n";
    run(&cluster, &source, &[("Patches", patch), ("IncludeResources", "configmaps")]).await;
    assert_eq!(get("cm/param-one", ".data.colour"), "green");
}
