//! Every read that a plan needs: the source's facts, and what the cluster has of it.
//!
//! Kinds of which many objects are selected are listed by metadata alone; few objects are asked for one by one. Whole objects are
//! read only where they may differ and the difference matters, that is for updates; of these the API server is asked, by a dry run, whether
//! it would take them.

mod classes;
mod contents;
mod fits;
mod live;
mod related;
mod surplus;

use std::collections::{BTreeSet, HashSet};

use futures::{StreamExt as _, TryStreamExt as _, stream};

use super::{
    Selection,
    api::{self, Call},
    edits::{Edited, Edits},
    exact::{Scope, ScopeError},
    facts,
    order::Stage,
    plan::{Candidate, Edit, Observed, Options, Served},
    source::{Item, Source, SourceError},
    versions::{self, Fit},
};
use crate::{
    cluster::{ApiError, Cluster},
    object::{GroupResource, KindInfo, ObjectError, ObjectId, yaml},
};
use fits::Fits;

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
    /// What may be removed cannot be told.
    #[error(transparent)]
    Scope(#[from] ScopeError),
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
    let edits = &options.edits;
    let fits = fits::fits(source, cluster, &served, options).await?;
    let mut candidates = candidates(source, selection, edits, &fits).await?;
    if options.related {
        let selected: HashSet<ObjectId> = candidates.iter().map(Candidate::origin).collect();
        let (items, by): (Vec<Item>, Vec<ObjectId>) = related::related(source, &selected, &served).await?.into_iter().unzip();
        let extra = load(source, items, None, edits, &fits).await?;
        candidates.extend(extra.into_iter().zip(by).map(|(candidate, by)| Candidate { related: Some(by), ..candidate }));
    }
    let needed = needed(source, &candidates, &served);
    let extra = load(source, needed, None, edits, &fits).await?;
    candidates.extend(extra.into_iter().map(|candidate| Candidate { needed: true, ..candidate }));

    let live = live::live(&candidates, &served, cluster).await?;
    let unknown_namespaces = unknown_namespaces(source, &candidates, cluster, &served).await?;
    let surplus = match source {
        Source::Snapshot(snapshot) if options.exact => {
            let root = snapshot.root();
            let scope = Scope::of(&root.filters, &root.kinds, selection, &options.edits.namespaces)?;
            surplus::surplus(&scope, source, &|item| fits.target(item, edits), cluster, &served).await?
        }
        Source::File(_) if options.exact => return Err(ScopeError::File.into()),
        _ => Vec::new(),
    };
    let classes = classes::classes(&candidates, cluster, &served).await?;
    let mut observed = Observed { candidates, live, served, unknown_namespaces, classes, surplus };
    // What is only needed, and is there, is none of the plan's business.
    let there: HashSet<ObjectId> = observed.live.iter().filter(|(_, live)| !live.deleting).map(|(id, _)| id.clone()).collect();
    observed.candidates.retain(|candidate| !candidate.needed || !there.contains(&candidate.id));
    if options.changes_existing() {
        contents::compare(&mut observed, source, cluster, options).await?;
    }
    Ok(observed)
}

async fn candidates(source: &Source, selection: &Selection, edits: &Edits, fits: &Fits) -> Result<Vec<Candidate>, ObserveError> {
    let items: Vec<Item> = source.items().filter(|item| selection.admits(&item.id.kind, item.id.namespace.as_deref(), &item.id.name)).collect();
    let missing: Vec<ObjectId> = selection.missing(items.iter().map(|item| &item.id)).into_iter().cloned().collect();
    if !missing.is_empty() {
        return Err(ObserveError::NotInSource(missing));
    }
    load(source, items, Some(selection), edits, fits).await
}

async fn load(source: &Source, items: Vec<Item>, selection: Option<&Selection>, edits: &Edits, fits: &Fits) -> Result<Vec<Candidate>, ObserveError> {
    // In order, so that objects of one block are read together.
    let loaded = stream::iter(items)
        .map(|item| async move {
            let parts = source.parts(&item).await?;
            let (facts, labels) = facts::read(&item.kind, &item.id.name, parts.texts())
                .map_err(|source| SourceError::Object { object: item.id.to_string(), source })?;
            if selection.is_some_and(|selection| !selection.admits_labels(&labels)) {
                return Ok(None);
            }
            let Fit { kind, refusal: unserved } = fits.of(&item.kind);
            let edit = edit(&item, &kind, parts.manifest(), edits)?;
            let id = fits.target(&item, edits);
            let moves = (&id.namespace, &id.name) != (&item.id.namespace, &item.id.name);
            let from = moves.then(|| item.id.namespace.unwrap_or(item.id.name));
            let stored = Some(item.kind).filter(|stored| *stored != kind);
            let (item, hidden) = (item.number, parts.hidden);
            let (needed, related, manifest) = (false, None, None);
            Ok::<_, SourceError>(Some(Candidate { id, kind, stored, unserved, item, facts, needed, related, hidden, manifest, from, edit }))
        })
        .buffered(PARALLEL);
    Ok(loaded.try_filter_map(|candidate| futures::future::ready(Ok(candidate))).try_collect().await?)
}

/// What edits make of one object, after it was brought under the version of `kind`.
fn edit(item: &Item, kind: &KindInfo, manifest: &[u8], edits: &Edits) -> Result<Edit, SourceError> {
    if edits.is_empty() && *kind == *item.kind {
        return Ok(Edit::default());
    }
    let mut object = yaml::read(manifest).map_err(|source| SourceError::Object { object: item.id.to_string(), source })?;
    let is_record = edits.leaves_out(kind, &object);
    let mut notes = versions::convert(kind, &mut object);
    let before = object.clone();
    Ok(match edits.apply(kind, &mut object) {
        Ok(Edited { warnings, patches }) => {
            notes.extend(warnings);
            Edit { changes: object != before, is_record, patches, warnings: notes, refusal: None }
        }
        Err(error) => Edit { changes: true, is_record, refusal: Some(error.to_string()), ..Edit::default() },
    })
}

/// Namespaces and definitions that candidates cannot live without and that are not selected themselves.
fn needed(source: &Source, candidates: &[Candidate], served: &Served) -> Vec<Item> {
    let namespaces_kind = GroupResource::new("", "namespaces");
    let selected: HashSet<ObjectId> = candidates.iter().map(Candidate::origin).collect();
    let namespaces: HashSet<&str> = selected.iter().filter_map(|id| id.namespace.as_deref()).collect();
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
            match api::look(cluster, Call::get(api::object(&info, &id))).await {
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        object::{KindInfo, Parts},
        restore::source::Document,
    };

    fn kind(text: &str, namespaced: bool) -> KindInfo {
        let Ok(kind) = text.parse::<GroupResource>();
        KindInfo { group: kind.group, version: "v1".into(), resource: kind.resource, kind: "K".into(), namespaced }
    }

    #[tokio::test]
    async fn namespaces_and_definitions_come_along_where_they_are_needed() {
        let documents = [
            ("namespaces", None, "demo"),
            ("namespaces", None, "other"),
            ("customresourcedefinitions.apiextensions.k8s.io", None, "widgets.example.com"),
            ("customresourcedefinitions.apiextensions.k8s.io", None, "gadgets.example.com"),
            ("widgets.example.com", Some("demo"), "w"),
        ]
        .map(|(text, namespace, name)| {
            let kind = kind(text, namespace.is_some());
            let id = ObjectId { kind: kind.group_resource(), namespace: namespace.map(str::to_owned), name: name.to_owned() };
            Document { id, kind, parts: Parts::default() }
        });
        let source = Source::File(Arc::new(documents.to_vec()));
        let selection = Selection::default().names(&["w".to_owned()]).unwrap();
        let chosen = candidates(&source, &selection, &Edits::default(), &Fits::default()).await.unwrap();
        let names = |served: &Served| needed(&source, &chosen, served).into_iter().map(|item| item.id.name).collect::<Vec<_>>();
        assert_eq!(names(&Served::default()), ["demo", "widgets.example.com"]);
        // The cluster's own definition is left alone.
        let mut served = Served::default();
        served.add(kind("widgets.example.com", true), vec!["v1".to_owned()]);
        assert_eq!(names(&served), ["demo"]);
    }
}
