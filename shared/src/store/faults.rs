//! Failures on cue, for tests: a store that is cut off, fails or stalls.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use super::{Store, StoreError};

/// What becomes of every read from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reads {
    /// They succeed.
    #[default]
    Work,
    /// They succeed so much later.
    Late(Duration),
    /// They fail at once.
    Fail,
    /// They are never answered.
    Stall,
}

/// A plan that a test holds and changes while the store is in use. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    writes_left: Option<Arc<AtomicI64>>,
    reads: Arc<Mutex<Reads>>,
}

impl Faults {
    /// Changes what becomes of reads.
    pub fn reads(&self, reads: Reads) {
        *self.reads.lock().unwrap_or_else(PoisonError::into_inner) = reads;
    }

    pub(super) async fn before_read(&self, store: &str, key: &str) -> Result<(), StoreError> {
        let reads = *self.reads.lock().unwrap_or_else(PoisonError::into_inner);
        match reads {
            Reads::Work => Ok(()),
            Reads::Late(time) => {
                tokio::time::sleep(time).await;
                Ok(())
            }
            Reads::Fail => Err(StoreError::Unusable { store: store.to_owned(), reason: format!("it fails to read {key}, for a test") }),
            Reads::Stall => std::future::pending().await,
        }
    }

    pub(super) fn before_write(&self, store: &str, key: &str) -> Result<(), StoreError> {
        match &self.writes_left {
            Some(left) if left.fetch_sub(1, Ordering::SeqCst) <= 0 => {
                Err(StoreError::Unusable { store: store.to_owned(), reason: format!("cut off before {key} was written, for a test") })
            }
            _ => Ok(()),
        }
    }
}

impl Store {
    /// Only so many more writes and deletions succeed, as if the process were cut off behind the last one.
    #[must_use]
    pub fn failing_after(&self, writes: i64) -> Self {
        let faults = Faults { writes_left: Some(Arc::new(AtomicI64::new(writes))), ..Faults::default() };
        Self { faults, ..self.clone() }
    }

    /// The same store under a plan.
    #[must_use]
    pub fn with_faults(&self, faults: &Faults) -> Self {
        Self { faults: faults.clone(), ..self.clone() }
    }
}
