//! What a plan has to say about classes: claims that none serves, and kinds of which two would be the default. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::{Action, Candidate, Observed, Options, Step};
use crate::{object::GroupResource, restore::Verdict};

/// A class that is there when the restore is done.
struct Class<'a> {
    name: &'a str,
    is_default: bool,
    is_new: bool,
}

/// Classes of a kind that are there when the restore is done; nothing where the cluster's are not known.
fn all<'a>(kind: &GroupResource, observed: &'a Observed) -> Option<Vec<Class<'a>>> {
    let live = observed.classes.get(kind)?;
    let there: BTreeSet<&str> = live.iter().map(|class| class.name.as_str()).collect();
    let new = observed.candidates.iter().filter(|candidate| {
        candidate.id.kind == *kind && matches!(candidate.facts.verdict, Verdict::Restore) && !there.contains(candidate.id.name.as_str())
    });
    let live = live.iter().map(|class| Class { name: &class.name, is_default: class.is_default, is_new: false });
    let new = new.map(|candidate| Class { name: &candidate.id.name, is_default: candidate.facts.is_default_class, is_new: true });
    Some(live.chain(new).collect())
}

/// What a claim that is created has to wait for.
pub fn warning(candidate: &Candidate, step: &Step, observed: &Observed, options: &Options) -> Option<String> {
    let is_claim = candidate.id.kind == GroupResource::new("", "persistentvolumeclaims");
    if !is_claim || step.action != Action::Create || step.keep_volume {
        return None;
    }
    let classes = all(&GroupResource::new("storage.k8s.io", "storageclasses"), observed)?;
    let stored = candidate.facts.storage_class.as_deref();
    match stored.map(|class| options.edits.storage_classes.get(class).map_or(class, String::as_str)) {
        None if !classes.iter().any(|class| class.is_default) => {
            Some("it names no storage class, and no class is the default: it gets no volume until one is".to_owned())
        }
        Some(class) if !class.is_empty() && !classes.iter().any(|known| known.name == class) => Some(format!(
            "storage class {class} is neither in the cluster nor restored: it gets no volume until it is there; --storage-class-mapping {class}=OTHER names another"
        )),
        _ => None,
    }
}

/// Kinds of which more than one class would be the default, a line each; only those that this restore adds one to.
pub fn defaults(observed: &Observed) -> Vec<String> {
    let kinds: BTreeMap<String, Vec<Class<'_>>> = observed.classes.keys().filter_map(|kind| Some((kind.to_string(), all(kind, observed)?))).collect();
    let mut lines = Vec::new();
    for (kind, classes) in kinds {
        let defaults: Vec<&Class<'_>> = classes.iter().filter(|class| class.is_default).collect();
        if defaults.len() > 1 && defaults.iter().any(|class| class.is_new) {
            let names: Vec<&str> = defaults.iter().map(|class| class.name).collect();
            let outcome = match kind.as_str() {
                "storageclasses.storage.k8s.io" => "claims without class get the one that was made last",
                "ingressclasses.networking.k8s.io" => "Ingresses without class are refused then",
                _ => "objects without class fail then",
            };
            lines.push(format!("{kind}: {} are all the default, {outcome}; leave one out, or --annotation its mark off", names.join(" and ")));
        }
    }
    lines
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::restore::plan::{LiveClass, plan, tests::make};

    fn class_kind() -> GroupResource {
        GroupResource::new("storage.k8s.io", "storageclasses")
    }

    fn observed(live: &[(&str, bool)], candidates: Vec<Candidate>) -> Observed {
        let live = live.iter().map(|(name, is_default)| LiveClass { name: (*name).to_owned(), is_default: *is_default }).collect();
        let mut observed = crate::restore::plan::tests::observe(candidates, vec![]);
        observed.served.add((*make("storageclasses.storage.k8s.io", "x").kind).clone(), vec!["v1".to_owned()]);
        observed.classes.insert(class_kind(), live);
        observed
    }

    fn claim(class: Option<&str>) -> Candidate {
        let mut claim = make("persistentvolumeclaims", "data");
        claim.facts.storage_class = class.map(str::to_owned);
        claim
    }

    fn class(name: &str, is_default: bool) -> Candidate {
        let mut class = make("storageclasses.storage.k8s.io", name);
        class.facts.is_default_class = is_default;
        class
    }

    #[test]
    fn claims_that_no_class_serves_are_told() {
        let mapped = Options {
            edits: crate::restore::edits::Edits { storage_classes: [("slow".to_owned(), "fast".to_owned())].into(), ..Default::default() },
            ..Options::default()
        };
        let plain = Options::default();
        let rows = [
            (Some("fast"), vec![("fast", false)], vec![], &plain, None),
            (Some("slow"), vec![("fast", false)], vec![], &plain, Some("storage class slow is neither in the cluster nor restored")),
            (Some("slow"), vec![("fast", false)], vec![], &mapped, None),
            (Some("slow"), vec![], vec![class("slow", false)], &plain, None),
            (Some(""), vec![], vec![], &plain, None),
            (None, vec![("fast", false)], vec![], &plain, Some("it names no storage class, and no class is the default")),
            (None, vec![("fast", true)], vec![], &plain, None),
            (None, vec![], vec![class("new", true)], &plain, None),
        ];
        for (wanted, live, mut candidates, options, expected) in rows {
            let named = format!("{wanted:?} {live:?} {}", candidates.len());
            candidates.push(claim(wanted));
            let planned = plan(&observed(&live, candidates), options);
            let warnings: Vec<String> = planned.steps().filter(|step| step.name == "data").flat_map(|step| step.warnings.clone()).collect();
            assert_eq!(warnings.len(), usize::from(expected.is_some()), "{named}: {warnings:?}");
            assert!(warnings.iter().all(|warning| warning.starts_with(expected.unwrap())), "{named}: {warnings:?}");
        }
        let unknown = crate::restore::plan::tests::observe(vec![claim(Some("slow"))], vec![]);
        assert!(plan(&unknown, &plain).steps().all(|step| step.warnings.is_empty()), "who may not look at classes is told nothing");
    }

    #[test]
    fn two_defaults_are_told_where_a_restore_makes_them() {
        let notes = |live: &[(&str, bool)], candidates| plan(&observed(live, candidates), &Options::default()).notes;
        assert_eq!(
            notes(&[("a", true)], vec![class("b", true)]),
            [
                "storageclasses.storage.k8s.io: a and b are all the default, claims without class get the one that was made last; leave one out, or --annotation its mark off"
            ]
        );
        for (live, candidates) in [
            (&[("a", false)][..], vec![class("b", true)]),
            (&[("a", true)], vec![class("a", true)]),
            (&[("a", true), ("b", true)], vec![class("c", false)]),
        ] {
            assert!(notes(live, candidates).is_empty());
        }
    }
}
