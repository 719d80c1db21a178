//! BackupSession: one run, from the first look to the closing condition.

mod decide;
pub mod executor;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod model;

use std::{sync::Arc, time::Duration};

use futures::FutureExt as _;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::{
    api::{batch::v1::Job, core::v1::ServiceAccount},
    apimachinery::pkg::apis::meta::v1::Time,
};
use kube::{
    Api, ResourceExt as _,
    api::{ListParams, PostParams},
    runtime::controller::Action,
};
use kubestash::{
    api::{
        BackupConfiguration, BackupSession, BackupSessionPhase, BackupSessionStatus, Condition, DeletionPolicy, HookExecutionStatus, Repository,
        RetentionPolicyApplyStatus, RetentionPolicyPhase, Session, Snapshot, conditions, conditions::reason, go_duration, labels, set_condition,
    },
    repository::SnapshotId,
    session::{hooks::Summary, objects},
};

pub use self::decide::Stage;
use self::decide::{Seen, Step, decide};
use super::{Error, context::Context, finalizer, hooks, job_state};
use crate::{
    jobs::report,
    resources::{
        access, create_once, exists_already, is_missing, namespaced,
        outcome::{backup_failure, one_line},
        owned_by,
        status::update_status,
    },
};

fn retention_job(session: &BackupSession) -> String {
    kubestash::api::join_name("retentionpolicy", &session.name_any(), "")
}

async fn observe(session: &BackupSession, context: &Context) -> Result<Seen, Error> {
    let client = &context.client;
    let namespace = session.namespace().unwrap_or_default();
    let invoker = session.spec.invoker.as_ref().map(|invoker| invoker.name.clone()).unwrap_or_default();
    let configuration = namespaced::<BackupConfiguration>(client, &namespace).get_opt(&invoker).await?;
    let own = configuration.as_ref().and_then(|configuration| configuration.spec.session(&session.spec.session));
    let mut repositories = Vec::new();
    for info in own.map(|own| own.repositories.as_slice()).unwrap_or_default() {
        repositories.extend(namespaced::<Repository>(client, &namespace).get_opt(&info.name).await?);
    }
    // The Jobs first: what they had to tell when they had ended is in the Snapshots that are read behind.
    let now = context.now();
    let job = job_state::observe(client, &namespace, &session.name_any(), now).await?;
    let retention = job_state::observe(client, &namespace, &retention_job(session), now).await?;
    // What the watch has shown may be older than the Jobs are.
    let session = namespaced::<BackupSession>(client, &namespace).get(&session.name_any()).await?;
    let mut snapshots = Vec::new();
    for repository in &repositories {
        let name = objects::snapshot_name(&repository.name_any(), &session.name_any());
        snapshots.extend(namespaced::<Snapshot>(client, &namespace).get_opt(&name).await?);
    }
    let siblings = siblings(&session, &namespace, context).await?;
    let phase = |other: &BackupSession| other.status.as_ref().and_then(|status| status.phase);
    let older = |other: &BackupSession| (other.creation_timestamp(), other.name_any()) < (session.creation_timestamp(), session.name_any());
    let running = siblings.iter().find(|other| match phase(other) {
        Some(phase) if phase.is_completed() => false,
        Some(BackupSessionPhase::Running) => true,
        _ => older(other),
    });
    let running = running.map(|other| other.name_any());
    let mut ended: Vec<&BackupSession> = siblings.iter().filter(|other| phase(other).is_some_and(BackupSessionPhase::is_completed)).collect();
    ended.sort_by_key(|other| std::cmp::Reverse((other.creation_timestamp(), other.name_any())));
    let ended = ended.into_iter().map(|other| other.name_any()).collect();
    Ok(Seen { session, configuration, running, repositories, snapshots, job, retention, ended })
}

/// Other runs of the same session.
async fn siblings(session: &BackupSession, namespace: &str, context: &Context) -> Result<Vec<BackupSession>, Error> {
    let invoker = session.spec.invoker.as_ref().map(|invoker| invoker.name.as_str());
    let mut all = namespaced::<BackupSession>(&context.client, namespace).list(&ListParams::default()).await?.items;
    all.retain(|other| {
        other.name_any() != session.name_any()
            && other.spec.session == session.spec.session
            && other.spec.invoker.as_ref().map(|invoker| invoker.name.as_str()) == invoker
            && other.metadata.deletion_timestamp.is_none()
    });
    Ok(all)
}

/// Brings one run a step further.
///
/// # Errors
/// The API server's; it is tried again.
pub async fn reconcile(session: Arc<BackupSession>, context: Arc<Context>) -> Result<Action, Error> {
    let namespace = session.namespace().unwrap_or_default();
    let api = namespaced::<BackupSession>(&context.client, &namespace);
    if session.metadata.deletion_timestamp.is_some() {
        return delete(&session, &api, &context).await;
    }
    if !finalizer::is_there(&*session) {
        finalizer::add(&api, &*session).await?;
    }
    // One step after the other as long as there are any; the watch would call for each of them, too, but later.
    for _ in 0..20 {
        let seen = observe(&session, &context).await?;
        let step = decide(&seen, context.now());
        tracing::debug!("BackupSession {namespace}/{}: {step:?}", session.name_any());
        match step {
            Step::Nothing => return Ok(Action::await_change()),
            Step::Wait(time) => {
                let time = Duration::try_from(time).unwrap_or_default();
                return Ok(Action::requeue(time.max(Duration::from_millis(200))));
            }
            step => apply(&seen, step, &api, &context).await?,
        }
    }
    Ok(Action::requeue(Duration::from_secs(1)))
}

async fn apply(seen: &Seen, step: Step, api: &Api<BackupSession>, context: &Context) -> Result<(), Error> {
    let name = seen.session.name_any();
    let now = context.now();
    let edit = async |change: &(dyn Fn(&mut BackupSessionStatus) + Sync)| {
        update_status(api, &name, |session: &mut BackupSession| {
            let status = session.status.get_or_insert_default();
            change(status);
            status.phase = Some(status.compute_phase());
        })
        .await
    };
    let note = async |condition: Condition| {
        edit(&|status| {
            set_condition(&mut status.conditions, condition.clone(), now);
        })
        .await
    };
    match step {
        Step::Nothing | Step::Wait(_) => {}
        Step::Skip(why) => {
            context.warning(&seen.session, reason::PRE_REQUISITES_NOT_SATISFIED, why.clone()).await;
            note(Condition::new(conditions::BACKUP_SKIPPED, true, reason::PRE_REQUISITES_NOT_SATISFIED, why)).await?;
        }
        Step::SetDeadline(time) => {
            edit(&|status| status.backup_deadline = Some(Time(time))).await?;
        }
        Step::RunHooks(stage) => run_hooks(seen, stage, api, context).await?,
        Step::EnsureSnapshots => {
            let condition = match ensure_snapshots(seen, context).await {
                Ok(()) => Condition::new(
                    conditions::SNAPSHOTS_ENSURED,
                    true,
                    reason::SUCCESSFULLY_ENSURED_SNAPSHOTS,
                    "Snapshots have been ensured successfully.",
                ),
                Err(executor::Failure::Passing(error)) => return Err(error),
                Err(executor::Failure::Lasting(why)) => {
                    context.warning(&seen.session, reason::FAILED_TO_ENSURE_SNAPSHOTS, why.clone()).await;
                    Condition::new(conditions::SNAPSHOTS_ENSURED, false, reason::FAILED_TO_ENSURE_SNAPSHOTS, why)
                }
            };
            let total = i32::try_from(seen.repositories.len()).ok();
            edit(&|status| {
                status.total_snapshots = total;
                set_condition(&mut status.conditions, condition.clone(), now);
            })
            .await?;
        }
        Step::NoSnapshots(why) => {
            context.warning(&seen.session, reason::FAILED_TO_ENSURE_SNAPSHOTS, why.clone()).await;
            note(Condition::new(conditions::SNAPSHOTS_ENSURED, false, reason::FAILED_TO_ENSURE_SNAPSHOTS, why)).await?;
        }
        Step::Note(infos) => {
            edit(&|status| status.snapshots.clone_from(&infos)).await?;
        }
        Step::EnsureJob => {
            let condition = match executor::ensure_backup(seen, context).await {
                Ok(()) => Condition::new(
                    conditions::BACKUP_EXECUTOR_ENSURED,
                    true,
                    reason::SUCCESSFULLY_ENSURED_BACKUP_EXECUTOR,
                    "Backup Executor has been ensured successfully.",
                ),
                Err(executor::Failure::Passing(error)) => return Err(error),
                Err(executor::Failure::Lasting(why)) => {
                    context.warning(&seen.session, reason::FAILED_TO_ENSURE_BACKUP_EXECUTOR, why.clone()).await;
                    Condition::new(conditions::BACKUP_EXECUTOR_ENSURED, false, reason::FAILED_TO_ENSURE_BACKUP_EXECUTOR, why)
                }
            };
            note(condition).await?;
        }
        Step::Incomplete { snapshots, why, late } => {
            incomplete(seen, &snapshots, &why, context).await?;
            if late {
                crate::resources::delete::<Job>(&namespaced(&context.client, &seen.session.namespace().unwrap_or_default()), &name).await?;
                note(Condition::new(conditions::DEADLINE_EXCEEDED, true, reason::TIMEOUT_REACHED, why)).await?;
            }
        }
        Step::Pending(why) => {
            let type_ = conditions::POD_HAS_BEEN_IN_PENDING_STATE_FOR_LONGER_THAN_EXPECTED;
            let reason = reason::POD_HAS_BEEN_IN_PENDING_STATE_FOR_LONGER_THAN_EXPECTED;
            match why {
                Some(why) => {
                    context.warning(&seen.session, "PodPending", why.clone()).await;
                    note(Condition::new(type_, true, reason, why)).await?;
                }
                // A condition that is False would look like a failure to who goes through them.
                None => {
                    edit(&|status| status.conditions.retain(|condition| condition.type_ != type_)).await?;
                }
            }
        }
        Step::EnsureRetention => {
            let condition = match executor::ensure_retention(seen, &retention_job(&seen.session), context).await {
                Ok(()) => Condition::new(
                    conditions::RETENTION_POLICY_EXECUTOR_ENSURED,
                    true,
                    reason::SUCCESSFULLY_ENSURED_RETENTION_POLICY_EXECUTOR,
                    "Retention Policy Executor has been ensured successfully.",
                ),
                Err(executor::Failure::Passing(error)) => return Err(error),
                Err(executor::Failure::Lasting(why)) => {
                    Condition::new(conditions::RETENTION_POLICY_EXECUTOR_ENSURED, false, reason::FAILED_TO_ENSURE_RETENTION_POLICY_EXECUTOR, why)
                }
            };
            let pending = pending_policies(seen);
            edit(&|status| {
                if condition.is_true() && status.retention_policy.is_empty() {
                    status.retention_policy.clone_from(&pending);
                }
                set_condition(&mut status.conditions, condition.clone(), now);
            })
            .await?;
        }
        Step::RetentionIncomplete(why) => {
            let type_ = conditions::SNAPSHOT_CLEANUP_INCOMPLETE;
            note(Condition::new(type_, true, reason::SNAPSHOT_CLEANUP_TERMINATED_BEFORE_COMPLETION, why)).await?;
        }
        Step::CleanHistory(names) => {
            for old in &names {
                crate::resources::delete(api, old).await?;
            }
            note(Condition::new(conditions::SESSION_HISTORY_CLEANED, true, reason::SUCCESSFULLY_CLEANED_SESSION_HISTORY, "")).await?;
        }
        Step::Close => {
            close(seen, api, context).await?;
        }
        Step::PlanRetry(time) => {
            edit(&|status| status.next_retry = Some(Time(time))).await?;
            context.normal(&seen.session, "RetryPlanned", format!("The session is tried again at {time}.")).await;
        }
        Step::Retry => retry(seen, api, context).await?,
    }
    Ok(())
}

/// Makes the Snapshots that are not there, each with the status that it begins with.
async fn ensure_snapshots(seen: &Seen, context: &Context) -> Result<(), executor::Failure> {
    let now = context.now();
    let namespace = seen.session.namespace().unwrap_or_default();
    let api = namespaced::<Snapshot>(&context.client, &namespace);
    for repository in &seen.repositories {
        let id = SnapshotId::new(now).map_err(|error| executor::Failure::Passing(Error::Machine(error.to_string())))?;
        let (made, status) = objects::new_snapshot(&seen.session, repository, DeletionPolicy::Delete, id, now);
        create_once(&api, &made).await.map_err(|error| executor::Failure::of("Snapshot", error))?;
        update_status(&api, &made.name_any(), |snapshot: &mut Snapshot| {
            // One that was made by an operator that died before it could say more.
            if snapshot.status.is_none() {
                let mut status = status.clone();
                status.phase = Some(status.compute_phase());
                snapshot.status = Some(status);
            }
        })
        .await?;
    }
    Ok(())
}

/// `BackupIncomplete` on Snapshots whose Job cannot tell any more how they ended.
async fn incomplete(seen: &Seen, snapshots: &[String], why: &str, context: &Context) -> Result<(), Error> {
    let now = context.now();
    let api = namespaced::<Snapshot>(&context.client, &seen.session.namespace().unwrap_or_default());
    context.warning(&seen.session, reason::BACKUP_EXECUTOR_TERMINATED_BEFORE_COMPLETION, why.to_owned()).await;
    for name in snapshots {
        let condition = Condition::new(conditions::BACKUP_INCOMPLETE, true, reason::BACKUP_EXECUTOR_TERMINATED_BEFORE_COMPLETION, why.to_owned());
        let done = update_status(&api, name, |snapshot: &mut Snapshot| {
            let ended = snapshot.status.as_ref().and_then(|status| status.phase).is_some_and(kubestash::api::SnapshotPhase::is_completed);
            if !ended {
                let began = snapshot.status.as_ref().and_then(|status| status.snapshot_time.clone());
                let elapsed = began.map_or(0, |time| u64::try_from(now.duration_since(time.0).as_millis()).unwrap_or(0));
                report::note(snapshot, report::failed(why, elapsed), [condition.clone()], now);
            }
        });
        match done.await {
            Err(error) if !is_missing(&error) => return Err(error.into()),
            _ => {}
        }
    }
    Ok(())
}

/// The policies that the retention Job will report about.
fn pending_policies(seen: &Seen) -> Vec<RetentionPolicyApplyStatus> {
    let Some((configuration, session)) = seen.configuration.as_ref().zip(seen.own()) else { return Vec::new() };
    let one = |info: &kubestash::api::RepositoryInfo| {
        let policy = configuration.retention_policy_of(info.backend.as_deref())?;
        Some(RetentionPolicyApplyStatus {
            ref_: Some(policy),
            repository: Some(info.name.clone()),
            phase: Some(RetentionPolicyPhase::Pending),
            error: None,
        })
    };
    session.repositories.iter().filter_map(one).collect()
}

async fn run_hooks(seen: &Seen, stage: Stage, api: &Api<BackupSession>, context: &Context) -> Result<(), Error> {
    let now = context.now();
    let hooks = seen.own().and_then(|session: &Session| session.hooks.as_ref());
    let (list, type_, good, bad) = match stage {
        Stage::Before => (
            hooks.map(|hooks| hooks.pre_backup.clone()),
            conditions::PRE_BACKUP_HOOKS_EXECUTION_SUCCEEDED,
            reason::SUCCESSFULLY_EXECUTED_PRE_BACKUP_HOOKS,
            reason::FAILED_TO_EXECUTE_PRE_BACKUP_HOOKS,
        ),
        Stage::After => (
            hooks.map(|hooks| hooks.post_backup.clone()),
            conditions::POST_BACKUP_HOOKS_EXECUTION_SUCCEEDED,
            reason::SUCCESSFULLY_EXECUTED_POST_BACKUP_HOOKS,
            reason::FAILED_TO_EXECUTE_POST_BACKUP_HOOKS,
        ),
    };
    let status = seen.session.status.clone().unwrap_or_default();
    let ended = stage == Stage::After;
    let summary = Summary::of_backup(&seen.session, &status, seen.configuration.as_ref(), ended, now);
    let known = status.hooks.clone().unwrap_or_default();
    let hooks = hooks::Hooks {
        list: &list.unwrap_or_default(),
        stage,
        summary: &summary,
        kind: "BackupSession",
        session: &seen.session.spec.session,
        owner: owned_by(&seen.session),
        known: if ended { &known.post_hooks } else { &known.pre_hooks },
        deadline: status.backup_deadline.as_ref().map(|time| time.0),
    };
    let note = |results: Vec<HookExecutionStatus>| {
        let noted = async move {
            if let Err(error) = note_hooks(api, &seen.session.name_any(), stage, &results, None).await {
                tracing::warn!("what hooks have done cannot be noted: {error}");
            }
        };
        noted.boxed()
    };
    let (results, failure) = hooks::run(&hooks, context, &note).await;
    let now = context.now();
    let condition = match failure {
        None => Condition::new(type_, true, good, "Hooks have been executed successfully."),
        Some(why) => {
            context.warning(&seen.session, bad, why.clone()).await;
            Condition::new(type_, false, bad, why)
        }
    };
    note_hooks(api, &seen.session.name_any(), stage, &results, Some((condition, now))).await?;
    Ok(())
}

/// What became of the hooks of a stage until now; in the end with the condition that closes the stage.
async fn note_hooks(
    api: &Api<BackupSession>,
    name: &str,
    stage: Stage,
    results: &[HookExecutionStatus],
    end: Option<(Condition, Timestamp)>,
) -> kube::Result<()> {
    update_status(api, name, |session: &mut BackupSession| {
        let status = session.status.get_or_insert_default();
        let own = status.hooks.get_or_insert_default();
        match stage {
            Stage::Before => own.pre_hooks = results.to_vec(),
            Stage::After => own.post_hooks = results.to_vec(),
        }
        if let Some((condition, now)) = &end {
            set_condition(&mut status.conditions, condition.clone(), *now);
            status.phase = Some(status.compute_phase());
        }
    })
    .await?;
    Ok(())
}

/// The closing condition; rights that only the Jobs needed are taken back.
async fn close(seen: &Seen, api: &Api<BackupSession>, context: &Context) -> Result<(), Error> {
    let namespace = seen.session.namespace().unwrap_or_default();
    for job in [seen.session.name_any(), retention_job(&seen.session)] {
        access::revoke(&context.client, &job, &namespace).await?;
    }
    let now = context.now();
    let elapsed = seen.session.creation_timestamp().map_or(SignedDuration::ZERO, |time| now.duration_since(time.0));
    let closed = update_status(api, &seen.session.name_any(), |session: &mut BackupSession| {
        let status = session.status.get_or_insert_default();
        let condition =
            Condition::new(conditions::METRICS_PUSHED, true, reason::SUCCESSFULLY_PUSHED_METRICS, "Metrics have been pushed successfully.");
        set_condition(&mut status.conditions, condition, now);
        status.duration = Some(go_duration(u64::try_from(elapsed.as_millis()).unwrap_or(0) / 1000 * 1000));
        status.phase = Some(status.compute_phase());
    })
    .await?;
    let status = closed.status.clone().unwrap_or_default();
    match status.phase {
        Some(BackupSessionPhase::Succeeded) => {
            context
                .normal(&closed, "BackupSucceeded", format!("{} Snapshots in {}.", status.snapshots.len(), status.duration.unwrap_or_default()))
                .await;
        }
        _ => context.warning(&closed, "BackupFailed", backup_failure(&status, &seen.snapshots)).await,
    }
    Ok(())
}

async fn retry(seen: &Seen, api: &Api<BackupSession>, context: &Context) -> Result<(), Error> {
    if let Some((configuration, session)) = seen.configuration.as_ref().zip(seen.own()) {
        // Of the planned moment, so that an operator that dies in between makes the same one again.
        let moment: Timestamp =
            seen.session.status.as_ref().and_then(|status| status.next_retry.clone()).map_or_else(|| context.now(), |time| time.0);
        let left = seen.session.spec.retry_left.unwrap_or(1) - 1;
        let made = objects::new_backup_session(configuration, session, left, moment);
        match api.create(&PostParams::default(), &made).await {
            Err(error) if !exists_already(&error) => return Err(error.into()),
            _ => {}
        }
    }
    update_status(api, &seen.session.name_any(), |session: &mut BackupSession| session.status.get_or_insert_default().retried = Some(true)).await?;
    Ok(())
}

/// Everything but the Snapshots goes with a run.
async fn delete(session: &BackupSession, api: &Api<BackupSession>, context: &Context) -> Result<Action, Error> {
    let namespace = session.namespace().unwrap_or_default();
    for job in [session.name_any(), retention_job(session)] {
        crate::resources::delete::<Job>(&namespaced(&context.client, &namespace), &job).await?;
        access::revoke(&context.client, &job, &namespace).await?;
        let accounts = namespaced::<ServiceAccount>(&context.client, &namespace);
        // Only one of our own making: it carries our label.
        if accounts.get_opt(&job).await?.is_some_and(|account| account.labels().contains_key(labels::MANAGED_BY)) {
            crate::resources::delete(&accounts, &job).await?;
        }
    }
    finalizer::remove(api, &session.name_any()).await?;
    Ok(Action::await_change())
}

/// Why the work of a Job could not be begun, in one line.
fn line(error: impl Into<anyhow::Error>) -> String {
    one_line(&error.into())
}
