//! Flags that say how a restore is to be done, as the Function `kubedump-restore` writes them: all are text, and empty where unset.

use clap::Args;
use kubestash::session::parameters::RestoreParameters;

/// How to do it.
#[derive(Debug, Args)]
pub struct OptionFlags {
    /// Whether to bring existing objects to the snapshot's state
    #[arg(long, default_value = "")]
    override_resources: String,
    /// Storage classes to replace, as old=new
    #[arg(long, default_value = "")]
    storage_class_mappings: String,
    /// Namespaces to restore into others, as from:to
    #[arg(long, default_value = "")]
    namespace_mappings: String,
    /// What to do with existing objects
    #[arg(long, default_value = "")]
    existing: String,
    /// Whether to take fields over from other managers
    #[arg(long, default_value = "")]
    force_conflicts: String,
    /// Labels to set or remove
    #[arg(long, default_value = "")]
    labels: String,
    /// Annotations to set or remove
    #[arg(long, default_value = "")]
    annotations: String,
    /// Tools whose traces to leave out
    #[arg(long, default_value = "")]
    drop: String,
    /// JSON patches
    #[arg(long, default_value = "", allow_hyphen_values = true)]
    patches: String,
    /// Versions to write kinds under
    #[arg(long, default_value = "")]
    api_versions: String,
    /// Whether Services get their addresses back
    #[arg(long, default_value = "")]
    service_addresses: String,
    /// Kinds of which the status is restored as well
    #[arg(long, default_value = "")]
    restore_status: String,
}

impl OptionFlags {
    /// As the library reads them.
    pub fn parameters(&self) -> RestoreParameters {
        RestoreParameters {
            override_resources: self.override_resources.clone(),
            storage_classes: self.storage_class_mappings.clone(),
            namespaces: self.namespace_mappings.clone(),
            existing: self.existing.clone(),
            force_conflicts: self.force_conflicts.clone(),
            labels: self.labels.clone(),
            annotations: self.annotations.clone(),
            drop: self.drop.clone(),
            patches: self.patches.clone(),
            versions: self.api_versions.clone(),
            addresses: self.service_addresses.clone(),
            status: self.restore_status.clone(),
        }
    }
}
