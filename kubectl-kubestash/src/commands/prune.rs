//! `kubectl kubestash prune`: free the space of what no snapshot needs.

use std::sync::{Arc, Mutex, PoisonError};

use clap::Args;
use jiff::Timestamp;
use kubestash::repository::prune::{Amount, Grace, MaxUnused, PruneOptions, PruneReport};

use crate::cli::{
    CliContext,
    args::{Format, OutputArgs},
    exit,
    output::{count, parse_size, print_bytes, size, structured, time},
    progress::Ticker,
    repo::OpenRepository,
};

/// Free the space of what no snapshot needs any more
///
/// Works beside running backups. What is not needed goes to the trash first; a prune that runs when the grace time is over looks again and
/// deletes it. So a prune every day keeps a repository small. Needs a password with full access.
#[derive(Debug, Args)]
pub struct PruneArgs {
    /// How long data stays in the trash: at least 1h, or 0h to delete at once, which is only safe while nobody else writes to the repository
    #[arg(long, value_name = "DURATION", default_value_t = Grace::default())]
    pub grace: Grace,
    /// Rewrite at most so much data in this run, as in 500M; the rest stays for the next [default: no limit]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub max_repack: Option<u64>,
    /// How much may stay that no snapshot needs, as in 10% or `unlimited`: above it, objects are stored again apart from what is not needed, and
    /// their snapshots, which stay the same, are written again
    #[arg(long, value_name = "LIMIT", default_value_t = MaxUnused::default())]
    pub max_unused: MaxUnused,
    /// Also write anew what is sealed with data keys from before a `key rotate`
    #[arg(long)]
    pub re_encrypt: bool,
    /// Only show what would be done
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub output: OutputArgs,
}

pub async fn run(args: &PruneArgs, context: &CliContext) -> anyhow::Result<u8> {
    let open = context.repository(false).await?;
    let PruneArgs { grace, max_repack, max_unused, re_encrypt, .. } = *args;
    let options = PruneOptions { grace, max_repack, max_unused, re_encrypt, ..PruneOptions::new(Timestamp::now()) };
    if args.dry_run {
        let plan = open.repository.plan_prune(options).await?;
        return show(&plan, true, args.output.output, context);
    }
    prune(&open, options, args.output.output, context).await
}

/// Prunes and tells what was done; also for `forget --prune`.
pub async fn prune(open: &OpenRepository, options: PruneOptions, format: Format, context: &CliContext) -> anyhow::Result<u8> {
    let step = Arc::new(Mutex::new(String::new()));
    let report = {
        let shown = Arc::clone(&step);
        let _ticker = Ticker::line(context.args.quiet, move || shown.lock().unwrap_or_else(PoisonError::into_inner).clone());
        let mut progress = |name: &'static str, done: usize, of: usize| {
            let text = if of > 0 { format!("{name} {done}/{of}") } else { name.to_owned() };
            *step.lock().unwrap_or_else(PoisonError::into_inner) = text;
        };
        open.repository.prune(options, &mut progress).await?
    };
    show(&report, false, format, context)
}

fn show(report: &PruneReport, planned: bool, format: Format, context: &CliContext) -> anyhow::Result<u8> {
    match format {
        Format::Json => structured(report, false)?,
        Format::Yaml => structured(report, true)?,
        Format::Table | Format::Wide | Format::Name => print_bytes(text(report, planned).as_bytes())?,
    }
    for damage in &report.damage {
        context.note(&format!("warning: {damage}"));
    }
    if let Some(next) = report.next_deletion {
        context.note(&format!("What is in the trash can be deleted by a prune from {} UTC on.", time(next)));
    }
    match report.denied_until {
        Some(until) => context.note(&format!("What the store protects can be deleted by a prune from {} UTC on.", time(until))),
        None if report.denied.packs > 0 => context.note("The store does not tell until when it protects them; every later prune tries again."),
        None => {}
    }
    Ok(if report.damage.is_empty() { exit::OK } else { exit::PARTIAL })
}

/// One line for each thing that happened to packs.
fn text(report: &PruneReport, planned: bool) -> String {
    let packs = |amount: Amount| format!("{}, {}", count(amount.packs as u64, "pack"), size(amount.bytes));
    let done = |past: &'static str, future: &'static str| if planned { future } else { past };
    let lines = [
        ("kept", report.kept),
        (done("repacked, too little was needed or the key was old", "to be repacked, too little is needed or the key is old"), report.repacked),
        ("to be repacked by a later prune, above --max-repack", report.repack_later),
        ("written for them", report.written),
        (done("moved to the trash, no snapshot needs them", "to be moved to the trash, no snapshot needs them"), report.trashed),
        ("in the trash, still within the grace time", report.waiting),
        (done("taken back, a snapshot needs them", "to be taken back, a snapshot needs them"), report.taken_back),
        ("left alone, a running backup may need them", report.young),
        (done("deleted", "to be deleted"), report.deleted),
        ("cannot be deleted yet, the store protects them", report.denied),
    ];
    let mut out = format!("{} looked at\n", count(report.snapshots as u64, "snapshot"));
    if report.recut.blocks > 0 {
        let (snapshots, blocks) = (count(report.recut.snapshots as u64, "snapshot"), count(report.recut.blocks as u64, "block"));
        let what = done("written again, without", "to be written again, without");
        out.push_str(&format!("{snapshots}: {what} {blocks}, {}, of which too little is needed\n", size(report.recut.bytes)));
    }
    if planned && report.recut.blocks > 0 {
        out.push_str("what that frees is not in the following figures, which are of the packs as they are now\n");
    }
    if report.re_encrypted_roots > 0 {
        out.push_str(&format!("{}: sealed with the newest key\n", count(report.re_encrypted_roots as u64, "root")));
    }
    for (what, amount) in lines.into_iter().filter(|(what, amount)| amount.packs > 0 || *what == "kept") {
        out.push_str(&format!("{}: {what}\n", packs(amount)));
    }
    let freed = size(report.deleted.bytes);
    out.push_str(&format!("{freed} {}\n", done("freed", "would be freed")));
    out
}

#[cfg(test)]
mod tests {
    use kubestash::repository::prune::Recut;

    use super::*;

    #[test]
    fn a_report_names_what_happened_and_nothing_else() {
        let amount = |packs, bytes| Amount { packs, bytes };
        let report = PruneReport {
            snapshots: 2,
            recut: Recut { snapshots: 2, blocks: 7, bytes: 3 << 20 },
            re_encrypted_roots: 1,
            kept: amount(3, 3 << 20),
            repacked: amount(1, 1 << 20),
            written: amount(1, 1 << 10),
            deleted: amount(2, 5 << 20),
            denied: amount(1, 512),
            ..PruneReport::default()
        };
        assert_eq!(
            text(&report, false),
            "2 snapshots looked at\n2 snapshots: written again, without 7 blocks, 3.0 MiB, of which too little is needed\n1 root: sealed with the newest key\n\
             3 packs, 3.0 MiB: kept\n1 pack, 1.0 MiB: repacked, too little was needed or the key was old\n1 pack, 1.0 KiB: written for them\n\
             2 packs, 5.0 MiB: deleted\n1 pack, 512 B: cannot be deleted yet, the store protects them\n5.0 MiB freed\n"
        );
        assert!(
            text(&report, true).ends_with(
                "2 packs, 5.0 MiB: to be deleted\n1 pack, 512 B: cannot be deleted yet, the store protects them\n5.0 MiB would be freed\n"
            )
        );
    }
}
