//! Real bytes for each decoder: what fuzzing starts from.
#![allow(clippy::unwrap_used)]

use crate::repository::fuzzing::seeds::repository_seeds;

const OBJECT: &str = r#"{"apiVersion":"v1","kind":"Secret","metadata":{"name":"a","namespace":"b","uid":"1","resourceVersion":"7","labels":{"app":"x: y","n":"1e3"},"annotations":{"text":"one\ntwo\n","empty":""},"managedFields":[{"manager":"m","fieldsV1":{"f:data":{}}}]},"data":{"k":"c2VjcmV0","yes":"no"},"list":[1,-2.5,null,true,[],{},"~","0x1f"],"status":{"phase":"ok","conditions":[{"type":"A","status":"True"}]}}"#;
const YAML: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n  namespace: b\ndata:\n  \"y\": \"1\"\n  text: |\n    one\n\n    two\n  folded: >-\n    a\n    b\nlist:\n- a: 1\n  b: [x, {y: z}]\n- null\n- 1.5e3\n- ''\n";
const LIST: &str = r#"{"kind":"List","apiVersion":"v1","metadata":{"resourceVersion":"42","continue":"t"},"items":[{"metadata":{"name":"a"}},{"metadata":{"name":"b","namespace":"\u00e9\\\""},"x":"]}"}]}"#;

/// Seeds of one decoder.
pub(super) fn seeds(name: &str) -> Vec<Vec<u8>> {
    let texts = |texts: &[&str]| texts.iter().map(|text| text.as_bytes().to_vec()).collect();
    match name {
        "yaml" => texts(&[YAML, "a: &x [1]\nb: *x\n", "? a\n: b\n"]),
        "documents" => texts(&[YAML, "---\n# c\n---\napiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Pod, metadata: {name: p}}\n"]),
        "parts" => texts(&[
            "apiVersion: v1\nkind: Secret\nmetadata:\n  name: a\ndata:\n  k: c2VjcmV0\n\0status:\n  phase: ok\n\0metadata:\n  uid: \"1\"\n",
            "metadata: {}\n\0\0",
        ]),
        "list" => texts(&[LIST, r#"{"items":[],"metadata":{"resourceVersion":"1"}}"#]),
        "json" => texts(&[OBJECT, r#"{"a":"é\u2028\ud83d\ude00","b":[[[]]],"c":-0.0,"d":12345678901234567890}"#]),
        of_repository => repository_seeds(of_repository),
    }
}
