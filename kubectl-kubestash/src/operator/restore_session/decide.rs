//! What a restore needs next. Pure.
//!
//! ```text
//! validate ─▶ which Snapshot? ─▶ deadline ─▶ pre-hooks ─▶ Job ─▶ (ends, or died) ─▶ post-hooks ─▶ close
//! ```

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt as _;
use kubestash::api::{
    COMPONENT, DataSource, RestoreComponentStatus, RestorePhase, RestoreSession, RestoreSessionSpec, RestoreSessionStatus, Snapshot, SnapshotPhase,
    conditions, has_condition, is_false, is_true, parse_duration, set_condition,
};

use crate::operator::{
    backup_session::Stage,
    job_state::JobState,
    outcome::{LATE, RESTORE_INCOMPLETE},
};

/// All that is known.
pub struct Seen {
    pub session: RestoreSession,
    /// The Snapshot to restore, or why there is none.
    pub snapshot: Result<Snapshot, Obstacle>,
    pub job: JobState,
}

/// Why there is no Snapshot to restore.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Obstacle {
    /// The spec does not name one properly.
    Invalid(String),
    /// What it names is not there. It may come.
    NotThere(String),
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    Invalid(String),
    /// It passed; which Snapshot it is about.
    Valid,
    /// What it waits for.
    Missing(String),
    /// The Job's Pod waits for something, or does not any more.
    Pending(Option<String>),
    SetDeadline(Timestamp),
    RunHooks(Stage),
    EnsureJob,
    /// It was made by an operator that ended before it could say so.
    JobIsThere,
    Incomplete {
        why: String,
        late: bool,
    },
    Close,
    Wait(SignedDuration),
    Nothing,
}

const SOON: SignedDuration = SignedDuration::from_secs(10);
/// A Snapshot that is not there is waited for so long.
const PATIENCE: SignedDuration = SignedDuration::from_secs(120);

/// Where a person looks when a Snapshot is not there.
const LIST: &str = "`kubectl get snapshots.storage.kubestash.com` lists what is there, and dataSource.namespace names another namespace";

/// What is wrong with a spec.
pub fn problem(spec: &RestoreSessionSpec) -> Option<String> {
    let Some(data) = &spec.data_source else { return Some("spec.dataSource is missing; name a repository and a snapshot".to_owned()) };
    let repository = data.repository.as_deref().unwrap_or_default();
    let snapshot = data.snapshot.as_deref().unwrap_or_default();
    if let Some(point) = &data.pitr {
        if point.target_time.is_none() {
            return Some("spec.dataSource.pitr.targetTime is missing".to_owned());
        }
        if repository.is_empty() {
            return Some("spec.dataSource.repository is missing, in which pitr looks for the Snapshot".to_owned());
        }
    } else if snapshot.is_empty() {
        return Some("spec.dataSource.snapshot is missing; name a Snapshot, or latest".to_owned());
    } else if data.is_latest() && repository.is_empty() {
        return Some("spec.dataSource.repository is missing, of which the latest Snapshot is wanted".to_owned());
    }
    if let Some(odd) = data.components.iter().find(|component| *component != COMPONENT) {
        return Some(format!("spec.dataSource.components names {odd:?}; cluster resources have the one component {COMPONENT}"));
    }
    match &spec.addon {
        None => Some("spec.addon is missing; for cluster resources it is kubedump-addon with the task manifest-restore".to_owned()),
        Some(addon) if addon.name.is_empty() || addon.tasks.is_empty() => Some("spec.addon needs a name and a task".to_owned()),
        Some(_) => {
            let text = spec.restore_timeout.as_deref()?;
            parse_duration(text).err().map(|error| format!("spec.restoreTimeout: {error}"))
        }
    }
}

/// The Snapshot that a data source means, among those of its repository.
pub fn choose<'a>(data: &DataSource, snapshots: &'a [Snapshot]) -> Result<&'a Snapshot, Obstacle> {
    let time = |snapshot: &Snapshot| snapshot.status.as_ref().and_then(|status| status.snapshot_time.as_ref()).map(|time| time.0);
    let succeeded = |snapshot: &&Snapshot| snapshot.status.as_ref().and_then(|status| status.phase) == Some(SnapshotPhase::Succeeded);
    let repository = data.repository.as_deref().unwrap_or_default();
    let of_repository = snapshots.iter().filter(|snapshot| repository.is_empty() || snapshot.spec.repository == repository);
    if let Some(point) = &data.pitr {
        let Some(Time(wanted)) = point.target_time else { return Err(Obstacle::Invalid("pitr.targetTime is missing".to_owned())) };
        let exclusive = point.exclusive.unwrap_or(false);
        let fits = |snapshot: &&Snapshot| time(snapshot).is_some_and(|time| if exclusive { time < wanted } else { time <= wanted });
        let found = of_repository.filter(succeeded).filter(fits).max_by_key(|snapshot| (time(snapshot), snapshot.name_any()));
        return found.ok_or_else(|| Obstacle::NotThere(format!("Repository {repository} has no Snapshot that succeeded by {wanted}; {LIST}")));
    }
    let name = data.snapshot.as_deref().unwrap_or_default();
    if data.is_latest() {
        let found = of_repository.filter(succeeded).max_by_key(|snapshot| (time(snapshot), snapshot.name_any()));
        return found.ok_or_else(|| Obstacle::NotThere(format!("Repository {repository} has no Snapshot that succeeded; {LIST}")));
    }
    let mut named = of_repository.filter(|snapshot| snapshot.name_any() == name);
    let found = named.next().ok_or_else(|| Obstacle::NotThere(format!("Snapshot {name} does not exist; {LIST}")))?;
    if succeeded(&found) {
        Ok(found)
    } else {
        let phase = found.status.as_ref().and_then(|status| status.phase).map_or("unknown", SnapshotPhase::as_str);
        Err(Obstacle::NotThere(format!("Snapshot {name} cannot be restored: its phase is {phase}; {LIST}")))
    }
}

pub fn decide(seen: &Seen, now: Timestamp) -> Step {
    let status = seen.session.status.clone().unwrap_or_default();
    if status.phase.is_some_and(RestorePhase::is_completed) {
        return Step::Nothing;
    }
    if !has_condition(&status.conditions, conditions::VALIDATION_PASSED) {
        if let Some(why) = problem(&seen.session.spec) {
            return Step::Invalid(why);
        }
        return match &seen.snapshot {
            Ok(_) => Step::Valid,
            Err(Obstacle::Invalid(why)) => Step::Invalid(why.clone()),
            Err(Obstacle::NotThere(why)) => {
                let age = seen.session.metadata.creation_timestamp.as_ref().map_or(SignedDuration::ZERO, |time| now.duration_since(time.0));
                if age < PATIENCE { Step::Missing(why.clone()) } else { Step::Invalid(why.clone()) }
            }
        };
    }
    if status.restore_deadline.is_none()
        && let Some(time) = deadline(&seen.session)
    {
        return Step::SetDeadline(time);
    }
    let failed = [conditions::PRE_RESTORE_HOOKS_EXECUTION_SUCCEEDED, conditions::RESTORE_EXECUTOR_ENSURED]
        .iter()
        .any(|type_| is_false(&status.conditions, type_))
        || [conditions::DEADLINE_EXCEEDED, conditions::RESTORE_INCOMPLETE].iter().any(|type_| is_true(&status.conditions, type_));
    if !failed && let Some(step) = work(seen, &status, now) {
        return step;
    }
    if seen.has_hooks(Stage::After) && !has_condition(&status.conditions, conditions::POST_RESTORE_HOOKS_EXECUTION_SUCCEEDED) {
        return Step::RunHooks(Stage::After);
    }
    if has_condition(&status.conditions, conditions::METRICS_PUSHED) { Step::Nothing } else { Step::Close }
}

/// The Snapshot that was chosen once. It stays the one, also when the latest is another by now.
pub fn chosen(session: &RestoreSession) -> Option<String> {
    let mut known = session.status.iter().flat_map(|status| &status.dependencies);
    known.find(|dependency| dependency.kind.as_deref() == Some("Snapshot")).map(|dependency| dependency.name.clone())
}

/// Notes that the Job will tell nothing any more. Nothing is noted when it has told its end in the last moment.
pub fn note_incomplete(status: &mut RestoreSessionStatus, why: &str, late: bool, now: Timestamp) {
    if status.is_restored() {
        return;
    }
    let own = status.components.entry(COMPONENT.to_owned()).or_default();
    *own = RestoreComponentStatus { phase: Some(RestorePhase::Failed), error: Some(why.to_owned()), ..own.clone() };
    let trouble = if late { LATE } else { RESTORE_INCOMPLETE };
    set_condition(&mut status.conditions, trouble.condition(why), now);
}

impl Seen {
    fn has_hooks(&self, stage: Stage) -> bool {
        self.session.spec.hooks.as_ref().is_some_and(|hooks| match stage {
            Stage::Before => !hooks.pre_restore.is_empty(),
            Stage::After => !hooks.post_restore.is_empty(),
        })
    }
}

fn deadline(session: &RestoreSession) -> Option<Timestamp> {
    let timeout = parse_duration(session.spec.restore_timeout.as_deref()?).ok()?;
    session.metadata.creation_timestamp.as_ref()?.0.checked_add(SignedDuration::try_from(timeout).ok()?).ok()
}

fn work(seen: &Seen, status: &RestoreSessionStatus, now: Timestamp) -> Option<Step> {
    if seen.has_hooks(Stage::Before) && !has_condition(&status.conditions, conditions::PRE_RESTORE_HOOKS_EXECUTION_SUCCEEDED) {
        return Some(Step::RunHooks(Stage::Before));
    }
    if status.is_restored() {
        return None;
    }
    let left = status.restore_deadline.as_ref().map(|Time(time)| time.duration_since(now));
    if left.is_some_and(|left| !left.is_positive()) {
        let waited = match &seen.job {
            JobState::Running { waits_for: Some(why), .. } => format!(". {why}"),
            _ => "; a new RestoreSession goes on from here, give it more time in restoreTimeout".to_owned(),
        };
        let why = format!("deadline exceeded: it did not end within {}{waited}", seen.session.spec.restore_timeout.as_deref().unwrap_or_default());
        return Some(Step::Incomplete { why, late: true });
    }
    if !has_condition(&status.conditions, conditions::RESTORE_EXECUTOR_ENSURED) {
        return Some(if seen.job == JobState::Absent { Step::EnsureJob } else { Step::JobIsThere });
    }
    let incomplete = |why: &str| Some(Step::Incomplete { why: why.to_owned(), late: false });
    let told = is_true(&status.conditions, conditions::POD_HAS_BEEN_IN_PENDING_STATE_FOR_LONGER_THAN_EXPECTED);
    match &seen.job {
        JobState::Absent => incomplete("the Job of the restore was deleted"),
        JobState::Succeeded => incomplete("the Job of the restore ended without a report"),
        JobState::Failed { message } => incomplete(message),
        JobState::Running { waits_for: Some(why), long: true } if !told => Some(Step::Pending(Some(why.clone()))),
        JobState::Running { waits_for: None, .. } if told => Some(Step::Pending(None)),
        JobState::Running { .. } => Some(Step::Wait(left.map_or(SOON, |left| left.min(SOON)))),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn session(spec: Value, status: Value) -> RestoreSession {
        serde_json::from_value(json!({
            "apiVersion": "core.kubestash.com/v1alpha1", "kind": "RestoreSession",
            "metadata": {"name": "r", "namespace": "demo", "creationTimestamp": "2026-01-01T00:00:00Z"}, "spec": spec, "status": status,
        }))
        .unwrap()
    }

    fn guide() -> Value {
        json!({"dataSource": {"repository": "repo", "snapshot": "latest"}, "addon": {"name": "kubedump-addon", "tasks": [{"name": "manifest-restore"}]}})
    }

    fn snapshot(name: &str, second: u8, phase: &str) -> Snapshot {
        serde_json::from_value(json!({
            "apiVersion": "storage.kubestash.com/v1alpha1", "kind": "Snapshot", "metadata": {"name": name}, "spec": {"repository": "repo"},
            "status": {"phase": phase, "snapshotTime": format!("2026-01-01T00:00:{second:02}Z")},
        }))
        .unwrap()
    }

    fn now() -> Timestamp {
        "2026-01-01T00:01:00Z".parse().unwrap()
    }

    #[test]
    fn which_snapshot_is_meant() {
        let all = [snapshot("a", 1, "Succeeded"), snapshot("b", 2, "Succeeded"), snapshot("c", 3, "Failed"), snapshot("d", 4, "Running")];
        let chosen = |data: Value| {
            let data: DataSource = serde_json::from_value(data).unwrap();
            choose(&data, &all).map(|snapshot| snapshot.name_any()).map_err(|obstacle| format!("{obstacle:?}"))
        };
        assert_eq!(chosen(json!({"repository": "repo", "snapshot": "latest"})).as_deref(), Ok("b"));
        assert_eq!(chosen(json!({"snapshot": "a"})).as_deref(), Ok("a"));
        assert!(chosen(json!({"snapshot": "c"})).unwrap_err().contains("its phase is Failed"));
        assert!(chosen(json!({"snapshot": "x"})).unwrap_err().contains("does not exist"));
        assert!(chosen(json!({"repository": "other", "snapshot": "latest"})).is_err());
        let point = |time: &str, exclusive: bool| chosen(json!({"repository": "repo", "pitr": {"targetTime": time, "exclusive": exclusive}}));
        assert_eq!(point("2026-01-01T00:00:02Z", false).as_deref(), Ok("b"));
        assert_eq!(point("2026-01-01T00:00:02Z", true).as_deref(), Ok("a"));
        assert_eq!(point("2026-01-02T00:00:00Z", false).as_deref(), Ok("b"));
        assert!(point("2025-01-01T00:00:00Z", false).is_err());
    }

    #[test]
    fn specs_that_say_too_little() {
        let found = |change: &dyn Fn(&mut Value)| {
            let mut spec = guide();
            change(&mut spec);
            problem(&serde_json::from_value(spec).unwrap()).unwrap_or_default()
        };
        assert_eq!(found(&|_| ()), "");
        assert!(found(&|spec| spec["dataSource"] = Value::Null).contains("dataSource is missing"));
        assert!(found(&|spec| spec["dataSource"] = json!({"repository": "r"})).contains("snapshot is missing"));
        assert!(found(&|spec| spec["dataSource"] = json!({"snapshot": "latest"})).contains("repository is missing"));
        assert!(found(&|spec| spec["dataSource"] = json!({"pitr": {"targetTime": "2026-01-01T00:00:00Z"}})).contains("repository is missing"));
        assert!(found(&|spec| spec["dataSource"] = json!({"repository": "r", "pitr": {}})).contains("targetTime"));
        assert!(found(&|spec| spec["dataSource"]["components"] = json!(["pod-0"])).contains("pod-0"));
        assert!(found(&|spec| spec["addon"] = Value::Null).contains("addon is missing"));
        assert!(found(&|spec| spec["restoreTimeout"] = json!("soon")).contains("restoreTimeout"));
    }

    #[test]
    fn the_chosen_snapshot_is_remembered() {
        assert_eq!(chosen(&session(guide(), Value::Null)), None);
        let dependencies = json!({"dependencies": [{"kind": "Addon", "name": "x"}, {"kind": "Snapshot", "name": "a"}]});
        assert_eq!(chosen(&session(guide(), dependencies)).as_deref(), Some("a"));
    }

    #[test]
    fn who_told_its_end_in_the_last_moment_is_believed() {
        for (phase, late, wanted) in [
            (None, false, "RestoreIncomplete"),
            (Some("Running"), false, "RestoreIncomplete"),
            (Some("Running"), true, "DeadlineExceeded"),
            (Some("Succeeded"), true, ""),
            (Some("Failed"), false, ""),
        ] {
            let components = phase.map_or_else(|| json!({}), |phase| json!({"manifest": {"phase": phase}}));
            let mut status: RestoreSessionStatus = serde_json::from_value(json!({"components": components, "totalComponents": 1})).unwrap();
            note_incomplete(&mut status, "why", late, now());
            let found = status.conditions.iter().map(|condition| condition.type_.as_str()).collect::<String>();
            let error = status.components.get(COMPONENT).and_then(|own| own.error.as_deref());
            assert_eq!((found.as_str(), error), (wanted, (!wanted.is_empty()).then_some("why")), "{phase:?}");
        }
    }

    #[test]
    fn a_restore_goes_through_its_steps() {
        let condition = |type_: &str, status: &str| json!({"type": type_, "status": status, "lastTransitionTime": "2026-01-01T00:00:00Z"});
        let seen = |found: &[(&str, &str)], phase: Option<&str>| {
            let conditions: Vec<Value> = found.iter().map(|(type_, status)| condition(type_, status)).collect();
            let components = phase.map_or_else(|| json!({}), |phase| json!({"manifest": {"phase": phase}}));
            let mut session = session(guide(), json!({"conditions": conditions, "components": components, "totalComponents": 1}));
            let status = session.status.as_mut().unwrap();
            status.phase = Some(status.compute_phase());
            Seen { session, snapshot: Ok(snapshot("a", 1, "Succeeded")), job: JobState::Running { waits_for: None, long: false } }
        };
        let (valid, job) = (("ValidationPassed", "True"), ("RestoreExecutorEnsured", "True"));
        assert_eq!(decide(&seen(&[], None), now()), Step::Valid);
        assert_eq!(decide(&Seen { job: JobState::Absent, ..seen(&[valid], None) }, now()), Step::EnsureJob);
        let mut untold = seen(&[valid], None);
        untold.snapshot = Err(Obstacle::NotThere("deleted meanwhile".to_owned()));
        assert_eq!(decide(&untold, now()), Step::JobIsThere, "what runs is not given up for what its beginning needed");
        assert_eq!(decide(&seen(&[valid, job], Some("Running")), now()), Step::Wait(SOON));
        assert_eq!(decide(&seen(&[valid, job], Some("Succeeded")), now()), Step::Close);
        assert_eq!(decide(&seen(&[valid, job, ("MetricsPushed", "True")], Some("Succeeded")), now()), Step::Nothing);
        assert_eq!(decide(&seen(&[valid, ("RestoreExecutorEnsured", "False")], None), now()), Step::Close);
        let mut died = seen(&[valid, job], Some("Running"));
        died.job = JobState::Failed { message: "OOMKilled".to_owned() };
        assert_eq!(decide(&died, now()), Step::Incomplete { why: "OOMKilled".to_owned(), late: false });
        let mut waiting = seen(&[valid, job], None);
        waiting.job = JobState::Running { waits_for: Some("no node".to_owned()), long: true };
        assert_eq!(decide(&waiting, now()), Step::Pending(Some("no node".to_owned())));
        let pending = ("PodHasBeenInPendingStateForLongerThanExpected", "True");
        let mut told = seen(&[valid, job, pending], None);
        told.job = waiting.job;
        assert_eq!(decide(&told, now()), Step::Wait(SOON));
        told.job = JobState::Running { waits_for: None, long: true };
        assert_eq!(decide(&told, now()), Step::Pending(None));
        let mut late = seen(&[valid, job], Some("Running"));
        late.session.spec.restore_timeout = Some("30s".to_owned());
        assert!(matches!(decide(&late, now()), Step::SetDeadline(_)));
        late.session.status.as_mut().unwrap().restore_deadline = Some(Time("2026-01-01T00:00:30Z".parse().unwrap()));
        assert!(matches!(decide(&late, now()), Step::Incomplete { late: true, why } if why.contains("restoreTimeout")));
        late.job = JobState::Running { waits_for: Some("Pod p is pending".to_owned()), long: false };
        assert!(matches!(decide(&late, now()), Step::Incomplete { why, .. } if why.ends_with("30s. Pod p is pending")));
        let mut missing = seen(&[], None);
        missing.snapshot = Err(Obstacle::NotThere("none".to_owned()));
        assert_eq!(decide(&missing, now()), Step::Missing("none".to_owned()));
        assert_eq!(decide(&missing, "2026-01-01T00:05:00Z".parse().unwrap()), Step::Invalid("none".to_owned()));
    }
}
