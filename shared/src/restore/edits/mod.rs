//! What a person wants changed between snapshot and cluster: other namespaces, storage classes, labels and annotations, traces of GitOps and
//! Helm left out, JSON patches. Pure.
//!
//! Edits come before all else: a plan compares the edited object with the cluster, and what is sent is made from it. Order: traces dropped,
//! namespaces, storage classes, marks, patches.

mod mentions;
mod namespaces;
mod patches;
mod presets;
mod references;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use namespaces::{MappingError, Mappings};
pub use patches::{PatchFileError, PatchRule, Target};
pub use presets::Preset;

use super::transforms::{map_mut, map_storage_classes};
use crate::object::{GroupResource, KindInfo, ObjectId};

/// Labels or annotations to set, or to remove where the value is none.
pub type Marks = BTreeMap<String, Option<String>>;

/// What is changed on the way.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Edits {
    /// Namespaces that objects move to.
    #[serde(skip_serializing_if = "Mappings::is_empty")]
    pub namespaces: Mappings,
    /// Storage classes that claims and volumes get instead of those in the snapshot.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub storage_classes: BTreeMap<String, String>,
    /// Labels of the objects themselves; those of templates stay, because selectors look for them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: Marks,
    /// Annotations of the objects themselves.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: Marks,
    /// Traces of tools that would take a copy for their own.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub drop: BTreeSet<Preset>,
    /// Changes of single fields.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub patches: Vec<PatchRule>,
}

/// What edits made of one object.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Edited {
    /// What there is to know, one line each.
    pub warnings: Vec<String>,
    /// Numbers of the patches that were applied to it.
    pub patches: Vec<usize>,
}

/// An edit that an object does not take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// A patch does not fit.
    #[error("patch {number} does not fit: {reason}")]
    Patch {
        /// Which one, from 1.
        number: usize,
        /// Why; holds no values.
        reason: String,
    },
}

impl Edits {
    /// Whether nothing is changed.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The identity that an object of the source gets.
    pub fn target(&self, id: &ObjectId) -> ObjectId {
        if is_namespace(&id.kind) {
            return ObjectId { name: self.namespaces.target(&id.name).to_owned(), ..id.clone() };
        }
        ObjectId { namespace: id.namespace.as_deref().map(|own| self.namespaces.target(own).to_owned()), ..id.clone() }
    }

    /// Whether an object is a record that is left out with the traces of its tool.
    pub fn leaves_out(&self, kind: &KindInfo, object: &Value) -> bool {
        self.drop.iter().any(|preset| preset.is_record(kind, object))
    }

    /// Changes an object as the source has it.
    ///
    /// # Errors
    /// A patch that does not fit: the object must not be written.
    pub fn apply(&self, kind: &KindInfo, object: &mut Value) -> Result<Edited, EditError> {
        let group_resource = kind.group_resource();
        let identity = patches::Identity::of(object);
        for preset in &self.drop {
            preset.apply(object);
        }
        let mut edited = Edited::default();
        self.namespaces.apply(&group_resource, object);
        map_storage_classes(&group_resource, object, &self.storage_classes);
        mark(object, "labels", &self.labels);
        mark(object, "annotations", &self.annotations);
        for (index, rule) in self.patches.iter().enumerate() {
            if rule.target.fits(kind, &identity) {
                rule.apply(object).map_err(|reason| EditError::Patch { number: index + 1, reason })?;
                edited.patches.push(index);
            }
        }
        edited.warnings = self.namespaces.left_behind(kind, object);
        Ok(edited)
    }
}

fn is_namespace(kind: &GroupResource) -> bool {
    kind.group.is_empty() && kind.resource == "namespaces"
}

/// Sets and removes entries of `metadata.labels` or `metadata.annotations`.
fn mark(object: &mut Value, map: &str, marks: &Marks) {
    let Some(metadata) = map_mut(object, &["metadata"]) else { return };
    for (key, value) in marks {
        match value {
            Some(value) => {
                let all = metadata.entry(map).or_insert_with(|| Value::Object(Map::new()));
                if let Some(all) = all.as_object_mut() {
                    all.insert(key.clone(), Value::String(value.clone()));
                }
            }
            None => {
                if let Some(all) = metadata.get_mut(map).and_then(Value::as_object_mut) {
                    all.remove(key);
                }
            }
        }
    }
    if metadata.get(map).and_then(Value::as_object).is_some_and(Map::is_empty) {
        metadata.remove(map);
    }
}

/// Reads `KEY=VALUE` and `KEY-`, as `kubectl label` does.
///
/// # Errors
/// A word that is neither, as a sentence.
pub fn marks(words: &[String]) -> Result<Marks, String> {
    let read = |word: &String| match (word.split_once('='), word.strip_suffix('-')) {
        (Some((key, value)), _) if !key.is_empty() => Ok((key.to_owned(), Some(value.to_owned()))),
        (None, Some(key)) if !key.is_empty() => Ok((key.to_owned(), None)),
        _ => Err(format!("{word:?} neither sets nor removes anything: write KEY=VALUE or KEY-")),
    };
    words.iter().map(read).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(super) mod tests {
    use serde_json::json;

    use super::*;

    pub fn kind(text: &str, kind: &str) -> KindInfo {
        let gr: GroupResource = text.parse().unwrap();
        KindInfo { group: gr.group, version: "v1".into(), resource: gr.resource, kind: kind.into(), namespaced: true }
    }

    #[test]
    fn marks_are_read_as_kubectl_reads_them() {
        let words = |words: &[&str]| marks(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
        assert_eq!(
            words(&["a=b", "c-", "d=", "e=f=g"]).unwrap(),
            [("a", Some("b")), ("c", None), ("d", Some("")), ("e", Some("f=g"))]
                .map(|(key, value)| (key.to_owned(), value.map(str::to_owned)))
                .into()
        );
        for wrong in ["a", "", "=b", "-"] {
            assert!(words(&[wrong]).is_err(), "{wrong}");
        }
    }

    #[test]
    fn marks_are_set_and_removed() {
        let labels =
            |words: &[&str]| Edits { labels: marks(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>()).unwrap(), ..Edits::default() };
        let rows = [
            (labels(&["a=b"]), json!({"metadata": {"name": "x"}}), json!({"metadata": {"name": "x", "labels": {"a": "b"}}})),
            (labels(&["a-"]), json!({"metadata": {"labels": {"a": "b"}}}), json!({"metadata": {}})),
            (labels(&["a-"]), json!({"metadata": {"labels": {"c": "d"}}}), json!({"metadata": {"labels": {"c": "d"}}})),
        ];
        for (edits, mut object, expected) in rows {
            edits.apply(&kind("configmaps", "ConfigMap"), &mut object).unwrap();
            assert_eq!(object, expected);
        }
    }

    #[test]
    fn objects_and_namespaces_move() {
        let edits = Edits { namespaces: Mappings::parse(&["demo:copy".to_owned()]).unwrap(), ..Edits::default() };
        let id = |kind: &str, namespace: Option<&str>, name: &str| ObjectId {
            kind: kind.parse().unwrap(),
            namespace: namespace.map(Into::into),
            name: name.into(),
        };
        for (from, to) in [
            (id("pods", Some("demo"), "a"), id("pods", Some("copy"), "a")),
            (id("pods", Some("other"), "demo"), id("pods", Some("other"), "demo")),
            (id("namespaces", None, "demo"), id("namespaces", None, "copy")),
            (id("clusterroles.rbac.authorization.k8s.io", None, "demo"), id("clusterroles.rbac.authorization.k8s.io", None, "demo")),
        ] {
            assert_eq!(edits.target(&from), to);
        }
    }

    #[test]
    fn edits_survive_a_saved_plan() {
        let edits = Edits {
            namespaces: Mappings::parse(&["demo:copy".to_owned()]).unwrap(),
            storage_classes: [("fast".to_owned(), "ssd".to_owned())].into(),
            labels: [("a".to_owned(), None)].into(),
            drop: [Preset::Helm].into(),
            patches: PatchRule::read("- target: {kind: Pod}\n  patch: [{op: remove, path: /spec/nodeName}]\n").unwrap(),
            ..Edits::default()
        };
        let text = serde_json::to_string(&edits).unwrap();
        assert_eq!(serde_json::from_str::<Edits>(&text).unwrap(), edits);
    }
}
