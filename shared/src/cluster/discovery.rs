//! Which kinds the API server serves.

use std::collections::HashMap;

use serde::Deserialize;

use super::{ApiError, Cluster, ConnectError};
use crate::object::{GroupResource, KindInfo, short_names};

const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";

/// One kind, in the version that the server prefers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kind {
    /// Names and scope.
    pub info: KindInfo,
    /// What can be done: `list`, `get`, `create`, …
    pub verbs: Vec<String>,
    /// `deploy`, `po`.
    pub short_names: Vec<String>,
    /// `deployment`, `pod`.
    pub singular: String,
    /// All versions that serve it, preferred first.
    pub served_versions: Vec<String>,
    /// Whether status is written by a request of its own.
    pub has_status: bool,
}

impl Kind {
    /// A kind as a snapshot knows it, which may be one that no cluster serves: by its names, built-in short names included.
    pub fn stored(info: &KindInfo) -> Self {
        Self {
            info: info.clone(),
            verbs: Vec::new(),
            short_names: short_names(info).map(str::to_owned).collect(),
            singular: info.kind.to_lowercase(),
            served_versions: Vec::new(),
            has_status: false,
        }
    }

    /// Whether all of these verbs are there.
    pub fn can(&self, verbs: &[&str]) -> bool {
        verbs.iter().all(|verb| self.verbs.iter().any(|own| own == verb))
    }

    /// `/apis/apps/v1/namespaces/demo/deployments`, or without namespace for all and for cluster-scoped kinds.
    pub fn path(&self, namespace: Option<&str>) -> String {
        collection_path(&self.info, namespace)
    }
}

/// Path of a kind's collection.
pub(crate) fn collection_path(info: &KindInfo, namespace: Option<&str>) -> String {
    let root = if info.group.is_empty() { format!("/api/{}", info.version) } else { format!("/apis/{}/{}", info.group, info.version) };
    match namespace {
        Some(namespace) if info.namespaced => format!("{root}/namespaces/{}/{}", super::percent_encode(namespace), info.resource),
        _ => format!("{root}/{}", info.resource),
    }
}

/// Everything the server serves, and the groups that did not answer.
#[derive(Debug, Clone, Default)]
pub struct Discovery {
    /// Sorted by `resource.group`.
    pub kinds: Vec<Kind>,
    /// Group and version, and why it did not answer.
    pub failed_groups: Vec<(String, String)>,
}

/// A name that stands for no kind, or for several.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// No such kind.
    #[error("the server doesn't have a resource type {0:?}; see `kubectl api-resources`")]
    Unknown(String),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GroupList {
    #[serde(default)]
    kind: String,
    #[serde(default)]
    items: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    #[serde(default)]
    metadata: Meta,
    #[serde(default)]
    versions: Vec<GroupVersion>,
}

#[derive(Deserialize, Default)]
struct Meta {
    #[serde(default)]
    name: String,
}

#[derive(Deserialize)]
struct GroupVersion {
    version: String,
    #[serde(default)]
    freshness: String,
    #[serde(default)]
    resources: Vec<Resource>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Resource {
    resource: String,
    #[serde(default)]
    response_kind: Option<ResponseKind>,
    #[serde(default)]
    scope: String,
    #[serde(default)]
    singular_resource: String,
    #[serde(default)]
    verbs: Vec<String>,
    #[serde(default)]
    short_names: Vec<String>,
    #[serde(default)]
    subresources: Vec<Subresource>,
}

#[derive(Deserialize)]
struct ResponseKind {
    #[serde(default)]
    kind: String,
}

#[derive(Deserialize)]
struct Subresource {
    #[serde(default)]
    subresource: String,
}

#[derive(Deserialize)]
struct PlainGroups {
    #[serde(default)]
    groups: Vec<PlainGroup>,
}

#[derive(Deserialize)]
struct PlainGroup {
    name: String,
    versions: Vec<PlainVersion>,
}

#[derive(Deserialize)]
struct PlainVersion {
    version: String,
}

#[derive(Deserialize)]
struct PlainResources {
    #[serde(default)]
    resources: Vec<PlainResource>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PlainResource {
    name: String,
    #[serde(default)]
    kind: String,
    #[serde(default)]
    singular_name: String,
    #[serde(default)]
    namespaced: bool,
    #[serde(default)]
    verbs: Vec<String>,
    #[serde(default)]
    short_names: Vec<String>,
}

impl Cluster {
    /// Asks in two requests; servers before 1.27 are asked group by group.
    ///
    /// # Errors
    /// `Server` when the API server does not answer. A group that does not answer is no error but named in the result.
    pub async fn discover(&self) -> Result<Discovery, ConnectError> {
        let failed = |source| ConnectError::Server { server: self.server.clone(), source };
        let mut lists = Vec::new();
        for path in ["/api", "/apis"] {
            let list: GroupList = self.get_json_as(path, AGGREGATED).await.map_err(failed)?;
            if list.kind != "APIGroupDiscoveryList" {
                return self.discover_plain().await.map_err(failed);
            }
            lists.push(list);
        }
        Ok(from_groups(lists.into_iter().flat_map(|list| list.items)))
    }

    async fn discover_plain(&self) -> Result<Discovery, ApiError> {
        let groups: PlainGroups = self.get_json("/apis").await?;
        let core = PlainGroup { name: String::new(), versions: vec![PlainVersion { version: "v1".to_owned() }] };
        let mut found = Vec::new();
        let mut failed_groups = Vec::new();
        for group in std::iter::once(core).chain(groups.groups) {
            let mut versions = Vec::new();
            for PlainVersion { version } in group.versions {
                let path = if group.name.is_empty() { format!("/api/{version}") } else { format!("/apis/{}/{version}", group.name) };
                match self.get_json::<PlainResources>(&path).await {
                    Ok(list) => versions.push(GroupVersion { version, freshness: String::new(), resources: plain_resources(list) }),
                    Err(error) => failed_groups.push((format!("{}/{version}", group.name), error.to_string())),
                }
            }
            found.push(Group { metadata: Meta { name: group.name }, versions });
        }
        let mut discovery = from_groups(found.into_iter());
        discovery.failed_groups.extend(failed_groups);
        Ok(discovery)
    }
}

fn plain_resources(list: PlainResources) -> Vec<Resource> {
    let with_status: Vec<String> = list.resources.iter().filter_map(|resource| resource.name.strip_suffix("/status")).map(str::to_owned).collect();
    let whole = list.resources.into_iter().filter(|resource| !resource.name.contains('/'));
    whole
        .map(|resource| Resource {
            subresources: with_status
                .iter()
                .filter(|name| **name == resource.name)
                .map(|_| Subresource { subresource: "status".to_owned() })
                .collect(),
            resource: resource.name,
            response_kind: Some(ResponseKind { kind: resource.kind }),
            scope: if resource.namespaced { "Namespaced" } else { "Cluster" }.to_owned(),
            singular_resource: resource.singular_name,
            verbs: resource.verbs,
            short_names: resource.short_names,
        })
        .collect()
}

fn from_groups(groups: impl Iterator<Item = Group>) -> Discovery {
    let mut discovery = Discovery::default();
    for group in groups {
        let mut places: HashMap<String, usize> = HashMap::new();
        // Versions come in the server's order of preference.
        for version in group.versions {
            if version.freshness == "Stale" {
                let name = format!("{}/{}", group.metadata.name, version.version);
                discovery.failed_groups.push((name, "the aggregated API behind this group does not answer".to_owned()));
            }
            for resource in version.resources {
                if let Some(kind) = places.get(&resource.resource).and_then(|&at| discovery.kinds.get_mut(at)) {
                    kind.served_versions.push(version.version.clone());
                    continue;
                }
                let Some(ResponseKind { kind }) = resource.response_kind.filter(|response| !response.kind.is_empty()) else { continue };
                places.insert(resource.resource.clone(), discovery.kinds.len());
                discovery.kinds.push(Kind {
                    info: KindInfo {
                        group: group.metadata.name.clone(),
                        version: version.version.clone(),
                        resource: resource.resource,
                        kind,
                        namespaced: resource.scope == "Namespaced",
                    },
                    verbs: resource.verbs,
                    short_names: resource.short_names,
                    singular: resource.singular_resource,
                    served_versions: vec![version.version.clone()],
                    has_status: resource.subresources.iter().any(|sub| sub.subresource == "status"),
                });
            }
        }
    }
    discovery.kinds.sort_by_cached_key(|kind| kind.info.group_resource().to_string());
    discovery
}

impl Discovery {
    /// The kind of a plural name and group.
    pub fn kind(&self, wanted: &GroupResource) -> Option<&Kind> {
        self.kinds.iter().find(|kind| kind.info.group == wanted.group && kind.info.resource == wanted.resource)
    }

    /// Finds what a person means by `deploy`, `deployments`, `deployments.apps`, `deployment.v1.apps` or `Deployment`: core kinds first,
    /// then by group.
    ///
    /// # Errors
    /// `Unknown` when nothing fits.
    pub fn resolve(&self, text: &str) -> Result<&Kind, ResolveError> {
        let lower = text.to_lowercase();
        let (name, rest) = lower.split_once('.').unwrap_or((&lower, ""));
        let fits = |kind: &&Kind| {
            let named = kind.info.resource == name || kind.singular == name || kind.info.kind.to_lowercase() == name;
            let short = kind.short_names.iter().any(|short| short == name);
            let group = rest.is_empty()
                || kind.info.group == rest
                || rest
                    .split_once('.')
                    .is_some_and(|(version, group)| kind.served_versions.iter().any(|own| own == version) && kind.info.group == group)
                || kind.info.group.starts_with(&format!("{rest}."));
            (named || short) && group
        };
        let found = self.kinds.iter().filter(fits).min_by_key(|kind| (!kind.info.group.is_empty(), kind.info.group.clone()));
        found.ok_or_else(|| ResolveError::Unknown(text.to_owned()))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn example() -> Discovery {
        let list: GroupList = serde_json::from_str(
            r#"{"kind":"APIGroupDiscoveryList","items":[
            {"metadata":{},"versions":[{"version":"v1","freshness":"Current","resources":[
              {"resource":"pods","responseKind":{"kind":"Pod"},"scope":"Namespaced","singularResource":"pod","verbs":["list","get","create"],"shortNames":["po"],"subresources":[{"subresource":"status"}]}]}]},
            {"metadata":{"name":"apps"},"versions":[{"version":"v1","resources":[
              {"resource":"deployments","responseKind":{"kind":"Deployment"},"scope":"Namespaced","singularResource":"deployment","verbs":["list"],"shortNames":["deploy"]}]},
              {"version":"v1beta1","resources":[{"resource":"deployments","responseKind":{"kind":"Deployment"},"scope":"Namespaced","verbs":["list"]}]}]},
            {"metadata":{"name":"metrics.k8s.io"},"versions":[{"version":"v1beta1","freshness":"Stale","resources":[
              {"resource":"pods","responseKind":{"kind":"PodMetrics"},"scope":"Namespaced","singularResource":"","verbs":["list"]}]}]}]}"#,
        )
        .unwrap();
        from_groups(list.items.into_iter())
    }

    #[test]
    fn names_resolve_as_with_kubectl() {
        let discovery = example();
        for (text, kind) in [
            ("po", "Pod"),
            ("pods", "Pod"),
            ("Pod", "Pod"),
            ("deploy", "Deployment"),
            ("deployments.apps", "Deployment"),
            ("deployment.v1.apps", "Deployment"),
            ("pods.metrics.k8s.io", "PodMetrics"),
            ("pods.metrics", "PodMetrics"),
        ] {
            assert_eq!(discovery.resolve(text).unwrap().info.kind, kind, "{text}");
        }
        assert!(discovery.resolve("nothing").is_err());
    }

    #[test]
    fn the_preferred_version_is_taken_and_stale_groups_are_named() {
        let discovery = example();
        let deployments = discovery.resolve("deploy").unwrap();
        assert_eq!((deployments.info.version.as_str(), deployments.served_versions.len()), ("v1", 2));
        assert_eq!(deployments.path(Some("a")), "/apis/apps/v1/namespaces/a/deployments");
        assert_eq!(discovery.resolve("po").unwrap().path(None), "/api/v1/pods");
        assert_eq!(discovery.failed_groups.len(), 1);
    }
}
