//! What the operator tells Prometheus: of the custom resources that it watches, and of itself.

mod resources;
mod text;

use std::{
    collections::BTreeMap,
    sync::{Mutex, OnceLock, PoisonError},
};

use jiff::Timestamp;
use kube::runtime::reflector::Store;
use kubestash::api::{BackupConfiguration, BackupSession, BackupStorage, Repository, RestoreSession, Snapshot};

use self::text::{Lines, Sample};

/// What the controllers have seen.
pub struct Stores {
    /// BackupStorages.
    pub storages: Store<BackupStorage>,
    /// Repositories.
    pub repositories: Store<Repository>,
    /// BackupConfigurations.
    pub configurations: Store<BackupConfiguration>,
    /// BackupSessions.
    pub sessions: Store<BackupSession>,
    /// Snapshots.
    pub snapshots: Store<Snapshot>,
    /// RestoreSessions.
    pub restores: Store<RestoreSession>,
}

type Counts = Mutex<BTreeMap<(String, &'static str), u64>>;

/// Counters, and where objects are found.
#[derive(Default)]
pub struct Metrics {
    reconciled: Counts,
    reviewed: Counts,
    certificate: Mutex<Option<Timestamp>>,
    stores: OnceLock<Stores>,
}

fn add(counts: &Counts, kind: &str, outcome: &'static str) {
    *counts.lock().unwrap_or_else(PoisonError::into_inner).entry((kind.to_owned(), outcome)).or_default() += 1;
}

impl Metrics {
    /// Counts one reconciliation; `outcome` is `ok` or the category of an error.
    pub fn reconciled(&self, kind: &str, outcome: &'static str) {
        add(&self.reconciled, kind, outcome);
    }

    /// Counts one review of the webhook.
    pub fn review(&self, kind: &str, outcome: &'static str) {
        add(&self.reviewed, kind, outcome);
    }

    /// Notes when the webhook's certificate ends.
    pub fn certificate(&self, until: Timestamp) {
        *self.certificate.lock().unwrap_or_else(PoisonError::into_inner) = Some(until);
    }

    /// Takes what the controllers watch; once, when this operator begins to lead.
    pub fn watch(&self, stores: Stores) {
        let _ = self.stores.set(stores);
    }

    /// In Prometheus' text format, a part for each metric.
    pub fn parts(&self) -> impl Iterator<Item = String> + Send + 'static {
        let mut lines = Lines::default();
        if let Some(stores) = self.stores.get() {
            resources::tell(stores, &mut lines);
        }
        for (name, counts) in [("kubestash_reconciliations_total", &self.reconciled), ("kubestash_admission_reviews_total", &self.reviewed)] {
            for ((kind, outcome), count) in &*counts.lock().unwrap_or_else(PoisonError::into_inner) {
                lines.add(&Sample::new(name, [("kind", kind.clone()), ("outcome", (*outcome).to_owned())], *count as f64));
            }
        }
        if let Some(until) = *self.certificate.lock().unwrap_or_else(PoisonError::into_inner) {
            lines.add(&Sample::new("kubestash_webhook_certificate_expiry_seconds", [], until.as_second() as f64));
        }
        lines.parts()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_told() {
        let metrics = Metrics::default();
        metrics.reconciled("Snapshot", "ok");
        metrics.reconciled("Snapshot", "ok");
        metrics.reconciled("Snapshot", "Conflict");
        metrics.review("BackupStorage", "refused");
        metrics.certificate(Timestamp::UNIX_EPOCH);
        let text: String = metrics.parts().collect();
        for line in [
            "# TYPE kubestash_reconciliations_total counter",
            "kubestash_reconciliations_total{kind=\"Snapshot\",outcome=\"ok\"} 2",
            "kubestash_reconciliations_total{kind=\"Snapshot\",outcome=\"Conflict\"} 1",
            "kubestash_admission_reviews_total{kind=\"BackupStorage\",outcome=\"refused\"} 1",
            "kubestash_webhook_certificate_expiry_seconds 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }
}
