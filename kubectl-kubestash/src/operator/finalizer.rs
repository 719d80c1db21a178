//! The finalizer `kubestash.com/cleanup`. Cleaning up may begin before anything was set up: every step of it accepts that there is nothing.

use kube::{
    Api, Resource, ResourceExt as _,
    api::{Patch, PatchParams},
};
use kubestash::api::labels::CLEANUP_FINALIZER;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::json;

/// What an Event says of data that is to be erased, while that fails.
pub fn not_erased_yet(why: impl std::fmt::Display) -> String {
    format!("The data is not erased yet, which is tried again (with `spec.deletionPolicy: Delete` it is left where it is): {why}")
}

/// What an Event says of data that nobody can erase any more.
pub fn not_erased(why: impl std::fmt::Display) -> String {
    format!("The data was not erased, although deletionPolicy is WipeOut: {why}")
}

/// Adds it.
///
/// # Errors
/// The API server's; a conflict when somebody else changed the list.
pub async fn add<K>(api: &Api<K>, object: &K) -> kube::Result<()>
where
    K: Resource + Clone + Serialize + DeserializeOwned + std::fmt::Debug,
{
    let mut all = object.finalizers().to_vec();
    all.push(CLEANUP_FINALIZER.to_owned());
    let patch = json!({"metadata": {"resourceVersion": object.resource_version(), "finalizers": all}});
    api.patch(&object.name_any(), &PatchParams::default(), &Patch::Merge(&patch)).await?;
    Ok(())
}

/// Removes it from an object that is being deleted. One that is gone is no error, and another one that has its name by now is left alone.
///
/// # Errors
/// The API server's.
pub async fn remove<K>(api: &Api<K>, name: &str) -> kube::Result<()>
where
    K: Resource + Clone + Serialize + DeserializeOwned + std::fmt::Debug,
{
    let Some(found) = api.get_opt(name).await?.filter(|found| found.meta().deletion_timestamp.is_some()) else { return Ok(()) };
    let left: Vec<&String> = found.finalizers().iter().filter(|other| *other != CLEANUP_FINALIZER).collect();
    if left.len() == found.finalizers().len() {
        return Ok(());
    }
    let patch = json!({"metadata": {"resourceVersion": found.resource_version(), "finalizers": left}});
    match api.patch(name, &PatchParams::default(), &Patch::Merge(&patch)).await {
        Ok(_) => Ok(()),
        Err(error) if crate::resources::is_missing(&error) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Whether an object has it.
pub fn is_there<K: Resource>(object: &K) -> bool {
    object.meta().finalizers.iter().flatten().any(|finalizer| finalizer == CLEANUP_FINALIZER)
}
