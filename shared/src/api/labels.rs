//! Groups, labels, annotations, finalizers and well-known names, in the words of KubeStash.

/// API group of storages, repositories and snapshots.
pub const STORAGE_GROUP: &str = "storage.kubestash.com";
/// API group of backups and restores.
pub const CORE_GROUP: &str = "core.kubestash.com";
/// API group of Addons and Functions.
pub const ADDONS_GROUP: &str = "addons.kubestash.com";
/// API group of files in a backend.
pub const CONFIG_GROUP: &str = "config.kubestash.com";
/// Version of all groups.
pub const VERSION: &str = "v1alpha1";

/// Label: who manages the object.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Value of [`MANAGED_BY`].
pub const MANAGED_BY_KUBESTASH: &str = "kubestash.com";
/// Label: what the object does for a backup; see [`component`].
pub const COMPONENT_LABEL: &str = "app.kubernetes.io/component";
/// Label: kind of the object that it works for.
pub const INVOKER_KIND: &str = "kubestash.com/invoker-kind";
/// Label: name of the object that it works for. On a BackupSession that is its BackupConfiguration, on the Pods of a Job the BackupSession or
/// RestoreSession.
pub const INVOKER_NAME: &str = "kubestash.com/invoker-name";
/// Label: namespace of the object that it works for.
pub const INVOKER_NAMESPACE: &str = "kubestash.com/invoker-namespace";
/// Label: session that it works for.
pub const SESSION_NAME: &str = "kubestash.com/session-name";
/// Label of a Snapshot: its Repository.
pub const REPO_NAME: &str = "kubestash.com/repo-name";
/// Label of a Snapshot: kind of the application.
pub const APP_REF_KIND: &str = "kubestash.com/app-ref-kind";
/// Label of a Snapshot: namespace of the application.
pub const APP_REF_NAMESPACE: &str = "kubestash.com/app-ref-namespace";
/// Label of a Snapshot: name of the application.
pub const APP_REF_NAME: &str = "kubestash.com/app-ref-name";
/// Label: part of KubeStash that the object is.
pub const APP: &str = "kubestash.com/app";
/// Value of [`APP`] for what mounts volumes of the network.
pub const NETVOL_ACCESSOR: &str = "kubestash-netvol-accessor";

/// Finalizer of all objects that leave something behind.
pub const CLEANUP_FINALIZER: &str = "kubestash.com/cleanup";
/// Annotation of a RestoreSession: for whom it is made.
pub const BENEFICIARY: &str = "restoresession.kubestash.com/beneficiary";

/// Annotation of an encryption Secret: other namespaces whose backups and restores may use it, with commas between them; `*` for all.
pub const ALLOWED_NAMESPACES: &str = "kubestash.com/allowed-namespaces";

/// Key of the repository password in an encryption Secret.
pub const PASSWORD_KEY: &str = "RESTIC_PASSWORD";
/// Seconds after which an object is looked at again that waits for something.
pub const REQUEUE_SECONDS: u64 = 10;

/// Values of [`COMPONENT_LABEL`].
pub mod component {
    /// Backs up.
    pub const BACKUP: &str = "kubestash-backup";
    /// Restores.
    pub const RESTORE: &str = "kubestash-restore";
    /// Initialises a backend.
    pub const INITIALIZER: &str = "kubestash-initializer";
    /// Uploads files to a backend.
    pub const UPLOADER: &str = "kubestash-uploader";
    /// Removes the data of a backend.
    pub const CLEANER: &str = "kubestash-cleaner";
    /// Applies a RetentionPolicy.
    pub const RETENTION_POLICY: &str = "kubestash-retention-policy";
    /// Runs a hook.
    pub const HOOK: &str = "kubestash-hook";
    /// Fills a volume.
    pub const POPULATOR: &str = "kubestash-populator";
    /// Verifies a Snapshot.
    pub const BACKUP_VERIFIER: &str = "kubestash-backup-verifier";
}

/// Annotations of an application for BackupBlueprints.
pub mod blueprint {
    /// Name of the BackupBlueprint.
    pub const NAME: &str = "blueprint.kubestash.com/name";
    /// Namespace of the BackupBlueprint.
    pub const NAMESPACE: &str = "blueprint.kubestash.com/namespace";
    /// Sessions to take, with commas between them; all if absent.
    pub const SESSION_NAMES: &str = "blueprint.kubestash.com/session-names";
    /// What the name of a variable follows.
    pub const VARIABLE_PREFIX: &str = "variables.kubestash.com/";
}
