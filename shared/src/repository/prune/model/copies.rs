//! Copies into another repository and back, while everything else happens.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;

use super::{Model, PruneOptions};
use crate::{
    repository::{
        CheckDepth, KeyCost, Password, Repository, RepositoryError, Root, SnapshotId,
        copy::{Copier, nearest},
        tests::{Cluster, assert_holds},
    },
    store::{
        Store,
        faults::{Chaos, Rates},
    },
};

/// The other repository, which is pruned as well, and what every snapshot that was ever made holds.
pub(super) struct Copies {
    store: Store,
    pub(super) chaos: Chaos,
    ever: BTreeMap<SnapshotId, Cluster>,
    there: BTreeMap<SnapshotId, Root>,
    pub(super) made: u32,
    /// Something happens between two copies: it is not the beginning of ever more of that.
    busy: bool,
}

fn password() -> Password {
    Password::new("of the copies")
}

impl Copies {
    pub(super) async fn new(seed: u64) -> Self {
        let (store, chaos) = Store::memory().chaotic(seed + 1);
        Repository::init(store.clone(), &password(), KeyCost::CHEAP, "copies", Timestamp::UNIX_EPOCH).await.unwrap();
        Self { store, chaos, ever: BTreeMap::new(), there: BTreeMap::new(), made: 0, busy: false }
    }
}

impl Model {
    /// Some of the snapshots go there, one after the other; between them something else may happen.
    pub(super) async fn copy_there(&mut self) {
        self.log.push("copy there".to_owned());
        self.copies.ever.extend(self.snapshots.iter().map(|(id, (_, objects))| (*id, objects.clone())));
        let wanted: Vec<Root> =
            self.snapshots.values().map(|(root, _)| root.clone()).filter(|root| !self.copies.there.contains_key(&root.id)).collect();
        for root in wanted.into_iter().take(3) {
            let there: Vec<Root> = self.copies.there.values().cloned().collect();
            let (from, to) = (self.store.clone(), self.cut_of(self.copies.store.clone()));
            let copied = async {
                let (from, to) = (self.try_open(&from).await?, Repository::open(to, &password()).await?);
                Copier::new(&from, &to).await?.copy(&root, nearest(&root, &there).cloned(), &Arc::default()).await
            };
            match Box::pin(copied).await {
                Ok(copied) => drop(self.copies.there.insert(copied.id, copied)),
                // It was forgotten and pruned since.
                Err(error) if error.is_damage() && !self.snapshots.contains_key(&root.id) => {}
                Err(error) => self.look_at_copies(&error, root.id).await,
            }
            self.copies.made += u32::from(self.copies.there.contains_key(&root.id));
            if self.random.below(3) == 0 && !self.copies.busy {
                self.copies.busy = true;
                Box::pin(self.short_step()).await;
                self.copies.busy = false;
            }
        }
        self.prune_copies().await;
    }

    /// One that failed is there all the same when the answer to its last request was lost.
    async fn look_at_copies(&mut self, error: &RepositoryError, id: SnapshotId) {
        assert!(self.excused(error) || matches!(error, RepositoryError::Overtaken { .. }), "{error}: {:#?}", self.log);
        self.copies.chaos.set(Rates::default());
        let other = Repository::open(self.copies.store.clone(), &password()).await.unwrap();
        self.copies.there.extend(other.snapshot(id).await.unwrap().map(|root| (id, root)));
        self.set_chaos();
    }

    /// The oldest snapshot that is only there comes back.
    pub(super) async fn copy_back(&mut self) {
        let Some(root) = self.copies.there.values().find(|root| !self.snapshots.contains_key(&root.id)).cloned() else { return };
        self.log.push(format!("copy {} back", root.id));
        let here: Vec<Root> = self.snapshots.values().map(|(root, _)| root.clone()).collect();
        let (from, to, objects) = (self.copies.store.clone(), self.cut(), self.copies.ever[&root.id].clone());
        let copied = async {
            let (from, to) = (Repository::open(from, &password()).await?, self.try_open(&to).await?);
            Copier::new(&from, &to).await?.copy(&root, nearest(&root, &here).cloned(), &Arc::default()).await
        };
        match Box::pin(copied).await {
            Ok(copied) => drop(self.snapshots.insert(copied.id, (copied, objects))),
            Err(RepositoryError::Overtaken { .. }) => self.refused += 1,
            Err(error) if self.excused(&error) => self.adopt(objects).await,
            Err(error) => panic!("{error}: {:#?}", self.log),
        }
    }

    /// Now and then one is forgotten there, and the rest pruned.
    async fn prune_copies(&mut self) {
        if self.random.below(3) > 0 {
            return;
        }
        let gone = self.copies.there.keys().nth(self.random.below(4) as usize).copied();
        let options = PruneOptions { max_repack: None, ..self.options() };
        let store = self.cut_of(self.copies.store.clone());
        let pruned = async {
            let other = Repository::open(store, &password()).await?;
            if let Some(id) = gone {
                other.forget(id).await?;
            }
            other.prune(options, &mut |_, _, _| {}).await
        };
        if let Err(error) = Box::pin(pruned).await {
            assert!(self.excused(&error), "{error}: {:#?}", self.log);
        }
        if let Some(id) = gone {
            self.copies.chaos.set(Rates::default());
            if !self.copies.store.exists(&format!("roots/{id}")).await.unwrap() {
                self.copies.there.remove(&id);
            }
            self.set_chaos();
        }
    }

    /// The other repository has exactly the copies, and they hold what the snapshots held.
    pub(super) async fn assert_copies(&self) {
        let other = Repository::open(self.copies.store.clone(), &password()).await.unwrap();
        let report = other.check(CheckDepth::Data, &mut |_, _| {}).await.unwrap();
        assert!(report.errors.iter().all(|error| self.faulty && error.snapshots.is_empty()), "{report:?}: {:#?}", self.log);
        let found = other.snapshots().await.unwrap().roots;
        assert_eq!(found.iter().map(|root| root.id).collect::<Vec<_>>(), self.copies.there.keys().copied().collect::<Vec<_>>(), "{:#?}", self.log);
        for root in &found {
            assert_holds(&other, root, &self.copies.ever[&root.id]).await;
        }
    }
}
