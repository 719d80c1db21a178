//! A store that fails in all the ways in which stores do, by chance: below [`Store`], so that what it makes good is tried as well.
//!
//! The same seed makes the same choices for the same sequence of calls. What is wrong with an answer never lasts: a transfer that was cut
//! off is whole the next time, and listings are behind by at most what was written since [`Chaos::time_passes`].

use std::{
    collections::HashSet,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::{StreamExt as _, TryStreamExt as _, stream::BoxStream};
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt as _, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, path::Path,
};

use crate::store::Store;

/// xorshift64*: enough for choosing, and the same everywhere.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// Neighbouring seeds give sequences that have nothing in common.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// A number from 0 to below `limit`.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % limit.max(1)
    }
}

/// How many calls of a thousand are hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rates {
    /// Fail, and nothing is done.
    pub fail: u16,
    /// Are answered some milliseconds later, so that answers overtake each other.
    pub delay: u16,
    /// Reads whose transfer ends early.
    pub truncate: u16,
    /// Writes and deletions that are done and reported as failed.
    pub lose_reply: u16,
    /// Listings that do not know the last writes and deletions yet.
    pub stale_listing: u16,
    /// Listings in any order.
    pub reorder: u16,
}

impl Rates {
    /// Whatever can go wrong.
    pub const ALL: Self = Self { fail: 20, delay: 20, truncate: 50, lose_reply: 20, stale_listing: 200, reorder: 500 };
    /// What nobody above a store may notice: it is made good there.
    pub const UNNOTICED: Self = Self { fail: 0, delay: 20, truncate: 100, lose_reply: 0, stale_listing: 0, reorder: 1_000 };
}

/// A write or deletion, and what was there before.
#[derive(Debug)]
struct Event {
    path: Path,
    before: Option<ObjectMeta>,
}

#[derive(Debug)]
struct State {
    random: Random,
    rates: Rates,
    recent: Vec<Event>,
    truncated: HashSet<Path>,
}

/// Holds the rates, which a test changes while the store is in use.
#[derive(Debug, Clone)]
pub struct Chaos(Arc<Mutex<State>>);

impl Chaos {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on so much goes wrong.
    pub fn set(&self, rates: Rates) {
        self.state().rates = rates;
    }

    /// Listings know everything that was written until now.
    pub fn time_passes(&self) {
        self.state().recent.clear();
    }

    fn happens(&self, rate: impl Fn(&Rates) -> u16) -> bool {
        let mut state = self.state();
        let rate = u64::from(rate(&state.rates));
        // Without a rate the sequence of choices stays where it is.
        rate > 0 && state.random.below(1_000) < rate
    }

    async fn before(&self, path: &Path) -> Result<()> {
        if self.happens(|rates| rates.delay) {
            let milliseconds = self.state().random.below(4);
            tokio::time::sleep(Duration::from_millis(milliseconds)).await;
        }
        if self.happens(|rates| rates.fail) { Err(broken(path, "it was not asked")) } else { Ok(()) }
    }

    fn behind<T>(&self, path: &Path, done: Result<T>) -> Result<T> {
        if done.is_ok() && self.happens(|rates| rates.lose_reply) { Err(broken(path, "its answer was lost")) } else { done }
    }

    /// Takes the last few events back, as a listing that is behind does.
    fn stale(&self, prefix: Option<&Path>, mut found: Vec<ObjectMeta>) -> Vec<ObjectMeta> {
        if self.happens(|rates| rates.stale_listing) {
            let mut state = self.state();
            let known = state.recent.len() as u64 + 1;
            let known = state.random.below(known) as usize;
            for event in state.recent.iter().skip(known).rev().filter(|event| prefix.is_none_or(|prefix| event.path.prefix_matches(prefix))) {
                found.retain(|meta| meta.location != event.path);
                found.extend(event.before.clone());
            }
        }
        if self.happens(|rates| rates.reorder) {
            let mut state = self.state();
            for at in (1..found.len()).rev() {
                let other = state.random.below(at as u64 + 1) as usize;
                found.swap(at, other);
            }
        }
        found
    }
}

fn broken(path: &Path, how: &str) -> Error {
    Error::Generic { store: "chaos", source: format!("{how}, for a test: {path}").into() }
}

#[derive(Debug)]
struct Chaotic {
    inner: Arc<dyn ObjectStore>,
    chaos: Chaos,
}

impl fmt::Display for Chaotic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "chaos around {}", self.inner)
    }
}

impl Chaotic {
    /// Notes what is there before it is changed.
    async fn note(&self, path: &Path) -> Result<()> {
        let before = match self.inner.head(path).await {
            Err(Error::NotFound { .. }) => None,
            other => Some(other?),
        };
        self.chaos.state().recent.push(Event { path: path.clone(), before });
        Ok(())
    }
}

#[async_trait::async_trait]
impl ObjectStore for Chaotic {
    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.chaos.before(path).await?;
        // One that changes nothing is no event.
        if options.mode != PutMode::Create || matches!(self.inner.head(path).await, Err(Error::NotFound { .. })) {
            self.note(path).await?;
        }
        self.chaos.behind(path, self.inner.put_opts(path, payload, options).await)
    }

    async fn put_multipart_opts(&self, path: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(path, options).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        self.chaos.before(path).await?;
        let (head, found) = (options.head, self.inner.get_opts(path, options).await?);
        let cut = !head && self.chaos.happens(|rates| rates.truncate);
        let mut result = GetResult {
            payload: GetResultPayload::Stream(futures::stream::empty().boxed()),
            meta: found.meta.clone(),
            range: found.range.clone(),
            attributes: found.attributes.clone(),
            extensions: found.extensions.clone(),
        };
        let mut bytes = found.bytes().await?;
        {
            let mut state = self.chaos.state();
            if cut && state.truncated.insert(path.clone()) {
                let length = state.random.below(bytes.len() as u64) as usize;
                bytes.truncate(length);
            } else {
                state.truncated.remove(path);
            }
        }
        result.payload = GetResultPayload::Stream(futures::stream::once(async move { Ok(bytes) }).boxed());
        Ok(result)
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let this = Self { inner: Arc::clone(&self.inner), chaos: self.chaos.clone() };
        let delete = move |path: Result<Path>| {
            let this = Self { inner: Arc::clone(&this.inner), chaos: this.chaos.clone() };
            async move {
                let path = path?;
                this.chaos.before(&path).await?;
                this.note(&path).await?;
                this.chaos.behind(&path, this.inner.delete(&path).await).map(|()| path)
            }
        };
        paths.then(delete).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let (inner, chaos, prefix) = (Arc::clone(&self.inner), self.chaos.clone(), prefix.cloned());
        let listed = async move {
            chaos.before(prefix.as_ref().unwrap_or(&Path::default())).await?;
            let found: Vec<ObjectMeta> = inner.list(prefix.as_ref()).try_collect().await?;
            Ok::<_, Error>(futures::stream::iter(chaos.stale(prefix.as_ref(), found)).map(Ok))
        };
        futures::stream::once(listed).try_flatten().boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

impl Store {
    /// The same store, in which things go wrong once rates are set. All that write to it have to do so through this one.
    #[must_use]
    pub fn chaotic(&self, seed: u64) -> (Self, Chaos) {
        let state = State { random: Random::new(seed), rates: Rates::default(), recent: Vec::new(), truncated: HashSet::new() };
        let chaos = Chaos(Arc::new(Mutex::new(state)));
        let inner = Arc::new(Chaotic { inner: Arc::clone(&self.inner), chaos: chaos.clone() });
        (Self { inner, ..self.clone() }, chaos)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::store::Created;

    fn only(change: impl Fn(&mut Rates)) -> (Store, Chaos) {
        let (store, chaos) = Store::plain_memory().chaotic(7);
        let mut rates = Rates::default();
        change(&mut rates);
        chaos.set(rates);
        (store, chaos)
    }

    #[tokio::test]
    async fn a_transfer_that_ends_early_is_begun_again() {
        let (store, _) = only(|rates| rates.truncate = 1_000);
        store.put("a", Bytes::from_static(b"hello")).await.unwrap();
        for _ in 0..10 {
            assert_eq!(store.get("a").await.unwrap(), "hello");
            assert_eq!(store.get_range("a", 1..4).await.unwrap(), "ell");
        }
    }

    #[tokio::test]
    async fn a_lost_reply_to_a_creation_is_made_good() {
        let (store, chaos) = only(|rates| rates.lose_reply = 1_000);
        assert_eq!(store.put_new("a", Bytes::from_static(b"one")).await.unwrap(), Created::New);
        assert_eq!(store.put_new("a", Bytes::from_static(b"two")).await.unwrap(), Created::AlreadyThere);
        assert!(store.delete("a").await.is_err() && !store.exists("a").await.unwrap(), "done, and not known");
        chaos.set(Rates { fail: 1_000, ..Rates::default() });
        assert!(store.put_new("b", Bytes::from_static(b"one")).await.is_err());
        chaos.set(Rates::default());
        assert!(!store.exists("b").await.unwrap());
    }

    #[tokio::test]
    async fn listings_are_behind_until_time_passes_and_always_sorted() {
        let (store, chaos) = only(|rates| (rates.stale_listing, rates.reorder) = (1_000, 1_000));
        for key in ["a", "b", "c"] {
            store.put(key, Bytes::from_static(b"one")).await.unwrap();
        }
        chaos.time_passes();
        store.put("d", Bytes::from_static(b"one")).await.unwrap();
        store.delete("a").await.unwrap();
        let mut seen = HashSet::new();
        for _ in 0..50 {
            seen.insert(store.list("").await.unwrap().into_iter().map(|entry| entry.key).collect::<String>());
        }
        assert_eq!(seen, HashSet::from(["abc", "abcd", "bcd"].map(str::to_owned)));
        chaos.time_passes();
        assert_eq!(store.list("").await.unwrap().len(), 3);
    }
}
