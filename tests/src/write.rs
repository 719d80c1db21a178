//! Snapshots of made-up objects, written through the library: no cluster is needed.

use jiff::Timestamp;
use kubestash::{
    object::KindInfo,
    repository::{BackupOptions, CommitInfo, Repository, Root},
};
use serde_json::Value;

/// Writes kinds with their objects as one snapshot. Objects are keyed `namespace/name` or `name` and come in that order; they may be made
/// as they are asked for.
pub async fn snapshot<Objects>(
    repository: &Repository,
    options: BackupOptions,
    name: &str,
    kinds: impl IntoIterator<Item = (KindInfo, Objects)> + Send + 'static,
) -> Root
where
    Objects: IntoIterator<Item = (String, Value)>,
{
    let writer = repository.backup(options).await.unwrap();
    let writer = tokio::task::spawn_blocking(move || {
        for (kind, objects) in kinds {
            let mut kind = writer.kind(&kind);
            for (key, object) in objects {
                let (namespace, name) = key.split_once('/').map_or((None, key.as_str()), |(namespace, name)| (Some(namespace), name));
                kind.push(namespace, name, object.to_string().as_bytes()).unwrap();
            }
            kind.finish().unwrap();
        }
        writer
    });
    writer.await.unwrap().commit(CommitInfo::new(name, Timestamp::now())).await.unwrap()
}
