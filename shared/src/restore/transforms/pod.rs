//! Bare pods: unbound from their node and from what admission computed for them.

use serde_json::Value;

use super::{at_mut, pod_template, remove, remove_annotations};

/// Drops the node, the injected token volume and computed priority; warns about what only a running pod can have.
pub fn prepare(object: &mut Value) -> Option<String> {
    remove(object, &["spec"], "nodeName");
    if object.pointer("/spec/priorityClassName").is_some() {
        // Admission refuses a value that differs from what it computes from the class.
        remove(object, &["spec"], "priority");
        remove(object, &["spec"], "preemptionPolicy");
    }
    if let Some(spec) = at_mut(object, &["spec"]) {
        pod_template::remove_injected_token(spec);
    }
    remove_annotations(
        object,
        &["cni.projectcalico.org/containerID", "cni.projectcalico.org/podIP", "cni.projectcalico.org/podIPs", "k8s.v1.cni.cncf.io/network-status"],
    );
    remove(object, &["spec"], "ephemeralContainers").map(|_| "ephemeral containers left out: a pod cannot be created with them".to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::restore::transforms::table::prepared;

    #[test]
    fn pod_is_unbound() {
        let pod = json!({"metadata": {"name": "p"}, "spec": {
            "nodeName": "n1", "priority": 5, "priorityClassName": "high", "preemptionPolicy": "Never",
            "volumes": [{"name": "data"}, {"name": "kube-api-access-x2x4z"}],
            "containers": [{"name": "c", "volumeMounts": [{"name": "kube-api-access-x2x4z", "mountPath": "/var/run"}]}]}});
        assert_eq!(
            prepared("pods", pod),
            json!({"metadata": {"name": "p"}, "spec": {"priorityClassName": "high", "volumes": [{"name": "data"}], "containers": [{"name": "c"}]}})
        );
        assert!(prepare(&mut json!({"spec": {"ephemeralContainers": [{}]}})).is_some());
        assert!(prepare(&mut json!({"spec": {}})).is_none());
    }
}
