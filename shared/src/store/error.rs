//! Why a call to a store did not succeed.

/// A call to a store that did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is no such object.
    #[error("{store} has no object {key}")]
    NotFound {
        /// The store as the user named it.
        store: String,
        /// The object.
        key: String,
    },
    /// The store refuses these credentials, or the folder these rights.
    #[error("{store} denies access to {key}")]
    Denied {
        /// The store as the user named it.
        store: String,
        /// The object.
        key: String,
        /// What the store said.
        #[source]
        source: object_store::Error,
    },
    /// No space left.
    #[error("{store} is full: cannot write {key}")]
    Full {
        /// The store as the user named it.
        store: String,
        /// The object.
        key: String,
    },
    /// No answer in time.
    #[error("{store} did not answer within {seconds} s for {key}")]
    Timeout {
        /// The store as the user named it.
        store: String,
        /// The object.
        key: String,
        /// The deadline.
        seconds: u64,
    },
    /// Anything else.
    #[error("{store} failed for {key}")]
    Other {
        /// The store as the user named it.
        store: String,
        /// The object.
        key: String,
        /// What the store said.
        #[source]
        source: object_store::Error,
    },
    /// The object ends before the wanted part.
    #[error("{key} in {store} has only {size} bytes: it was cut off")]
    TooShort {
        /// The store as the user named it.
        store: String,
        /// The object.
        key: String,
        /// Its length.
        size: u64,
    },
    /// The object is larger than any of its kind.
    #[error("{key} in {store} has {size} bytes, above the maximum of {maximum}")]
    TooLarge {
        /// The store as the user named it.
        store: String,
        /// The object.
        key: String,
        /// Its length.
        size: u64,
        /// The largest length that is read.
        maximum: u64,
    },
    /// The place itself cannot be used.
    #[error("cannot use {store}: {reason}")]
    Unusable {
        /// The store as the user named it.
        store: String,
        /// Why, and what to do.
        reason: String,
    },
}

impl StoreError {
    /// Whether the object is simply not there.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound { .. })
    }

    /// Sorts what the client library said into the cases that callers tell apart.
    pub(super) fn of(store: String, key: String, source: object_store::Error) -> Self {
        use std::io::ErrorKind;

        if says(&source, &["NoSuchBucket", "ContainerNotFound"]) {
            let reason = "there is no such bucket or container; make it first, or check its name and the endpoint".to_owned();
            return Self::Unusable { store, reason };
        }
        match source {
            object_store::Error::NotFound { .. } => Self::NotFound { store, key },
            source @ (object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. }) => {
                Self::Denied { store, key, source }
            }
            source => match io_kind(&source) {
                Some(ErrorKind::StorageFull) => Self::Full { store, key },
                Some(ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem) => Self::Denied { store, key, source },
                // Of listings the library does not tell that they were refused.
                _ if says(&source, &["status code: 401", "status code: 403"]) => Self::Denied { store, key, source },
                _ => Self::Other { store, key, source },
            },
        }
    }
}

/// Whether the answer of a store, which stands in the text of an error, has one of these words. One without a body has none.
fn says(source: &(dyn std::error::Error + 'static), words: &[&str]) -> bool {
    std::iter::successors(Some(source), |error| error.source()).any(|error| {
        let text = error.to_string();
        words.iter().any(|word| text.contains(word))
    })
}

fn io_kind(error: &object_store::Error) -> Option<std::io::ErrorKind> {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref::<std::io::Error>() {
            return Some(io.kind());
        }
        cause = error.source();
    }
    None
}
