//! The part of a pod's spec that admission injects: the projected token volume and its mounts.

use serde_json::Value;

use super::{at, at_mut, remove};

/// Prefix of the volume that ServiceAccount admission adds to every pod.
const INJECTED: &str = "kube-api-access-";

/// Drops the injected volume and its mounts; admission adds fresh ones.
pub fn remove_injected_token(spec: &mut Value) {
    let injected = |entry: &Value| at(entry, &["name"]).and_then(Value::as_str).is_some_and(|name| name.starts_with(INJECTED));
    retain(spec, "volumes", |volume| !injected(volume));
    for list in ["containers", "initContainers"] {
        if let Some(Value::Array(containers)) = at_mut(spec, &[list]) {
            for container in containers {
                retain(container, "volumeMounts", |mount| !injected(mount));
            }
        }
    }
}

fn retain(value: &mut Value, key: &str, keep: impl Fn(&Value) -> bool) {
    let Some(Value::Array(list)) = value.get_mut(key) else { return };
    let before = list.len();
    list.retain(|entry| keep(entry));
    if list.is_empty() && before > 0 {
        remove(value, &[], key);
    }
}
