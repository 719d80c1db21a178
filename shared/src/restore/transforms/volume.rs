//! Claims and volumes: unbound from each other's old uids. No volume data is restored here.

use serde_json::Value;

use super::{at, remove, remove_annotations};

/// Says of a claim that the volume controller wrote `volumeName`, and not its user.
const CHOSEN: &str = "pv.kubernetes.io/bound-by-controller";

/// Annotations that the volume controller writes while binding.
const BINDING: [&str; 4] = [
    "pv.kubernetes.io/bind-completed",
    "volume.kubernetes.io/selected-node",
    "volume.kubernetes.io/storage-provisioner",
    "volume.beta.kubernetes.io/storage-provisioner",
];

/// Drops the binding of a claim. Where a controller chose the volume, its name goes too, unless `keep_volume`: then what says who chose
/// it stays beside it, as the name alone would be taken for the user's own from then on.
pub fn prepare_claim(object: &mut Value, keep_volume: bool) {
    let annotation = |name: &str| at(object, &["metadata", "annotations"]).and_then(|all| all.get(name)).is_some();
    let chosen_by_controller = annotation(CHOSEN) || BINDING.iter().skip(1).any(|name| annotation(name));
    if !keep_volume {
        if chosen_by_controller {
            remove(object, &["spec"], "volumeName");
        }
        remove_annotations(object, &[CHOSEN]);
    }
    remove_annotations(object, &BINDING);
}

/// Drops the uid and version of the claim that a volume was bound to: the claim of that name takes it again.
pub fn prepare_volume(object: &mut Value) {
    for key in ["uid", "resourceVersion"] {
        remove(object, &["spec", "claimRef"], key);
    }
    remove_annotations(object, &[CHOSEN]);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::restore::transforms::table::prepared;

    #[test]
    fn claims_and_volumes_are_unbound() {
        let dynamic = json!({"metadata": {"annotations": {"pv.kubernetes.io/bind-completed": "yes", "pv.kubernetes.io/bound-by-controller": "yes", "mine": "1"}}, "spec": {"volumeName": "pvc-1", "storageClassName": "fast"}});
        assert_eq!(
            prepared("persistentvolumeclaims", dynamic.clone()),
            json!({"metadata": {"annotations": {"mine": "1"}}, "spec": {"storageClassName": "fast"}})
        );
        let mut kept = dynamic;
        prepare_claim(&mut kept, true);
        assert_eq!(
            kept,
            json!({"metadata": {"annotations": {"pv.kubernetes.io/bound-by-controller": "yes", "mine": "1"}}, "spec": {"volumeName": "pvc-1", "storageClassName": "fast"}})
        );
        let chosen = json!({"metadata": {"annotations": {"pv.kubernetes.io/bind-completed": "yes"}}, "spec": {"volumeName": "nfs"}});
        assert_eq!(prepared("persistentvolumeclaims", chosen), json!({"metadata": {}, "spec": {"volumeName": "nfs"}}));
        let volume = json!({"metadata": {}, "spec": {"claimRef": {"name": "c", "namespace": "n", "uid": "u", "resourceVersion": "3"}}});
        assert_eq!(prepared("persistentvolumes", volume), json!({"metadata": {}, "spec": {"claimRef": {"name": "c", "namespace": "n"}}}));
    }
}
