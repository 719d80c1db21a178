//! Objects that a controller made and makes again: their changes are somebody else's changes.

use crate::object::{GroupResource, yaml};

/// Kinds whose objects are mostly made by controllers of other objects. Only these are worth reading for [`is_controlled`].
pub fn may_be_controlled(kind: &GroupResource) -> bool {
    matches!(
        (kind.group.as_str(), kind.resource.as_str()),
        ("", "pods") | ("apps", "replicasets" | "controllerrevisions") | ("batch", "jobs") | ("discovery.k8s.io", "endpointslices")
    )
}

/// Whether a manifest names a managing controller among its owners. Text that is no manifest has none.
pub fn is_controlled(manifest: &[u8]) -> bool {
    let object = yaml::read(manifest).unwrap_or_default();
    let owners = object.pointer("/metadata/ownerReferences").and_then(|owners| owners.as_array());
    owners.into_iter().flatten().any(|owner| owner.get("controller").and_then(|flag| flag.as_bool()) == Some(true))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_managing_owner_counts() {
        for (manifest, controlled) in [
            ("metadata:\n  ownerReferences:\n  - controller: true\n    name: a\n", true),
            ("metadata:\n  ownerReferences:\n  - name: a\n", false),
            ("metadata:\n  ownerReferences:\n  - controller: false\n    name: a\n", false),
            ("metadata:\n  name: a\n", false),
            ("\t", false),
        ] {
            assert_eq!(is_controlled(manifest.as_bytes()), controlled, "{manifest}");
        }
        for (kind, may) in [("pods", true), ("replicasets.apps", true), ("jobs.batch", true), ("deployments.apps", false), ("secrets", false)] {
            assert_eq!(kind.parse().map(|kind| may_be_controlled(&kind)), Ok(may), "{kind}");
        }
    }
}
