//! Files that could not be read because what is stored of them is damaged or gone.

use std::collections::{BTreeMap, HashSet};

use serde::{Deserialize, Serialize};

use crate::content::ContentError;
use kubestash::repository::RepositoryError;

/// Files that are named.
const NAMED: usize = 100;
/// Files that are counted beyond; then the count stays.
const COUNTED: usize = 1 << 16;

/// One such file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UnreadableFile {
    /// The snapshot that it belongs to.
    pub snapshot: String,
    /// The object, by its path below `namespaces/` or `cluster/`; nothing where the whole snapshot cannot be opened.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub path: Option<String>,
    /// What is damaged: a block and the pack that it lies in.
    pub damaged: String,
    /// What is wrong with it.
    pub reason: String,
}

impl UnreadableFile {
    /// Of an error, if it is one of damage. A store that fails or is slow may serve the next reader.
    pub(crate) fn of(error: &ContentError, snapshot: &str, path: Option<String>) -> Option<Self> {
        let (damaged, reason) = match error {
            ContentError::Repository(RepositoryError::Damaged { object, reason }) => (object.clone(), reason.to_string()),
            ContentError::Repository(RepositoryError::Missing { object }) => (object.clone(), "it is missing from the repository".to_owned()),
            _ => return None,
        };
        Some(Self { snapshot: snapshot.to_owned(), path, damaged, reason })
    }
}

/// All of them, as far as they are named.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnreadableList {
    /// How many there are, also those that are not named.
    pub count: u64,
    /// The first hundred that somebody wanted to read.
    pub files: Vec<UnreadableFile>,
}

/// The same, by inode.
#[derive(Debug, Default)]
pub(super) struct Unreadable {
    named: BTreeMap<u64, UnreadableFile>,
    others: HashSet<u64>,
}

impl Unreadable {
    pub(super) fn note(&mut self, inode: u64, file: UnreadableFile) {
        if self.named.contains_key(&inode) || self.named.len() < NAMED {
            self.others.remove(&inode);
            self.named.insert(inode, file);
        } else if self.others.len() < COUNTED {
            self.others.insert(inode);
        }
    }

    pub(super) fn forget(&mut self, inode: u64) {
        self.named.remove(&inode);
        self.others.remove(&inode);
    }

    pub(super) fn list(&self) -> UnreadableList {
        UnreadableList { count: (self.named.len() + self.others.len()) as u64, files: self.named.values().cloned().collect() }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use kubestash::repository::FormatError;

    use super::*;

    fn file(path: &str) -> UnreadableFile {
        UnreadableFile { snapshot: "one".into(), path: Some(path.into()), damaged: "block 1".into(), reason: "x".into() }
    }

    #[test]
    fn a_bounded_number_of_files_is_named_and_all_are_counted() {
        let mut unreadable = Unreadable::default();
        for inode in (0..250).chain(0..250) {
            unreadable.note(inode, file(&inode.to_string()));
        }
        let list = unreadable.list();
        assert_eq!((list.count, list.files.len()), (250, NAMED));
        for inode in [0, 249] {
            unreadable.forget(inode);
        }
        assert_eq!((unreadable.list().count, unreadable.list().files.len()), (248, NAMED - 1));
    }

    #[test]
    fn only_damage_is_noted() {
        let damaged = RepositoryError::Damaged { object: "block 7 in packs/ab".into(), reason: FormatError::Truncated };
        let missing = RepositoryError::Missing { object: "packs/ab".into() };
        let of = |error: ContentError| UnreadableFile::of(&error, "one", None).map(|file| (file.damaged, file.reason));
        assert_eq!(of(damaged.into()), Some(("block 7 in packs/ab".into(), FormatError::Truncated.to_string())));
        assert_eq!(of(missing.into()), Some(("packs/ab".into(), "it is missing from the repository".into())));
        assert_eq!(of(RepositoryError::NeedsSensitiveKey.into()), None);
        assert_eq!(of(ContentError::Deadline(Duration::from_secs(1))), None);
    }
}
