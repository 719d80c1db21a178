//! What the operator counts about itself.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counters of reconciliations.
#[derive(Debug, Default)]
pub struct Metrics {
    reconciled: AtomicU64,
    failed: AtomicU64,
}

impl Metrics {
    /// Counts one reconciliation.
    pub fn count(&self, succeeded: bool) {
        self.reconciled.fetch_add(1, Ordering::Relaxed);
        if !succeeded {
            self.failed.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub fn certificate(&self, _: jiff::Timestamp) {}
    pub fn review(&self, _: &str, _: &'static str) {}

    /// In Prometheus' text format.
    pub fn text(&self) -> String {
        let (all, failed) = (self.reconciled.load(Ordering::Relaxed), self.failed.load(Ordering::Relaxed));
        format!(
            "# HELP kubestash_reconciliations_total Reconciliations of the operator.\n# TYPE kubestash_reconciliations_total counter\n\
             kubestash_reconciliations_total {all}\n\
             # HELP kubestash_reconciliation_failures_total Reconciliations that ended with an error.\n\
             # TYPE kubestash_reconciliation_failures_total counter\nkubestash_reconciliation_failures_total {failed}\n"
        )
    }
}
