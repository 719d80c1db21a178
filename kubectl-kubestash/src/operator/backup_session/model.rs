//! Random lives of a run: Jobs that end well, badly, without a word or not at all, Snapshots that end late or are deleted, a configuration that is
//! changed or deleted meanwhile, an operator that dies at any write and begins anew. Whatever happens, the run ends, ends once, has told what
//! became of each Snapshot, and makes one Job of each kind.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt as _;
use kubestash::api::{
    BackupConfiguration, BackupSession, BackupSessionPhase, BackupSessionStatus, Condition, Repository, RetentionPolicyApplyStatus,
    RetentionPolicyPhase, Snapshot, SnapshotPhase, conditions, has_condition, remove_condition, set_condition,
};
use serde_json::json;

use super::{
    decide::{Seen, Stage, Step, decide},
    fixture,
};
use crate::operator::{
    job_state::JobState,
    model::{self, Done, Jobs, Random, Shelf},
};

const NAME: &str = "run-1";
const RETENTION: &str = "retentionpolicy-run-1";

/// A cluster with one run in it.
#[derive(Clone)]
struct World {
    sessions: Shelf<BackupSession>,
    snapshots: Shelf<Snapshot>,
    configuration: Option<BackupConfiguration>,
    repositories: Vec<Repository>,
    running: Option<String>,
    /// A Snapshot of an earlier run of the same name.
    earlier: Vec<String>,
    ended: Vec<String>,
    jobs: Jobs,
    /// How often each was done.
    done: BTreeMap<&'static str, u32>,
    /// How the run ended.
    phase: Option<BackupSessionPhase>,
    now: Timestamp,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let mut seen = fixture::seen();
        let now = "2026-01-01T00:00:01Z".parse().unwrap();
        if random.chance(30) {
            seen.session.spec.backup_timeout = Some("5m".to_owned());
        }
        if random.chance(30) {
            let hooks = json!({"preBackup": [{"name": "a"}], "postBackup": [{"name": "b"}]});
            if let Some(session) = seen.configuration.as_mut().and_then(|configuration| configuration.spec.sessions.first_mut()) {
                session.hooks = serde_json::from_value(hooks).ok();
            }
        }
        let mut sessions = Shelf::default();
        sessions.create(seen.session, now);
        Self {
            sessions,
            snapshots: Shelf::default(),
            configuration: seen.configuration,
            repositories: if random.chance(15) { Vec::new() } else { seen.repositories },
            running: random.chance(10).then(|| "other-0".to_owned()),
            earlier: if random.chance(5) { vec!["a".to_owned()] } else { Vec::new() },
            ended: (0..random.next(4)).map(|number| format!("run-0{number}")).collect(),
            jobs: Jobs::default(),
            done: BTreeMap::new(),
            phase: None,
            now,
        }
    }

    fn session(&self) -> &BackupSession {
        self.sessions.get(NAME).unwrap()
    }

    fn status(&self) -> BackupSessionStatus {
        self.session().status.clone().unwrap_or_default()
    }

    fn uid(&self) -> String {
        self.session().uid().unwrap()
    }

    /// As every writer of the status does it; what has ended stays as it is.
    fn edit(&mut self, change: impl FnOnce(&mut BackupSessionStatus)) {
        self.sessions.edit(NAME, |session| {
            let status = session.status.get_or_insert_default();
            change(status);
            status.phase = Some(status.compute_phase());
        });
        let phase = self.status().phase.filter(|phase| phase.is_completed());
        assert!(self.phase.is_none() || self.phase == phase, "{:?} became {phase:?}", self.phase);
        self.phase = phase;
    }

    fn note(&mut self, type_: &str, status: bool) {
        let now = self.now;
        self.edit(|own| {
            set_condition(&mut own.conditions, Condition::new(type_, status, "", "m"), now);
        });
    }

    fn count(&mut self, what: &'static str) {
        *self.done.entry(what).or_default() += 1;
    }

    fn end_snapshots(&mut self, phase: SnapshotPhase, which: impl Fn(&str) -> bool) {
        let names: Vec<String> = self.snapshots.iter().map(|snapshot| snapshot.name_any()).filter(|name| which(name)).collect();
        for name in names {
            self.snapshots.edit(&name, |snapshot| {
                let status = snapshot.status.get_or_insert_default();
                if !status.phase.is_some_and(SnapshotPhase::is_completed) {
                    status.phase = Some(phase);
                }
            });
        }
    }

    fn end_retention(&mut self, phase: RetentionPolicyPhase) {
        self.edit(|status| status.retention_policy.iter_mut().for_each(|applied| applied.phase = Some(phase)));
    }

    fn work(&mut self, name: &str, good: bool) {
        if name == RETENTION {
            self.end_retention(if good { RetentionPolicyPhase::Applied } else { RetentionPolicyPhase::FailedToApply });
        } else {
            self.end_snapshots(if good { SnapshotPhase::Succeeded } else { SnapshotPhase::Failed }, |_| true);
        }
        self.jobs.end(name, if good { JobState::Succeeded } else { JobState::Failed { message: "it failed".to_owned() } });
    }
}

impl model::World for World {
    type Seen = Seen;
    type Step = Step;

    fn happen(&mut self, random: &mut Random) {
        self.now = self.now.checked_add(SignedDuration::from_secs(10)).unwrap();
        match random.next(16) {
            // A configuration may be changed or deleted at any time, and so may what it names.
            0 if random.chance(20) => self.configuration = None,
            1 if random.chance(30) => {
                if let Some(configuration) = &mut self.configuration {
                    configuration.spec.sessions.clear();
                }
            }
            2 if random.chance(30) => self.repositories.clear(),
            3 if random.chance(30) => self.snapshots.delete("a", self.now),
            4 => self.running = None,
            5 => self.now = self.now.checked_add(SignedDuration::from_secs(60)).unwrap(),
            _ => {
                for (name, _) in self.jobs.open() {
                    match random.next(8) {
                        0 => self.work(&name, true),
                        1 => self.work(&name, false),
                        2 => self.jobs.end(&name, JobState::Failed { message: "OOMKilled".to_owned() }),
                        3 => self.jobs.end(&name, JobState::Succeeded),
                        4 => self.jobs.remove(&name),
                        5 => self.jobs.end(&name, JobState::Running { waits_for: Some("no image".to_owned()), long: true }),
                        _ => self.end_snapshots(SnapshotPhase::Succeeded, |_| false),
                    }
                }
            }
        }
    }

    fn observe(&mut self, _: &Self, random: &mut Random) -> Option<Seen> {
        let (job, retention) = (self.jobs.state(NAME, &self.uid()), self.jobs.state(RETENTION, &self.uid()));
        if random.trouble(10) {
            self.happen(random);
        }
        let is_named = self.configuration.as_ref().is_some_and(|configuration| configuration.spec.session("s").is_some());
        let listed = self.status().snapshots;
        // By its session, its run's status, or the name of the run that it carries.
        let is_known = |snapshot: &&Snapshot| is_named || listed.is_empty() || listed.iter().any(|listed| listed.name == snapshot.name_any());
        Some(Seen {
            session: self.session().clone(),
            configuration: self.configuration.clone(),
            running: self.running.clone(),
            // A Snapshot of a Repository that is gone goes with it.
            snapshots: self.snapshots.iter().filter(is_known).filter(|_| !self.repositories.is_empty()).cloned().collect(),
            repositories: self.repositories.clone(),
            earlier: self.earlier.clone(),
            job,
            retention,
            ended: self.ended.clone(),
        })
    }

    fn decide(&self, seen: &Seen) -> Vec<Step> {
        vec![decide(seen, self.now)]
    }

    fn apply(&mut self, seen: &mut Seen, step: &Step, random: &mut Random) -> Done {
        let (uid, dies) = (self.uid(), random.trouble(10));
        match step {
            Step::Nothing | Step::Wait(_) => {}
            Step::Skip(_) => self.note(conditions::BACKUP_SKIPPED, true),
            Step::SetDeadline(time) => self.edit(|status| status.backup_deadline = Some(Time(*time))),
            Step::RunHooks(stage) => {
                let (what, type_) = match stage {
                    Stage::Before => ("pre-hooks", conditions::PRE_BACKUP_HOOKS_EXECUTION_SUCCEEDED),
                    Stage::After => ("post-hooks", conditions::POST_BACKUP_HOOKS_EXECUTION_SUCCEEDED),
                };
                self.count(what);
                let good = random.chance(80);
                self.note(type_, good);
            }
            Step::EnsureSnapshots => {
                let made = fixture::object("storage", "Snapshot", "a", json!({"spec": {"repository": "repo"}}));
                self.snapshots.create(made, self.now);
                if dies {
                    return Done::Off;
                }
                self.note(conditions::SNAPSHOTS_ENSURED, true);
            }
            Step::NoSnapshots(_) => self.note(conditions::SNAPSHOTS_ENSURED, false),
            Step::EnsureJob => {
                assert!(!has_condition(&self.status().conditions, conditions::BACKUP_EXECUTOR_ENSURED), "it begins twice");
                if seen.own().is_none() || random.chance(10) {
                    self.note(conditions::BACKUP_EXECUTOR_ENSURED, false);
                    return Done::On;
                }
                if !self.jobs.start(NAME, &uid) || dies {
                    return Done::Off;
                }
                self.note(conditions::BACKUP_EXECUTOR_ENSURED, true);
            }
            Step::JobIsThere => self.note(conditions::BACKUP_EXECUTOR_ENSURED, true),
            Step::Incomplete { snapshots, late, .. } => {
                self.end_snapshots(SnapshotPhase::Failed, |name| snapshots.iter().any(|open| open == name));
                if *late {
                    self.jobs.remove(NAME);
                    if dies {
                        return Done::Off;
                    }
                    self.note(conditions::DEADLINE_EXCEEDED, true);
                }
            }
            Step::Pending(Some(_)) => self.note(conditions::POD_HAS_BEEN_IN_PENDING_STATE_FOR_LONGER_THAN_EXPECTED, true),
            Step::Pending(None) => self.edit(|status| {
                remove_condition(&mut status.conditions, conditions::POD_HAS_BEEN_IN_PENDING_STATE_FOR_LONGER_THAN_EXPECTED);
            }),
            Step::Note(infos) => self.edit(|status| status.snapshots.clone_from(infos)),
            Step::EnsureRetention => {
                assert!(!has_condition(&self.status().conditions, conditions::RETENTION_POLICY_EXECUTOR_ENSURED), "it begins twice");
                if !self.jobs.start(RETENTION, &uid) || dies {
                    return Done::Off;
                }
                let pending = RetentionPolicyApplyStatus { phase: Some(RetentionPolicyPhase::Pending), ..Default::default() };
                self.edit(|status| status.retention_policy = vec![pending]);
                self.note(conditions::RETENTION_POLICY_EXECUTOR_ENSURED, true);
            }
            Step::RetentionIncomplete(_) => {
                self.end_retention(RetentionPolicyPhase::FailedToApply);
                self.note(conditions::SNAPSHOT_CLEANUP_INCOMPLETE, true);
            }
            Step::CleanHistory(names) => {
                self.ended.retain(|name| !names.contains(name));
                if dies {
                    return Done::Off;
                }
                self.note(conditions::SESSION_HISTORY_CLEANED, true);
            }
            Step::Close => {
                self.count("closing");
                self.note(conditions::METRICS_PUSHED, true);
            }
            Step::PlanRetry(time) => self.edit(|status| status.next_retry = Some(Time(*time))),
            Step::Retry => {
                self.count("retry");
                self.edit(|status| status.retried = Some(true));
            }
        }
        Done::On
    }

    fn settle(&mut self) {
        self.now = self.now.checked_add(SignedDuration::from_secs(60)).unwrap();
        for (name, _) in self.jobs.open() {
            self.work(&name, true);
        }
    }

    fn is_same(&self, other: &Self) -> bool {
        let snapshots = |world: &Self| world.snapshots.iter().cloned().collect::<Vec<_>>();
        let status = self.status();
        let can_retry = self.configuration.as_ref().is_some_and(|configuration| configuration.spec.session("s").is_some());
        let waits = status.next_retry.is_some() && status.retried.is_none() && can_retry;
        (self.session(), &self.jobs, snapshots(self)) == (other.session(), &other.jobs, snapshots(other)) && self.phase.is_some() && !waits
    }

    fn check(&self, seed: u64) {
        assert!(self.done.values().all(|times| *times <= 1), "seed {seed}: something was done twice: {:?}", self.done);
    }
}

#[test]
fn every_life_of_a_run_ends_once() {
    let mut phases: BTreeMap<&str, u32> = BTreeMap::new();
    for seed in 0..3_000 {
        let world = model::live(seed, World::new(seed));
        let phase = world.phase.unwrap();
        *phases.entry(phase.as_str()).or_default() += 1;
        assert!(world.jobs.all.get(NAME).is_none_or(|job| !matches!(job.state, JobState::Running { .. })), "seed {seed}: a Job runs behind the end");
        let ended = |snapshot: &Snapshot| snapshot.status.as_ref().and_then(|status| status.phase).filter(|phase| phase.is_completed());
        for snapshot in world.snapshots.iter().filter(|_| !world.repositories.is_empty()) {
            let ended = ended(snapshot);
            assert!(ended.is_some(), "seed {seed}: a Snapshot was left open");
            assert!(phase != BackupSessionPhase::Succeeded || ended == Some(SnapshotPhase::Succeeded), "seed {seed}: a failure was hidden");
        }
        assert!(world.earlier.is_empty() || phase != BackupSessionPhase::Succeeded, "seed {seed}: nothing was backed up");
        if phase == BackupSessionPhase::Failed {
            assert!(world.status().failure().is_some(), "seed {seed}: nobody says why: {:#?}", world.status());
        }
    }
    // The lives are such that each end is met.
    assert!(["Succeeded", "Failed", "Skipped"].iter().all(|phase| phases.get(phase).is_some_and(|count| *count > 50)), "{phases:?}");
}
