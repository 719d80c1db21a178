//! `kubectl kubestash backup`: read the cluster into a new snapshot.

use std::sync::{Arc, atomic::Ordering};
use std::time::Instant;

use anyhow::Context as _;
use clap::Args;
use jiff::Timestamp;
use kubestash::{
    api::{join_name, sanitize_name, time_name},
    cluster::Cluster,
    collect::{CollectPlan, Filters, Progress, collect, plan},
    compare,
    object::GroupResource,
    repository::{BackupOptions, CommitInfo, KindOutcome, Repository, Root, Snapshot},
};

use super::trigger::{TriggerFlags, trigger};
use crate::cli::{
    CliContext,
    errors::hinted,
    exit, names,
    output::{count, print_bytes, size, table},
    progress::Ticker,
    snapshots::check_name,
};

/// Read the cluster into a new snapshot
///
/// All kinds are read at one point in time. Objects that did not change since the snapshot before are not stored again.
#[derive(Debug, Args)]
pub struct BackupArgs {
    /// Run this BackupConfiguration's sessions in the cluster instead, as `trigger` does
    #[arg(value_parser = names::configuration, conflicts_with_all = ["name", "tags", "sensitive", "no_parent", "dry_run"])]
    pub configuration: Option<String>,
    #[command(flatten)]
    pub trigger: TriggerFlags,
    #[command(flatten)]
    pub filters: FilterArgs,
    /// Name of the snapshot [default: CONTEXT-DATE-TIME]
    #[arg(long)]
    pub name: Option<String>,
    /// Word to find the snapshot by; may be repeated
    #[arg(long = "tag", value_name = "WORD")]
    pub tags: Vec<String>,
    /// Kind to protect like Secrets, as plural.group; may be repeated
    #[arg(long = "sensitive", value_name = "KIND")]
    pub sensitive: Vec<String>,
    /// Store every object anew, also what the repository has already: heals damage
    #[arg(long)]
    pub no_parent: bool,
    /// Only show what would be read and what not, with the reasons
    #[arg(long)]
    pub dry_run: bool,
}

/// What to take of a cluster.
#[derive(Debug, Clone, Args)]
pub struct FilterArgs {
    /// Namespaces to take, as names or globs [default: all; -n NAMESPACE is the same]
    #[arg(long, value_name = "LIST", value_delimiter = ',', help_heading = "What to take")]
    pub include_namespaces: Vec<String>,
    /// Namespaces to leave out
    #[arg(long, value_name = "LIST", value_delimiter = ',', help_heading = "What to take")]
    pub exclude_namespaces: Vec<String>,
    /// Kinds to take, as plural, plural.group, kind, short name or glob [default: all]
    #[arg(long, value_name = "LIST", value_delimiter = ',', help_heading = "What to take")]
    pub include_resources: Vec<String>,
    /// Kinds to leave out
    #[arg(long, value_name = "LIST", value_delimiter = ',', help_heading = "What to take")]
    pub exclude_resources: Vec<String>,
    /// Whether to take cluster-scoped kinds [default: yes, unless namespaces are named]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", require_equals = true, help_heading = "What to take")]
    pub include_cluster_resources: Option<bool>,
    /// Label selector
    #[arg(short = 'l', long, default_value = "", hide_default_value = true, help_heading = "What to take")]
    pub selector: String,
    /// Take also what is left out by default: events, leases, nodes, endpoints of Services, …
    #[arg(long, help_heading = "What to take")]
    pub all_kinds: bool,
}

impl FilterArgs {
    /// Filters of these flags and of `-n`.
    pub fn filters(&self, context: &CliContext) -> Filters {
        let mut include_namespaces = self.include_namespaces.clone();
        if include_namespaces.is_empty() && !context.args.all_namespaces {
            include_namespaces.extend(context.args.namespace.clone());
        }
        Filters {
            include_namespaces,
            exclude_namespaces: self.exclude_namespaces.clone(),
            include_resources: self.include_resources.clone(),
            exclude_resources: self.exclude_resources.clone(),
            include_cluster_resources: self.include_cluster_resources,
            selector: self.selector.clone(),
            all_kinds: self.all_kinds,
            ..Filters::default()
        }
    }
}

pub async fn run(args: &BackupArgs, context: &CliContext) -> anyhow::Result<u8> {
    if let Some(configuration) = &args.configuration {
        return trigger(configuration, &args.trigger, context).await;
    }
    let started = Instant::now();
    let cluster = context.cluster().await?;
    let filters = args.filters.filters(context);
    let identity = cluster.identity().await?;
    let plan = plan(&cluster.discover().await?, &filters)?;
    if plan.read().next().is_none() {
        return Err(hinted("the filters leave no kind to read", "run it with --dry-run to see why"));
    }
    if args.dry_run {
        return show_plan(&plan, context);
    }
    let now = Timestamp::now();
    let name = match &args.name {
        Some(name) => {
            check_name(name)?;
            name.clone()
        }
        None => join_name("", &sanitize_name(cluster.context()), &time_name(now)),
    };
    let open = context.repository(true).await?;
    let roots = open.list(context).await?.roots;
    if roots.iter().any(|root| root.name == name) {
        return Err(hinted(format!("there is a snapshot {name} already"), "give this one another --name"));
    }
    let asked = serde_json::to_value(&filters)?;
    let parent = if args.no_parent { None } else { roots.into_iter().rev().find(|root| root.cluster.uid == identity.uid && root.filters == asked) };
    let Ok(sensitive) = args.sensitive.iter().map(|kind| kind.parse()).collect::<Result<Vec<GroupResource>, _>>();
    let writer = open.repository.backup(BackupOptions { parent, sensitive, anew: args.no_parent }).await?;

    let progress = Arc::new(Progress::default());
    stop_on_interrupt(&progress);
    let writers = Arc::new(vec![writer]);
    let report = {
        let shown = Arc::clone(&progress);
        let _ticker = Ticker::line(context.args.quiet, move || progress_line(&shown));
        collect(&cluster, &plan, &filters, Arc::clone(&writers), &progress).await?
    };
    let writer = Arc::into_inner(writers).and_then(|mut writers| writers.pop()).context("the snapshot is still being written")?;
    let root = writer
        .commit(CommitInfo {
            name,
            id: None,
            time: now,
            cluster: identity,
            filters: asked,
            resource_version: report.resource_version,
            kinds: report.kinds,
            failed_groups: report.failed_groups,
            tags: args.tags.clone(),
            duration_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        })
        .await
        .context("cannot finish the snapshot")?;
    open.write_snapshot_file(&root).await?;
    summary(&root, context)
}

/// Ctrl-C and SIGTERM: stop reading, commit nothing.
pub fn stop_on_interrupt(progress: &Arc<Progress>) {
    let progress = Arc::clone(progress);
    tokio::spawn(async move {
        let Ok(mut terminate) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) else { return };
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        }
        progress.cancelled.store(true, Ordering::Relaxed);
    });
}

/// `kinds 12/80, 3,456 objects, 12.3 MiB`.
pub fn progress_line(progress: &Progress) -> String {
    let get = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    format!(
        "kinds {}/{}, {}, {}",
        get(&progress.kinds_done),
        get(&progress.kinds_total),
        count(get(&progress.objects), "object"),
        size(get(&progress.bytes))
    )
}

fn show_plan(plan: &CollectPlan, context: &CliContext) -> anyhow::Result<u8> {
    let mut rows: Vec<Vec<String>> = Vec::new();
    for kind in &plan.kinds {
        let what = kind.skip.map_or_else(|| "read".to_owned(), |skip| format!("skip: {}", skip.reason()));
        rows.push(vec![kind.info.group_resource().to_string(), kind.info.version.clone(), kind.info.namespaced.to_string(), what]);
    }
    for (group, reason) in &plan.failed_groups {
        rows.push(vec![group.clone(), String::new(), String::new(), format!("cannot be read: {reason}")]);
    }
    print_bytes(table(&["RESOURCE", "VERSION", "NAMESPACED", "ACTION"], &rows).as_bytes())?;
    let (read, all) = (plan.read().count() as u64, plan.kinds.len() as u64);
    context.note(&format!("{} of {all} would be read; nothing was written.", count(read, "kind")));
    Ok(if plan.failed_groups.is_empty() { exit::OK } else { exit::PARTIAL })
}

fn summary(root: &Root, context: &CliContext) -> anyhow::Result<u8> {
    let stats = root.stats;
    let kinds = root.kinds.iter().filter(|kind| matches!(kind.outcome, KindOutcome::Read { objects, .. } if objects > 0)).count() as u64;
    let inexact: Vec<String> = root
        .kinds
        .iter()
        .filter(|kind| matches!(kind.outcome, KindOutcome::Read { exact: false, objects, .. } if objects > 0))
        .map(|kind| kind.kind.group_resource().to_string())
        .collect();
    print_bytes(format!("{}\n", root.name).as_bytes())?;
    context.note(&format!(
        "{} of {} ({} new, {} changed, {} unchanged), {} added, {:.1} s{}",
        count(stats.objects, "object"),
        count(kinds, "kind"),
        stats.new,
        stats.changed,
        stats.unchanged,
        size(stats.stored_bytes),
        root.duration_ms as f64 / 1000.0,
        root.resource_version.as_ref().map_or_else(String::new, |version| format!(", all at resourceVersion {version}")),
    ));
    if !inexact.is_empty() {
        context.note(&format!("Read a little later than the rest: {}", inexact.join(", ")));
    }
    let left_out: u64 =
        root.kinds.iter().map(|kind| if let KindOutcome::Read { left_out, .. } = &kind.outcome { left_out.values().sum() } else { 0 }).sum();
    if left_out > 0 {
        context.note(&format!(
            "{} left out by filters and defaults; `kubectl kubestash snapshots {} -o yaml` names the reasons.",
            count(left_out, "object"),
            root.name
        ));
    }
    if root.is_complete() {
        context.note(&format!("Look at it with: kubectl kubestash mount {} DIR", root.name));
        return Ok(exit::OK);
    }
    anstream::eprintln!("NOT COMPLETE. These could not be read:");
    for (name, reason) in gaps(root) {
        anstream::eprintln!("  {name}: {reason}");
    }
    Ok(exit::PARTIAL)
}

/// What a snapshot lacks, and why.
pub fn gaps(root: &Root) -> Vec<(String, String)> {
    let kinds = root.kinds.iter().flat_map(|kind| match &kind.outcome {
        KindOutcome::Forbidden { message } => vec![(kind.kind.group_resource().to_string(), format!("forbidden: {message}"))],
        KindOutcome::Failed { message } => vec![(kind.kind.group_resource().to_string(), message.clone())],
        KindOutcome::Read { not_stored, .. } => not_stored.iter().map(|(object, reason)| (object.clone(), reason.clone())).collect(),
        KindOutcome::Absent => Vec::new(),
    });
    kinds.chain(root.failed_groups.iter().cloned()).collect()
}

/// The cluster as it is now, in memory, under the keys of a repository so that hashes compare.
pub async fn live(
    cluster: &Cluster,
    filters: &Filters,
    sensitive: Vec<GroupResource>,
    repository: &Repository,
    quiet: bool,
) -> anyhow::Result<Snapshot> {
    let progress = Arc::new(Progress::default());
    let shown = Arc::clone(&progress);
    let _ticker = Ticker::line(quiet, move || format!("reading the cluster: {}", progress_line(&shown)));
    Ok(compare::live(cluster, repository, filters, sensitive, &progress).await?)
}
