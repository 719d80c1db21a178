//! `kubectl kubestash restore report`: what an earlier restore of this machine did.
//!
//! Reports are kept in `$XDG_STATE_HOME/kubestash/restores` (below the home folder in `.local/state`), the newest hundred, one file each, named
//! by the time of the restore. They hold names of objects and causes of failures, never values. What a RestoreSession did stands in its status.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use jiff::Timestamp;
use kubestash::restore::Report;
use serde::{Deserialize, Serialize};

use super::show;
use crate::cli::{
    CliContext,
    args::{Format, OutputArgs},
    errors::hinted,
    exit,
    output::{print_bytes, structured, table, time},
    repo::{home, write_private},
};

/// Reports that are kept.
const KEPT: usize = 100;

/// Show what a restore did, with every failure
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// Time of the restore, as --list shows it [default: the newest]
    pub id: Option<String>,
    /// List the restores of this machine
    #[arg(long, conflicts_with = "id")]
    pub list: bool,
    #[command(flatten)]
    pub output: OutputArgs,
}

/// A restore that has ended.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// When it began.
    started: Timestamp,
    /// When it ended.
    ended: Timestamp,
    /// What was restored.
    source: String,
    /// Into which cluster.
    cluster: String,
    /// What became of it.
    report: Report,
}

impl Record {
    /// A restore that has just ended.
    pub fn new(started: Timestamp, ended: Timestamp, source: String, cluster: String, report: Report) -> Self {
        Self { started, ended, source, cluster, report }
    }

    /// Name of its file, and of the restore.
    fn id(&self) -> String {
        kubestash::api::time_name(self.started)
    }

    /// Keeps it, and removes the oldest where there are too many.
    pub fn keep(&self) -> anyhow::Result<()> {
        let folder = folder()?;
        // Two of one second are told apart by a number.
        let free = (0..KEPT).map(|number| if number == 0 { self.id() } else { format!("{}-{number}", self.id()) });
        let path = free.map(|name| folder.join(format!("{name}.json"))).find(|path| !path.exists()).context("there is no free name")?;
        write_private(&path, &serde_json::to_string(self)?)?;
        let all = names()?;
        for old in all.iter().take(all.len().saturating_sub(KEPT)) {
            std::fs::remove_file(folder.join(format!("{old}.json")))?;
        }
        Ok(())
    }
}

fn folder() -> anyhow::Result<PathBuf> {
    Ok(home("XDG_STATE_HOME", ".local/state")?.join("restores"))
}

/// All that are kept, the oldest first.
fn names() -> anyhow::Result<Vec<String>> {
    let folder = folder()?;
    let entries = match std::fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", folder.display())),
    };
    let mut names: Vec<String> = entries.filter_map(|entry| Some(entry.ok()?.file_name().to_str()?.strip_suffix(".json")?.to_owned())).collect();
    names.sort();
    Ok(names)
}

fn read(name: &str) -> anyhow::Result<Record> {
    let path = folder()?.join(format!("{name}.json"));
    let failed = || format!("cannot read the report {}", path.display());
    serde_json::from_slice(&std::fs::read(&path).with_context(failed)?).with_context(failed)
}

/// Shows one report, or which there are.
pub fn run(args: &ReportArgs, context: &CliContext) -> anyhow::Result<u8> {
    let names = names()?;
    if args.list {
        return list(&names);
    }
    let Some(newest) = names.last() else {
        return Err(hinted("no restore was made from this machine", "of a RestoreSession, `kubectl describe restoresession` tells what it did"));
    };
    let name = args.id.as_ref().unwrap_or(newest);
    if !names.contains(name) {
        return Err(hinted(format!("there is no report of a restore {name:?}"), "`kubectl kubestash restore report --list` shows which there are"));
    }
    let record = read(name)?;
    if matches!(args.output.output, Format::Json | Format::Yaml) {
        structured(&record, args.output.output == Format::Yaml)?;
        return Ok(exit::OK);
    }
    let seconds = record.ended.as_second() - record.started.as_second();
    let head = format!("{name}: {} into {}, {}, {seconds} s\n", record.source, record.cluster, time(record.started));
    print_bytes(head.as_bytes())?;
    show::report(&record.report, args.output.output, context)?;
    let failures: Vec<Vec<String>> = record.report.failures.iter().map(|one| vec![one.object.clone(), one.cause.clone()]).collect();
    if !failures.is_empty() {
        print_bytes(format!("\n{}", table(&["OBJECT", "CAUSE"], &failures)).as_bytes())?;
    }
    Ok(exit::OK)
}

fn list(names: &[String]) -> anyhow::Result<u8> {
    let mut rows = Vec::new();
    for name in names {
        let record = read(name)?;
        rows.push(vec![name.clone(), record.source, record.cluster, show::summary(&record.report)]);
    }
    print_bytes(table(&["RESTORE", "OF", "INTO", "RESULT"], &rows).as_bytes())?;
    Ok(exit::OK)
}
