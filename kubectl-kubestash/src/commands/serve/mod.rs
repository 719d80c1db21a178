//! `kubectl kubestash serve`: what a mount shows, over HTTP and WebDAV, read-only.
//!
//! ```text
//! answer (a request's method and path) ─▶ guard (who may ask) · range · dav (PROPFIND) · listing (HTML) ─▶ Browser (kstashfs: the tree of a mount)
//! ```
//! WebDAV is small where nothing can be written: OPTIONS and PROPFIND beside GET. A library for it would bring locks, properties that
//! can be set, and a file system of its own.

mod answer;
mod dav;
mod guard;
mod listing;
mod range;

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use anyhow::Context as _;
use axum::Router;
use clap::Args;
use kstashfs::{
    browse::Browser,
    permissions::{PermissionArgs, Permissions},
};
use kubestash::repository::Password;
use tokio::{net::TcpListener, signal::unix, sync::Semaphore};

use super::shown::ShownArgs;
use crate::cli::{CliContext, errors::hinted, exit, output::print_bytes};
use answer::Site;
use guard::Guard;

/// Requests that are answered at the same time; others wait.
const REQUESTS: usize = 32;

/// Show a snapshot, or all of them, over HTTP and WebDAV
///
/// The same read-only tree as a mount, for browsers, curl and WebDAV clients. Needs no FUSE.
#[derive(Debug, Args)]
#[command(override_usage = "kubectl kubestash serve [OPTIONS] [SNAPSHOT]\n       kubectl kubestash serve [OPTIONS] --all")]
pub struct ServeArgs {
    /// A name, a unique beginning of one, `latest`, a time or `live`
    #[arg(default_value = "latest", conflicts_with = "all")]
    pub snapshot: String,
    /// Serve all snapshots: /snapshots/NAME, /latest, /history, /changes and /by-day
    #[arg(long)]
    pub all: bool,
    /// Address and port; port 0 takes any that is free. An address that others reach asks them for a password
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// File with the password that readers have to give, as user `kubestash`; without it one is made where others reach the address
    #[arg(long, value_name = "FILE")]
    pub login_password_file: Option<PathBuf>,
    /// Whole objects, with what the server stamps
    #[arg(long)]
    pub full: bool,
    #[command(flatten)]
    pub shown: ShownArgs,
}

/// What readers have to log in with.
enum Login {
    /// Nothing.
    None,
    /// What whoever started it chose.
    Chosen(Password),
    /// What they have to be told.
    Made(Password),
}

impl Login {
    /// The password of the file, or a new one where the address is not this machine's alone.
    fn of(args: &ServeArgs) -> anyhow::Result<Self> {
        let Some(path) = &args.login_password_file else {
            return Ok(if args.listen.ip().is_loopback() { Self::None } else { Self::Made(Password::generate()?) });
        };
        let password = Password::new(std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?);
        if password.is_empty() {
            return Err(hinted(format!("{} holds no password", path.display()), "write one into it"));
        }
        Ok(Self::Chosen(password))
    }

    fn password(&self) -> Option<&str> {
        match self {
            Self::None => None,
            Self::Chosen(password) | Self::Made(password) => Some(password.expose()),
        }
    }
}

pub async fn run(args: &ServeArgs, context: &CliContext) -> anyhow::Result<u8> {
    let login = Login::of(args)?;
    let shown = args.shown.understood(args.full, context)?;
    // First what is quickly told: opening a repository takes a second of a core.
    let listener = TcpListener::bind(args.listen).await.with_context(|| format!("cannot listen on {}", args.listen))?;
    let address = listener.local_addr()?;
    let open = context.repository(false).await?;
    let (forest, what) = shown.forest((!args.all).then_some(args.snapshot.as_str()), &open, context).await?;
    let browser = Browser::new(forest, Permissions::of(&PermissionArgs::default()), tokio::runtime::Handle::current());
    if !address.ip().is_loopback() {
        context.note(
            "warning: others reach this address, and what they are sent is not encrypted: put a TLS proxy in front of it, or use an SSH tunnel",
        );
    }
    let guard = Guard::new(login.password());
    let site = Arc::new(Site { browser, guard, turns: Semaphore::new(REQUESTS) });
    let app = Router::new().fallback(answer::answer).with_state(site);
    context.note(&format!("Serving {what}. Ctrl-C ends it."));
    if let Login::Made(password) = &login {
        // Whoever started it has to know it, also when it is quiet.
        anstream::eprintln!("Readers log in as {} with {}", guard::USER, password.expose());
    }
    print_bytes(format!("http://{address}/\n").as_bytes())?;
    let mut terminate = unix::signal(unix::SignalKind::terminate())?;
    tokio::select! {
        served = axum::serve(listener, app) => served?,
        interrupted = tokio::signal::ctrl_c() => interrupted?,
        _ = terminate.recv() => {}
    }
    Ok(exit::OK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guide_has_every_option() {
        let guide = include_str!("../../../../docs/guides/without-fuse.md");
        let command = ServeArgs::augment_args(clap::Command::new("serve"));
        for long in command.get_arguments().filter_map(clap::Arg::get_long) {
            assert!(guide.contains(&format!("`--{long}")), "docs/guides/without-fuse.md lacks --{long}");
        }
    }
}
