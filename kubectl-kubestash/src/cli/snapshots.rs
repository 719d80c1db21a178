//! Which snapshot is meant: name, unique beginning of a name or id, `latest`, or a time.

use kubestash::{
    api::sanitize_name,
    backend::snapshot_file,
    repository::{ChooseError, LATEST, Root, SnapshotId, SnapshotList, choose},
};

use super::{CliContext, errors::hinted, repo::OpenRepository};

/// A snapshot's YAML file is a few hundred kilobytes at most.
const MAX_FILE: u64 = 4 << 20;

/// The cluster as it is now, wherever a snapshot is taken.
pub const LIVE: &str = "live";

/// Whether a snapshot can be called so: also a file and a Kubernetes object have its name.
pub fn check_name(name: &str) -> anyhow::Result<()> {
    if name == sanitize_name(name) && name.len() <= 63 {
        return Ok(());
    }
    Err(hinted(format!("{name:?} cannot be the name of a snapshot"), "use at most 63 lower-case letters, digits and single dashes"))
}

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

    /// The snapshot of which `snapshots/<name>.yaml` tells the id. The file proves nothing, and may be missing or old: the snapshot itself has
    /// to have that name.
    async fn named(&self, name: &str) -> Option<Root> {
        let plain = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
        if !plain {
            return None;
        }
        let text = self.directory.get_at_most(&snapshot_file(name), MAX_FILE).await.ok()?;
        let file: serde_yaml::Value = serde_yaml::from_slice(&text).ok()?;
        let id: SnapshotId = file.get("spec")?.get("snapshotID")?.as_str()?.parse().ok()?;
        self.repository.snapshot(id).await.ok()?.filter(|root| root.name == name)
    }

    /// The snapshot that a person means. The newest one, and one whose whole name is given, are found without reading all of them.
    pub async fn snapshot(&self, context: &CliContext, text: &str) -> anyhow::Result<Root> {
        let found = if text == LATEST { self.repository.newest().await? } else { self.named(text).await };
        if let Some(root) = found {
            return Ok(root);
        }
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
