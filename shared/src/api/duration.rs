//! Durations as Go reads them.

use std::time::Duration;

/// Text that is no duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no duration: write numbers with the units h, m, s and ms, as in 1h30m or 90s")]
pub struct DurationError(String);

/// Nanoseconds of each unit, longer names first where one begins another.
const UNITS: [(&str, f64); 8] = [("ns", 1.0), ("us", 1e3), ("\u{b5}s", 1e3), ("\u{3bc}s", 1e3), ("ms", 1e6), ("s", 1e9), ("m", 60e9), ("h", 3_600e9)];

/// Reads a duration such as `1m`, `1h30m0s` or `1.5h`.
///
/// # Errors
/// Text that Go would not read, and negative durations, which mean nothing here.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    let wrong = || DurationError(text.to_owned());
    let mut rest = text.trim();
    rest = rest.strip_prefix('+').unwrap_or(rest);
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if rest.is_empty() {
        return Err(wrong());
    }
    let mut total = 0.0_f64;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
        let (number, behind) = rest.split_at_checked(end).ok_or_else(wrong)?;
        let number: f64 = number.parse().map_err(|_| wrong())?;
        let end = behind.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(behind.len());
        let (unit, behind) = behind.split_at_checked(end).ok_or_else(wrong)?;
        let (_, nanoseconds) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
        total += number * nanoseconds;
        rest = behind;
    }
    Duration::try_from_secs_f64(total / 1e9).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read() {
        for (text, milliseconds) in [
            ("0", 0),
            ("0s", 0),
            ("1m", 60_000),
            ("1m0s", 60_000),
            ("1h30m", 5_400_000),
            ("1.5h", 5_400_000),
            ("350ms", 350),
            ("+2s", 2_000),
            ("10.5s", 10_500),
            (" 30s ", 30_000),
            ("1000us", 1),
            ("1000\u{b5}s", 1),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
        for text in ["", "5", "m", "1d", "-1m", "1m5", "1..5h", "h1", "99999999999999999999h"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }
}
