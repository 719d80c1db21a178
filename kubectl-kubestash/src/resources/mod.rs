//! What the operator, its Jobs and the commands do alike with the custom resources.

pub mod access;
pub mod adopt;
pub mod advice;
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

/// Whether it is not the object that is missing but the whole kind: the API server does not know the path.
pub fn is_unserved(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 404 && status.reason != "NotFound")
}

/// Whether the object was there already.
pub fn exists_already(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 409 && status.reason == "AlreadyExists")
}

/// Makes an object, or finds that it is there.
///
/// # Errors
/// The API server's. A conflict while one of the same name belongs to another owner: to one of the same name as ours, which was deleted, so
/// that the garbage collector will remove it.
pub async fn create_once<K>(api: &Api<K>, object: &K) -> kube::Result<()>
where
    K: Resource + Serialize + DeserializeOwned + Clone + std::fmt::Debug,
{
    match api.create(&PostParams::default(), object).await {
        Ok(_) => Ok(()),
        Err(error) if exists_already(&error) => match api.get_opt(&object.name_any()).await? {
            Some(found) if is_foreign(found.owner_references(), object.owner_references()) => Err(still_there(&found)),
            _ => Ok(()),
        },
        Err(error) => Err(error),
    }
}

/// Whether both have an owner, and not the same.
fn is_foreign(found: &[OwnerReference], wanted: &[OwnerReference]) -> bool {
    let owner = |all: &[OwnerReference]| all.iter().find(|owner| owner.controller == Some(true)).map(|owner| owner.uid.clone());
    owner(found).zip(owner(wanted)).is_some_and(|(found, wanted)| found != wanted)
}

fn still_there<K: Resource>(found: &K) -> kube::Error {
    let owner = found.owner_references().iter().find(|owner| owner.controller == Some(true));
    let owner = owner.map(|owner| format!("{} {}", owner.kind, owner.name)).unwrap_or_default();
    let message = format!("{:?} belongs to an earlier {owner} and is not removed yet", found.name_any());
    kube::Error::Api(kube::core::Status::failure(&message, "Conflict").with_code(409).boxed())
}

/// An object as it is now; nothing when it is gone, also when another one has its name by now: nothing that is known of the one holds for the other.
///
/// # Errors
/// The API server's.
pub async fn as_it_is<K>(api: &Api<K>, known: &K) -> kube::Result<Option<K>>
where
    K: Resource + DeserializeOwned + Clone + std::fmt::Debug,
{
    let found = api.get_opt(&known.name_any()).await?;
    Ok(found.filter(|found| found.meta().uid == known.meta().uid))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_belongs_to_another_owner_is_foreign() {
        let of = |uid: &str, controller: bool| OwnerReference { uid: uid.to_owned(), controller: Some(controller), ..OwnerReference::default() };
        for (found, wanted, foreign) in [
            (vec![of("a", true)], vec![of("a", true)], false),
            (vec![of("a", true)], vec![of("b", true)], true),
            (vec![of("c", false), of("b", true)], vec![of("b", true)], false),
            (vec![], vec![of("b", true)], false),
            (vec![of("a", true)], vec![], false),
        ] {
            assert_eq!(is_foreign(&found, &wanted), foreign, "{found:?} {wanted:?}");
        }
    }
}
