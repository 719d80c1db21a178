//! How objects name each other.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An object whose kind the field tells.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ObjectReference {
    /// Name of the object.
    pub name: String,
    /// Namespace of the object; the referring object's own if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

impl ObjectReference {
    /// Of an object in a namespace.
    pub fn new(name: impl Into<String>, namespace: impl Into<String>) -> Self {
        Self { name: name.into(), namespace: Some(namespace.into()) }
    }

    /// The namespace, which defaults to that of the referring object.
    pub fn namespace_or<'a>(&'a self, own: &'a str) -> &'a str {
        self.namespace.as_deref().filter(|namespace| !namespace.is_empty()).unwrap_or(own)
    }

    /// With the namespace filled in.
    #[must_use]
    pub fn resolved(&self, own: &str) -> Self {
        Self::new(&self.name, self.namespace_or(own))
    }

    /// Whether both mean the same object when each stands in an object of its own namespace.
    pub fn is_same(&self, own: &str, other: &Self, others_own: &str) -> bool {
        self.name == other.name && self.namespace_or(own) == other.namespace_or(others_own)
    }
}

impl fmt::Display for ObjectReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{namespace}/{}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

/// A BackupStorage.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StorageReference {
    /// Accepted from older releases and ignored: a storage is always a BackupStorage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_group: Option<String>,
    /// Accepted from older releases and ignored: a storage is always a BackupStorage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Name of the BackupStorage.
    pub name: String,
    /// Namespace of the BackupStorage; the referring object's own if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

impl StorageReference {
    /// Of a BackupStorage in a namespace.
    pub fn new(name: impl Into<String>, namespace: impl Into<String>) -> Self {
        Self { name: name.into(), namespace: Some(namespace.into()), ..Self::default() }
    }

    /// What it says without the ignored fields.
    pub fn object(&self) -> ObjectReference {
        ObjectReference { name: self.name.clone(), namespace: self.namespace.clone() }
    }
}

impl From<ObjectReference> for StorageReference {
    fn from(reference: ObjectReference) -> Self {
        Self { name: reference.name, namespace: reference.namespace, ..Self::default() }
    }
}

/// An object of any kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TypedObjectReference {
    /// API group of the object; empty for Kubernetes' core group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_group: Option<String>,
    /// Kind of the object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Name of the object.
    pub name: String,
    /// Namespace of the object; the referring object's own if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

impl TypedObjectReference {
    /// What KubeStash writes where a backup has no target, as that of a cluster's resources.
    pub fn none() -> Self {
        Self { api_group: Some("na".to_owned()), kind: Some(String::new()), name: "na".to_owned(), namespace: None }
    }

    /// Whether it is [`TypedObjectReference::none`].
    pub fn is_none(&self) -> bool {
        self.name == "na" && self.api_group.as_deref() == Some("na") && self.kind.as_deref().unwrap_or_default().is_empty()
    }
}

/// An object of any kind in the same namespace.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TypedLocalObjectReference {
    /// API group of the object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_group: Option<String>,
    /// Kind of the object.
    pub kind: String,
    /// Name of the object.
    pub name: String,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn namespaces_default_to_the_own_one() {
        let here = ObjectReference { name: "a".into(), namespace: None };
        assert_eq!(here.namespace_or("demo"), "demo");
        assert!(here.is_same("demo", &ObjectReference::new("a", "demo"), "other"));
        assert!(!here.is_same("demo", &here, "other"));
        assert_eq!(here.resolved("demo").to_string(), "demo/a");
    }

    #[test]
    fn no_target_is_written_as_kubestash_does() {
        assert_eq!(serde_json::to_value(TypedObjectReference::none()).unwrap(), json!({"apiGroup": "na", "kind": "", "name": "na"}));
        assert!(TypedObjectReference::none().is_none());
    }
}
