//! Where canonical YAML is meant to differ from what kubectl prints, and why. Everything else has kubectl's bytes.

use serde_json::json;

/// Where a string stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// The value of a member, or an item.
    Value,
    /// The key of a member.
    Key,
}

/// Why our bytes differ from kubectl's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// kubectl converts its JSON through its YAML reader, which refuses DEL, the upper control characters, U+FFFE and U+FFFF. Ours are escaped.
    KubectlCannotPrint,
    /// The same reader refuses keys that take more than 1024 characters in JSON, and takes U+0085 for the end of a line, which no key may hold.
    /// Ours are written as other keys of their sort are.
    KubectlCannotPrintKey,
    /// In values U+0085 passes as the end of a line: kubectl prints another text than it was given. Ours is escaped.
    KubectlLosesText,
    /// U+2028 and U+2029 end lines for YAML 1.1 but not for YAML 1.2, so readers disagree on kubectl's text. Ours are escaped.
    LineSeparator,
    /// Readers take a bare `<<` key for a merge, and a bare value for an error. Ours are quoted.
    MergeKey,
    /// Integers with a base and more than 64 bits are strings for kubectl, but numbers or errors for others. Ours are quoted.
    NumberForOthers,
    /// Of text that starts with U+FEFF kubectl escapes every single character. Ours escapes the mark.
    ByteOrderMark,
    /// kubectl writes keys that hold the end of a line as `? key`. Ours are quoted.
    KeyOfSeveralLines,
}

/// The reason for which a string may look different from kubectl's print: decided without looking at the print.
pub fn may_differ(string: &str, place: Place) -> Option<Reason> {
    if string.contains(|c| matches!(c, '\u{7f}'..='\u{84}' | '\u{86}'..='\u{9f}' | '\u{fffe}' | '\u{ffff}')) {
        Some(Reason::KubectlCannotPrint)
    } else if place == Place::Key && (json_length(string) > 1024 || string.contains('\u{85}')) {
        Some(Reason::KubectlCannotPrintKey)
    } else if string.contains('\u{85}') {
        Some(Reason::KubectlLosesText)
    } else if string.contains(['\u{2028}', '\u{2029}']) {
        Some(Reason::LineSeparator)
    } else if string.starts_with('\u{feff}') {
        Some(Reason::ByteOrderMark)
    } else if is_wide_with_base(string) {
        Some(Reason::NumberForOthers)
    } else if string == "<<" {
        Some(Reason::MergeKey)
    } else {
        (place == Place::Key && string.contains(['\n', '\r'])).then_some(Reason::KeyOfSeveralLines)
    }
}

fn is_wide_with_base(string: &str) -> bool {
    let unsigned = string.strip_prefix(['+', '-']).unwrap_or(string).to_ascii_lowercase();
    unsigned.len() > 16 && ["0x", "0o", "0b"].iter().any(|base| unsigned.starts_with(base))
}

/// Characters of a string as kubectl writes it in JSON: with more escapes than others use.
fn json_length(string: &str) -> usize {
    let escaped = |c: char| if matches!(c, '<' | '>' | '&' | '\u{2028}' | '\u{2029}') { 6 } else { 1 };
    json!(string).to_string().chars().map(escaped).sum()
}

/// Where kubectl's rule for keys is no order: behind a common digit, a letter against something else. See `compare_keys` in the library.
pub fn order_is_ours(a: &str, b: &str) -> bool {
    let common = a.bytes().zip(b.bytes()).take_while(|(x, y)| x == y).count();
    let letter = |text: &str| text.as_bytes().get(common).map(u8::is_ascii_alphabetic);
    a.as_bytes()[..common].last().is_some_and(u8::is_ascii_digit) && matches!((letter(a), letter(b)), (Some(x), Some(y)) if x != y)
}
