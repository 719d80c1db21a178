//! What becomes of objects that the cluster already has in another state, by kind; and what is lost when one of them is deleted. Pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::object::GroupResource;

/// What to do with an object that the cluster already has in another state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Existing {
    /// Leave it alone.
    #[default]
    Skip,
    /// Bring it to the snapshot's state by server-side apply.
    Update,
    /// The same; where a field differs that cannot be changed, delete it and create it anew.
    Recreate,
    /// Count it as a failure.
    Fail,
}

/// The policy of each kind.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Policies {
    /// Of kinds that are not named.
    pub default: Existing,
    /// Of kinds that are.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub kinds: BTreeMap<GroupResource, Existing>,
}

/// A policy that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// No such policy.
    #[error("{0:?} is no policy for existing objects: write skip, update, recreate or fail, or KIND=POLICY as in jobs=recreate")]
    Unknown(String),
    /// A kind that nobody knows.
    #[error("{0:?} in a policy for existing objects is no kind of the snapshot or the cluster")]
    Kind(String),
}

impl From<Existing> for Policies {
    fn from(default: Existing) -> Self {
        Self { default, kinds: BTreeMap::new() }
    }
}

impl Policies {
    /// Reads `POLICY` and `KIND=POLICY`; the last word about a kind counts. `kind_of` finds the kind that a person means.
    ///
    /// # Errors
    /// A word that is neither.
    pub fn parse(words: &[String], kind_of: &dyn Fn(&str) -> Option<GroupResource>) -> Result<Self, PolicyError> {
        let mut policies = Self::default();
        for word in words {
            let (kind, policy) = match word.split_once('=') {
                Some((kind, policy)) => (Some(kind.trim()), policy),
                None => (None, word.as_str()),
            };
            let policy = match policy.trim() {
                "skip" => Existing::Skip,
                "update" => Existing::Update,
                "recreate" => Existing::Recreate,
                "fail" => Existing::Fail,
                _ => return Err(PolicyError::Unknown(word.clone())),
            };
            match kind {
                None => policies.default = policy,
                Some(kind) => drop(policies.kinds.insert(kind_of(kind).ok_or_else(|| PolicyError::Kind(kind.to_owned()))?, policy)),
            }
        }
        Ok(policies)
    }

    /// The policy of a kind.
    pub fn of(&self, kind: &GroupResource) -> Existing {
        self.kinds.get(kind).copied().unwrap_or(self.default)
    }

    /// Whether any kind may be brought to the snapshot's state.
    pub fn changes_existing(&self) -> bool {
        self.kinds.values().chain([&self.default]).any(|policy| matches!(policy, Existing::Update | Existing::Recreate))
    }

    /// Whether an object of this kind may be deleted to create it anew, or why not.
    ///
    /// # Errors
    /// What to do instead, as a clause.
    pub fn recreates(&self, kind: &GroupResource) -> Result<(), &'static str> {
        match (kind.group.as_str(), kind.resource.as_str()) {
            _ if holds_others(kind) => Err("it is never deleted to create it anew, because all that it holds would go with it; change it by hand"),
            ("", "persistentvolumeclaims" | "persistentvolumes") if !self.kinds.contains_key(kind) => {
                Err("it is deleted and created anew only when its kind is named, because its data may go with it")
            }
            _ => Ok(()),
        }
    }
}

/// Whether deleting an object of this kind deletes others, of whatever kind.
pub fn holds_others(kind: &GroupResource) -> bool {
    matches!((kind.group.as_str(), kind.resource.as_str()), ("", "namespaces") | ("apiextensions.k8s.io", "customresourcedefinitions"))
}

/// What goes with an object that is deleted, beside the object itself; as a clause.
pub fn loss(kind: &GroupResource) -> Option<&'static str> {
    Some(match (kind.group.as_str(), kind.resource.as_str()) {
        ("", "persistentvolumeclaims") => "its volume and the data in it, where the volume's reclaim policy is Delete",
        ("", "persistentvolumes") => "the way to its data, and the data itself where the reclaim policy is Delete",
        ("", "pods") => "what runs in it, and its files",
        ("", "services") => "its addresses, those of load balancers among them",
        ("batch", "jobs") => "the record of its runs",
        ("storage.k8s.io", "storageclasses") => "nothing that exists, but no claim is served meanwhile",
        (_, _) if is_built_in(&kind.group) => return None,
        _ => "its status, and whatever its operator removes with it",
    })
}

/// Whether a group is Kubernetes' own: it has no dot, or ends with `.k8s.io`.
pub fn is_built_in(group: &str) -> bool {
    !group.contains('.') || group.ends_with(".k8s.io")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn kind_of(text: &str) -> Option<GroupResource> {
        [("deploy", "deployments.apps"), ("jobs", "jobs.batch"), ("pvc", "persistentvolumeclaims")]
            .iter()
            .find(|(short, _)| *short == text)
            .map(|(_, long)| long.parse().unwrap())
    }

    fn parse(words: &[&str]) -> Result<Policies, PolicyError> {
        Policies::parse(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>(), &kind_of)
    }

    #[test]
    fn policies_of_all_kinds_and_of_one() {
        let rows: [(&[&str], &str, Existing); 6] = [
            (&[], "jobs.batch", Existing::Skip),
            (&["update"], "jobs.batch", Existing::Update),
            (&["deploy=update", "jobs=recreate"], "jobs.batch", Existing::Recreate),
            (&["deploy=update", "jobs=recreate"], "configmaps", Existing::Skip),
            (&["jobs=fail", "update", "jobs=skip"], "jobs.batch", Existing::Skip),
            (&["update", "deploy=fail"], "deployments.apps", Existing::Fail),
        ];
        for (words, kind, expected) in rows {
            assert_eq!(parse(words).unwrap().of(&kind.parse().unwrap()), expected, "{words:?} {kind}");
        }
        assert_eq!(parse(&["replace"]), Err(PolicyError::Unknown("replace".to_owned())));
        assert_eq!(parse(&["nodes=skip"]), Err(PolicyError::Kind("nodes".to_owned())));
        assert!(parse(&["jobs=update"]).unwrap().changes_existing() && !parse(&["fail"]).unwrap().changes_existing());
    }

    #[test]
    fn what_may_be_deleted_to_create_it_anew() {
        let rows: [(&[&str], &str, bool); 6] = [
            (&["recreate"], "jobs.batch", true),
            (&["recreate"], "persistentvolumeclaims", false),
            (&["pvc=recreate"], "persistentvolumeclaims", true),
            (&["recreate"], "namespaces", false),
            (&["recreate"], "customresourcedefinitions.apiextensions.k8s.io", false),
            (&["recreate"], "rolebindings.rbac.authorization.k8s.io", true),
        ];
        for (words, kind, allowed) in rows {
            assert_eq!(parse(words).unwrap().recreates(&kind.parse().unwrap()).is_ok(), allowed, "{words:?} {kind}");
        }
    }

    #[test]
    fn losses_are_named_where_there_are_any() {
        for (kind, lost) in
            [("configmaps", false), ("roles.rbac.authorization.k8s.io", false), ("persistentvolumeclaims", true), ("widgets.example.com", true)]
        {
            assert_eq!(loss(&kind.parse().unwrap()).is_some(), lost, "{kind}");
        }
    }
}
