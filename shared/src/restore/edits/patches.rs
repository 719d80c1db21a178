//! JSON patches (RFC 6902) of objects chosen by kind, name, namespace and labels, from a file in the shape of kustomize's `patches`.

use std::collections::BTreeMap;

use globset::Glob;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    object::KindInfo,
    restore::{LabelSelector, transforms::at},
};

/// Which objects a patch is for. What is not given holds for all.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Target {
    /// API group; empty for the core group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Version of the stored manifest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// `Deployment`, or `deployments`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Name or glob, as in the snapshot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Namespace or glob, as in the snapshot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// As for `kubectl get -l`, on the labels in the snapshot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label_selector: Option<String>,
}

/// A patch and what it is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PatchRule {
    /// Which objects.
    pub target: Target,
    /// Operations, one after the other.
    pub patch: json_patch::Patch,
}

/// A file of patches that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatchFileError {
    /// It is no list of patches.
    #[error(
        "it is no list of patches ({0}); each has a target and a patch, as in\n- target: {{kind: Deployment, name: web}}\n  patch: [{{op: replace, path: /spec/replicas, value: 1}}]"
    )]
    Form(String),
    /// A selector or glob of one of them does not parse.
    #[error("patch {number}: {reason}")]
    Target {
        /// Which one, from 1.
        number: usize,
        /// Why.
        reason: String,
    },
}

/// What targets are compared with: an object as the snapshot has it.
#[derive(Debug, Clone, Default)]
pub struct Identity {
    name: String,
    namespace: String,
    labels: BTreeMap<String, String>,
}

impl Identity {
    /// Of an object before it was edited.
    pub fn of(object: &Value) -> Self {
        let text = |key| at(object, &["metadata", key]).and_then(Value::as_str).unwrap_or_default().to_owned();
        let labels = at(object, &["metadata", "labels"]).and_then(Value::as_object);
        let labels = labels.into_iter().flatten().filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())));
        Self { name: text("name"), namespace: text("namespace"), labels: labels.collect() }
    }
}

impl Target {
    /// Whether an object is meant. What does not parse means none; [`PatchRule::read`] has refused it before.
    pub fn fits(&self, kind: &KindInfo, object: &Identity) -> bool {
        let names_kind =
            |wanted: &String| wanted.eq_ignore_ascii_case(&kind.kind) || *wanted == kind.resource || *wanted == kind.group_resource().to_string();
        let matches = |pattern: &String, text: &str| pattern == text || Glob::new(pattern).is_ok_and(|glob| glob.compile_matcher().is_match(text));
        self.group.as_ref().is_none_or(|group| *group == kind.group)
            && self.version.as_ref().is_none_or(|version| *version == kind.version)
            && self.kind.as_ref().is_none_or(names_kind)
            && self.name.as_ref().is_none_or(|name| matches(name, &object.name))
            && self.namespace.as_ref().is_none_or(|namespace| matches(namespace, &object.namespace))
            && self
                .label_selector
                .as_ref()
                .is_none_or(|selector| selector.parse::<LabelSelector>().is_ok_and(|selector| selector.matches(&object.labels)))
    }
}

impl PatchRule {
    /// Reads a file: a list, or a mapping with the list under `patches`; a patch may be a text that holds its operations.
    ///
    /// # Errors
    /// See [`PatchFileError`].
    pub fn read(text: &str) -> Result<Vec<Self>, PatchFileError> {
        let form = |error: &dyn std::fmt::Display| PatchFileError::Form(error.to_string());
        let mut value: Value = serde_saphyr::from_str(text).map_err(|_| PatchFileError::Form("not valid YAML".to_owned()))?;
        if let Some(inner) = value.get_mut("patches") {
            value = inner.take();
        }
        for rule in value.as_array_mut().into_iter().flatten() {
            if let Some(operations) = rule.get_mut("patch").filter(|patch| patch.is_string()) {
                let parsed = serde_saphyr::from_str(operations.as_str().unwrap_or_default());
                *operations = parsed.map_err(|_| PatchFileError::Form("a patch is not valid YAML".to_owned()))?;
            }
        }
        let rules: Vec<Self> = serde_json::from_value(value).map_err(|error| form(&error))?;
        for (index, rule) in rules.iter().enumerate() {
            let wrong = |reason: String| PatchFileError::Target { number: index + 1, reason };
            if let Some(selector) = &rule.target.label_selector {
                selector.parse::<LabelSelector>().map_err(|error| wrong(error.to_string()))?;
            }
            for pattern in rule.target.name.iter().chain(&rule.target.namespace) {
                Glob::new(pattern).map_err(|error| wrong(format!("{pattern:?} is not a name or glob: {}", error.kind())))?;
            }
        }
        Ok(rules)
    }

    /// Changes an object.
    ///
    /// # Errors
    /// Which operation does not fit, and why; never a value. The object may be changed in part then.
    pub fn apply(&self, object: &mut Value) -> Result<(), String> {
        json_patch::patch_unsafe(object, &self.patch).map_err(|error| {
            let operation = self.patch.get(error.operation).map_or("", |operation| name(operation));
            format!("{operation} at {}: {}", error.path, error.kind)
        })
    }
}

fn name(operation: &json_patch::PatchOperation) -> &'static str {
    use json_patch::PatchOperation::{Add, Copy, Move, Remove, Replace, Test};
    match operation {
        Add(_) => "add",
        Remove(_) => "remove",
        Replace(_) => "replace",
        Move(_) => "move",
        Copy(_) => "copy",
        Test(_) => "test",
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::restore::edits::{Edits, tests::kind};

    #[test]
    fn targets_choose_by_all_that_is_given() {
        let object = json!({"metadata": {"name": "web-1", "namespace": "demo", "labels": {"app": "web"}}});
        let fits = |target: &str| {
            let rules = PatchRule::read(&format!("- target: {target}\n  patch: []\n")).unwrap();
            rules.first().unwrap().target.fits(&kind("deployments.apps", "Deployment"), &Identity::of(&object))
        };
        for (target, expected) in [
            ("{}", true),
            ("{kind: Deployment}", true),
            ("{kind: deployments}", true),
            ("{kind: deployments.apps, group: apps, version: v1}", true),
            ("{kind: Pod}", false),
            ("{group: ''}", false),
            ("{version: v1beta1}", false),
            ("{name: web-1}", true),
            ("{name: 'web-*'}", true),
            ("{name: web}", false),
            ("{namespace: demo}", true),
            ("{namespace: other}", false),
            ("{labelSelector: 'app in (web, api)'}", true),
            ("{labelSelector: app!=web}", false),
            ("{kind: Deployment, name: other}", false),
        ] {
            assert_eq!(fits(target), expected, "{target}");
        }
    }

    #[test]
    fn files_are_read_in_kustomizes_shapes() {
        let list = "- target: {kind: Deployment}\n  patch:\n  - {op: replace, path: /spec/replicas, value: 1}\n";
        let texts = "patches:\n- target: {kind: Deployment}\n  patch: |-\n    - op: replace\n      path: /spec/replicas\n      value: 1\n";
        assert_eq!(PatchRule::read(list).unwrap(), PatchRule::read(texts).unwrap());
        for (text, expected) in [
            ("a: b", "it is no list of patches"),
            ("- target: {kinds: x}\n  patch: []", "it is no list of patches (unknown field `kinds`"),
            ("- target: {labelSelector: '(a)'}\n  patch: []", "patch 1: label selector"),
            ("- target: {name: '[a'}\n  patch: []", "patch 1: \"[a\" is not a name or glob"),
            ("- patch: [{op: frob, path: /a}]\n  target: {}", "it is no list of patches (unknown variant `frob`"),
        ] {
            let error = PatchRule::read(text).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }

    #[test]
    fn patches_change_fields_or_say_what_does_not_fit() {
        let apply = |patches: &str, mut object: Value| {
            let edits = Edits { patches: PatchRule::read(patches).unwrap(), ..Edits::default() };
            edits
                .apply(&kind("deployments.apps", "Deployment"), &mut object)
                .map(|edited| (object, edited.patches))
                .map_err(|error| error.to_string())
        };
        let object = || json!({"metadata": {"name": "web"}, "spec": {"replicas": 3}});
        let one = "- {target: {kind: Pod}, patch: [{op: remove, path: /x}]}\n- target: {kind: Deployment}\n  patch: [{op: test, path: /spec/replicas, value: 3}, {op: replace, path: /spec/replicas, value: 1}]\n";
        assert_eq!(apply(one, object()).unwrap(), (json!({"metadata": {"name": "web"}, "spec": {"replicas": 1}}), vec![1]));
        let wrong =
            apply("- {target: {}, patch: [{op: replace, path: /spec/replicas, value: 1}, {op: remove, path: /spec/paused}]}", object()).unwrap_err();
        assert!(wrong.starts_with("patch 1 does not fit: remove at /spec/paused: "), "{wrong}");
        let secret = apply("- {target: {}, patch: [{op: test, path: /spec/replicas, value: hunter2}]}", object()).unwrap_err();
        assert!(!secret.contains("hunter2"), "{secret}");
    }
}
