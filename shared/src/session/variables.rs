//! `${name}` in Functions and Addons: the dialect that KubeStash's catalogue is written in.
//!
//! | written | becomes |
//! |---|---|
//! | `${x}` | the value; an unknown name is an error |
//! | `${x:=d}` `${x:-d}` `${x=d}` `${x-d}` | the value, or `d` where there is none; a value that is empty stays empty |
//! | `${x^}` `${x^^}` `${x,}` `${x,,}` | first letter or all in upper or lower case |
//! | `${x#p}` `${x##p}` `${x%p}` `${x%%p}` | without the shortest or longest beginning or end that the glob `p` matches |
//! | `${x/a/b}` `${x//a/b}` `${x/#a/b}` `${x/%a/b}` | first, all, beginning or end `a` replaced by `b` |
//! | `${x:3}` `${x:3:2}` `${#x}` | from the fourth character on, two characters from there, their number |
//! | `$${x}` | `${x}` itself |
//!
//! Values are put into the strings of a JSON value, never into JSON text: quotes and backslashes in them are harmless.

use std::collections::BTreeMap;

use globset::GlobBuilder;
use serde_json::Value;

/// Values by name.
pub type Variables = BTreeMap<String, String>;

/// Strings that come out of one substitution are at most this long: a hostile pattern must not fill the memory.
const MAX_RESULT: usize = 1 << 20;

/// Why a text cannot be resolved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VariableError {
    /// Nothing is known of this name, and the text has no default.
    #[error("the variable {name} in {text:?} has no value; set it in the task's params, or give it a default: ${{{name}:=VALUE}}")]
    Unknown {
        /// The name.
        name: String,
        /// Where it is used.
        text: String,
    },
    /// Not of the dialect.
    #[error("{text:?} cannot be resolved: {reason}")]
    Syntax {
        /// The text.
        text: String,
        /// What is wrong.
        reason: String,
    },
}

/// Resolves all strings of a value, in place; keys of mappings stay as they are.
///
/// # Errors
/// The first string that cannot be resolved.
pub fn resolve_all(value: &mut Value, variables: &Variables) -> Result<(), VariableError> {
    match value {
        Value::String(text) => *text = resolve(text, variables)?,
        Value::Array(items) => items.iter_mut().try_for_each(|item| resolve_all(item, variables))?,
        Value::Object(fields) => fields.values_mut().try_for_each(|field| resolve_all(field, variables))?,
        _ => {}
    }
    Ok(())
}

/// Resolves one string.
///
/// # Errors
/// `Unknown`, or `Syntax` of the text.
pub fn resolve(text: &str, variables: &Variables) -> Result<String, VariableError> {
    resolve_ours(text, variables, &|_| true)
}

/// Resolves one string, and leaves alone what is not `ours` by its name: in a command, the shell has variables too.
///
/// # Errors
/// As [`resolve`], of names that are ours.
pub fn resolve_ours(text: &str, variables: &Variables, ours: &dyn Fn(&str) -> bool) -> Result<String, VariableError> {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let before = &rest[..at];
        let expression = &rest[at + 2..];
        if !ours(name_of(expression.strip_prefix('#').unwrap_or(expression))) {
            out.push_str(&rest[..at + 2]);
            rest = expression;
            continue;
        }
        let end = closing_brace(expression).ok_or_else(|| syntax(text, "a brace is not closed"))?;
        if let Some(before) = before.strip_suffix('$') {
            out.push_str(before);
            out.push_str(&rest[at..at + 3 + end]);
        } else {
            out.push_str(before);
            out.push_str(&evaluate(&expression[..end], variables, text)?);
        }
        if out.len() > MAX_RESULT {
            return Err(syntax(text, "the result is longer than 1 MiB"));
        }
        rest = &expression[end + 1..];
    }
    out.push_str(rest);
    Ok(out)
}

/// The name that an expression begins with.
fn name_of(expression: &str) -> &str {
    let end = expression.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(expression.len());
    &expression[..end]
}

/// Place of the brace that closes an expression; defaults may hold expressions of their own.
fn closing_brace(expression: &str) -> Option<usize> {
    let mut depth = 0_u32;
    for (at, byte) in expression.bytes().enumerate() {
        match byte {
            b'{' if at > 0 && expression.as_bytes().get(at - 1) == Some(&b'$') => depth += 1,
            b'}' if depth == 0 => return Some(at),
            b'}' => depth -= 1,
            _ => {}
        }
    }
    None
}

fn syntax(text: &str, reason: &str) -> VariableError {
    VariableError::Syntax { text: text.to_owned(), reason: reason.to_owned() }
}

fn evaluate(expression: &str, variables: &Variables, text: &str) -> Result<String, VariableError> {
    let (counted, expression) = match expression.strip_prefix('#') {
        Some(name) => (true, name),
        None => (false, expression),
    };
    let name = name_of(expression);
    let operation = &expression[name.len()..];
    if name.is_empty() {
        return Err(syntax(text, "a name is missing behind ${"));
    }
    let value = variables.get(name);
    let default = [":=", ":-", "=", "-"].iter().find_map(|operator| operation.strip_prefix(operator));
    if let Some(default) = default {
        return value.map_or_else(|| resolve(default, variables), |value| Ok(value.clone()));
    }
    let value = value.ok_or_else(|| VariableError::Unknown { name: name.to_owned(), text: text.to_owned() })?;
    if counted {
        return Ok(value.chars().count().to_string());
    }
    operate(value, operation, text)
}

fn operate(value: &str, operation: &str, text: &str) -> Result<String, VariableError> {
    let mut characters = value.chars();
    Ok(match operation {
        "" => value.to_owned(),
        "^^" => value.to_uppercase(),
        ",," => value.to_lowercase(),
        "^" => characters.next().map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect()),
        "," => characters.next().map_or_else(String::new, |first| first.to_lowercase().chain(characters).collect()),
        _ => {
            let longer = |prefix: &str| operation.strip_prefix(prefix);
            if let Some(pattern) = longer("##") {
                cut(value, pattern, text, &Cut { front: true, longest: true })?
            } else if let Some(pattern) = longer("#") {
                cut(value, pattern, text, &Cut { front: true, longest: false })?
            } else if let Some(pattern) = longer("%%") {
                cut(value, pattern, text, &Cut { front: false, longest: true })?
            } else if let Some(pattern) = longer("%") {
                cut(value, pattern, text, &Cut { front: false, longest: false })?
            } else if let Some(rest) = longer("//") {
                let (from, to) = rest.split_once('/').unwrap_or((rest, ""));
                if from.is_empty() { value.to_owned() } else { value.replace(from, to) }
            } else if let Some(rest) = longer("/#") {
                let (from, to) = rest.split_once('/').unwrap_or((rest, ""));
                value.strip_prefix(from).map_or_else(|| value.to_owned(), |rest| format!("{to}{rest}"))
            } else if let Some(rest) = longer("/%") {
                let (from, to) = rest.split_once('/').unwrap_or((rest, ""));
                value.strip_suffix(from).map_or_else(|| value.to_owned(), |rest| format!("{rest}{to}"))
            } else if let Some(rest) = longer("/") {
                let (from, to) = rest.split_once('/').unwrap_or((rest, ""));
                value.replacen(from, to, 1)
            } else if let Some(rest) = longer(":") {
                part(value, rest).ok_or_else(|| syntax(text, "behind a colon come a place and maybe a length, as numbers"))?
            } else {
                return Err(syntax(text, &format!("the operation {operation:?} is not known")));
            }
        }
    })
}

struct Cut {
    front: bool,
    longest: bool,
}

/// Removes a beginning or an end that a glob matches.
fn cut(value: &str, pattern: &str, text: &str, how: &Cut) -> Result<String, VariableError> {
    let glob = GlobBuilder::new(pattern).literal_separator(false).build().map_err(|error| syntax(text, &error.to_string()))?.compile_matcher();
    let mut places: Vec<usize> = value.char_indices().map(|(at, _)| at).chain([value.len()]).collect();
    // The shortest beginning ends first, the shortest end begins last.
    if how.front == how.longest {
        places.reverse();
    }
    let matching = places.into_iter().find(|at| glob.is_match(if how.front { &value[..*at] } else { &value[*at..] }));
    Ok(match matching {
        Some(at) if how.front => value[at..].to_owned(),
        Some(at) => value[..at].to_owned(),
        None => value.to_owned(),
    })
}

/// `FROM` or `FROM:LENGTH`, in characters.
fn part(value: &str, range: &str) -> Option<String> {
    let (from, length) = range.split_once(':').map_or((range, None), |(from, length)| (from, Some(length)));
    let from: usize = from.trim().parse().ok()?;
    let length = length.map(|length| length.trim().parse::<usize>()).transpose().ok()?.unwrap_or(usize::MAX);
    Some(value.chars().skip(from).take(length).collect())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn variables() -> Variables {
        [("name", "Web-Server"), ("empty", ""), ("path", "a/b/c.tar.gz"), ("quoted", r#"say "hi" \ there"#)]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into()
    }

    #[test]
    fn the_dialect() {
        for (text, wanted) in [
            ("no variable $name {name}", "no variable $name {name}"),
            ("--name=${name}!", "--name=Web-Server!"),
            ("${name:=x}", "Web-Server"),
            ("${missing:=x}", "x"),
            ("${missing:-x y}", "x y"),
            ("${missing=x}", "x"),
            ("${missing:=}", ""),
            ("${empty:=x}", ""),
            ("${missing:=${name}/y}", "Web-Server/y"),
            ("${missing:=${other:=z}}", "z"),
            ("$${name}", "${name}"),
            ("${name^^}", "WEB-SERVER"),
            ("${name,,}", "web-server"),
            ("${name,}", "web-Server"),
            ("${path^}", "A/b/c.tar.gz"),
            ("${path#*/}", "b/c.tar.gz"),
            ("${path##*/}", "c.tar.gz"),
            ("${path%.*}", "a/b/c.tar"),
            ("${path%%.*}", "a/b/c"),
            ("${path#x}", "a/b/c.tar.gz"),
            ("${path/b/x}", "a/x/c.tar.gz"),
            ("${name//e/E}", "WEb-SErvEr"),
            ("${name/#Web/App}", "App-Server"),
            ("${name/%Server/x}", "Web-x"),
            ("${name:4}", "Server"),
            ("${name:4:3}", "Ser"),
            ("${#name}", "10"),
            ("${quoted}", r#"say "hi" \ there"#),
            ("${name}${name}", "Web-ServerWeb-Server"),
        ] {
            assert_eq!(resolve(text, &variables()).as_deref(), Ok(wanted), "{text}");
        }
    }

    #[test]
    fn names_of_others_stay() {
        let ours = |name: &str| name == "name" || name == "gone";
        for (text, wanted) in [
            ("${name} ${HOME} ${#path} ${} ${path:-${name}}", "Web-Server ${HOME} ${#path} ${} ${path:-Web-Server}"),
            ("$${HOME} $${name} ${!x} ${HOME", "$${HOME} ${name} ${!x} ${HOME"),
        ] {
            assert_eq!(resolve_ours(text, &variables(), &ours).as_deref(), Ok(wanted), "{text}");
        }
        assert!(matches!(resolve_ours("${gone}", &variables(), &ours), Err(VariableError::Unknown { .. })));
    }

    #[test]
    fn what_cannot_be_resolved_says_why() {
        let unknown = resolve("--user=${user}", &variables()).unwrap_err();
        assert!(unknown.to_string().contains("user") && unknown.to_string().contains("${user:=VALUE}"), "{unknown}");
        for text in ["${name", "${}", "${:=x}", "${name!}", "${name:x}", "${name#[}"] {
            assert!(matches!(resolve(text, &variables()), Err(VariableError::Syntax { .. })), "{text}");
        }
    }

    #[test]
    fn values_cannot_break_out_of_their_string() {
        let mut value = serde_json::json!({"args": ["--x=${quoted}"], "n": 1, "${name}": null});
        resolve_all(&mut value, &variables()).unwrap();
        assert_eq!(value, serde_json::json!({"args": [r#"--x=say "hi" \ there"#], "n": 1, "${name}": null}));
    }
}
