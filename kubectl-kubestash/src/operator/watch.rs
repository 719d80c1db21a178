//! Which changes call which reconciler.
//!
//! What is watched stays in memory as long as the operator runs, and there may be thousands of Snapshots: objects are kept without what only the
//! API server needs, and a watch that only has to know whom an object belongs to reads no more of it.

use std::sync::Arc;

use futures::StreamExt as _;
use k8s_openapi::api::batch::v1::{CronJob, Job};
use kube::{
    Api, Client, Resource, ResourceExt as _,
    api::ObjectMeta,
    runtime::{
        Controller, WatchStreamExt as _,
        controller::{self, Action, Config},
        reflector::{self, ObjectRef, Store},
        watcher::{self, watcher},
    },
};
use kubestash::api::{BackupConfiguration, BackupSession, BackupStorage, Repository, RestoreSession, Snapshot, labels};
use serde::{Deserialize, de::DeserializeOwned};

use super::{Error, backup_session, configuration, context::Context, metrics::Stores, repository, restore_session, snapshot, storage};

/// Objects of a kind that are worked on at the same time. A session waits for its hooks, and should not make others wait.
const CONCURRENCY: u16 = 16;

/// Objects of a page, when all of a kind are read: a page is in memory twice, as text and as objects.
const PAGE: u32 = 100;

fn everything() -> watcher::Config {
    watcher::Config::default().page_size(PAGE)
}

/// Only what this operator has made.
fn ours() -> watcher::Config {
    everything().labels(&format!("{}={}", labels::MANAGED_BY, labels::MANAGED_BY_KUBESTASH))
}

/// A controller of all objects of a kind, and what it has seen of them.
fn controller_of<K>(client: &Client) -> (Controller<K>, Store<K>)
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug + Send + Sync + 'static,
{
    let (reader, writer) = reflector::store();
    let seen = watcher(Api::<K>::all(client.clone()), everything()).default_backoff();
    // Who owns which field is as long as the rest of an object, and nobody here asks for it.
    let seen = seen.modify(|object| object.meta_mut().managed_fields = None);
    (Controller::for_stream(seen.reflect(writer).applied_objects(), reader.clone()), reader)
}

/// As much of a Snapshot as tells whose it is.
#[derive(Debug, Clone, Deserialize, Resource)]
#[resource(inherit = "Snapshot")]
struct SnapshotHead {
    metadata: ObjectMeta,
    spec: SnapshotOrigin,
}

/// The session that made a Snapshot.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SnapshotOrigin {
    backup_session: Option<String>,
}

/// Changes of Snapshots, of which no more is read than whose they are.
fn snapshot_heads(client: &Client) -> impl futures::Stream<Item = Result<SnapshotHead, watcher::Error>> + Send + 'static {
    watcher(Api::<SnapshotHead>::all(client.clone()), everything()).default_backoff().touched_objects()
}

/// Runs one controller to its end, which only comes with the process's.
async fn drive<K, F, R>(controller: Controller<K>, reconcile: F, context: Arc<Context>)
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug + Send + Sync + 'static,
    F: Fn(Arc<K>, Arc<Context>) -> R + Send + Sync + 'static,
    R: Future<Output = Result<Action, Error>> + Send + 'static,
{
    let failed = |object: Arc<K>, error: &Error, _: Arc<Context>| {
        let name = crate::resources::storage::full_name(&*object);
        tracing::warn!(kind = %K::kind(&()), object = %name, category = error.category(), "{}", error.text());
        error.again()
    };
    let counted = Arc::clone(&context);
    controller
        .with_config(Config::default().concurrency(CONCURRENCY))
        .run(reconcile, failed, context)
        .for_each(|done| {
            let outcome = match &done {
                Ok(_) => "ok",
                Err(controller::Error::ReconcilerFailed(error, _)) => error.category(),
                // What was to be looked at again is gone.
                Err(controller::Error::ObjectNotFound(_)) => return std::future::ready(()),
                Err(_) => "Watch",
            };
            counted.metrics.reconciled(&K::kind(&()), outcome);
            std::future::ready(())
        })
        .await;
}

/// The objects of a store that a condition picks.
fn picked<K>(store: &Store<K>, wanted: impl Fn(&K) -> bool) -> Vec<ObjectRef<K>>
where
    K: Resource<DynamicType = ()> + Clone + Send + Sync + 'static,
{
    store.state().iter().filter(|object| wanted(object)).map(|object| ObjectRef::from_obj(&**object)).collect()
}

/// Runs all controllers.
pub async fn run(context: Arc<Context>) {
    let client = context.client.clone();
    let (storages, seen_storages) = {
        let (controller, seen) = controller_of::<BackupStorage>(&client);
        // What a repository has grown to is told by its storage.
        let controller = controller.owns(Api::<Job>::all(client.clone()), ours()).watches(
            Api::<Repository>::all(client.clone()),
            everything(),
            |repository: Repository| {
                let own = repository.namespace().unwrap_or_default();
                repository.spec.storage_ref.map(|reference| {
                    let reference = reference.object().resolved(&own);
                    ObjectRef::new(&reference.name).within(reference.namespace_or(&own))
                })
            },
        );
        (drive(controller, storage::reconcile, Arc::clone(&context)), seen)
    };
    let (repositories, seen_repositories) = {
        let (controller, seen) = controller_of::<Repository>(&client);
        let store = seen.clone();
        let controller = controller.owns_stream(snapshot_heads(&client)).watches(
            Api::<BackupStorage>::all(client.clone()),
            everything(),
            move |storage: BackupStorage| picked(&store, |repository| storage::refers_to(repository, &storage)),
        );
        (drive(controller, repository::reconcile, Arc::clone(&context)), seen)
    };
    let (configurations, seen_configurations) = {
        let (controller, seen) = controller_of::<BackupConfiguration>(&client);
        let (by_storage, by_repository) = (seen.clone(), seen.clone());
        let controller = controller
            .owns(Api::<CronJob>::all(client.clone()), ours())
            .watches(Api::<BackupStorage>::all(client.clone()), everything(), move |storage: BackupStorage| {
                picked(&by_storage, |configuration| configuration::may_use(configuration, &storage))
            })
            .watches(Api::<Repository>::all(client.clone()), everything(), move |repository: Repository| {
                let (namespace, name) = (repository.namespace(), repository.name_any());
                picked(&by_repository, |configuration| {
                    let names = configuration.spec.sessions.iter().flat_map(|session| &session.repositories);
                    configuration.namespace() == namespace && names.into_iter().any(|info| info.name == name)
                })
            });
        (drive(controller, configuration::reconcile, Arc::clone(&context)), seen)
    };
    let (sessions, seen_sessions) = {
        let (controller, seen) = controller_of::<BackupSession>(&client);
        let controller =
            controller.owns(Api::<Job>::all(client.clone()), ours()).watches_stream(snapshot_heads(&client), |snapshot: SnapshotHead| {
                let namespace = snapshot.namespace().unwrap_or_default();
                snapshot.spec.backup_session.map(|name| ObjectRef::new(&name).within(&namespace))
            });
        (drive(controller, backup_session::reconcile, Arc::clone(&context)), seen)
    };
    let (snapshots, seen_snapshots) = {
        let (controller, seen) = controller_of::<Snapshot>(&client);
        (drive(controller, snapshot::reconcile, Arc::clone(&context)), seen)
    };
    let (restores, seen_restores) = {
        let (controller, seen) = controller_of::<RestoreSession>(&client);
        let controller = controller.owns(Api::<Job>::all(client.clone()), ours());
        (drive(controller, restore_session::reconcile, Arc::clone(&context)), seen)
    };
    context.metrics.watch(Stores {
        storages: seen_storages,
        repositories: seen_repositories,
        configurations: seen_configurations,
        sessions: seen_sessions,
        snapshots: seen_snapshots,
        restores: seen_restores,
    });
    futures::join!(storages, repositories, configurations, sessions, snapshots, restores);
}
