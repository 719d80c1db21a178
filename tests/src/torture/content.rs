//! What a snapshot holds: a function of its cluster and number.

use std::collections::BTreeMap;

use kubestash::object::KindInfo;
use kubestash::repository::SnapshotWriter;
use serde_json::json;

const CONFIG_MAPS: u64 = 300;
const SECRETS: u64 = 60;
/// One object in so many changes from one snapshot to the next.
const CHANGES: u64 = 10;

/// A snapshot by its name: `c0-17`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Made {
    pub(super) cluster: u64,
    pub(super) number: u64,
}

impl Made {
    pub(super) fn of(name: &str) -> Option<Self> {
        let (cluster, number) = name.strip_prefix('c')?.split_once('-')?;
        Some(Self { cluster: cluster.parse().ok()?, number: number.parse().ok()? })
    }

    pub(super) fn name(self) -> String {
        format!("c{}-{}", self.cluster, self.number)
    }

    /// The name and text of each object; Secrets first letter is s.
    pub(super) fn objects(self) -> BTreeMap<String, String> {
        let names = (0..CONFIG_MAPS).map(|at| (at, format!("ns-{}/m-{at:04}", at % 3)));
        let names = names.chain((0..SECRETS).map(|at| (at, format!("ns-{}/s-{at:04}", at % 3))));
        names.filter(|(at, _)| (at + self.number / 50) % 29 != 7).map(|(at, name)| (name, self.text(at))).collect()
    }

    /// Hex digits, so that it is valid in a Secret and compresses badly.
    fn text(self, at: u64) -> String {
        let phase = (self.number + CHANGES - at % CHANGES) % CHANGES;
        let mut state = (self.cluster + 1) << 40 | at << 20 | self.number.saturating_sub(phase);
        let mut digits = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            format!("{state:016x}")
        };
        (0..4 + at % 60).map(|_| digits()).collect()
    }

    /// Writes the objects as the API server lists them.
    pub(super) fn fill(self, writer: &SnapshotWriter) -> Result<(), kubestash::repository::RepositoryError> {
        for (resource, name, first, member) in [("configmaps", "ConfigMap", "/m-", "data"), ("secrets", "Secret", "/s-", "data")] {
            let info = KindInfo { group: String::new(), version: "v1".into(), resource: resource.into(), kind: name.into(), namespaced: true };
            let mut kind = writer.kind(&info);
            for (key, text) in self.objects().iter().filter(|(key, _)| key.contains(first)) {
                let Some((namespace, name)) = key.split_once('/') else { continue };
                let metadata = json!({"name": name, "namespace": namespace, "resourceVersion": self.number.to_string()});
                let object = json!({"metadata": metadata, member: {"text": text}});
                kind.push(Some(namespace), name, object.to_string().as_bytes())?;
            }
            kind.finish()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenth_of_the_objects_changes_each_time() {
        let objects = |number| Made { cluster: 1, number }.objects();
        for number in [0, 1, 9, 10, 33] {
            let (before, after) = (objects(number), objects(number + 1));
            let changed = before.iter().filter(|(name, text)| after.get(*name) != Some(*text)).count();
            assert!((25..=45).contains(&changed), "{number}: {changed} of {}", before.len());
            assert_ne!(Made { cluster: 0, number }.objects(), before);
        }
        assert_eq!(Made::of("c1-33"), Some(Made { cluster: 1, number: 33 }));
        assert_eq!(Made::of("c1-33").map(Made::name).as_deref(), Some("c1-33"));
    }
}
