//! What a repository needs next. Pure.

use std::collections::BTreeSet;

use jiff::Timestamp;
use kube::ResourceExt as _;
use kubestash::api::{
    BackupStorage, DeletionPolicy, Repository, RepositoryPhase, RepositoryStatus, Snapshot, SnapshotInfo, SnapshotPhase, conditions, has_condition,
    is_true, set_condition,
};

use crate::{
    operator::{finalizer, job_state::JobState},
    resources::{outcome::repository_initialised, storage::is_local},
};

/// Snapshots that a status lists.
const RECENT: usize = 5;

/// Who tells of a repository's place in its storage, or changes it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Agent {
    /// Nobody, for there is no storage, or none that anything may be written to; and why.
    Nobody(String),
    /// A Job that mounts the volume, or one that erases.
    Job,
    /// The operator itself.
    Operator,
}

/// Who that is. What was erased must not come back: into a storage that is being deleted, nothing is written any more.
fn agent(repository: &Repository, storage: Option<&BackupStorage>) -> Agent {
    let Some(storage) = storage else {
        let own = repository.namespace().unwrap_or_default();
        let reference = repository.spec.storage_ref.clone().unwrap_or_default().object().resolved(&own);
        return Agent::Nobody(format!("BackupStorage {reference} does not exist; create it again, or delete this Repository"));
    };
    if storage.metadata.deletion_timestamp.is_some() {
        // Its own policy decides about the data of its repositories.
        return Agent::Nobody("its BackupStorage is being deleted".to_owned());
    }
    let deleting = repository.metadata.deletion_timestamp.is_some();
    if deleting || is_local(storage) { Agent::Job } else { Agent::Operator }
}

/// What was seen of its place in the storage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// There is no storage to ask, and why.
    NoStorage(String),
    /// A Job does it, which writes the condition itself; or the repository is being deleted.
    Volume,
    /// The operator has to look whether it is there.
    Unknown,
    /// The operator has written it.
    Registered,
    /// The operator could not.
    Failed(String),
}

impl Place {
    /// What is to be seen of it without a look into the storage; `registered` tells whether the operator has just had one.
    pub fn of(repository: &Repository, storage: Option<&BackupStorage>, registered: bool) -> Self {
        match agent(repository, storage) {
            Agent::Nobody(why) => Self::NoStorage(why),
            Agent::Job => Self::Volume,
            Agent::Operator if registered => Self::Registered,
            Agent::Operator => Self::Unknown,
        }
    }
}

/// All that is known.
pub struct Seen {
    pub repository: Repository,
    pub place: Place,
    pub init: JobState,
    pub cleanup: JobState,
    pub snapshots: Vec<Snapshot>,
    pub storage: Option<BackupStorage>,
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    AddFinalizer,
    /// Looks whether it has its place in the storage, and gives it one.
    Register,
    Status(Box<RepositoryStatus>),
    /// These Snapshots stand in the status now.
    ListUpdated(Vec<String>),
    StartInit,
    StartCleanup,
    RemoveJob(&'static str),
    RemoveSnapshots,
    Tell(String),
    RemoveFinalizer,
    Wait,
}

pub fn decide(seen: &Seen, now: Timestamp) -> Vec<Step> {
    if seen.repository.metadata.deletion_timestamp.is_some() { delete(seen) } else { maintain(seen, now) }
}

fn delete(seen: &Seen) -> Vec<Step> {
    if !finalizer::is_there(&seen.repository) {
        return Vec::new();
    }
    // The Snapshots go first: as long as one is there, its own finalizer may still need the repository.
    let finish = |mut before: Vec<Step>| {
        let last = if seen.snapshots.is_empty() { vec![Step::RemoveFinalizer] } else { vec![Step::RemoveSnapshots, Step::Wait] };
        before.extend(last);
        before
    };
    if seen.repository.spec.deletion_policy != Some(DeletionPolicy::WipeOut) {
        // It was to be erased until a moment ago.
        return finish(if seen.cleanup == JobState::Absent { Vec::new() } else { vec![Step::RemoveJob("cleanup")] });
    }
    match (&seen.cleanup, &seen.place) {
        (JobState::Succeeded, _) => finish(Vec::new()),
        (_, Place::NoStorage(why)) => finish(vec![Step::Tell(finalizer::not_erased(why))]),
        // One that still prepares it would bring back what is erased.
        (JobState::Absent, _) => vec![Step::RemoveJob("init"), Step::StartCleanup, Step::Wait],
        (JobState::Running { .. }, _) => vec![Step::Wait],
        (JobState::Failed { message }, _) => {
            vec![Step::Tell(finalizer::not_erased_yet(message)), Step::RemoveJob("cleanup"), Step::Wait]
        }
    }
}

fn maintain(seen: &Seen, now: Timestamp) -> Vec<Step> {
    if !finalizer::is_there(&seen.repository) {
        // What follows is for what it is then.
        return vec![Step::AddFinalizer, Step::Wait];
    }
    if seen.place == Place::Unknown {
        return vec![Step::Register];
    }
    let mut steps = Vec::new();
    let old = seen.repository.status.clone().unwrap_or_default();
    let mut status = old.clone();
    let initialised = is_true(&status.conditions, conditions::REPOSITORY_INITIALIZED);
    let fail = |status: &mut RepositoryStatus, why: &str| {
        let error = anyhow::Error::msg(why.to_owned());
        set_condition(&mut status.conditions, repository_initialised(Err(&error)), now);
    };
    match (&seen.place, &seen.init) {
        (Place::Registered, _) => {
            set_condition(&mut status.conditions, repository_initialised(Ok(())), now);
        }
        // A repository that was made stays ready while its storage does not answer: backups find out themselves.
        (Place::Failed(why) | Place::NoStorage(why), _) if !initialised => fail(&mut status, why),
        (Place::Volume, JobState::Absent) if !initialised => steps.push(Step::StartInit),
        (Place::Volume, JobState::Running { waits_for: Some(why), long: true }) if !initialised => fail(&mut status, why),
        (Place::Volume, JobState::Failed { message }) if !initialised => {
            if !has_condition(&status.conditions, conditions::REPOSITORY_INITIALIZED) {
                fail(&mut status, message);
            }
            steps.push(Step::RemoveJob("init"));
        }
        // What it told is lost: it is asked again.
        (Place::Volume, JobState::Succeeded) if !initialised => steps.push(Step::RemoveJob("init")),
        _ => {}
    }
    let finished = add_up(&mut status, &seen.snapshots);
    status.phase = Some(status.compute_phase());
    if status != old {
        steps.push(Step::Status(Box::new(status.clone())));
    }
    if !finished.is_empty() {
        steps.push(Step::ListUpdated(finished));
    }
    if status.phase != Some(RepositoryPhase::Ready) {
        steps.push(Step::Wait);
    }
    steps
}

/// Counts the Snapshots; tells which of those that have ended are new in the list.
fn add_up(status: &mut RepositoryStatus, snapshots: &[Snapshot]) -> Vec<String> {
    let mut all: Vec<&Snapshot> = snapshots.iter().filter(|snapshot| snapshot.metadata.deletion_timestamp.is_none()).collect();
    let time = |snapshot: &Snapshot| {
        let own = snapshot.status.as_ref().and_then(|status| status.snapshot_time.clone());
        own.or_else(|| snapshot.metadata.creation_timestamp.clone())
    };
    all.sort_by_key(|snapshot| std::cmp::Reverse((time(snapshot), snapshot.name_any())));
    let phase = |snapshot: &Snapshot| snapshot.status.as_ref().and_then(|status| status.phase);
    let newest = all.iter().find(|snapshot| phase(snapshot) == Some(SnapshotPhase::Succeeded));
    status.snapshot_count = i32::try_from(all.len()).ok();
    status.last_backup_time = newest.and_then(|snapshot| time(snapshot));
    status.size = newest.and_then(|snapshot| snapshot.status.as_ref()?.size.clone()).or_else(|| Some("0 B".to_owned()));
    status.integrity = newest.and_then(|snapshot| snapshot.status.as_ref()?.integrity);
    let recent = all.iter().take(RECENT).map(|snapshot| SnapshotInfo {
        name: snapshot.name_any(),
        phase: phase(snapshot),
        session: Some(snapshot.spec.session.clone()),
        size: snapshot.status.as_ref().and_then(|status| status.size.clone()),
        snapshot_time: time(snapshot),
    });
    status.recent_snapshots = recent.collect();
    let components = all.iter().filter_map(|snapshot| snapshot.status.as_ref()).flat_map(|status| status.components.values());
    let paths: BTreeSet<String> = components.filter_map(|component| component.path.clone()).collect();
    status.component_paths = paths.into_iter().collect();
    let ended = |snapshot: &&&Snapshot| {
        let Some(status) = &snapshot.status else { return false };
        status.is_backed_up()
            && has_condition(&status.conditions, conditions::SNAPSHOT_METADATA_UPLOADED)
            && !has_condition(&status.conditions, conditions::RECENT_SNAPSHOT_LIST_UPDATED)
    };
    all.iter().filter(ended).map(|snapshot| snapshot.name_any()).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use serde_json::{Value, json};

    use super::*;

    fn snapshot(name: &str, second: u8, phase: &str, listed: bool) -> Snapshot {
        let mut conditions = vec![json!({"type": "SnapshotMetadataUploaded", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"})];
        if listed {
            conditions.push(json!({"type": "RecentSnapshotListUpdated", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}));
        }
        let status = match phase {
            "Running" => json!({"phase": phase, "snapshotTime": format!("2026-01-01T00:00:{second:02}Z")}),
            phase => json!({
                "phase": phase, "snapshotTime": format!("2026-01-01T00:00:{second:02}Z"), "size": format!("{second} B"), "integrity": true,
                "totalComponents": 1, "conditions": conditions, "components": {"manifest": {"phase": phase, "path": "kstash/v1"}},
            }),
        };
        serde_json::from_value(json!({
            "apiVersion": "storage.kubestash.com/v1alpha1", "kind": "Snapshot", "metadata": {"name": name}, "spec": {"session": "s"}, "status": status,
        }))
        .unwrap()
    }

    fn seen(place: Place, snapshots: Vec<Snapshot>, status: Value) -> Seen {
        let repository = serde_json::from_value(json!({
            "apiVersion": "storage.kubestash.com/v1alpha1", "kind": "Repository",
            "metadata": {"name": "r", "namespace": "demo", "finalizers": ["kubestash.com/cleanup"]}, "spec": {}, "status": status,
        }))
        .unwrap();
        Seen { repository, place, init: JobState::Absent, cleanup: JobState::Absent, snapshots, storage: None }
    }

    fn status(steps: &[Step]) -> RepositoryStatus {
        steps.iter().find_map(|step| if let Step::Status(status) = step { Some((**status).clone()) } else { None }).unwrap()
    }

    #[test]
    fn snapshots_add_up() {
        let snapshots = vec![
            snapshot("a", 1, "Succeeded", true),
            snapshot("d", 4, "Running", false),
            snapshot("c", 3, "Failed", false),
            snapshot("b", 2, "Succeeded", false),
        ];
        let mut seen = seen(Place::Registered, snapshots, json!({}));
        let steps = decide(&seen, Timestamp::UNIX_EPOCH);
        let status = status(&steps);
        assert_eq!(status.phase, Some(RepositoryPhase::Ready));
        assert_eq!(status.snapshot_count, Some(4));
        assert_eq!(status.size.as_deref(), Some("2 B"), "of the newest that succeeded");
        assert_eq!(status.last_backup_time.clone().unwrap().0.to_string(), "2026-01-01T00:00:02Z");
        assert_eq!(status.recent_snapshots.iter().map(|info| info.name.as_str()).collect::<Vec<_>>(), ["d", "c", "b", "a"]);
        assert_eq!(status.component_paths, ["kstash/v1"]);
        assert_eq!(steps.last(), Some(&Step::ListUpdated(vec!["c".to_owned(), "b".to_owned()])));
        seen.repository.status = Some(status);
        seen.snapshots = vec![snapshot("a", 1, "Succeeded", true)];
        let steps = decide(&seen, Timestamp::UNIX_EPOCH);
        assert!(matches!(&steps[..], [Step::Status(_)]), "{steps:?}");
    }

    #[test]
    fn a_place_that_fails_is_told_until_it_was_ready_once() {
        let failed = Place::Failed("no bucket".to_owned());
        let steps = decide(&seen(failed.clone(), Vec::new(), json!({})), Timestamp::UNIX_EPOCH);
        assert_eq!(status(&steps).phase, Some(RepositoryPhase::NotReady));
        assert_eq!(steps.last(), Some(&Step::Wait));
        let ready = status(&decide(&seen(Place::Registered, Vec::new(), json!({})), Timestamp::UNIX_EPOCH));
        let again = seen(failed, Vec::new(), serde_json::to_value(ready).unwrap());
        assert_eq!(decide(&again, Timestamp::UNIX_EPOCH), []);
    }

    #[test]
    fn a_volume_gets_its_job_once() {
        let mut seen = seen(Place::Volume, Vec::new(), json!({}));
        assert!(decide(&seen, Timestamp::UNIX_EPOCH).contains(&Step::StartInit));
        seen.init = JobState::Running { waits_for: None, long: false };
        assert!(!decide(&seen, Timestamp::UNIX_EPOCH).contains(&Step::StartInit));
        seen.init = JobState::Failed { message: "m".to_owned() };
        assert!(decide(&seen, Timestamp::UNIX_EPOCH).contains(&Step::RemoveJob("init")));
        seen.init = JobState::Succeeded;
        let steps = decide(&seen, Timestamp::UNIX_EPOCH);
        assert!(steps.contains(&Step::RemoveJob("init")) && steps.contains(&Step::Wait), "what it told is lost: {steps:?}");
    }

    #[test]
    fn who_tells_of_its_place() {
        let (there, gone) = (json!({"name": "s"}), json!({"name": "s", "deletionTimestamp": "2026-01-01T00:00:00Z"}));
        let asked = |repository: &Value, storage: Option<&Value>, provider: &str| {
            let object = |kind: &str, meta: &Value, spec: Value| json!({"apiVersion": "storage.kubestash.com/v1alpha1", "kind": kind, "metadata": meta, "spec": spec});
            let repository: Repository = serde_json::from_value(object("Repository", repository, json!({"storageRef": {"name": "s"}}))).unwrap();
            let storage =
                storage.map(|meta| serde_json::from_value(object("BackupStorage", meta, json!({"storage": {"provider": provider}}))).unwrap());
            agent(&repository, storage.as_ref())
        };
        assert!(matches!(asked(&there, None, ""), Agent::Nobody(why) if why.contains("s does not exist")));
        for (repository, storage, provider, wanted) in [
            (&there, &there, "s3", Agent::Operator),
            (&there, &there, "local", Agent::Job),
            (&gone, &there, "s3", Agent::Job),
            (&there, &gone, "s3", Agent::Nobody("its BackupStorage is being deleted".to_owned())),
            (&gone, &gone, "local", Agent::Nobody("its BackupStorage is being deleted".to_owned())),
        ] {
            assert_eq!(asked(repository, Some(storage), provider), wanted, "{repository} {storage} {provider}");
        }
    }

    #[test]
    fn it_is_registered_before_anything_is_told() {
        assert_eq!(decide(&seen(Place::Unknown, Vec::new(), json!({})), Timestamp::UNIX_EPOCH), [Step::Register]);
    }

    #[test]
    fn the_finalizer_comes_first() {
        let mut seen = seen(Place::Unknown, Vec::new(), json!({}));
        seen.repository.metadata.finalizers = None;
        assert_eq!(decide(&seen, Timestamp::UNIX_EPOCH), [Step::AddFinalizer, Step::Wait]);
    }

    #[test]
    fn deletion_waits_for_data_and_snapshots() {
        let mut seen = seen(Place::Volume, vec![snapshot("a", 1, "Succeeded", true)], json!({}));
        seen.repository.metadata.deletion_timestamp = Some(Time(Timestamp::UNIX_EPOCH));
        assert_eq!(decide(&seen, Timestamp::UNIX_EPOCH), [Step::RemoveSnapshots, Step::Wait]);
        seen.repository.spec.deletion_policy = Some(DeletionPolicy::WipeOut);
        assert_eq!(decide(&seen, Timestamp::UNIX_EPOCH), [Step::RemoveJob("init"), Step::StartCleanup, Step::Wait]);
        seen.cleanup = JobState::Succeeded;
        seen.snapshots.clear();
        assert_eq!(decide(&seen, Timestamp::UNIX_EPOCH), [Step::RemoveFinalizer]);
        seen.repository.spec.deletion_policy = Some(DeletionPolicy::Delete);
        seen.cleanup = JobState::Running { waits_for: None, long: false };
        let steps = decide(&seen, Timestamp::UNIX_EPOCH);
        assert_eq!(steps, [Step::RemoveJob("cleanup"), Step::RemoveFinalizer], "who does not want it any more is heard");
        seen.repository.spec.deletion_policy = Some(DeletionPolicy::WipeOut);
        seen.cleanup = JobState::Absent;
        seen.place = Place::NoStorage("gone".to_owned());
        assert!(matches!(&decide(&seen, Timestamp::UNIX_EPOCH)[..], [Step::Tell(_), Step::RemoveFinalizer]));
    }
}
