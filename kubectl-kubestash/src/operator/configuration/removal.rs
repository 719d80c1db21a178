//! What becomes of the Repositories of a BackupConfiguration that is being deleted. Pure.
//!
//! Data that is gone does not come back, so whatever speaks for keeping wins: of several sessions with one Repository the most careful policy,
//! another configuration that backs up into it, a Repository that only has the same name.

use std::collections::BTreeMap;

use kube::ResourceExt as _;
use kubestash::api::{BackupConfiguration, DeletionPolicy, ObjectReference, Repository, RepositoryDeletionPolicy, RepositoryInfo};

/// What becomes of one Repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removal {
    /// It is deleted, and its data is dealt with so.
    Delete { name: String, policy: DeletionPolicy },
    /// It was to be deleted, and stays.
    Keep { name: String, why: String },
}

/// What becomes of the Repositories that a configuration names and that are there. `others` are the other configurations of its namespace.
pub fn removals(configuration: &BackupConfiguration, repositories: &[Repository], others: &[BackupConfiguration]) -> Vec<Removal> {
    let mut wanted: BTreeMap<&str, (&RepositoryInfo, Option<DeletionPolicy>)> = BTreeMap::new();
    for info in configuration.spec.sessions.iter().flat_map(|session| &session.repositories) {
        let policy = policy_of(info);
        let (_, known) = wanted.entry(&info.name).or_insert((info, policy));
        *known = match (*known, policy) {
            (Some(DeletionPolicy::WipeOut), Some(DeletionPolicy::WipeOut)) => Some(DeletionPolicy::WipeOut),
            (Some(_), Some(_)) => Some(DeletionPolicy::Delete),
            _ => None,
        };
    }
    let one = |(name, (info, policy)): (&str, (&RepositoryInfo, Option<DeletionPolicy>))| {
        let policy = policy?;
        let found = repositories.iter().find(|repository| repository.name_any() == name && repository.namespace() == configuration.namespace())?;
        let name = name.to_owned();
        let keep = |why: String| Some(Removal::Keep { name: found.name_any(), why });
        if !is_same_place(configuration, info, found) {
            return keep("it is another Repository of this name, at another place".to_owned());
        }
        match others.iter().find(|other| names(other, &name)) {
            Some(other) => keep(format!("BackupConfiguration {} uses it, too", other.name_any())),
            None => Some(Removal::Delete { name, policy }),
        }
    };
    wanted.into_iter().filter_map(one).collect()
}

/// How data is dealt with; nothing where it is kept, as without a word.
fn policy_of(info: &RepositoryInfo) -> Option<DeletionPolicy> {
    match info.deletion_policy {
        Some(RepositoryDeletionPolicy::Delete) => Some(DeletionPolicy::Delete),
        Some(RepositoryDeletionPolicy::WipeOut) => Some(DeletionPolicy::WipeOut),
        Some(RepositoryDeletionPolicy::Retain) | None => None,
    }
}

/// Whether a configuration that stays names a Repository.
fn names(other: &BackupConfiguration, name: &str) -> bool {
    let mut infos = other.spec.sessions.iter().flat_map(|session| &session.repositories);
    other.metadata.deletion_timestamp.is_none() && infos.any(|info| info.name == name)
}

/// Whether a Repository lies where a configuration means it. A default storage is the one that the status tells.
fn is_same_place(configuration: &BackupConfiguration, info: &RepositoryInfo, found: &Repository) -> bool {
    let own = configuration.namespace().unwrap_or_default();
    let named = configuration.spec.backend(info.backend.as_deref());
    let name = named.map_or(info.backend.as_deref().unwrap_or_default(), |backend| &backend.name);
    let told = configuration.status.iter().flat_map(|status| &status.backends).find(|backend| backend.name == name);
    let storage = named.and_then(|backend| backend.storage_ref.clone()).or_else(|| told?.storage.as_ref()?.ref_.clone());
    let place = |reference: ObjectReference| reference.resolved(&own);
    let same_storage =
        storage.map(|reference| place(reference.object())) == found.spec.storage_ref.clone().map(|reference| place(reference.object()));
    same_storage && found.spec.path.as_deref().unwrap_or_default().trim_matches('/') == info.directory.trim_matches('/')
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn configuration(name: &str, repositories: &[Value]) -> BackupConfiguration {
        let sessions: Vec<Value> =
            repositories.iter().enumerate().map(|(at, info)| json!({"name": format!("s{at}"), "repositories": [info]})).collect();
        serde_json::from_value(json!({
            "apiVersion": "core.kubestash.com/v1alpha1", "kind": "BackupConfiguration", "metadata": {"name": name, "namespace": "demo"},
            "spec": {"backends": [{"name": "b", "storageRef": {"name": "s", "namespace": "demo"}}], "sessions": sessions},
        }))
        .unwrap()
    }

    fn info(policy: Value) -> Value {
        json!({"name": "r", "backend": "b", "directory": "/d", "deletionPolicy": policy})
    }

    fn repository(storage: &str, path: &str) -> Repository {
        serde_json::from_value(json!({
            "apiVersion": "storage.kubestash.com/v1alpha1", "kind": "Repository", "metadata": {"name": "r", "namespace": "demo"},
            "spec": {"storageRef": {"name": storage}, "path": path},
        }))
        .unwrap()
    }

    fn delete(policy: DeletionPolicy) -> Vec<Removal> {
        vec![Removal::Delete { name: "r".to_owned(), policy }]
    }

    #[test]
    fn the_most_careful_policy_of_all_sessions_holds() {
        use DeletionPolicy::{Delete, WipeOut};
        for (policies, wanted) in [
            (vec![json!("WipeOut")], delete(WipeOut)),
            (vec![json!("Delete")], delete(Delete)),
            (vec![json!("Retain")], vec![]),
            (vec![Value::Null], vec![]),
            (vec![json!("WipeOut"), json!("WipeOut")], delete(WipeOut)),
            (vec![json!("WipeOut"), json!("Delete")], delete(Delete)),
            (vec![json!("Delete"), json!("WipeOut")], delete(Delete)),
            (vec![json!("WipeOut"), json!("Retain"), json!("WipeOut")], vec![]),
            (vec![json!("WipeOut"), Value::Null], vec![]),
        ] {
            let infos: Vec<Value> = policies.iter().cloned().map(info).collect();
            assert_eq!(removals(&configuration("bc", &infos), &[repository("s", "d/")], &[]), wanted, "{policies:?}");
        }
    }

    #[test]
    fn a_strange_repository_of_the_same_name_stays() {
        let own = configuration("bc", &[info(json!("WipeOut"))]);
        assert_eq!(removals(&own, &[], &[]), []);
        for strange in [repository("other", "/d"), repository("s", "/elsewhere")] {
            assert!(matches!(&removals(&own, &[strange], &[])[..], [Removal::Keep { why, .. }] if why.contains("another place")));
        }
    }

    #[test]
    fn a_default_storage_is_the_one_that_the_status_tells() {
        let mut own = configuration("bc", &[json!({"name": "r", "directory": "/d", "deletionPolicy": "WipeOut"})]);
        own.spec.backends.clear();
        assert!(matches!(&removals(&own, &[repository("s", "/d")], &[])[..], [Removal::Keep { .. }]), "nobody knows which was meant");
        let storage = json!({"backends": [{"name": "", "storage": {"ref": {"name": "s", "namespace": "demo"}}}]});
        own.status = Some(serde_json::from_value(storage).unwrap());
        assert_eq!(removals(&own, &[repository("s", "/d")], &[]), delete(DeletionPolicy::WipeOut));
    }

    #[test]
    fn what_another_configuration_uses_stays() {
        let own = configuration("bc", &[info(json!("WipeOut"))]);
        let mut other = configuration("other", &[info(json!("WipeOut"))]);
        let removed = removals(&own, &[repository("s", "/d")], &[other.clone()]);
        assert_eq!(removed, [Removal::Keep { name: "r".to_owned(), why: "BackupConfiguration other uses it, too".to_owned() }]);
        other.metadata.deletion_timestamp = serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap();
        assert_eq!(removals(&own, &[repository("s", "/d")], &[other]), delete(DeletionPolicy::WipeOut), "the last one decides");
    }
}
