//! `Snapshot`: what was backed up at one time.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    condition::{Condition, has_condition, is_false, is_true},
    conditions::{BACKUP_INCOMPLETE, RECENT_SNAPSHOT_LIST_UPDATED, SNAPSHOT_METADATA_UPLOADED},
    deletion::DeletionPolicy,
    driver::Driver,
    driver_stats::{ClickHouseStats, KStashStats, LogStats, MedusaStats, Neo4jStats, ResticStats, SolrStats, VolumeSnapshotterStats, WalGStats},
    names::{format_size, parse_size},
    phase::{ComponentPhase, SnapshotPhase, VerificationStatus},
    reference::TypedObjectReference,
};

/// `spec.type` of a Snapshot that stands alone.
pub const FULL_BACKUP: &str = "FullBackup";
/// `spec.type` of a Snapshot that needs an earlier one.
pub const INCREMENTAL_BACKUP: &str = "IncrementalBackup";
/// `spec.version` of the Snapshots of today.
pub const SNAPSHOT_VERSION: &str = "v1";

/// What was backed up at one time. Made by the operator.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "storage.kubestash.com",
    version = "v1alpha1",
    kind = "Snapshot",
    plural = "snapshots",
    namespaced,
    status = "SnapshotStatus",
    category = "kubestash",
    category = "appscode",
    derive = "PartialEq",
    derive = "Default",
    doc = "What was backed up at one time. Made by the operator.",
    printcolumn = r#"{"name": "Repository", "type": "string", "jsonPath": ".spec.repository"}"#,
    printcolumn = r#"{"name": "Session", "type": "string", "jsonPath": ".spec.session"}"#,
    printcolumn = r#"{"name": "Snapshot-Time", "type": "string", "jsonPath": ".status.snapshotTime"}"#,
    printcolumn = r#"{"name": "Deletion-Policy", "type": "string", "jsonPath": ".spec.deletionPolicy"}"#,
    printcolumn = r#"{"name": "Phase", "type": "string", "jsonPath": ".status.phase"}"#,
    printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct SnapshotSpec {
    /// Identity of the Snapshot, whatever it is called.
    #[serde(rename = "snapshotID", default, skip_serializing_if = "String::is_empty")]
    pub snapshot_id: String,
    /// `FullBackup` or `IncrementalBackup`.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub type_: Option<String>,
    /// Name of the Repository, in the same namespace.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub repository: String,
    /// The session of the BackupConfiguration.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub session: String,
    /// Name of the BackupSession that made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup_session: Option<String>,
    /// Version of the layout in the backend.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The application that was backed up; `na` for the resources of the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app_ref: Option<TypedObjectReference>,
    /// What deleting this object does to the data in the backend.
    #[schemars(extend("default" = "Delete"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_policy: Option<DeletionPolicy>,
    /// Whether the operator leaves this object alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<bool>,
}

/// What is known of a Snapshot.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SnapshotStatus {
    /// How far it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<SnapshotPhase>,
    /// Whether it was read back and checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verification_status: Option<VerificationStatus>,
    /// The BackupVerificationSession that did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verification_session: Option<String>,
    /// When its backup began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot_time: Option<Time>,
    /// When this status was last written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_update_time: Option<Time>,
    /// Size of all its components.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<String>,
    /// Whether its data was found undamaged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub integrity: Option<bool>,
    /// What was observed: `SnapshotMetadataUploaded`, `RecentSnapshotListUpdated`, `BackupIncomplete`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// How many components it is going to have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_components: Option<i32>,
    /// Its parts, each written by a driver; `manifest` for the resources of the cluster.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub components: BTreeMap<String, Component>,
}

/// A part of a Snapshot.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Component {
    /// Directory of the part below that of the repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// How far it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<ComponentPhase>,
    /// Size of the part. Restic's is that of the whole repository of the part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<String>,
    /// How long it took, such as `35s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<String>,
    /// Whether its data was found undamaged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub integrity: Option<bool>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub driver: Option<Driver>,
    /// What this program's own driver wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kstash_stats: Option<KStashStats>,
    /// What restic wrote, by path.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub restic_stats: Vec<ResticStats>,
    /// What WAL-G wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wal_g_stats: Option<WalGStats>,
    /// The archive of write-ahead logs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_stats: Option<LogStats>,
    /// The snapshots of volumes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub volume_snapshotter_stats: Vec<VolumeSnapshotterStats>,
    /// What Solr wrote, by collection.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub solr_stats: Vec<SolrStats>,
    /// What Medusa wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub medusa_stats: Option<MedusaStats>,
    /// What clickhouse-backup wrote, by host.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub click_house_stats: Vec<ClickHouseStats>,
    /// What neo4j-admin wrote, by database.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub neo4j_stats: Vec<Neo4jStats>,
}

impl Component {
    /// Whether its driver tells size and integrity, so that they are unknown as long as they are absent.
    const fn is_measured(&self) -> bool {
        matches!(self.driver, Some(Driver::Restic | Driver::KStash))
    }
}

impl SnapshotStatus {
    /// The phase that the components make together.
    fn roll_up(&self) -> SnapshotPhase {
        if self.components.is_empty() {
            return SnapshotPhase::Pending;
        }
        let count = |phase| self.components.values().filter(|component| component.phase == Some(phase)).count();
        let (succeeded, failed) = (count(ComponentPhase::Succeeded), count(ComponentPhase::Failed));
        match self.total_components.map_or(Some(self.components.len()), |total| usize::try_from(total).ok()) {
            Some(total) if succeeded == total => SnapshotPhase::Succeeded,
            _ if failed > 0 => SnapshotPhase::Failed,
            _ => SnapshotPhase::Running,
        }
    }

    /// The phase that conditions and components make. It does not succeed before its file is in the backend: who finds it there finds it whole.
    pub fn compute_phase(&self) -> SnapshotPhase {
        let not_told = is_false(&self.conditions, SNAPSHOT_METADATA_UPLOADED) || is_false(&self.conditions, RECENT_SNAPSHOT_LIST_UPDATED);
        if not_told || is_true(&self.conditions, BACKUP_INCOMPLETE) {
            return SnapshotPhase::Failed;
        }
        match self.roll_up() {
            SnapshotPhase::Pending => SnapshotPhase::Pending,
            phase if has_condition(&self.conditions, SNAPSHOT_METADATA_UPLOADED) => phase,
            _ => SnapshotPhase::Running,
        }
    }

    /// Whether all components will not change any more, so that the file can be written.
    pub fn is_backed_up(&self) -> bool {
        matches!(self.roll_up(), SnapshotPhase::Succeeded | SnapshotPhase::Failed)
    }

    /// Whether all components are undamaged; unknown as long as that of one is, and without components.
    pub fn compute_integrity(&self) -> Option<bool> {
        if self.components.is_empty() || self.components.values().any(|component| component.is_measured() && component.integrity.is_none()) {
            return None;
        }
        Some(self.components.values().all(|component| component.integrity.unwrap_or(true)))
    }

    /// The sizes of all components together; unknown as long as that of one is.
    pub fn compute_size(&self) -> Option<String> {
        let mut total = 0_u64;
        for component in self.components.values() {
            match component.size.as_deref().and_then(parse_size) {
                Some(size) => total = total.saturating_add(size),
                None if component.is_measured() => return None,
                None => {}
            }
        }
        Some(format_size(total))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(total: Option<i32>, components: &[Component], conditions: &[(&str, bool)]) -> SnapshotStatus {
        SnapshotStatus {
            total_components: total,
            components: components.iter().enumerate().map(|(at, component)| (format!("c{at}"), component.clone())).collect(),
            conditions: conditions.iter().map(|(type_, status)| Condition::new(type_, *status, "", "")).collect(),
            ..SnapshotStatus::default()
        }
    }

    fn component(phase: ComponentPhase) -> Component {
        Component { phase: Some(phase), driver: Some(Driver::Restic), ..Component::default() }
    }

    #[test]
    fn components_make_a_phase_together() {
        use ComponentPhase::{Failed, Pending, Running, Succeeded};
        let rows: [(Option<i32>, &[ComponentPhase], SnapshotPhase); 10] = [
            (None, &[], SnapshotPhase::Pending),
            (Some(1), &[], SnapshotPhase::Pending),
            (Some(2), &[Succeeded, Succeeded], SnapshotPhase::Succeeded),
            (None, &[Succeeded], SnapshotPhase::Succeeded),
            (Some(2), &[Succeeded, Failed], SnapshotPhase::Failed),
            (Some(3), &[Succeeded, Failed], SnapshotPhase::Failed),
            (Some(3), &[Running, Failed], SnapshotPhase::Failed),
            (Some(2), &[Succeeded], SnapshotPhase::Running),
            (Some(2), &[Succeeded, Running], SnapshotPhase::Running),
            (Some(1), &[Pending], SnapshotPhase::Running),
        ];
        for (total, phases, wanted) in rows {
            let components: Vec<_> = phases.iter().map(|phase| component(*phase)).collect();
            assert_eq!(status(total, &components, &[]).roll_up(), wanted, "{phases:?} of {total:?}");
        }
    }

    /// A row of a table: what is there, and the phase it makes.
    type Row<'a> = (&'a [ComponentPhase], &'a [(&'a str, bool)], SnapshotPhase);

    #[test]
    fn phases() {
        use ComponentPhase::{Failed, Running, Succeeded};
        const UPLOADED: &str = SNAPSHOT_METADATA_UPLOADED;
        let rows: [Row<'_>; 10] = [
            (&[], &[], SnapshotPhase::Pending),
            (&[], &[(UPLOADED, true)], SnapshotPhase::Pending),
            (&[Succeeded], &[], SnapshotPhase::Running),
            (&[Failed], &[], SnapshotPhase::Running),
            (&[Running], &[(UPLOADED, true)], SnapshotPhase::Running),
            (&[Succeeded], &[(UPLOADED, true)], SnapshotPhase::Succeeded),
            (&[Failed], &[(UPLOADED, true)], SnapshotPhase::Failed),
            (&[Succeeded], &[(UPLOADED, false)], SnapshotPhase::Failed),
            (&[Succeeded], &[(UPLOADED, true), (RECENT_SNAPSHOT_LIST_UPDATED, false)], SnapshotPhase::Failed),
            (&[], &[(BACKUP_INCOMPLETE, true)], SnapshotPhase::Failed),
        ];
        for (phases, conditions, wanted) in rows {
            let components: Vec<_> = phases.iter().map(|phase| component(*phase)).collect();
            assert_eq!(status(Some(1), &components, conditions).compute_phase(), wanted, "{phases:?} {conditions:?}");
        }
    }

    #[test]
    fn integrity_is_unknown_as_long_as_one_is() {
        let with = |driver: Driver, integrity| Component { driver: Some(driver), integrity, ..Component::default() };
        let rows = [
            (vec![], None),
            (vec![with(Driver::Restic, Some(true)), with(Driver::Restic, None)], None),
            (vec![with(Driver::KStash, None)], None),
            (vec![with(Driver::Restic, Some(true)), with(Driver::WalG, None)], Some(true)),
            (vec![with(Driver::Restic, Some(true)), with(Driver::Restic, Some(false))], Some(false)),
        ];
        for (components, wanted) in rows {
            assert_eq!(status(None, &components, &[]).compute_integrity(), wanted, "{components:?}");
        }
    }

    #[test]
    fn sizes_add_up() {
        let with = |driver: Driver, size: Option<&str>| Component { driver: Some(driver), size: size.map(str::to_owned), ..Component::default() };
        let rows = [
            (vec![], Some("0 B")),
            (
                vec![with(Driver::Restic, Some("10.242 MiB")), with(Driver::Restic, Some("1.979 MiB")), with(Driver::Restic, Some("809 B"))],
                Some("12.222 MiB"),
            ),
            (vec![with(Driver::Restic, Some("1 B")), with(Driver::Restic, None)], None),
            (vec![with(Driver::Restic, Some("1 B")), with(Driver::Solr, None)], Some("1 B")),
        ];
        for (components, wanted) in rows {
            assert_eq!(status(None, &components, &[]).compute_size().as_deref(), wanted, "{components:?}");
        }
    }
}
