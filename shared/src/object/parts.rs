//! One object in three parts, and back.
//!
//! | part | holds |
//! |---|---|
//! | manifest | everything a person would apply |
//! | status | the top-level `status`, or nothing |
//! | server | the metadata that the API server stamps, as a `metadata:` map, or nothing |
//! | redacted | of sensitive objects: the manifest with every value replaced by `<hidden: N bytes>` |
//!
//! [`merge`] puts the first three together to what `kubectl get -o yaml --show-managed-fields` prints, by lines: nothing is parsed.

use std::{borrow::Cow, cmp::Ordering};

use super::{
    ObjectError,
    json::{Arenas, Document, Node, compare_keys},
    yaml::Writer,
};

const METADATA: &str = "metadata";
const STATUS: &str = "status";
const METADATA_LINE: &[u8] = b"metadata:\n";
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Metadata fields that the API server sets and nobody applies.
const SERVER_FIELDS: [&str; 8] =
    ["creationTimestamp", "deletionGracePeriodSeconds", "deletionTimestamp", "generation", "managedFields", "resourceVersion", "selfLink", "uid"];

/// What a LIST leaves out of the items of built-in kinds.
#[derive(Debug, Clone, Copy)]
pub struct TypeMeta<'a> {
    /// `v1`, `apps/v1`.
    pub api_version: &'a str,
    /// `Pod`, `Deployment`.
    pub kind: &'a str,
}

/// Whose values are hidden from holders of the general key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sensitivity {
    /// Nothing is hidden; there is no redacted part.
    Open,
    /// A Secret: `data` and `stringData` are hidden.
    Secret,
    /// A kind named sensitive by the user: every value but type, name, namespace and labels is hidden.
    Everything,
}

/// The parts of one object. Reuse one value for many objects: [`split`] clears it and keeps its memory.
#[derive(Debug, Default, Clone)]
pub struct Parts {
    /// What one would apply.
    pub manifest: Vec<u8>,
    /// `status:` and what is in it, or nothing.
    pub status: Vec<u8>,
    /// `metadata:` with the fields of the server, or nothing.
    pub server: Vec<u8>,
    /// The manifest without values, for sensitive objects.
    pub redacted: Option<Vec<u8>>,
    arenas: Arenas,
}

/// Splits one item of a LIST body. `apiVersion` and `kind` are added where the item lacks them.
///
/// # Errors
/// `Json` when the item is not a JSON object.
pub fn split(item: &[u8], type_meta: TypeMeta<'_>, sensitivity: Sensitivity, parts: &mut Parts) -> Result<(), ObjectError> {
    parts.manifest.clear();
    parts.status.clear();
    parts.server.clear();
    parts.redacted = None;
    let mut document = Document::parse_in(item, std::mem::take(&mut parts.arenas))?;
    if !matches!(document.root, Node::Map(_)) {
        return Err(ObjectError::Json { at: 0, what: "an object" });
    }
    write_parts(&document, type_meta, parts);
    if sensitivity != Sensitivity::Open {
        hide(&mut document, sensitivity);
        let mut hidden = Parts::default();
        write_parts(&document, type_meta, &mut hidden);
        parts.redacted = Some(hidden.manifest);
    }
    parts.arenas = document.into_arenas();
    Ok(())
}

fn write_parts(document: &Document<'_>, type_meta: TypeMeta<'_>, parts: &mut Parts) {
    let added = [("apiVersion", type_meta.api_version), ("kind", type_meta.kind)];
    let mut added = added.into_iter().filter(|(key, _)| !document.top().iter().any(|(own, _)| own == key)).peekable();
    for (key, value) in document.top() {
        while let Some((new, text)) = added.next_if(|(new, _)| compare_keys(new, key) == Ordering::Less) {
            Writer { document, out: &mut parts.manifest }.member(new, &Node::Text(Cow::Borrowed(text)), 0);
        }
        match (key.as_ref(), value) {
            (METADATA, Node::Map(range)) => {
                let fields = document.map(range);
                write_metadata(document, fields, true, &mut parts.server);
                write_metadata(document, fields, false, &mut parts.manifest);
            }
            (STATUS, value) => Writer { document, out: &mut parts.status }.member(STATUS, value, 0),
            (key, value) => Writer { document, out: &mut parts.manifest }.member(key, value, 0),
        }
    }
    for (new, text) in added {
        Writer { document, out: &mut parts.manifest }.member(new, &Node::Text(Cow::Borrowed(text)), 0);
    }
}

/// The metadata of one side. The manifest always has the key, so that merging knows where it stands.
fn write_metadata(document: &Document<'_>, fields: &[(Cow<'_, str>, Node<'_>)], server: bool, out: &mut Vec<u8>) {
    let mut own = fields.iter().filter(|(key, _)| SERVER_FIELDS.contains(&key.as_ref()) == server).peekable();
    if own.peek().is_none() {
        if !server {
            out.extend_from_slice(b"metadata: {}\n");
        }
        return;
    }
    out.extend_from_slice(METADATA_LINE);
    for (key, value) in own {
        Writer { document, out }.member(key, value, 2);
    }
}

fn hide(document: &mut Document<'_>, sensitivity: Sensitivity) {
    let Node::Map(top) = document.root.clone() else {
        return;
    };
    let members: Vec<(usize, String, Node<'_>)> =
        document.map(&top).iter().enumerate().map(|(at, (key, node))| (at, key.to_string(), node.clone())).collect();
    for (at, key, node) in members {
        match key.as_str() {
            "apiVersion" | "kind" | "immutable" | "type" | STATUS => {}
            METADATA => hide_metadata(document, &node, sensitivity),
            // `data` of a Secret is base64: what is hidden is what it stands for.
            "data" | "stringData" => hide_below(document, &node, sensitivity == Sensitivity::Secret && key == "data"),
            _ if sensitivity == Sensitivity::Secret => {}
            _ => {
                hide_below(document, &node, false);
                if !matches!(node, Node::Map(_) | Node::List(_))
                    && let Some(member) = document.map_mut(&top).get_mut(at)
                {
                    member.1 = hidden(&node, false);
                }
            }
        }
    }
}

fn hide_metadata(document: &mut Document<'_>, node: &Node<'_>, sensitivity: Sensitivity) {
    let Node::Map(range) = node else { return };
    let annotations = document.map(range).iter().find(|(key, _)| key == "annotations").map(|(_, node)| node.clone());
    let Some(Node::Map(annotations)) = annotations else {
        return;
    };
    for (key, value) in document.map_mut(&annotations) {
        if key == LAST_APPLIED || sensitivity == Sensitivity::Everything {
            *value = hidden(value, false);
        }
    }
}

fn hide_below(document: &mut Document<'_>, node: &Node<'_>, base64: bool) {
    match node {
        Node::Map(range) => {
            for at in 0..range.len() {
                let Some(child) = document.map(range).get(at).map(|(_, child)| child.clone()) else {
                    continue;
                };
                hide_below(document, &child, base64);
                if !matches!(child, Node::Map(_) | Node::List(_))
                    && let Some(member) = document.map_mut(range).get_mut(at)
                {
                    member.1 = hidden(&child, base64);
                }
            }
        }
        Node::List(range) => {
            for at in 0..range.len() {
                let Some(child) = document.list(range).get(at).cloned() else {
                    continue;
                };
                hide_below(document, &child, base64);
                if !matches!(child, Node::Map(_) | Node::List(_))
                    && let Some(element) = document.list_mut(range).get_mut(at)
                {
                    *element = hidden(&child, base64);
                }
            }
        }
        _ => {}
    }
}

/// Not valid base64 on purpose: the API server refuses a Secret with such a value instead of destroying the live one.
fn hidden<'a>(node: &Node<'_>, base64: bool) -> Node<'a> {
    let bytes = match node {
        Node::Text(text) if base64 => text.len() / 4 * 3 - text.bytes().rev().take_while(|&byte| byte == b'=').count().min(2).min(text.len() / 4),
        Node::Text(text) => text.len(),
        Node::Number(text) => text.len(),
        _ => 0,
    };
    Node::Text(Cow::Owned(format!("<hidden: {bytes} bytes>")))
}

/// Manifest and status as one YAML document.
pub fn with_status(manifest: &[u8], status: &[u8]) -> Vec<u8> {
    [manifest, status].concat()
}

/// Length of what [`merge`] returns for a named object, without reading any part.
///
/// Holds for every object whose manifest keeps a field in its metadata, as every object with a name does.
pub fn merged_len(manifest: u32, status: u32, server: u32) -> u64 {
    let header = METADATA_LINE.len() as u64;
    u64::from(manifest) + u64::from(status) + u64::from(server).saturating_sub(header)
}

/// Puts an object together again: the text of `kubectl get -o yaml --show-managed-fields`.
///
/// # Errors
/// `Yaml` when a part is not one that [`split`] wrote.
pub fn merge(manifest: &[u8], status: &[u8], server: &[u8]) -> Result<Vec<u8>, ObjectError> {
    let mut out = Vec::with_capacity(manifest.len() + status.len() + server.len());
    let mut status = (!status.is_empty()).then_some(status);
    let mut server = (!server.is_empty()).then_some(server);
    for (key, entry) in (Entries { text: manifest, indent: 0 }) {
        let key = key?;
        if let Some(status) = status.take_if(|_| compare_keys(STATUS, &key) == Ordering::Less) {
            out.extend_from_slice(status);
        }
        match server.take_if(|_| key == METADATA) {
            Some(server) => merge_metadata(entry, server, &mut out)?,
            None => out.extend_from_slice(entry),
        }
    }
    out.extend_from_slice(status.unwrap_or_default());
    if server.is_some() {
        return Err(ObjectError::Yaml { reason: "the manifest has no metadata to merge into".to_owned() });
    }
    Ok(out)
}

fn merge_metadata(manifest: &[u8], server: &[u8], out: &mut Vec<u8>) -> Result<(), ObjectError> {
    out.extend_from_slice(METADATA_LINE);
    let body = |text| <[u8]>::strip_prefix(text, METADATA_LINE).unwrap_or_default();
    let mut ours = Entries { text: body(manifest), indent: 2 }.peekable();
    for (server_key, server_entry) in (Entries { text: body(server), indent: 2 }) {
        let server_key = server_key?;
        while let Some((_, entry)) = ours.next_if(|(key, _)| key.as_ref().is_ok_and(|key| compare_keys(key, &server_key) == Ordering::Less)) {
            out.extend_from_slice(entry);
        }
        out.extend_from_slice(server_entry);
    }
    for (key, entry) in ours {
        key?;
        out.extend_from_slice(entry);
    }
    Ok(())
}

/// The members of a block map at one indent, each with its key and all its lines.
struct Entries<'a> {
    text: &'a [u8],
    indent: usize,
}

impl<'a> Iterator for Entries<'a> {
    type Item = (Result<Cow<'a, str>, ObjectError>, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        if self.text.is_empty() {
            return None;
        }
        let line_end = |text: &[u8], from: usize| {
            text.get(from..).and_then(|rest| rest.iter().position(|&byte| byte == b'\n')).map_or(text.len(), |at| from + at + 1)
        };
        let mut end = line_end(self.text, 0);
        while end < self.text.len() && !starts_member(self.text.get(end..).unwrap_or_default(), self.indent) {
            end = line_end(self.text, end);
        }
        let (entry, rest) = self.text.split_at(end);
        self.text = rest;
        Some((key_of(entry, self.indent), entry))
    }
}

/// Whether a line begins a new member at `indent`: not deeper, not an element of a list, not the value of a `? key`.
fn starts_member(line: &[u8], indent: usize) -> bool {
    let depth = line.iter().take_while(|&&byte| byte == b' ').count();
    let rest = line.get(depth..).unwrap_or_default();
    depth == indent && !rest.starts_with(b"\n") && !rest.starts_with(b"- ") && !rest.starts_with(b": ")
}

/// The key that an entry starts with, whose members stand at `indent`. Keys are never folded unless they are written as `? key`.
fn key_of(entry: &[u8], indent: usize) -> Result<Cow<'_, str>, ObjectError> {
    let entry = entry.get(indent..).unwrap_or_default();
    let wrong = || ObjectError::Yaml { reason: "a part does not start with a key".to_owned() };
    let spelled = match entry.first() {
        Some(b'"') => entry.get(..=closing(entry, b'"', b'\\').ok_or_else(wrong)?),
        Some(b'\'') => entry.get(..=closing(entry, b'\'', b'\'').ok_or_else(wrong)?),
        Some(b'?') if entry.get(1) == Some(&b' ') => {
            // Its first line, and further ones up to that which starts the value; those of the key stand deeper, whatever they begin with.
            let starts_value = |line: &[u8]| line.get(indent..).is_some_and(|rest| rest.starts_with(b": "));
            let lines = entry.split_inclusive(|&byte| byte == b'\n').enumerate();
            let length: usize = lines.take_while(|(number, line)| *number == 0 || !starts_value(line)).map(|(_, line)| line.len()).sum();
            entry.get(2..length)
        }
        _ => {
            let line = entry.split(|&byte| byte == b'\n').next().unwrap_or_default();
            let end = line.windows(2).position(|pair| pair == b": ").unwrap_or(line.len().saturating_sub(1));
            return std::str::from_utf8(line.get(..end).unwrap_or_default()).map(Cow::Borrowed).map_err(|_| wrong());
        }
    };
    serde_yaml::from_slice(spelled.unwrap_or_default()).map(Cow::Owned).map_err(|_| wrong())
}

/// Place of the closing quote; `escape` takes the byte behind it along.
fn closing(text: &[u8], quote: u8, escape: u8) -> Option<usize> {
    let mut at = 1;
    loop {
        let byte = *text.get(at)?;
        let next_is_quote = text.get(at + 1) == Some(&quote);
        if byte == escape && (escape != quote || next_is_quote) {
            at += 2;
        } else if byte == quote {
            return Some(at);
        } else {
            at += 1;
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::object::yaml;

    const POD: TypeMeta<'_> = TypeMeta { api_version: "v1", kind: "Pod" };

    fn parts_of(value: &Value, sensitivity: Sensitivity) -> Parts {
        let mut parts = Parts::default();
        split(value.to_string().as_bytes(), POD, sensitivity, &mut parts).unwrap();
        parts
    }

    fn text(bytes: &[u8]) -> &str {
        std::str::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_pod_in_three_parts() {
        let parts = parts_of(
            &json!({"metadata": {"name": "a", "uid": "u", "labels": {"x": "y"}, "managedFields": [{"manager": "m"}], "resourceVersion": "7"},
                    "spec": {"nodeName": "n"}, "status": {"phase": "Running"}, "zebra": 1}),
            Sensitivity::Open,
        );
        assert_eq!(
            text(&parts.manifest),
            "apiVersion: v1\nkind: Pod\nmetadata:\n  labels:\n    x: \"y\"\n  name: a\nspec:\n  nodeName: \"n\"\nzebra: 1\n"
        );
        assert_eq!(text(&parts.status), "status:\n  phase: Running\n");
        assert_eq!(text(&parts.server), "metadata:\n  managedFields:\n  - manager: m\n  resourceVersion: \"7\"\n  uid: u\n");
        let whole = merge(&parts.manifest, &parts.status, &parts.server).unwrap();
        assert_eq!(
            text(&whole),
            "apiVersion: v1\nkind: Pod\nmetadata:\n  labels:\n    x: \"y\"\n  managedFields:\n  - manager: m\n  name: a\n  resourceVersion: \"7\"\n  uid: u\nspec:\n  nodeName: \"n\"\nstatus:\n  phase: Running\nzebra: 1\n"
        );
        let length = |part: &[u8]| u32::try_from(part.len()).unwrap();
        assert_eq!(merged_len(length(&parts.manifest), length(&parts.status), length(&parts.server)), whole.len() as u64);
    }

    #[test]
    fn a_hidden_secret_shows_its_keys_only() {
        let parts = parts_of(
            &json!({"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "data": {"a": "aGVsbG8=", "b": ""},
                    "metadata": {"name": "s", "annotations": {LAST_APPLIED: "{\"data\":{\"a\":\"aGVsbG8=\"}}", "note": "n"}}}),
            Sensitivity::Secret,
        );
        assert_eq!(
            text(&parts.redacted.unwrap()),
            "apiVersion: v1\ndata:\n  a: '<hidden: 5 bytes>'\n  b: '<hidden: 0 bytes>'\nkind: Secret\nmetadata:\n  annotations:\n    kubectl.kubernetes.io/last-applied-configuration: '<hidden: 25 bytes>'\n    note: \"n\"\n  name: s\ntype: Opaque\n"
        );
        let whole = parts_of(
            &json!({"metadata": {"name": "c", "labels": {"l": "v"}}, "spec": {"token": "t", "n": [1, {"x": "abc"}]}, "top": "secret"}),
            Sensitivity::Everything,
        );
        let redacted = whole.redacted.unwrap();
        assert!(!text(&redacted).contains("abc") && !text(&redacted).contains("secret"), "{}", text(&redacted));
        assert!(text(&redacted).contains("l: v"));
    }

    /// A key of over 128 bytes is folded, and a line of it may look like the one that starts its value.
    #[test]
    fn a_folded_key_with_a_colon_is_told_from_its_value() {
        for (key, line) in [(format!("{} : {}", "a".repeat(90), "b".repeat(90)), "  : bbb"), (format!("n: {}", "a ".repeat(90)), "? 'n: a")] {
            for object in [json!({"metadata": {"name": "n", "uid": "u"}, &*key: 1}), json!({"metadata": {&*key: [[]], "name": "n", "uid": "u"}})] {
                let parts = parts_of(&object, Sensitivity::Open);
                assert!(text(&parts.manifest).contains(line), "{}", text(&parts.manifest));
                let merged = merge(&parts.manifest, &parts.status, &parts.server).unwrap();
                let read: Value = serde_yaml::from_slice(&merged).unwrap();
                assert_eq!((&read["metadata"], &read[&key]), (&object["metadata"], &object[&key]));
            }
        }
    }

    fn arbitrary_object() -> impl Strategy<Value = Value> {
        let key = prop_oneof![
            Just("metadata".to_owned()),
            Just("status".to_owned()),
            Just("uid".to_owned()),
            Just("name".to_owned()),
            Just("spec".to_owned()),
            Just("managedFields".to_owned()),
            "[a-z]{1,6}",
            "\\PC{0,10}",
            "[\"'?:\\- #\n]{1,4}",
            "[a-z]{129,140}",
            "[a-c:?'\" ]{129,300}",
        ];
        let leaf = prop_oneof![Just(Value::Null), any::<i32>().prop_map(Value::from), "[ -~\n]{0,100}".prop_map(Value::from)];
        let value = leaf.prop_recursive(3, 30, 5, {
            let key = key.clone();
            move |inner| {
                prop_oneof![
                    proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                    proptest::collection::btree_map(key.clone(), inner, 0..5).prop_map(|map| Value::Object(map.into_iter().collect())),
                ]
            }
        });
        proptest::collection::btree_map(key, value, 0..6).prop_map(|map| Value::Object(map.into_iter().collect()))
    }

    proptest! {
        #[test]
        fn merging_the_parts_gives_the_whole(mut object in arbitrary_object()) {
            object["apiVersion"] = json!("v1");
            object["kind"] = json!("Pod");
            let parts = parts_of(&object, Sensitivity::Open);
            let mut whole = Vec::new();
            yaml::write_value(&object, &mut whole).unwrap();
            let merged = merge(&parts.manifest, &parts.status, &parts.server).unwrap();
            prop_assert_eq!(text(&merged), text(&whole));
        }
    }
}
