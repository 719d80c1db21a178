//! Lengths of time as KubeStash writes them: `30d`, `1y6mo`, `2w 12h`.

use std::{fmt, str::FromStr};

use jiff::Timestamp;

/// Seconds of each unit. A month is 30 days and a year 365, whatever the calendar says.
const UNITS: [(&str, i64); 6] = [("y", 365 * 86_400), ("mo", 30 * 86_400), ("w", 7 * 86_400), ("d", 86_400), ("h", 3_600), ("m", 60)];

/// A length of time in seconds: numbers with the units `y`, `mo` (month), `w`, `d`, `h`, `m` (minute), in any order. A unit that comes twice
/// counts as its last number; a number may be negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Period(i64);

/// Text that is no length of time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no length of time: {what}; write numbers with the units y, mo, w, d, h and m, as in 1y6mo or 36h")]
pub struct PeriodError {
    text: String,
    what: &'static str,
}

impl Period {
    /// So many seconds.
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds)
    }

    /// Its length in seconds.
    pub const fn seconds(self) -> i64 {
        self.0
    }

    /// Whether `time` lies longer before `now` than this.
    pub fn is_longer_ago(self, time: Timestamp, now: Timestamp) -> bool {
        now.duration_since(time) > jiff::SignedDuration::from_secs(self.0)
    }

    /// The moment so much later; the end of time at the latest.
    pub fn after(self, time: Timestamp) -> Timestamp {
        time.checked_add(jiff::SignedDuration::from_secs(self.0)).unwrap_or(Timestamp::MAX)
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (_, minute) = UNITS[5];
        // In the units of a clock: `24h` says more than `1d` where it is about hours.
        match self.0 {
            seconds if seconds % 3_600 == 0 && seconds < 72 * 3_600 => write!(f, "{}h", seconds / 3_600),
            seconds if seconds % 86_400 == 0 => write!(f, "{}d", seconds / 86_400),
            seconds if seconds % 3_600 == 0 => write!(f, "{}h", seconds / 3_600),
            seconds => write!(f, "{}m", seconds / minute),
        }
    }
}

impl FromStr for Period {
    type Err = PeriodError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let failed = |what| PeriodError { text: text.to_owned(), what };
        let mut found = [None; UNITS.len()];
        let mut rest = text.trim();
        if rest.is_empty() {
            return Err(failed("it is empty"));
        }
        while !rest.is_empty() {
            let digits = rest.strip_prefix('-').unwrap_or(rest);
            let sign = if digits.len() < rest.len() { -1 } else { 1 };
            let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
            let (number, behind) = digits.split_at_checked(end).unwrap_or((digits, ""));
            let number: i64 = number.parse().map_err(|_| failed(if end == 0 { "a number is missing" } else { "a number is too large" }))?;
            let end = behind.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(behind.len());
            let (unit, behind) = behind.split_at_checked(end).unwrap_or((behind, ""));
            let at = UNITS.iter().position(|(name, _)| *name == unit);
            let at = at.ok_or_else(|| failed(if unit.is_empty() { "a number has no unit" } else { "it has an unknown unit" }))?;
            let seconds = UNITS.get(at).and_then(|(_, seconds)| number.checked_mul(*seconds)).map(|seconds| seconds * sign);
            if let Some(own) = found.get_mut(at) {
                *own = Some(seconds.ok_or_else(|| failed("it is too long"))?);
            }
            rest = behind.trim_start();
        }
        let total = found.into_iter().flatten().try_fold(0_i64, i64::checked_add);
        // Below what a clock can hold, so that adding it to a time never fails.
        total.filter(|total| total.abs() < 5_000 * 365 * 86_400).map(Self).ok_or_else(|| failed("it is too long"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_are_read() {
        let day = 86_400;
        for (text, seconds) in [
            ("30d", 30 * day),
            (" 1y6mo ", (365 + 180) * day),
            ("2w 12h", 14 * day + 12 * 3_600),
            ("90m", 5_400),
            ("1d2d", 2 * day),
            ("1d-2h", day - 7_200),
            ("0h", 0),
        ] {
            assert_eq!(text.parse(), Ok(Period(seconds)), "{text}");
        }
        for (text, what) in [
            ("", "it is empty"),
            ("30", "a number has no unit"),
            ("d", "a number is missing"),
            ("3s", "it has an unknown unit"),
            ("99999999999999999999d", "a number is too large"),
            ("9999999y", "it is too long"),
            ("9999999999999999y", "it is too long"),
        ] {
            assert_eq!(text.parse::<Period>(), Err(PeriodError { text: text.into(), what }), "{text}");
        }
    }

    #[test]
    fn periods_are_shown_in_one_unit() {
        for (seconds, text) in [(24 * 3_600, "24h"), (30 * 86_400, "30d"), (5_400, "90m"), (0, "0h")] {
            assert_eq!(Period(seconds).to_string(), text);
        }
    }
}
