//! Flags that choose objects, as the Functions `kubedump-backup` and `kubedump-restore` write them: all are text, and empty where unset.

use clap::Args;
use kubestash::session::parameters::FilterParameters;

/// What to take.
#[derive(Debug, Args)]
pub struct FilterFlags {
    /// Labels that all must be there
    #[arg(long, default_value = "")]
    and_label_selectors: String,
    /// Labels of which one must be there
    #[arg(long, default_value = "")]
    or_label_selectors: String,
    /// Label selector of older releases
    #[arg(long, default_value = "")]
    selector: String,
    /// Whether to take cluster-scoped kinds
    #[arg(long, default_value = "")]
    include_cluster_resources: String,
    /// Namespaces to take
    #[arg(long, default_value = "")]
    include_namespaces: String,
    /// Namespaces to leave out
    #[arg(long, default_value = "")]
    exclude_namespaces: String,
    /// Kinds to take
    #[arg(long, default_value = "")]
    include_resources: String,
    /// Kinds to leave out
    #[arg(long, default_value = "")]
    exclude_resources: String,
    /// Accepted from KubeStash's Functions; there is no cache here that could be turned off
    #[arg(long, default_value = "")]
    enable_cache: String,
    /// Accepted from KubeStash's Functions; nothing is written to disk on the way
    #[arg(long, default_value = "")]
    scratch_dir: String,
}

impl FilterFlags {
    /// As the library reads them.
    pub fn parameters(&self) -> FilterParameters {
        FilterParameters {
            anded_labels: self.and_label_selectors.clone(),
            ored_labels: self.or_label_selectors.clone(),
            label_selector: self.selector.clone(),
            include_cluster_resources: self.include_cluster_resources.clone(),
            include_namespaces: self.include_namespaces.clone(),
            exclude_namespaces: self.exclude_namespaces.clone(),
            include_resources: self.include_resources.clone(),
            exclude_resources: self.exclude_resources.clone(),
        }
    }
}
