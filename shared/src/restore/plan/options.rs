//! How a restore is to be done.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{Existing, Policies};
use crate::{
    object::GroupResource,
    restore::{edits::Edits, fields::FieldPath},
};

/// How a restore is to be done.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Options {
    /// What to do with objects that exist.
    pub existing: Policies,
    /// Remove what the cluster has and the snapshot lacks, as far as selection and snapshot reach.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub exact: bool,
    /// Take fields over from other managers on update, and remove what the snapshot lacks.
    pub force: bool,
    /// Whether the snapshot is of this very cluster.
    pub same_cluster: bool,
    /// Keep addresses that a server assigned to Services; by default where the cluster is the same.
    pub keep_addresses: Option<bool>,
    /// Show values of Secrets in differences.
    pub show_secrets: bool,
    /// Take what the selected objects refer to along.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub related: bool,
    /// Versions to write kinds under, instead of those of the stored manifests.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub versions: BTreeMap<GroupResource, String>,
    /// Kinds of which the status is restored, too.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub status: BTreeSet<GroupResource>,
    /// Restore these fields of an object that exists, and nothing else of it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<FieldPath>,
    /// What is changed on the way.
    #[serde(skip_serializing_if = "Edits::is_empty")]
    pub edits: Edits,
}

impl Options {
    /// Whether objects of a kind that exist in another state may be changed.
    pub fn changes(&self, kind: &GroupResource) -> bool {
        !self.fields.is_empty() || matches!(self.existing.of(kind), Existing::Update | Existing::Recreate)
    }

    /// Whether objects of any kind that exist in another state may be changed.
    pub fn changes_existing(&self) -> bool {
        !self.fields.is_empty() || self.existing.changes_existing()
    }

    /// Whether assigned addresses are tried again.
    pub fn keeps_addresses(&self) -> bool {
        self.keep_addresses.unwrap_or(self.same_cluster)
    }
}
