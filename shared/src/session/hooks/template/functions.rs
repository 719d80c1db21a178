//! The functions of templates: Go's own, and those of sprig that messages are made with.

use serde_json::{Map, Value};

use super::{eval::MAX_RESULT, printf};

/// All of them.
pub const NAMES: [&str; 29] = [
    "and",
    "coalesce",
    "contains",
    "default",
    "dict",
    "empty",
    "eq",
    "ge",
    "gt",
    "hasPrefix",
    "hasSuffix",
    "index",
    "le",
    "len",
    "list",
    "lower",
    "lt",
    "ne",
    "not",
    "or",
    "print",
    "printf",
    "quote",
    "replace",
    "squote",
    "ternary",
    "toJson",
    "trim",
    "upper",
];

/// Whether there is one of this name.
pub fn is_known(name: &str) -> bool {
    NAMES.contains(&name)
}

/// Whether a value counts as true: all but false, nothing, zero and what is empty.
pub fn truth(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
    }
}

/// How Go prints a value.
pub fn text(value: &Value) -> String {
    match value {
        Value::Null => "<no value>".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => format!("[{}]", items.iter().map(text).collect::<Vec<_>>().join(" ")),
        Value::Object(fields) => {
            let mut pairs: Vec<String> = fields.iter().map(|(key, value)| format!("{key}:{}", text(value))).collect();
            pairs.sort();
            format!("map[{}]", pairs.join(" "))
        }
        Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

/// A text in quotes as Go writes it.
pub fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// JSON as Go writes it: with sorted keys, and harmless inside of HTML.
fn json(value: &Value) -> String {
    let sorted = sort(value).to_string();
    // These stand only in texts, which may hold escapes.
    let escapes = [("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026"), ("\u{2028}", "\\u2028"), ("\u{2029}", "\\u2029")];
    escapes.iter().fold(sorted, |json, (from, to)| json.replace(from, to))
}

fn sort(value: &Value) -> Value {
    match value {
        Value::Array(items) => Value::Array(items.iter().map(sort).collect()),
        Value::Object(fields) => {
            let mut pairs: Vec<(&String, &Value)> = fields.iter().collect();
            pairs.sort_by_key(|(key, _)| key.as_str());
            Value::Object(pairs.into_iter().map(|(key, value)| (key.clone(), sort(value))).collect())
        }
        other => other.clone(),
    }
}

/// Arguments of a call, taken one after the other.
struct Arguments<'a> {
    name: &'a str,
    values: std::vec::IntoIter<Value>,
}

impl Arguments<'_> {
    fn next(&mut self) -> Result<Value, String> {
        self.values.next().ok_or_else(|| format!("{} needs more values", self.name))
    }

    fn string(&mut self) -> Result<String, String> {
        match self.next()? {
            Value::String(text) => Ok(text),
            other => Err(format!("{} takes texts, and got {}", self.name, kind(&other))),
        }
    }

    fn end(&self) -> Result<(), String> {
        if self.values.len() == 0 { Ok(()) } else { Err(format!("{} got too many values", self.name)) }
    }
}

/// What a value is, in words.
pub fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nil",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a dict",
    }
}

/// Calls a function. The error is what is wrong with the values.
pub fn call(name: &str, values: Vec<Value>) -> Result<Value, String> {
    let mut all = Arguments { name, values: values.into_iter() };
    let result = match name {
        "and" => last(&mut all, |value| !truth(value))?,
        "or" | "coalesce" => last(&mut all, truth)?,
        "not" => Value::Bool(!truth(&all.next()?)),
        "empty" => Value::Bool(!truth(&all.next()?)),
        "eq" => {
            let first = all.next()?;
            let second = all.next()?;
            let mut equal = same(&first, &second)?;
            for other in all.values.by_ref() {
                equal |= same(&first, &other)?;
            }
            Value::Bool(equal)
        }
        "ne" => Value::Bool(!same(&all.next()?, &all.next()?)?),
        "lt" => Value::Bool(order(&mut all)?.is_lt()),
        "le" => Value::Bool(order(&mut all)?.is_le()),
        "gt" => Value::Bool(order(&mut all)?.is_gt()),
        "ge" => Value::Bool(order(&mut all)?.is_ge()),
        "default" => {
            let default = all.next()?;
            let given = all.values.next().unwrap_or_default();
            if truth(&given) { given } else { default }
        }
        "ternary" => {
            let (yes, no) = (all.next()?, all.next()?);
            if truth(&all.next()?) { yes } else { no }
        }
        "dict" => dict(&mut all)?,
        "list" => Value::Array(all.values.by_ref().collect()),
        "index" => index(&mut all)?,
        "len" => match all.next()? {
            Value::String(text) => text.len().into(),
            Value::Array(items) => items.len().into(),
            Value::Object(fields) => fields.len().into(),
            other => return Err(format!("len takes a text, a list or a dict, and got {}", kind(&other))),
        },
        "print" => Value::String(all.values.by_ref().map(|value| text(&value)).collect()),
        "printf" => {
            let format = all.string()?;
            Value::String(printf::printf(&format, &all.values.by_ref().collect::<Vec<_>>())?)
        }
        "quote" => joined(&mut all, quoted),
        "squote" => joined(&mut all, |text| format!("'{text}'")),
        "toJson" => Value::String(json(&all.next()?)),
        "upper" => Value::String(all.string()?.to_uppercase()),
        "lower" => Value::String(all.string()?.to_lowercase()),
        "trim" => Value::String(all.string()?.trim().to_owned()),
        "replace" => {
            let (from, to, text) = (all.string()?, all.string()?, all.string()?);
            if from.is_empty() {
                return Err("replace needs a text that is replaced".to_owned());
            }
            if text.matches(&from).count().saturating_mul(to.len()) > MAX_RESULT {
                return Err("replace makes too much".to_owned());
            }
            Value::String(text.replace(&from, &to))
        }
        "contains" => {
            let part = all.string()?;
            Value::Bool(all.string()?.contains(&part))
        }
        "hasPrefix" => {
            let part = all.string()?;
            Value::Bool(all.string()?.starts_with(&part))
        }
        "hasSuffix" => {
            let part = all.string()?;
            Value::Bool(all.string()?.ends_with(&part))
        }
        _ => return Err(format!("the function {name} is not known")),
    };
    all.end()?;
    Ok(result)
}

/// The first value that decides, or the last one.
fn last(all: &mut Arguments<'_>, decides: impl Fn(&Value) -> bool) -> Result<Value, String> {
    let mut value = all.next()?;
    for next in all.values.by_ref() {
        if !decides(&value) {
            value = next;
        }
    }
    Ok(value)
}

fn same(one: &Value, other: &Value) -> Result<bool, String> {
    match (one, other) {
        (Value::Null, _) | (_, Value::Null) => Ok(one == other),
        (Value::Number(one), Value::Number(other)) => Ok(one.as_f64() == other.as_f64()),
        (Value::Array(_) | Value::Object(_), _) | (_, Value::Array(_) | Value::Object(_)) => Err("lists and dicts cannot be compared".to_owned()),
        _ if kind(one) == kind(other) => Ok(one == other),
        _ => Err(format!("{} cannot be compared with {}", kind(one), kind(other))),
    }
}

fn order(all: &mut Arguments<'_>) -> Result<std::cmp::Ordering, String> {
    let (one, other) = (all.next()?, all.next()?);
    match (&one, &other) {
        (Value::String(one), Value::String(other)) => Ok(one.cmp(other)),
        (Value::Number(one), Value::Number(other)) => {
            one.as_f64().partial_cmp(&other.as_f64()).ok_or_else(|| "these numbers have no order".to_owned())
        }
        _ => Err(format!("{} and {} have no order", kind(&one), kind(&other))),
    }
}

fn dict(all: &mut Arguments<'_>) -> Result<Value, String> {
    let mut fields = Map::new();
    while let Some(key) = all.values.next() {
        // As sprig does, a last key without its value gets an empty text.
        let value = all.values.next().unwrap_or_else(|| Value::String(String::new()));
        fields.insert(text(&key), value);
    }
    Ok(Value::Object(fields))
}

fn index(all: &mut Arguments<'_>) -> Result<Value, String> {
    let mut value = all.next()?;
    for key in all.values.by_ref() {
        value = match (value, &key) {
            (Value::Object(mut fields), Value::String(key)) => fields.remove(key).unwrap_or_default(),
            (Value::Array(items), Value::Number(at)) => {
                let found = at.as_u64().and_then(|at| items.get(usize::try_from(at).ok()?));
                found.cloned().ok_or_else(|| format!("the list has {} values, and none at {at}", items.len()))?
            }
            (value, key) => return Err(format!("index cannot look up {} in {}", kind(key), kind(&value))),
        };
    }
    Ok(value)
}

fn joined(all: &mut Arguments<'_>, each: impl Fn(&str) -> String) -> Value {
    let parts: Vec<String> = all.values.by_ref().filter(|value| !value.is_null()).map(|value| each(&text(&value))).collect();
    Value::String(parts.join(" "))
}
