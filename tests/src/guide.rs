//! The guide to backing up cluster resources, as a user follows it: its objects, and what an outsider sees of them.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::{cluster::Cluster, image, program::User, s3::S3Server};

/// Where the guide's backups go.
#[derive(Debug, Clone, Copy)]
pub enum Backend<'a> {
    /// A bucket, below a prefix.
    Bucket(&'a S3Server, &'a str),
    /// A folder of the node.
    HostPath(&'a str),
    /// A claim, bound to a volume that is a folder of the node.
    Claim(&'a str),
}

/// A cluster with the operator, and its user.
pub struct Guide {
    /// The cluster.
    pub cluster: Cluster,
    /// Who installs and triggers.
    pub user: User,
}

/// The namespace of the guide.
pub const NAMESPACE: &str = "demo";

impl Guide {
    /// A cluster with a node, the image in it, and the operator installed.
    pub fn start() -> Self {
        let cluster = Cluster::with_node();
        image::import(&cluster);
        let user = User::with_cluster(&cluster);
        user.ok(&["install", "--image", image::IMAGE, "--image-pull-policy", "Never"]);
        Self { cluster, user }
    }

    /// Its namespace, its Secrets, its storage and its policy.
    pub fn prepare(&self, backend: Backend<'_>) {
        self.cluster.apply(&format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {NAMESPACE}}}\n"));
        self.cluster
            .apply("apiVersion: v1\nkind: Secret\nmetadata: {name: encrypt-secret, namespace: demo}\nstringData: {RESTIC_PASSWORD: changeit}\n");
        self.cluster.apply(&storage(backend));
        self.cluster.apply(POLICY);
    }

    /// An object as JSON.
    pub fn get(&self, kind: &str, name: &str) -> Value {
        let text = self.cluster.kubectl(&["-n", NAMESPACE, "get", kind, name, "-o", "json"]);
        serde_json::from_str(&text).unwrap()
    }

    /// All objects of a kind, by name.
    pub fn list(&self, kind: &str) -> Vec<Value> {
        let text = self.cluster.kubectl(&["-n", NAMESPACE, "get", kind, "-o", "json"]);
        let list: Value = serde_json::from_str(&text).unwrap();
        list["items"].as_array().unwrap().clone()
    }

    /// Waits until an object is in a phase, and gives it; a phase that it does not leave any more ends the wait with all that is known.
    pub fn wait_for_phase(&self, kind: &str, name: &str, phase: &str) -> Value {
        let start = Instant::now();
        loop {
            let found = self.cluster.try_kubectl(&["-n", NAMESPACE, "get", kind, name, "-o", "json"], "");
            let found: Value = found.map_or(Value::Null, |text| serde_json::from_str(&text).unwrap());
            let now = found["status"]["phase"].as_str().unwrap_or_default();
            if now == phase {
                return found;
            }
            let ended = matches!(now, "Failed" | "Succeeded" | "Skipped" | "Invalid") && phase != now;
            assert!(!ended && start.elapsed() < Duration::from_secs(180), "{kind} {name} is {now:?}, not {phase}\n{}", self.everything());
            std::thread::sleep(Duration::from_millis(300));
        }
    }

    /// The only object of a kind, once it is there.
    pub fn wait_for_one(&self, kind: &str) -> Value {
        let start = Instant::now();
        loop {
            if let [one] = self.list(kind).as_slice() {
                return one.clone();
            }
            assert!(start.elapsed() < Duration::from_secs(120), "there is not one {kind}\n{}", self.everything());
            std::thread::sleep(Duration::from_millis(300));
        }
    }

    /// Waits for something else that becomes true.
    pub fn wait_until(&self, what: &str, holds: impl Fn() -> bool) {
        let start = Instant::now();
        while !holds() {
            assert!(start.elapsed() < Duration::from_secs(120), "{what}: not in two minutes\n{}", self.everything());
            std::thread::sleep(Duration::from_millis(300));
        }
    }

    /// What a person would look at when something went wrong.
    pub fn everything(&self) -> String {
        let kinds = "backupstorage,repository,backupconfiguration,backupsession,snapshots.storage.kubestash.com,restoresession,job,pod";
        let shown = self.cluster.try_kubectl(&["get", kinds, "-A"], "").unwrap_or_else(|error| error);
        let described = self.cluster.try_kubectl(&["-n", NAMESPACE, "describe", "backupstorage,repository,bc,backupsession,restoresession"], "");
        let log = self.cluster.try_kubectl(&["-n", "kubestash", "logs", "deploy/kubestash-operator", "--tail=40"], "");
        let jobs = self.cluster.try_kubectl(&["-n", NAMESPACE, "logs", "-l", "app.kubernetes.io/managed-by=kubestash.com", "--tail=20"], "");
        let text = |part: Result<String, String>| part.unwrap_or_else(|error| error);
        format!("{shown}\n{}\noperator:\n{}\nJobs:\n{}", text(described), text(log), text(jobs))
    }
}

/// The storage of the guide, and what it needs.
fn storage(backend: Backend<'_>) -> String {
    match backend {
        Backend::HostPath(path) => local(&format!("hostPath: {{path: {path}, type: DirectoryOrCreate}}")),
        Backend::Claim(path) => format!(
            "
apiVersion: v1
kind: PersistentVolume
metadata: {{name: backups}}
spec:
  capacity: {{storage: 1Gi}}
  accessModes: [ReadWriteMany]
  storageClassName: ''
  persistentVolumeReclaimPolicy: Retain
  claimRef: {{name: backups, namespace: demo}}
  hostPath: {{path: {path}, type: Directory}}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {{name: backups, namespace: demo}}
spec:
  accessModes: [ReadWriteMany]
  storageClassName: ''
  resources: {{requests: {{storage: 1Gi}}}}
---
{}",
            local("persistentVolumeClaim: {claimName: backups}")
        ),
        Backend::Bucket(server, prefix) => format!(
            "
apiVersion: v1
kind: Secret
metadata: {{name: s3-secret, namespace: demo}}
stringData: {{AWS_ACCESS_KEY_ID: testkey, AWS_SECRET_ACCESS_KEY: testsecret}}
---
apiVersion: storage.kubestash.com/v1alpha1
kind: BackupStorage
metadata: {{name: storage, namespace: demo}}
spec:
  storage:
    provider: s3
    s3: {{bucket: bucket, region: us-east-1, endpoint: \"{}\", secretName: s3-secret, prefix: {prefix}}}
  usagePolicy: {{allowedNamespaces: {{from: All}}}}
  default: true
  deletionPolicy: WipeOut
",
            server.endpoint()
        ),
    }
}

/// A storage on a volume, which root writes.
fn local(source: &str) -> String {
    format!(
        "
apiVersion: storage.kubestash.com/v1alpha1
kind: BackupStorage
metadata: {{name: storage, namespace: demo}}
spec:
  storage:
    provider: local
    local:
      mountPath: /safe/data
      {source}
  usagePolicy: {{allowedNamespaces: {{from: All}}}}
  default: true
  deletionPolicy: WipeOut
  runtimeSettings:
    pod:
      securityContext: {{runAsUser: 0}}
"
    )
}

const POLICY: &str = "
apiVersion: storage.kubestash.com/v1alpha1
kind: RetentionPolicy
metadata: {name: demo-retention, namespace: demo}
spec:
  default: true
  failedSnapshots: {last: 1}
  maxRetentionPeriod: 2mo
  successfulSnapshots: {last: 2}
  usagePolicy: {allowedNamespaces: {from: All}}
";

/// The account of the guide: it may do everything.
pub const ACCOUNT: &str = "
apiVersion: v1
kind: ServiceAccount
metadata: {name: cluster-resource-reader-writer, namespace: demo}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: cluster-resource-reader-writer}
rules: [{apiGroups: ['*'], resources: ['*'], verbs: ['*']}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: cluster-resource-reader-writer}
subjects: [{kind: ServiceAccount, name: cluster-resource-reader-writer, namespace: demo}]
roleRef: {kind: ClusterRole, name: cluster-resource-reader-writer, apiGroup: rbac.authorization.k8s.io}
";

/// A backup of two namespaces' labelled objects, once an hour.
pub const CONFIGURATION: &str = r#"
apiVersion: core.kubestash.com/v1alpha1
kind: BackupConfiguration
metadata: {name: cluster-resources-backup, namespace: demo}
spec:
  backends:
    - name: backend
      storageRef: {namespace: demo, name: storage}
      retentionPolicy: {name: demo-retention, namespace: demo}
  sessions:
    - name: frequent-backup
      sessionHistoryLimit: 2
      scheduler:
        schedule: "0 * * * *"
        jobTemplate: {backoffLimit: 1}
      repositories:
        - name: repo
          backend: backend
          directory: /cluster-manifests
          encryptionSecret: {name: encrypt-secret, namespace: demo}
          deletionPolicy: Retain
      addon:
        name: kubedump-addon
        tasks:
          - name: manifest-backup
            params:
              IncludeClusterResources: "true"
              IncludeNamespaces: "demo-a,demo-b"
              ExcludeNamespaces: "kube-system"
              IncludeResources: "*"
              ORedLabelSelectors: "app:my-app,app:my-sts"
        jobTemplate:
          spec:
            serviceAccountName: cluster-resource-reader-writer
"#;

/// Two namespaces with something of each kind that the guide shows.
pub const RESOURCES: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: demo-a}
---
apiVersion: v1
kind: Namespace
metadata: {name: demo-b, labels: {app: my-sts}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: config-a, namespace: demo-a, labels: {app: my-app}}
data: {greeting: 'hello: world'}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: unlabelled, namespace: demo-a}
data: {a: b}
---
apiVersion: v1
kind: Secret
metadata: {name: secret-a, namespace: demo-a, labels: {app: my-app}}
stringData: {password: keep-me-safe}
---
apiVersion: v1
kind: Service
metadata: {name: service-a, namespace: demo-a, labels: {app: my-app}}
spec: {selector: {app: my-app}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: deployment-a, namespace: demo-a, labels: {app: my-app}}
spec:
  replicas: 0
  selector: {matchLabels: {app: my-app}}
  template: {metadata: {labels: {app: my-app}}, spec: {containers: [{name: c, image: 'example.com/none:1'}]}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: clusterrole-b, labels: {app: my-sts}}
rules: [{apiGroups: [''], resources: [pods], verbs: [get]}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: config-b, namespace: demo-b, labels: {app: my-sts}}
data: {c: d}
";

/// Brings back everything but one namespace.
pub const RESTORE: &str = r#"
apiVersion: core.kubestash.com/v1alpha1
kind: RestoreSession
metadata: {name: cluster-resources-restore, namespace: demo}
spec:
  dataSource:
    repository: repo
    snapshot: latest
    encryptionSecret: {name: encrypt-secret, namespace: demo}
  addon:
    name: kubedump-addon
    tasks:
      - name: manifest-restore
        params:
          IncludeClusterResources: "true"
          ExcludeNamespaces: "demo-b"
          IncludeResources: "*"
          ExcludeResources: "nodes.metrics.k8s.io,nodes,pods.metrics.k8s.io,endpointslices.discovery.k8s.io"
          OverrideResources: "true"
          RestorePVs: "true"
    jobTemplate:
      spec:
        serviceAccountName: cluster-resource-reader-writer
"#;
