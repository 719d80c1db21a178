//! What makes the API server ask the operator before it stores an object, and where the operator keeps its certificate.

use serde_json::{Value, json};

use super::{NAME, Settings, labels};
use crate::session::names::OPERATOR_PORTS;

/// Name of the Secret with the certificate, in the operator's namespace.
pub const CERTIFICATE_SECRET: &str = "kubestash-operator-webhook";
/// Name of the one webhook in the configuration.
pub const WEBHOOK: &str = "validate.kubestash.com";
/// Path that reviews are sent to.
pub const PATH: &str = "/validate";

/// The names under which the API server calls the operator.
pub fn host_names(namespace: &str) -> Vec<String> {
    vec![format!("{NAME}.{namespace}.svc"), format!("{NAME}.{namespace}.svc.cluster.local")]
}

/// Secret, the right to it, and the configuration. The operator fills in certificate and `caBundle`, which applying this again leaves alone.
pub fn webhook(settings: &Settings) -> Vec<Value> {
    let namespace = &settings.namespace;
    let meta = json!({"name": CERTIFICATE_SECRET, "namespace": namespace, "labels": labels()});
    let kinds = |group: &str, resources: &[&str]| {
        json!({
            "apiGroups": [group], "apiVersions": ["v1alpha1"], "resources": resources, "operations": ["CREATE", "UPDATE"], "scope": "Namespaced",
        })
    };
    vec![
        json!({"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": meta}),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": meta,
            "rules": [{"apiGroups": [""], "resources": ["secrets"], "resourceNames": [CERTIFICATE_SECRET], "verbs": ["get", "update"]}],
        }),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": meta,
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": CERTIFICATE_SECRET},
            "subjects": [{"kind": "ServiceAccount", "name": NAME, "namespace": namespace}],
        }),
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration", "metadata": {"name": NAME, "labels": labels()},
            "webhooks": [{
                "name": WEBHOOK,
                "admissionReviewVersions": ["v1"],
                "sideEffects": "None",
                // A cluster without a running operator stays usable; the operator checks again before it acts.
                "failurePolicy": "Ignore",
                "timeoutSeconds": 5,
                "clientConfig": {"service": {"name": NAME, "namespace": namespace, "path": PATH, "port": OPERATOR_PORTS.webhook}},
                "rules": [
                    kinds("storage.kubestash.com", &["backupstorages", "retentionpolicies", "repositories"]),
                    kinds("core.kubestash.com", &["backupconfigurations", "restoresessions"]),
                ],
            }],
        }),
    ]
}
