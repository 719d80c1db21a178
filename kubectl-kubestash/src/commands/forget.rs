//! `kubectl kubestash forget`: remove snapshots.

use clap::Args;
use kubestash::repository::SnapshotId;

use crate::cli::{CliContext, exit, output::count, output::print_bytes, repo::snapshot_file};

/// Remove snapshots from the repository
///
/// The others stay whole. Objects that only these snapshots had stay in the store until a prune.
#[derive(Debug, Args)]
pub struct ForgetArgs {
    /// Names, unique beginnings, `latest` or times
    #[arg(required = true)]
    pub snapshots: Vec<String>,
    /// Only show which
    #[arg(long)]
    pub dry_run: bool,
}

pub async fn run(args: &ForgetArgs, context: &CliContext) -> anyhow::Result<u8> {
    let open = context.repository(false).await?;
    // All names are looked up before the first snapshot goes.
    let (mut roots, mut damaged) = (Vec::new(), Vec::new());
    let unreadable = open.repository.snapshots().await?.damaged;
    for text in &args.snapshots {
        // A root that cannot be read has no name, but an id.
        if let Some(id) = text.parse::<SnapshotId>().ok().filter(|id| unreadable.iter().any(|(key, _)| *key == format!("roots/{id}"))) {
            damaged.push(id);
            continue;
        }
        let root = open.snapshot(context, text).await?;
        if !roots.contains(&root) {
            roots.push(root);
        }
    }
    for root in &roots {
        if args.dry_run {
            print_bytes(format!("would forget {}\n", root.name).as_bytes())?;
            continue;
        }
        open.repository.forget(root.id).await?;
        open.directory.delete(&snapshot_file(&root.name)).await?;
        print_bytes(format!("forgot {}\n", root.name).as_bytes())?;
    }
    for id in &damaged {
        if args.dry_run {
            print_bytes(format!("would forget {id}, which cannot be read\n").as_bytes())?;
            continue;
        }
        open.repository.forget(*id).await?;
        print_bytes(format!("forgot {id}, which could not be read\n").as_bytes())?;
    }
    if !args.dry_run {
        let removed = count((roots.len() + damaged.len()) as u64, "snapshot");
        context.note(&format!("{removed} removed; the space they alone used is not freed yet."));
    }
    Ok(exit::OK)
}
