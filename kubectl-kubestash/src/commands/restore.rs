//! `kubectl kubestash restore`: put objects of a snapshot, or of a file, back.

use std::{
    io::{IsTerminal as _, Write as _},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use kubestash::{
    cluster::{Cluster, Discovery},
    object::{GroupResource, KindInfo},
    repository::Snapshot,
    restore::{
        Pick, Progress, Reason, Report, Selection, Source,
        apply::{self, Mode, Patience},
        observe,
        plan::{Action, Existing, Options, Plan, Served, plan},
    },
};

use super::{diff::coloured, restore_in_cluster};
use crate::cli::{
    CliContext,
    args::{Format, OutputArgs},
    errors::hinted,
    exit,
    objects::{find_kind, find_rows},
    output::{count, print_bytes, structured, table},
    progress::Ticker,
    snapshots::LIVE,
};

/// How far a dry run goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DryRun {
    /// Compare only.
    Client,
    /// Let the API server check and admit every request, and write nothing.
    Server,
}

/// What to do with objects that exist in another state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ExistingPolicy {
    /// Leave them alone.
    Skip,
    /// Bring them to the snapshot's state by server-side apply.
    Update,
    /// Count them as failures.
    Fail,
}

/// Put objects of a snapshot back into the cluster
///
/// Without objects: the whole snapshot. Running it again continues where it was stopped.
#[derive(Debug, Args)]
pub struct RestoreArgs {
    /// A name, a unique beginning, `latest` or a time; then objects as deploy/web, kinds, or paths of a mount
    #[arg(value_names = ["SNAPSHOT", "OBJECT"])]
    pub words: Vec<String>,
    /// A file, as copied out of a mount, instead of a snapshot; - for stdin
    #[arg(short = 'f', long, value_name = "FILE", conflicts_with = "words")]
    pub filename: Option<PathBuf>,
    /// Only objects of these kinds
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub include_resources: Vec<String>,
    /// Only objects with these labels
    #[arg(short = 'l', long)]
    pub selector: Option<String>,
    /// Only objects with these names, as globs
    #[arg(long = "name", value_name = "GLOB")]
    pub names: Vec<String>,
    /// What to do with objects that exist in another state
    #[arg(long, value_enum, default_value_t = ExistingPolicy::Skip)]
    pub existing: ExistingPolicy,
    /// With --existing=update: take fields over from other managers
    #[arg(long)]
    pub force_conflicts: bool,
    /// Show what would be done: `client` compares, `server` lets the API server check every request
    #[arg(long, value_enum, num_args = 0..=1, default_missing_value = "client", require_equals = true)]
    pub dry_run: Option<DryRun>,
    /// Show values of Secrets in differences
    #[arg(long)]
    pub show_secrets: bool,
    /// Let the operator do it: makes a RestoreSession of a snapshot in --repo NAMESPACE/NAME and follows it
    #[arg(long, conflicts_with_all = ["filename", "dry_run", "force_conflicts", "show_secrets"])]
    pub in_cluster: bool,
    /// With --in-cluster: do not wait for the end
    #[arg(long, requires = "in_cluster")]
    pub no_wait: bool,
    /// Do not ask
    #[arg(short = 'y', long)]
    pub yes: bool,
    #[command(flatten)]
    pub output: OutputArgs,
}

pub async fn run(args: &RestoreArgs, context: &CliContext) -> anyhow::Result<u8> {
    if args.in_cluster {
        return restore_in_cluster::run(args, context).await;
    }
    let cluster = context.cluster().await?;
    let discovery = cluster.discover().await?;
    let (source, selection, same_cluster) = match &args.filename {
        Some(path) => (read_file(path, context, &cluster, &discovery)?, Selection::default(), false),
        None => from_snapshot(args, context, &cluster).await?,
    };
    let options = Options {
        existing: match args.existing {
            ExistingPolicy::Skip => Existing::Skip,
            ExistingPolicy::Update => Existing::Update,
            ExistingPolicy::Fail => Existing::Fail,
        },
        force: args.force_conflicts,
        same_cluster,
        keep_addresses: None,
        show_secrets: args.show_secrets,
        storage_classes: std::collections::BTreeMap::new(),
    };
    let plan = {
        let _ticker = Ticker::start(context.args.quiet, || "comparing with the cluster".to_owned());
        plan(&observe(&source, &selection, &cluster, Served::from(&discovery), &options).await?, &options)
    };
    show_plan(&plan, args, context)?;
    if plan.steps().any(|step| step.reason == Reason::Exists) {
        context.note("What exists is left as it is, also where it differs; --existing=update brings it to the snapshot's state.");
    }
    if args.dry_run == Some(DryRun::Client) {
        return Ok(exit::OK);
    }
    if !plan.changes_anything() && plan.steps().all(|step| step.action == Action::Skip) {
        context.note("Nothing to do.");
        return Ok(exit::OK);
    }
    let mode = if args.dry_run.is_some() { Mode::ServerDryRun } else { Mode::Write };
    if mode == Mode::Write && !args.yes && !confirm(&plan, &cluster)? {
        context.note("Nothing was changed.");
        return Ok(exit::ERROR);
    }
    let (stop, progress) = (Arc::new(AtomicBool::new(false)), Arc::new(Progress::default()));
    stop_on_interrupt(&stop);
    let report = {
        let shown = Arc::clone(&progress);
        let _ticker = Ticker::start(context.args.quiet, move || {
            let get = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
            format!("{}/{} objects, {} failed", get(&shown.done), get(&shown.total), get(&shown.failed))
        });
        apply::apply(Arc::new(plan), source, cluster, mode, Patience::default(), stop, progress).await
    };
    show_report(&report, args, context)?;
    Ok(if report.is_complete() { exit::OK } else { exit::PARTIAL })
}

fn stop_on_interrupt(stop: &Arc<AtomicBool>) {
    let stop = Arc::clone(stop);
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            stop.store(true, Ordering::Relaxed);
        }
    });
}

fn read_file(path: &PathBuf, context: &CliContext, cluster: &Cluster, discovery: &Discovery) -> anyhow::Result<Source> {
    let text = if path.as_os_str() == "-" { std::io::read_to_string(std::io::stdin()) } else { std::fs::read_to_string(path) };
    let text = text.with_context(|| format!("cannot read {}", path.display()))?;
    let kind_of = |api_version: &str, kind: &str| -> Option<KindInfo> {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let found = discovery
            .kinds
            .iter()
            .find(|found| found.info.kind == kind && found.info.group == group && found.served_versions.iter().any(|own| own == version))?;
        Some(KindInfo { version: version.to_owned(), ..found.info.clone() })
    };
    let namespace = context.args.namespace.clone().unwrap_or_else(|| cluster.default_namespace().to_owned());
    Source::from_file(&text, &namespace, &kind_of).with_context(|| format!("cannot restore from {}", path.display()))
}

async fn from_snapshot(args: &RestoreArgs, context: &CliContext, cluster: &Cluster) -> anyhow::Result<(Source, Selection, bool)> {
    let open = context.repository(false).await?;
    let name = args.words.first().map_or("latest", String::as_str);
    if name == LIVE {
        return Err(hinted("the cluster cannot be restored from itself", "name a snapshot; `kubectl kubestash snapshots` lists them"));
    }
    let root = open.snapshot(context, name).await?;
    let snapshot = open.repository.open_snapshot(&root).await?;
    let same_cluster = cluster.identity().await?.uid == root.cluster.uid;
    let selection = select(args, context, cluster, &snapshot)?;
    Ok((Source::Snapshot(snapshot), selection, same_cluster))
}

fn select(args: &RestoreArgs, context: &CliContext, cluster: &Cluster, snapshot: &Snapshot) -> anyhow::Result<Selection> {
    let catalog = snapshot.catalog();
    let words = args.words.get(1..).unwrap_or_default();
    let named = context.args.namespace.as_deref().filter(|_| !context.args.all_namespaces);
    let (paths, objects): (Vec<String>, Vec<String>) =
        words.iter().cloned().partition(|word| word.contains("namespaces/") || word.starts_with("cluster/") || word.contains("/cluster/"));
    let mut picks = Vec::new();
    for path in &paths {
        picks.push(Pick::from_path(path)?);
    }
    // Objects are looked for as kubectl does: in one namespace, unless all are asked for.
    let namespace = named.unwrap_or_else(|| cluster.default_namespace());
    let rows = find_rows(catalog, &objects, Some(namespace).filter(|_| !context.args.all_namespaces))?;
    picks.extend(rows.into_iter().map(|row| Pick::Object(row.id())));
    if !words.is_empty() && picks.is_empty() {
        return Err(hinted("nothing of the snapshot is selected", "look with `kubectl kubestash ls`; -A looks in all namespaces"));
    }
    let kinds = args.include_resources.iter().map(|kind| Ok(find_kind(catalog, kind)?.info.group_resource()));
    let kinds: Vec<GroupResource> = kinds.collect::<anyhow::Result<_>>()?;
    let selection = Selection::default().names(&args.names)?.kinds(kinds).labels(args.selector.as_deref().map(str::parse).transpose()?).picks(picks);
    Ok(match named {
        Some(namespace) if words.is_empty() => selection.namespaces(&[namespace.to_owned()])?,
        _ => selection,
    })
}

fn show_plan(plan: &Plan, args: &RestoreArgs, context: &CliContext) -> anyhow::Result<()> {
    if matches!(args.output.output, Format::Json | Format::Yaml) {
        return if args.dry_run == Some(DryRun::Client) { structured(plan, args.output.output == Format::Yaml) } else { Ok(()) };
    }
    let counts = plan
        .counts()
        .into_iter()
        .map(|((action, reason), number)| vec![action_name(action).to_owned(), number.to_string(), reason.text().to_owned()]);
    let bare = plan.bare_namespaces.len();
    let bare =
        (bare > 0).then(|| vec!["create".to_owned(), bare.to_string(), "namespaces that the snapshot does not hold, without labels".to_owned()]);
    let rows: Vec<Vec<String>> = bare.into_iter().chain(counts).collect();
    if rows.is_empty() {
        return Ok(());
    }
    let text = table(&["ACTION", "OBJECTS", "REASON"], &rows);
    if args.dry_run.is_none() {
        context.note(text.trim_end());
        return Ok(());
    }
    print_bytes(text.as_bytes())?;
    let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    for step in plan.steps().filter(|step| step.action != Action::Skip || args.output.output == Format::Wide) {
        let detail = step.detail.as_ref().map_or_else(String::new, |detail| format!(" ({detail})"));
        print_bytes(format!("{} {}: {}{detail}\n", action_name(step.action), step.id(), step.reason.text()).as_bytes())?;
        if let Some(diff) = &step.diff {
            print_bytes(if colour { coloured(diff) } else { diff.clone() }.as_bytes())?;
        }
    }
    Ok(())
}

const fn action_name(action: Action) -> &'static str {
    match action {
        Action::Create => "create",
        Action::Update => "update",
        Action::Skip => "skip",
        Action::Fail => "refuse",
    }
}

fn confirm(plan: &Plan, cluster: &Cluster) -> anyhow::Result<bool> {
    let number = plan.steps().filter(|step| matches!(step.action, Action::Create | Action::Update)).count() as u64;
    let question = format!("Write {} to {}?", count(number, "object"), cluster.context());
    if !std::io::stdin().is_terminal() {
        return Err(hinted(format!("{question} There is no terminal to ask"), "say --yes, or look first with --dry-run"));
    }
    let mut out = std::io::stderr();
    write!(out, "{question} [y/N] ")?;
    out.flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

fn show_report(report: &Report, args: &RestoreArgs, context: &CliContext) -> anyhow::Result<()> {
    if matches!(args.output.output, Format::Json | Format::Yaml) {
        return structured(report, args.output.output == Format::Yaml);
    }
    let (created, updated) = if report.dry_run { ("would be created", "would be updated") } else { ("created", "updated") };
    let skipped: u64 = report.skipped.values().sum();
    let mut text = format!(
        "{} {created}, {} {updated}, {} unchanged, {skipped} skipped, {} failed\n",
        report.created, report.updated, report.unchanged, report.failed
    );
    for group in &report.causes {
        let more = if group.count > group.examples.len() as u64 { ", …" } else { "" };
        text.push_str(&format!("FAILED {}: {}\n  {}{more}\n", group.count, group.cause, group.examples.join(", ")));
    }
    for (reason, number) in &report.not_checkable {
        text.push_str(&format!("cannot be checked before it is done: {number}, {reason}\n"));
    }
    print_bytes(text.as_bytes())?;
    for warning in report.warnings.iter().take(20) {
        context.note(&format!("warning: {warning}"));
    }
    let more = report.warnings.len().saturating_sub(20) as u64 + report.more_warnings;
    if more > 0 {
        context.note(&format!("{} more; -o yaml shows them", count(more, "warning")));
    }
    if report.not_attempted > 0 {
        context.note(&format!("Stopped before {}; run the same command again to go on.", count(report.not_attempted, "object")));
    }
    Ok(())
}
