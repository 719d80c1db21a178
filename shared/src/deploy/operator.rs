//! The operator itself: namespace, account, Deployment, Service, fairness.

use serde_json::{Value, json};

use super::{NAME, Settings, labels};
use crate::session::names::OPERATOR_PORTS;

/// Everything that runs, without rights and custom resources.
pub fn workload(settings: &Settings) -> Vec<Value> {
    let namespace = &settings.namespace;
    let meta = json!({"name": NAME, "namespace": namespace, "labels": labels()});
    let selector = json!({"app.kubernetes.io/name": NAME});
    let ports = OPERATOR_PORTS;
    vec![
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": labels()}}),
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta}),
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta,
            "spec": {
                "replicas": 1,
                "selector": {"matchLabels": selector},
                "template": {
                    "metadata": {"labels": labels()},
                    "spec": {
                        "serviceAccountName": NAME,
                        "securityContext": {"runAsNonRoot": true, "runAsUser": 65534, "runAsGroup": 65534, "seccompProfile": {"type": "RuntimeDefault"}},
                        "containers": [{
                            "name": "operator",
                            "image": settings.image,
                            "imagePullPolicy": settings.pull_policy,
                            "command": ["/kubectl-kubestash", "operator"],
                            "env": [
                                {"name": "KUBESTASH_IMAGE", "value": settings.image},
                                {"name": "KUBESTASH_IMAGE_PULL_POLICY", "value": settings.pull_policy},
                                {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
                                {"name": "POD_NAMESPACE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
                            ],
                            "ports": [{"name": "metrics", "containerPort": ports.metrics}, {"name": "webhook", "containerPort": ports.webhook}],
                            "livenessProbe": {"httpGet": {"path": "/healthz", "port": "metrics"}, "periodSeconds": 10, "failureThreshold": 6},
                            "readinessProbe": {"httpGet": {"path": "/readyz", "port": "metrics"}, "periodSeconds": 5},
                            "resources": {"requests": {"cpu": "20m", "memory": "64Mi"}, "limits": {"memory": "128Mi"}},
                            "securityContext": {
                                "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]},
                            },
                        }],
                    },
                },
            },
        }),
        json!({
            "apiVersion": "v1", "kind": "Service", "metadata": meta,
            "spec": {
                "selector": selector,
                "ports": [
                    {"name": "metrics", "port": ports.metrics, "targetPort": "metrics"},
                    {"name": "webhook", "port": ports.webhook, "targetPort": "webhook"},
                ],
            },
        }),
        // What reconciles shall not wait behind the lists of the Jobs, which go with all other ServiceAccounts.
        json!({
            "apiVersion": "flowcontrol.apiserver.k8s.io/v1", "kind": "FlowSchema", "metadata": {"name": NAME, "labels": labels()},
            "spec": {
                "priorityLevelConfiguration": {"name": "workload-high"},
                "matchingPrecedence": 900,
                "distinguisherMethod": {"type": "ByUser"},
                "rules": [{
                    "subjects": [{"kind": "ServiceAccount", "serviceAccount": {"name": NAME, "namespace": namespace}}],
                    "resourceRules": [{
                        "apiGroups": ["*"], "resources": ["*"], "verbs": ["*"], "namespaces": ["*"], "clusterScope": true,
                    }],
                }],
            },
        }),
    ]
}
