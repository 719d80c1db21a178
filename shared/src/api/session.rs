//! What a BackupConfiguration says about where, when and how.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    addon_info::AddonInfo,
    deletion::RepositoryDeletionPolicy,
    hook::BackupHooks,
    reference::{ObjectReference, StorageReference},
    scheduler::Scheduler,
};

/// A storage, and which Snapshots stay in it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Backend {
    /// Name by which sessions mean it.
    #[schemars(length(max = 253))]
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The storage; the default one if there is no backend at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_ref: Option<StorageReference>,
    /// The policy that says which Snapshots stay; the default one if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention_policy: Option<ObjectReference>,
}

/// The backend that a repository means: that of the name; where no name is given the one without a name, or the only one.
pub fn find_backend<'a>(backends: &'a [Backend], name: Option<&str>) -> Option<&'a Backend> {
    let named = |name: &str| backends.iter().find(|backend| backend.name == name);
    match (name.filter(|name| !name.is_empty()), backends) {
        (Some(name), _) => named(name),
        (None, [only]) => Some(only),
        (None, _) => named(""),
    }
}

/// A backup that is made again and again.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Session {
    /// Name of the session.
    #[schemars(length(max = 253))]
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// When it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduler: Option<Scheduler>,
    /// What runs before and after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hooks: Option<BackupHooks>,
    /// Whether and when one that failed is tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_config: Option<RetryConfig>,
    /// How long it may take, such as `2h`; for ever if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup_timeout: Option<String>,
    /// How many BackupSessions stay.
    #[schemars(extend("default" = 1))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_history_limit: Option<i32>,
    /// What makes the backup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub addon: Option<AddonInfo>,
    /// Where the Snapshots go; one backup is written to all of them.
    #[schemars(length(max = 32))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub repositories: Vec<RepositoryInfo>,
    /// Whether a first backup is made as soon as all is ready, before the schedule says so. It is if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initial_backup: Option<bool>,
    /// Accepted from older releases and ignored: `retryConfig` has taken its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_policy: Option<String>,
}

impl Session {
    /// Whether a first backup is made as soon as all is ready.
    pub fn wants_initial_backup(&self) -> bool {
        self.initial_backup.unwrap_or(true)
    }

    /// How many BackupSessions stay.
    pub fn history_limit(&self) -> usize {
        usize::try_from(self.session_history_limit.unwrap_or(1)).unwrap_or(0)
    }
}

/// Whether and when a backup that failed is tried again.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RetryConfig {
    /// How often.
    #[schemars(range(min = 1), extend("default" = 1))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_retry: Option<i32>,
    /// How long after the failure, such as `1m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay: Option<String>,
}

/// A Repository that a session writes to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RepositoryInfo {
    /// Name of the Repository, which is made if it is not there.
    #[schemars(length(max = 253))]
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Name of the backend; may be absent where there is but one.
    #[schemars(length(max = 253))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend: Option<String>,
    /// Directory in the storage.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub directory: String,
    /// Secret with the password of the repository, under `RESTIC_PASSWORD`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption_secret: Option<ObjectReference>,
    /// The BackupVerifier that checks the Snapshots.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup_verifier: Option<ObjectReference>,
    /// What deleting the BackupConfiguration does to the Repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_policy: Option<RepositoryDeletionPolicy>,
}
