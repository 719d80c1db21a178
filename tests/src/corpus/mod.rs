//! A made-up cluster, as large as you like: applications as busy clusters hold them, with their workloads, pods, configuration,
//! Secrets of random bytes, RBAC, events and custom resources.
//!
//! ```text
//! seed ──▶ cluster-wide objects ─┐
//!      ──▶ app 0, app 1, app 2 … ┴─▶ revision ─▶ (loadable) ─▶ tree · lines · a running cluster
//! ```
//! Everything depends on the seed: the same options give the same bytes. A later revision is the same cluster some hours on, with a
//! share of its objects changed. Objects of one app stand together, and what others need comes first: its ServiceAccount before its
//! Pods.

mod access;
mod app;
mod certificates;
mod cluster_wide;
mod config;
mod custom;
mod definitions;
mod events;
mod fields;
mod jobs;
pub mod kind;
pub mod load;
mod loadable;
mod network;
mod pods;
mod random;
pub mod revision;
pub mod tree;
mod words;
mod workloads;

use std::collections::HashSet;

use serde_json::Value;

use self::{app::App, kind::Kind};

/// One object, with everything that a server would have stamped on it.
#[derive(Debug, Clone, PartialEq)]
pub struct Object {
    /// Its kind.
    pub kind: Kind,
    /// As the API server would send it, keys sorted.
    pub value: Value,
}

impl Object {
    /// `metadata.name`.
    pub fn name(&self) -> &str {
        self.metadata("name").unwrap_or_default()
    }

    /// `metadata.namespace`, for namespaced kinds.
    pub fn namespace(&self) -> Option<&str> {
        self.metadata("namespace")
    }

    fn metadata(&self, key: &str) -> Option<&str> {
        self.value.get("metadata")?.get(key)?.as_str()
    }

    /// What an API server accepts in a POST.
    #[must_use]
    pub fn loadable(mut self) -> Self {
        loadable::strip(&mut self);
        self
    }

    fn identity(&self) -> (&'static str, String, String) {
        (self.kind.kind, self.namespace().unwrap_or_default().to_owned(), self.name().to_owned())
    }
}

/// What cluster to make up.
#[derive(Debug, Clone)]
pub struct Corpus {
    objects: usize,
    seed: String,
    revision: u32,
    changed: f64,
}

impl Corpus {
    /// The first state of a cluster with exactly so many objects, some dozens at least.
    pub fn new(objects: usize, seed: &str) -> Self {
        Self { objects, seed: seed.to_owned(), revision: 0, changed: 0.01 }
    }

    /// The same cluster later: each revision changes one object in a hundred.
    #[must_use]
    pub fn at_revision(mut self, revision: u32) -> Self {
        self.revision = revision;
        self
    }

    /// The share of objects that a revision changes, from 0 to 1.
    #[must_use]
    pub fn changing(mut self, share: f64) -> Self {
        self.changed = share;
        self
    }

    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.objects
    }

    /// Whether nothing was asked for.
    pub fn is_empty(&self) -> bool {
        self.objects == 0
    }

    /// Namespaces that apps live in.
    fn namespaces(&self) -> usize {
        (self.objects / 2500).max(3)
    }

    /// All objects, in groups: first what is cluster-wide, then one group for each app.
    pub fn groups(&self) -> impl Iterator<Item = Vec<Object>> + '_ {
        let mut seen = HashSet::new();
        let mut left = self.objects;
        let apps = (0..).map(|number| App::new(&self.seed, number, self.namespaces()).build());
        std::iter::once(cluster_wide::build(self)).chain(apps).map_while(move |mut group: Vec<Object>| {
            group.retain(|object| seen.insert(object.identity()));
            group.truncate(left);
            left -= group.len();
            for object in &mut group {
                revision::apply(self, object);
            }
            (!group.is_empty()).then_some(group)
        })
    }

    /// All objects, one after the other.
    pub fn iter(&self) -> impl Iterator<Item = Object> + '_ {
        self.groups().flatten()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_bytes() {
        let text = |corpus: &Corpus| corpus.iter().map(|object| object.value.to_string()).collect::<Vec<_>>();
        let corpus = Corpus::new(800, "one");
        assert_eq!(text(&corpus), text(&corpus.clone()));
        assert_ne!(text(&corpus), text(&Corpus::new(800, "two")));
        assert_eq!(corpus.iter().count(), 800);
    }

    #[test]
    fn a_revision_changes_its_share_and_leaves_the_rest_alone() {
        let first: Vec<Object> = Corpus::new(2000, "one").iter().collect();
        let later: Vec<Object> = Corpus::new(2000, "one").at_revision(1).iter().collect();
        let changed = first.iter().zip(&later).filter(|(before, after)| before != after).count();
        assert!((8..=40).contains(&changed), "{changed} of 2,000 changed");
        assert!(first.iter().zip(&later).all(|(before, after)| before.identity() == after.identity()));
    }

    #[test]
    fn no_kind_is_missing_and_none_outweighs_all_others() {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        let mut bytes = 0;
        for object in Corpus::new(5000, "one").iter() {
            *counts.entry(object.kind.kind).or_default() += 1;
            bytes += object.value.to_string().len();
        }
        for kind in kind::ALL {
            assert!(counts.contains_key(kind.kind), "no {}: {counts:?}", kind.kind);
        }
        assert!(counts.values().all(|&count| count < 2000), "{counts:?}");
        let mean = bytes / 5000;
        assert!((3000..=6000).contains(&mean), "an object has {mean} bytes of JSON");
    }

    #[test]
    fn what_is_loadable_holds_nothing_of_the_servers() {
        for object in Corpus::new(800, "one").iter().map(Object::loadable) {
            let metadata = object.value["metadata"].as_object().unwrap();
            for key in ["uid", "resourceVersion", "managedFields", "ownerReferences", "creationTimestamp"] {
                assert!(!metadata.contains_key(key), "{key} of {} {}", object.kind.kind, object.name());
            }
        }
    }
}
