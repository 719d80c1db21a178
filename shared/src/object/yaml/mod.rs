//! Canonical YAML: kubectl's layout, byte for byte, written straight from JSON; and the reader for what was written.
//!
//! Keys sorted in kubectl's order, maps indented by two, lists not indented, strings plain where a YAML 1.1 reader takes them for
//! strings and quoted where not, `|` blocks for text of several lines, long text folded at column 80. Where kubectl itself prints
//! text that readers misunderstand or cannot print at all (line separators inside text, a `<<` key, control characters), ours is
//! quoted and escaped instead. The layout is version 1 and part of the repository format: equal objects give equal bytes for ever.

mod number;
mod plain;
mod writer;

pub(super) use writer::Writer;

use super::{ObjectError, json::Document};

/// Appends one JSON value as canonical YAML.
///
/// # Errors
/// `Json` when the bytes are not one JSON value in UTF-8.
pub fn write(json: &[u8], out: &mut Vec<u8>) -> Result<(), ObjectError> {
    let document = Document::parse(json)?;
    Writer { document: &document, out }.root(&document.root);
    Ok(())
}

/// Appends a value as canonical YAML.
///
/// # Errors
/// None that a value can cause; the signature follows [`write`].
pub fn write_value(value: &serde_json::Value, out: &mut Vec<u8>) -> Result<(), ObjectError> {
    let json = serde_json::to_vec(value).map_err(|_| ObjectError::Json { at: 0, what: "a value" })?;
    write(&json, out)
}

/// Reads one document of canonical YAML back.
///
/// # Errors
/// `Yaml` when the text does not parse.
pub fn read(yaml: &[u8]) -> Result<serde_json::Value, ObjectError> {
    serde_yaml::from_slice(yaml).map_err(|error| ObjectError::Yaml {
        // The parser's message may quote the text; its place never does.
        reason: error.location().map_or_else(|| "cannot be parsed".to_owned(), |at| format!("cannot be parsed at line {}", at.line())),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn text(value: &Value) -> String {
        let mut out = Vec::new();
        write_value(value, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn looks_as_kubectl_prints() {
        let long = "word ".repeat(30).trim().to_owned();
        let value = json!({
            "b": {"list": [1, "two", {"x": null, "a": true}, [], [[1], {}]], "empty": {}, "none": []},
            "a": {"yes": "yes", "port": "80", "time": "2024-01-01T00:00:00Z", "colon": "a: b", "hash": "#x", "": ""},
            "text": "one\ntwo\n", "cut": "one\ntwo", "open": "one\n\n", "lead": " one\ntwo\n", "tab": "a\tb",
            "floats": [1.5, 1e21, 1e6, 1234567.5, 0.00001, 3.0], "long": long, "emoji": "😀", "quote": "it's", "dash": "- a", "star": "*a",
        });
        assert_eq!(
            text(&value),
            r#"a:
  "": ""
  colon: 'a: b'
  hash: '#x'
  port: "80"
  time: "2024-01-01T00:00:00Z"
  "yes": "yes"
b:
  empty: {}
  list:
  - 1
  - two
  - a: true
    x: null
  - []
  - - - 1
    - {}
  none: []
cut: |-
  one
  two
dash: '- a'
emoji: "\U0001F600"
floats:
- 1.5
- 1e+21
- 1000000
- 1.2345675e+06
- 1e-05
- 3
lead: |2
   one
  two
long: word word word word word word word word word word word word word word word word
  word word word word word word word word word word word word word word
open: |+
  one

quote: it's
star: '*a'
tab: "a\tb"
text: |
  one
  two
"#
        );
    }

    #[test]
    fn awkward_strings_read_back_as_value_key_and_item() {
        let words = "y n yes no on off true false null ~ <<  .inf .nan 0 -0 1_000 0x1F 0X1F 0b_1 0o17 012 08 1e3 1. .5 1:30 190:20:30 2001-01-01 +1 - ? : # & * ! | > ' \" % @ ` [ ] { } , --- ... a# #a a:b a: :a";
        let mut strings: Vec<String> = words.split(' ').map(str::to_owned).collect();
        strings.extend(
            [
                "\n",
                "\n\n",
                " ",
                "  a",
                "a  ",
                "a\n b",
                "a \nb",
                "\ta",
                "a\r\nb",
                "\u{85}",
                "\u{2028}x",
                "\u{feff}",
                "\u{7f}",
                "\u{1}",
                "a\n\n",
                " \n",
                "x\u{2029}\ny",
            ]
            .map(str::to_owned),
        );
        strings.push("long ".repeat(60));
        strings.push("k".repeat(200));
        for string in strings {
            let mut map = serde_json::Map::new();
            map.insert(string.clone(), json!({"inner": string, "list": [string, {"a": string}], "nested": [[string]]}));
            let value = Value::Object(map);
            let yaml = text(&value);
            let back = read(yaml.as_bytes()).unwrap_or_else(|error| panic!("{string:?}: {error}\n{yaml}"));
            assert_eq!(back, value, "{yaml}");
        }
    }

    fn arbitrary_json() -> impl Strategy<Value = Value> {
        let word = prop_oneof!["\\PC{0,20}", "[ -~]{0,120}", "[a-z:#\\- \n\t'\"]{0,30}", any::<String>()];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_filter("finite", |f| f.is_finite()).prop_map(Value::from),
            word.clone().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 6, move |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                proptest::collection::btree_map(word.clone(), inner, 0..5).prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    /// Numbers as a reader of YAML sees them: `1.0` and `1` are one number.
    fn numbers_alike(a: &Value, b: &Value) -> bool {
        match (a, b) {
            (Value::Number(x), Value::Number(y)) => x == y || x.as_f64() == y.as_f64(),
            (Value::Array(x), Value::Array(y)) => x.len() == y.len() && x.iter().zip(y).all(|(x, y)| numbers_alike(x, y)),
            (Value::Object(x), Value::Object(y)) => x.len() == y.len() && x.iter().all(|(key, x)| y.get(key).is_some_and(|y| numbers_alike(x, y))),
            _ => a == b,
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(value in arbitrary_json()) {
            let yaml = text(&value);
            let back = read(yaml.as_bytes());
            prop_assert!(back.as_ref().is_ok_and(|back| numbers_alike(back, &value)), "{:?}\n{}\n{:?}", value, yaml, back);
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = write(&bytes, &mut Vec::new());
            let _ = read(&bytes);
        }
    }
}
