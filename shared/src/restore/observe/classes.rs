//! Classes of the cluster, where claims or classes are restored.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use super::{ObserveError, live};
use crate::{
    cluster::Cluster,
    object::{GroupResource, KindInfo},
    restore::{
        facts::{CLASSES, is_default_class},
        plan::{Candidate, LiveClass, Served},
        transforms::at,
    },
};

/// Reads the kinds of classes that matter to candidates. One that may not be looked at is left out.
pub async fn classes(candidates: &[Candidate], cluster: &Cluster, served: &Served) -> Result<HashMap<GroupResource, Vec<LiveClass>>, ObserveError> {
    let claims = candidates.iter().any(|candidate| candidate.id.kind == GroupResource::new("", "persistentvolumeclaims"));
    let mut found = HashMap::new();
    for (group, resource, _) in CLASSES {
        let kind = GroupResource::new(group, resource);
        let matters = (claims && resource == "storageclasses") || candidates.iter().any(|candidate| candidate.id.kind == kind);
        let Some(info) = served.kind(&kind).filter(|_| matters) else { continue };
        match live::each(cluster, info, None, &|item| class(info, item)).await {
            Ok(classes) => drop(found.insert(kind, classes)),
            Err(ObserveError::Cluster { source, .. }) if source.status() == 403 => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

fn class(info: &KindInfo, item: &Value) -> LiveClass {
    let annotations: BTreeMap<String, String> =
        at(item, &["metadata", "annotations"]).and_then(|all| serde_json::from_value(all.clone()).ok()).unwrap_or_default();
    let name = at(item, &["metadata", "name"]).and_then(Value::as_str).unwrap_or_default().to_owned();
    LiveClass { name, is_default: is_default_class(&info.group_resource(), &annotations) }
}
