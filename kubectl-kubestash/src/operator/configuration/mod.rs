//! BackupConfiguration: are its parts there and may they be used, its Repositories, a CronJob for each session, and the first backup.

mod decide;
#[cfg(test)]
mod model;
mod removal;
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
        Addon, BackupConfiguration, BackupConfigurationStatus, BackupInvokerPhase, BackupSession, BackupStorage, Condition, ObjectReference,
        Repository, RetentionPolicy, Session, conditions, conditions::reason, labels, set_condition,
    },
    deploy::rbac::CRON_JOB,
    session::{objects, trigger::cron_job},
};
use serde_json::json;

use self::{
    decide::{Outcomes, Plan, RepositoryPlan, Seen, decide, first_backups, is_ready, status},
    removal::{Removal, removals},
};
use super::{Error, context::Context, finalizer};
use crate::resources::{
    access::{Access, revoke},
    apply, as_it_is, cluster_wide, create_once, is_missing, namespaced,
    outcome::one_line,
    owned_by,
    status::{replace_status, update_status},
    storage::{OpenError, password},
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

/// Everything that is known of a configuration as it is now; nothing when it is gone.
async fn observe(configuration: &BackupConfiguration, context: &Context) -> Result<Option<Seen>, Error> {
    let client = &context.client;
    let namespace = configuration.namespace().unwrap_or_default();
    let own = as_it_is(&namespaced::<BackupConfiguration>(client, &namespace), configuration).await?;
    let Some(configuration) = own else { return Ok(None) };
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
    let label = objects::invoker_labels("", "", &configuration.name_any(), "", None).remove(labels::INVOKER_NAME).unwrap_or_default();
    let labelled = ListParams::default().labels(&format!("{}={label}", labels::INVOKER_NAME));
    Ok(Some(Seen {
        unusable_secrets: unusable_secrets(&configuration, &namespace, context).await,
        configuration,
        namespace_labels: own.and_then(|namespace| namespace.metadata.labels).unwrap_or_default(),
        storages: Api::<BackupStorage>::all(client.clone()).list(&all).await?.items,
        policies: Api::<RetentionPolicy>::all(client.clone()).list(&all).await?.items,
        addons: found,
        repositories: Api::<Repository>::all(client.clone()).list(&all).await?.items,
        cron_jobs: namespaced::<CronJob>(client, &namespace).list(&labelled).await?.items,
    }))
}

/// The encryption Secrets of the own namespace that are not there or hold no password. One that cannot be asked for is left to the Job.
async fn unusable_secrets(configuration: &BackupConfiguration, namespace: &str, context: &Context) -> BTreeMap<String, String> {
    let infos = configuration.spec.sessions.iter().flat_map(|session| &session.repositories);
    let own = infos.filter_map(|info| info.encryption_secret.as_ref()).filter(|secret| secret.namespace_or(namespace) == namespace);
    let mut unusable = BTreeMap::new();
    for secret in own {
        if let Err(error @ (OpenError::SecretMissing { .. } | OpenError::SecretContent { .. })) = password(&context.client, secret, namespace).await {
            unusable.insert(secret.name.clone(), one_line(&error.into()));
        }
    }
    unusable
}

/// Brings one configuration a step further.
///
/// # Errors
/// The API server's; it is tried again.
pub async fn reconcile(configuration: Arc<BackupConfiguration>, context: Arc<Context>) -> Result<Action, Error> {
    let namespace = configuration.namespace().unwrap_or_default();
    let api = namespaced::<BackupConfiguration>(&context.client, &namespace);
    // Who goes does not depend on what is missing.
    if configuration.metadata.deletion_timestamp.is_some() {
        return delete(&configuration, &api, &context).await;
    }
    let Some(seen) = observe(&configuration, &context).await? else { return Ok(Action::await_change()) };
    let configuration = &seen.configuration;
    if configuration.metadata.deletion_timestamp.is_some() {
        return Ok(Action::requeue(Duration::ZERO));
    }
    if !finalizer::is_there(configuration) {
        // What follows is for what it is then.
        finalizer::add(&api, configuration).await?;
        return Ok(Action::requeue(SOON));
    }
    let plan = decide(&seen);
    let outcomes = ensure(&seen, &plan, &context).await?;
    let now = context.now();
    let new = status(&seen, &plan, &outcomes, now);
    let told = |status: &BackupConfigurationStatus| (status.phase, decide::summary(status));
    if Some(&new) != configuration.status.as_ref() {
        replace_status(&api, configuration, |configuration| configuration.status = Some(new.clone())).await?;
    }
    if configuration.status.as_ref().map(told) != Some(told(&new)) {
        tell(configuration, &new, &context).await;
    }
    for session in first_backups(&seen, &plan, &new) {
        first_backup(configuration, session, &api, &context).await?;
    }
    Ok(Action::requeue(if is_ready(&plan, &new) { until_next(&new, now) } else { SOON }))
}

/// Makes what the plan lacks, and removes what it has too much of.
async fn ensure(seen: &Seen, plan: &Plan, context: &Context) -> Result<Outcomes, Error> {
    let configuration = &seen.configuration;
    let namespace = configuration.namespace().unwrap_or_default();
    let mut outcomes = Outcomes::default();
    if plan.problems.is_empty() {
        for repository in &plan.repositories {
            if let RepositoryPlan::Create(repository) = repository {
                create_once(&namespaced(&context.client, &namespace), &**repository).await?;
            }
        }
        for session in &configuration.spec.sessions {
            let done = match plan.lacking.get(&session.name) {
                Some(what) => Err(what.clone()),
                None => schedule(configuration, session, context).await.map_err(|error| one_line(&error)),
            };
            outcomes.scheduled.insert(session.name.clone(), done);
        }
    }
    for name in &plan.superfluous {
        crate::resources::delete::<CronJob>(&namespaced(&context.client, &namespace), name).await?;
        revoke(&context.client, name, &namespace).await?;
        crate::resources::delete::<ServiceAccount>(&namespaced(&context.client, &namespace), name).await?;
    }
    Ok(outcomes)
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

/// A session's first backup, once. Its name comes from the configuration's own age, so that it stays one also when the operator dies between
/// making it and remembering that.
async fn first_backup(
    configuration: &BackupConfiguration,
    session: &Session,
    api: &Api<BackupConfiguration>,
    context: &Context,
) -> Result<(), Error> {
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

/// Its Repositories go as `repositories[].deletionPolicy` says, and then it goes itself.
async fn delete(configuration: &BackupConfiguration, api: &Api<BackupConfiguration>, context: &Context) -> Result<Action, Error> {
    if !finalizer::is_there(configuration) {
        return Ok(Action::await_change());
    }
    let namespace = configuration.namespace().unwrap_or_default();
    let repositories = namespaced::<Repository>(&context.client, &namespace);
    let found = match repositories.list(&ListParams::default()).await {
        // Without the definition there are none.
        Err(error) if is_missing(&error) => Vec::new(),
        found => found?.items,
    };
    let mut others = api.list(&ListParams::default()).await?.items;
    others.retain(|other| other.name_any() != configuration.name_any());
    for removal in removals(configuration, &found, &others) {
        match removal {
            Removal::Delete { name, policy } => {
                let patch = json!({"spec": {"deletionPolicy": policy}});
                match repositories.patch(&name, &PatchParams::default(), &Patch::Merge(&patch)).await {
                    Err(error) if !is_missing(&error) => return Err(error.into()),
                    _ => crate::resources::delete(&repositories, &name).await?,
                }
            }
            Removal::Keep { name, why } => context.warning(configuration, "RepositoryKept", format!("Repository {name} stays: {why}")).await,
        }
    }
    for session in &configuration.spec.sessions {
        revoke(&context.client, &objects::trigger_name(&configuration.name_any(), &session.name), &namespace).await?;
    }
    finalizer::remove(api, &configuration.name_any()).await?;
    Ok(Action::await_change())
}
