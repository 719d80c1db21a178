//! One field of an object: its path as a person writes it, looked up in the object it is meant for, and put into another. Pure.
//!
//! `data.settings.json` finds the key `settings.json` below `data` where there is such a key; `data.settings\.json`, `data['settings.json']` and
//! jsonpath's `{.data.settings\.json}` say so. Entries of lists are chosen by number, `containers[0]`, or by a field, `containers[name=web]`.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Keys named in an error.
const NAMED: usize = 12;

/// The path of a field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FieldPath {
    text: String,
    segments: Vec<Segment>,
}

/// A piece of a path as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    /// A key, or a part of one that holds dots.
    Key(String),
    /// A key in quotes: it is whole.
    Quoted(String),
    /// An entry by number.
    Index(usize),
    /// An entry by one of its fields.
    With(String, String),
}

/// A path with whole keys.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Key(String),
    Index(usize),
    With(String, String),
}

/// Why there is no such field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FieldError {
    /// The path does not parse.
    #[error("{0:?} is no path of a field: write data.key, data['a.key'] or spec.containers[name=web].image")]
    Form(String),
    /// The field is not there.
    #[error("there is no {path}; {parent} holds {keys}")]
    Missing {
        /// As given.
        path: String,
        /// How far it leads.
        parent: String,
        /// What is there; keys only.
        keys: String,
    },
    /// Several fields can be meant.
    #[error("{path} can mean {meanings}; put the key that holds dots in quotes, as in data['a.key']")]
    Ambiguous {
        /// As given.
        path: String,
        /// What it can mean.
        meanings: String,
    },
    /// The other object has no place for it.
    #[error("the object in the cluster has no {0} that it could be put into")]
    NoPlace(String),
}

impl FromStr for FieldPath {
    type Err = FieldError;

    fn from_str(text: &str) -> Result<Self, FieldError> {
        let wrong = || FieldError::Form(text.to_owned());
        let inner = text.trim().trim_start_matches(['{', '$']).trim_end_matches('}');
        let inner = inner.strip_prefix('.').unwrap_or(inner);
        let (mut segments, mut key, mut rest) = (Vec::new(), String::new(), inner.chars());
        while let Some(next) = rest.next() {
            match next {
                '\\' => key.push(rest.next().ok_or_else(wrong)?),
                '.' => {
                    // Behind a bracket the key is empty.
                    if key.is_empty() && segments.last().is_none_or(|last| matches!(last, Segment::Key(_))) {
                        return Err(wrong());
                    }
                    if !key.is_empty() {
                        segments.push(Segment::Key(std::mem::take(&mut key)));
                    }
                }
                '[' => {
                    if !key.is_empty() {
                        segments.push(Segment::Key(std::mem::take(&mut key)));
                    }
                    let (bracket, behind) = rest.as_str().split_once(']').ok_or_else(wrong)?;
                    segments.push(bracketed(bracket).ok_or_else(wrong)?);
                    rest = behind.chars();
                }
                other => key.push(other),
            }
        }
        if !key.is_empty() {
            segments.push(Segment::Key(key));
        }
        if segments.is_empty() || inner.ends_with('.') {
            return Err(wrong());
        }
        Ok(Self { text: text.to_owned(), segments })
    }
}

/// What stands in brackets: a number, a key in quotes, or `field=value`.
fn bracketed(text: &str) -> Option<Segment> {
    let quoted = |quote: char| text.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    if let Some(key) = quoted('\'').or_else(|| quoted('"')) {
        return Some(Segment::Quoted(key.to_owned()));
    }
    match (text.parse(), text.split_once('=')) {
        (Ok(index), _) => Some(Segment::Index(index)),
        (_, Some((field, value))) if !field.is_empty() => Some(Segment::With(field.to_owned(), value.to_owned())),
        _ => None,
    }
}

impl TryFrom<String> for FieldPath {
    type Error = FieldError;

    fn try_from(text: String) -> Result<Self, FieldError> {
        text.parse()
    }
}

impl From<FieldPath> for String {
    fn from(path: FieldPath) -> Self {
        path.text
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FieldPath {
    /// Puts this field of one object into another one.
    ///
    /// # Errors
    /// The first object does not have it, or the second has no place for it.
    pub fn transplant(&self, from: &Value, into: &mut Value) -> Result<(), FieldError> {
        let (places, value) = self.find(from)?;
        let value = value.clone();
        put(into, &places, value).ok_or_else(|| FieldError::NoPlace(self.text.clone()))
    }

    fn find<'a>(&self, object: &'a Value) -> Result<(Vec<Place>, &'a Value), FieldError> {
        let (mut found, mut deepest) = (Vec::new(), (Vec::new(), object));
        search(object, &self.segments, Vec::new(), &mut found, &mut deepest);
        if found.len() > 1 {
            let meanings: Vec<String> = found.iter().map(|(places, _)| written(places)).collect();
            return Err(FieldError::Ambiguous { path: self.text.clone(), meanings: meanings.join(" or ") });
        }
        found.pop().ok_or_else(|| {
            let (places, at) = deepest;
            let parent = if places.is_empty() { "the object".to_owned() } else { written(&places) };
            FieldError::Missing { path: self.text.clone(), parent, keys: keys(at) }
        })
    }
}

/// Collects every way in which the segments lead to a value; `deepest` is the furthest that was reached.
fn search<'a>(
    value: &'a Value,
    segments: &[Segment],
    places: Vec<Place>,
    found: &mut Vec<(Vec<Place>, &'a Value)>,
    deepest: &mut (Vec<Place>, &'a Value),
) {
    if segments.is_empty() {
        found.push((places, value));
        return;
    }
    if places.len() >= deepest.0.len() {
        *deepest = (places.clone(), value);
    }
    let mut go = |place: Place, inner: &'a Value, rest: &[Segment]| {
        let mut places = places.clone();
        places.push(place);
        search(inner, rest, places, found, deepest);
    };
    match (value, segments) {
        (Value::Object(map), [Segment::Key(_), ..]) => {
            let mut key = String::new();
            for (index, segment) in segments.iter().enumerate() {
                let Segment::Key(part) = segment else { break };
                key = if index == 0 { part.clone() } else { format!("{key}.{part}") };
                if let (Some(inner), Some(rest)) = (map.get(&key), segments.get(index + 1..)) {
                    go(Place::Key(key.clone()), inner, rest);
                }
            }
        }
        (Value::Object(map), [Segment::Quoted(key), rest @ ..]) => {
            if let Some(inner) = map.get(key) {
                go(Place::Key(key.clone()), inner, rest);
            }
        }
        (Value::Array(entries), [Segment::Index(index), rest @ ..]) => {
            if let Some(inner) = entries.get(*index) {
                go(Place::Index(*index), inner, rest);
            }
        }
        (Value::Array(entries), [Segment::With(field, text), rest @ ..]) => {
            if let Some(inner) = entries.iter().find(|entry| has(entry, field, text)) {
                go(Place::With(field.clone(), text.clone()), inner, rest);
            }
        }
        _ => {}
    }
}

/// Whether a field of an entry has this value; numbers are compared as they are written.
fn has(entry: &Value, field: &str, text: &str) -> bool {
    match entry.get(field) {
        Some(Value::String(own)) => own == text,
        Some(Value::Number(own)) => own.to_string().as_str() == text,
        _ => false,
    }
}

/// Sets a value; maps on the way are made, entries of lists are not.
fn put(object: &mut Value, places: &[Place], value: Value) -> Option<()> {
    let Some((first, rest)) = places.split_first() else {
        *object = value;
        return Some(());
    };
    match (first, object) {
        (Place::Key(key), Value::Object(map)) => put(map.entry(key.clone()).or_insert_with(|| Value::Object(Map::new())), rest, value),
        (Place::Index(index), Value::Array(entries)) => put(entries.get_mut(*index)?, rest, value),
        (Place::With(field, text), Value::Array(entries)) => match entries.iter_mut().find(|entry| has(entry, field, text)) {
            Some(entry) => put(entry, rest, value),
            None if rest.is_empty() => {
                entries.push(value);
                Some(())
            }
            None => None,
        },
        _ => None,
    }
}

fn written(places: &[Place]) -> String {
    let mut text = String::new();
    for place in places {
        match place {
            Place::Key(key) if key.contains('.') => text.push_str(&format!("['{key}']")),
            Place::Key(key) if text.is_empty() => text.push_str(key),
            Place::Key(key) => text.push_str(&format!(".{key}")),
            Place::Index(index) => text.push_str(&format!("[{index}]")),
            Place::With(field, value) => text.push_str(&format!("[{field}={value}]")),
        }
    }
    text
}

fn keys(value: &Value) -> String {
    let names: Vec<&str> = match value {
        Value::Object(map) => map.keys().map(String::as_str).collect(),
        Value::Array(entries) => return format!("a list of {}", entries.len()),
        _ => return "a single value".to_owned(),
    };
    let more = if names.len() > NAMED { ", …" } else { "" };
    format!("{}{more}", names.iter().take(NAMED).copied().collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    fn stored() -> Value {
        json!({
            "data": {"settings.json": "{}", "colour": "blue", "a": {"b": 1}, "a.b": 2},
            "spec": {"containers": [{"name": "side", "image": "s:1"}, {"name": "web", "image": "w:1", "ports": [80, 443]}], "ports": [{"port": 80, "name": "http"}]}})
    }

    #[test]
    fn fields_are_found_in_every_notation() {
        for (path, expected) in [
            ("data.colour", json!("blue")),
            (".data.colour", json!("blue")),
            ("{.data.colour}", json!("blue")),
            ("data.settings.json", json!("{}")),
            (r"data.settings\.json", json!("{}")),
            ("data['settings.json']", json!("{}")),
            ("data[\"a.b\"]", json!(2)),
            ("spec.containers[1].image", json!("w:1")),
            ("spec.containers[name=web].image", json!("w:1")),
            ("spec.containers[name=web].ports[1]", json!(443)),
            ("spec.ports[port=80].name", json!("http")),
            ("data", stored().get("data").unwrap().clone()),
        ] {
            let object = stored();
            let path: FieldPath = path.parse().unwrap();
            assert_eq!(path.find(&object).unwrap().1, &expected, "{path}");
        }
    }

    #[test]
    fn what_is_not_there_is_said_with_what_is() {
        let said = |path: &str| path.parse::<FieldPath>().unwrap().find(&stored()).unwrap_err().to_string();
        assert_eq!(said("data.color"), "there is no data.color; data holds a, a.b, colour, settings.json");
        assert_eq!(said("spec.containers[5].image"), "there is no spec.containers[5].image; spec.containers holds a list of 2");
        assert_eq!(said("nothing"), "there is no nothing; the object holds data, spec");
        assert_eq!(said("data.a.b"), "data.a.b can mean data.a.b or data['a.b']; put the key that holds dots in quotes, as in data['a.key']");
        for wrong in ["", ".", "a.", "a..b", "a[", "a[x]", "a\\"] {
            assert!(wrong.parse::<FieldPath>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn one_field_is_put_into_another_object() {
        let put = |path: &str, mut live: Value| {
            path.parse::<FieldPath>().unwrap().transplant(&stored(), &mut live).map(|()| live).map_err(|e| e.to_string())
        };
        let rows = [
            ("data.colour", json!({"data": {"colour": "red", "new": "x"}}), Ok(json!({"data": {"colour": "blue", "new": "x"}}))),
            ("data.colour", json!({}), Ok(json!({"data": {"colour": "blue"}}))),
            (
                "spec.containers[name=web].image",
                json!({"spec": {"containers": [{"name": "web", "image": "w:2"}]}}),
                Ok(json!({"spec": {"containers": [{"name": "web", "image": "w:1"}]}})),
            ),
            (
                "spec.containers[name=side]",
                json!({"spec": {"containers": []}}),
                Ok(json!({"spec": {"containers": [{"name": "side", "image": "s:1"}]}})),
            ),
            (
                "spec.containers[name=web].image",
                json!({"spec": {"containers": []}}),
                Err("the object in the cluster has no spec.containers[name=web].image that it could be put into".to_owned()),
            ),
        ];
        for (path, live, expected) in rows {
            assert_eq!(put(path, live), expected, "{path}");
        }
        let path: FieldPath = r"data.settings\.json".parse().unwrap();
        assert_eq!(serde_json::from_str::<FieldPath>(&serde_json::to_string(&path).unwrap()).unwrap(), path);
    }
}
