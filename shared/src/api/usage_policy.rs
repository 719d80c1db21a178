//! Which namespaces may use an object of another one.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::core::{Selector, SelectorExt as _};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    schema::{embedded, lenient, rules},
    words::words,
};

words! {
    /// Where the namespaces that may use an object come from.
    NamespacesFrom {
        /// The namespace of the object alone.
        Same,
        /// The namespaces whose labels the selector matches.
        Selector,
        /// Every namespace.
        All,
    }
}

/// The namespaces that may use an object.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AllowedNamespaces {
    /// `Same`: the namespace of this object; `Selector`: those that `selector` matches; `All`: every one.
    #[schemars(extend("default" = "Same"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<NamespacesFrom>,
    /// Selects namespaces by their labels; looked at when `from` is `Selector`. An empty one matches every namespace.
    #[schemars(schema_with = "embedded::<LabelSelector>")]
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    pub selector: Option<LabelSelector>,
}

const RULES: [(&str, &str); 1] = [(
    "self.?allowedNamespaces.?from.orValue('Same') != 'Selector' || self.?allowedNamespaces.?selector.hasValue()",
    "allowedNamespaces.from is Selector, so allowedNamespaces.selector must say which namespaces are meant",
)];

/// Who may use an object.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = rules(&RULES)))]
pub struct UsagePolicy {
    /// The namespaces that may use this object; absent means its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_namespaces: Option<AllowedNamespaces>,
}

/// The namespace that wants to use an object.
#[derive(Clone, Copy, Debug)]
pub struct Requester<'a> {
    /// Its name.
    pub namespace: &'a str,
    /// Its labels.
    pub labels: &'a BTreeMap<String, String>,
}

/// Whether a selector matches; a missing one matches nothing, an empty one everything, and one that cannot be understood nothing.
fn selects(selector: Option<&LabelSelector>, labels: &BTreeMap<String, String>) -> bool {
    selector.and_then(|selector| Selector::try_from(selector.clone()).ok()).is_some_and(|selector| selector.matches(labels))
}

impl UsagePolicy {
    /// Where the namespaces come from. A policy that says nothing at all means `Same`, one with `allowedNamespaces` but no `from` means nobody.
    pub fn from(policy: Option<&Self>) -> Option<NamespacesFrom> {
        policy.and_then(|policy| policy.allowed_namespaces.as_ref()).map_or(Some(NamespacesFrom::Same), |allowed| allowed.from)
    }

    /// Whether a namespace may use an object of namespace `owner` that has this policy.
    pub fn allows(policy: Option<&Self>, owner: &str, requester: Requester<'_>) -> bool {
        match Self::from(policy) {
            Some(NamespacesFrom::All) => true,
            Some(NamespacesFrom::Same) => owner == requester.namespace,
            Some(NamespacesFrom::Selector) => {
                selects(policy.and_then(|policy| policy.allowed_namespaces.as_ref()?.selector.as_ref()), requester.labels)
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn usage() {
        let labels = BTreeMap::from([("team".to_owned(), "a".to_owned())]);
        let here = Requester { namespace: "demo", labels: &labels };
        let selector = |selector: Value| json!({"allowedNamespaces": {"from": "Selector", "selector": selector}});
        let rows = [
            (json!({"allowedNamespaces": {"from": "All"}}), "other", true),
            (json!({"allowedNamespaces": {"from": "Same"}}), "demo", true),
            (json!({"allowedNamespaces": {"from": "Same"}}), "other", false),
            (json!({}), "demo", true),
            (json!({}), "other", false),
            (json!({"allowedNamespaces": {}}), "demo", false),
            (json!({"allowedNamespaces": {"from": "Selector"}}), "demo", false),
            (selector(json!({})), "other", true),
            (selector(json!({"matchLabels": {"team": "a"}})), "other", true),
            (selector(json!({"matchLabels": {"team": "b"}})), "demo", false),
            (selector(json!({"matchExpressions": [{"key": "team", "operator": "In", "values": ["a", "b"]}]})), "other", true),
            (selector(json!({"matchExpressions": [{"key": "team", "operator": "NotIn", "values": ["a"]}]})), "other", false),
            (selector(json!({"matchExpressions": [{"key": "gone", "operator": "NotIn", "values": ["a"]}]})), "other", true),
            (selector(json!({"matchExpressions": [{"key": "team", "operator": "Exists"}]})), "other", true),
            (selector(json!({"matchExpressions": [{"key": "team", "operator": "DoesNotExist"}]})), "other", false),
            (selector(json!({"matchExpressions": [{"key": "team", "operator": "Resembles", "values": ["a"]}]})), "other", false),
        ];
        for (policy, owner, wanted) in rows {
            let read: UsagePolicy = serde_json::from_value(policy.clone()).unwrap();
            assert_eq!(UsagePolicy::allows(Some(&read), owner, here), wanted, "{policy} of {owner}");
        }
        assert!(UsagePolicy::allows(None, "demo", here) && !UsagePolicy::allows(None, "other", here));
    }
}
