//! BackupSession: one run, from the first look to the closing condition.

mod decide;
pub mod executor;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod model;

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use k8s_openapi::{
    api::{batch::v1::Job, core::v1::ServiceAccount},
    apimachinery::pkg::apis::meta::v1::Time,
};
use kube::{
    Api, Client, ResourceExt as _,
    api::{ListParams, PostParams},
    runtime::controller::Action,
};
use kubestash::{
    api::{
        BackupConfiguration, BackupSession, BackupSessionPhase, BackupSessionStatus, Condition, DeletionPolicy, Repository,
        RetentionPolicyApplyStatus, RetentionPolicyPhase, Session, Snapshot, SnapshotPhase, SnapshotStatusInfo, conditions::reason, labels,
        set_condition,
    },
    repository::SnapshotId,
    session::{hooks::Summary, objects},
};

pub use self::decide::Stage;
use self::decide::{MADE_BY, Seen, Step, decide, is_earlier};
use super::{
    Error,
    context::Context,
    finalizer, hooks, job_state,
    outcome::{
        BACKUP_EXECUTOR, BACKUP_INCOMPLETE, CLEANUP_INCOMPLETE, HISTORY, LATE, POST_BACKUP_HOOKS, PRE_BACKUP_HOOKS, RETENTION_EXECUTOR, SKIPPED,
        SNAPSHOTS,
    },
    session,
};
use crate::{
    jobs::report,
    resources::{access, as_it_is, create_once, exists_already, is_missing, namespaced, outcome::one_line, owned_by, status::update_status},
};

fn retention_job(session: &BackupSession) -> String {
    kubestash::api::join_name("retentionpolicy", &session.name_any(), "")
}

/// Everything that is known of a run; nothing when it is gone. What does not depend on each other is asked for at the same time: a run has many steps, and a look before
/// each.
async fn observe(session: &BackupSession, context: &Context) -> Result<Option<Seen>, Error> {
    let client = &context.client;
    let namespace = session.namespace().unwrap_or_default();
    let (name, retention_job) = (session.name_any(), retention_job(session));
    let invoker = session.spec.invoker.as_ref().map(|invoker| invoker.name.clone()).unwrap_or_default();
    let configurations = namespaced::<BackupConfiguration>(client, &namespace);
    let (uid, now) = (session.metadata.uid.as_deref(), context.now());
    // The Jobs first: what they had to tell when they had ended is in the Snapshots that are read behind.
    let (configuration, job, retention) = futures::try_join!(
        configurations.get_opt(&invoker),
        job_state::observe(client, &namespace, &name, uid, now),
        job_state::observe(client, &namespace, &retention_job, uid, now),
    )?;
    let own = configuration.as_ref().and_then(|configuration| configuration.spec.session(&session.spec.session));
    let infos = own.map(|own| own.repositories.as_slice()).unwrap_or_default();
    let mut places: Vec<Place> = infos.iter().map(|info| (info.name.clone(), objects::snapshot_name(&info.name, &name))).collect();
    let sessions = namespaced::<BackupSession>(client, &namespace);
    // What the watch has shown may be older than the Jobs are.
    let (mut pairs, session, siblings) =
        futures::try_join!(pairs(&places, &namespace, client), as_it_is(&sessions, session), siblings(session, &namespace, context))?;
    let Some(session) = session else { return Ok(None) };
    // A session that was changed meanwhile does not name all that it has begun.
    let known = std::mem::take(&mut places);
    let listed = session.status.iter().flat_map(|status| &status.snapshots);
    places.extend(listed.map(|listed| (listed.repository.clone().unwrap_or_default(), listed.name.clone())));
    if own.is_none() && places.is_empty() {
        // Nor does the status, where an operator ended in the middle of making them.
        let all = namespaced::<Snapshot>(client, &namespace).list(&ListParams::default()).await?;
        let made = all.iter().filter(|snapshot| snapshot.spec.backup_session.as_ref() == Some(&name));
        places.extend(made.map(|snapshot| (snapshot.spec.repository.clone(), snapshot.name_any())));
    }
    places.retain(|place| !known.contains(place));
    pairs.extend(self::pairs(&places, &namespace, client).await?);
    let (mut repositories, mut snapshots, mut earlier) = (Vec::new(), Vec::new(), Vec::new());
    for (repository, snapshot) in pairs {
        // A Snapshot of a Repository that is gone goes with it.
        match snapshot.filter(|_| repository.is_some()) {
            Some(other) if is_earlier(&other, &session) => earlier.push(other.name_any()),
            own => snapshots.extend(own),
        }
        repositories.extend(repository);
    }
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
    Ok(Some(Seen { session, configuration, running, repositories, snapshots, earlier, job, retention, ended }))
}

/// Names of a Repository and of a Snapshot in it.
type Place = (String, String);

async fn pairs(places: &[Place], namespace: &str, client: &Client) -> kube::Result<Vec<(Option<Repository>, Option<Snapshot>)>> {
    let (repositories, snapshots) = (namespaced::<Repository>(client, namespace), namespaced::<Snapshot>(client, namespace));
    let each = places.iter().map(async |(repository, snapshot)| futures::try_join!(repositories.get_opt(repository), snapshots.get_opt(snapshot)));
    futures::future::try_join_all(each).await
}

/// Other runs of the same session.
async fn siblings(session: &BackupSession, namespace: &str, context: &Context) -> kube::Result<Vec<BackupSession>> {
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
        let Some(seen) = observe(&session, &context).await? else { return Ok(Action::await_change()) };
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
    let note = async |condition: Condition| session::note(api, &seen.session, condition, context).await;
    match step {
        Step::Nothing | Step::Wait(_) => {}
        Step::Skip(why) => {
            context.warning(&seen.session, reason::PRE_REQUISITES_NOT_SATISFIED, why.clone()).await;
            note(SKIPPED.condition(why)).await?;
        }
        Step::SetDeadline(time) => {
            edit(&|status| status.backup_deadline = Some(Time(time))).await?;
        }
        Step::RunHooks(stage) => run_hooks(seen, stage, api, context).await?,
        Step::EnsureSnapshots => {
            let condition = session::ensured(&seen.session, &SNAPSHOTS, ensure_snapshots(seen, context).await, context).await?;
            let total = i32::try_from(seen.repositories.len()).ok();
            edit(&|status| {
                status.total_snapshots = total;
                set_condition(&mut status.conditions, condition.clone(), now);
            })
            .await?;
        }
        Step::NoSnapshots(why) => {
            note(session::ensured(&seen.session, &SNAPSHOTS, Err(executor::Failure::Lasting(why)), context).await?).await?;
        }
        Step::Note(infos) => {
            edit(&|status| status.snapshots.clone_from(&infos)).await?;
        }
        Step::EnsureJob | Step::JobIsThere => {
            let ensured = if step == Step::EnsureJob { executor::ensure_backup(seen, context).await } else { Ok(()) };
            note(session::ensured(&seen.session, &BACKUP_EXECUTOR, ensured, context).await?).await?;
        }
        Step::Incomplete { snapshots, why, late } => {
            incomplete(&seen.session, &snapshots, &why, context).await?;
            if late {
                crate::resources::delete::<Job>(&namespaced(&context.client, &seen.session.namespace().unwrap_or_default()), &name).await?;
                note(LATE.condition(why)).await?;
            }
        }
        Step::Pending(why) => session::note_pending(api, &seen.session, why, context).await?,
        Step::EnsureRetention => {
            let ensured = executor::ensure_retention(seen, &retention_job(&seen.session), context).await;
            let condition = session::ensured(&seen.session, &RETENTION_EXECUTOR, ensured, context).await?;
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
            let condition = CLEANUP_INCOMPLETE.condition(why.clone());
            edit(&|status| {
                for open in status.retention_policy.iter_mut().filter(|applied| applied.phase == Some(RetentionPolicyPhase::Pending)) {
                    open.phase = Some(RetentionPolicyPhase::FailedToApply);
                    open.error = Some(why.clone());
                }
                set_condition(&mut status.conditions, condition.clone(), now);
            })
            .await?;
        }
        Step::CleanHistory(names) => {
            for old in &names {
                crate::resources::delete(api, old).await?;
            }
            note(HISTORY.condition(Ok(()))).await?;
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
        let (mut made, status) = objects::new_snapshot(&seen.session, repository, DeletionPolicy::Delete, id, now);
        made.metadata.annotations.get_or_insert_default().insert(MADE_BY.to_owned(), seen.session.uid().unwrap_or_default());
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
async fn incomplete(session: &BackupSession, snapshots: &[String], why: &str, context: &Context) -> Result<(), Error> {
    let now = context.now();
    let api = namespaced::<Snapshot>(&context.client, &session.namespace().unwrap_or_default());
    context.warning(session, reason::BACKUP_EXECUTOR_TERMINATED_BEFORE_COMPLETION, why.to_owned()).await;
    for name in snapshots {
        let condition = BACKUP_INCOMPLETE.condition(why);
        let done = update_status(&api, name, |snapshot: &mut Snapshot| {
            let ended = snapshot.status.as_ref().and_then(|status| status.phase).is_some_and(SnapshotPhase::is_completed);
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
    let (list, outcome) = match stage {
        Stage::Before => (hooks.map(|hooks| hooks.pre_backup.clone()), &PRE_BACKUP_HOOKS),
        Stage::After => (hooks.map(|hooks| hooks.post_backup.clone()), &POST_BACKUP_HOOKS),
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
    session::run_hooks(api, &seen.session, &hooks, outcome, context).await?;
    Ok(())
}

/// Closes the run, and tells how it ended.
async fn close(seen: &Seen, api: &Api<BackupSession>, context: &Context) -> Result<(), Error> {
    let closed = session::close(api, &seen.session, &[seen.session.name_any(), retention_job(&seen.session)], context).await?;
    let status = closed.status.clone().unwrap_or_default();
    match status.phase {
        Some(BackupSessionPhase::Succeeded) => {
            for (name, lacks) in status.snapshots.iter().filter_map(|snapshot| Some((&snapshot.name, snapshot.message.as_ref()?))) {
                context.warning(&closed, reason::SOME_KINDS_NOT_READ, format!("Snapshot {name}: {lacks}")).await;
            }
            context
                .normal(&closed, "BackupSucceeded", format!("{} Snapshots in {}.", status.snapshots.len(), status.duration.unwrap_or_default()))
                .await;
        }
        _ => context.warning(&closed, "BackupFailed", status.failure().unwrap_or_else(|| "no reason is known".to_owned())).await,
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

/// Everything but the Snapshots goes with a run; those that were not written yet will not be any more.
async fn delete(session: &BackupSession, api: &Api<BackupSession>, context: &Context) -> Result<Action, Error> {
    let namespace = session.namespace().unwrap_or_default();
    let ended = |listed: &&SnapshotStatusInfo| listed.phase.is_some_and(SnapshotPhase::is_completed);
    let listed = session.status.iter().flat_map(|status| &status.snapshots);
    let open: Vec<String> = listed.filter(|listed| !ended(listed)).map(|listed| listed.name.clone()).collect();
    if !open.is_empty() && finalizer::is_there(session) {
        incomplete(session, &open, "the BackupSession was deleted before its backup had ended", context).await?;
    }
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
