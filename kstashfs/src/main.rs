//! `kstashfs`: the daemon by itself, for fstab, systemd and pods. `kubectl kubestash mount` does the same from a kubeconfig's side.

mod fstab;

use std::{
    ffi::OsString,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context as _, bail};
use clap::{CommandFactory as _, Parser};
use kstashfs::{FileOptions, Forest, MountError, MountOptions, daemon, permissions::PermissionArgs};
use kubestash::{
    api::find_repositories,
    collect::Filters,
    repository::{DiskCache, LATEST, Password, Repository, SnapshotList, choose},
    restore::{NothingShown, ShowError, SnapshotFilter},
    store::{Location, Provider, StoreOptions},
};

#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Mount a snapshot, or all of them, as a directory of YAML manifests
#[derive(Debug, Parser)]
#[command(name = "kstashfs", version)]
struct Args {
    /// The repository: a folder, s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or az://CONTAINER/PREFIX; `kstashfs:` may stand in front of it
    source: String,
    /// Directory to mount on
    mountpoint: PathBuf,
    /// Options as /etc/fstab has them: all below by their names, labels of SELinux as `context=…`, and what mount(8) knows
    #[arg(short = 'o', value_name = "OPTIONS")]
    options: Vec<String>,
    /// The repository, in the place of SOURCE
    #[arg(long, value_name = "PLACE")]
    repo: Option<String>,
    /// File with lines NAME=VALUE that are set as variables first: a store's credentials, where /etc/fstab cannot hold them
    #[arg(long, value_name = "FILE")]
    env_file: Option<PathBuf>,
    /// Snapshot to mount: a name, a unique beginning, `latest` or a time
    #[arg(long, default_value = "latest")]
    snapshot: String,
    /// Mount all snapshots
    #[arg(long, conflicts_with = "snapshot")]
    all: bool,
    /// Whole objects, with what the server stamps
    #[arg(long)]
    full: bool,
    /// Secrets without their values: keys and lengths only
    #[arg(long)]
    hide_secrets: bool,
    #[command(flatten)]
    show: ShowArgs,
    /// Directory in the storage, where it holds several repositories
    #[arg(long)]
    directory: Option<String>,
    /// File with the password [env: KUBESTASH_PASSWORD holds the password itself]
    #[arg(long, env = "KUBESTASH_PASSWORD_FILE")]
    password_file: Option<PathBuf>,
    /// Endpoint of an S3 store that is not AWS
    #[arg(long, env = "AWS_ENDPOINT_URL")]
    s3_endpoint: Option<String>,
    /// Region of the S3 bucket
    #[arg(long, env = "AWS_REGION")]
    s3_region: Option<String>,
    /// Storage account of an az:// repository
    #[arg(long, env = "AZURE_STORAGE_ACCOUNT")]
    azure_account: Option<String>,
    /// Endpoint of an Azure store that is not at ACCOUNT.blob.core.windows.net
    #[arg(long, env = "AZURE_STORAGE_ENDPOINT")]
    azure_endpoint: Option<String>,
    /// PEM file of the authorities behind the store's certificate
    #[arg(long, env = "AWS_CA_BUNDLE")]
    cacert: Option<PathBuf>,
    /// Do not check the store's certificate
    #[arg(long)]
    insecure_tls: bool,
    /// Requests to the store at the same time
    #[arg(long, env = "KUBESTASH_MAX_CONNECTIONS")]
    max_connections: Option<NonZeroUsize>,
    /// Folder for what was read of a bucket, encrypted as it is there; without it nothing is kept
    #[arg(long, env = "KUBESTASH_CACHE_DIR")]
    cache_dir: Option<PathBuf>,
    /// Most that is kept there, in MiB
    #[arg(long, default_value_t = DiskCache::DEFAULT_LIMIT >> 20, value_name = "MIB")]
    cache_size: u64,
    /// Stay in the foreground
    #[arg(short, long)]
    foreground: bool,
    /// Let other users in
    #[arg(long)]
    allow_other: bool,
    /// Do not put neighbours into the page cache before they are asked for
    #[arg(long)]
    no_push: bool,
    #[command(flatten)]
    permissions: PermissionArgs,
    /// An option for the kernel
    #[arg(long, value_name = "OPTION", hide = true)]
    mount_option: Vec<String>,
    /// Event loops
    #[arg(long, default_value_t = 3)]
    threads: usize,
    /// Seconds that a reader waits for the store before it gets an I/O error
    #[arg(long, default_value_t = 60)]
    timeout: u64,
}

/// What to show of each snapshot.
#[derive(Debug, clap::Args)]
struct ShowArgs {
    /// Namespaces to take, as names or globs
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    include_namespaces: Vec<String>,
    /// Namespaces to leave out
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    exclude_namespaces: Vec<String>,
    /// Kinds to take, as plural, plural.group, kind, short name or glob
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    include_resources: Vec<String>,
    /// Kinds to leave out
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    exclude_resources: Vec<String>,
    /// Whether to take cluster-scoped kinds [default: yes, unless namespaces are named]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    include_cluster_resources: Option<bool>,
    /// Label selector
    #[arg(short = 'l', long, default_value = "", hide_default_value = true)]
    selector: String,
    /// Objects to take, by names or globs of names; may be repeated
    #[arg(long = "name", value_name = "GLOB")]
    names: Vec<String>,
}

impl ShowArgs {
    fn filter(&self) -> Result<SnapshotFilter, ShowError> {
        let filters = Filters {
            include_namespaces: self.include_namespaces.clone(),
            exclude_namespaces: self.exclude_namespaces.clone(),
            include_resources: self.include_resources.clone(),
            exclude_resources: self.exclude_resources.clone(),
            include_cluster_resources: self.include_cluster_resources,
            selector: self.selector.clone(),
            ..Filters::default()
        };
        SnapshotFilter::new(&filters, &self.names)
    }
}

fn main() -> ExitCode {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let words = match fstab::translate(std::env::args_os().collect(), &known_options()) {
        Ok(fstab::Wanted::Mount(words)) => words,
        Ok(fstab::Wanted::Nothing) => return ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::from(2);
        }
    };
    parse(words).and_then(|args| run(&args)).unwrap_or_else(|error| {
        eprintln!("error: {error}");
        for cause in error.chain().skip(1) {
            eprintln!("  cause: {cause}");
        }
        let mount = error.downcast_ref::<MountError>().and_then(MountError::hint);
        if let Some(hint) = mount.or_else(|| error.downcast_ref::<NothingShown>().map(NothingShown::hint)) {
            eprintln!("  hint: {hint}");
        }
        ExitCode::FAILURE
    })
}

/// What may stand behind `-o`.
fn known_options() -> Vec<fstab::Known> {
    let command = Args::command();
    // What mount(8) starts goes to the background.
    let own = command.get_arguments().filter(|argument| !argument.is_hide_set() && argument.get_id() != "foreground");
    let known =
        own.filter_map(|argument| Some(fstab::Known { name: argument.get_long()?.to_owned(), takes_value: argument.get_action().takes_values() }));
    known.collect()
}

/// Reads the command line, with the variables of the file that it names.
fn parse(words: Vec<OsString>) -> anyhow::Result<Args> {
    let args = Args::parse_from(&words);
    let Some(path) = &args.env_file else { return Ok(args) };
    set_variables(path).with_context(|| format!("cannot use {} as --env-file", path.display()))?;
    Ok(Args::parse_from(words))
}

fn set_variables(path: &Path) -> anyhow::Result<()> {
    for (number, line) in (1..).zip(std::fs::read_to_string(path)?.lines().map(str::trim)) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let name_of = |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        // The line itself may be a secret.
        let (name, value) = line
            .split_once('=')
            .filter(|(name, value)| name_of(name) && !value.contains('\0'))
            .with_context(|| format!("line {number} is not NAME=VALUE"))?;
        let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
        // SAFETY: this process has no other thread yet.
        unsafe { std::env::set_var(name, value) };
    }
    Ok(())
}

fn run(args: &Args) -> anyhow::Result<ExitCode> {
    if !args.foreground && !daemon::is_background() {
        return Ok(match daemon::run_in_background()? {
            daemon::Started::Ready => ExitCode::SUCCESS,
            daemon::Started::Failed(code) => ExitCode::from(code),
        });
    }
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).with_max_level(tracing::Level::WARN).init();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let result = runtime.block_on(serve(args));
    runtime.shutdown_background();
    result.map(|()| ExitCode::SUCCESS)
}

/// Credentials come from the variables of the provider's own tools.
fn store_options(args: &Args, location: &Location) -> anyhow::Result<StoreOptions> {
    let Some(provider) = location.provider() else { return Ok(StoreOptions::default()) };
    let found = StoreOptions::from_variables(provider, &|name| std::env::var(name).ok());
    let mut options = found.with_context(|| format!("cannot use {location}"))?;
    match provider {
        Provider::S3 => {
            options.endpoint = args.s3_endpoint.clone().or(options.endpoint);
            options.region = args.s3_region.clone().or(options.region);
        }
        Provider::Azure => {
            options.endpoint = args.azure_endpoint.clone().or(options.endpoint);
            options.account = args.azure_account.clone().or(options.account);
        }
        Provider::Gcs => {}
    }
    if let Some(path) = &args.cacert {
        options.ca_certificate = Some(std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?);
    }
    Ok(StoreOptions { insecure_tls: args.insecure_tls, max_connections: args.max_connections, ..options })
}

async fn serve(args: &Args) -> anyhow::Result<()> {
    // First what is quickly told: opening a repository takes a second of a core.
    let place = std::path::absolute(&args.mountpoint)?;
    kstashfs::check(&place)?;
    let filter = args.show.filter()?;
    let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let source = args.repo.as_deref().unwrap_or(&args.source);
    // As /proc/mounts shows it, by which `mount -a` knows that it is mounted.
    let source = source.strip_prefix("kstashfs:").unwrap_or(source);
    let location = Location::parse(source)?;
    let storage = location.open(&store_options(args, &location)?, false)?;
    let mut found = find_repositories(&storage, args.directory.as_deref()).await?;
    let (Some((native, _)), true) = (found.pop(), found.is_empty()) else {
        bail!("{source} holds no repository, or several: name one with --directory");
    };
    let password = match (&args.password_file, variable("KUBESTASH_PASSWORD")) {
        (Some(path), _) => Password::new(std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?),
        (None, Some(text)) => Password::new(text),
        (None, None) => bail!("no password: name a --password-file or set KUBESTASH_PASSWORD"),
    };
    let repository = Repository::open(native.sub(kubestash::api::NATIVE_PATH), &password).await?;
    let cache = args.cache_dir.as_ref().filter(|_| location.provider().is_some());
    let repository = match cache.map(|folder| DiskCache::new(folder, args.cache_size.saturating_mul(1 << 20))) {
        Some(cache) => repository.with_cache(&cache),
        None => repository,
    };
    let newest = if args.snapshot == LATEST && !args.all { repository.newest().await? } else { None };
    let list = match newest {
        Some(root) => SnapshotList { roots: vec![root], ..SnapshotList::default() },
        None => repository.snapshots().await?,
    };
    for (_, error) in &list.damaged {
        eprintln!("warning: a snapshot cannot be read: {error}");
    }
    let look = FileOptions { full: args.full, hide_secrets: args.hide_secrets, deadline: Duration::from_secs(args.timeout.max(1)) };
    let forest = if args.all {
        filter.check_all(None, &list.roots)?;
        Forest::all(repository, list.roots, look).filtered(filter)
    } else {
        let whole = repository.open_snapshot(choose(&list.roots, &args.snapshot)?).await?;
        let snapshot = filter.of(&whole).await?;
        filter.check(whole.catalog(), snapshot.catalog())?;
        Forest::of(&snapshot, look)
    };
    let options = MountOptions {
        allow_other: args.allow_other,
        push: !args.no_push,
        threads: args.threads,
        source: source.to_owned(),
        permissions: args.permissions,
        labels: args.mount_option.clone(),
    };
    let mut signals = daemon::Signals::catch()?;
    let mount = kstashfs::mount(forest, &place, &options, tokio::runtime::Handle::current())?;
    if daemon::is_background() {
        daemon::report_ready(&daemon::log_file(&place))?;
    }
    signals.wait(&mount).await;
    Ok(())
}
