//! The objects that one run makes: its BackupSession and its Snapshots, with KubeStash's names, labels and owners.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference, Time};
use kube::{Resource as _, ResourceExt as _};

use crate::{
    api::{
        BackupConfiguration, BackupSession, BackupSessionSpec, DeletionPolicy, FULL_BACKUP, Repository, SNAPSHOT_VERSION, Session, Snapshot,
        SnapshotSpec, SnapshotStatus, TypedLocalObjectReference, VerificationStatus, join_name, labels,
    },
    repository::SnapshotId,
};

/// Name of a run: invoker, session and second. CronJobs of some releases left the session out, and users may name runs as they like.
pub fn session_name(invoker: &str, session: &str, now: Timestamp) -> String {
    join_name(invoker, session, &now.as_second().to_string())
}

/// Name of a Snapshot: the repository before the name of the run, cut in the middle where that is too long.
pub fn snapshot_name(repository: &str, backup_session: &str) -> String {
    match backup_session.rsplit_once('-') {
        Some((before, number)) if !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) => join_name(repository, before, number),
        _ => join_name(repository, backup_session, ""),
    }
}

/// Name of a session's CronJob and of its account, at most 52 characters: the Jobs that it makes get eleven more.
pub fn trigger_name(configuration: &str, session: &str) -> String {
    let whole = format!("trigger-{configuration}-{session}");
    if whole.chars().count() <= 52 {
        return whole;
    }
    // Cut names of two sessions must differ: the end is of what was cut.
    let hash = blake3::hash(whole.as_bytes()).to_hex();
    let head: String = whole.chars().take(43).collect();
    format!("{}-{}", head.trim_end_matches('-'), hash.get(..8).unwrap_or_default())
}

/// Labels of everything that belongs to an invoker.
pub fn invoker_labels(kind: &str, namespace: &str, name: &str, session: &str, component: Option<&str>) -> BTreeMap<String, String> {
    let mut all: BTreeMap<String, String> = [
        (labels::MANAGED_BY, labels::MANAGED_BY_KUBESTASH),
        (labels::INVOKER_KIND, kind),
        (labels::INVOKER_NAMESPACE, namespace),
        (labels::INVOKER_NAME, name),
        (labels::SESSION_NAME, session),
    ]
    .into_iter()
    .filter(|(_, value)| !value.is_empty())
    // A label holds 63 characters, a name more.
    .map(|(key, value)| (key.to_owned(), value.chars().take(63).collect::<String>().trim_end_matches(['-', '.', '_']).to_owned()))
    .collect();
    if let Some(component) = component {
        all.insert(labels::COMPONENT_LABEL.to_owned(), component.to_owned());
    }
    all
}

/// A run of a session, to be created now. `retries` is how often it may be tried again.
pub fn new_backup_session(configuration: &BackupConfiguration, session: &Session, retries: i32, now: Timestamp) -> BackupSession {
    let invoker = configuration.name_any();
    let namespace = configuration.namespace().unwrap_or_default();
    let spec = BackupSessionSpec {
        invoker: Some(TypedLocalObjectReference {
            api_group: Some(labels::CORE_GROUP.to_owned()),
            kind: "BackupConfiguration".to_owned(),
            name: invoker.clone(),
        }),
        session: session.name.clone(),
        retry_left: Some(retries),
        backup_timeout: session.backup_timeout.clone(),
    };
    let mut made = BackupSession::new(&session_name(&invoker, &session.name, now), spec);
    made.metadata.labels = Some(invoker_labels("BackupConfiguration", &namespace, &invoker, &session.name, None));
    made.metadata.namespace = Some(namespace);
    made.metadata.owner_references = configuration.controller_owner_ref(&()).map(|owner| vec![owner]);
    made
}

/// How often a scheduled run is tried again.
pub fn retries(session: &Session) -> i32 {
    session.retry_config.as_ref().map_or(0, |config| config.max_retry.unwrap_or(1).max(0))
}

/// A Snapshot of a run in a repository, and the status that it begins with.
pub fn new_snapshot(
    backup_session: &BackupSession,
    repository: &Repository,
    deletion: DeletionPolicy,
    id: SnapshotId,
    now: Timestamp,
) -> (Snapshot, SnapshotStatus) {
    let repository_name = repository.name_any();
    let app_ref = repository.spec.app_ref.clone();
    let spec = SnapshotSpec {
        snapshot_id: id.to_string(),
        type_: Some(FULL_BACKUP.to_owned()),
        repository: repository_name.clone(),
        session: backup_session.spec.session.clone(),
        backup_session: Some(backup_session.name_any()),
        version: Some(SNAPSHOT_VERSION.to_owned()),
        app_ref: app_ref.clone(),
        deletion_policy: Some(deletion),
        paused: None,
    };
    let mut made = Snapshot::new(&snapshot_name(&repository_name, &backup_session.name_any()), spec);
    let app = app_ref.unwrap_or_default();
    made.metadata = ObjectMeta {
        labels: Some(
            [
                (labels::REPO_NAME, repository_name),
                (labels::APP_REF_KIND, app.kind.unwrap_or_default()),
                (labels::APP_REF_NAMESPACE, app.namespace.unwrap_or_default()),
                (labels::APP_REF_NAME, app.name),
            ]
            .map(|(key, value)| (key.to_owned(), value))
            .into(),
        ),
        namespace: repository.namespace(),
        finalizers: Some(vec![labels::CLEANUP_FINALIZER.to_owned()]),
        owner_references: repository.controller_owner_ref(&()).map(|owner: OwnerReference| vec![owner]),
        ..made.metadata
    };
    let status = SnapshotStatus {
        snapshot_time: Some(Time(now)),
        verification_status: Some(VerificationStatus::NotVerified),
        total_components: Some(1),
        ..SnapshotStatus::default()
    };
    (made, status)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn names_of_runs_and_snapshots() {
        let now = Timestamp::from_second(1_702_543_201).unwrap();
        let run = session_name("sample-backup-sts", "demo-session", now);
        assert_eq!(run, "sample-backup-sts-demo-session-1702543201");
        assert_eq!(snapshot_name("gcs-demo-repo", &run), "gcs-demo-repo-sample-backup-sts-demo-session-1702543201");
        assert_eq!(snapshot_name("repo", "by-hand"), "repo-by-hand");
        assert_eq!(snapshot_name("repo", "run-x7k2p"), "repo-run-x7k2p");
        assert!(snapshot_name(&"r".repeat(60), &run).len() <= 63);
        assert!(snapshot_name(&"r".repeat(60), &run).ends_with("-1702543201"));
    }

    #[test]
    fn triggers_stay_short_and_apart() {
        assert_eq!(trigger_name("cluster-resources-backup", "frequent-backup"), "trigger-cluster-resources-backup-frequent-backup");
        let (one, other) = (trigger_name(&"x".repeat(50), "one"), trigger_name(&"x".repeat(50), "other"));
        assert_eq!((one.len(), other.len()), (52, 52));
        assert_ne!(one, other);
    }

    #[test]
    fn a_run_belongs_to_its_configuration() {
        let configuration: BackupConfiguration = serde_json::from_value(serde_json::json!({
            "apiVersion": "core.kubestash.com/v1alpha1", "kind": "BackupConfiguration",
            "metadata": {"name": "bc", "namespace": "demo", "uid": "u"},
            "spec": {"sessions": [{"name": "s", "backupTimeout": "1h", "retryConfig": {}}]},
        }))
        .unwrap();
        let session = &configuration.spec.sessions[0];
        let run = new_backup_session(&configuration, session, retries(session), Timestamp::from_second(5).unwrap());
        assert_eq!(run.name_any(), "bc-s-5");
        assert_eq!((run.spec.retry_left, run.spec.backup_timeout.as_deref()), (Some(1), Some("1h")));
        assert_eq!(run.labels().get(labels::INVOKER_NAME).map(String::as_str), Some("bc"));
        assert_eq!(run.owner_references()[0].uid, "u");
    }
}
