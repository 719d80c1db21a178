//! The plan of a restore: what is done to each object, why, and in which order. Pure.

mod classes;
mod decide;
mod observed;
mod options;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use rayon::iter::{IntoParallelRefIterator as _, ParallelIterator as _};
use serde::{Deserialize, Serialize};

pub use super::policy::{Existing, Policies, PolicyError};
pub use observed::{Candidate, Edit, LiveClass, LiveObject, Observed, Served, Surplus};
pub use options::Options;

use super::{
    Reason, Verdict,
    facts::Manager,
    order::{self, Place, Stage, place},
    owners::{self, OwnerLink, OwnerLinks},
};
use crate::object::{GroupResource, KindInfo, ObjectId};

/// The identity that an object had before it moved from `from`.
fn origin(id: &ObjectId, from: Option<&str>) -> ObjectId {
    match (from, &id.namespace) {
        (None, _) => id.clone(),
        (Some(from), Some(_)) => ObjectId { namespace: Some(from.to_owned()), ..id.clone() },
        (Some(from), None) => ObjectId { name: from.to_owned(), ..id.clone() },
    }
}

/// What is done to one object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Created.
    Create,
    /// Updated.
    Update,
    /// Deleted, without what it owns, and created anew.
    Recreate,
    /// Removed, with what it owns.
    Delete,
    /// Left as it is.
    Skip,
    /// Refused: counts as a failure.
    Fail,
}

impl Action {
    /// Whether it changes the cluster.
    pub const fn writes(self) -> bool {
        matches!(self, Self::Create | Self::Update | Self::Recreate | Self::Delete)
    }

    /// Whether it makes a new object, with a new uid.
    pub const fn makes(self) -> bool {
        matches!(self, Self::Create | Self::Recreate)
    }
}

/// What the cluster had of an object when the plan was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Seen {
    /// Uid.
    pub uid: String,
    /// Resource version.
    pub resource_version: String,
    /// Whether it was being deleted.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub deleting: bool,
}

/// One object of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// Kind, in the version that is written.
    #[serde(flatten, with = "shared_kind")]
    pub kind: Arc<KindInfo>,
    /// Group and version of the stored manifest, where they are other ones.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub stored_as: Option<String>,
    /// Namespace, or nothing for cluster-scoped objects.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub namespace: Option<String>,
    /// Name.
    pub name: String,
    /// Which item of the source it is; none for what the source lacks.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub item: Option<usize>,
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
    /// Its status is restored when all else is.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub restores_status: bool,
    /// It is left alone if something else makes it meanwhile, as a controller does.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub if_missing: bool,
    /// What the cluster had of it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub live: Option<Seen>,
    /// Its namespace in the source, or its own name there where it is a Namespace; where it moves.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub from: Option<String>,
    /// What there is to know before it is written, one line each.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub warnings: Vec<String>,
}

impl Step {
    /// A step that knows no more than what is done to which object, and why.
    pub fn new(kind: impl Into<Arc<KindInfo>>, id: ObjectId, action: Action, reason: Reason) -> Self {
        Self {
            kind: kind.into(),
            stored_as: None,
            namespace: id.namespace,
            name: id.name,
            item: None,
            action,
            reason,
            detail: None,
            diff: None,
            manager: None,
            uid: None,
            owners: OwnerLinks::new(),
            keep_volume: false,
            restores_status: false,
            if_missing: false,
            live: None,
            from: None,
            warnings: Vec::new(),
        }
    }

    /// The object's identity.
    pub fn id(&self) -> ObjectId {
        ObjectId { kind: self.kind.group_resource(), namespace: self.namespace.clone(), name: self.name.clone() }
    }

    /// The object's identity in the source.
    pub fn origin(&self) -> ObjectId {
        let mut id = self.id();
        if let Some(stored) = &self.stored_as {
            id.kind.group = stored.split_once('/').map_or("", |(group, _)| group).to_owned();
        }
        origin(&id, self.from.as_deref())
    }
}

/// A kind that many steps share, as each of them writes it.
mod shared_kind {
    use std::sync::Arc;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::object::KindInfo;

    pub(super) fn serialize<S: Serializer>(kind: &Arc<KindInfo>, serializer: S) -> Result<S::Ok, S::Error> {
        kind.as_ref().serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<KindInfo>, D::Error> {
        KindInfo::deserialize(deserializer).map(Arc::new)
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
    /// What there is to know about the whole, one line each.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub notes: Vec<String>,
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
        self.steps().any(|step| step.action.writes())
    }
}

/// Objects that would be updated, as far as can be told before the API server is asked.
pub fn updates(observed: &Observed, options: &Options) -> HashSet<ObjectId> {
    let view = decide::View::new(observed, options);
    observed.candidates.iter().filter(|candidate| view.action(candidate) == Action::Update).map(|candidate| candidate.id.clone()).collect()
}

/// Decides what to do with every candidate.
pub fn plan(observed: &Observed, options: &Options) -> Plan {
    let view = decide::View::new(observed, options);
    let mut steps: Vec<Step> = observed.candidates.par_iter().map(|candidate| view.step(candidate)).collect();
    let made = observed.candidates.iter().zip(&steps).enumerate().filter(|(_, (_, step))| step.action.makes());
    let created: HashMap<&ObjectId, usize> = made.map(|(index, (candidate, _))| (&candidate.id, index)).collect();

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
            if step.action.writes() {
                step.owners = links;
            }
            step.keep_volume = candidate.facts.volume.as_ref().is_some_and(|volume| {
                created.contains_key(&ObjectId { kind: GroupResource::new("", "persistentvolumes"), namespace: None, name: volume.clone() })
            });
            let unserved = classes::warning(candidate, step, observed, options);
            step.warnings.extend(unserved);
            if let (Some(volume), Some(_), Action::Create, false) = (&candidate.facts.volume, &candidate.from, step.action, step.keep_volume) {
                step.warnings.push(format!("no data comes along: volume {volume} stays with the claim that it is bound to"));
            }
        }
    }

    // Only where something is going to live in them.
    let inhabited = steps.iter().filter(|step| step.action == Action::Create).filter_map(|step| step.namespace.clone());
    let bare_namespaces: BTreeSet<String> = inhabited.filter(|namespace| observed.unknown_namespaces.contains(namespace)).collect();
    let stages: Vec<Stage> = steps.iter().map(|step| Stage::of(&step.kind.group_resource())).collect();
    let places = place(&stages, &above);
    let mut sizes: BTreeMap<Place, usize> = BTreeMap::new();
    for place in &places {
        *sizes.entry(*place).or_default() += 1;
    }
    // As large as they get: steps of a large plan are the most of what it takes, and growing would take half as much again.
    let mut waves: BTreeMap<Place, Vec<Step>> = sizes.into_iter().map(|(place, size)| (place, Vec::with_capacity(size))).collect();
    for (step, place) in steps.into_iter().zip(places) {
        waves.entry(place).or_default().push(step);
    }
    for surplus in &observed.surplus {
        let step = view.removal(surplus);
        waves.entry(order::removal(&surplus.id.kind)).or_default().push(step);
    }
    let waves = waves.into_iter().map(|(place, steps)| Wave { stage: place.stage, depth: place.depth, steps }).collect();
    let bare_namespaces = bare_namespaces.into_iter().collect();
    let mut plan = Plan { options: options.clone(), bare_namespaces, notes: notes(observed, options), waves };
    plan.notes.extend(converted(&plan));
    plan
}

/// Which kinds are written under other versions than they are stored under, a line each.
fn converted(plan: &Plan) -> Vec<String> {
    let mut kinds: BTreeMap<(GroupResource, String, &str), usize> = BTreeMap::new();
    for step in plan.steps().filter(|step| step.action.writes()) {
        if let Some(stored) = &step.stored_as {
            *kinds.entry((step.kind.group_resource(), step.kind.api_version(), stored)).or_default() += 1;
        }
    }
    let line = |((kind, written, stored), number)| format!("{kind}: {number} stored as {stored}, written as {written}");
    kinds.into_iter().map(line).collect()
}

/// Edits that nothing is touched by: what was meant is elsewhere.
fn notes(observed: &Observed, options: &Options) -> Vec<String> {
    let moved: HashSet<&str> = observed.candidates.iter().filter_map(|candidate| candidate.from.as_deref()).collect();
    let patched: HashSet<usize> = observed.candidates.iter().flat_map(|candidate| candidate.edit.patches.iter().copied()).collect();
    let edits = &options.edits;
    let still = edits
        .namespaces
        .moved()
        .filter(|from| !moved.contains(from))
        .map(|from| format!("nothing that is selected lives in namespace {from}, which is mapped"));
    let idle =
        (0..edits.patches.len()).filter(|index| !patched.contains(index)).map(|index| format!("patch {} is for nothing that is selected", index + 1));
    still.chain(idle).chain(classes::defaults(observed)).collect()
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
