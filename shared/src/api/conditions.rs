//! Types and reasons of conditions, in the words of KubeStash unless they say otherwise. First the type, then its reasons; which of them
//! counts for a phase stands in the phase functions beside the kinds.

// Of BackupStorage.
/// Whether the backend can be used.
pub const BACKEND_INITIALIZED: &str = "BackendInitialized";
/// Whether the Secret of the backend is there; absent where none is needed.
pub const BACKEND_SECRET_FOUND: &str = "BackendSecretFound";

// Of Repository.
/// Whether the repository can be used.
pub const REPOSITORY_INITIALIZED: &str = "RepositoryInitialized";

// Of Snapshot.
/// Whether the file of the Snapshot is in the backend.
pub const SNAPSHOT_METADATA_UPLOADED: &str = "SnapshotMetadataUploaded";
/// Whether the Repository tells of the Snapshot.
pub const RECENT_SNAPSHOT_LIST_UPDATED: &str = "RecentSnapshotListUpdated";
/// `True` when the backup ended without telling how.
pub const BACKUP_INCOMPLETE: &str = "BackupIncomplete";
/// Our own. `True` when some kinds could not be read: the Snapshot is whole but for them.
pub const BACKUP_PARTIAL: &str = "BackupPartial";

// Of BackupConfiguration and RestoreSession.
/// Whether the object contradicts neither itself nor what exists.
pub const VALIDATION_PASSED: &str = "ValidationPassed";

// Of BackupConfiguration's sessions.
/// Whether the CronJob of the session is there.
pub const SCHEDULER_ENSURED: &str = "SchedulerEnsured";
/// Whether the first backup was triggered.
pub const INITIAL_BACKUP_TRIGGERED: &str = "InitialBackupTriggered";

// Of BackupSession.
/// `True` when nothing is done on purpose.
pub const BACKUP_SKIPPED: &str = "BackupSkipped";
/// Whether the hooks before the backup did what they should.
pub const PRE_BACKUP_HOOKS_EXECUTION_SUCCEEDED: &str = "PreBackupHooksExecutionSucceeded";
/// Whether the Snapshots are there.
pub const SNAPSHOTS_ENSURED: &str = "SnapshotsEnsured";
/// Whether the Job is there.
pub const BACKUP_EXECUTOR_ENSURED: &str = "BackupExecutorEnsured";
/// `True` when the Pod of the Job does not start.
pub const POD_HAS_BEEN_IN_PENDING_STATE_FOR_LONGER_THAN_EXPECTED: &str = "PodHasBeenInPendingStateForLongerThanExpected";
/// Whether the hooks after the backup did what they should.
pub const POST_BACKUP_HOOKS_EXECUTION_SUCCEEDED: &str = "PostBackupHooksExecutionSucceeded";
/// Whether what applies the policies is there.
pub const RETENTION_POLICY_EXECUTOR_ENSURED: &str = "RetentionPolicyExecutorEnsured";
/// `True` when the removal of Snapshots ended without telling how.
pub const SNAPSHOT_CLEANUP_INCOMPLETE: &str = "SnapshotCleanupIncomplete";
/// Whether the BackupSessions that shall not stay are gone.
pub const SESSION_HISTORY_CLEANED: &str = "SessionHistoryCleaned";

// Of BackupSession and RestoreSession.
/// The last of all: whether the outcome was told. Set where nothing is pushed, too.
pub const METRICS_PUSHED: &str = "MetricsPushed";
/// Our own. `False` while a RestoreSession waits for its Snapshot; gone when that is there.
pub const SNAPSHOT_FOUND: &str = "SnapshotFound";
/// Our own. `True` when it took longer than it may.
pub const DEADLINE_EXCEEDED: &str = "DeadlineExceeded";

// Of RestoreSession.
/// Whether the application is there.
pub const RESTORE_TARGET_FOUND: &str = "RestoreTargetFound";
/// Whether the hooks before the restore did what they should.
pub const PRE_RESTORE_HOOKS_EXECUTION_SUCCEEDED: &str = "PreRestoreHooksExecutionSucceeded";
/// Whether the Job is there.
pub const RESTORE_EXECUTOR_ENSURED: &str = "RestoreExecutorEnsured";
/// Whether the hooks after the restore did what they should.
pub const POST_RESTORE_HOOKS_EXECUTION_SUCCEEDED: &str = "PostRestoreHooksExecutionSucceeded";
/// `True` when the restore ended without telling how.
pub const RESTORE_INCOMPLETE: &str = "RestoreIncomplete";

// Of BackupVerificationSession.
/// `True` when nothing is done on purpose.
pub const BACKUP_VERIFICATION_SKIPPED: &str = "BackupVerificationSkipped";
/// Whether the Job is there.
pub const VERIFICATION_EXECUTOR_ENSURED: &str = "VerificationExecutorEnsured";
/// Whether the Snapshot could be restored.
pub const RESTORE_SUCCEEDED: &str = "RestoreSucceeded";
/// Whether what was restored is what was backed up.
pub const BACKUP_VERIFIED: &str = "BackupVerified";
/// The last of all: whether the sessions that shall not stay are gone.
pub const VERIFICATION_SESSION_HISTORY_CLEANED: &str = "VerificationSessionHistoryCleaned";

/// Reasons of conditions.
pub mod reason {
    // Of BackupStorage.
    /// Of [`super::BACKEND_INITIALIZED`]: it can.
    pub const BACKEND_INITIALIZATION_SUCCEEDED: &str = "BackendInitializationSucceeded";
    /// Of [`super::BACKEND_INITIALIZED`]: it cannot.
    pub const BACKEND_INITIALIZATION_FAILED: &str = "BackendInitializationFailed";
    /// Of [`super::BACKEND_SECRET_FOUND`]: it is.
    pub const BACKEND_SECRET_AVAILABLE: &str = "BackendSecretAvailable";
    /// Of [`super::BACKEND_SECRET_FOUND`]: it is not.
    pub const BACKEND_SECRET_NOT_AVAILABLE: &str = "BackendSecretNotAvailable";

    // Of Repository.
    /// Of [`super::REPOSITORY_INITIALIZED`]: it can.
    pub const REPOSITORY_INITIALIZATION_SUCCEEDED: &str = "RepositoryInitializationSucceeded";
    /// Of [`super::REPOSITORY_INITIALIZED`]: it cannot.
    pub const REPOSITORY_INITIALIZATION_FAILED: &str = "RepositoryInitializationFailed";

    // Of Snapshot.
    /// Of [`super::SNAPSHOT_METADATA_UPLOADED`]: it is.
    pub const SUCCESSFULLY_UPLOADED_SNAPSHOT_METADATA: &str = "SuccessfullyUploadedSnapshotMetadata";
    /// Of [`super::SNAPSHOT_METADATA_UPLOADED`]: it is not.
    pub const FAILED_TO_UPLOAD_SNAPSHOT_METADATA: &str = "FailedToUploadSnapshotMetadata";
    /// Of [`super::RECENT_SNAPSHOT_LIST_UPDATED`]: it does.
    pub const SUCCESSFULLY_UPDATED_RECENT_SNAPSHOT_LIST: &str = "SuccessfullyUpdatedRecentSnapshotList";
    /// Of [`super::RECENT_SNAPSHOT_LIST_UPDATED`]: it does not.
    pub const FAILED_TO_UPDATE_RECENT_SNAPSHOT_LIST: &str = "FailedToUpdateRecentSnapshotList";
    /// Of [`super::BACKUP_INCOMPLETE`]: its Job ended.
    pub const BACKUP_EXECUTOR_TERMINATED_BEFORE_COMPLETION: &str = "BackupExecutorTerminatedBeforeCompletion";
    /// Of [`super::BACKUP_PARTIAL`]: some could not; the component lists them.
    pub const SOME_KINDS_NOT_READ: &str = "SomeKindsNotRead";

    // Of BackupConfiguration and RestoreSession.
    /// Of [`super::VALIDATION_PASSED`]: it does not.
    pub const RESOURCE_VALIDATION_PASSED: &str = "ResourceValidationPassed";
    /// Of [`super::VALIDATION_PASSED`]: it does.
    pub const RESOURCE_VALIDATION_FAILED: &str = "ResourceValidationFailed";

    // Of BackupConfiguration's sessions.
    /// Of [`super::SCHEDULER_ENSURED`]: it is.
    pub const SCHEDULER_ENSURED: &str = "SchedulerEnsured";
    /// Of [`super::SCHEDULER_ENSURED`]: it is not.
    pub const SCHEDULER_NOT_ENSURED: &str = "SchedulerNotEnsured";
    /// Of [`super::INITIAL_BACKUP_TRIGGERED`]: it was.
    pub const SUCCESSFULLY_TRIGGERED_INITIAL_BACKUP: &str = "SuccessfullyTriggeredInitialBackup";
    /// Of [`super::INITIAL_BACKUP_TRIGGERED`]: it could not be.
    pub const FAILED_TO_TRIGGER_INITIAL_BACKUP: &str = "FailedToTriggerInitialBackup";

    // Of BackupSession.
    /// Of [`super::BACKUP_SKIPPED`]: the invoker is not ready, or another session of it runs.
    pub const PRE_REQUISITES_NOT_SATISFIED: &str = "PreRequisitesNotSatisfied";
    /// Of [`super::PRE_BACKUP_HOOKS_EXECUTION_SUCCEEDED`]: they did.
    pub const SUCCESSFULLY_EXECUTED_PRE_BACKUP_HOOKS: &str = "SuccessfullyExecutedPreBackupHooks";
    /// Of [`super::PRE_BACKUP_HOOKS_EXECUTION_SUCCEEDED`]: they did not.
    pub const FAILED_TO_EXECUTE_PRE_BACKUP_HOOKS: &str = "FailedToExecutePreBackupHooks";
    /// Of [`super::SNAPSHOTS_ENSURED`]: they are.
    pub const SUCCESSFULLY_ENSURED_SNAPSHOTS: &str = "SuccessfullyEnsuredSnapshots";
    /// Of [`super::SNAPSHOTS_ENSURED`]: they are not.
    pub const FAILED_TO_ENSURE_SNAPSHOTS: &str = "FailedToEnsureSnapshots";
    /// Of [`super::BACKUP_EXECUTOR_ENSURED`]: it is.
    pub const SUCCESSFULLY_ENSURED_BACKUP_EXECUTOR: &str = "SuccessfullyEnsuredBackupExecutor";
    /// Of [`super::BACKUP_EXECUTOR_ENSURED`]: it is not.
    pub const FAILED_TO_ENSURE_BACKUP_EXECUTOR: &str = "FailedToEnsureBackupExecutor";
    /// Of [`super::POD_HAS_BEEN_IN_PENDING_STATE_FOR_LONGER_THAN_EXPECTED`]: it does not.
    pub const POD_HAS_BEEN_IN_PENDING_STATE_FOR_LONGER_THAN_EXPECTED: &str = "PodHasBeenInPendingStateForLongerThanExpected";
    /// Of [`super::POST_BACKUP_HOOKS_EXECUTION_SUCCEEDED`]: they did.
    pub const SUCCESSFULLY_EXECUTED_POST_BACKUP_HOOKS: &str = "SuccessfullyExecutedPostBackupHooks";
    /// Of [`super::POST_BACKUP_HOOKS_EXECUTION_SUCCEEDED`]: they did not.
    pub const FAILED_TO_EXECUTE_POST_BACKUP_HOOKS: &str = "FailedToExecutePostBackupHooks";
    /// Of [`super::RETENTION_POLICY_EXECUTOR_ENSURED`]: it is.
    pub const SUCCESSFULLY_ENSURED_RETENTION_POLICY_EXECUTOR: &str = "SuccessfullyEnsuredRetentionPolicyExecutor";
    /// Of [`super::RETENTION_POLICY_EXECUTOR_ENSURED`]: it is not.
    pub const FAILED_TO_ENSURE_RETENTION_POLICY_EXECUTOR: &str = "FailedToEnsureRetentionPolicyExecutor";
    /// Of [`super::SNAPSHOT_CLEANUP_INCOMPLETE`]: its Job ended.
    pub const SNAPSHOT_CLEANUP_TERMINATED_BEFORE_COMPLETION: &str = "SnapshotCleanupTerminatedBeforeCompletion";
    /// Of [`super::SESSION_HISTORY_CLEANED`]: they are.
    pub const SUCCESSFULLY_CLEANED_SESSION_HISTORY: &str = "SuccessfullyCleanedSessionHistory";
    /// Of [`super::SESSION_HISTORY_CLEANED`]: they are not.
    pub const FAILED_TO_CLEAN_SESSION_HISTORY: &str = "FailedToCleanSessionHistory";

    // Of BackupSession and RestoreSession.
    /// Of [`super::METRICS_PUSHED`]: it was.
    pub const SUCCESSFULLY_PUSHED_METRICS: &str = "SuccessfullyPushedMetrics";
    /// Of [`super::METRICS_PUSHED`]: it was not.
    pub const FAILED_TO_PUSH_METRICS: &str = "FailedToPushMetrics";
    /// Of [`super::SNAPSHOT_FOUND`]: there is none, or it cannot be restored.
    pub const SNAPSHOT_NOT_FOUND: &str = "SnapshotNotFound";
    /// Of [`super::DEADLINE_EXCEEDED`]: the deadline has passed.
    pub const TIMEOUT_REACHED: &str = "TimeoutReached";

    // Of RestoreSession.
    /// Of [`super::RESTORE_TARGET_FOUND`]: it is. Our own word.
    pub const RESTORE_TARGET_AVAILABLE: &str = "RestoreTargetAvailable";
    /// Of [`super::RESTORE_TARGET_FOUND`]: it is not. Our own word.
    pub const RESTORE_TARGET_NOT_AVAILABLE: &str = "RestoreTargetNotAvailable";
    /// Of [`super::RESTORE_TARGET_FOUND`]: nobody can tell.
    pub const UNABLE_TO_CHECK_TARGET_AVAILABILITY: &str = "UnableToCheckTargetAvailability";
    /// Of [`super::PRE_RESTORE_HOOKS_EXECUTION_SUCCEEDED`]: they did.
    pub const SUCCESSFULLY_EXECUTED_PRE_RESTORE_HOOKS: &str = "SuccessfullyExecutedPreRestoreHooks";
    /// Of [`super::PRE_RESTORE_HOOKS_EXECUTION_SUCCEEDED`]: they did not.
    pub const FAILED_TO_EXECUTE_PRE_RESTORE_HOOKS: &str = "FailedToExecutePreRestoreHooks";
    /// Of [`super::RESTORE_EXECUTOR_ENSURED`]: it is.
    pub const SUCCESSFULLY_ENSURED_RESTORE_EXECUTOR: &str = "SuccessfullyEnsuredRestoreExecutor";
    /// Of [`super::RESTORE_EXECUTOR_ENSURED`]: it is not.
    pub const FAILED_TO_ENSURE_RESTORE_EXECUTOR: &str = "FailedToEnsureRestoreExecutor";
    /// Of [`super::POST_RESTORE_HOOKS_EXECUTION_SUCCEEDED`]: they did.
    pub const SUCCESSFULLY_EXECUTED_POST_RESTORE_HOOKS: &str = "SuccessfullyExecutedPostRestoreHooks";
    /// Of [`super::POST_RESTORE_HOOKS_EXECUTION_SUCCEEDED`]: they did not.
    pub const FAILED_TO_EXECUTE_POST_RESTORE_HOOKS: &str = "FailedToExecutePostRestoreHooks";
    /// Of [`super::RESTORE_INCOMPLETE`]: its Job ended.
    pub const RESTORE_EXECUTOR_TERMINATED_BEFORE_COMPLETION: &str = "RestoreExecutorTerminatedBeforeCompletion";

    // Of BackupVerificationSession.
    /// Of [`super::BACKUP_VERIFICATION_SKIPPED`]: the Snapshot was verified before.
    pub const SNAPSHOT_ALREADY_VERIFIED: &str = "SnapshotAlreadyVerified";
    /// Of [`super::VERIFICATION_EXECUTOR_ENSURED`]: it is.
    pub const SUCCESSFULLY_ENSURED_VERIFICATION_EXECUTOR: &str = "SuccessfullyEnsuredVerificationExecutor";
    /// Of [`super::VERIFICATION_EXECUTOR_ENSURED`]: it is not.
    pub const FAILED_TO_ENSURE_VERIFICATION_EXECUTOR: &str = "FailedToEnsureVerificationExecutor";
    /// Of [`super::RESTORE_SUCCEEDED`]: it could.
    pub const SUCCESSFULLY_RESTORED_BACKUP: &str = "SuccessfullyRestoredBackup";
    /// Of [`super::RESTORE_SUCCEEDED`]: it could not.
    pub const FAILED_TO_RESTORE_BACKUP: &str = "FailedToRestoreBackup";
    /// Of [`super::BACKUP_VERIFIED`]: it is.
    pub const SUCCESSFULLY_VERIFIED_BACKUP: &str = "SuccessfullyVerifiedBackup";
    /// Of [`super::BACKUP_VERIFIED`]: it is not.
    pub const FAILED_TO_VERIFY_BACKUP: &str = "FailedToVerifyBackup";
    /// Of [`super::VERIFICATION_SESSION_HISTORY_CLEANED`]: they are.
    pub const SUCCESSFULLY_CLEANED_VERIFICATION_SESSION_HISTORY: &str = "SuccessfullyCleanedVerificationSessionHistory";
    /// Of [`super::VERIFICATION_SESSION_HISTORY_CLEANED`]: they are not.
    pub const FAILED_TO_CLEAN_VERIFICATION_SESSION_HISTORY: &str = "FailedToCleanVerificationSessionHistory";
}
