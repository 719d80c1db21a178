//! Random lives of a BackupStorage: made, changed, deleted and made again, while its Secret comes and goes, its store does not answer, and Jobs end
//! well, badly, without a word or not at all. Whatever happens, its data goes only when somebody wants that, and all of it; nothing is
//! written behind that; and in the end it is ready, or gone.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt as _;
use kubestash::api::{BackupStorage, BackupStoragePhase, DeletionPolicy, Repository, StorageRepository};
use serde_json::json;

use super::decide::{Backend, SecretState, Seen, Step, decide};
use crate::{
    operator::{
        job_state::JobState,
        model::{self, Done, Jobs, Random, Shelf, object},
    },
    resources::outcome::{backend_initialised, note_storage},
};

const NAME: &str = "s";
const INIT: &str = "init-s";
const CLEANUP: &str = "cleanup-s";

#[derive(Clone)]
struct World {
    storages: Shelf<BackupStorage>,
    repositories: Shelf<Repository>,
    jobs: Jobs,
    /// A volume, that only Jobs can reach.
    local: bool,
    has_secret: bool,
    answers: bool,
    /// The repositories that `metadata.yaml` tells of.
    meta: Option<BTreeSet<String>>,
    /// The storages whose data was erased, by uid.
    erased: BTreeSet<String>,
    now: Timestamp,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut world = Self {
            storages: Shelf::default(),
            repositories: Shelf::default(),
            jobs: Jobs::default(),
            local: seed.is_multiple_of(2),
            has_secret: true,
            answers: true,
            meta: None,
            erased: BTreeSet::new(),
            now: "2026-01-01T00:00:00Z".parse().unwrap(),
        };
        world.make(DeletionPolicy::Delete, seed.is_multiple_of(3));
        world
    }

    fn make(&mut self, policy: DeletionPolicy, bare: bool) {
        let provider = if self.local { "local" } else { "s3" };
        let mut storage: BackupStorage =
            object("storage", "BackupStorage", NAME, json!({"storage": {"provider": provider}, "deletionPolicy": policy}));
        if bare {
            storage.metadata.finalizers = None;
        }
        self.storages.create(storage, self.now);
    }

    fn storage(&self) -> Option<&BackupStorage> {
        self.storages.get(NAME)
    }

    fn is_deleting(&self) -> bool {
        self.storage().is_some_and(|storage| storage.metadata.deletion_timestamp.is_some())
    }

    /// What the program in a Job's Pod does.
    fn work(&mut self, name: &str) -> JobState {
        let failed = |why: &str| JobState::Failed { message: why.to_owned() };
        let Some(storage) = self.storage().cloned() else { return failed("there is no BackupStorage") };
        if !self.answers || !self.has_secret {
            if name == INIT {
                let error = anyhow::anyhow!("no volume");
                self.storages.edit(NAME, |storage| note_storage(storage, backend_initialised(Err(&error)), Timestamp::UNIX_EPOCH));
            }
            return failed("no volume");
        }
        if name == INIT {
            if storage.metadata.deletion_timestamp.is_some() {
                return failed("it is being deleted");
            }
            let found = self.adopt(&storage);
            self.storages.edit(NAME, |storage| {
                note_storage(storage, backend_initialised(Ok(())), Timestamp::UNIX_EPOCH);
                storage.status.as_mut().unwrap().repositories = found;
            });
        } else {
            if storage.metadata.deletion_timestamp.is_none() || storage.spec.deletion_policy != Some(DeletionPolicy::WipeOut) {
                return failed("it is not to be erased");
            }
            self.meta = None;
            self.erased.insert(storage.uid().unwrap());
        }
        JobState::Succeeded
    }

    /// `metadata.yaml` is made, and what it lists appears.
    fn adopt(&mut self, storage: &BackupStorage) -> Vec<StorageRepository> {
        let names: Vec<String> = self.meta.get_or_insert_default().iter().cloned().collect();
        let known = storage.status.as_ref().map(|status| status.repositories.clone()).unwrap_or_default();
        let one = |name: String| {
            if !known.iter().any(|known| known.name == name && known.synced == Some(true)) {
                let made = object("storage", "Repository", &name, json!({"storageRef": {"name": NAME}, "path": name}));
                self.repositories.create(made, self.now);
            }
            StorageRepository { path: Some(name.clone()), name, namespace: Some("demo".to_owned()), synced: Some(true), ..Default::default() }
        };
        names.into_iter().map(one).collect()
    }
}

impl model::World for World {
    type Seen = Seen;
    type Step = Step;

    fn happen(&mut self, random: &mut Random) {
        self.now = self.now.checked_add(SignedDuration::from_secs(10)).unwrap();
        let policy = if random.chance(50) { DeletionPolicy::WipeOut } else { DeletionPolicy::Delete };
        match random.next(12) {
            0 | 1 if self.storage().is_none() => self.make(policy, random.chance(30)),
            0 => self.storages.delete(NAME, self.now),
            1 => self.storages.edit(NAME, |storage| storage.spec.deletion_policy = Some(policy)),
            2 => self.has_secret = !self.has_secret,
            3 => self.answers = !self.answers,
            4 if !self.is_deleting() && self.storage().is_some() && self.meta.is_some() => {
                let name = format!("r{}", random.next(3));
                self.meta.get_or_insert_default().insert(name.clone());
                self.repositories.create(object("storage", "Repository", &name, json!({"storageRef": {"name": NAME}, "path": name})), self.now);
            }
            5 => self.repositories.end_deletions(),
            6 => {
                let storages = self.storages.clone();
                self.jobs.collect(|uid| storages.has_uid(uid));
            }
            7 => self.repositories.edit("r0", |repository| repository.status = serde_json::from_value(json!({"size": "1.000 KiB"})).unwrap()),
            _ => {
                for (name, _) in self.jobs.open() {
                    match random.next(6) {
                        0 | 1 => {
                            let state = self.work(&name);
                            self.jobs.end(&name, state);
                        }
                        2 => self.jobs.end(&name, JobState::Failed { message: "evicted".to_owned() }),
                        3 => self.jobs.end(&name, JobState::Running { waits_for: Some("no node".to_owned()), long: true }),
                        // Somebody has changed the status since.
                        4 if name == INIT => self.jobs.end(&name, JobState::Succeeded),
                        _ => self.jobs.remove(&name),
                    }
                }
            }
        }
    }

    fn observe(&mut self, cached: &Self, random: &mut Random) -> Option<Seen> {
        let uid = cached.storage()?.uid().unwrap();
        let (cleanup, init) = (self.jobs.state(CLEANUP, &uid), self.jobs.state(INIT, &uid));
        if random.trouble(10) {
            self.happen(random);
        }
        let storage = self.storage()?.clone();
        let deleting = storage.metadata.deletion_timestamp.is_some();
        let missing = || "Secret demo/x does not exist".to_owned();
        let secret = match self.has_secret {
            _ if self.local => SecretState::NotNeeded,
            true => SecretState::Found,
            false => SecretState::Missing(missing()),
        };
        let backend = match (deleting, self.local) {
            (true, _) => Backend::NotAsked,
            (false, true) => Backend::Job(init),
            (false, false) if !self.has_secret => Backend::Failed(missing()),
            (false, false) => Backend::Opened,
        };
        let repositories = self.repositories.iter().cloned().collect();
        Some(Seen { storage, secret, backend, store: None, repositories, cleanup })
    }

    fn decide(&self, seen: &Seen) -> Vec<Step> {
        decide(seen, self.now)
    }

    fn apply(&mut self, seen: &mut Seen, step: &Step, _: &mut Random) -> Done {
        let uid = seen.storage.uid().unwrap();
        let wipes = seen.storage.spec.deletion_policy == Some(DeletionPolicy::WipeOut);
        let done = match step {
            Step::AddFinalizer => {
                self.storages.replace(&seen.storage, |storage| storage.metadata.finalizers = Some(vec!["kubestash.com/cleanup".to_owned()]))
            }
            Step::Initialise => {
                seen.backend = match self.answers {
                    true => Backend::Reached(self.adopt(&seen.storage)),
                    false => Backend::Failed("it does not answer".to_owned()),
                };
                return Done::Learned;
            }
            Step::Status(status) => self.storages.replace(&seen.storage, |storage| storage.status = Some((**status).clone())),
            Step::StartInit => self.jobs.start(INIT, &uid),
            Step::StartCleanup => {
                assert!(wipes && seen.storage.metadata.deletion_timestamp.is_some(), "nobody wants it to be erased");
                self.jobs.start(CLEANUP, &uid)
            }
            Step::RemoveInit => {
                self.jobs.remove(INIT);
                true
            }
            Step::RemoveCleanup => {
                self.jobs.remove(CLEANUP);
                true
            }
            Step::RemoveObjects => {
                for repository in &seen.repositories {
                    let name = repository.name_any();
                    self.repositories.edit(&name, |repository| repository.spec.deletion_policy = Some(DeletionPolicy::Delete));
                    self.repositories.delete(&name, self.now);
                }
                true
            }
            Step::RemoveFinalizer => {
                let told = matches!(seen.secret, SecretState::Missing(_));
                assert!(!wipes || told || self.erased.contains(&uid), "it goes before its data");
                self.storages.edit(NAME, |storage| storage.metadata.finalizers = None);
                true
            }
            Step::Tell(_) | Step::Wait => true,
        };
        if done { Done::On } else { Done::Off }
    }

    fn settle(&mut self) {
        self.now = self.now.checked_add(SignedDuration::from_secs(10)).unwrap();
        (self.has_secret, self.answers) = (true, true);
        let storages = self.storages.clone();
        self.jobs.collect(|uid| storages.has_uid(uid));
        for (name, _) in self.jobs.open() {
            let state = self.work(&name);
            self.jobs.end(&name, state);
        }
        self.repositories.end_deletions();
    }

    fn is_same(&self, other: &Self) -> bool {
        let objects = |world: &Self| (world.storage().cloned(), world.repositories.iter().cloned().collect::<Vec<_>>());
        objects(self) == objects(other) && self.jobs == other.jobs && self.meta == other.meta
    }

    fn check(&self, seed: u64) {
        if let Some(storage) = self.storage().filter(|_| self.is_deleting()) {
            let erased = self.erased.contains(&storage.uid().unwrap());
            assert!(!erased || self.meta.is_none(), "seed {seed}: something was written behind the erasing");
        }
    }
}

#[test]
fn every_life_of_a_storage_ends_ready_or_gone() {
    for seed in 0..2_000 {
        let world = model::live(seed, World::new(seed));
        assert_eq!(world.jobs.open(), [], "seed {seed}: a Job runs for nobody");
        let Some(storage) = world.storage() else {
            assert_eq!(world.repositories.iter().count(), 0, "seed {seed}: repositories without a storage");
            continue;
        };
        assert!(!world.is_deleting(), "seed {seed}: its deletion does not end");
        let status = storage.status.as_ref().unwrap();
        assert_eq!(status.phase, Some(BackupStoragePhase::Ready), "seed {seed}: {status:#?}");
        assert!(world.meta.is_some(), "seed {seed}: it is called ready, and was not prepared");
        let told = |name: &str| status.repositories.iter().any(|told| told.name == name);
        assert!(world.repositories.iter().all(|repository| told(&repository.name_any())), "seed {seed}: {status:#?}");
    }
}
