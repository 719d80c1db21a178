//! `BackupConfiguration`: what is backed up, when, how and where to.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    condition::Condition,
    invoker_status::{BackendStatus, RepositoryReadiness, ResourceFoundStatus, SessionStatus},
    phase::BackupInvokerPhase,
    reference::TypedObjectReference,
    session::{Backend, Session},
};

/// What is backed up, when, how and where to.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "core.kubestash.com",
    version = "v1alpha1",
    kind = "BackupConfiguration",
    plural = "backupconfigurations",
    shortname = "bc",
    namespaced,
    status = "BackupConfigurationStatus",
    category = "kubestash",
    category = "appscode",
    category = "all",
    derive = "PartialEq",
    derive = "Default",
    doc = "What is backed up, when, how and where to.",
    printcolumn = r#"{"name": "Phase", "type": "string", "jsonPath": ".status.phase"}"#,
    printcolumn = r#"{"name": "Paused", "type": "boolean", "jsonPath": ".spec.paused"}"#,
    printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct BackupConfigurationSpec {
    /// The application that is backed up; absent for the resources of the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<TypedObjectReference>,
    /// The storages; the default one if absent.
    #[schemars(length(max = 64))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub backends: Vec<Backend>,
    /// The backups.
    #[schemars(length(max = 64))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sessions: Vec<Session>,
    /// Whether nothing is backed up for now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<bool>,
}

impl BackupConfigurationSpec {
    /// What the Repositories and Snapshots name as their application.
    pub fn app_ref(&self) -> TypedObjectReference {
        self.target.clone().unwrap_or_else(TypedObjectReference::none)
    }

    /// The session of a name.
    pub fn session(&self, name: &str) -> Option<&Session> {
        self.sessions.iter().find(|session| session.name == name)
    }

    /// The backend that a repository means: that of the name, or the only one where no name is given.
    pub fn backend(&self, name: Option<&str>) -> Option<&Backend> {
        match name.filter(|name| !name.is_empty()) {
            Some(name) => self.backends.iter().find(|backend| backend.name == name),
            None => self.backends.iter().find(|backend| backend.name.is_empty()).or(match self.backends.as_slice() {
                [only] => Some(only),
                _ => None,
            }),
        }
    }
}

/// What is known of a BackupConfiguration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackupConfigurationStatus {
    /// Whether its sessions can run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<BackupInvokerPhase>,
    /// Whether the application is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_found: Option<bool>,
    /// What was observed: `ValidationPassed`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// The storages and policies.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub backends: Vec<BackendStatus>,
    /// The Repositories.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub repositories: Vec<RepositoryReadiness>,
    /// What else it needs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dependencies: Vec<ResourceFoundStatus>,
    /// Its sessions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sessions: Vec<SessionStatus>,
}
