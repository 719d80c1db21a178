//! Which owners of an object are there, come back, or are gone.

use std::{collections::BTreeMap, collections::HashMap, sync::Mutex};

use serde::{Deserialize, Serialize};

use super::{facts::Owner, transforms::Relink};
use crate::object::{GroupResource, KindInfo, ObjectId};

/// What a plan decides about one owner reference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OwnerLink {
    /// The cluster has the very same owner.
    Keep,
    /// The cluster has an owner of that name under another uid.
    To(String),
    /// The plan creates the owner first; its uid is known then.
    Planned,
    /// Neither: the reference is dropped.
    Drop,
}

/// Owner references of one object by old uid.
pub type OwnerLinks = BTreeMap<String, OwnerLink>;

/// Finds the object that an owner reference names, given the kinds known.
pub fn resolve(owner: &Owner, namespace: Option<&str>, kinds: &HashMap<(String, String), (GroupResource, bool)>) -> Option<ObjectId> {
    let group = owner.api_version.split_once('/').map_or("", |(group, _)| group);
    let (kind, namespaced) = kinds.get(&(group.to_owned(), owner.kind.clone()))?;
    let namespace = if *namespaced { Some(namespace?.to_owned()) } else { None };
    Some(ObjectId { kind: kind.clone(), namespace, name: owner.name.clone() })
}

/// Adds a kind to the map that [`resolve`] looks in.
pub fn know(kinds: &mut HashMap<(String, String), (GroupResource, bool)>, info: &KindInfo) {
    kinds.entry((info.group.clone(), info.kind.clone())).or_insert_with(|| (info.group_resource(), info.namespaced));
}

/// Uids of restored objects: the old one, from the snapshot, to the new one.
#[derive(Debug, Default)]
pub struct Uids(Mutex<HashMap<String, String>>);

impl Uids {
    /// Notes what became of an object.
    pub fn insert(&self, old: String, new: String) {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).insert(old, new);
    }

    /// What to do with the reference to the owner with this old uid.
    pub fn relink(&self, links: &OwnerLinks, old: &str) -> Relink {
        match links.get(old) {
            Some(OwnerLink::Keep) => Relink::Keep,
            Some(OwnerLink::To(uid)) => Relink::To(uid.clone()),
            Some(OwnerLink::Planned) => {
                let map = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                map.get(old).map_or(Relink::Drop, |uid| Relink::To(uid.clone()))
            }
            Some(OwnerLink::Drop) | None => Relink::Drop,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_resolved_by_group_and_kind() {
        let info = |group: &str, kind: &str, resource: &str, namespaced| KindInfo {
            group: group.into(),
            version: "v1".into(),
            resource: resource.into(),
            kind: kind.into(),
            namespaced,
        };
        let mut kinds = HashMap::new();
        know(&mut kinds, &info("apps", "Deployment", "deployments", true));
        know(&mut kinds, &info("", "Node", "nodes", false));
        let owner =
            |api: &str, kind: &str| Owner { api_version: api.into(), kind: kind.into(), name: "x".into(), uid: "u".into(), controller: false };
        let found = |api, kind| resolve(&owner(api, kind), Some("demo"), &kinds).map(|id| id.to_string());
        assert_eq!(found("apps/v1beta1", "Deployment").as_deref(), Some("deployments.apps/x -n demo"));
        assert_eq!(found("v1", "Node").as_deref(), Some("nodes/x"));
        assert_eq!(found("v1", "Deployment"), None);
    }

    #[test]
    fn planned_owners_get_the_uid_they_were_created_with() {
        let uids = Uids::default();
        uids.insert("old".into(), "new".into());
        let links: OwnerLinks = [("old".into(), OwnerLink::Planned), ("failed".into(), OwnerLink::Planned), ("there".into(), OwnerLink::Keep)].into();
        assert_eq!(uids.relink(&links, "old"), Relink::To("new".into()));
        assert_eq!(uids.relink(&links, "failed"), Relink::Drop);
        assert_eq!(uids.relink(&links, "there"), Relink::Keep);
        assert_eq!(uids.relink(&links, "unknown"), Relink::Drop);
    }
}
