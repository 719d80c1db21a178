//! Which changes call which reconciler.

use std::sync::Arc;

use futures::StreamExt as _;
use k8s_openapi::api::batch::v1::{CronJob, Job};
use kube::{
    Api, Resource, ResourceExt as _,
    runtime::{
        Controller,
        controller::{self, Action, Config},
        reflector::{ObjectRef, Store},
        watcher,
    },
};
use kubestash::api::{BackupConfiguration, BackupSession, BackupStorage, Repository, RestoreSession, Snapshot, labels};
use serde::de::DeserializeOwned;

use super::{Error, backup_session, configuration, context::Context, metrics::Stores, repository, restore_session, snapshot, storage};

/// Objects of a kind that are worked on at the same time. A session waits for its hooks, and should not make others wait.
const CONCURRENCY: u16 = 16;

fn everything() -> watcher::Config {
    watcher::Config::default()
}

/// Only what this operator has made.
fn ours() -> watcher::Config {
    watcher::Config::default().labels(&format!("{}={}", labels::MANAGED_BY, labels::MANAGED_BY_KUBESTASH))
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
        let controller = Controller::new(Api::<BackupStorage>::all(client.clone()), everything());
        let seen = controller.store();
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
        let controller = Controller::new(Api::<Repository>::all(client.clone()), everything());
        let seen = controller.store();
        let store = controller.store();
        let controller = controller.owns(Api::<Snapshot>::all(client.clone()), everything()).watches(
            Api::<BackupStorage>::all(client.clone()),
            everything(),
            move |storage: BackupStorage| picked(&store, |repository| storage::refers_to(repository, &storage)),
        );
        (drive(controller, repository::reconcile, Arc::clone(&context)), seen)
    };
    let (configurations, seen_configurations) = {
        let controller = Controller::new(Api::<BackupConfiguration>::all(client.clone()), everything());
        let seen = controller.store();
        let (by_storage, by_repository) = (controller.store(), controller.store());
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
        let controller = Controller::new(Api::<BackupSession>::all(client.clone()), everything());
        let seen = controller.store();
        let controller = controller.owns(Api::<Job>::all(client.clone()), ours()).watches(
            Api::<Snapshot>::all(client.clone()),
            everything(),
            |snapshot: Snapshot| {
                let namespace = snapshot.namespace().unwrap_or_default();
                snapshot.spec.backup_session.map(|name| ObjectRef::new(&name).within(&namespace))
            },
        );
        (drive(controller, backup_session::reconcile, Arc::clone(&context)), seen)
    };
    let (snapshots, seen_snapshots) = {
        let controller = Controller::new(Api::<Snapshot>::all(client.clone()), everything());
        let seen = controller.store();
        (drive(controller, snapshot::reconcile, Arc::clone(&context)), seen)
    };
    let (restores, seen_restores) = {
        let controller = Controller::new(Api::<RestoreSession>::all(client.clone()), everything());
        let seen = controller.store();
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
