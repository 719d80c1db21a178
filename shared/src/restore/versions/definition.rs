//! Definitions of `apiextensions.k8s.io/v1beta1`: schema, columns and subresources move into each version.

use serde_json::{Map, Value, json};

use crate::restore::transforms::map_mut;

/// What `v1beta1` could say once for all versions.
const SHARED: [(&str, &str); 3] =
    [("validation", "schema"), ("subresources", "subresources"), ("additionalPrinterColumns", "additionalPrinterColumns")];

/// Brings one to `v1`. What the API server wants besides, as for any definition that keeps unknown fields, is not done here.
pub fn convert(object: &mut Value) {
    let Some(spec) = map_mut(object, &["spec"]) else { return };
    let shared: Vec<(&str, Value)> = SHARED.iter().filter_map(|(old, new)| Some((*new, spec.remove(*old)?))).collect();
    let single = spec.remove("version");
    if !spec.contains_key("versions") {
        spec.insert("versions".to_owned(), json!([{"name": single, "served": true, "storage": true}]));
    }
    for version in spec.get_mut("versions").and_then(Value::as_array_mut).into_iter().flatten().filter_map(Value::as_object_mut) {
        for (name, value) in &shared {
            version.entry(*name).or_insert_with(|| value.clone());
        }
        let columns = version.get_mut("additionalPrinterColumns").and_then(Value::as_array_mut);
        for column in columns.into_iter().flatten().filter_map(Value::as_object_mut) {
            if let Some(path) = column.remove("JSONPath") {
                column.insert("jsonPath".to_owned(), path);
            }
        }
    }
    // The default of the old version, which the new one does not take and which says how objects are kept.
    spec.entry("preserveUnknownFields").or_insert(Value::Bool(true));
    if let Some(conversion) = spec.get_mut("conversion").and_then(Value::as_object_mut) {
        convert_conversion(conversion);
    }
}

fn convert_conversion(conversion: &mut Map<String, Value>) {
    let versions = conversion.remove("conversionReviewVersions");
    if let Some(client) = conversion.remove("webhookClientConfig") {
        // The default of the old version.
        let versions = versions.unwrap_or_else(|| json!(["v1beta1"]));
        conversion.insert("webhook".to_owned(), json!({"clientConfig": client, "conversionReviewVersions": versions}));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_once_is_said_for_each_version() {
        let column = |key: &str| json!({"name": "Size", "type": "integer", key: ".spec.size"});
        let mut definition = json!({"spec": {
            "group": "example.com", "version": "v1", "versions": [{"name": "v1", "served": true, "storage": true}, {"name": "v2", "served": true, "storage": false, "subresources": {}}],
            "validation": {"openAPIV3Schema": {"type": "object"}}, "subresources": {"status": {}}, "additionalPrinterColumns": [column("JSONPath")],
            "conversion": {"strategy": "Webhook", "webhookClientConfig": {"url": "https://x"}}}});
        convert(&mut definition);
        let version = |name: &str, storage: bool, subresources: Value| {
            json!({"name": name, "served": true, "storage": storage, "schema": {"openAPIV3Schema": {"type": "object"}}, "subresources": subresources,
                "additionalPrinterColumns": [column("jsonPath")]})
        };
        assert_eq!(
            definition,
            json!({"spec": {
                "group": "example.com", "preserveUnknownFields": true,
                "versions": [version("v1", true, json!({"status": {}})), version("v2", false, json!({}))],
                "conversion": {"strategy": "Webhook", "webhook": {"clientConfig": {"url": "https://x"}, "conversionReviewVersions": ["v1beta1"]}}}})
        );
        let mut single = json!({"spec": {"version": "v1", "preserveUnknownFields": false}});
        convert(&mut single);
        assert_eq!(single, json!({"spec": {"preserveUnknownFields": false, "versions": [{"name": "v1", "served": true, "storage": true}]}}));
    }
}
