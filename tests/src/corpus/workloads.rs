//! Deployments with their ReplicaSets, StatefulSets with their revisions and volumes.

use serde_json::{Value, json};

use super::{
    app::{App, Meta, Owner, joined},
    kind,
    pods::{Pod, node, template},
};

const CONTROLLER: &str = "kube-controller-manager";
/// Old ReplicaSets that a Deployment keeps.
const HISTORY: usize = 10;

impl App {
    /// The app's workload with its pods.
    pub(super) fn workload(&mut self) -> Vec<Pod> {
        let replicas = self.random.pick(&[1, 1, 2, 2, 3, 3, 4, 6, 8, 12]);
        let config_hash = self.random.hex(64);
        let (owner, hash) = if self.random.percent(12) {
            (self.stateful_set(replicas, &config_hash), None)
        } else {
            let (owner, hash) = self.deployment(replicas, &config_hash);
            (owner, Some(hash))
        };
        (0..replicas).map(|number| self.pod(&owner, hash.as_deref(), number, &config_hash)).collect()
    }

    fn stateful_set(&mut self, replicas: usize, config_hash: &str) -> Owner {
        let content = json!({
            "spec": {"podManagementPolicy": "OrderedReady", "replicas": replicas, "revisionHistoryLimit": HISTORY,
                "selector": {"matchLabels": self.selector}, "serviceName": format!("{}-headless", self.name),
                "template": template(self, self.patch, config_hash, &self.labels),
                "updateStrategy": {"rollingUpdate": {"partition": 0}, "type": "RollingUpdate"}},
            "status": {"availableReplicas": replicas, "collisionCount": 0, "currentReplicas": replicas,
                "currentRevision": format!("{}-{}", self.name, self.random.suffix(10)), "observedGeneration": 4, "readyReplicas": replicas,
                "replicas": replicas, "updatedReplicas": replicas}});
        let created = Some(self.random.time_between(0, 100));
        let meta = Meta { status_manager: Some(CONTROLLER), generation: Some(4), created, ..self.installed() };
        let set = self.add(kind::STATEFUL_SET, &self.name.clone(), content, meta);
        for revision in 1..3 {
            let (name, hash) = (format!("{}-{}", self.name, self.random.suffix(10)), self.random.hex(64));
            let data = joined(&template(self, revision, &hash, &self.labels), json!({"$patch": "replace"}));
            let meta = Meta { labels: Some(self.labels.clone()), owner: Some(&set), manager: CONTROLLER, ..Meta::default() };
            self.add(kind::CONTROLLER_REVISION, &name, json!({"data": {"spec": {"template": data}}, "revision": revision}), meta);
        }
        for number in 0..replicas {
            self.volume(&format!("data-{}-{number}", self.name));
        }
        set
    }

    /// A claim and the volume bound to it.
    fn volume(&mut self, claim: &str) {
        let volume = format!("pvc-{}", self.random.uid());
        let size = format!("{}Gi", self.random.pick(&[10, 20, 50, 100]));
        let content = json!({
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}, "storageClassName": "fast-ssd",
                "volumeMode": "Filesystem", "volumeName": volume},
            "status": {"accessModes": ["ReadWriteOnce"], "capacity": {"storage": size}, "phase": "Bound"}});
        let annotations = json!({"pv.kubernetes.io/bind-completed": "yes", "volume.kubernetes.io/selected-node": node(&mut self.random)});
        let (labels, annotations) = (Some(self.selector.clone()), Some(annotations));
        let meta = Meta { labels, annotations, manager: CONTROLLER, status_manager: Some(CONTROLLER), ..Meta::default() };
        let bound = self.add(kind::CLAIM, claim, content, meta);
        let driver = "csi.block.example.com";
        let content = json!({
            "spec": {"accessModes": ["ReadWriteOnce"], "capacity": {"storage": size}, "claimRef": {"apiVersion": "v1", "kind":
                "PersistentVolumeClaim", "name": claim, "namespace": self.namespace, "resourceVersion": self.random.version(), "uid": bound.uid},
                "csi": {"driver": driver, "fsType": "ext4", "volumeHandle": format!("vol-0{}", self.random.hex(16)), "volumeAttributes":
                    {"storage.kubernetes.io/csiProvisionerIdentity": format!("{}-8081-csi", self.random.between(1_000_000, 9_000_000))}},
                "persistentVolumeReclaimPolicy": "Delete", "storageClassName": "fast-ssd", "volumeMode": "Filesystem"},
            "status": {"lastPhaseTransitionTime": self.random.time(), "phase": "Bound"}});
        let annotations = Some(json!({"pv.kubernetes.io/provisioned-by": driver}));
        let meta = Meta { annotations, manager: "csi-provisioner", status_manager: Some(CONTROLLER), ..Meta::default() };
        self.add(kind::PERSISTENT_VOLUME, &volume, content, meta);
    }

    /// The Deployment and its ReplicaSets, the live one first. Gives the live one and its hash.
    fn deployment(&mut self, replicas: usize, config_hash: &str) -> (Owner, String) {
        let generation = self.random.between(2, 15);
        let created = self.random.time_between(0, 100);
        let pods = template(self, self.patch, config_hash, &self.labels);
        let hashes: Vec<String> = (0..generation.min(HISTORY)).map(|_| self.random.suffix(10)).collect();
        let spec = json!({"progressDeadlineSeconds": 600, "replicas": replicas, "revisionHistoryLimit": HISTORY,
            "selector": {"matchLabels": self.selector}, "strategy": {"rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"},
            "type": "RollingUpdate"}, "template": pods});
        let conditions = json!([
            {"lastTransitionTime": self.random.time(), "lastUpdateTime": self.random.time(), "message":
                "Deployment has minimum availability.", "reason": "MinimumReplicasAvailable", "status": "True", "type": "Available"},
            {"lastTransitionTime": created, "lastUpdateTime": self.random.time(), "message":
                format!("ReplicaSet \"{}-{}\" has successfully progressed.", self.name, hashes[0]), "reason": "NewReplicaSetAvailable",
                "status": "True", "type": "Progressing"}]);
        let status = json!({"availableReplicas": replicas, "conditions": conditions, "observedGeneration": generation, "readyReplicas": replicas,
            "replicas": replicas, "updatedReplicas": replicas});
        let mut annotations = self.annotations_and(json!({"deployment.kubernetes.io/revision": generation.to_string()}));
        if !self.helm && self.random.percent(60) {
            let applied = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"annotations": {}, "labels": self.labels,
                "name": self.name, "namespace": self.namespace}, "spec": {"replicas": replicas, "selector": spec["selector"], "template": pods}});
            annotations["kubectl.kubernetes.io/last-applied-configuration"] = format!("{applied}\n").into();
        }
        let meta = Meta {
            annotations: Some(annotations),
            status_manager: Some(CONTROLLER),
            generation: Some(generation),
            created: Some(created),
            ..self.installed()
        };
        let deployment = self.add(kind::DEPLOYMENT, &self.name.clone(), json!({"spec": spec, "status": status}), meta);
        let mut live = None;
        for (age, hash) in hashes.iter().enumerate() {
            let set = self.replica_set(&deployment, hash, age, if age == 0 { replicas } else { 0 }, replicas, config_hash, generation);
            live.get_or_insert((set, hash.clone()));
        }
        live.expect("a Deployment has a ReplicaSet")
    }

    #[allow(clippy::too_many_arguments, reason = "what differs between a Deployment's ReplicaSets")]
    fn replica_set(&mut self, owner: &Owner, hash: &str, age: usize, now: usize, wanted: usize, config_hash: &str, generation: usize) -> Owner {
        let labels = self.labels_and(json!({"pod-template-hash": hash}));
        let config_hash = if age == 0 { config_hash.to_owned() } else { self.random.hex(64) };
        let pods = template(self, self.patch.saturating_sub(age), &config_hash, &labels);
        let status: Value = if age == 0 {
            json!({"availableReplicas": now, "fullyLabeledReplicas": now, "observedGeneration": 1, "readyReplicas": now, "replicas": now})
        } else {
            json!({"observedGeneration": 1, "replicas": 0})
        };
        let selector = joined(&self.selector, json!({"pod-template-hash": hash}));
        let spec = json!({"replicas": now, "selector": {"matchLabels": selector}, "template": pods});
        let meta = Meta {
            labels: Some(labels),
            annotations: Some(json!({"deployment.kubernetes.io/desired-replicas": wanted.to_string(),
                "deployment.kubernetes.io/max-replicas": (wanted + 1).to_string(),
                "deployment.kubernetes.io/revision": (generation - age).to_string()})),
            owner: Some(owner),
            manager: CONTROLLER,
            status_manager: Some(CONTROLLER),
            generation: Some(1),
            ..Meta::default()
        };
        self.add(kind::REPLICA_SET, &format!("{}-{hash}", self.name), json!({"spec": spec, "status": status}), meta)
    }
}
