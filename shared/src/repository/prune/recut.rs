//! Writing snapshots again whose blocks hold too much that no snapshot needs.
//!
//! It is what a backup does: packs, index, root, but that the root takes the place of the one that said the same. Then the prune goes on as ever,
//! and finds that nobody needs the old blocks any more.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::{Lock, MaxUnused, Progress, PruneOptions, PruneReport, living::Opened, replace_allowed, thin::thin};
use crate::repository::{
    Repository, RepositoryError, Root,
    format::{BlockId, top::LayerTop},
};

/// What a snapshot's layers may be shared with.
type Chain = (String, String);

fn chain(root: &Root) -> Chain {
    (root.cluster.uid.clone(), root.filters.to_string())
}

impl Repository {
    /// The snapshots to write again and the blocks to leave behind; tells the report.
    pub(super) async fn thin_blocks(
        &self,
        options: PruneOptions,
        report: &mut PruneReport,
    ) -> Result<(Vec<Root>, HashSet<BlockId>), RepositoryError> {
        if options.max_unused == MaxUnused::UNLIMITED {
            return Ok(Default::default());
        }
        self.inner.blocks.refresh().await?;
        // Damage is told by what comes next; a snapshot that cannot be read is not written again.
        let opened: Arc<Opened> = match self.open_tables().await {
            Err(error) if error.is_damage() => return Ok(Default::default()),
            opened => Arc::new(opened?),
        };
        let lives = match self.living(&opened).await {
            Err(error) if error.is_damage() => return Ok(Default::default()),
            lives => lives?,
        };
        let (blocks, bytes) = thin(&lives, options.max_unused, options.max_repack.unwrap_or(u64::MAX));
        let opened = Arc::into_inner(opened).unwrap_or_default();
        let uses = |tops: &[Arc<LayerTop>]| tops.iter().flat_map(|top| &top.kinds).flat_map(|kind| &kind.blocks).any(|block| blocks.contains(block));
        let roots: Vec<Root> = opened.into_iter().filter(|(_, tops)| uses(tops)).map(|(root, _)| root).collect();
        (report.recut.snapshots, report.recut.blocks, report.recut.bytes) = (roots.len(), blocks.len(), bytes);
        Ok((roots, blocks))
    }

    /// Writes snapshots again that need blocks of which too little is alive.
    pub(super) async fn recut_thin(
        &self,
        options: PruneOptions,
        lock: &mut Lock,
        report: &mut PruneReport,
        progress: Progress<'_>,
    ) -> Result<(), RepositoryError> {
        let (roots, blocks) = self.thin_blocks(options, report).await?;
        report.recut.snapshots = 0;
        let Some(first) = roots.first() else { return Ok(()) };
        // Before anything is written: whether the store lets roots be replaced at all.
        let (key, sealed) = self.seal_root(first)?;
        if !self.inner.store.exists(&key).await? || !replace_allowed(&self.inner.store, &key, sealed.into()).await? {
            return Ok(());
        }
        let blocks = Arc::new(blocks);
        let mut written: HashMap<Chain, Root> = HashMap::new();
        for (done, root) in roots.iter().enumerate() {
            progress("writing snapshots anew", done, roots.len());
            lock.hold().await?;
            match self.recut(root, written.get(&chain(root)).cloned(), &blocks).await {
                Ok(Some(new)) => {
                    report.recut.snapshots += 1;
                    written.insert(chain(root), new);
                }
                // What it needs lies in the trash: this prune takes it back, and the next one comes here again.
                Ok(None) | Err(RepositoryError::Overtaken { .. }) => {}
                Err(error) if error.is_damage() => report.damage.push(format!("snapshot {} was left as it is: {error}", root.name)),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
