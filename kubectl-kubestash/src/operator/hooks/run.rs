//! One hook after the other, each as often as it may be tried.

use std::{collections::BTreeSet, time::Duration};

use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::ResourceExt as _;
use kubestash::{
    api::{HookExecutionStatus, HookInfo, HookPhase, HookTemplate, NamespacesFrom, Requester, UsagePolicy},
    session::hooks::{Action, Executor, HookError, Plan, plan::plan, pods::Choice, runs},
};

use super::{Hooks, Stage, exec, function, pods, request, tail};
use crate::{
    operator::context::Context,
    resources::{cluster_wide, namespaced, said},
};

/// Time between two tries.
const PAUSE: Duration = Duration::from_secs(2);
/// Longest message, in characters.
const MAX_MESSAGE: usize = 2000;

/// Called with what is known of all hooks, after each of them.
pub type Note<'a> = &'a (dyn Fn(Vec<HookExecutionStatus>) -> BoxFuture<'a, ()> + Send + Sync);

/// Runs the hooks of a stage: what became of each, and why the stage failed.
///
/// Hooks that do not run because of their `executionPolicy` are left out of the answer.
pub async fn run(hooks: &Hooks<'_>, context: &Context, note: Note<'_>) -> (Vec<HookExecutionStatus>, Option<String>) {
    let failed = hooks.summary.has_failed();
    let wanted = |info: &&HookInfo| hooks.stage == Stage::Before || runs(info.execution_policy, failed);
    let list: Vec<&HookInfo> = hooks.list.iter().filter(wanted).collect();
    let mut results: Vec<HookExecutionStatus> =
        list.iter().map(|info| HookExecutionStatus { name: name(info), phase: Some(HookPhase::Pending) }).collect();
    for (result, known) in results.iter_mut().zip(hooks.known) {
        if result.name == known.name && known.phase == Some(HookPhase::Succeeded) {
            result.phase = Some(HookPhase::Succeeded);
        }
    }
    let mut failures = Vec::new();
    for (at, info) in list.into_iter().enumerate() {
        if results.get(at).is_some_and(|result| result.phase == Some(HookPhase::Succeeded)) {
            continue;
        }
        let done = Hook { hooks, context, info, at }.run().await;
        if let Some(result) = results.get_mut(at) {
            result.phase = Some(if done.is_ok() { HookPhase::Succeeded } else { HookPhase::Failed });
        }
        match done {
            Ok(()) => note(results.clone()).await,
            Err(error) => {
                failures.push(format!("the hook {} failed: {error}", name(info)));
                if hooks.stage == Stage::Before {
                    break;
                }
            }
        }
    }
    let failure = (!failures.is_empty()).then(|| failures.join("; ").chars().take(MAX_MESSAGE).collect());
    (results, failure)
}

/// The name of a hook, or of its template where it has none.
fn name(info: &HookInfo) -> String {
    let template = info.hook_template.as_ref().map(|template| template.name.clone()).unwrap_or_default();
    if info.name.is_empty() { template } else { info.name.clone() }
}

struct Hook<'a> {
    hooks: &'a Hooks<'a>,
    context: &'a Context,
    info: &'a HookInfo,
    at: usize,
}

impl Hook<'_> {
    fn namespace(&self) -> &str {
        &self.hooks.summary.namespace
    }

    async fn run(&self) -> Result<(), HookError> {
        let template = self.template().await?;
        let plan = plan(self.info, &template.spec, self.hooks.summary)?;
        // Pods that have done it already: a try after a failure is for the others.
        let mut done: BTreeSet<String> = BTreeSet::new();
        let mut left = plan.tries;
        loop {
            let timeout = self.timeout(&plan)?;
            let number = plan.tries - left + 1;
            let tried = match &plan.executor {
                Executor::Operator(action) => self.act(action, None, timeout).await,
                Executor::Pods(choice, action) => self.in_pods(choice, action, &mut done, &plan).await,
                Executor::Function(function) => {
                    let name = function::job_name(&self.hooks.summary.name, self.hooks.stage, self.at, number);
                    function::run(self.hooks, function, &name, timeout, self.context).await
                }
            };
            left -= 1;
            match tried {
                Err(HookError::Failed(why)) if left > 0 => {
                    tracing::info!("hook {} of {}/{}: try {number}: {why}", name(self.info), self.namespace(), self.hooks.summary.name);
                    tokio::time::sleep(PAUSE).await;
                }
                Err(HookError::Failed(why)) if plan.tries > 1 => return Err(HookError::Failed(format!("{why} (tried {} times)", plan.tries))),
                other => return other,
            }
        }
    }

    /// The template, if this namespace may use it now.
    async fn template(&self) -> Result<HookTemplate, HookError> {
        let own = self.namespace();
        let reference = self.info.hook_template.as_ref().filter(|reference| !reference.name.is_empty());
        let reference = reference.ok_or_else(|| HookError::Template("it names no hookTemplate".to_owned()))?.resolved(own);
        let place = reference.namespace_or(own);
        let unreadable = |error: kube::Error| HookError::Failed(format!("HookTemplate {reference} cannot be read: {}", said(&error)));
        let found = namespaced::<HookTemplate>(&self.context.client, place).get_opt(&reference.name).await.map_err(unreadable)?;
        let template = found.ok_or_else(|| HookError::Template(format!("HookTemplate {reference} does not exist")))?;
        let policy = template.spec.usage_policy.as_ref();
        let labels = match UsagePolicy::from(policy) {
            Some(NamespacesFrom::Selector) => {
                let namespace = cluster_wide::<Namespace>(&self.context.client).get(own).await;
                namespace.map_err(|error| HookError::Failed(format!("Namespace {own} cannot be read: {}", said(&error))))?.labels().clone()
            }
            _ => std::collections::BTreeMap::default(),
        };
        if !UsagePolicy::allows(policy, place, Requester { namespace: own, labels: &labels }) {
            return Err(HookError::Template(format!("the usagePolicy of HookTemplate {reference} does not allow the namespace {own} to use it")));
        }
        Ok(template)
    }

    /// Time for one try. Before the work, no try outlives the session's deadline.
    fn timeout(&self, plan: &Plan) -> Result<Duration, HookError> {
        let Some(deadline) = self.hooks.deadline.filter(|_| self.hooks.stage == Stage::Before) else { return Ok(plan.timeout) };
        match Duration::try_from(deadline.duration_since(self.context.now())) {
            Ok(left) if !left.is_zero() => Ok(plan.timeout.min(left)),
            _ => Err(HookError::Template("deadline exceeded: the time of the session is over".to_owned())),
        }
    }

    async fn in_pods(&self, choice: &Choice, action: &Action, done: &mut BTreeSet<String>, plan: &Plan) -> Result<(), HookError> {
        let matching = pods::matching(&self.context.client, self.namespace(), choice).await?;
        let mut failures = Vec::new();
        for pod in choice.choose(&matching, self.namespace())? {
            let uid = pod.uid().unwrap_or_default();
            if done.contains(&uid) {
                continue;
            }
            match self.act(action, Some(pod), self.timeout(plan)?).await {
                Ok(()) => {
                    done.insert(uid);
                }
                Err(error @ HookError::Template(_)) => return Err(error),
                Err(HookError::Failed(why)) => failures.push(why),
            }
        }
        if failures.is_empty() { Ok(()) } else { Err(HookError::Failed(failures.join("; "))) }
    }

    async fn act(&self, action: &Action, pod: Option<&Pod>, timeout: Duration) -> Result<(), HookError> {
        match (action, pod) {
            (Action::Exec { command, container }, Some(pod)) => {
                let container = kubestash::session::hooks::pods::container(pod, container.as_deref())?;
                exec::run(&self.context.client, pod, &container, command, timeout).await
            }
            (Action::Exec { .. }, None) => Err(HookError::Template("a command needs the executor Pod".to_owned())),
            (Action::Request(request), pod) => request::send(request, pod, timeout).await,
            (Action::Socket(address), pod) => request::connect(address, pod, timeout).await,
        }
    }
}

/// What a failure that the API server caused says.
pub(super) fn failed(what: &str, error: &kube::Error) -> HookError {
    HookError::Failed(format!("{what}: {}", tail(&said(error), 300)))
}
