//! The decision about one object.

use std::collections::{HashMap, HashSet};

use super::{Action, Candidate, Existing, LiveObject, Observed, Options, Step, definitions};
use crate::{
    compare,
    object::{GroupResource, ObjectId, yaml},
    restore::{Reason, Verdict, owners, transforms},
};

/// What decisions look things up in.
pub struct View<'a> {
    observed: &'a Observed,
    options: &'a Options,
    kinds: HashMap<(String, String), (GroupResource, bool)>,
    candidates: HashMap<&'a ObjectId, &'a Candidate>,
    defined: HashSet<GroupResource>,
}

impl<'a> View<'a> {
    pub fn new(observed: &'a Observed, options: &'a Options) -> Self {
        let mut kinds = HashMap::new();
        for info in observed.candidates.iter().map(|candidate| &candidate.kind).chain(observed.served.kinds()) {
            owners::know(&mut kinds, info);
        }
        let candidates = observed.candidates.iter().map(|candidate| (&candidate.id, candidate)).collect();
        Self { observed, options, kinds, candidates, defined: definitions(&observed.candidates) }
    }

    pub fn kinds(&self) -> &HashMap<(String, String), (GroupResource, bool)> {
        &self.kinds
    }

    /// The step for one candidate, owners apart.
    pub fn step(&self, candidate: &Candidate) -> Step {
        let Decision { action, reason, detail, diff } = self.decide(candidate);
        Step {
            kind: candidate.kind.clone(),
            namespace: candidate.id.namespace.clone(),
            name: candidate.id.name.clone(),
            item: candidate.item,
            action,
            reason,
            detail,
            diff,
            manager: candidate.facts.manager.clone(),
            uid: candidate.facts.uid.clone(),
            owners: Default::default(),
            keep_volume: false,
        }
    }

    fn decide(&self, candidate: &Candidate) -> Decision {
        if let Verdict::Never(reason) = candidate.facts.verdict {
            return Decision::skip(reason);
        }
        let live = self.observed.live.get(&candidate.id).filter(|live| !live.deleting);
        if live.is_some_and(|live| self.is_unchanged(candidate, live)) {
            return Decision::skip(Reason::Unchanged);
        }
        if self.has_computed_endpoints(candidate) {
            return Decision::skip(Reason::ComputedEndpoints);
        }
        if let Some(controller) = self.controller(candidate) {
            return Decision { detail: Some(format!("by {controller}")), ..Decision::skip(Reason::OwnedByController) };
        }
        match (live, candidate.facts.verdict) {
            (Some(_), Verdict::IfMissing(reason)) => Decision::skip(reason),
            (Some(live), _) => self.existing(candidate, live),
            (None, _) => self.missing(candidate),
        }
    }

    fn existing(&self, candidate: &Candidate, live: &LiveObject) -> Decision {
        match self.options.existing {
            // What is only needed is needed to be there, in whatever state.
            _ if candidate.needed => Decision::skip(Reason::Exists),
            Existing::Skip => Decision::skip(Reason::Exists),
            Existing::Fail => Decision::fail(Reason::ExistsFail, "leave it out, or allow skip or update"),
            Existing::Update if candidate.hidden => Decision::hidden(),
            Existing::Update => {
                let diff = live.manifest.as_deref().zip(candidate.manifest.as_deref()).map(|(from, to)| {
                    let hide = candidate.kind.is_secret() && !self.options.show_secrets;
                    compare::text::unified(&candidate.id, from, to, hide)
                });
                Decision { action: Action::Update, reason: Reason::Differs, detail: None, diff }
            }
        }
    }

    fn missing(&self, candidate: &Candidate) -> Decision {
        if candidate.hidden {
            return Decision::hidden();
        }
        let version = &candidate.kind.version;
        match self.observed.served.versions(&candidate.id.kind) {
            Some(served) if !served.contains(version) => {
                let detail = format!("the stored manifest is {}, the cluster serves {}", candidate.kind.api_version(), served.join(", "));
                return Decision::fail(Reason::VersionNotServed, detail);
            }
            None if !self.defined.contains(&candidate.id.kind) => {
                let detail = format!("restore the CustomResourceDefinition {} first, or install what serves it", candidate.id.kind);
                return Decision::fail(Reason::KindNotServed, detail);
            }
            _ => {}
        }
        let waits = self.observed.live.get(&candidate.id).is_some_and(|live| live.deleting);
        Decision {
            action: Action::Create,
            reason: if candidate.needed { Reason::Needed } else { Reason::Missing },
            detail: waits.then(|| "after the old one, which is being deleted, is gone".to_owned()),
            diff: None,
        }
    }

    /// The same state as in the snapshot, or one that differs only in what a restore changes.
    fn is_unchanged(&self, candidate: &Candidate, live: &LiveObject) -> bool {
        if candidate.facts.uid.as_ref() == Some(&live.uid) && candidate.facts.resource_version.as_ref() == Some(&live.resource_version) {
            return true;
        }
        let (Some(stored), Some(found)) = (&candidate.manifest, &live.manifest) else { return false };
        if stored == found && self.options.storage_classes.is_empty() {
            return true;
        }
        let (Ok(mut stored), Ok(mut found)) = (yaml::read(stored), yaml::read(found)) else { return false };
        transforms::map_storage_classes(&candidate.id.kind, &mut stored, &self.options.storage_classes);
        transforms::comparable(&candidate.id.kind, &mut stored, false);
        transforms::comparable(&candidate.id.kind, &mut found, false);
        stored == found
    }

    fn has_computed_endpoints(&self, candidate: &Candidate) -> bool {
        let service = ObjectId { kind: GroupResource::new("", "services"), ..candidate.id.clone() };
        candidate.id.kind == GroupResource::new("", "endpoints") && self.candidates.get(&service).is_some_and(|service| service.facts.selects_pods)
    }

    /// The controller that makes this object again, if there is one or will be.
    fn controller(&self, candidate: &Candidate) -> Option<ObjectId> {
        let remade = matches!(
            (candidate.id.kind.group.as_str(), candidate.id.kind.resource.as_str()),
            ("", "pods") | ("apps", "replicasets" | "controllerrevisions") | ("batch", "jobs") | ("discovery.k8s.io", "endpointslices")
        );
        let owner = candidate.facts.owners.iter().find(|owner| owner.controller).filter(|_| remade)?;
        let id = owners::resolve(owner, candidate.id.namespace.as_deref(), &self.kinds)?;
        let live = self.observed.live.get(&id).is_some_and(|live| !live.deleting);
        let restored = self.candidates.get(&id).is_some_and(|owner| !matches!(owner.facts.verdict, Verdict::Never(_)));
        (live || restored).then_some(id)
    }
}

struct Decision {
    action: Action,
    reason: Reason,
    detail: Option<String>,
    diff: Option<String>,
}

impl Decision {
    fn skip(reason: Reason) -> Self {
        Self { action: Action::Skip, reason, detail: None, diff: None }
    }

    fn fail(reason: Reason, detail: impl Into<String>) -> Self {
        Self { action: Action::Fail, reason, detail: Some(detail.into()), diff: None }
    }

    fn hidden() -> Self {
        Self::fail(Reason::HiddenValues, "open the repository with a password that shows Secrets")
    }
}
