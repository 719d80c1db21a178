//! The directories above the snapshots, in a mount of all of them.
//!
//! ```text
//! snapshots/<name>/                 each snapshot
//! latest                            a link to the newest one
//! by-day/<YYYY-MM-DD>/<name>        links to the snapshots of a day, in UTC
//! changes/<name>/                   what differs from the snapshot before
//! history/                          the versions of each object
//! ```
//! They change when snapshots come and go. Their inodes are told by what they are, and never by what is there.

use std::time::SystemTime;

use fuser::{FileAttr, FileType};
use jiff::{Span, civil::Date, tz::TimeZone};

use crate::{
    core::{Core, FOREVER, Found, SHORT},
    forest::{HISTORY, Slot, join, split},
    tree::{ROOT, TOP},
};

const SNAPSHOTS: u64 = 2;
const CHANGES: u64 = 3;
const BY_DAY: u64 = 4;
/// The inode of a day is this and the number of days since 1970, which may be negative.
const DAYS: u64 = 1 << 32;

/// Links to a snapshot have inodes of that snapshot's tree, so that a link's target never changes.
const LATEST: u64 = 0;
const OF_DAY: u64 = (1 << 40) - 1;

/// A directory above the snapshots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Top {
    Root,
    Snapshots,
    Changes,
    ByDay,
    /// A day, by its number since 1970.
    Day(i32),
}

/// One entry of such a directory.
pub(crate) struct TopEntry {
    /// A number above 0 that stays with it and by which entries are sorted.
    pub(crate) place: u64,
    pub(crate) name: String,
    pub(crate) attr: FileAttr,
}

impl Top {
    fn inode(self) -> u64 {
        match self {
            Self::Root => ROOT,
            Self::Snapshots => SNAPSHOTS,
            Self::Changes => CHANGES,
            Self::ByDay => BY_DAY,
            Self::Day(day) => DAYS.saturating_add_signed(day.into()),
        }
    }

    fn of(inode: u64) -> Option<Self> {
        match inode {
            ROOT => Some(Self::Root),
            SNAPSHOTS => Some(Self::Snapshots),
            CHANGES => Some(Self::Changes),
            BY_DAY => Some(Self::ByDay),
            _ => {
                let day = i32::try_from(i64::try_from(inode).ok()?.checked_sub_unsigned(DAYS)?).ok()?;
                date(day).map(|_| Self::Day(day))
            }
        }
    }

    pub(crate) const fn parent(self) -> Self {
        match self {
            Self::Root | Self::Snapshots | Self::Changes | Self::ByDay => Self::Root,
            Self::Day(_) => Self::ByDay,
        }
    }
}

const EPOCH: Date = Date::constant(1970, 1, 1);

/// The day that a snapshot is of.
fn day_of(slot: &Slot) -> i32 {
    let date = slot.root.time.to_zoned(TimeZone::UTC).date();
    EPOCH.until(date).map_or(0, |span| span.get_days())
}

fn date(day: i32) -> Option<Date> {
    EPOCH.checked_add(Span::new().try_days(day).ok()?).ok()
}

impl Core {
    pub(crate) fn top(&self, inode: u64) -> Option<Top> {
        if self.forest.is_all() && split(inode).0 == 0 { Top::of(inode) } else { None }
    }

    pub(crate) fn top_attr(&self, top: Top) -> FileAttr {
        let subdirectories = match top {
            Top::Root => 4,
            Top::Snapshots => self.forest.listed().len(),
            Top::Changes => self.forest.listed_changes().len(),
            Top::ByDay => self.days().len(),
            Top::Day(_) => 0,
        };
        self.directory(top.inode(), u32::try_from(subdirectories).unwrap_or(u32::MAX - 2), self.forest.changed())
    }

    /// Days that have snapshots, in order.
    fn days(&self) -> Vec<i32> {
        let mut days: Vec<i32> = self.forest.listed().iter().map(|(_, slot)| day_of(slot)).collect();
        days.sort_unstable();
        days.dedup();
        days
    }

    /// The directory that holds a snapshot's own.
    pub(crate) fn above(&self, number: u64) -> u64 {
        let is_changes = self.forest.slot(number).is_some_and(|slot| slot.since.is_some());
        if is_changes { Top::Changes } else { Top::Snapshots }.inode()
    }

    /// Attributes of what belongs to a snapshot and is known before its tree is loaded; nothing for an inode of the tree.
    pub(crate) fn attr_without_tree(&self, number: u64, own: u64) -> Option<Option<FileAttr>> {
        match own {
            ROOT => Some(self.snapshot_attr(number)),
            LATEST | OF_DAY => Some(self.link_attr(number, own)),
            _ => None,
        }
    }

    fn snapshot_attr(&self, number: u64) -> Option<FileAttr> {
        let slot = self.forest.slot(number)?;
        let below = if slot.since.is_some() { TOP.len() - 1 } else { TOP.len() };
        Some(self.directory(join(number, ROOT), below as u32, slot.root.time.into()))
    }

    fn link_attr(&self, number: u64, own: u64) -> Option<FileAttr> {
        let (inode, slot) = (join(number, own), self.forest.slot(number)?);
        let time: SystemTime = slot.root.time.into();
        Some(self.attr(inode, FileType::Symlink, self.link(inode)?.len() as u64, (0o777, 1), time))
    }

    /// Target of a link.
    pub(crate) fn link(&self, inode: u64) -> Option<String> {
        let (number, own) = split(inode);
        let slot = self.forest.slot(number).filter(|slot| self.forest.is_all() && slot.since.is_none())?;
        match own {
            LATEST => Some(format!("snapshots/{}", slot.name)),
            OF_DAY => Some(format!("../../snapshots/{}", slot.name)),
            _ => None,
        }
    }

    /// What may be known of an entry above the snapshots, and for how long.
    pub(crate) fn found_above(&self, attr: FileAttr) -> Found {
        let changes = self.top(attr.ino.0).is_some() || split(attr.ino.0).0 == HISTORY;
        Found { attr, name_ttl: SHORT, attr_ttl: if changes { SHORT } else { FOREVER } }
    }

    /// Entries of a directory above the snapshots, sorted by their places.
    pub(crate) fn top_entries(&self, top: Top) -> Vec<TopEntry> {
        let entry = |place: u64, name: &str, attr: FileAttr| TopEntry { place, name: name.to_owned(), attr };
        match top {
            Top::Root => {
                let latest = self.forest.latest().and_then(|(number, _)| self.link_attr(number, LATEST));
                let mut entries = vec![
                    entry(1, "snapshots", self.top_attr(Top::Snapshots)),
                    entry(3, "by-day", self.top_attr(Top::ByDay)),
                    entry(4, "changes", self.top_attr(Top::Changes)),
                    entry(5, "history", self.history_root()),
                ];
                entries.extend(latest.map(|attr| entry(2, "latest", attr)));
                entries.sort_unstable_by_key(|entry| entry.place);
                entries
            }
            Top::Snapshots => self.snapshot_entries(self.forest.listed()),
            Top::Changes => self.snapshot_entries(self.forest.listed_changes()),
            Top::ByDay => {
                let days = self.days().into_iter().filter_map(|day| Some((day, date(day)?)));
                days.map(|(day, date)| entry(Top::Day(day).inode(), &date.to_string(), self.top_attr(Top::Day(day)))).collect()
            }
            Top::Day(day) => {
                let of_day = self.forest.listed().into_iter().filter(|(_, slot)| day_of(slot) == day);
                of_day.filter_map(|(number, slot)| Some(entry(number, &slot.name, self.link_attr(number, OF_DAY)?))).collect()
            }
        }
    }

    fn snapshot_entries(&self, slots: Vec<(u64, std::sync::Arc<Slot>)>) -> Vec<TopEntry> {
        let entries =
            slots.into_iter().filter_map(|(place, slot)| Some(TopEntry { place, name: slot.name.clone(), attr: self.snapshot_attr(place)? }));
        entries.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inodes_tell_what_they_are() {
        for top in [Top::Root, Top::Snapshots, Top::Changes, Top::ByDay, Top::Day(0), Top::Day(-400), Top::Day(20_785)] {
            assert_eq!(Top::of(top.inode()), Some(top));
        }
        assert_eq!(date(20_785).map(|date| date.to_string()).as_deref(), Some("2026-11-28"));
        for inode in [0, 5, 1 << 31, (1 << 40) - 1, u64::MAX] {
            assert_eq!(Top::of(inode), None, "{inode}");
        }
    }
}
