//! Tables as kubectl prints them, sizes, ages.

use jiff::Timestamp;
use unicode_width::UnicodeWidthStr as _;

/// Columns side by side under a header.
pub fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let header = header.iter().map(|cell| (*cell).to_owned()).collect();
    columns(std::iter::once(&header).chain(rows))
}

/// Columns side by side, three blanks between, no trailing blanks.
pub fn columns<'a>(rows: impl Iterator<Item = &'a Vec<String>> + Clone) -> String {
    let mut widths: Vec<usize> = Vec::new();
    for row in rows.clone() {
        widths.resize(widths.len().max(row.len()), 0);
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.width());
        }
    }
    let mut out = String::new();
    for row in rows {
        let mut line = String::new();
        for (width, cell) in widths.iter().zip(row) {
            line.push_str(cell);
            line.push_str(&" ".repeat(width.saturating_sub(cell.width()) + 3));
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// `35s`, `12m`, `5h3m`, `4d2h`, `12d`, `2y30d`: kubectl's ages.
pub fn age(from: Timestamp, to: Timestamp) -> String {
    let seconds = to.as_second().saturating_sub(from.as_second()).max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    let pair = |a: i64, unit: &str, b: i64, small: &str| if b == 0 { format!("{a}{unit}") } else { format!("{a}{unit}{b}{small}") };
    match () {
        () if seconds < 120 => format!("{seconds}s"),
        () if minutes < 10 => pair(minutes, "m", seconds % 60, "s"),
        () if hours < 3 => format!("{minutes}m"),
        () if hours < 8 => pair(hours, "h", minutes % 60, "m"),
        () if hours < 48 => format!("{hours}h"),
        () if days < 8 => pair(days, "d", hours % 24, "h"),
        () if days < 730 => format!("{days}d"),
        () => pair(days / 365, "y", days % 365, "d"),
    }
}

/// `12.3 MiB`.
pub fn size(bytes: u64) -> String {
    let units = [(1_u64 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match units.into_iter().find(|(power, _)| bytes >= *power) {
        Some((power, unit)) => format!("{:.1} {unit}", bytes as f64 / power as f64),
        None => format!("{bytes} B"),
    }
}

/// `1 object`, `2 objects`.
pub fn count(number: u64, thing: &str) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    let plural = if number == 1 { "" } else { "s" };
    format!("{grouped} {thing}{plural}")
}

/// The first few of a list, and how many more there are.
pub fn some(names: &[String], most: usize) -> String {
    let mut out = names.iter().take(most).cloned().collect::<Vec<_>>().join(", ");
    if names.len() > most {
        out.push_str(&format!(" and {} more", names.len() - most));
    }
    out
}

/// `500M`, `2GiB`, `1000`: bytes. Units are powers of 1024.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(end).unwrap_or((text, ""));
    let power = match unit.trim().trim_end_matches(['B', 'b']).trim_end_matches('i').to_ascii_uppercase().as_str() {
        "" => 0,
        "K" => 10,
        "M" => 20,
        "G" => 30,
        "T" => 40,
        _ => return Err("write a number and K, M, G or T, as in 500M".to_owned()),
    };
    let bytes = number.parse::<u64>().ok().and_then(|number| number.checked_mul(1 << power));
    bytes.ok_or_else(|| "write a number and K, M, G or T, as in 500M".to_owned())
}

/// A time as people read it, in UTC.
pub fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// Prints a value as JSON or YAML.
pub fn structured<T: serde::Serialize>(value: &T, yaml: bool) -> anyhow::Result<()> {
    let value = serde_json::to_value(value)?;
    if yaml {
        let mut out = Vec::new();
        kubestash::object::yaml::write_value(&value, &mut out)?;
        print_bytes(&out)
    } else {
        print_bytes(format!("{}\n", serde_json::to_string_pretty(&value)?).as_bytes())
    }
}

/// Writes to stdout. A reader that went away, as behind `| head`, is no error.
pub fn print_bytes(bytes: &[u8]) -> anyhow::Result<()> {
    use std::io::Write as _;

    let mut out = std::io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => std::process::exit(i32::from(super::exit::OK)),
        other => Ok(other?),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn tables_line_up() {
        let text = table(&["NAME", "AGE"], &[vec!["long-name".into(), "1s".into()], vec!["x".into(), String::new()]]);
        assert_eq!(text, "NAME        AGE\nlong-name   1s\nx\n");
    }

    #[test]
    fn sizes_are_read() {
        for (text, bytes) in
            [("0", Ok(0)), ("1000", Ok(1000)), ("500M", Ok(500 << 20)), ("2GiB", Ok(2 << 30)), ("1kb", Ok(1024)), ("3 T", Ok(3 << 40))]
        {
            assert_eq!(parse_size(text), bytes, "{text}");
        }
        for text in ["", "M", "1.5G", "-1", "5X", "99999999999999T"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn long_lists_end_with_a_number() {
        let names: Vec<String> = ["a", "b", "c"].map(str::to_owned).into();
        assert_eq!((some(&names, 3), some(&names, 1)), ("a, b, c".to_owned(), "a and 2 more".to_owned()));
    }

    #[test]
    fn ages_and_counts_read_as_kubectls() {
        for (seconds, text) in
            [(5, "5s"), (125, "2m5s"), (3600, "60m"), (4 * 3600 + 60, "4h1m"), (86400, "24h"), (3 * 86400, "3d"), (400 * 86400, "400d")]
        {
            assert_eq!(age(Timestamp::UNIX_EPOCH, Timestamp::from_second(seconds).unwrap()), text);
        }
        assert_eq!((count(1, "object"), count(1234567, "object")), ("1 object".into(), "1,234,567 objects".into()));
    }
}
