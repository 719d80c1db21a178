//! Failures for tests: on cue (a store that is cut off, fails or stalls), and by chance ([`Chaos`]).

mod chaos;

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use tokio::sync::Semaphore;

pub use chaos::{Chaos, Random, Rates};

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
    undeletable: Option<Arc<str>>,
    /// Beginning of the names that `put` refuses.
    unreplaceable: Option<Arc<str>>,
    pause: Option<Pause>,
}

/// One call that waits, so that a test can do something else meanwhile.
#[derive(Debug, Clone)]
pub struct Pause {
    calls_left: Arc<AtomicI64>,
    at: Arc<Mutex<Option<String>>>,
    passed: Arc<Mutex<Vec<String>>>,
    reached: Arc<Semaphore>,
    go_on: Arc<Semaphore>,
}

impl Pause {
    async fn before_call(&self, key: &str) {
        if self.calls_left.fetch_sub(1, Ordering::SeqCst) == 0 {
            *self.at.lock().unwrap_or_else(PoisonError::into_inner) = Some(key.to_owned());
            self.reached.add_permits(1);
            let _ = self.go_on.acquire().await;
        }
        self.passed.lock().unwrap_or_else(PoisonError::into_inner).push(key.to_owned());
    }

    /// How many calls were about this object, or this folder, until now.
    pub fn passed(&self, key: &str) -> usize {
        self.passed.lock().unwrap_or_else(PoisonError::into_inner).iter().filter(|passed| *passed == key).count()
    }

    /// Waits until the call is about to be made; gives the object that it is about, or nothing when there is no such call any more.
    pub async fn reached(&self) -> Option<String> {
        let _ = self.reached.acquire().await;
        self.at.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// No more calls will come.
    pub fn end(&self) {
        self.reached.add_permits(1);
    }

    /// Lets it be made.
    pub fn go_on(&self) {
        self.go_on.add_permits(1);
    }
}

/// With `KUBESTASH_TEST_CHAOS=SEED` all tests of this package run on stores in which everything goes wrong that nobody may notice.
#[cfg(test)]
pub(super) fn unnoticed(store: Store) -> Store {
    let seed = std::env::var("KUBESTASH_TEST_CHAOS").ok().and_then(|seed| seed.parse().ok());
    let Some(seed) = seed else { return store };
    let (store, chaos) = store.chaotic(seed);
    chaos.set(Rates::UNNOTICED);
    store
}

impl Faults {
    /// Changes what becomes of reads.
    pub fn reads(&self, reads: Reads) {
        *self.reads.lock().unwrap_or_else(PoisonError::into_inner) = reads;
    }

    async fn before_call(&self, key: &str) {
        if let Some(pause) = &self.pause {
            pause.before_call(key).await;
        }
    }

    pub(super) async fn before_read(&self, store: &str, key: &str) -> Result<(), StoreError> {
        self.before_call(key).await;
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

    pub(super) async fn before_put(&self, store: &str, key: &str) -> Result<(), StoreError> {
        self.refuse(&self.unreplaceable, store, key)?;
        self.before_write(store, key).await
    }

    /// What begins with a name that is protected.
    fn refuse(&self, protected: &Option<Arc<str>>, store: &str, key: &str) -> Result<(), StoreError> {
        if protected.as_ref().is_some_and(|beginning| key.starts_with(&**beginning)) {
            let source = object_store::Error::PermissionDenied { path: key.to_owned(), source: "it is locked, for a test".into() };
            return Err(StoreError::Denied { store: store.to_owned(), key: key.to_owned(), source });
        }
        Ok(())
    }

    pub(super) async fn before_delete(&self, store: &str, key: &str) -> Result<(), StoreError> {
        self.refuse(&self.undeletable, store, key)?;
        self.before_write(store, key).await
    }

    pub(super) async fn before_write(&self, store: &str, key: &str) -> Result<(), StoreError> {
        self.before_call(key).await;
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

    /// One call waits: the one behind so many reads, writes and deletions.
    #[must_use]
    pub fn pausing_after(&self, calls: i64) -> (Self, Pause) {
        let pause = Pause {
            calls_left: Arc::new(AtomicI64::new(calls)),
            at: Arc::default(),
            passed: Arc::default(),
            reached: Arc::new(Semaphore::new(0)),
            go_on: Arc::new(Semaphore::new(0)),
        };
        let faults = Faults { pause: Some(pause.clone()), ..Faults::default() };
        (Self { faults, ..self.clone() }, pause)
    }

    /// Nothing whose name begins like this can be deleted, as under an object lock.
    #[must_use]
    pub fn never_deleting(&self, beginning: &str) -> Self {
        let faults = Faults { undeletable: Some(beginning.into()), ..Faults::default() };
        Self { faults, ..self.clone() }
    }

    /// Nothing whose name begins like this can be written over: for names that are created only where they are new.
    #[must_use]
    pub fn never_replacing(&self, beginning: &str) -> Self {
        let faults = Faults { unreplaceable: Some(beginning.into()), ..Faults::default() };
        Self { faults, ..self.clone() }
    }

    /// The same store under a plan.
    #[must_use]
    pub fn with_faults(&self, faults: &Faults) -> Self {
        Self { faults: faults.clone(), ..self.clone() }
    }
}
