//! Which objects of a source a restore is about.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use globset::{Glob, GlobSet, GlobSetBuilder};
use serde::{Deserialize, Serialize};

use super::LabelSelector;
use crate::{
    cluster::Kind,
    collect::{FilterError, Filters, Matcher, Wanted},
    object::{GroupResource, ObjectId, file_name},
};

/// One object or folder that a person named.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pick {
    /// One object, as kubectl names it.
    Object(ObjectId),
    /// A path in a mount: a file, or a folder of a namespace or kind.
    Path(MountPath),
}

/// A path below the root of a mounted snapshot, down to the depth that was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountPath {
    /// The namespace, or nothing for `cluster/`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    namespace: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    kind: Option<GroupResource>,
    /// File name: it may be a shortened one, so it is compared with the file names of rows.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    file: Option<String>,
}

/// A selection that cannot be understood.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SelectionError {
    /// A glob does not parse.
    #[error("pattern {pattern:?}: {reason}")]
    Glob {
        /// As given.
        pattern: String,
        /// The parser's words.
        reason: String,
    },
    /// A path is not one of a mounted snapshot.
    #[error("{path} is no path of a mounted snapshot: expected namespaces/NAMESPACE[/RESOURCE[/NAME.yaml]] or cluster[/RESOURCE[/NAME.yaml]]")]
    Path {
        /// As given.
        path: String,
    },
}

/// What to restore, as it was given. Empty lists select everything; what is given must hold together, picks excepted, of which one suffices.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Choice {
    /// Names or globs of namespaces.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub namespaces: Vec<String>,
    /// Names or globs of objects.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// Kinds.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub kinds: BTreeSet<GroupResource>,
    /// Labels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<LabelSelector>,
    /// Objects and paths that were named.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub picks: Vec<Pick>,
}

/// A choice, made ready.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    choice: Choice,
    namespaces: Option<GlobSet>,
    names: Option<GlobSet>,
    filters: Option<Filtered>,
}

/// The filters of a backup, used to choose from what it holds.
#[derive(Debug, Clone)]
struct Filtered {
    matcher: Matcher,
    kinds: BTreeSet<GroupResource>,
}

impl Selection {
    /// What a saved plan chose.
    ///
    /// # Errors
    /// `Glob` for a pattern that does not parse.
    pub fn of(choice: Choice) -> Result<Self, SelectionError> {
        let (namespaces, names) = (globs(&choice.namespaces)?, globs(&choice.names)?);
        Ok(Self { choice, namespaces, names, filters: None })
    }

    /// What was chosen, but for [`Selection::filters`].
    pub fn choice(&self) -> &Choice {
        &self.choice
    }

    /// Restricts to namespaces by name or glob. Cluster-scoped objects are then left out, but for the Namespaces themselves.
    ///
    /// # Errors
    /// `Glob` for a pattern that does not parse.
    pub fn namespaces(mut self, patterns: &[String]) -> Result<Self, SelectionError> {
        self.namespaces = globs(patterns)?;
        self.choice.namespaces = patterns.to_vec();
        Ok(self)
    }

    /// Restricts to object names by name or glob.
    ///
    /// # Errors
    /// `Glob` for a pattern that does not parse.
    pub fn names(mut self, patterns: &[String]) -> Result<Self, SelectionError> {
        self.names = globs(patterns)?;
        self.choice.names = patterns.to_vec();
        Ok(self)
    }

    /// Restricts to kinds. Short names are the caller's to resolve: that needs discovery or the catalog.
    pub fn kinds(mut self, kinds: impl IntoIterator<Item = GroupResource>) -> Self {
        self.choice.kinds = kinds.into_iter().collect();
        self
    }

    /// Restricts to objects with matching labels.
    pub fn labels(mut self, selector: Option<LabelSelector>) -> Self {
        self.choice.labels = selector;
        self
    }

    /// Restricts to named objects and paths.
    pub fn picks(mut self, picks: Vec<Pick>) -> Self {
        self.choice.picks = picks;
        self
    }

    /// Restricts to what the filters of a backup would have taken, of the kinds given. A selector in them is not looked at: see
    /// [`Selection::labels`].
    ///
    /// # Errors
    /// A pattern that does not parse.
    pub fn filters<'a>(mut self, filters: &Filters, kinds: impl IntoIterator<Item = &'a Kind>) -> Result<Self, FilterError> {
        self.filters = Some(Filtered { matcher: filters.matcher()?, kinds: BTreeSet::new() });
        Ok(self.among(kinds))
    }

    /// The same selection where other kinds are given: what its [`Selection::filters`] say of kinds is looked at anew.
    pub fn among<'a>(mut self, kinds: impl IntoIterator<Item = &'a Kind>) -> Self {
        if let Some(filters) = &mut self.filters {
            let wanted = |kind: &&Kind| matches!(filters.matcher.kind(kind), Wanted::ByName | Wanted::Anyway);
            filters.kinds = kinds.into_iter().filter(wanted).map(|kind| kind.info.group_resource()).collect();
        }
        self
    }

    /// The first kind to take, of its [`Selection::filters`], that is none of these.
    pub fn unknown_kind(&self, kinds: &[Kind]) -> Option<&str> {
        self.filters.as_ref()?.matcher.unknown_kind(kinds)
    }

    /// The first namespace to take, of its [`Selection::filters`], that is none of these.
    pub fn unknown_namespace(&self, namespaces: &BTreeSet<&str>) -> Option<&str> {
        self.filters.as_ref()?.matcher.unknown_namespace(namespaces)
    }

    /// The namespaces by their names, where it is restricted to such and to no globs.
    pub fn exact_namespaces(&self) -> Option<Vec<String>> {
        let plain = |pattern: &String| !pattern.contains(['*', '?', '[', '{']);
        let own = &self.choice.namespaces;
        (!own.is_empty() && own.iter().all(plain)).then(|| own.clone()).or_else(|| self.filters.as_ref()?.matcher.exact_namespaces())
    }

    /// Whether objects are named one by one.
    pub fn names_objects(&self) -> bool {
        self.choice.picks.iter().any(|pick| matches!(pick, Pick::Object(_)))
    }

    /// Whether the manifest's labels have to be read to decide.
    pub fn needs_labels(&self) -> bool {
        self.choice.labels.is_some() || self.filters.as_ref().is_some_and(|filters| filters.matcher.needs_labels())
    }

    /// Whether labels fit; call it for rows that [`Selection::admits`].
    pub fn admits_labels(&self, labels: &BTreeMap<String, String>) -> bool {
        self.choice.labels.as_ref().is_none_or(|selector| selector.matches(labels))
            && self.filters.as_ref().is_none_or(|filters| filters.matcher.labels(labels))
    }

    /// Whether a row fits, labels apart.
    pub fn admits(&self, kind: &GroupResource, namespace: Option<&str>, name: &str) -> bool {
        if !self.choice.kinds.is_empty() && !self.choice.kinds.contains(kind) {
            return false;
        }
        let is_namespace = kind.group.is_empty() && kind.resource == "namespaces";
        let within = if is_namespace { Some(name) } else { namespace };
        if let Some(filters) = &self.filters
            && (!filters.kinds.contains(kind) || within.is_some_and(|within| !filters.matcher.namespace(within)))
        {
            return false;
        }
        if self.namespaces.as_ref().is_some_and(|namespaces| !within.is_some_and(|within| namespaces.is_match(within))) {
            return false;
        }
        if self.names.as_ref().is_some_and(|names| !names.is_match(name)) {
            return false;
        }
        self.choice.picks.is_empty() || self.choice.picks.iter().any(|pick| pick.admits(kind, namespace, name))
    }

    /// Objects named one by one that a source does not hold: an error to the person, not an empty restore.
    pub fn missing<'a>(&'a self, found: impl Iterator<Item = &'a ObjectId>) -> Vec<&'a ObjectId> {
        let named = self.choice.picks.iter().filter_map(|pick| if let Pick::Object(id) = pick { Some(id) } else { None });
        let named: Vec<&ObjectId> = named.collect();
        if named.is_empty() {
            return named;
        }
        let found: HashSet<&ObjectId> = found.collect();
        named.into_iter().filter(|id| !found.contains(id)).collect()
    }
}

impl Pick {
    /// Reads a path of a mount, with or without leading folders such as the mount point.
    ///
    /// # Errors
    /// `Path` when neither `namespaces/…` nor `cluster` is found in it.
    pub fn from_path(path: &str) -> Result<Self, SelectionError> {
        let wrong = || SelectionError::Path { path: path.to_owned() };
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
        let root = parts.iter().rposition(|part| *part == "cluster" || *part == "namespaces").ok_or_else(wrong)?;
        // A Namespace's own file lies in cluster/namespaces/: there the folder before it is the root.
        let root = if root > 0 && parts.get(root - 1) == Some(&"cluster") { root - 1 } else { root };
        let (namespace, rest) = match (parts.get(root), parts.get(root + 1..)) {
            (Some(&"cluster"), Some(rest)) => (None, rest),
            (Some(_), Some([namespace, rest @ ..])) => (Some((*namespace).to_owned()), rest),
            _ => return Err(wrong()),
        };
        let (kind, file) = match rest {
            [] => (None, None),
            [kind] => (Some(*kind), None),
            [kind, file] if file.ends_with(".yaml") => (Some(*kind), Some((*file).to_owned())),
            _ => return Err(wrong()),
        };
        let kind = kind.map(str::parse).transpose().map_err(|_| wrong())?;
        Ok(Self::Path(MountPath { namespace, kind, file }))
    }

    fn admits(&self, kind: &GroupResource, namespace: Option<&str>, name: &str) -> bool {
        match self {
            Self::Object(id) => id.kind == *kind && id.namespace.as_deref() == namespace && id.name == name,
            Self::Path(path) => {
                path.namespace.as_deref() == namespace
                    && path.kind.as_ref().is_none_or(|wanted| wanted == kind)
                    && path.file.as_deref().is_none_or(|file| file == file_name(name))
            }
        }
    }
}

fn globs(patterns: &[String]) -> Result<Option<GlobSet>, SelectionError> {
    if patterns.is_empty() {
        return Ok(None);
    }
    let error = |pattern: &str, error: &globset::Error| SelectionError::Glob { pattern: pattern.to_owned(), reason: error.kind().to_string() };
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        set.add(Glob::new(pattern).map_err(|e| error(pattern, &e))?);
    }
    set.build().map(Some).map_err(|e| error(&patterns.join(","), &e))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const ROWS: [(&str, Option<&str>, &str); 6] = [
        ("namespaces", None, "demo"),
        ("namespaces", None, "other"),
        ("clusterroles.rbac.authorization.k8s.io", None, "admin"),
        ("configmaps", Some("demo"), "app"),
        ("deployments.apps", Some("demo"), "web"),
        ("configmaps", Some("other"), "app"),
    ];

    fn selected(selection: &Selection) -> Vec<usize> {
        ROWS.iter().enumerate().filter(|(_, (kind, ns, name))| selection.admits(&kind.parse().unwrap(), *ns, name)).map(|(i, _)| i).collect()
    }

    fn strings(list: &[&str]) -> Vec<String> {
        list.iter().map(|s| (*s).to_owned()).collect()
    }

    #[test]
    fn selections() {
        let all = Selection::default;
        let path = |path: &str| all().picks(vec![Pick::from_path(path).unwrap()]);
        let object = |kind: &str, ns: Option<&str>, name: &str| {
            Pick::Object(ObjectId { kind: kind.parse().unwrap(), namespace: ns.map(Into::into), name: name.into() })
        };
        let rows = [
            ("everything", all(), vec![0, 1, 2, 3, 4, 5]),
            ("namespace with itself", all().namespaces(&strings(&["demo"])).unwrap(), vec![0, 3, 4]),
            ("namespace glob", all().namespaces(&strings(&["o*", "x"])).unwrap(), vec![1, 5]),
            ("kind", all().kinds(["configmaps".parse().unwrap()]), vec![3, 5]),
            ("kind in namespace", all().kinds(["configmaps".parse().unwrap()]).namespaces(&strings(&["demo"])).unwrap(), vec![3]),
            ("names", all().names(&strings(&["a*"])).unwrap(), vec![2, 3, 5]),
            ("objects", all().picks(vec![object("deployments.apps", Some("demo"), "web"), object("configmaps", Some("other"), "app")]), vec![4, 5]),
            ("file", path("/mnt/snap/namespaces/demo/configmaps/app.yaml"), vec![3]),
            ("folder of a kind", path("namespaces/demo/deployments.apps/"), vec![4]),
            ("folder of a namespace", path("namespaces/demo"), vec![3, 4]),
            ("cluster", path("cluster"), vec![0, 1, 2]),
            ("file of a namespace", path("x/cluster/namespaces/demo.yaml"), vec![0]),
        ];
        for (name, selection, expected) in rows {
            assert_eq!(selected(&selection), expected, "{name}");
        }
    }

    #[test]
    fn a_saved_choice_selects_the_same() {
        let picks = vec![Pick::from_path("namespaces/demo/configmaps").unwrap(), Pick::from_path("cluster").unwrap()];
        let selection = Selection::default().names(&strings(&["a*"])).unwrap().labels(Some("app=web".parse().unwrap())).picks(picks);
        let text = serde_json::to_string(selection.choice()).unwrap();
        let again = Selection::of(serde_json::from_str(&text).unwrap()).unwrap();
        assert_eq!((again.choice(), selected(&again)), (selection.choice(), selected(&selection)));
        assert_eq!(selected(&again), [2, 3]);
        assert!(again.needs_labels());
    }

    #[test]
    fn what_cannot_be_understood_is_said() {
        for path in ["", "demo/configmaps/app.yaml", "namespaces", "namespaces/a/b/c/d.yaml", "cluster/pods/x.txt"] {
            assert!(Pick::from_path(path).is_err(), "{path}");
        }
        assert!(Selection::default().names(&strings(&["[a"])).is_err());
        let id = ObjectId { kind: "pods".parse().unwrap(), namespace: None, name: "x".into() };
        assert_eq!(Selection::default().picks(vec![Pick::Object(id.clone())]).missing(std::iter::empty()), [&id]);
    }

    #[test]
    fn the_filters_of_a_backup_choose_too() {
        let kind = |resource: &str, namespaced| Kind {
            info: crate::object::KindInfo {
                group: String::new(),
                version: "v1".to_owned(),
                resource: resource.to_owned(),
                kind: String::new(),
                namespaced,
            },
            verbs: Vec::new(),
            short_names: Vec::new(),
            singular: String::new(),
            served_versions: Vec::new(),
            has_status: false,
        };
        let kinds = [kind("configmaps", true), kind("secrets", true), kind("namespaces", false), kind("nodes", false)];
        let filters = Filters {
            exclude_namespaces: vec!["kube-*".to_owned()],
            exclude_resources: vec!["secrets".to_owned()],
            include_cluster_resources: Some(true),
            ored_labels: vec!["app:web".to_owned()],
            ..Filters::default()
        };
        let selection = Selection::default().filters(&filters, &kinds).unwrap();
        let core = |resource: &str| GroupResource::new("", resource);
        assert!(selection.admits(&core("configmaps"), Some("demo"), "a"));
        assert!(!selection.admits(&core("configmaps"), Some("kube-system"), "a"));
        assert!(!selection.admits(&core("secrets"), Some("demo"), "a"));
        assert!(selection.admits(&core("nodes"), None, "a"));
        assert!(selection.admits(&core("namespaces"), None, "demo"));
        assert!(!selection.admits(&core("namespaces"), None, "kube-system"));
        assert!(!selection.admits(&core("pods"), Some("demo"), "a"), "a kind that was not given");
        assert!(selection.needs_labels());
        assert!(selection.admits_labels(&[("app".to_owned(), "web".to_owned())].into()));
        assert!(!selection.admits_labels(&BTreeMap::new()));
    }
}
