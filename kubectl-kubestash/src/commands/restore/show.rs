//! A plan and a report, as people and programs read them.

use std::io::IsTerminal as _;

use kubestash::restore::{
    Reason, Report, SavedPlan,
    plan::{Action, Plan, Step},
};

use super::{DryRun, RestoreArgs};
use crate::{
    cli::{
        CliContext,
        args::Format,
        output::{count, print_bytes, structured, table},
    },
    commands::diff::coloured,
};

/// Objects and warnings that are listed where a command shows all.
const LISTED: usize = 20;

/// Prints a plan: all of it for a dry run, else its sums and what is deleted by it.
pub fn plan(planned: &Plan, document: Option<&SavedPlan>, args: &RestoreArgs, context: &CliContext) -> anyhow::Result<()> {
    if matches!(args.output.output, Format::Json | Format::Yaml) {
        let yaml = args.output.output == Format::Yaml;
        return match document {
            _ if args.dry_run != Some(DryRun::Client) => Ok(()),
            Some(document) => structured(document, yaml),
            None => structured(planned, yaml),
        };
    }
    let counts = planned
        .counts()
        .into_iter()
        .map(|((action, reason), number)| vec![action_name(action).to_owned(), number.to_string(), reason.text().to_owned()]);
    let bare = planned.bare_namespaces.len();
    let bare =
        (bare > 0).then(|| vec!["create".to_owned(), bare.to_string(), "namespaces that the snapshot does not hold, without labels".to_owned()]);
    let rows: Vec<Vec<String>> = bare.into_iter().chain(counts).collect();
    if rows.is_empty() {
        return Ok(());
    }
    let text = table(&["ACTION", "OBJECTS", "REASON"], &rows);
    for note in &planned.notes {
        context.note(&format!("warning: {note}"));
    }
    if args.dry_run.is_none() {
        context.note(text.trim_end());
        // Nobody agrees to a loss that was not named, nor to objects that were not chosen.
        let named =
            |step: &&Step| matches!(step.action, Action::Recreate | Action::Delete) || (step.reason == Reason::Related && step.action.writes());
        for step in planned.steps().filter(named) {
            context.note(&line(step));
        }
        let refused: Vec<&Step> = planned.steps().filter(|step| step.action == Action::Fail).collect();
        for step in refused.iter().take(LISTED) {
            context.note(&line(step));
        }
        if refused.len() > LISTED {
            context.note(&format!("and {} more that are refused; --dry-run lists them", count((refused.len() - LISTED) as u64, "object")));
        }
        return Ok(());
    }
    print_bytes(text.as_bytes())?;
    let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    for step in planned.steps().filter(|step| step.action != Action::Skip || args.output.output == Format::Wide) {
        print_bytes(format!("{}\n", line(step)).as_bytes())?;
        for warning in &step.warnings {
            print_bytes(format!("  warning: {warning}\n").as_bytes())?;
        }
        if let Some(diff) = &step.diff {
            print_bytes(if colour { coloured(diff) } else { diff.clone() }.as_bytes())?;
        }
    }
    Ok(())
}

fn line(step: &Step) -> String {
    let detail = step.detail.as_ref().map_or_else(String::new, |detail| format!(" ({detail})"));
    let stored = step.stored_as.as_ref().map_or_else(String::new, |stored| format!(", stored as {stored}, written as {}", step.kind.api_version()));
    let from = step.from.as_ref().map_or_else(String::new, |from| format!(" from {from}"));
    let status = if step.restores_status { ", with its status" } else { "" };
    format!("{} {}{from}: {}{detail}{stored}{status}", action_name(step.action), step.id(), step.reason.text())
}

const fn action_name(action: Action) -> &'static str {
    match action {
        Action::Create => "create",
        Action::Update => "update",
        Action::Recreate => "recreate",
        Action::Delete => "remove",
        Action::Skip => "skip",
        Action::Fail => "refuse",
    }
}

/// Prints what was done, and how to go on where it was stopped.
pub fn report(report: &Report, format: Format, context: &CliContext) -> anyhow::Result<()> {
    match format {
        Format::Json | Format::Yaml => structured(report, format == Format::Yaml)?,
        Format::Table | Format::Wide | Format::Name => as_text(report, context)?,
    }
    if report.not_attempted > 0 {
        let why = report.lost.as_ref().map_or_else(String::new, |why| format!(": {why}"));
        context.note(&format!("Stopped before {}{why}; run the same command again to go on.", count(report.not_attempted, "object")));
    }
    Ok(())
}

fn as_text(report: &Report, context: &CliContext) -> anyhow::Result<()> {
    let mut text = summary(report);
    text.push('\n');
    for group in &report.causes {
        let more = if group.count > group.examples.len() as u64 { ", …" } else { "" };
        text.push_str(&format!("FAILED {}: {}\n  {}{more}\n", group.count, group.cause, group.examples.join(", ")));
    }
    for (reason, number) in &report.not_checkable {
        text.push_str(&format!("cannot be checked before it is done: {number}, {reason}\n"));
    }
    print_bytes(text.as_bytes())?;
    for warning in report.warnings.iter().take(LISTED) {
        context.note(&format!("warning: {warning}"));
    }
    let more = report.warnings.len().saturating_sub(LISTED) as u64 + report.more_warnings;
    if more > 0 {
        context.note(&format!("{} more; -o yaml shows them", count(more, "warning")));
    }
    Ok(())
}

/// One line: how many objects were treated how. What only some restores do is told only where it was done.
pub fn summary(report: &Report) -> String {
    let would = if report.dry_run { "would be " } else { "" };
    let mut parts = vec![format!("{} {would}created", report.created), format!("{} {would}updated", report.updated)];
    for (number, what) in [(report.recreated, "recreated"), (report.removed, "removed")] {
        if number > 0 {
            parts.push(format!("{number} {would}{what}"));
        }
    }
    if report.statuses > 0 {
        parts.push(format!("{} with their status", report.statuses));
    }
    let skipped: u64 = report.skipped.values().sum();
    parts.extend([format!("{} unchanged", report.unchanged), format!("{skipped} skipped"), format!("{} failed", report.failed)]);
    parts.join(", ")
}
