//! Random lives of a BackupConfiguration: made, paused, changed, deleted and made again, while what it needs comes and goes, its runs are cleaned
//! away, and others have Repositories of the same name or use the same one. Whatever happens, each session gets its first backup once, no
//! Repository goes that somebody wants to keep, and in the end everything is in place, or gone.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::CronJob;
use kube::ResourceExt as _;
use kubestash::{
    api::{
        Addon, BackupConfiguration, BackupInvokerPhase, BackupSession, BackupStorage, Condition, DeletionPolicy, Repository, RetentionPolicy,
        conditions, set_condition,
    },
    session::objects,
};
use serde_json::{Value, json};

use super::{
    decide::{Outcomes, Plan, RepositoryPlan, Seen, decide, first_backups, status},
    removal::{Removal, removals},
};
use crate::operator::{
    finalizer,
    model::{self, Done, Random, Shelf, object},
};

const NAME: &str = "bc";

#[derive(Debug)]
enum Step {
    AddFinalizer,
    Create(Box<Repository>),
    Schedule(String),
    Unschedule(String),
    Status,
    FirstBackups,
    Remove(Removal),
    RemoveFinalizer,
}

#[derive(Clone)]
struct World {
    configurations: Shelf<BackupConfiguration>,
    repositories: Shelf<Repository>,
    runs: Shelf<BackupSession>,
    /// Names and the uid of the owner.
    cron_jobs: BTreeMap<String, String>,
    storage: bool,
    addon: bool,
    secret: bool,
    /// Whether CronJobs can be written.
    admitted: bool,
    /// What became of the CronJobs in this look.
    scheduled: BTreeMap<String, Result<(), String>>,
    /// Sessions, by uid of the configuration, name and how often it was put into the spec; and how many first backups they got.
    firsts: BTreeMap<(String, String, u32), u32>,
    /// How often the session `daily` was put into the spec.
    dailies: u32,
    now: Timestamp,
}

fn session(name: &str, repository: &str, policy: &Value) -> Value {
    json!({
        "name": name, "scheduler": {"schedule": "0 * * * *", "jobTemplate": {}},
        "repositories": [{"name": repository, "backend": "main", "directory": format!("/{repository}"), "encryptionSecret": {"name": "e"}, "deletionPolicy": policy}],
        "addon": {"name": "kubedump-addon", "tasks": [{"name": "manifest-backup"}]},
    })
}

fn policy(random: &mut Random) -> Value {
    [json!("WipeOut"), json!("WipeOut"), json!("Delete"), json!("Retain"), Value::Null][usize::try_from(random.next(5)).unwrap()].clone()
}

impl World {
    fn new(seed: u64) -> Self {
        let mut world = Self {
            configurations: Shelf::default(),
            repositories: Shelf::default(),
            runs: Shelf::default(),
            cron_jobs: BTreeMap::new(),
            storage: !seed.is_multiple_of(4),
            addon: true,
            secret: true,
            admitted: true,
            scheduled: BTreeMap::new(),
            firsts: BTreeMap::new(),
            dailies: 0,
            now: "2026-01-01T00:00:00Z".parse().unwrap(),
        };
        let random = &mut Random::new(seed);
        if seed.is_multiple_of(5) {
            // Somebody else's, which is not what the configuration means.
            let strange = json!({"storageRef": {"name": "other"}, "path": "/elsewhere"});
            world.repositories.create(object("storage", "Repository", "one", strange), world.now);
        }
        world.make(NAME, random);
        world
    }

    fn make(&mut self, name: &str, random: &mut Random) {
        let backends = json!([{"name": "main", "storageRef": {"name": "s"}, "retentionPolicy": {"name": "p"}}]);
        let spec = json!({"backends": backends, "sessions": [session("hourly", "one", &policy(random))]});
        let mut made: BackupConfiguration = object("core", "BackupConfiguration", name, spec);
        made.metadata.finalizers = None;
        self.configurations.create(made, self.now);
    }

    fn own(&self) -> Option<&BackupConfiguration> {
        self.configurations.get(NAME)
    }

    /// The garbage collector, and the reconciler of repositories.
    fn collect(&mut self) {
        let configurations = self.configurations.clone();
        self.cron_jobs.retain(|_, uid| configurations.has_uid(uid));
        let orphans = self.runs.iter().filter(|run| !run.owner_references().iter().any(|owner| configurations.has_uid(&owner.uid)));
        let orphans: Vec<String> = orphans.map(|run| run.name_any()).collect();
        for name in orphans {
            self.runs.delete(&name, self.now);
        }
        self.repositories.end_deletions();
    }
}

impl model::World for World {
    type Seen = Seen;
    type Step = Step;

    fn happen(&mut self, random: &mut Random) {
        self.now = self.now.checked_add(SignedDuration::from_secs(10)).unwrap();
        match random.next(14) {
            0 if self.own().is_none() => self.make(NAME, random),
            0 if random.chance(50) => self.configurations.delete(NAME, self.now),
            1 => self.configurations.edit(NAME, |own| own.spec.paused = Some(random.chance(50))),
            2 => {
                let (has, policy) = (self.own().is_some_and(|own| own.spec.sessions.len() > 1), policy(random));
                let daily = serde_json::from_value(session("daily", if random.chance(50) { "one" } else { "two" }, &policy)).unwrap();
                self.configurations.edit(NAME, |own| if has { own.spec.sessions.truncate(1) } else { own.spec.sessions.push(daily) });
                self.dailies += 1;
            }
            3 => {
                let policy = serde_json::from_value(policy(random)).unwrap();
                self.configurations.edit(NAME, |own| own.spec.sessions[0].repositories[0].deletion_policy = policy);
            }
            4 => self.storage = !self.storage,
            5 => self.addon = !self.addon,
            6 => self.secret = !self.secret,
            7 => self.admitted = !self.admitted,
            8 if random.chance(40) => match self.configurations.get("other") {
                None => self.make("other", random),
                Some(_) => self.configurations.delete("other", self.now),
            },
            // A run that has ended is cleaned away, which takes longer than an operator needs to note that it was made.
            9 => {
                let status = self.own().and_then(|own| own.status.clone()).unwrap_or_default();
                let noted = |name: &str| {
                    let known = status.sessions.iter().find(|known| known.name == name);
                    known.is_some_and(|known| kubestash::api::has_condition(&known.conditions, conditions::INITIAL_BACKUP_TRIGGERED))
                };
                let ended = self.runs.iter().find(|run| noted(&run.spec.session)).map(|run| run.name_any()).unwrap_or_default();
                self.runs.delete(&ended, self.now);
            }
            10 => self.collect(),
            _ => {
                let name = if random.chance(70) { "one" } else { "two" };
                self.repositories.edit(name, |repository| repository.status = serde_json::from_value(json!({"phase": "Ready"})).unwrap());
            }
        }
    }

    fn observe(&mut self, cached: &Self, _: &mut Random) -> Option<Seen> {
        cached.own()?;
        let configuration = self.own()?.clone();
        self.scheduled.clear();
        let mut storage: BackupStorage = object("storage", "BackupStorage", "s", json!({}));
        storage.status = serde_json::from_value(json!({"phase": "Ready"})).unwrap();
        let policy: RetentionPolicy = object("storage", "RetentionPolicy", "p", json!({"maxRetentionPeriod": "1mo"}));
        let addon: Addon = object("addons", "Addon", "kubedump-addon", json!({"backupTasks": [{"name": "manifest-backup", "function": "f"}]}));
        let cron_job = |(name, uid): (&String, &String)| -> CronJob {
            let owner = json!([{"apiVersion": "v1", "kind": "BackupConfiguration", "name": NAME, "uid": uid}]);
            serde_json::from_value(json!({"metadata": {"name": name, "ownerReferences": owner}})).unwrap()
        };
        Some(Seen {
            configuration,
            namespace_labels: BTreeMap::new(),
            storages: if self.storage { vec![storage] } else { Vec::new() },
            policies: vec![policy],
            addons: [("kubedump-addon".to_owned(), self.addon.then_some(addon))].into(),
            unusable_secrets: if self.secret { BTreeMap::new() } else { [("e".to_owned(), "it is gone".to_owned())].into() },
            repositories: self.repositories.iter().cloned().collect(),
            cron_jobs: self.cron_jobs.iter().map(cron_job).collect(),
        })
    }

    fn decide(&self, seen: &Seen) -> Vec<Step> {
        let configuration = &seen.configuration;
        if configuration.metadata.deletion_timestamp.is_some() {
            let others: Vec<BackupConfiguration> = self.configurations.iter().filter(|other| other.name_any() != NAME).cloned().collect();
            let all = removals(configuration, &seen.repositories, &others).into_iter().map(Step::Remove);
            return if finalizer::is_there(configuration) { all.chain([Step::RemoveFinalizer]).collect() } else { Vec::new() };
        }
        if !finalizer::is_there(configuration) {
            return vec![Step::AddFinalizer];
        }
        let plan = decide(seen);
        let mut steps: Vec<Step> = Vec::new();
        if plan.problems.is_empty() {
            steps.extend(plan.repositories.iter().filter_map(|repository| match repository {
                RepositoryPlan::Create(made) => Some(Step::Create(made.clone())),
                _ => None,
            }));
            steps.extend(configuration.spec.sessions.iter().map(|session| Step::Schedule(session.name.clone())));
        }
        steps.extend(plan.superfluous.into_iter().map(Step::Unschedule));
        steps.extend([Step::Status, Step::FirstBackups]);
        steps
    }

    fn apply(&mut self, seen: &mut Seen, step: &Step, random: &mut Random) -> Done {
        let (own, now) = (&seen.configuration, self.now);
        let uid = own.uid().unwrap();
        let new = |plan: &Plan| status(seen, plan, &Outcomes { scheduled: self.scheduled.clone() }, now);
        let done = match step {
            Step::AddFinalizer => self.configurations.replace(own, |own| own.metadata.finalizers = Some(vec!["kubestash.com/cleanup".to_owned()])),
            Step::Create(made) => self.repositories.create((**made).clone(), now) || self.repositories.get(&made.name_any()).is_some(),
            Step::Schedule(session) => {
                let done = match decide(seen).lacking.get(session) {
                    Some(what) => Err(what.clone()),
                    None if !self.admitted => Err("a policy refuses it".to_owned()),
                    None => {
                        self.cron_jobs.insert(objects::trigger_name(NAME, session), uid);
                        Ok(())
                    }
                };
                self.scheduled.insert(session.clone(), done);
                true
            }
            Step::Unschedule(name) => self.cron_jobs.remove(name).is_some() || !self.cron_jobs.contains_key(name),
            Step::Status => {
                let new = new(&decide(seen));
                own.status.as_ref() == Some(&new) || self.configurations.replace(own, |own| own.status = Some(new))
            }
            Step::FirstBackups => {
                let plan = decide(seen);
                let new = new(&plan);
                for session in first_backups(seen, &plan, &new) {
                    let age = own.metadata.creation_timestamp.as_ref().unwrap().0;
                    if self.runs.create(objects::new_backup_session(own, session, 0, age), now) {
                        let number = if session.name == "daily" { self.dailies } else { 0 };
                        *self.firsts.entry((uid.clone(), session.name.clone(), number)).or_default() += 1;
                    }
                    if random.trouble(15) {
                        return Done::Off;
                    }
                    self.configurations.edit(NAME, |own| {
                        let sessions = &mut own.status.get_or_insert_default().sessions;
                        if let Some(known) = sessions.iter_mut().find(|known| known.name == session.name) {
                            set_condition(&mut known.conditions, Condition::new(conditions::INITIAL_BACKUP_TRIGGERED, true, "", ""), now);
                        }
                    });
                }
                true
            }
            Step::Remove(Removal::Keep { .. }) => true,
            Step::Remove(Removal::Delete { name, policy }) => {
                let found = seen.repositories.iter().find(|repository| repository.name_any() == *name).unwrap();
                assert_eq!(found.spec.path, Some(format!("/{name}")), "somebody else's Repository goes");
                let infos = own.spec.sessions.iter().flat_map(|session| &session.repositories).filter(|info| info.name == *name);
                let policies: BTreeSet<&str> = infos.map(|info| info.deletion_policy.map_or("Retain", |policy| policy.as_str())).collect();
                assert!(!policies.contains("Retain"), "it goes although a session keeps it");
                assert!(*policy == DeletionPolicy::Delete || policies == BTreeSet::from(["WipeOut"]), "its data goes although a session keeps it");
                self.repositories.edit(name, |repository| repository.spec.deletion_policy = Some(*policy));
                self.repositories.delete(name, now);
                true
            }
            Step::RemoveFinalizer => {
                self.configurations.remove_finalizer(NAME);
                true
            }
        };
        if done { Done::On } else { Done::Off }
    }

    fn settle(&mut self) {
        self.now = self.now.checked_add(SignedDuration::from_secs(10)).unwrap();
        (self.storage, self.addon, self.secret, self.admitted) = (true, true, true, true);
        self.collect();
        for name in ["one", "two"] {
            self.repositories.edit(name, |repository| repository.status = serde_json::from_value(json!({"phase": "Ready"})).unwrap());
        }
    }

    fn is_same(&self, other: &Self) -> bool {
        let repositories = |world: &Self| world.repositories.iter().cloned().collect::<Vec<_>>();
        let runs = |world: &Self| world.runs.iter().map(|run| run.name_any()).collect::<Vec<_>>();
        (self.own(), &self.cron_jobs, repositories(self), runs(self)) == (other.own(), &other.cron_jobs, repositories(other), runs(other))
    }

    fn check(&self, seed: u64) {
        assert!(self.firsts.values().all(|times| *times <= 1), "seed {seed}: a first backup was made twice: {:?}", self.firsts);
    }
}

#[test]
fn every_life_of_a_configuration_ends_in_place_or_gone() {
    for seed in 0..150 {
        let world = model::live(seed, World::new(seed));
        let Some(own) = world.own() else {
            assert_eq!(world.cron_jobs, BTreeMap::new(), "seed {seed}: a CronJob triggers for nobody");
            continue;
        };
        assert_eq!(own.metadata.deletion_timestamp, None, "seed {seed}: its deletion does not end");
        let status = own.status.as_ref().unwrap();
        assert_eq!(status.phase, Some(BackupInvokerPhase::Ready), "seed {seed}: {status:#?}");
        let names: BTreeSet<String> = own.spec.sessions.iter().map(|session| objects::trigger_name(NAME, &session.name)).collect();
        assert_eq!(world.cron_jobs.keys().cloned().collect::<BTreeSet<_>>(), names, "seed {seed}");
        let conflict = status.repositories.iter().any(|repository| repository.reason.is_some());
        if own.spec.paused == Some(true) || conflict {
            continue;
        }
        let triggered = |name: &str| {
            let known = status.sessions.iter().find(|known| known.name == name).unwrap();
            kubestash::api::is_true(&known.conditions, conditions::INITIAL_BACKUP_TRIGGERED)
        };
        assert!(own.spec.sessions.iter().all(|session| triggered(&session.name)), "seed {seed}: no first backup: {status:#?}");
        assert!(world.firsts.keys().any(|(uid, ..)| Some(uid) == own.metadata.uid.as_ref()), "seed {seed}: it is only called so");
    }
}
