//! `kubectl kubestash copy`: snapshots of another repository into this one.

use std::{
    collections::HashSet,
    path::PathBuf,
    process::{Command, Stdio},
    sync::{Arc, atomic::Ordering},
};

use anyhow::Context as _;
use clap::Args;
use kubestash::{
    backend::snapshot_file,
    repository::{
        Password, Root,
        copy::{Copier, CopyAction, CopyItem, CopyProgress, nearest, plan},
    },
    store::Location,
};
use serde::Serialize;

use crate::cli::{
    CliContext,
    args::{Format, GlobalArgs, OutputArgs, source_has_credentials},
    errors::hinted,
    exit,
    output::{count, print_bytes, size, structured, table, time},
    progress::Ticker,
    repo::{OpenRepository, read_password},
    snapshots::check_name,
};

/// Copy snapshots of another repository into this one
///
/// Without names all snapshots are copied that this repository lacks. Objects are copied byte for byte; id, name, time, cluster and tags of a
/// snapshot stay, and as the id stays none is copied twice. A copy that was interrupted goes on when it is run again. Both passwords need
/// full access.
#[derive(Debug, Args)]
pub struct CopyArgs {
    /// Names, unique beginnings, `latest` or times, in the source [default: all]
    pub snapshots: Vec<String>,
    #[command(flatten)]
    pub from: FromArgs,
    /// Copy only snapshots with this tag; may be repeated
    #[arg(long, value_name = "TAG", conflicts_with = "snapshots")]
    pub tag: Vec<String>,
    /// Name of the copy, where one snapshot is copied [default: that of the snapshot]
    #[arg(long, requires = "snapshots")]
    pub name: Option<String>,
    /// Only show what would be copied
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Where the source is. What is not given is as for the target, unless the source has credentials of its own.
#[derive(Debug, Args)]
#[command(next_help_heading = "Source")]
pub struct FromArgs {
    /// Repository to copy from: a folder, s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or az://CONTAINER/PREFIX
    #[arg(long, env = "KUBESTASH_FROM_REPO", value_name = "PLACE")]
    pub from_repo: String,
    /// Directory in its storage, where that holds several repositories
    #[arg(long, env = "KUBESTASH_FROM_DIRECTORY", value_name = "NAME")]
    pub from_directory: Option<String>,
    /// File with its password [env: KUBESTASH_FROM_PASSWORD holds the password itself]
    #[arg(long, env = "KUBESTASH_FROM_PASSWORD_FILE", value_name = "FILE", conflicts_with = "from_password_command")]
    pub from_password_file: Option<PathBuf>,
    /// Command for the shell that prints its password
    #[arg(long, env = "KUBESTASH_FROM_PASSWORD_COMMAND", value_name = "COMMAND")]
    pub from_password_command: Option<String>,
    /// Endpoint of its S3 store; with FROM_ in front, AWS_ACCESS_KEY_ID and the other variables are those of the source alone
    #[arg(long, env = "FROM_AWS_ENDPOINT_URL", value_name = "URL")]
    pub from_s3_endpoint: Option<String>,
    /// Region of its S3 bucket
    #[arg(long, env = "FROM_AWS_REGION", value_name = "REGION")]
    pub from_s3_region: Option<String>,
    /// Storage account of its az:// repository
    #[arg(long, env = "FROM_AZURE_STORAGE_ACCOUNT", value_name = "NAME")]
    pub from_azure_account: Option<String>,
    /// Endpoint of its Azure store
    #[arg(long, env = "FROM_AZURE_STORAGE_ENDPOINT", value_name = "URL")]
    pub from_azure_endpoint: Option<String>,
    /// PEM file of the authorities behind its store's certificate
    #[arg(long, env = "FROM_AWS_CA_BUNDLE", value_name = "FILE")]
    pub from_cacert: Option<PathBuf>,
}

impl FromArgs {
    /// The context of a command that works on the source.
    fn context(&self, target: &CliContext) -> anyhow::Result<CliContext> {
        let provider = Location::parse(&self.from_repo).ok().and_then(|location| location.provider());
        let alone = provider.is_some_and(|provider| source_has_credentials(provider, &|name| std::env::var(name).ok()));
        let shared = if alone {
            GlobalArgs { s3_endpoint: None, s3_region: None, azure_account: None, azure_endpoint: None, cacert: None, ..target.args.clone() }
        } else {
            target.args.clone()
        };
        let args = GlobalArgs {
            repo: Some(self.from_repo.clone()),
            directory: self.from_directory.clone(),
            s3_endpoint: self.from_s3_endpoint.clone().or(shared.s3_endpoint),
            s3_region: self.from_s3_region.clone().or(shared.s3_region),
            azure_account: self.from_azure_account.clone().or(shared.azure_account),
            azure_endpoint: self.from_azure_endpoint.clone().or(shared.azure_endpoint),
            cacert: self.from_cacert.clone().or(shared.cacert),
            is_source: true,
            ..shared
        };
        Ok(CliContext { known_password: self.password()?, ..CliContext::new(args) })
    }

    /// The password that is given for the source alone.
    fn password(&self) -> anyhow::Result<Option<Password>> {
        if let Some(path) = &self.from_password_file {
            return read_password(path).map(Some);
        }
        if let Some(command) = &self.from_password_command {
            return password_of_command(command).map(Some);
        }
        Ok(std::env::var("KUBESTASH_FROM_PASSWORD").ok().filter(|text| !text.is_empty()).map(Password::new))
    }
}

fn password_of_command(command: &str) -> anyhow::Result<Password> {
    let ran = Command::new("sh").args(["-c", command]).stdin(Stdio::inherit()).stderr(Stdio::inherit()).output();
    let ran = ran.context("cannot run the --from-password-command")?;
    if !ran.status.success() {
        return Err(hinted(
            format!("the --from-password-command failed: {}", ran.status),
            "run it by itself: it has to print the password and nothing else",
        ));
    }
    let text = String::from_utf8(ran.stdout)
        .map_err(|_| hinted("the --from-password-command printed what is no text", "it has to print the password and nothing else"))?;
    let password = Password::new(text);
    if password.is_empty() {
        return Err(hinted("the --from-password-command printed nothing", "it has to print the password and nothing else"));
    }
    Ok(password)
}

/// What became of one snapshot.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Outcome {
    #[serde(flatten)]
    item: CopyItem,
    /// Bytes that the copy added to the repository.
    #[serde(skip_serializing_if = "Option::is_none")]
    added_bytes: Option<u64>,
    /// Why it was not copied.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl From<CopyItem> for Outcome {
    fn from(item: CopyItem) -> Self {
        Self { item, added_bytes: None, error: None }
    }
}

impl Outcome {
    fn is_failure(&self) -> bool {
        self.error.is_some() || matches!(self.item.action, CopyAction::NameTaken { .. })
    }

    /// The cell of a table.
    fn action(&self, planned: bool) -> String {
        match (&self.item.action, &self.error) {
            (_, Some(_)) => "failed".to_owned(),
            (CopyAction::Copy, None) if planned => "copy".to_owned(),
            (CopyAction::Copy, None) => format!("copied, {} added", size(self.added_bytes.unwrap_or_default())),
            (CopyAction::AlreadyThere, None) => "there already".to_owned(),
            (CopyAction::NameTaken { .. }, None) => "not copied, its name is taken by another snapshot".to_owned(),
        }
    }
}

pub async fn run(args: &CopyArgs, context: &CliContext) -> anyhow::Result<u8> {
    let source_context = args.from.context(context)?;
    let source = source_context.repository(false).await.context("cannot open the source")?;
    let target = context.repository(false).await?;
    if source.repository.place() == target.repository.place() {
        return Err(hinted(
            format!("{} is both source and target", target.place),
            "--from-repo names the one that is read, --repo the one that is written",
        ));
    }
    let (wanted, unreadable) = wanted(args, &source, context).await?;
    let there = target.list(context).await?.roots;
    let plan = plan(&wanted, &there);
    let planned: Vec<Outcome> = plan.iter().cloned().map(Outcome::from).collect();
    if args.dry_run {
        show(&planned, true, args.output.output)?;
        return Ok(summary(&planned, unreadable, true, context));
    }
    let outcomes = copy(&wanted, planned, there, &source, &target, context).await?;
    show(&outcomes, false, args.output.output)?;
    Ok(summary(&outcomes, unreadable, false, context))
}

/// The snapshots that the user means, oldest first, under the names that they are to have; and how many of all cannot be read.
async fn wanted(args: &CopyArgs, source: &OpenRepository, context: &CliContext) -> anyhow::Result<(Vec<Root>, usize)> {
    if args.snapshots.is_empty() {
        let list = source.list(context).await?;
        let tagged = |root: &Root| args.tag.is_empty() || args.tag.iter().any(|tag| root.tags.contains(tag));
        return Ok((list.roots.into_iter().filter(tagged).collect(), list.damaged.len()));
    }
    let mut roots: Vec<Root> = Vec::new();
    for text in &args.snapshots {
        let root = source.snapshot(context, text).await?;
        if !roots.contains(&root) {
            roots.push(root);
        }
    }
    roots.sort_by_key(|root| (root.time, root.id));
    if let Some(name) = &args.name {
        check_name(name)?;
        let [root] = roots.as_mut_slice() else {
            return Err(hinted(format!("{} cannot all be called {name}", count(roots.len() as u64, "snapshot")), "give --name with one snapshot"));
        };
        root.name.clone_from(name);
    }
    Ok((roots, 0))
}

/// Copies what the plan says. A snapshot that the source cannot give whole is left out and told; all else ends it.
async fn copy(
    wanted: &[Root],
    mut outcomes: Vec<Outcome>,
    mut there: Vec<Root>,
    source: &OpenRepository,
    target: &OpenRepository,
    context: &CliContext,
) -> anyhow::Result<Vec<Outcome>> {
    write_missing_files(&outcomes, &there, target).await?;
    let copier = Copier::new(&source.repository, &target.repository)
        .await
        .with_context(|| format!("cannot copy from {} to {}", source.place, target.place))?;
    let to_copy = outcomes.iter().filter(|outcome| outcome.item.action == CopyAction::Copy).count();
    let mut number = 0;
    for (outcome, root) in outcomes.iter_mut().zip(wanted).filter(|(outcome, _)| outcome.item.action == CopyAction::Copy) {
        number += 1;
        let progress = Arc::new(CopyProgress::default());
        let copied = {
            let (shown, of) = (Arc::clone(&progress), root.clone());
            let _ticker = Ticker::line(context.args.quiet, move || progress_line(&of, number, to_copy, &shown));
            copier.copy(root, nearest(root, &there).cloned(), &progress).await
        };
        match copied {
            Err(error) if error.is_damage() => outcome.error = Some(error.to_string()),
            copied => {
                let copied = copied.with_context(|| format!("cannot copy snapshot {}", root.name))?;
                target.write_snapshot_file(&copied).await?;
                outcome.added_bytes = Some(copied.stats.stored_bytes);
                context.note(&format!("{} ({number}/{to_copy}): {}", root.name, outcome.action(false)));
                there.push(copied);
            }
        }
    }
    Ok(outcomes)
}

/// A copy that was cut off may have left a snapshot without its YAML file.
async fn write_missing_files(outcomes: &[Outcome], there: &[Root], target: &OpenRepository) -> anyhow::Result<()> {
    let files: HashSet<String> = target.directory.list("snapshots").await?.into_iter().map(|entry| entry.key).collect();
    let already: HashSet<_> =
        outcomes.iter().filter(|outcome| outcome.item.action == CopyAction::AlreadyThere).map(|outcome| outcome.item.id).collect();
    for root in there.iter().filter(|root| already.contains(&root.id) && !files.contains(&snapshot_file(&root.name))) {
        target.write_snapshot_file(root).await?;
    }
    Ok(())
}

fn progress_line(root: &Root, number: usize, of: usize, progress: &CopyProgress) -> String {
    let (objects, bytes) = (progress.objects.load(Ordering::Relaxed), progress.bytes.load(Ordering::Relaxed));
    format!("{} ({number}/{of}): {objects}/{}, {} read", root.name, count(root.stats.objects, "object"), size(bytes))
}

fn show(outcomes: &[Outcome], planned: bool, format: Format) -> anyhow::Result<()> {
    match format {
        Format::Json => structured(&outcomes, false),
        Format::Yaml => structured(&outcomes, true),
        Format::Name => {
            let copied = outcomes.iter().filter(|outcome| outcome.item.action == CopyAction::Copy && outcome.error.is_none());
            print_bytes(copied.map(|outcome| format!("{}\n", outcome.item.name)).collect::<String>().as_bytes())
        }
        Format::Table | Format::Wide if outcomes.is_empty() => Ok(()),
        Format::Table | Format::Wide => {
            let rows: Vec<Vec<String>> = outcomes.iter().map(|outcome| row(outcome, planned)).collect();
            print_bytes(table(&["NAME", "TIME (UTC)", "OBJECTS", "ACTION"], &rows).as_bytes())
        }
    }
}

fn row(outcome: &Outcome, planned: bool) -> Vec<String> {
    let item = &outcome.item;
    vec![item.name.clone(), time(item.time), item.objects.to_string(), outcome.action(planned)]
}

/// Tells the rest to a person; gives the exit code.
fn summary(outcomes: &[Outcome], unreadable: usize, planned: bool, context: &CliContext) -> u8 {
    let number = |which: &dyn Fn(&Outcome) -> bool| outcomes.iter().filter(|outcome| which(outcome)).count();
    let copied = number(&|outcome| outcome.item.action == CopyAction::Copy && outcome.error.is_none());
    let already = number(&|outcome| outcome.item.action == CopyAction::AlreadyThere);
    let failed = number(&Outcome::is_failure) + unreadable;
    let done = if planned { "would be copied" } else { "copied" };
    let failed_text = if failed > 0 { format!(", {failed} not copied") } else { String::new() };
    context.note(&format!("{} {done}, {already} there already{failed_text}.", count(copied as u64, "snapshot")));
    for outcome in outcomes {
        if let Some(error) = &outcome.error {
            context.note(&format!("warning: {} was not copied: {error}\nPut the file back from a copy of the source, or save the rest with `kubectl kubestash repair snapshots` there and copy that.", outcome.item.name));
        }
        if let CopyAction::NameTaken { by } = outcome.item.action {
            context.note(&format!(
                "warning: {0} was not copied: the target has another snapshot of this name ({by}). Copy it under another one: kubectl kubestash copy {1} --name NAME",
                outcome.item.name, outcome.item.id
            ));
        }
    }
    if failed > 0 { exit::PARTIAL } else { exit::OK }
}
