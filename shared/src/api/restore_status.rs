//! What is known of a RestoreSession, and the phase that this makes.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    condition::{Condition, find_failure, has_condition, is_false, is_true},
    conditions::{
        DEADLINE_EXCEEDED, METRICS_PUSHED, POST_RESTORE_HOOKS_EXECUTION_SUCCEEDED, PRE_RESTORE_HOOKS_EXECUTION_SUCCEEDED, RESTORE_EXECUTOR_ENSURED,
        RESTORE_INCOMPLETE, VALIDATION_PASSED,
    },
    hook::HookStatus,
    invoker_status::ResourceFoundStatus,
    phase::RestorePhase,
    reference::TypedObjectReference,
};

/// Longest list of objects in [`RestoreComponentStatus::failures`].
pub const MAX_FAILURES: usize = 64;

/// What is known of a RestoreSession.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RestoreSessionStatus {
    /// How far it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<RestorePhase>,
    /// Whether the application is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_found: Option<bool>,
    /// How long it took, such as `35s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<String>,
    /// When it is given up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore_deadline: Option<Time>,
    /// How many parts are restored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_components: Option<i32>,
    /// The parts that are restored.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub components: BTreeMap<String, RestoreComponentStatus>,
    /// What became of the hooks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hooks: Option<HookStatus>,
    /// What it needs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dependencies: Vec<ResourceFoundStatus>,
    /// The backups that wait until it has ended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paused_backups: Vec<TypedObjectReference>,
    /// What was observed. `MetricsPushed` is the last of all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

/// What became of a part of a Snapshot.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RestoreComponentStatus {
    /// How far it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<RestorePhase>,
    /// How far restic is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<RestoreProgress>,
    /// How long it took, such as `35s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<String>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// How many objects were treated how.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counts: Option<RestoreCounts>,
    /// Objects that could not be restored, 64 at most.
    #[schemars(length(max = 64))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<RestoreFailure>,
}

/// How many objects were treated how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RestoreCounts {
    /// Made anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<i64>,
    /// There, and changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated: Option<i64>,
    /// There, and replaced by new ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recreated: Option<i64>,
    /// Left alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skipped: Option<i64>,
    /// Not restored, because of an error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<i64>,
    /// All that were selected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<i64>,
}

/// An object that could not be restored.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RestoreFailure {
    /// The object, such as `deployments.apps/demo/web`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub object: String,
    /// Why not.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// How far a restore of restic is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RestoreProgress {
    /// Seconds since it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds_elapsed: Option<i64>,
    /// Part of the whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent_done: Option<String>,
    /// Files to write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_files: Option<i64>,
    /// Files that were written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files_done: Option<i64>,
    /// Size that was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore_done: Option<String>,
    /// Size to write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<String>,
    /// Size for each second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speed: Option<String>,
}

/// Conditions that tell of a failure when they are `True`.
const BAD_WHEN_TRUE: [&str; 2] = [RESTORE_INCOMPLETE, DEADLINE_EXCEEDED];

impl RestoreSessionStatus {
    /// The phase that the parts make together.
    fn roll_up(&self) -> RestorePhase {
        if self.components.is_empty() {
            return RestorePhase::Pending;
        }
        let count = |phase| self.components.values().filter(|component| component.phase == Some(phase)).count();
        let (succeeded, failed, unknown) = (count(RestorePhase::Succeeded), count(RestorePhase::Failed), count(RestorePhase::Unknown));
        let total = self.total_components.map_or(Some(self.components.len()), |total| usize::try_from(total).ok());
        if total == Some(succeeded) {
            RestorePhase::Succeeded
        } else if failed > 0 {
            RestorePhase::Failed
        } else if total == Some(succeeded + unknown) {
            RestorePhase::Unknown
        } else {
            RestorePhase::Running
        }
    }

    /// Whether something beside the parts failed. Our own `DeadlineExceeded` counts, too.
    fn has_failure(&self) -> bool {
        [PRE_RESTORE_HOOKS_EXECUTION_SUCCEEDED, POST_RESTORE_HOOKS_EXECUTION_SUCCEEDED, RESTORE_EXECUTOR_ENSURED]
            .iter()
            .any(|type_| is_false(&self.conditions, type_))
            || BAD_WHEN_TRUE.iter().any(|type_| is_true(&self.conditions, type_))
    }

    /// The phase that conditions and parts make. `MetricsPushed` ends every session: before, it has neither succeeded nor failed.
    pub fn compute_phase(&self) -> RestorePhase {
        if is_false(&self.conditions, METRICS_PUSHED) {
            return RestorePhase::Failed;
        }
        if is_false(&self.conditions, VALIDATION_PASSED) {
            return RestorePhase::Invalid;
        }
        if is_true(&self.conditions, METRICS_PUSHED) && self.has_failure() {
            return RestorePhase::Failed;
        }
        match self.roll_up() {
            phase @ (RestorePhase::Pending | RestorePhase::Unknown) => phase,
            phase if has_condition(&self.conditions, METRICS_PUSHED) => phase,
            _ => RestorePhase::Running,
        }
    }

    /// Whether all parts are there and none will change any more.
    pub fn is_restored(&self) -> bool {
        let total = self.total_components.and_then(|total| usize::try_from(total).ok()).unwrap_or(1);
        let has_ended = |part: &RestoreComponentStatus| part.phase.is_some_and(RestorePhase::is_completed);
        self.components.len() >= total && self.components.values().all(has_ended)
    }

    /// Why it failed, in a sentence: what a condition says, else what became of the parts.
    pub fn failure(&self) -> Option<String> {
        if let Some(failed) = find_failure(&self.conditions, &BAD_WHEN_TRUE) {
            return Some(failed);
        }
        let mut failed = self.components.iter().filter(|(_, component)| component.phase == Some(RestorePhase::Failed));
        let (name, component) = failed.next()?;
        Some(format!("{name}: {}", component.error.as_deref().unwrap_or("no reason is known")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(total: Option<i32>, phases: &[RestorePhase], conditions: &[(&str, bool)]) -> RestoreSessionStatus {
        let part = |phase: &RestorePhase| RestoreComponentStatus { phase: Some(*phase), ..RestoreComponentStatus::default() };
        RestoreSessionStatus {
            total_components: total,
            components: phases.iter().enumerate().map(|(at, phase)| (format!("c{at}"), part(phase))).collect(),
            conditions: conditions.iter().map(|(type_, status)| Condition::new(type_, *status, "", "")).collect(),
            ..RestoreSessionStatus::default()
        }
    }

    #[test]
    fn parts_make_a_phase_together() {
        use RestorePhase::{Failed, Pending, Running, Succeeded, Unknown};
        let rows: [(Option<i32>, &[RestorePhase], RestorePhase); 11] = [
            (Some(1), &[], Pending),
            (Some(1), &[Pending], Running),
            (Some(2), &[Succeeded, Succeeded], Succeeded),
            (None, &[Succeeded], Succeeded),
            (Some(2), &[Succeeded], Running),
            (Some(2), &[Succeeded, Failed], Failed),
            (Some(3), &[Running, Failed], Failed),
            (Some(2), &[Succeeded, Unknown], Unknown),
            (Some(2), &[Unknown, Failed], Failed),
            (Some(2), &[Unknown, Running], Running),
            (Some(1), &[Unknown], Unknown),
        ];
        for (total, phases, wanted) in rows {
            assert_eq!(status(total, phases, &[]).roll_up(), wanted, "{phases:?} of {total:?}");
        }
    }

    /// A row of a table: what is there, and the phase it makes.
    type Row<'a> = (&'a [RestorePhase], &'a [(&'a str, bool)], RestorePhase);

    #[test]
    fn phases() {
        use RestorePhase::{Failed, Invalid, Pending, Running, Succeeded, Unknown};
        const DONE: (&str, bool) = (METRICS_PUSHED, true);
        let rows: [Row<'_>; 16] = [
            (&[], &[], Pending),
            (&[Running], &[], Running),
            (&[Succeeded], &[], Running),
            (&[Failed], &[], Running),
            (&[Unknown], &[], Unknown),
            (&[Succeeded], &[DONE], Succeeded),
            (&[Failed], &[DONE], Failed),
            (&[Succeeded], &[(METRICS_PUSHED, false)], Failed),
            (&[], &[(METRICS_PUSHED, false), (VALIDATION_PASSED, false)], Failed),
            (&[], &[(VALIDATION_PASSED, false)], Invalid),
            (&[], &[(VALIDATION_PASSED, false), DONE, (RESTORE_EXECUTOR_ENSURED, false)], Invalid),
            (&[Succeeded], &[DONE, (PRE_RESTORE_HOOKS_EXECUTION_SUCCEEDED, false)], Failed),
            (&[Succeeded], &[DONE, (POST_RESTORE_HOOKS_EXECUTION_SUCCEEDED, false)], Failed),
            (&[], &[DONE, (RESTORE_EXECUTOR_ENSURED, false)], Failed),
            (&[Running], &[DONE, (RESTORE_INCOMPLETE, true)], Failed),
            (&[Running], &[DONE, (DEADLINE_EXCEEDED, true)], Failed),
        ];
        for (phases, conditions, wanted) in rows {
            assert_eq!(status(Some(1), phases, conditions).compute_phase(), wanted, "{phases:?} {conditions:?}");
        }
    }

    #[test]
    fn a_restore_has_ended_when_all_parts_have() {
        use RestorePhase::{Failed, Running, Succeeded, Unknown};
        let rows: [(Option<i32>, &[RestorePhase], bool); 5] = [
            (None, &[], false),
            (Some(2), &[Succeeded, Unknown], true),
            (Some(2), &[Failed, Running], false),
            (Some(2), &[Failed], false),
            (None, &[Failed], true),
        ];
        for (total, phases, wanted) in rows {
            assert_eq!(status(total, phases, &[]).is_restored(), wanted, "{phases:?} of {total:?}");
        }
    }

    #[test]
    fn failures_are_told() {
        let mut failed = status(Some(1), &[RestorePhase::Failed], &[]);
        assert_eq!(failed.failure().as_deref(), Some("c0: no reason is known"));
        failed.conditions.push(Condition::new(RESTORE_EXECUTOR_ENSURED, false, "FailedToEnsureRestoreExecutor", "no such ServiceAccount"));
        assert_eq!(failed.failure().as_deref(), Some("no such ServiceAccount"));
        assert_eq!(status(Some(1), &[RestorePhase::Succeeded], &[]).failure(), None);
    }
}
