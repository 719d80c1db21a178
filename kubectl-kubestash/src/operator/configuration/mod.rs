//! BackupConfiguration: are its parts there and may they be used, its Repositories, a CronJob for each session, and the first backup.

mod decide;
pub mod validate;

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use k8s_openapi::api::{
    batch::v1::CronJob,
    core::v1::{Namespace, ServiceAccount},
};
use kube::{
    Api, ResourceExt as _,
    api::{ListParams, Patch, PatchParams},
    runtime::controller::Action,
};
use kubestash::{
    api::{
        Addon, BackupConfiguration, BackupConfigurationStatus, BackupInvokerPhase, BackupSession, BackupStorage, Condition, DeletionPolicy,
        ObjectReference, Repository, RepositoryDeletionPolicy, RetentionPolicy, Session, conditions, conditions::reason, has_condition, labels,
        set_condition,
    },
    deploy::rbac::CRON_JOB,
    session::{objects, trigger::cron_job},
};
use serde_json::json;

use self::decide::{Outcomes, RepositoryPlan, Seen, decide, status};
use super::{Error, context::Context, finalizer};
use crate::resources::{
    access::{Access, revoke},
    apply, cluster_wide, create_once, namespaced,
    outcome::one_line,
    owned_by,
    status::update_status,
};

const AGAIN: Duration = Duration::from_secs(600);
const SOON: Duration = Duration::from_secs(labels::REQUEUE_SECONDS);

/// Whether a storage counts for a configuration: one that it names, or any where it leaves that to the default.
pub fn may_use(configuration: &BackupConfiguration, storage: &BackupStorage) -> bool {
    let own = configuration.namespace().unwrap_or_default();
    let place = ObjectReference::new(storage.name_any(), storage.namespace().unwrap_or_default());
    let backends = &configuration.spec.backends;
    backends.is_empty() || backends.iter().filter_map(|backend| backend.storage_ref.as_ref()).any(|named| named.object().resolved(&own) == place)
}

async fn observe(configuration: &BackupConfiguration, context: &Context) -> Result<Seen, Error> {
    let client = &context.client;
    let namespace = configuration.namespace().unwrap_or_default();
    let all = ListParams::default();
    let own = cluster_wide::<Namespace>(client).get_opt(&namespace).await?;
    let addons = cluster_wide::<Addon>(client);
    let mut found = BTreeMap::new();
    for name in configuration.spec.sessions.iter().filter_map(|session| Some(session.addon.as_ref()?.name.clone())) {
        if let Entry::Vacant(place) = found.entry(name) {
            let addon = addons.get_opt(place.key()).await?;
            place.insert(addon);
        }
    }
    Ok(Seen {
        configuration: configuration.clone(),
        namespace_labels: own.and_then(|namespace| namespace.metadata.labels).unwrap_or_default(),
        storages: Api::<BackupStorage>::all(client.clone()).list(&all).await?.items,
        policies: Api::<RetentionPolicy>::all(client.clone()).list(&all).await?.items,
        addons: found,
        repositories: Api::<Repository>::all(client.clone()).list(&all).await?.items,
    })
}

/// Brings one configuration a step further.
///
/// # Errors
/// The API server's; it is tried again.
pub async fn reconcile(configuration: Arc<BackupConfiguration>, context: Arc<Context>) -> Result<Action, Error> {
    let namespace = configuration.namespace().unwrap_or_default();
    let api = namespaced::<BackupConfiguration>(&context.client, &namespace);
    if configuration.metadata.deletion_timestamp.is_some() {
        return delete(&configuration, &api, &context).await;
    }
    if !finalizer::is_there(&*configuration) {
        finalizer::add(&api, &*configuration).await?;
    }
    let seen = observe(&configuration, &context).await?;
    let plan = decide(&seen);
    let mut outcomes = Outcomes::default();
    if plan.problems.is_empty() {
        for repository in &plan.repositories {
            if let RepositoryPlan::Create(repository) = repository {
                create_once(&namespaced(&context.client, &namespace), &**repository).await?;
            }
        }
        for session in &configuration.spec.sessions {
            let done = schedule(&configuration, session, &context).await;
            outcomes.scheduled.insert(session.name.clone(), done.map_err(|error| one_line(&error)));
        }
    }
    remove_strange_cron_jobs(&configuration, &context).await?;
    let now = context.now();
    let new = status(&seen, &plan, &outcomes, now);
    let before = configuration.status.as_ref().and_then(|status| status.phase);
    if Some(&new) != configuration.status.as_ref() {
        update_status(&api, &configuration.name_any(), |configuration: &mut BackupConfiguration| configuration.status = Some(new.clone())).await?;
    }
    if before != new.phase {
        tell(&configuration, &new, &context).await;
    }
    let ready = new.phase == Some(BackupInvokerPhase::Ready) && plan.repositories.iter().all(RepositoryPlan::is_ready);
    if ready && !configuration.spec.paused.unwrap_or(false) {
        for session in &configuration.spec.sessions {
            first_backup(&configuration, session, &new, &api, &context).await?;
        }
    }
    Ok(Action::requeue(if ready { until_next(&new, now) } else { SOON }))
}

/// The next moment at which a status tells a time that is over.
fn until_next(status: &BackupConfigurationStatus, now: Timestamp) -> Duration {
    let next = status.sessions.iter().filter_map(|session| session.next_schedule.as_deref()?.parse::<Timestamp>().ok()).min();
    let left = next.and_then(|next| Duration::try_from(next.duration_since(now)).ok()).unwrap_or(AGAIN);
    AGAIN.min(left + Duration::from_secs(1))
}

async fn tell(configuration: &BackupConfiguration, status: &BackupConfigurationStatus, context: &Context) {
    match status.phase {
        Some(BackupInvokerPhase::Ready) => context.normal(configuration, "Ready", "Everything is in place; sessions run as scheduled.").await,
        _ => context.warning(configuration, "NotReady", decide::summary(status)).await,
    }
}

/// The CronJob of a session, and the account that it runs as.
async fn schedule(configuration: &BackupConfiguration, session: &Session, context: &Context) -> anyhow::Result<()> {
    let namespace = configuration.namespace().unwrap_or_default();
    let name = objects::trigger_name(&configuration.name_any(), &session.name);
    let owner = owned_by(configuration);
    let access =
        Access { name, namespace: namespace.clone(), owner: Some(owner.clone()), roles: vec![(namespace.clone(), CRON_JOB)], ..Access::default() };
    let job = cron_job(configuration, session, owner, &context.image, &context.environment)?;
    access.grant(&context.client).await?;
    apply::<CronJob>(&namespaced(&context.client, &namespace), &job).await?;
    Ok(())
}

/// CronJobs of sessions that are not in the spec any more.
async fn remove_strange_cron_jobs(configuration: &BackupConfiguration, context: &Context) -> Result<(), Error> {
    let namespace = configuration.namespace().unwrap_or_default();
    let invoker = configuration.name_any();
    let api = namespaced::<CronJob>(&context.client, &namespace);
    let label = objects::invoker_labels("", "", &invoker, "", None).remove(labels::INVOKER_NAME).unwrap_or_default();
    for job in api.list(&ListParams::default().labels(&format!("{}={label}", labels::INVOKER_NAME))).await? {
        let own = job.owner_references().iter().any(|owner| Some(&owner.uid) == configuration.metadata.uid.as_ref());
        let wanted = configuration.spec.sessions.iter().any(|session| objects::trigger_name(&invoker, &session.name) == job.name_any());
        if own && !wanted {
            crate::resources::delete(&api, &job.name_any()).await?;
            revoke(&context.client, &job.name_any(), &namespace).await?;
            crate::resources::delete::<ServiceAccount>(&namespaced(&context.client, &namespace), &job.name_any()).await?;
        }
    }
    Ok(())
}

/// A session's first backup, once. Its name comes from the configuration's own age, so that it stays one also when the operator dies between
/// making it and remembering that.
async fn first_backup(
    configuration: &BackupConfiguration,
    session: &Session,
    status: &BackupConfigurationStatus,
    api: &Api<BackupConfiguration>,
    context: &Context,
) -> Result<(), Error> {
    let known = status.sessions.iter().find(|known| known.name == session.name);
    if known.is_some_and(|known| has_condition(&known.conditions, conditions::INITIAL_BACKUP_TRIGGERED)) {
        return Ok(());
    }
    let condition = if session.wants_initial_backup() {
        let age = configuration.metadata.creation_timestamp.as_ref().map_or_else(|| context.now(), |time| time.0);
        let made = objects::new_backup_session(configuration, session, objects::retries(session), age);
        create_once::<BackupSession>(&namespaced(&context.client, &configuration.namespace().unwrap_or_default()), &made).await?;
        let note = format!("BackupSession {} was made.", made.name_any());
        Condition::new(conditions::INITIAL_BACKUP_TRIGGERED, true, reason::SUCCESSFULLY_TRIGGERED_INITIAL_BACKUP, note)
    } else {
        Condition::new(conditions::INITIAL_BACKUP_TRIGGERED, false, "NotWanted", "spec.sessions[].initialBackup is false.")
    };
    let now: Timestamp = context.now();
    update_status(api, &configuration.name_any(), |configuration: &mut BackupConfiguration| {
        let sessions = &mut configuration.status.get_or_insert_default().sessions;
        if let Some(own) = sessions.iter_mut().find(|own| own.name == session.name) {
            set_condition(&mut own.conditions, condition.clone(), now);
        }
    })
    .await?;
    Ok(())
}

/// What becomes of the Repositories, as `repositories[].deletionPolicy` says.
async fn delete(configuration: &BackupConfiguration, api: &Api<BackupConfiguration>, context: &Context) -> Result<Action, Error> {
    if !finalizer::is_there(configuration) {
        return Ok(Action::await_change());
    }
    let namespace = configuration.namespace().unwrap_or_default();
    let repositories = namespaced::<Repository>(&context.client, &namespace);
    for session in &configuration.spec.sessions {
        for info in &session.repositories {
            let policy = match info.deletion_policy {
                Some(RepositoryDeletionPolicy::Delete) => DeletionPolicy::Delete,
                Some(RepositoryDeletionPolicy::WipeOut) => DeletionPolicy::WipeOut,
                // Without a word nothing is taken away.
                Some(RepositoryDeletionPolicy::Retain) | None => continue,
            };
            let Some(found) = repositories.get_opt(&info.name).await? else { continue };
            if found.spec.deletion_policy != Some(policy) {
                let patch = json!({"spec": {"deletionPolicy": policy}});
                repositories.patch(&info.name, &PatchParams::default(), &Patch::Merge(&patch)).await?;
            }
            crate::resources::delete(&repositories, &info.name).await?;
        }
        revoke(&context.client, &objects::trigger_name(&configuration.name_any(), &session.name), &namespace).await?;
    }
    finalizer::remove(api, &configuration.name_any()).await?;
    Ok(Action::await_change())
}
