//! Storage classes by other names: for a cluster that calls its storage differently.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{at_mut, map_mut};
use crate::object::GroupResource;

/// The class of claims and volumes from before there was a field for it.
const ANNOTATION: &str = "volume.beta.kubernetes.io/storage-class";

/// Replaces the storage classes of a claim, a volume, or a StatefulSet's claim templates. Classes that the mapping does not name stay.
pub fn map_storage_classes(kind: &GroupResource, object: &mut Value, mapping: &BTreeMap<String, String>) {
    if mapping.is_empty() {
        return;
    }
    match (kind.group.as_str(), kind.resource.as_str()) {
        ("", "persistentvolumeclaims" | "persistentvolumes") => map(object, mapping),
        ("apps", "statefulsets") => {
            let templates = at_mut(object, &["spec", "volumeClaimTemplates"]).and_then(Value::as_array_mut);
            templates.into_iter().flatten().for_each(|template| map(template, mapping));
        }
        _ => {}
    }
}

fn map(object: &mut Value, mapping: &BTreeMap<String, String>) {
    for (path, key) in [(&["spec"][..], "storageClassName"), (&["metadata", "annotations"][..], ANNOTATION)] {
        if let Some(class) = map_mut(object, path).and_then(|fields| fields.get_mut(key))
            && let Some(new) = class.as_str().and_then(|old| mapping.get(old))
        {
            *class = Value::String(new.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn mapped(kind: &str, mut object: Value) -> Value {
        let Ok(kind) = kind.parse();
        map_storage_classes(&kind, &mut object, &[("fast".to_owned(), "ssd".to_owned())].into());
        object
    }

    #[test]
    fn classes_of_claims_volumes_and_templates() {
        for kind in ["persistentvolumeclaims", "persistentvolumes"] {
            assert_eq!(mapped(kind, json!({"spec": {"storageClassName": "fast"}})), json!({"spec": {"storageClassName": "ssd"}}));
            assert_eq!(mapped(kind, json!({"spec": {"storageClassName": "slow"}})), json!({"spec": {"storageClassName": "slow"}}));
            assert_eq!(mapped(kind, json!({"spec": {}})), json!({"spec": {}}));
        }
        let old = json!({"metadata": {"annotations": {ANNOTATION: "fast"}}});
        assert_eq!(mapped("persistentvolumeclaims", old), json!({"metadata": {"annotations": {ANNOTATION: "ssd"}}}));
        let set = json!({"spec": {"volumeClaimTemplates": [{"spec": {"storageClassName": "fast"}}, {"spec": {}}]}});
        assert_eq!(
            mapped("statefulsets.apps", set),
            json!({"spec": {"volumeClaimTemplates": [{"spec": {"storageClassName": "ssd"}}, {"spec": {}}]}})
        );
        assert_eq!(mapped("configmaps", json!({"spec": {"storageClassName": "fast"}})), json!({"spec": {"storageClassName": "fast"}}));
    }
}
