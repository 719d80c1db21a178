//! Snapshot: what its deletion erases. Everything else about it is written by its backup, its BackupSession and its Repository.

use std::{sync::Arc, time::Duration};

use kube::{ResourceExt as _, runtime::controller::Action};
use kubestash::{
    api::{BackupStorage, DeletionPolicy, Repository, Snapshot, labels},
    backend,
    deploy::rbac::STORAGE_JOB,
};

use super::{
    Error,
    context::Context,
    finalizer,
    job_state::{self, JobState},
    own_job::{OwnWork, start},
};
use crate::resources::{
    access, namespaced,
    outcome::one_line,
    owned_by,
    storage::{is_local, open},
};

const SOON: Duration = Duration::from_secs(labels::REQUEUE_SECONDS);

/// How the data of a snapshot that is being deleted is dealt with.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Fate {
    /// It stays: the policy says so, or its repository's or storage's policy decides about it.
    Stays,
    /// It cannot be reached any more.
    OutOfReach(&'static str),
    /// It is erased.
    Erased,
}

fn fate(snapshot: &Snapshot, repository: Option<&Repository>, storage: Option<&BackupStorage>) -> Fate {
    if snapshot.spec.deletion_policy != Some(DeletionPolicy::WipeOut) {
        return Fate::Stays;
    }
    match (repository, storage) {
        (None, _) => Fate::OutOfReach("its Repository does not exist any more"),
        (Some(repository), _) if repository.metadata.deletion_timestamp.is_some() => Fate::Stays,
        (_, None) => Fate::OutOfReach("its BackupStorage does not exist any more"),
        (_, Some(storage)) if storage.metadata.deletion_timestamp.is_some() => Fate::Stays,
        _ => Fate::Erased,
    }
}

/// Lets go of a snapshot that is being deleted, when its data is as its policy wants.
///
/// # Errors
/// The API server's; it is tried again.
pub async fn reconcile(snapshot: Arc<Snapshot>, context: Arc<Context>) -> Result<Action, Error> {
    if snapshot.metadata.deletion_timestamp.is_none() || !finalizer::is_there(&*snapshot) {
        return Ok(Action::await_change());
    }
    let namespace = snapshot.namespace().unwrap_or_default();
    let api = namespaced::<Snapshot>(&context.client, &namespace);
    let repository = namespaced::<Repository>(&context.client, &namespace).get_opt(&snapshot.spec.repository).await?;
    let reference = repository.as_ref().and_then(|repository| repository.spec.storage_ref.as_ref()).map(|reference| reference.object());
    let storage = match &reference {
        Some(reference) => namespaced::<BackupStorage>(&context.client, reference.namespace_or(&namespace)).get_opt(&reference.name).await?,
        None => None,
    };
    match (fate(&snapshot, repository.as_ref(), storage.as_ref()), &repository, &storage) {
        (Fate::Erased, Some(repository), Some(storage)) => match erase(&snapshot, repository, storage, &context).await {
            Ok(true) => {}
            Ok(false) => return Ok(Action::requeue(SOON)),
            Err(error) => {
                context.warning(&*snapshot, "DataNotErased", format!("The data is not erased yet: {}", one_line(&error))).await;
                return Ok(Action::requeue(SOON));
            }
        },
        (Fate::OutOfReach(why), ..) => {
            context.warning(&*snapshot, "DataNotErased", format!("The data was not erased, although deletionPolicy is WipeOut: {why}")).await;
        }
        _ => {}
    }
    finalizer::remove(&api, &snapshot.name_any()).await?;
    Ok(Action::await_change())
}

/// Erases exactly this snapshot; whether that is done.
async fn erase(snapshot: &Snapshot, repository: &Repository, storage: &BackupStorage, context: &Context) -> anyhow::Result<bool> {
    let path = repository.spec.path.clone().unwrap_or_default();
    let (name, id) = (snapshot.name_any(), &snapshot.spec.snapshot_id);
    if !is_local(storage) {
        let directory = open(&context.client, storage).await?.sub(&path);
        backend::remove_snapshot(&directory, &name, id.parse().ok()).await?;
        return Ok(true);
    }
    let place = storage.namespace().unwrap_or_default();
    let job = kubestash::api::join_name("cleanup", &name, "");
    match job_state::observe(&context.client, &place, &job, context.now()).await? {
        JobState::Succeeded => {
            access::revoke(&context.client, &job, &place).await?;
            Ok(true)
        }
        JobState::Running { .. } => Ok(false),
        JobState::Absent => {
            let args = vec![
                "cleanup".to_owned(),
                format!("--storage={}", storage.name_any()),
                format!("--path={path}"),
                format!("--snapshot={name}"),
                format!("--snapshot-id={id}"),
            ];
            let owner = (storage.namespace() == snapshot.namespace()).then(|| owned_by(snapshot));
            let work = OwnWork { name: job, component: labels::component::CLEANER, args, cluster_roles: vec![STORAGE_JOB], owner };
            start(context, storage, work).await?;
            Ok(false)
        }
        JobState::Failed { message } => {
            crate::resources::delete::<k8s_openapi::api::batch::v1::Job>(&namespaced(&context.client, &place), &job).await?;
            anyhow::bail!(message)
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn object<K: serde::de::DeserializeOwned>(group: &str, kind: &str, meta: Value, spec: Value) -> K {
        serde_json::from_value(json!({"apiVersion": format!("{group}.kubestash.com/v1alpha1"), "kind": kind, "metadata": meta, "spec": spec}))
            .unwrap()
    }

    #[test]
    fn only_what_is_to_be_erased_and_can_be_is_erased() {
        let gone = json!({"deletionTimestamp": "2026-01-01T00:00:00Z"});
        let snapshot = |policy: &str| object::<Snapshot>("storage", "Snapshot", json!({}), json!({"deletionPolicy": policy}));
        let repository = |meta: &Value| object::<Repository>("storage", "Repository", meta.clone(), json!({}));
        let storage = |meta: &Value| object::<BackupStorage>("storage", "BackupStorage", meta.clone(), json!({}));
        let there = json!({});
        let table = [
            ("Delete", Some(&there), Some(&there), Fate::Stays),
            ("WipeOut", Some(&there), Some(&there), Fate::Erased),
            ("WipeOut", Some(&gone), Some(&there), Fate::Stays),
            ("WipeOut", Some(&there), Some(&gone), Fate::Stays),
            ("WipeOut", None, None, Fate::OutOfReach("its Repository does not exist any more")),
            ("WipeOut", Some(&there), None, Fate::OutOfReach("its BackupStorage does not exist any more")),
        ];
        for (policy, repository_meta, storage_meta, wanted) in table {
            let found = fate(&snapshot(policy), repository_meta.map(repository).as_ref(), storage_meta.map(storage).as_ref());
            assert_eq!(found, wanted, "{policy} {repository_meta:?} {storage_meta:?}");
        }
    }
}
