//! One namespace restored into many: each copy may be disturbed in its own way, and must end like the one that was not.
//!
//! What a restore writes is all there: new objects of many kinds, an owner chain, updates, objects created anew, and removals.

use std::{collections::BTreeMap, fmt::Write as _};

use serde_json::{Value, json};

use crate::{
    cluster::Cluster,
    fault_proxy::FaultProxy,
    program::{Ran, User},
};

/// The namespace that is backed up.
const ORIGINAL: &str = "demo";
/// ConfigMaps that only fill it.
const MANY: usize = 20;
/// What is compared. Controllers make the rest.
const KINDS: &str = "configmaps,secrets,serviceaccounts,services,endpoints,persistentvolumeclaims,limitranges,resourcequotas,deployments,statefulsets,jobs,\
    cronjobs,horizontalpodautoscalers,poddisruptionbudgets,networkpolicies,roles,rolebindings,orders.example.com";

const DEFINITION: &str = "
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
      schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
";

const APPLICATION: &str = r#"
apiVersion: v1
kind: ServiceAccount
metadata: {name: web, namespace: demo}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader, namespace: demo}
rules: [{apiGroups: [""], resources: [configmaps], verbs: [get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: readers, namespace: demo}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects: [{kind: ServiceAccount, name: web, namespace: demo}]
---
apiVersion: v1
kind: Secret
metadata: {name: login, namespace: demo}
stringData: {password: hunter2}
---
apiVersion: v1
kind: Secret
type: kubernetes.io/service-account-token
metadata: {name: web-key, namespace: demo, annotations: {kubernetes.io/service-account.name: web}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: demo}
data: {colour: blue}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: frozen, namespace: demo}
immutable: true
data: {colour: blue}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: named-x7k2p, generateName: named-, namespace: demo}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: disk, namespace: demo}
spec: {accessModes: [ReadWriteOnce], storageClassName: none, resources: {requests: {storage: 1Gi}}}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: demo}
spec: {type: NodePort, selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: manual, namespace: demo}
spec: {clusterIP: None, ports: [{port: 80}]}
---
apiVersion: v1
kind: Endpoints
metadata: {name: manual, namespace: demo}
subsets: [{addresses: [{ip: 10.1.2.3}], ports: [{port: 80}]}]
---
apiVersion: v1
kind: LimitRange
metadata: {name: limits, namespace: demo}
spec: {limits: [{type: Container, default: {cpu: 100m}}]}
---
apiVersion: v1
kind: ResourceQuota
metadata: {name: quota, namespace: demo}
spec: {hard: {count/pods: "10"}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: demo}
spec:
  replicas: 0
  selector: {matchLabels: {app: web}}
  template: {metadata: {labels: {app: web}}, spec: {serviceAccountName: web, containers: [{name: web, image: none}]}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db, namespace: demo}
spec:
  replicas: 0
  serviceName: manual
  selector: {matchLabels: {app: db}}
  template: {metadata: {labels: {app: db}}, spec: {containers: [{name: db, image: none}]}}
---
apiVersion: batch/v1
kind: Job
metadata: {name: once, namespace: demo}
spec: {suspend: true, template: {spec: {restartPolicy: Never, containers: [{name: c, image: none}]}}}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: nightly, namespace: demo}
spec: {suspend: true, schedule: "0 3 * * *", jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: none}]}}}}}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: web, namespace: demo}
spec: {scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}, maxReplicas: 3}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: web, namespace: demo}
spec: {minAvailable: 1, selector: {matchLabels: {app: web}}}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: own, namespace: demo}
spec: {podSelector: {}, ingress: [{from: [{podSelector: {}}]}]}
---
apiVersion: example.com/v1
kind: Order
metadata: {name: first, namespace: demo}
spec: {pieces: 3}
"#;

/// What a copy holds before it is restored: objects in other states, and one in excess.
const FORMER: &str = "
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: demo}
data: {colour: red, more: than that}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: frozen, namespace: demo}
immutable: true
data: {colour: red}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: demo}
spec:
  replicas: 0
  selector: {matchLabels: {app: other}}
  template: {metadata: {labels: {app: other}}, spec: {containers: [{name: web, image: none}]}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: later, namespace: demo}
";

/// A namespace as it is, by `kind/name`: without what servers and controllers give to each copy, owners by name, and who manages fields.
pub type State = BTreeMap<String, Value>;

/// Room for a single claim: a second request of one that was made is refused for another cause than that it is there.
const TIGHT: &str =
    "{apiVersion: v1, kind: ResourceQuota, metadata: {name: tight, namespace: demo}, spec: {hard: {persistentvolumeclaims: '1'}}}\n---\n";

/// A cluster with the original, copies in their former state, and a backup.
pub struct Copies {
    /// The cluster.
    pub cluster: Cluster,
    /// What is between the user and the cluster.
    pub proxy: FaultProxy,
    /// Who restores, through the proxy.
    pub user: User,
}

impl Copies {
    /// So many copies.
    pub fn start(copies: usize) -> Self {
        let cluster = Cluster::own();
        cluster.apply(DEFINITION);
        cluster.kubectl(&["wait", "--for=condition=Established", "crd", "orders.example.com", "--timeout=60s"]);
        cluster.apply(&namespace(ORIGINAL));
        cluster.apply(&(APPLICATION.to_owned() + &many()));
        own(&cluster, "many-00", "owned");
        own(&cluster, "owned", "owned-by-owned");
        cluster.apply(&(0..copies).map(|number| namespace(&name(number)) + &inside(FORMER, number)).collect::<String>());
        cluster.kubectl(&["-n", ORIGINAL, "wait", "--for=jsonpath={.data.token}", "secret/web-key", "--timeout=60s"]);
        let proxy = FaultProxy::start(&cluster);
        let user = User::with_cluster(&cluster);
        user.ok(&["backup", "--name", "all", "-n", ORIGINAL]);
        let user = user.through(proxy.kubeconfig());
        Self { cluster, proxy, user }
    }

    /// Leaves so many copies room for a single claim, until they are restored: the quota is not in the snapshot.
    pub fn tighten(&self, copies: usize) {
        self.cluster.apply(&(0..copies).map(|number| inside(TIGHT, number)).collect::<String>());
        self.cluster.kubectl(&["wait", "-A", "--for=jsonpath={.status.hard}", "quota", "--all", "--timeout=60s"]);
    }

    /// The command that restores a copy.
    pub fn args(number: usize) -> Vec<String> {
        let mapping = format!("{ORIGINAL}:{}", name(number));
        let words =
            ["restore", "all", "-n", ORIGINAL, "--namespace-mapping", &mapping, "--existing", "recreate", "--force-conflicts", "--exact", "--yes"];
        words.into_iter().chain(["-o", "json", "--request-timeout", "3s"]).map(str::to_owned).collect()
    }

    /// Restores a copy to the end.
    pub fn restore(&self, number: usize) -> Ran {
        self.restore_with(number, &[])
    }

    /// The same with more flags.
    pub fn restore_with(&self, number: usize, more: &[&str]) -> Ran {
        let args = Self::args(number);
        self.user.run(&args.iter().map(String::as_str).chain(more.iter().copied()).collect::<Vec<_>>())
    }

    /// The state of all copies, by number.
    pub fn states(&self) -> BTreeMap<usize, State> {
        let text = self.cluster.kubectl(&["get", KINDS, "-A", "-o", "json", "--show-managed-fields"]);
        let list: Value = serde_json::from_str(&text).unwrap();
        let items = list["items"].as_array().unwrap();
        let named: BTreeMap<&str, String> = items.iter().map(|item| (item["metadata"]["uid"].as_str().unwrap(), label(item))).collect();
        let mut states: BTreeMap<usize, State> = BTreeMap::new();
        for item in items {
            let namespace = item["metadata"]["namespace"].as_str().unwrap_or_default();
            let Some(number) = namespace.strip_prefix("copy-").and_then(|number| number.parse().ok()) else { continue };
            if !["ConfigMap/kube-root-ca.crt", "ServiceAccount/default"].contains(&label(item).as_str()) {
                let plain = plain(item.clone(), &named).to_string().replace(namespace, "COPY");
                states.entry(number).or_default().insert(label(item), serde_json::from_str(&plain).unwrap());
            }
        }
        states
    }
}

/// Panics with every difference.
pub fn assert_same(disturbed: &State, undisturbed: &State, what: &str) {
    let mut differences = String::new();
    for name in disturbed.keys().chain(undisturbed.keys()).collect::<std::collections::BTreeSet<_>>() {
        let (left, right) = (disturbed.get(name), undisturbed.get(name));
        if left != right {
            let text = |value: Option<&Value>| value.map_or_else(|| "nothing".to_owned(), |value| format!("{value:#}"));
            writeln!(differences, "{name}: disturbed {}\nundisturbed {}", text(left), text(right)).unwrap();
        }
    }
    assert!(differences.is_empty(), "{what}:\n{differences}");
}

fn name(number: usize) -> String {
    format!("copy-{number:02}")
}

/// Manifests of the original, in a copy.
fn inside(manifests: &str, number: usize) -> String {
    manifests.replace(": demo}", &format!(": {}}}", name(number)))
}

fn namespace(name: &str) -> String {
    format!("\n---\napiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}}}\n---")
}

fn many() -> String {
    let one = |number: usize| {
        format!("---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: many-{number:02}, namespace: {ORIGINAL}}}\ndata: {{number: '{number}'}}\n")
    };
    (0..MANY).map(one).collect()
}

/// Makes a ConfigMap that another one owns.
fn own(cluster: &Cluster, owner: &str, owned: &str) {
    let uid = cluster.kubectl(&["-n", ORIGINAL, "get", "configmap", owner, "-o", "jsonpath={.metadata.uid}"]);
    let reference = json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": owner, "uid": uid}]);
    let metadata = json!({"name": owned, "namespace": ORIGINAL, "ownerReferences": reference});
    cluster.apply(&json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}).to_string());
}

fn label(object: &Value) -> String {
    format!("{}/{}", object["kind"].as_str().unwrap(), object["metadata"]["name"].as_str().unwrap())
}

/// Takes out what each copy has of its own.
fn plain(mut object: Value, named: &BTreeMap<&str, String>) -> Value {
    let managers: std::collections::BTreeSet<String> = object["metadata"]["managedFields"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|entry| entry["manager"] != "kube-controller-manager" && entry["subresource"].is_null())
        .map(|entry| format!("{} {}", entry["manager"], entry["operation"]))
        .collect();
    let kind = object["kind"].as_str().unwrap_or_default().to_owned();
    let mut without = |pointer: &str, keys: &[&str]| {
        let Some(map) = object.pointer_mut(pointer).and_then(Value::as_object_mut) else { return };
        keys.iter().for_each(|key| drop(map.remove(*key)));
    };
    without("", &["status"]);
    without("/metadata", &["uid", "resourceVersion", "creationTimestamp", "managedFields", "generation"]);
    without(
        "/metadata/annotations",
        &["deployment.kubernetes.io/revision", "endpoints.kubernetes.io/last-change-trigger-time", "kubernetes.io/service-account.uid"],
    );
    match kind.as_str() {
        "Service" => {
            without("/spec", &["clusterIP", "clusterIPs"]);
            without("/spec/ports/0", &["nodePort"]);
        }
        "Secret" => without("/data", &["token", "ca.crt", "namespace"]),
        "Job" => {
            without("/spec", &["selector"]);
            for labels in ["/metadata/labels", "/spec/template/metadata/labels"] {
                without(labels, &["controller-uid", "batch.kubernetes.io/controller-uid"]);
            }
        }
        _ => {}
    }
    for owner in object["metadata"]["ownerReferences"].as_array_mut().into_iter().flatten() {
        let uid = owner["uid"].as_str().unwrap_or_default();
        owner["uid"] = named.get(uid).cloned().unwrap_or_else(|| "of nobody".to_owned()).into();
    }
    // The endpoint controller marks some of its writes only, and an API server shows no empty annotations.
    if object["metadata"]["annotations"].as_object().is_some_and(serde_json::Map::is_empty) {
        object["metadata"].as_object_mut().unwrap().remove("annotations");
    }
    json!({"object": object, "managers": managers})
}
