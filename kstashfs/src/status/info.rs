//! `.kstashfs/info`: what is mounted, as YAML.

use std::path::Path;

use jiff::Timestamp;
use kubestash::{object::yaml, repository::Access};
use serde::{Deserialize, Serialize};

use super::UnreadableList;
use crate::forest::Forest;

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Info {
    /// Of the program.
    pub version: String,
    /// Id of the process that serves the mount.
    pub process: u32,
    /// When it was mounted.
    pub since: Timestamp,
    /// The directory.
    pub mountpoint: String,
    /// The repository, as its user named it.
    pub repository: String,
    /// Whether the password opens the values of Secrets, and they are shown.
    pub secrets: Secrets,
    /// Whether files show whole objects.
    pub full: bool,
    /// The snapshot; of a mount of all the newest.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub snapshot: Option<Shown>,
    /// Number of snapshots, of a mount of all.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub snapshots: Option<u64>,
    /// Files that could not be read because what is stored of them is damaged.
    pub unreadable: UnreadableList,
}

/// How Secrets look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Secrets {
    /// With their values.
    Readable,
    /// With their keys, and how long their values are.
    Hidden,
}

/// A snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// Its name.
    pub name: String,
    /// Its id.
    pub id: String,
    /// When it was taken.
    pub time: Timestamp,
    /// Number of its objects.
    pub objects: u64,
}

impl Info {
    pub(super) fn of(forest: &Forest, since: Timestamp, place: &Path, repository: &str, unreadable: UnreadableList) -> Self {
        let all = forest.is_all();
        let slot = if all { forest.latest().map(|(_, slot)| slot) } else { forest.slot(0) };
        let snapshot = slot.map(|slot| Shown {
            name: slot.root.name.clone(),
            id: slot.root.id.to_string(),
            time: slot.root.time,
            objects: slot.root.stats.objects,
        });
        let hidden = forest.options().hide_secrets || forest.repository().access() == Access::General;
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            process: std::process::id(),
            since,
            mountpoint: place.display().to_string(),
            repository: repository.to_owned(),
            secrets: if hidden { Secrets::Hidden } else { Secrets::Readable },
            full: forest.options().full,
            snapshot,
            snapshots: all.then(|| forest.listed().len() as u64),
            unreadable,
        }
    }

    pub(super) fn to_yaml(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let written = serde_json::to_value(self).map_err(|error| error.to_string()).and_then(|value| {
            let written = yaml::write_value(&value, &mut out);
            written.map_err(|error| error.to_string())
        });
        match written {
            Ok(()) => out,
            Err(error) => format!("error: {error}\n").into_bytes(),
        }
    }

    /// Reads the file.
    ///
    /// # Errors
    /// Words about what is no such file, as of another version of the program.
    pub fn parse(text: &[u8]) -> Result<Self, String> {
        let value = yaml::read(text).map_err(|error| error.to_string())?;
        serde_json::from_value(value).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let file = super::super::UnreadableFile {
            snapshot: "monday".into(),
            path: Some("namespaces/shop/configmaps/a: b.yaml".into()),
            damaged: "block 1 in packs/ab/abcd".into(),
            reason: "its seal does not hold".into(),
        };
        let mut info = Info {
            version: "1.2.3".into(),
            process: 42,
            since: Timestamp::UNIX_EPOCH,
            mountpoint: "/mnt/a b".into(),
            repository: "s3://bucket/\"x\"".into(),
            secrets: Secrets::Hidden,
            full: true,
            snapshot: Some(Shown { name: "monday".into(), id: "01".into(), time: Timestamp::UNIX_EPOCH, objects: 7 }),
            snapshots: None,
            unreadable: UnreadableList { count: 1, files: vec![file] },
        };
        assert_eq!(Info::parse(&info.to_yaml()), Ok(info.clone()));
        let text = String::from_utf8(info.to_yaml()).unwrap();
        assert!(text.contains("secrets: hidden\n") && text.contains("\n  count: 1\n") && !text.contains("snapshots"), "{text}");
        info = Info { snapshot: None, snapshots: Some(0), unreadable: UnreadableList::default(), ..info };
        assert_eq!(Info::parse(&info.to_yaml()), Ok(info));
        assert!(Info::parse(b"a: [").is_err() && Info::parse(b"version: 1\n").is_err());
    }
}
