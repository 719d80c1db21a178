//! What commands share: flags, the repository, output, errors, exit codes.

pub mod args;
pub mod ask;
pub mod errors;
pub mod exit;
pub mod names;
pub mod objects;
pub mod output;
pub mod progress;
pub mod repo;
pub mod session;
pub mod snapshots;

use args::GlobalArgs;
use kubestash::{
    cluster::{Cluster, ConnectError},
    repository::Password,
};

/// Settings of one run, and the doors to cluster and repository.
pub struct CliContext {
    pub args: GlobalArgs,
    /// A password that is known already, before flags and variables are looked at.
    pub known_password: Option<Password>,
}

impl CliContext {
    pub fn new(args: GlobalArgs) -> Self {
        Self { args, known_password: None }
    }

    /// The cluster of the flags or the kubeconfig.
    pub async fn cluster(&self) -> Result<Cluster, ConnectError> {
        Cluster::connect(&self.args.cluster_args()).await
    }

    /// A line for people: to stderr, unless they asked for quiet.
    pub fn note(&self, line: &str) {
        if !self.args.quiet {
            anstream::eprintln!("{line}");
        }
    }
}
