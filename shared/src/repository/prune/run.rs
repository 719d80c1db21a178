//! Doing what was planned, in the one order in which it may be cut off anywhere.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use jiff::Timestamp;

use super::{
    Fate, Indexed, Lock, PruneOptions, PruneReport, Reuse, delete_allowed,
    observe::{Hash, Seen},
    trash,
};
use crate::repository::{
    Repository, RepositoryError,
    blocks::{damage_of, pack_key},
    crypto::block_binding,
    format::{BlockId, Content, MAX_SEALED, pack::PackEntry},
    packer::{FinishedPack, Packer},
};

/// Hears the step, how much of it is done, and of how much.
pub type Progress<'a> = &'a mut (dyn FnMut(&'static str, usize, usize) + Send);

type Fates = BTreeMap<Hash, Fate>;

/// The report of a prune that has not begun.
pub(super) fn planned(seen: &Seen, fates: &Fates, options: PruneOptions) -> PruneReport {
    let mut report = PruneReport { snapshots: seen.roots.len(), damage: seen.damage.clone(), ..PruneReport::default() };
    for (hash, pack) in &seen.packs {
        let amount = match fates.get(hash) {
            None | Some(Fate::Keep) => &mut report.kept,
            Some(Fate::Repack) => &mut report.repacked,
            Some(Fate::RepackLater) => &mut report.repack_later,
            Some(Fate::Trash) => &mut report.trashed,
            Some(Fate::Wait) => &mut report.waiting,
            Some(Fate::TakeBack) => &mut report.taken_back,
            Some(Fate::Young) => &mut report.young,
            Some(Fate::Delete) => &mut report.deleted,
        };
        amount.add(pack.size);
        if let (Some(Fate::Wait), Some(since)) = (fates.get(hash), pack.trashed) {
            let over = options.grace.over(since);
            report.next_deletion = Some(report.next_deletion.map_or(over, |next| next.min(over)));
        }
    }
    report.index_files.0 = seen.files.read.len() + seen.files.damaged.len();
    report
}

impl Repository {
    pub(super) async fn prune_locked(&self, options: PruneOptions, lock: &mut Lock, progress: Progress<'_>) -> Result<PruneReport, RepositoryError> {
        progress("looking", 0, 0);
        let mut recut = PruneReport::default();
        self.recut_thin(options, lock, &mut recut, progress).await?;
        progress("looking", 0, 0);
        let seen = self.observe(options).await?;
        let mut fates = seen.fates(options);
        let mut report = planned(&seen, &fates, options);
        report.recut = recut.recut;
        report.damage.extend(recut.damage);
        // What is done counts from here on, not what was planned.
        (report.repacked, report.trashed, report.taken_back, report.deleted) = Default::default();

        let store = &self.inner.store;
        let mut indexed = self.repack(&seen, &mut fates, lock, &mut report, progress).await?;
        indexed.extend(seen.packs.iter().filter_map(|(&hash, pack)| {
            let stays = match fates.get(&hash)? {
                Fate::Keep | Fate::RepackLater => pack.indexed || !pack.live.is_empty(),
                Fate::TakeBack => true,
                Fate::Repack | Fate::Trash | Fate::Wait | Fate::Delete | Fate::Young => false,
            };
            if stays { Some((hash, pack.info(hash)?)) } else { None }
        }));
        indexed.extend(seen.lost.iter().map(|info| (info.hash, info.clone())));

        progress("writing the index", 0, 0);
        lock.hold().await?;
        let reuse = if options.re_encrypt { Reuse::No } else { Reuse::Yes };
        let denied = self.replace_index(&indexed, &seen.files.read, &[], reuse).await?;
        let named: HashSet<Hash> =
            seen.files.read.iter().filter(|(key, _)| denied.contains(key)).flat_map(|(_, packs)| packs).map(|pack| pack.hash).collect();

        let mut given_up: BTreeSet<Hash> = BTreeSet::new();
        for (&hash, fate) in &fates {
            let Some(pack) = seen.packs.get(&hash) else {
                continue;
            };
            match fate {
                Fate::Repack | Fate::Trash => {
                    trash::put(store, &hash, lock.now()).await?;
                    (if *fate == Fate::Repack { &mut report.repacked } else { &mut report.trashed }).add(pack.size);
                    given_up.insert(hash);
                }
                Fate::Wait | Fate::Delete => {
                    given_up.insert(hash);
                }
                Fate::Keep | Fate::RepackLater | Fate::TakeBack | Fate::Young => {}
            }
        }
        // Backups that were committed meanwhile looked at the trash before it held these packs: their roots are here now, or soon.
        let rescued = self.rescue(&seen, &given_up).await?;
        for &hash in rescued.packs.iter().chain(fates.iter().filter(|(_, fate)| **fate == Fate::TakeBack).map(|(hash, _)| hash)) {
            trash::take_out(store, &hash).await?;
            report.taken_back.add(seen.packs.get(&hash).map_or(0, |pack| pack.size));
        }
        if rescued.unclear {
            report.damage.push("blocks that a new snapshot needs were not found: no pack was deleted".to_owned());
        } else {
            lock.hold().await?;
            let at_once = options.grace.over(options.now) <= options.now;
            let goes = |fate: Fate| fate == Fate::Delete || fate == Fate::Repack && at_once;
            let goes = fates.iter().filter(|(hash, fate)| goes(**fate) && !rescued.packs.contains(*hash)).map(|(hash, _)| *hash);
            self.delete_packs(&seen, &goes.collect::<Vec<_>>(), &named, options.now, &mut report, progress).await?;
        }
        for hash in seen.trash.keys().filter(|hash| !seen.packs.contains_key(*hash)) {
            trash::take_out(store, hash).await?;
        }
        if options.re_encrypt {
            lock.hold().await?;
            report.re_encrypted_roots = self.seal_roots_anew(progress).await?;
        }
        report.index_files.1 = store.list("index").await?.len();
        self.inner.blocks.refresh().await?;
        Ok(report)
    }

    /// Seals roots with the newest data key that are under an older one. Gives their number; one that the store does not let be replaced stays.
    async fn seal_roots_anew(&self, progress: Progress<'_>) -> Result<usize, RepositoryError> {
        let (mut sealed_anew, roots) = (0, self.inner.store.list("roots").await?);
        for (done, entry) in roots.iter().enumerate() {
            progress("sealing roots anew", done, roots.len());
            let sealed = match self.inner.store.get_at_most(&entry.key, MAX_SEALED).await.map_err(|error| damage_of(error, &entry.key)) {
                Err(error) if error.is_damage() => continue,
                sealed => sealed?,
            };
            if self.inner.ring.is_old(&sealed)
                && let Ok(root) = self.open_root(&entry.key, &sealed)
            {
                sealed_anew += usize::from(self.replace_root(&root).await?);
            }
        }
        Ok(sealed_anew)
    }

    /// Writes the needed part of packs into new ones. A pack of which a block cannot be read stays. Gives the new packs.
    async fn repack(
        &self,
        seen: &Seen,
        fates: &mut Fates,
        lock: &mut Lock,
        report: &mut PruneReport,
        progress: Progress<'_>,
    ) -> Result<Indexed, RepositoryError> {
        let wanted: Vec<Hash> = fates.iter().filter(|(_, fate)| **fate == Fate::Repack).map(|(hash, _)| *hash).collect();
        let mut copies = Copies::new(self);
        for (done, hash) in wanted.iter().enumerate() {
            progress("writing packs anew", done, wanted.len());
            lock.hold().await?;
            let Some(pack) = seen.packs.get(hash) else {
                continue;
            };
            let entries: Vec<PackEntry> = pack.live.iter().filter_map(|&at| pack.entries.as_ref()?.get(at).cloned()).collect();
            let lost = copies.add(hash, &entries).await?;
            if !lost.is_empty() {
                report.damage.push(format!("{} holds blocks that cannot be read ({}), and was left as it is", pack_key(hash), lost.len()));
                fates.insert(*hash, Fate::Keep);
                report.kept.add(pack.size);
            }
        }
        let indexed = copies.finish().await?;
        for info in indexed.values() {
            report.written.add(info.size);
        }
        Ok(indexed)
    }

    /// `named`: packs that stand in index files which the store did not let go. They have to stay as well.
    async fn delete_packs(
        &self,
        seen: &Seen,
        wanted: &[Hash],
        named: &HashSet<Hash>,
        now: Timestamp,
        report: &mut PruneReport,
        progress: Progress<'_>,
    ) -> Result<(), RepositoryError> {
        for (done, hash) in wanted.iter().enumerate() {
            progress("deleting packs", done, wanted.len());
            let (key, size) = (pack_key(hash), seen.packs.get(hash).map_or(0, |pack| pack.size));
            // Where a deletion would only hide a pack, it stays in the trash until its space can be freed.
            let until = self.inner.store.kept_until(&key).await?.filter(|until| *until > now);
            if named.contains(hash) || until.is_some() || !delete_allowed(&self.inner.store, &key).await? {
                report.denied.add(size);
                report.denied_until = report.denied_until.into_iter().chain(until).min();
                continue;
            }
            report.deleted.add(size);
            trash::take_out(&self.inner.store, hash).await?;
        }
        Ok(())
    }

    /// Packs that are given up and that snapshots need which were not there before. They stand in an index again.
    async fn rescue(&self, seen: &Seen, given_up: &BTreeSet<Hash>) -> Result<Rescued, RepositoryError> {
        let (_, needed) = self.needed(&seen.roots).await?;
        let kept = |hash: &Hash, _| !given_up.contains(hash);
        let mut missing: HashSet<BlockId> = {
            let index = self.inner.blocks.index();
            let dictionaries = needed.iter().flat_map(|id| index.dictionaries(*id));
            needed.iter().copied().chain(dictionaries).filter(|id| !index.lies_in(*id, kept)).collect()
        };
        let mut rescued = Rescued::default();
        if missing.is_empty() {
            return Ok(rescued);
        }
        let mut infos = Indexed::new();
        for hash in given_up {
            let Some(pack) = seen.packs.get(hash) else {
                continue;
            };
            let info = match pack.info(*hash) {
                Some(info) => info,
                None => match self.inner.blocks.read_footer(&pack_key(hash), pack.size).await {
                    Err(error) if error.is_damage() => continue,
                    info => info?,
                },
            };
            infos.insert(*hash, info);
        }
        // What these say that no index named may need a dictionary that lies in another of them.
        let named = infos.values().flat_map(|info| &info.entries).filter(|entry| missing.contains(&entry.id)).filter_map(|entry| entry.dictionary);
        missing.extend(named.collect::<Vec<_>>());
        infos.retain(|_, info| info.entries.iter().any(|entry| missing.contains(&entry.id)));
        for entry in infos.values().flat_map(|info| &info.entries) {
            missing.remove(&entry.id);
        }
        rescued.unclear = {
            let index = self.inner.blocks.index();
            missing.iter().any(|id| !index.lies_in(*id, kept))
        };
        self.write_index(&infos, &[]).await?;
        rescued.packs = infos.into_keys().collect();
        Ok(rescued)
    }
}

#[derive(Default)]
struct Rescued {
    packs: BTreeSet<Hash>,
    /// Something that is needed was in none of them.
    unclear: bool,
}

/// Blocks that are copied into new packs as they are: sealed bytes are bound to their block, not to their pack. Those under an old data key are
/// sealed anew.
pub(in crate::repository) struct Copies<'a> {
    repository: &'a Repository,
    data: Packer,
    meta: Packer,
    stored: Indexed,
}

impl<'a> Copies<'a> {
    pub(in crate::repository) fn new(repository: &'a Repository) -> Self {
        Self { repository, data: Packer::default(), meta: Packer::default(), stored: Indexed::new() }
    }

    /// Copies blocks of a pack. Gives those that cannot be read.
    pub(in crate::repository) async fn add(&mut self, pack: &Hash, entries: &[PackEntry]) -> Result<Vec<BlockId>, RepositoryError> {
        let ring = &self.repository.inner.ring;
        let mut lost = Vec::new();
        for (entry, sealed) in entries.iter().zip(self.repository.read_blocks(pack, entries).await?) {
            let Some(sealed) = sealed else {
                lost.push(entry.id);
                continue;
            };
            let packer = if matches!(entry.class.content, Content::Segment | Content::Top) { &self.meta } else { &self.data };
            let sealed = if ring.is_old(&sealed) {
                let (sensitive, binding) = (entry.class.sensitive, block_binding(entry.id, entry.class));
                let content = ring.open(sensitive, &sealed, &binding).map_err(RepositoryError::damaged(format!("block {}", entry.id)))?;
                ring.seal(sensitive, &content, &binding)?.into()
            } else {
                sealed
            };
            let full = packer.add(ring, entry.into(), &sealed)?;
            self.store(full).await?;
        }
        Ok(lost)
    }

    async fn store(&mut self, pack: Option<FinishedPack>) -> Result<(), RepositoryError> {
        if let Some(FinishedPack { key, bytes, info }) = pack {
            self.repository.inner.store.put(&key, bytes).await?;
            self.stored.insert(info.hash, info);
        }
        Ok(())
    }

    /// Stores the last packs. Gives all of them: no index names them yet.
    pub(in crate::repository) async fn finish(mut self) -> Result<Indexed, RepositoryError> {
        for pack in [self.data.finish(&self.repository.inner.ring)?, self.meta.finish(&self.repository.inner.ring)?] {
            self.store(pack).await?;
        }
        Ok(self.stored)
    }
}
