//! What a run needs next. Pure.
//!
//! ```text
//! skip? ─▶ deadline ─▶ pre-hooks ─▶ Snapshots ─▶ Job ─▶ (ends, or died) ─▶ retention ─▶ post-hooks ─▶ history ─▶ close ─▶ retry?
//! ```
//! Each step is remembered by a condition, so that it is done once, whoever is killed in between. A step that failed ends the work; what
//! comes behind (post-hooks, history, closing) is done nevertheless.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt as _;
use kubestash::api::{
    BackupConfiguration, BackupInvokerPhase, BackupSession, BackupSessionPhase, BackupSessionStatus, Repository, RepositoryPhase,
    RetentionPolicyPhase, Session, Snapshot, SnapshotPhase, SnapshotStatusInfo, conditions, find_condition, has_condition, is_false, is_true,
    parse_duration,
};

use crate::operator::job_state::JobState;

/// Repositories are given so long to get ready.
const REPOSITORY_PATIENCE: SignedDuration = SignedDuration::from_secs(120);
/// Seconds between a failure and the next try, where the session names none.
const RETRY_DELAY: SignedDuration = SignedDuration::from_secs(60);

/// All that is known.
pub struct Seen {
    pub session: BackupSession,
    pub configuration: Option<BackupConfiguration>,
    /// Another run of the same session that has not ended and is older, or goes on already.
    pub running: Option<String>,
    /// Of the repositories that the session names.
    pub repositories: Vec<Repository>,
    pub snapshots: Vec<Snapshot>,
    /// Snapshots whose names the run needs, and which an earlier run of the same name has made.
    pub earlier: Vec<String>,
    pub job: JobState,
    pub retention: JobState,
    /// Ended runs of the same session, newest first.
    pub ended: Vec<String>,
}

/// Annotation of a Snapshot: the uid of the BackupSession that made it, whose name another one may get later.
pub const MADE_BY: &str = "kubestash.com/backupsession-uid";
/// One without the annotation is of an earlier run when it is older than the run by so much: clocks of API servers differ a little.
const CLOCKS: SignedDuration = SignedDuration::from_secs(60);

/// Whether a Snapshot with the name that a run needs was made by another run of the same name.
pub fn is_earlier(snapshot: &Snapshot, session: &BackupSession) -> bool {
    match snapshot.annotations().get(MADE_BY) {
        Some(uid) => Some(uid) != session.metadata.uid.as_ref(),
        None => {
            let age = session.creation_timestamp().zip(snapshot.creation_timestamp());
            age.is_some_and(|(session, snapshot)| session.0.duration_since(snapshot.0) > CLOCKS)
        }
    }
}

/// Which hooks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    Before,
    After,
}

/// One thing to do. Each ends in a change of the status, which calls for the next one.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    Skip(String),
    SetDeadline(Timestamp),
    RunHooks(Stage),
    EnsureSnapshots,
    NoSnapshots(String),
    EnsureJob,
    /// It was made by an operator that ended before it could say so.
    JobIsThere,
    /// The Job ended without a word about some Snapshots, or its time is over.
    Incomplete {
        snapshots: Vec<String>,
        why: String,
        late: bool,
    },
    /// The Job's Pod waits for something, or does not any more.
    Pending(Option<String>),
    /// What the Snapshots say now.
    Note(Vec<SnapshotStatusInfo>),
    EnsureRetention,
    RetentionIncomplete(String),
    CleanHistory(Vec<String>),
    Close,
    PlanRetry(Timestamp),
    Retry,
    Wait(SignedDuration),
    Nothing,
}

const SOON: SignedDuration = SignedDuration::from_secs(10);

impl Seen {
    pub fn own(&self) -> Option<&Session> {
        self.configuration.as_ref()?.spec.session(&self.session.spec.session)
    }

    fn status(&self) -> BackupSessionStatus {
        self.session.status.clone().unwrap_or_default()
    }

    fn has_hooks(&self, stage: Stage) -> bool {
        self.own().and_then(|session| session.hooks.as_ref()).is_some_and(|hooks| match stage {
            Stage::Before => !hooks.pre_backup.is_empty(),
            Stage::After => !hooks.post_backup.is_empty(),
        })
    }

    fn has_policy(&self) -> bool {
        let (Some(configuration), Some(session)) = (&self.configuration, self.own()) else { return false };
        session.repositories.iter().any(|repository| configuration.retention_policy_of(repository.backend.as_deref()).is_some())
    }

    /// What the Snapshots say now. One that is gone says what it said last; if it had not ended, it never will.
    fn infos(&self) -> Vec<SnapshotStatusInfo> {
        let info = |snapshot: &Snapshot| SnapshotStatusInfo {
            name: snapshot.name_any(),
            phase: Some(snapshot.status.as_ref().and_then(|status| status.phase).unwrap_or(SnapshotPhase::Pending)),
            app_ref: snapshot.spec.app_ref.clone(),
            repository: Some(snapshot.spec.repository.clone()),
            message: remark(snapshot),
        };
        let mut all: Vec<SnapshotStatusInfo> = self.snapshots.iter().map(info).collect();
        let listed = self.status().snapshots;
        let gone = listed.into_iter().filter(|listed| !self.snapshots.iter().any(|snapshot| snapshot.name_any() == listed.name));
        all.extend(gone.map(|listed| match listed.phase {
            Some(phase) if phase.is_completed() => listed,
            _ => SnapshotStatusInfo {
                phase: Some(SnapshotPhase::Failed),
                message: Some("it was deleted before its backup had ended".to_owned()),
                ..listed
            },
        }));
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }
}

/// Why a Snapshot failed, or what it lacks.
fn remark(snapshot: &Snapshot) -> Option<String> {
    let status = snapshot.status.as_ref()?;
    let error = status.components.values().find_map(|component| component.error.clone());
    let failed = |type_: &str| find_condition(&status.conditions, type_).filter(|condition| condition.is_false())?.message.clone();
    let partial = || find_condition(&status.conditions, conditions::BACKUP_PARTIAL).filter(|condition| condition.is_true())?.message.clone();
    error.or_else(|| failed(conditions::SNAPSHOT_METADATA_UPLOADED)).or_else(partial)
}

pub fn decide(seen: &Seen, now: Timestamp) -> Step {
    let status = seen.status();
    if status.phase.is_some_and(BackupSessionPhase::is_completed) {
        return after_the_end(seen, &status, now);
    }
    let begun = has_condition(&status.conditions, conditions::SNAPSHOTS_ENSURED)
        || has_condition(&status.conditions, conditions::PRE_BACKUP_HOOKS_EXECUTION_SUCCEEDED);
    if !begun && let Some(why) = obstacle(seen) {
        // An operator that ended in the middle may have made some already.
        let open = unfinished(seen);
        return if open.is_empty() { Step::Skip(why) } else { Step::Incomplete { snapshots: open, why, late: false } };
    }
    if status.backup_deadline.is_none()
        && let Some(time) = deadline(seen)
    {
        return Step::SetDeadline(time);
    }
    let infos = seen.infos();
    if has_condition(&status.conditions, conditions::SNAPSHOTS_ENSURED) && infos != status.snapshots && !infos.is_empty() {
        return Step::Note(infos);
    }
    let failed = [conditions::PRE_BACKUP_HOOKS_EXECUTION_SUCCEEDED, conditions::SNAPSHOTS_ENSURED, conditions::BACKUP_EXECUTOR_ENSURED]
        .iter()
        .any(|type_| is_false(&status.conditions, type_))
        || is_true(&status.conditions, conditions::DEADLINE_EXCEEDED);
    if !failed && let Some(step) = work(seen, &status, now) {
        return step;
    }
    let open: Vec<String> = unfinished(seen);
    if !open.is_empty() {
        let why = status.failure().unwrap_or_else(|| "the session ended before it".to_owned());
        return Step::Incomplete { snapshots: open, why, late: false };
    }
    wind_up(seen, &status)
}

fn obstacle(seen: &Seen) -> Option<String> {
    let invoker = seen.session.spec.invoker.as_ref().map(|invoker| invoker.name.clone()).unwrap_or_default();
    let Some(configuration) = &seen.configuration else { return Some(format!("BackupConfiguration {invoker} does not exist")) };
    if seen.own().is_none() {
        return Some(format!("BackupConfiguration {invoker} has no session {:?}", seen.session.spec.session));
    }
    let phase = configuration.status.as_ref().and_then(|status| status.phase);
    if phase != Some(BackupInvokerPhase::Ready) {
        let shown = phase.map_or("not known yet", BackupInvokerPhase::as_str);
        return Some(format!("BackupConfiguration {invoker} is not Ready but {shown}; `kubectl describe bc {invoker}` says why"));
    }
    seen.running.as_ref().map(|other| format!("BackupSession {other} of the same session has not ended"))
}

fn deadline(seen: &Seen) -> Option<Timestamp> {
    let timeout = seen.session.spec.backup_timeout.as_deref()?;
    let timeout = SignedDuration::try_from(parse_duration(timeout).ok()?).ok()?;
    seen.session.metadata.creation_timestamp.as_ref()?.0.checked_add(timeout).ok()
}

fn unfinished(seen: &Seen) -> Vec<String> {
    let ended = |snapshot: &Snapshot| snapshot.status.as_ref().and_then(|status| status.phase).is_some_and(SnapshotPhase::is_completed);
    seen.snapshots.iter().filter(|snapshot| !ended(snapshot)).map(|snapshot| snapshot.name_any()).collect()
}

fn work(seen: &Seen, status: &BackupSessionStatus, now: Timestamp) -> Option<Step> {
    let late = status.backup_deadline.as_ref().is_some_and(|Time(time)| now >= *time);
    let left = |step: SignedDuration| status.backup_deadline.as_ref().map_or(step, |Time(time)| step.min(time.duration_since(now)));
    if seen.has_hooks(Stage::Before) && !has_condition(&status.conditions, conditions::PRE_BACKUP_HOOKS_EXECUTION_SUCCEEDED) {
        return Some(Step::RunHooks(Stage::Before));
    }
    if !has_condition(&status.conditions, conditions::SNAPSHOTS_ENSURED) {
        return Some(ensure_snapshots(seen, now));
    }
    let open = unfinished(seen);
    if open.is_empty() {
        let lost = seen.snapshots.is_empty() && status.snapshots.is_empty();
        return lost.then(|| Step::NoSnapshots("the Snapshots were deleted before the backup had begun".to_owned()));
    }
    if late {
        let waited = match &seen.job {
            JobState::Running { waits_for: Some(why), .. } => format!(". {why}"),
            _ => "; give it more time in backupTimeout of the session".to_owned(),
        };
        let why = format!("deadline exceeded: it did not end within {}{waited}", seen.session.spec.backup_timeout.as_deref().unwrap_or_default());
        return Some(Step::Incomplete { snapshots: open, why, late: true });
    }
    if !has_condition(&status.conditions, conditions::BACKUP_EXECUTOR_ENSURED) {
        return Some(if seen.job == JobState::Absent { Step::EnsureJob } else { Step::JobIsThere });
    }
    let incomplete = |why: String| Some(Step::Incomplete { snapshots: open.clone(), why, late: false });
    let told = is_true(&status.conditions, conditions::POD_HAS_BEEN_IN_PENDING_STATE_FOR_LONGER_THAN_EXPECTED);
    match &seen.job {
        JobState::Absent => incomplete("the Job of the backup was deleted".to_owned()),
        JobState::Succeeded => incomplete("the Job of the backup ended without a report".to_owned()),
        JobState::Failed { message } => incomplete(message.clone()),
        JobState::Running { waits_for: Some(why), long: true } if !told => Some(Step::Pending(Some(why.clone()))),
        JobState::Running { waits_for: None, .. } if told => Some(Step::Pending(None)),
        JobState::Running { .. } => Some(Step::Wait(left(SOON))),
    }
}

fn ensure_snapshots(seen: &Seen, now: Timestamp) -> Step {
    let Some(session) = seen.own() else { return Step::NoSnapshots("the session is not in the BackupConfiguration any more".to_owned()) };
    if let Some(other) = seen.earlier.first() {
        let why = format!("Snapshot {other} is there already, of an earlier BackupSession of this name; give the new one another name");
        return Step::NoSnapshots(why);
    }
    let ready = |name: &str| {
        let found = seen.repositories.iter().find(|repository| repository.name_any() == name);
        found.and_then(|repository| repository.status.as_ref()?.phase) == Some(RepositoryPhase::Ready)
    };
    let waits: Vec<&str> = session.repositories.iter().map(|info| info.name.as_str()).filter(|name| !ready(name)).collect();
    if waits.is_empty() {
        return Step::EnsureSnapshots;
    }
    let age = seen.session.metadata.creation_timestamp.as_ref().map_or(SignedDuration::ZERO, |time| now.duration_since(time.0));
    if age < REPOSITORY_PATIENCE {
        return Step::Wait(SignedDuration::from_secs(2));
    }
    let reasons: Vec<String> = waits
        .iter()
        .map(|name| {
            let found = seen.repositories.iter().find(|repository| repository.name_any() == *name);
            let status = found.and_then(|repository| repository.status.as_ref());
            let said = status.and_then(|status| status.conditions.iter().find(|condition| condition.is_false())?.message.clone());
            match (found, said) {
                (None, _) => format!("Repository {name} does not exist"),
                (Some(_), Some(said)) => format!("Repository {name} is not Ready: {said}"),
                (Some(_), None) => format!("Repository {name} is not Ready"),
            }
        })
        .collect();
    Step::NoSnapshots(reasons.join("; "))
}

/// What comes behind the work, whether it went well or not.
fn wind_up(seen: &Seen, status: &BackupSessionStatus) -> Step {
    let retained = has_condition(&status.conditions, conditions::RETENTION_POLICY_EXECUTOR_ENSURED);
    if !seen.snapshots.is_empty() && seen.has_policy() && !retained {
        return Step::EnsureRetention;
    }
    if is_true(&status.conditions, conditions::RETENTION_POLICY_EXECUTOR_ENSURED) {
        let expected = status.retention_policy.iter().any(|applied| applied.phase == Some(RetentionPolicyPhase::Pending));
        let told = has_condition(&status.conditions, conditions::SNAPSHOT_CLEANUP_INCOMPLETE);
        match &seen.retention {
            _ if !expected || told => {}
            JobState::Running { .. } => return Step::Wait(SOON),
            JobState::Absent => return Step::RetentionIncomplete("the Job of the retention policy was deleted".to_owned()),
            JobState::Succeeded => return Step::RetentionIncomplete("the Job of the retention policy ended without a report".to_owned()),
            JobState::Failed { message } => return Step::RetentionIncomplete(message.clone()),
        }
    }
    if seen.has_hooks(Stage::After) && !has_condition(&status.conditions, conditions::POST_BACKUP_HOOKS_EXECUTION_SUCCEEDED) {
        return Step::RunHooks(Stage::After);
    }
    if !has_condition(&status.conditions, conditions::SESSION_HISTORY_CLEANED) {
        let limit = seen.own().map_or(1, Session::history_limit);
        // This run is one of those that stay.
        let goes = seen.ended.iter().skip(limit.saturating_sub(1)).cloned().collect();
        return Step::CleanHistory(goes);
    }
    Step::Close
}

fn after_the_end(seen: &Seen, status: &BackupSessionStatus, now: Timestamp) -> Step {
    let tries = seen.session.spec.retry_left.unwrap_or(0);
    if status.phase != Some(BackupSessionPhase::Failed) || tries <= 0 || status.retried.unwrap_or(false) || seen.own().is_none() {
        return Step::Nothing;
    }
    let Some(Time(next)) = status.next_retry else {
        let named = seen.own().and_then(|session| session.retry_config.as_ref()?.delay.as_deref());
        let delay = named.and_then(|text| parse_duration(text).ok()).and_then(|delay| SignedDuration::try_from(delay).ok()).unwrap_or(RETRY_DELAY);
        return Step::PlanRetry(now.checked_add(delay).unwrap_or(now));
    };
    if now < next { Step::Wait(next.duration_since(now)) } else { Step::Retry }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::{Value, json};

    use super::{
        super::fixture::{object, seen},
        *,
    };

    fn snapshot(name: &str, phase: Option<&str>) -> Snapshot {
        let status = phase.map_or(Value::Null, |phase| json!({"phase": phase}));
        object("storage", "Snapshot", name, json!({"spec": {"repository": "repo"}, "status": status}))
    }

    fn now() -> Timestamp {
        "2026-01-01T00:01:00Z".parse().unwrap()
    }

    fn with(mut seen: Seen, found: &[(&str, bool)], snapshots: Vec<Snapshot>) -> Seen {
        let conditions: Vec<Value> = found
            .iter()
            .map(|(type_, status)| json!({"type": type_, "status": if *status { "True" } else { "False" }, "lastTransitionTime": "2026-01-01T00:00:00Z", "message": "m"}))
            .collect();
        seen.snapshots = snapshots;
        let mut status: BackupSessionStatus = serde_json::from_value(json!({"conditions": conditions})).unwrap();
        status.snapshots = seen.infos();
        status.phase = Some(status.compute_phase());
        seen.session.status = Some(status);
        seen
    }

    const SNAPSHOTS: (&str, bool) = ("SnapshotsEnsured", true);
    const JOB: (&str, bool) = ("BackupExecutorEnsured", true);
    const RETENTION: (&str, bool) = ("RetentionPolicyExecutorEnsured", true);
    const HISTORY: (&str, bool) = ("SessionHistoryCleaned", true);

    #[test]
    fn a_run_goes_through_its_steps() {
        let running = || vec![snapshot("a", Some("Running"))];
        let done = || vec![snapshot("a", Some("Succeeded"))];
        assert_eq!(decide(&seen(), now()), Step::EnsureSnapshots);
        assert_eq!(decide(&with(seen(), &[SNAPSHOTS], vec![snapshot("a", None)]), now()), Step::EnsureJob);
        let mut working = with(seen(), &[SNAPSHOTS, JOB], running());
        working.job = JobState::Running { waits_for: None, long: false };
        assert_eq!(decide(&working, now()), Step::Wait(SOON));
        assert_eq!(decide(&with(seen(), &[SNAPSHOTS, JOB], done()), now()), Step::EnsureRetention);
        let mut retained = with(seen(), &[SNAPSHOTS, JOB, RETENTION], done());
        retained.ended = vec!["old-2".to_owned(), "old-1".to_owned()];
        assert_eq!(decide(&retained, now()), Step::CleanHistory(vec!["old-2".to_owned(), "old-1".to_owned()]));
        assert_eq!(decide(&with(seen(), &[SNAPSHOTS, JOB, RETENTION, HISTORY], done()), now()), Step::Close);
        let ended = with(seen(), &[SNAPSHOTS, JOB, RETENTION, HISTORY, ("MetricsPushed", true)], done());
        assert_eq!(decide(&ended, now()), Step::Nothing);
    }

    #[test]
    fn what_cannot_begin_is_skipped() {
        let text = |seen: Seen| match decide(&seen, now()) {
            Step::Skip(why) => why,
            other => panic!("{other:?}"),
        };
        assert_eq!(text(Seen { configuration: None, ..seen() }), "BackupConfiguration bc does not exist");
        assert!(text(Seen { running: Some("run-0".to_owned()), ..seen() }).contains("run-0"));
        let mut waiting = seen();
        waiting.configuration.as_mut().unwrap().status = None;
        assert!(text(waiting).contains("is not Ready"));
        let mut other = seen();
        other.session.spec.session = "t".to_owned();
        assert!(text(other).contains("has no session \"t\""));
        let mut half = with(seen(), &[], vec![snapshot("a", None)]);
        half.configuration = None;
        assert!(matches!(decide(&half, now()), Step::Incomplete { snapshots, .. } if snapshots == ["a"]), "no Snapshot is left open");
        // One that has begun goes on, whatever becomes of the configuration.
        let mut begun = with(seen(), &[SNAPSHOTS], vec![snapshot("a", None)]);
        begun.configuration.as_mut().unwrap().status = None;
        assert_eq!(decide(&begun, now()), Step::EnsureJob);
    }

    #[test]
    fn a_job_that_died_is_told_of() {
        let died = |job: JobState| {
            let mut seen = with(seen(), &[SNAPSHOTS, JOB], vec![snapshot("a", Some("Succeeded")), snapshot("b", Some("Running"))]);
            seen.job = job;
            match decide(&seen, now()) {
                Step::Incomplete { snapshots, why, late: false } => (snapshots, why),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(died(JobState::Failed { message: "OOMKilled".to_owned() }), (vec!["b".to_owned()], "OOMKilled".to_owned()));
        assert!(died(JobState::Succeeded).1.contains("without a report"));
        assert!(died(JobState::Absent).1.contains("was deleted"));
    }

    #[test]
    fn pods_that_wait_are_told_of_once_and_taken_back() {
        let mut waiting = with(seen(), &[SNAPSHOTS, JOB], vec![snapshot("a", None)]);
        waiting.job = JobState::Running { waits_for: Some("no image".to_owned()), long: true };
        assert_eq!(decide(&waiting, now()), Step::Pending(Some("no image".to_owned())));
        let pending = ("PodHasBeenInPendingStateForLongerThanExpected", true);
        let mut told = with(seen(), &[SNAPSHOTS, JOB, pending], vec![snapshot("a", None)]);
        told.job = JobState::Running { waits_for: Some("no image".to_owned()), long: true };
        assert_eq!(decide(&told, now()), Step::Wait(SOON));
        told.job = JobState::Running { waits_for: None, long: false };
        assert_eq!(decide(&told, now()), Step::Pending(None));
    }

    #[test]
    fn a_snapshot_of_an_earlier_run_of_the_same_name_is_no_backup() {
        let run: BackupSession = serde_json::from_value(json!({
            "apiVersion": "core.kubestash.com/v1alpha1", "kind": "BackupSession", "spec": {},
            "metadata": {"name": "by-hand", "uid": "new", "creationTimestamp": "2026-01-02T00:00:00Z"},
        }))
        .unwrap();
        for (maker, created, earlier) in [
            (Some("new"), "2026-01-02T00:00:01Z", false),
            (Some("new"), "2026-01-01T00:00:00Z", false),
            (Some("old"), "2026-01-02T00:00:01Z", true),
            (None, "2026-01-02T00:00:01Z", false),
            (None, "2026-01-01T23:59:30Z", false),
            (None, "2026-01-01T00:00:00Z", true),
        ] {
            let mut made = snapshot("repo-by-hand", Some("Succeeded"));
            made.metadata.annotations = maker.map(|uid| [(MADE_BY.to_owned(), uid.to_owned())].into());
            made.metadata.creation_timestamp = serde_json::from_value(json!(created)).unwrap();
            assert_eq!(is_earlier(&made, &run), earlier, "{maker:?} {created}");
        }
        let mut again = seen();
        again.earlier = vec!["repo-by-hand".to_owned()];
        assert!(matches!(decide(&again, now()), Step::NoSnapshots(why) if why.contains("repo-by-hand is there already")));
    }

    #[test]
    fn time_runs_out() {
        let mut seen = with(seen(), &[SNAPSHOTS, JOB], vec![snapshot("a", Some("Running"))]);
        seen.session.spec.backup_timeout = Some("30s".to_owned());
        let deadline: Timestamp = "2026-01-01T00:00:30Z".parse().unwrap();
        assert_eq!(decide(&seen, now()), Step::SetDeadline(deadline));
        seen.session.status.as_mut().unwrap().backup_deadline = Some(Time(deadline));
        assert!(matches!(decide(&seen, now()), Step::Incomplete { late: true, why, .. } if why.contains("deadline exceeded") && why.contains("30s")));
        seen.job = JobState::Running { waits_for: None, long: false };
        assert_eq!(decide(&seen, deadline - SignedDuration::from_secs(3)), Step::Wait(SignedDuration::from_secs(3)));
    }

    #[test]
    fn repositories_are_waited_for_and_then_named() {
        let mut seen = seen();
        seen.repositories[0].status = serde_json::from_value(json!({
            "phase": "NotReady", "conditions": [{"type": "RepositoryInitialized", "status": "False", "lastTransitionTime": "2026-01-01T00:00:00Z", "message": "no bucket"}],
        }))
        .unwrap();
        assert!(matches!(decide(&seen, now()), Step::Wait(_)));
        let late: Timestamp = "2026-01-01T00:03:00Z".parse().unwrap();
        assert_eq!(decide(&seen, late), Step::NoSnapshots("Repository repo is not Ready: no bucket".to_owned()));
        seen.repositories.clear();
        assert_eq!(decide(&seen, late), Step::NoSnapshots("Repository repo does not exist".to_owned()));
    }

    #[test]
    fn a_failed_step_ends_the_work_and_the_session_is_closed_all_the_same() {
        let failed = with(seen(), &[("SnapshotsEnsured", false)], Vec::new());
        assert_eq!(decide(&failed, now()), Step::CleanHistory(Vec::new()));
        assert_eq!(decide(&with(seen(), &[("SnapshotsEnsured", false), HISTORY], Vec::new()), now()), Step::Close);
        let no_job = with(seen(), &[SNAPSHOTS, ("BackupExecutorEnsured", false)], vec![snapshot("a", None)]);
        assert!(matches!(decide(&no_job, now()), Step::Incomplete { snapshots, .. } if snapshots == ["a"]));
    }

    #[test]
    fn snapshots_that_are_deleted_while_they_are_written_have_failed() {
        let mut lost = with(seen(), &[SNAPSHOTS, JOB], vec![snapshot("a", Some("Succeeded")), snapshot("b", Some("Running"))]);
        lost.snapshots.clear();
        let Step::Note(infos) = decide(&lost, now()) else { panic!("it is not told") };
        assert_eq!(infos.iter().map(|info| info.phase.unwrap().as_str()).collect::<Vec<_>>(), ["Succeeded", "Failed"]);
        lost.session.status.as_mut().unwrap().snapshots = infos;
        assert!(!matches!(decide(&lost, now()), Step::Note(_)), "once");
        let unlisted = with(seen(), &[SNAPSHOTS], Vec::new());
        assert!(matches!(decide(&unlisted, now()), Step::NoSnapshots(why) if why.contains("deleted")));
    }

    #[test]
    fn a_job_that_is_there_counts_whatever_has_become_of_the_configuration() {
        let mut untold = with(seen(), &[SNAPSHOTS], vec![snapshot("a", Some("Running"))]);
        untold.configuration = None;
        untold.job = JobState::Running { waits_for: None, long: false };
        assert_eq!(decide(&untold, now()), Step::JobIsThere);
    }

    #[test]
    fn retention_is_waited_for() {
        let mut seen = with(seen(), &[SNAPSHOTS, JOB, RETENTION], vec![snapshot("a", Some("Failed"))]);
        let status = seen.session.status.as_mut().unwrap();
        status.retention_policy = serde_json::from_value(json!([{"repository": "repo", "phase": "Pending"}])).unwrap();
        seen.retention = JobState::Running { waits_for: None, long: false };
        assert_eq!(decide(&seen, now()), Step::Wait(SOON));
        seen.retention = JobState::Failed { message: "killed".to_owned() };
        assert_eq!(decide(&seen, now()), Step::RetentionIncomplete("killed".to_owned()));
    }

    #[test]
    fn failed_runs_are_tried_again_as_often_as_they_may() {
        let closed = [SNAPSHOTS, JOB, HISTORY, ("MetricsPushed", true)];
        let mut seen = with(seen(), &closed, vec![snapshot("a", Some("Failed"))]);
        assert_eq!(decide(&seen, now()), Step::PlanRetry("2026-01-01T00:06:00Z".parse().unwrap()));
        let next: Timestamp = "2026-01-01T00:06:00Z".parse().unwrap();
        seen.session.status.as_mut().unwrap().next_retry = Some(Time(next));
        assert_eq!(decide(&seen, now()), Step::Wait(SignedDuration::from_mins(5)));
        assert_eq!(decide(&seen, next), Step::Retry);
        seen.session.status.as_mut().unwrap().retried = Some(true);
        assert_eq!(decide(&seen, next), Step::Nothing);
        seen.session.status.as_mut().unwrap().retried = None;
        seen.session.spec.retry_left = Some(0);
        assert_eq!(decide(&seen, next), Step::Nothing);
    }

    #[test]
    fn the_newest_runs_stay() {
        let mut seen = with(seen(), &[SNAPSHOTS, JOB, RETENTION], vec![snapshot("a", Some("Succeeded"))]);
        seen.configuration.as_mut().unwrap().spec.sessions[0].session_history_limit = Some(3);
        seen.ended = ["4", "3", "2", "1"].map(str::to_owned).to_vec();
        assert_eq!(decide(&seen, now()), Step::CleanHistory(vec!["2".to_owned(), "1".to_owned()]));
    }
}
