//! `kubectl kubestash forget`: remove snapshots.

use clap::Args;

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
    let mut roots = Vec::new();
    for text in &args.snapshots {
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
    if !args.dry_run {
        context.note(&format!("{} removed; the space they alone used is not freed yet.", count(roots.len() as u64, "snapshot")));
    }
    Ok(exit::OK)
}
