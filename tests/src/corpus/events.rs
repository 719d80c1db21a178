//! What the scheduler and kubelets say about pods.

use serde_json::json;

use super::{
    app::{App, Meta},
    kind,
    pods::Pod,
};

/// Reason, type, and who says it.
const SAID: &[(&str, &str, &str)] = &[
    ("Scheduled", "Normal", "default-scheduler"),
    ("Pulling", "Normal", "kubelet"),
    ("Pulled", "Normal", "kubelet"),
    ("Created", "Normal", "kubelet"),
    ("Started", "Normal", "kubelet"),
    ("Killing", "Normal", "kubelet"),
    ("Unhealthy", "Warning", "kubelet"),
    ("BackOff", "Warning", "kubelet"),
    ("FailedMount", "Warning", "kubelet"),
];

impl App {
    pub(super) fn event(&mut self, pod: &Pod) {
        let (reason, kind, component) = self.random.pick(SAID);
        let (container, image) = (&pod.container, &pod.image);
        let message = match reason {
            "Scheduled" => format!("Successfully assigned {}/{} to {}", self.namespace, pod.name, pod.node),
            "Pulling" => format!("Pulling image \"{image}\""),
            "Pulled" => format!("Container image \"{image}\" already present on machine"),
            "Created" => format!("Created container: {container}"),
            "Started" => format!("Started container {container}"),
            "Killing" => format!("Stopping container {container}"),
            "Unhealthy" => "Readiness probe failed: HTTP probe failed with statuscode: 503".to_owned(),
            "BackOff" => format!("Back-off restarting failed container {container} in pod {}_{}({})", pod.name, self.namespace, pod.uid),
            _ => format!("MountVolume.SetUp failed for volume \"config\" : configmap \"{}-config\" not found", self.name),
        };
        let host = if component == "kubelet" { pod.node.as_str() } else { "" };
        let mut source = json!({"component": component});
        if !host.is_empty() {
            source["host"] = host.into();
        }
        let first = self.random.time_between(295, 300);
        let count = if self.random.percent(75) { 1 } else { self.random.between(2, 500) };
        let content = json!({"count": count, "eventTime": null, "firstTimestamp": first, "lastTimestamp": self.random.time_between(299, 300),
            "involvedObject": {"apiVersion": "v1", "fieldPath": format!("spec.containers{{{container}}}"), "kind": "Pod", "name": pod.name,
                "namespace": self.namespace, "resourceVersion": self.random.version(), "uid": pod.uid},
            "message": message, "reason": reason, "reportingComponent": component, "reportingInstance": host, "source": source, "type": kind});
        let name = format!("{}.{}", pod.name, self.random.hex(16));
        self.add(kind::EVENT, &name, content, Meta { created: Some(first), ..Meta::default() });
    }
}
