//! Random lives of a restore: its Snapshot comes late or goes, its Job ends well, badly, without a word, too late or not at all, or tells its end
//! twice, its user changes it, deletes it and makes it again. Whatever happens, it ends, ends once, tells the truth, and restores once.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt as _;
use kubestash::api::{
    COMPONENT, Condition, RestorePhase, RestoreSession, RestoreSessionStatus, Snapshot, conditions, is_true, remove_condition, set_condition,
};
use serde_json::json;

use super::decide::{Obstacle, Seen, Step, choose, chosen, decide, note_incomplete};
use crate::operator::{
    backup_session::Stage,
    job_state::JobState,
    model::{self, Done, Jobs, Random, Shelf, object},
};

const NAME: &str = "run";

#[derive(Clone)]
struct World {
    sessions: Shelf<RestoreSession>,
    snapshots: Shelf<Snapshot>,
    jobs: Jobs,
    /// What keeps a Job from being made, as a person would have to mend.
    lacking: bool,
    /// How often the work was done to its end, by uid.
    restored: BTreeMap<String, u32>,
    /// How the sessions ended, by uid.
    ended: BTreeMap<String, RestorePhase>,
    hooks: BTreeMap<String, u32>,
    now: Timestamp,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut world = Self {
            sessions: Shelf::default(),
            snapshots: Shelf::default(),
            jobs: Jobs::default(),
            lacking: seed.is_multiple_of(7),
            restored: BTreeMap::new(),
            ended: BTreeMap::new(),
            hooks: BTreeMap::new(),
            now: "2026-01-01T00:00:00Z".parse().unwrap(),
        };
        world.make(&mut Random::new(seed));
        if !seed.is_multiple_of(4) {
            world.make_snapshot("a");
        }
        world
    }

    fn make(&mut self, random: &mut Random) {
        let hooks = json!({"preRestore": [{"name": "a"}], "postRestore": [{"name": "b"}]});
        let spec = json!({
            "dataSource": {"repository": "repo", "snapshot": if random.chance(90) { "latest" } else { "" }},
            "addon": {"name": "kubedump-addon", "tasks": [{"name": "manifest-restore"}]},
            "hooks": if random.chance(40) { hooks } else { json!({}) },
            "restoreTimeout": if random.chance(30) { Some("3m") } else { None },
        });
        let mut session: RestoreSession = object("core", "RestoreSession", NAME, spec);
        session.metadata.finalizers = None;
        self.sessions.create(session, self.now);
    }

    fn make_snapshot(&mut self, name: &str) {
        let mut made: Snapshot = object("storage", "Snapshot", name, json!({"repository": "repo"}));
        made.metadata.finalizers = None;
        made.status = serde_json::from_value(json!({"phase": "Succeeded", "snapshotTime": self.now.to_string()})).unwrap();
        self.snapshots.create(made, self.now);
    }

    fn session(&self) -> Option<&RestoreSession> {
        self.sessions.get(NAME)
    }

    fn uid(&self) -> Option<String> {
        self.session()?.uid()
    }

    /// As every writer of the status does it; what has ended stays as it is.
    fn edit(&mut self, change: impl FnOnce(&mut RestoreSessionStatus)) {
        self.sessions.edit(NAME, |session| {
            let status = session.status.get_or_insert_default();
            change(status);
            status.phase = Some(status.compute_phase());
        });
        let phase = self.session().and_then(|session| session.status.as_ref()?.phase).filter(|phase| phase.is_completed());
        if let Some((uid, phase)) = self.uid().zip(phase) {
            let first = *self.ended.entry(uid).or_insert(phase);
            assert_eq!(first, phase, "it ended twice");
        }
    }

    fn note(&mut self, type_: &str, status: bool) {
        let now = self.now;
        self.edit(|own| {
            set_condition(&mut own.conditions, Condition::new(type_, status, "", "m"), now);
        });
    }

    /// What the program in the Job's Pod tells.
    fn report(&mut self, owner: &str, phase: RestorePhase) {
        if self.uid().as_deref() != Some(owner) {
            return;
        }
        self.edit(|status| {
            let ended = status.components.get(COMPONENT).and_then(|own| own.phase).is_some_and(RestorePhase::is_completed);
            if !ended {
                status.total_components = Some(1);
                status.components.entry(COMPONENT.to_owned()).or_default().phase = Some(phase);
            }
        });
    }

    /// The work is done, and told.
    fn restore(&mut self, name: &str, owner: &str) {
        *self.restored.entry(owner.to_owned()).or_default() += 1;
        self.report(owner, RestorePhase::Succeeded);
        self.jobs.end(name, JobState::Succeeded);
    }
}

impl model::World for World {
    type Seen = Seen;
    type Step = Step;

    fn happen(&mut self, random: &mut Random) {
        self.now = self.now.checked_add(SignedDuration::from_secs(10)).unwrap();
        match random.next(16) {
            0 if random.chance(40) => self.sessions.delete(NAME, self.now),
            1 if self.session().is_none() => self.make(random),
            1 => {
                let timeout = random.chance(50).then(|| "2m".to_owned());
                self.sessions.edit(NAME, |session| session.spec.restore_timeout = timeout);
            }
            2 => self.sessions.edit(NAME, |session| session.spec.data_source.as_mut().unwrap().snapshot = Some("b".to_owned())),
            3 => self.make_snapshot(if random.chance(50) { "a" } else { "b" }),
            4 => self.snapshots.delete(if random.chance(50) { "a" } else { "b" }, self.now),
            5 => self.lacking = !self.lacking,
            6 => {
                let sessions = self.sessions.clone();
                self.jobs.collect(|uid| sessions.has_uid(uid));
            }
            // A Pod that lives a moment longer than its Job.
            7 => {
                if let Some(uid) = self.uid().filter(|uid| self.restored.contains_key(uid)) {
                    self.report(&uid, if random.chance(50) { RestorePhase::Failed } else { RestorePhase::Running });
                }
            }
            8 => self.now = self.now.checked_add(SignedDuration::from_secs(60)).unwrap(),
            _ => {
                for (name, owner) in self.jobs.open() {
                    match random.next(8) {
                        0 | 1 => self.restore(&name, &owner),
                        2 => {
                            self.report(&owner, RestorePhase::Failed);
                            self.jobs.end(&name, JobState::Failed { message: "3 objects were refused".to_owned() });
                        }
                        3 => self.jobs.end(&name, JobState::Failed { message: "OOMKilled".to_owned() }),
                        4 => self.jobs.end(&name, JobState::Succeeded),
                        5 => self.jobs.remove(&name),
                        6 => self.jobs.end(&name, JobState::Running { waits_for: Some("no node".to_owned()), long: true }),
                        _ => self.report(&owner, RestorePhase::Running),
                    }
                }
            }
        }
    }

    fn observe(&mut self, cached: &Self, random: &mut Random) -> Option<Seen> {
        let job = self.jobs.state(NAME, &cached.uid()?);
        if random.trouble(10) {
            self.happen(random);
        }
        let session = self.session().filter(|session| session.uid() == cached.uid())?.clone();
        let snapshot = match chosen(&session) {
            Some(name) => self.snapshots.get(&name).cloned().ok_or_else(|| Obstacle::NotThere(format!("{name} was deleted"))),
            None => {
                let all: Vec<Snapshot> = self.snapshots.iter().cloned().collect();
                choose(session.spec.data_source.as_ref().unwrap(), &all).cloned()
            }
        };
        Some(Seen { session, snapshot, job })
    }

    fn decide(&self, seen: &Seen) -> Vec<Step> {
        vec![decide(seen, self.now)]
    }

    fn apply(&mut self, seen: &mut Seen, step: &Step, random: &mut Random) -> Done {
        let uid = seen.session.uid().unwrap();
        if self.uid().as_ref() != Some(&uid) {
            return Done::Off;
        }
        let now = self.now;
        match step {
            Step::Nothing | Step::Wait(_) => {}
            Step::Missing(_) => self.note(conditions::SNAPSHOT_FOUND, false),
            Step::Invalid(_) => self.note(conditions::VALIDATION_PASSED, false),
            Step::Valid => {
                let chosen = seen.snapshot.as_ref().unwrap().name_any();
                self.edit(|status| {
                    status.total_components = Some(1);
                    status.dependencies = serde_json::from_value(json!([{"kind": "Snapshot", "name": chosen}])).unwrap();
                    remove_condition(&mut status.conditions, conditions::SNAPSHOT_FOUND);
                    set_condition(&mut status.conditions, Condition::new(conditions::VALIDATION_PASSED, true, "", ""), now);
                });
            }
            Step::Pending(Some(_)) => self.note(conditions::POD_HAS_BEEN_IN_PENDING_STATE_FOR_LONGER_THAN_EXPECTED, true),
            Step::Pending(None) => self.edit(|status| {
                remove_condition(&mut status.conditions, conditions::POD_HAS_BEEN_IN_PENDING_STATE_FOR_LONGER_THAN_EXPECTED);
            }),
            Step::SetDeadline(time) => self.edit(|status| status.restore_deadline = Some(Time(*time))),
            Step::RunHooks(stage) => {
                let status = seen.session.status.as_ref().unwrap();
                let type_ = match stage {
                    Stage::Before => conditions::PRE_RESTORE_HOOKS_EXECUTION_SUCCEEDED,
                    Stage::After => conditions::POST_RESTORE_HOOKS_EXECUTION_SUCCEEDED,
                };
                assert!(*stage == Stage::After || status.components.is_empty(), "a hook that comes before runs behind");
                *self.hooks.entry(format!("{uid} {type_}")).or_default() += 1;
                let good = random.chance(80);
                self.note(type_, good);
            }
            Step::EnsureJob => {
                let reported = self.session().and_then(|session| session.status.as_ref()).is_some_and(RestoreSessionStatus::is_restored);
                assert!(!reported || seen.session != *self.session().unwrap(), "it begins again behind its end");
                if self.lacking || seen.snapshot.is_err() {
                    self.note(conditions::RESTORE_EXECUTOR_ENSURED, false);
                    return Done::On;
                }
                if !self.jobs.start(NAME, &uid) || random.trouble(10) {
                    return Done::Off;
                }
                self.note(conditions::RESTORE_EXECUTOR_ENSURED, true);
            }
            Step::JobIsThere => self.note(conditions::RESTORE_EXECUTOR_ENSURED, true),
            Step::Incomplete { why, late } => {
                if *late {
                    self.jobs.remove(NAME);
                    if random.trouble(10) {
                        return Done::Off;
                    }
                }
                self.edit(|status| note_incomplete(status, why, *late, now));
            }
            Step::Close => self.note(conditions::METRICS_PUSHED, true),
        }
        Done::On
    }

    fn settle(&mut self) {
        self.now = self.now.checked_add(SignedDuration::from_secs(10)).unwrap();
        self.lacking = false;
        if self.snapshots.get("a").is_none() {
            self.make_snapshot("a");
        }
        let sessions = self.sessions.clone();
        self.jobs.collect(|uid| sessions.has_uid(uid));
        for (name, owner) in self.jobs.open() {
            self.restore(&name, &owner);
        }
    }

    fn is_same(&self, other: &Self) -> bool {
        let ended =
            |world: &Self| world.session().is_none_or(|session| session.status.as_ref().is_some_and(|status| status.phase.unwrap().is_completed()));
        (self.session(), &self.jobs) == (other.session(), &other.jobs) && ended(self)
    }

    fn check(&self, seed: u64) {
        assert!(self.restored.values().all(|times| *times <= 1), "seed {seed}: it was restored twice");
        let phase = self.session().and_then(|session| session.status.as_ref()?.phase);
        let runs = self.uid().is_some_and(|uid| matches!(self.jobs.state(NAME, &uid), JobState::Running { .. }));
        assert!(!(runs && phase.is_some_and(RestorePhase::is_completed)), "seed {seed}: its Job runs behind the end");
        assert!(self.hooks.values().all(|times| *times <= 1), "seed {seed}: hooks ran twice, although that was noted");
    }
}

#[test]
fn every_life_of_a_restore_ends_once_and_tells_the_truth() {
    let mut phases: BTreeMap<&str, u32> = BTreeMap::new();
    for seed in 0..2_000 {
        let world = model::live(seed, World::new(seed));
        assert_eq!(world.jobs.open(), [], "seed {seed}: a Job runs behind the end");
        let Some(session) = world.session() else { continue };
        let status = session.status.as_ref().unwrap();
        let phase = status.phase.unwrap();
        *phases.entry(phase.as_str()).or_default() += 1;
        let restored = world.restored.contains_key(&session.uid().unwrap());
        match phase {
            RestorePhase::Succeeded => assert!(restored, "seed {seed}: nothing was restored: {status:#?}"),
            RestorePhase::Failed => assert!(status.failure().is_some(), "seed {seed}: nobody says why: {status:#?}"),
            RestorePhase::Invalid => assert!(!restored, "seed {seed}: {status:#?}"),
            other => panic!("seed {seed}: it ended as {other}"),
        }
        assert!(phase == RestorePhase::Invalid || is_true(&status.conditions, conditions::METRICS_PUSHED), "seed {seed}: it was not closed");
    }
    // The lives are such that each end is met.
    assert!(["Succeeded", "Failed", "Invalid"].iter().all(|phase| phases.get(phase).is_some_and(|count| *count > 50)), "{phases:?}");
}
