//! Which blocks are cut anew because too little of them is alive: a pure function.

use std::collections::{HashMap, HashSet};

use super::living::Life;
use crate::repository::format::BlockId;

/// How much of what is stored may be of no use to any snapshot.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MaxUnused(Option<f64>);

impl MaxUnused {
    /// Whatever there is: nothing is cut anew.
    pub const UNLIMITED: Self = Self(None);

    /// Whether `unused` of `all` bytes are too many.
    pub(super) fn is_passed(self, unused: u64, all: u64) -> bool {
        self.0.is_some_and(|share| unused as f64 > share * all as f64)
    }
}

impl Default for MaxUnused {
    /// A twentieth, as in restic.
    fn default() -> Self {
        Self(Some(0.05))
    }
}

impl std::fmt::Display for MaxUnused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(share) => write!(f, "{}%", share * 100.0),
            None => f.write_str("unlimited"),
        }
    }
}

impl std::str::FromStr for MaxUnused {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "unlimited" {
            return Ok(Self::UNLIMITED);
        }
        let percent = text.strip_suffix('%').and_then(|number| number.parse::<f64>().ok()).filter(|percent| (0.0..100.0).contains(percent));
        percent.map(|percent| Self(Some(percent / 100.0))).ok_or_else(|| format!("{text:?} is neither a percentage, as in 5%, nor \"unlimited\""))
    }
}

/// Blocks to cut anew, and the bytes of them in the store. None while the unused bytes of all blocks are within the limit; else those that are
/// themselves above it, the emptiest first, as long as what is alive of them is no more than `max_repack`.
pub(super) fn thin(lives: &HashMap<BlockId, Life>, limit: MaxUnused, max_repack: u64) -> (HashSet<BlockId>, u64) {
    let (all, live) = lives.values().fold((0, 0), |(all, live), life| (all + life.raw, live + life.live.min(life.raw)));
    if !limit.is_passed(all - live, all) {
        return (HashSet::new(), 0);
    }
    let mut above: Vec<(&BlockId, &Life)> = lives.iter().filter(|(_, life)| limit.is_passed(life.raw.saturating_sub(life.live), life.raw)).collect();
    let share = |life: &Life| life.live.saturating_mul(1_000_000) / life.raw.max(1);
    above.sort_by_key(|(id, life)| (share(life), **id));
    let (mut blocks, mut stored, mut left) = (HashSet::new(), 0, max_repack);
    for (id, life) in above {
        let written = life.stored.saturating_mul(share(life)) / 1_000_000;
        let Some(rest) = left.checked_sub(written) else { break };
        left = rest;
        stored += life.stored;
        blocks.insert(*id);
    }
    (blocks, stored)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_read_and_shown() {
        for (text, shown) in [("5%", "5%"), ("0%", "0%"), ("12.5%", "12.5%"), ("unlimited", "unlimited")] {
            assert_eq!(text.parse::<MaxUnused>().unwrap().to_string(), shown);
        }
        for refused in ["5", "100%", "-1%", "", "%", "NaN%", "100M"] {
            assert!(refused.parse::<MaxUnused>().is_err(), "{refused}");
        }
        assert_eq!(MaxUnused::default().to_string(), "5%");
    }

    #[test]
    fn blocks_are_cut_anew_when_too_much_is_of_no_use() {
        // Number of the block, raw bytes, live ones; each takes a tenth in the store.
        let lives = |blocks: &[(u8, u64, u64)]| -> HashMap<BlockId, Life> {
            blocks.iter().map(|&(n, raw, live)| (BlockId([n; 32]), Life { raw, live, stored: raw / 10 })).collect()
        };
        let chosen = |blocks: &[(u8, u64, u64)], limit: &str, max_repack| {
            let (found, stored) = thin(&lives(blocks), limit.parse().unwrap(), max_repack);
            let mut found: Vec<u8> = found.into_iter().map(|id| id.0[0]).collect();
            found.sort_unstable();
            (found, stored)
        };
        let all = u64::MAX;
        assert_eq!(chosen(&[], "5%", all), (vec![], 0));
        assert_eq!(chosen(&[(1, 1000, 1000), (2, 1000, 901)], "5%", all), (vec![], 0), "within the limit as a whole");
        assert_eq!(chosen(&[(1, 1000, 1000), (2, 1000, 899)], "5%", all), (vec![2], 100));
        assert_eq!(chosen(&[(1, 1000, 940), (2, 1000, 10), (3, 1000, 960)], "5%", all), (vec![1, 2], 200), "a full one stays");
        assert_eq!(chosen(&[(1, 1000, 10)], "unlimited", all), (vec![], 0));
        // What is alive of them is 94, 1 and 50 bytes in the store.
        let three = [(1, 1000, 940), (2, 1000, 10), (3, 1000, 500)];
        assert_eq!(chosen(&three, "5%", 51), (vec![2, 3], 200));
        assert_eq!(chosen(&three, "5%", 50), (vec![2], 100));
        // A block that no index names cannot be judged.
        assert_eq!(chosen(&[(1, 0, 10)], "0%", all), (vec![], 0));
    }
}
