//! Writing a status that several write: read, change, write what was read, and again when somebody else was faster.

use kube::{Api, Resource, ResourceExt as _, api::PostParams};
use serde::{Serialize, de::DeserializeOwned};

/// How often the same status is tried to be written.
const TRIES: usize = 20;

/// Changes an object's status. Nothing is sent when the change changes nothing.
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
