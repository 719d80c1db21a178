//! What the reconcilers of BackupSession and RestoreSession do alike: note conditions, tell of a Pod that waits, run hooks, close.

use futures::FutureExt as _;
use jiff::{SignedDuration, Timestamp};
use kube::{Api, Resource, ResourceExt as _};
use kubestash::api::{BackupSession, Condition, HookExecutionStatus, HookStatus, RestoreSession, go_duration, remove_condition, set_condition};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    Error,
    backup_session::{Stage, executor::Failure},
    context::Context,
    hooks::{self, Hooks},
    outcome::{METRICS, Outcome, PENDING},
};
use crate::resources::{access, status::update_status};

/// A session, as far as both kinds are alike.
pub trait Session: Resource<DynamicType = ()> + Clone + Serialize + DeserializeOwned + std::fmt::Debug + PartialEq + Send + Sync {
    /// The conditions of its status.
    fn conditions(&mut self) -> &mut Vec<Condition>;
    /// What became of its hooks.
    fn hooks(&mut self) -> &mut HookStatus;
    /// How long it took.
    fn set_duration(&mut self, duration: String);
    /// Computes its phase anew.
    fn settle(&mut self);
}

impl Session for BackupSession {
    fn conditions(&mut self) -> &mut Vec<Condition> {
        &mut self.status.get_or_insert_default().conditions
    }

    fn hooks(&mut self) -> &mut HookStatus {
        self.status.get_or_insert_default().hooks.get_or_insert_default()
    }

    fn set_duration(&mut self, duration: String) {
        self.status.get_or_insert_default().duration = Some(duration);
    }

    fn settle(&mut self) {
        let status = self.status.get_or_insert_default();
        status.phase = Some(status.compute_phase());
    }
}

impl Session for RestoreSession {
    fn conditions(&mut self) -> &mut Vec<Condition> {
        &mut self.status.get_or_insert_default().conditions
    }

    fn hooks(&mut self) -> &mut HookStatus {
        self.status.get_or_insert_default().hooks.get_or_insert_default()
    }

    fn set_duration(&mut self, duration: String) {
        self.status.get_or_insert_default().duration = Some(duration);
    }

    fn settle(&mut self) {
        let status = self.status.get_or_insert_default();
        status.phase = Some(status.compute_phase());
    }
}

/// Notes a condition, and computes the phase anew.
///
/// # Errors
/// The API server's.
pub async fn note<S: Session>(api: &Api<S>, session: &S, condition: Condition, context: &Context) -> kube::Result<()> {
    let now = context.now();
    update_status(api, &session.name_any(), |session: &mut S| {
        set_condition(session.conditions(), condition.clone(), now);
        session.settle();
    })
    .await?;
    Ok(())
}

/// The condition of a step that makes something; of a failure that will last, an Event tells, too.
///
/// # Errors
/// What will pass: the step is tried again.
pub async fn ensured<S: Session>(session: &S, outcome: &Outcome, done: Result<(), Failure>, context: &Context) -> Result<Condition, Error> {
    match done {
        Ok(()) => Ok(outcome.condition(Ok(()))),
        Err(Failure::Passing(error)) => Err(error),
        Err(Failure::Lasting(why)) => {
            context.warning(session, outcome.failed, why.clone()).await;
            Ok(outcome.condition(Err(why)))
        }
    }
}

/// Notes what the Job's Pod waits for, or that it does not any more.
///
/// # Errors
/// The API server's.
pub async fn note_pending<S: Session>(api: &Api<S>, session: &S, why: Option<String>, context: &Context) -> kube::Result<()> {
    if let Some(why) = why {
        context.warning(session, "PodPending", why.clone()).await;
        return note(api, session, PENDING.condition(why), context).await;
    }
    // A condition that is False would look like a failure to who goes through them.
    update_status(api, &session.name_any(), |session: &mut S| {
        remove_condition(session.conditions(), PENDING.type_);
        session.settle();
    })
    .await?;
    Ok(())
}

/// Runs the hooks of a stage, and notes what becomes of each, and of all.
///
/// # Errors
/// The API server's, in the end: what could not be noted in between is noted then.
pub async fn run_hooks<S: Session>(api: &Api<S>, session: &S, hooks: &Hooks<'_>, outcome: &Outcome, context: &Context) -> kube::Result<()> {
    let name = session.name_any();
    let note = |results: Vec<HookExecutionStatus>| {
        let name = &name;
        let noted = async move {
            if let Err(error) = note_hooks(api, name, hooks.stage, &results, None).await {
                tracing::warn!("what hooks have done cannot be noted: {error}");
            }
        };
        noted.boxed()
    };
    let (results, failure) = hooks::run(hooks, context, &note).await;
    if let Some(why) = &failure {
        context.warning(session, outcome.failed, why.clone()).await;
    }
    let condition = outcome.condition(failure.map_or(Ok(()), Err));
    note_hooks(api, &name, hooks.stage, &results, Some((condition, context.now()))).await
}

/// What became of the hooks of a stage until now; in the end with the condition that closes the stage.
async fn note_hooks<S: Session>(
    api: &Api<S>,
    name: &str,
    stage: Stage,
    results: &[HookExecutionStatus],
    end: Option<(Condition, Timestamp)>,
) -> kube::Result<()> {
    update_status(api, name, |session: &mut S| {
        match stage {
            Stage::Before => session.hooks().pre_hooks = results.to_vec(),
            Stage::After => session.hooks().post_hooks = results.to_vec(),
        }
        if let Some((condition, now)) = &end {
            set_condition(session.conditions(), condition.clone(), *now);
            session.settle();
        }
    })
    .await?;
    Ok(())
}

/// The closing condition, behind which nothing changes; rights that only the Jobs needed are taken back. Gives the session as it ended.
///
/// # Errors
/// The API server's.
pub async fn close<S: Session>(api: &Api<S>, session: &S, jobs: &[String], context: &Context) -> kube::Result<S> {
    for job in jobs {
        access::revoke(&context.client, job, &session.namespace().unwrap_or_default()).await?;
    }
    let now = context.now();
    let elapsed = session.creation_timestamp().map_or(SignedDuration::ZERO, |time| now.duration_since(time.0));
    update_status(api, &session.name_any(), |session: &mut S| {
        set_condition(session.conditions(), METRICS.condition(Ok(())), now);
        session.set_duration(go_duration(u64::try_from(elapsed.as_secs()).unwrap_or(0) * 1000));
        session.settle();
    })
    .await
}
