//! Random lives of objects, for the models of the reconcilers: what these share.
//!
//! ```text
//! events (users, Jobs, stores, other reconcilers) ─┐ between any two
//! cache, perhaps old ─▶ observe ─▶ decide ─▶ write ─▶ write … ◀─ the operator ends here, or an answer is lost
//! ```
//! In the end nothing happens any more but that Jobs end well and stores answer. Then the operator must come to rest, and each model says what
//! must be there and what must not. Only the decisions are the real ones; what their writes do to a cluster is told by the model.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{Resource, ResourceExt as _};
use serde_json::{Value, json};

use super::job_state::JobState;

/// Numbers that look random and are the same in every run.
#[derive(Clone)]
pub struct Random {
    state: u64,
    /// Whether nothing disturbs any more.
    calm: bool,
}

impl Random {
    pub fn new(seed: u64) -> Self {
        Self { state: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1, calm: false }
    }

    pub fn next(&mut self, below: u64) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state % below
    }

    pub fn chance(&mut self, percent: u64) -> bool {
        self.next(100) < percent
    }

    /// Whether something disturbs here: somebody else comes between, or the operator ends.
    pub fn trouble(&mut self, percent: u64) -> bool {
        self.chance(percent) && !self.calm
    }
}

/// An object of the namespace `demo` with the operator's finalizer.
pub fn object<K: serde::de::DeserializeOwned>(group: &str, kind: &str, name: &str, spec: Value) -> K {
    serde_json::from_value(json!({
        "apiVersion": format!("{group}.kubestash.com/v1alpha1"), "kind": kind,
        "metadata": {"name": name, "namespace": "demo", "finalizers": ["kubestash.com/cleanup"]}, "spec": spec,
    }))
    .unwrap()
}

/// Objects of a kind as an API server keeps them: each write makes a new version, and finalizers hold what is being deleted.
#[derive(Clone)]
pub struct Shelf<K> {
    all: BTreeMap<String, K>,
    writes: u64,
}

impl<K> Default for Shelf<K> {
    fn default() -> Self {
        Self { all: BTreeMap::new(), writes: 0 }
    }
}

impl<K: Resource<DynamicType = ()> + Clone + PartialEq> Shelf<K> {
    /// Makes an object, unless there is one of its name.
    pub fn create(&mut self, mut object: K, now: Timestamp) -> bool {
        let name = object.name_any();
        if self.all.contains_key(&name) {
            return false;
        }
        self.writes += 1;
        object.meta_mut().uid = Some(format!("{:08}", self.writes));
        object.meta_mut().resource_version = Some(self.writes.to_string());
        object.meta_mut().creation_timestamp = Some(Time(now));
        self.all.insert(name, object);
        true
    }

    pub fn get(&self, name: &str) -> Option<&K> {
        self.all.get(name)
    }

    pub fn iter(&self) -> impl Iterator<Item = &K> {
        self.all.values()
    }

    pub fn has_uid(&self, uid: &str) -> bool {
        self.iter().any(|object| object.meta().uid.as_deref() == Some(uid))
    }

    /// A change by somebody who takes the object as it is now.
    pub fn edit(&mut self, name: &str, change: impl FnOnce(&mut K)) {
        let Some(found) = self.all.get_mut(name) else { return };
        let before = found.clone();
        change(found);
        if *found != before {
            self.writes += 1;
            found.meta_mut().resource_version = Some(self.writes.to_string());
        }
        if found.meta().deletion_timestamp.is_some() && found.finalizers().is_empty() {
            self.all.remove(name);
        }
    }

    /// A change by somebody who goes by what was seen: refused, when that is over.
    pub fn replace(&mut self, seen: &K, change: impl FnOnce(&mut K)) -> bool {
        let name = seen.name_any();
        let same = |found: &K| (found.resource_version(), found.uid()) == (seen.resource_version(), seen.uid());
        if !self.all.get(&name).is_some_and(same) {
            return false;
        }
        self.edit(&name, change);
        true
    }

    pub fn delete(&mut self, name: &str, now: Timestamp) {
        self.edit(name, |object| {
            object.meta_mut().deletion_timestamp.get_or_insert(Time(now));
        });
    }

    pub fn remove_finalizer(&mut self, name: &str) {
        self.edit(name, |object| object.meta_mut().finalizers = None);
    }

    /// What their own reconciler does: all that are being deleted are gone.
    pub fn end_deletions(&mut self) {
        let deleted = self.iter().filter(|object| object.meta().deletion_timestamp.is_some());
        let names: Vec<String> = deleted.map(|object| object.name_any()).collect();
        for name in names {
            self.remove_finalizer(&name);
        }
    }
}

/// A Job, as much as matters.
#[derive(Clone, Debug, PartialEq)]
pub struct Work {
    pub state: JobState,
    /// Uid of the object that it is for.
    pub owner: String,
}

/// The Jobs of a namespace by name.
#[derive(Clone, Default, Debug, PartialEq)]
pub struct Jobs {
    pub all: BTreeMap<String, Work>,
}

impl Jobs {
    pub fn running() -> JobState {
        JobState::Running { waits_for: None, long: false }
    }

    /// Makes a Job, or finds that it is there. False while one of an earlier owner is.
    pub fn start(&mut self, name: &str, owner: &str) -> bool {
        let work = self.all.entry(name.to_owned()).or_insert_with(|| Work { state: Self::running(), owner: owner.to_owned() });
        work.owner == owner
    }

    /// As `job_state::observe` tells it.
    pub fn state(&self, name: &str, owner: &str) -> JobState {
        self.all.get(name).filter(|work| work.owner == owner).map_or(JobState::Absent, |work| work.state.clone())
    }

    pub fn remove(&mut self, name: &str) {
        self.all.remove(name);
    }

    /// Names and owners of those that have not ended.
    pub fn open(&self) -> Vec<(String, String)> {
        let open = self.all.iter().filter(|(_, work)| matches!(work.state, JobState::Running { .. }));
        open.map(|(name, work)| (name.clone(), work.owner.clone())).collect()
    }

    pub fn end(&mut self, name: &str, state: JobState) {
        if let Some(work) = self.all.get_mut(name) {
            work.state = state;
        }
    }

    /// The garbage collector.
    pub fn collect(&mut self, lives: impl Fn(&str) -> bool) {
        self.all.retain(|_, work| lives(&work.owner));
    }
}

/// What became of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    /// The next one follows.
    On,
    /// The operator leaves the object for now: it was changed meanwhile, or something does not answer.
    Off,
    /// What was learned stands in what was seen: it is decided anew.
    Learned,
}

/// A cluster, a storage, and a reconciler that works on one object of it.
pub trait World: Clone {
    type Seen;
    type Step: std::fmt::Debug;

    /// Something that others do.
    fn happen(&mut self, random: &mut Random);
    /// What the operator sees; `cached` is what its watch has shown.
    fn observe(&mut self, cached: &Self, random: &mut Random) -> Option<Self::Seen>;
    /// The real decision.
    fn decide(&self, seen: &Self::Seen) -> Vec<Self::Step>;
    /// What a step writes.
    fn apply(&mut self, seen: &mut Self::Seen, step: &Self::Step, random: &mut Random) -> Done;
    /// The operator begins anew and remembers nothing.
    fn restart(&mut self) {}
    /// Nothing disturbs any more: time passes, Jobs end well, stores answer.
    fn settle(&mut self);
    /// Whether nothing that matters differs.
    fn is_same(&self, other: &Self) -> bool;
    /// What must hold at any time.
    fn check(&self, seed: u64);
}

/// In percent, the chance that something comes between a look and a write, and that the operator ends before or behind one.
const TROUBLE: u64 = 8;

/// The operator looks once, and writes what it finds to be done.
fn look<W: World>(world: &mut W, cached: &W, random: &mut Random) {
    let Some(mut seen) = world.observe(cached, random) else { return };
    let mut steps = world.decide(&seen).into_iter();
    while let Some(step) = steps.next() {
        if random.trouble(TROUBLE) {
            world.happen(random);
        }
        if random.trouble(TROUBLE) {
            return world.restart();
        }
        let done = world.apply(&mut seen, &step, random);
        if random.trouble(TROUBLE) {
            return world.restart();
        }
        match done {
            Done::On => {}
            Done::Off => return,
            Done::Learned => steps = world.decide(&seen).into_iter(),
        }
    }
}

/// Steps of a life until nothing disturbs any more.
const BUSY: usize = 24;
/// Looks within which the operator must have come to rest.
const REST: usize = 40;
/// Looks without a change, that are rest.
const QUIET: usize = 3;

/// Lives a life, and gives what is there in the end.
pub fn live<W: World>(seed: u64, mut world: W) -> W {
    let mut random = Random::new(seed);
    let mut cached = world.clone();
    for _ in 0..BUSY {
        let before = world.clone();
        if random.chance(40) {
            world.happen(&mut random);
        } else {
            let shown = if random.chance(30) { cached } else { world.clone() };
            look(&mut world, &shown, &mut random);
        }
        world.check(seed);
        cached = before;
    }
    random.calm = true;
    let mut quiet = 0;
    for _ in 0..REST {
        let before = world.clone();
        world.settle();
        let shown = world.clone();
        look(&mut world, &shown, &mut random);
        world.check(seed);
        quiet = if world.is_same(&before) { quiet + 1 } else { 0 };
        if quiet == QUIET {
            return world;
        }
    }
    panic!("seed {seed}: the operator does not come to rest");
}
