//! Snapshot: what its deletion erases. Everything else about it is written by its backup, its BackupSession and its Repository.

mod decide;
#[cfg(test)]
mod model;

use std::{sync::Arc, time::Duration};

use k8s_openapi::api::batch::v1::Job;
use kube::{ResourceExt as _, runtime::controller::Action};
use kubestash::{
    api::{BackupStorage, Repository, Snapshot, labels},
    backend,
    deploy::rbac::STORAGE_JOB,
};

use self::decide::{Seen, Step, decide};
use super::{
    Error,
    context::Context,
    finalizer,
    job_state::{self, JobState},
    own_job::{self, OwnWork, start},
};
use crate::resources::{
    access,
    advice::explained,
    namespaced, owned_by,
    storage::{is_local, open},
};

const SOON: Duration = Duration::from_secs(labels::REQUEUE_SECONDS);

fn cleanup_job(snapshot: &Snapshot) -> String {
    own_job::name("cleanup", snapshot)
}

async fn observe(snapshot: &Snapshot, context: &Context) -> Result<Seen, Error> {
    let namespace = snapshot.namespace().unwrap_or_default();
    let repository = namespaced::<Repository>(&context.client, &namespace).get_opt(&snapshot.spec.repository).await?;
    let reference = repository.as_ref().and_then(|repository| repository.spec.storage_ref.as_ref()).map(|reference| reference.object());
    let storage = match &reference {
        Some(reference) => namespaced::<BackupStorage>(&context.client, reference.namespace_or(&namespace)).get_opt(&reference.name).await?,
        None => None,
    };
    let cleanup = match storage.as_ref().filter(|storage| is_local(storage)).and_then(|storage| storage.namespace()) {
        Some(place) => job_state::observe(&context.client, &place, &cleanup_job(snapshot), None, context.now()).await?,
        None => JobState::Absent,
    };
    Ok(Seen { snapshot: snapshot.clone(), repository, storage, cleanup })
}

/// Lets go of a snapshot that is being deleted, when its data is as its policy wants.
///
/// # Errors
/// The API server's; it is tried again.
pub async fn reconcile(snapshot: Arc<Snapshot>, context: Arc<Context>) -> Result<Action, Error> {
    // Most are looked at because something of them was written: nothing is asked for on that account.
    if snapshot.metadata.deletion_timestamp.is_none() || !finalizer::is_there(&*snapshot) {
        return Ok(Action::await_change());
    }
    let seen = observe(&snapshot, &context).await?;
    for step in decide(&seen) {
        if let Some(wait) = apply(&seen, &step, &context).await? {
            return Ok(Action::requeue(wait));
        }
    }
    Ok(Action::await_change())
}

/// Does one step; gives when to look again, if the next step cannot be done now.
async fn apply(seen: &Seen, step: &Step, context: &Context) -> Result<Option<Duration>, Error> {
    let snapshot = &seen.snapshot;
    let namespace = snapshot.namespace().unwrap_or_default();
    let place = seen.storage.as_ref().and_then(|storage| storage.namespace()).unwrap_or_default();
    let path = seen.repository.as_ref().and_then(|repository| repository.spec.path.clone()).unwrap_or_default();
    let (name, id) = (snapshot.name_any(), &snapshot.spec.snapshot_id);
    match step {
        Step::Erase => {
            let erased: anyhow::Result<()> = async {
                if let Some(storage) = &seen.storage {
                    let directory = open(&context.client, storage).await?.sub(&path);
                    backend::remove_snapshot(&directory, &name, id.parse().ok()).await?;
                }
                Ok(())
            }
            .await;
            if let Err(error) = erased {
                context.warning(snapshot, "DataNotErased", finalizer::not_erased_yet(explained(&error))).await;
                return Ok(Some(SOON));
            }
        }
        Step::StartCleanup => {
            if let Some(storage) = &seen.storage {
                let args = vec![
                    "cleanup".to_owned(),
                    format!("--storage={}", storage.name_any()),
                    format!("--path={path}"),
                    format!("--snapshot={name}"),
                    format!("--snapshot-id={id}"),
                ];
                let owner = (storage.namespace() == snapshot.namespace()).then(|| owned_by(snapshot));
                let work =
                    OwnWork { name: cleanup_job(snapshot), component: labels::component::CLEANER, args, cluster_roles: vec![STORAGE_JOB], owner };
                start(context, storage, work).await?;
            }
        }
        Step::RemoveJob => {
            crate::resources::delete::<Job>(&namespaced(&context.client, &place), &cleanup_job(snapshot)).await?;
            access::revoke(&context.client, &cleanup_job(snapshot), &place).await?;
        }
        Step::Tell(message) => context.warning(snapshot, "DataNotErased", message.clone()).await,
        Step::RemoveFinalizer => finalizer::remove(&namespaced::<Snapshot>(&context.client, &namespace), &name).await?,
        Step::Wait => return Ok(Some(SOON)),
    }
    Ok(None)
}
