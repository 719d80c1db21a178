//! The update of an object that exists: server-side apply of what the snapshot has of it.

use serde_json::Value;

use super::{
    api::{self, Call},
    apply::FIELD_MANAGER,
    patch,
    transforms::{self, Context, Relink},
};
use crate::{
    cluster::Method,
    object::{GroupResource, KindInfo, ObjectId},
};

/// Turns a stored manifest into the body of an update. Returns warnings, one line each.
pub fn prepare(kind: &GroupResource, object: &mut Value, relink: &dyn Fn(&str) -> Relink) -> Vec<String> {
    // A live Service keeps the addresses it has, and a claim its volume: they cannot be changed.
    transforms::prepare(kind, object, &Context { keep_addresses: false, keep_volume: true, relink })
}

/// What an update leaves in place of all that a snapshot does not have.
pub struct Surplus {
    /// The sentence about it.
    pub kept: String,
    /// The merge patch that removes it.
    pub removal: Value,
}

/// What there is more in `found`, the object as the update leaves it, than in `wanted`; fields that a restore leaves to others do not count.
pub fn surplus(kind: &GroupResource, found: &Value, wanted: &Value) -> Option<Surplus> {
    let (mut found, mut wanted) = (found.clone(), wanted.clone());
    transforms::comparable(kind, &mut found, false);
    transforms::comparable(kind, &mut wanted, false);
    let (kept, removal) = patch::kept(&found, &wanted).zip(patch::merge_patch(&found, &wanted))?;
    Some(Surplus { kept, removal })
}

/// The request. With `force`, fields are taken over from other managers.
pub fn request(kind: &KindInfo, id: &ObjectId, body: Vec<u8>, force: bool, dry_run: bool) -> Call {
    let force = if force { "&force=true" } else { "" };
    let dry_run = if dry_run { "&dryRun=All" } else { "" };
    let path = format!("{}?fieldManager={FIELD_MANAGER}&fieldValidation=Warn{dry_run}{force}", api::object(kind, id));
    Call::write(Method::Apply, path, body)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_live_object_keeps_its_addresses_and_its_volume() {
        let updated = |kind: &str, mut object: Value| {
            let Ok(kind) = kind.parse();
            prepare(&kind, &mut object, &|_| Relink::Keep);
            object
        };
        // Left out of an apply, they are left alone.
        let service = json!({"spec": {"clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"], "ports": [{"port": 80, "nodePort": 30080}]}});
        assert_eq!(updated("services", service), json!({"spec": {"ports": [{"port": 80}]}}));
        let claim = json!({"metadata": {"annotations": {"pv.kubernetes.io/bound-by-controller": "yes"}}, "spec": {"volumeName": "pvc-1"}});
        assert_eq!(updated("persistentvolumeclaims", claim.clone()), claim);
    }
}
