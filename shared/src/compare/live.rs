//! The cluster as it is now, as a snapshot in memory.

use std::sync::Arc;

use crate::{
    cluster::{Cluster, ConnectError},
    collect::{self, CollectError, FilterError, Filters, Progress},
    object::GroupResource,
    repository::{BackupOptions, CommitInfo, Repository, RepositoryError, Snapshot},
};

/// Why the cluster cannot be read into memory.
#[derive(Debug, thiserror::Error)]
pub enum LiveError {
    /// No connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The filters do not parse.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// The cluster cannot be read at all.
    #[error(transparent)]
    Collect(#[from] Box<CollectError>),
    /// The snapshot in memory cannot be written.
    #[error("cannot keep the cluster's objects in memory")]
    Repository(#[source] Box<RepositoryError>),
}

/// Reads the cluster into a snapshot in memory that shares `repository`'s keys, so that its hashes compare with stored snapshots.
///
/// Pass the filters and the sensitive kinds of the snapshot it will be compared with, and look at the kinds in its root: a kind that could not be read is not a
/// kind whose objects are gone. Memory holds all that is read, compressed.
///
/// With a password of general access Secrets can be read in their redacted form only, and their hashes compare with none: every Secret that
/// both sides have looks changed.
///
/// # Errors
/// See [`LiveError`].
pub async fn live(
    cluster: &Cluster,
    repository: &Repository,
    filters: &Filters,
    sensitive: Vec<GroupResource>,
    progress: &Arc<Progress>,
) -> Result<Snapshot, LiveError> {
    let kept = |error| LiveError::Repository(Box::new(error));
    let scratch = repository.scratch().map_err(kept)?;
    let plan = collect::plan(&cluster.discover().await?, filters)?;
    let writer = scratch.backup(BackupOptions { sensitive, ..BackupOptions::default() }).await.map_err(kept)?;
    let writers = Arc::new(vec![writer]);
    let report = collect::collect(cluster, &plan, filters, Arc::clone(&writers), progress).await.map_err(Box::new)?;
    let writer = Arc::into_inner(writers).and_then(|mut all| all.pop());
    let writer = writer.ok_or_else(|| kept(RepositoryError::Machine("a reader of the cluster has not ended".to_owned())))?;
    let info = CommitInfo {
        name: "live".to_owned(),
        id: None,
        time: jiff::Timestamp::now(),
        cluster: cluster.identity().await?,
        filters: serde_json::to_value(filters).unwrap_or_default(),
        resource_version: report.resource_version,
        kinds: report.kinds,
        failed_groups: report.failed_groups,
        tags: Vec::new(),
        duration_ms: 0,
    };
    let root = writer.commit(info).await.map_err(kept)?;
    scratch.seen_with(repository).open_snapshot(&root).await.map_err(kept)
}
