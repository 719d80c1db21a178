//! RestoreSession: which Snapshot is meant, the Job that restores it, and how that went.

mod decide;
#[cfg(test)]
mod model;

use std::{sync::Arc, time::Duration};

use k8s_openapi::{api::batch::v1::Job, apimachinery::pkg::apis::meta::v1::Time};
use kube::{Api, Client, ResourceExt as _, api::ListParams, runtime::controller::Action};
use kubestash::{
    api::{
        COMPONENT, Condition, DataSource, Repository, ResourceFoundStatus, RestorePhase, RestoreSession, RestoreSessionStatus, Snapshot, conditions,
        conditions::reason, labels, set_condition,
    },
    deploy::rbac::{CLUSTER_WRITER, RESTORE_JOB},
    session::{
        hooks::Summary,
        job::{JobParts, named_account},
        objects::invoker_labels,
    },
};

pub use self::decide::problem;
use self::decide::{Obstacle, Seen, Step, choose, chosen, decide, note_incomplete};
use super::{
    Error,
    backup_session::{
        Stage,
        executor::{self, Failure, check_account, create, needs, reach, resolve, seconds_left, storages_of, tasks},
    },
    context::Context,
    hooks, job_state,
    outcome::{POST_RESTORE_HOOKS, PRE_RESTORE_HOOKS, RESTORE_EXECUTOR, VALIDATION},
    session,
};
use crate::resources::{access::Access, as_it_is, namespaced, owned_by, status::update_status};

/// Everything that is known of a restore; nothing when it is gone.
async fn observe(session: &RestoreSession, context: &Context) -> Result<Option<Seen>, Error> {
    let client = &context.client;
    let namespace = session.namespace().unwrap_or_default();
    let job = job_state::observe(client, &namespace, &session.name_any(), session.metadata.uid.as_deref(), context.now()).await?;
    let Some(session) = as_it_is(&namespaced::<RestoreSession>(client, &namespace), session).await? else { return Ok(None) };
    let data = session.spec.data_source.clone().unwrap_or_default();
    let place = data.namespace_or(&namespace).to_owned();
    let snapshots = namespaced::<Snapshot>(client, &place);
    let snapshot = match chosen(&session) {
        Some(name) => snapshots.get_opt(&name).await?.ok_or_else(|| Obstacle::NotThere(format!("Snapshot {place}/{name} was deleted"))),
        None => {
            let mut wanted = ListParams::default();
            if let Some(repository) = data.repository.as_deref().filter(|name| !name.is_empty()) {
                wanted = wanted.labels(&format!("{}={repository}", labels::REPO_NAME));
            }
            let all = snapshots.list(&wanted).await?.items;
            match choose(&data, &all).cloned() {
                Err(Obstacle::NotThere(_)) if is_unknown(&data, &place, client).await? => Err(Obstacle::NotThere(format!(
                    "Repository {place}/{} does not exist; `kubectl get repositories -A` lists what is there, and dataSource.namespace names another namespace",
                    data.repository.unwrap_or_default()
                ))),
                found => found,
            }
        }
    };
    Ok(Some(Seen { session, snapshot, job }))
}

/// Whether a data source names a Repository that is not there.
async fn is_unknown(data: &DataSource, place: &str, client: &Client) -> kube::Result<bool> {
    let Some(name) = data.repository.as_deref().filter(|name| !name.is_empty()) else { return Ok(false) };
    Ok(namespaced::<Repository>(client, place).get_opt(name).await?.is_none())
}

/// Brings one restore a step further.
///
/// # Errors
/// The API server's; it is tried again.
pub async fn reconcile(session: Arc<RestoreSession>, context: Arc<Context>) -> Result<Action, Error> {
    let namespace = session.namespace().unwrap_or_default();
    let api = namespaced::<RestoreSession>(&context.client, &namespace);
    if session.metadata.deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    for _ in 0..20 {
        let Some(seen) = observe(&session, &context).await? else { return Ok(Action::await_change()) };
        let step = decide(&seen, context.now());
        tracing::debug!("RestoreSession {namespace}/{}: {step:?}", session.name_any());
        match step {
            Step::Nothing => return Ok(Action::await_change()),
            Step::Wait(time) => return Ok(Action::requeue(Duration::try_from(time).unwrap_or_default().max(Duration::from_millis(200)))),
            step @ Step::Missing(_) => {
                apply(&seen, step, &api, &context).await?;
                return Ok(Action::requeue(Duration::from_secs(labels::REQUEUE_SECONDS)));
            }
            step => apply(&seen, step, &api, &context).await?,
        }
    }
    Ok(Action::requeue(Duration::from_secs(1)))
}

async fn apply(seen: &Seen, step: Step, api: &Api<RestoreSession>, context: &Context) -> Result<(), Error> {
    let name = seen.session.name_any();
    let namespace = seen.session.namespace().unwrap_or_default();
    let now = context.now();
    let edit = async |change: &(dyn Fn(&mut RestoreSessionStatus) + Sync)| {
        update_status(api, &name, |session: &mut RestoreSession| {
            let status = session.status.get_or_insert_default();
            change(status);
            status.phase = Some(status.compute_phase());
        })
        .await
    };
    let note = async |condition: Condition| session::note(api, &seen.session, condition, context).await;
    match step {
        Step::Nothing | Step::Wait(_) => {}
        Step::Missing(why) => {
            context.warning(&seen.session, reason::SNAPSHOT_NOT_FOUND, why.clone()).await;
            note(Condition::new(conditions::SNAPSHOT_FOUND, false, reason::SNAPSHOT_NOT_FOUND, why)).await?;
        }
        Step::Pending(why) => session::note_pending(api, &seen.session, why, context).await?,
        Step::Invalid(why) => {
            note(session::ensured(&seen.session, &VALIDATION, Err(Failure::Lasting(why)), context).await?).await?;
        }
        Step::Valid => {
            let snapshot = seen.snapshot.as_ref().ok();
            let dependency = |group: &str, kind: &str, name: String, namespace: Option<String>| ResourceFoundStatus {
                api_group: Some(group.to_owned()),
                kind: Some(kind.to_owned()),
                namespace,
                name,
                found: Some(true),
            };
            let addon = seen.session.spec.addon.as_ref().map(|addon| dependency(labels::ADDONS_GROUP, "Addon", addon.name.clone(), None));
            let snapshot = snapshot.map(|snapshot| dependency(labels::STORAGE_GROUP, "Snapshot", snapshot.name_any(), snapshot.namespace()));
            let all: Vec<ResourceFoundStatus> = snapshot.into_iter().chain(addon).collect();
            let passed = VALIDATION.condition(Ok(()));
            edit(&|status| {
                status.target_found = Some(true);
                status.total_components = Some(1);
                status.dependencies.clone_from(&all);
                status.conditions.retain(|condition| condition.type_ != conditions::SNAPSHOT_FOUND);
                set_condition(&mut status.conditions, passed.clone(), now);
            })
            .await?;
        }
        Step::SetDeadline(time) => {
            edit(&|status| status.restore_deadline = Some(Time(time))).await?;
        }
        Step::RunHooks(stage) => run_hooks(seen, stage, api, context).await?,
        Step::EnsureJob | Step::JobIsThere => {
            let ensured = if step == Step::EnsureJob { ensure_job(seen, context).await } else { Ok(()) };
            note(session::ensured(&seen.session, &RESTORE_EXECUTOR, ensured, context).await?).await?;
        }
        Step::Incomplete { why, late } => {
            context.warning(&seen.session, reason::RESTORE_EXECUTOR_TERMINATED_BEFORE_COMPLETION, why.clone()).await;
            if late {
                crate::resources::delete::<Job>(&namespaced(&context.client, &namespace), &name).await?;
            }
            edit(&|status| note_incomplete(status, &why, late, now)).await?;
        }
        Step::Close => close(seen, api, context).await?,
    }
    Ok(())
}

async fn ensure_job(seen: &Seen, context: &Context) -> Result<(), Failure> {
    let run = &seen.session;
    let namespace = run.namespace().unwrap_or_default();
    let snapshot = match &seen.snapshot {
        Ok(snapshot) => snapshot,
        Err(Obstacle::Invalid(why) | Obstacle::NotThere(why)) => return Err(Failure::Lasting(why.clone())),
    };
    let info = run.spec.addon.as_ref().ok_or_else(|| Failure::Lasting("spec.addon is missing".to_owned()))?;
    let place = snapshot.namespace().unwrap_or_default();
    let repository = namespaced::<Repository>(&context.client, &place).get_opt(&snapshot.spec.repository).await?;
    let mut repository = repository.ok_or_else(|| Failure::Lasting(format!("Repository {place}/{} does not exist", snapshot.spec.repository)))?;
    if let Some(secret) = run.spec.data_source.as_ref().and_then(|data| data.encryption_secret.as_ref()) {
        repository.spec.encryption_secret = Some(secret.resolved(&namespace));
    }
    let repositories = [repository];
    let resolved = resolve(info, true, context).await?;
    let storages = storages_of(&repositories, context).await?;
    check_account(named_account(info), &namespace, context).await?;
    let mut access = Access {
        name: run.name_any(),
        namespace: namespace.clone(),
        account: named_account(info).map(str::to_owned),
        owner: Some(owned_by(run)),
        ..Access::default()
    };
    needs(&mut access, RESTORE_JOB, &repositories, &storages, context).await?;
    if access.account.is_none() {
        let missing = reach(&mut access, CLUSTER_WRITER, info, context).await?;
        if let Some(name) = missing.first() {
            let hint = "create it, or name a ServiceAccount that may in addon.jobTemplate.spec.serviceAccountName";
            return Err(Failure::Lasting(format!("namespace {name}, into which objects are to be restored, does not exist; {hint}")));
        }
    }
    access.grant(&context.client).await?;
    let more = [("restoreSession", run.name_any()), ("snapshot", snapshot.name_any())];
    let parts = JobParts {
        name: run.name_any(),
        namespace: namespace.clone(),
        labels: invoker_labels("RestoreSession", &namespace, &run.name_any(), "", Some(labels::component::RESTORE)),
        owner: owned_by(run),
        tasks: tasks(info, &resolved, true),
        addon: info,
        variables: executor::variables(&namespace, &run.name_any(), &more, context),
        service_account: access.account().to_owned(),
        image: &context.image,
        storages: storages.iter().collect(),
        settings: None,
        environment: context.environment.clone(),
        deadline: Some(seconds_left(run.status.as_ref().and_then(|status| status.restore_deadline.as_ref()).map(|time| time.0), context.now())),
    };
    create(&parts, context).await
}

async fn run_hooks(seen: &Seen, stage: Stage, api: &Api<RestoreSession>, context: &Context) -> Result<(), Error> {
    let now = context.now();
    let hooks = seen.session.spec.hooks.as_ref();
    let (list, outcome) = match stage {
        Stage::Before => (hooks.map(|hooks| hooks.pre_restore.clone()), &PRE_RESTORE_HOOKS),
        Stage::After => (hooks.map(|hooks| hooks.post_restore.clone()), &POST_RESTORE_HOOKS),
    };
    let status = seen.session.status.clone().unwrap_or_default();
    let ended = stage == Stage::After;
    let summary = Summary::of_restore(&seen.session, &status, ended, now);
    let known = status.hooks.clone().unwrap_or_default();
    let hooks = hooks::Hooks {
        list: &list.unwrap_or_default(),
        stage,
        summary: &summary,
        kind: "RestoreSession",
        session: "",
        owner: owned_by(&seen.session),
        known: if ended { &known.post_hooks } else { &known.pre_hooks },
        deadline: status.restore_deadline.as_ref().map(|time| time.0),
    };
    session::run_hooks(api, &seen.session, &hooks, outcome, context).await?;
    Ok(())
}

/// Closes the restore, and tells how it ended.
async fn close(seen: &Seen, api: &Api<RestoreSession>, context: &Context) -> Result<(), Error> {
    let closed = session::close(api, &seen.session, &[seen.session.name_any()], context).await?;
    let status = closed.status.clone().unwrap_or_default();
    match status.phase {
        Some(RestorePhase::Succeeded) => {
            let counts = status.components.get(COMPONENT).and_then(|own| own.counts).unwrap_or_default();
            let note = format!(
                "{} objects created, {} updated, {} skipped.",
                counts.created.unwrap_or(0),
                counts.updated.unwrap_or(0),
                counts.skipped.unwrap_or(0)
            );
            context.normal(&closed, "RestoreSucceeded", note).await;
        }
        _ => context.warning(&closed, "RestoreFailed", status.failure().unwrap_or_else(|| "no reason is known".to_owned())).await,
    }
    Ok(())
}
