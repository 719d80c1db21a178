//! Names, sizes and durations in KubeStash's spelling. Pure.

use jiff::Timestamp;

/// Longest name of a KubeStash object.
const MAX_NAME: usize = 63;

/// `prefix-name-suffix`; a longer one keeps its first 32 and last 31 characters.
pub fn join_name(prefix: &str, name: &str, suffix: &str) -> String {
    let parts: Vec<&str> = [prefix, name, suffix].into_iter().filter(|part| !part.is_empty()).collect();
    let joined = parts.join("-");
    let characters: Vec<char> = joined.chars().collect();
    if characters.len() <= MAX_NAME {
        return joined;
    }
    let head = characters.iter().take(32);
    let tail = characters.iter().skip(characters.len() - 31);
    head.chain(tail).collect::<String>().trim_matches('-').to_owned()
}

/// A time as part of a name, in UTC: `20261128-224641`. Such names sort as times do.
pub fn time_name(time: Timestamp) -> String {
    time.strftime("%Y%m%d-%H%M%S").to_string()
}

/// Lower-case letters, digits and dashes: what the name of an object may hold.
pub fn sanitize_name(text: &str) -> String {
    let mapped: String = text.to_lowercase().chars().map(|c| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '-' }).collect();
    let parts: Vec<&str> = mapped.split('-').filter(|part| !part.is_empty()).collect();
    parts.join("-")
}

/// Three decimals and a binary unit above a power, plain bytes below.
pub fn format_size(bytes: u64) -> String {
    let units = [(1_u64 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match units.into_iter().find(|(power, _)| bytes > *power) {
        Some((power, unit)) => format!("{:.3} {unit}", bytes as f64 / power as f64),
        None => format!("{bytes} B"),
    }
}

/// What [`format_size`] wrote, in bytes and as exactly as it was written.
pub fn parse_size(text: &str) -> Option<u64> {
    let (number, unit) = text.trim().split_once(' ')?;
    let power = match unit {
        "TiB" => 40,
        "GiB" => 30,
        "MiB" => 20,
        "KiB" => 10,
        "B" => return number.parse().ok(),
        _ => return None,
    };
    let number: f64 = number.parse().ok().filter(|number: &f64| number.is_finite() && *number >= 0.0)?;
    // Beyond what fits, the largest number; such a size is not written.
    Some((number * (1_u64 << power) as f64).round() as u64)
}

/// A duration as Go prints it, in whole seconds from one second on: `350ms`, `35s`, `1m5s`, `2h0m0s`.
pub fn go_duration(milliseconds: u64) -> String {
    let seconds = milliseconds / 1000;
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, 0) => format!("{milliseconds}ms"),
        (0, 0, seconds) => format!("{seconds}s"),
        (0, minutes, seconds) => format!("{minutes}m{seconds}s"),
        (hours, minutes, seconds) => format!("{hours}h{minutes}m{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit() {
        assert_eq!(join_name("repo", "session", "1"), "repo-session-1");
        assert_eq!(join_name("", "a", "b"), "a-b");
        let long = join_name(&"a".repeat(40), &"b".repeat(40), "123");
        assert_eq!(long.len(), 63);
        assert!(long.ends_with("-123"));
        assert_eq!(time_name(Timestamp::from_second(1_795_906_001).unwrap_or_default()), "20261128-224641");
        assert_eq!(sanitize_name("Kind_DEV@example.com"), "kind-dev-example-com");
    }

    #[test]
    fn sizes_and_durations() {
        for (bytes, text) in [(0, "0 B"), (1024, "1024 B"), (1025, "1.001 KiB"), (3 << 20, "3.000 MiB"), (1 << 41, "2.000 TiB")] {
            assert_eq!(format_size(bytes), text);
            assert_eq!(parse_size(text).map(format_size).as_deref(), Some(text));
        }
        for text in ["", "5", "5 PB", "-1 KiB", "x B", "NaN MiB"] {
            assert_eq!(parse_size(text), None, "{text}");
        }
        for (milliseconds, text) in [(350, "350ms"), (35_900, "35s"), (65_000, "1m5s"), (7_200_000, "2h0m0s")] {
            assert_eq!(go_duration(milliseconds), text);
        }
    }
}
