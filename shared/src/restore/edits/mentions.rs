//! Strings that seem to name a namespace, in places that are not known to hold one. They are told and left as they are.

use serde_json::Value;

use crate::object::KindInfo;

/// Holds a copy of the object as somebody applied it once.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Paths of such strings, as `kubectl explain` and jsonpath write them. Values of Secrets are not looked at: they are encoded.
pub fn places(kind: &KindInfo, object: &Value, namespace: &str) -> Vec<String> {
    let mut found = Vec::new();
    if let Value::Object(map) = object {
        for (key, value) in map {
            if !(kind.is_secret() && ["data", "stringData"].contains(&key.as_str())) {
                search(value, &format!(".{key}"), key, namespace, &mut found);
            }
        }
    }
    found
}

fn search(value: &Value, path: &str, key: &str, namespace: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            // Of an environment variable the name says what the value is.
            let variable = map.get("name").and_then(Value::as_str).filter(|_| map.contains_key("value"));
            for (inner, value) in map {
                let key = variable.filter(|_| inner == "value").unwrap_or(inner);
                if inner != LAST_APPLIED {
                    search(value, &format!("{path}.{}", inner.replace('.', "\\.")), key, namespace, found);
                }
            }
        }
        Value::Array(entries) => {
            for (index, value) in entries.iter().enumerate() {
                search(value, &format!("{path}[{index}]"), key, namespace, found);
            }
        }
        Value::String(text) if names(text, key, namespace) => found.push(path.to_owned()),
        _ => {}
    }
}

/// Whether a text names the namespace: as the value of something called a namespace, in the DNS name of a Service, in the name of a
/// ServiceAccount's user, or in front of an object's name.
fn names(text: &str, key: &str, namespace: &str) -> bool {
    if text == namespace {
        return key.to_ascii_lowercase().contains("namespace");
    }
    let word = |at: usize, length: usize| {
        let around = |c: Option<char>| c.is_none_or(|c| !c.is_ascii_alphanumeric() && c != '-' && c != '_');
        around(text.get(..at).and_then(|head| head.chars().next_back())) && around(text.get(at + length..).and_then(|tail| tail.chars().next()))
    };
    text.match_indices(namespace).filter(|(at, found)| word(*at, found.len())).any(|(at, found)| {
        let (head, tail) = (text.get(..at).unwrap_or_default(), text.get(at + found.len()..).unwrap_or_default());
        let service =
            head.ends_with('.') && (tail.starts_with(".svc") && !tail.get(4..5).is_some_and(|next| next.bytes().all(|b| b.is_ascii_alphanumeric())));
        let account = head.ends_with("system:serviceaccount:") || head.ends_with("system:serviceaccounts:");
        let said = head.to_ascii_lowercase();
        let option = ["namespace=", "namespace: ", "namespace ", "namespace\":\"", "namespace\": \""].iter().any(|before| said.ends_with(before));
        let pair = head.is_empty()
            && tail.strip_prefix('/').is_some_and(|name| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b)));
        service || account || option || pair
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::restore::edits::tests::kind;

    #[test]
    fn a_namespace_is_told_from_other_words() {
        let rows = [
            ("demo", "namespace", true),
            ("demo", "WATCH_NAMESPACE", true),
            ("demo", "targetNamespace", true),
            ("demo", "app", false),
            ("http://web.demo.svc:80/", "url", true),
            ("web.demo.svc.cluster.local", "host", true),
            ("web.demo.example.com", "host", false),
            ("web.demo.svcs", "host", false),
            ("system:serviceaccount:demo:web", "user", true),
            ("--namespace=demo", "args", true),
            ("--namespace demo --verbose", "args", true),
            ("--namespace=demo-2", "args", false),
            ("namespace: demo\nother: x", "config.yaml", true),
            ("demo/settings", "ref", true),
            ("demo/", "path", false),
            ("/demo/settings", "path", false),
            ("a demo of it", "text", false),
        ];
        for (text, key, expected) in rows {
            assert_eq!(names(text, key, "demo"), expected, "{key}: {text}");
        }
    }

    #[test]
    fn places_are_named_as_jsonpath_and_values_of_secrets_are_not_looked_at() {
        let object = json!({
            "metadata": {"namespace": "copy", "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{\"metadata\":{\"namespace\":\"demo\"}}"}},
            "spec": {"containers": [{"env": [{"name": "POD_NAMESPACE", "value": "demo"}, {"name": "APP", "value": "demo"}]}]},
            "data": {"app.conf": "url: http://db.demo.svc"}});
        assert_eq!(places(&kind("configmaps", "ConfigMap"), &object, "demo"), [".data.app\\.conf", ".spec.containers[0].env[0].value"]);
        assert_eq!(places(&kind("secrets", "Secret"), &object, "demo"), [".spec.containers[0].env[0].value"]);
    }
}
