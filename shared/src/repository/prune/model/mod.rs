//! Random sequences of backup, forget, prune, check, copies into another repository and back, passwords that come and go, crashes, two writers
//! at once and clocks that differ, against plain maps. The seeds are fixed: a failure names its own, and becomes a short test with a name.
//! `KUBESTASH_TORTURE_SEEDS` is a number of further seeds, which begin with `KUBESTASH_TORTURE_SEED`.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod copies;
mod passwords;

use std::collections::BTreeMap;

use copies::Copies;
use passwords::Passwords;

use jiff::{SignedDuration, Timestamp};

use super::{Grace, PruneOptions};
use crate::{
    repository::{
        BackupOptions, CheckDepth, Repository, RepositoryError, Root, SnapshotId,
        tests::{Cluster, assert_holds, back_up, cluster, fill, info, new_repository},
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
    /// A prune was cut off, and none has ended since.
    unfinished: bool,
    random: Random,
    now: Timestamp,
    snapshots: BTreeMap<SnapshotId, (Root, Cluster)>,
    passwords: Passwords,
    copies: Copies,
    made: u32,
    refused: u32,
    log: Vec<String>,
}

impl Model {
    async fn new(seed: u64, faulty: bool) -> Self {
        let (store, chaos) = Store::memory().chaotic(seed);
        let passwords = Passwords::of(&new_repository(&store).await);
        Self {
            store,
            chaos,
            faulty,
            failing: false,
            unfinished: false,
            random: Random::new(seed),
            now: Timestamp::now(),
            snapshots: BTreeMap::new(),
            passwords,
            copies: Copies::new(seed).await,
            made: 0,
            refused: 0,
            log: vec![format!("seed {seed}")],
        }
    }

    /// From now on the store fails, or it does not.
    fn fail(&mut self, failing: bool) {
        if failing {
            self.log.push("  with a store that fails".to_owned());
        }
        self.failing = failing;
        self.set_chaos();
    }

    /// After a look at what is really there.
    fn set_chaos(&self) {
        let rates = if self.failing { Rates::ALL } else { Rates::default() };
        self.chaos.set(rates);
        self.copies.chaos.set(rates);
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
        // Clocks of machines that prune may differ by the shortest grace time but half an hour.
        let skew = SignedDuration::from_mins(40 * (self.random.below(3) as i64 - 1));
        let re_encrypt = self.random.below(3) == 0;
        PruneOptions { grace: grace.parse::<Grace>().unwrap(), max_repack, re_encrypt, ..PruneOptions::new(self.now + skew) }
    }

    /// The store as it is, or one that is cut off after a few writes.
    fn cut(&mut self) -> Store {
        self.cut_of(self.store.clone())
    }

    fn cut_of(&mut self, store: Store) -> Store {
        if self.random.below(3) > 0 {
            return store;
        }
        let writes = self.random.below(12) as i64;
        self.log.push(format!("  cut off after {writes} writes"));
        store.failing_after(writes)
    }

    /// As it really is, with a password of full access.
    async fn open(&mut self) -> Repository {
        let store = self.store.clone();
        self.try_open(&store).await.unwrap()
    }

    async fn try_open(&mut self, store: &Store) -> Result<Repository, RepositoryError> {
        let password = self.passwords.one_with_full_access(&mut self.random);
        Repository::open(store.clone(), &password).await
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
        self.chaos.set(Rates::default());
        let list = self.open().await.snapshots().await.unwrap();
        self.set_chaos();
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
        let ended = match self.try_open(&store).await {
            Ok(repository) => back_up(&repository, &objects, parent, commit).await,
            Err(error) => Err(error),
        };
        self.note(ended, objects).await;
    }

    /// A backup that is at work while other things happen. A day at most passes meanwhile, so that two prunes may.
    async fn long_backup(&mut self) {
        let (objects, parent, commit) = (self.state(), self.parent(), self.commit());
        let begun = match self.try_open(&self.store.clone()).await {
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
        let ended = match self.try_open(&store).await {
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
        self.set_chaos();
        there
    }

    async fn prune(&mut self) {
        let (options, store) = (self.options(), self.cut());
        let pruned = match self.try_open(&store).await {
            Ok(repository) => repository.prune(options, &mut |_, _, _| {}).await,
            Err(error) => Err(error),
        };
        match pruned {
            Ok(report) => {
                assert!(self.failing || report.damage.is_empty(), "{report:?}: {:#?}", self.log);
                self.unfinished = false;
            }
            // One that was cut off holds its lock for an hour.
            Err(error) if self.excused(&error) => self.unfinished = true,
            Err(error) => panic!("{error}: {:#?}", self.log),
        }
    }

    fn time_passes(&mut self) {
        let hours = [0, 1, 3, 25][self.random.below(4) as usize];
        self.log.push(format!("{hours} hours pass"));
        self.now += SignedDuration::from_hours(hours);
        if hours > 0 {
            self.chaos.time_passes();
            self.copies.chaos.time_passes();
        }
    }

    async fn short_step(&mut self) {
        match self.random.below(9) {
            0 => {
                self.log.push("backup".to_owned());
                Box::pin(self.backup()).await;
            }
            1 | 2 => {
                self.log.push("forget".to_owned());
                self.forget().await;
            }
            3 | 4 => {
                self.log.push("prune".to_owned());
                Box::pin(self.prune()).await;
            }
            5 => Box::pin(self.change_passwords()).await,
            6 => Box::pin(self.copy_there()).await,
            7 => Box::pin(self.copy_back()).await,
            _ => self.time_passes(),
        }
    }

    async fn step(&mut self) {
        let failing = self.faulty && self.random.below(3) == 0;
        self.fail(failing);
        if self.random.below(4) == 0 {
            self.log.push("long backup".to_owned());
            Box::pin(self.long_backup()).await;
        } else {
            self.short_step().await;
        }
        self.fail(false);
    }

    async fn assert_true(&mut self) {
        let repository = self.open().await;
        let report = repository.check(CheckDepth::Data, &mut |_, _| {}).await.unwrap();
        // A prune whose listings were behind may leave packs out of the index, and so may one that was cut off between its index and the look
        // for backups that ended meanwhile; the next prune names them again. No snapshot feels it: packs say themselves what they hold.
        let excused = self.faulty || self.unfinished;
        assert!(report.errors.iter().all(|error| excused && error.snapshots.is_empty()), "{report:?}: {:#?}", self.log);
        let found: Vec<SnapshotId> = repository.snapshots().await.unwrap().roots.iter().map(|root| root.id).collect();
        assert_eq!(found.len(), self.snapshots.len(), "{:#?}", self.log);
        for (root, objects) in self.snapshots.values() {
            assert!(found.contains(&root.id), "{:#?}", self.log);
            assert_holds(&repository, root, objects).await;
        }
        self.assert_passwords().await;
        self.assert_copies().await;
    }
}

/// What happened in a sequence, so that a test can tell whether it tried anything.
#[derive(Debug, Default)]
struct Happened {
    made: u32,
    /// Backups that a prune was quicker than.
    refused: u32,
    copied: u32,
    /// Passwords that were added, changed or removed.
    passwords: u32,
    /// New data keys.
    rotations: u32,
}

async fn run(seed: u64, faulty: bool, happened: &mut Happened) {
    let mut model = Model::new(seed, faulty).await;
    for step in 0..30 {
        model.step().await;
        if step % 5 == 4 {
            model.assert_true().await;
        }
    }
    // In the end everything that nothing needs goes.
    for id in std::mem::take(&mut model.snapshots).into_keys() {
        model.open().await.forget(id).await.unwrap();
    }
    for _ in 0..3 {
        model.now += SignedDuration::from_hours(26);
        let options = PruneOptions::new(model.now);
        model.open().await.prune(options, &mut |_, _, _| {}).await.unwrap();
    }
    let left: Vec<String> = model.store.list("").await.unwrap().into_iter().map(|entry| entry.key).collect();
    assert!(left.iter().all(|key| key == "config" || key.starts_with("keys/")), "{left:?}: {:#?}", model.log);
    happened.made += model.made;
    happened.refused += model.refused;
    happened.copied += model.copies.made;
    happened.passwords += model.passwords.changes;
    happened.rotations += model.passwords.rotations;
}

/// The fixed seeds from `first` on; and as many others as somebody has time for, who names the first of them.
fn seeds(first: u64) -> impl Iterator<Item = u64> {
    let number = |name: &str| std::env::var(name).map_or(0_u64, |number| number.parse().unwrap());
    let (others, more) = (number("KUBESTASH_TORTURE_SEED").wrapping_mul(10_000_000), number("KUBESTASH_TORTURE_SEEDS"));
    (first..first + 40).chain((0..more).map(move |seed| first + others + 40 + seed))
}

#[tokio::test]
async fn random_sequences_lose_nothing() {
    let mut happened = Happened::default();
    for seed in seeds(0) {
        run(seed, false, &mut happened).await;
    }
    let Happened { made, refused, copied, passwords, rotations } = happened;
    assert!(made > 150 && refused > 3 && copied > 100 && passwords > 45 && rotations > 15, "all of it happens: {happened:?}");
}

/// Requests fail, answers are lost or cut off, and listings are behind.
#[tokio::test]
async fn random_sequences_on_a_failing_store_lose_nothing() {
    let mut happened = Happened::default();
    for seed in seeds(1_000_000) {
        run(seed, true, &mut happened).await;
    }
    let Happened { made, copied, passwords, rotations, .. } = happened;
    assert!(made > 120 && copied > 80 && passwords > 35 && rotations > 15, "all of it happens: {happened:?}");
}
