//! `kubectl kubestash restore`: put objects of a snapshot, or of a file, back.

mod edits;
mod execute;
mod in_cluster;
mod progress;
mod record;
mod saved;
mod show;
mod source;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use clap::{Args, Subcommand, ValueEnum};
use kubestash::{
    cluster::{Cluster, Discovery},
    object::GroupResource,
    restore::{
        FieldPath, Reason, Selection, Source, observe,
        plan::{Action, Options, Plan, Policies, Served, plan},
    },
};

use crate::cli::{CliContext, args::OutputArgs, errors::hinted, exit, progress::Ticker};
use edits::EditArgs;
use source::Chosen;
pub use source::kind_of;

/// How far a dry run goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DryRun {
    /// Compare, and ask the API server about each update.
    Client,
    /// Let the API server check and admit every request, and write nothing.
    Server,
}

/// Which addresses Services get.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Addresses {
    /// Those of the snapshot; new ones where they are taken.
    Keep,
    /// New ones.
    New,
}

#[derive(Debug, Subcommand)]
pub enum RestoreCommand {
    Report(record::ReportArgs),
}

/// Put objects of a snapshot back into the cluster
///
/// Without objects: the whole snapshot. Running it again continues where it was stopped.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct RestoreArgs {
    #[command(subcommand)]
    pub command: Option<RestoreCommand>,
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
    /// Take along what the chosen objects refer to: accounts with their roles, ConfigMaps, Secrets, claims, definitions; listed first
    #[arg(long)]
    pub related: bool,
    /// Only this field of one object that exists, as data.settings.json or spec.containers[name=web].image
    #[arg(long = "field", value_name = "PATH", conflicts_with_all = ["existing", "exact", "related", "namespaces", "storage_classes", "labels", "annotations", "drop", "patches", "service_addresses"])]
    pub fields: Vec<FieldPath>,
    /// What to do with objects that exist in another state: skip, update, recreate (update, or delete and create anew where a field
    /// differs that cannot be changed) or fail; KIND=POLICY for one kind, as in update,jobs=recreate [default: skip]
    #[arg(long, value_name = "POLICY", value_delimiter = ',')]
    pub existing: Vec<String>,
    /// Remove what the cluster has and the snapshot lacks, of the namespaces, kinds and labels chosen; what is removed is shown first
    #[arg(long, conflicts_with = "filename")]
    pub exact: bool,
    /// With --existing=update: take fields over from other managers
    #[arg(long)]
    pub force_conflicts: bool,
    #[command(flatten)]
    pub edits: EditArgs,
    /// Write a kind under this version, instead of the one of the stored manifest [default: another one where the cluster does not serve it]
    #[arg(long = "api-version", value_name = "KIND=VERSION", value_delimiter = ',', help_heading = "Changes on the way")]
    pub versions: Vec<String>,
    /// Whether Services get their cluster IPs and node ports back where these are free, or new ones [default: back in the same cluster]
    #[arg(long, value_enum, value_name = "WHICH", help_heading = "Changes on the way")]
    pub service_addresses: Option<Addresses>,
    /// Restore the status of objects of these kinds as well, when all else is done; controllers may write it again
    #[arg(long, value_name = "KINDS", value_delimiter = ',', conflicts_with = "fields")]
    pub restore_status: Vec<String>,
    /// Show what would be done: `client` compares, `server` lets the API server check every request
    #[arg(long, value_enum, num_args = 0..=1, default_missing_value = "client", require_equals = true)]
    pub dry_run: Option<DryRun>,
    /// Save the plan instead of executing it
    #[arg(long, value_name = "FILE", conflicts_with_all = ["filename", "in_cluster", "plan"])]
    pub plan_out: Option<PathBuf>,
    /// Execute a saved plan, if the cluster is still as it was
    #[arg(long, value_name = "FILE", conflicts_with_all = [
        "words", "filename", "include_resources", "selector", "names", "existing", "exact", "related", "fields", "force_conflicts", "show_secrets",
        "versions", "service_addresses", "restore_status", "namespaces", "storage_classes", "labels", "annotations", "drop", "patches", "in_cluster",
    ])]
    pub plan: Option<PathBuf>,
    /// How long to wait for definitions to be served, webhooks to answer and old objects to be gone, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub wait_timeout: u64,
    /// Exit with 5 instead of 0 when there was nothing to do
    #[arg(long)]
    pub detailed_exit_code: bool,
    /// Show values of Secrets in differences
    #[arg(long)]
    pub show_secrets: bool,
    /// Let the operator do it: makes a RestoreSession of a snapshot in --repo NAMESPACE/NAME and follows it
    #[arg(long, conflicts_with_all = ["filename", "dry_run", "show_secrets", "exact", "related", "fields", "wait_timeout"])]
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
    if let Some(RestoreCommand::Report(report)) = &args.command {
        return record::run(report, context);
    }
    if args.in_cluster {
        return in_cluster::run(args, context).await;
    }
    if args.plan_out.is_some() && args.dry_run == Some(DryRun::Server) {
        return Err(hinted(
            "a plan that is saved is not sent to the API server",
            "leave --plan-out or --dry-run=server out; a saved plan is checked when it is executed",
        ));
    }
    let cluster = context.cluster().await?;
    let discovery = cluster.discover().await?;
    let prepared = match &args.plan {
        Some(path) => saved::open(path, context, &cluster, &discovery).await?,
        None => prepare(args, context, &cluster, &discovery).await?,
    };
    let document = saved::document(&prepared, &cluster).await?;
    show::plan(&prepared.plan, document.as_ref(), args, context)?;
    if let Some(path) = &args.plan_out {
        return saved::save(path, document.as_ref(), context);
    }
    if prepared.plan.steps().any(|step| step.reason == Reason::Exists) {
        context.note("What exists is left as it is, also where it differs; --existing=update brings it to the snapshot's state.");
    }
    let idle = prepared.plan.steps().all(|step| step.action == Action::Skip);
    if idle && args.dry_run != Some(DryRun::Client) {
        context.note("Nothing to do.");
    }
    if idle || args.dry_run == Some(DryRun::Client) {
        return Ok(if idle && args.detailed_exit_code { exit::NOTHING_TO_DO } else { exit::OK });
    }
    execute::execute(prepared, cluster, args, context).await
}

/// A plan, and what it takes objects from.
pub struct Prepared {
    source: Source,
    selection: Selection,
    plan: Plan,
}

async fn prepare(args: &RestoreArgs, context: &CliContext, cluster: &Cluster, discovery: &Discovery) -> anyhow::Result<Prepared> {
    let Chosen { source, selection, same_cluster } = source::choose(args, context, cluster, discovery).await?;
    let objects = match &source {
        Source::Snapshot(_) => selection.choice().picks.len(),
        Source::File(documents) => documents.len(),
    };
    if !args.fields.is_empty() && objects != 1 {
        return Err(hinted("--field is for one object", "name it behind the snapshot, as in `restore latest cm/settings --field data.colour`"));
    }
    let options = Options {
        existing: Policies::parse(&args.existing, &|kind| kind_of(kind, &source, discovery))?,
        exact: args.exact,
        related: args.related,
        fields: args.fields.clone(),
        force: args.force_conflicts,
        same_cluster,
        keep_addresses: args.service_addresses.map(|addresses| addresses == Addresses::Keep),
        versions: versions(&args.versions, &|kind| kind_of(kind, &source, discovery))?,
        status: kinds(&args.restore_status, &|kind| kind_of(kind, &source, discovery))?,
        edits: args.edits.read()?,
        show_secrets: args.show_secrets,
    };
    let plan = compare(&source, &selection, cluster, discovery, &options, context).await?;
    Ok(Prepared { source, selection, plan })
}

/// Kinds as a person names them.
fn kinds(words: &[String], kind_of: &dyn Fn(&str) -> Option<GroupResource>) -> anyhow::Result<BTreeSet<GroupResource>> {
    words.iter().map(|word| kind_of(word).ok_or_else(|| unknown(word))).collect()
}

fn unknown(kind: &str) -> anyhow::Error {
    hinted(format!("{kind:?} is no kind of the snapshot or the cluster"), "`kubectl api-resources` lists kinds")
}

/// Reads `KIND=VERSION`.
fn versions(words: &[String], kind_of: &dyn Fn(&str) -> Option<GroupResource>) -> anyhow::Result<BTreeMap<GroupResource, String>> {
    let read = |word: &String| {
        let (kind, version) = word.split_once('=').filter(|(_, version)| !version.is_empty() && !version.contains('/')).ok_or_else(|| {
            hinted(format!("{word:?} names no version of a kind"), "write KIND=VERSION without a group in the version, as in widgets.example.com=v2")
        })?;
        let kind = kind_of(kind).ok_or_else(|| unknown(kind))?;
        Ok((kind, version.to_owned()))
    };
    words.iter().map(read).collect()
}

async fn compare(
    source: &Source,
    selection: &Selection,
    cluster: &Cluster,
    discovery: &Discovery,
    options: &Options,
    context: &CliContext,
) -> anyhow::Result<Plan> {
    let _ticker = Ticker::line(context.args.quiet, || "comparing with the cluster".to_owned());
    Ok(plan(&observe(source, selection, cluster, Served::from(discovery), options).await?, options))
}
