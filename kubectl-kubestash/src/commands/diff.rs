//! `kubectl kubestash diff`: what changed between two snapshots, or since one.

use std::{collections::BTreeSet, io::IsTerminal as _};

use anstyle::{AnsiColor, Style};
use clap::Args;
use kubestash::{
    collect::Filters,
    compare::{Change, ChangeKind, changes, is_controlled, may_be_controlled, text},
    object::{GroupResource, names_kind},
    repository::{Access, RepositoryError, Snapshot},
    restore::{differs_only_in_generated, entries},
};

use super::backup::{gaps, live};
use crate::cli::{
    CliContext, exit,
    output::{columns, count, print_bytes},
    repo::OpenRepository,
    snapshots::LIVE,
};

/// Show what changed between two snapshots, or from a snapshot to the cluster as it is now
///
/// Compares catalogs first and reads only objects that differ. What the API server stamps and status are not compared.
/// Exits with 0 when nothing differs, 1 when something does, 3 when nothing does as far as it can be compared, 4 when it failed.
#[derive(Debug, Args)]
pub struct DiffArgs {
    /// The older side: a name, a unique beginning, `latest`, a time or `live`
    #[arg(default_value = "latest")]
    pub before: String,
    /// The newer side
    #[arg(default_value = LIVE)]
    pub after: String,
    /// Only objects of these kinds
    #[arg(long = "kind", value_name = "LIST", value_delimiter = ',')]
    pub kinds: Vec<String>,
    /// Only the names of objects, with A, D or M in front
    #[arg(long)]
    pub name_only: bool,
    /// Lines added and removed per object
    #[arg(long, conflicts_with = "name_only")]
    pub stat: bool,
    /// Also what controllers make and make again: the Pods of a ReplicaSet, the ReplicaSets of a Deployment, …
    #[arg(long)]
    pub controlled: bool,
    /// Also objects that differ only in what the cluster gave to them: uids in selectors, tokens, names of generated volumes, …
    #[arg(long)]
    pub generated: bool,
    /// Show values of Secrets
    #[arg(long)]
    pub show_secrets: bool,
}

pub async fn run(args: &DiffArgs, context: &CliContext) -> anyhow::Result<u8> {
    match compare(args, context).await {
        Ok(code) => Ok(code),
        Err(error) => {
            crate::cli::errors::print(&error);
            Ok(exit::DIFF_FAILED)
        }
    }
}

async fn compare(args: &DiffArgs, context: &CliContext) -> anyhow::Result<u8> {
    let open = context.repository(false).await?;
    let by_hash = open.repository.access() == Access::Full || (args.before != LIVE && args.after != LIVE);
    let [before, after] = &match [stored(&args.before, &open, context).await?, stored(&args.after, &open, context).await?] {
        [Some(before), Some(after)] => [before, after],
        [Some(before), None] => [before.clone(), live_beside(Some(&before), &open, context).await?],
        [None, Some(after)] => [live_beside(Some(&after), &open, context).await?, after],
        [None, None] => [live_beside(None, &open, context).await?, live_beside(None, &open, context).await?],
    };
    let unread: Vec<String> = [before, after].into_iter().flat_map(|side| gaps(side.root())).map(|(name, _)| name).collect();
    let namespace = context.args.namespace.as_deref().filter(|_| !context.args.all_namespaces);
    let found: Vec<Change> = changes(entries(before.catalog()), entries(after.catalog()), &|entry| {
        namespace.is_none_or(|wanted| entry.namespace == Some(wanted)) && !unread.iter().any(|name| *name == kind_name(entry.resource, entry.group))
    });
    let kinds = |side: &Snapshot, row: u32| side.catalog().row(row).is_some_and(|row| args.kinds.iter().any(|kind| names_kind(row.kind, kind)));
    let found: Vec<Change> = found
        .into_iter()
        .filter(|change| {
            args.kinds.is_empty()
                || match change.kind {
                    ChangeKind::Added { after: row } | ChangeKind::Changed { after: row, .. } => kinds(after, row),
                    ChangeKind::Removed { before: row } => kinds(before, row),
                }
        })
        .collect();
    let Told { kept: found, controlled, generated, uncompared } = tell_apart(args, before, after, found, by_hash).await?;
    show(args, before, after, &found).await?;
    if !unread.is_empty() {
        context.note(&format!("Not compared, because one side could not be read: {}", unread.join(", ")));
    }
    if uncompared > 0 {
        let objects = count(uncompared, "sensitive object");
        context.note(&format!("Values of {objects} were not compared, only their keys and lengths: this password does not open them."));
    }
    if controlled > 0 {
        context.note(&format!("Not shown: {} made by controllers; --controlled shows them.", count(controlled, "object")));
    }
    if generated > 0 {
        let differ = if generated == 1 { "differs" } else { "differ" };
        let objects = count(generated, "object");
        context.note(&format!("Not shown: {objects} that {differ} only in uids, tokens and other generated values; --generated shows them."));
    }
    if found.is_empty() {
        context.note("No differences.");
        return Ok(if unread.is_empty() && uncompared == 0 { exit::OK } else { exit::PARTIAL });
    }
    context.note(&format!("{} {}.", count(found.len() as u64, "object"), if found.len() == 1 { "differs" } else { "differ" }));
    Ok(exit::ERROR)
}

/// A side that is no live cluster.
async fn stored(text: &str, open: &OpenRepository, context: &CliContext) -> anyhow::Result<Option<Snapshot>> {
    if text == LIVE {
        return Ok(None);
    }
    let root = open.snapshot(context, text).await?;
    Ok(Some(open.repository.open_snapshot(&root).await?))
}

/// The cluster, read as the other side was.
async fn live_beside(other: Option<&Snapshot>, open: &OpenRepository, context: &CliContext) -> anyhow::Result<Snapshot> {
    let filters: Filters = other.and_then(|side| serde_json::from_value(side.root().filters.clone()).ok()).unwrap_or_default();
    let rows = other.into_iter().flat_map(|side| side.catalog().rows());
    let sensitive: BTreeSet<GroupResource> = rows.filter(|row| row.sensitive).map(|row| row.kind.group_resource()).collect();
    live(&context.cluster().await?, &filters, sensitive.into_iter().collect(), &open.repository, context.args.quiet).await
}

/// Changes that somebody made, and how many others there are.
#[derive(Default)]
struct Told {
    kept: Vec<Change>,
    controlled: u64,
    generated: u64,
    /// Sensitive objects of which only the redacted forms were compared, whether they are kept or not.
    uncompared: u64,
}

/// Takes out what controllers made and what the cluster generated, unless it is asked for. Without `by_hash`, hashes of sensitive objects tell
/// nothing, and their redacted forms are compared.
async fn tell_apart(args: &DiffArgs, before: &Snapshot, after: &Snapshot, found: Vec<Change>, by_hash: bool) -> anyhow::Result<Told> {
    let mut told = Told::default();
    for change in found {
        if let (false, ChangeKind::Changed { before: old, after: new }) = (by_hash, change.kind)
            && (is_sensitive(before, Some(old)) || is_sensitive(after, Some(new)))
        {
            told.uncompared += 1;
            if before.manifest(old).await? == after.manifest(new).await? {
                continue;
            }
        }
        let kind = &change.id.kind;
        let ask_controlled = !args.controlled && may_be_controlled(kind);
        let (old_row, new_row) = match change.kind {
            ChangeKind::Added { after } => (None, ask_controlled.then_some(after)),
            ChangeKind::Removed { before } => (ask_controlled.then_some(before), None),
            ChangeKind::Changed { before, after } => ((!args.generated).then_some(before), (ask_controlled || !args.generated).then_some(after)),
        };
        let (old, new) = (manifest(before, old_row).await?, manifest(after, new_row).await?);
        // Of values that this password does not open nobody can say whether they were generated.
        let readable = |side: &Snapshot, row: Option<u32>| side.access() == Access::Full || !is_sensitive(side, row);
        if ask_controlled && new.as_ref().or(old.as_ref()).is_some_and(|text| is_controlled(text)) {
            told.controlled += 1;
        } else if let (Some(old), Some(new)) = (&old, &new)
            && readable(before, old_row)
            && readable(after, new_row)
            && differs_only_in_generated(kind, old, new)
        {
            told.generated += 1;
        } else {
            told.kept.push(change);
        }
    }
    Ok(told)
}

fn is_sensitive(side: &Snapshot, row: Option<u32>) -> bool {
    row.and_then(|row| side.catalog().row(row)).is_some_and(|row| row.sensitive)
}

fn kind_name(resource: &str, group: &str) -> String {
    GroupResource::new(group, resource).to_string()
}

async fn show(args: &DiffArgs, before: &Snapshot, after: &Snapshot, found: &[Change]) -> anyhow::Result<()> {
    let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let mut stat = Vec::new();
    for change in found {
        let (letter, old_row, new_row) = match change.kind {
            ChangeKind::Added { after } => ('A', None, Some(after)),
            ChangeKind::Removed { before } => ('D', Some(before), None),
            ChangeKind::Changed { before, after } => ('M', Some(before), Some(after)),
        };
        let path = change.id.mount_path();
        if args.name_only {
            print_bytes(format!("{letter} {path}\n").as_bytes())?;
            continue;
        }
        let old = manifest(before, old_row).await?;
        let new = manifest(after, new_row).await?;
        if args.stat {
            let (added, removed) = text::stat(old.as_deref().unwrap_or_default(), new.as_deref().unwrap_or_default());
            stat.push(vec![format!("{letter} {path}"), format!("+{added}"), format!("-{removed}")]);
        } else {
            let secret = change.id.kind.group.is_empty() && change.id.kind.resource == "secrets";
            // What this password does not open comes hidden.
            let hide = secret && !args.show_secrets && before.access() == Access::Full;
            let mut text = text::between(&change.id, old.as_deref(), new.as_deref(), hide);
            if text.is_empty() {
                text = format!("Hidden values of a/{path} and b/{path} differ\n");
            }
            print_bytes(if colour { coloured(&text) } else { text }.as_bytes())?;
        }
    }
    print_bytes(columns(stat.iter()).as_bytes())
}

async fn manifest(snapshot: &Snapshot, row: Option<u32>) -> Result<Option<bytes::Bytes>, RepositoryError> {
    match row {
        Some(row) => snapshot.manifest(row).await.map(Some),
        None => Ok(None),
    }
}

/// As git colours a patch.
pub fn coloured(patch: &str) -> String {
    const ADDED: Style = AnsiColor::Green.on_default();
    const REMOVED: Style = AnsiColor::Red.on_default();
    const HUNK: Style = AnsiColor::Cyan.on_default();
    const FILE: Style = Style::new().bold();
    let mut out = String::new();
    for line in patch.split_inclusive('\n') {
        let style = match line.as_bytes() {
            [b'+', b'+', b'+', ..] | [b'-', b'-', b'-', ..] => FILE,
            [b'+', ..] => ADDED,
            [b'-', ..] => REMOVED,
            [b'@', b'@', ..] => HUNK,
            _ => Style::new(),
        };
        out.push_str(&format!("{style}{}{style:#}\n", line.trim_end_matches('\n')));
    }
    out
}
