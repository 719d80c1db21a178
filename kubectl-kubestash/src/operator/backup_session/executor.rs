//! The Jobs of a run: backup and retention.

use jiff::Timestamp;
use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{Namespace, PersistentVolumeClaim, ServiceAccount},
};
use kube::ResourceExt as _;
use kubestash::{
    api::{Addon, BackupStorage, Function, Repository, Session, labels},
    deploy::rbac::{BACKUP_JOB, CLUSTER_IDENTITY, CLUSTER_READER, RETENTION_JOB},
    session::{
        job::{JobParts, OwnJob, PlannedJob, Task, assemble, named_account, own_job},
        objects::invoker_labels,
        scope::{Scope, scope_of},
        variables::Variables,
    },
};

use super::{Error, Seen, line};
use crate::{
    operator::context::Context,
    resources::{access::Access, cluster_wide, create_once, namespaced, owned_by, permission, storage::secret_of},
};

/// Seconds for which a Job that will not end is kept, where the session has no timeout.
const DAY: i64 = 24 * 3600;

/// Why there is no Job.
pub enum Failure {
    /// The API server; it is tried again.
    Passing(Error),
    /// Something that a person has to correct.
    Lasting(String),
}

impl Failure {
    /// Of a write: what the API server or a policy refuses will not get better by asking again.
    pub fn of(what: &str, error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) if matches!(status.code, 400 | 403 | 422) => Self::Lasting(format!("the {what} is refused: {}", status.message)),
            error => error.into(),
        }
    }
}

impl From<kube::Error> for Failure {
    fn from(error: kube::Error) -> Self {
        Self::Passing(error.into())
    }
}

/// The storages of a session's repositories, each once.
pub async fn storages_of(repositories: &[Repository], context: &Context) -> Result<Vec<BackupStorage>, Failure> {
    let mut all: Vec<BackupStorage> = Vec::new();
    for repository in repositories {
        let own = repository.namespace().unwrap_or_default();
        let reference = repository.spec.storage_ref.clone().unwrap_or_default().object().resolved(&own);
        let place = reference.namespace_or(&own);
        let known = all.iter().any(|storage| storage.name_any() == reference.name && storage.namespace().as_deref() == Some(place));
        if known {
            continue;
        }
        let found = namespaced::<BackupStorage>(&context.client, place).get_opt(&reference.name).await?;
        all.push(found.ok_or_else(|| Failure::Lasting(format!("BackupStorage {reference} does not exist")))?);
    }
    Ok(all)
}

/// What a Job on repositories needs beside its own roles: roles beside the storages, and the Secrets. Nothing is added that the Job's
/// namespace may not use.
pub async fn needs(
    access: &mut Access,
    role: &'static str,
    repositories: &[Repository],
    storages: &[BackupStorage],
    context: &Context,
) -> Result<(), Failure> {
    if let Some(why) = permission::refusal(&context.client, &access.namespace, repositories, storages).await? {
        return Err(Failure::Lasting(why));
    }
    let mut places = vec![access.namespace.clone()];
    places.extend(storages.iter().filter_map(|storage| storage.namespace()));
    places.extend(repositories.iter().filter_map(|repository| repository.namespace()));
    places.sort();
    places.dedup();
    access.roles.extend(places.into_iter().map(|place| (place, role)));
    for storage in storages {
        access.secrets.extend(secret_of(storage).map(|name| (storage.namespace().unwrap_or_default(), name)));
    }
    for repository in repositories {
        let own = repository.namespace().unwrap_or_default();
        access.secrets.extend(repository.spec.encryption_secret.as_ref().map(|secret| (secret.namespace_or(&own).to_owned(), secret.name.clone())));
    }
    Ok(())
}

/// What a Job without an account of its user's may do with the objects of the cluster: only in the namespaces that the session names one by
/// one, where it does. Gives the namespaces that are not there.
pub async fn reach(access: &mut Access, role: &'static str, info: &kubestash::api::AddonInfo, context: &Context) -> Result<Vec<String>, Failure> {
    let Scope::Namespaces(names) = scope_of(info) else {
        access.cluster_roles.push(role);
        return Ok(Vec::new());
    };
    access.cluster_roles.push(CLUSTER_IDENTITY);
    let mut missing = Vec::new();
    for name in names {
        if cluster_wide::<Namespace>(&context.client).get_opt(&name).await?.is_some() {
            access.roles.push((name, role));
        } else {
            missing.push(name);
        }
    }
    Ok(missing)
}

/// An account that a session names must be there: a Pod of one that is not would never come.
pub async fn check_account(account: Option<&str>, namespace: &str, context: &Context) -> Result<(), Failure> {
    let Some(name) = account else { return Ok(()) };
    if namespaced::<ServiceAccount>(&context.client, namespace).get_opt(name).await?.is_none() {
        return Err(Failure::Lasting(format!(
            "ServiceAccount {namespace}/{name}, which addon.jobTemplate.spec.serviceAccountName names, does not exist; create it, or leave the field out"
        )));
    }
    Ok(())
}

/// An Addon, and the Functions of the tasks that a session uses.
pub struct Resolved {
    pub addon: Addon,
    pub functions: Vec<Function>,
}

/// Finds Addon and Functions.
pub async fn resolve(info: &kubestash::api::AddonInfo, restore: bool, context: &Context) -> Result<Resolved, Failure> {
    let lasting = |text: String| Failure::Lasting(text);
    let addon = cluster_wide::<Addon>(&context.client).get_opt(&info.name).await?;
    let addon = addon.ok_or_else(|| lasting(format!("Addon {} does not exist; `kubectl kubestash install` brings kubedump-addon", info.name)))?;
    let tasks = if restore { &addon.spec.restore_tasks } else { &addon.spec.backup_tasks };
    let mut functions = Vec::new();
    for reference in &info.tasks {
        let task = tasks.iter().find(|task| task.name == reference.name);
        let task = task.ok_or_else(|| {
            let known: Vec<&str> = tasks.iter().map(|task| task.name.as_str()).collect();
            let kind = if restore { "restore" } else { "backup" };
            lasting(format!("Addon {} has no {kind} task {:?}; it has {}", info.name, reference.name, known.join(", ")))
        })?;
        let name = task.function.as_deref().unwrap_or_default();
        let function = cluster_wide::<Function>(&context.client).get_opt(name).await?;
        functions.push(function.ok_or_else(|| lasting(format!("Function {name:?} of Addon {} does not exist", info.name)))?);
    }
    Ok(Resolved { addon, functions })
}

fn account_of(session: &Session) -> Option<&str> {
    session.addon.as_ref().and_then(named_account)
}

/// Starts the Job of a run, once.
pub async fn ensure_backup(seen: &Seen, context: &Context) -> Result<(), Failure> {
    let run = &seen.session;
    let namespace = run.namespace().unwrap_or_default();
    let (Some(configuration), Some(session)) = (&seen.configuration, seen.own()) else {
        return Err(Failure::Lasting("the session is not in the BackupConfiguration any more".to_owned()));
    };
    let info = session.addon.as_ref().ok_or_else(|| Failure::Lasting("the session has no addon".to_owned()))?;
    let resolved = resolve(info, false, context).await?;
    let storages = storages_of(&seen.repositories, context).await?;
    check_account(account_of(session), &namespace, context).await?;
    let mut access = Access {
        name: run.name_any(),
        namespace: namespace.clone(),
        account: account_of(session).map(str::to_owned),
        owner: Some(owned_by(run)),
        ..Access::default()
    };
    needs(&mut access, BACKUP_JOB, &seen.repositories, &storages, context).await?;
    if access.account.is_none() {
        // Of a namespace that is not there, there is nothing to read.
        reach(&mut access, CLUSTER_READER, info, context).await?;
    }
    access.grant(&context.client).await?;
    let variables = variables(&namespace, &configuration.name_any(), &[("backupSession", run.name_any())], context);
    let parts = JobParts {
        name: run.name_any(),
        namespace: namespace.clone(),
        labels: invoker_labels("BackupSession", &namespace, &run.name_any(), &session.name, Some(labels::component::BACKUP)),
        owner: owned_by(run),
        tasks: tasks(info, &resolved, false),
        addon: info,
        variables,
        service_account: access.account().to_owned(),
        image: &context.image,
        storages: storages.iter().collect(),
        settings: None,
        environment: context.environment.clone(),
        deadline: Some(seconds_left(run.status.as_ref().and_then(|status| status.backup_deadline.as_ref()).map(|time| time.0), context.now())),
    };
    create(&parts, context).await
}

/// Tasks with their definitions and Functions.
pub fn tasks<'a>(info: &'a kubestash::api::AddonInfo, resolved: &'a Resolved, restore: bool) -> Vec<Task<'a>> {
    let known = if restore { &resolved.addon.spec.restore_tasks } else { &resolved.addon.spec.backup_tasks };
    let definition = |reference: &kubestash::api::TaskReference| known.iter().find(|task| task.name == reference.name);
    let all = info.tasks.iter().zip(&resolved.functions);
    all.filter_map(|(reference, function)| Some(Task { reference, definition: definition(reference)?, function })).collect()
}

/// Makes a Job from its parts, and the claims that it needs.
pub async fn create(parts: &JobParts<'_>, context: &Context) -> Result<(), Failure> {
    let planned = assemble(parts).map_err(|error| Failure::Lasting(error.to_string()))?;
    start(&planned, &parts.namespace, context).await
}

/// Makes a Job that was put together, once.
pub async fn start(planned: &PlannedJob, namespace: &str, context: &Context) -> Result<(), Failure> {
    for claim in &planned.claims {
        create_once::<PersistentVolumeClaim>(&namespaced(&context.client, namespace), claim).await?;
    }
    create_once::<Job>(&namespaced(&context.client, namespace), &planned.job).await.map_err(|error| Failure::of("Job", error))
}

/// Seconds after its deadline at which a Job ends by itself. The operator is earlier and tells why; this is for when there is none.
const GRACE: i64 = 60;

/// Seconds until a Job ends by itself: soon after its deadline, or a day.
pub fn seconds_left(deadline: Option<Timestamp>, now: Timestamp) -> i64 {
    deadline.map_or(DAY, |deadline| deadline.duration_since(now).as_secs().max(0) + GRACE)
}

/// What is built in, which the user cannot change.
pub fn variables(namespace: &str, invoker: &str, more: &[(&str, String)], context: &Context) -> Variables {
    let (repository, tag) = context.image.name.rsplit_once(':').unwrap_or((&context.image.name, "latest"));
    let (registry, name) = repository.split_once('/').unwrap_or(("", repository));
    let mut all: Variables = [
        ("namespace", namespace),
        ("invokerKind", "BackupConfiguration"),
        ("invokerName", invoker),
        ("imageRegistry", registry),
        ("imageRepo", name),
        ("imageTag", tag),
        ("interimDataDir", "/kubestash-interim"),
        ("licenseApiService", ""),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into();
    all.extend(more.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
    all
}

/// Starts the Job that applies the retention policies, once.
pub async fn ensure_retention(seen: &Seen, name: &str, context: &Context) -> Result<(), Failure> {
    let run = &seen.session;
    let namespace = run.namespace().unwrap_or_default();
    let session = seen.own().ok_or_else(|| Failure::Lasting("the session is not in the BackupConfiguration any more".to_owned()))?;
    let configuration = seen.configuration.as_ref();
    let storages = storages_of(&seen.repositories, context).await?;
    let mut access = Access { name: name.to_owned(), namespace: namespace.clone(), owner: Some(owned_by(run)), ..Access::default() };
    needs(&mut access, RETENTION_JOB, &seen.repositories, &storages, context).await?;
    let policies = session.repositories.iter().filter_map(|info| configuration?.retention_policy_of(info.backend.as_deref()));
    for policy in policies {
        let place = policy.namespace_or(&namespace).to_owned();
        if !access.roles.iter().any(|(known, _)| *known == place) {
            access.roles.push((place, RETENTION_JOB));
        }
    }
    access.grant(&context.client).await?;
    let settings = storages.iter().find_map(|storage| storage.spec.runtime_settings.as_ref());
    let job = own_job(&OwnJob {
        name: name.to_owned(),
        namespace: namespace.clone(),
        labels: invoker_labels("BackupSession", &namespace, &run.name_any(), &session.name, Some(labels::component::RETENTION_POLICY)),
        owner: Some(owned_by(run)),
        args: vec!["retention".to_owned(), format!("--backupsession={}", run.name_any())],
        service_account: access.account().to_owned(),
        image: &context.image,
        storages: storages.iter().collect(),
        settings,
        environment: context.environment.clone(),
        backoff: 1,
        keep_seconds: None,
    });
    let job = job.map_err(|error| Failure::Lasting(line(error)))?;
    create_once::<Job>(&namespaced(&context.client, &namespace), &job).await.map_err(|error| Failure::of("Job", error))
}
