//! Decoders of objects: JSON of the API server, our own YAML, YAML of people.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic is what is looked for")]

use serde_json::Value;

use crate::{
    compare::text,
    object::{
        KindInfo, ListSplitter, ObjectError, ObjectId, Parts, Sensitivity, TypeMeta, merge, scan_identity, split, with_status,
        yaml::{read, write, write_value},
    },
    restore::Source,
};

const TYPE: TypeMeta<'static> = TypeMeta { api_version: "v1", kind: "Secret" };

/// YAML of any origin; what is read of it can be written and read again.
pub(super) fn yaml(bytes: &[u8]) {
    if let Ok(value) = read(bytes) {
        let mut out = Vec::new();
        write_value(&value, &mut out).unwrap();
        assert_same(&read(&out).unwrap(), &value, &out);
    }
}

/// As JSON has it: a number with a fraction of zero is the number without.
fn is_same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| is_same(a, b)),
        (Value::Object(a), Value::Object(b)) => a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| is_same(a, b))),
        _ => a == b,
    }
}

fn assert_same(found: &Value, expected: &Value, text: &[u8]) {
    assert!(is_same(found, expected), "{found} is not {expected}: {}", String::from_utf8_lossy(text));
}

/// Stored parts: up to three texts with zero bytes between, put together, compared, and with values hidden.
pub(super) fn parts(bytes: &[u8]) {
    let mut pieces = bytes.splitn(3, |&byte| byte == 0);
    let [manifest, status, server] = std::array::from_fn(|_| pieces.next().unwrap_or_default());
    let _ = merge(manifest, status, server);
    let _ = with_status(manifest, status);
    let id = ObjectId { kind: "secrets".parse().unwrap(), namespace: Some("a".to_owned()), name: "b".to_owned() };
    for hide in [false, true] {
        let same = text::unified(&id, manifest, manifest, hide);
        assert!(same.is_empty() || hide, "{same}");
        let _ = text::unified(&id, manifest, status, hide);
    }
    let _ = text::stat(manifest, status);
}

/// A LIST body gives the same items, whole and in pieces.
pub(super) fn list(bytes: &[u8]) {
    let whole = items(bytes.chunks(usize::MAX));
    let size = 1 + bytes.first().map_or(0, |&first| usize::from(first % 13));
    assert_eq!(whole.as_ref().ok(), items(bytes.chunks(size)).as_ref().ok());
    for item in whole.iter().flat_map(|(items, _)| items) {
        let _ = scan_identity(item);
    }
}

fn items<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Result<(Vec<Vec<u8>>, String), ObjectError> {
    let (mut splitter, mut items) = (ListSplitter::new(), Vec::new());
    for piece in pieces {
        splitter.feed(piece, &mut |item: &[u8]| {
            items.push(item.to_vec());
            Ok::<_, ObjectError>(())
        })?;
    }
    splitter.finish().map(|meta| (items, format!("{meta:?}")))
}

/// An item of the API server: its YAML says the same, and so do its parts, put together.
pub(super) fn json(bytes: &[u8]) {
    let mut text = Vec::new();
    if write(bytes, &mut text).is_err() {
        return;
    }
    // Numbers beyond those of a computer, and strings with half a surrogate: the API server sends none.
    let Ok(value) = serde_json::from_slice::<Value>(bytes) else { return };
    assert_same(&read(&text).unwrap(), &value, &text);
    for sensitivity in [Sensitivity::Open, Sensitivity::Secret, Sensitivity::Everything] {
        let mut parts = Parts::default();
        if split(bytes, TYPE, sensitivity, &mut parts).is_err() {
            assert!(!value.is_object());
            return;
        }
        assert_eq!(parts.redacted.is_some(), sensitivity != Sensitivity::Open);
        let whole = merge(&parts.manifest, &parts.status, &parts.server).unwrap();
        let mut expected = value.clone();
        for (key, own) in [("apiVersion", TYPE.api_version), ("kind", TYPE.kind)] {
            expected.as_object_mut().unwrap().entry(key).or_insert_with(|| own.into());
        }
        assert_same(&read(&whole).unwrap(), &expected, &whole);
    }
}

/// A file that a person gives to `restore`.
pub(super) fn documents(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let kind_of = |_: &str, kind: &str| {
        let resource = format!("{}s", kind.to_lowercase());
        Some(KindInfo { group: String::new(), version: "v1".to_owned(), resource, kind: kind.to_owned(), namespaced: kind != "Namespace" })
    };
    let _ = Source::from_file(text, "default", &kind_of);
}
