//! Random sequences of backup, forget, prune, check and crashes, with two writers at once, against a plain map. The seeds are fixed: a
//! failure names its own, and becomes a short test with a name.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::{Grace, PruneOptions};
use crate::{
    repository::{
        BackupOptions, CheckDepth, Repository, RepositoryError, Root, SnapshotId,
        tests::{Cluster, assert_holds, back_up, cluster, fill, info, new_repository, password},
    },
    store::Store,
};

/// xorshift64*: enough for choosing, and the same everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % limit
    }
}

/// What must be there.
struct Model {
    store: Store,
    random: Random,
    now: Timestamp,
    snapshots: BTreeMap<SnapshotId, (Root, Cluster)>,
    made: u32,
    refused: u32,
    log: Vec<String>,
}

impl Model {
    async fn new(seed: u64) -> Self {
        let store = Store::memory();
        new_repository(&store).await;
        let random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        Self { store, random, now: Timestamp::now(), snapshots: BTreeMap::new(), made: 0, refused: 0, log: vec![format!("seed {seed}")] }
    }

    /// Objects in one of few states, so that blocks come again.
    fn state(&mut self) -> Cluster {
        let (size, pods, secrets) = (20 + self.random.below(3) as u32 * 5, self.random.below(3) as u32, self.random.below(2) as u32);
        let changed = |((secret, key), n): ((bool, String), u32)| ((secret, key), n + 1_000 * if secret { secrets } else { pods });
        cluster(size, 0).into_iter().map(changed).collect()
    }

    fn parent(&mut self) -> Option<Root> {
        let newest = self.snapshots.values().next_back().map(|(root, _)| root.clone());
        newest.filter(|_| self.random.below(4) > 0)
    }

    fn options(&mut self) -> PruneOptions {
        let max_repack = if self.random.below(4) == 0 { Some(1_000) } else { None };
        let grace = if self.random.below(3) == 0 { "2h" } else { "24h" };
        PruneOptions { now: self.now, grace: grace.parse::<Grace>().unwrap(), max_repack }
    }

    /// The store as it is, or one that is cut off after a few writes.
    fn cut(&mut self) -> Store {
        if self.random.below(3) > 0 {
            return self.store.clone();
        }
        let writes = self.random.below(12) as i64;
        self.log.push(format!("  cut off after {writes} writes"));
        self.store.failing_after(writes)
    }

    async fn open(store: &Store) -> Repository {
        Repository::open(store.clone(), &password()).await.unwrap()
    }

    fn note(&mut self, ended: Result<Root, RepositoryError>, objects: Cluster) {
        match ended {
            Ok(root) => {
                self.made += 1;
                self.snapshots.insert(root.id, (root, objects));
            }
            Err(RepositoryError::Overtaken { .. }) => self.refused += 1,
            Err(RepositoryError::Store(_)) => {}
            Err(error) => panic!("{error}: {:#?}", self.log),
        }
    }

    fn commit(&mut self) -> crate::repository::CommitInfo {
        info("random", self.snapshots.len() as i64 + i64::from(self.made) * 1_000)
    }

    async fn backup(&mut self) {
        let (objects, parent, commit, store) = (self.state(), self.parent(), self.commit(), self.cut());
        let ended = back_up(&Self::open(&store).await, &objects, parent, commit).await;
        self.note(ended, objects);
    }

    /// A backup that is at work while other things happen. A day at most passes meanwhile, so that two prunes may.
    async fn long_backup(&mut self) {
        let (objects, parent, commit) = (self.state(), self.parent(), self.commit());
        let writer = Self::open(&self.store).await.backup(BackupOptions { parent, ..BackupOptions::default() }).await.unwrap();
        let half = self.random.below(2) == 0;
        let mut filled = None;
        let mut waiting = Some(writer);
        if half {
            filled = Some(fill(waiting.take().unwrap(), &objects).await.unwrap());
        }
        for _ in 0..self.random.below(4) {
            Box::pin(self.short_step()).await;
        }
        let ended = match (filled, waiting) {
            (Some(writer), _) => writer.commit(commit).await,
            (None, Some(writer)) => match fill(writer, &objects).await {
                Ok(writer) => writer.commit(commit).await,
                // Data that it wanted to take over was deleted: also a refusal, if an early one.
                Err(error) if error.is_damage() => Err(RepositoryError::Overtaken { blocks: 0 }),
                Err(error) => Err(error),
            },
            (None, None) => unreachable!("it is one or the other"),
        };
        self.note(ended, objects);
    }

    async fn forget(&mut self) {
        let count = self.snapshots.len() as u64;
        if count == 0 {
            return;
        }
        let at = self.random.below(count) as usize;
        let id = *self.snapshots.keys().nth(at).unwrap();
        let store = self.cut();
        if Self::open(&store).await.forget(id).await.is_ok() {
            self.snapshots.remove(&id);
        }
    }

    async fn prune(&mut self) {
        let (options, store) = (self.options(), self.cut());
        match Self::open(&store).await.prune(options, &mut |_, _, _| {}).await {
            Ok(report) => assert!(report.damage.is_empty(), "{report:?}: {:#?}", self.log),
            // One that was cut off holds its lock for an hour.
            Err(RepositoryError::Store(_) | RepositoryError::Locked { .. }) => {}
            Err(error) => panic!("{error}: {:#?}", self.log),
        }
    }

    fn time_passes(&mut self) {
        let hours = [0, 1, 3, 25][self.random.below(4) as usize];
        self.log.push(format!("{hours} hours pass"));
        self.now += SignedDuration::from_hours(hours);
    }

    async fn short_step(&mut self) {
        match self.random.below(6) {
            0 => {
                self.log.push("backup".to_owned());
                self.backup().await;
            }
            1 | 2 => {
                self.log.push("forget".to_owned());
                self.forget().await;
            }
            3 | 4 => {
                self.log.push("prune".to_owned());
                self.prune().await;
            }
            _ => self.time_passes(),
        }
    }

    async fn step(&mut self) {
        if self.random.below(4) == 0 {
            self.log.push("long backup".to_owned());
            self.long_backup().await;
        } else {
            self.short_step().await;
        }
    }

    async fn assert_true(&self) {
        let repository = Self::open(&self.store).await;
        let report = repository.check(CheckDepth::Data, &mut |_, _| {}).await.unwrap();
        assert!(report.errors.is_empty(), "{report:?}: {:#?}", self.log);
        let found: Vec<SnapshotId> = repository.snapshots().await.unwrap().roots.iter().map(|root| root.id).collect();
        assert_eq!(found.len(), self.snapshots.len(), "{:#?}", self.log);
        for (root, objects) in self.snapshots.values() {
            assert!(found.contains(&root.id), "{:#?}", self.log);
            assert_holds(&repository, root, objects).await;
        }
    }
}

#[tokio::test]
async fn random_sequences_lose_nothing() {
    let (mut made, mut refused) = (0, 0);
    for seed in 0..40 {
        let mut model = Model::new(seed).await;
        for step in 0..25 {
            model.step().await;
            if step % 5 == 4 {
                model.assert_true().await;
            }
        }
        // In the end everything that nothing needs goes.
        for id in std::mem::take(&mut model.snapshots).into_keys() {
            Model::open(&model.store).await.forget(id).await.unwrap();
        }
        for _ in 0..3 {
            model.now += SignedDuration::from_hours(25);
            let options = PruneOptions::new(model.now);
            Model::open(&model.store).await.prune(options, &mut |_, _, _| {}).await.unwrap();
        }
        let left: Vec<String> = model.store.list("").await.unwrap().into_iter().map(|entry| entry.key).collect();
        assert!(left.iter().all(|key| key == "config" || key.starts_with("keys/")), "{left:?}: {:#?}", model.log);
        made += model.made;
        refused += model.refused;
    }
    assert!(made > 200 && refused > 5, "all of it happens: {made} made, {refused} refused");
}
