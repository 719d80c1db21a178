//! Random lives of a run: Jobs that end well, badly, without a word or not at all, Snapshots that end late, an operator that dies after any write
//! and begins anew. Whatever happens, the run ends, ends once, has told what became of each Snapshot, and makes one Job of each kind.
#![allow(clippy::unwrap_used)]

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kubestash::api::{
    BackupSession, BackupSessionPhase, BackupSessionStatus, Condition, RetentionPolicyApplyStatus, RetentionPolicyPhase, Snapshot, SnapshotPhase,
    conditions, set_condition,
};

use super::{
    decide::{Seen, Stage, Step, decide},
    fixture,
};
use crate::operator::job_state::JobState;

/// Numbers that look random and are the same in every run.
struct Random(u64);

impl Random {
    fn next(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.next(100) < percent
    }
}

/// A cluster with one run in it.
struct World {
    seen: Seen,
    now: Timestamp,
    jobs: u32,
    retentions: u32,
    retries: u32,
    hooks: u32,
    random: Random,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        let mut seen = fixture::seen();
        if random.chance(30) {
            seen.session.spec.backup_timeout = Some("5m".to_owned());
        }
        if random.chance(10) {
            seen.running = Some("other-0".to_owned());
        }
        if random.chance(15) {
            seen.repositories.clear();
        }
        if random.chance(30) {
            let hooks = serde_json::json!({"preBackup": [{"name": "a"}], "postBackup": [{"name": "b"}]});
            if let Some(session) = seen.configuration.as_mut().and_then(|configuration| configuration.spec.sessions.first_mut()) {
                session.hooks = serde_json::from_value(hooks).ok();
            }
        }
        seen.ended = (0..random.next(4)).map(|number| format!("run-0{number}")).collect();
        let now = "2026-01-01T00:00:01Z".parse().unwrap();
        Self { seen, now, jobs: 0, retentions: 0, retries: 0, hooks: 0, random }
    }

    fn status(&mut self) -> &mut BackupSessionStatus {
        self.seen.session.status.get_or_insert_default()
    }

    fn note(&mut self, type_: &str, status: bool) {
        let now = self.now;
        set_condition(&mut self.status().conditions, Condition::new(type_, status, "", "m"), now);
        self.settle();
    }

    fn settle(&mut self) {
        let status = self.status();
        status.phase = Some(status.compute_phase());
    }

    fn end_snapshots(&mut self, phase: SnapshotPhase) {
        for snapshot in &mut self.seen.snapshots {
            let status = snapshot.status.get_or_insert_default();
            if !status.phase.is_some_and(SnapshotPhase::is_completed) {
                status.phase = Some(phase);
            }
        }
    }

    /// Something happens in the cluster while the operator does not look.
    fn pass(&mut self) {
        self.now = self.now.checked_add(SignedDuration::from_secs(10)).unwrap();
        if matches!(self.seen.job, JobState::Running { .. }) {
            match self.random.next(10) {
                0 => {
                    self.end_snapshots(SnapshotPhase::Succeeded);
                    self.seen.job = JobState::Succeeded;
                }
                1 => {
                    self.end_snapshots(SnapshotPhase::Failed);
                    self.seen.job = JobState::Failed { message: "it failed".to_owned() };
                }
                2 => self.seen.job = JobState::Failed { message: "OOMKilled".to_owned() },
                3 => self.seen.job = JobState::Succeeded,
                4 => self.seen.job = JobState::Absent,
                5 => self.seen.job = JobState::Running { waits_for: Some("no image".to_owned()) },
                _ => self.seen.job = JobState::Running { waits_for: None },
            }
        }
        if matches!(self.seen.retention, JobState::Running { .. }) {
            match self.random.next(6) {
                0 => {
                    self.status().retention_policy.iter_mut().for_each(|applied| applied.phase = Some(RetentionPolicyPhase::Applied));
                    self.seen.retention = JobState::Succeeded;
                }
                1 => {
                    self.status().retention_policy.iter_mut().for_each(|applied| applied.phase = Some(RetentionPolicyPhase::FailedToApply));
                    self.seen.retention = JobState::Failed { message: "locked".to_owned() };
                }
                2 => self.seen.retention = JobState::Absent,
                _ => {}
            }
            self.settle();
        }
        // A configuration may be changed or deleted at any time.
        if self.random.chance(2) {
            self.seen.configuration = None;
        }
    }

    /// What the operator's writes do. `dies`: it ends after the object is made, before it remembers that.
    fn apply(&mut self, step: Step, dies: bool) {
        match step {
            Step::Nothing | Step::Wait(_) => self.pass(),
            Step::Skip(_) => self.note(conditions::BACKUP_SKIPPED, true),
            Step::SetDeadline(time) => self.status().backup_deadline = Some(Time(time)),
            Step::RunHooks(stage) => {
                self.hooks += 1;
                let good = self.random.chance(80);
                let type_ = match stage {
                    Stage::Before => conditions::PRE_BACKUP_HOOKS_EXECUTION_SUCCEEDED,
                    Stage::After => conditions::POST_BACKUP_HOOKS_EXECUTION_SUCCEEDED,
                };
                self.note(type_, good);
            }
            Step::EnsureSnapshots => {
                if self.seen.snapshots.is_empty() {
                    let snapshot: Snapshot = serde_json::from_value(serde_json::json!({
                        "apiVersion": "storage.kubestash.com/v1alpha1", "kind": "Snapshot", "metadata": {"name": "a"}, "spec": {"repository": "repo"},
                    }))
                    .unwrap();
                    self.seen.snapshots.push(snapshot);
                }
                if !dies {
                    self.note(conditions::SNAPSHOTS_ENSURED, true);
                }
            }
            Step::NoSnapshots(_) => self.note(conditions::SNAPSHOTS_ENSURED, false),
            Step::EnsureJob => {
                if self.random.chance(10) {
                    return self.note(conditions::BACKUP_EXECUTOR_ENSURED, false);
                }
                if self.seen.job == JobState::Absent {
                    self.jobs += 1;
                    self.seen.job = JobState::Running { waits_for: None };
                }
                if !dies {
                    self.note(conditions::BACKUP_EXECUTOR_ENSURED, true);
                }
            }
            Step::Incomplete { snapshots, late, .. } => {
                for snapshot in self.seen.snapshots.iter_mut().filter(|own| snapshots.contains(own.metadata.name.as_ref().unwrap())) {
                    snapshot.status.get_or_insert_default().phase = Some(SnapshotPhase::Failed);
                }
                if late && !dies {
                    self.seen.job = JobState::Absent;
                    self.note(conditions::DEADLINE_EXCEEDED, true);
                }
            }
            Step::Pending(why) => self.note(conditions::POD_HAS_BEEN_IN_PENDING_STATE_FOR_LONGER_THAN_EXPECTED, why.is_some()),
            Step::Note(infos) => {
                self.status().snapshots = infos;
                self.settle();
            }
            Step::EnsureRetention => {
                if self.seen.retention == JobState::Absent {
                    self.retentions += 1;
                    self.seen.retention = JobState::Running { waits_for: None };
                }
                if !dies {
                    let pending = RetentionPolicyApplyStatus { phase: Some(RetentionPolicyPhase::Pending), ..Default::default() };
                    self.status().retention_policy = vec![pending];
                    self.note(conditions::RETENTION_POLICY_EXECUTOR_ENSURED, true);
                }
            }
            Step::RetentionIncomplete(_) => self.note(conditions::SNAPSHOT_CLEANUP_INCOMPLETE, true),
            Step::CleanHistory(names) => {
                self.seen.ended.retain(|name| !names.contains(name));
                if !dies {
                    self.note(conditions::SESSION_HISTORY_CLEANED, true);
                }
            }
            Step::Close => self.note(conditions::METRICS_PUSHED, true),
            Step::PlanRetry(time) => self.status().next_retry = Some(Time(time)),
            Step::Retry => {
                self.retries += 1;
                self.status().retried = Some(true);
            }
        }
    }
}

fn phase(session: &BackupSession) -> Option<BackupSessionPhase> {
    session.status.as_ref().and_then(|status| status.phase)
}

#[test]
fn every_life_of_a_run_ends_once() {
    for seed in 0..5_000 {
        let mut world = World::new(seed);
        let mut ended: Option<BackupSessionPhase> = None;
        let mut quiet = 0;
        for _ in 0..600 {
            let step = decide(&world.seen, world.now);
            quiet = if step == Step::Nothing { quiet + 1 } else { 0 };
            let dies = world.random.chance(10);
            world.apply(step, dies);
            let now = phase(&world.seen.session).filter(|phase| phase.is_completed());
            assert!(ended.is_none() || ended == now, "seed {seed}: {ended:?} became {now:?}");
            ended = now;
            if quiet > 3 {
                break;
            }
        }
        let status = world.seen.session.status.clone().unwrap_or_default();
        assert!(ended.is_some(), "seed {seed}: it does not end: {status:#?}");
        assert!(world.jobs <= 1 && world.retentions <= 1 && world.retries <= 1 && world.hooks <= 2, "seed {seed}: something was done twice");
        for snapshot in &world.seen.snapshots {
            let told = snapshot.status.as_ref().and_then(|status| status.phase).is_some_and(SnapshotPhase::is_completed);
            assert!(told || ended == Some(BackupSessionPhase::Skipped), "seed {seed}: a Snapshot was left open");
        }
        let failed =
            world.seen.snapshots.iter().any(|snapshot| snapshot.status.as_ref().and_then(|status| status.phase) == Some(SnapshotPhase::Failed));
        assert!(!(failed && ended == Some(BackupSessionPhase::Succeeded)), "seed {seed}: a failure was hidden");
    }
}
