//! `metadata.managedFields`, as the API server would have written them: who owns which fields.

use serde_json::{Map, Value, json};

use super::random::Random;

/// Lists whose items are told apart by some of their fields.
fn list_keys(list: &str, first: &Value) -> Option<&'static [&'static str]> {
    Some(match list {
        "containers" | "initContainers" | "env" | "volumes" | "imagePullSecrets" => &["name"],
        "volumeMounts" => &["mountPath"],
        "ports" if first.get("containerPort").is_some() => &["containerPort", "protocol"],
        "ports" => &["port", "protocol"],
        "conditions" => &["type"],
        "ownerReferences" => &["uid"],
        "podIPs" | "hostIPs" => &["ip"],
        _ => return None,
    })
}

/// The set of fields in a value, in the notation of structured merge.
fn fields_of(value: &Value, name: &str) -> Value {
    match value {
        Value::Object(members) => members.iter().map(|(key, value)| (format!("f:{key}"), fields_of(value, key))).collect::<Map<_, _>>().into(),
        Value::Array(items) => {
            let Some(keys) = items.first().filter(|first| first.is_object()).and_then(|first| list_keys(name, first)) else {
                return json!({});
            };
            let entry = |item: &Value| {
                let key: Map<String, Value> = keys.iter().filter_map(|&key| Some((key.to_owned(), item.get(key)?.clone()))).collect();
                let mut fields = fields_of(item, "");
                fields["."] = json!({});
                (format!("k:{}", Value::Object(key)), fields)
            };
            items.iter().map(entry).collect::<Map<_, _>>().into()
        }
        _ => json!({}),
    }
}

fn of_metadata(metadata: &Value) -> Value {
    let mut fields = Map::new();
    for key in ["labels", "annotations", "ownerReferences", "generateName"] {
        if let Some(value) = metadata.get(key) {
            let mut set = fields_of(value, key);
            if value.is_object() || value.is_array() {
                set["."] = json!({});
            }
            fields.insert(format!("f:{key}"), set);
        }
    }
    fields.into()
}

/// One entry of whoever wrote the object, and one of whoever writes its status.
pub(super) fn managed(object: &Value, manager: &str, status_manager: Option<&str>, random: &mut Random) -> Value {
    let metadata = &object["metadata"];
    let mut own = json!({"f:metadata": of_metadata(metadata)});
    for (key, value) in object.as_object().into_iter().flatten() {
        if !matches!(key.as_str(), "apiVersion" | "kind" | "metadata" | "status") {
            own[format!("f:{key}")] = fields_of(value, key);
        }
    }
    let operation = if manager.starts_with("argocd") { "Apply" } else { "Update" };
    let mut entries = vec![json!({"apiVersion": object["apiVersion"], "fieldsType": "FieldsV1", "fieldsV1": own, "manager": manager,
        "operation": operation, "time": metadata["creationTimestamp"]})];
    if let (Some(manager), Some(status)) = (status_manager, object.get("status")) {
        entries.push(json!({"apiVersion": object["apiVersion"], "fieldsType": "FieldsV1", "fieldsV1": {"f:status": fields_of(status, "status")},
            "manager": manager, "operation": "Update", "subresource": "status", "time": random.time_between(250, 300)}));
    }
    entries.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_of_lists_are_named_by_their_keys() {
        let spec = json!({"containers": [{"name": "a", "args": ["x"], "ports": [{"containerPort": 80, "protocol": "TCP"}]}], "replicas": 2});
        assert_eq!(
            fields_of(&spec, "spec"),
            json!({"f:replicas": {}, "f:containers": {"k:{\"name\":\"a\"}": {".": {}, "f:name": {}, "f:args": {},
                "f:ports": {"k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}, "f:protocol": {}}}}}})
        );
    }

    #[test]
    fn status_has_an_entry_of_its_own() {
        let object = json!({"apiVersion": "v1", "kind": "K", "metadata": {"labels": {"a": "b"}, "name": "n", "creationTimestamp": "T"},
            "spec": {"x": 1}, "status": {"ready": true}});
        let entries = managed(&object, "argocd-controller", Some("kubelet"), &mut Random::of("x"));
        assert_eq!(entries[0]["fieldsV1"], json!({"f:metadata": {"f:labels": {".": {}, "f:a": {}}}, "f:spec": {"f:x": {}}}));
        assert_eq!((&entries[0]["operation"], &entries[0]["time"]), (&json!("Apply"), &json!("T")));
        assert_eq!((&entries[1]["subresource"], &entries[1]["fieldsV1"]), (&json!("status"), &json!({"f:status": {"f:ready": {}}})));
    }
}
