//! `kubectl kubestash`: back up, browse, compare and restore the resources of a Kubernetes cluster.

mod cli;
mod commands;
mod jobs;
mod operator;
mod resources;

use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _};

use cli::{CliContext, errors, exit};
use commands::Cli;

#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Two TLS stacks could be linked; say which one is meant.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let cli = match parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { exit::USAGE } else { exit::OK });
        }
    };
    init_logs(cli.global.verbosity, cli.command.runs_in_a_pod());
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            errors::print(&anyhow::Error::new(error).context("cannot start"));
            return ExitCode::from(exit::ERROR);
        }
    };
    let context = CliContext::new(cli.global);
    let code = match runtime.block_on(commands::run(&cli.command, &context)) {
        Ok(code) => code,
        Err(error) => {
            errors::print(&error);
            errors::exit_code(&error)
        }
    };
    // Threads that still wait for a store or a server must not keep the shell waiting.
    runtime.shutdown_background();
    ExitCode::from(code)
}

/// Named as the user typed it: behind `kubectl`, or by itself.
fn parse() -> Result<Cli, clap::Error> {
    let mut command = Cli::command();
    let as_plugin = std::env::args_os().next().is_some_and(|name| name.to_string_lossy().contains("kubectl-"));
    if as_plugin {
        command = command.bin_name("kubectl kubestash");
    }
    Cli::from_arg_matches(&command.try_get_matches()?)
}

/// A person sees what a command prints; of a Pod there is nothing but its log.
fn init_logs(verbosity: u8, in_a_pod: bool) {
    let level = match verbosity {
        0..=3 if in_a_pod => "warn,kubectl_kubestash=info,kubestash=info",
        0..=3 => "warn",
        4..=5 => "info",
        6..=7 => "debug",
        _ => "trace",
    };
    let filter = tracing_subscriber::EnvFilter::try_from_env("KUBESTASH_LOG").unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(level));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false).init();
}
