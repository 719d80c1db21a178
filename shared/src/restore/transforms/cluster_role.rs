//! Aggregated ClusterRoles: their rules are computed from other roles.

use serde_json::{Value, json};

use super::map_mut;

/// Empties the rules of a role that aggregates: a controller fills them, and stale ones could grant what was since withdrawn.
pub fn prepare(object: &mut Value) {
    if object.get("aggregationRule").is_some_and(|rule| !rule.is_null())
        && let Some(map) = map_mut(object, &[])
    {
        map.insert("rules".to_owned(), json!([]));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::restore::transforms::table::prepared;

    #[test]
    fn aggregated_rules_are_emptied_and_others_stay() {
        let aggregated = json!({"aggregationRule": {"clusterRoleSelectors": []}, "rules": [{"verbs": ["*"]}]});
        assert_eq!(
            prepared("clusterroles.rbac.authorization.k8s.io", aggregated),
            json!({"aggregationRule": {"clusterRoleSelectors": []}, "rules": []})
        );
        let plain = json!({"rules": [{"verbs": ["*"]}]});
        assert_eq!(prepared("clusterroles.rbac.authorization.k8s.io", plain.clone()), plain);
    }
}
