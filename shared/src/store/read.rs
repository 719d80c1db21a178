//! Reading objects and parts of them. What arrives is measured against what was announced: a transfer that ends early is no short object.

use std::ops::Range;

use bytes::Bytes;
use object_store::{GetOptions, GetRange, ObjectStoreExt as _, coalesce_ranges};

use super::{Store, StoreError};

/// How often a transfer that ends early is begun. The client library tries again what fails in other ways.
const TRANSFERS: usize = 3;
/// Parts of an object that are nearer to each other than this are read together, with what lies between them.
const NEAR: u64 = 256 << 10;

/// What came of one request.
enum Arrived {
    /// The object's size, the bytes that were announced, and those that came.
    Part { size: u64, announced: u64, bytes: Bytes },
    /// It is larger than what is wanted; nothing was read of it.
    TooLarge { size: u64 },
}

impl Store {
    /// A whole object.
    ///
    /// # Errors
    /// `NotFound` when it is not there.
    pub async fn get(&self, key: &str) -> Result<Bytes, StoreError> {
        self.get_at_most(key, u64::MAX).await
    }

    /// A whole object, unless it is larger than `maximum` bytes: its length is known before memory is reserved for it.
    ///
    /// # Errors
    /// `NotFound` when it is not there, `TooLarge`.
    pub async fn get_at_most(&self, key: &str, maximum: u64) -> Result<Bytes, StoreError> {
        self.read(key, None, maximum).await
    }

    /// A part of an object.
    ///
    /// # Errors
    /// `NotFound` when it is not there; `TooShort` when the range lies behind its end.
    pub async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes, StoreError> {
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        self.read(key, Some(range), u64::MAX).await
    }

    /// Several parts of an object, near ones in one request.
    ///
    /// # Errors
    /// As [`Store::get_range`].
    pub async fn get_ranges(&self, key: &str, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, StoreError> {
        coalesce_ranges(ranges, |range| self.get_range(key, range), NEAR).await
    }

    async fn read(&self, key: &str, range: Option<Range<u64>>, maximum: u64) -> Result<Bytes, StoreError> {
        let named = || (self.label().to_owned(), key.to_owned());
        let wanted = range.as_ref().map(|range| range.end - range.start);
        for _ in 0..TRANSFERS {
            let arrived = match (self.transfer(key, range.clone(), maximum).await, &range) {
                (Err(error), Some(range)) => return Err(self.explain_range(key, range.end, error).await),
                (arrived, _) => arrived?,
            };
            match arrived {
                Arrived::TooLarge { size } => {
                    let (store, key) = named();
                    return Err(StoreError::TooLarge { store, key, size, maximum });
                }
                // Some stores give what there is of a range that lies across the end.
                Arrived::Part { size, announced, .. } if wanted.is_some_and(|wanted| announced < wanted) => {
                    let (store, key) = named();
                    return Err(StoreError::TooShort { store, key, size });
                }
                Arrived::Part { announced, bytes, .. } if bytes.len() as u64 == announced => return Ok(bytes),
                Arrived::Part { .. } => {}
            }
        }
        let source = object_store::Error::Generic { store: "transfer", source: format!("it ended early {TRANSFERS} times").into() };
        Err(self.failed(key, source))
    }

    async fn transfer(&self, key: &str, range: Option<Range<u64>>, maximum: u64) -> Result<Arrived, StoreError> {
        let path = self.path(key);
        let call = async {
            let options = GetOptions { range: range.map(GetRange::Bounded), ..GetOptions::default() };
            let found = self.inner.get_opts(&path, options).await?;
            let (size, announced) = (found.meta.size, found.range.end.saturating_sub(found.range.start));
            if announced > maximum {
                return Ok(Arrived::TooLarge { size });
            }
            Ok(Arrived::Part { size, announced, bytes: found.bytes().await? })
        };
        let arrived = self.reading(key, call).await;
        self.traffic.read(if let Ok(Arrived::Part { bytes, .. }) = &arrived { bytes.len() } else { 0 });
        arrived
    }

    /// Stores word it differently that a range lies behind the end: the length tells.
    async fn explain_range(&self, key: &str, end: u64, error: StoreError) -> StoreError {
        if !matches!(error, StoreError::Other { .. }) {
            return error;
        }
        let path = self.path(key);
        self.traffic.read(0);
        match self.reading(key, self.inner.head(&path)).await {
            Ok(meta) if meta.size < end => StoreError::TooShort { store: self.label().to_owned(), key: key.to_owned(), size: meta.size },
            _ => error,
        }
    }
}
