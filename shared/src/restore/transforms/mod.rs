//! What must change in a stored manifest before an API server takes it, keyed by group and resource.
//!
//! Each rule works on the plain JSON value; no typed struct ever touches the object. [`prepare`] makes the body of a request;
//! [`comparable`] takes out of a value what a restore is allowed to change, so that before and after can be compared.

mod cluster_role;
mod definition;
mod job;
mod metadata;
mod pod;
mod pod_template;
mod service;
mod service_account;
mod storage_class;
mod token_secret;
mod volume;
mod workload;

use serde_json::{Map, Value};

pub use metadata::Relink;
pub use service::{is_address_taken, without_taken};
pub(super) use service_account::is_generated as is_generated_secret;
pub(super) use storage_class::map_storage_classes;
pub(super) use token_secret::TOKEN_TYPE;

use crate::object::GroupResource;

/// What the rules need to know beyond the object itself.
pub struct Context<'a> {
    /// Keep cluster IPs and node ports that a server assigned: they can be free again in the same cluster, and are meaningless in
    /// another one.
    pub keep_addresses: bool,
    /// Keep the volume that a claim was bound to: set when that volume exists or is restored too.
    pub keep_volume: bool,
    /// What becomes of a reference to the owner with the given uid.
    pub relink: &'a dyn Fn(&str) -> Relink,
}

/// Turns a stored manifest into the body of a request. Returns warnings for the report, one line each.
pub fn prepare(kind: &GroupResource, object: &mut Value, context: &Context<'_>) -> Vec<String> {
    let mut warnings = metadata::prepare(object, context.relink);
    match (kind.group.as_str(), kind.resource.as_str()) {
        ("", "services") => service::prepare(object, context.keep_addresses),
        ("", "pods") => warnings.extend(pod::prepare(object)),
        ("", "persistentvolumeclaims") => volume::prepare_claim(object, context.keep_volume),
        ("", "persistentvolumes") => volume::prepare_volume(object),
        ("", "serviceaccounts") => service_account::prepare(object),
        ("", "secrets") => token_secret::prepare(object),
        ("batch", "jobs") => job::prepare(object),
        ("apps", "deployments" | "daemonsets") => workload::prepare(object),
        ("rbac.authorization.k8s.io", "clusterroles") => cluster_role::prepare(object),
        ("apiextensions.k8s.io", "customresourcedefinitions") => warnings.extend(definition::prepare(object)),
        _ => {}
    }
    warnings
}

/// Takes out of a value everything that differs between an object and its restored self by design.
pub fn comparable(kind: &GroupResource, object: &mut Value, keep_addresses: bool) {
    // A uid means nothing across a restore; which owner it is stays compared by kind and name.
    if let Some(Value::Array(owners)) = at_mut(object, &["metadata", "ownerReferences"]) {
        for owner in owners {
            remove(owner, &[], "uid");
        }
    }
    remove(object, &["metadata"], "generateName");
    match (kind.group.as_str(), kind.resource.as_str()) {
        ("", "services") => service::prepare(object, keep_addresses),
        ("", "pods") => drop(pod::prepare(object)),
        ("", "persistentvolumeclaims") => volume::prepare_claim(object, false),
        ("", "persistentvolumes") => volume::prepare_volume(object),
        ("", "serviceaccounts") => service_account::prepare(object),
        ("", "secrets") => token_secret::prepare(object),
        ("batch", "jobs") => job::prepare(object),
        ("apps", "deployments" | "daemonsets") => workload::prepare(object),
        ("rbac.authorization.k8s.io", "clusterroles") => cluster_role::prepare(object),
        ("apiextensions.k8s.io", "customresourcedefinitions") => drop(definition::prepare(object)),
        _ => {}
    }
}

/// The value below a path of keys.
pub(super) fn at<'a>(object: &'a Value, path: &[&str]) -> Option<&'a Value> {
    path.iter().try_fold(object, |value, key| value.get(*key))
}

pub(super) fn at_mut<'a>(object: &'a mut Value, path: &[&str]) -> Option<&'a mut Value> {
    path.iter().try_fold(object, |value, key| value.get_mut(*key))
}

pub(super) fn map_mut<'a>(object: &'a mut Value, path: &[&str]) -> Option<&'a mut Map<String, Value>> {
    at_mut(object, path).and_then(Value::as_object_mut)
}

/// Removes one key below a path; removes nothing where the path is absent.
fn remove(object: &mut Value, path: &[&str], key: &str) -> Option<Value> {
    map_mut(object, path).and_then(|map| map.remove(key))
}

/// Removes a map that a rule has emptied, as the API server would not have stored it.
fn remove_if_empty(object: &mut Value, path: &[&str], key: &str) {
    let empty = at(object, path).and_then(|value| value.get(key)).and_then(Value::as_object).is_some_and(Map::is_empty);
    if empty {
        remove(object, path, key);
    }
}

/// Removes annotations by name, and the map when none is left.
fn remove_annotations(object: &mut Value, names: &[&str]) {
    for name in names {
        remove(object, &["metadata", "annotations"], name);
    }
    remove_if_empty(object, &["metadata"], "annotations");
}

#[cfg(test)]
pub(super) mod table {
    //! One row of a rule's table test: a manifest and what the rule makes of it.

    use serde_json::Value;

    use super::{Context, Relink, prepare};

    /// Applies the rules with addresses dropped, volumes dropped and owners kept.
    pub fn prepared(kind: &str, mut object: Value) -> Value {
        let Ok(kind) = kind.parse();
        let context = Context { keep_addresses: false, keep_volume: false, relink: &|_| Relink::Keep };
        prepare(&kind, &mut object, &context);
        object
    }
}
