//! What can go wrong with a repository, said so that a person knows what to do.

use jiff::Timestamp;

use super::format::FormatError;
use crate::{object::ObjectError, store::StoreError};

/// An error of a repository.
#[derive(Debug, thiserror::Error)]
pub enum RepositoryError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Nothing there.
    #[error("there is no repository at {place}")]
    NotARepository {
        /// Where it was looked for.
        place: String,
    },
    /// Its data is there, and the file that names it is not.
    #[error("{place}/config is missing, and there is data of a repository beside it")]
    ConfigMissing {
        /// Where.
        place: String,
    },
    /// Somebody made one already.
    #[error("there is a repository at {place} already")]
    AlreadyExists {
        /// Where.
        place: String,
    },
    /// No key opens with this password.
    #[error("wrong password for the repository at {place}: none of its keys opens with it (keys tried: {keys})")]
    WrongPassword {
        /// Where.
        place: String,
        /// Number of readable keys.
        keys: usize,
    },
    /// Written by a newer program.
    #[error("the repository at {place} needs {found}, this program supports {supported}")]
    Unsupported {
        /// Where.
        place: String,
        /// The version or feature found.
        found: String,
        /// What is supported.
        supported: String,
    },
    /// Stored bytes are not what was written.
    #[error("{object} is damaged: {reason}")]
    Damaged {
        /// The stored object or block.
        object: String,
        /// What does not fit.
        reason: FormatError,
    },
    /// The repository uses something that an older program may read, but must not write.
    #[error("the repository at {place} uses {found}, which this program can read but not write")]
    ReadOnly {
        /// Where.
        place: String,
        /// The feature.
        found: String,
    },
    /// A stored object is gone.
    #[error("{object} is missing from the repository")]
    Missing {
        /// The stored object or block.
        object: String,
    },
    /// The password opens the general key only.
    #[error("this password does not open the values of Secrets; use one with full access")]
    NeedsSensitiveKey,
    /// The caller broke the order of a kind.
    #[error("objects of {kind} are out of order: {key} after {previous}")]
    OutOfOrder {
        /// The kind.
        kind: String,
        /// The object that came too late.
        key: String,
        /// The one before.
        previous: String,
    },
    /// An object that cannot be stored.
    #[error("cannot read {object} as the API server sent it")]
    Object {
        /// The object.
        object: String,
        /// What is wrong with it.
        #[source]
        source: ObjectError,
    },
    /// The key must stay.
    #[error("key {id} is the last one with full access to all data keys; add another before you remove it")]
    LastKey {
        /// The key.
        id: String,
    },
    /// Somebody else has changed the keys, or a rotation was cut off.
    #[error("the keys of the repository at {place} are not those that this password opened: nothing was changed")]
    KeysChanged {
        /// Where.
        place: String,
    },
    /// No such key or snapshot.
    #[error("the repository has no {what}")]
    NotFound {
        /// What was asked for.
        what: String,
    },
    /// A prune must not begin.
    #[error("nothing was removed: it cannot be told what {object} needs")]
    PruneBlocked {
        /// The snapshot.
        object: String,
        /// Why it cannot be read.
        #[source]
        source: Box<RepositoryError>,
    },
    /// One prune or repair at a time.
    #[error("another prune or repair is at work in {place}; its lock holds until {until}")]
    Locked {
        /// Where.
        place: String,
        /// When the lock runs out, unless it is renewed.
        until: Timestamp,
    },
    /// A prune and a backup met, and the prune came first.
    #[error("the snapshot was not made: a prune is about to remove data that it takes over from an older one (blocks: {blocks})")]
    Overtaken {
        /// How many blocks.
        blocks: usize,
    },
    /// Randomness, threads or memory of this machine.
    #[error("this machine failed: {0}")]
    Machine(String),
}

impl RepositoryError {
    pub(crate) fn damaged(object: impl Into<String>) -> impl FnOnce(FormatError) -> Self {
        let object = object.into();
        move |reason| Self::Damaged { object, reason }
    }

    /// Whether stored data is damaged or gone, so that other data may still be read.
    pub fn is_damage(&self) -> bool {
        matches!(self, Self::Damaged { .. } | Self::Missing { .. })
    }
}
