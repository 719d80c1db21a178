//! Every read that a plan needs: the source's facts, and what the cluster has of it.
//!
//! Kinds of which many objects are selected are listed by metadata alone; few objects are asked for one by one. Whole objects are
//! read only where they may differ and the difference matters, that is for updates.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::Value;

use super::{
    Selection,
    api::{self, Call},
    facts,
    order::Stage,
    owners,
    plan::{Candidate, Existing, LiveObject, Observed, Options, Served},
    source::{Item, Source, SourceError},
    transforms::at,
};
use crate::{
    cluster::{ApiError, Cluster, collection_path, percent_encode},
    object::{GroupResource, KindInfo, ObjectError, ObjectId, Parts, Sensitivity, TypeMeta, split},
};

/// Up to this many objects of a kind and namespace are asked for one by one.
const SINGLY: usize = 4;
/// Namespaces of a kind that are listed one by one; with more, the whole kind is listed.
const NAMESPACES_SINGLY: usize = 4;
/// Objects to a page of metadata.
const PAGE: usize = 2000;
/// Requests and reads at the same time.
const PARALLEL: usize = 8;

/// Why a plan cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ObserveError {
    /// The source cannot be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The cluster does not answer about a kind.
    #[error("cannot read {what} from the cluster")]
    Cluster {
        /// What was asked for.
        what: String,
        /// The answer.
        source: ApiError,
    },
    /// Objects were named that the source does not have.
    #[error("the snapshot has no {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))]
    NotInSource(Vec<ObjectId>),
    /// An object of the cluster cannot be understood.
    #[error("cannot understand {object} as the cluster sent it")]
    Object {
        /// Which object.
        object: String,
        /// Why.
        source: ObjectError,
    },
}

/// Reads everything that a plan is made from.
///
/// # Errors
/// See [`ObserveError`]. A kind that the cluster does not serve is no error: the plan says so.
pub async fn observe(source: &Source, selection: &Selection, cluster: &Cluster, served: Served, options: &Options) -> Result<Observed, ObserveError> {
    let mut candidates = candidates(source, selection).await?;
    let needed = needed(source, &candidates, &served);
    let extra = load(source, needed, None).await?;
    candidates.extend(extra.into_iter().map(|candidate| Candidate { needed: true, ..candidate }));

    let live = live(&candidates, &served, cluster).await?;
    let unknown_namespaces = unknown_namespaces(source, &candidates, cluster, &served).await?;
    let mut observed = Observed { candidates, live, served, unknown_namespaces };
    // What is only needed, and is there, is none of the plan's business.
    let there: HashSet<ObjectId> = observed.live.iter().filter(|(_, live)| !live.deleting).map(|(id, _)| id.clone()).collect();
    observed.candidates.retain(|candidate| !candidate.needed || !there.contains(&candidate.id));
    if options.existing == Existing::Update {
        compare_contents(&mut observed, source, cluster).await?;
    }
    Ok(observed)
}

async fn candidates(source: &Source, selection: &Selection) -> Result<Vec<Candidate>, ObserveError> {
    let items: Vec<Item> = source.items().filter(|item| selection.admits(&item.id.kind, item.id.namespace.as_deref(), &item.id.name)).collect();
    let found: BTreeSet<ObjectId> = items.iter().map(|item| item.id.clone()).collect();
    let missing: Vec<ObjectId> = selection.missing(&found).into_iter().cloned().collect();
    if !missing.is_empty() {
        return Err(ObserveError::NotInSource(missing));
    }
    load(source, items, Some(selection)).await
}

async fn load(source: &Source, items: Vec<Item>, selection: Option<&Selection>) -> Result<Vec<Candidate>, ObserveError> {
    // In order, so that objects of one block are read together.
    let loaded = stream::iter(items)
        .map(|item| async move {
            let parts = source.parts(&item).await?;
            let facts = facts::read(&item.kind, &item.id.name, parts.texts())
                .map_err(|source| SourceError::Object { object: item.id.to_string(), source })?;
            Ok::<_, SourceError>(Candidate {
                id: item.id,
                kind: item.kind,
                item: item.number,
                facts,
                needed: false,
                hidden: parts.hidden,
                manifest: None,
            })
        })
        .buffered(PARALLEL);
    let wanted = |candidate: &Candidate| selection.is_none_or(|selection| selection.admits_labels(&candidate.facts.labels));
    Ok(loaded.try_filter(|candidate| futures::future::ready(wanted(candidate))).try_collect().await?)
}

/// Namespaces and definitions that candidates cannot live without and that are not selected themselves.
fn needed(source: &Source, candidates: &[Candidate], served: &Served) -> Vec<Item> {
    let namespaces_kind = GroupResource::new("", "namespaces");
    let selected: HashSet<&ObjectId> = candidates.iter().map(|candidate| &candidate.id).collect();
    let namespaces: HashSet<&str> = candidates.iter().filter_map(|candidate| candidate.id.namespace.as_deref()).collect();
    let kinds: HashSet<String> =
        candidates.iter().filter(|candidate| served.versions(&candidate.id.kind).is_none()).map(|candidate| candidate.id.kind.to_string()).collect();
    if namespaces.is_empty() && kinds.is_empty() {
        return Vec::new();
    }
    source
        .items()
        .filter(|item| {
            let wanted = (item.id.kind == namespaces_kind && namespaces.contains(item.id.name.as_str()))
                || (Stage::of(&item.id.kind) == Stage::Definitions && kinds.contains(&item.id.name));
            wanted && !selected.contains(&item.id)
        })
        .collect()
}

/// Namespaces of a snapshot's candidates that it does not hold, as when a backup chose by labels, and that the cluster lacks as well. A file of
/// manifests means what it says: there the person is told what is missing.
async fn unknown_namespaces(source: &Source, candidates: &[Candidate], cluster: &Cluster, served: &Served) -> Result<BTreeSet<String>, ObserveError> {
    let kind = GroupResource::new("", "namespaces");
    let Some(info) = served.kinds().find(|info| info.group_resource() == kind).cloned() else { return Ok(BTreeSet::new()) };
    if !matches!(source, Source::Snapshot(_)) {
        return Ok(BTreeSet::new());
    }
    let known: HashSet<&str> = candidates.iter().filter(|candidate| candidate.id.kind == kind).map(|candidate| candidate.id.name.as_str()).collect();
    let names: BTreeSet<&str> =
        candidates.iter().filter_map(|candidate| candidate.id.namespace.as_deref()).filter(|name| !known.contains(name)).collect();
    let looked = stream::iter(names).map(|name| {
        let (info, id) = (info.clone(), ObjectId { kind: kind.clone(), namespace: None, name: name.to_owned() });
        async move {
            match api::call(cluster, Call::get(api::object(&info, &id))).await {
                Err(error) if error.status() == 404 => Ok(Some(id.name)),
                // Who may not look at namespaces cannot make them either: the objects themselves will tell.
                Err(error) if error.status() == 403 => Ok(None),
                Err(source) => Err(ObserveError::Cluster { what: id.to_string(), source }),
                Ok(_) => Ok(None),
            }
        }
    });
    Ok(looked.buffer_unordered(PARALLEL).try_collect::<Vec<_>>().await?.into_iter().flatten().collect())
}

/// Asks the cluster for candidates and for the owners of candidates.
async fn live(candidates: &[Candidate], served: &Served, cluster: &Cluster) -> Result<HashMap<ObjectId, LiveObject>, ObserveError> {
    let mut kinds = HashMap::new();
    for info in candidates.iter().map(|candidate| &candidate.kind).chain(served.kinds()) {
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
async fn get(cluster: &Cluster, info: &KindInfo, id: &ObjectId) -> Result<Option<LiveObject>, ObserveError> {
    let failed = |source| ObserveError::Cluster { what: id.to_string(), source };
    let answer = match api::call(cluster, Call::get(api::object(info, id))).await {
        Err(error) if error.status() == 404 => return Ok(None),
        // Cluster-wide owners of what is restored into namespaces: who has no rights but there does not relink to them.
        Err(error) if error.status() == 403 && id.namespace.is_none() => return Ok(None),
        other => other.map_err(failed)?,
    };
    let mut parts = Parts::default();
    split(&answer.body, TypeMeta { api_version: &info.api_version(), kind: &info.kind }, Sensitivity::Open, &mut parts)
        .map_err(|source| ObserveError::Object { object: id.to_string(), source })?;
    let value = answer.value().map_err(failed)?;
    Ok(Some(LiveObject { manifest: Some(parts.manifest), ..metadata(&value) }))
}

/// Metadata of a kind, page by page.
async fn list(cluster: &Cluster, info: &KindInfo, namespace: Option<&str>) -> Result<Vec<(ObjectId, LiveObject)>, ObserveError> {
    let mut found = Vec::new();
    let mut token = String::new();
    loop {
        let uri = format!("{}?limit={PAGE}&continue={}", collection_path(info, namespace), percent_encode(&token));
        let answer = match api::call(cluster, Call::metadata(uri)).await {
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
        for item in answer.get("items").and_then(Value::as_array).into_iter().flatten() {
            let text = |key| at(item, &["metadata", key]).and_then(Value::as_str).map(str::to_owned);
            let id = ObjectId { kind: info.group_resource(), namespace: text("namespace"), name: text("name").unwrap_or_default() };
            found.push((id, metadata(item)));
        }
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
    }
}

/// Loads both manifests of objects that are there in another version.
async fn compare_contents(observed: &mut Observed, source: &Source, cluster: &Cluster) -> Result<(), ObserveError> {
    let Observed { candidates, live, served, .. } = observed;
    let kinds: Arc<HashMap<GroupResource, KindInfo>> = Arc::new(served.kinds().map(|info| (info.group_resource(), info.clone())).collect());
    let differing: Vec<(usize, usize, ObjectId, KindInfo, bool)> = candidates
        .iter()
        .enumerate()
        .filter(|(_, candidate)| matches!(candidate.facts.verdict, super::Verdict::Restore) && !candidate.hidden)
        .filter_map(|(index, candidate)| {
            let found = live.get(&candidate.id).filter(|found| !found.deleting)?;
            let same = candidate.facts.uid.as_ref() == Some(&found.uid) && candidate.facts.resource_version.as_ref() == Some(&found.resource_version);
            // Read in the version of the stored manifest, or the texts could not be compared.
            let served = kinds.get(&candidate.id.kind)?;
            let info = KindInfo { version: candidate.kind.version.clone(), ..served.clone() };
            let read = found.manifest.is_none() || info.version != served.version;
            (!same).then(|| (index, candidate.item, candidate.id.clone(), info, read))
        })
        .collect();
    let loaded: Vec<(usize, ObjectId, bytes::Bytes, Option<LiveObject>)> = stream::iter(differing)
        .map(|(index, item, id, info, read)| async move {
            let stored = source.manifest(item).await?;
            let found = if read { get(cluster, &info, &id).await? } else { None };
            Ok::<_, ObserveError>((index, id, stored, found))
        })
        .buffer_unordered(PARALLEL)
        .try_collect()
        .await?;
    for (index, id, stored, found) in loaded {
        if let Some(candidate) = candidates.get_mut(index) {
            candidate.manifest = Some(stored.to_vec());
        }
        if let Some(found) = found {
            live.insert(id, found);
        }
    }
    Ok(())
}
