//! Which snapshot is meant: name, unique beginning of a name or id, `latest`, or a time.

use jiff::Timestamp;
use kubestash::repository::{Root, SnapshotList};

use super::{CliContext, errors::hinted, repo::OpenRepository};

/// The cluster as it is now, wherever a snapshot is taken.
pub const LIVE: &str = "live";
const LATEST: &str = "latest";

impl OpenRepository {
    /// All snapshots, with a warning for each that cannot be read.
    pub async fn list(&self, context: &CliContext) -> anyhow::Result<SnapshotList> {
        let list = self.repository.snapshots().await?;
        for (_, error) in &list.damaged {
            context.note(&format!("warning: a snapshot cannot be read: {error}"));
        }
        Ok(list)
    }

    /// The snapshot that a person means.
    pub async fn snapshot(&self, context: &CliContext, text: &str) -> anyhow::Result<Root> {
        let list = self.list(context).await?;
        choose(&list.roots, text).cloned().map_err(|problem| match problem {
            Problem::Empty => hinted(format!("the repository at {} holds no snapshot", self.place), "make one with `kubectl kubestash backup`"),
            Problem::Unknown(near) => hinted(format!("there is no snapshot {text:?}"), near),
            Problem::Several(names) => hinted(format!("{text:?} is the beginning of several snapshots"), format!("name one of {names}")),
        })
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Problem {
    Empty,
    Unknown(String),
    Several(String),
}

/// `roots` are sorted, oldest first.
fn choose<'a>(roots: &'a [Root], text: &str) -> Result<&'a Root, Problem> {
    let newest = roots.last().ok_or(Problem::Empty)?;
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
        several => return Err(Problem::Several(names(several.iter().copied()))),
    }
    if let Some(time) = parse_time(text) {
        let before = roots.iter().rev().find(|root| root.time <= time);
        return before.ok_or_else(|| {
            Problem::Unknown(format!("the oldest one is of {}", roots.first().map_or_else(String::new, |root| super::output::time(root.time))))
        });
    }
    Err(Problem::Unknown(format!("there are {}; `kubectl kubestash snapshots` lists all", names(roots.iter().rev()))))
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
            "id": id, "name": name, "time": Timestamp::from_second(second).unwrap().to_string(), "cluster": {"uid": "", "name": "", "server_version": ""},
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
        assert_eq!(choose(&roots, "prod").unwrap_err(), Problem::Several("prod-1, prod-2".into()));
        assert!(matches!(choose(&roots, "test"), Err(Problem::Unknown(_))));
        assert_eq!(choose(&[], "latest").unwrap_err(), Problem::Empty);
    }
}
