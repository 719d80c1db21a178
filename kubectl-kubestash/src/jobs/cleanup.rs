//! `cleanup`: erase what a deleted object leaves in a storage, as its deletion policy says.

use clap::Args;
use kubestash::{
    api::{BackupStorage, DeletionPolicy},
    backend,
    cluster::Cluster,
};

use crate::{
    cli::exit,
    resources::{namespaced, storage::open},
};

/// Erase a snapshot, a repository or a whole storage
#[derive(Debug, Args)]
pub struct CleanupArgs {
    /// Name of the BackupStorage, which is in the namespace of the Pod
    #[arg(long)]
    storage: String,
    /// Directory of a repository; without it, all repositories of the storage are erased
    #[arg(long)]
    path: Option<String>,
    /// Name of a Snapshot in the directory; without it, the whole directory is erased
    #[arg(long, requires = "path", requires = "snapshot_id")]
    snapshot: Option<String>,
    /// Its id
    #[arg(long)]
    snapshot_id: Option<String>,
}

pub async fn run(args: &CleanupArgs, cluster: &Cluster, namespace: &str) -> anyhow::Result<u8> {
    let client = cluster.client();
    let storage = namespaced::<BackupStorage>(&client, namespace).get(&args.storage).await?;
    let store = open(&client, &storage).await?;
    match (&args.path, &args.snapshot) {
        (Some(path), Some(name)) => {
            let id = args.snapshot_id.as_deref().and_then(|id| id.parse().ok());
            backend::remove_snapshot(&store.sub(path), name, id).await?;
            tracing::info!("erased the snapshot {name}");
        }
        (Some(path), None) => {
            let removed = backend::wipe_repository(&store, path).await?;
            tracing::info!("erased {removed} objects of {path}");
        }
        _ => {
            // A Job that outlived its storage must not erase another one of the same name.
            let wanted = storage.metadata.deletion_timestamp.is_some() && storage.spec.deletion_policy == Some(DeletionPolicy::WipeOut);
            anyhow::ensure!(wanted, "BackupStorage {namespace}/{} is not being deleted with the policy WipeOut: nothing is erased", args.storage);
            let removed = backend::wipe_storage(&store).await?;
            tracing::info!("erased {removed} objects");
        }
    }
    Ok(exit::OK)
}
