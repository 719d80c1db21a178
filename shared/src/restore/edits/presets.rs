//! Traces by which GitOps tools and Helm know what is theirs. Left on a copy, they would prune it, or take it for a release of theirs.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    object::KindInfo,
    restore::transforms::{at, map_mut},
};

/// Traces of one sort of tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// Labels and annotations of Argo CD, Flux, Fleet, Config Sync and of inventories.
    Gitops,
    /// Helm's annotations and label, and the records of its releases.
    Helm,
}

/// Prefixes of labels and annotations that GitOps tools write.
const GITOPS: [&str; 8] = [
    "argocd.argoproj.io/",
    "kustomize.toolkit.fluxcd.io/",
    "helm.toolkit.fluxcd.io/",
    "objectset.rio.cattle.io/",
    "configmanagement.gke.io/",
    "configsync.gke.io/",
    "config.k8s.io/owning-inventory",
    "applyset.kubernetes.io/",
];
const HELM: [&str; 2] = ["meta.helm.sh/release-name", "meta.helm.sh/release-namespace"];
/// Says who manages an object; Helm's only where it says so.
const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Type of the Secrets that hold Helm's releases.
const RELEASE: &str = "helm.sh/release.v1";

impl Preset {
    /// Removes the traces from an object.
    pub fn apply(self, object: &mut Value) {
        for map in ["labels", "annotations"] {
            let Some(metadata) = map_mut(object, &["metadata"]) else { return };
            let Some(marks) = metadata.get_mut(map).and_then(Value::as_object_mut) else { continue };
            marks.retain(|key, value| match self {
                Self::Gitops => !GITOPS.iter().any(|prefix| key.starts_with(prefix)),
                Self::Helm => !(HELM.contains(&key.as_str()) || (key == MANAGED_BY && value == "Helm")),
            });
            if marks.is_empty() {
                Map::remove(metadata, map);
            }
        }
    }

    /// Whether an object is nothing but a record of the tool.
    pub fn is_record(self, kind: &KindInfo, object: &Value) -> bool {
        self == Self::Helm && kind.is_secret() && at(object, &["type"]).and_then(Value::as_str) == Some(RELEASE)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::restore::edits::tests::kind;

    #[test]
    fn traces_go_and_all_else_stays() {
        let rows = [
            (
                Preset::Gitops,
                json!({"metadata": {"labels": {"kustomize.toolkit.fluxcd.io/name": "x", "app": "web"}, "annotations": {"argocd.argoproj.io/tracking-id": "x:apps/Deployment:demo/web"}}}),
                json!({"metadata": {"labels": {"app": "web"}}}),
            ),
            (
                Preset::Helm,
                json!({"metadata": {"labels": {MANAGED_BY: "Helm", "helm.sh/chart": "x-1"}, "annotations": {"meta.helm.sh/release-name": "x", "meta.helm.sh/release-namespace": "demo", "note": "y"}}}),
                json!({"metadata": {"labels": {"helm.sh/chart": "x-1"}, "annotations": {"note": "y"}}}),
            ),
            (Preset::Helm, json!({"metadata": {"labels": {MANAGED_BY: "me"}}}), json!({"metadata": {"labels": {MANAGED_BY: "me"}}})),
        ];
        for (preset, mut object, expected) in rows {
            preset.apply(&mut object);
            assert_eq!(object, expected);
        }
    }

    #[test]
    fn releases_are_records() {
        let release = json!({"type": RELEASE});
        assert!(Preset::Helm.is_record(&kind("secrets", "Secret"), &release));
        assert!(!Preset::Gitops.is_record(&kind("secrets", "Secret"), &release));
        assert!(!Preset::Helm.is_record(&kind("secrets", "Secret"), &json!({"type": "Opaque"})));
    }
}
