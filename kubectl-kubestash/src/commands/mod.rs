//! One file per command.

mod backup;
mod cat;
mod check;
mod copy;
mod describe;
mod diff;
mod export;
mod forget;
mod generate;
mod install;
mod key;
mod logs;
mod ls;
mod mount;
mod mounts;
mod pause;
mod prune;
mod repair;
mod repo;
mod restore;
mod serve;
mod shown;
mod snapshots;
mod snapshots_in_cluster;
mod trigger;
mod umount;
mod unlock;
mod version;

use clap::{Parser, Subcommand};

pub use backup::gaps;
pub use restore::kind_of;

use crate::{
    cli::{CliContext, args::GlobalArgs},
    jobs, operator,
};

/// Back up, browse, compare and restore the resources of a Kubernetes cluster
#[derive(Debug, Parser)]
#[command(name = "kubectl-kubestash", version, propagate_version = true, disable_help_subcommand = true, max_term_width = 100)]
pub struct Cli {
    #[command(flatten)]
    pub global: GlobalArgs,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    Backup(backup::BackupArgs),
    #[command(visible_alias = "snapshot")]
    Snapshots(snapshots::SnapshotsArgs),
    Ls(ls::LsArgs),
    Cat(cat::CatArgs),
    Diff(diff::DiffArgs),
    Mount(mount::MountArgs),
    Mounts(mounts::MountsArgs),
    Export(export::ExportArgs),
    Serve(serve::ServeArgs),
    #[command(visible_alias = "unmount")]
    Umount(umount::UmountArgs),
    Restore(restore::RestoreArgs),
    Copy(copy::CopyArgs),
    Forget(forget::ForgetArgs),
    Prune(prune::PruneArgs),
    Check(check::CheckArgs),
    Repair(repair::RepairArgs),
    Unlock(unlock::UnlockArgs),
    Repo(repo::RepoArgs),
    Key(key::KeyArgs),
    Trigger(trigger::TriggerArgs),
    Pause(pause::PauseArgs),
    Resume(pause::ResumeArgs),
    Describe(describe::DescribeArgs),
    Logs(logs::LogsArgs),
    Wait(logs::WaitArgs),
    Install(install::InstallArgs),
    Uninstall(install::UninstallArgs),
    Version(version::VersionArgs),
    #[command(hide = true)]
    Job(jobs::JobArgs),
    #[command(hide = true)]
    Operator(operator::OperatorArgs),
    #[command(hide = true)]
    Generate(generate::GenerateArgs),
}

impl Command {
    /// Whether its log is all that anybody sees of it.
    pub fn runs_in_a_pod(&self) -> bool {
        matches!(self, Self::Job(_) | Self::Operator(_))
    }
}

/// Runs a command; the result is its exit code.
pub async fn run(command: &Command, context: &CliContext) -> anyhow::Result<u8> {
    match command {
        Command::Backup(args) => backup::run(args, context).await,
        Command::Snapshots(args) => snapshots::run(args, context).await,
        Command::Ls(args) => ls::run(args, context).await,
        Command::Cat(args) => cat::run(args, context).await,
        Command::Diff(args) => diff::run(args, context).await,
        Command::Mount(args) => mount::run(args, context).await,
        Command::Mounts(args) => mounts::run(args, context),
        Command::Export(args) => export::run(args, context).await,
        Command::Serve(args) => serve::run(args, context).await,
        Command::Umount(args) => umount::run(args, context),
        Command::Restore(args) => restore::run(args, context).await,
        Command::Copy(args) => copy::run(args, context).await,
        Command::Forget(args) => forget::run(args, context).await,
        Command::Prune(args) => prune::run(args, context).await,
        Command::Check(args) => check::run(args, context).await,
        Command::Repair(args) => repair::run(args, context).await,
        Command::Unlock(args) => unlock::run(args, context).await,
        Command::Repo(args) => repo::run(args, context).await,
        Command::Key(args) => key::run(args, context).await,
        Command::Trigger(args) => trigger::run(args, context).await,
        Command::Pause(args) => pause::pause(args, context).await,
        Command::Resume(args) => pause::resume(args, context).await,
        Command::Describe(args) => describe::run(args, context).await,
        Command::Logs(args) => logs::logs(args, context).await,
        Command::Wait(args) => logs::wait(args, context).await,
        Command::Install(args) => install::run(args, context).await,
        Command::Uninstall(args) => install::uninstall(args, context).await,
        Command::Version(args) => version::run(args, context).await,
        Command::Job(args) => jobs::run(args, context).await,
        Command::Operator(args) => operator::run(args, context).await,
        Command::Generate(args) => generate::run(args, context),
    }
}
