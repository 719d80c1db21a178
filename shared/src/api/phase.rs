//! The phases that objects pass through. How each is computed stands beside the kind.

use super::words::words;

words! {
    /// Of a BackupStorage.
    BackupStoragePhase {
        /// The backend can be used.
        Ready,
        /// It cannot; the conditions say why.
        NotReady,
    }

    /// Of a Repository.
    RepositoryPhase {
        /// It cannot be used; the conditions say why.
        NotReady,
        /// It can be used.
        Ready,
    }

    /// Of a Snapshot.
    SnapshotPhase {
        /// Nothing has been written yet.
        Pending,
        /// It is being written.
        Running,
        /// It is whole.
        Succeeded,
        /// It is not, and will not be.
        Failed,
    }

    /// Of a component of a Snapshot.
    ComponentPhase {
        /// Nothing has been written yet.
        Pending,
        /// It is being written.
        Running,
        /// It is whole.
        Succeeded,
        /// It is not, and will not be.
        Failed,
    }

    /// Of a BackupConfiguration or a BackupBatch.
    BackupInvokerPhase {
        /// Something that it needs is missing.
        NotReady,
        /// Its sessions run on schedule.
        Ready,
        /// It contradicts itself or something that exists.
        Invalid,
    }

    /// Of a BackupSession.
    BackupSessionPhase {
        /// It has not begun.
        Pending,
        /// It is at work.
        Running,
        /// All went well.
        Succeeded,
        /// Something failed.
        Failed,
        /// It did nothing on purpose.
        Skipped,
    }

    /// Of a RestoreSession and of its components.
    RestorePhase {
        /// It has not begun.
        Pending,
        /// It is at work.
        Running,
        /// Something failed.
        Failed,
        /// All went well.
        Succeeded,
        /// It contradicts itself or something that exists.
        Invalid,
        /// Nobody can tell how it ended.
        Unknown,
    }

    /// Of a BackupVerificationSession.
    VerificationSessionPhase {
        /// It is at work.
        Running,
        /// All went well.
        Succeeded,
        /// Something failed.
        Failed,
        /// The Snapshot was verified before.
        Skipped,
    }

    /// Of one hook of a session.
    HookPhase {
        /// It did what it should.
        Succeeded,
        /// It did not.
        Failed,
        /// It has not run yet.
        Pending,
    }

    /// Of a RetentionPolicy in one repository after a session.
    RetentionPolicyPhase {
        /// Not yet looked at.
        Pending,
        /// What it does not keep is removed.
        Applied,
        /// Not all of that could be removed.
        FailedToApply,
    }

    /// Whether a Snapshot was read back and checked.
    VerificationStatus {
        /// It was, and is fine.
        Verified,
        /// It was not.
        NotVerified,
        /// It was, and is not fine.
        VerificationFailed,
    }
}

impl BackupSessionPhase {
    /// Whether nothing will change any more.
    pub const fn is_completed(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Skipped)
    }
}

impl RestorePhase {
    /// Whether nothing will change any more.
    pub const fn is_completed(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Invalid | Self::Unknown)
    }
}

impl SnapshotPhase {
    /// Whether nothing will change any more.
    pub const fn is_completed(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_are_shown_and_written_alike() {
        assert_eq!(format!("{:>8}|", BackupStoragePhase::Ready), "   Ready|");
        for phase in [RetentionPolicyPhase::Pending, RetentionPolicyPhase::Applied, RetentionPolicyPhase::FailedToApply] {
            assert_eq!(serde_json::to_value(phase).unwrap(), phase.as_str());
        }
    }
}
