//! Custom resources: monitoring, the mesh, delivery.

use serde_json::{Value, json};

use super::{
    app::{App, DELIVERY_NAMESPACE, Meta},
    kind, words,
};

impl App {
    pub(super) fn custom(&mut self) {
        if self.random.percent(60) {
            self.service_monitor();
        }
        if self.random.percent(40) {
            self.alerts();
        }
        if self.meshed {
            self.routes();
        }
        if !self.helm {
            self.delivery();
        }
    }

    fn service_monitor(&mut self) {
        let node = json!([{"action": "replace", "sourceLabels": ["__meta_kubernetes_pod_node_name"], "targetLabel": "node"}]);
        let endpoint = json!({"interval": self.random.pick(&["15s", "30s", "60s"]), "path": "/metrics", "port": "metrics", "relabelings": node});
        let content = json!({"spec": {"endpoints": [endpoint], "namespaceSelector": {"matchNames": [self.namespace]},
            "selector": {"matchLabels": self.selector}}});
        self.add(kind::SERVICE_MONITOR, &self.name.clone(), content, Meta { generation: Some(1), ..self.installed() });
    }

    fn alerts(&mut self) {
        let trade = self.short.split('-').next().unwrap_or_default().to_owned();
        let mut rules: Vec<Value> = Vec::new();
        for _ in 0..self.random.between(1, 7) {
            let what = self.random.pick(&["ErrorsHigh", "LatencyHigh", "Down", "QueueGrowing"]);
            let (minutes, of_minutes) = (self.random.pick(&[1, 5, 10]), self.random.pick(&[1, 5, 10]));
            let errors = format!("sum(rate({trade}_requests_total{{job=\"{}\",code=~\"5..\"}}[{minutes}m]))", self.name);
            let all = format!("sum(rate({trade}_requests_total{{job=\"{}\"}}[{of_minutes}m]))", self.name);
            rules.push(json!({"alert": format!("{}{what}", words::capital(self.random.pick(words::TRADES))),
                "annotations": {"description": "{{ $labels.pod }} in {{ $labels.namespace }} is above {{ $value }}",
                    "summary": format!("{} needs attention", self.name)},
                "expr": format!("{errors} / {all} > 0.{:02}", self.random.between(1, 30)), "for": self.random.pick(&["5m", "10m", "15m"]),
                "labels": {"severity": self.random.pick(&["warning", "critical"]), "team": self.team}}));
        }
        let content = json!({"spec": {"groups": [{"name": format!("{}.rules", self.name), "rules": rules}]}});
        self.add(kind::PROMETHEUS_RULE, &self.name.clone(), content, Meta { generation: Some(1), ..self.installed() });
    }

    fn routes(&mut self) {
        let to =
            |subset: &str, weight: usize| json!({"destination": {"host": self.name, "port": {"number": 80}, "subset": subset}, "weight": weight});
        let routes = json!([to("stable", 90), to("canary", 10)]);
        let retries = json!({"attempts": self.random.between(1, 5), "perTryTimeout": "2s"});
        let timeout = format!("{}s", self.random.pick(&[5, 10, 30]));
        let hosts = json!([self.name, format!("{}.{}.svc.cluster.local", self.name, self.namespace)]);
        let content = json!({"spec": {"hosts": hosts, "http": [{"retries": retries, "route": routes, "timeout": timeout}]}});
        let meta = Meta { generation: Some(self.random.between(1, 20)), ..self.installed() };
        self.add(kind::VIRTUAL_SERVICE, &self.name.clone(), content, meta);
    }

    fn delivery(&mut self) {
        let name = self.name.clone();
        let synced: Vec<Value> = [("", "Service"), ("apps", "Deployment"), ("", "ConfigMap"), ("", "ServiceAccount")]
            .iter()
            .map(|(group, kind)| {
                json!({"group": group, "health": {"status": "Healthy"}, "kind": kind, "name": name, "namespace": self.namespace,
                    "status": "Synced", "version": "v1"})
            })
            .collect();
        let mut history = Vec::new();
        for id in 0..self.random.between(2, 11) {
            let (started, ended) = (self.random.time(), self.random.time());
            history.push(json!({"deployStartedAt": started, "deployedAt": ended, "id": id, "revision": self.random.hex(40)}));
        }
        let repository = format!("https://git.example.com/{}/{name}.git", self.team);
        let content = json!({
            "spec": {"destination": {"namespace": self.namespace, "server": "https://kubernetes.default.svc"}, "project": self.team,
                "source": {"path": format!("deploy/{}/{name}", self.stage), "repoURL": repository, "targetRevision": "main"},
                "syncPolicy": {"automated": {"prune": true, "selfHeal": true}, "syncOptions": ["CreateNamespace=true", "ServerSideApply=true"]}},
            "status": {"health": {"status": "Healthy"}, "history": history, "reconciledAt": self.random.time_between(299, 300),
                "resources": synced, "sync": {"revision": self.random.hex(40), "status": "Synced"}}});
        let meta = Meta {
            labels: Some(self.selector.clone()),
            manager: "argocd-server",
            status_manager: Some("argocd-application-controller"),
            generation: Some(self.random.between(5, 9000)),
            namespace: Some(DELIVERY_NAMESPACE),
            ..Meta::default()
        };
        self.add(kind::APPLICATION, &format!("{}-{name}", self.namespace), content, meta);
    }
}
