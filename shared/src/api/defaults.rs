//! Which storage and which policy a backup means that names none.

use std::borrow::Cow;

use kube::ResourceExt as _;

use super::{
    backup_storage::BackupStorage,
    reference::{ObjectReference, StorageReference},
    retention_policy::RetentionPolicy,
    session::Backend,
    usage_policy::{NamespacesFrom, Requester, UsagePolicy},
};

/// An object that can be a default.
pub trait CanBeDefault: kube::Resource {
    /// Whether it wants to be.
    fn is_default(&self) -> bool;
    /// Who may use it.
    fn usage_policy(&self) -> Option<&UsagePolicy>;
}

impl CanBeDefault for BackupStorage {
    fn is_default(&self) -> bool {
        self.spec.default == Some(true)
    }

    fn usage_policy(&self) -> Option<&UsagePolicy> {
        self.spec.usage_policy.as_ref()
    }
}

impl CanBeDefault for RetentionPolicy {
    fn is_default(&self) -> bool {
        self.spec.default == Some(true)
    }

    fn usage_policy(&self) -> Option<&UsagePolicy> {
        self.spec.usage_policy.as_ref()
    }
}

/// The default for a namespace: first one of its own with `from: Same`, then one that selects it, then one for all.
///
/// Among equals the first counts by namespace and name, whatever the order of `objects` is. An object that is being deleted is no default.
pub fn resolve_default<'a, K: CanBeDefault + 'a>(objects: impl IntoIterator<Item = &'a K>, requester: Requester<'_>) -> Option<ObjectReference> {
    let mut candidates: Vec<(NamespacesFrom, String, String)> = Vec::new();
    for object in objects {
        let namespace = object.namespace().unwrap_or_default();
        let allowed = UsagePolicy::allows(object.usage_policy(), &namespace, requester);
        let Some(from) = UsagePolicy::from(object.usage_policy()).filter(|_| allowed && object.is_default()) else { continue };
        if object.meta().deletion_timestamp.is_none() {
            candidates.push((from, namespace, object.name_any()));
        }
    }
    // In the order of the passes: the enum is declared so.
    let (_, namespace, name) = candidates.into_iter().min()?;
    Some(ObjectReference { name, namespace: Some(namespace) })
}

/// The backends with nothing left to guess: without backends the default storage is one without a name, a backend without a policy gets the
/// default one, and every reference has its namespace. What has no default stays absent.
pub fn resolve_backends(backends: &[Backend], storages: &[BackupStorage], policies: &[RetentionPolicy], requester: Requester<'_>) -> Vec<Backend> {
    let backends = if backends.is_empty() {
        let storage = resolve_default(storages, requester).map(StorageReference::from);
        storage.map(|storage| Backend { storage_ref: Some(storage), ..Backend::default() }).into_iter().map(Cow::Owned).collect()
    } else {
        backends.iter().map(Cow::Borrowed).collect::<Vec<_>>()
    };
    let policy = resolve_default(policies, requester);
    let resolve = |backend: Cow<'_, Backend>| Backend {
        name: backend.name.clone(),
        storage_ref: backend.storage_ref.as_ref().map(|storage| storage.object().resolved(requester.namespace).into()),
        retention_policy: backend.retention_policy.as_ref().map(|policy| policy.resolved(requester.namespace)).or_else(|| policy.clone()),
    };
    backends.into_iter().map(resolve).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Value, json};

    use super::*;

    fn storage(namespace: &str, name: &str, from: Option<&str>, default: bool) -> BackupStorage {
        let policy = match from {
            Some("Selector") => json!({"allowedNamespaces": {"from": "Selector", "selector": {"matchLabels": {"team": "a"}}}}),
            Some(from) => json!({"allowedNamespaces": {"from": from}}),
            None => Value::Null,
        };
        serde_json::from_value(json!({
            "apiVersion": "storage.kubestash.com/v1alpha1", "kind": "BackupStorage", "metadata": {"name": name, "namespace": namespace},
            "spec": {"default": default, "usagePolicy": policy},
        }))
        .unwrap()
    }

    fn policy(namespace: &str, name: &str) -> RetentionPolicy {
        serde_json::from_value(json!({
            "apiVersion": "storage.kubestash.com/v1alpha1", "kind": "RetentionPolicy", "metadata": {"name": name, "namespace": namespace},
            "spec": {"default": true, "maxRetentionPeriod": "30d"},
        }))
        .unwrap()
    }

    fn team() -> BTreeMap<String, String> {
        BTreeMap::from([("team".to_owned(), "a".to_owned())])
    }

    #[test]
    fn defaults() {
        let labels = team();
        let requester = Requester { namespace: "demo", labels: &labels };
        let same = storage("demo", "same", Some("Same"), true);
        let unsaid = storage("demo", "unsaid", None, true);
        let selected = storage("x", "selected", Some("Selector"), true);
        let all = storage("demo", "all", Some("All"), true);
        let foreign = storage("x", "foreign", Some("Same"), true);
        let no_default = storage("demo", "a", Some("Same"), false);
        let rows: [(&[&BackupStorage], Option<&str>); 8] = [
            (&[], None),
            (&[&all, &selected, &same], Some("demo/same")),
            (&[&all, &unsaid], Some("demo/unsaid")),
            (&[&all, &selected], Some("x/selected")),
            (&[&all, &foreign], Some("demo/all")),
            (&[&foreign], None),
            (&[&no_default], None),
            (&[&unsaid, &same], Some("demo/same")),
        ];
        for (storages, wanted) in rows {
            let found = resolve_default(storages.iter().copied(), requester);
            assert_eq!(found.map(|found| found.to_string()).as_deref(), wanted);
        }
    }

    #[test]
    fn backends_are_completed() {
        let labels = team();
        let requester = Requester { namespace: "demo", labels: &labels };
        let storages = [storage("demo", "s", None, true)];
        let policies = [policy("demo", "p"), policy("other", "q")];
        let wanted = |name: &str, storage: &str, policy: Option<&str>| Backend {
            name: name.to_owned(),
            storage_ref: Some(StorageReference::new(storage, "demo")),
            retention_policy: policy.map(|policy| ObjectReference::new(policy, "demo")),
        };
        assert_eq!(resolve_backends(&[], &storages, &policies, requester), [wanted("", "s", Some("p"))]);
        assert_eq!(resolve_backends(&[], &[], &policies, requester), []);
        assert_eq!(resolve_backends(&[], &storages, &[], requester), [wanted("", "s", None)]);
        let given: Vec<Backend> = serde_json::from_value(json!([
            {"name": "a", "storageRef": {"name": "t", "kind": "BackupStorage"}}, {"name": "b", "storageRef": {"name": "u"}, "retentionPolicy": {"name": "r"}},
        ]))
        .unwrap();
        assert_eq!(resolve_backends(&given, &storages, &policies, requester), [wanted("a", "t", Some("p")), wanted("b", "u", Some("r"))]);
    }
}
