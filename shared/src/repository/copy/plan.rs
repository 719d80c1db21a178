//! Which snapshots a copy has to do with, and what becomes of each: a value that dry run, output and execution share.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use serde::Serialize;

use crate::repository::{Root, SnapshotId};

/// What becomes of one snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "action", rename_all = "camelCase")]
pub enum CopyAction {
    /// It is copied.
    Copy,
    /// The target has it: a copy keeps the id of the snapshot.
    AlreadyThere,
    /// The target has another snapshot of that name.
    NameTaken {
        /// The other one.
        by: SnapshotId,
    },
}

/// One snapshot of the source.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CopyItem {
    /// Its id, in both repositories.
    pub id: SnapshotId,
    /// The name that it has, or is to have, in the target.
    pub name: String,
    /// When the cluster was read.
    pub time: Timestamp,
    /// Its objects.
    pub objects: u64,
    /// What becomes of it.
    #[serde(flatten)]
    pub action: CopyAction,
}

/// Decides about snapshots of a source, in their order. `there` is what the target has.
pub fn plan(wanted: &[Root], there: &[Root]) -> Vec<CopyItem> {
    let ids: HashSet<SnapshotId> = there.iter().map(|root| root.id).collect();
    let mut names: HashMap<&str, SnapshotId> = there.iter().map(|root| (root.name.as_str(), root.id)).collect();
    let action = |root: &'_ Root, taken: Option<SnapshotId>| match taken {
        _ if ids.contains(&root.id) => CopyAction::AlreadyThere,
        Some(by) => CopyAction::NameTaken { by },
        None => CopyAction::Copy,
    };
    let mut items = Vec::new();
    for root in wanted {
        let action = action(root, names.get(root.name.as_str()).copied());
        if action == CopyAction::Copy {
            names.insert(&root.name, root.id);
        }
        items.push(CopyItem { id: root.id, name: root.name.clone(), time: root.time, objects: root.stats.objects, action });
    }
    items
}

/// The snapshot of the target that most of a copied one is likely to be in already: that of its own parent, else the nearest in time of the
/// same cluster and filters.
pub fn nearest<'a>(root: &Root, there: &'a [Root]) -> Option<&'a Root> {
    let parent = root.parent.and_then(|parent| there.iter().find(|other| other.id == parent));
    parent.or_else(|| {
        let alike = there.iter().filter(|other| other.cluster.uid == root.cluster.uid && other.filters == root.filters);
        alike.min_by_key(|other| (other.time.duration_since(root.time).abs(), other.id))
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::repository::ClusterId;

    /// A root of a cluster, `number` seconds after the epoch; its id follows from the number.
    fn root(name: &str, cluster: &str, number: u64, parent: Option<u64>) -> Root {
        let id = |number| SnapshotId(ulid::Ulid::from_parts(number, 0));
        let base = serde_json::json!({
            "id": id(number), "name": name, "time": Timestamp::from_second(number as i64).unwrap(), "cluster": ClusterId::default(),
            "filters": null, "resourceVersion": null, "kinds": [], "layers": [], "parent": parent.map(id), "program": "", "durationMs": 0,
            "stats": crate::repository::Stats::default(),
        });
        let root: Root = serde_json::from_value(base).unwrap();
        Root { cluster: ClusterId { uid: cluster.to_owned(), ..ClusterId::default() }, ..root }
    }

    #[test]
    fn what_is_there_is_not_copied_again_and_no_name_is_given_twice() {
        let there = [root("one", "a", 1, None), root("renamed", "a", 2, None), root("mine", "b", 3, None)];
        let wanted =
            [root("one", "a", 1, None), root("two", "a", 2, None), root("mine", "a", 4, None), root("new", "a", 5, None), root("new", "a", 6, None)];
        let by = |number| CopyAction::NameTaken { by: SnapshotId(ulid::Ulid::from_parts(number, 0)) };
        let actions: Vec<CopyAction> = plan(&wanted, &there).into_iter().map(|item| item.action).collect();
        assert_eq!(actions, [CopyAction::AlreadyThere, CopyAction::AlreadyThere, by(3), CopyAction::Copy, by(5)]);
    }

    #[test]
    fn a_copy_stands_on_its_own_parent_or_the_nearest_of_its_cluster() {
        let there = [root("one", "a", 100, None), root("two", "a", 200, None), root("other", "b", 301, None)];
        for (cluster, number, parent, expected) in [
            ("a", 300, Some(100), Some("one")),
            ("a", 300, Some(50), Some("two")),
            ("a", 300, None, Some("two")),
            ("a", 10, None, Some("one")),
            ("b", 10, None, Some("other")),
            ("c", 300, None, None),
        ] {
            let found = nearest(&root("new", cluster, number, parent), &there).map(|root| root.name.as_str());
            assert_eq!(found, expected, "{cluster} {number} {parent:?}");
        }
        let filtered = Root { filters: serde_json::json!({"namespaces": ["shop"]}), ..root("new", "a", 300, None) };
        assert_eq!(nearest(&filtered, &there), None);
    }

    #[test]
    fn a_plan_reads_as_one_value() {
        let item = plan(&[root("one", "a", 1, None)], &[]).pop().unwrap();
        let json = serde_json::to_value(&item).unwrap();
        let expected = serde_json::json!({
            "id": "00000000010000000000000000", "name": "one", "time": "1970-01-01T00:00:01Z", "objects": 0, "action": "copy",
        });
        assert_eq!(json, expected);
    }
}
