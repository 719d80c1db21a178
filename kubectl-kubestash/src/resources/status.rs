//! Writing a status. What adds to it is done with whatever stands there; what was decided for an object as a whole holds for what was seen, and for
//! nothing newer.

use kube::{Api, Resource, ResourceExt as _, api::PostParams};
use serde::{Serialize, de::DeserializeOwned};

/// How often the same status is tried to be written.
const TRIES: usize = 20;

/// Writes the status of an object that was decided for it as it was seen.
///
/// # Errors
/// The API server's; a conflict when the object was changed since: look again.
pub async fn replace_status<K>(api: &Api<K>, seen: &K, change: impl FnOnce(&mut K)) -> kube::Result<K>
where
    K: Resource + Clone + Serialize + DeserializeOwned + std::fmt::Debug,
{
    let mut changed = seen.clone();
    change(&mut changed);
    api.replace_status(&seen.name_any(), &PostParams::default(), &changed).await
}

/// Changes a status that several write: reads it, changes it, writes it, and again when somebody else was faster. Nothing is sent when the change
/// changes nothing.
///
/// # Errors
/// The API server's; a conflict only after many tries.
pub async fn update_status<K>(api: &Api<K>, name: &str, change: impl Fn(&mut K)) -> kube::Result<K>
where
    K: Resource + Clone + Serialize + DeserializeOwned + std::fmt::Debug + PartialEq,
{
    let mut tries = 0;
    loop {
        let found = api.get(name).await?;
        let mut changed = found.clone();
        change(&mut changed);
        if changed == found {
            return Ok(found);
        }
        tries += 1;
        match api.replace_status(&found.name_any(), &PostParams::default(), &changed).await {
            Err(kube::Error::Api(status)) if status.code == 409 && tries < TRIES => {}
            other => return other,
        }
    }
}
