//! New data keys: what is written from now on is sealed with them, what was written before stays readable.
//!
//! Data keys stand in key files, wrapped by passwords, so only passwords that are at hand can be given the new ones. The others are taken away:
//! that is what a rotation is for, when somebody who must not read any longer has had a password.

use std::{cmp::Reverse, collections::BTreeSet, sync::Arc};

use jiff::Timestamp;

use super::{Access, KeyCost, KeyFiles, KeyInfo, Password, Repository, RepositoryError, open_key, prune::Lock, put_key, read_keys};

/// What a rotation does to each key.
#[derive(Debug, Default)]
pub struct Rotation {
    /// Keys whose passwords were given: they open what is written from now on as well.
    pub carried: Vec<KeyInfo>,
    /// Keys that go: their passwords open nothing any more.
    pub removed: Vec<KeyInfo>,
    /// Given passwords that open no key, by their number, from 0.
    pub useless: Vec<usize>,
    /// Key files that cannot be read, and why. They are left as they are.
    pub damaged: Vec<(String, RepositoryError)>,
    /// Further keys of the same passwords. They go as well.
    outdated: Vec<KeyInfo>,
    /// All key files, as they were.
    seen: BTreeSet<String>,
    passwords: Vec<Password>,
}

impl Repository {
    /// Finds out what a rotation does to the keys, when these passwords are given. Changes nothing.
    ///
    /// # Errors
    /// `NeedsSensitiveKey` with a password of general access; `KeysChanged` when another password opens data keys that this one does not,
    /// which would be lost; `Machine`, `Store`.
    pub async fn plan_rotation(&self, passwords: &[Password]) -> Result<Rotation, RepositoryError> {
        if self.access() != Access::Full {
            return Err(RepositoryError::NeedsSensitiveKey);
        }
        let KeyFiles { mut files, damaged } = read_keys(&self.inner.store, &self.inner.config.id).await?;
        if files.iter().any(|(_, file)| file.header.data_keys > self.inner.ring.general.len()) {
            return Err(self.keys_changed());
        }
        // One's own comes first: whoever has the new keys when this is cut off, one has them oneself.
        files.sort_by_key(|(id, file)| (Reverse(file.header.data_keys), *id != self.inner.key_id, file.header.access == Access::General));
        let seen = files.iter().map(|(id, _)| id).chain(damaged.iter().map(|(id, _)| id)).cloned().collect();
        let mut rotation = Rotation { damaged, seen, useless: (0..passwords.len()).collect(), ..Rotation::default() };
        for (id, file) in files {
            let file = Arc::new(file);
            let mut fitting = None;
            for (number, password) in passwords.iter().enumerate() {
                // A file that does not decode opens nothing either.
                if open_key(&file, password, &id).await?.is_ok_and(|ring| ring.is_some()) {
                    fitting = Some((number, password));
                    break;
                }
            }
            let header = Arc::into_inner(file).ok_or_else(|| RepositoryError::Machine("a key file is still in use".to_owned()))?.header;
            let info = self.key_info(id, header);
            match fitting {
                // The first one has the most data keys: the others are left over from a rotation that was cut off.
                Some((number, _)) if !rotation.useless.contains(&number) => rotation.outdated.push(info),
                Some((number, password)) => {
                    rotation.useless.retain(|useless| *useless != number);
                    rotation.carried.push(info);
                    rotation.passwords.push(password.clone());
                }
                None => rotation.removed.push(info),
            }
        }
        Ok(rotation)
    }

    /// Makes new data keys and gives them to the keys that are carried over; the others go. The new key files are there before the old ones go,
    /// so whatever point this is cut off at, every password that was given opens everything. Repositories that are open go on with the keys that
    /// they have; those who read what is written with the new ones have to open it again.
    ///
    /// # Errors
    /// `LastKey` when no key with full access is carried over; `KeysChanged` when there are others than when it was planned; `Locked` beside
    /// another rotation, a prune or a repair; `ReadOnly`, `Machine`, `Store`.
    pub async fn rotate(&self, rotation: &Rotation, cost: KeyCost, now: Timestamp) -> Result<Vec<String>, RepositoryError> {
        self.writable()?;
        if rotation.carried.iter().all(|key| key.access == Access::General) {
            return Err(RepositoryError::LastKey { id: self.inner.key_id.clone() });
        }
        let mut lock = Lock::take(&self.inner.store, now).await?;
        let rotated = self.rotate_locked(rotation, cost, now, &mut lock).await;
        let released = lock.release().await;
        let new = rotated?;
        released.map(|()| new)
    }

    async fn rotate_locked(&self, rotation: &Rotation, cost: KeyCost, now: Timestamp, lock: &mut Lock) -> Result<Vec<String>, RepositoryError> {
        let names = self.inner.store.list("keys").await?.into_iter().map(|entry| entry.key.trim_start_matches("keys/").to_owned());
        if names.collect::<BTreeSet<_>>() != rotation.seen {
            return Err(self.keys_changed());
        }
        let full = self.inner.ring.rotated()?;
        let general = full.general_only();
        let mut new = Vec::new();
        for (key, password) in rotation.carried.iter().zip(&rotation.passwords) {
            let ring = if key.access == Access::Full { &full } else { &general };
            new.push(put_key(&self.inner.store, ring, &self.inner.config.id, (password, cost, &key.label, now)).await?);
        }
        lock.hold().await?;
        for key in rotation.carried.iter().chain(&rotation.removed).chain(&rotation.outdated) {
            self.inner.store.delete(&format!("keys/{}", key.id)).await?;
        }
        Ok(new)
    }

    fn keys_changed(&self) -> RepositoryError {
        RepositoryError::KeysChanged { place: self.place().to_owned() }
    }
}
