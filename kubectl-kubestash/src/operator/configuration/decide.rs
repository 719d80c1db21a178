//! What a configuration needs, and what its status says. Pure.

use std::collections::BTreeMap;

use jiff::Timestamp;
use kube::ResourceExt as _;
use kubestash::{
    api::{
        Addon, Backend, BackendStatus, BackupConfiguration, BackupConfigurationStatus, BackupStorage, BackupStoragePhase, Condition, DeletionPolicy,
        Repository, RepositoryInfo, RepositoryPhase, RepositoryReadiness, RepositorySpec, Requester, ResourceFoundStatus, RetentionPolicy,
        RetentionPolicyStatus, StorageStatus, UsagePolicy, conditions, conditions::reason, labels, resolve_backends, set_condition,
    },
    session::schedule,
};

use super::validate::problems;

/// All that is known.
pub struct Seen {
    pub configuration: BackupConfiguration,
    pub namespace_labels: BTreeMap<String, String>,
    pub storages: Vec<BackupStorage>,
    pub policies: Vec<RetentionPolicy>,
    pub addons: BTreeMap<String, Option<Addon>>,
    /// Of the configuration's namespace.
    pub repositories: Vec<Repository>,
}

/// What a configuration needs.
pub struct Plan {
    /// What is wrong with the spec: then nothing is done.
    pub problems: Vec<String>,
    pub backends: Vec<BackendStatus>,
    pub repositories: Vec<RepositoryPlan>,
}

/// A repository of a session.
#[derive(Debug, Clone, PartialEq)]
pub enum RepositoryPlan {
    Create(Box<Repository>),
    There {
        name: String,
        phase: RepositoryPhase,
    },
    Conflict {
        name: String,
        reason: String,
    },
    /// Its backend cannot be used now.
    Waits {
        name: String,
        reason: String,
    },
}

impl RepositoryPlan {
    pub fn is_ready(&self) -> bool {
        matches!(self, Self::There { phase: RepositoryPhase::Ready, .. })
    }

    fn readiness(&self) -> RepositoryReadiness {
        let (name, phase, reason) = match self {
            Self::Create(repository) => (repository.name_any(), RepositoryPhase::NotReady, Some("it is being made".to_owned())),
            Self::There { name, phase } => (name.clone(), *phase, None),
            Self::Conflict { name, reason } | Self::Waits { name, reason } => (name.clone(), RepositoryPhase::NotReady, Some(reason.clone())),
        };
        RepositoryReadiness { name, phase: Some(phase), reason, ..RepositoryReadiness::default() }
    }
}

/// What became of the CronJobs.
#[derive(Debug, Default)]
pub struct Outcomes {
    pub scheduled: BTreeMap<String, Result<(), String>>,
}

pub fn decide(seen: &Seen) -> Plan {
    let spec = &seen.configuration.spec;
    let namespace = seen.configuration.namespace().unwrap_or_default();
    let requester = Requester { namespace: &namespace, labels: &seen.namespace_labels };
    let backends = resolve_backends(&spec.backends, &seen.storages, &seen.policies, requester);
    let mut found = problems(spec, &backends);
    let statuses: Vec<BackendStatus> = backends.iter().map(|backend| backend_status(backend, seen, requester)).collect();
    for (session, addon) in spec.sessions.iter().filter_map(|session| Some((session, session.addon.as_ref()?))) {
        let Some(Some(known)) = seen.addons.get(&addon.name) else { continue };
        for task in addon.tasks.iter().filter(|task| !known.spec.backup_tasks.iter().any(|own| own.name == task.name)) {
            let own: Vec<&str> = known.spec.backup_tasks.iter().map(|task| task.name.as_str()).collect();
            found.push(format!("session {:?}: Addon {} has no backup task {:?}; it has {}", session.name, addon.name, task.name, own.join(", ")));
        }
    }
    let infos = spec.sessions.iter().flat_map(|session| &session.repositories);
    let mut repositories: Vec<RepositoryPlan> = Vec::new();
    for info in infos {
        let planned = plan_repository(info, seen, &backends, &statuses);
        // Two sessions may share one.
        if !repositories.iter().any(|other| other.readiness().name == info.name) {
            repositories.push(planned);
        }
    }
    Plan { problems: found, backends: statuses, repositories }
}

fn backend_status(backend: &Backend, seen: &Seen, requester: Requester<'_>) -> BackendStatus {
    let storage = backend.storage_ref.as_ref().map(|reference| {
        let place = reference.object();
        let found = seen
            .storages
            .iter()
            .find(|storage| storage.name_any() == place.name && storage.namespace().as_deref() == Some(place.namespace_or(requester.namespace)));
        let (phase, reason) = match found {
            None => (BackupStoragePhase::NotReady, Some(format!("BackupStorage {place} does not exist"))),
            Some(storage) if !UsagePolicy::allows(storage.spec.usage_policy.as_ref(), &storage.namespace().unwrap_or_default(), requester) => {
                (BackupStoragePhase::NotReady, Some(not_allowed("BackupStorage", &place.to_string(), requester.namespace)))
            }
            Some(storage) => {
                let status = storage.status.clone().unwrap_or_default();
                let phase = status.phase.unwrap_or(BackupStoragePhase::NotReady);
                let failed = status.conditions.iter().find(|condition| condition.is_false()).and_then(|condition| condition.message.clone());
                let reason = (phase != BackupStoragePhase::Ready).then(|| failed.unwrap_or_else(|| "it is not ready yet".to_owned()));
                (phase, reason)
            }
        };
        StorageStatus { ref_: Some(reference.clone()), phase: Some(phase), reason }
    });
    let policy = backend.retention_policy.as_ref().map(|reference| {
        let found = seen
            .policies
            .iter()
            .find(|policy| policy.name_any() == reference.name && policy.namespace().as_deref() == Some(reference.namespace_or(requester.namespace)));
        let reason = match found {
            None => Some(format!("RetentionPolicy {reference} does not exist")),
            Some(policy) if !UsagePolicy::allows(policy.spec.usage_policy.as_ref(), &policy.namespace().unwrap_or_default(), requester) => {
                Some(not_allowed("RetentionPolicy", &reference.to_string(), requester.namespace))
            }
            Some(_) => None,
        };
        RetentionPolicyStatus { ref_: Some(reference.clone()), found: Some(found.is_some()), reason }
    });
    let storage_ready = storage.as_ref().is_some_and(|storage| storage.phase == Some(BackupStoragePhase::Ready));
    let policy_ready = policy.as_ref().is_some_and(|policy| policy.reason.is_none());
    BackendStatus { name: backend.name.clone(), ready: Some(storage_ready && policy_ready), storage, retention_policy: policy }
}

fn not_allowed(kind: &str, object: &str, namespace: &str) -> String {
    format!("{kind} {object} does not allow its use from namespace {namespace}; its spec.usagePolicy says who may")
}

fn plan_repository(info: &RepositoryInfo, seen: &Seen, backends: &[Backend], statuses: &[BackendStatus]) -> RepositoryPlan {
    let name = info.name.clone();
    let wanted = info.backend.as_deref().unwrap_or_default();
    let at = backends.iter().position(|backend| backend.name == wanted).or(if wanted.is_empty() && backends.len() == 1 { Some(0) } else { None });
    let Some((backend, status)) = at.and_then(|at| backends.get(at).zip(statuses.get(at))) else {
        return RepositoryPlan::Waits { name, reason: format!("backend {wanted:?} is not in spec.backends") };
    };
    let namespace = seen.configuration.namespace().unwrap_or_default();
    let reference = backend.storage_ref.clone().unwrap_or_default();
    if let Some(found) = seen.repositories.iter().find(|repository| repository.name_any() == name) {
        let place = found.spec.storage_ref.clone().unwrap_or_default().object();
        let same_storage = place.is_same(&namespace, &reference.object(), &namespace);
        let same_path = found.spec.path.as_deref().unwrap_or_default().trim_matches('/') == info.directory.trim_matches('/');
        if !same_storage || !same_path {
            let path = found.spec.path.clone().unwrap_or_default();
            let reason = format!("a Repository of this name is there already, in BackupStorage {place} at {path:?}; choose another name");
            return RepositoryPlan::Conflict { name, reason };
        }
        let phase = found.status.as_ref().and_then(|status| status.phase).unwrap_or(RepositoryPhase::NotReady);
        return RepositoryPlan::There { name, phase };
    }
    if status.ready != Some(true) {
        let reasons = [
            status.storage.as_ref().and_then(|storage| storage.reason.clone()),
            status.retention_policy.as_ref().and_then(|policy| policy.reason.clone()),
        ];
        return RepositoryPlan::Waits { name, reason: reasons.into_iter().flatten().collect::<Vec<_>>().join("; ") };
    }
    let mut made = Repository::new(
        &name,
        RepositorySpec {
            app_ref: Some(seen.configuration.spec.app_ref()),
            storage_ref: Some(reference),
            path: Some(info.directory.clone()),
            // The configuration's own deletion decides about `Retain` and `WipeOut`.
            deletion_policy: Some(DeletionPolicy::Delete),
            encryption_secret: info.encryption_secret.as_ref().map(|secret| secret.resolved(&namespace)),
            paused: None,
        },
    );
    made.metadata.namespace = Some(namespace);
    made.metadata.finalizers = Some(vec![labels::CLEANUP_FINALIZER.to_owned()]);
    made.metadata.labels = Some([(labels::MANAGED_BY.to_owned(), labels::MANAGED_BY_KUBESTASH.to_owned())].into());
    RepositoryPlan::Create(Box::new(made))
}

/// The status that all of it makes.
pub fn status(seen: &Seen, plan: &Plan, outcomes: &Outcomes, now: Timestamp) -> BackupConfigurationStatus {
    let spec = &seen.configuration.spec;
    let old = seen.configuration.status.clone().unwrap_or_default();
    let mut new = BackupConfigurationStatus { target_found: Some(true), ..old.clone() };
    let validation = if plan.problems.is_empty() {
        Condition::new(conditions::VALIDATION_PASSED, true, reason::RESOURCE_VALIDATION_PASSED, "Validation has been passed successfully.")
    } else {
        Condition::new(conditions::VALIDATION_PASSED, false, reason::RESOURCE_VALIDATION_FAILED, plan.problems.join("; "))
    };
    set_condition(&mut new.conditions, validation, now);
    new.backends.clone_from(&plan.backends);
    new.repositories = plan.repositories.iter().map(RepositoryPlan::readiness).collect();
    new.dependencies = seen
        .addons
        .iter()
        .map(|(name, addon)| ResourceFoundStatus {
            api_group: Some(labels::ADDONS_GROUP.to_owned()),
            kind: Some("Addon".to_owned()),
            name: name.clone(),
            found: Some(addon.is_some()),
            namespace: None,
        })
        .collect();
    let paused = spec.paused.unwrap_or(false);
    new.sessions = spec
        .sessions
        .iter()
        .map(|session| {
            let mut own = old.sessions.iter().find(|own| own.name == session.name).cloned().unwrap_or_default();
            own.name.clone_from(&session.name);
            let scheduler = session.scheduler.as_ref();
            let sleeps = paused || scheduler.is_some_and(|scheduler| scheduler.suspend.unwrap_or(false));
            let next = scheduler.filter(|_| !sleeps).and_then(|scheduler| schedule::next(&scheduler.schedule, now).ok());
            own.next_schedule = next.map(|time| time.to_string());
            let ensured = match outcomes.scheduled.get(&session.name) {
                Some(Ok(())) => {
                    Condition::new(conditions::SCHEDULER_ENSURED, true, reason::SCHEDULER_ENSURED, "Scheduler has been ensured successfully.")
                }
                Some(Err(why)) => Condition::new(conditions::SCHEDULER_ENSURED, false, reason::SCHEDULER_NOT_ENSURED, why.clone()),
                None => Condition::new(conditions::SCHEDULER_ENSURED, false, reason::SCHEDULER_NOT_ENSURED, "The spec is not valid."),
            };
            set_condition(&mut own.conditions, ensured, now);
            own
        })
        .collect();
    new.phase = Some(new.compute_phase(spec));
    new
}

/// Why it is not ready, in one line.
pub fn summary(status: &BackupConfigurationStatus) -> String {
    let mut all: Vec<String> = Vec::new();
    let message = |condition: &Condition| condition.message.clone();
    all.extend(status.conditions.iter().filter(|condition| condition.is_false()).filter_map(message));
    for backend in &status.backends {
        all.extend(backend.storage.as_ref().and_then(|storage| storage.reason.clone()));
        all.extend(backend.retention_policy.as_ref().and_then(|policy| policy.reason.clone()));
    }
    for session in &status.sessions {
        all.extend(
            session
                .conditions
                .iter()
                .filter(|condition| condition.type_ == conditions::SCHEDULER_ENSURED && condition.is_false())
                .filter_map(message),
        );
    }
    if all.is_empty() { "It is not known why.".to_owned() } else { all.join("; ") }
}
