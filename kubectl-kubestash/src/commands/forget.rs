//! `kubectl kubestash forget`: remove snapshots, by name or by rules of what to keep.

use clap::Args;
use jiff::Timestamp;
use kubestash::backend::snapshot_file;
use kubestash::repository::{
    Root, SnapshotId,
    prune::PruneOptions,
    retention::{ForgetPlan, KeepRules, Period, RetentionError, Verdict, plan, plan_named},
};

use super::prune;
use crate::cli::{
    CliContext,
    args::{Format, OutputArgs},
    errors::hinted,
    exit,
    output::{count, print_bytes, structured, table, time},
    repo::OpenRepository,
};

/// Remove snapshots from the repository
///
/// Names say which ones go, or rules which ones stay. Rules count for each cluster and filters apart; hours, days, weeks (ISO, from Monday),
/// months and years are those of UTC, and the newest snapshot of each is kept. The snapshots that stay are whole. Objects that only removed
/// snapshots had stay in the store until a prune.
#[derive(Debug, Args)]
pub struct ForgetArgs {
    /// Names, unique beginnings, `latest` or times
    #[arg(conflicts_with = "rules")]
    pub snapshots: Vec<String>,
    #[command(flatten)]
    pub rules: RuleArgs,
    /// Apply the rules only to snapshots with this tag; may be repeated
    #[arg(long, value_name = "TAG", conflicts_with = "snapshots")]
    pub tag: Vec<String>,
    /// Let the rules remove all snapshots of a cluster; without a rule, all that --tag names
    #[arg(long, conflicts_with = "snapshots")]
    pub unsafe_allow_remove_all: bool,
    /// Prune afterwards, with a grace time of 24 hours
    #[arg(long)]
    pub prune: bool,
    /// Only show what would be removed
    #[arg(long, conflicts_with = "prune")]
    pub dry_run: bool,
    #[command(flatten)]
    pub output: OutputArgs,
}

/// What to keep.
#[derive(Debug, Args)]
#[group(id = "rules", multiple = true)]
pub struct RuleArgs {
    /// Keep the newest N snapshots; `unlimited` for all, here and below
    #[arg(long, value_name = "N", default_value = "0", hide_default_value = true, value_parser = number)]
    pub keep_last: u32,
    /// Keep the newest of each of the last N hours that have one
    #[arg(long, value_name = "N", default_value = "0", hide_default_value = true, value_parser = number)]
    pub keep_hourly: u32,
    /// Keep the newest of each of the last N days that have one
    #[arg(long, value_name = "N", default_value = "0", hide_default_value = true, value_parser = number)]
    pub keep_daily: u32,
    /// Keep the newest of each of the last N weeks that have one
    #[arg(long, value_name = "N", default_value = "0", hide_default_value = true, value_parser = number)]
    pub keep_weekly: u32,
    /// Keep the newest of each of the last N months that have one
    #[arg(long, value_name = "N", default_value = "0", hide_default_value = true, value_parser = number)]
    pub keep_monthly: u32,
    /// Keep the newest of each of the last N years that have one
    #[arg(long, value_name = "N", default_value = "0", hide_default_value = true, value_parser = number)]
    pub keep_yearly: u32,
    /// Keep all that are at most so much older than the newest, as in 30d or 1y6mo (y, mo, w, d, h, m for minutes)
    #[arg(long, value_name = "DURATION")]
    pub keep_within: Option<Period>,
    /// Keep all with this tag; may be repeated
    #[arg(long, value_name = "TAG")]
    pub keep_tag: Vec<String>,
}

fn number(text: &str) -> Result<u32, String> {
    if text == "unlimited" { Ok(u32::MAX) } else { text.parse().map_err(|_| "not a number from 0 up, nor `unlimited`".to_owned()) }
}

impl RuleArgs {
    fn rules(&self) -> KeepRules {
        KeepRules {
            last: self.keep_last,
            hourly: self.keep_hourly,
            daily: self.keep_daily,
            weekly: self.keep_weekly,
            monthly: self.keep_monthly,
            yearly: self.keep_yearly,
            within: self.keep_within,
            tags: self.keep_tag.clone(),
        }
    }
}

pub async fn run(args: &ForgetArgs, context: &CliContext) -> anyhow::Result<u8> {
    let open = context.repository(false).await?;
    // The whole plan is made before the first snapshot goes.
    let (plan, damaged) =
        if args.snapshots.is_empty() { (by_rules(args, &open, context).await?, Vec::new()) } else { by_name(args, &open, context).await? };
    show(args, &plan)?;
    for verdict in plan.goes() {
        if !args.dry_run {
            open.repository.forget(verdict.id).await?;
            open.directory.delete(&snapshot_file(&verdict.name)).await?;
        }
        line(args, &verdict.name, "")?;
    }
    for id in &damaged {
        if !args.dry_run {
            open.repository.forget(*id).await?;
        }
        line(args, &id.to_string(), if args.dry_run { ", which cannot be read" } else { ", which could not be read" })?;
    }
    if args.dry_run {
        return Ok(exit::OK);
    }
    let removed = count((plan.goes().count() + damaged.len()) as u64, "snapshot");
    if args.prune {
        context.note(&format!("{removed} removed."));
        return prune::prune(&open, PruneOptions::new(Timestamp::now()), args.output.output, context).await;
    }
    context.note(&format!("{removed} removed; `kubectl kubestash prune` frees the space that they alone used."));
    Ok(exit::OK)
}

async fn by_rules(args: &ForgetArgs, open: &OpenRepository, context: &CliContext) -> anyhow::Result<ForgetPlan> {
    let rules = args.rules.rules();
    if rules.is_empty() && (args.tag.is_empty() || !args.unsafe_allow_remove_all) {
        return Err(refused(&RetentionError::NoRule));
    }
    let wanted = |root: &Root| args.tag.is_empty() || args.tag.iter().any(|tag| root.tags.contains(tag));
    plan(&open.list(context).await?.roots, &rules, wanted, args.unsafe_allow_remove_all).map_err(|error| refused(&error))
}

fn refused(error: &RetentionError) -> anyhow::Error {
    let hint = match error {
        RetentionError::NoRule => "name the snapshots that go, or what stays, as in --keep-last 7 --keep-weekly 5",
        RetentionError::NothingKept { .. } => {
            "add a rule that keeps some of them, or --tag for those you mean; --unsafe-allow-remove-all removes them all the same"
        }
    };
    hinted(format!("nothing was removed: {error}"), hint)
}

/// The snapshots that the user names, and the ids of those among them that cannot be read.
async fn by_name(args: &ForgetArgs, open: &OpenRepository, context: &CliContext) -> anyhow::Result<(ForgetPlan, Vec<SnapshotId>)> {
    let (mut roots, mut damaged) = (Vec::new(), Vec::new());
    let unreadable = open.repository.snapshots().await?.damaged;
    for text in &args.snapshots {
        // A root that cannot be read has no name, but an id.
        if let Some(id) = text.parse::<SnapshotId>().ok().filter(|id| unreadable.iter().any(|(key, _)| *key == format!("roots/{id}"))) {
            damaged.push(id);
            continue;
        }
        let root = open.snapshot(context, text).await?;
        if !roots.contains(&root) {
            roots.push(root);
        }
    }
    Ok((plan_named(&roots), damaged))
}

fn show(args: &ForgetArgs, plan: &ForgetPlan) -> anyhow::Result<()> {
    match args.output.output {
        Format::Json => structured(plan, false),
        Format::Yaml => structured(plan, true),
        // A list of names that the user just typed tells him nothing.
        Format::Table | Format::Wide if args.snapshots.is_empty() => {
            for (at, group) in plan.groups.iter().enumerate() {
                let blank = if at > 0 { "\n" } else { "" };
                let filters =
                    if group.filters.as_object().is_none_or(serde_json::Map::is_empty) { String::new() } else { format!(", {}", group.filters) };
                print_bytes(format!("{blank}cluster {}{filters}\n", group.cluster.name).as_bytes())?;
                let rows: Vec<Vec<String>> = group.snapshots.iter().map(row).collect();
                print_bytes(table(&["NAME", "TIME (UTC)", "TAGS", "ACTION", "REASONS"], &rows).as_bytes())?;
            }
            Ok(())
        }
        Format::Table | Format::Wide | Format::Name => Ok(()),
    }
}

fn row(verdict: &Verdict) -> Vec<String> {
    let reasons: Vec<String> = verdict.reasons.iter().map(ToString::to_string).collect();
    let action = if verdict.keep { "keep" } else { "forget" };
    vec![verdict.name.clone(), time(verdict.time), verdict.tags.join(","), action.to_owned(), reasons.join(", ")]
}

/// What was done with one snapshot, where the plan's own table does not say it.
fn line(args: &ForgetArgs, name: &str, more: &str) -> anyhow::Result<()> {
    match args.output.output {
        Format::Name => print_bytes(format!("{name}\n").as_bytes()),
        Format::Table | Format::Wide if !args.snapshots.is_empty() => {
            let done = if args.dry_run { "would forget" } else { "forgot" };
            print_bytes(format!("{done} {name}{more}\n").as_bytes())
        }
        _ => Ok(()),
    }
}
