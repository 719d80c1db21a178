//! Which snapshot is meant: name, unique beginning of a name or id, `latest`, or a time.

use kubestash::repository::{ChooseError, Root, SnapshotList, choose};

use super::{CliContext, errors::hinted, repo::OpenRepository};

/// The cluster as it is now, wherever a snapshot is taken.
pub const LIVE: &str = "live";

impl OpenRepository {
    /// All snapshots, with a warning for each that cannot be read.
    pub async fn list(&self, context: &CliContext) -> anyhow::Result<SnapshotList> {
        let list = self.repository.snapshots().await?;
        for (key, error) in &list.damaged {
            let id = key.trim_start_matches("roots/");
            context.note(&format!("warning: a snapshot cannot be read: {error}\nPut the file back from a copy of the storage, or remove it with `kubectl kubestash forget {id}`."));
        }
        Ok(list)
    }

    /// The snapshot that a person means.
    pub async fn snapshot(&self, context: &CliContext, text: &str) -> anyhow::Result<Root> {
        let list = self.list(context).await?;
        choose(&list.roots, text).cloned().map_err(|error| {
            let hint = match &error {
                ChooseError::Empty => format!("make one with `kubectl kubestash backup`; this is the repository at {}", self.place),
                ChooseError::Unknown { near, .. } => format!("there are {near}; `kubectl kubestash snapshots` lists all"),
                ChooseError::TooEarly { .. } => "`kubectl kubestash snapshots` lists all".to_owned(),
                ChooseError::Several { names, .. } => format!("name one of {names}"),
            };
            hinted(error.to_string(), hint)
        })
    }
}
