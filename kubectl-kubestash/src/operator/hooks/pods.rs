//! The Pods that a hook may run in.

use k8s_openapi::{
    api::{apps::v1::ReplicaSet, batch::v1::Job, core::v1::Pod},
    apimachinery::pkg::apis::meta::v1::OwnerReference,
};
use kube::{Client, ResourceExt as _, api::ListParams};
use kubestash::session::hooks::{
    HookError,
    pods::{Choice, belongs},
};

use super::run::failed;
use crate::resources::namespaced;

/// The Pods that selector and owner match, whatever their state.
///
/// A Deployment owns its Pods through a ReplicaSet, a CronJob through a Job: such owners count, too.
pub async fn matching(client: &Client, namespace: &str, choice: &Choice) -> Result<Vec<Pod>, HookError> {
    let unreadable = |error: kube::Error| failed(&format!("the Pods of namespace {namespace} cannot be listed"), &error);
    let found = namespaced::<Pod>(client, namespace).list(&ListParams::default().labels(&choice.selector)).await.map_err(unreadable)?;
    let Some(owner) = &choice.owner else { return Ok(found.items) };
    let mut own = Vec::new();
    for pod in found.items {
        if belongs(pod.owner_references(), owner) || belongs(&above(client, namespace, pod.owner_references()).await?, owner) {
            own.push(pod);
        }
    }
    Ok(own)
}

/// What owns the owners, as far as these are ReplicaSets and Jobs.
async fn above(client: &Client, namespace: &str, references: &[OwnerReference]) -> Result<Vec<OwnerReference>, HookError> {
    let mut all = Vec::new();
    for reference in references {
        let what = || format!("{} {namespace}/{} cannot be read", reference.kind, reference.name);
        let found = match reference.kind.as_str() {
            "ReplicaSet" => namespaced::<ReplicaSet>(client, namespace).get_opt(&reference.name).await.map(|found| found.map(|set| set.metadata)),
            "Job" => namespaced::<Job>(client, namespace).get_opt(&reference.name).await.map(|found| found.map(|job| job.metadata)),
            _ => continue,
        };
        let found = found.map_err(|error| failed(&what(), &error))?;
        all.extend(found.and_then(|metadata| metadata.owner_references).into_iter().flatten());
    }
    Ok(all)
}
