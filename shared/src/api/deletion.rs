//! What deleting an object does to the data behind it.

use super::words::words;

words! {
    /// What deleting an object does to the data in the backend.
    DeletionPolicy {
        /// The data stays.
        Delete,
        /// The data goes too.
        WipeOut,
    }

    /// What deleting a BackupConfiguration does to a Repository that it made.
    RepositoryDeletionPolicy {
        /// The Repository goes, its data stays.
        Delete,
        /// The Repository and its data go.
        WipeOut,
        /// The Repository stays.
        Retain,
    }
}
