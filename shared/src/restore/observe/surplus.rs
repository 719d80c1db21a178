//! Objects that only the cluster has, as far as a snapshot reaches.

use std::collections::{BTreeSet, HashSet};

use futures::{StreamExt as _, TryStreamExt as _, stream};

use super::{ObserveError, PARALLEL, live};
use crate::{
    cluster::Cluster,
    object::{KindInfo, ObjectId},
    restore::{
        exact::Scope,
        facts::{self, PartTexts},
        plan::{Served, Surplus},
        source::{Item, Source, SourceError},
    },
};

/// Reads them whole: what they are decides whether they may be removed.
///
/// `target` tells which identity an object of the source gets.
pub async fn surplus(
    scope: &Scope<'_>,
    source: &Source,
    target: &(dyn Fn(&Item) -> ObjectId + Sync),
    cluster: &Cluster,
    served: &Served,
) -> Result<Vec<Surplus>, ObserveError> {
    let known: HashSet<ObjectId> = source.items().map(|item| target(&item)).collect();
    let kinds: Vec<&KindInfo> = served.kinds().filter(|info| scope.reads(&info.group_resource())).collect();
    let lists = kinds.into_iter().flat_map(|info| {
        let namespaces: Vec<Option<String>> = match scope.namespaces() {
            Some(names) if info.namespaced => names.into_iter().map(Some).collect(),
            Some(_) => Vec::new(),
            None => vec![None],
        };
        namespaces.into_iter().map(move |namespace| (info, namespace))
    });
    let found: Vec<Vec<ObjectId>> = stream::iter(lists)
        .map(|(info, namespace)| async move {
            let found = live::list(cluster, info, namespace.as_deref()).await?;
            Ok::<_, ObserveError>(found.into_iter().filter(|(_, live)| !live.deleting).map(|(id, _)| id).collect())
        })
        .buffer_unordered(PARALLEL)
        .try_collect()
        .await?;
    let wanted: BTreeSet<ObjectId> = found.into_iter().flatten().filter(|id| !known.contains(id) && scope.admits(id)).collect();
    let read: Vec<Option<Surplus>> = stream::iter(wanted)
        .map(|id| async move {
            let Some(info) = served.kind(&id.kind) else { return Ok(None) };
            // Gone meanwhile.
            let Some((live, parts)) = live::whole(cluster, info, &id).await? else { return Ok(None) };
            let texts = PartTexts { manifest: &parts.manifest, status: &parts.status, server: &parts.server };
            let (facts, labels) = facts::read(info, &id.name, texts).map_err(|source| SourceError::Object { object: id.to_string(), source })?;
            Ok::<_, ObserveError>(scope.admits_labels(&labels).then(|| Surplus { kind: info.clone(), id, facts, live }))
        })
        .buffered(PARALLEL)
        .try_collect()
        .await?;
    Ok(read.into_iter().flatten().collect())
}
