//! What the cluster has of objects: asked for one by one, or by lists of metadata.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::Value;

use super::{ObserveError, PARALLEL};
use crate::{
    cluster::{Cluster, collection_path, percent_encode},
    object::{GroupResource, KindInfo, ObjectId, Parts},
    restore::{
        api::{self, Call},
        owners,
        plan::{Candidate, LiveObject, Served},
        transforms::at,
    },
};

/// Up to this many objects of a kind and namespace are asked for one by one.
const SINGLY: usize = 4;
/// Namespaces of a kind that are listed one by one; with more, the whole kind is listed.
const NAMESPACES_SINGLY: usize = 4;
/// Objects to a page of metadata.
const PAGE: usize = 2000;

/// Asks the cluster for candidates and for the owners of candidates.
pub async fn live(candidates: &[Candidate], served: &Served, cluster: &Cluster) -> Result<HashMap<ObjectId, LiveObject>, ObserveError> {
    let mut kinds = HashMap::new();
    for info in candidates.iter().map(|candidate| candidate.kind.as_ref()).chain(served.kinds()) {
        owners::know(&mut kinds, info);
    }
    let mut wanted: BTreeMap<GroupResource, BTreeMap<Option<String>, BTreeSet<String>>> = BTreeMap::new();
    for candidate in candidates {
        let namespace = candidate.id.namespace.as_deref();
        let owners = candidate.facts.owners.iter().filter_map(|owner| owners::resolve(owner, namespace, &kinds));
        for id in owners.chain([candidate.id.clone()]) {
            wanted.entry(id.kind).or_default().entry(id.namespace).or_default().insert(id.name);
        }
    }
    let by_kind: HashMap<GroupResource, KindInfo> = served.kinds().map(|info| (info.group_resource(), info.clone())).collect();
    let mut requests: Vec<(KindInfo, Query)> = Vec::new();
    for (kind, namespaces) in wanted {
        let Some(info) = by_kind.get(&kind) else { continue };
        let many =
            namespaces.values().filter(|names| names.len() > SINGLY).count() > NAMESPACES_SINGLY || namespaces.len() > NAMESPACES_SINGLY * SINGLY;
        if many {
            requests.push((info.clone(), Query::ListAll(namespaces.into_keys().flatten().collect())));
            continue;
        }
        for (namespace, names) in namespaces {
            if names.len() > SINGLY {
                requests.push((info.clone(), Query::List(namespace)));
            } else {
                requests.extend(names.into_iter().map(|name| {
                    let id = ObjectId { kind: kind.clone(), namespace: namespace.clone(), name };
                    (info.clone(), Query::Get(id))
                }));
            }
        }
    }
    let answers: Vec<Vec<(ObjectId, LiveObject)>> =
        stream::iter(requests).map(|(info, query)| ask(cluster, info, query)).buffer_unordered(PARALLEL).try_collect().await?;
    Ok(answers.into_iter().flatten().collect())
}

enum Query {
    Get(ObjectId),
    List(Option<String>),
    /// The whole kind; the namespaces are those that matter.
    ListAll(Vec<String>),
}

async fn ask(cluster: &Cluster, info: KindInfo, query: Query) -> Result<Vec<(ObjectId, LiveObject)>, ObserveError> {
    match query {
        Query::Get(id) => Ok(get(cluster, &info, &id).await?.map(|live| (id, live)).into_iter().collect()),
        Query::List(namespace) => list(cluster, &info, namespace.as_deref()).await,
        Query::ListAll(namespaces) => match list(cluster, &info, None).await {
            // Who may not look at the whole kind may look into the namespaces.
            Err(ObserveError::Cluster { source, .. }) if source.status() == 403 && !namespaces.is_empty() => {
                let mut found = Vec::new();
                for namespace in namespaces {
                    found.extend(list(cluster, &info, Some(&namespace)).await?);
                }
                Ok(found)
            }
            other => other,
        },
    }
}

/// One whole object, its manifest part included.
pub async fn get(cluster: &Cluster, info: &KindInfo, id: &ObjectId) -> Result<Option<LiveObject>, ObserveError> {
    Ok(whole(cluster, info, id).await?.map(|(live, parts)| LiveObject { manifest: Some(parts.manifest), ..live }))
}

/// One whole object, and its parts.
pub async fn whole(cluster: &Cluster, info: &KindInfo, id: &ObjectId) -> Result<Option<(LiveObject, Parts)>, ObserveError> {
    let failed = |source| ObserveError::Cluster { what: id.to_string(), source };
    let answer = match api::look(cluster, Call::get(api::object(info, id))).await {
        Err(error) if error.status() == 404 => return Ok(None),
        // Cluster-wide owners of what is restored into namespaces: who has no rights but there does not relink to them.
        Err(error) if error.status() == 403 && id.namespace.is_none() => return Ok(None),
        other => other.map_err(failed)?,
    };
    let parts = answer.parts(info).map_err(|source| ObserveError::Object { object: id.to_string(), source })?;
    let value = answer.value().map_err(failed)?;
    Ok(Some((metadata(&value), parts)))
}

/// Identities and states of a kind's objects.
pub async fn list(cluster: &Cluster, info: &KindInfo, namespace: Option<&str>) -> Result<Vec<(ObjectId, LiveObject)>, ObserveError> {
    let read = |item: &Value| {
        let text = |key| at(item, &["metadata", key]).and_then(Value::as_str).map(str::to_owned);
        let id = ObjectId { kind: info.group_resource(), namespace: text("namespace"), name: text("name").unwrap_or_default() };
        (id, metadata(item))
    };
    each(cluster, info, namespace, &read).await
}

/// What `read` makes of the metadata of each object of a kind, page by page.
pub async fn each<T>(
    cluster: &Cluster,
    info: &KindInfo,
    namespace: Option<&str>,
    read: &(dyn Fn(&Value) -> T + Sync),
) -> Result<Vec<T>, ObserveError> {
    let mut found = Vec::new();
    let mut token = String::new();
    loop {
        let uri = format!("{}?limit={PAGE}&continue={}", collection_path(info, namespace), percent_encode(&token));
        let answer = match api::look(cluster, Call::metadata(uri)).await {
            Err(error) if error.status() == 404 => return Ok(found),
            // The page token aged out: what changed meanwhile is seen by starting again.
            Err(error) if error.status() == 410 && !token.is_empty() => {
                found.clear();
                token.clear();
                continue;
            }
            other => {
                other.and_then(|answer| answer.value()).map_err(|source| ObserveError::Cluster { what: info.group_resource().to_string(), source })?
            }
        };
        found.extend(answer.get("items").and_then(Value::as_array).into_iter().flatten().map(read));
        token = at(&answer, &["metadata", "continue"]).and_then(Value::as_str).unwrap_or_default().to_owned();
        if token.is_empty() {
            return Ok(found);
        }
    }
}

fn metadata(object: &Value) -> LiveObject {
    let text = |key| at(object, &["metadata", key]).and_then(Value::as_str).map(str::to_owned);
    LiveObject {
        uid: text("uid").unwrap_or_default(),
        resource_version: text("resourceVersion").unwrap_or_default(),
        deleting: text("deletionTimestamp").is_some(),
        manifest: None,
        trial: None,
        becomes: None,
    }
}
