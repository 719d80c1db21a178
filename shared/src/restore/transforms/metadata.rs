//! Metadata of every kind: what the server stamps goes, references to owners get the owners' new uids.

use serde_json::Value;

use super::{at, map_mut};

/// Fields that the API server sets by itself, whatever a request says.
const STAMPED: [&str; 9] = [
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "selfLink",
    "managedFields",
    // The object keeps its final name. Left in, a server that sees a collision would pick another one.
    "generateName",
];

/// What becomes of a reference to an owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Relink {
    /// The owner still has the uid it had.
    Keep,
    /// The owner has this uid now.
    To(String),
    /// The owner is not there and does not come back: with the old uid the garbage collector would delete the object at once.
    Drop,
}

/// Removes stamped fields and relinks owners; one warning for each reference dropped.
pub fn prepare(object: &mut Value, relink: &dyn Fn(&str) -> Relink) -> Vec<String> {
    let mut warnings = Vec::new();
    if let Some(map) = object.as_object_mut() {
        map.remove("status");
    }
    let Some(metadata) = map_mut(object, &["metadata"]) else { return warnings };
    for field in STAMPED {
        metadata.remove(field);
    }
    let Some(Value::Array(owners)) = metadata.get_mut("ownerReferences") else { return warnings };
    owners.retain_mut(|owner| {
        let uid = at(owner, &["uid"]).and_then(Value::as_str).unwrap_or_default();
        match relink(uid) {
            Relink::Keep => true,
            Relink::To(new) => {
                if let Some(map) = owner.as_object_mut() {
                    map.insert("uid".to_owned(), Value::String(new));
                }
                true
            }
            Relink::Drop => {
                let text = |key| at(owner, &[key]).and_then(Value::as_str).unwrap_or("?");
                warnings.push(format!("reference to owner {} {} dropped: it is neither in the cluster nor restored", text("kind"), text("name")));
                false
            }
        }
    });
    if owners.is_empty() {
        metadata.remove("ownerReferences");
    }
    warnings
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_the_server_stamps_is_removed_and_the_rest_kept() {
        let mut object = json!({"kind": "ConfigMap", "status": {}, "metadata": {
            "name": "a", "uid": "u", "resourceVersion": "1", "generation": 2, "creationTimestamp": "x", "managedFields": [],
            "generateName": "a-", "labels": {"app": "x"}, "finalizers": ["f"], "selfLink": "/x"}});
        assert!(prepare(&mut object, &|_| Relink::Keep).is_empty());
        assert_eq!(object, json!({"kind": "ConfigMap", "metadata": {"name": "a", "labels": {"app": "x"}, "finalizers": ["f"]}}));
    }

    #[test]
    fn owners_are_kept_relinked_or_dropped() {
        let owner = |uid: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "name": format!("n-{uid}"), "uid": uid, "blockOwnerDeletion": true});
        let mut object = json!({"metadata": {"ownerReferences": [owner("same"), owner("moved"), owner("gone")]}});
        let warnings = prepare(&mut object, &|uid| match uid {
            "same" => Relink::Keep,
            "moved" => Relink::To("new".into()),
            _ => Relink::Drop,
        });
        let kept = object.pointer("/metadata/ownerReferences").unwrap().as_array().unwrap();
        let uids: Vec<_> = kept.iter().map(|owner| owner.get("uid").unwrap().as_str().unwrap()).collect();
        assert_eq!(uids, ["same", "new"]);
        assert_eq!(kept.get(1).unwrap().get("blockOwnerDeletion"), Some(&json!(true)));
        assert_eq!(warnings, ["reference to owner ConfigMap n-gone dropped: it is neither in the cluster nor restored"]);

        let mut alone = json!({"metadata": {"name": "a", "ownerReferences": [owner("gone")]}});
        prepare(&mut alone, &|_| Relink::Drop);
        assert_eq!(alone, json!({"metadata": {"name": "a"}}));
    }
}
