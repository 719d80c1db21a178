//! The root of a snapshot: its commit, and all that is told about it without reading its catalog.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    str::FromStr,
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    RepositoryError,
    crypto::random,
    format::{BlockId, hex, unhex},
};
use crate::object::{GroupResource, KindInfo};

/// A ULID: sorts by the time of the backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SnapshotId(pub ulid::Ulid);

impl SnapshotId {
    /// A new one of a time.
    ///
    /// # Errors
    /// `Machine` when the system gives no random bytes.
    pub fn new(time: Timestamp) -> Result<Self, RepositoryError> {
        let milliseconds = u64::try_from(time.as_millisecond()).unwrap_or_default();
        Ok(Self(ulid::Ulid::from_parts(milliseconds, u128::from_le_bytes(random()?))))
    }
}

impl SnapshotId {
    /// The time that it was made of, in milliseconds.
    pub fn time(self) -> Timestamp {
        i64::try_from(self.0.timestamp_ms()).ok().and_then(|time| Timestamp::from_millisecond(time).ok()).unwrap_or(Timestamp::UNIX_EPOCH)
    }
}

impl fmt::Display for SnapshotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for SnapshotId {
    type Err = ulid::DecodeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

/// Which cluster a snapshot is of.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterId {
    /// Of the namespace kube-system: stays the same for the life of a cluster.
    pub uid: String,
    /// What the user calls it.
    pub name: String,
    /// Version of the API server.
    pub server_version: String,
}

/// What became of one kind when the cluster was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KindReport {
    /// The kind.
    pub kind: KindInfo,
    /// How reading it ended.
    #[serde(flatten)]
    pub outcome: KindOutcome,
}

/// How reading a kind ended. Absent, forbidden and failed are three different answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum KindOutcome {
    /// All of it was read.
    Read {
        /// Objects taken.
        objects: u64,
        /// Bytes as the API server sent them.
        bytes: u64,
        /// Objects left out by the filters or by a rule, by reason.
        #[serde(default)]
        left_out: BTreeMap<String, u64>,
        /// Objects that cannot be stored, with the reason.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        not_stored: BTreeMap<String, String>,
        /// The version the kind was read at.
        resource_version: String,
        /// Whether that is the snapshot's own version.
        exact: bool,
    },
    /// The API server does not serve it any more.
    Absent,
    /// The user may not list it.
    Forbidden {
        /// What the API server said.
        message: String,
    },
    /// It could not be read.
    Failed {
        /// Why.
        message: String,
    },
}

impl KindOutcome {
    /// Whether objects may be missing from the snapshot.
    pub fn is_gap(&self) -> bool {
        match self {
            Self::Read { not_stored, .. } => !not_stored.is_empty(),
            Self::Absent => false,
            Self::Forbidden { .. } | Self::Failed { .. } => true,
        }
    }
}

/// A layer of the catalog: the block that holds its table, and where its blocks were put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerRef {
    /// Block of class top.
    pub top: BlockId,
    /// Rows of the layer.
    pub rows: u64,
    /// The packs that the table and all segments of the layer were stored in. Only a hint: they may have been written anew since.
    pub packs: Vec<PackRef>,
}

/// A pack by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PackRef {
    /// Hash of its bytes.
    pub hash: [u8; 32],
    /// Number of its bytes.
    pub size: u64,
}

impl Serialize for LayerRef {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let packs: Vec<(String, u64)> = self.packs.iter().map(|pack| (hex(&pack.hash), pack.size)).collect();
        (hex(&self.top.0), self.rows, packs).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for LayerRef {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (top, rows, packs) = <(String, u64, Vec<(String, u64)>)>::deserialize(deserializer)?;
        let hash =
            |text: &str| unhex(text).and_then(|bytes| bytes.try_into().ok()).ok_or_else(|| serde::de::Error::custom("a hash is 64 hex digits"));
        let packs = packs.iter().map(|(name, size)| Ok(PackRef { hash: hash(name)?, size: *size })).collect::<Result<_, D::Error>>()?;
        Ok(Self { top: BlockId(hash(&top)?), rows, packs })
    }
}

/// Sizes and counts of a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stats {
    /// Objects in the snapshot.
    pub objects: u64,
    /// Of these, not in the parent.
    pub new: u64,
    /// Of these, in the parent with other bytes.
    pub changed: u64,
    /// Of these, in the parent with the same bytes.
    pub unchanged: u64,
    /// Bytes of the objects as the API server sent them.
    pub raw_bytes: u64,
    /// Bytes of all parts as YAML.
    pub logical_bytes: u64,
    /// Bytes that this backup added to the repository.
    pub stored_bytes: u64,
}

/// One committed snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Root {
    /// Its id; also its place in time.
    pub id: SnapshotId,
    /// What people call it; unique in the repository at the time it was made.
    pub name: String,
    /// When the cluster was read.
    pub time: Timestamp,
    /// The cluster.
    pub cluster: ClusterId,
    /// What was asked for; snapshots with equal filters are compared with each other.
    pub filters: serde_json::Value,
    /// The one version that all kinds marked exact were read at.
    pub resource_version: Option<String>,
    /// What became of each kind.
    pub kinds: Vec<KindReport>,
    /// API groups that did not answer: name and reason.
    #[serde(default)]
    pub failed_groups: Vec<(String, String)>,
    /// The catalog, base first.
    pub layers: Vec<LayerRef>,
    /// The snapshot that unchanged objects were taken over from.
    pub parent: Option<SnapshotId>,
    /// Words of the user's.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Version of the program that made it.
    pub program: String,
    /// Milliseconds that the backup took.
    pub duration_ms: u64,
    /// Sizes and counts.
    pub stats: Stats,
}

/// What a snapshot could not read: of these kinds nobody can say that an object that it lacks was not there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Gaps {
    everything: bool,
    kinds: BTreeSet<GroupResource>,
    /// API groups of which some version did not answer, so that its kinds are not known.
    groups: BTreeSet<String>,
}

impl Gaps {
    /// Of a snapshot of which nothing is known.
    pub fn everything() -> Self {
        Self { everything: true, ..Self::default() }
    }

    /// Whether all objects of a kind that there were, and that the filters admit, are in the snapshot.
    pub fn has_read(&self, kind: &GroupResource) -> bool {
        !self.everything && !self.kinds.contains(kind) && !self.groups.contains(&kind.group)
    }
}

impl Root {
    /// What could not be read.
    pub fn gaps(&self) -> Gaps {
        let kinds = self.kinds.iter().filter(|report| report.outcome.is_gap()).map(|report| report.kind.group_resource());
        let groups = self.failed_groups.iter().map(|(group, _)| group.split_once('/').map_or(group.as_str(), |(group, _)| group).to_owned());
        Gaps { everything: false, kinds: kinds.collect(), groups: groups.collect() }
    }

    /// Whether everything that was asked for was read.
    pub fn is_complete(&self) -> bool {
        self.failed_groups.is_empty() && !self.kinds.iter().any(|report| report.outcome.is_gap())
    }
}
