//! What becomes of each pack: a pure function of what was seen in the store.

use jiff::Timestamp;
use serde::Serialize;

use super::MaxUnused;
use crate::repository::retention::{Period, PeriodError};

/// How long a pack stays in the trash before it is deleted. Nothing at all, or at least an hour: a backup may take half of that between its
/// last look at the trash and its root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grace(Period);

impl Grace {
    /// The shortest one.
    pub const SHORTEST: Period = Period::from_seconds(3_600);
    /// Delete at once. Only right while nobody else writes to the repository.
    pub const NONE: Self = Self(Period::from_seconds(0));

    /// # Errors
    /// What is neither nothing nor [`Grace::SHORTEST`].
    pub fn new(period: Period) -> Result<Self, GraceError> {
        if period == Self::NONE.0 || period >= Self::SHORTEST { Ok(Self(period)) } else { Err(GraceError::TooShort(period)) }
    }

    /// The moment from which on a pack may be deleted.
    pub(crate) fn over(self, since: Timestamp) -> Timestamp {
        self.0.after(since)
    }
}

impl Default for Grace {
    /// A day.
    fn default() -> Self {
        Self(Period::from_seconds(24 * 3_600))
    }
}

impl std::fmt::Display for Grace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// A grace time that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GraceError {
    /// Not a length of time.
    #[error(transparent)]
    Period(#[from] PeriodError),
    /// Too short to protect running backups.
    #[error("{0} is too short to protect running backups: give at least {short}, or 0h while nobody else writes", short = Grace::SHORTEST)]
    TooShort(Period),
}

impl std::str::FromStr for Grace {
    type Err = GraceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(text.parse()?)
    }
}

/// How to prune.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PruneOptions {
    /// The time it is.
    pub now: Timestamp,
    /// How long packs stay in the trash.
    pub grace: Grace,
    /// Bytes of packs that are written anew at most.
    pub max_repack: Option<u64>,
    /// How much may stay that no snapshot needs.
    pub max_unused: MaxUnused,
    /// Write anew whatever is sealed with a data key that was rotated away.
    pub re_encrypt: bool,
}

impl PruneOptions {
    /// With a grace time of a day, without a limit for repacking, and with the usual one for what is unused.
    pub fn new(now: Timestamp) -> Self {
        Self { now, grace: Grace::default(), max_repack: None, max_unused: MaxUnused::default(), re_encrypt: false }
    }
}

/// A pack as prune sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PackFacts {
    /// Bytes in the store.
    pub(super) size: u64,
    /// When it was written.
    pub(super) modified: Timestamp,
    /// Whether an index file names it.
    pub(super) indexed: bool,
    /// Since when it is in the trash.
    pub(super) trashed: Option<Timestamp>,
    /// Stored bytes of its blocks.
    pub(super) held: u64,
    /// Stored bytes of its blocks that snapshots need and that are taken from here.
    pub(super) live: u64,
    /// Whether it may hold what is missing elsewhere, because nobody can tell what it holds.
    pub(super) unclear: bool,
    /// Whether it shall be written anew because its blocks are sealed with an old data key.
    pub(super) old_key: bool,
}

/// What becomes of a pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Fate {
    /// It stays as it is.
    Keep,
    /// Too little of it is needed, or its key is old: what is needed is written into a new pack, and this one goes to the trash.
    Repack,
    /// The same, in a later prune: more would be above the limit.
    RepackLater,
    /// No snapshot needs it: it goes to the trash.
    Trash,
    /// It is in the trash, and the grace time is not over.
    Wait,
    /// It is in the trash, and a snapshot needs it.
    TakeBack,
    /// It is in the trash, the grace time is over, and no snapshot needs it.
    Delete,
    /// It may belong to a backup that is running.
    Young,
}

/// Decides about all packs.
pub(super) fn fates(packs: &[PackFacts], options: PruneOptions) -> Vec<Fate> {
    let mut fates: Vec<Fate> = packs.iter().map(|pack| fate(pack, options)).collect();
    let kept = || packs.iter().zip(&fates).filter(|(_, fate)| **fate == Fate::Keep).map(|(pack, _)| pack);
    let (held, live) = kept().fold((0, 0), |(held, live), pack| (held + pack.held, live + pack.live));
    // Too much in packs of which more than half is needed: those that have too much of it themselves are written anew as well.
    if options.max_unused.is_passed(held.saturating_sub(live), held) {
        for (pack, fate) in packs.iter().zip(&mut fates).filter(|(pack, fate)| **fate == Fate::Keep && !pack.unclear) {
            if options.max_unused.is_passed(pack.held.saturating_sub(pack.live), pack.held) {
                *fate = Fate::Repack;
            }
        }
    }
    // The emptiest first: they free most for each byte that is written.
    let share = |pack: &PackFacts| pack.live.saturating_mul(1_000_000) / pack.held.max(1);
    let mut order: Vec<(usize, &PackFacts)> = packs.iter().enumerate().collect();
    order.sort_by_key(|(at, pack)| (share(pack), *at));
    let mut left = options.max_repack.unwrap_or(u64::MAX);
    for (at, pack) in order {
        let Some(fate) = fates.get_mut(at).filter(|fate| **fate == Fate::Repack) else {
            continue;
        };
        match left.checked_sub(pack.size) {
            Some(rest) => left = rest,
            None => *fate = Fate::RepackLater,
        }
    }
    fates
}

fn fate(pack: &PackFacts, options: PruneOptions) -> Fate {
    let over = |since| options.grace.over(since) <= options.now;
    match pack.trashed {
        _ if pack.unclear => Fate::Keep,
        Some(_) if pack.live > 0 => Fate::TakeBack,
        Some(since) if over(since) => Fate::Delete,
        Some(_) => Fate::Wait,
        None if pack.live > 0 && (pack.old_key || pack.live.saturating_mul(2) < pack.held) => Fate::Repack,
        None if pack.live > 0 => Fate::Keep,
        // A running backup stores packs first, and says what is in them at its end.
        None if !pack.indexed && !over(pack.modified) => Fate::Young,
        None if over(options.now) => Fate::Delete,
        None => Fate::Trash,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600;

    fn at(hour: i64) -> Timestamp {
        Timestamp::from_second(hour * HOUR).unwrap()
    }

    fn options(grace: &str) -> PruneOptions {
        PruneOptions { grace: grace.parse().unwrap(), max_unused: MaxUnused::UNLIMITED, ..PruneOptions::new(at(1_000)) }
    }

    fn pack(live: u64) -> PackFacts {
        PackFacts { size: 120, held: 100, modified: at(0), indexed: true, trashed: None, live, unclear: false, old_key: false }
    }

    #[test]
    fn each_pack_has_its_fate() {
        let trashed = |live, hour| PackFacts { trashed: Some(at(hour)), ..pack(live) };
        let lonely = |live, hour| PackFacts { indexed: false, modified: at(hour), ..pack(live) };
        let table = [
            (pack(100), Fate::Keep),
            (pack(50), Fate::Keep),
            (pack(49), Fate::Repack),
            (pack(1), Fate::Repack),
            (pack(0), Fate::Trash),
            (PackFacts { old_key: true, ..pack(100) }, Fate::Repack),
            (PackFacts { old_key: true, ..pack(0) }, Fate::Trash),
            (PackFacts { old_key: true, ..trashed(1, 0) }, Fate::TakeBack),
            (trashed(0, 976), Fate::Delete),
            (trashed(0, 977), Fate::Wait),
            // Even one block that is needed, even when its time is over.
            (trashed(1, 0), Fate::TakeBack),
            (trashed(100, 999), Fate::TakeBack),
            (lonely(0, 976), Fate::Trash),
            (lonely(0, 977), Fate::Young),
            (lonely(60, 999), Fate::Keep),
            (PackFacts { unclear: true, ..trashed(0, 0) }, Fate::Keep),
            (PackFacts { unclear: true, ..lonely(0, 0) }, Fate::Keep),
        ];
        for (pack, expected) in table {
            assert_eq!(fates(&[pack], options("24h")), [expected], "{pack:?}");
        }
        // Without a grace time everything that is not needed goes at once.
        for (pack, expected) in
            [(pack(0), Fate::Delete), (trashed(0, 1_000), Fate::Delete), (lonely(0, 1_000), Fate::Delete), (pack(49), Fate::Repack)]
        {
            assert_eq!(fates(&[pack], options("0h")), [expected], "{pack:?}");
        }
    }

    #[test]
    fn the_emptiest_packs_are_written_anew_first() {
        let packs = [pack(40), pack(10), PackFacts { size: 320, held: 300, ..pack(20) }, pack(30)];
        let limited = |max_repack| fates(&packs, PruneOptions { max_repack: Some(max_repack), ..options("24h") });
        use Fate::{Repack, RepackLater};
        assert_eq!(fates(&packs, options("24h")), [Repack; 4]);
        assert_eq!(limited(480), [RepackLater, Repack, Repack, RepackLater]);
        // A large one that does not fit does not keep smaller ones from their turn.
        assert_eq!(limited(300), [RepackLater, Repack, RepackLater, Repack]);
        assert_eq!(limited(0), [RepackLater; 4]);
    }

    #[test]
    fn a_grace_time_protects_or_is_none() {
        assert!("0h".parse::<Grace>().is_ok() && "1h".parse::<Grace>().is_ok());
        let refused = "59m".parse::<Grace>().unwrap_err().to_string();
        assert_eq!(refused, "59m is too short to protect running backups: give at least 1h, or 0h while nobody else writes");
        assert!("-1h".parse::<Grace>().is_err() && "1".parse::<Grace>().is_err());
    }
}
