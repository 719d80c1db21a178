//! What differs between two snapshots, as a part of the later one and a list of what is gone.

use std::collections::BTreeSet;

use kubestash::{
    compare::{ChangeKind, changes},
    object::GroupResource,
    repository::Snapshot,
    restore::entries,
};

/// Name of the list of objects that are gone.
const REMOVED: &str = "REMOVED";
/// Name of the list of kinds of which nothing can be said.
const NOT_COMPARED: &str = "NOT-COMPARED";

/// The objects of `after` that are new or have another manifest, and texts with the names to show them under: the paths of those that are gone,
/// and, where there are such, the kinds that one side could not read. Reads catalogs only.
pub(crate) fn between(before: &Snapshot, after: &Snapshot) -> (Snapshot, Vec<(&'static str, String)>) {
    let gaps = [before.root().gaps(), after.root().gaps()];
    let has_read = |kind: &GroupResource| gaps.iter().all(|gaps| gaps.has_read(kind));
    let kinds = [before, after].into_iter().flat_map(|side| side.catalog().kinds()).map(|kind| kind.info.group_resource());
    let unread: BTreeSet<GroupResource> = kinds.filter(|kind| !has_read(kind)).collect();
    let compared = |group: &str, resource: &str| unread.is_empty() || !unread.contains(&GroupResource::new(group, resource));
    let (mut rows, mut removed) = (Vec::new(), String::new());
    for change in changes(entries(before.catalog()), entries(after.catalog()), &|entry| compared(entry.group, entry.resource)) {
        match change.kind {
            ChangeKind::Added { after } | ChangeKind::Changed { after, .. } => rows.push(after),
            ChangeKind::Removed { .. } => {
                removed.push_str(&change.id.mount_path());
                removed.push('\n');
            }
        }
    }
    let mut texts = vec![(REMOVED, removed)];
    if !unread.is_empty() {
        texts.push((NOT_COMPARED, unread.iter().map(|kind| format!("{kind}\n")).collect()));
    }
    (after.only(&rows), texts)
}
