//! BackupStorage: its Secret, its `metadata.yaml`, the repositories that are there already, and what its deletion erases.
//!
//! The operator talks to buckets itself. A volume it does not mount, so a Job in the storage's namespace does the same there.

mod decide;
#[cfg(test)]
mod model;

use std::{sync::Arc, time::Duration};

use k8s_openapi::api::batch::v1::Job;
use kube::{
    Api, ResourceExt as _,
    api::{ListParams, Patch, PatchParams},
    runtime::controller::Action,
};
use kubestash::{
    api::{BackupStorage, DeletionPolicy, Repository, Snapshot, labels},
    backend,
    deploy::rbac::STORAGE_JOB,
    store::Store,
};
use serde_json::json;

use self::decide::{Backend, SecretState, Seen, Step, decide};
use super::{
    Error,
    context::Context,
    finalizer,
    job_state::{self, JobState},
    own_job::{OwnWork, start},
    steps::Then,
};
use crate::resources::{
    access,
    adopt::adopt,
    advice::explained,
    as_it_is, namespaced, owned_by,
    status::replace_status,
    storage::{OpenError, check, is_local, open, secret_of},
};

/// A storage that is ready is looked at again after so long: others may have put repositories into it.
const AGAIN: Duration = Duration::from_secs(600);
/// One that is not, because what it lacks cannot be watched.
const SOON: Duration = Duration::from_secs(labels::REQUEUE_SECONDS);

fn init_job(storage: &BackupStorage) -> String {
    kubestash::api::join_name("init", &storage.name_any(), "")
}

fn cleanup_job(storage: &BackupStorage) -> String {
    kubestash::api::join_name("cleanup", &storage.name_any(), "")
}

/// Everything that is known of a storage; nothing when it is gone.
async fn observe(storage: &BackupStorage, context: &Context) -> Result<Option<Seen>, Error> {
    let namespace = storage.namespace().unwrap_or_default();
    let uid = storage.metadata.uid.as_deref();
    let cleanup = job_state::observe(&context.client, &namespace, &cleanup_job(storage), uid, context.now()).await?;
    let init = match is_local(storage) {
        true => job_state::observe(&context.client, &namespace, &init_job(storage), uid, context.now()).await?,
        false => JobState::Absent,
    };
    // The Jobs first: what they had to tell when they had ended stands in the storage that is read behind.
    let Some(storage) = as_it_is(&namespaced::<BackupStorage>(&context.client, &namespace), storage).await? else { return Ok(None) };
    let (secret, backend, store) = look(&storage, init, context).await;
    let repositories = repositories_of(&storage, context).await?;
    Ok(Some(Seen { storage, secret, backend, store, repositories, cleanup }))
}

/// Looks at the Secret, and whether the backend can be opened with it.
async fn look(storage: &BackupStorage, init: JobState, context: &Context) -> (SecretState, Backend, Option<Store>) {
    let secret = if secret_of(storage).is_some() { SecretState::Found } else { SecretState::NotNeeded };
    let deleting = storage.metadata.deletion_timestamp.is_some();
    if is_local(storage) {
        let backend = match check(storage) {
            _ if deleting => Backend::NotAsked,
            Ok(()) => Backend::Job(init),
            Err(error) => Backend::Failed(explained(&error.into())),
        };
        return (secret, backend, None);
    }
    match open(&context.client, storage).await {
        Err(error) => {
            let state: Option<fn(String) -> SecretState> = match &error {
                OpenError::SecretMissing { .. } | OpenError::SecretContent { .. } => Some(SecretState::Missing),
                OpenError::SecretUnreadable { .. } => Some(SecretState::Unread),
                OpenError::Spec { .. } | OpenError::Store { .. } => None,
            };
            let why = explained(&error.into());
            let secret = state.map_or(secret, |state| state(why.clone()));
            (secret, if deleting { Backend::NotAsked } else { Backend::Failed(why) }, None)
        }
        // What was erased must not come back.
        Ok(_) if deleting => (secret, Backend::NotAsked, None),
        Ok(store) => (secret, Backend::Opened, Some(store)),
    }
}

/// Makes what is missing in the bucket and in the cluster. Doing it again changes nothing.
async fn initialise(storage: &BackupStorage, store: &Store, context: &Context) -> Backend {
    match backend::initialise(store, context.now()).await {
        Ok(meta) => Backend::Reached(adopt(&context.client, store, storage, &meta).await),
        Err(error) => Backend::Failed(explained(&error.into())),
    }
}

/// The Repository objects that name a storage.
async fn repositories_of(storage: &BackupStorage, context: &Context) -> Result<Vec<Repository>, Error> {
    let mut all = Api::<Repository>::all(context.client.clone()).list(&ListParams::default()).await?.items;
    all.retain(|repository| refers_to(repository, storage));
    Ok(all)
}

/// Whether a repository lies in a storage.
pub fn refers_to(repository: &Repository, storage: &BackupStorage) -> bool {
    let own = repository.namespace().unwrap_or_default();
    repository.spec.storage_ref.as_ref().is_some_and(|reference| {
        let reference = reference.object();
        reference.name == storage.name_any() && Some(reference.namespace_or(&own)) == storage.metadata.namespace.as_deref()
    })
}

/// Brings one storage a step further.
///
/// # Errors
/// The API server's; it is tried again.
pub async fn reconcile(storage: Arc<BackupStorage>, context: Arc<Context>) -> Result<Action, Error> {
    let Some(mut seen) = observe(&storage, &context).await? else { return Ok(Action::await_change()) };
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
    let storage = &seen.storage;
    let namespace = storage.namespace().unwrap_or_default();
    let api = namespaced::<BackupStorage>(&context.client, &namespace);
    match step {
        Step::AddFinalizer => finalizer::add(&api, storage).await?,
        Step::Initialise => {
            let Some(store) = seen.store.take() else { return Ok(Then::Again(SOON)) };
            seen.backend = initialise(storage, &store, context).await;
            return Ok(Then::Decide);
        }
        Step::Status(status) => {
            replace_status(&api, storage, |storage| storage.status = Some((**status).clone())).await?;
            let before = storage.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
            context.told(storage, before, &status.conditions).await;
        }
        Step::StartInit => {
            let args = vec!["init".to_owned(), format!("--storage={}", storage.name_any())];
            let work = OwnWork {
                name: init_job(storage),
                component: labels::component::INITIALIZER,
                args,
                cluster_roles: vec![STORAGE_JOB],
                owner: Some(owned_by(storage)),
            };
            start(context, storage, work).await?;
        }
        Step::StartCleanup => {
            let args = vec!["cleanup".to_owned(), format!("--storage={}", storage.name_any())];
            let work = OwnWork {
                name: cleanup_job(storage),
                component: labels::component::CLEANER,
                args,
                cluster_roles: vec![STORAGE_JOB],
                owner: Some(owned_by(storage)),
            };
            start(context, storage, work).await?;
        }
        Step::RemoveInit => crate::resources::delete::<Job>(&namespaced(&context.client, &namespace), &init_job(storage)).await?,
        Step::RemoveCleanup => crate::resources::delete::<Job>(&namespaced(&context.client, &namespace), &cleanup_job(storage)).await?,
        Step::RemoveObjects => {
            for repository in &seen.repositories {
                remove_objects(repository, context).await?;
            }
        }
        Step::Tell(message) => context.warning(storage, "BackendNotErased", message.clone()).await,
        Step::RemoveFinalizer => {
            for job in [init_job(storage), cleanup_job(storage)] {
                access::revoke(&context.client, &job, &namespace).await?;
            }
            finalizer::remove(&api, &storage.name_any()).await?;
        }
        Step::Wait => return Ok(Then::Again(SOON)),
    }
    Ok(Then::Next)
}

/// Removes the objects of a repository and none of its data: the storage's policy has decided about that.
async fn remove_objects(repository: &Repository, context: &Context) -> Result<(), Error> {
    let namespace = repository.namespace().unwrap_or_default();
    let api = namespaced::<Repository>(&context.client, &namespace);
    let own = ListParams::default().labels(&format!("{}={}", labels::REPO_NAME, repository.name_any()));
    let snapshots = namespaced::<Snapshot>(&context.client, &namespace);
    let keep = json!({"spec": {"deletionPolicy": DeletionPolicy::Delete}});
    api.patch(&repository.name_any(), &PatchParams::default(), &Patch::Merge(&keep)).await?;
    crate::resources::delete(&api, &repository.name_any()).await?;
    for snapshot in snapshots.list(&own).await? {
        snapshots.patch(&snapshot.name_any(), &PatchParams::default(), &Patch::Merge(&keep)).await?;
        crate::resources::delete(&snapshots, &snapshot.name_any()).await?;
    }
    Ok(())
}
