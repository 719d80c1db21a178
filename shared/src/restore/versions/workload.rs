//! Workloads of `extensions/v1beta1`, `apps/v1beta1` and `apps/v1beta2`: what was a default then is said, because `apps/v1` has other ones.

use serde_json::{Value, json};

use crate::{
    object::KindInfo,
    restore::transforms::{at, map_mut},
};

/// Brings one to `apps/v1`.
pub fn convert(from: &KindInfo, object: &mut Value) {
    let labels = at(object, &["spec", "template", "metadata", "labels"]).cloned();
    let Some(spec) = map_mut(object, &["spec"]) else { return };
    for gone in ["rollbackTo", "templateGeneration"] {
        spec.remove(gone);
    }
    // The selector was read from the template where nobody gave one; it cannot be left out any more.
    if let Some(labels) = labels.filter(|_| !spec.contains_key("selector")) {
        spec.insert("selector".to_owned(), json!({"matchLabels": labels}));
    }
    let old: &[(&str, Value)] = &match (from.group.as_str(), from.version.as_str(), from.resource.as_str()) {
        ("extensions", _, "deployments") => vec![
            ("progressDeadlineSeconds", json!(i32::MAX)),
            ("revisionHistoryLimit", json!(i32::MAX)),
            ("strategy", json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 1}})),
        ],
        ("apps", "v1beta1", "deployments") => vec![("revisionHistoryLimit", json!(2))],
        ("extensions", _, "daemonsets") | ("apps", "v1beta1", "statefulsets") => vec![("updateStrategy", json!({"type": "OnDelete"}))],
        _ => Vec::new(),
    };
    for (field, value) in old {
        spec.entry(*field).or_insert_with(|| value.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_and_old_defaults_are_said() {
        let template = || json!({"metadata": {"labels": {"app": "web"}}});
        let selector = || json!({"matchLabels": {"app": "web"}});
        let rows = [
            (
                ("apps", "v1beta1", "statefulsets"),
                json!({"template": template()}),
                json!({"template": template(), "selector": selector(), "updateStrategy": {"type": "OnDelete"}}),
            ),
            (
                ("extensions", "v1beta1", "daemonsets"),
                json!({"template": template(), "templateGeneration": 3, "updateStrategy": {"type": "RollingUpdate"}}),
                json!({"template": template(), "selector": selector(), "updateStrategy": {"type": "RollingUpdate"}}),
            ),
            (
                ("apps", "v1beta2", "deployments"),
                json!({"template": template(), "selector": {"matchLabels": {"x": "y"}}, "rollbackTo": {}}),
                json!({"template": template(), "selector": {"matchLabels": {"x": "y"}}}),
            ),
            (
                ("extensions", "v1beta1", "deployments"),
                json!({"template": template(), "strategy": {"type": "Recreate"}, "revisionHistoryLimit": 5}),
                json!({"template": template(), "selector": selector(), "strategy": {"type": "Recreate"}, "revisionHistoryLimit": 5, "progressDeadlineSeconds": i32::MAX}),
            ),
        ];
        for ((group, version, resource), old, new) in rows {
            let kind = KindInfo { group: group.into(), version: version.into(), resource: resource.into(), kind: "K".into(), namespaced: true };
            let mut object = json!({"spec": old});
            convert(&kind, &mut object);
            assert_eq!(object, json!({"spec": new}), "{group}/{version} {resource}");
        }
    }
}
