//! The decision about one object.

use std::collections::{HashMap, HashSet};

use super::{Action, Candidate, Existing, LiveObject, Observed, Options, Seen, Step, Surplus, definitions};
use crate::{
    compare,
    object::{GroupResource, ObjectId, yaml},
    restore::{Reason, Verdict, owners, policy, transforms, trial::Trial, update, versions},
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
        for info in observed.candidates.iter().map(|candidate| candidate.kind.as_ref()).chain(observed.served.kinds()) {
            owners::know(&mut kinds, info);
        }
        let mut candidates: HashMap<&ObjectId, &Candidate> = HashMap::new();
        for candidate in &observed.candidates {
            candidates.entry(&candidate.id).or_insert(candidate);
        }
        Self { observed, options, kinds, candidates, defined: definitions(&observed.candidates) }
    }

    pub fn kinds(&self) -> &HashMap<(String, String), (GroupResource, bool)> {
        &self.kinds
    }

    /// The step for one candidate, owners apart.
    pub fn step(&self, candidate: &Candidate) -> Step {
        let Decision { action, reason, detail } = self.decide(candidate);
        let live = self.observed.live.get(&candidate.id);
        let differs = matches!(reason, Reason::Differs | Reason::Conflict | Reason::Immutable);
        Step {
            item: Some(candidate.item),
            stored_as: candidate.stored.as_ref().map(|stored| stored.api_version()),
            detail,
            diff: live.filter(|_| differs).and_then(|live| self.diff(candidate, live)),
            manager: candidate.facts.manager.clone(),
            uid: candidate.facts.uid.clone(),
            live: live.map(seen),
            if_missing: matches!(candidate.facts.verdict, Verdict::IfMissing(_)),
            from: candidate.from.clone(),
            restores_status: action.writes() && candidate.stored.is_none() && self.options.status.contains(&candidate.id.kind),
            warnings: if action.writes() { candidate.edit.warnings.clone() } else { Vec::new() },
            ..Step::new(candidate.kind.clone(), candidate.id.clone(), action, reason)
        }
    }

    /// What is done to a candidate.
    pub fn action(&self, candidate: &Candidate) -> Action {
        self.decide(candidate).action
    }

    fn diff(&self, candidate: &Candidate, live: &LiveObject) -> Option<String> {
        let hide = candidate.kind.is_secret() && !self.options.show_secrets;
        let to = live.becomes.as_deref().or(candidate.manifest.as_deref());
        let (from, to) = live.manifest.as_deref().zip(to)?;
        Some(compare::text::unified(&candidate.id, from, to, hide))
    }

    /// The step for an object that the source lacks.
    pub fn removal(&self, surplus: &Surplus) -> Step {
        let kind = &surplus.id.kind;
        let Decision { action, reason, detail } = match surplus.facts.verdict {
            Verdict::Never(reason) | Verdict::IfMissing(reason) => Decision::skip(reason),
            Verdict::Restore if policy::holds_others(kind) => Decision::skip(Reason::HoldsOthers),
            // Its owner decides about it: what is removed takes along what it owns.
            Verdict::Restore => match surplus.facts.owners.first() {
                Some(owner) => Decision { detail: Some(format!("by {} {}", owner.kind, owner.name)), ..Decision::skip(Reason::OwnedByController) },
                None => Decision {
                    action: Action::Delete,
                    reason: Reason::NotInSnapshot,
                    detail: policy::loss(kind).map(|loss| format!("with it go {loss}")),
                },
            },
        };
        Step { detail, live: Some(seen(&surplus.live)), ..Step::new(surplus.kind.clone(), surplus.id.clone(), action, reason) }
    }

    fn decide(&self, candidate: &Candidate) -> Decision {
        if let Verdict::Never(reason) = candidate.facts.verdict {
            return Decision::skip(reason);
        }
        if candidate.edit.is_record {
            return Decision::skip(Reason::ToolRecord);
        }
        if let Some(other) = self.candidates.get(&candidate.id).filter(|first| !std::ptr::eq(**first, candidate)) {
            return self.same_name(candidate, other);
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

    /// Two objects of the source come to one place. Of Namespaces one is enough; of all else nobody knows which is meant.
    fn same_name(&self, candidate: &Candidate, other: &Candidate) -> Decision {
        let detail = format!("{} comes there", other.origin());
        let enough = policy::holds_others(&candidate.id.kind) || matches!(candidate.facts.verdict, Verdict::IfMissing(_));
        if enough { Decision { detail: Some(detail), ..Decision::skip(Reason::SameName) } } else { Decision::fail(Reason::SameName, detail) }
    }

    fn existing(&self, candidate: &Candidate, live: &LiveObject) -> Decision {
        match self.options.existing.of(&candidate.id.kind) {
            // What is only needed is needed to be there, in whatever state.
            _ if candidate.needed => Decision::skip(Reason::Exists),
            _ if !self.options.fields.is_empty() => self.fields(candidate),
            Existing::Skip => Decision::skip(Reason::Exists),
            Existing::Fail => Decision::fail(Reason::ExistsFail, "leave it out, or allow skip or update"),
            Existing::Update | Existing::Recreate if candidate.unserved.is_some() => Decision::unserved(candidate),
            Existing::Update | Existing::Recreate if candidate.hidden => Decision::hidden(),
            Existing::Update | Existing::Recreate if candidate.edit.refusal.is_some() => Decision::refused(candidate),
            policy @ (Existing::Update | Existing::Recreate) => {
                let decision = self.change(&candidate.id.kind, live.trial.as_ref(), policy);
                if decision.action == Action::Update { Decision { detail: kept(candidate, live), ..decision } } else { decision }
            }
        }
    }

    /// Only some fields of it are restored: what others own is taken over, because nobody but a person names fields.
    fn fields(&self, candidate: &Candidate) -> Decision {
        if candidate.unserved.is_some() {
            return Decision::unserved(candidate);
        }
        if candidate.hidden {
            return Decision::hidden();
        }
        if candidate.edit.refusal.is_some() {
            return Decision::refused(candidate);
        }
        let names: Vec<String> = self.options.fields.iter().map(ToString::to_string).collect();
        Decision { action: Action::Update, reason: Reason::Differs, detail: Some(format!("only {}", names.join(", "))) }
    }

    /// What to do with an object that differs, by what the API server says to the update.
    fn change(&self, kind: &GroupResource, trial: Option<&Trial>, policy: Existing) -> Decision {
        match trial {
            None | Some(Trial::Passes) => Decision { action: Action::Update, reason: Reason::Differs, detail: None },
            Some(Trial::Conflict(with)) => Decision::fail(Reason::Conflict, format!("conflict with {with}; --force-conflicts takes the fields over")),
            Some(Trial::Immutable(fields)) => {
                let fields = if fields.is_empty() { "one".to_owned() } else { fields.join(", ") };
                match self.options.existing.recreates(kind) {
                    Err(why) => Decision::fail(Reason::Immutable, format!("{fields}; {why}")),
                    Ok(()) if policy != Existing::Recreate => {
                        Decision::fail(Reason::Immutable, format!("{fields}; --existing={kind}=recreate deletes it and creates it anew"))
                    }
                    Ok(()) => {
                        let lost = policy::loss(kind).map_or_else(String::new, |loss| format!("; lost are {loss}"));
                        let detail = format!("{fields}; what it owns stays{lost}");
                        Decision { action: Action::Recreate, reason: Reason::Immutable, detail: Some(detail) }
                    }
                }
            }
        }
    }

    fn missing(&self, candidate: &Candidate) -> Decision {
        if candidate.hidden {
            return Decision::hidden();
        }
        if candidate.edit.refusal.is_some() {
            return Decision::refused(candidate);
        }
        if !self.options.fields.is_empty() {
            return Decision::fail(Reason::NoObject, "restore all of it, without --field");
        }
        if candidate.unserved.is_some() {
            return Decision::unserved(candidate);
        }
        if self.observed.served.versions(&candidate.id.kind).is_none() && !self.defined.contains(&candidate.id.kind) {
            let install = || format!("restore the CustomResourceDefinition {} first, or install what serves it", candidate.id.kind);
            return Decision::fail(Reason::KindNotServed, versions::removed(&candidate.id.kind).map_or_else(install, str::to_owned));
        }
        let waits = self.observed.live.get(&candidate.id).is_some_and(|live| live.deleting);
        Decision {
            action: Action::Create,
            reason: match &candidate.related {
                Some(_) => Reason::Related,
                None if candidate.needed => Reason::Needed,
                None => Reason::Missing,
            },
            detail: if waits {
                Some("after the old one, which is being deleted, is gone".to_owned())
            } else {
                candidate.related.as_ref().map(|by| format!("by {by}"))
            },
        }
    }

    /// The same state as in the snapshot, or one that differs only in what a restore changes.
    fn is_unchanged(&self, candidate: &Candidate, live: &LiveObject) -> bool {
        let same = candidate.facts.uid.as_ref() == Some(&live.uid) && candidate.facts.resource_version.as_ref() == Some(&live.resource_version);
        if same && !candidate.edit.changes {
            return true;
        }
        let (Some(stored), Some(found)) = (&candidate.manifest, &live.manifest) else { return false };
        if stored == found {
            return true;
        }
        let (Ok(mut stored), Ok(mut found)) = (yaml::read(stored), yaml::read(found)) else { return false };
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

/// What an update leaves in place of all that the snapshot does not have.
fn kept(candidate: &Candidate, live: &LiveObject) -> Option<String> {
    let (after, stored) = (live.becomes.as_deref()?, candidate.manifest.as_deref()?);
    let (Ok(after), Ok(stored)) = (yaml::read(after), yaml::read(stored)) else { return None };
    update::surplus(&candidate.id.kind, &after, &stored).map(|surplus| surplus.kept)
}

fn seen(live: &LiveObject) -> Seen {
    Seen { uid: live.uid.clone(), resource_version: live.resource_version.clone(), deleting: live.deleting }
}

struct Decision {
    action: Action,
    reason: Reason,
    detail: Option<String>,
}

impl Decision {
    fn skip(reason: Reason) -> Self {
        Self { action: Action::Skip, reason, detail: None }
    }

    fn fail(reason: Reason, detail: impl Into<String>) -> Self {
        Self { action: Action::Fail, reason, detail: Some(detail.into()) }
    }

    fn refused(candidate: &Candidate) -> Self {
        Self::fail(Reason::EditRefused, candidate.edit.refusal.clone().unwrap_or_default())
    }

    fn unserved(candidate: &Candidate) -> Self {
        Self::fail(Reason::VersionNotServed, candidate.unserved.clone().unwrap_or_default())
    }

    fn hidden() -> Self {
        Self::fail(Reason::HiddenValues, "open the repository with a password that shows Secrets")
    }
}
