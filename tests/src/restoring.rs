//! Plans and restores on a real cluster, by the library.

use std::sync::{Arc, atomic::AtomicBool};

use kubestash::{
    repository::{KeyCost, Password, Repository},
    restore::{
        Progress, Report, Selection, Source,
        apply::{self, Mode, Patience},
        observe,
        plan::{Options, Plan, Served, plan},
    },
    store::Store,
};

use crate::cluster::Cluster;

/// A repository in memory.
pub async fn repository() -> Repository {
    Repository::init(Store::memory(), &Password::new("test"), KeyCost::CHEAP, "test", jiff::Timestamp::now()).await.unwrap()
}

/// The plan of a restore.
pub async fn planned(cluster: &Cluster, source: &Source, selection: &Selection, options: &Options) -> Plan {
    let served = Served::from(&cluster.connect().await.discover().await.unwrap());
    plan(&observe(source, selection, &cluster.connect().await, served, options).await.unwrap(), options)
}

/// What its execution did.
pub async fn applied(cluster: &Cluster, source: &Source, plan: Plan, mode: Mode) -> Report {
    applied_with(cluster, source, plan, mode, Patience::default()).await
}

/// The same by somebody with another patience.
pub async fn applied_with(cluster: &Cluster, source: &Source, plan: Plan, mode: Mode, patience: Patience) -> Report {
    applied_as(None, cluster, source, plan, mode, patience).await
}

/// The same by another user.
pub async fn applied_as(user: Option<&str>, cluster: &Cluster, source: &Source, plan: Plan, mode: Mode, patience: Patience) -> Report {
    let (stop, progress) = (Arc::new(AtomicBool::new(false)), Arc::new(Progress::default()));
    apply::apply(Arc::new(plan), source.clone(), cluster.connect_as(user).await, mode, patience, stop, progress).await
}

/// Plans and executes.
pub async fn restored(cluster: &Cluster, source: &Source, selection: &Selection, options: &Options) -> Report {
    let plan = planned(cluster, source, selection, options).await;
    applied(cluster, source, plan, Mode::Write).await
}
