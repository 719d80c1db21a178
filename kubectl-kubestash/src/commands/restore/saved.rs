//! Plans in files: saved instead of executed, and executed later.

use std::path::Path;

use anyhow::Context as _;
use jiff::Timestamp;
use kubestash::{
    cluster::{Cluster, Discovery},
    restore::{SavedPlan, Selection, Source, moved},
};

use super::{Prepared, compare};
use crate::cli::{CliContext, errors::hinted, exit, output::count, repo::write_private};

/// Objects named in a refusal.
const NAMED: usize = 20;

/// The plan with what it is a plan of; nothing for a plan of a file, which cannot be found again by a name.
pub async fn document(prepared: &Prepared, cluster: &Cluster) -> anyhow::Result<Option<SavedPlan>> {
    let Source::Snapshot(snapshot) = &prepared.source else { return Ok(None) };
    let root = snapshot.root();
    let choice = prepared.selection.choice().clone();
    let identity = cluster.identity().await?;
    Ok(Some(SavedPlan::new(prepared.plan.clone(), choice, (root.id, root.name.clone()), identity, Timestamp::now())))
}

/// Writes a plan to a new file that only its owner reads: differences of objects stand in it.
pub fn save(path: &Path, document: Option<&SavedPlan>, context: &CliContext) -> anyhow::Result<u8> {
    let document = document.context("only plans of snapshots can be saved")?;
    write_private(path, &serde_json::to_string_pretty(document)?)?;
    context.note(&format!("Nothing was changed. Execute the plan with: kubectl kubestash restore --plan {}", path.display()));
    Ok(exit::OK)
}

/// Reads a plan and makes it again. It is an error when the cluster has moved since.
pub async fn open(path: &Path, context: &CliContext, cluster: &Cluster, discovery: &Discovery) -> anyhow::Result<Prepared> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let saved = SavedPlan::read(&text).with_context(|| format!("cannot use the plan in {}", path.display()))?;
    let here = cluster.identity().await?;
    if here.uid != saved.cluster.uid {
        return Err(hinted(
            format!("the plan in {} is for cluster {}, this is {}", path.display(), saved.cluster.name, cluster.context()),
            "choose the cluster with --context, or make a plan for this one",
        ));
    }
    let open = context.repository(false).await?;
    let root = open.repository.snapshot(saved.snapshot).await?;
    let root = root.ok_or_else(|| {
        let what = format!("the repository at {} has no snapshot {} ({})", open.place, saved.snapshot_name, saved.snapshot);
        hinted(what, "--repo names the repository that the plan was made with; if the snapshot was forgotten, make a plan of another one")
    })?;
    let source = Source::Snapshot(open.repository.open_snapshot(&root).await?);
    let selection = Selection::of(saved.selection.clone())?;
    let plan = compare(&source, &selection, cluster, discovery, &saved.plan.options, context).await?;
    let changes = moved(&saved.plan, &plan);
    if !changes.is_empty() {
        let number = if changes.len() == 1 { "1 object is".to_owned() } else { format!("{} are", count(changes.len() as u64, "object")) };
        let more = if changes.len() > NAMED { format!("\n  and {} more", changes.len() - NAMED) } else { String::new() };
        let named = changes.iter().take(NAMED).map(|line| format!("\n  {line}")).collect::<String>();
        return Err(hinted(
            format!("the cluster has moved since the plan was made, {number} decided otherwise:{named}{more}"),
            "nothing was changed; make a new plan and look at it",
        ));
    }
    Ok(Prepared { source, selection, plan })
}
