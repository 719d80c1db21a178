//! `kubectl kubestash check`: can everything be read?

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use clap::Args;
use kubestash::repository::{CheckDepth, Percent};

use crate::cli::{
    CliContext,
    args::{Format, OutputArgs},
    exit,
    output::{count, print_bytes, size, some, structured},
    progress::Ticker,
};

/// Prove that the repository can be read
///
/// Checks every snapshot, catalog and reference; with --read-data every byte. Names each damage with the snapshots and objects it hits.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Read and verify all data
    #[arg(long)]
    pub read_data: bool,
    /// Read and verify the data of so many percent of the packs, other ones each time
    #[arg(long, value_name = "PERCENT", conflicts_with = "read_data")]
    pub read_data_subset: Option<Percent>,
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Names of snapshots printed for one damage; `-o json` has them all.
const SNAPSHOTS_SHOWN: usize = 10;

pub async fn run(args: &CheckArgs, context: &CliContext) -> anyhow::Result<u8> {
    let open = context.repository(false).await?;
    let depth = match args.read_data_subset {
        Some(percent) => CheckDepth::Subset(percent),
        None if args.read_data => CheckDepth::Data,
        None => CheckDepth::Structure,
    };
    let done = Arc::new((AtomicUsize::new(0), AtomicUsize::new(0)));
    let report = {
        let shown = Arc::clone(&done);
        let _ticker =
            Ticker::line(context.args.quiet, move || format!("packs {}/{}", shown.0.load(Ordering::Relaxed), shown.1.load(Ordering::Relaxed)));
        let mut progress = |at, of| {
            done.0.store(at, Ordering::Relaxed);
            done.1.store(of, Ordering::Relaxed);
        };
        open.repository.check(depth, &mut progress).await?
    };
    match args.output.output {
        Format::Json => structured(&report, false)?,
        Format::Yaml => structured(&report, true)?,
        Format::Table | Format::Wide | Format::Name => {
            let mut text = format!(
                "{}, {}, {}{}\n",
                count(report.snapshots as u64, "snapshot"),
                count(report.packs as u64, "pack"),
                count(report.blocks as u64, "block"),
                match depth {
                    CheckDepth::Structure => String::new(),
                    CheckDepth::Data => format!(", {} read", size(report.bytes_read)),
                    CheckDepth::Subset(_) => format!(", {} of {} read", size(report.bytes_read), count(report.packs_read as u64, "pack")),
                },
            );
            if report.trashed_packs > 0 {
                text.push_str(&format!("{} given up, waiting for a later prune\n", count(report.trashed_packs as u64, "pack")));
            }
            if report.unreferenced_packs > 0 {
                text.push_str(&format!("{} of interrupted backups, harmless\n", count(report.unreferenced_packs as u64, "pack")));
            }
            for error in &report.errors {
                text.push_str(&format!("DAMAGED: {}\n", error.error));
                if !error.snapshots.is_empty() {
                    text.push_str(&format!("  snapshots: {}\n", some(&error.snapshots, SNAPSHOTS_SHOWN)));
                }
                if !error.objects.is_empty() {
                    text.push_str(&format!("  objects, some of them: {}\n", error.objects.join(", ")));
                }
            }
            if report.errors.is_empty() {
                text.push_str("no damage found\n");
            }
            print_bytes(text.as_bytes())?;
        }
    }
    if report.errors.is_empty() {
        return Ok(exit::OK);
    }
    context.note(match report.errors.iter().all(|error| error.harmless) {
        true => "No snapshot has lost anything by that. `kubectl kubestash repair index` and `repair packs` mend what is damaged of indexes and packs.",
        false => "Snapshots that are not named can be read. A new backup with --no-parent stores every object anew; `kubectl kubestash repair` saves what can be saved of the old ones.",
    });
    Ok(exit::ERROR)
}
