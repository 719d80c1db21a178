//! Which objects a restore is about: of a snapshot, or of a file.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use kubestash::{
    cluster::{Cluster, Discovery},
    object::{GroupResource, names_kind},
    repository::Snapshot,
    restore::{Pick, Selection, Source, stored_kind},
};

use super::RestoreArgs;
use crate::cli::{
    CliContext,
    errors::hinted,
    objects::{find_kind, find_rows},
    snapshots::LIVE,
};

/// What to restore from, and what of it.
pub struct Chosen {
    pub source: Source,
    pub selection: Selection,
    /// Whether the snapshot is of the cluster that it is restored into.
    pub same_cluster: bool,
}

/// Reads the file or opens the snapshot that the arguments name.
pub async fn choose(args: &RestoreArgs, context: &CliContext, cluster: &Cluster, discovery: &Discovery) -> anyhow::Result<Chosen> {
    match &args.filename {
        Some(path) => {
            let source = read_file(path, context, cluster, discovery)?;
            Ok(Chosen { source, selection: Selection::default(), same_cluster: false })
        }
        None => from_snapshot(args, context, cluster).await,
    }
}

/// The kind that a person means: one of the source, or one that the cluster serves.
pub fn kind_of(text: &str, source: &Source, discovery: &Discovery) -> Option<GroupResource> {
    let own = match source {
        Source::Snapshot(snapshot) => find_kind(snapshot.catalog(), text).ok().map(|kind| kind.info.group_resource()),
        Source::File(documents) => documents.iter().find(|one| names_kind(&one.kind, text)).map(|one| one.id.kind.clone()),
    };
    own.or_else(|| discovery.resolve(text).ok().map(|kind| kind.info.group_resource()))
}

fn read_file(path: &PathBuf, context: &CliContext, cluster: &Cluster, discovery: &Discovery) -> anyhow::Result<Source> {
    let text = if path.as_os_str() == "-" { std::io::read_to_string(std::io::stdin()) } else { std::fs::read_to_string(path) };
    let text = text.with_context(|| format!("cannot read {}", path.display()))?;
    let kind_of = |api_version: &str, kind: &str| stored_kind(api_version, kind, discovery.kinds.iter().map(|kind| &kind.info));
    let namespace = context.args.namespace.clone().unwrap_or_else(|| cluster.default_namespace().to_owned());
    Source::from_file(&text, &namespace, &kind_of).with_context(|| format!("cannot restore from {}", path.display()))
}

async fn from_snapshot(args: &RestoreArgs, context: &CliContext, cluster: &Cluster) -> anyhow::Result<Chosen> {
    let name = args.words.first().map_or("latest", String::as_str);
    if name.contains('/') && Path::new(name).is_file() {
        return Err(hinted(
            format!("{name} is a file, and a snapshot stands first"),
            format!("to restore what it holds: kubectl kubestash restore -f {name}"),
        ));
    }
    let open = context.repository(false).await?;
    if name == LIVE {
        return Err(hinted("the cluster cannot be restored from itself", "name a snapshot; `kubectl kubestash snapshots` lists them"));
    }
    let root = open.snapshot(context, name).await?;
    let snapshot = open.repository.open_snapshot(&root).await?;
    let same_cluster = cluster.identity().await?.uid == root.cluster.uid;
    let selection = select(args, context, cluster, &snapshot)?;
    Ok(Chosen { source: Source::Snapshot(snapshot), selection, same_cluster })
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
