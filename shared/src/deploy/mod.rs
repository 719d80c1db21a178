//! What is installed into a cluster. `make generate` writes it into `deploy/`, `kubectl kubestash install` applies it.

pub mod addon;
mod crds;
pub mod operator;
pub mod rbac;

use serde_json::{Value, json};

pub use crds::crds;

/// Name of the operator's objects.
pub const NAME: &str = "kubestash-operator";

/// What differs between installations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Namespace of the operator.
    pub namespace: String,
    /// Image of the operator and its Jobs.
    pub image: String,
    /// `IfNotPresent`, `Always` or `Never`.
    pub pull_policy: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            namespace: "kubestash".to_owned(),
            image: format!("ghcr.io/kubestash/kubectl-kubestash:v{}", env!("CARGO_PKG_VERSION")),
            pull_policy: "IfNotPresent".to_owned(),
        }
    }
}

fn labels() -> Value {
    json!({"app.kubernetes.io/name": NAME, "app.kubernetes.io/part-of": "kubestash"})
}
