//! What a plan is made from: objects of the source, and what the cluster has of them.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use super::origin;
use crate::{
    cluster::Discovery,
    object::{GroupResource, KindInfo, ObjectId},
    restore::{facts::Facts, trial::Trial},
};

/// One object of the source that a restore is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Its identity.
    pub id: ObjectId,
    /// Its kind, in the version that it is written under.
    pub kind: Arc<KindInfo>,
    /// Its kind in the source, where group or version are other ones there.
    pub stored: Option<Arc<KindInfo>>,
    /// Why it cannot be written under any version that the cluster serves.
    pub unserved: Option<String>,
    /// Which item of the source it is.
    pub item: usize,
    /// What is known of it.
    pub facts: Facts,
    /// Not selected, but selected objects cannot live without it.
    pub needed: bool,
    /// Not selected either, but this one refers to it and that was asked for.
    pub related: Option<ObjectId>,
    /// Its values cannot be read, or the file shows them hidden.
    pub hidden: bool,
    /// Its manifest as edited, loaded where the live one may differ and the difference matters.
    pub manifest: Option<Vec<u8>>,
    /// Its namespace in the source, or its own name there where it is a Namespace; where it moves.
    pub from: Option<String>,
    /// What edits make of it.
    pub edit: Edit,
}

impl Candidate {
    /// Its identity in the source.
    pub fn origin(&self) -> ObjectId {
        let kind = self.stored.as_ref().unwrap_or(&self.kind).group_resource();
        origin(&ObjectId { kind, ..self.id.clone() }, self.from.as_deref())
    }
}

/// What edits make of a candidate.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Edit {
    /// Whether they change it at all.
    pub changes: bool,
    /// Whether it is nothing but a record of a tool whose traces are dropped.
    pub is_record: bool,
    /// Which patches are for it.
    pub patches: Vec<usize>,
    /// What there is to know, one line each.
    pub warnings: Vec<String>,
    /// Why it does not take them.
    pub refusal: Option<String>,
}

/// One object as the cluster has it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LiveObject {
    /// Uid.
    pub uid: String,
    /// Resource version.
    pub resource_version: String,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// Manifest part, read where it may differ and the difference matters.
    pub manifest: Option<Vec<u8>>,
    /// What the API server says to the update, where one may be needed.
    pub trial: Option<Trial>,
    /// Manifest part as the update would leave it, in the API server's answer: with all that others have added, or without it where that is
    /// removed.
    pub becomes: Option<Vec<u8>>,
}

/// One object of the cluster that the source lacks, although it would hold it had it been there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Surplus {
    /// Its identity.
    pub id: ObjectId,
    /// Its kind, as it was read.
    pub kind: KindInfo,
    /// What is known of it.
    pub facts: Facts,
    /// Its state.
    pub live: LiveObject,
}

/// A storage class of the cluster, or a class of another kind.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LiveClass {
    /// Its name.
    pub name: String,
    /// Whether it is taken where none is named.
    pub is_default: bool,
}

/// The kinds that a cluster serves.
#[derive(Debug, Clone, Default)]
pub struct Served {
    versions: HashMap<GroupResource, (KindInfo, Vec<String>)>,
}

impl From<&Discovery> for Served {
    fn from(discovery: &Discovery) -> Self {
        let mut served = Self::default();
        for kind in &discovery.kinds {
            served.add(kind.info.clone(), kind.served_versions.clone());
        }
        served
    }
}

impl Served {
    /// Adds a kind in its preferred version, with all its served versions.
    pub fn add(&mut self, info: KindInfo, versions: Vec<String>) {
        self.versions.insert(info.group_resource(), (info, versions));
    }

    /// All kinds.
    pub fn kinds(&self) -> impl Iterator<Item = &KindInfo> {
        self.versions.values().map(|(info, _)| info)
    }

    /// A kind in its preferred version.
    pub fn kind(&self, kind: &GroupResource) -> Option<&KindInfo> {
        self.versions.get(kind).map(|(info, _)| info)
    }

    /// The served versions of a kind, or nothing where the kind is not served.
    pub fn versions(&self, kind: &GroupResource) -> Option<&[String]> {
        self.versions.get(kind).map(|(_, versions)| versions.as_slice())
    }
}

/// Everything a plan is made from.
#[derive(Debug, Clone, Default)]
pub struct Observed {
    /// Objects of the source, in its order.
    pub candidates: Vec<Candidate>,
    /// Objects of the cluster: candidates and owners of candidates.
    pub live: HashMap<ObjectId, LiveObject>,
    /// What the cluster serves.
    pub served: Served,
    /// Namespaces of candidates that neither the source nor the cluster has.
    pub unknown_namespaces: BTreeSet<String>,
    /// Classes of the cluster by kind; none of a kind that may not be looked at, or that nothing chosen needs.
    pub classes: HashMap<GroupResource, Vec<LiveClass>>,
    /// Objects that only the cluster has, read when they are to be removed.
    pub surplus: Vec<Surplus>,
}
