//! What a hook's templates can tell of a session.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt as _;
use serde::Serialize;
use serde_json::Value;

use crate::api::{
    BackupConfiguration, BackupSession, BackupSessionStatus, RestoreSession, RestoreSessionStatus, TypedObjectReference, go_duration, labels,
};

/// A session in a few words. The fields have Go's names, as templates write them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Summary {
    /// Name of the BackupSession or RestoreSession.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// The BackupConfiguration, or the RestoreSession itself.
    pub invoker: Reference,
    /// What is backed up; `na` where it is a cluster's resources, as KubeStash writes it.
    pub target: Reference,
    /// How it stands.
    pub status: Outcome,
}

/// An object.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Reference {
    /// Its API group.
    #[serde(rename = "APIGroup")]
    pub api_group: String,
    /// Its kind.
    pub kind: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// How a session stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Outcome {
    /// `Running` before the work, `Succeeded` or `Failed` behind it.
    pub phase: String,
    /// Time since the session was made, as `1m5s`.
    pub duration: String,
    /// Why it failed, or nothing.
    pub error: String,
}

impl Summary {
    /// Of a backup. `ended` is whether the work lies behind it.
    pub fn of_backup(
        session: &BackupSession,
        status: &BackupSessionStatus,
        configuration: Option<&BackupConfiguration>,
        ended: bool,
        now: Timestamp,
    ) -> Self {
        let namespace = session.namespace().unwrap_or_default();
        let named = session.spec.invoker.clone().unwrap_or_default();
        let invoker = Reference {
            api_group: named.api_group.unwrap_or_else(|| labels::CORE_GROUP.to_owned()),
            kind: named.kind,
            namespace: namespace.clone(),
            name: named.name,
        };
        let target = configuration.and_then(|configuration| configuration.spec.target.clone());
        Self {
            name: session.name_any(),
            namespace: namespace.clone(),
            invoker,
            target: target_of(target, &namespace),
            status: outcome(status.failure(), ended, session.creation_timestamp(), now),
        }
    }

    /// Of a restore.
    pub fn of_restore(session: &RestoreSession, status: &RestoreSessionStatus, ended: bool, now: Timestamp) -> Self {
        let namespace = session.namespace().unwrap_or_default();
        let invoker = Reference {
            api_group: labels::CORE_GROUP.to_owned(),
            kind: "RestoreSession".to_owned(),
            namespace: namespace.clone(),
            name: session.name_any(),
        };
        Self {
            name: session.name_any(),
            namespace: namespace.clone(),
            invoker,
            target: target_of(session.spec.target.clone(), &namespace),
            status: outcome(status.failure(), ended, session.creation_timestamp(), now),
        }
    }

    /// Whether something failed until now.
    pub fn has_failed(&self) -> bool {
        !self.status.error.is_empty()
    }

    /// As templates see it.
    pub fn data(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }
}

fn target_of(target: Option<TypedObjectReference>, own: &str) -> Reference {
    let there = target.is_some();
    let target = target.unwrap_or_else(TypedObjectReference::none);
    Reference {
        api_group: target.api_group.unwrap_or_default(),
        kind: target.kind.unwrap_or_default(),
        namespace: target.namespace.unwrap_or_else(|| if there { own.to_owned() } else { String::new() }),
        name: target.name,
    }
}

fn outcome(failure: Option<String>, ended: bool, began: Option<Time>, now: Timestamp) -> Outcome {
    let phase = match (&failure, ended) {
        (Some(_), _) => "Failed",
        (None, true) => "Succeeded",
        (None, false) => "Running",
    };
    let seconds = began.map_or(0, |Time(time)| u64::try_from(now.duration_since(time).as_secs()).unwrap_or(0));
    Outcome { phase: phase.to_owned(), duration: go_duration(seconds * 1000), error: failure.unwrap_or_default() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn now() -> Timestamp {
        "2026-01-01T00:01:05Z".parse().unwrap()
    }

    #[test]
    fn a_backup_that_failed() {
        let session: BackupSession = serde_json::from_value(json!({
            "apiVersion": "core.kubestash.com/v1alpha1", "kind": "BackupSession",
            "metadata": {"name": "run-1", "namespace": "demo", "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"invoker": {"apiGroup": "core.kubestash.com", "kind": "BackupConfiguration", "name": "bc"}, "session": "s"},
            "status": {"snapshots": [{"name": "one", "phase": "Failed"}]},
        }))
        .unwrap();
        let summary = Summary::of_backup(&session, session.status.as_ref().unwrap(), None, true, now());
        assert!(summary.has_failed());
        assert_eq!(
            summary.data(),
            json!({
                "Name": "run-1", "Namespace": "demo",
                "Invoker": {"APIGroup": "core.kubestash.com", "Kind": "BackupConfiguration", "Namespace": "demo", "Name": "bc"},
                "Target": {"APIGroup": "na", "Kind": "", "Namespace": "", "Name": "na"},
                "Status": {"Phase": "Failed", "Duration": "1m5s", "Error": "Snapshot one failed"},
            })
        );
    }

    #[test]
    fn a_restore_before_and_behind_its_work() {
        let session: RestoreSession = serde_json::from_value(json!({
            "apiVersion": "core.kubestash.com/v1alpha1", "kind": "RestoreSession",
            "metadata": {"name": "back", "namespace": "demo", "creationTimestamp": "2026-01-01T00:01:00Z"},
            "spec": {"target": {"kind": "Deployment", "name": "web", "apiGroup": "apps"}},
        }))
        .unwrap();
        let status = RestoreSessionStatus::default();
        let phase = |ended| Summary::of_restore(&session, &status, ended, now()).status.phase;
        assert_eq!([phase(false), phase(true)], ["Running", "Succeeded"]);
        let summary = Summary::of_restore(&session, &status, true, now());
        assert_eq!((summary.target.namespace.as_str(), summary.target.name.as_str()), ("demo", "web"));
        assert_eq!((summary.invoker.kind.as_str(), summary.invoker.name.as_str()), ("RestoreSession", "back"));
    }
}
