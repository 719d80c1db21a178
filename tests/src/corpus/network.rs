//! How an app is reached, and how far it may grow and shrink.

use serde_json::{Value, json};

use super::{
    app::{App, Meta, joined},
    kind,
    pods::Pod,
    words,
};

impl App {
    pub(super) fn network(&mut self, pods: &[Pod]) {
        self.service(pods);
        if self.random.percent(35) {
            self.ingress();
        }
        if self.random.percent(50) {
            self.network_policy();
        }
        if self.random.percent(40) {
            self.autoscaler(pods.len());
        }
        if pods.len() > 1 && self.random.percent(50) {
            self.disruption_budget(pods.len());
        }
    }

    fn pod_ports(&self) -> Value {
        json!([{"name": "http", "port": self.port, "protocol": "TCP"}, {"name": "metrics", "port": self.port + 1, "protocol": "TCP"}])
    }

    fn reference(&self, pod: &Pod) -> Value {
        json!({"kind": "Pod", "name": pod.name, "namespace": self.namespace, "uid": pod.uid})
    }

    /// The Service and what controllers keep about its pods.
    fn service(&mut self, pods: &[Pod]) {
        let address = self.random.address();
        let content = json!({
            "spec": {"clusterIP": address, "clusterIPs": [address], "internalTrafficPolicy": "Cluster", "ipFamilies": ["IPv4"],
                "ipFamilyPolicy": "SingleStack", "ports": [
                    {"name": "http", "port": 80, "protocol": "TCP", "targetPort": "http"},
                    {"name": "metrics", "port": 9090, "protocol": "TCP", "targetPort": "metrics"}],
                "selector": self.selector, "sessionAffinity": "None", "type": "ClusterIP"},
            "status": {"loadBalancer": {}}});
        let service = self.add(kind::SERVICE, &self.name.clone(), content, self.installed());
        let changed = json!({"endpoints.kubernetes.io/last-change-trigger-time": self.random.time()});
        let addresses: Vec<Value> =
            pods.iter().map(|pod| json!({"ip": pod.address, "nodeName": pod.node, "targetRef": self.reference(pod)})).collect();
        let meta =
            Meta { labels: Some(self.labels.clone()), annotations: Some(changed.clone()), manager: "kube-controller-manager", ..Meta::default() };
        let content = json!({"subsets": [{"addresses": addresses, "ports": self.pod_ports()}]});
        self.add(kind::ENDPOINTS, &self.name.clone(), content, meta);
        let mut endpoints = Vec::new();
        for pod in pods {
            let zone = format!("eu-central-1{}", self.random.pick(&["a", "b", "c"]));
            endpoints.push(json!({"addresses": [pod.address], "conditions": {"ready": true, "serving": true, "terminating": false},
                "nodeName": pod.node, "targetRef": self.reference(pod), "zone": zone}));
        }
        let meta = Meta {
            labels: Some(self.labels_and(json!({"endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
                "kubernetes.io/service-name": self.name}))),
            annotations: Some(changed),
            owner: Some(&service),
            manager: "kube-controller-manager",
            generation: Some(self.random.between(1, 90)),
            generate_name: Some(format!("{}-", self.name)),
            ..Meta::default()
        };
        let name = format!("{}-{}", self.name, self.random.suffix(5));
        let content = json!({"addressType": "IPv4", "endpoints": endpoints, "ports": self.pod_ports()});
        self.add(kind::ENDPOINT_SLICE, &name, content, meta);
    }

    fn ingress(&mut self) {
        let host = format!("{}.{}", self.name, self.random.pick(words::DOMAINS));
        let count = self.random.between(1, 4);
        let backend = json!({"service": {"name": self.name, "port": {"name": "http"}}});
        let paths: Vec<Value> = self
            .random
            .several(&["/", "/api", "/v1", "/static"], count)
            .into_iter()
            .map(|path| json!({"backend": backend, "path": path, "pathType": "Prefix"}))
            .collect();
        let content = json!({
            "spec": {"ingressClassName": "nginx", "rules": [{"host": host, "http": {"paths": paths}}],
                "tls": [{"hosts": [host], "secretName": format!("{}-tls", self.name)}]},
            "status": {"loadBalancer": {"ingress": [{"ip": self.random.address()}]}}});
        let size = format!("{}m", self.random.pick(&[8, 16, 64]));
        let noted = json!({"cert-manager.io/cluster-issuer": "letsencrypt", "nginx.ingress.kubernetes.io/proxy-body-size": size});
        let meta = Meta {
            annotations: Some(joined(&self.annotations(), noted)),
            status_manager: Some("nginx-ingress-controller"),
            generation: Some(1),
            ..self.installed()
        };
        self.add(kind::INGRESS, &self.name.clone(), content, meta);
        self.certificate(&host);
    }

    fn network_policy(&mut self) {
        let from = json!([{"namespaceSelector": {"matchLabels": {"team": self.random.pick(words::TEAMS)}}}]);
        let content = json!({"spec": {"egress": [{}], "ingress": [{"from": from, "ports": [{"port": self.port, "protocol": "TCP"}]}],
            "podSelector": {"matchLabels": self.selector}, "policyTypes": ["Ingress", "Egress"]}});
        self.add(kind::NETWORK_POLICY, &self.name.clone(), content, Meta { generation: Some(1), ..self.installed() });
    }

    fn autoscaler(&mut self, pods: usize) {
        let target = json!({"averageUtilization": self.random.pick(&[60, 70, 80]), "type": "Utilization"});
        let now = json!({"averageUtilization": self.random.below(100), "averageValue": format!("{}m", self.random.below(900))});
        let content = json!({
            "spec": {"maxReplicas": self.random.between(4, 30), "minReplicas": 1, "metrics": [{"resource": {"name": "cpu", "target": target},
                "type": "Resource"}], "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": self.name}},
            "status": {"conditions": [{"lastTransitionTime": self.random.time(), "message": "recommended size matches current size",
                "reason": "ReadyForNewScale", "status": "True", "type": "AbleToScale"}], "currentMetrics": [{"resource": {"current": now,
                "name": "cpu"}, "type": "Resource"}], "currentReplicas": pods, "desiredReplicas": pods, "lastScaleTime": self.random.time()}});
        let meta = Meta { status_manager: Some("kube-controller-manager"), ..self.installed() };
        self.add(kind::AUTOSCALER, &self.name.clone(), content, meta);
    }

    fn disruption_budget(&mut self, pods: usize) {
        let content = json!({
            "spec": {"maxUnavailable": 1, "selector": {"matchLabels": self.selector}},
            "status": {"currentHealthy": pods, "desiredHealthy": pods - 1, "disruptionsAllowed": 1, "expectedPods": pods,
                "observedGeneration": 1}});
        let meta = Meta { status_manager: Some("kube-controller-manager"), generation: Some(1), ..self.installed() };
        self.add(kind::DISRUPTION_BUDGET, &self.name.clone(), content, meta);
    }
}
