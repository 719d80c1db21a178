//! What a Snapshot that is being deleted needs next. Pure.

use kubestash::api::{BackupStorage, DeletionPolicy, Repository, Snapshot};

use crate::{
    operator::{finalizer, job_state::JobState},
    resources::storage::is_local,
};

/// All that is known.
pub struct Seen {
    pub snapshot: Snapshot,
    pub repository: Option<Repository>,
    /// Of the repository.
    pub storage: Option<BackupStorage>,
    /// The Job that erases it in a volume.
    pub cleanup: JobState,
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// In a bucket.
    Erase,
    /// In a volume.
    StartCleanup,
    /// With what it was allowed.
    RemoveJob,
    Tell(String),
    RemoveFinalizer,
    Wait,
}

/// How its data is dealt with.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Fate {
    /// It stays: the policy says so, or its repository's or storage's policy decides about it.
    Stays,
    /// It cannot be reached any more.
    OutOfReach(&'static str),
    /// It is erased, by the operator itself or by a Job.
    Erased { in_volume: bool },
}

fn fate(seen: &Seen) -> Fate {
    if seen.snapshot.spec.deletion_policy != Some(DeletionPolicy::WipeOut) {
        return Fate::Stays;
    }
    match (&seen.repository, &seen.storage) {
        (None, _) => Fate::OutOfReach("its Repository does not exist any more"),
        (Some(repository), _) if repository.metadata.deletion_timestamp.is_some() => Fate::Stays,
        (_, None) => Fate::OutOfReach("its BackupStorage does not exist any more"),
        (_, Some(storage)) if storage.metadata.deletion_timestamp.is_some() => Fate::Stays,
        (_, Some(storage)) => Fate::Erased { in_volume: is_local(storage) },
    }
}

pub fn decide(seen: &Seen) -> Vec<Step> {
    if seen.snapshot.metadata.deletion_timestamp.is_none() || !finalizer::is_there(&seen.snapshot) {
        return Vec::new();
    }
    match (fate(seen), &seen.cleanup) {
        (Fate::Erased { in_volume: false }, _) => vec![Step::Erase, Step::RemoveFinalizer],
        (Fate::Erased { in_volume: true }, JobState::Absent) => vec![Step::StartCleanup, Step::Wait],
        (Fate::Erased { in_volume: true }, JobState::Running { .. }) => vec![Step::Wait],
        (Fate::Erased { in_volume: true }, JobState::Failed { message }) => {
            vec![Step::Tell(finalizer::not_erased_yet(message)), Step::RemoveJob, Step::Wait]
        }
        (Fate::Erased { in_volume: true }, JobState::Succeeded) => vec![Step::RemoveJob, Step::RemoveFinalizer],
        (Fate::OutOfReach(why), _) => {
            vec![Step::Tell(finalizer::not_erased(why)), Step::RemoveFinalizer]
        }
        (Fate::Stays, JobState::Absent) => vec![Step::RemoveFinalizer],
        // It was to be erased until a moment ago.
        (Fate::Stays, _) => vec![Step::RemoveJob, Step::RemoveFinalizer],
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn object<K: serde::de::DeserializeOwned>(kind: &str, meta: &Value, spec: Value) -> K {
        serde_json::from_value(json!({"apiVersion": "storage.kubestash.com/v1alpha1", "kind": kind, "metadata": meta, "spec": spec})).unwrap()
    }

    fn gone() -> Value {
        json!({"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["kubestash.com/cleanup"]})
    }

    fn seen(policy: &str, repository: Option<&Value>, storage: Option<&Value>, provider: &str) -> Seen {
        Seen {
            snapshot: object("Snapshot", &gone(), json!({"deletionPolicy": policy})),
            repository: repository.map(|meta| object("Repository", meta, json!({}))),
            storage: storage.map(|meta| object("BackupStorage", meta, json!({"storage": {"provider": provider}}))),
            cleanup: JobState::Absent,
        }
    }

    #[test]
    fn only_what_is_to_be_erased_and_can_be_is_erased() {
        let (there, gone) = (json!({}), gone());
        let out = |why: &str| {
            vec![
                Step::Tell(format!("The data was not erased, although deletionPolicy is WipeOut: {why} does not exist any more")),
                Step::RemoveFinalizer,
            ]
        };
        let table = [
            ("Delete", Some(&there), Some(&there), vec![Step::RemoveFinalizer]),
            ("WipeOut", Some(&there), Some(&there), vec![Step::Erase, Step::RemoveFinalizer]),
            ("WipeOut", Some(&gone), Some(&there), vec![Step::RemoveFinalizer]),
            ("WipeOut", Some(&there), Some(&gone), vec![Step::RemoveFinalizer]),
            ("WipeOut", None, None, out("its Repository")),
            ("WipeOut", Some(&there), None, out("its BackupStorage")),
        ];
        for (policy, repository, storage, wanted) in table {
            assert_eq!(decide(&seen(policy, repository, storage, "s3")), wanted, "{policy} {repository:?} {storage:?}");
        }
    }

    #[test]
    fn a_volume_is_left_to_a_job() {
        let there = json!({});
        let steps = |policy: &str, cleanup: JobState| decide(&Seen { cleanup, ..seen(policy, Some(&there), Some(&there), "local") });
        let running = || JobState::Running { waits_for: None, long: false };
        assert_eq!(steps("WipeOut", JobState::Absent), [Step::StartCleanup, Step::Wait]);
        assert_eq!(steps("WipeOut", running()), [Step::Wait]);
        assert_eq!(steps("WipeOut", JobState::Succeeded), [Step::RemoveJob, Step::RemoveFinalizer]);
        let failed = steps("WipeOut", JobState::Failed { message: "no node".to_owned() });
        assert_eq!(failed, [Step::Tell(finalizer::not_erased_yet("no node")), Step::RemoveJob, Step::Wait]);
        assert_eq!(steps("Delete", JobState::Absent), [Step::RemoveFinalizer]);
        assert_eq!(steps("Delete", running()), [Step::RemoveJob, Step::RemoveFinalizer], "who does not want it any more is heard");
    }

    #[test]
    fn who_is_not_being_deleted_is_left_alone() {
        let mut seen = seen("WipeOut", Some(&json!({})), Some(&json!({})), "s3");
        seen.snapshot.metadata.finalizers = None;
        assert_eq!(decide(&seen), []);
        seen.snapshot = object("Snapshot", &json!({"finalizers": ["kubestash.com/cleanup"]}), json!({"deletionPolicy": "WipeOut"}));
        assert_eq!(decide(&seen), []);
    }
}
