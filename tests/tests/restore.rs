//! Delete and restore on a real cluster: every object equal to before, but for what the server stamps.
#![cfg(feature = "real")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use kubestash::{
    object::{GroupResource, ObjectId},
    repository::Snapshot,
    restore::{
        Pick, Reason, Selection, Source,
        apply::Mode,
        differences,
        plan::{Action, Existing, Options},
    },
};
use kubestash_tests::{
    cluster::Cluster,
    restoring::{applied, planned, repository},
};

fn same_cluster() -> Options {
    Options { same_cluster: true, ..Options::default() }
}

fn settings() -> ObjectId {
    ObjectId { kind: GroupResource::new("", "configmaps"), namespace: Some("shop".into()), name: "settings".into() }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_deleted_comes_back_equal() {
    let cluster = Cluster::start();
    cluster.apply_everything();
    let uid = cluster.kubectl(&["get", "configmap", "settings", "-n", "shop", "-o", "jsonpath={.metadata.uid}"]);
    cluster.apply(&format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: owned\n  namespace: shop\n  ownerReferences:\n  - {{apiVersion: v1, kind: ConfigMap, name: settings, uid: {uid}}}\n"
    ));
    cluster.settle().await;
    let repository = repository().await;
    let before = cluster.snapshot(&repository, "before").await;
    let source = Source::Snapshot(before.clone());

    let idle = planned(&cluster, &source, &Selection::default(), &same_cluster()).await;
    let idle = applied(&cluster, &source, idle, Mode::Write).await;
    assert_eq!((idle.created, idle.updated, idle.write_requests), (0, 0, 0), "{idle:#?}");
    assert!(idle.is_empty());

    destroy(&cluster);
    let full = planned(&cluster, &source, &Selection::default(), &same_cluster()).await;
    let wanted = full.steps().filter(|step| step.action == Action::Create).count() as u64;
    let dry = applied(&cluster, &source, full.clone(), Mode::ServerDryRun).await;
    assert_eq!(dry.failed, 0, "{:#?}", dry.causes);
    assert!(dry.not_checkable.values().sum::<u64>() > 0);

    let start = std::time::Instant::now();
    let report = applied(&cluster, &source, full, Mode::Write).await;
    eprintln!("{} of {wanted} objects in {:?}, {} requests", report.created, start.elapsed(), report.write_requests);
    eprintln!("skipped {:#?}\nwarnings {:#?}", report.skipped, report.warnings);
    assert!(report.is_complete(), "{:#?}", report.causes);
    assert!(report.write_requests as f64 <= wanted as f64 * 1.05 + 5.0, "{} requests", report.write_requests);

    cluster.settle().await;
    let after = cluster.snapshot(&repository, "after").await;
    let found = differences(&before, &after).await.unwrap();
    assert!(found.is_empty(), "{}", found.iter().map(|one| format!("{}: {:?}\n", one.id, one.kind)).collect::<String>());

    let again = planned(&cluster, &source, &Selection::default(), &same_cluster()).await;
    let missing: Vec<_> = again.steps().filter(|step| step.action == Action::Create).map(|step| step.id().to_string()).collect();
    assert!(missing.is_empty(), "{missing:?}");

    an_owner_is_relinked(&cluster);
    an_update_undoes_an_edit(&cluster, &source).await;
    one_object_comes_back_from_a_file(&cluster, &before).await;
}

fn destroy(cluster: &Cluster) {
    // Its service answers nothing here, and a namespace is not deleted while discovery of any group fails.
    cluster.kubectl(&["delete", "apiservice", "v1beta1.metrics.k8s.io"]);
    // It refuses definitions of the very version that comes with it.
    cluster.kubectl(&["delete", "validatingadmissionpolicy,validatingadmissionpolicybinding", "safe-upgrades.gateway.networking.k8s.io"]);
    cluster.kubectl(&["delete", "namespace", "shop", "monitoring", "--timeout=120s"]);
    cluster.kubectl(&["delete", "crd", "--all", "--timeout=60s"]);
    cluster.kubectl(&["delete", "clusterrole,clusterrolebinding", "-l", "app.kubernetes.io/part-of=kube-prometheus"]);
    cluster.kubectl(&["delete", "clusterrole", "shop:aggregate"]);
}

fn an_owner_is_relinked(cluster: &Cluster) {
    let get = |path: &str, name: &str| cluster.kubectl(&["-n", "shop", "get", "configmap", name, "-o", &format!("jsonpath={{{path}}}")]);
    assert_eq!(get(".metadata.ownerReferences[0].uid", "owned"), get(".metadata.uid", "settings"));
}

async fn an_update_undoes_an_edit(cluster: &Cluster, source: &Source) {
    cluster.kubectl(&["-n", "shop", "patch", "configmap", "settings", "--type=merge", "-p", r#"{"data":{"colour":"red","new":"1"}}"#]);
    let selection = Selection::default().picks(vec![Pick::Object(settings())]);
    let options = Options { existing: Existing::Update.into(), ..same_cluster() };
    let update = planned(cluster, source, &selection, &options).await;
    let diff = update.steps().next().unwrap().diff.clone().unwrap();
    assert!(diff.contains("-  colour: red\n-  new: \"1\"\n+  colour: blue\n"), "{diff}");
    let refused = applied(cluster, source, update, Mode::Write).await;
    let cause = refused.causes.first().unwrap().cause.clone();
    assert!(cause.contains("conflict with \"kubectl-patch\"") && cause.contains("force"), "{cause}");

    let options = Options { force: true, ..options };
    let forced = planned(cluster, source, &selection, &options).await;
    let report = applied(cluster, source, forced, Mode::Write).await;
    assert_eq!((report.updated, report.failed), (1, 0), "{report:#?}");
    assert_eq!(cluster.kubectl(&["-n", "shop", "get", "configmap", "settings", "-o", "jsonpath={.data}"]), r#"{"colour":"blue","yes":"no"}"#);
    let done = planned(cluster, source, &selection, &options).await;
    assert_eq!(done.steps().next().unwrap().reason, Reason::Unchanged);
}

async fn one_object_comes_back_from_a_file(cluster: &Cluster, snapshot: &Snapshot) {
    cluster.kubectl(&["-n", "shop", "delete", "configmap", "settings"]);
    let row = snapshot.catalog().find(&settings()).unwrap();
    let text = String::from_utf8(snapshot.manifest(row).await.unwrap().to_vec()).unwrap();
    let discovery = cluster.connect().await.discover().await.unwrap();
    let kind_of = |api_version: &str, kind: &str| {
        discovery.kinds.iter().map(|found| &found.info).find(|info| info.api_version() == api_version && info.kind == kind).cloned()
    };
    let source = Source::from_file(&text, "default", &kind_of).unwrap();
    let one = planned(cluster, &source, &Selection::default(), &Options::default()).await;
    let report = applied(cluster, &source, one, Mode::Write).await;
    assert_eq!((report.created, report.failed), (1, 0), "{report:#?}");
    assert_eq!(cluster.kubectl(&["-n", "shop", "get", "configmap", "settings", "-o", "jsonpath={.data.colour}"]), "blue");
}
