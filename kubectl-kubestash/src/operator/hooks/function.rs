//! A Function that runs as a hook: a Job, which stays with its session so that its log can be read.

use std::time::{Duration, Instant};

use k8s_openapi::api::batch::v1::JobSpec;
use kubestash::{
    api::{Function, RuntimeSettings, join_name, labels},
    session::{
        hooks::{HookError, plan::FunctionPlan},
        job::{JobParts, PlannedJob, Task, assemble, storage_account},
        objects::invoker_labels,
    },
};

use super::{Hooks, Stage, run::failed};
use crate::{
    operator::{
        backup_session::executor::{self, Failure},
        context::Context,
        job_state::{self, JobState},
    },
    resources::{access::Access, cluster_wide},
};

/// Time between two looks at the Job.
const PAUSE: Duration = Duration::from_secs(2);

/// Name of a hook's Job: the same for the same try, so that an operator that takes over finds it.
pub fn job_name(session: &str, stage: Stage, at: usize, number: u32) -> String {
    let stage = match stage {
        Stage::Before => "pre",
        Stage::After => "post",
    };
    join_name("hook", session, &format!("{stage}-{at}-{number}"))
}

/// Starts the Job, and waits for its end.
pub async fn run(hooks: &Hooks<'_>, plan: &FunctionPlan, name: &str, timeout: Duration, context: &Context) -> Result<(), HookError> {
    let namespace = &hooks.summary.namespace;
    let found = cluster_wide::<Function>(&context.client).get_opt(&plan.function).await;
    let found = found.map_err(|error| failed(&format!("Function {} cannot be read", plan.function), &error))?;
    let function = found.ok_or_else(|| HookError::Template(format!("Function {} does not exist", plan.function)))?;
    let account = storage_account(plan.settings.as_ref());
    executor::check_account(account, namespace, context).await.map_err(|failure| told(name, failure))?;
    // An account without any rights: what a hook may do beyond itself, its author says with runtimeSettings.pod.serviceAccountName.
    let access = Access {
        name: name.to_owned(),
        namespace: namespace.clone(),
        account: account.map(str::to_owned),
        owner: Some(hooks.owner.clone()),
        ..Access::default()
    };
    access.grant(&context.client).await.map_err(|error| failed(&format!("the ServiceAccount {name} cannot be made"), &error))?;
    let parts = parts(hooks, plan, &function, &access, timeout, context);
    let mut planned = assemble(&parts).map_err(|error| HookError::Template(error.to_string()))?;
    add_to_pod(&mut planned, plan);
    let begun = Instant::now();
    while let Err(failure) = executor::start(&planned, namespace, context).await {
        match failure {
            // A Job of an earlier session of the same name will be removed.
            Failure::Passing(error) if error.is_conflict() && begun.elapsed() < timeout => tokio::time::sleep(PAUSE).await,
            failure => return Err(told(name, failure)),
        }
    }
    wait(context, namespace, name, &hooks.owner.uid, timeout).await
}

fn told(name: &str, failure: Failure) -> HookError {
    match failure {
        Failure::Passing(error) => HookError::Failed(format!("the Job {name} cannot be made: {}", error.text())),
        Failure::Lasting(why) => HookError::Template(why),
    }
}

fn parts<'a>(
    hooks: &Hooks<'_>,
    plan: &'a FunctionPlan,
    function: &'a Function,
    access: &Access,
    timeout: Duration,
    context: &'a Context,
) -> JobParts<'a> {
    let summary = hooks.summary;
    let kind = if hooks.kind == "RestoreSession" { "restoreSession" } else { "backupSession" };
    let mut variables = executor::variables(&summary.namespace, &summary.invoker.name, &[(kind, summary.name.clone())], context);
    variables.insert("invokerKind".to_owned(), summary.invoker.kind.clone());
    JobParts {
        name: access.name.clone(),
        namespace: summary.namespace.clone(),
        labels: invoker_labels(hooks.kind, &summary.namespace, &summary.name, hooks.session, Some(labels::component::HOOK)),
        owner: hooks.owner.clone(),
        tasks: vec![Task { reference: &plan.task, definition: &plan.definition, function }],
        addon: &plan.addon,
        variables,
        service_account: access.account().to_owned(),
        image: &context.image,
        storages: Vec::new(),
        settings: plan.settings.as_ref(),
        environment: context.environment.clone(),
        deadline: Some(i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX).max(1)),
    }
}

/// Volumes of the hook, and labels and annotations of its Pod.
fn add_to_pod(planned: &mut PlannedJob, plan: &FunctionPlan) {
    let Some(JobSpec { template, .. }) = planned.job.spec.as_mut() else { return };
    let own = plan.settings.as_ref().and_then(|settings: &RuntimeSettings| settings.pod.as_ref());
    if let (Some(own), Some(metadata)) = (own, template.metadata.as_mut()) {
        let mut all = own.pod_labels.clone();
        all.extend(metadata.labels.take().unwrap_or_default());
        metadata.labels = Some(all);
        metadata.annotations.get_or_insert_default().extend(own.pod_annotations.clone());
    }
    if let Some(spec) = template.spec.as_mut() {
        let volumes = spec.volumes.get_or_insert_default();
        volumes.retain(|volume| !plan.volumes.iter().any(|own| own.name == volume.name));
        volumes.extend(plan.volumes.iter().cloned());
    }
}

async fn wait(context: &Context, namespace: &str, name: &str, owner: &str, timeout: Duration) -> Result<(), HookError> {
    let begun = Instant::now();
    loop {
        let state = job_state::observe(&context.client, namespace, name, Some(owner), context.now()).await;
        let waits_for = match state.map_err(|error| failed(&format!("the Job {name} cannot be read"), &error))? {
            JobState::Succeeded => return Ok(()),
            JobState::Failed { message } => return Err(HookError::Failed(message)),
            JobState::Absent => return Err(HookError::Failed(format!("the Job {name} was deleted"))),
            JobState::Running { waits_for, .. } => waits_for,
        };
        if begun.elapsed() >= timeout {
            let why = waits_for.map_or_else(String::new, |why| format!(": {why}"));
            return Err(HookError::Failed(format!("the Job {name} did not end within {}s{why}", timeout.as_secs())));
        }
        tokio::time::sleep(PAUSE.min(timeout.saturating_sub(begun.elapsed()))).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_jobs_differ_even_where_they_are_cut() {
        assert_eq!(job_name("bc-s-1", Stage::Before, 0, 1), "hook-bc-s-1-pre-0-1");
        let long = "x".repeat(63);
        assert_ne!(job_name(&long, Stage::Before, 0, 1), job_name(&long, Stage::After, 0, 1));
        assert!(job_name(&long, Stage::After, 10, 3).len() <= 63);
    }
}
