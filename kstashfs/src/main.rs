//! `kstashfs`: the daemon by itself, for fstab, systemd and pods. `kubectl kubestash mount` does the same from a kubeconfig's side.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Context as _, bail};
use clap::Parser;
use kstashfs::{FileOptions, Forest, MountError, MountOptions, daemon};
use kubestash::{
    api::find_repositories,
    repository::{Password, Repository, choose},
    store::{Location, S3Options},
};

#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Mount a snapshot, or all of them, as a directory of YAML manifests
#[derive(Debug, Parser)]
#[command(name = "kstashfs", version)]
struct Args {
    /// The repository: a folder or s3://BUCKET/PREFIX
    repo: String,
    /// Directory to mount on
    mountpoint: PathBuf,
    /// Snapshot to mount: a name, a unique beginning, `latest` or a time
    #[arg(long, default_value = "latest")]
    snapshot: String,
    /// Mount all snapshots
    #[arg(long, conflicts_with = "snapshot")]
    all: bool,
    /// Whole objects, with what the server stamps
    #[arg(long)]
    full: bool,
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
    /// Stay in the foreground
    #[arg(short, long)]
    foreground: bool,
    /// Let other users in
    #[arg(long)]
    allow_other: bool,
    /// Do not put neighbours into the page cache before they are asked for
    #[arg(long)]
    no_push: bool,
    /// Event loops
    #[arg(long, default_value_t = 3)]
    threads: usize,
    /// Seconds that a reader waits for the store before it gets an I/O error
    #[arg(long, default_value_t = 60)]
    timeout: u64,
}

fn main() -> ExitCode {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let args = Args::parse();
    run(&args).unwrap_or_else(|error| {
        eprintln!("error: {error}");
        for cause in error.chain().skip(1) {
            eprintln!("  cause: {cause}");
        }
        if let Some(hint) = error.downcast_ref::<MountError>().and_then(MountError::hint) {
            eprintln!("  hint: {hint}");
        }
        ExitCode::FAILURE
    })
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

async fn serve(args: &Args) -> anyhow::Result<()> {
    // First what is quickly told: opening a repository takes a second of a core.
    let place = std::path::absolute(&args.mountpoint)?;
    kstashfs::check(&place)?;
    let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let s3 = S3Options {
        endpoint: args.s3_endpoint.clone(),
        region: args.s3_region.clone(),
        access_key_id: variable("AWS_ACCESS_KEY_ID"),
        secret_access_key: variable("AWS_SECRET_ACCESS_KEY"),
        session_token: variable("AWS_SESSION_TOKEN"),
        ..S3Options::default()
    };
    let storage = Location::parse(&args.repo)?.open(&s3, false)?;
    let mut found = find_repositories(&storage, args.directory.as_deref()).await?;
    let (Some((native, _)), true) = (found.pop(), found.is_empty()) else {
        bail!("{} holds no repository, or several: name one with --directory", args.repo);
    };
    let password = match (&args.password_file, variable("KUBESTASH_PASSWORD")) {
        (Some(path), _) => Password::new(std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?),
        (None, Some(text)) => Password::new(text),
        (None, None) => bail!("no password: name a --password-file or set KUBESTASH_PASSWORD"),
    };
    let repository = Repository::open(native.sub(kubestash::api::NATIVE_PATH), &password).await?;
    let list = repository.snapshots().await?;
    for (_, error) in &list.damaged {
        eprintln!("warning: a snapshot cannot be read: {error}");
    }
    let look = FileOptions { full: args.full, deadline: Duration::from_secs(args.timeout.max(1)) };
    let forest = if args.all {
        Forest::all(repository, list.roots, look)
    } else {
        Forest::of(&repository.open_snapshot(choose(&list.roots, &args.snapshot)?).await?, look)
    };
    let options = MountOptions { allow_other: args.allow_other, push: !args.no_push, threads: args.threads, source: args.repo.clone() };
    let mut signals = daemon::Signals::catch()?;
    let mount = kstashfs::mount(forest, &place, &options, tokio::runtime::Handle::current())?;
    if daemon::is_background() {
        daemon::report_ready(&daemon::log_file(&place))?;
    }
    signals.wait(&mount).await;
    Ok(())
}
