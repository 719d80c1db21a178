//! Every metric of the operator, with unit and meaning: the one list, of which `docs/reference/metrics.md` is made.
//!
//! Those of custom resources have the names and labels under which KubeStash's users know them from AppsCode's Panopticon.

use std::fmt::Write as _;

/// How a metric behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricType {
    /// Goes up and down.
    Gauge,
    /// Only grows, from the start of the process.
    Counter,
}

impl MetricType {
    /// As Prometheus calls it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gauge => "gauge",
            Self::Counter => "counter",
        }
    }
}

/// What a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// How it behaves.
    pub type_: MetricType,
    /// What its value counts.
    pub unit: &'static str,
    /// Names of its labels.
    pub labels: &'static [&'static str],
    /// What it means.
    pub meaning: &'static str,
}

/// Labels of kinds of objects; each begins with the namespace.
mod of {
    pub const CONFIGURATION: [&str; 6] =
        ["namespace", "backup_invoker_kind", "backup_invoker_name", "target_kind", "target_name", "target_namespace"];
    pub const SESSION: [&str; 5] = ["namespace", "invoker_kind", "invoker_name", "owner_kind", "owner_name"];
    pub const OTHER: [&str; 6] = ["namespace", "invoker_kind", "invoker_name", "target_kind", "target_name", "target_namespace"];
    pub const STORAGE: [&str; 3] = ["namespace", "invoker_kind", "invoker_name"];
}

macro_rules! labels {
    ($common:ident) => { &of::$common };
    ($common:ident, $($more:literal),+) => {{
        const MORE: [&str; labels!(@count $($more)+)] = [$($more),+];
        const ALL: [&str; of::$common.len() + MORE.len()] = joined(of::$common, MORE);
        &ALL
    }};
    (@count) => { 0 };
    (@count $first:literal $($rest:literal)*) => { 1 + labels!(@count $($rest)*) };
}

const fn joined<const A: usize, const B: usize, const C: usize>(first: [&'static str; A], second: [&'static str; B]) -> [&'static str; C] {
    let mut all = [""; C];
    let mut at = 0;
    while at < C {
        all[at] = if at < A { first[at] } else { second[at - A] };
        at += 1;
    }
    all
}

const fn gauge(name: &'static str, unit: &'static str, labels: &'static [&'static str], meaning: &'static str) -> Metric {
    Metric { name, type_: MetricType::Gauge, unit, labels, meaning }
}

const fn counter(name: &'static str, labels: &'static [&'static str], meaning: &'static str) -> Metric {
    Metric { name, type_: MetricType::Counter, unit: "events", labels, meaning }
}

const TIME: &str = "seconds since 1970";
const ONE: &str = "always 1";
const YES: &str = "1 for the phase it is in, 0 for the others";

/// All metrics, in the order in which they are shown.
pub const METRICS: [Metric; 40] = [
    gauge("core_kubestash_com_backupconfiguration_created", TIME, labels!(CONFIGURATION), "When the BackupConfiguration was made"),
    gauge(
        "core_kubestash_com_backupconfiguration_info",
        ONE,
        labels!(CONFIGURATION, "phase", "paused"),
        "What there is to know of the BackupConfiguration",
    ),
    gauge(
        "core_kubestash_com_backupconfiguration_sessions",
        ONE,
        labels!(CONFIGURATION, "session_name", "schedule", "addon_name"),
        "One for each session of the BackupConfiguration",
    ),
    gauge("core_kubestash_com_backupconfiguration_phase", YES, labels!(CONFIGURATION, "phase"), "Phase of the BackupConfiguration"),
    gauge(
        "core_kubestash_com_backupconfiguration_conditions",
        ONE,
        labels!(CONFIGURATION, "condition", "status"),
        "Conditions of the BackupConfiguration",
    ),
    gauge("core_kubestash_com_backupsession_created", TIME, labels!(SESSION), "When the BackupSession was made"),
    gauge("core_kubestash_com_backupsession_info", ONE, labels!(SESSION, "session", "phase"), "What there is to know of the BackupSession"),
    gauge(
        "core_kubestash_com_backupsession_snapshots",
        ONE,
        labels!(SESSION, "snapshot_name", "snapshot_phase", "repository", "backedup_app_kind", "backedup_app_name", "backedup_app_namespace"),
        "One for each Snapshot of the BackupSession",
    ),
    gauge("core_kubestash_com_backupsession_phase", YES, labels!(SESSION, "phase"), "Phase of the BackupSession"),
    gauge("core_kubestash_com_backupsession_duration_seconds", "seconds", labels!(SESSION), "How long the backup took; absent until it has ended"),
    gauge("core_kubestash_com_backupsession_conditions", ONE, labels!(SESSION, "condition", "status"), "Conditions of the BackupSession"),
    gauge("core_kubestash_com_restoresession_created", TIME, labels!(OTHER), "When the RestoreSession was made"),
    gauge(
        "core_kubestash_com_restoresession_info",
        ONE,
        labels!(OTHER, "datasource_namespace", "repository", "snapshot", "addon_name", "phase"),
        "What there is to know of the RestoreSession",
    ),
    gauge("core_kubestash_com_restoresession_phase", YES, labels!(OTHER, "phase"), "Phase of the RestoreSession"),
    gauge("core_kubestash_com_restoresession_duration_seconds", "seconds", labels!(OTHER), "How long the restore took; absent until it has ended"),
    gauge("core_kubestash_com_restoresession_component_count_total", "components", labels!(OTHER), "Components that the RestoreSession restores"),
    gauge("core_kubestash_com_restoresession_conditions", ONE, labels!(OTHER, "condition", "status"), "Conditions of the RestoreSession"),
    gauge("storage_kubestash_com_backupstorage_created", TIME, labels!(STORAGE), "When the BackupStorage was made"),
    gauge(
        "storage_kubestash_com_backupstorage_info",
        ONE,
        labels!(STORAGE, "provider", "default", "phase"),
        "What there is to know of the BackupStorage",
    ),
    gauge("storage_kubestash_com_backupstorage_phase", YES, labels!(STORAGE, "phase"), "Phase of the BackupStorage"),
    gauge("storage_kubestash_com_backupstorage_size_bytes", "bytes", labels!(STORAGE), "What all repositories of the BackupStorage hold"),
    gauge(
        "storage_kubestash_com_backupstorage_repository_size_bytes",
        "bytes",
        labels!(STORAGE, "repository_name", "repository_namespace"),
        "What one repository of the BackupStorage holds",
    ),
    gauge("storage_kubestash_com_backupstorage_conditions", ONE, labels!(STORAGE, "condition", "status"), "Conditions of the BackupStorage"),
    gauge("storage_kubestash_com_repository_created", TIME, labels!(OTHER), "When the Repository was made"),
    gauge("storage_kubestash_com_repository_info", ONE, labels!(OTHER, "path", "phase", "integrity"), "What there is to know of the Repository"),
    gauge("storage_kubestash_com_repository_phase", YES, labels!(OTHER, "phase"), "Phase of the Repository"),
    gauge("storage_kubestash_com_repository_last_successful_backup", TIME, labels!(OTHER), "When the newest Snapshot that succeeded was taken"),
    gauge("storage_kubestash_com_repository_size_bytes", "bytes", labels!(OTHER), "What the Repository holds"),
    gauge("storage_kubestash_com_repository_snapshot_count_total", "Snapshots", labels!(OTHER), "Snapshots of the Repository"),
    gauge("storage_kubestash_com_repository_conditions", ONE, labels!(OTHER, "condition", "status"), "Conditions of the Repository"),
    gauge("storage_kubestash_com_snapshot_created", TIME, labels!(OTHER), "When the Snapshot object was made"),
    gauge(
        "storage_kubestash_com_snapshot_info",
        ONE,
        labels!(OTHER, "snapshot_type", "repository", "session", "backupsession", "version", "phase", "integrity"),
        "What there is to know of the Snapshot",
    ),
    gauge("storage_kubestash_com_snapshot_phase", YES, labels!(OTHER, "phase"), "Phase of the Snapshot"),
    gauge("storage_kubestash_com_snapshot_size_bytes", "bytes", labels!(OTHER), "What the repository held after the Snapshot"),
    gauge("storage_kubestash_com_snapshot_time_seconds", TIME, labels!(OTHER), "When the Snapshot was taken"),
    gauge("storage_kubestash_com_snapshot_component_count_total", "components", labels!(OTHER), "Components of the Snapshot"),
    gauge("storage_kubestash_com_snapshot_conditions", ONE, labels!(OTHER, "condition", "status"), "Conditions of the Snapshot"),
    counter("kubestash_reconciliations_total", &["kind", "outcome"], "Reconciliations; the outcome is ok or the category of the error"),
    counter("kubestash_admission_reviews_total", &["kind", "outcome"], "Objects that the webhook looked at: allowed, refused or failed"),
    gauge(
        "kubestash_webhook_certificate_expiry_seconds",
        TIME,
        &[],
        "When the webhook's certificate ends; it is renewed when a third of its time is left",
    ),
];

/// The page of the reference.
pub fn reference() -> String {
    let mut text = "<!-- Made from the code by `make generate`; changes here are lost. -->\n\
        # Metrics\n\n\
        The operator serves them as Prometheus' text at `/metrics` on port 8080, Service `kubestash-operator`. Those of custom resources come from the\n\
        operator that leads, out of what it watches: no request is made when they are read. They have the names and labels of KubeStash's MetricsConfigurations.\n\n\
        | metric | type | value | labels | meaning |\n|---|---|---|---|---|\n"
        .to_owned();
    for metric in METRICS {
        let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        let _ = writeln!(text, "| `{}` | {} | {} | {} | {} |", metric.name, metric.type_.as_str(), metric.unit, labels.join(", "), metric.meaning);
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_begin_as_kubestashs() {
        let names: BTreeSet<&str> = METRICS.iter().map(|metric| metric.name).collect();
        assert_eq!(names.len(), METRICS.len());
        let begins = ["core_kubestash_com_", "storage_kubestash_com_", "kubestash_"];
        assert!(names.iter().all(|name| begins.iter().any(|begin| name.starts_with(begin))));
    }
}
