//! Which part of a file is asked for.

use std::ops::Range;

/// What a Range header comes to.
#[derive(Debug, PartialEq, Eq)]
pub enum Wanted {
    /// All of it: there is no such header, or one that may be ignored, as one of several parts.
    Whole,
    /// Some of it; never empty.
    Part(Range<u64>),
    /// Nothing that there is.
    Nothing,
}

/// Reads a Range header for a file of so many bytes.
pub fn wanted(header: Option<&str>, size: u64) -> Wanted {
    let Some((first, last)) = header.and_then(|text| text.trim().strip_prefix("bytes=")).and_then(|part| part.split_once('-')) else {
        return Wanted::Whole;
    };
    let (start, end) = match (first.trim(), last.trim()) {
        ("", length) => match length.parse::<u64>() {
            Ok(length) => (size.saturating_sub(length), size),
            Err(_) => return Wanted::Whole,
        },
        (first, "") => match first.parse() {
            Ok(first) => (first, size),
            Err(_) => return Wanted::Whole,
        },
        (first, last) => match (first.parse::<u64>(), last.parse::<u64>()) {
            (Ok(first), Ok(last)) if first <= last => (first, last.saturating_add(1).min(size)),
            _ => return Wanted::Whole,
        },
    };
    if start < end { Wanted::Part(start..end) } else { Wanted::Nothing }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_as_clients_write_them() {
        for (header, size, expected) in [
            (None, 10, Wanted::Whole),
            (Some("bytes=0-3"), 10, Wanted::Part(0..4)),
            (Some("bytes=4-"), 10, Wanted::Part(4..10)),
            (Some("bytes=-3"), 10, Wanted::Part(7..10)),
            (Some("bytes=-30"), 10, Wanted::Part(0..10)),
            (Some("bytes=9-99"), 10, Wanted::Part(9..10)),
            (Some("bytes=10-"), 10, Wanted::Nothing),
            (Some("bytes=0-0"), 0, Wanted::Nothing),
            (Some("bytes=-0"), 10, Wanted::Nothing),
            (Some("bytes=5-4"), 10, Wanted::Whole),
            (Some("bytes=0-1,4-5"), 10, Wanted::Whole),
            (Some("lines=0-3"), 10, Wanted::Whole),
            (Some("bytes=a-b"), 10, Wanted::Whole),
            (Some("bytes=0-18446744073709551615"), 10, Wanted::Part(0..10)),
        ] {
            assert_eq!(wanted(header, size), expected, "{header:?} of {size}");
        }
    }
}
