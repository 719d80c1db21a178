//! What a storage needs next. Pure.

use jiff::Timestamp;
use kube::ResourceExt as _;
use kubestash::{
    api::{
        BackupStorage, BackupStorageStatus, DeletionPolicy, Repository, StorageRepository, conditions, format_size, parse_size, remove_condition,
        set_condition,
    },
    store::Store,
};

use crate::operator::{finalizer, job_state::JobState, outcome::SECRET};

/// The Secret with the credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretState {
    /// Ambient credentials, or a volume.
    NotNeeded,
    /// There, with what is needed.
    Found,
    /// Not there, or without what is needed.
    Missing(String),
    /// Nobody knows: the API server did not tell.
    Unread(String),
}

/// What was seen of the backend.
#[derive(Debug, Clone, PartialEq)]
pub enum Backend {
    /// The operator can open it, and has to look at it.
    Opened,
    /// The operator has read or written `metadata.yaml`, and looked at what lies there.
    Reached(Vec<StorageRepository>),
    /// That failed.
    Failed(String),
    /// A Job does it, which writes the condition itself.
    Job(JobState),
    /// It is being deleted.
    NotAsked,
}

/// All that is known.
pub struct Seen {
    pub storage: BackupStorage,
    pub secret: SecretState,
    pub backend: Backend,
    /// What [`Backend::Opened`] has opened.
    pub store: Option<Store>,
    pub repositories: Vec<Repository>,
    pub cleanup: JobState,
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    AddFinalizer,
    /// Makes `metadata.yaml`, where there is none, and brings what it lists into the cluster.
    Initialise,
    Status(Box<BackupStorageStatus>),
    StartInit,
    StartCleanup,
    RemoveInit,
    RemoveCleanup,
    RemoveObjects,
    Tell(String),
    RemoveFinalizer,
    Wait,
}

pub fn decide(seen: &Seen, now: Timestamp) -> Vec<Step> {
    if seen.storage.metadata.deletion_timestamp.is_some() { delete(seen) } else { maintain(seen, now) }
}

fn delete(seen: &Seen) -> Vec<Step> {
    if !finalizer::is_there(&seen.storage) {
        return Vec::new();
    }
    let finish = |mut before: Vec<Step>| {
        before.extend([Step::RemoveObjects, Step::RemoveFinalizer]);
        before
    };
    if seen.storage.spec.deletion_policy != Some(DeletionPolicy::WipeOut) {
        // It was to be erased until a moment ago.
        return finish(if seen.cleanup == JobState::Absent { Vec::new() } else { vec![Step::RemoveCleanup] });
    }
    match (&seen.cleanup, &seen.secret) {
        (JobState::Succeeded, _) => finish(Vec::new()),
        // Nobody could erase anything without it: the deletion must not wait for ever.
        (_, SecretState::Missing(why)) => finish(vec![Step::Tell(finalizer::not_erased(why))]),
        // One that still prepares it would bring back what is erased.
        (JobState::Absent, _) => vec![Step::RemoveInit, Step::StartCleanup, Step::Wait],
        (JobState::Running { .. }, _) => vec![Step::Wait],
        (JobState::Failed { message }, _) => {
            vec![Step::Tell(finalizer::not_erased_yet(message)), Step::RemoveCleanup, Step::Wait]
        }
    }
}

fn maintain(seen: &Seen, now: Timestamp) -> Vec<Step> {
    if !finalizer::is_there(&seen.storage) {
        // What follows is for what it is then.
        return vec![Step::AddFinalizer, Step::Wait];
    }
    if seen.backend == Backend::Opened {
        return vec![Step::Initialise];
    }
    let mut steps = Vec::new();
    let old = seen.storage.status.clone().unwrap_or_default();
    let mut status = old.clone();
    match &seen.secret {
        SecretState::NotNeeded => {
            remove_condition(&mut status.conditions, conditions::BACKEND_SECRET_FOUND);
        }
        SecretState::Found => {
            set_condition(&mut status.conditions, SECRET.condition(Ok(())), now);
        }
        SecretState::Missing(why) | SecretState::Unread(why) => {
            set_condition(&mut status.conditions, SECRET.condition(Err(why.clone())), now);
        }
    }
    let initialised = kubestash::api::is_true(&status.conditions, conditions::BACKEND_INITIALIZED);
    match &seen.backend {
        Backend::Reached(found) => {
            set_condition(&mut status.conditions, crate::resources::outcome::backend_initialised(Ok(())), now);
            status.repositories = merge(found, &seen.repositories);
        }
        Backend::Failed(why) => {
            let failed = anyhow::Error::msg(why.clone());
            set_condition(&mut status.conditions, crate::resources::outcome::backend_initialised(Err(&failed)), now);
        }
        Backend::Job(JobState::Absent) if !initialised => steps.extend([Step::StartInit, Step::Wait]),
        Backend::Job(JobState::Running { waits_for: Some(why), long: true }) if !initialised => {
            let waiting = anyhow::Error::msg(why.clone());
            set_condition(&mut status.conditions, crate::resources::outcome::backend_initialised(Err(&waiting)), now);
        }
        Backend::Job(JobState::Failed { message }) if !initialised => {
            // The Job tells more, if it could.
            if !kubestash::api::has_condition(&status.conditions, conditions::BACKEND_INITIALIZED) {
                let failed = anyhow::Error::msg(message.clone());
                set_condition(&mut status.conditions, crate::resources::outcome::backend_initialised(Err(&failed)), now);
            }
            steps.push(Step::RemoveInit);
        }
        // What it told is lost: it is asked again.
        Backend::Job(JobState::Succeeded) if !initialised => steps.push(Step::RemoveInit),
        Backend::Job(_) => {
            let known = old.repositories.clone();
            status.repositories = merge(&known, &seen.repositories);
        }
        Backend::Opened | Backend::NotAsked => {}
    }
    let sizes = status.repositories.iter().filter_map(|repository| repository.size.as_deref().and_then(parse_size));
    status.total_size = Some(format_size(sizes.fold(0, u64::saturating_add)));
    status.phase = Some(status.compute_phase());
    if status != old {
        steps.push(Step::Status(Box::new(status.clone())));
    }
    if status.phase != Some(kubestash::api::BackupStoragePhase::Ready) || status.repositories.iter().any(|repository| repository.error.is_some()) {
        steps.push(Step::Wait);
    }
    steps
}

/// What lies in the backend, and what objects of the cluster say of it: an object's size is the newer one, and one that is not in the backend
/// yet will be.
fn merge(found: &[StorageRepository], objects: &[Repository]) -> Vec<StorageRepository> {
    let mut all: Vec<StorageRepository> = found.to_vec();
    for object in objects {
        let size = object.status.as_ref().and_then(|status| status.size.clone());
        let same = |entry: &&mut StorageRepository| entry.name == object.name_any() && entry.namespace == object.namespace();
        match all.iter_mut().find(same) {
            Some(entry) => entry.size = size,
            None => all.push(StorageRepository {
                name: object.name_any(),
                namespace: object.namespace(),
                path: object.spec.path.clone(),
                size,
                synced: None,
                error: None,
            }),
        }
    }
    // Of repositories that are neither there nor here, an old list may still tell.
    all.retain(|entry| {
        entry.synced.is_some() || objects.iter().any(|object| object.name_any() == entry.name && object.namespace() == entry.namespace)
    });
    all.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
    all
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use serde_json::json;

    use super::*;

    fn seen(spec: serde_json::Value, backend: Backend) -> Seen {
        let storage = serde_json::from_value(json!({
            "apiVersion": "storage.kubestash.com/v1alpha1", "kind": "BackupStorage",
            "metadata": {"name": "s", "namespace": "demo", "finalizers": ["kubestash.com/cleanup"]}, "spec": spec,
        }))
        .unwrap();
        Seen { storage, secret: SecretState::Found, backend, store: None, repositories: Vec::new(), cleanup: JobState::Absent }
    }

    fn status(steps: &[Step]) -> BackupStorageStatus {
        steps.iter().find_map(|step| if let Step::Status(status) = step { Some((**status).clone()) } else { None }).unwrap()
    }

    #[test]
    fn a_bucket_that_answers_is_ready() {
        let mut seen = seen(json!({}), Backend::Reached(Vec::new()));
        let steps = decide(&seen, Timestamp::UNIX_EPOCH);
        let ready = status(&steps);
        assert_eq!(ready.phase.unwrap().as_str(), "Ready");
        assert_eq!(ready.total_size.as_deref(), Some("0 B"));
        seen.storage.status = Some(ready);
        assert_eq!(decide(&seen, Timestamp::now()), [], "nothing is left to do");
    }

    #[test]
    fn a_bucket_is_initialised_before_anything_is_told() {
        assert_eq!(decide(&seen(json!({}), Backend::Opened), Timestamp::UNIX_EPOCH), [Step::Initialise]);
    }

    #[test]
    fn the_finalizer_comes_first() {
        let mut seen = seen(json!({}), Backend::Opened);
        seen.storage.metadata.finalizers = None;
        assert_eq!(decide(&seen, Timestamp::UNIX_EPOCH), [Step::AddFinalizer, Step::Wait]);
    }

    #[test]
    fn what_is_missing_is_told_and_asked_again() {
        let mut seen = seen(json!({}), Backend::Failed("Secret demo/x does not exist".to_owned()));
        seen.secret = SecretState::Missing("Secret demo/x does not exist".to_owned());
        let steps = decide(&seen, Timestamp::UNIX_EPOCH);
        let status = status(&steps);
        assert_eq!(status.phase.unwrap().as_str(), "NotReady");
        assert!(status.conditions.iter().all(|condition| condition.is_false() && condition.message.as_deref().unwrap().contains("demo/x")));
        assert_eq!(steps.last(), Some(&Step::Wait));
    }

    #[test]
    fn a_volume_is_prepared_by_a_job() {
        let seen_with = |state| seen(json!({}), Backend::Job(state));
        let steps = decide(&seen_with(JobState::Absent), Timestamp::UNIX_EPOCH);
        assert!(steps.contains(&Step::StartInit), "{steps:?}");
        let steps = decide(&seen_with(JobState::Failed { message: "m".to_owned() }), Timestamp::UNIX_EPOCH);
        assert!(steps.contains(&Step::RemoveInit), "{steps:?}");
        assert_eq!(status(&steps).phase.unwrap().as_str(), "NotReady");
        let steps = decide(&seen_with(JobState::Succeeded), Timestamp::UNIX_EPOCH);
        assert!(steps.contains(&Step::RemoveInit) && steps.contains(&Step::Wait), "what it told is lost: {steps:?}");
        let mut done = seen_with(JobState::Succeeded);
        let mut told = BackupStorageStatus::default();
        set_condition(&mut told.conditions, crate::resources::outcome::backend_initialised(Ok(())), Timestamp::UNIX_EPOCH);
        done.storage.status = Some(told);
        let steps = decide(&done, Timestamp::UNIX_EPOCH);
        assert!(!steps.contains(&Step::StartInit));
        assert_eq!(status(&steps).phase.unwrap().as_str(), "Ready");
    }

    #[test]
    fn deletion_erases_only_when_asked_to() {
        let mut seen = seen(json!({}), Backend::NotAsked);
        seen.storage.metadata.deletion_timestamp = Some(Time(Timestamp::UNIX_EPOCH));
        assert_eq!(decide(&seen, Timestamp::UNIX_EPOCH), [Step::RemoveObjects, Step::RemoveFinalizer]);
        seen.storage.spec.deletion_policy = Some(DeletionPolicy::WipeOut);
        assert_eq!(decide(&seen, Timestamp::UNIX_EPOCH), [Step::RemoveInit, Step::StartCleanup, Step::Wait]);
        seen.cleanup = JobState::Succeeded;
        assert_eq!(decide(&seen, Timestamp::UNIX_EPOCH), [Step::RemoveObjects, Step::RemoveFinalizer]);
        seen.cleanup = JobState::Failed { message: "m".to_owned() };
        assert!(matches!(&decide(&seen, Timestamp::UNIX_EPOCH)[..], [Step::Tell(_), Step::RemoveCleanup, Step::Wait]));
        seen.cleanup = JobState::Absent;
        seen.secret = SecretState::Unread("the API server does not answer".to_owned());
        assert_eq!(
            decide(&seen, Timestamp::UNIX_EPOCH),
            [Step::RemoveInit, Step::StartCleanup, Step::Wait],
            "a moment's trouble is no reason to leave the data"
        );
        seen.secret = SecretState::Missing("gone".to_owned());
        let steps = decide(&seen, Timestamp::UNIX_EPOCH);
        assert!(matches!(&steps[..], [Step::Tell(why), Step::RemoveObjects, Step::RemoveFinalizer] if why.contains("gone")), "{steps:?}");
        seen.storage.spec.deletion_policy = Some(DeletionPolicy::Delete);
        seen.cleanup = JobState::Running { waits_for: None, long: false };
        let steps = decide(&seen, Timestamp::UNIX_EPOCH);
        assert_eq!(steps, [Step::RemoveCleanup, Step::RemoveObjects, Step::RemoveFinalizer], "who does not want it any more is heard");
    }
}
