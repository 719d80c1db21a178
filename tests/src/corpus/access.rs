//! Who an app is and what it may do.

use serde_json::{Value, json};

use super::{
    app::{App, Meta},
    kind,
};

const VERBS: &[&[&str]] = &[&["get", "list", "watch"], &["get", "list", "watch", "create", "update", "patch"], &["*"]];

impl App {
    pub(super) fn access(&mut self) {
        let name = self.name.clone();
        self.add(kind::SERVICE_ACCOUNT, &name, json!({"automountServiceAccountToken": true}), self.installed());
        let subjects = json!([{"kind": "ServiceAccount", "name": name, "namespace": self.namespace}]);
        if self.random.percent(60) {
            let rules = self.rules();
            self.add(kind::ROLE, &name, json!({"rules": rules}), self.installed());
            let role = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name});
            self.add(kind::ROLE_BINDING, &name, json!({"roleRef": role, "subjects": subjects}), self.installed());
        }
        if self.random.percent(15) {
            let wide = format!("{}-{name}", self.namespace);
            let rules = json!([{"apiGroups": [""], "resources": ["nodes", "namespaces"], "verbs": VERBS[0]}]);
            self.add(kind::CLUSTER_ROLE, &wide, json!({"rules": rules}), self.installed());
            let role = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": wide});
            self.add(kind::CLUSTER_ROLE_BINDING, &wide, json!({"roleRef": role, "subjects": subjects}), self.installed());
        }
        if self.random.percent(20) {
            self.lease();
        }
    }

    fn rules(&mut self) -> Vec<Value> {
        let groups = self.random.between(1, 4);
        let mut rules = Vec::new();
        for group in self.random.several(&["", "apps", "batch", "coordination.k8s.io"], groups) {
            let count = self.random.between(1, 4);
            let resources = self.random.several(&["pods", "configmaps", "secrets", "leases", "events", "services"], count);
            rules.push(json!({"apiGroups": [group], "resources": resources, "verbs": self.random.pick(VERBS)}));
        }
        rules
    }

    /// Leadership among the app's pods.
    fn lease(&mut self) {
        let mut moment = || {
            let time = self.random.time();
            format!("{}.{:06}Z", time.trim_end_matches('Z'), self.random.below(1_000_000))
        };
        let (acquired, renewed) = (moment(), moment());
        let holder = format!("{}-{}_{}", self.name, self.random.suffix(10), self.random.uid());
        let content = json!({"spec": {"acquireTime": acquired, "holderIdentity": holder, "leaseDurationSeconds": 15,
            "leaseTransitions": self.random.below(90), "renewTime": renewed}});
        let name = self.name.clone();
        self.add(kind::LEASE, &format!("{name}-leader"), content, Meta { manager: &name, ..Meta::default() });
    }
}
