//! What a configuration needs, and what its status says. Pure.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::CronJob;
use kube::ResourceExt as _;
use kubestash::{
    api::{
        Addon, Backend, BackendStatus, BackupConfiguration, BackupConfigurationStatus, BackupInvokerPhase, BackupStorage, BackupStoragePhase,
        Condition, DeletionPolicy, Repository, RepositoryInfo, RepositoryPhase, RepositoryReadiness, RepositorySpec, Requester, ResourceFoundStatus,
        RetentionPolicy, RetentionPolicyStatus, Session, StorageStatus, UsagePolicy, conditions, find_backend, has_condition, labels,
        resolve_backends, set_condition,
    },
    session::{objects, schedule},
};

use super::validate::problems;
use crate::operator::{
    outcome::{SCHEDULER, VALIDATION},
    webhook::rules::same_directory,
};

/// All that is known.
pub struct Seen {
    pub configuration: BackupConfiguration,
    pub namespace_labels: BTreeMap<String, String>,
    pub storages: Vec<BackupStorage>,
    pub policies: Vec<RetentionPolicy>,
    pub addons: BTreeMap<String, Option<Addon>>,
    /// Encryption Secrets of the same namespace that cannot be used, by name, and why. Of those of other namespaces nothing is told: whether one
    /// is there is not for everybody to know.
    pub unusable_secrets: BTreeMap<String, String>,
    /// Of all namespaces.
    pub repositories: Vec<Repository>,
    /// That carry the configuration's label.
    pub cron_jobs: Vec<CronJob>,
}

/// What a configuration needs.
pub struct Plan {
    /// What is wrong with the spec: then nothing is done.
    pub problems: Vec<String>,
    /// What sessions cannot run without, by session: they are not scheduled before it is there.
    pub lacking: BTreeMap<String, String>,
    pub backends: Vec<BackendStatus>,
    pub repositories: Vec<RepositoryPlan>,
    /// CronJobs of sessions that are not in the spec any more.
    pub superfluous: Vec<String>,
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
    let lacking = spec.sessions.iter().filter_map(|session| Some((session.name.clone(), lacking(session, seen)?))).collect();
    Plan { problems: found, lacking, backends: statuses, repositories, superfluous: superfluous(seen) }
}

fn superfluous(seen: &Seen) -> Vec<String> {
    let configuration = &seen.configuration;
    let own = |job: &&CronJob| job.owner_references().iter().any(|owner| Some(&owner.uid) == configuration.metadata.uid.as_ref());
    let wanted = |name: &String| {
        let mut sessions = configuration.spec.sessions.iter();
        sessions.any(|session| objects::trigger_name(&configuration.name_any(), &session.name) == *name)
    };
    seen.cron_jobs.iter().filter(own).map(|job| job.name_any()).filter(|name| !wanted(name)).collect()
}

/// The sessions whose first backup is made now, each once: when everything is in place for the first time.
pub fn first_backups<'a>(seen: &'a Seen, plan: &Plan, status: &BackupConfigurationStatus) -> Vec<&'a Session> {
    let spec = &seen.configuration.spec;
    if spec.paused.unwrap_or(false) || !is_ready(plan, status) {
        return Vec::new();
    }
    let triggered = |session: &&Session| {
        let known = status.sessions.iter().find(|known| known.name == session.name);
        known.is_some_and(|known| has_condition(&known.conditions, conditions::INITIAL_BACKUP_TRIGGERED))
    };
    spec.sessions.iter().filter(|session| !triggered(session)).collect()
}

/// Whether nothing is waited for any more.
pub fn is_ready(plan: &Plan, status: &BackupConfigurationStatus) -> bool {
    status.phase == Some(BackupInvokerPhase::Ready) && plan.repositories.iter().all(RepositoryPlan::is_ready)
}

/// What a session cannot run without and what is not there, beside its backends.
fn lacking(session: &Session, seen: &Seen) -> Option<String> {
    let namespace = seen.configuration.namespace().unwrap_or_default();
    let addon = session.addon.as_ref().map(|addon| addon.name.as_str()).filter(|name| matches!(seen.addons.get(*name), Some(None)));
    let addon = addon.map(|name| format!("Addon {name} does not exist; create it, or use kubedump-addon, which `kubectl kubestash install` brings"));
    let secrets = session.repositories.iter().filter_map(|info| {
        let secret = info.encryption_secret.as_ref().filter(|secret| secret.namespace_or(&namespace) == namespace)?;
        seen.unusable_secrets.get(&secret.name).cloned()
    });
    let mut all: Vec<String> = addon.into_iter().chain(secrets).collect();
    all.dedup();
    (!all.is_empty()).then(|| all.join("; "))
}

fn backend_status(backend: &Backend, seen: &Seen, requester: Requester<'_>) -> BackendStatus {
    let storage = backend.storage_ref.as_ref().map(|reference| {
        let place = reference.object();
        let found = seen
            .storages
            .iter()
            .find(|storage| storage.name_any() == place.name && storage.namespace().as_deref() == Some(place.namespace_or(requester.namespace)));
        let (phase, reason) = match found {
            None => {
                (BackupStoragePhase::NotReady, Some(format!("BackupStorage {place} does not exist; create it, or name another one in spec.backends")))
            }
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
            None => Some(format!("RetentionPolicy {reference} does not exist; create it, or name another one in spec.backends")),
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
    let wanted = info.backend.as_deref();
    let backend = find_backend(backends, wanted);
    let Some((backend, status)) = backend.and_then(|backend| Some((backend, statuses.iter().find(|status| status.name == backend.name)?))) else {
        let wanted = wanted.unwrap_or_default();
        return RepositoryPlan::Waits { name, reason: format!("backend {wanted:?} is not in spec.backends") };
    };
    let namespace = seen.configuration.namespace().unwrap_or_default();
    let reference = backend.storage_ref.clone().unwrap_or_default();
    let own = |repository: &&Repository| repository.name_any() == name && repository.namespace().as_deref() == Some(&namespace);
    if let Some(found) = seen.repositories.iter().find(own) {
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
    if let Some(reason) = same_directory(&made, &seen.repositories) {
        return RepositoryPlan::Conflict { name, reason };
    }
    made.metadata.finalizers = Some(vec![labels::CLEANUP_FINALIZER.to_owned()]);
    made.metadata.labels = Some([(labels::MANAGED_BY.to_owned(), labels::MANAGED_BY_KUBESTASH.to_owned())].into());
    RepositoryPlan::Create(Box::new(made))
}

/// The status that all of it makes.
pub fn status(seen: &Seen, plan: &Plan, outcomes: &Outcomes, now: Timestamp) -> BackupConfigurationStatus {
    let spec = &seen.configuration.spec;
    let old = seen.configuration.status.clone().unwrap_or_default();
    let mut new = BackupConfigurationStatus { target_found: Some(true), ..old.clone() };
    let problems = &plan.problems;
    let validation = VALIDATION.condition(if problems.is_empty() { Ok(()) } else { Err(problems.join("; ")) });
    set_condition(&mut new.conditions, validation, now);
    new.backends.clone_from(&plan.backends);
    new.repositories = plan.repositories.iter().map(RepositoryPlan::readiness).collect();
    if !plan.problems.is_empty() {
        for planned in new.repositories.iter_mut().filter(|repository| repository.phase != Some(RepositoryPhase::Ready)) {
            planned.reason = Some("nothing is made before the spec is valid".to_owned());
        }
    }
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
            let scheduled = matches!(outcomes.scheduled.get(&session.name), Some(Ok(())));
            let next = scheduler.filter(|_| scheduled && !sleeps).and_then(|scheduler| schedule::next(&scheduler.schedule, now).ok());
            own.next_schedule = next.map(|time| time.to_string());
            let untried = || Err("Nothing is scheduled before the spec is valid.".to_owned());
            let ensured = SCHEDULER.condition(outcomes.scheduled.get(&session.name).cloned().unwrap_or_else(untried));
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
    let invalid = status.conditions.iter().any(Condition::is_false);
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
                .filter(|condition| condition.type_ == conditions::SCHEDULER_ENSURED && condition.is_false() && !invalid)
                .filter_map(message),
        );
    }
    if all.is_empty() { "It is not known why.".to_owned() } else { all.join("; ") }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use kubestash::api::BackupInvokerPhase;
    use serde_json::{Value, json};

    use super::*;

    fn object<K: serde::de::DeserializeOwned>(group: &str, kind: &str, name: &str, spec: Value, status: Value) -> K {
        serde_json::from_value(json!({
            "apiVersion": format!("{group}.kubestash.com/v1alpha1"), "kind": kind, "metadata": {"name": name, "namespace": "demo"},
            "spec": spec, "status": status,
        }))
        .unwrap()
    }

    fn seen() -> Seen {
        let addon: Addon = serde_json::from_value(json!({
            "apiVersion": "addons.kubestash.com/v1alpha1", "kind": "Addon", "metadata": {"name": "kubedump-addon"},
            "spec": {"backupTasks": [{"name": "manifest-backup", "function": "f"}]},
        }))
        .unwrap();
        Seen {
            configuration: object(
                "core",
                "BackupConfiguration",
                "bc",
                json!({
                    "backends": [{"name": "main", "storageRef": {"name": "s"}, "retentionPolicy": {"name": "p"}}],
                    "sessions": [{
                        "name": "hourly", "scheduler": {"schedule": "0 * * * *", "jobTemplate": {}},
                        "repositories": [{"name": "repo", "backend": "main", "directory": "/d", "encryptionSecret": {"name": "e"}, "deletionPolicy": "WipeOut"}],
                        "addon": {"name": "kubedump-addon", "tasks": [{"name": "manifest-backup"}]},
                    }],
                }),
                Value::Null,
            ),
            namespace_labels: BTreeMap::new(),
            storages: vec![object("storage", "BackupStorage", "s", json!({}), json!({"phase": "Ready"}))],
            policies: vec![object("storage", "RetentionPolicy", "p", json!({"maxRetentionPeriod": "1mo"}), Value::Null)],
            addons: [("kubedump-addon".to_owned(), Some(addon))].into(),
            unusable_secrets: BTreeMap::new(),
            repositories: Vec::new(),
            cron_jobs: Vec::new(),
        }
    }

    fn scheduled() -> Outcomes {
        Outcomes { scheduled: [("hourly".to_owned(), Ok(()))].into() }
    }

    fn now() -> Timestamp {
        "2026-01-01T00:10:00Z".parse().unwrap()
    }

    #[test]
    fn everything_in_place_is_ready() {
        let seen = seen();
        let plan = decide(&seen);
        let [RepositoryPlan::Create(made)] = plan.repositories.as_slice() else { panic!("{:?}", plan.repositories) };
        assert_eq!(made.spec.path.as_deref(), Some("/d"));
        assert_eq!(made.spec.deletion_policy, Some(DeletionPolicy::Delete), "only the configuration's own deletion wipes");
        assert_eq!(made.spec.encryption_secret.as_ref().unwrap().to_string(), "demo/e");
        let status = status(&seen, &plan, &scheduled(), now());
        assert_eq!(status.phase, Some(BackupInvokerPhase::Ready));
        assert_eq!(status.sessions[0].next_schedule.as_deref(), Some("2026-01-01T01:00:00Z"));
        assert_eq!(status.dependencies[0].found, Some(true));
    }

    #[test]
    fn what_is_missing_or_forbidden_keeps_it_from_being_ready() {
        let phase = |change: &dyn Fn(&mut Seen)| {
            let mut seen = seen();
            change(&mut seen);
            let plan = decide(&seen);
            let status = status(&seen, &plan, &scheduled(), now());
            (status.phase.unwrap(), summary(&status), plan)
        };
        let (found, why, plan) = phase(&|seen| seen.storages.clear());
        assert_eq!(found, BackupInvokerPhase::NotReady);
        assert!(why.starts_with("BackupStorage demo/s does not exist; create it"), "{why}");
        assert!(matches!(&plan.repositories[..], [RepositoryPlan::Waits { reason, .. }] if reason.contains("does not exist")));
        let (found, why, _) = phase(&|seen| {
            seen.storages[0].status = serde_json::from_value(json!({
            "phase": "NotReady", "conditions": [{"type": "BackendInitialized", "status": "False", "message": "no bucket", "lastTransitionTime": "2026-01-01T00:00:00Z"}],
        })).unwrap()
        });
        assert_eq!((found, why.as_str()), (BackupInvokerPhase::NotReady, "no bucket"));
        let (found, why, _) = phase(&|seen| seen.policies.clear());
        assert_eq!(found, BackupInvokerPhase::NotReady);
        assert!(why.starts_with("RetentionPolicy demo/p does not exist; create it"), "{why}");
        let (found, why, plan) = phase(&|seen| {
            seen.storages[0].metadata.namespace = Some("other".to_owned());
            let reference = &mut seen.configuration.spec.backends[0].storage_ref;
            reference.as_mut().unwrap().namespace = Some("other".to_owned());
        });
        assert_eq!(found, BackupInvokerPhase::NotReady);
        assert!(why.contains("does not allow its use from namespace demo"), "{why}");
        assert!(!plan.repositories.iter().any(|plan| matches!(plan, RepositoryPlan::Create(_))), "nothing is made in a storage that is not allowed");
        let (found, why, _) = phase(&|seen| seen.configuration.spec.sessions[0].addon.as_mut().unwrap().tasks[0].name = "other".to_owned());
        assert_eq!(found, BackupInvokerPhase::Invalid);
        assert!(why.contains("has no backup task \"other\"; it has manifest-backup"), "{why}");
    }

    #[test]
    fn what_a_session_cannot_run_without_is_told_before_it_runs() {
        let lacking = |change: &dyn Fn(&mut Seen)| {
            let mut seen = seen();
            change(&mut seen);
            decide(&seen).lacking.remove("hourly").unwrap_or_default()
        };
        assert_eq!(lacking(&|_| ()), "");
        assert!(lacking(&|seen| seen.addons = [("kubedump-addon".to_owned(), None)].into()).starts_with("Addon kubedump-addon does not exist"));
        let unusable = |seen: &mut Seen| seen.unusable_secrets = [("e".to_owned(), "Secret demo/e does not exist".to_owned())].into();
        assert_eq!(lacking(&unusable), "Secret demo/e does not exist");
        let foreign = |seen: &mut Seen| {
            unusable(seen);
            let secret = &mut seen.configuration.spec.sessions[0].repositories[0].encryption_secret;
            secret.as_mut().unwrap().namespace = Some("vault".to_owned());
        };
        assert_eq!(lacking(&foreign), "", "a Secret of another namespace is another one");
    }

    #[test]
    fn a_repository_of_the_same_name_must_mean_the_same_place() {
        let with = |path: &str| {
            let mut seen = seen();
            seen.repositories.push(object(
                "storage",
                "Repository",
                "repo",
                json!({"storageRef": {"name": "s"}, "path": path}),
                json!({"phase": "Ready"}),
            ));
            decide(&seen).repositories.remove(0)
        };
        assert!(with("d/").is_ready());
        assert!(matches!(with("/elsewhere"), RepositoryPlan::Conflict { reason, .. } if reason.contains("/elsewhere")));
    }

    #[test]
    fn the_first_backup_is_made_when_everything_is_in_place_and_once() {
        let firsts = |change: &dyn Fn(&mut Seen), notes: &[&str]| {
            let mut seen = seen();
            let made = json!({"storageRef": {"name": "s"}, "path": "/d"});
            seen.repositories.push(object("storage", "Repository", "repo", made, json!({"phase": "Ready"})));
            change(&mut seen);
            let plan = decide(&seen);
            let mut status = status(&seen, &plan, &scheduled(), now());
            for type_ in notes {
                set_condition(&mut status.sessions[0].conditions, Condition::new(type_, true, "", ""), now());
            }
            first_backups(&seen, &plan, &status).iter().map(|session| session.name.clone()).collect::<Vec<_>>()
        };
        assert_eq!(firsts(&|_| (), &[]), ["hourly"]);
        assert_eq!(firsts(&|_| (), &["InitialBackupTriggered"]), [""; 0]);
        assert_eq!(firsts(&|seen| seen.configuration.spec.paused = Some(true), &[]), [""; 0]);
        assert_eq!(firsts(&|seen| seen.repositories.clear(), &[]), [""; 0]);
        assert_eq!(firsts(&|seen| seen.storages.clear(), &[]), [""; 0]);
    }

    #[test]
    fn cron_jobs_of_sessions_that_are_gone_go() {
        let job = |name: &str, owner: &str| -> CronJob {
            let owner = json!([{"apiVersion": "core.kubestash.com/v1alpha1", "kind": "BackupConfiguration", "name": "bc", "uid": owner}]);
            serde_json::from_value(json!({"metadata": {"name": name, "ownerReferences": owner}})).unwrap()
        };
        let mut seen = seen();
        seen.configuration.metadata.uid = Some("own".to_owned());
        seen.cron_jobs = vec![job("trigger-bc-hourly", "own"), job("trigger-bc-daily", "own"), job("trigger-bc-weekly", "other")];
        assert_eq!(decide(&seen).superfluous, ["trigger-bc-daily"]);
    }

    #[test]
    fn who_is_paused_has_no_next_time() {
        let mut seen = seen();
        seen.configuration.spec.paused = Some(true);
        let status = status(&seen, &decide(&seen), &scheduled(), now());
        assert_eq!(status.sessions[0].next_schedule, None);
    }
}
