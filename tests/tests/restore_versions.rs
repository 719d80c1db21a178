//! Objects of versions that the API server does not serve: a snapshot of an old cluster, old files, and definitions that moved on.
#![cfg(feature = "real")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use kubestash::{
    object::{GroupResource, KindInfo},
    repository::BackupOptions,
    restore::{
        Reason, Selection, Source,
        apply::Mode,
        plan::{Action, Options, Plan},
    },
};
use kubestash_tests::{
    cluster::Cluster,
    program::User,
    restoring::{applied, planned, repository, restored},
    write,
};
use serde_json::{Value, json};

fn kind(text: &str, version: &str, kind: &str, namespaced: bool) -> KindInfo {
    let gr: GroupResource = text.parse().unwrap();
    KindInfo { group: gr.group, version: version.into(), resource: gr.resource, kind: kind.into(), namespaced }
}

/// What clusters of other times held, by kind: the kind, the object's key, and the object without `apiVersion` and `kind`.
fn old_objects() -> Vec<(KindInfo, &'static str, Value)> {
    let template = || json!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "web", "image": "none"}]}});
    let meta = |name: &str| json!({"name": name, "namespace": "old"});
    let backend = || json!({"serviceName": "web", "servicePort": 80});
    let hook = json!({"name": "a.example.com", "sideEffects": "None", "clientConfig": {"url": "https://a.example.com"}});
    vec![
        (kind("namespaces", "v1", "Namespace", false), "old", json!({"metadata": {"name": "old"}})),
        (
            kind("customresourcedefinitions.apiextensions.k8s.io", "v1beta1", "CustomResourceDefinition", false),
            "widgets.old.example.com",
            json!({"metadata": {"name": "widgets.old.example.com"}, "spec": {
                "group": "old.example.com", "version": "v1", "scope": "Namespaced", "names": {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"},
                "validation": {"openAPIV3Schema": {"properties": {"spec": {"type": "object", "properties": {"size": {"type": "integer"}}}}}},
                "additionalPrinterColumns": [{"name": "Size", "type": "integer", "JSONPath": ".spec.size"}]}}),
        ),
        // What the schema does not know is kept, as the old definition wanted.
        (
            kind("widgets.old.example.com", "v1", "Widget", true),
            "old/w",
            json!({"metadata": meta("w"), "spec": {"size": 3, "unknown": {"deep": true}}}),
        ),
        (
            kind("deployments.extensions", "v1beta1", "Deployment", true),
            "old/web",
            json!({"metadata": meta("web"), "spec": {"replicas": 0, "template": template()}}),
        ),
        (
            kind("statefulsets.apps", "v1beta1", "StatefulSet", true),
            "old/db",
            json!({"metadata": meta("db"), "spec": {"replicas": 0, "serviceName": "db", "template": template()}}),
        ),
        (
            kind("ingresses.extensions", "v1beta1", "Ingress", true),
            "old/front",
            json!({"metadata": meta("front"), "spec": {"backend": backend(), "rules": [{"http": {"paths": [{"path": "/", "backend": backend()}]}}]}}),
        ),
        (
            kind("networkpolicies.extensions", "v1beta1", "NetworkPolicy", true),
            "old/closed",
            json!({"metadata": meta("closed"), "spec": {"podSelector": {}}}),
        ),
        (
            kind("poddisruptionbudgets.policy", "v1beta1", "PodDisruptionBudget", true),
            "old/web",
            json!({"metadata": meta("web"), "spec": {"minAvailable": 1, "selector": {}}}),
        ),
        (
            kind("cronjobs.batch", "v1beta1", "CronJob", true),
            "old/nightly",
            json!({"metadata": meta("nightly"), "spec": {"schedule": "0 0 * * *", "suspend": true, "jobTemplate": {"spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "a", "image": "none"}]}}}}}}),
        ),
        (
            kind("horizontalpodautoscalers.autoscaling", "v2beta1", "HorizontalPodAutoscaler", true),
            "old/web",
            json!({"metadata": meta("web"), "spec": {"maxReplicas": 3, "scaleTargetRef": {"apiVersion": "extensions/v1beta1", "kind": "Deployment", "name": "web"},
                "metrics": [{"type": "Resource", "resource": {"name": "cpu", "targetAverageUtilization": 80}}]}}),
        ),
        (kind("clusterroles.rbac.authorization.k8s.io", "v1beta1", "ClusterRole", false), "old", json!({"metadata": {"name": "old"}, "rules": []})),
        (kind("priorityclasses.scheduling.k8s.io", "v1beta1", "PriorityClass", false), "old", json!({"metadata": {"name": "old"}, "value": 5})),
        (kind("runtimeclasses.node.k8s.io", "v1beta1", "RuntimeClass", false), "old", json!({"metadata": {"name": "old"}, "handler": "runc"})),
        (
            kind("prioritylevelconfigurations.flowcontrol.apiserver.k8s.io", "v1beta2", "PriorityLevelConfiguration", false),
            "old",
            json!({"metadata": {"name": "old"}, "spec": {"type": "Limited", "limited": {"assuredConcurrencyShares": 7, "limitResponse": {"type": "Reject"}}}}),
        ),
        (
            kind("endpointslices.discovery.k8s.io", "v1beta1", "EndpointSlice", true),
            "old/manual",
            json!({"metadata": meta("manual"), "addressType": "IPv4", "endpoints": [{"addresses": ["10.1.2.3"], "topology": {"kubernetes.io/hostname": "n1"}}]}),
        ),
        (
            kind("validatingwebhookconfigurations.admissionregistration.k8s.io", "v1beta1", "ValidatingWebhookConfiguration", false),
            "old",
            json!({"metadata": {"name": "old"}, "webhooks": [hook]}),
        ),
        // Nothing takes its place.
        (kind("podsecuritypolicies.policy", "v1beta1", "PodSecurityPolicy", false), "tight", json!({"metadata": {"name": "tight"}, "spec": {}})),
    ]
}

fn refused(plan: &Plan) -> Vec<(String, Reason, String)> {
    let steps = plan.steps().filter(|step| step.action == Action::Fail);
    steps.map(|step| (step.id().to_string(), step.reason, step.detail.clone().unwrap_or_default())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_of_an_old_cluster_comes_back_in_the_versions_of_today() {
    let cluster = Cluster::without_controllers();
    let repository = repository().await;
    let objects = old_objects();
    let number = objects.len() as u64;
    let kinds = objects.into_iter().map(|(kind, key, mut object)| {
        let map = object.as_object_mut().unwrap();
        map.insert("apiVersion".into(), json!(kind.api_version()));
        map.insert("kind".into(), json!(kind.kind));
        (kind, vec![(key.to_owned(), object)])
    });
    let root = write::snapshot(&repository, BackupOptions::default(), "old", kinds.collect::<Vec<_>>()).await;
    let source = Source::Snapshot(repository.open_snapshot(&root).await.unwrap());

    let plan = planned(&cluster, &source, &Selection::default(), &Options::default()).await;
    let refusals = refused(&plan);
    assert_eq!(refusals.len(), 1, "{refusals:#?}");
    assert_eq!((refusals[0].0.as_str(), refusals[0].1), ("podsecuritypolicies.policy/tight", Reason::KindNotServed));
    assert!(refusals[0].2.contains("pod-security.kubernetes.io/enforce"), "{refusals:?}");
    for note in [
        "ingresses.networking.k8s.io: 1 stored as extensions/v1beta1, written as networking.k8s.io/v1",
        "cronjobs.batch: 1 stored as batch/v1beta1, written as batch/v1",
    ] {
        assert!(plan.notes.iter().any(|own| own == note), "{:#?}", plan.notes);
    }

    let report = applied(&cluster, &source, plan, Mode::Write).await;
    assert_eq!((report.created, report.failed), (number - 1, 1), "{:#?}", report.failures);
    for (object, path, expected) in [
        ("deploy/web", ".spec.selector.matchLabels.app", "web"),
        ("deploy/web", ".spec.progressDeadlineSeconds", "2147483647"),
        ("sts/db", ".spec.updateStrategy.type", "OnDelete"),
        ("ingress/front", ".spec.defaultBackend.service.port.number", "80"),
        ("ingress/front", ".spec.rules[0].http.paths[0].pathType", "ImplementationSpecific"),
        ("netpol/closed", ".spec.podSelector", "{}"),
        ("pdb/web", ".spec.selector", ""),
        ("cronjob/nightly", ".spec.schedule", "0 0 * * *"),
        ("hpa/web", ".spec.metrics[0].resource.target.averageUtilization", "80"),
        ("hpa/web", ".spec.scaleTargetRef.apiVersion", "apps/v1"),
        ("widgets.old.example.com/w", ".spec", r#"{"size":3,"unknown":{"deep":true}}"#),
        ("prioritylevelconfiguration/old", ".spec.limited.nominalConcurrencyShares", "7"),
        ("endpointslice/manual", ".endpoints[0].nodeName", "n1"),
        ("validatingwebhookconfiguration/old", ".webhooks[0].failurePolicy", "Ignore"),
        ("crd/widgets.old.example.com", ".spec.versions[0].additionalPrinterColumns[0].jsonPath", ".spec.size"),
    ] {
        assert_eq!(cluster.kubectl(&["-n", "old", "get", object, "-o", &format!("jsonpath={{{path}}}")]), expected, "{object} {path}");
    }
    // A second run has nothing to do, although no version of it is stored in the cluster.
    let again = planned(&cluster, &source, &Selection::default(), &Options::default()).await;
    assert!(again.steps().all(|step| !step.action.writes()), "{:#?}", again.counts());
}

const DEFINITION: &str = r"
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: rockbands.music.example.com}
spec:
  group: music.example.com
  scope: Namespaced
  names: {plural: rockbands, singular: rockband, kind: RockBand, listKind: RockBandList}
  versions: VERSIONS
  conversion: CONVERSION
";

fn definition(versions: &[(&str, bool, bool)], conversion: &Value) -> String {
    let schema =
        json!({"openAPIV3Schema": {"type": "object", "properties": {"spec": {"type": "object", "properties": {"genre": {"type": "string"}}}}}});
    let versions: Vec<Value> =
        versions.iter().map(|(name, served, storage)| json!({"name": name, "served": served, "storage": storage, "schema": schema})).collect();
    DEFINITION.replace("VERSIONS", &json!(versions).to_string()).replace("CONVERSION", &conversion.to_string())
}

fn established(cluster: &Cluster, definition: &str) {
    cluster.apply(definition);
    cluster.kubectl(&["wait", "--for=condition=Established", "crd/rockbands.music.example.com", "--timeout=60s"]);
}

/// Discovery follows a definition a moment later.
async fn served(cluster: &Cluster, versions: &[&str]) {
    let kind = GroupResource::new("music.example.com", "rockbands");
    let end = std::time::Instant::now() + std::time::Duration::from_secs(60);
    loop {
        let discovery = cluster.connect().await.discover().await.unwrap();
        let found = discovery.kind(&kind).map(|kind| kind.served_versions.clone()).unwrap_or_default();
        if found == versions {
            return;
        }
        assert!(std::time::Instant::now() < end, "{found:?} are served, {versions:?} were awaited");
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_definition_that_moved_on_takes_its_old_objects() {
    let cluster = Cluster::without_controllers();
    let by_name = json!({"strategy": "None"});
    established(&cluster, &definition(&[("v1alpha1", true, true)], &by_name));
    cluster.apply("apiVersion: v1\nkind: Namespace\nmetadata: {name: music}\n");
    cluster.apply("apiVersion: music.example.com/v1alpha1\nkind: RockBand\nmetadata: {name: abba, namespace: music}\nspec: {genre: pop}\n");
    let source = Source::Snapshot(cluster.snapshot(&repository().await, "before").await);
    let music = Selection::default().namespaces(&["music".to_owned()]).unwrap();
    // By paths: kubectl remembers for minutes which versions were served.
    let path = |version: &str| format!("/apis/music.example.com/{version}/namespaces/music/rockbands/abba");
    let genre = |version: &str| {
        let object: Value = serde_json::from_str(&cluster.kubectl(&["get", "--raw", &path(version)])).unwrap();
        object["spec"]["genre"].as_str().unwrap().to_owned()
    };
    let delete = |version: &str| cluster.kubectl(&["delete", "--raw", &path(version)]);
    let options = |chosen: &[&str]| Options {
        versions: chosen.iter().map(|version| (GroupResource::new("music.example.com", "rockbands"), (*version).to_owned())).collect(),
        ..Options::default()
    };

    // It still serves the stored version beside the one that it prefers.
    delete("v1alpha1");
    established(&cluster, &definition(&[("v1alpha1", true, false), ("v1", true, true)], &by_name));
    served(&cluster, &["v1", "v1alpha1"]).await;
    let plan = planned(&cluster, &source, &music, &options(&[])).await;
    assert!(plan.steps().all(|step| step.stored_as.is_none()));
    assert_eq!(applied(&cluster, &source, plan, Mode::Write).await.created, 1);
    assert_eq!(genre("v1"), "pop");

    // It does not serve it, and only names differ.
    delete("v1");
    established(&cluster, &definition(&[("v1alpha1", false, false), ("v1", true, true), ("v2beta1", true, false)], &by_name));
    served(&cluster, &["v1", "v2beta1"]).await;
    let plan = planned(&cluster, &source, &music, &options(&[])).await;
    assert_eq!(plan.notes, ["rockbands.music.example.com: 1 stored as music.example.com/v1alpha1, written as music.example.com/v1"]);
    assert_eq!(applied(&cluster, &source, plan, Mode::Write).await.created, 1);
    assert_eq!(genre("v1"), "pop");

    // A person names one.
    delete("v1");
    let chosen = planned(&cluster, &source, &music, &options(&["v2beta1"])).await;
    assert_eq!(chosen.notes, ["rockbands.music.example.com: 1 stored as music.example.com/v1alpha1, written as music.example.com/v2beta1"]);
    assert_eq!(applied(&cluster, &source, chosen, Mode::Write).await.created, 1);
    delete("v2beta1");
    let wrong = refused(&planned(&cluster, &source, &music, &options(&["v3"])).await);
    assert_eq!(wrong[0].2, "v3 was asked for, the cluster serves v1, v2beta1");

    // A webhook converts: nobody but the API server can ask it.
    let webhook =
        json!({"strategy": "Webhook", "webhook": {"conversionReviewVersions": ["v1"], "clientConfig": {"url": "https://convert.example.com"}}});
    established(&cluster, &definition(&[("v1alpha1", false, false), ("v1", true, true)], &webhook));
    served(&cluster, &["v1"]).await;
    let refusals = refused(&planned(&cluster, &source, &music, &options(&[])).await);
    assert_eq!(refusals[0].1, Reason::VersionNotServed);
    assert!(refusals[0].2.contains("serve v1alpha1 in the definition while you restore, or name a version with --api-version"), "{refusals:?}");
    assert_eq!(restored(&cluster, &source, &music, &options(&["v1"])).await.created, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_file_is_restored_by_the_command() {
    let cluster = Cluster::without_controllers();
    let user = User::with_cluster(&cluster);
    let file = user.home().join("old.yaml");
    let text = "apiVersion: extensions/v1beta1\nkind: Ingress\nmetadata: {name: front}\nspec: {backend: {serviceName: web, servicePort: http}}\n";
    std::fs::write(&file, text).unwrap();
    let file = file.to_str().unwrap();
    let dry = user.ok(&["restore", "-f", file, "-n", "default", "--dry-run"]);
    let line =
        "create ingresses.networking.k8s.io/front -n default: not in the cluster, stored as extensions/v1beta1, written as networking.k8s.io/v1";
    assert!(dry.contains(line), "{dry}");
    user.ok(&["restore", "-f", file, "-n", "default", "--yes"]);
    assert_eq!(cluster.kubectl(&["get", "ingress/front", "-o", "jsonpath={.spec.defaultBackend.service.port.name}"]), "http");
    let misplaced = user.run(&["restore", file, "--dry-run"]);
    assert!(misplaced.code == 1 && misplaced.err.contains(&format!("kubectl kubestash restore -f {file}")), "{misplaced:?}");
    let unknown = user.run(&["restore", "-f", file, "-n", "default", "--api-version", "ingress=networking.k8s.io/v1", "--dry-run"]);
    assert!(unknown.code == 1 && unknown.err.contains("write KIND=VERSION"), "{unknown:?}");
}
