//! `printf`: the verbs `%s %v %q %d %t %f %x %%`, with `-`, `0`, width and precision.
//!
//! Where Go writes a complaint into the text (`%!d(string=…)`), this is an error: a message that nobody can read is found out early.

use serde_json::Value;

use super::{
    eval::MAX_RESULT,
    functions::{kind, quoted, text},
};

/// Widest field and highest precision.
const MAX_WIDTH: usize = 1000;

struct Verb {
    left: bool,
    zeros: bool,
    width: usize,
    precision: Option<usize>,
    letter: char,
}

/// Fills values into a format.
pub fn printf(format: &str, values: &[Value]) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = format;
    let mut values = values.iter();
    while let Some(at) = rest.find('%') {
        let (before, behind) = (rest.get(..at).unwrap_or_default(), rest.get(at + 1..).unwrap_or_default());
        out.push_str(before);
        if let Some(behind) = behind.strip_prefix('%') {
            out.push('%');
            rest = behind;
            continue;
        }
        let (verb, behind) = verb(behind)?;
        let value = values.next().ok_or_else(|| "printf has more verbs than values".to_owned())?;
        out.push_str(&padded(&verb, &shown(&verb, value)?));
        rest = behind;
        if out.len() > MAX_RESULT {
            return Err("printf makes too much".to_owned());
        }
    }
    out.push_str(rest);
    match values.next() {
        None => Ok(out),
        Some(_) => Err("printf has fewer verbs than values".to_owned()),
    }
}

fn verb(text: &str) -> Result<(Verb, &str), String> {
    let flags = text.trim_start_matches(['-', '0', '+', '#', ' ']);
    let given = text.get(..text.len() - flags.len()).unwrap_or_default();
    if let Some(odd) = given.chars().find(|c| !matches!(c, '-' | '0')) {
        return Err(format!("printf does not know the flag {odd:?}"));
    }
    let (width, behind) = number(flags)?;
    let (precision, behind) = match behind.strip_prefix('.') {
        Some(behind) => {
            let (precision, behind) = number(behind)?;
            (Some(precision), behind)
        }
        None => (None, behind),
    };
    let letter = behind.chars().next().ok_or("printf ends within a verb; write %% for a percent sign")?;
    let verb = Verb { left: given.contains('-'), zeros: given.contains('0'), width, precision, letter };
    Ok((verb, behind.get(letter.len_utf8()..).unwrap_or_default()))
}

fn number(text: &str) -> Result<(usize, &str), String> {
    let behind = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let digits = text.get(..text.len() - behind.len()).unwrap_or_default();
    let number = if digits.is_empty() { 0 } else { digits.parse().unwrap_or(usize::MAX) };
    if number > MAX_WIDTH { Err(format!("printf takes no width above {MAX_WIDTH}")) } else { Ok((number, behind)) }
}

fn shown(verb: &Verb, value: &Value) -> Result<String, String> {
    let cut = |text: String| verb.precision.map_or(text.clone(), |most| text.chars().take(most).collect());
    let unfit = || format!("printf %{} cannot show {}", verb.letter, kind(value));
    match (verb.letter, value) {
        ('s', Value::String(text)) => Ok(cut(text.clone())),
        ('q', Value::String(text)) => Ok(quoted(&cut(text.clone()))),
        ('x', Value::String(text)) => Ok(text.bytes().map(|byte| format!("{byte:02x}")).collect()),
        ('s', Value::Array(_) | Value::Object(_)) | ('v', _) => Ok(text(value)),
        ('d', Value::Number(number)) if !number.is_f64() => Ok(number.to_string()),
        ('x', Value::Number(number)) => number.as_i64().map(|number| format!("{number:x}")).ok_or_else(unfit),
        ('f', Value::Number(number)) if number.is_f64() => {
            number.as_f64().map(|number| format!("{number:.*}", verb.precision.unwrap_or(6))).ok_or_else(unfit)
        }
        ('t', Value::Bool(value)) => Ok(value.to_string()),
        ('s' | 'q' | 'd' | 'x' | 'f' | 't', _) => Err(unfit()),
        (letter, _) => Err(format!("printf does not know %{letter}; there are %s %v %q %d %t %f %x %%")),
    }
}

fn padded(verb: &Verb, text: &str) -> String {
    let missing = verb.width.saturating_sub(text.chars().count());
    match (verb.left, verb.zeros) {
        (true, _) => format!("{text}{}", " ".repeat(missing)),
        (false, false) => format!("{}{text}", " ".repeat(missing)),
        (false, true) => match text.strip_prefix('-') {
            Some(digits) => format!("-{}{digits}", "0".repeat(missing)),
            None => format!("{}{text}", "0".repeat(missing)),
        },
    }
}
