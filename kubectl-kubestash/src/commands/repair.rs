//! `kubectl kubestash repair`: make the best of a damaged repository.

use clap::{Args, Subcommand};
use jiff::Timestamp;
use kubestash::backend::snapshot_file;
use kubestash::repository::{
    CheckDepth, Root,
    repair::{IndexRepair, PackRepair, SnapshotRepair},
};

use crate::cli::{
    CliContext,
    args::{Format, OutputArgs},
    exit,
    output::{count, print_bytes, size, some, structured},
    progress::Ticker,
    repo::OpenRepository,
};

/// Names printed of a long list; `-o json` has them all.
const SHOWN: usize = 10;

/// Make the best of a damaged repository
///
/// First put back from a copy of the storage what is missing, if there is one. Then `repair index`, `repair packs` and `repair snapshots`, in
/// this order. Nothing that can still be read is lost by it.
#[derive(Debug, Args)]
pub struct RepairArgs {
    #[command(subcommand)]
    pub command: RepairCommand,
}

#[derive(Debug, Subcommand)]
pub enum RepairCommand {
    /// Make the index anew from the packs that are there
    Index {
        /// Ask every pack what it holds, also those that an index file names
        #[arg(long)]
        read_all_packs: bool,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Save what is whole of damaged packs into new ones, and tell what is lost
    Packs {
        /// Names of packs as `check` prints them, or their unique beginnings [default: all, each read byte by byte]
        packs: Vec<String>,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Write snapshots that lost objects again without them, as NAME-repaired
    Snapshots {
        /// Names, unique beginnings, `latest` or times [default: all]
        snapshots: Vec<String>,
        /// Forget each damaged snapshot when what is left of it is written
        #[arg(long, conflicts_with = "dry_run")]
        forget: bool,
        /// Only show what is lost
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        output: OutputArgs,
    },
}

pub async fn run(args: &RepairArgs, context: &CliContext) -> anyhow::Result<u8> {
    let open = context.repository(false).await?;
    match &args.command {
        RepairCommand::Index { read_all_packs, output } => index(&open, *read_all_packs, output.output, context).await,
        RepairCommand::Packs { packs, output } => repair_packs(&open, packs, output.output, context).await,
        RepairCommand::Snapshots { snapshots, forget, dry_run, output } => {
            let roots = chosen(&open, snapshots, context).await?;
            let repairs = open.repository.repair_snapshots(&roots, *dry_run, Timestamp::now()).await?;
            finish(&open, &repairs, *forget).await?;
            show_snapshots(&repairs, *forget, output.output)
        }
    }
}

async fn index(open: &OpenRepository, read_all: bool, format: Format, context: &CliContext) -> anyhow::Result<u8> {
    let report = {
        let _ticker = Ticker::line(context.args.quiet, || "reading what packs hold".to_owned());
        open.repository.repair_index(read_all, Timestamp::now(), &mut |_, _, _| {}).await?
    };
    match format {
        Format::Json => structured(&report, false)?,
        Format::Yaml => structured(&report, true)?,
        Format::Table | Format::Wide | Format::Name => print_bytes(index_text(&report).as_bytes())?,
    }
    Ok(if report.unreadable.is_empty() && report.dropped.is_empty() { exit::OK } else { exit::PARTIAL })
}

fn index_text(report: &IndexRepair) -> String {
    let added = if report.added > 0 { format!("{} of them anew", report.added) } else { "all of them as before".to_owned() };
    let mut text = format!("the index names {}, {added}\n", count(report.packs as u64, "pack"));
    let lists = [
        ("replaced, could not be read", &report.damaged_files),
        ("named before, and gone or of another length", &report.dropped),
        ("left alone, do not say what they hold", &report.unreadable),
        ("cannot be deleted yet, the store does not allow it", &report.denied),
    ];
    for (what, names) in lists.into_iter().filter(|(_, names)| !names.is_empty()) {
        text.push_str(&format!("{what}: {}\n", some(names, SHOWN)));
    }
    text
}

async fn repair_packs(open: &OpenRepository, packs: &[String], format: Format, context: &CliContext) -> anyhow::Result<u8> {
    let report = {
        let _ticker = Ticker::line(context.args.quiet, || "reading packs".to_owned());
        open.repository.repair_packs(packs, Timestamp::now(), &mut |_, _, _| {}).await?
    };
    match format {
        Format::Json => structured(&report, false)?,
        Format::Yaml => structured(&report, true)?,
        Format::Table | Format::Wide | Format::Name => {
            print_bytes(packs_text(&report).as_bytes())?;
            if !report.lost_blocks.is_empty() {
                // Of what objects the lost blocks are is told by the snapshots.
                let check = open.repository.check(CheckDepth::Structure, &mut |_, _| {}).await?;
                for error in check.errors.iter().filter(|error| !error.objects.is_empty()) {
                    let text =
                        format!("LOST: objects, some of them: {}\n  of snapshots: {}\n", error.objects.join(", "), some(&error.snapshots, SHOWN));
                    print_bytes(text.as_bytes())?;
                }
                context.note("`kubectl kubestash repair snapshots` writes these snapshots again without what is lost.");
            }
        }
    }
    Ok(if report.lost_blocks.is_empty() { exit::OK } else { exit::PARTIAL })
}

fn packs_text(report: &PackRepair) -> String {
    let mut text = format!("{} looked at, {} damaged\n", count(report.packs as u64, "pack"), report.damaged.len());
    for pack in &report.damaged {
        let saved = count(pack.saved as u64, "block");
        text.push_str(&format!("{}: {}; {saved} saved, {} could not be read\n", pack.pack, pack.reason, pack.lost));
    }
    if report.written.packs > 0 {
        text.push_str(&format!("saved into {}, {}\n", count(report.written.packs as u64, "new pack"), size(report.written.bytes)));
    }
    if !report.lost_blocks.is_empty() {
        text.push_str(&format!("{} lost for good\n", count(report.lost_blocks.len() as u64, "block")));
    }
    text
}

async fn chosen(open: &OpenRepository, names: &[String], context: &CliContext) -> anyhow::Result<Vec<Root>> {
    if names.is_empty() {
        return Ok(open.list(context).await?.roots);
    }
    let mut roots = Vec::new();
    for name in names {
        roots.push(open.snapshot(context, name).await?);
    }
    Ok(roots)
}

/// The YAML files of new snapshots; damaged ones go where that is wanted and something takes their place.
async fn finish(open: &OpenRepository, repairs: &[SnapshotRepair], forget: bool) -> anyhow::Result<()> {
    for SnapshotRepair { damaged, repaired, .. } in repairs {
        if let Some(repaired) = repaired {
            open.write_snapshot_file(repaired).await?;
            if forget {
                open.repository.forget(damaged.id).await?;
                open.directory.delete(&snapshot_file(&damaged.name)).await?;
            }
        }
    }
    Ok(())
}

fn show_snapshots(repairs: &[SnapshotRepair], forget: bool, format: Format) -> anyhow::Result<u8> {
    match format {
        Format::Json => structured(&repairs, false)?,
        Format::Yaml => structured(&repairs, true)?,
        Format::Name => {
            let names = repairs.iter().filter_map(|repair| Some(format!("{}\n", repair.repaired.as_ref()?.name)));
            print_bytes(names.collect::<String>().as_bytes())?;
        }
        Format::Table | Format::Wide => print_bytes(snapshots_text(repairs, forget).as_bytes())?,
    }
    Ok(if repairs.is_empty() { exit::OK } else { exit::PARTIAL })
}

fn snapshots_text(repairs: &[SnapshotRepair], forget: bool) -> String {
    if repairs.is_empty() {
        return "no snapshot has lost anything\n".to_owned();
    }
    let mut text = String::new();
    for repair in repairs {
        let name = &repair.damaged.name;
        match (&repair.repaired, &repair.hopeless) {
            (_, Some(why)) => {
                text.push_str(&format!("{name}: nothing can be read of it: {why}\n  `kubectl kubestash forget {name}` removes it\n"));
            }
            (Some(repaired), None) => {
                let forgotten = if forget { ", and the damaged one was forgotten" } else { "" };
                text.push_str(&format!("{name}: written again as {}{forgotten}\n", repaired.name));
            }
            (None, None) => text.push_str(&format!("{name}: damaged\n")),
        }
        for lost in &repair.lost {
            if !lost.objects.is_empty() {
                text.push_str(&format!("  lost of {}: {}\n", lost.kind, some(&lost.objects, SHOWN)));
            }
            for (from, most) in &lost.unnamed {
                text.push_str(&format!("  lost of {}: at most {most} from {from} on, whose names are lost too\n", lost.kind));
            }
        }
    }
    text
}
