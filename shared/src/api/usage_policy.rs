//! Which namespaces may use an object of another one.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    schema::{embedded, lenient},
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

/// Who may use an object.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "!has(self.allowedNamespaces) || !has(self.allowedNamespaces.from) || self.allowedNamespaces.from != 'Selector' || has(self.allowedNamespaces.selector)",
    "message": "allowedNamespaces.from is Selector, so allowedNamespaces.selector must say which namespaces are meant",
}]))]
pub struct UsagePolicy {
    /// The namespaces that may use this object; absent means its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_namespaces: Option<AllowedNamespaces>,
}
