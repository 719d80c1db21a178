//! From what a server would send to what it accepts.

use serde_json::{Value, json};

use super::{Object, kind, random::base64};

/// Metadata that only a server writes, or that refers to uids the server will choose anew.
const STAMPED: &[&str] = &["uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "ownerReferences", "deletionTimestamp"];
const JOB_UIDS: &[&str] = &["controller-uid", "batch.kubernetes.io/controller-uid"];

fn remove(map: &mut Value, keys: &[&str]) {
    if let Some(map) = map.as_object_mut() {
        map.retain(|key, _| !keys.contains(&key.as_str()));
    }
}

/// Takes out what a POST may not or cannot set.
pub(super) fn strip(object: &mut Object) {
    let value = &mut object.value;
    remove(&mut value["metadata"], STAMPED);
    match object.kind {
        kind::SERVICE => remove(&mut value["spec"], &["clusterIP", "clusterIPs", "healthCheckNodePort"]),
        kind::JOB => {
            remove(&mut value["spec"], &["selector"]);
            remove(&mut value["metadata"]["labels"], JOB_UIDS);
            remove(&mut value["spec"]["template"]["metadata"]["labels"], JOB_UIDS);
        }
        kind::SECRET if value["type"] == "kubernetes.io/dockerconfigjson" => {
            let auth = value["data"][".dockerconfigjson"].take();
            let login = json!({"auths": {"registry.example.com": {"auth": auth}}}).to_string();
            value["data"][".dockerconfigjson"] = base64(login.into_bytes()).into();
        }
        _ => {}
    }
}
