//! Repository: its place in the storage, what its Snapshots add up to, and what its deletion erases.

mod decide;
#[cfg(test)]
mod model;

use std::{sync::Arc, time::Duration};

use k8s_openapi::api::batch::v1::Job;
use kube::{ResourceExt as _, api::ListParams, runtime::controller::Action};
use kubestash::{
    api::{BackupStorage, Repository, Snapshot, labels},
    backend,
    deploy::rbac::STORAGE_JOB,
};

use self::decide::{Place, Seen, Step, decide};
use super::{
    Error,
    context::Context,
    finalizer,
    job_state::{self, JobState},
    outcome::LISTED,
    own_job::{self, OwnWork, start},
    steps::Then,
};
use crate::resources::{
    access,
    advice::explained,
    as_it_is, namespaced,
    outcome::registration,
    status::{replace_status, update_status},
    storage::{is_local, open},
};

const AGAIN: Duration = Duration::from_secs(600);
const SOON: Duration = Duration::from_secs(labels::REQUEUE_SECONDS);

/// Everything that is known of a repository; nothing when it is gone.
async fn observe(repository: &Repository, context: &Context) -> Result<Option<Seen>, Error> {
    let namespace = repository.namespace().unwrap_or_default();
    let reference = repository.spec.storage_ref.clone().unwrap_or_default().object();
    let place = reference.namespace_or(&namespace);
    let storage = namespaced::<BackupStorage>(&context.client, place).get_opt(&reference.name).await?;
    let job = async |what, wanted: bool| match wanted {
        true => job_state::observe(&context.client, place, &own_job::name(what, repository), None, context.now()).await,
        false => Ok(JobState::Absent),
    };
    let deleting = repository.metadata.deletion_timestamp.is_some();
    let init = job("init", !deleting && storage.as_ref().is_some_and(is_local)).await?;
    let cleanup = job("cleanup", deleting && storage.is_some()).await?;
    // The Jobs first: what they had to tell when they had ended stands in the repository that is read behind.
    let Some(repository) = as_it_is(&namespaced::<Repository>(&context.client, &namespace), repository).await? else { return Ok(None) };
    let own = ListParams::default().labels(&format!("{}={}", labels::REPO_NAME, repository.name_any()));
    let snapshots = namespaced::<Snapshot>(&context.client, &namespace).list(&own).await?.items;
    let place = Place::of(&repository, storage.as_ref(), context.was_registered(&repository));
    Ok(Some(Seen { repository, place, init, cleanup, snapshots, storage }))
}

/// Looks whether the repository has its place in a bucket, and gives it one: when it is new or changed, and every ten minutes; not with each of its
/// Snapshots.
async fn register(seen: &Seen, context: &Context) -> Result<Place, Error> {
    let Some(storage) = &seen.storage else { return Ok(Place::of(&seen.repository, None, false)) };
    // What was erased must not come back, and the storage may be going by now.
    let storage = as_it_is(&namespaced(&context.client, &storage.namespace().unwrap_or_default()), storage).await?;
    let place = Place::of(&seen.repository, storage.as_ref(), false);
    let (Place::Unknown, Some(storage)) = (&place, storage) else { return Ok(place) };
    Ok(match enter(&seen.repository, &storage, context).await {
        Ok(()) => {
            context.note_registered(&seen.repository);
            Place::Registered
        }
        Err(error) => Place::Failed(explained(&error)),
    })
}

/// Its entry in `metadata.yaml` and its `repository.yaml`, unless both say the same already.
async fn enter(repository: &Repository, storage: &BackupStorage, context: &Context) -> anyhow::Result<()> {
    let (entry, yaml) = registration(repository)?;
    let store = open(&context.client, storage).await?;
    let _one_at_a_time = context.storage_writes.lock().await;
    let known = backend::initialise(&store, context.now()).await?.repositories.contains(&entry);
    let same = known && backend::repository_text(&store.sub(&entry.path)).await?.is_some_and(|text| text == yaml);
    if !same {
        backend::register(&store, &entry, yaml, context.now()).await?;
    }
    Ok(())
}

/// Brings one repository a step further.
///
/// # Errors
/// The API server's; it is tried again.
pub async fn reconcile(repository: Arc<Repository>, context: Arc<Context>) -> Result<Action, Error> {
    if repository.spec.paused.unwrap_or(false) && repository.metadata.deletion_timestamp.is_none() {
        return Ok(Action::await_change());
    }
    let Some(mut seen) = observe(&repository, &context).await? else { return Ok(Action::await_change()) };
    let mut again = AGAIN;
    let mut steps = decide(&seen, context.now()).into_iter();
    while let Some(step) = steps.next() {
        match apply(&mut seen, &step, &context).await? {
            Then::Next => {}
            Then::Again(wait) => again = again.min(wait),
            Then::Decide => steps = decide(&seen, context.now()).into_iter(),
        }
    }
    Ok(Action::requeue(again))
}

async fn apply(seen: &mut Seen, step: &Step, context: &Context) -> Result<Then, Error> {
    let repository = &seen.repository;
    let namespace = repository.namespace().unwrap_or_default();
    let api = namespaced::<Repository>(&context.client, &namespace);
    let place = seen.storage.as_ref().and_then(|storage| storage.namespace()).unwrap_or_default();
    match step {
        Step::AddFinalizer => finalizer::add(&api, repository).await?,
        Step::Register => {
            seen.place = register(seen, context).await?;
            return Ok(Then::Decide);
        }
        Step::Status(status) => {
            replace_status(&api, repository, |repository| repository.status = Some((**status).clone())).await?;
            let before = repository.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
            context.told(repository, before, &status.conditions).await;
        }
        Step::ListUpdated(names) => {
            let snapshots = namespaced::<Snapshot>(&context.client, &namespace);
            for name in names {
                let done = update_status(&snapshots, name, |snapshot: &mut Snapshot| {
                    let status = snapshot.status.get_or_insert_default();
                    kubestash::api::set_condition(&mut status.conditions, LISTED.condition(Ok(())), context.now());
                    status.phase = Some(status.compute_phase());
                });
                match done.await {
                    Err(error) if !crate::resources::is_missing(&error) => return Err(error.into()),
                    _ => {}
                }
            }
        }
        Step::StartInit => {
            if let Some(storage) = &seen.storage {
                let args = vec![
                    "init".to_owned(),
                    format!("--storage={}", storage.name_any()),
                    format!("--repository-namespace={namespace}"),
                    format!("--repository={}", repository.name_any()),
                ];
                let name = own_job::name("init", repository);
                let work = OwnWork { name, component: labels::component::UPLOADER, args, cluster_roles: vec![STORAGE_JOB], owner: None };
                start(context, storage, work).await?;
            }
        }
        Step::StartCleanup => {
            if let Some(storage) = &seen.storage {
                let path = repository.spec.path.clone().unwrap_or_default();
                let args = vec!["cleanup".to_owned(), format!("--storage={}", storage.name_any()), format!("--path={path}")];
                let name = own_job::name("cleanup", repository);
                let work = OwnWork { name, component: labels::component::CLEANER, args, cluster_roles: vec![STORAGE_JOB], owner: None };
                start(context, storage, work).await?;
            }
        }
        Step::RemoveJob(what) => crate::resources::delete::<Job>(&namespaced(&context.client, &place), &own_job::name(what, repository)).await?,
        Step::RemoveSnapshots => {
            let snapshots = namespaced::<Snapshot>(&context.client, &namespace);
            for snapshot in &seen.snapshots {
                crate::resources::delete(&snapshots, &snapshot.name_any()).await?;
            }
        }
        Step::Tell(message) => context.warning(repository, "DataNotErased", message.clone()).await,
        Step::RemoveFinalizer => {
            for what in ["init", "cleanup"] {
                access::revoke(&context.client, &own_job::name(what, repository), &place).await?;
            }
            finalizer::remove(&api, &repository.name_any()).await?;
        }
        Step::Wait => return Ok(Then::Again(SOON)),
    }
    Ok(Then::Next)
}
