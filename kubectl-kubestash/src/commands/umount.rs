//! `kubectl kubestash umount`.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;

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

pub async fn run(args: &UmountArgs, context: &CliContext) -> anyhow::Result<u8> {
    if !kstashfs::mount::is_kstashfs(&args.dir) {
        return Err(hinted(format!("no snapshot is mounted on {}", args.dir.display()), "`grep kstashfs: /proc/mounts` lists those that are"));
    }
    match kstashfs::unmount(&args.dir, args.lazy) {
        Err(error) if error.raw_os_error() == Some(16) => {
            Err(hinted(format!("{} is in use", args.dir.display()), "leave it, or unmount with --lazy; `fuser -m DIR` tells who is inside"))
        }
        Err(error) => Err(error).with_context(|| format!("cannot unmount {}", args.dir.display())),
        Ok(()) => {
            context.note(&format!("Unmounted {}.", args.dir.display()));
            Ok(exit::OK)
        }
    }
}
