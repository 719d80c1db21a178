//! Webhook configurations of `admissionregistration.k8s.io/v1beta1`: what was a default then is said, because `v1` has other ones.

use serde_json::{Value, json};

use crate::restore::transforms::{at, at_mut};

/// Brings one to `v1`. Returns which webhooks `v1` does not take as they are.
pub fn convert(object: &mut Value) -> Vec<String> {
    let mut notes = Vec::new();
    let webhooks = at_mut(object, &["webhooks"]).and_then(Value::as_array_mut);
    for webhook in webhooks.into_iter().flatten() {
        let effects = at(webhook, &["sideEffects"]).and_then(Value::as_str).unwrap_or("Unknown").to_owned();
        if !["None", "NoneOnDryRun"].contains(&effects.as_str()) {
            let name = at(webhook, &["name"]).and_then(Value::as_str).unwrap_or_default();
            notes.push(format!("webhook {name} has sideEffects {effects}, which v1 does not take: set None or NoneOnDryRun with --patches"));
        }
        let Some(map) = webhook.as_object_mut() else { continue };
        for (field, old) in [
            ("failurePolicy", json!("Ignore")),
            ("matchPolicy", json!("Exact")),
            ("timeoutSeconds", json!(30)),
            ("admissionReviewVersions", json!(["v1beta1"])),
        ] {
            map.entry(field).or_insert(old);
        }
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_defaults_are_said() {
        let mut object = json!({"webhooks": [{"name": "a.example", "sideEffects": "None", "failurePolicy": "Fail"}, {"name": "b.example"}]});
        let notes = convert(&mut object);
        assert_eq!(notes, ["webhook b.example has sideEffects Unknown, which v1 does not take: set None or NoneOnDryRun with --patches"]);
        assert_eq!(
            object,
            json!({"webhooks": [
                {"name": "a.example", "sideEffects": "None", "failurePolicy": "Fail", "matchPolicy": "Exact", "timeoutSeconds": 30, "admissionReviewVersions": ["v1beta1"]},
                {"name": "b.example", "failurePolicy": "Ignore", "matchPolicy": "Exact", "timeoutSeconds": 30, "admissionReviewVersions": ["v1beta1"]}]})
        );
    }
}
