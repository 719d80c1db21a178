//! Random lives of a Repository: made, changed, paused, deleted and made again, in a bucket or in a volume, while its Snapshots come and go, its
//! storage does not answer, is deleted and made again, and Jobs end well, badly, without a word or not at all. Whatever happens, its data goes
//! only when somebody wants that, and all of it; its Snapshots go before it; nothing is written into a storage that is being erased; and in the end
//! it is ready and its numbers are right, or it is gone.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt as _;
use kubestash::api::{
    BackupStorage, COMPONENT, Component, ComponentPhase, Condition, DeletionPolicy, Repository, RepositoryPhase, Snapshot, conditions, set_condition,
};
use serde_json::json;

use super::decide::{Place, Seen, Step, decide};
use crate::{
    operator::{
        job_state::JobState,
        model::{self, Done, Jobs, Random, Shelf, object},
        own_job,
    },
    resources::outcome::{note_repository, repository_initialised},
};

const NAME: &str = "r";

#[derive(Clone)]
struct World {
    repositories: Shelf<Repository>,
    snapshots: Shelf<Snapshot>,
    storages: Shelf<BackupStorage>,
    jobs: Jobs,
    local: bool,
    answers: bool,
    /// The generation of the Repository whose `repository.yaml` lies in the storage.
    file: Option<i64>,
    /// Uid and generation that the operator remembers to have seen there.
    remembers: Option<(String, i64)>,
    /// The repositories whose data was erased, by uid.
    erased: BTreeSet<String>,
    /// What somebody would have to answer for.
    wrong: Option<&'static str>,
    now: Timestamp,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut world = Self {
            repositories: Shelf::default(),
            snapshots: Shelf::default(),
            storages: Shelf::default(),
            jobs: Jobs::default(),
            local: seed.is_multiple_of(2),
            answers: true,
            file: None,
            remembers: None,
            erased: BTreeSet::new(),
            wrong: None,
            now: "2026-01-01T00:00:00Z".parse().unwrap(),
        };
        world.make_storage();
        world.make(DeletionPolicy::Delete);
        world
    }

    fn make_storage(&mut self) {
        let provider = if self.local { "local" } else { "s3" };
        self.storages.create(object("storage", "BackupStorage", "s", json!({"storage": {"provider": provider}})), self.now);
    }

    fn make(&mut self, policy: DeletionPolicy) {
        let mut made: Repository =
            object("storage", "Repository", NAME, json!({"storageRef": {"name": "s"}, "path": "/d", "deletionPolicy": policy}));
        made.metadata.generation = Some(self.now.as_second());
        self.repositories.create(made, self.now);
    }

    fn repository(&self) -> Option<&Repository> {
        self.repositories.get(NAME)
    }

    fn is_deleting(&self) -> bool {
        self.repository().is_some_and(|repository| repository.metadata.deletion_timestamp.is_some())
    }

    /// Writes `repository.yaml`.
    fn write(&mut self, repository: &Repository) {
        let storage = self.storages.get("s");
        if storage.is_none_or(|storage| storage.metadata.deletion_timestamp.is_some()) {
            self.wrong = Some("it is written into a storage that is erased");
        }
        let generation = repository.metadata.generation.unwrap();
        if self.file.is_some_and(|file| file > generation) {
            self.wrong = Some("a newer file is overwritten");
        }
        self.file = Some(generation);
    }

    /// What the program in a Job's Pod does.
    fn work(&mut self, name: &str, owner: &str) -> JobState {
        let failed = JobState::Failed { message: "no volume".to_owned() };
        let (storage, repository) = (self.storages.get("s").is_some(), self.repository().cloned());
        if name.starts_with("cleanup") {
            if !storage || !self.answers {
                return failed;
            }
            self.file = None;
            self.erased.insert(owner.to_owned());
            return JobState::Succeeded;
        }
        let Some(repository) = repository.filter(|repository| storage && repository.metadata.deletion_timestamp.is_none()) else { return failed };
        let reached = self.answers && self.storages.get("s").is_some_and(|storage| storage.metadata.deletion_timestamp.is_none());
        let done = if reached { Ok(()) } else { Err(anyhow::anyhow!("no volume")) };
        if done.is_ok() {
            self.write(&repository);
        }
        let condition = repository_initialised(done.as_ref().copied());
        self.repositories.edit(NAME, |repository| note_repository(repository, condition, Timestamp::UNIX_EPOCH));
        if done.is_ok() { JobState::Succeeded } else { failed }
    }

    /// What the reconciler of Snapshots does.
    fn remove_snapshots(&mut self) {
        let gone: Vec<String> =
            self.snapshots.iter().filter(|snapshot| snapshot.metadata.deletion_timestamp.is_some()).map(|gone| gone.name_any()).collect();
        for name in gone {
            self.snapshots.remove_finalizer(&name);
        }
    }

    /// What a backup does.
    fn back_up(&mut self, name: &str, ends: bool) {
        let now = self.now;
        self.snapshots.create(object("storage", "Snapshot", name, json!({"repository": NAME, "session": "x"})), now);
        self.snapshots.edit(name, |snapshot| {
            let status = snapshot.status.get_or_insert_default();
            status.total_components = Some(1);
            let phase = if ends { ComponentPhase::Succeeded } else { ComponentPhase::Running };
            let component = status.components.entry(COMPONENT.to_owned()).or_default();
            *component = Component { phase: Some(phase), path: Some("kstash/v1".to_owned()), ..Component::default() };
            if ends {
                set_condition(&mut status.conditions, Condition::new(conditions::SNAPSHOT_METADATA_UPLOADED, true, "", ""), now);
            }
            status.phase = Some(status.compute_phase());
        });
    }
}

impl model::World for World {
    type Seen = Seen;
    type Step = Step;

    fn happen(&mut self, random: &mut Random) {
        self.now = self.now.checked_add(SignedDuration::from_secs(10)).unwrap();
        let policy = if random.chance(50) { DeletionPolicy::WipeOut } else { DeletionPolicy::Delete };
        match random.next(14) {
            0 | 1 if self.repository().is_none() => self.make(policy),
            0 => self.repositories.delete(NAME, self.now),
            1 | 2 => {
                let generation = self.now.as_second();
                self.repositories.edit(NAME, |repository| {
                    repository.spec.deletion_policy = Some(policy);
                    repository.metadata.generation = Some(generation);
                });
            }
            3 => self.answers = !self.answers,
            4 if self.storages.get("s").is_none() => self.make_storage(),
            4 => self.storages.delete("s", self.now),
            5 => self.storages.remove_finalizer("s"),
            6 | 7 if self.repository().is_some() && !self.is_deleting() => {
                let name = format!("snapshot-{}", random.next(7));
                self.back_up(&name, random.chance(70));
            }
            8 => self.snapshots.delete(&format!("snapshot-{}", random.next(7)), self.now),
            9 => self.remove_snapshots(),
            10 => self.remembers = None,
            _ => {
                for (name, owner) in self.jobs.open() {
                    match random.next(6) {
                        0 | 1 => {
                            let state = self.work(&name, &owner);
                            self.jobs.end(&name, state);
                        }
                        2 => self.jobs.end(&name, JobState::Failed { message: "evicted".to_owned() }),
                        3 => self.jobs.end(&name, JobState::Running { waits_for: Some("no node".to_owned()), long: true }),
                        // Somebody has changed the status since.
                        4 if name.starts_with("init") => self.jobs.end(&name, JobState::Succeeded),
                        _ => self.jobs.remove(&name),
                    }
                }
            }
        }
    }

    fn observe(&mut self, cached: &Self, random: &mut Random) -> Option<Seen> {
        let shown = cached.repository()?;
        let storage = self.storages.get("s").cloned();
        let deleting = shown.metadata.deletion_timestamp.is_some();
        // Names of Jobs hold the uid.
        let uid = shown.uid().unwrap();
        let state = |what: &str| self.jobs.state(&own_job::name(what, shown), &uid);
        let init = if !deleting && self.local { state("init") } else { JobState::Absent };
        let cleanup = if deleting && storage.is_some() { state("cleanup") } else { JobState::Absent };
        if random.trouble(10) {
            self.happen(random);
        }
        let repository = self.repository()?.clone();
        let snapshots = self.snapshots.iter().cloned().collect();
        let storage = storage.and_then(|storage| self.storages.get("s").filter(|found| found.uid() == storage.uid()).cloned());
        let own = (repository.uid().unwrap(), repository.metadata.generation.unwrap());
        let place = Place::of(&repository, storage.as_ref(), self.remembers.as_ref() == Some(&own));
        Some(Seen { repository, place, init, cleanup, snapshots, storage })
    }

    fn decide(&self, seen: &Seen) -> Vec<Step> {
        decide(seen, self.now)
    }

    fn apply(&mut self, seen: &mut Seen, step: &Step, _: &mut Random) -> Done {
        let uid = seen.repository.uid().unwrap();
        let name = |what: &str| own_job::name(what, &seen.repository);
        let wipes = seen.repository.spec.deletion_policy == Some(DeletionPolicy::WipeOut);
        match step {
            Step::AddFinalizer => unreachable!("every Repository of this model has it"),
            Step::Register => {
                // Between this look and the write is less time than a step of this model.
                let uid_of_storage = seen.storage.as_ref().and_then(|storage| storage.uid());
                let storage = self.storages.get("s").filter(|found| found.uid() == uid_of_storage);
                seen.place = Place::of(&seen.repository, storage, false);
                if seen.place == Place::Unknown && self.answers {
                    self.write(&seen.repository);
                    self.remembers = Some((uid, seen.repository.metadata.generation.unwrap()));
                    seen.place = Place::Registered;
                } else if seen.place == Place::Unknown {
                    seen.place = Place::Failed("it does not answer".to_owned());
                }
                return Done::Learned;
            }
            Step::Status(status) => {
                if !self.repositories.replace(&seen.repository, |repository| repository.status = Some((**status).clone())) {
                    return Done::Off;
                }
            }
            Step::ListUpdated(names) => {
                let now = self.now;
                for name in names {
                    self.snapshots.edit(name, |snapshot| {
                        let status = snapshot.status.get_or_insert_default();
                        set_condition(&mut status.conditions, Condition::new(conditions::RECENT_SNAPSHOT_LIST_UPDATED, true, "", ""), now);
                        status.phase = Some(status.compute_phase());
                    });
                }
            }
            Step::StartInit => {
                self.jobs.start(&name("init"), &uid);
            }
            Step::StartCleanup => {
                assert!(wipes && seen.repository.metadata.deletion_timestamp.is_some(), "nobody wants it to be erased");
                self.jobs.start(&name("cleanup"), &uid);
            }
            Step::RemoveJob(what) => self.jobs.remove(&name(what)),
            Step::RemoveSnapshots => {
                for snapshot in &seen.snapshots {
                    self.snapshots.delete(&snapshot.name_any(), self.now);
                }
            }
            Step::RemoveFinalizer => {
                let told = matches!(seen.place, Place::NoStorage(_));
                assert!(!wipes || told || self.erased.contains(&uid), "it goes before its data");
                assert_eq!(self.snapshots.iter().count(), 0, "it goes before its Snapshots");
                self.repositories.edit(NAME, |repository| repository.metadata.finalizers = None);
            }
            Step::Tell(_) | Step::Wait => {}
        }
        Done::On
    }

    fn restart(&mut self) {
        self.remembers = None;
    }

    fn settle(&mut self) {
        self.now = self.now.checked_add(SignedDuration::from_secs(10)).unwrap();
        self.answers = true;
        if self.storages.get("s").is_some_and(|storage| storage.metadata.deletion_timestamp.is_some()) {
            self.storages.remove_finalizer("s");
        } else if self.storages.get("s").is_none() {
            self.make_storage();
        }
        for (name, owner) in self.jobs.open() {
            let state = self.work(&name, &owner);
            self.jobs.end(&name, state);
        }
        self.remove_snapshots();
    }

    fn is_same(&self, other: &Self) -> bool {
        let all = |world: &Self| {
            let snapshots: Vec<Snapshot> = world.snapshots.iter().cloned().collect();
            (world.repository().cloned(), snapshots, world.storages.get("s").cloned(), world.jobs.clone(), world.file)
        };
        all(self) == all(other)
    }

    fn check(&self, seed: u64) {
        assert_eq!(self.wrong, None, "seed {seed}");
    }
}

#[test]
fn every_life_of_a_repository_ends_ready_or_gone() {
    for seed in 0..1_500 {
        let world = model::live(seed, World::new(seed));
        assert_eq!(world.jobs.open(), [], "seed {seed}: a Job runs for nobody");
        let Some(repository) = world.repository() else {
            assert_eq!(world.snapshots.iter().count(), 0, "seed {seed}: Snapshots without a repository");
            continue;
        };
        assert!(!world.is_deleting(), "seed {seed}: its deletion does not end");
        let status = repository.status.as_ref().unwrap();
        assert_eq!(status.phase, Some(RepositoryPhase::Ready), "seed {seed}: {status:#?}");
        assert!(world.local || world.file == repository.metadata.generation, "seed {seed}: its file tells something old");
        assert_eq!(status.snapshot_count, i32::try_from(world.snapshots.iter().count()).ok(), "seed {seed}");
        let listed = |snapshot: &&Snapshot| {
            let status = snapshot.status.as_ref().unwrap();
            status.is_backed_up() && !kubestash::api::is_true(&status.conditions, conditions::RECENT_SNAPSHOT_LIST_UPDATED)
        };
        assert_eq!(world.snapshots.iter().find(listed), None, "seed {seed}: a Snapshot waits to be listed");
    }
}
