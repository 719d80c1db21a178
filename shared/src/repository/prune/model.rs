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
    store::{
        Store,
        faults::{Chaos, Random, Rates},
    },
};

/// What must be there.
struct Model {
    store: Store,
    chaos: Chaos,
    /// Stores fail in every third step.
    faulty: bool,
    /// They do now.
    failing: bool,
    random: Random,
    now: Timestamp,
    snapshots: BTreeMap<SnapshotId, (Root, Cluster)>,
    made: u32,
    refused: u32,
    log: Vec<String>,
}

impl Model {
    async fn new(seed: u64, faulty: bool) -> Self {
        let (store, chaos) = Store::memory().chaotic(seed);
        new_repository(&store).await;
        let (random, log) = (Random::new(seed), vec![format!("seed {seed}")]);
        Self { store, chaos, faulty, failing: false, random, now: Timestamp::now(), snapshots: BTreeMap::new(), made: 0, refused: 0, log }
    }

    /// From now on the store fails, or it does not.
    fn fail(&mut self, failing: bool) {
        if failing {
            self.log.push("  with a store that fails".to_owned());
        }
        self.failing = failing;
        self.chaos.set(if failing { Rates::ALL } else { Rates::default() });
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
        Self::try_open(store).await.unwrap()
    }

    async fn try_open(store: &Store) -> Result<Repository, RepositoryError> {
        Repository::open(store.clone(), &password()).await
    }

    /// What may go wrong without anything being wrong: the step was cut off, or the store failed or showed what is not so any more.
    fn excused(&self, error: &RepositoryError) -> bool {
        let of_store = matches!(error, RepositoryError::Store(_) | RepositoryError::Locked { .. });
        of_store
            || self.failing && (error.is_damage() || matches!(error, RepositoryError::PruneBlocked { .. } | RepositoryError::WrongPassword { .. }))
    }

    async fn note(&mut self, ended: Result<Root, RepositoryError>, objects: Cluster) {
        match ended {
            Ok(root) => {
                self.made += 1;
                self.snapshots.insert(root.id, (root, objects));
            }
            Err(RepositoryError::Overtaken { .. }) => self.refused += 1,
            Err(error) if self.excused(&error) => self.adopt(objects).await,
            Err(error) => panic!("{error}: {:#?}", self.log),
        }
    }

    /// A backup that failed may have made its snapshot all the same, when the answer to its last request was lost; then it is whole.
    async fn adopt(&mut self, objects: Cluster) {
        let failing = self.failing;
        self.chaos.set(Rates { stale_listing: 0, ..Rates::default() });
        let list = Self::open(&self.store).await.snapshots().await.unwrap();
        self.chaos.set(if failing { Rates::ALL } else { Rates::default() });
        let mut new = list.roots.into_iter().filter(|root| !self.snapshots.contains_key(&root.id)).collect::<Vec<_>>();
        assert!(new.len() <= usize::from(failing), "{:#?}", self.log);
        if let Some(root) = new.pop() {
            self.log.push(format!("  it is there all the same: {}", root.id));
            self.snapshots.insert(root.id, (root, objects));
        }
    }

    fn commit(&mut self) -> crate::repository::CommitInfo {
        info("random", self.snapshots.len() as i64 + i64::from(self.made) * 1_000)
    }

    async fn backup(&mut self) {
        let (objects, parent, commit, store) = (self.state(), self.parent(), self.commit(), self.cut());
        let ended = match Self::try_open(&store).await {
            Ok(repository) => back_up(&repository, &objects, parent, commit).await,
            Err(error) => Err(error),
        };
        self.note(ended, objects).await;
    }

    /// A backup that is at work while other things happen. A day at most passes meanwhile, so that two prunes may.
    async fn long_backup(&mut self) {
        let (objects, parent, commit) = (self.state(), self.parent(), self.commit());
        let begun = match Self::try_open(&self.store).await {
            Ok(repository) => repository.backup(BackupOptions { parent, ..BackupOptions::default() }).await,
            Err(error) => Err(error),
        };
        let ended = match begun {
            Ok(writer) if self.random.below(2) == 0 => match fill(writer, &objects).await {
                Ok(writer) => {
                    self.short_steps().await;
                    writer.commit(commit).await
                }
                Err(error) => Err(error),
            },
            Ok(writer) => {
                self.short_steps().await;
                match fill(writer, &objects).await {
                    Ok(writer) => writer.commit(commit).await,
                    // Data that it wanted to take over was deleted: also a refusal, if an early one.
                    Err(error) if error.is_damage() => Err(RepositoryError::Overtaken { blocks: 0 }),
                    Err(error) => Err(error),
                }
            }
            Err(error) => Err(error),
        };
        self.note(ended, objects).await;
    }

    async fn short_steps(&mut self) {
        for _ in 0..self.random.below(4) {
            Box::pin(self.short_step()).await;
        }
    }

    async fn forget(&mut self) {
        let count = self.snapshots.len() as u64;
        if count == 0 {
            return;
        }
        let at = self.random.below(count) as usize;
        let id = *self.snapshots.keys().nth(at).unwrap();
        let store = self.cut();
        let ended = match Self::try_open(&store).await {
            Ok(repository) => repository.forget(id).await,
            Err(error) => Err(error),
        };
        // When it failed, it is done or not.
        if ended.is_ok() || !self.store_has(id).await {
            self.snapshots.remove(&id);
        }
    }

    async fn store_has(&self, id: SnapshotId) -> bool {
        self.chaos.set(Rates::default());
        let there = self.store.exists(&format!("roots/{id}")).await.unwrap();
        self.chaos.set(if self.failing { Rates::ALL } else { Rates::default() });
        there
    }

    async fn prune(&mut self) {
        let (options, store) = (self.options(), self.cut());
        let pruned = match Self::try_open(&store).await {
            Ok(repository) => repository.prune(options, &mut |_, _, _| {}).await,
            Err(error) => Err(error),
        };
        match pruned {
            Ok(report) => assert!(self.failing || report.damage.is_empty(), "{report:?}: {:#?}", self.log),
            // One that was cut off holds its lock for an hour.
            Err(error) if self.excused(&error) => {}
            Err(error) => panic!("{error}: {:#?}", self.log),
        }
    }

    fn time_passes(&mut self) {
        let hours = [0, 1, 3, 25][self.random.below(4) as usize];
        self.log.push(format!("{hours} hours pass"));
        self.now += SignedDuration::from_hours(hours);
        if hours > 0 {
            self.chaos.time_passes();
        }
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
        let failing = self.faulty && self.random.below(3) == 0;
        self.fail(failing);
        if self.random.below(4) == 0 {
            self.log.push("long backup".to_owned());
            self.long_backup().await;
        } else {
            self.short_step().await;
        }
        self.fail(false);
    }

    async fn assert_true(&self) {
        let repository = Self::open(&self.store).await;
        let report = repository.check(CheckDepth::Data, &mut |_, _| {}).await.unwrap();
        // A prune whose listings were behind may leave packs out of the index, which no snapshot feels: they say themselves what they hold.
        assert!(report.errors.iter().all(|error| self.faulty && error.snapshots.is_empty()), "{report:?}: {:#?}", self.log);
        let found: Vec<SnapshotId> = repository.snapshots().await.unwrap().roots.iter().map(|root| root.id).collect();
        assert_eq!(found.len(), self.snapshots.len(), "{:#?}", self.log);
        for (root, objects) in self.snapshots.values() {
            assert!(found.contains(&root.id), "{:#?}", self.log);
            assert_holds(&repository, root, objects).await;
        }
    }
}

/// Gives how many snapshots were made, and how many backups were refused because a prune was quicker.
async fn run(seed: u64, faulty: bool) -> (u32, u32) {
    let mut model = Model::new(seed, faulty).await;
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
    (model.made, model.refused)
}

#[tokio::test]
async fn random_sequences_lose_nothing() {
    let (mut made, mut refused) = (0, 0);
    for seed in 0..40 {
        let (own_made, own_refused) = run(seed, false).await;
        made += own_made;
        refused += own_refused;
    }
    assert!(made > 200 && refused > 5, "all of it happens: {made} made, {refused} refused");
}

/// Requests fail, answers are lost or cut off, and listings are behind.
#[tokio::test]
async fn random_sequences_on_a_failing_store_lose_nothing() {
    let mut made = 0;
    for seed in 100..140 {
        made += run(seed, true).await.0;
    }
    assert!(made > 150, "all of it happens: {made} made");
}
