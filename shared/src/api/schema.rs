//! Helpers for the schemas and the reading of embedded Kubernetes types.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::{Map, Value, json};

/// Parameters of a task or a hook: strings, and as a courtesy booleans and numbers. See [`parameter_text`].
pub type Params = BTreeMap<String, Value>;

/// The schema of a Kubernetes type without its descriptions: with them a definition would outgrow what `kubectl apply` can store beside it.
pub(crate) fn embedded<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    let mut value = generator.subschema_for::<T>().to_value();
    for_each_schema(&mut value, &mut |schema| {
        schema.remove("description");
        free_names(schema);
    });
    Schema::try_from(value).unwrap_or_default()
}

/// References to a Secret or ConfigMap may lack the name: programs in Go write an empty one or none, and definitions made by them allow both.
fn free_names(schema: &mut Map<String, Value>) {
    let of_reference = |name: &String| ["name", "optional", "key", "items", "defaultMode"].contains(&name.as_str());
    let is_reference = schema.get("properties").and_then(Value::as_object).is_some_and(|properties| properties.keys().all(of_reference));
    let Some(required) = schema.get_mut("required").and_then(Value::as_array_mut).filter(|_| is_reference) else { return };
    required.retain(|name| name != "name");
    if required.is_empty() {
        schema.remove("required");
    }
}

/// Rules that an API server checks, each with what it says to whoever breaks it.
pub(crate) type Rules = [(&'static str, &'static str)];

/// The keyword that makes an API server check rules.
pub(crate) const VALIDATIONS: &str = "x-kubernetes-validations";

/// The value of [`VALIDATIONS`].
pub(crate) fn rules(rules: &[(impl AsRef<str>, impl AsRef<str>)]) -> Value {
    rules.iter().map(|(rule, message)| json!({"rule": rule.as_ref(), "message": message.as_ref()})).collect()
}

/// The schema of a list with rules for the whole and for each item. Rules of an item are here, and not with its type, where other kinds are less
/// strict with the same type.
pub(crate) fn checked_list<T: JsonSchema>(generator: &mut SchemaGenerator, max: usize, of_list: &Rules, of_item: &Rules) -> Schema {
    let mut items = generator.subschema_for::<T>();
    items.insert(VALIDATIONS.to_owned(), rules(of_item));
    json_schema!({"type": "array", "items": items, "maxItems": max, VALIDATIONS: rules(of_list)})
}

/// Changes a schema and all that are in it. Below `properties` stand names, elsewhere keywords: a property may be called as a keyword is.
pub(crate) fn for_each_schema(schema: &mut Value, change: &mut impl FnMut(&mut Map<String, Value>)) {
    match schema {
        Value::Object(keywords) => {
            change(keywords);
            for (keyword, below) in keywords.iter_mut() {
                match (keyword.as_str(), below) {
                    ("properties", Value::Object(properties)) => properties.values_mut().for_each(|below| for_each_schema(below, change)),
                    ("default" | "enum", _) => {}
                    (_, below) => for_each_schema(below, change),
                }
            }
        }
        Value::Array(schemas) => schemas.iter_mut().for_each(|below| for_each_schema(below, change)),
        _ => {}
    }
}

/// An object whose fields nobody looks at before they are used.
pub(crate) fn anything(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})
}

/// Reads a Kubernetes type whose quantities may be numbers: `cpu: 1` is what people write, the API server stores it so, and one object that
/// cannot be read would hide all others of its kind from a watch.
pub(crate) fn lenient<'de, D: Deserializer<'de>, T: DeserializeOwned>(deserializer: D) -> Result<T, D::Error> {
    let mut value = Value::deserialize(deserializer)?;
    if let Ok(read) = T::deserialize(&value) {
        return Ok(read);
    }
    quantities_as_text(&mut value);
    serde_json::from_value(value).map_err(serde::de::Error::custom)
}

fn quantities_as_text(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, below) in fields.iter_mut() {
                match (name.as_str(), below) {
                    ("limits" | "requests" | "capacity" | "allocatedResources", Value::Object(amounts)) => {
                        amounts.values_mut().for_each(number_as_text);
                    }
                    ("sizeLimit" | "divisor", below) => number_as_text(below),
                    (_, below) => quantities_as_text(below),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(quantities_as_text),
        _ => {}
    }
}

fn number_as_text(value: &mut Value) {
    if let Value::Number(number) = value {
        *value = Value::String(number.to_string());
    }
}

/// A parameter as the text that programs get. Lists, objects and null are no parameters.
pub fn parameter_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::ResourceRequirements;

    #[test]
    fn quantities_may_be_numbers() {
        let read: ResourceRequirements = lenient(json!({"limits": {"cpu": 1, "memory": "1Gi"}, "requests": {"cpu": 0.5}})).unwrap();
        assert_eq!(serde_json::to_value(read).unwrap(), json!({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "0.5"}}));
        assert!(lenient::<_, ResourceRequirements>(json!({"limits": 3})).is_err());
    }

    #[test]
    fn parameters_are_text() {
        assert_eq!(parameter_text(&json!("a")).as_deref(), Some("a"));
        assert_eq!(parameter_text(&json!(true)).as_deref(), Some("true"));
        assert_eq!(parameter_text(&json!(5)).as_deref(), Some("5"));
        assert_eq!(parameter_text(&json!([1])), None);
    }

    #[test]
    fn a_property_called_description_stays() {
        let mut schema = json!({"description": "x", "properties": {"description": {"type": "string", "description": "y"}}});
        for_each_schema(&mut schema, &mut |schema| _ = schema.remove("description"));
        assert_eq!(schema, json!({"properties": {"description": {"type": "string"}}}));
    }

    #[test]
    fn references_may_lack_the_name() {
        let mut reference = json!({"properties": {"name": {}, "optional": {}}, "required": ["name"]});
        free_names(reference.as_object_mut().unwrap());
        assert_eq!(reference, json!({"properties": {"name": {}, "optional": {}}}));
        let mut key = json!({"properties": {"name": {}, "key": {}}, "required": ["key", "name"]});
        free_names(key.as_object_mut().unwrap());
        assert_eq!(key["required"], json!(["key"]));
        let variable = json!({"properties": {"name": {}, "value": {}}, "required": ["name"]});
        let mut same = variable.clone();
        free_names(same.as_object_mut().unwrap());
        assert_eq!(same, variable);
    }
}
