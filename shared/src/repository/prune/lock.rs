//! `locks/prune`: one prune or repair at a time. It runs out by itself, so that a prune that was killed does not stand in the way for ever.
//!
//! A store may let nothing be deleted or replaced for days (a retention policy): then a lock that has run out can be neither taken over nor given
//! back, and who finds one goes on without a lock of his own.
//!
//! The lock saves work. What protects data is the order of writing and the grace time: two prunes at the same time harm nothing.

use std::time::{Duration, Instant};

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{delete_allowed, replace_allowed};
use crate::{
    repository::{
        RepositoryError,
        crypto::random,
        format::{MAX_HEADER_FILE, hex},
    },
    store::{Created, Store, StoreError},
};

pub(in crate::repository) const KEY: &str = "locks/prune";
/// How long a lock holds without being renewed.
const LIFETIME: SignedDuration = SignedDuration::from_hours(1);
/// A lock that claims to hold for longer is no lock: clocks of machines may differ, but not by that much.
const FARTHEST: SignedDuration = SignedDuration::from_hours(24);
/// A lock that is older than this is renewed.
const RENEW: Duration = Duration::from_secs(20 * 60);

#[derive(Serialize, Deserialize)]
struct Content {
    /// Random: whose lock it is.
    id: String,
    until: Timestamp,
}

/// The lock of a running prune.
pub(in crate::repository) struct Lock {
    store: Store,
    id: String,
    /// Whether there is one: not where the store does not let an old one be replaced.
    written: bool,
    /// The time at which it was taken, as the caller tells it.
    taken: Timestamp,
    /// The same by the clocks of this machine: one that stands still while it sleeps, and one that may be set.
    clocks: (Instant, Timestamp),
    renewed: Instant,
}

fn text(id: &str, until: Timestamp) -> Bytes {
    let content = Content { id: id.to_owned(), until };
    format!("{}\n", serde_json::to_string(&content).unwrap_or_default()).into()
}

async fn read(store: &Store) -> Result<Option<Content>, StoreError> {
    match store.get_at_most(KEY, MAX_HEADER_FILE).await {
        Err(StoreError::NotFound { .. } | StoreError::TooLarge { .. }) => Ok(None),
        Err(error) => Err(error),
        Ok(text) => Ok(serde_json::from_slice(&text).ok()),
    }
}

impl Lock {
    /// Takes the lock; one that has run out is replaced.
    ///
    /// # Errors
    /// `Locked` while another one holds; `Store`.
    pub(in crate::repository) async fn take(store: &Store, now: Timestamp) -> Result<Self, RepositoryError> {
        let id = hex(&random::<16>()?);
        let until = now.checked_add(LIFETIME).unwrap_or(Timestamp::MAX);
        let mut lock =
            Self { store: store.clone(), id, written: true, taken: now, clocks: (Instant::now(), Timestamp::now()), renewed: Instant::now() };
        store.detect_conditions().await?;
        if store.put_new(KEY, text(&lock.id, until)).await? == Created::AlreadyThere {
            match read(store).await? {
                Some(other) if other.until > now && other.until.duration_since(now) <= FARTHEST => {
                    return Err(RepositoryError::Locked { place: store.label().to_owned(), until: other.until });
                }
                _ => lock.written = replace_allowed(store, KEY, text(&lock.id, until)).await?,
            }
        }
        // Two may have found the same old one.
        lock.still_held().await?;
        Ok(lock)
    }

    async fn still_held(&self) -> Result<(), RepositoryError> {
        if !self.written {
            return Ok(());
        }
        match read(&self.store).await? {
            Some(content) if content.id == self.id => Ok(()),
            other => {
                let until = other.map_or(self.taken, |content| content.until);
                Err(RepositoryError::Locked { place: self.store.label().to_owned(), until })
            }
        }
    }

    /// The time it is: a prune may take hours, and a pack that it gives up in the end was not given up at its beginning.
    pub(in crate::repository) fn now(&self) -> Timestamp {
        let (running, wall) = self.clocks;
        let passed = SignedDuration::try_from(running.elapsed()).unwrap_or(SignedDuration::MAX).max(Timestamp::now().duration_since(wall));
        self.taken.checked_add(passed).unwrap_or(Timestamp::MAX)
    }

    /// Makes sure that nobody else took it, and renews it in time. Asked before anything is removed.
    ///
    /// # Errors
    /// `Locked` when it ran out and another one took it; `Store`.
    pub(in crate::repository) async fn hold(&mut self) -> Result<(), RepositoryError> {
        self.still_held().await?;
        if self.written && self.renewed.elapsed() > RENEW {
            let until = self.now().checked_add(LIFETIME).unwrap_or(Timestamp::MAX);
            self.written = replace_allowed(&self.store, KEY, text(&self.id, until)).await?;
            self.renewed = Instant::now();
        }
        Ok(())
    }

    /// Gives it back.
    ///
    /// # Errors
    /// The store's; the lock then runs out by itself.
    pub(in crate::repository) async fn release(self) -> Result<(), RepositoryError> {
        if !self.written || delete_allowed(&self.store, KEY).await? {
            return Ok(());
        }
        // Where nothing may be deleted, a lock that has run out does as well; where nothing may be replaced, it runs out by itself.
        Ok(replace_allowed(&self.store, KEY, text(&self.id, self.taken)).await.map(|_| ())?)
    }
}

/// Removes whatever lock there is.
pub(super) async fn remove(store: &Store) -> Result<(), StoreError> {
    store.delete(KEY).await
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_holds_until_it_lets_go_or_time_is_up() {
        let store = Store::memory();
        let at = |minutes: i64| Timestamp::from_second(minutes * 60).unwrap();
        let first = Lock::take(&store, at(0)).await.unwrap();
        let refused = Lock::take(&store, at(59)).await.err().unwrap();
        assert!(matches!(refused, RepositoryError::Locked { until, .. } if until == at(60)));
        first.release().await.unwrap();
        let mut second = Lock::take(&store, at(59)).await.unwrap();
        // Also for somebody whose clock is behind.
        assert!(Lock::take(&store, at(0)).await.is_err());
        second.hold().await.unwrap();
        let mut third = Lock::take(&store, at(120)).await.unwrap();
        assert!(matches!(second.hold().await, Err(RepositoryError::Locked { .. })));
        third.hold().await.unwrap();
    }

    #[tokio::test]
    async fn what_is_no_lock_stands_in_nobodys_way() {
        let store = Store::memory();
        for found in ["", "{}", r#"{"id":"x","until":"9999-01-01T00:00:00Z"}"#] {
            store.put(KEY, found.into()).await.unwrap();
            Lock::take(&store, Timestamp::UNIX_EPOCH).await.unwrap().release().await.unwrap();
        }
    }
}
