//! How far a snapshot reaches: only where an object would have been backed up does its absence say that it was not there. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{LabelSelector, Selection, edits::Mappings};
use crate::{
    collect::{Filters, Matcher},
    object::{GroupResource, ObjectId},
    repository::{KindOutcome, KindReport},
};

/// Why it cannot be told what a snapshot would hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScopeError {
    /// A file says nothing about what was not there.
    #[error("what a file does not hold was not missing: only a snapshot tells what to remove")]
    File,
    /// Objects were named one by one.
    #[error("objects that are named one by one leave nothing to remove: choose namespaces, kinds, labels, or folders of a mount")]
    Picks,
    /// The filters of the backup cannot be read.
    #[error("the filters of the backup cannot be understood ({0}), so that it cannot be told what it left out")]
    Filters(String),
}

/// Where the absence of an object from a snapshot means that it was not there.
#[derive(Debug, Clone)]
pub struct Scope<'a> {
    selection: &'a Selection,
    mappings: &'a Mappings,
    /// Kinds that were read to the last object.
    kinds: BTreeSet<GroupResource>,
    filters: Matcher,
    labels: Option<LabelSelector>,
}

impl<'a> Scope<'a> {
    /// The part of a snapshot that is selected. `filters` and `kinds` are those of its root.
    ///
    /// # Errors
    /// See [`ScopeError`].
    pub fn of(filters: &Value, kinds: &[KindReport], selection: &'a Selection, mappings: &'a Mappings) -> Result<Self, ScopeError> {
        if selection.names_objects() {
            return Err(ScopeError::Picks);
        }
        let wrong = |error: &dyn std::fmt::Display| ScopeError::Filters(error.to_string());
        let filters: Filters = serde_json::from_value(filters.clone()).map_err(|error| wrong(&error))?;
        let labels = Some(filters.selector.as_str()).filter(|selector| !selector.is_empty()).map(str::parse).transpose();
        let whole = |outcome: &KindOutcome| matches!(outcome, KindOutcome::Read { .. }) && !outcome.is_gap();
        Ok(Self {
            selection,
            mappings,
            kinds: kinds.iter().filter(|report| whole(&report.outcome)).map(|report| report.kind.group_resource()).collect(),
            filters: filters.matcher().map_err(|error| wrong(&error))?,
            labels: labels.map_err(|error| wrong(&error))?,
        })
    }

    /// Whether the backup read all of a kind.
    pub fn reads(&self, kind: &GroupResource) -> bool {
        self.kinds.contains(kind)
    }

    /// The namespaces of the cluster by their names, where the selection is about such alone.
    pub fn namespaces(&self) -> Option<Vec<String>> {
        Some(self.selection.exact_namespaces()?.iter().map(|name| self.mappings.target(name).to_owned()).collect())
    }

    /// Whether an object of the cluster would have been backed up and is selected, labels apart. Of a namespace that others are mapped to,
    /// these count.
    pub fn admits(&self, id: &ObjectId) -> bool {
        let selected = |namespace: Option<&str>| self.selection.admits(&id.kind, namespace, &id.name);
        self.reads(&id.kind)
            && match id.namespace.as_deref() {
                Some(namespace) => self.mappings.sources(namespace).any(|from| self.filters.namespace(from) && selected(Some(from))),
                None => selected(None),
            }
    }

    /// Whether an object with these labels would have been backed up and is selected.
    pub fn admits_labels(&self, labels: &BTreeMap<String, String>) -> bool {
        self.filters.labels(labels) && self.labels.as_ref().is_none_or(|selector| selector.matches(labels)) && self.selection.admits_labels(labels)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{object::KindInfo, restore::Pick};

    fn report(text: &str, outcome: KindOutcome) -> KindReport {
        let kind: GroupResource = text.parse().unwrap();
        let kind = KindInfo { group: kind.group, version: "v1".into(), resource: kind.resource, kind: "K".into(), namespaced: true };
        KindReport { kind, outcome }
    }

    fn read(not_stored: &[&str]) -> KindOutcome {
        KindOutcome::Read {
            objects: 1,
            bytes: 1,
            left_out: BTreeMap::new(),
            not_stored: not_stored.iter().map(|name| ((*name).to_owned(), String::new())).collect(),
            resource_version: "1".into(),
            exact: true,
        }
    }

    fn kinds() -> Vec<KindReport> {
        vec![
            report("configmaps", read(&[])),
            report("secrets", KindOutcome::Forbidden { message: String::new() }),
            report("pods", KindOutcome::Failed { message: String::new() }),
            report("services", read(&["demo/huge"])),
            report("widgets.example.com", KindOutcome::Absent),
        ]
    }

    fn id(kind: &str, namespace: &str) -> ObjectId {
        ObjectId { kind: kind.parse().unwrap(), namespace: Some(namespace.into()), name: "x".into() }
    }

    #[test]
    fn only_what_was_read_to_the_end_can_be_missing() {
        let selection = Selection::default();
        let filters = json!({"excludeNamespaces": ["kube-*"], "andedLabels": ["app"], "selector": "tier!=gold"});
        let none = Mappings::default();
        let scope = Scope::of(&filters, &kinds(), &selection, &none).unwrap();
        let rows = [
            (id("configmaps", "demo"), true),
            (id("configmaps", "kube-system"), false),
            (id("secrets", "demo"), false),
            (id("pods", "demo"), false),
            (id("services", "demo"), false),
            (id("widgets.example.com", "demo"), false),
            (id("deployments.apps", "demo"), false),
        ];
        for (id, admitted) in rows {
            assert_eq!(scope.admits(&id), admitted, "{id}");
        }
        let labels = |pairs: &[(&str, &str)]| pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect::<BTreeMap<_, _>>();
        assert!(scope.admits_labels(&labels(&[("app", "x")])));
        assert!(!scope.admits_labels(&labels(&[])));
        assert!(!scope.admits_labels(&labels(&[("app", "x"), ("tier", "gold")])));
        assert_eq!(scope.namespaces(), None);
    }

    #[test]
    fn the_selection_narrows_it() {
        let selection = Selection::default().namespaces(&["demo".to_owned()]).unwrap();
        let none = Mappings::default();
        let scope = Scope::of(&json!({}), &kinds(), &selection, &none).unwrap();
        assert!(scope.admits(&id("configmaps", "demo")) && !scope.admits(&id("configmaps", "other")));
        assert_eq!(scope.namespaces(), Some(vec!["demo".to_owned()]));
    }

    #[test]
    fn a_copy_is_compared_with_what_it_is_a_copy_of() {
        let selection = Selection::default().namespaces(&["demo".to_owned()]).unwrap();
        let mappings = Mappings::parse(&["demo:copy".to_owned()]).unwrap();
        let scope = Scope::of(&json!({}), &kinds(), &selection, &mappings).unwrap();
        assert!(scope.admits(&id("configmaps", "copy")));
        assert!(!scope.admits(&id("configmaps", "demo")), "the original is not part of it");
        assert_eq!(scope.namespaces(), Some(vec!["copy".to_owned()]));
    }

    #[test]
    fn what_cannot_be_told_is_refused() {
        let picked = Selection::default().picks(vec![Pick::Object(id("configmaps", "demo"))]);
        assert_eq!(Scope::of(&json!({}), &kinds(), &picked, &Mappings::default()).unwrap_err(), ScopeError::Picks);
        let folder = Selection::default().picks(vec![Pick::from_path("namespaces/demo/configmaps").unwrap()]);
        assert!(Scope::of(&json!({}), &kinds(), &folder, &Mappings::default()).unwrap().admits(&id("configmaps", "demo")));
        assert!(matches!(
            Scope::of(&json!({"includeNamespaces": 3}), &kinds(), &Selection::default(), &Mappings::default()),
            Err(ScopeError::Filters(_))
        ));
    }
}
