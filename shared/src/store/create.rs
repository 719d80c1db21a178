//! Creating an object only if its name is new, also in stores that cannot do so by themselves.
//!
//! Whether a store keeps the condition of a conditional write is found out once in a process, by [`Store::detect_conditions`]: with an
//! object that is there, or will be, in every repository, so that asking again costs one request and changes nothing. A store without
//! conditions is looked at before it is written to, and read again afterwards. Two who create the same name within the same moment may
//! then both believe that theirs is new, for the later one replaces the earlier; names that matter are random (snapshots, keys), or are
//! read again before anything hangs on them (the lock of a prune).

use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};

use bytes::Bytes;
use object_store::{PutMode, PutPayload};

use super::{Created, Store, StoreError};

/// The object that is asked about.
const PROBE: &str = "locks/probe";
const PROBE_CONTENT: &[u8] = b"Whether this store creates a name only once was found out with this object.\n";

const UNKNOWN: u8 = 0;
const KEPT: u8 = 1;
const IGNORED: u8 = 2;

/// What is known about the store.
#[derive(Debug, Default)]
pub(super) struct Conditions(AtomicU8);

impl Conditions {
    /// Of a store whose code is part of this program.
    pub(super) fn kept() -> Arc<Self> {
        Arc::new(Self(AtomicU8::new(KEPT)))
    }

    fn get(&self) -> u8 {
        self.0.load(Ordering::Relaxed)
    }

    fn set(&self, value: u8) {
        self.0.store(value, Ordering::Relaxed);
    }
}

impl Store {
    /// Writes an object unless there is one of that name. One that is there with the very same content counts as new: the answer to the
    /// first of two tries may have been lost on its way.
    ///
    /// # Errors
    /// As [`Store::put`].
    pub async fn put_new(&self, key: &str, content: Bytes) -> Result<Created, StoreError> {
        #[cfg(any(test, feature = "test-faults"))]
        self.faults.before_write(&self.label, key).await?;
        if self.conditions.get() == IGNORED {
            return self.look_and_put(key, content).await;
        }
        match self.create(key, content.clone()).await {
            Ok(Created::New) => Ok(Created::New),
            Ok(Created::AlreadyThere) => Ok(if self.holds(key, &content).await? { Created::New } else { Created::AlreadyThere }),
            Err(StoreError::Other { source: object_store::Error::NotImplemented { .. } | object_store::Error::NotSupported { .. }, .. }) => {
                self.conditions.set(IGNORED);
                self.look_and_put(key, content).await
            }
            // It may have been written all the same.
            Err(error @ (StoreError::Other { .. } | StoreError::Timeout { .. })) => {
                if self.holds(key, &content).await.unwrap_or(false) {
                    Ok(Created::New)
                } else {
                    Err(error)
                }
            }
            Err(error) => Err(error),
        }
    }

    /// One conditional write, as the store answers it.
    async fn create(&self, key: &str, content: Bytes) -> Result<Created, StoreError> {
        self.traffic.write(content.len());
        let path = self.path(key);
        let call = async {
            match self.inner.put_opts(&path, PutPayload::from(content), PutMode::Create.into()).await {
                Ok(_) => Ok(Created::New),
                Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => Ok(Created::AlreadyThere),
                Err(error) => Err(error),
            }
        };
        self.timed(key, call).await
    }

    /// Whether an object has this content.
    async fn holds(&self, key: &str, content: &Bytes) -> Result<bool, StoreError> {
        match self.get_at_most(key, content.len() as u64).await {
            Ok(found) => Ok(found == content),
            Err(StoreError::NotFound { .. } | StoreError::TooLarge { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn look_and_put(&self, key: &str, content: Bytes) -> Result<Created, StoreError> {
        if !self.exists(key).await? {
            self.put(key, content.clone()).await?;
        }
        Ok(if self.holds(key, &content).await? { Created::New } else { Created::AlreadyThere })
    }

    /// Finds out whether this store keeps the condition of [`Store::put_new`]; asks nothing when that is known.
    ///
    /// # Errors
    /// `Denied`, `Timeout`, or `Other` when the store cannot be written to at all.
    pub async fn detect_conditions(&self) -> Result<(), StoreError> {
        if self.conditions.get() != UNKNOWN {
            return Ok(());
        }
        let content = Bytes::from_static(PROBE_CONTENT);
        let mut kept = false;
        // The second one finds what the first one made.
        for _ in 0..2 {
            match self.create(PROBE, content.clone()).await {
                Ok(Created::AlreadyThere) => {
                    kept = true;
                    break;
                }
                Ok(Created::New) => {}
                // Some refuse a condition that they do not know; those that fail altogether fail here, too.
                Err(StoreError::Other { .. }) => {
                    self.put(PROBE, content.clone()).await?;
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        self.conditions.set(if kept { KEPT } else { IGNORED });
        if !kept {
            tracing::warn!(
                store = self.label(),
                "this store does not create names only once: do not start two prunes or two inits at the same moment"
            );
        }
        Ok(())
    }

    /// Whether [`Store::put_new`] can rely on the store alone; nothing while that is not known.
    pub fn keeps_conditions(&self) -> Option<bool> {
        match self.conditions.get() {
            UNKNOWN => None,
            known => Some(known == KEPT),
        }
    }
}
