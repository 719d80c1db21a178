//! Deployments and DaemonSets: counters that their controllers keep in annotations.

use serde_json::Value;

use super::remove_annotations;

/// Drops rollout counters: they count what happened to the old object, and the controllers write their own.
pub fn prepare(object: &mut Value) {
    remove_annotations(object, &["deployment.kubernetes.io/revision", "deprecated.daemonset.template.generation"]);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::restore::transforms::table::prepared;

    #[test]
    fn rollout_counters() {
        let deployment = json!({"metadata": {"annotations": {"deployment.kubernetes.io/revision": "7", "a": "b"}}});
        assert_eq!(prepared("deployments.apps", deployment), json!({"metadata": {"annotations": {"a": "b"}}}));
        let other = json!({"metadata": {"annotations": {"deployment.kubernetes.io/revision": "7"}}});
        assert_eq!(prepared("deployments.example.com", other.clone()), other);
    }
}
