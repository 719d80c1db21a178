//! Passwords that come, change and go while everything else happens.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::Model;
use crate::{
    repository::{Access, KeyCost, Password, Repository, RepositoryError, tests::password},
    store::{
        Store,
        faults::{Random, Rates},
    },
};

/// Each try of a key costs a little time.
const MOST: usize = 5;

/// The passwords that must open the repository, by the ids of their keys, and those that must not any more.
pub(super) struct Passwords {
    known: BTreeMap<String, (Password, Access)>,
    removed: Vec<Password>,
    made: u32,
    /// Additions, changes and removals that were done.
    pub(super) changes: u32,
    /// Rotations of the data keys, the second try of one that was cut off included.
    pub(super) rotations: u32,
}

impl Passwords {
    pub(super) fn of(repository: &Repository) -> Self {
        let known = BTreeMap::from([(repository.inner.key_id.clone(), (password(), Access::Full))]);
        Self { known, removed: Vec::new(), made: 0, changes: 0, rotations: 0 }
    }

    pub(super) fn one_with_full_access(&self, random: &mut Random) -> Password {
        let full: Vec<&Password> = self.known.values().filter(|(_, access)| *access == Access::Full).map(|(password, _)| password).collect();
        full[random.below(full.len() as u64) as usize].clone()
    }

    fn new_one(&mut self) -> Password {
        self.made += 1;
        Password::new(format!("password {}", self.made))
    }

    fn remove(&mut self, id: &str) {
        self.removed.extend(self.known.remove(id).map(|(password, _)| password));
    }
}

impl Model {
    pub(super) async fn change_passwords(&mut self) {
        match self.random.below(4) {
            0 if self.passwords.known.len() < MOST => self.add_password().await,
            1 => self.change_password().await,
            2 => self.rotate().await,
            _ => self.remove_password().await,
        }
    }

    async fn add_password(&mut self) {
        let (new, store) = (self.passwords.new_one(), self.cut());
        let access = if self.random.below(2) == 0 { Access::Full } else { Access::General };
        self.log.push(format!("a password of {access:?} access"));
        let added = match self.try_open(&store).await {
            Ok(repository) => repository.add_key(&new, access, KeyCost::CHEAP, "new", Timestamp::UNIX_EPOCH).await.map(|_| ()),
            Err(error) => Err(error),
        };
        self.look_at_keys(added, (new, access)).await;
    }

    /// Of any of them, also one of general access.
    async fn change_password(&mut self) {
        let (new, store, number) = (self.passwords.new_one(), self.cut(), self.random.below(self.passwords.known.len() as u64) as usize);
        let (old, access) = self.passwords.known.values().nth(number).unwrap().clone();
        self.log.push(format!("another password of {access:?} access"));
        let changed = match Repository::open(store, &old).await {
            Ok(repository) => repository.change_key(&new, KeyCost::CHEAP, Timestamp::UNIX_EPOCH).await.map(|_| ()),
            Err(error) => Err(error),
        };
        self.look_at_keys(changed, (new, access)).await;
    }

    async fn remove_password(&mut self) {
        let (store, number) = (self.cut(), self.random.below(self.passwords.known.len() as u64) as usize);
        let (id, (own, access)) = self.passwords.known.iter().nth(number).map(|(id, known)| (id.clone(), known.clone())).unwrap();
        self.log.push(format!("without a password of {access:?} access"));
        let removed = match self.try_open(&store).await {
            Ok(repository) => repository.remove_key(&id).await.map(|_| ()),
            Err(error) => Err(error),
        };
        let last = self.passwords.known.values().filter(|(_, access)| *access == Access::Full).count() == 1;
        match removed {
            Err(RepositoryError::LastKey { .. }) => assert!(self.failing || last && access == Access::Full, "{:#?}", self.log),
            // A listing that is behind does not know it yet.
            Err(RepositoryError::NotFound { .. }) => assert!(self.failing, "{:#?}", self.log),
            removed => self.look_at_keys(removed, (own, access)).await,
        }
    }

    /// New data keys for some of the passwords; the others go. After one that was cut off each of those that were given still opens what it did,
    /// and a second one brings it to its end.
    async fn rotate(&mut self) {
        let one = self.passwords.one_with_full_access(&mut self.random);
        let mut carried: Vec<(Password, Access)> = Vec::new();
        for (password, access) in self.passwords.known.values() {
            if password.expose() == one.expose() || self.random.below(4) > 0 {
                carried.push((password.clone(), *access));
            }
        }
        self.log.push(format!("new data keys for {} of {} passwords", carried.len(), self.passwords.known.len()));
        let given: Vec<Password> = carried.iter().map(|(password, _)| password.clone()).collect();
        let store = self.cut();
        if let Err(error) = rotate(&store, &one, &given, self.now).await {
            // A listing that is behind.
            let is_behind = matches!(error, RepositoryError::KeysChanged { .. } | RepositoryError::LastKey { .. });
            assert!(self.excused(&error) || self.failing && is_behind, "{error}: {:#?}", self.log);
            self.log.push("  which failed".to_owned());
            self.chaos.set(Rates::default());
            for (password, access) in &carried {
                assert_eq!(Repository::open(self.store.clone(), password).await.unwrap().access(), *access, "{:#?}", self.log);
            }
            // Its lock, or that of a prune before it, is taken for left behind after an hour.
            self.now += SignedDuration::from_hours(2);
            rotate(&self.store, &one, &given, self.now).await.unwrap_or_else(|error| panic!("{error}: {:#?}", self.log));
        }
        self.chaos.set(Rates::default());
        let before = std::mem::take(&mut self.passwords.known);
        for (password, access) in carried {
            let id = Repository::open(self.store.clone(), &password).await.unwrap().inner.key_id.clone();
            assert!(!before.contains_key(&id), "{:#?}", self.log);
            self.passwords.known.insert(id, (password, access));
        }
        let gone = before.into_values().map(|(password, _)| password).filter(|old| !given.iter().any(|given| given.expose() == old.expose()));
        self.passwords.removed.extend(gone);
        self.passwords.rotations += 1;
        self.set_chaos();
    }

    /// What came of a change: who was cut off may have added the new key, or not removed the old one yet. `new` is the only one that may have come.
    async fn look_at_keys(&mut self, ended: Result<(), RepositoryError>, new: (Password, Access)) {
        match ended {
            Ok(()) => self.passwords.changes += 1,
            Err(error) => assert!(self.excused(&error), "{error}: {:#?}", self.log),
        }
        self.chaos.set(Rates::default());
        let listed = self.store.list("keys").await.unwrap();
        self.set_chaos();
        let ids: Vec<String> = listed.into_iter().map(|entry| entry.key.trim_start_matches("keys/").to_owned()).collect();
        let gone: Vec<String> = self.passwords.known.keys().filter(|id| !ids.contains(id)).cloned().collect();
        gone.iter().for_each(|id| self.passwords.remove(id));
        let mut came: Vec<String> = ids.into_iter().filter(|id| !self.passwords.known.contains_key(id)).collect();
        assert!(came.len() <= 1, "{:#?}", self.log);
        if let Some(id) = came.pop() {
            self.passwords.known.insert(id, new);
        }
        assert!(self.passwords.known.values().any(|(_, access)| *access == Access::Full), "{:#?}", self.log);
    }

    /// Each password opens what it should, and none that is gone opens anything.
    pub(super) async fn assert_passwords(&self) {
        for (password, access) in self.passwords.known.values() {
            assert_eq!(Repository::open(self.store.clone(), password).await.unwrap().access(), *access, "{:#?}", self.log);
        }
        if let Some(last) = self.passwords.removed.last() {
            let refused = Repository::open(self.store.clone(), last).await;
            assert!(matches!(refused, Err(RepositoryError::WrongPassword { .. })), "{:#?}", self.log);
        }
    }
}

async fn rotate(store: &Store, own: &Password, given: &[Password], now: Timestamp) -> Result<(), RepositoryError> {
    let repository = Repository::open(store.clone(), own).await?;
    let rotation = repository.plan_rotation(given).await?;
    repository.rotate(&rotation, KeyCost::CHEAP, now).await.map(drop)
}
