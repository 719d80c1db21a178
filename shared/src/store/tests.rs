//! What every store must do is tried on each of them in `tests/tests/stores.rs`; here is what needs no server.
#![allow(clippy::unwrap_used)]

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use futures::{FutureExt as _, stream::BoxStream};
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload,
    PutResult, Result, memory::InMemory, path::Path,
};

use super::*;

/// What becomes of a conditional write.
#[derive(Debug, Clone, Copy)]
enum Condition {
    Ignored,
    NotImplemented,
    Refused,
}

/// A store without conditional writes.
#[derive(Debug)]
struct Old(InMemory, Condition, Arc<Crowd>);

impl fmt::Display for Old {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("old")
    }
}

#[async_trait::async_trait]
impl ObjectStore for Old {
    async fn put_opts(&self, path: &Path, payload: PutPayload, mut options: PutOptions) -> Result<PutResult> {
        if matches!(options.mode, PutMode::Create) {
            match self.1 {
                Condition::Ignored => {}
                Condition::NotImplemented => {
                    return Err(object_store::Error::NotImplemented { operation: "put_opts".to_owned(), implementer: "old".to_owned() });
                }
                Condition::Refused => return Err(object_store::Error::Generic { store: "old", source: "501 Not Implemented".into() }),
            }
        }
        options.mode = PutMode::Overwrite;
        self.0.put_opts(path, payload, options).await
    }

    async fn put_multipart_opts(&self, path: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.0.put_multipart_opts(path, options).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        self.2.1.fetch_max(self.2.0.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        // All others come to this point first, as far as they may.
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
        self.2.0.fetch_sub(1, Ordering::SeqCst);
        self.0.get_opts(path, options).await
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.0.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.0.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.0.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.0.copy_opts(from, to, options).await
    }
}

#[tokio::test]
async fn a_store_without_conditions_is_found_out_and_looked_at_first() {
    for condition in [Condition::Ignored, Condition::NotImplemented, Condition::Refused] {
        let store = Store::new(Arc::new(Old(InMemory::new(), condition, Arc::default())), "p", "old");
        assert_eq!(store.keeps_conditions(), None);
        store.detect_conditions().await.unwrap();
        assert_eq!(store.keeps_conditions(), Some(false), "{condition:?}");
        assert_eq!(store.put_new("a", Bytes::from_static(b"one")).await.unwrap(), Created::New);
        assert_eq!(store.put_new("a", Bytes::from_static(b"two")).await.unwrap(), Created::AlreadyThere, "{condition:?}");
        assert_eq!(store.get("a").await.unwrap(), "one");
        let before = store.traffic();
        store.sub("below").detect_conditions().await.unwrap();
        assert_eq!(store.traffic(), before, "known already");
    }
}

#[tokio::test]
async fn a_store_that_has_conditions_is_asked_once() {
    let memory = Arc::new(InMemory::new());
    for requests in [2, 1] {
        let store = Store::new(Arc::clone(&memory) as Arc<dyn ObjectStore>, "", "new");
        store.detect_conditions().await.unwrap();
        store.detect_conditions().await.unwrap();
        assert_eq!((store.keeps_conditions(), store.traffic().requests()), (Some(true), requests));
    }
}

#[tokio::test]
async fn the_same_content_again_is_no_other_object() {
    let store = Store::memory();
    for _ in 0..2 {
        assert_eq!(store.put_new("a", Bytes::from_static(b"one")).await.unwrap(), Created::New);
    }
    assert_eq!(store.put_new("a", Bytes::from_static(b"one, and more")).await.unwrap(), Created::AlreadyThere);
}

#[tokio::test]
async fn near_parts_share_a_request() {
    let store = Store::memory();
    store.put("a", Bytes::from(vec![7; 1 << 20])).await.unwrap();
    let before = store.traffic();
    let parts = store.get_ranges("a", &[0..10, 1000..1010, 1_000_000..1_000_010]).await.unwrap();
    assert_eq!(parts.iter().map(Bytes::len).collect::<Vec<_>>(), [10, 10, 10]);
    let asked = store.traffic().since(&before);
    assert_eq!((asked.reads, asked.bytes_read, asked.requests()), (2, 1_020, 2));
}

/// Requests under way, and the most there ever were.
#[derive(Debug, Default)]
struct Crowd(AtomicUsize, AtomicUsize);

#[tokio::test]
async fn no_more_requests_than_allowed_are_under_way() {
    for (allowed, expected) in [(None, 20), (NonZeroUsize::new(2), 2)] {
        let crowd = Arc::new(Crowd::default());
        let store = Store::new(Arc::new(Old(InMemory::new(), Condition::Ignored, Arc::clone(&crowd))), "", "crowded").limited_to(allowed);
        store.put("a/b", Bytes::from_static(b"one")).await.unwrap();
        // Parts of a store share its turns.
        let (part, whole) = (store.sub("a"), &store);
        let reads = (0..20).map(|n| if n % 2 == 0 { part.get("b").boxed() } else { whole.get("a/b").boxed() });
        assert!(futures::future::join_all(reads).await.iter().all(Result::is_ok));
        assert_eq!(crowd.1.load(Ordering::SeqCst), expected);
    }
}
