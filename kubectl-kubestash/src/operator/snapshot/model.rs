//! Random lives of a Snapshot that is being deleted, in a bucket or in a volume, while its policy changes, its Repository and its storage go, and
//! Jobs end well, badly or not at all. Whatever happens, exactly its own data goes, only when somebody wants that, and before its object does; and
//! its deletion ends.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt as _;
use kubestash::api::{BackupStorage, DeletionPolicy, Repository, Snapshot};
use serde_json::json;

use super::decide::{Seen, Step, decide};
use crate::operator::{
    job_state::JobState,
    model::{self, Done, Jobs, Random, Shelf, object},
    own_job,
};

const NAME: &str = "a";

#[derive(Clone)]
struct World {
    snapshots: Shelf<Snapshot>,
    repositories: Shelf<Repository>,
    storages: Shelf<BackupStorage>,
    jobs: Jobs,
    local: bool,
    answers: bool,
    /// The snapshots in the storage.
    data: BTreeSet<String>,
    /// Whether its policy was ever to erase.
    wanted: bool,
    /// What stood in its way when it went.
    excuse: bool,
    now: Timestamp,
}

impl World {
    fn new(seed: u64) -> Self {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let (local, wipes) = (seed.is_multiple_of(2), seed.is_multiple_of(3));
        let mut world = Self {
            snapshots: Shelf::default(),
            repositories: Shelf::default(),
            storages: Shelf::default(),
            jobs: Jobs::default(),
            local,
            answers: true,
            data: [NAME, "b"].map(str::to_owned).into(),
            wanted: wipes,
            excuse: false,
            now,
        };
        let policy = if wipes { DeletionPolicy::WipeOut } else { DeletionPolicy::Delete };
        world.snapshots.create(object("storage", "Snapshot", NAME, json!({"repository": "r", "deletionPolicy": policy})), now);
        world.repositories.create(object("storage", "Repository", "r", json!({"storageRef": {"name": "s"}, "path": "/d"})), now);
        let provider = if local { "local" } else { "s3" };
        world.storages.create(object("storage", "BackupStorage", "s", json!({"storage": {"provider": provider}})), now);
        world
    }

    fn snapshot(&self) -> Option<&Snapshot> {
        self.snapshots.get(NAME)
    }

    fn work(&mut self) -> JobState {
        if !self.answers || self.storages.get("s").is_none() {
            return JobState::Failed { message: "no volume".to_owned() };
        }
        self.data.remove(NAME);
        JobState::Succeeded
    }
}

impl model::World for World {
    type Seen = Seen;
    type Step = Step;

    fn happen(&mut self, random: &mut Random) {
        self.now = self.now.checked_add(SignedDuration::from_secs(10)).unwrap();
        match random.next(12) {
            0..3 => self.snapshots.delete(NAME, self.now),
            3 => {
                let policy = if random.chance(60) { DeletionPolicy::WipeOut } else { DeletionPolicy::Delete };
                self.wanted |= policy == DeletionPolicy::WipeOut;
                self.snapshots.edit(NAME, |snapshot| snapshot.spec.deletion_policy = Some(policy));
            }
            4 => self.answers = !self.answers,
            5 if random.chance(30) => self.repositories.delete("r", self.now),
            6 if random.chance(30) => self.storages.delete("s", self.now),
            7 => self.repositories.edit("r", |repository| {
                if repository.metadata.deletion_timestamp.is_some() {
                    repository.metadata.finalizers = None;
                }
            }),
            8 => self.storages.edit("s", |storage| {
                if storage.metadata.deletion_timestamp.is_some() {
                    storage.metadata.finalizers = None;
                }
            }),
            _ => {
                for (name, _) in self.jobs.open() {
                    match random.next(4) {
                        0 | 1 => {
                            let state = self.work();
                            self.jobs.end(&name, state);
                        }
                        2 => self.jobs.end(&name, JobState::Failed { message: "evicted".to_owned() }),
                        _ => self.jobs.remove(&name),
                    }
                }
            }
        }
    }

    fn observe(&mut self, cached: &Self, _: &mut Random) -> Option<Seen> {
        let snapshot = cached.snapshot()?.clone();
        let repository = self.repositories.get("r").cloned();
        let storage = repository.as_ref().and_then(|_| self.storages.get("s").cloned());
        let cleanup = match &storage {
            Some(_) if self.local => self.jobs.state(&own_job::name("cleanup", &snapshot), &snapshot.uid().unwrap()),
            _ => JobState::Absent,
        };
        Some(Seen { snapshot, repository, storage, cleanup })
    }

    fn decide(&self, seen: &Seen) -> Vec<Step> {
        decide(seen)
    }

    fn apply(&mut self, seen: &mut Seen, step: &Step, _: &mut Random) -> Done {
        let job = own_job::name("cleanup", &seen.snapshot);
        let wipes = seen.snapshot.spec.deletion_policy == Some(DeletionPolicy::WipeOut);
        match step {
            Step::Erase => {
                assert!(wipes && seen.snapshot.metadata.deletion_timestamp.is_some(), "nobody wants it to be erased");
                if !self.answers {
                    return Done::Off;
                }
                self.data.remove(NAME);
            }
            Step::StartCleanup => {
                assert!(wipes && seen.snapshot.metadata.deletion_timestamp.is_some(), "nobody wants it to be erased");
                self.jobs.start(&job, &seen.snapshot.uid().unwrap());
            }
            Step::RemoveJob => self.jobs.remove(&job),
            Step::RemoveFinalizer => {
                let goes = |meta: &kube::api::ObjectMeta| meta.deletion_timestamp.is_some();
                self.excuse = !wipes
                    || seen.repository.as_ref().is_none_or(|repository| goes(&repository.metadata))
                    || seen.storage.as_ref().is_none_or(|storage| goes(&storage.metadata));
                assert!(self.excuse || !self.data.contains(NAME), "it goes before its data");
                self.snapshots.remove_finalizer(NAME);
            }
            Step::Tell(_) | Step::Wait => {}
        }
        Done::On
    }

    fn settle(&mut self) {
        self.now = self.now.checked_add(SignedDuration::from_secs(10)).unwrap();
        self.answers = true;
        for (name, _) in self.jobs.open() {
            let state = self.work();
            self.jobs.end(&name, state);
        }
    }

    fn is_same(&self, other: &Self) -> bool {
        (self.snapshot(), &self.jobs, &self.data) == (other.snapshot(), &other.jobs, &other.data)
    }

    fn check(&self, seed: u64) {
        assert!(self.data.contains("b"), "seed {seed}: it took another one's data with it");
        assert!(self.wanted || self.data.contains(NAME), "seed {seed}: nobody wanted its data to go");
        assert!(
            self.snapshot().is_none_or(|snapshot| snapshot.metadata.deletion_timestamp.is_some()) || self.data.contains(NAME),
            "seed {seed}: too soon"
        );
    }
}

#[test]
fn every_deletion_of_a_snapshot_ends_and_takes_what_it_should() {
    for seed in 0..3_000 {
        let world = model::live(seed, World::new(seed));
        let Some(snapshot) = world.snapshot() else {
            assert!(world.excuse || !world.data.contains(NAME), "seed {seed}: its data stayed");
            assert_eq!(world.jobs.open(), [], "seed {seed}: a Job runs for nobody");
            continue;
        };
        assert_eq!(snapshot.metadata.deletion_timestamp, None, "seed {seed}: its deletion does not end");
    }
}
