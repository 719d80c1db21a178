//! Which kinds and objects are wanted. Pure.
//!
//! The lists have KubeStash's meaning, with these differences, each of which takes nothing away from a list that worked: entries may be
//! globs; a kind may be named by its plural, plural.group, kind or short name in excludes as well (KubeStash ignores a short exclude while
//! everything is included); Namespace objects follow the namespace lists.

use std::collections::{BTreeMap, BTreeSet};

use globset::{Glob, GlobMatcher};
use serde::{Deserialize, Serialize};

use crate::{cluster::Kind, object::KindInfo};

/// What to take. Empty lists mean everything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Filters {
    /// Namespaces to take.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub include_namespaces: Vec<String>,
    /// Namespaces to leave out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exclude_namespaces: Vec<String>,
    /// Kinds to take.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub include_resources: Vec<String>,
    /// Kinds to leave out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exclude_resources: Vec<String>,
    /// Whether to take cluster-scoped kinds. Not set: yes, unless namespaces are named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub include_cluster_resources: Option<bool>,
    /// A label selector as of kubectl's `-l`, applied by the API server.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub selector: String,
    /// `key`, `key=value` or `key:value`; all must be there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub anded_labels: Vec<String>,
    /// The same; one must be there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ored_labels: Vec<String>,
    /// Take also what is skipped by default.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub all_kinds: bool,
}

/// A pattern that is no glob.
#[derive(Debug, thiserror::Error)]
#[error("{pattern:?} is not a name or glob: {reason}")]
pub struct FilterError {
    pattern: String,
    reason: String,
}

/// Filters made ready.
#[derive(Debug, Clone)]
pub(crate) struct Matcher {
    filters: Filters,
    include_namespaces: Vec<GlobMatcher>,
    exclude_namespaces: Vec<GlobMatcher>,
    include_resources: Vec<GlobMatcher>,
    exclude_resources: Vec<GlobMatcher>,
}

/// How a kind is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Named, so that default skips do not count.
    ByName,
    /// Because everything is.
    Anyway,
    /// Left out by a list.
    Excluded,
    /// Not among the included.
    NotIncluded,
    /// Cluster-scoped, and those are not wanted.
    ClusterScoped,
}

fn compile(patterns: &[String]) -> Result<Vec<GlobMatcher>, FilterError> {
    let wanted = patterns.iter().map(|pattern| pattern.trim()).filter(|pattern| !pattern.is_empty());
    wanted
        .map(|pattern| {
            let glob = Glob::new(&pattern.to_lowercase());
            glob.map(|glob| glob.compile_matcher()).map_err(|error| FilterError { pattern: pattern.to_owned(), reason: error.kind().to_string() })
        })
        .collect()
}

impl Filters {
    pub(crate) fn matcher(&self) -> Result<Matcher, FilterError> {
        Ok(Matcher {
            include_namespaces: compile(&self.include_namespaces)?,
            exclude_namespaces: compile(&self.exclude_namespaces)?,
            include_resources: compile(&self.include_resources)?,
            exclude_resources: compile(&self.exclude_resources)?,
            filters: self.clone(),
        })
    }
}

impl Matcher {
    /// Whether a kind is wanted. Excludes beat includes.
    pub(crate) fn kind(&self, kind: &Kind) -> Wanted {
        let names = names_of(kind);
        let any = |list: &[GlobMatcher]| list.iter().any(|glob| is_any(glob, &names));
        if any(&self.exclude_resources) {
            return Wanted::Excluded;
        }
        let by_name = any(&self.include_resources) && !self.include_resources.iter().any(|glob| glob.glob().glob() == "*");
        if !self.include_resources.is_empty() && !any(&self.include_resources) {
            return Wanted::NotIncluded;
        }
        if !kind.info.namespaced && !self.cluster_resources(&kind.info) && !by_name {
            return Wanted::ClusterScoped;
        }
        if by_name || self.filters.all_kinds { Wanted::ByName } else { Wanted::Anyway }
    }

    /// The first of the kinds to take that is none of these.
    pub(crate) fn unknown_kind(&self, kinds: &[Kind]) -> Option<&str> {
        let names: Vec<Vec<String>> = kinds.iter().map(names_of).collect();
        self.include_resources.iter().find(|glob| !names.iter().any(|names| is_any(glob, names))).map(|glob| glob.glob().glob())
    }

    /// The first of the namespaces to take that is none of these.
    pub(crate) fn unknown_namespace(&self, namespaces: &BTreeSet<&str>) -> Option<&str> {
        self.include_namespaces.iter().find(|glob| !namespaces.iter().any(|name| glob.is_match(name))).map(|glob| glob.glob().glob())
    }

    fn cluster_resources(&self, kind: &KindInfo) -> bool {
        // A named namespace includes its own Namespace object.
        self.filters.include_cluster_resources.unwrap_or(self.include_namespaces.is_empty() || is_namespace(kind))
    }

    pub(crate) fn namespace(&self, name: &str) -> bool {
        let any = |list: &[GlobMatcher]| list.iter().any(|glob| glob.is_match(name));
        !any(&self.exclude_namespaces) && (self.include_namespaces.is_empty() || any(&self.include_namespaces))
    }

    /// Whether an object is wanted, or the reason why not.
    pub(crate) fn object(&self, kind: &KindInfo, namespace: Option<&str>, name: &str, item: &[u8]) -> Result<(), &'static str> {
        let place = namespace.or_else(|| is_namespace(kind).then_some(name));
        if place.is_some_and(|namespace| !self.namespace(namespace)) {
            return Err("namespace not selected");
        }
        if !self.needs_labels() && !has_managed_objects(kind) {
            return Ok(());
        }
        let labels = labels_of(item);
        if !self.labels(&labels) {
            return Err("labels not selected");
        }
        if !self.filters.all_kinds && is_managed(kind, &labels) {
            return Err("made by the cluster from its Service");
        }
        Ok(())
    }

    /// Whether labels of objects have to be known.
    pub(crate) fn needs_labels(&self) -> bool {
        !self.filters.anded_labels.is_empty() || !self.filters.ored_labels.is_empty()
    }

    /// Whether labels are among the wanted.
    pub(crate) fn labels(&self, labels: &BTreeMap<String, String>) -> bool {
        let has = |wanted: &String| {
            let wanted = wanted.trim();
            match wanted.split_once(['=', ':']) {
                Some((key, value)) => labels.get(key).is_some_and(|own| own == value),
                None => labels.contains_key(wanted),
            }
        };
        let (all, any) = (&self.filters.anded_labels, &self.filters.ored_labels);
        all.iter().all(has) && (any.is_empty() || any.iter().any(has))
    }

    /// The namespaces by their names, when only such are wanted: then no right to list the whole cluster is needed. In list order.
    pub(crate) fn exact_namespaces(&self) -> Option<Vec<String>> {
        let names = &self.filters.include_namespaces;
        if names.is_empty() || names.iter().any(|name| name.contains(['*', '?', '[', '{'])) {
            return None;
        }
        let mut names: Vec<String> = names.iter().map(|name| name.trim().to_owned()).filter(|name| self.namespace(name)).collect();
        names.sort_by_cached_key(|name| format!("{name}/"));
        names.dedup();
        Some(names)
    }

    pub(crate) fn selector(&self) -> &str {
        &self.filters.selector
    }
}

/// What a kind may be called in a list.
fn names_of(kind: &Kind) -> Vec<String> {
    let mut names = vec![kind.info.group_resource().to_string(), kind.info.resource.clone(), kind.info.kind.to_lowercase(), kind.singular.clone()];
    names.extend(kind.short_names.iter().cloned());
    names
}

fn is_any(glob: &GlobMatcher, names: &[String]) -> bool {
    names.iter().any(|name| !name.is_empty() && glob.is_match(name))
}

fn is_namespace(kind: &KindInfo) -> bool {
    kind.group.is_empty() && kind.resource == "namespaces"
}

fn has_managed_objects(kind: &KindInfo) -> bool {
    matches!((kind.group.as_str(), kind.resource.as_str()), ("", "endpoints") | ("discovery.k8s.io", "endpointslices"))
}

/// Endpoints and slices that controllers keep for Services with a selector.
fn is_managed(kind: &KindInfo, labels: &BTreeMap<String, String>) -> bool {
    has_managed_objects(kind)
        && ["endpoints.kubernetes.io/managed-by", "endpointslice.kubernetes.io/managed-by"]
            .iter()
            .any(|label| labels.get(*label).is_some_and(|by| by.starts_with("endpoint")))
}

fn labels_of(item: &[u8]) -> BTreeMap<String, String> {
    #[derive(Deserialize, Default)]
    struct Meta {
        #[serde(default)]
        labels: Option<BTreeMap<String, String>>,
    }
    #[derive(Deserialize, Default)]
    struct Item {
        #[serde(default)]
        metadata: Meta,
    }
    serde_json::from_slice::<Item>(item).unwrap_or_default().metadata.labels.unwrap_or_default()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn kind(group: &str, resource: &str, namespaced: bool, short: &str) -> Kind {
        Kind {
            info: KindInfo { group: group.into(), version: "v1".into(), resource: resource.into(), kind: "K".into(), namespaced },
            verbs: Vec::new(),
            short_names: vec![short.into()],
            singular: String::new(),
            served_versions: Vec::new(),
            has_status: false,
        }
    }

    fn list(text: &str) -> Vec<String> {
        text.split(',').filter(|part| !part.is_empty()).map(str::to_owned).collect()
    }

    #[test]
    fn kinds_by_lists() {
        let deployments = kind("apps", "deployments", true, "deploy");
        let nodes = kind("", "nodes", false, "no");
        for (include, exclude, cluster, kind, expected) in [
            ("", "", None, &deployments, Wanted::Anyway),
            ("*", "", None, &deployments, Wanted::Anyway),
            ("deployments.apps", "", None, &deployments, Wanted::ByName),
            (" deploy ", "", None, &deployments, Wanted::ByName),
            ("deploy*", "", None, &deployments, Wanted::ByName),
            ("pods", "", None, &deployments, Wanted::NotIncluded),
            ("*", "deployments", None, &deployments, Wanted::Excluded),
            ("deployments", "*.apps", None, &deployments, Wanted::Excluded),
            ("", "", Some(false), &nodes, Wanted::ClusterScoped),
            ("nodes", "", Some(false), &nodes, Wanted::ByName),
            ("", "", None, &nodes, Wanted::Anyway),
        ] {
            let filters = Filters {
                include_resources: list(include),
                exclude_resources: list(exclude),
                include_cluster_resources: cluster,
                ..Filters::default()
            };
            assert_eq!(filters.matcher().unwrap().kind(kind), expected, "{include} {exclude}");
        }
    }

    #[test]
    fn objects_by_namespace_and_labels() {
        let pods = kind("", "pods", true, "").info;
        let namespaces = kind("", "namespaces", false, "").info;
        let slices = kind("discovery.k8s.io", "endpointslices", true, "").info;
        let item = br#"{"metadata":{"name":"a","labels":{"app":"web","tier":"1"}}}"#;
        let managed = br#"{"metadata":{"labels":{"endpointslice.kubernetes.io/managed-by":"endpointslice-controller.k8s.io"}}}"#;
        let takes = |filters: &Filters, kind: &KindInfo, namespace: Option<&str>, name: &str, item: &[u8]| {
            filters.matcher().unwrap().object(kind, namespace, name, item).is_ok()
        };
        let some = Filters { include_namespaces: list("team-*"), exclude_namespaces: list("team-x"), ..Filters::default() };
        assert!(takes(&some, &pods, Some("team-a"), "p", item));
        assert!(!takes(&some, &pods, Some("team-x"), "p", item));
        assert!(!takes(&some, &pods, Some("other"), "p", item));
        assert!(takes(&some, &namespaces, None, "team-a", item));
        assert!(!takes(&some, &namespaces, None, "other", item));
        for (all, any, expected) in
            [("app=web,tier:1", "", true), ("app", "", true), ("app=api", "", false), ("", "app=api,tier=1", true), ("app", "tier=2", false)]
        {
            let filters = Filters { anded_labels: list(all), ored_labels: list(any), ..Filters::default() };
            assert_eq!(takes(&filters, &pods, Some("n"), "p", item), expected, "{all} {any}");
        }
        assert!(!takes(&Filters::default(), &slices, Some("n"), "p", managed));
        assert!(takes(&Filters { all_kinds: true, ..Filters::default() }, &slices, Some("n"), "p", managed));
        assert!(takes(&Filters::default(), &slices, Some("n"), "p", item));
    }

    #[test]
    fn exact_namespaces_in_the_servers_order() {
        let filters = Filters { include_namespaces: list("a,a-b,b"), exclude_namespaces: list("b"), ..Filters::default() };
        assert_eq!(filters.matcher().unwrap().exact_namespaces().unwrap(), ["a-b", "a"]);
        assert_eq!(Filters { include_namespaces: list("a*"), ..Filters::default() }.matcher().unwrap().exact_namespaces(), None);
    }
}
