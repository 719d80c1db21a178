//! Objects that move to another namespace: their own names of it, and the references inside objects that are known to name namespaces.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{is_namespace, mentions, references};
use crate::{
    object::{GroupResource, KindInfo},
    restore::transforms::map_mut,
};

/// The label that every Namespace carries with its own name.
pub const NAME_LABEL: &str = "kubernetes.io/metadata.name";
/// Longest list of places in one warning.
const NAMED: usize = 5;

/// Namespaces by the names that they get.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Mappings(BTreeMap<String, String>);

/// A mapping that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MappingError {
    /// It has no two sides.
    #[error("{0:?} maps no namespace: write from:to")]
    Form(String),
    /// No API server takes such a namespace.
    #[error("{0:?} is no name of a namespace: lower case letters, digits and -, at most 63 of them")]
    Name(String),
    /// A namespace cannot go to two places.
    #[error("namespace {0} is mapped twice")]
    Twice(String),
}

impl Mappings {
    /// Reads `from:to` or `from=to`, several of them separated by commas.
    ///
    /// # Errors
    /// See [`MappingError`].
    pub fn parse(words: &[String]) -> Result<Self, MappingError> {
        let mut all = BTreeMap::new();
        for pair in words.iter().flat_map(|word| word.split(',')).map(str::trim).filter(|pair| !pair.is_empty()) {
            let (from, to) = pair.split_once([':', '=']).ok_or_else(|| MappingError::Form(pair.to_owned()))?;
            for name in [from, to] {
                if !is_name(name) {
                    return Err(MappingError::Name(name.to_owned()));
                }
            }
            if all.insert(from.to_owned(), to.to_owned()).is_some_and(|before| before != to) {
                return Err(MappingError::Twice(from.to_owned()));
            }
        }
        all.retain(|from, to| from != to);
        Ok(Self(all))
    }

    /// Whether nothing moves.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The name that a namespace gets.
    pub fn target<'a>(&'a self, name: &'a str) -> &'a str {
        self.0.get(name).map_or(name, String::as_str)
    }

    /// The namespaces whose objects come to a namespace.
    pub fn sources<'a>(&'a self, target: &'a str) -> impl Iterator<Item = &'a str> {
        let own = (!self.0.contains_key(target)).then_some(target);
        self.0.iter().filter(move |(_, to)| *to == target).map(|(from, _)| from.as_str()).chain(own)
    }

    /// The namespaces that move.
    pub fn moved(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Changes an object's own namespace, or a Namespace's name, and what is known to refer to namespaces.
    pub fn apply(&self, kind: &GroupResource, object: &mut Value) {
        if self.is_empty() {
            return;
        }
        if let Some(metadata) = map_mut(object, &["metadata"]) {
            let key = if is_namespace(kind) { "name" } else { "namespace" };
            if let Some(Value::String(own)) = metadata.get_mut(key) {
                self.rename(own);
            }
            if is_namespace(kind)
                && let Some(Value::String(own)) = metadata.get_mut("labels").and_then(|labels| labels.get_mut(NAME_LABEL))
            {
                self.rename(own);
            }
        }
        references::rewrite(kind, object, self);
    }

    /// What still names a namespace that moved, in places that are not known to: one line for each namespace. Nothing is changed there.
    pub fn left_behind(&self, kind: &KindInfo, object: &Value) -> Vec<String> {
        let mut warnings = Vec::new();
        for from in self.moved() {
            let places = mentions::places(kind, object, from);
            let more = if places.len() > NAMED { format!(" and {} more", places.len() - NAMED) } else { String::new() };
            if !places.is_empty() {
                let shown = places.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
                warnings.push(format!("still names namespace {from} at {shown}{more}; a JSON patch can change it"));
            }
        }
        warnings
    }

    /// Renames a namespace in place.
    pub fn rename(&self, name: &mut String) {
        if let Some(to) = self.0.get(name) {
            name.clone_from(to);
        }
    }
}

fn is_name(name: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&name.len()) && name.bytes().all(inner) && !name.starts_with('-') && !name.ends_with('-')
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    fn mappings(words: &[&str]) -> Result<Mappings, MappingError> {
        Mappings::parse(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn both_spellings_are_read() {
        let read = mappings(&["a:b,c=d", "e:e"]).unwrap();
        assert_eq!((read.target("a"), read.target("c"), read.target("e"), read.target("x")), ("b", "d", "e", "x"));
        assert_eq!(read.moved().collect::<Vec<_>>(), ["a", "c"]);
        assert_eq!(read.sources("b").collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(read.sources("a").collect::<Vec<_>>(), Vec::<&str>::new(), "what was there moved away");
        assert!(matches!(mappings(&["a"]), Err(MappingError::Form(_))));
        assert!(matches!(mappings(&["a:"]), Err(MappingError::Name(_))));
        assert!(matches!(mappings(&["A:b"]), Err(MappingError::Name(_))));
        assert!(matches!(mappings(&["a:b", "a:c"]), Err(MappingError::Twice(_))));
    }

    #[test]
    fn an_object_and_a_namespace_get_their_new_names() {
        let mappings = mappings(&["demo:copy"]).unwrap();
        let moved = |kind: &str, mut object: Value| {
            mappings.apply(&kind.parse().unwrap(), &mut object);
            object
        };
        assert_eq!(
            moved("configmaps", json!({"metadata": {"name": "demo", "namespace": "demo"}})),
            json!({"metadata": {"name": "demo", "namespace": "copy"}})
        );
        assert_eq!(
            moved("namespaces", json!({"metadata": {"name": "demo", "labels": {NAME_LABEL: "demo", "app": "demo"}}})),
            json!({"metadata": {"name": "copy", "labels": {NAME_LABEL: "copy", "app": "demo"}}})
        );
    }
}
