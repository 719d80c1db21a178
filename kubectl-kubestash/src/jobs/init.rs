//! `init`: what the operator itself cannot do, because it does not mount the volume: prepare a local storage, or a repository in one.

use clap::Args;
use kubestash::{
    api::{BackupStorage, Repository},
    backend,
    cluster::Cluster,
};

use crate::{
    cli::exit,
    resources::{
        adopt::adopt,
        namespaced,
        outcome::{backend_initialised, note_repository, note_storage, registration, repository_initialised},
        status::update_status,
        storage::{full_name, open},
    },
};

/// Prepare a storage or a repository
#[derive(Debug, Args)]
pub struct InitArgs {
    /// Name of the BackupStorage, which is in the namespace of the Pod
    #[arg(long)]
    storage: String,
    /// Namespace of the Repository to prepare; without it, the storage itself is
    #[arg(long, requires = "repository")]
    repository_namespace: Option<String>,
    /// Name of the Repository
    #[arg(long, requires = "repository_namespace")]
    repository: Option<String>,
}

pub async fn run(args: &InitArgs, cluster: &Cluster, namespace: &str) -> anyhow::Result<u8> {
    let client = cluster.client();
    let storages = namespaced::<BackupStorage>(&client, namespace);
    let storage = storages.get(&args.storage).await?;
    let now = jiff::Timestamp::now();
    // What is erased must not come back.
    anyhow::ensure!(storage.metadata.deletion_timestamp.is_none(), "BackupStorage {} is being deleted", full_name(&storage));
    if let (Some(namespace), Some(name)) = (&args.repository_namespace, &args.repository) {
        let repositories = namespaced::<Repository>(&client, namespace);
        let repository = repositories.get(name).await?;
        anyhow::ensure!(repository.metadata.deletion_timestamp.is_none(), "Repository {} is being deleted", full_name(&repository));
        let done: anyhow::Result<()> = async {
            let (entry, yaml) = registration(&repository)?;
            Ok(backend::register(&open(&client, &storage).await?, &entry, yaml, now).await?)
        }
        .await;
        let condition = repository_initialised(done.as_ref().copied());
        update_status(&repositories, name, |repository: &mut Repository| note_repository(repository, condition.clone(), now)).await?;
        return done.map(|()| exit::OK);
    }
    let found: anyhow::Result<_> = async {
        let store = open(&client, &storage).await?;
        let meta = backend::initialise(&store, now).await?;
        Ok(adopt(&client, &store, &storage, &meta).await)
    }
    .await;
    let condition = backend_initialised(found.as_ref().map(|_| ()));
    update_status(&storages, &args.storage, |storage: &mut BackupStorage| {
        note_storage(storage, condition.clone(), now);
        if let Ok(repositories) = &found {
            storage.status.get_or_insert_default().repositories.clone_from(repositories);
        }
    })
    .await?;
    found.map(|_| exit::OK)
}
