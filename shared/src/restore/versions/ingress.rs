//! Ingresses of `v1beta1`: Services are named in another form, and every path says how it is compared.

use serde_json::{Map, Value, json};

use crate::restore::transforms::{at_mut, map_mut};

/// Brings one to `networking.k8s.io/v1`.
pub fn convert(object: &mut Value) {
    let Some(spec) = map_mut(object, &["spec"]) else { return };
    if let Some(mut backend) = spec.remove("backend") {
        convert_backend(&mut backend);
        spec.insert("defaultBackend".to_owned(), backend);
    }
    let rules = spec.get_mut("rules").and_then(Value::as_array_mut).into_iter().flatten();
    let paths = rules.filter_map(|rule| at_mut(rule, &["http", "paths"])).filter_map(Value::as_array_mut).flatten();
    for path in paths.filter_map(Value::as_object_mut) {
        path.entry("pathType").or_insert_with(|| json!("ImplementationSpecific"));
        if let Some(backend) = path.get_mut("backend") {
            convert_backend(backend);
        }
    }
}

fn convert_backend(backend: &mut Value) {
    let Some(map) = backend.as_object_mut() else { return };
    let Some(name) = map.remove("serviceName") else { return };
    let mut service = Map::from_iter([("name".to_owned(), name)]);
    if let Some(port) = map.remove("servicePort") {
        let key = if port.is_number() { "number" } else { "name" };
        service.insert("port".to_owned(), json!({key: port}));
    }
    map.insert("service".to_owned(), Value::Object(service));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_named_in_the_new_form() {
        let mut ingress = json!({"spec": {
            "backend": {"serviceName": "fallback", "servicePort": "http"},
            "rules": [{"host": "a.example", "http": {"paths": [
                {"path": "/", "backend": {"serviceName": "web", "servicePort": 80}},
                {"path": "/x", "pathType": "Prefix", "backend": {"resource": {"kind": "Bucket", "name": "b"}}}]}}, {"host": "b.example"}]}});
        convert(&mut ingress);
        assert_eq!(
            ingress,
            json!({"spec": {
                "defaultBackend": {"service": {"name": "fallback", "port": {"name": "http"}}},
                "rules": [{"host": "a.example", "http": {"paths": [
                    {"path": "/", "pathType": "ImplementationSpecific", "backend": {"service": {"name": "web", "port": {"number": 80}}}},
                    {"path": "/x", "pathType": "Prefix", "backend": {"resource": {"kind": "Bucket", "name": "b"}}}]}}, {"host": "b.example"}]}})
        );
    }
}
