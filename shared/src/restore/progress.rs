//! How far a restore is, of all objects and by kind, to be looked at while it runs.

use std::sync::{
    OnceLock,
    atomic::{AtomicU64, Ordering},
};

use super::{
    Outcome,
    plan::{Plan, Step},
};
use crate::object::GroupResource;

/// Counters of a restore. They stand at nothing until it begins.
#[derive(Debug, Default)]
pub struct Progress {
    kinds: OnceLock<Vec<KindProgress>>,
}

/// Counters of one kind.
#[derive(Debug)]
pub struct KindProgress {
    /// The kind.
    pub kind: GroupResource,
    /// Steps of the plan.
    pub total: u64,
    created: AtomicU64,
    changed: AtomicU64,
    left: AtomicU64,
    failed: AtomicU64,
}

impl Progress {
    /// Takes the kinds of a plan, in the order of its steps.
    pub fn begin(&self, plan: &Plan) {
        let mut kinds: Vec<KindProgress> = Vec::new();
        for step in plan.steps() {
            let kind = step.kind.group_resource();
            match kinds.iter_mut().find(|own| own.kind == kind) {
                Some(own) => own.total += 1,
                None => kinds.push(KindProgress {
                    kind,
                    total: 1,
                    created: AtomicU64::new(0),
                    changed: AtomicU64::new(0),
                    left: AtomicU64::new(0),
                    failed: AtomicU64::new(0),
                }),
            }
        }
        // Only the first plan counts: nobody executes two with the same counters.
        let _ = self.kinds.set(kinds);
    }

    /// Counts what became of a step.
    pub fn count(&self, step: &Step, outcome: &Outcome) {
        let kind = step.kind.group_resource();
        if let Some(own) = self.kinds().iter().find(|own| own.kind == kind) {
            let counter = match outcome {
                Outcome::Created | Outcome::Recreated => &own.created,
                Outcome::Updated | Outcome::Removed => &own.changed,
                Outcome::Failed(_) => &own.failed,
                Outcome::Unchanged | Outcome::Skipped(_) | Outcome::NotCheckable(_) | Outcome::NotAttempted => &own.left,
            };
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The kinds, in the order in which they are restored.
    pub fn kinds(&self) -> &[KindProgress] {
        self.kinds.get().map(Vec::as_slice).unwrap_or_default()
    }

    /// Steps of the plan.
    pub fn total(&self) -> u64 {
        self.kinds().iter().map(|kind| kind.total).sum()
    }

    /// Steps done, in whatever way.
    pub fn done(&self) -> u64 {
        self.kinds().iter().map(KindProgress::done).sum()
    }

    /// Steps that failed.
    pub fn failed(&self) -> u64 {
        self.kinds().iter().map(KindProgress::failed).sum()
    }
}

impl KindProgress {
    /// Objects done, in whatever way.
    pub fn done(&self) -> u64 {
        self.created() + self.changed() + self.left() + self.failed()
    }

    /// Objects created, also anew.
    pub fn created(&self) -> u64 {
        self.created.load(Ordering::Relaxed)
    }

    /// Objects updated or removed.
    pub fn changed(&self) -> u64 {
        self.changed.load(Ordering::Relaxed)
    }

    /// Objects that were left as they are, for whatever reason but a failure.
    pub fn left(&self) -> u64 {
        self.left.load(Ordering::Relaxed)
    }

    /// Objects that failed.
    pub fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }
}
