//! The one place that talks to a Kubernetes API server: connection, requests with deadlines and retries, discovery.

mod discovery;
mod passing;
mod request;
mod watch;

use std::{path::PathBuf, time::Duration};

use kube::config::{KubeConfigOptions, Kubeconfig};

pub(crate) use discovery::collection_path;
pub use discovery::{Discovery, Kind, ResolveError};
pub use passing::Passing;
pub use request::{ApiError, ListBody, Method, percent_encode};
pub use watch::{Event, Watch};

use crate::repository::ClusterId;

/// kubectl's connection flags.
#[derive(Debug, Clone, Default)]
pub struct ClusterArgs {
    /// Path of a kubeconfig; else `$KUBECONFIG`, `~/.kube/config`, the pod's own account.
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig.
    pub context: Option<String>,
    /// Cluster of the kubeconfig.
    pub cluster: Option<String>,
    /// User of the kubeconfig.
    pub user: Option<String>,
    /// Namespace instead of the context's.
    pub namespace: Option<String>,
    /// Act as this user.
    pub as_user: Option<String>,
    /// Act as a member of these groups.
    pub as_groups: Vec<String>,
    /// Act with this uid.
    pub as_uid: Option<String>,
    /// URL of the API server.
    pub server: Option<String>,
    /// Bearer token.
    pub token: Option<String>,
    /// Accept any certificate.
    pub insecure_skip_tls_verify: bool,
    /// PEM file of the authority that signed the server's certificate.
    pub certificate_authority: Option<PathBuf>,
    /// Longest wait for an answer, and for the next piece of one; a minute where nothing is said.
    pub request_timeout: Option<Duration>,
}

/// Longest wait for an answer where nothing else is asked for. The API server itself ends requests after a minute.
const DEADLINE: Duration = Duration::from_secs(60);

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// No usable configuration.
    #[error("no cluster to talk to: {reason}; set --kubeconfig or $KUBECONFIG, or choose a --context (kubectl config get-contexts)")]
    Config {
        /// What is wrong with it.
        reason: String,
    },
    /// The API server does not answer or refuses.
    #[error("cannot talk to the API server {server}")]
    Server {
        /// Its URL.
        server: String,
        /// Why.
        #[source]
        source: ApiError,
    },
}

/// A connection. Cloning is cheap; each request in flight is a TCP connection of its own, which is kept for the next.
#[derive(Clone)]
pub struct Cluster {
    client: kube::Client,
    patient: kube::Client,
    default_namespace: String,
    context: String,
    server: String,
    /// Longest wait for the head of an answer, and between two pieces of a body.
    deadline: Duration,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Cluster({} at {})", self.context, self.server)
    }
}

fn config_error(error: impl std::error::Error) -> ConnectError {
    let mut reason = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        if !reason.contains(&error.to_string()) {
            reason = format!("{reason}: {error}");
        }
        cause = error.source();
    }
    ConnectError::Config { reason }
}

impl Cluster {
    /// Reads the configuration as kubectl does. Sends nothing yet.
    ///
    /// # Errors
    /// `Config` when there is none or it names what does not exist.
    pub async fn connect(args: &ClusterArgs) -> Result<Self, ConnectError> {
        let options = KubeConfigOptions { context: args.context.clone(), cluster: args.cluster.clone(), user: args.user.clone() };
        let kubeconfig = match &args.kubeconfig {
            Some(path) => Some(Kubeconfig::read_from(path).map_err(config_error)?),
            None => match Kubeconfig::read() {
                Ok(config) => Some(config),
                Err(error) if args.server.is_none() && std::env::var_os("KUBERNETES_SERVICE_HOST").is_none() => return Err(config_error(error)),
                Err(_) => None,
            },
        };
        let (mut config, context) = match (kubeconfig, &args.server) {
            (Some(kubeconfig), _) => {
                let context = args.context.clone().or_else(|| kubeconfig.current_context.clone()).unwrap_or_default();
                (kube::Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(config_error)?, context)
            }
            (None, Some(server)) => (kube::Config::new(server.parse().map_err(config_error)?), "server".to_owned()),
            (None, None) => (kube::Config::incluster().map_err(config_error)?, "in-cluster".to_owned()),
        };
        if let Some(server) = &args.server {
            config.cluster_url = server.parse().map_err(config_error)?;
        }
        if let Some(token) = &args.token {
            config.auth_info.token = Some(token.clone().into());
        }
        if let Some(path) = &args.certificate_authority {
            config.root_cert_file = Some(path.clone());
        }
        config.accept_invalid_certs |= args.insecure_skip_tls_verify;
        if args.as_user.is_some() {
            config.auth_info.impersonate.clone_from(&args.as_user);
        }
        if !args.as_groups.is_empty() {
            config.auth_info.impersonate_groups = Some(args.as_groups.clone());
        }
        if args.as_uid.is_some() {
            config.auth_info.impersonate_uid.clone_from(&args.as_uid);
        }
        // Compression costs more than it saves near the server.
        config.disable_compression = true;
        let patient = kube::Client::try_from(config.clone()).map_err(config_error)?;
        // Our own retries know which requests may be repeated.
        config.default_retry = false;
        config.read_timeout = None;
        let default_namespace = args.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        let server = config.cluster_url.to_string().trim_end_matches('/').to_owned();
        let client = kube::Client::try_from(config).map_err(config_error)?;
        Ok(Self { client, patient, default_namespace, context, server, deadline: args.request_timeout.unwrap_or(DEADLINE) })
    }

    /// A connection over a given client, for tests.
    pub fn from_client(client: kube::Client) -> Self {
        let named = |name: &str| name.to_owned();
        Self {
            patient: client.clone(),
            client,
            default_namespace: named("default"),
            context: named("test"),
            server: named("test"),
            deadline: DEADLINE,
        }
    }

    /// A client for typed objects, which asks again when the API server is busy.
    pub fn client(&self) -> kube::Client {
        self.patient.clone()
    }

    /// The namespace of `-n`, of the context, or `default`.
    pub fn default_namespace(&self) -> &str {
        &self.default_namespace
    }

    /// Name of the context.
    pub fn context(&self) -> &str {
        &self.context
    }

    /// Which cluster this is.
    ///
    /// # Errors
    /// `Server` when the API server does not answer. A namespace kube-system that may not be read is no error: the server's URL then
    /// stands for the cluster.
    pub async fn identity(&self) -> Result<ClusterId, ConnectError> {
        let failed = |source| ConnectError::Server { server: self.server.clone(), source };
        let version: serde_json::Value = self.get_json("/version").await.map_err(failed)?;
        let namespace: Result<serde_json::Value, ApiError> = self.get_json("/api/v1/namespaces/kube-system").await;
        let uid = match namespace {
            Ok(namespace) => namespace.pointer("/metadata/uid").and_then(|uid| uid.as_str()).map(str::to_owned),
            Err(_) => None,
        };
        let text = |key| version.get(key).and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
        Ok(ClusterId { uid: uid.unwrap_or_else(|| self.server.clone()), name: self.context.clone(), server_version: text("gitVersion") })
    }
}
