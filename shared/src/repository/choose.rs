//! Which snapshot a person means: name, unique beginning of a name or id, `latest`, or a time. The same in every program.

use jiff::Timestamp;

use super::Root;

/// The newest snapshot.
pub const LATEST: &str = "latest";

/// Why no snapshot was chosen.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChooseError {
    /// There is none at all.
    #[error("the repository holds no snapshot")]
    Empty,
    /// None of that name.
    #[error("there is no snapshot {wanted:?}")]
    Unknown {
        /// What was asked for.
        wanted: String,
        /// The newest ones.
        near: String,
    },
    /// A time before all of them.
    #[error("there is no snapshot of {wanted} or before: the oldest one is of {oldest}")]
    TooEarly {
        /// What was asked for.
        wanted: String,
        /// Time of the oldest.
        oldest: Timestamp,
    },
    /// More than one begins like that.
    #[error("{wanted:?} is the beginning of several snapshots")]
    Several {
        /// What was asked for.
        wanted: String,
        /// Some of them.
        names: String,
    },
}

/// Finds the snapshot that is meant. `roots` are sorted, oldest first. A time means the newest snapshot that is not younger; a date means its
/// end; without a zone both are in UTC.
///
/// # Errors
/// [`ChooseError`] when there is none, or more than one.
pub fn choose<'a>(roots: &'a [Root], text: &str) -> Result<&'a Root, ChooseError> {
    let wanted = || text.to_owned();
    let newest = roots.last().ok_or(ChooseError::Empty)?;
    if text == LATEST {
        return Ok(newest);
    }
    // Of equal names the newest is meant.
    if let Some(root) = roots.iter().rev().find(|root| root.name == text || root.id.to_string() == text) {
        return Ok(root);
    }
    let begins: Vec<&Root> =
        roots.iter().filter(|root| root.name.starts_with(text) || root.id.to_string().starts_with(&text.to_uppercase())).collect();
    match begins.as_slice() {
        [root] => return Ok(root),
        [] => {}
        several => return Err(ChooseError::Several { wanted: wanted(), names: names(several.iter().copied()) }),
    }
    if let Some(time) = parse_time(text) {
        let before = roots.iter().rev().find(|root| root.time <= time);
        return before.ok_or_else(|| ChooseError::TooEarly { wanted: wanted(), oldest: roots.first().map_or(time, |root| root.time) });
    }
    Err(ChooseError::Unknown { wanted: wanted(), near: names(roots.iter().rev()) })
}

fn names<'a>(roots: impl Iterator<Item = &'a Root>) -> String {
    let names: Vec<&str> = roots.map(|root| root.name.as_str()).take(5).collect();
    names.join(", ")
}

/// `2026-03-01`, `2026-03-01 12:00`, RFC 3339; without zone in UTC. A date means its end.
fn parse_time(text: &str) -> Option<Timestamp> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Some(time);
    }
    if let Ok(date) = text.parse::<jiff::civil::Date>()
        && text.len() <= 10
    {
        return date.at(23, 59, 59, 0).to_zoned(jiff::tz::TimeZone::UTC).ok().map(|zoned| zoned.timestamp());
    }
    let time: jiff::civil::DateTime = text.replace(' ', "T").parse().ok()?;
    time.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn root(name: &str, id: &str, second: i64) -> Root {
        serde_json::from_value(serde_json::json!({
            "id": id, "name": name, "time": Timestamp::from_second(second).unwrap().to_string(), "cluster": {"uid": "", "name": "", "serverVersion": ""},
            "filters": null, "resourceVersion": null, "kinds": [], "layers": [], "parent": null, "program": "", "durationMs": 0,
            "stats": {"objects": 0, "new": 0, "changed": 0, "unchanged": 0, "rawBytes": 0, "logicalBytes": 0, "storedBytes": 0},
        }))
        .unwrap()
    }

    #[test]
    fn names_times_and_beginnings() {
        let roots = [
            root("prod-1", "01ARZ3NDEKTSV4RRFFQ69G5FAA", 100),
            root("prod-2", "01BRZ3NDEKTSV4RRFFQ69G5FAA", 200),
            root("dev-1", "01CRZ3NDEKTSV4RRFFQ69G5FAA", 300),
        ];
        for (text, name) in [
            ("latest", "dev-1"),
            ("prod-1", "prod-1"),
            ("dev", "dev-1"),
            ("01b", "prod-2"),
            ("1970-01-01 00:04", "prod-2"),
            ("1970-01-01T00:01:40Z", "prod-1"),
            ("1970-01-01", "dev-1"),
        ] {
            assert_eq!(choose(&roots, text).unwrap().name, name, "{text}");
        }
        let several = ChooseError::Several { wanted: "prod".into(), names: "prod-1, prod-2".into() };
        assert_eq!(choose(&roots, "prod"), Err(several));
        let unknown = ChooseError::Unknown { wanted: "test".into(), near: "dev-1, prod-2, prod-1".into() };
        assert_eq!(choose(&roots, "test"), Err(unknown));
        let early = choose(&roots, "1969-12-31").unwrap_err();
        assert_eq!(early.to_string(), "there is no snapshot of 1969-12-31 or before: the oldest one is of 1970-01-01T00:01:40Z");
        assert_eq!(choose(&[], "latest"), Err(ChooseError::Empty));
    }
}
