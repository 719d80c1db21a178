//! The drill: a cluster with monitoring, definitions of many kinds, an operator and an application is lost, and a new one is made from the
//! bucket, by the command line alone.
//!
//! Whoever restores is killed three times on the way. Every object must be as it was, but for what the saved plan announces.
#![cfg(feature = "real")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::{collections::BTreeMap, process::Stdio, time::Duration};

use kubestash::{
    object::ObjectId,
    repository::{Password, Repository, Snapshot},
    restore::{
        Difference, DifferenceKind, Reason, SavedPlan, differences,
        plan::{Action, Plan, Step},
    },
};
use kubestash_tests::{
    cluster::Cluster,
    fault_proxy::{Fault, FaultProxy},
    image,
    program::User,
    s3::S3Server,
};

const PASSWORD: &str = "drill";
/// What the node can run, with all that it needs; and a webhook that nobody answers, which refuses new orders.
fn application(folder: &str) -> String {
    r#"
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: orders.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {kind: Order, plural: orders, singular: order}
  versions:
    - name: v1
      served: true
      storage: true
      subresources: {status: {}}
      schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, x-kubernetes-preserve-unknown-fields: true}}}}
---
apiVersion: v1
kind: Namespace
metadata: {name: orders, labels: {team: trade}, annotations: {note: kept}}
---
apiVersion: v1
kind: PersistentVolume
metadata: {name: orders}
spec:
  capacity: {storage: 1Gi}
  accessModes: [ReadWriteMany]
  storageClassName: ''
  persistentVolumeReclaimPolicy: Retain
  claimRef: {name: disk, namespace: orders}
  hostPath: {path: FOLDER, type: Directory}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: disk, namespace: orders}
spec: {accessModes: [ReadWriteMany], storageClassName: '', resources: {requests: {storage: 1Gi}}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: web, namespace: orders}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader, namespace: orders}
rules: [{apiGroups: [example.com], resources: [orders], verbs: [get, list]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: readers, namespace: orders}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects: [{kind: ServiceAccount, name: web, namespace: orders}]
---
apiVersion: v1
kind: Secret
metadata: {name: login, namespace: orders}
stringData: {password: hunter2}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: orders}
data: {colour: blue}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: orders}
spec: {selector: {app: web}, ports: [{port: 443}]}
---
apiVersion: v1
kind: Service
metadata: {name: db, namespace: orders}
spec: {clusterIP: None, selector: {app: db}, ports: [{port: 5432}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: orders}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      serviceAccountName: web
      dnsPolicy: Default
      containers:
      - name: web
        image: localhost/hello:1
        imagePullPolicy: Never
        args: [stay]
        env: [{name: PASSWORD, valueFrom: {secretKeyRef: {name: login, key: password}}}]
        volumeMounts: [{name: settings, mountPath: /settings}, {name: disk, mountPath: /disk}]
      volumes:
      - {name: settings, configMap: {name: settings}}
      - {name: disk, persistentVolumeClaim: {claimName: disk}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db, namespace: orders}
spec:
  serviceName: db
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec: {dnsPolicy: Default, containers: [{name: db, image: 'localhost/hello:1', imagePullPolicy: Never, args: [stay]}]}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: nightly, namespace: orders}
spec: {suspend: true, schedule: "0 3 * * *", jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: none}]}}}}}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: web, namespace: orders}
spec: {minAvailable: 1, selector: {matchLabels: {app: web}}}
---
apiVersion: example.com/v1
kind: Order
metadata: {name: first, namespace: orders}
spec: {pieces: 3}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: closed}
webhooks:
- name: closed.example.com
  admissionReviewVersions: [v1]
  sideEffects: None
  failurePolicy: Fail
  timeoutSeconds: 1
  clientConfig: {service: {name: web, namespace: orders}}
  rules: [{apiGroups: [example.com], apiVersions: ['*'], operations: [CREATE], resources: [orders]}]
"#
    .replace("FOLDER", folder)
}

/// What runs on the node, in namespaces of the old cluster and of the new one.
const RUNNING: [(&str, &str); 3] = [("orders", "deployment/web"), ("orders", "statefulset/db"), ("kubestash", "deployment/kubestash-operator")];

fn new_cluster() -> Cluster {
    let cluster = Cluster::with_node();
    image::import_hello(&cluster);
    image::import(&cluster);
    cluster
}

fn wait_for_what_runs(cluster: &Cluster) {
    for (namespace, workload) in RUNNING {
        let rolled_out = cluster.try_kubectl(&["-n", namespace, "rollout", "status", workload, "--timeout=240s"], "");
        rolled_out.unwrap_or_else(|error| panic!("{workload}: {error}\n{}", cluster.kubectl(&["get", "pods", "-A", "-o", "wide"])));
    }
}

/// A user with the bucket, and with a cluster.
fn user(server: &S3Server, cluster: &Cluster) -> User {
    let (place, variables) = server.settings("drill");
    let user = User::with_cluster(cluster).variable("KUBESTASH_REPO", &place).variable("KUBESTASH_PASSWORD", PASSWORD);
    variables.iter().fold(user, |user, (name, value)| user.variable(name, value))
}

fn steps(plan: &Plan) -> BTreeMap<ObjectId, &Step> {
    plan.steps().map(|step| (step.id(), step)).collect()
}

/// Whether a plan for another cluster said that this would come out otherwise.
fn is_announced(difference: &Difference, steps: &BTreeMap<ObjectId, &Step>) -> bool {
    let Some(step) = steps.get(&difference.id) else { return false };
    match &difference.kind {
        DifferenceKind::Changed(diff) if step.action == Action::Create => {
            // Addresses are of their cluster.
            let is_address = |line: &str| {
                let entry = line[1..].trim_start().trim_start_matches("- ");
                ["clusterIP: ", "10.96.", "nodePort: "].iter().any(|word| entry.starts_with(word))
            };
            let changed = diff.lines().skip(2).filter(|line| line.starts_with(['+', '-']));
            step.kind.resource == "services" && changed.into_iter().all(is_address)
        }
        DifferenceKind::Changed(_) | DifferenceKind::Missing => step.action == Action::Skip && step.reason != Reason::Unchanged,
        DifferenceKind::Added => false,
    }
}

async fn snapshot(server: &S3Server, name: &str) -> Snapshot {
    let store = server.store("drill");
    let keys = store.list("").await.unwrap();
    let config = keys.iter().find_map(|entry| entry.key.strip_suffix("/config")).expect("there is a repository");
    let repository = Repository::open(store.sub(config), &Password::new(PASSWORD)).await.unwrap();
    let root = repository.snapshots().await.unwrap().roots.into_iter().find(|root| root.name == name).unwrap();
    repository.open_snapshot(&root).await.unwrap()
}

#[test]
fn a_cluster_is_made_anew_from_the_bucket() {
    let server = S3Server::start();
    let disk = tempfile::tempdir().unwrap();
    let old = new_cluster();
    let owner = user(&server, &old);
    owner.ok(&["install", "--image", image::IMAGE, "--image-pull-policy", "Never"]);
    old.apply_everything();
    let (before_the_webhook, webhook) =
        application(disk.path().to_str().unwrap()).rsplit_once("---").map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    old.apply(&before_the_webhook);
    old.apply(&webhook);
    wait_for_what_runs(&old);
    owner.ok(&["backup", "--name", "before"]);
    drop((owner, old));

    let new = new_cluster();
    let operator = user(&server, &new);
    let file = operator.home().join("plan");
    operator.ok(&["restore", "before", "--plan-out", file.to_str().unwrap()]);
    let saved = SavedPlan::read(&std::fs::read_to_string(&file).unwrap()).unwrap();
    let proxy = FaultProxy::start(&new);
    let operator = operator.through(proxy.kubeconfig());
    let writes = saved.plan.steps().filter(|step| step.action.writes()).count();
    // At definitions, in the middle of what is left, and at workloads.
    for moment in [8, writes / 2, writes / 4] {
        proxy.script(move |asked| if asked.write == moment { Fault::DoneAndHeld } else { Fault::Pass });
        let mut restore = operator.command(&["restore", "before", "--yes"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        proxy.held(Duration::from_secs(120)).unwrap_or_else(|| panic!("there is no write {moment}"));
        restore.kill().unwrap();
        restore.wait().unwrap();
    }
    proxy.script(|_| Fault::Pass);
    let ended = operator.run(&["restore", "before", "--yes"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    wait_for_what_runs(&new);
    let operator = user(&server, &new);
    operator.ok(&["backup", "--name", "after"]);

    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let found = runtime.block_on(async {
        let (before, after) = (snapshot(&server, "before").await, snapshot(&server, "after").await);
        assert!(before.catalog().rows().count() > 300);
        differences(&before, &after).await.unwrap()
    });
    let announced = steps(&saved.plan);
    let surprises: Vec<&Difference> = found.iter().filter(|difference| !is_announced(difference, &announced)).collect();
    assert!(surprises.is_empty(), "{} of {}: {surprises:#?}", surprises.len(), found.len());

    // The webhook is in force again, and the claim has its volume.
    let refused = new.try_kubectl(&["apply", "-f", "-"], "apiVersion: example.com/v1\nkind: Order\nmetadata: {name: second, namespace: orders}\n");
    assert!(refused.as_ref().is_err_and(|why| why.contains("failed calling webhook \"closed.example.com\"")), "{refused:?}");
    assert_eq!(new.kubectl(&["-n", "orders", "get", "pvc", "disk", "-o", "jsonpath={.status.phase} {.spec.volumeName}"]), "Bound orders");
    assert_eq!(new.kubectl(&["-n", "orders", "get", "order", "first", "-o", "jsonpath={.spec.pieces}"]), "3");
}
