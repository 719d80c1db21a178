//! Flags of all commands: kubectl's own, and where the repository is.

use std::{num::NonZeroUsize, path::PathBuf, time::Duration};

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use kubestash::{
    api::{DurationError, parse_duration},
    cluster::ClusterArgs,
    repository::DiskCache,
    store::{Location, Provider, StoreOptions},
};

use super::{output::parse_size, repo::home};

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Table,
    Wide,
    Json,
    Yaml,
    Name,
}

#[derive(Debug, Clone, Args)]
pub struct GlobalArgs {
    /// Namespace to work in
    #[arg(short = 'n', long, global = true, value_name = "NAMESPACE", help_heading = "Cluster")]
    pub namespace: Option<String>,
    /// All namespaces
    #[arg(short = 'A', long, global = true, help_heading = "Cluster")]
    pub all_namespaces: bool,
    /// Path to the kubeconfig file
    #[arg(long, global = true, value_name = "FILE", help_heading = "Cluster")]
    pub kubeconfig: Option<PathBuf>,
    /// Name of the kubeconfig context
    #[arg(long, global = true, help_heading = "Cluster")]
    pub context: Option<String>,
    /// Name of the kubeconfig cluster
    #[arg(long, global = true, help_heading = "Cluster")]
    pub cluster: Option<String>,
    /// Name of the kubeconfig user
    #[arg(long, global = true, help_heading = "Cluster")]
    pub user: Option<String>,
    /// User to act as
    #[arg(long = "as", global = true, value_name = "USER", help_heading = "Cluster")]
    pub as_user: Option<String>,
    /// Group to act as a member of; may be repeated
    #[arg(long = "as-group", global = true, value_name = "GROUP", help_heading = "Cluster")]
    pub as_group: Vec<String>,
    /// UID to act with
    #[arg(long = "as-uid", global = true, value_name = "UID", help_heading = "Cluster")]
    pub as_uid: Option<String>,
    /// Address of the API server
    #[arg(short = 's', long, global = true, value_name = "URL", help_heading = "Cluster")]
    pub server: Option<String>,
    /// Bearer token for the API server
    #[arg(long, global = true, hide_env_values = true, help_heading = "Cluster")]
    pub token: Option<String>,
    /// Do not check the API server's certificate
    #[arg(long, global = true, help_heading = "Cluster")]
    pub insecure_skip_tls_verify: bool,
    /// PEM file of the authority behind the API server's certificate
    #[arg(long, global = true, value_name = "FILE", help_heading = "Cluster")]
    pub certificate_authority: Option<PathBuf>,
    /// Longest wait for an answer of the API server, as in 30s or 2m [default: 60s]
    #[arg(long, global = true, value_name = "TIME", value_parser = request_timeout, help_heading = "Cluster")]
    pub request_timeout: Option<Duration>,
    /// Verbosity of logs, 0 to 9
    #[arg(short = 'v', long = "v", global = true, value_name = "LEVEL", default_value_t = 0, hide_default_value = true, help_heading = "Output")]
    pub verbosity: u8,
    /// Print results only, no progress and no hints
    #[arg(short = 'q', long, global = true, help_heading = "Output")]
    pub quiet: bool,
    /// Repository: a folder, s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or az://CONTAINER/PREFIX [default: a folder below your home]
    #[arg(long, global = true, env = "KUBESTASH_REPO", value_name = "PLACE", help_heading = "Repository")]
    pub repo: Option<String>,
    /// Directory in the storage, where it holds several repositories
    #[arg(long, global = true, env = "KUBESTASH_DIRECTORY", value_name = "NAME", help_heading = "Repository")]
    pub directory: Option<String>,
    /// File with the password of the repository [env: KUBESTASH_PASSWORD holds the password itself]
    #[arg(long, global = true, env = "KUBESTASH_PASSWORD_FILE", value_name = "FILE", help_heading = "Repository")]
    pub password_file: Option<PathBuf>,
    /// Endpoint of an S3 store that is not AWS
    #[arg(long, global = true, env = "AWS_ENDPOINT_URL", value_name = "URL", help_heading = "Repository")]
    pub s3_endpoint: Option<String>,
    /// Region of the S3 bucket
    #[arg(long, global = true, env = "AWS_REGION", value_name = "REGION", help_heading = "Repository")]
    pub s3_region: Option<String>,
    /// Storage account of an az:// repository
    #[arg(long, global = true, env = "AZURE_STORAGE_ACCOUNT", value_name = "NAME", help_heading = "Repository")]
    pub azure_account: Option<String>,
    /// Endpoint of an Azure store that is not at ACCOUNT.blob.core.windows.net
    #[arg(long, global = true, env = "AZURE_STORAGE_ENDPOINT", value_name = "URL", help_heading = "Repository")]
    pub azure_endpoint: Option<String>,
    /// PEM file of the authorities behind the store's certificate
    #[arg(long, global = true, env = "AWS_CA_BUNDLE", value_name = "FILE", help_heading = "Repository")]
    pub cacert: Option<PathBuf>,
    /// Do not check the store's certificate
    #[arg(long, global = true, help_heading = "Repository")]
    pub insecure_tls: bool,
    /// Requests to the store at the same time [default: as many as there is work for]
    #[arg(long, global = true, env = "KUBESTASH_MAX_CONNECTIONS", value_name = "NUMBER", help_heading = "Repository")]
    pub max_connections: Option<NonZeroUsize>,
    /// Keep nothing of a bucket on this machine
    #[arg(long, global = true, help_heading = "Repository")]
    pub no_cache: bool,
    /// Folder for what was read of buckets, encrypted as it is there [default: kubestash in your cache folder]
    #[arg(long, global = true, env = "KUBESTASH_CACHE_DIR", value_name = "FOLDER", help_heading = "Repository")]
    pub cache_dir: Option<PathBuf>,
    /// Most that is kept there, as in 500M [default: 1G]
    #[arg(long, global = true, env = "KUBESTASH_CACHE_SIZE", value_name = "SIZE", value_parser = parse_size, help_heading = "Repository")]
    pub cache_size: Option<u64>,
    /// These are of the repository that a copy is made from: its credentials may stand in variables of their own.
    #[arg(skip)]
    pub is_source: bool,
}

/// As kubectl reads it: a number alone counts seconds.
fn request_timeout(text: &str) -> Result<Duration, DurationError> {
    text.parse().map(Duration::from_secs).or_else(|_| parse_duration(text))
}

/// In front of the names of variables that are meant for the source of a copy.
const FROM: &str = "FROM_";

impl GlobalArgs {
    pub fn cluster_args(&self) -> ClusterArgs {
        ClusterArgs {
            kubeconfig: self.kubeconfig.clone(),
            context: self.context.clone(),
            cluster: self.cluster.clone(),
            user: self.user.clone(),
            namespace: self.namespace.clone(),
            as_user: self.as_user.clone(),
            as_groups: self.as_group.clone(),
            as_uid: self.as_uid.clone(),
            server: self.server.clone(),
            token: self.token.clone(),
            insecure_skip_tls_verify: self.insecure_skip_tls_verify,
            certificate_authority: self.certificate_authority.clone(),
            // For kubectl zero is no deadline at all; here a request without one could hang.
            request_timeout: self.request_timeout.filter(|limit| !limit.is_zero()),
        }
    }

    /// What was read of a bucket; nothing where none is wanted, and for a folder, which is as near.
    pub fn cache(&self, location: &Location) -> Option<DiskCache> {
        location.provider().filter(|_| !self.no_cache)?;
        let folder = self.cache_dir.clone().or_else(|| home("XDG_CACHE_HOME", ".cache").ok())?;
        Some(DiskCache::new(folder, self.cache_size.unwrap_or(DiskCache::DEFAULT_LIMIT)))
    }

    /// Settings of a store; credentials come from the variables of its provider's own tools.
    pub fn store_options(&self, location: &Location) -> anyhow::Result<StoreOptions> {
        let max_connections = self.max_connections;
        let Some(provider) = location.provider() else { return Ok(StoreOptions { max_connections, ..StoreOptions::default() }) };
        let found = StoreOptions::from_variables(provider, &variables(self.is_source, provider, &|name| std::env::var(name).ok()));
        let mut options = found.with_context(|| format!("cannot use {location}"))?;
        match provider {
            Provider::S3 => {
                options.endpoint = self.s3_endpoint.clone().or(options.endpoint);
                options.region = self.s3_region.clone().or(options.region);
            }
            Provider::Azure => {
                options.endpoint = self.azure_endpoint.clone().or(options.endpoint);
                options.account = self.azure_account.clone().or(options.account);
            }
            Provider::Gcs => {}
        }
        if let Some(path) = &self.cacert {
            options.ca_certificate = Some(std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?);
        }
        Ok(StoreOptions { insecure_tls: self.insecure_tls, max_connections, ..options })
    }
}

/// Whether the source of a copy has credentials of its own: `FROM_AWS_ACCESS_KEY_ID` and the like. Nothing that is meant for the target is then
/// used for it, so that credentials of one account are never sent to the other's store.
pub fn source_has_credentials(provider: Provider, get: &dyn Fn(&str) -> Option<String>) -> bool {
    let names: &[&str] = match provider {
        Provider::S3 => &["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"],
        Provider::Gcs => &["GOOGLE_SERVICE_ACCOUNT_JSON_KEY", "GOOGLE_APPLICATION_CREDENTIALS"],
        Provider::Azure => &["AZURE_ACCOUNT_KEY", "AZURE_STORAGE_KEY", "AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_SAS_TOKEN", "AZURE_ACCOUNT_SAS"],
    };
    names.iter().any(|name| get(&format!("{FROM}{name}")).is_some())
}

/// Looks variables of a provider up, for the source of a copy or for any other repository.
fn variables<'a>(is_source: bool, provider: Provider, get: &'a dyn Fn(&str) -> Option<String>) -> impl Fn(&str) -> Option<String> + 'a {
    let own = is_source && source_has_credentials(provider, get);
    move |name| if own { get(&format!("{FROM}{name}")) } else { get(name) }
}

/// `-o`.
#[derive(Debug, Clone, Copy, Args)]
pub struct OutputArgs {
    /// Output format
    #[arg(short = 'o', long, value_enum, default_value_t = Format::Table)]
    pub output: Format,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_timeout_is_read_as_kubectl_reads_it() {
        for (text, seconds) in [("5", 5), ("30s", 30), ("2m", 120), ("0", 0)] {
            assert_eq!(request_timeout(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        assert!(request_timeout("soon").is_err());
    }

    #[test]
    fn a_source_has_all_its_credentials_from_one_place() {
        let get = |name: &str| match name {
            "AWS_ACCESS_KEY_ID" | "AWS_SECRET_ACCESS_KEY" | "AWS_SESSION_TOKEN" => Some("target".to_owned()),
            "FROM_AWS_ACCESS_KEY_ID" => Some("source".to_owned()),
            _ => None,
        };
        for (is_source, provider, name, expected) in [
            (true, Provider::S3, "AWS_ACCESS_KEY_ID", Some("source")),
            (true, Provider::S3, "AWS_SESSION_TOKEN", None),
            (false, Provider::S3, "AWS_ACCESS_KEY_ID", Some("target")),
            (true, Provider::Azure, "AWS_SESSION_TOKEN", Some("target")),
        ] {
            assert_eq!(variables(is_source, provider, &get)(name).as_deref(), expected, "{is_source} {provider:?} {name}");
        }
    }

    #[test]
    fn the_guide_has_every_option_of_stores() {
        let guide = include_str!("../../../docs/stores.md");
        let command = GlobalArgs::augment_args(clap::Command::new("all"));
        let ours = |argument: &&clap::Arg| argument.get_help_heading() == Some("Repository");
        let elsewhere = ["directory", "password-file"];
        let options: Vec<String> = command.get_arguments().filter(ours).filter_map(|argument| argument.get_long()).map(str::to_owned).collect();
        assert!(options.len() > 10);
        let missing: Vec<&String> =
            options.iter().filter(|option| !elsewhere.contains(&option.as_str()) && !guide.contains(&format!("`--{option}"))).collect();
        assert!(missing.is_empty(), "docs/stores.md lacks {missing:?}");
    }
}
