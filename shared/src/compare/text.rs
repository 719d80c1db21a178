//! Readable differences of two manifests.

use std::time::Duration;

use serde_json::Value;
use similar::{Algorithm, TextDiff};

use crate::object::{ObjectId, yaml};

/// Time after which the difference of one huge object gets coarser instead of slower.
const PATIENCE: Duration = Duration::from_millis(500);
/// Holds a copy of the values that are hidden in `data`.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Unified difference of two manifests of one object, with mount paths as file names; empty where they are equal.
///
/// With `hide`, values of a Secret are replaced: keys and whether their values changed stay visible, values never.
pub fn unified(id: &ObjectId, before: &[u8], after: &[u8], hide: bool) -> String {
    between(id, Some(before), Some(after), hide)
}

/// As [`unified`], for an object that one side may lack.
pub fn between(id: &ObjectId, before: Option<&[u8]>, after: Option<&[u8]>, hide: bool) -> String {
    let (old, new) = if hide {
        hidden(before, after)
    } else {
        let text = |bytes: Option<&[u8]>| bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned()).unwrap_or_default();
        (text(before), text(after))
    };
    if old == new {
        return String::new();
    }
    let path = id.mount_path();
    let name = |side: &str, there: bool| if there { format!("{side}/{path}") } else { "/dev/null".to_owned() };
    let (from, to) = (name("a", before.is_some()), name("b", after.is_some()));
    let diff = TextDiff::configure().algorithm(Algorithm::Myers).timeout(PATIENCE).diff_lines(&old, &new);
    diff.unified_diff().context_radius(3).header(&from, &to).to_string()
}

/// How many lines came and went, for summaries.
pub fn stat(before: &[u8], after: &[u8]) -> (usize, usize) {
    let (old, new) = (String::from_utf8_lossy(before), String::from_utf8_lossy(after));
    let diff = TextDiff::configure().algorithm(Algorithm::Myers).timeout(PATIENCE).diff_lines(old.as_ref(), new.as_ref());
    diff.iter_all_changes().fold((0, 0), |(added, removed), change| match change.tag() {
        similar::ChangeTag::Insert => (added + 1, removed),
        similar::ChangeTag::Delete => (added, removed + 1),
        similar::ChangeTag::Equal => (added, removed),
    })
}

/// Both texts with values hidden, so that a changed value still shows as a changed line.
fn hidden(before: Option<&[u8]>, after: Option<&[u8]>) -> (String, String) {
    let parse = |bytes: Option<&[u8]>| bytes.map(yaml::read).transpose();
    let (Ok(mut old), Ok(mut new)) = (parse(before), parse(after)) else {
        // Text that does not parse cannot be searched for values: it is not shown at all.
        return ("<hidden: cannot be parsed>\n".to_owned(), "<hidden: cannot be parsed, after>\n".to_owned());
    };
    for path in [&["data"][..], &["stringData"], &["metadata", "annotations"]] {
        hide_map(old.as_mut(), new.as_mut(), path);
    }
    let text = |value: Option<Value>| {
        let mut out = Vec::new();
        match value.map(|value| yaml::write_value(&value, &mut out)) {
            Some(Ok(())) => String::from_utf8_lossy(&out).into_owned(),
            _ => String::new(),
        }
    };
    (text(old), text(new))
}

fn hide_map(old: Option<&mut Value>, new: Option<&mut Value>, path: &[&str]) {
    let find = |value: Option<&Value>| {
        value.and_then(|value| path.iter().try_fold(value, |value, key| value.get(*key))).and_then(Value::as_object).cloned().unwrap_or_default()
    };
    let (before, after) = (find(old.as_deref()), find(new.as_deref()));
    let annotations = path.last() == Some(&"annotations");
    for (side, value, mine, other) in [("before", old, &before, &after), ("after", new, &after, &before)] {
        let Some(map) = value.and_then(|value| path.iter().try_fold(value, |value, key| value.get_mut(*key))).and_then(Value::as_object_mut) else {
            continue;
        };
        for (key, value) in map.iter_mut().filter(|(key, _)| !annotations || *key == LAST_APPLIED) {
            let bytes = mine.get(key).map_or(0, |value| value_len(value, path));
            let changed = other.get(key).is_some_and(|theirs| Some(theirs) != mine.get(key));
            *value = Value::String(if changed { format!("<hidden: {bytes} bytes, {side}>") } else { format!("<hidden: {bytes} bytes>") });
        }
    }
}

/// Length of a value in bytes; `data` is Base64.
fn value_len(value: &Value, path: &[&str]) -> usize {
    let text = value.as_str().unwrap_or_default();
    if path == ["data"] {
        let padding = text.bytes().rev().take_while(|byte| *byte == b'=').count();
        (text.len() / 4 * 3).saturating_sub(padding)
    } else {
        text.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::GroupResource;

    fn id(resource: &str) -> ObjectId {
        ObjectId { kind: GroupResource::new("", resource), namespace: Some("demo".into()), name: "app".into() }
    }

    #[test]
    fn a_difference_reads_as_a_patch_of_mounted_files() {
        let (before, after) = (b"data:\n  a: \"1\"\n  b: x\nkind: ConfigMap\n", b"data:\n  a: \"2\"\n  b: x\nkind: ConfigMap\n");
        assert_eq!(
            unified(&id("configmaps"), before, after, false),
            "--- a/namespaces/demo/configmaps/app.yaml\n+++ b/namespaces/demo/configmaps/app.yaml\n@@ -1,4 +1,4 @@\n data:\n-  a: \"1\"\n+  a: \"2\"\n   b: x\n kind: ConfigMap\n"
        );
        assert_eq!(unified(&id("configmaps"), before, before, false), "");
        assert!(between(&id("configmaps"), None, Some(after), false).starts_with("--- /dev/null\n+++ b/namespaces/"));
        assert_eq!(stat(before, after), (1, 1));
    }

    #[test]
    fn secrets_show_which_keys_changed_and_no_value() {
        let before = b"data:\n  gone: c2VjcmV0\n  same: c2VjcmV0\n  turned: c2VjcmV0\nkind: Secret\nmetadata:\n  annotations:\n    kubectl.kubernetes.io/last-applied-configuration: c2VjcmV0\n    mine: shown\n";
        let after = b"data:\n  new: cGFzczE=\n  same: c2VjcmV0\n  turned: cGFzczE=\nkind: Secret\nmetadata:\n  annotations:\n    kubectl.kubernetes.io/last-applied-configuration: cGFzczE=\n    mine: shown\n";
        let text = unified(&id("secrets"), before, after, true);
        assert!(!text.contains("c2Vj") && !text.contains("cGFz"), "{text}");
        for line in [
            "-  gone: '<hidden: 6 bytes>'",
            "+  new: '<hidden: 5 bytes>'",
            "   same: '<hidden: 6 bytes>'",
            "-  turned: '<hidden: 6 bytes, before>'",
            "+  turned: '<hidden: 5 bytes, after>'",
            "     mine: shown",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
        assert!(!between(&id("secrets"), Some(b": : :\n- c2VjcmV0"), Some(after), true).contains("c2Vj"));
    }
}
