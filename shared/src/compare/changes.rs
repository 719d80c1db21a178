//! The join of two listings by identity.

use std::{cmp::Ordering, iter::Peekable};

use crate::object::{GroupResource, ObjectId};

/// One row of a listing, as far as comparing needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// API group.
    pub group: &'a str,
    /// Plural resource name.
    pub resource: &'a str,
    /// Namespace, or nothing for cluster-scoped objects.
    pub namespace: Option<&'a str>,
    /// Name.
    pub name: &'a str,
    /// Keyed hash of the manifest part.
    pub manifest_hash: [u8; 16],
    /// Which row it is in its listing.
    pub row: u32,
}

/// What happened to an object between two listings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case", tag = "change")]
pub enum ChangeKind {
    /// Only the second has it.
    Added {
        /// Row in the second listing.
        after: u32,
    },
    /// Only the first has it.
    Removed {
        /// Row in the first listing.
        before: u32,
    },
    /// Both have it, with different manifests.
    Changed {
        /// Row in the first listing.
        before: u32,
        /// Row in the second listing.
        after: u32,
    },
}

/// One object that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Which object.
    pub id: ObjectId,
    /// What happened to it.
    pub kind: ChangeKind,
}

impl<'a> Entry<'a> {
    fn id(&self) -> ObjectId {
        ObjectId { kind: GroupResource::new(self.group, self.resource), namespace: self.namespace.map(str::to_owned), name: self.name.to_owned() }
    }

    /// Order of a catalog: `resource.group`, then the bytes of `namespace/name`.
    fn order(&self, other: &Entry<'_>) -> Ordering {
        self.kind_bytes().cmp(other.kind_bytes()).then_with(|| self.key_bytes().cmp(other.key_bytes()))
    }

    fn kind_bytes(&self) -> impl Iterator<Item = u8> + 'a {
        let dot: &[u8] = if self.group.is_empty() { b"" } else { b"." };
        self.resource.bytes().chain(dot.iter().copied()).chain(self.group.bytes())
    }

    fn key_bytes(&self) -> impl Iterator<Item = u8> + 'a {
        let slash: &[u8] = if self.namespace.is_some() { b"/" } else { b"" };
        self.namespace.unwrap_or_default().bytes().chain(slash.iter().copied()).chain(self.name.bytes())
    }
}

/// Joins two listings in catalog order and yields what differs, in that order.
///
/// `wanted` sees each identity of either side once; what it refuses is not reported. Time is linear in both listings.
pub fn changes<'a, 'b>(
    before: impl Iterator<Item = Entry<'a>>,
    after: impl Iterator<Item = Entry<'b>>,
    wanted: &dyn Fn(&Entry<'_>) -> bool,
) -> Vec<Change> {
    let (mut before, mut after) = (before.peekable(), after.peekable());
    let mut found = Vec::new();
    while let Some((entry, kind)) = next(&mut before, &mut after) {
        if let Some(kind) = kind
            && wanted(&entry.0)
        {
            found.push(Change { id: entry.0.id(), kind });
        }
    }
    found
}

/// Erases the two lifetimes into the shorter one.
struct Shown<'c>(Entry<'c>);

fn next<'c, 'a: 'c, 'b: 'c>(
    before: &mut Peekable<impl Iterator<Item = Entry<'a>>>,
    after: &mut Peekable<impl Iterator<Item = Entry<'b>>>,
) -> Option<(Shown<'c>, Option<ChangeKind>)> {
    let order = match (before.peek(), after.peek()) {
        (None, None) => return None,
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (Some(old), Some(new)) => old.order(new),
    };
    match order {
        Ordering::Less => before.next().map(|old| (Shown(old), Some(ChangeKind::Removed { before: old.row }))),
        Ordering::Greater => after.next().map(|new| (Shown(new), Some(ChangeKind::Added { after: new.row }))),
        Ordering::Equal => before.next().zip(after.next()).map(|(old, new)| {
            let changed = old.manifest_hash != new.manifest_hash;
            (Shown(old), changed.then_some(ChangeKind::Changed { before: old.row, after: new.row }))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(rows: &[(&'static str, &'static str, u8)]) -> Vec<Entry<'static>> {
        rows.iter()
            .enumerate()
            .map(|(row, (kind, key, hash))| {
                let (resource, group) = kind.split_once('.').unwrap_or((kind, ""));
                let (namespace, name) = key.split_once('/').map_or((None, *key), |(namespace, name)| (Some(namespace), name));
                Entry { group, resource, namespace, name, manifest_hash: [*hash; 16], row: row as u32 }
            })
            .collect()
    }

    #[test]
    fn listings_are_joined_in_catalog_order() {
        // `a-b/x` comes before `a/x`, as the API server lists them.
        let before = list(&[
            ("configmaps", "a-b/x", 1),
            ("configmaps", "a/x", 1),
            ("configmaps", "a/y", 1),
            ("deployments.apps", "a/x", 1),
            ("namespaces", "a", 1),
        ]);
        let after = list(&[
            ("configmaps", "a-b/x", 1),
            ("configmaps", "a/w", 1),
            ("configmaps", "a/x", 2),
            ("deployments.apps", "a/x", 1),
            ("nodes", "n", 1),
        ]);
        let shown: Vec<_> =
            changes(before.iter().copied(), after.iter().copied(), &|_| true).iter().map(|change| (change.id.to_string(), change.kind)).collect();
        assert_eq!(
            shown,
            [
                ("configmaps/w -n a".to_owned(), ChangeKind::Added { after: 1 }),
                ("configmaps/x -n a".to_owned(), ChangeKind::Changed { before: 1, after: 2 }),
                ("configmaps/y -n a".to_owned(), ChangeKind::Removed { before: 2 }),
                ("namespaces/a".to_owned(), ChangeKind::Removed { before: 4 }),
                ("nodes/n".to_owned(), ChangeKind::Added { after: 4 }),
            ]
        );
        let only_nodes = changes(before.iter().copied(), after.iter().copied(), &|entry| entry.resource == "nodes");
        assert_eq!(only_nodes.len(), 1);
        assert_eq!(changes(before.iter().copied(), before.iter().copied(), &|_| true), []);
    }
}
