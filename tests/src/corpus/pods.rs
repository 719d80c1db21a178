//! Pods, and the template that an app's workloads share.

use serde_json::{Value, json};

use super::{
    app::{App, Meta, Owner, joined},
    kind,
    random::{DAY, Random, moment},
    words::{self, DOMAINS, TRADES, VARIABLES},
};

/// What Services and events say about a pod.
#[derive(Debug)]
pub(super) struct Pod {
    pub(super) name: String,
    pub(super) uid: String,
    pub(super) address: String,
    pub(super) node: String,
    pub(super) container: String,
    pub(super) image: String,
}

fn variable(app: &App, random: &mut Random, name: &str) -> Value {
    if random.percent(15) {
        return json!({"name": name, "valueFrom": {"secretKeyRef": {"key": name.to_lowercase(), "name": format!("{}-secrets", app.name)}}});
    }
    let value = match random.below(4) {
        0 => random.between(1, 60_000).to_string(),
        1 => random.pick(&["info", "debug", "json", "true"]).to_owned(),
        2 => format!("{}.{}.svc.cluster.local", random.pick(TRADES), app.namespace),
        _ => format!("https://{}.{}/{}", random.pick(TRADES), random.pick(DOMAINS), random.pick(TRADES)),
    };
    json!({"name": name, "value": value})
}

fn probe(path: &str) -> Value {
    json!({"failureThreshold": 3, "httpGet": {"path": path, "port": "http", "scheme": "HTTP"}, "periodSeconds": 10, "successThreshold": 1,
        "timeoutSeconds": 1})
}

/// The sidecar of a service mesh.
fn sidecar(app: &App, random: &mut Random) -> Value {
    json!({"name": "mesh-proxy", "image": format!("{}/mesh-proxy:1.22.{}", words::REGISTRIES[0], random.below(6)),
        "imagePullPolicy": "IfNotPresent", "args": ["proxy", "sidecar", "--domain", "$(POD_NAMESPACE).svc.cluster.local",
        "--proxyLogLevel=warning", "--concurrency=2"], "env": [{"name": "MESH_CPU_LIMIT", "value": "2"}, {"name": "WORKLOAD_NAME",
        "value": app.name}], "ports": [{"containerPort": 15_090, "name": "http-envoy-prom", "protocol": "TCP"}], "resources": {"limits":
        {"cpu": "2", "memory": "1Gi"}, "requests": {"cpu": "10m", "memory": "40Mi"}}, "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File"})
}

/// What runs in each pod of an app; the same whenever it is asked for, but for the image's patch level.
pub(super) fn pod_spec(app: &App, patch: usize) -> Value {
    let mut random = Random::of(&format!("{}/{}/pods", app.namespace, app.name));
    let names = random.between(4, 15);
    let env: Vec<Value> = random.several(VARIABLES, names).into_iter().map(|name| variable(app, &mut random, name)).collect();
    let (cpu, memory) = (random.pick(&[50, 100, 250, 500]), random.pick(&[128, 256, 512, 1024]));
    let mut liveness = probe("/healthz");
    liveness["initialDelaySeconds"] = random.pick(&[5, 10, 30]).into();
    let mut containers = vec![json!({"name": app.short, "image": app.image(patch), "imagePullPolicy": "IfNotPresent", "env": env,
        "livenessProbe": liveness, "readinessProbe": probe("/ready"), "ports": [
            {"containerPort": app.port, "name": "http", "protocol": "TCP"}, {"containerPort": app.port + 1, "name": "metrics", "protocol": "TCP"}],
        "resources": {"limits": {"cpu": format!("{}m", cpu * 2), "memory": format!("{}Mi", memory * 2)},
            "requests": {"cpu": format!("{cpu}m"), "memory": format!("{memory}Mi")}},
        "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": true,
            "runAsNonRoot": true},
        "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
        "volumeMounts": [{"mountPath": "/etc/app", "name": "config", "readOnly": true}, {"mountPath": "/tmp", "name": "tmp"}]})];
    if app.meshed {
        containers.push(sidecar(app, &mut random));
    }
    let mut spec = json!({"containers": containers, "dnsPolicy": "ClusterFirst", "restartPolicy": "Always",
        "schedulerName": "default-scheduler", "securityContext": {"fsGroup": 10_001, "runAsUser": 10_001, "seccompProfile": {"type":
        "RuntimeDefault"}}, "serviceAccount": app.name, "serviceAccountName": app.name, "terminationGracePeriodSeconds": random.pick(&[30, 60]),
        "volumes": [{"configMap": {"defaultMode": 420, "name": format!("{}-config", app.name)}, "name": "config"},
            {"emptyDir": {}, "name": "tmp"}]});
    if random.percent(30) {
        spec["initContainers"] = json!([{"name": "migrate", "image": app.image(patch), "imagePullPolicy": "IfNotPresent", "command":
            ["/bin/migrate", "--wait", format!("--timeout={}s", random.between(30, 600))], "resources": {}, "terminationMessagePath":
            "/dev/termination-log", "terminationMessagePolicy": "File"}]);
    }
    if random.percent(40) {
        spec["affinity"] = json!({"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"podAffinityTerm":
            {"labelSelector": {"matchLabels": app.selector}, "topologyKey": "kubernetes.io/hostname"}, "weight": 100}]}});
    }
    spec
}

/// The template of a workload.
pub(super) fn template(app: &App, patch: usize, config_hash: &str, labels: &Value) -> Value {
    let mut annotations = json!({"checksum/config": config_hash});
    if Random::of(&format!("{}/{}/scraped", app.namespace, app.name)).percent(50) {
        annotations = joined(&annotations, json!({"prometheus.io/port": "8080", "prometheus.io/scrape": "true"}));
    }
    json!({"metadata": {"annotations": annotations, "creationTimestamp": null, "labels": labels}, "spec": pod_spec(app, patch)})
}

pub(super) fn node(random: &mut Random) -> String {
    format!("ip-10-{}-{}-{}.eu-central-1.compute.internal", random.below(4), random.below(8), random.between(1, 40))
}

/// What the kubelet reports of a container.
fn container_status(app: &App, random: &mut Random, container: &Value, restarts: usize, started: usize) -> Value {
    let image = container["image"].as_str().unwrap_or_default();
    let own = container["name"] == app.short;
    let digest = if own { app.digest.clone() } else { Random::of(image).hex(64) };
    let repository = image.rsplit_once(':').map_or(image, |(repository, _)| repository);
    let id = |random: &mut Random| format!("containerd://{}", random.hex(64));
    let last = if restarts == 0 {
        json!({})
    } else {
        json!({"terminated": {"containerID": id(random), "exitCode": random.pick(&[1, 137, 143]), "reason":
            random.pick(&["Error", "OOMKilled"]), "startedAt": random.time(), "finishedAt": random.time()}})
    };
    json!({"name": container["name"], "image": image, "imageID": format!("{repository}@sha256:{digest}"), "containerID": id(random),
        "allocatedResources": container["resources"]["requests"], "ready": true, "started": true, "restartCount": restarts, "lastState": last,
        "state": {"running": {"startedAt": moment(started + random.between(2, 60))}}})
}

impl App {
    /// One pod of a ReplicaSet with this hash, or the pod with this number of a StatefulSet.
    pub(super) fn pod(&mut self, owner: &Owner, hash: Option<&str>, number: usize, config_hash: &str) -> Pod {
        let mut random = self.random.clone();
        let (node, address, host) = (node(&mut random), random.address(), random.address());
        let started = random.between(200 * DAY, 300 * DAY);
        let mut spec = pod_spec(self, self.patch);
        let token = format!("kube-api-access-{}", random.suffix(5));
        for container in spec["containers"].as_array_mut().into_iter().flatten() {
            let mut mounts = container["volumeMounts"].as_array().cloned().unwrap_or_default();
            mounts.push(json!({"mountPath": "/var/run/secrets/kubernetes.io/serviceaccount", "name": token, "readOnly": true}));
            container["volumeMounts"] = mounts.into();
        }
        spec["volumes"].as_array_mut().unwrap().push(json!({"name": token, "projected": {"defaultMode": 420, "sources": [
            {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
            {"configMap": {"items": [{"key": "ca.crt", "path": "ca.crt"}], "name": "kube-root-ca.crt"}},
            {"downwardAPI": {"items": [{"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}, "path": "namespace"}]}}]}}));
        let tolerated = |key: &str| json!({"effect": "NoExecute", "key": key, "operator": "Exists", "tolerationSeconds": 300});
        spec = joined(
            &spec,
            json!({"enableServiceLinks": true, "nodeName": node, "preemptionPolicy": "PreemptLowerPriority", "priority": 0, "tolerations":
                [tolerated("node.kubernetes.io/not-ready"), tolerated("node.kubernetes.io/unreachable")]}),
        );
        let restarts = if random.percent(85) { 0 } else { random.between(1, 40) };
        let containers = spec["containers"].as_array().cloned().unwrap_or_default();
        let statuses: Vec<Value> = containers.iter().map(|container| container_status(self, &mut random, container, restarts, started)).collect();
        let condition =
            |kind: &str, after: usize| json!({"type": kind, "status": "True", "lastProbeTime": null, "lastTransitionTime": moment(started + after)});
        let status = json!({"phase": "Running", "qosClass": "Burstable", "startTime": moment(started), "hostIP": host, "hostIPs": [{"ip": host}],
            "podIP": address, "podIPs": [{"ip": address}], "containerStatuses": statuses, "conditions": [
                condition("PodReadyToStartContainers", 3), condition("Initialized", 1), condition("Ready", 12),
                condition("ContainersReady", 12), condition("PodScheduled", 0)]});
        let (name, labels) = match hash {
            Some(hash) => (format!("{}-{hash}-{}", self.name, random.suffix(5)), json!({"pod-template-hash": hash})),
            None => {
                let name = format!("{}-{number}", self.name);
                let labels = json!({"apps.kubernetes.io/pod-index": number.to_string(), "statefulset.kubernetes.io/pod-name": name});
                (name, labels)
            }
        };
        self.random = random;
        let image = containers[0]["image"].as_str().unwrap_or_default().to_owned();
        let meta = Meta {
            labels: Some(self.labels_and(labels)),
            annotations: Some(json!({"checksum/config": config_hash})),
            owner: Some(owner),
            manager: "kube-controller-manager",
            status_manager: Some("kubelet"),
            created: Some(moment(started)),
            generate_name: hash.map(|hash| format!("{}-{hash}-", self.name)),
            ..Meta::default()
        };
        let added = self.add(kind::POD, &name, json!({"spec": spec, "status": status}), meta);
        Pod { name, uid: added.uid, address, node, container: self.short.clone(), image }
    }
}
