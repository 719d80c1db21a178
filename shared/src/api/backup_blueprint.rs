//! `BackupBlueprint`: a BackupConfiguration for every application that asks for one.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    schema::rules,
    session::{Backend, Session},
    usage_policy::UsagePolicy,
    words::words,
};

const RULES: [(&str, &str); 1] =
    [("has(self.backupConfigurationTemplate)", "backupConfigurationTemplate must say what the BackupConfigurations look like")];

/// A BackupConfiguration for every application that asks for one with annotations.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "core.kubestash.com",
    version = "v1alpha1",
    kind = "BackupBlueprint",
    plural = "backupblueprints",
    namespaced,
    category = "kubestash",
    category = "appscode",
    category = "all",
    derive = "PartialEq",
    derive = "Default",
    doc = "A BackupConfiguration for every application that asks for one with annotations.",
    printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = rules(&RULES)))]
pub struct BackupBlueprintSpec {
    /// The BackupConfiguration, with variables such as `${namespace}` in its texts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup_configuration_template: Option<BackupConfigurationTemplate>,
    /// The kinds whose annotations are looked at.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subjects: Vec<Subject>,
    /// Which namespaces may use the blueprint; its own if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage_policy: Option<UsagePolicy>,
}

/// A BackupConfiguration that is yet to be made.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackupConfigurationTemplate {
    /// Namespace of the BackupConfigurations; that of the application if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The storages; the default one if absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub backends: Vec<Backend>,
    /// The backups.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sessions: Vec<Session>,
    /// What becomes of the BackupConfigurations when the blueprint is deleted; they stay if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_policy: Option<BlueprintDeletionPolicy>,
}

words! {
    /// What becomes of what a blueprint made.
    BlueprintDeletionPolicy {
        /// It is deleted with the blueprint.
        OnDelete,
    }
}

/// A kind whose objects may ask for backups.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Subject {
    /// API group and version of the kind.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub api_version: String,
    /// The kind.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub kind: String,
}
