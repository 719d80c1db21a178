//! What is installed into a cluster. `make generate` writes it into `deploy/`, `kubectl kubestash install` applies it.

pub mod addon;
mod crds;
pub mod metrics;
pub mod operator;
pub mod rbac;
pub mod webhook;

use serde::Serialize;
use serde_json::{Value, json};

pub use crds::crds;

use crate::object::{ObjectError, yaml};

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

/// Stands above every file that is made from the code.
const HEADER: &str = "# Made from the code by `make generate`; changes here are lost.\n";

/// A file of the folder `deploy`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeployFile {
    /// Its path below the folder, with slashes.
    pub path: String,
    /// What is in it.
    pub text: Vec<u8>,
}

impl DeployFile {
    fn of(path: String, objects: &[impl Serialize]) -> Result<Self, ObjectError> {
        let mut text = HEADER.as_bytes().to_vec();
        for (number, object) in objects.iter().enumerate() {
            let json = serde_json::to_vec(object).map_err(|_| ObjectError::Json { at: 0, what: "an object" })?;
            if number > 0 {
                text.extend_from_slice(b"---\n");
            }
            yaml::write(&json, &mut text)?;
        }
        Ok(Self { path, text })
    }
}

/// Everything but the definitions of custom resources, in the order in which it can be applied.
pub fn objects(settings: &Settings) -> Vec<Value> {
    [operator::workload(settings), rbac::roles(settings), webhook::webhook(settings), addon::catalogue(settings)].concat()
}

/// All files that are made from the code: `crds/<plural>.<group>.yaml` of the folder `deploy`, what runs, and the list of metrics beside it.
///
/// # Errors
/// None that our own types cause; the signature follows the writer of YAML.
pub fn files() -> Result<Vec<DeployFile>, ObjectError> {
    let name = |plural: &str, group: &str| format!("crds/{plural}.{group}.yaml");
    let mut all = Vec::new();
    for crd in crds() {
        all.push(DeployFile::of(name(&crd.spec.names.plural, &crd.spec.group), &[crd])?);
    }
    let settings = Settings::default();
    all.push(DeployFile::of("operator.yaml".to_owned(), &operator::workload(&settings))?);
    all.push(DeployFile::of("rbac.yaml".to_owned(), &rbac::roles(&settings))?);
    all.push(DeployFile::of("webhook.yaml".to_owned(), &webhook::webhook(&settings))?);
    all.push(DeployFile::of("addons.yaml".to_owned(), &addon::catalogue(&settings))?);
    all.push(DeployFile { path: "../docs/reference/metrics.md".to_owned(), text: metrics::reference().into_bytes() });
    Ok(all)
}
