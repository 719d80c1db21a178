//! Splits the body of a LIST into its items while it streams, without parsing them.
//!
//! Built-in kinds send `{"kind","apiVersion","metadata":{…},"items":[…]}`, custom resources send the items first and an empty `continue`
//! on the last page; both come out alike. Items are handed on as the exact bytes the server sent, which are the same bytes in the next
//! LIST as long as the object did not change.

use std::borrow::Cow;

use serde::Deserialize;

use super::ObjectError;

/// Larger items are refused: etcd stores 1.5 MiB by default, and nobody raises that to this.
pub const MAX_ITEM_BYTES: usize = 32 << 20;
/// Everything of a body but its items.
const MAX_ENVELOPE_BYTES: usize = 1 << 20;

/// What a LIST says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListMeta {
    /// The version that every item was read at.
    pub resource_version: String,
    /// Token for the next page.
    pub continue_token: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Outside of items.
    Envelope,
    /// Between two items.
    Between,
    /// Inside an item.
    Item,
    /// Behind the items.
    Tail,
}

/// Feed it the body in any pieces; each finished item is passed to a closure.
#[derive(Debug)]
pub struct ListSplitter {
    state: State,
    depth: usize,
    in_string: bool,
    escaped: bool,
    /// Body without items: `"items":[]`.
    envelope: Vec<u8>,
    /// The beginning of an item that goes on in the next piece.
    item: Vec<u8>,
}

impl Default for ListSplitter {
    fn default() -> Self {
        Self::new()
    }
}

impl ListSplitter {
    /// Before the first byte of a body.
    pub fn new() -> Self {
        Self { state: State::Envelope, depth: 0, in_string: false, escaped: false, envelope: Vec::new(), item: Vec::new() }
    }

    /// Takes the next piece of the body.
    ///
    /// # Errors
    /// Those of the closure; `NotAList` and `ItemTooLarge`.
    pub fn feed<E: From<ObjectError>>(&mut self, piece: &[u8], on_item: &mut dyn FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        let mut at = 0;
        // Where the part of the current item that lies in this piece starts.
        let mut start = 0;
        while let Some(&byte) = piece.get(at) {
            match self.state {
                State::Item => {
                    let Some(length) = self.scan_item(piece.get(at..).unwrap_or_default()) else {
                        break;
                    };
                    at += length;
                    let tail = piece.get(start..at).unwrap_or_default();
                    if self.item.is_empty() {
                        on_item(tail)?;
                    } else {
                        self.item.extend_from_slice(tail);
                        on_item(&self.item)?;
                        self.item.clear();
                    }
                    self.state = State::Between;
                }
                State::Between => {
                    match byte {
                        b'{' => {
                            self.state = State::Item;
                            self.depth = 0;
                            start = at;
                            continue;
                        }
                        b']' => {
                            self.envelope.push(byte);
                            self.state = State::Tail;
                        }
                        b',' | b' ' | b'\n' | b'\r' | b'\t' => {}
                        _ => {
                            return Err(ObjectError::NotAList { what: "items that are not objects".to_owned() }.into());
                        }
                    }
                    at += 1;
                }
                State::Envelope | State::Tail => {
                    self.envelope.push(byte);
                    if self.envelope.len() > MAX_ENVELOPE_BYTES {
                        return Err(ObjectError::NotAList { what: "a body without items".to_owned() }.into());
                    }
                    self.step_envelope(byte);
                    at += 1;
                }
            }
        }
        if self.state == State::Item {
            self.item.extend_from_slice(piece.get(start..).unwrap_or_default());
            if self.item.len() > MAX_ITEM_BYTES {
                return Err(ObjectError::ItemTooLarge { limit: MAX_ITEM_BYTES }.into());
            }
        }
        Ok(())
    }

    fn step_envelope(&mut self, byte: u8) {
        if self.in_string {
            if self.escaped {
                self.escaped = false;
            } else if byte == b'\\' {
                self.escaped = true;
            } else if byte == b'"' {
                self.in_string = false;
            }
            return;
        }
        match byte {
            b'"' => self.in_string = true,
            b'{' => self.depth += 1,
            b'[' => {
                if self.depth == 1 && self.state == State::Envelope && ends_with_items_key(&self.envelope) {
                    self.state = State::Between;
                } else {
                    self.depth += 1;
                }
            }
            b'}' | b']' => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
        if self.state == State::Between {
            // Behind the items the map that holds them is still open.
            self.depth = 0;
        } else if self.state == State::Tail {
            self.in_string = self.in_string && byte == b'"';
        }
    }

    /// Length of the item's rest when it ends in `bytes`.
    fn scan_item(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            at += 1;
            if self.in_string {
                if self.escaped {
                    self.escaped = false;
                    continue;
                }
                if byte == b'\\' {
                    self.escaped = true;
                } else if byte == b'"' {
                    self.in_string = false;
                } else {
                    // The common case: run to the next byte that matters.
                    let rest = bytes.get(at..).unwrap_or_default();
                    at += rest.iter().position(|&byte| byte == b'"' || byte == b'\\').unwrap_or(rest.len());
                }
                continue;
            }
            match byte {
                b'"' => self.in_string = true,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth == 0 {
                        return Some(at);
                    }
                }
                _ => {}
            }
        }
        None
    }

    /// At the end of the body: what the list says of itself.
    ///
    /// # Errors
    /// `NotAList` when the body was cut off or was something else; a `Status` is named with its message.
    pub fn finish(self) -> Result<ListMeta, ObjectError> {
        #[derive(Deserialize, Default)]
        #[serde(rename_all = "camelCase", default)]
        struct Meta {
            resource_version: String,
            r#continue: String,
        }
        #[derive(Deserialize)]
        struct Envelope {
            kind: Option<String>,
            #[serde(default)]
            metadata: Meta,
            items: Option<Vec<serde::de::IgnoredAny>>,
            message: Option<String>,
        }
        let what = |what: &str| ObjectError::NotAList { what: what.to_owned() };
        if matches!(self.state, State::Item | State::Between) {
            return Err(what("the body ends in the middle of the items"));
        }
        let envelope: Envelope = serde_json::from_slice(&self.envelope).map_err(|_| what("the body is not JSON or was cut off"))?;
        let kind = envelope.kind.unwrap_or_default();
        if kind == "Status" || (envelope.items.is_none() && !kind.ends_with("List")) {
            let message = envelope.message.unwrap_or_default();
            return Err(what(&format!("a {} {message}", if kind.is_empty() { "body without kind" } else { &kind })));
        }
        let token = envelope.metadata.r#continue;
        Ok(ListMeta { resource_version: envelope.metadata.resource_version, continue_token: (!token.is_empty()).then_some(token) })
    }
}

fn ends_with_items_key(envelope: &[u8]) -> bool {
    let trimmed = |text: &[u8]| text.len() - text.iter().rev().take_while(|byte| byte.is_ascii_whitespace()).count();
    let Some(head) = envelope.strip_suffix(b"[") else {
        return false;
    };
    let Some(head) = head.get(..trimmed(head)).and_then(|head| head.strip_suffix(b":")) else {
        return false;
    };
    head.get(..trimmed(head)).is_some_and(|head| head.ends_with(b"\"items\""))
}

/// Namespace and name of an item, without parsing the rest of it.
///
/// # Errors
/// `NoName` when there is none, `Json` when the item is not JSON.
pub fn scan_identity(item: &[u8]) -> Result<(Option<Cow<'_, str>>, Cow<'_, str>), ObjectError> {
    let metadata = find_member(item, b"metadata").ok_or(ObjectError::NoName)?;
    let name = find_member(metadata, b"name").and_then(text_of).filter(|name| !name.is_empty()).ok_or(ObjectError::NoName)?;
    let namespace = find_member(metadata, b"namespace").and_then(text_of).filter(|namespace| !namespace.is_empty());
    Ok((namespace, name))
}

fn text_of(value: &[u8]) -> Option<Cow<'_, str>> {
    let inner = value.strip_prefix(b"\"")?;
    let end = inner.iter().position(|&byte| byte == b'"' || byte == b'\\')?;
    if inner.get(end) == Some(&b'"') {
        return std::str::from_utf8(inner.get(..end)?).ok().map(Cow::Borrowed);
    }
    let length = value_len(value)?;
    serde_json::from_slice(value.get(..length)?).ok().map(Cow::Owned)
}

/// The bytes from the value of a direct member on.
fn find_member<'a>(object: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    let mut rest = skip_blank(object).strip_prefix(b"{")?;
    loop {
        rest = skip_blank(rest);
        let length = value_len(rest)?;
        let name = rest.get(1..length.checked_sub(1)?)?;
        rest = skip_blank(rest.get(length..)?).strip_prefix(b":")?;
        rest = skip_blank(rest);
        if name == key {
            return Some(rest);
        }
        rest = skip_blank(rest.get(value_len(rest)?..)?).strip_prefix(b",")?;
    }
}

fn skip_blank(text: &[u8]) -> &[u8] {
    text.trim_ascii_start()
}

/// Length of the JSON value at the start.
fn value_len(text: &[u8]) -> Option<usize> {
    match text.first()? {
        b'"' => {
            let mut at = 1;
            loop {
                at += text.get(at..)?.iter().position(|&byte| byte == b'"' || byte == b'\\')?;
                if text.get(at) == Some(&b'"') {
                    return Some(at + 1);
                }
                at += 2;
            }
        }
        b'{' | b'[' => {
            let (mut depth, mut at) = (0_usize, 0);
            while let Some(byte) = text.get(at) {
                match byte {
                    b'"' => {
                        at += value_len(text.get(at..)?)?;
                        continue;
                    }
                    b'{' | b'[' => depth += 1,
                    b'}' | b']' => {
                        depth = depth.checked_sub(1)?;
                        if depth == 0 {
                            return Some(at + 1);
                        }
                    }
                    _ => {}
                }
                at += 1;
            }
            None
        }
        _ => Some(text.iter().position(|byte| matches!(byte, b',' | b'}' | b']') || byte.is_ascii_whitespace()).unwrap_or(text.len())),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BUILT_IN: &str = r#"{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"42","continue":"t","remainingItemCount":7},"items":[{"a":"]}\"{"},
 {"b":[{"items":[1]}]}]}"#;
    const CUSTOM: &str = r#"{"apiVersion":"x/v1","items":[{"a":1},{"b":"\\"}],"kind":"FooList","metadata":{"continue":"","resourceVersion":"43"}}"#;

    fn split(body: &str, piece: usize) -> (Vec<String>, Result<ListMeta, ObjectError>) {
        let (mut items, mut splitter) = (Vec::new(), ListSplitter::new());
        for chunk in body.as_bytes().chunks(piece) {
            let fed = splitter.feed(chunk, &mut |item| {
                items.push(String::from_utf8(item.to_vec()).unwrap());
                Ok::<(), ObjectError>(())
            });
            if let Err(error) = fed {
                return (items, Err(error));
            }
        }
        (items, splitter.finish())
    }

    #[test]
    fn both_orders_cut_anywhere() {
        for piece in 1..BUILT_IN.len() {
            let (items, meta) = split(BUILT_IN, piece);
            assert_eq!(items, [r#"{"a":"]}\"{"}"#, r#"{"b":[{"items":[1]}]}"#], "{piece}");
            assert_eq!(meta.unwrap(), ListMeta { resource_version: "42".into(), continue_token: Some("t".into()) });
            let (items, meta) = split(CUSTOM, piece);
            assert_eq!(items, [r#"{"a":1}"#, r#"{"b":"\\"}"#], "{piece}");
            assert_eq!(meta.unwrap(), ListMeta { resource_version: "43".into(), continue_token: None });
        }
    }

    #[test]
    fn empty_lists_are_lists() {
        for body in [
            r#"{"kind":"PodList","metadata":{"resourceVersion":"1"},"items":[]}"#,
            r#"{"kind":"PodList","metadata":{"resourceVersion":"1"},"items":null}"#,
            r#"{"items":[],"kind":"XList","metadata":{"resourceVersion":"1"}}"#,
        ] {
            let (items, meta) = split(body, 7);
            assert!(items.is_empty());
            assert_eq!(meta.unwrap().resource_version, "1");
        }
    }

    #[test]
    fn anything_else_is_an_error() {
        for body in [
            "",
            "{",
            "[]",
            "null",
            "<html>",
            r#"{"kind":"Status","message":"gone"}"#,
            r#"{"kind":"PodList","items":[{"a":1}"#,
            r#"{"kind":"PodList","items":[1]}"#,
            r#"{"kind":"PodList","items":[{"a":1},{"b""#,
            r#"{"metadata":{}}"#,
        ] {
            assert!(split(body, 5).1.is_err(), "{body}");
        }
    }

    #[test]
    fn identity_is_found_wherever_it_stands() {
        let item = br#"{"spec":{"name":"no","metadata":{"name":"no"}},"metadata":{"labels":{"name":"no"},"name":"web","namespace":"demo"}}"#;
        assert_eq!(scan_identity(item).unwrap(), (Some("demo".into()), "web".into()));
        assert_eq!(scan_identity(br#"{"metadata":{"name":"a:b\u0041"}}"#).unwrap(), (None, "a:bA".into()));
        for item in ["", "{}", r#"{"metadata":{}}"#, r#"{"metadata":{"name":""}}"#, r#"{"metadata":{"name"#, r#"{"metadata":7}"#] {
            assert!(scan_identity(item.as_bytes()).is_err(), "{item}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), piece in 1_usize..50) {
            let mut splitter = ListSplitter::new();
            for chunk in bytes.chunks(piece) {
                if splitter.feed(chunk, &mut |_| Ok::<(), ObjectError>(())).is_err() { break; }
            }
            let _ = splitter.finish();
            let _ = scan_identity(&bytes);
        }
    }
}
