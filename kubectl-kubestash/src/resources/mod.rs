//! What the operator, its Jobs and the commands do alike with the custom resources.

pub mod access;
pub mod adopt;
pub mod outcome;
pub mod permission;
pub mod status;
pub mod storage;

use k8s_openapi::{apimachinery::pkg::apis::meta::v1::OwnerReference, serde::Serialize};
use kube::{
    Api, Client, Resource, ResourceExt as _,
    api::{Patch, PatchParams, PostParams},
    core::{ClusterResourceScope, NamespaceResourceScope},
};
use serde::de::DeserializeOwned;

/// Under this name fields are owned.
pub const FIELD_MANAGER: &str = "kubestash";

/// Objects of a namespace.
pub fn namespaced<K>(client: &Client, namespace: &str) -> Api<K>
where
    K: Resource<Scope = NamespaceResourceScope>,
    K::DynamicType: Default,
{
    Api::namespaced(client.clone(), namespace)
}

/// Objects of the cluster.
pub fn cluster_wide<K>(client: &Client) -> Api<K>
where
    K: Resource<Scope = ClusterResourceScope>,
    K::DynamicType: Default,
{
    Api::all(client.clone())
}

/// Brings an object to a state by server-side apply; creates it where it is not there.
///
/// # Errors
/// The API server's.
pub async fn apply<K>(api: &Api<K>, object: &K) -> kube::Result<K>
where
    K: Resource + Serialize + DeserializeOwned + Clone + std::fmt::Debug,
{
    api.patch(&object.name_any(), &PatchParams::apply(FIELD_MANAGER).force(), &Patch::Apply(object)).await
}

/// What the API server said, without the rest of its answer.
pub fn said(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    }
}

/// Whether it was asked for an object that is not there.
pub fn is_missing(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 404)
}

/// Whether the object was there already.
pub fn exists_already(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 409 && status.reason == "AlreadyExists")
}

/// Makes an object, or finds that it is there.
///
/// # Errors
/// The API server's.
pub async fn create_once<K>(api: &Api<K>, object: &K) -> kube::Result<()>
where
    K: Resource + Serialize + DeserializeOwned + Clone + std::fmt::Debug,
{
    match api.create(&PostParams::default(), object).await {
        Ok(_) => Ok(()),
        Err(error) if exists_already(&error) => Ok(()),
        Err(error) => Err(error),
    }
}

/// The owner reference of a controller.
pub fn owned_by<K>(owner: &K) -> OwnerReference
where
    K: Resource,
    K::DynamicType: Default,
{
    owner.controller_owner_ref(&K::DynamicType::default()).unwrap_or_default()
}

/// Deletes an object, and lets the garbage collector remove in the background what it owns. None is no error.
///
/// # Errors
/// The API server's.
pub async fn delete<K>(api: &Api<K>, name: &str) -> kube::Result<()>
where
    K: Clone + DeserializeOwned + std::fmt::Debug,
{
    match api.delete(name, &kube::api::DeleteParams::background()).await {
        Ok(_) => Ok(()),
        Err(error) if is_missing(&error) => Ok(()),
        Err(error) => Err(error),
    }
}
