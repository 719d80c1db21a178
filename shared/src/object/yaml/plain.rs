//! Which strings a YAML 1.1 reader would take for something else when they stand unquoted.
//!
//! The rules are those that kubectl's YAML library resolves plain words by, plus the merge key `<<`.

/// Whether an unquoted `text` would be read as null, a bool, a number, a time or a merge key, or should be quoted because other
/// readers do so.
pub(super) fn resolves_to_other(text: &str) -> bool {
    let Some(&first) = text.as_bytes().first() else {
        return true;
    };
    match first {
        b'+' | b'-' | b'0'..=b'9' => is_named(text) || is_time(text) || is_number(text) || is_sexagesimal(text),
        b'.' => is_named(text) || (separates_digits(text) && is_number(text)),
        b'y' | b'Y' | b'n' | b'N' | b't' | b'T' | b'f' | b'F' | b'o' | b'O' | b'~' | b'<' => is_named(text),
        _ => false,
    }
}

fn is_named(text: &str) -> bool {
    matches!(
        text,
        "y" | "Y"
            | "yes"
            | "Yes"
            | "YES"
            | "true"
            | "True"
            | "TRUE"
            | "on"
            | "On"
            | "ON"
            | "n"
            | "N"
            | "no"
            | "No"
            | "NO"
            | "false"
            | "False"
            | "FALSE"
            | "off"
            | "Off"
            | "OFF"
            | "~"
            | "null"
            | "Null"
            | "NULL"
            | ".nan"
            | ".NaN"
            | ".NAN"
            | ".inf"
            | ".Inf"
            | ".INF"
            | "+.inf"
            | "+.Inf"
            | "+.INF"
            | "-.inf"
            | "-.Inf"
            | "-.INF"
            | "<<"
    )
}

fn is_number(text: &str) -> bool {
    // Most that begins with a digit is a time, an address or a hash.
    let may_be = |byte: u8| byte.is_ascii_hexdigit() || matches!(byte, b'+' | b'-' | b'.' | b'_' | b'x' | b'X' | b'o' | b'O');
    if !text.bytes().all(may_be) {
        return false;
    }
    let plain: String = text.chars().filter(|&c| c != '_').collect();
    let unsigned = plain.strip_prefix(['+', '-']).unwrap_or(&plain);
    let lower = unsigned.to_ascii_lowercase();
    // kubectl takes those beyond 64 bits for strings, other readers for numbers or for errors: all are quoted.
    let integer = |digits: &str, radix| !digits.is_empty() && digits.chars().all(|digit| digit.is_digit(radix));
    let based = if let Some(digits) = lower.strip_prefix("0x") {
        integer(digits, 16)
    } else if let Some(digits) = lower.strip_prefix("0b") {
        integer(digits, 2)
    } else if let Some(digits) = lower.strip_prefix("0o") {
        integer(digits, 8)
    } else {
        false
    };
    // Leading zeros make octals, and what is no octal is still a float: digits alone are always a number.
    based || (is_decimal(&plain) && in_range(&plain))
}

/// Whether every underscore stands between two digits. Behind a leading dot kubectl takes no others; elsewhere they may stand anywhere.
fn separates_digits(text: &str) -> bool {
    let digit = |c: char| c.is_ascii_digit();
    let groups: Vec<&str> = text.split('_').collect();
    groups.windows(2).all(|pair| matches!(pair, [left, right] if left.ends_with(digit) && right.starts_with(digit)))
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
fn is_decimal(text: &str) -> bool {
    let text = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => (text.get(..at).unwrap_or_default(), text.get(at + 1..)),
        None => (text, None),
    };
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    let mantissa_fits = match mantissa.split_once('.') {
        Some(("", fraction)) => !fraction.is_empty() && digits(fraction),
        Some((whole, fraction)) => digits(whole) && digits(fraction),
        None => !mantissa.is_empty() && digits(mantissa),
    };
    let exponent_fits = exponent.is_none_or(|exponent| {
        let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        !exponent.is_empty() && digits(exponent)
    });
    mantissa_fits && exponent_fits
}

/// Go refuses floats beyond the range of 64 bits, so they stay strings for kubectl; other readers make them infinite. Both are safe
/// from misreading only when quoted, which is not kubectl's layout: those strings stay plain as kubectl prints them.
fn in_range(text: &str) -> bool {
    text.parse::<f64>().is_ok_and(f64::is_finite)
}

/// `[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?`: base 60, read as a number by YAML 1.1.
fn is_sexagesimal(text: &str) -> bool {
    let text = text.strip_prefix(['+', '-']).unwrap_or(text);
    if !text.contains(':') {
        return false;
    }
    let mut groups = text.split(':');
    let first = groups.next().unwrap_or_default();
    let mut first_bytes = first.bytes();
    if !first_bytes.next().is_some_and(|b| b.is_ascii_digit()) || !first_bytes.all(|b| b.is_ascii_digit() || b == b'_') {
        return false;
    }
    let groups: Vec<&str> = groups.collect();
    let Some((last, middle)) = groups.split_last() else {
        return false;
    };
    let (last, fraction) = last.split_once('.').unwrap_or((last, ""));
    let group = |text: &str| match text.as_bytes() {
        [unit] => unit.is_ascii_digit(),
        [ten, unit] => (b'0'..=b'5').contains(ten) && unit.is_ascii_digit(),
        _ => false,
    };
    middle.iter().all(|text| group(text)) && group(last) && fraction.bytes().all(|b| b.is_ascii_digit() || b == b'_')
}

/// `2006-1-2`, `2006-1-2T15:4:5.9Z`, `2006-1-2 15:4:5.9`: a valid date, and a time where one follows. As Go reads times, a comma may stand
/// for the dot and several blanks for one.
fn is_time(text: &str) -> bool {
    let bytes = text.as_bytes();
    if bytes.len() < 8 || bytes.get(4) != Some(&b'-') || !bytes.iter().take(4).all(u8::is_ascii_digit) {
        return false;
    }
    let (date, time, zoned) = match text.find(['T', 't', ' ']) {
        Some(at) => (text.get(..at).unwrap_or_default(), text.get(at + 1..), bytes.get(at) != Some(&b' ')),
        None => (text, None, false),
    };
    is_date(date) && time.is_none_or(|time| is_time_of_day(if zoned { time } else { time.trim_start_matches(' ') }, zoned))
}

fn is_date(text: &str) -> bool {
    let mut parts = text.split('-');
    let (Some(year), Some(month), Some(day), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return false;
    };
    let (Some(month), Some(day)) = (small(month), small(day)) else {
        return false;
    };
    let Ok(year) = year.parse::<i16>() else {
        return false;
    };
    let (Ok(month), Ok(day)) = (i8::try_from(month), i8::try_from(day)) else {
        return false;
    };
    jiff::civil::Date::new(year, month, day).is_ok()
}

fn is_time_of_day(text: &str, zoned: bool) -> bool {
    let (clock, zone_fits) = if zoned {
        if let Some(clock) = text.strip_suffix('Z') {
            (clock, true)
        } else {
            let Some(at) = text.rfind(['+', '-']) else {
                return false;
            };
            let zone = text.get(at + 1..).unwrap_or_default();
            let at_most = |text: &str, most| text.len() == 2 && small(text).is_some_and(|value| value <= most);
            let fits = zone.split_once(':').is_some_and(|(hours, minutes)| at_most(hours, 24) && at_most(minutes, 60));
            (text.get(..at).unwrap_or_default(), fits)
        }
    } else {
        (text, true)
    };
    let (clock, fraction) = clock.split_once(['.', ',']).map_or((clock, None), |(clock, fraction)| (clock, Some(fraction)));
    let mut parts = clock.split(':');
    let (Some(hour), Some(minute), Some(second), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return false;
    };
    zone_fits
        && small(hour).is_some_and(|n| n < 24)
        && small(minute).is_some_and(|n| n < 60)
        && small(second).is_some_and(|n| n < 60)
        && fraction.is_none_or(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
}

/// One or two digits.
fn small(text: &str) -> Option<u8> {
    if text.is_empty() || text.len() > 2 || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_need_quotes() {
        for text in [
            "",
            "y",
            "No",
            "ON",
            "null",
            "~",
            ".inf",
            "-.INF",
            "1",
            "-1",
            "+1",
            "1_000",
            "0x1F",
            "0x10000000000000000",
            "0b11",
            "0b_1",
            "0o17",
            "017",
            "08",
            "1.",
            ".5",
            ".5_0",
            "1e3",
            "1.5E-3",
            "685_230.15",
            "2001-1-1",
            "2001-12-14T21:59:43.1-05:00",
            "2001-12-14 21:59:43",
            "2001-12-14   21:59:43,1",
            "2001-12-14t1:2:3Z",
            "1:30",
            "190:20:30.15",
            "<<",
        ] {
            assert!(resolves_to_other(text), "{text}");
        }
    }

    #[test]
    fn words_that_are_strings_anyway() {
        for text in [
            "a",
            "yes!",
            "nope",
            "1a",
            "1.2.3",
            "v1",
            "0x",
            "0xZ",
            "2001-13-01",
            "2001-02-30",
            "2001-12-14T21:59:43+25:00",
            "2001-12-14T21:59:43+01:61",
            "2001-12-14T 21:59:43Z",
            "1:60:x",
            "-",
            "+",
            "--1",
            "1e400",
            "on1",
            "10.0.0.1",
            "100m",
            "1Gi",
            "<",
            ".",
            "..",
            "._5",
            ".5_",
            ".5_e3",
            "1:99",
        ] {
            assert!(!resolves_to_other(text), "{text}");
        }
    }
}
