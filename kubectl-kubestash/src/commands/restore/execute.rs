//! Executing a plan: the question before, progress meanwhile, report and record behind.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use jiff::Timestamp;
use kubestash::{
    cluster::Cluster,
    restore::{
        Progress, Report, Source,
        apply::{self, Mode, Patience},
        plan::{Action, Plan},
    },
};

use tokio::signal::unix::{SignalKind, signal};

use super::{Prepared, RestoreArgs, progress, record, show};
use crate::cli::{
    CliContext, ask, exit,
    output::count,
    progress::{Screen, Ticker},
};

/// Asks, executes and tells.
pub async fn execute(prepared: Prepared, cluster: Cluster, args: &RestoreArgs, context: &CliContext) -> anyhow::Result<u8> {
    let Prepared { source, plan, .. } = prepared;
    let mode = if args.dry_run.is_some() { Mode::ServerDryRun } else { Mode::Write };
    if mode == Mode::Write && plan.changes_anything() && !args.yes && !confirm(&plan, &cluster)? {
        context.note("Nothing was changed.");
        return Ok(exit::ERROR);
    }
    let (stop, progress) = (Arc::new(AtomicBool::new(false)), Arc::new(Progress::default()));
    stop_on_interrupt(&stop, context);
    let patience = Patience { settle: Duration::from_secs(args.wait_timeout), ..Patience::default() };
    let (started, name, place) = (Timestamp::now(), name(&source, args), cluster.context().to_owned());
    let report = {
        let shown = Arc::clone(&progress);
        let begin = Instant::now();
        let _ticker = Ticker::start(context.args.quiet, move |screen| match screen {
            Screen::Lines => progress::line(&shown, begin.elapsed()),
            Screen::Terminal { width, height } => progress::picture(&shown, begin.elapsed(), width, height),
        });
        apply::apply(Arc::new(plan), source, cluster, mode, patience, stop, progress).await
    };
    show::report(&report, args.output.output, context)?;
    let code = exit_code(&report, args.detailed_exit_code);
    if mode == Mode::Write {
        let record = record::Record::new(started, Timestamp::now(), name, place, report);
        match record.keep() {
            Ok(()) if code != exit::OK => context.note("`kubectl kubestash restore report` shows this again, with every failure."),
            Ok(()) => {}
            Err(error) => context.note(&format!("warning: this report cannot be kept: {error:#}")),
        }
    }
    Ok(code)
}

/// What was restored, as a person calls it.
fn name(source: &Source, args: &RestoreArgs) -> String {
    match (source, &args.filename) {
        (Source::Snapshot(snapshot), _) => format!("snapshot {}", snapshot.root().name),
        (Source::File(_), Some(path)) => format!("file {}", path.display()),
        (Source::File(_), None) => "a file".to_owned(),
    }
}

/// The exit code of a restore: complete, done in part, or nothing of it done.
fn exit_code(report: &Report, detailed: bool) -> u8 {
    let reached = report.changed() + report.unchanged;
    match (report.is_complete(), report.is_empty()) {
        (true, true) if detailed => exit::NOTHING_TO_DO,
        (true, _) => exit::OK,
        (false, _) if reached == 0 && report.not_attempted == 0 => exit::ERROR,
        (false, _) => exit::PARTIAL,
    }
}

/// Ctrl-C and SIGTERM: what is on its way is finished, nothing new is begun. Who says it twice does not want to wait for that either.
fn stop_on_interrupt(stop: &Arc<AtomicBool>, context: &CliContext) {
    let (stop, quiet) = (Arc::clone(stop), context.args.quiet);
    tokio::spawn(async move {
        let Ok(mut terminate) = signal(SignalKind::terminate()) else { return };
        loop {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
            if stop.swap(true, Ordering::Relaxed) {
                eprintln!("Stopped at once: what the last requests did is not known. Run the same command again to go on.");
                std::process::exit(i32::from(exit::PARTIAL));
            }
            if !quiet {
                eprintln!("Stopping: requests on their way are finished first. Once more stops at once.");
            }
        }
    });
}

fn confirm(plan: &Plan, cluster: &Cluster) -> anyhow::Result<bool> {
    let number = |wanted: &dyn Fn(Action) -> bool| count(plan.steps().filter(|step| wanted(step.action)).count() as u64, "object");
    let written = number(&|action| action.writes() && action != Action::Delete);
    let question = if plan.steps().any(|step| step.action == Action::Delete) {
        format!("Write {written} to {} and remove {}?", cluster.context(), number(&|action| action == Action::Delete))
    } else {
        format!("Write {written} to {}?", cluster.context())
    };
    ask::confirm(&question, "say --yes, or look first with --dry-run")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_tell_how_far_it_came() {
        let report = |created, unchanged, failed, not_attempted| Report { created, unchanged, failed, not_attempted, ..Report::default() };
        for (report, detailed, expected) in [
            (report(1, 0, 0, 0), false, exit::OK),
            (report(1, 0, 0, 0), true, exit::OK),
            (report(0, 3, 0, 0), false, exit::OK),
            (report(0, 3, 0, 0), true, exit::NOTHING_TO_DO),
            (report(1, 0, 1, 0), false, exit::PARTIAL),
            (report(0, 3, 1, 0), true, exit::PARTIAL),
            (report(0, 0, 2, 0), false, exit::ERROR),
            (report(0, 0, 0, 5), false, exit::PARTIAL),
        ] {
            assert_eq!(exit_code(&report, detailed), expected, "{report:?}");
        }
    }
}
