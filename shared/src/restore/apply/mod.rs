//! Executing a plan: waves one after the other, the steps of a wave in parallel within an adaptive window.
//!
//! A new object costs one request. What the API server says decides what happens next: it is asked again when it is busy or
//! unreachable, never when it refuses. Stopping leaves what was done; a new plan goes on from there.

mod ask;
mod definitions;
mod fields;
mod gates;
mod patience;
mod remove;
mod status;
mod webhooks;
mod write;

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use futures::{StreamExt as _, stream};

pub use patience::Patience;

use super::{
    order::Stage,
    owners::Uids,
    plan::{Action, Plan, Step, Wave},
    progress::Progress,
    report::{Outcome, Report},
    source::Source,
    window::{MOST, Window},
};
use crate::{
    cluster::Cluster,
    object::{GroupResource, ObjectId},
};
use patience::Learnt;

/// Field manager of objects whose own manager is unknown or not one alone.
pub const FIELD_MANAGER: &str = "kubectl-kubestash";

/// Whether requests write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// They do.
    Write,
    /// The server checks and admits them, and writes nothing.
    ServerDryRun,
}

/// Everything a step needs.
struct Run {
    cluster: Cluster,
    source: Source,
    plan: Arc<Plan>,
    mode: Mode,
    patience: Patience,
    learnt: Learnt,
    window: Window,
    uids: Uids,
    stop: Arc<AtomicBool>,
    progress: Arc<Progress>,
    report: Mutex<Report>,
    /// Namespaces and kinds that this plan creates, and those of them that failed.
    coming: Promised,
    broken: Mutex<Promised>,
    /// Objects that are not as the plan wanted them; noted where something is done to objects behind all waves.
    undone: Mutex<HashSet<ObjectId>>,
}

/// Namespaces and kinds that steps depend on.
#[derive(Default)]
struct Promised {
    namespaces: HashSet<String>,
    kinds: HashSet<GroupResource>,
}

impl Promised {
    fn add(&mut self, step: &Step) {
        if step.kind.group.is_empty() && step.kind.resource == "namespaces" {
            self.namespaces.insert(step.name.clone());
        } else if let (Stage::Definitions, Ok(kind)) = (Stage::of(&step.kind.group_resource()), step.name.parse()) {
            self.kinds.insert(kind);
        }
    }

    /// What of it the step depends on, as a clause.
    fn blocks(&self, step: &Step) -> Option<String> {
        if let Some(namespace) = step.namespace.as_ref().filter(|namespace| self.namespaces.contains(*namespace)) {
            return Some(format!("namespace {namespace}"));
        }
        let kind = step.kind.group_resource();
        self.kinds.contains(&kind).then(|| format!("CustomResourceDefinition {kind}"))
    }
}

/// Executes a plan. `stop` ends it cleanly: requests in flight are finished, the rest is reported as not attempted.
///
/// Never fails as a whole: what could not be done is in the report, by object and cause.
pub async fn apply(
    plan: Arc<Plan>,
    source: Source,
    cluster: Cluster,
    mode: Mode,
    patience: Patience,
    stop: Arc<AtomicBool>,
    progress: Arc<Progress>,
) -> Report {
    progress.begin(&plan);
    let mut coming = Promised::default();
    plan.steps().filter(|step| step.action == Action::Create).for_each(|step| coming.add(step));
    coming.namespaces.extend(plan.bare_namespaces.iter().cloned());
    let report = Mutex::new(Report { dry_run: mode == Mode::ServerDryRun, ..Report::default() });
    let run = Arc::new(Run {
        cluster,
        source,
        plan: Arc::clone(&plan),
        mode,
        patience,
        learnt: Learnt::default(),
        window: Window::default(),
        uids: Uids::default(),
        stop,
        progress,
        report,
        coming,
        broken: Mutex::default(),
        undone: Mutex::default(),
    });
    gates::namespaces(&run).await;
    let mut awaited = false;
    let mut webhooks = webhooks::Gate::default();
    for (number, wave) in plan.waves.iter().enumerate() {
        // Definitions become served while other waves run; only their objects have to wait.
        if mode == Mode::Write && !awaited && run.needs_definitions(wave) {
            awaited = true;
            definitions::wait(&run).await;
        }
        if mode == Mode::Write {
            webhooks.wait(&run, number).await;
        }
        let steps = stream::iter(0..wave.steps.len()).map(|index| {
            let run = Arc::clone(&run);
            // A task each: reading and encoding objects uses all cores.
            let task = tokio::spawn(async move { run.step(number, index).await });
            async move { (index, task.await) }
        });
        let ended = |(index, task): (usize, Result<(), tokio::task::JoinError>)| {
            // A step that ends without an outcome must not go missing from the report.
            if let (Err(_), Some(step)) = (task, wave.steps.get(index)) {
                run.done(step, Outcome::Failed("ended unexpectedly".to_owned()));
            }
            futures::future::ready(())
        };
        steps.buffer_unordered(MOST * 2).for_each(ended).await;
    }
    if mode == Mode::Write && !plan.options.status.is_empty() {
        status::restore(&run).await;
    }
    let mut report = std::mem::take(&mut *run.report.lock().unwrap_or_else(PoisonError::into_inner));
    report.lost = run.learnt.lost();
    report.finish();
    report
}

impl Run {
    /// Whether somebody wants it to end, or the API server is lost.
    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || self.learnt.lost().is_some()
    }

    async fn step(&self, wave: usize, index: usize) {
        let Some(step) = self.plan.waves.get(wave).and_then(|wave| wave.steps.get(index)) else { return };
        let outcome = match step.action {
            Action::Skip => Outcome::Skipped(step.reason),
            Action::Fail => Outcome::Failed(match &step.detail {
                Some(detail) => format!("{}: {detail}", step.reason.text()),
                None => step.reason.text().to_owned(),
            }),
            Action::Create | Action::Update | Action::Recreate | Action::Delete if self.stopped() => Outcome::NotAttempted,
            Action::Create | Action::Update | Action::Recreate | Action::Delete => self.write(step).await,
        };
        self.done(step, outcome);
    }

    async fn write(&self, step: &Step) -> Outcome {
        if self.mode == Mode::ServerDryRun
            && let Some(what) = self.coming.blocks(step)
        {
            return Outcome::NotCheckable(format!("its {what} is created by this restore"));
        }
        let broken = self.broken.lock().unwrap_or_else(PoisonError::into_inner).blocks(step);
        if let Some(what) = broken {
            return Outcome::Failed(format!("its {what} is not ready"));
        }
        let done = if step.action == Action::Delete { remove::remove(self, step).await } else { write::write(self, step).await };
        match done {
            Ok(outcome) => outcome,
            Err(cause) => Outcome::Failed(cause),
        }
    }

    fn done(&self, step: &Step, outcome: Outcome) {
        let failed = matches!(outcome, Outcome::Failed(_));
        if failed && step.action.makes() {
            self.breaks(step);
        }
        if !self.plan.options.status.is_empty() && !matches!(outcome, Outcome::Created | Outcome::Updated | Outcome::Recreated | Outcome::Unchanged) {
            self.undone.lock().unwrap_or_else(PoisonError::into_inner).insert(step.id());
        }
        self.progress.count(step, &outcome);
        self.report(|report| report.add(step, outcome));
    }

    /// Whether a definition could not be made.
    fn is_broken(&self, step: &Step) -> bool {
        let broken = self.broken.lock().unwrap_or_else(PoisonError::into_inner);
        step.name.parse().is_ok_and(|kind| broken.kinds.contains(&kind))
    }

    /// Notes that what depends on this object cannot be restored.
    fn breaks(&self, step: &Step) {
        self.broken.lock().unwrap_or_else(PoisonError::into_inner).add(step);
    }

    fn report(&self, change: impl FnOnce(&mut Report)) {
        change(&mut self.report.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Whether a wave creates objects of kinds that this plan defines.
    fn needs_definitions(&self, wave: &Wave) -> bool {
        !self.stopped() && wave.steps.iter().any(|step| step.action == Action::Create && self.coming.kinds.contains(&step.kind.group_resource()))
    }
}
