//! Under which version each kind of the source is written.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use super::ObserveError;
use crate::{
    cluster::Cluster,
    object::{GroupResource, KindInfo, ObjectId},
    restore::{
        api::{self, Call},
        edits::Edits,
        plan::{Options, Served},
        source::{Item, Source},
        versions::{self, Fit, Strategy},
    },
};

/// The answer for every kind of a source.
#[derive(Default)]
pub struct Fits(HashMap<KindInfo, Fit>);

impl Fits {
    /// The version for objects of a stored kind.
    pub fn of(&self, stored: &Arc<KindInfo>) -> Fit {
        self.0.get(stored).cloned().unwrap_or_else(|| Fit { kind: Arc::clone(stored), refusal: None })
    }

    /// The identity that an object of the source gets.
    pub fn target(&self, item: &Item, edits: &Edits) -> ObjectId {
        ObjectId { kind: self.of(&item.kind).kind.group_resource(), ..edits.target(&item.id) }
    }
}

/// Decides for all kinds; definitions are asked for where only they know.
pub async fn fits(source: &Source, cluster: &Cluster, served: &Served, options: &Options) -> Result<Fits, ObserveError> {
    let stored: HashSet<KindInfo> = source.kinds();
    let mut strategies = HashMap::new();
    let fit = |kind: &KindInfo, strategies: &HashMap<GroupResource, Strategy>| versions::fit(kind, served, &options.versions, strategies);
    let unknown: BTreeSet<GroupResource> =
        stored.iter().filter(|kind| fit(kind, &strategies).refusal.is_some()).map(KindInfo::group_resource).collect();
    for kind in unknown {
        if let Some(strategy) = strategy(cluster, &kind).await? {
            strategies.insert(kind, strategy);
        }
    }
    Ok(Fits(stored.into_iter().map(|kind| (kind.clone(), fit(&kind, &strategies))).collect()))
}

/// How the definition of a kind converts; nothing where there is none, or it may not be looked at.
async fn strategy(cluster: &Cluster, kind: &GroupResource) -> Result<Option<Strategy>, ObserveError> {
    let path = format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{kind}");
    match api::look(cluster, Call::get(path)).await.and_then(|answer| answer.value()) {
        Ok(definition) => Ok(Some(Strategy::of(&definition))),
        Err(error) if matches!(error.status(), 403 | 404) => Ok(None),
        Err(source) => Err(ObserveError::Cluster { what: format!("customresourcedefinitions.apiextensions.k8s.io/{kind}"), source }),
    }
}
