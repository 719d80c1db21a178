//! `BackupSession`: one run of a session.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    condition::{Condition, find_failure, has_condition, is_false, is_true},
    conditions::{
        BACKUP_EXECUTOR_ENSURED, BACKUP_SKIPPED, DEADLINE_EXCEEDED, METRICS_PUSHED, POST_BACKUP_HOOKS_EXECUTION_SUCCEEDED,
        PRE_BACKUP_HOOKS_EXECUTION_SUCCEEDED, SESSION_HISTORY_CLEANED, SNAPSHOT_CLEANUP_INCOMPLETE, SNAPSHOTS_ENSURED,
    },
    hook::HookStatus,
    phase::{BackupSessionPhase, RetentionPolicyPhase, SnapshotPhase},
    reference::{ObjectReference, TypedLocalObjectReference, TypedObjectReference},
    schema::rules,
};

const RULES: [(&str, &str); 1] = [("self == oldSelf", "the spec of a BackupSession cannot be changed; make a new one")];

/// One run of a session. It cannot be changed.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "core.kubestash.com",
    version = "v1alpha1",
    kind = "BackupSession",
    plural = "backupsessions",
    namespaced,
    status = "BackupSessionStatus",
    category = "kubestash",
    category = "appscode",
    category = "all",
    derive = "PartialEq",
    derive = "Default",
    doc = "One run of a session of a BackupConfiguration.",
    printcolumn = r#"{"name": "Invoker-Type", "type": "string", "jsonPath": ".spec.invoker.kind"}"#,
    printcolumn = r#"{"name": "Invoker-Name", "type": "string", "jsonPath": ".spec.invoker.name"}"#,
    printcolumn = r#"{"name": "Phase", "type": "string", "jsonPath": ".status.phase"}"#,
    printcolumn = r#"{"name": "Duration", "type": "string", "jsonPath": ".status.duration"}"#,
    printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = rules(&RULES)))]
pub struct BackupSessionSpec {
    /// The BackupConfiguration or BackupBatch that it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invoker: Option<TypedLocalObjectReference>,
    /// The session that it runs.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub session: String,
    /// How often it may be tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_left: Option<i32>,
    /// How long it may take, such as `2h`; for ever if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup_timeout: Option<String>,
}

/// What is known of a BackupSession.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackupSessionStatus {
    /// How far it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<BackupSessionPhase>,
    /// How long it took, such as `35s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<String>,
    /// When it is given up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup_deadline: Option<Time>,
    /// How many Snapshots it is going to make.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_snapshots: Option<i32>,
    /// The Snapshots that it makes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub snapshots: Vec<SnapshotStatusInfo>,
    /// What became of the hooks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hooks: Option<HookStatus>,
    /// What became of the policies, by repository.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub retention_policy: Vec<RetentionPolicyApplyStatus>,
    /// Whether it was tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retried: Option<bool>,
    /// When it is going to be tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_retry: Option<Time>,
    /// What was observed. `MetricsPushed` is the last of all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

/// A Snapshot that a BackupSession makes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SnapshotStatusInfo {
    /// Name of the Snapshot.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// How far it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<SnapshotPhase>,
    /// The application that is backed up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app_ref: Option<TypedObjectReference>,
    /// Name of the Repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// Why it failed, or what it lacks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// What became of a policy in one repository.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RetentionPolicyApplyStatus {
    /// The policy.
    #[serde(rename = "ref", default, skip_serializing_if = "Option::is_none")]
    pub ref_: Option<ObjectReference>,
    /// Name of the Repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// How far it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<RetentionPolicyPhase>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Conditions that tell of a failure when they are `True`.
const BAD_WHEN_TRUE: [&str; 2] = [SNAPSHOT_CLEANUP_INCOMPLETE, DEADLINE_EXCEEDED];

impl BackupSessionStatus {
    /// The phase that the Snapshots make together.
    fn roll_up(&self) -> BackupSessionPhase {
        let phases = || self.snapshots.iter().map(|snapshot| snapshot.phase.unwrap_or(SnapshotPhase::Pending));
        if phases().all(|phase| phase == SnapshotPhase::Pending) {
            BackupSessionPhase::Pending
        } else if !phases().all(SnapshotPhase::is_completed) {
            BackupSessionPhase::Running
        } else if phases().any(|phase| phase == SnapshotPhase::Failed) {
            BackupSessionPhase::Failed
        } else {
            BackupSessionPhase::Succeeded
        }
    }

    /// Whether something beside the Snapshots failed. Our own `DeadlineExceeded` counts, too.
    fn has_failure(&self) -> bool {
        let failed = [
            BACKUP_EXECUTOR_ENSURED,
            SNAPSHOTS_ENSURED,
            PRE_BACKUP_HOOKS_EXECUTION_SUCCEEDED,
            POST_BACKUP_HOOKS_EXECUTION_SUCCEEDED,
            SESSION_HISTORY_CLEANED,
        ];
        failed.iter().any(|type_| is_false(&self.conditions, type_))
            || BAD_WHEN_TRUE.iter().any(|type_| is_true(&self.conditions, type_))
            || self.retention_policy.iter().any(|applied| applied.phase == Some(RetentionPolicyPhase::FailedToApply))
    }

    /// The phase that conditions, Snapshots and policies make. `MetricsPushed` ends every session: before, it has neither succeeded nor failed.
    pub fn compute_phase(&self) -> BackupSessionPhase {
        if is_false(&self.conditions, METRICS_PUSHED) {
            return BackupSessionPhase::Failed;
        }
        if is_true(&self.conditions, BACKUP_SKIPPED) {
            return BackupSessionPhase::Skipped;
        }
        if is_true(&self.conditions, METRICS_PUSHED) && self.has_failure() {
            return BackupSessionPhase::Failed;
        }
        match self.roll_up() {
            BackupSessionPhase::Pending => BackupSessionPhase::Pending,
            phase if has_condition(&self.conditions, METRICS_PUSHED) => phase,
            _ => BackupSessionPhase::Running,
        }
    }

    /// Whether all Snapshots are there and will not change any more.
    pub fn is_backed_up(&self) -> bool {
        matches!(self.roll_up(), BackupSessionPhase::Succeeded | BackupSessionPhase::Failed)
    }

    /// Why it failed, in a sentence: what a condition says, else which Snapshots failed and why, else what went wrong with the policies, which
    /// come behind.
    pub fn failure(&self) -> Option<String> {
        if let Some(failed) = find_failure(&self.conditions, &[DEADLINE_EXCEEDED]) {
            return Some(failed);
        }
        let failed = self.snapshots.iter().filter(|snapshot| snapshot.phase == Some(SnapshotPhase::Failed));
        let failed: Vec<String> = failed
            .map(|snapshot| match &snapshot.message {
                Some(why) => format!("Snapshot {} failed: {why}", snapshot.name),
                None => format!("Snapshot {} failed", snapshot.name),
            })
            .collect();
        if !failed.is_empty() {
            return Some(failed.join("; "));
        }
        if let Some(failed) = find_failure(&self.conditions, &BAD_WHEN_TRUE) {
            return Some(format!("the RetentionPolicy was not applied: {failed}"));
        }
        let policy = self.retention_policy.iter().find(|applied| applied.phase == Some(RetentionPolicyPhase::FailedToApply))?;
        let repository = policy.repository.as_deref().unwrap_or_default();
        Some(format!("the RetentionPolicy could not be applied to {repository}: {}", policy.error.as_deref().unwrap_or("no reason is known")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(conditions: &[(&str, bool)], snapshots: &[SnapshotPhase], policy: Option<RetentionPolicyPhase>) -> BackupSessionStatus {
        BackupSessionStatus {
            conditions: conditions.iter().map(|(type_, status)| Condition::new(type_, *status, "", "")).collect(),
            snapshots: snapshots
                .iter()
                .enumerate()
                .map(|(at, phase)| SnapshotStatusInfo { name: format!("s{at}"), phase: Some(*phase), ..SnapshotStatusInfo::default() })
                .collect(),
            retention_policy: policy.map(|phase| RetentionPolicyApplyStatus { phase: Some(phase), ..Default::default() }).into_iter().collect(),
            ..BackupSessionStatus::default()
        }
    }

    /// A row of a table: what is there, and the phase it makes.
    type Row<'a> = (&'a [(&'a str, bool)], &'a [SnapshotPhase], Option<RetentionPolicyPhase>, BackupSessionPhase);

    #[test]
    fn phases() {
        use BackupSessionPhase as Phase;
        use SnapshotPhase::{Failed, Pending, Running, Succeeded};
        const DONE: (&str, bool) = (METRICS_PUSHED, true);
        let rows: [Row<'_>; 24] = [
            (&[], &[], None, Phase::Pending),
            (&[], &[Pending, Pending], None, Phase::Pending),
            (&[], &[Pending, Running], None, Phase::Running),
            (&[], &[Succeeded, Running], None, Phase::Running),
            (&[], &[Succeeded], None, Phase::Running),
            (&[], &[Failed], None, Phase::Running),
            (&[(BACKUP_EXECUTOR_ENSURED, false)], &[Running], None, Phase::Running),
            (&[(METRICS_PUSHED, false)], &[Succeeded], None, Phase::Failed),
            (&[(METRICS_PUSHED, false), (BACKUP_SKIPPED, true)], &[], None, Phase::Failed),
            (&[(BACKUP_SKIPPED, true)], &[], None, Phase::Skipped),
            (&[(BACKUP_SKIPPED, true), DONE, (SNAPSHOTS_ENSURED, false)], &[], None, Phase::Skipped),
            (&[DONE], &[Succeeded, Succeeded], None, Phase::Succeeded),
            (&[DONE], &[Succeeded, Failed], None, Phase::Failed),
            (&[DONE], &[], None, Phase::Pending),
            (&[DONE, (BACKUP_EXECUTOR_ENSURED, false)], &[Pending], None, Phase::Failed),
            (&[DONE, (SNAPSHOTS_ENSURED, false)], &[], None, Phase::Failed),
            (&[DONE, (PRE_BACKUP_HOOKS_EXECUTION_SUCCEEDED, false)], &[], None, Phase::Failed),
            (&[DONE, (POST_BACKUP_HOOKS_EXECUTION_SUCCEEDED, false)], &[Succeeded], None, Phase::Failed),
            (&[DONE, (SESSION_HISTORY_CLEANED, false)], &[Succeeded], None, Phase::Failed),
            (&[DONE, (SNAPSHOT_CLEANUP_INCOMPLETE, true)], &[Succeeded], None, Phase::Failed),
            (&[DONE, (DEADLINE_EXCEEDED, true)], &[Succeeded], None, Phase::Failed),
            (&[DONE], &[Succeeded], Some(RetentionPolicyPhase::FailedToApply), Phase::Failed),
            (&[DONE], &[Succeeded], Some(RetentionPolicyPhase::Applied), Phase::Succeeded),
            (&[DONE, (BACKUP_EXECUTOR_ENSURED, true), (SESSION_HISTORY_CLEANED, true)], &[Succeeded], None, Phase::Succeeded),
        ];
        for (conditions, snapshots, policy, wanted) in rows {
            assert_eq!(status(conditions, snapshots, policy).compute_phase(), wanted, "{conditions:?} {snapshots:?} {policy:?}");
        }
    }

    #[test]
    fn failures_are_told() {
        use SnapshotPhase::{Failed, Succeeded};
        assert_eq!(status(&[(METRICS_PUSHED, true)], &[Succeeded], None).failure(), None);
        assert_eq!(status(&[(SNAPSHOTS_ENSURED, false)], &[Failed], None).failure().as_deref(), Some("SnapshotsEnsured"));
        assert_eq!(status(&[], &[Failed, Succeeded, Failed], None).failure().as_deref(), Some("Snapshot s0 failed; Snapshot s2 failed"));
        let mut both = status(&[(SNAPSHOT_CLEANUP_INCOMPLETE, true)], &[Failed], None);
        both.snapshots[0].message = Some("no bucket".to_owned());
        assert_eq!(both.failure().as_deref(), Some("Snapshot s0 failed: no bucket"), "the first cause, not what came of it");
        let later = status(&[(SNAPSHOT_CLEANUP_INCOMPLETE, true)], &[Succeeded], None).failure();
        assert_eq!(later.as_deref(), Some("the RetentionPolicy was not applied: SnapshotCleanupIncomplete"));
        assert_eq!(status(&[(DEADLINE_EXCEEDED, true)], &[Succeeded], None).failure().as_deref(), Some("DeadlineExceeded"));
        let policy = status(&[], &[Succeeded], Some(RetentionPolicyPhase::FailedToApply)).failure().unwrap();
        assert!(policy.starts_with("the RetentionPolicy could not be applied"), "{policy}");
    }
}
