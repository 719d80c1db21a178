//! The plan of a restore: what is done to each object, why, and in which order. Pure.

mod decide;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use serde::{Deserialize, Serialize};

use super::{
    Reason, Verdict,
    facts::{Facts, Manager},
    order::{Place, Stage, place},
    owners::{self, OwnerLink, OwnerLinks},
};
use crate::{
    cluster::Discovery,
    object::{GroupResource, KindInfo, ObjectId},
};

/// What to do with objects that the cluster already has in another state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Existing {
    /// Leave them alone.
    #[default]
    Skip,
    /// Bring them to the snapshot's state by server-side apply.
    Update,
    /// Count them as failures.
    Fail,
}

/// How a restore is to be done.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Options {
    /// What to do with objects that exist.
    pub existing: Existing,
    /// Take fields over from other managers on update, and remove what the snapshot lacks.
    pub force: bool,
    /// Whether the snapshot is of this very cluster.
    pub same_cluster: bool,
    /// Keep addresses that a server assigned to Services; by default where the cluster is the same.
    pub keep_addresses: Option<bool>,
    /// Show values of Secrets in differences.
    pub show_secrets: bool,
    /// Storage classes that claims and volumes get instead of those in the snapshot.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub storage_classes: BTreeMap<String, String>,
}

impl Options {
    /// Whether assigned addresses are tried again.
    pub fn keeps_addresses(&self) -> bool {
        self.keep_addresses.unwrap_or(self.same_cluster)
    }
}

/// One object of the source that a restore is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Its identity.
    pub id: ObjectId,
    /// Its kind, in the version of the stored manifest.
    pub kind: KindInfo,
    /// Which item of the source it is.
    pub item: usize,
    /// What is known of it.
    pub facts: Facts,
    /// Not selected, but selected objects cannot live without it.
    pub needed: bool,
    /// Its values cannot be read, or the file shows them hidden.
    pub hidden: bool,
    /// Its manifest, loaded where the live one may differ and the difference matters.
    pub manifest: Option<Vec<u8>>,
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
}

/// What is done to one object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Created.
    Create,
    /// Updated.
    Update,
    /// Left as it is.
    Skip,
    /// Refused: counts as a failure.
    Fail,
}

/// One object of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// Kind, in the version of the stored manifest.
    #[serde(flatten)]
    pub kind: KindInfo,
    /// Namespace, or nothing for cluster-scoped objects.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub namespace: Option<String>,
    /// Name.
    pub name: String,
    /// Which item of the source it is.
    pub item: usize,
    /// What is done.
    pub action: Action,
    /// Why.
    pub reason: Reason,
    /// What else there is to know, in a sentence.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub detail: Option<String>,
    /// From the live manifest to the snapshot's, as unified text; for updates.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub diff: Option<String>,
    /// Who owns the fields, where it is one manager.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub manager: Option<Manager>,
    /// Uid in the snapshot.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub uid: Option<String>,
    /// What becomes of owner references.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub owners: OwnerLinks,
    /// A claim keeps its volume's name, because the volume is restored too.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub keep_volume: bool,
}

impl Step {
    /// The object's identity.
    pub fn id(&self) -> ObjectId {
        ObjectId { kind: self.kind.group_resource(), namespace: self.namespace.clone(), name: self.name.clone() }
    }
}

/// Steps that can run at the same time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Wave {
    /// Stage of the order.
    pub stage: Stage,
    /// How many owners stand above the wave's objects within the stage.
    pub depth: u32,
    /// Steps, in the source's order.
    pub steps: Vec<Step>,
}

/// A whole plan.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// Options it was made with; execution follows them.
    pub options: Options,
    /// Namespaces to make before all else: the source does not hold them, so they come without labels and annotations.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub bare_namespaces: Vec<String>,
    /// Waves, one after the other.
    pub waves: Vec<Wave>,
}

impl Plan {
    /// All steps in order.
    pub fn steps(&self) -> impl Iterator<Item = &Step> {
        self.waves.iter().flat_map(|wave| &wave.steps)
    }

    /// How many steps there are of each action and reason.
    pub fn counts(&self) -> BTreeMap<(Action, Reason), usize> {
        let mut counts = BTreeMap::new();
        for step in self.steps() {
            *counts.entry((step.action, step.reason)).or_default() += 1;
        }
        counts
    }

    /// Whether executing it would change anything.
    pub fn changes_anything(&self) -> bool {
        self.steps().any(|step| matches!(step.action, Action::Create | Action::Update))
    }
}

/// Decides what to do with every candidate.
pub fn plan(observed: &Observed, options: &Options) -> Plan {
    let view = decide::View::new(observed, options);
    let mut steps: Vec<Step> = observed.candidates.iter().map(|candidate| view.step(candidate)).collect();
    let created: HashMap<ObjectId, usize> =
        steps.iter().enumerate().filter(|(_, step)| step.action == Action::Create).map(|(index, step)| (step.id(), index)).collect();

    let mut above = vec![Vec::new(); steps.len()];
    for (index, candidate) in observed.candidates.iter().enumerate() {
        let mut links = OwnerLinks::new();
        for owner in &candidate.facts.owners {
            let id = owners::resolve(owner, candidate.id.namespace.as_deref(), view.kinds());
            let live = id.as_ref().and_then(|id| observed.live.get(id)).filter(|live| !live.deleting);
            let planned = id.as_ref().and_then(|id| created.get(id)).copied();
            let link = match (live, planned) {
                (_, Some(above_index)) => {
                    if let Some(list) = above.get_mut(index) {
                        list.push(above_index);
                    }
                    OwnerLink::Planned
                }
                (Some(live), None) if live.uid == owner.uid => OwnerLink::Keep,
                (Some(live), None) => OwnerLink::To(live.uid.clone()),
                (None, None) => OwnerLink::Drop,
            };
            links.insert(owner.uid.clone(), link);
        }
        if let Some(step) = steps.get_mut(index) {
            step.owners = links;
            step.keep_volume = candidate.facts.volume.as_ref().is_some_and(|volume| {
                created.contains_key(&ObjectId { kind: GroupResource::new("", "persistentvolumes"), namespace: None, name: volume.clone() })
            });
        }
    }

    // Only where something is going to live in them.
    let inhabited = steps.iter().filter(|step| step.action == Action::Create).filter_map(|step| step.namespace.clone());
    let bare_namespaces: BTreeSet<String> = inhabited.filter(|namespace| observed.unknown_namespaces.contains(namespace)).collect();
    let stages: Vec<Stage> = steps.iter().map(|step| Stage::of(&step.kind.group_resource())).collect();
    let mut waves: BTreeMap<Place, Vec<Step>> = BTreeMap::new();
    for (step, place) in steps.into_iter().zip(place(&stages, &above)) {
        waves.entry(place).or_default().push(step);
    }
    let waves = waves.into_iter().map(|(place, steps)| Wave { stage: place.stage, depth: place.depth, steps }).collect();
    Plan { options: options.clone(), bare_namespaces: bare_namespaces.into_iter().collect(), waves }
}

/// Identities of the definitions among candidates, by the kind they define.
fn definitions(candidates: &[Candidate]) -> HashSet<GroupResource> {
    candidates
        .iter()
        .filter(|candidate| Stage::of(&candidate.id.kind) == Stage::Definitions && matches!(candidate.facts.verdict, Verdict::Restore))
        // A definition's name is RESOURCE.GROUP, which is how a kind is written.
        .filter_map(|candidate| candidate.id.name.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests;
