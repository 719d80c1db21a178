//! How conditions tell what became of a step, in KubeStash's words. Pure. What Jobs note, too, stands in `resources::outcome` and `jobs::report`.

use kubestash::api::{Condition, conditions, conditions::reason};

/// The words for a step that goes well or not.
#[derive(Debug)]
pub struct Outcome {
    /// The condition.
    pub type_: &'static str,
    /// Its reason when the step went well.
    pub done: &'static str,
    /// Its message then.
    pub message: &'static str,
    /// Its reason when it did not.
    pub failed: &'static str,
}

impl Outcome {
    /// The condition; of a failure, its message says why.
    pub fn condition(&self, outcome: Result<(), String>) -> Condition {
        match outcome {
            Ok(()) => Condition::new(self.type_, true, self.done, self.message),
            Err(why) => Condition::new(self.type_, false, self.failed, why),
        }
    }
}

const HOOKS: &str = "Hooks have been executed successfully.";

pub const SNAPSHOTS: Outcome = Outcome {
    type_: conditions::SNAPSHOTS_ENSURED,
    done: reason::SUCCESSFULLY_ENSURED_SNAPSHOTS,
    message: "Snapshots have been ensured successfully.",
    failed: reason::FAILED_TO_ENSURE_SNAPSHOTS,
};
pub const BACKUP_EXECUTOR: Outcome = Outcome {
    type_: conditions::BACKUP_EXECUTOR_ENSURED,
    done: reason::SUCCESSFULLY_ENSURED_BACKUP_EXECUTOR,
    message: "Backup Executor has been ensured successfully.",
    failed: reason::FAILED_TO_ENSURE_BACKUP_EXECUTOR,
};
pub const RETENTION_EXECUTOR: Outcome = Outcome {
    type_: conditions::RETENTION_POLICY_EXECUTOR_ENSURED,
    done: reason::SUCCESSFULLY_ENSURED_RETENTION_POLICY_EXECUTOR,
    message: "Retention Policy Executor has been ensured successfully.",
    failed: reason::FAILED_TO_ENSURE_RETENTION_POLICY_EXECUTOR,
};
pub const RESTORE_EXECUTOR: Outcome = Outcome {
    type_: conditions::RESTORE_EXECUTOR_ENSURED,
    done: reason::SUCCESSFULLY_ENSURED_RESTORE_EXECUTOR,
    message: "Restore Executor has been ensured successfully.",
    failed: reason::FAILED_TO_ENSURE_RESTORE_EXECUTOR,
};
pub const HISTORY: Outcome = Outcome {
    type_: conditions::SESSION_HISTORY_CLEANED,
    done: reason::SUCCESSFULLY_CLEANED_SESSION_HISTORY,
    message: "",
    failed: reason::FAILED_TO_CLEAN_SESSION_HISTORY,
};
pub const METRICS: Outcome = Outcome {
    type_: conditions::METRICS_PUSHED,
    done: reason::SUCCESSFULLY_PUSHED_METRICS,
    message: "Metrics have been pushed successfully.",
    failed: reason::FAILED_TO_PUSH_METRICS,
};
pub const VALIDATION: Outcome = Outcome {
    type_: conditions::VALIDATION_PASSED,
    done: reason::RESOURCE_VALIDATION_PASSED,
    message: "Validation has been passed successfully.",
    failed: reason::RESOURCE_VALIDATION_FAILED,
};
pub const PRE_BACKUP_HOOKS: Outcome = Outcome {
    type_: conditions::PRE_BACKUP_HOOKS_EXECUTION_SUCCEEDED,
    done: reason::SUCCESSFULLY_EXECUTED_PRE_BACKUP_HOOKS,
    message: HOOKS,
    failed: reason::FAILED_TO_EXECUTE_PRE_BACKUP_HOOKS,
};
pub const POST_BACKUP_HOOKS: Outcome = Outcome {
    type_: conditions::POST_BACKUP_HOOKS_EXECUTION_SUCCEEDED,
    done: reason::SUCCESSFULLY_EXECUTED_POST_BACKUP_HOOKS,
    message: HOOKS,
    failed: reason::FAILED_TO_EXECUTE_POST_BACKUP_HOOKS,
};
pub const PRE_RESTORE_HOOKS: Outcome = Outcome {
    type_: conditions::PRE_RESTORE_HOOKS_EXECUTION_SUCCEEDED,
    done: reason::SUCCESSFULLY_EXECUTED_PRE_RESTORE_HOOKS,
    message: HOOKS,
    failed: reason::FAILED_TO_EXECUTE_PRE_RESTORE_HOOKS,
};
pub const POST_RESTORE_HOOKS: Outcome = Outcome {
    type_: conditions::POST_RESTORE_HOOKS_EXECUTION_SUCCEEDED,
    done: reason::SUCCESSFULLY_EXECUTED_POST_RESTORE_HOOKS,
    message: HOOKS,
    failed: reason::FAILED_TO_EXECUTE_POST_RESTORE_HOOKS,
};
pub const SCHEDULER: Outcome = Outcome {
    type_: conditions::SCHEDULER_ENSURED,
    done: reason::SCHEDULER_ENSURED,
    message: "Scheduler has been ensured successfully.",
    failed: reason::SCHEDULER_NOT_ENSURED,
};

/// Of a storage's credentials.
pub const SECRET: Outcome = Outcome {
    type_: conditions::BACKEND_SECRET_FOUND,
    done: reason::BACKEND_SECRET_AVAILABLE,
    message: "Backend secret exists.",
    failed: reason::BACKEND_SECRET_NOT_AVAILABLE,
};
/// Of a Snapshot.
pub const LISTED: Outcome = Outcome {
    type_: conditions::RECENT_SNAPSHOT_LIST_UPDATED,
    done: reason::SUCCESSFULLY_UPDATED_RECENT_SNAPSHOT_LIST,
    message: "Recent snapshot list updated successfully",
    failed: reason::FAILED_TO_UPDATE_RECENT_SNAPSHOT_LIST,
};

/// The words for something that is bad when it is so.
#[derive(Debug)]
pub struct Trouble {
    /// The condition, which is `True`.
    pub type_: &'static str,
    /// Its reason.
    pub reason: &'static str,
}

impl Trouble {
    /// The condition, whose message says why.
    pub fn condition(&self, why: impl Into<String>) -> Condition {
        Condition::new(self.type_, true, self.reason, why)
    }
}

pub const SKIPPED: Trouble = Trouble { type_: conditions::BACKUP_SKIPPED, reason: reason::PRE_REQUISITES_NOT_SATISFIED };
pub const PENDING: Trouble = Trouble {
    type_: conditions::POD_HAS_BEEN_IN_PENDING_STATE_FOR_LONGER_THAN_EXPECTED,
    reason: reason::POD_HAS_BEEN_IN_PENDING_STATE_FOR_LONGER_THAN_EXPECTED,
};
pub const LATE: Trouble = Trouble { type_: conditions::DEADLINE_EXCEEDED, reason: reason::TIMEOUT_REACHED };
pub const CLEANUP_INCOMPLETE: Trouble =
    Trouble { type_: conditions::SNAPSHOT_CLEANUP_INCOMPLETE, reason: reason::SNAPSHOT_CLEANUP_TERMINATED_BEFORE_COMPLETION };
pub const BACKUP_INCOMPLETE: Trouble = Trouble { type_: conditions::BACKUP_INCOMPLETE, reason: reason::BACKUP_EXECUTOR_TERMINATED_BEFORE_COMPLETION };
pub const RESTORE_INCOMPLETE: Trouble =
    Trouble { type_: conditions::RESTORE_INCOMPLETE, reason: reason::RESTORE_EXECUTOR_TERMINATED_BEFORE_COMPLETION };

#[cfg(test)]
mod tests {
    use super::*;

    /// The tables of KubeStash, word for word: programs compare these.
    #[test]
    fn conditions_have_the_words_of_kubestash() {
        for (outcome, type_, done, failed) in [
            (SNAPSHOTS, "SnapshotsEnsured", "SuccessfullyEnsuredSnapshots", "FailedToEnsureSnapshots"),
            (BACKUP_EXECUTOR, "BackupExecutorEnsured", "SuccessfullyEnsuredBackupExecutor", "FailedToEnsureBackupExecutor"),
            (
                RETENTION_EXECUTOR,
                "RetentionPolicyExecutorEnsured",
                "SuccessfullyEnsuredRetentionPolicyExecutor",
                "FailedToEnsureRetentionPolicyExecutor",
            ),
            (RESTORE_EXECUTOR, "RestoreExecutorEnsured", "SuccessfullyEnsuredRestoreExecutor", "FailedToEnsureRestoreExecutor"),
            (HISTORY, "SessionHistoryCleaned", "SuccessfullyCleanedSessionHistory", "FailedToCleanSessionHistory"),
            (METRICS, "MetricsPushed", "SuccessfullyPushedMetrics", "FailedToPushMetrics"),
            (VALIDATION, "ValidationPassed", "ResourceValidationPassed", "ResourceValidationFailed"),
            (SECRET, "BackendSecretFound", "BackendSecretAvailable", "BackendSecretNotAvailable"),
            (LISTED, "RecentSnapshotListUpdated", "SuccessfullyUpdatedRecentSnapshotList", "FailedToUpdateRecentSnapshotList"),
            (SCHEDULER, "SchedulerEnsured", "SchedulerEnsured", "SchedulerNotEnsured"),
            (PRE_BACKUP_HOOKS, "PreBackupHooksExecutionSucceeded", "SuccessfullyExecutedPreBackupHooks", "FailedToExecutePreBackupHooks"),
            (POST_BACKUP_HOOKS, "PostBackupHooksExecutionSucceeded", "SuccessfullyExecutedPostBackupHooks", "FailedToExecutePostBackupHooks"),
            (PRE_RESTORE_HOOKS, "PreRestoreHooksExecutionSucceeded", "SuccessfullyExecutedPreRestoreHooks", "FailedToExecutePreRestoreHooks"),
            (POST_RESTORE_HOOKS, "PostRestoreHooksExecutionSucceeded", "SuccessfullyExecutedPostRestoreHooks", "FailedToExecutePostRestoreHooks"),
        ] {
            let (good, bad) = (outcome.condition(Ok(())), outcome.condition(Err("why".to_owned())));
            assert_eq!((good.type_.as_str(), good.status.as_str(), good.reason.as_deref()), (type_, "True", Some(done)));
            assert_eq!((bad.type_.as_str(), bad.status.as_str(), bad.reason.as_deref()), (type_, "False", Some(failed)));
            assert_eq!(bad.message.as_deref(), Some("why"));
        }
        for (trouble, type_, reason) in [
            (SKIPPED, "BackupSkipped", "PreRequisitesNotSatisfied"),
            (PENDING, "PodHasBeenInPendingStateForLongerThanExpected", "PodHasBeenInPendingStateForLongerThanExpected"),
            (LATE, "DeadlineExceeded", "TimeoutReached"),
            (CLEANUP_INCOMPLETE, "SnapshotCleanupIncomplete", "SnapshotCleanupTerminatedBeforeCompletion"),
            (BACKUP_INCOMPLETE, "BackupIncomplete", "BackupExecutorTerminatedBeforeCompletion"),
            (RESTORE_INCOMPLETE, "RestoreIncomplete", "RestoreExecutorTerminatedBeforeCompletion"),
        ] {
            let found = trouble.condition("why");
            let words = (found.type_.as_str(), found.status.as_str(), found.reason.as_deref(), found.message.as_deref());
            assert_eq!(words, (type_, "True", Some(reason), Some("why")));
        }
    }
}
