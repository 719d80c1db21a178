//! Writing a snapshot again in its own repository, so that it needs nothing of blocks of which little is alive.

use std::{collections::HashSet, sync::Arc};

use tokio::runtime::Handle;

use super::{
    CopyProgress,
    run::{Work, copy_kinds},
};
use crate::repository::{BackupOptions, Repository, RepositoryError, Root, format::BlockId};

impl Repository {
    /// Puts a snapshot with the same objects in the place of this one. Objects that lie in `thin` blocks are stored again, the others stay where
    /// they are. `parent` is a snapshot that was written so before, on whose layers this one may stand. Gives nothing where the snapshot was
    /// forgotten meanwhile, or the store lets nothing be replaced.
    ///
    /// # Errors
    /// Damage of the snapshot; `Overtaken`; `Store`. The snapshot stays as it was then.
    pub(in crate::repository) async fn recut(
        &self,
        root: &Root,
        parent: Option<Root>,
        thin: &Arc<HashSet<BlockId>>,
    ) -> Result<Option<Root>, RepositoryError> {
        let tops = self.tops(root).await?;
        let writer = self.begin(BackupOptions { parent, ..BackupOptions::default() }, Some(tops.clone())).await?;
        let work = Work {
            source: self.clone(),
            root: root.clone(),
            tops,
            target: Arc::clone(&writer.shared),
            thin: Some(Arc::clone(thin)),
            progress: Arc::new(CopyProgress::default()),
            handle: Handle::current(),
        };
        copy_kinds(&Arc::new(work)).await?;
        writer.commit_over(root).await
    }
}
