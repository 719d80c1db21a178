//! `kubectl kubestash mount`: a snapshot as a directory.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use kstashfs::{MountOptions, daemon, permissions::PermissionArgs};

use super::shown::ShownArgs;
use crate::cli::{CliContext, errors::hinted, exit};

/// Mount a snapshot, or all of them, as a directory of YAML manifests
///
/// Files can be read with any tool and applied with `kubectl apply -f`.
#[derive(Debug, Args)]
#[command(override_usage = "kubectl kubestash mount [OPTIONS] [SNAPSHOT] DIR\n       kubectl kubestash mount [OPTIONS] --all DIR")]
pub struct MountArgs {
    /// A name, a unique beginning of one, `latest` (which is meant without any), a time or `live`; and the directory, made where it is not there
    #[arg(required = true, num_args = 1..=2, value_names = ["SNAPSHOT", "DIR"])]
    pub places: Vec<String>,
    /// Mount all snapshots: DIR/snapshots/NAME, DIR/latest, DIR/history, DIR/changes and DIR/by-day
    #[arg(long)]
    pub all: bool,
    /// Whole objects, with what the server stamps
    #[arg(long)]
    pub full: bool,
    #[command(flatten)]
    pub shown: ShownArgs,
    /// Stay in the foreground
    #[arg(long)]
    pub foreground: bool,
    /// Let other users in
    #[arg(long)]
    pub allow_other: bool,
    /// Do not put neighbours into the page cache before they are asked for
    #[arg(long)]
    pub no_push: bool,
    #[command(flatten)]
    pub permissions: PermissionArgs,
    /// Event loops
    #[arg(long, default_value_t = 3, hide = true)]
    pub threads: usize,
}

pub async fn run(args: &MountArgs, context: &CliContext) -> anyhow::Result<u8> {
    let (wanted, place) = match args.places.as_slice() {
        [place] => ("latest", place),
        [snapshot, place] if !args.all => (snapshot.as_str(), place),
        _ => return Err(hinted("--all takes a directory only", "kubectl kubestash mount --all DIR")),
    };
    // What people typed is shorter, and what they would type again.
    let (typed, place) = (place, std::path::absolute(PathBuf::from(place))?);
    if !args.foreground && !daemon::is_background() {
        return match daemon::run_in_background().context("cannot mount in the background")? {
            // Both have said all there is to say.
            daemon::Started::Ready => Ok(exit::OK),
            daemon::Started::Failed(code) => Ok(code),
        };
    }
    // First what is quickly told: opening a repository takes a second of a core.
    kstashfs::check(&place)?;
    let shown = args.shown.understood(args.full, context)?;
    let open = context.repository(false).await?;
    let (forest, what) = shown.forest((!args.all).then_some(wanted), &open, context).await?;
    let options = MountOptions {
        allow_other: args.allow_other,
        push: !args.no_push,
        threads: args.threads,
        source: open.place.clone(),
        permissions: args.permissions,
        labels: Vec::new(),
    };
    let mut signals = daemon::Signals::catch()?;
    let mount = kstashfs::mount(forest, &place, &options, tokio::runtime::Handle::current())?;
    if daemon::is_background() {
        context.note(&format!("Mounted {what} (process {}). End it with: kubectl kubestash umount {typed}", std::process::id()));
        daemon::report_ready(&daemon::log_file(&place))?;
    } else {
        context.note(&format!("Mounted {what}, on {typed}. Ctrl-C ends it."));
    }
    signals.wait(&mount).await;
    Ok(exit::OK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guide_has_every_option() {
        let guide = include_str!("../../../docs/mounting.md");
        let command = MountArgs::augment_args(clap::Command::new("mount"));
        let shown = command.get_arguments().filter(|argument| !argument.is_hide_set());
        let options: Vec<String> = shown.filter_map(|argument| argument.get_long()).map(|long| format!("\n| `--{long}")).collect();
        assert!(options.len() > 3);
        let missing: Vec<&String> = options.iter().filter(|option| !guide.contains(*option)).collect();
        assert!(missing.is_empty(), "docs/mounting.md lacks {missing:?}");
    }
}
