//! Which kinds are read, and why the others are not. Pure.

use super::filters::{FilterError, Filters, Wanted};
use crate::{
    cluster::{Discovery, Kind},
    object::KindInfo,
};

/// Why a kind is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Skip {
    /// The API server cannot list it.
    NotListable,
    /// It cannot be created, so it could not be restored.
    NotCreatable,
    /// Left out by default.
    Default(&'static str),
    /// Left out by an exclude.
    Excluded,
    /// Other kinds were asked for.
    NotIncluded,
    /// Cluster-scoped kinds were not asked for.
    ClusterScoped,
}

impl Skip {
    /// The reason in words.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::NotListable => "cannot be listed",
            Self::NotCreatable => "cannot be created, so not restored either",
            Self::Default(reason) => reason,
            Self::Excluded => "excluded",
            Self::NotIncluded => "not included",
            Self::ClusterScoped => "cluster-scoped",
        }
    }
}

/// One kind and what happens to it.
#[derive(Debug, Clone)]
pub struct PlannedKind {
    /// The kind.
    pub info: KindInfo,
    /// `None` when it is read.
    pub skip: Option<Skip>,
}

/// What would be read.
#[derive(Debug, Clone, Default)]
pub struct CollectPlan {
    /// All kinds of the server, sorted by `resource.group`.
    pub kinds: Vec<PlannedKind>,
    /// Groups that did not answer.
    pub failed_groups: Vec<(String, String)>,
}

impl CollectPlan {
    /// The kinds that are read.
    pub fn read(&self) -> impl Iterator<Item = &KindInfo> {
        self.kinds.iter().filter(|kind| kind.skip.is_none()).map(|kind| &kind.info)
    }
}

/// Groups that hold measurements only.
const MEASURED_GROUPS: [&str; 3] = ["metrics.k8s.io", "custom.metrics.k8s.io", "external.metrics.k8s.io"];

/// Kinds that are noise in a backup or harm in a restore. Each can be asked for by name.
fn default_skip(kind: &KindInfo) -> Option<&'static str> {
    Some(match (kind.group.as_str(), kind.resource.as_str()) {
        ("" | "events.k8s.io", "events") => "events pass by",
        ("coordination.k8s.io", "leases" | "leasecandidates") => "leases belong to running processes",
        ("", "nodes") | ("storage.k8s.io", "csinodes") => "nodes register themselves",
        ("storage.k8s.io", "volumeattachments" | "csistoragecapacities") => "kept by the storage drivers",
        ("", "componentstatuses") => "computed by the API server",
        ("networking.k8s.io", "ipaddresses") => "allocated by the API server",
        ("certificates.k8s.io", "certificatesigningrequests") => "requests of a moment",
        ("internal.apiserver.k8s.io", "storageversions") => "kept by the API server",
        (group, _) if MEASURED_GROUPS.contains(&group) => "measured, not stored",
        ("storage.kubestash.com", "snapshots" | "repositories") => "lives in the backup storage",
        ("core.kubestash.com", "backupsessions" | "restoresessions" | "backupverificationsession" | "backupverifier") => {
            "sessions of KubeStash itself"
        }
        _ => return None,
    })
}

/// Decides for every kind of the server.
///
/// # Errors
/// A pattern of the filters is not a glob.
pub fn plan(discovery: &Discovery, filters: &Filters) -> Result<CollectPlan, FilterError> {
    let matcher = filters.matcher()?;
    let skip = |kind: &Kind| {
        let by_name = match matcher.kind(kind) {
            Wanted::Excluded => return Some(Skip::Excluded),
            Wanted::NotIncluded => return Some(Skip::NotIncluded),
            Wanted::ClusterScoped => return Some(Skip::ClusterScoped),
            Wanted::ByName => true,
            Wanted::Anyway => false,
        };
        if !kind.can(&["list", "get"]) {
            return Some(Skip::NotListable);
        }
        if by_name {
            // The same objects under two groups are stored once.
            let twin = kind.info.group == "events.k8s.io" && kind.info.resource == "events";
            return twin.then_some(Skip::Default("the same objects as the core group's events"));
        }
        match default_skip(&kind.info) {
            Some(reason) => Some(Skip::Default(reason)),
            None if !kind.can(&["create"]) => Some(Skip::NotCreatable),
            None => None,
        }
    };
    let kinds = discovery.kinds.iter().map(|kind| PlannedKind { info: kind.info.clone(), skip: skip(kind) }).collect();
    // A group whose kinds would all be skipped leaves no gap when it does not answer.
    let wanted = |group: &str| filters.all_kinds || !MEASURED_GROUPS.contains(&group.split('/').next().unwrap_or_default());
    let failed_groups = discovery.failed_groups.iter().filter(|(group, _)| wanted(group)).cloned().collect();
    Ok(CollectPlan { kinds, failed_groups })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn kind(group: &str, resource: &str, verbs: &str) -> Kind {
        Kind {
            info: KindInfo { group: group.into(), version: "v1".into(), resource: resource.into(), kind: "K".into(), namespaced: true },
            verbs: verbs.split(' ').map(str::to_owned).collect(),
            short_names: Vec::new(),
            singular: String::new(),
            served_versions: Vec::new(),
            has_status: false,
        }
    }

    #[test]
    fn each_kind_has_its_reason() {
        let all = "list get create";
        let discovery = Discovery {
            kinds: vec![
                kind("", "pods", all),
                kind("", "events", all),
                kind("events.k8s.io", "events", all),
                kind("", "bindings", "create"),
                kind("x.io", "reports", "list get"),
                kind("metrics.k8s.io", "pods", "list get"),
            ],
            failed_groups: vec![("y.io/v1".into(), "down".into())],
        };
        let skips = |filters: Filters| plan(&discovery, &filters).unwrap().kinds.into_iter().map(|kind| kind.skip).collect::<Vec<_>>();
        let measured = Some(Skip::Default("measured, not stored"));
        let passing = Some(Skip::Default("events pass by"));
        assert_eq!(skips(Filters::default()), [None, passing, passing, Some(Skip::NotListable), Some(Skip::NotCreatable), measured]);
        let named = Filters { include_resources: vec!["events".into(), "reports".into()], ..Filters::default() };
        let twin = Some(Skip::Default("the same objects as the core group's events"));
        let other = Some(Skip::NotIncluded);
        assert_eq!(skips(named), [other, None, twin, other, None, other]);
        let everything = Filters { all_kinds: true, ..Filters::default() };
        assert_eq!(skips(everything), [None, None, twin, Some(Skip::NotListable), None, None]);
    }
}
