//! The merge patch (RFC 7386) that turns one value into another.

use serde_json::{Map, Value};

/// A patch that turns `from` into `to`, or nothing where they are equal.
///
/// Lists are replaced as a whole, as merge patches do.
pub fn merge_patch(from: &Value, to: &Value) -> Option<Value> {
    match (from, to) {
        _ if from == to => None,
        (Value::Object(old), Value::Object(new)) => {
            let mut patch = Map::new();
            for key in old.keys().filter(|key| !new.contains_key(*key)) {
                patch.insert(key.clone(), Value::Null);
            }
            for (key, value) in new {
                match old.get(key) {
                    Some(before) => patch.extend(merge_patch(before, value).map(|inner| (key.clone(), inner))),
                    None => drop(patch.insert(key.clone(), value.clone())),
                }
            }
            Some(Value::Object(patch))
        }
        _ => Some(to.clone()),
    }
}

/// Fields that are named in a sentence about them.
const NAMED: usize = 5;

/// A sentence about what a server-side apply of `wanted` leaves in place of `found`; nothing where that is nothing.
pub fn kept(found: &Value, wanted: &Value) -> Option<String> {
    let surplus = surplus(found, wanted, NAMED);
    (!surplus.is_empty()).then(|| format!("keeps what the snapshot does not have: {} (removed with --force-conflicts)", surplus.join(", ")))
}

/// Paths of fields that `from` has and `to` lacks, at most `limit`.
fn surplus(from: &Value, to: &Value, limit: usize) -> Vec<String> {
    let mut found = Vec::new();
    collect(from, to, String::new(), limit, &mut found);
    found
}

fn collect(from: &Value, to: &Value, path: String, limit: usize, found: &mut Vec<String>) {
    match (from, to) {
        (Value::Object(old), Value::Object(new)) => {
            for (key, value) in old {
                if found.len() >= limit {
                    return;
                }
                let inner = format!("{path}.{key}");
                match new.get(key) {
                    Some(other) => collect(value, other, inner, limit, found),
                    None => found.push(inner),
                }
            }
        }
        (Value::Array(old), Value::Array(new)) if old.len() > new.len() && found.len() < limit => {
            found.push(format!("{path} ({} entries more)", old.len() - new.len()));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn patches_turn_one_value_into_another() {
        let rows = [
            (json!({"a": 1}), json!({"a": 1}), None),
            (json!({"a": 1, "b": {"c": 1, "d": 2}}), json!({"a": 2, "b": {"c": 1}}), Some(json!({"a": 2, "b": {"d": null}}))),
            (json!({"a": [1, 2]}), json!({"a": [1]}), Some(json!({"a": [1]}))),
            (json!({}), json!({"a": {"b": 1}}), Some(json!({"a": {"b": 1}}))),
        ];
        for (from, to, expected) in rows {
            assert_eq!(merge_patch(&from, &to), expected);
        }
    }

    #[test]
    fn surplus_fields_are_named() {
        let from = json!({"data": {"old": 1, "kept": 2}, "list": [1, 2, 3], "x": 1});
        assert_eq!(surplus(&from, &json!({"data": {"kept": 3}, "list": [1]}), 9), [".data.old", ".list (2 entries more)", ".x"]);
        assert_eq!(surplus(&from, &json!({}), 1).len(), 1);
        assert_eq!(kept(&from, &from), None);
        assert!(kept(&from, &json!({"x": 1, "list": [], "data": {"kept": 2}})).is_some_and(|text| text.contains(": .data.old, .list (3 ")));
    }
}
