//! `kubectl kubestash snapshots`: what is in the repository, or what the cluster knows of its repositories.

use clap::Args;
use jiff::Timestamp;
use kubestash::repository::Root;

use super::snapshots_in_cluster;
use crate::cli::{
    CliContext,
    args::{Format, OutputArgs},
    exit,
    output::{age, print_bytes, size, structured, table, time},
};

/// List the snapshots of the repository
#[derive(Debug, Args)]
pub struct SnapshotsArgs {
    /// Only this one: a name, a unique beginning, `latest` or a time
    pub snapshot: Option<String>,
    /// Only those with this tag
    #[arg(long)]
    pub tag: Option<String>,
    /// The Snapshot objects of the cluster, of all repositories, as the operator keeps them
    #[arg(long, conflicts_with = "tag")]
    pub in_cluster: bool,
    /// Of all namespaces
    #[arg(short = 'A', long, requires = "in_cluster")]
    pub all_namespaces: bool,
    #[command(flatten)]
    pub output: OutputArgs,
}

pub async fn run(args: &SnapshotsArgs, context: &CliContext) -> anyhow::Result<u8> {
    if args.in_cluster {
        return snapshots_in_cluster::run(args, context).await;
    }
    let open = context.repository(false).await?;
    let list = open.list(context).await?;
    let mut roots = match &args.snapshot {
        Some(text) => vec![open.snapshot(context, text).await?],
        None => list.roots,
    };
    roots.retain(|root| args.tag.as_ref().is_none_or(|tag| root.tags.contains(tag)));
    match args.output.output {
        Format::Json => structured(&roots, false)?,
        Format::Yaml => structured(&roots, true)?,
        Format::Name => print_bytes(roots.iter().map(|root| format!("{}\n", root.name)).collect::<String>().as_bytes())?,
        Format::Table | Format::Wide => {
            let wide = args.output.output == Format::Wide;
            let now = Timestamp::now();
            let rows: Vec<Vec<String>> = roots.iter().map(|root| row(root, now, wide)).collect();
            let mut header = vec!["NAME", "TIME (UTC)", "CLUSTER", "OBJECTS", "CHANGED", "ADDED", "STATUS", "AGE"];
            if wide {
                header.extend(["ID", "SIZE", "SERVER", "RESOURCEVERSION", "TAGS"]);
            }
            if rows.is_empty() {
                context.note(&format!("No snapshots in {}.", open.place));
            } else {
                print_bytes(table(&header, &rows).as_bytes())?;
            }
        }
    }
    Ok(if list.damaged.is_empty() { exit::OK } else { exit::PARTIAL })
}

fn row(root: &Root, now: Timestamp, wide: bool) -> Vec<String> {
    let status = if root.is_complete() { "Complete" } else { "Partial" };
    let mut cells = vec![
        root.name.clone(),
        time(root.time),
        root.cluster.name.clone(),
        root.stats.objects.to_string(),
        (root.stats.new + root.stats.changed).to_string(),
        size(root.stats.stored_bytes),
        status.to_owned(),
        age(root.time, now),
    ];
    if wide {
        cells.extend([
            root.id.to_string(),
            size(root.stats.logical_bytes),
            root.cluster.server_version.clone(),
            root.resource_version.clone().unwrap_or_default(),
            root.tags.join(","),
        ]);
    }
    cells
}
