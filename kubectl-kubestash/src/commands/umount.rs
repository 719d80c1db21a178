//! `kubectl kubestash umount`.

use std::path::PathBuf;

use clap::Args;
use kstashfs::State;

use crate::cli::{CliContext, errors::hinted, exit};

/// Unmount a snapshot, also one whose daemon died
#[derive(Debug, Args)]
pub struct UmountArgs {
    /// The directory
    pub dir: PathBuf,
    /// Also when somebody is inside: it goes away when they leave
    #[arg(long)]
    pub lazy: bool,
}

pub fn run(args: &UmountArgs, context: &CliContext) -> anyhow::Result<u8> {
    // Nobody can still be using what does not answer, and it would never get rid of those who try.
    let lazy = match kstashfs::state(&args.dir) {
        State::Free => {
            return Err(hinted(format!("no snapshot is mounted on {}", args.dir.display()), "`kubectl kubestash mounts` lists those that are"));
        }
        State::Alive | State::Silent => args.lazy,
        State::Dead => true,
    };
    kstashfs::unmount(&args.dir, lazy)?;
    context.note(&format!("Unmounted {}.", args.dir.display()));
    Ok(exit::OK)
}
