//! `RestoreSession`: bringing a Snapshot back.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    addon_info::AddonInfo,
    hook::RestoreHooks,
    manifest_options::ManifestOptions,
    reference::{ObjectReference, TypedObjectReference},
    restore_status::RestoreSessionStatus,
    schema::rules,
};

/// `dataSource.snapshot` that means the newest successful Snapshot of the Repository.
pub const LATEST: &str = "latest";

const RULES: [(&str, &str); 1] = [("has(self.dataSource)", "dataSource must say which Snapshot is brought back")];

/// Bringing a Snapshot back.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "core.kubestash.com",
    version = "v1alpha1",
    kind = "RestoreSession",
    plural = "restoresessions",
    shortname = "restore",
    namespaced,
    status = "RestoreSessionStatus",
    category = "kubestash",
    category = "appscode",
    category = "all",
    derive = "PartialEq",
    derive = "Default",
    doc = "Bringing a Snapshot back.",
    printcolumn = r#"{"name": "Repository", "type": "string", "jsonPath": ".spec.dataSource.repository"}"#,
    printcolumn = r#"{"name": "Phase", "type": "string", "jsonPath": ".status.phase"}"#,
    printcolumn = r#"{"name": "Duration", "type": "string", "jsonPath": ".status.duration"}"#,
    printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = rules(&RULES)))]
pub struct RestoreSessionSpec {
    /// The application that the data goes into; absent for the resources of the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<TypedObjectReference>,
    /// The Snapshot that is brought back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_source: Option<DataSource>,
    /// What brings it back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub addon: Option<AddonInfo>,
    /// What runs before and after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hooks: Option<RestoreHooks>,
    /// How long it may take, such as `2h`; for ever if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore_timeout: Option<String>,
    /// What is restored of the manifests of databases; accepted and ignored, as the resources of a cluster are selected by `params`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest_options: Option<ManifestOptions>,
}

const DATA_SOURCE_RULES: [(&str, &str); 3] = [
    (
        "!has(self.pitr) || (has(self.pitr.targetTime) && self.?repository.orValue('') != '')",
        "pitr needs its targetTime, and the repository whose Snapshots are looked at",
    ),
    ("has(self.pitr) || self.?snapshot.orValue('') != ''", "snapshot must name a Snapshot, or be latest; or pitr must name a time"),
    (
        "self.?snapshot.orValue('') != 'latest' || self.?repository.orValue('') != ''",
        "snapshot is latest, so repository must say of which Repository",
    ),
];

/// Which Snapshot is brought back.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = rules(&DATA_SOURCE_RULES)))]
pub struct DataSource {
    /// Namespace of the Repository and the Snapshot; the RestoreSession's own if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Name of the Repository; needed with `latest` and with `pitr`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// Name of the Snapshot, or `latest`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<String>,
    /// The newest Snapshot of a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pitr: Option<PointInTime>,
    /// Parts of the Snapshot to restore; all if absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub components: Vec<String>,
    /// Secret with the password of the repository; the Repository's own if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption_secret: Option<ObjectReference>,
}

impl DataSource {
    /// The namespace, which defaults to that of the RestoreSession.
    pub fn namespace_or<'a>(&'a self, own: &'a str) -> &'a str {
        self.namespace.as_deref().filter(|namespace| !namespace.is_empty()).unwrap_or(own)
    }

    /// Whether the newest successful Snapshot is meant.
    pub fn is_latest(&self) -> bool {
        self.snapshot.as_deref() == Some(LATEST)
    }
}

/// A time whose newest Snapshot is meant.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PointInTime {
    /// The time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_time: Option<Time>,
    /// Whether a Snapshot of exactly that time is too late.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exclusive: Option<bool>,
}
