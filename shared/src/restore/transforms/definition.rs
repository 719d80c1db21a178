//! CustomResourceDefinitions: those of old keep unknown fields by a switch that the API server does not take any more for new ones.

use serde_json::{Map, Value, json};

use super::{at, at_mut, map_mut};

const PRESERVE: &str = "x-kubernetes-preserve-unknown-fields";

/// Says in the schema of each version what `preserveUnknownFields: true` said for all of them. Returns a warning where it did.
pub fn prepare(object: &mut Value) -> Option<String> {
    let preserves = at(object, &["spec", "preserveUnknownFields"]) == Some(&Value::Bool(true));
    let spec = map_mut(object, &["spec"])?;
    if !preserves {
        return None;
    }
    spec.remove("preserveUnknownFields");
    for version in at_mut(object, &["spec", "versions"]).and_then(Value::as_array_mut)?.iter_mut().filter_map(Value::as_object_mut) {
        let schema = version.entry("schema").or_insert_with(|| json!({})).as_object_mut()?;
        let root = schema.entry("openAPIV3Schema").or_insert_with(|| json!({})).as_object_mut()?;
        // What is not said is an object: nothing else has a kind and a name.
        root.entry("type").or_insert_with(|| json!("object"));
        preserve(root, true);
    }
    Some("spec.preserveUnknownFields is not taken for new definitions: its schemas say instead that unknown fields are kept".to_owned())
}

/// Marks an object of the schema and all objects below it: below named properties, a mark further up does not hold.
fn preserve(schema: &mut Map<String, Value>, is_root: bool) {
    if schema.get("type").and_then(Value::as_str) == Some("object") && !schema.contains_key("additionalProperties") {
        schema.insert(PRESERVE.to_owned(), Value::Bool(true));
    }
    for (name, property) in schema.get_mut("properties").and_then(Value::as_object_mut).into_iter().flatten() {
        // The API server keeps the metadata of objects itself, and takes no marks in it.
        if !(is_root && name == "metadata")
            && let Some(property) = property.as_object_mut()
        {
            preserve(property, false);
        }
    }
    for inner in ["items", "additionalProperties"] {
        if let Some(inner) = schema.get_mut(inner).and_then(Value::as_object_mut) {
            preserve(inner, false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::restore::transforms::table::prepared;

    #[test]
    fn unknown_fields_are_kept_by_schemas() {
        let definition = |preserve: Value, versions: Value| json!({"spec": {"group": "x", "preserveUnknownFields": preserve, "versions": versions}});
        let kind = "customresourcedefinitions.apiextensions.k8s.io";
        let kept = definition(json!(false), json!([{"name": "v1"}]));
        assert_eq!(prepared(kind, kept.clone()), kept);
        let schema = json!({"type": "object", "properties": {
            "metadata": {"type": "object"},
            "spec": {"type": "object", "properties": {"parts": {"type": "array", "items": {"type": "object"}}, "labels": {"type": "object", "additionalProperties": {"type": "string"}}}}}});
        let found = prepared(kind, definition(json!(true), json!([{"name": "v1", "schema": {"openAPIV3Schema": schema}}, {"name": "v2"}])));
        assert_eq!(
            found,
            json!({"spec": {"group": "x", "versions": [
                {"name": "v1", "schema": {"openAPIV3Schema": {"type": "object", PRESERVE: true, "properties": {
                    "metadata": {"type": "object"},
                    "spec": {"type": "object", PRESERVE: true, "properties": {
                        "parts": {"type": "array", "items": {"type": "object", PRESERVE: true}},
                        "labels": {"type": "object", "additionalProperties": {"type": "string"}}}}}}}},
                {"name": "v2", "schema": {"openAPIV3Schema": {"type": "object", PRESERVE: true}}}]}})
        );
    }
}
