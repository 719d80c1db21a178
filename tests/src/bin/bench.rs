//! `make bench`: measures, prints a table and writes it as tab-separated lines.
#![allow(clippy::print_stdout, reason = "the table is what it is run for")]

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use clap::Parser;
use kubestash_tests::bench::{
    GROUPS, million,
    output::{table, tsv},
    planning,
    stage::{Options, Stage},
};

/// Measures the programs beside the least that the same work can take on this machine
#[derive(Debug, Parser)]
struct Args {
    /// Objects in the cluster
    #[arg(long, env = "BENCH_OBJECTS", default_value_t = 100_000)]
    objects: usize,
    /// Rounds of each measurement; figures are their medians
    #[arg(long, env = "BENCH_ROUNDS", default_value_t = 3)]
    rounds: usize,
    /// Groups to measure [default: all]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    only: Vec<String>,
    /// Only list the groups
    #[arg(long)]
    list: bool,
    /// Keep the loaded cluster's data (about a gigabyte) in the cache for the next run
    #[arg(long, env = "BENCH_KEEP")]
    keep: bool,
    /// Any text: another seed is another cluster
    #[arg(long, default_value = "1")]
    seed: String,
    /// File to write [default: bench.tsv beside the build]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Only make a plan for so many objects and print its seconds: the benchmark runs itself so, to measure memory
    #[arg(long, value_name = "OBJECTS", hide = true)]
    plan: Option<usize>,
    #[command(flatten)]
    pour: million::Pour,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    if let Some(objects) = args.plan {
        println!("{}", planning::seconds(objects));
        return Ok(());
    }
    if args.pour.run()? {
        return Ok(());
    }
    if args.list {
        for group in GROUPS {
            println!("{:<8}  {}", group.name, group.about);
        }
        return Ok(());
    }
    let unknown = args.only.iter().find(|name| GROUPS.iter().all(|group| group.name != **name));
    ensure!(unknown.is_none(), "there is no group {}; --list shows them", unknown.map_or("", String::as_str));
    ensure!(args.rounds > 0 && args.objects > 0, "at least one round and one object are needed");
    if cfg!(debug_assertions) {
        eprintln!("bench: this build is not optimised; figures of it mean nothing. Run it with --release.");
    }
    // target/<profile>/bench
    let own = std::env::current_exe()?;
    let target = own.parent().and_then(Path::parent).context("the program lies in no build folder")?;
    let out = args.out.unwrap_or_else(|| target.join("bench.tsv"));
    let options = Options { objects: args.objects, rounds: args.rounds, seed: args.seed, keep: args.keep };
    let stage = Stage::new(options, target)?;
    let mut figures = Vec::new();
    for group in GROUPS.iter().filter(|group| args.only.is_empty() || args.only.iter().any(|name| name == group.name)) {
        stage.say(&format!("{}: {}", group.name, group.about));
        figures.extend((group.run)(&stage).with_context(|| format!("cannot measure {}", group.name))?);
        // After each group: an interrupted run leaves what it has.
        std::fs::write(&out, tsv(&figures)).with_context(|| format!("cannot write {}", out.display()))?;
    }
    println!("{}", table(&figures));
    println!("{} objects, medians of {} rounds; written to {}", args.objects, args.rounds, out.display());
    Ok(())
}
