//! The operator: reconcilers of KubeStash's custom resources.
//!
//! ```text
//! watch ─▶ observe (every read) ─▶ decide (pure) ─▶ apply (every write) ─▶ status ─▶ watch …
//!                                       ▲────────── what a step learned
//! ```
//! Each reconciler works from the state that it finds, never from what changed: after a restart, or beside a second operator for a moment, it
//! does the same. What a step has done is remembered by a condition; objects that a step makes have names that come from what they are for.
//! Work on a cluster's objects happens in Jobs.

mod backup_session;
mod configuration;
mod context;
mod finalizer;
mod hooks;
mod job_state;
mod leader;
mod metrics;
#[cfg(test)]
mod model;
mod outcome;
mod own_job;
mod repository;
mod restore_session;
mod server;
mod session;
mod snapshot;
mod steps;
mod storage;
mod watch;
mod webhook;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use clap::Args;
use kube::runtime::controller::Action;
use kubestash::session::job::{Image, JobError};
use tokio::signal::unix::{SignalKind, signal};

use self::context::Context;
use crate::cli::{CliContext, errors::hinted, exit};

/// Why a reconciliation ended early. It is tried again.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server's.
    #[error(transparent)]
    Api(#[from] kube::Error),
    /// Settings that make no Job.
    #[error(transparent)]
    Job(#[from] JobError),
    /// This machine's.
    #[error("{0}")]
    Machine(String),
}

impl Error {
    /// A short word for logs and metrics.
    fn category(&self) -> &'static str {
        match self {
            Self::Api(kube::Error::Api(status)) if status.code == 409 => "Conflict",
            Self::Api(kube::Error::Api(status)) if status.code == 403 => "Forbidden",
            Self::Api(_) => "ApiServer",
            Self::Job(_) => "JobSettings",
            Self::Machine(_) => "Machine",
        }
    }

    /// Whether something was decided for a state that is over.
    fn is_conflict(&self) -> bool {
        self.category() == "Conflict"
    }

    /// What happened, in a line.
    fn text(&self) -> String {
        match self {
            Self::Api(error) => crate::resources::said(error),
            other => other.to_string(),
        }
    }

    /// What becomes of the object: a conflict is nothing but an old view, the rest is left a while.
    fn again(&self) -> Action {
        if self.is_conflict() {
            return Action::requeue(Duration::from_millis(500));
        }
        Action::requeue(Duration::from_secs(kubestash::api::labels::REQUEUE_SECONDS))
    }
}

/// Run the operator
#[derive(Debug, Args)]
pub struct OperatorArgs {
    /// Image of the Jobs: the operator's own
    #[arg(long, env = "KUBESTASH_IMAGE")]
    image: String,
    /// When the Jobs' image is fetched
    #[arg(long, env = "KUBESTASH_IMAGE_PULL_POLICY", default_value = "IfNotPresent")]
    image_pull_policy: String,
    /// Namespace of the Lease
    #[arg(long, env = "POD_NAMESPACE", default_value = "kubestash")]
    lease_namespace: String,
    /// Name of this operator among others
    #[arg(long, env = "POD_NAME", default_value = "kubestash-operator")]
    identity: String,
    #[command(flatten)]
    webhook: webhook::WebhookArgs,
    /// Port of health and metrics
    #[arg(long, hide = true, default_value_t = kubestash::session::names::OPERATOR_PORTS.metrics)]
    metrics_port: u16,
}

pub async fn run(args: &OperatorArgs, cli: &CliContext) -> anyhow::Result<u8> {
    let cluster = cli.cluster().await?;
    let client = cluster.client();
    let image = Image { name: args.image.clone(), pull_policy: args.image_pull_policy.clone() };
    let context = Context::new(client.clone(), image);
    let ready = Arc::new(AtomicBool::new(false));
    let serving = async {
        tokio::try_join!(
            server::serve(args.metrics_port, Arc::clone(&context), Arc::clone(&ready)),
            webhook::serve(&args.webhook, &args.lease_namespace, Arc::clone(&context)),
        )
    };
    let (mut terminated, mut interrupted) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let working = async {
        let version = client.apiserver_version().await?;
        ready.store(true, Ordering::Relaxed);
        tracing::info!("connected to Kubernetes {}", version.git_version);
        leader::acquire(&client, &args.lease_namespace, &args.identity).await;
        tracing::info!("{} leads", args.identity);
        tokio::select! {
            () = watch::run(Arc::clone(&context)) => {}
            () = leader::keep(&client, &args.lease_namespace, &args.identity) => tracing::error!("the Lease is lost; starting anew"),
        }
        anyhow::Ok(exit::ERROR)
    };
    let code = tokio::select! {
        done = working => done?,
        served = serving => {
            served?;
            return Err(hinted("the server of health, metrics and webhook has ended", "look at the log before this line"));
        }
        _ = terminated.recv() => exit::OK,
        _ = interrupted.recv() => exit::OK,
    };
    // Steps that were cut short are done by the next operator: nothing depends on their being finished here.
    leader::release(&client, &args.lease_namespace, &args.identity).await;
    Ok(code)
}
