//! Objects that are there in another version: both manifests, and what the API server says to the update.

use std::{collections::HashMap, sync::Arc};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::Value;

use super::{ObserveError, PARALLEL, live};
use crate::{
    cluster::Cluster,
    object::{GroupResource, KindInfo, ObjectId, yaml},
    restore::{
        Verdict, api,
        fields::FieldPath,
        owners,
        plan::{Candidate, LiveObject, Observed, Options, updates},
        source::Source,
        transforms::Relink,
        trial::Trial,
        update,
    },
};

/// Loads what a plan compares, of the kinds that may be changed.
pub async fn compare(observed: &mut Observed, source: &Source, cluster: &Cluster, options: &Options) -> Result<(), ObserveError> {
    load(observed, source, cluster, options).await?;
    if options.fields.is_empty() {
        return ask(observed, cluster, options).await;
    }
    for candidate in &mut observed.candidates {
        let live = observed.live.get(&candidate.id).and_then(|live| live.manifest.as_deref());
        let Some((stored, live)) = candidate.manifest.as_deref().zip(live) else { continue };
        match with_fields(stored, live, &options.fields) {
            Ok(text) => candidate.manifest = Some(text),
            Err(why) => candidate.edit.refusal = Some(why),
        }
    }
    Ok(())
}

/// The live manifest with these fields of the stored one.
fn with_fields(stored: &[u8], live: &[u8], fields: &[FieldPath]) -> Result<Vec<u8>, String> {
    let read = |text: &[u8]| yaml::read(text).map_err(|error| error.to_string());
    let (stored, mut wanted) = (read(stored)?, read(live)?);
    for field in fields {
        field.transplant(&stored, &mut wanted).map_err(|error| error.to_string())?;
    }
    let mut text = Vec::new();
    yaml::write_value(&wanted, &mut text).map_err(|error| error.to_string())?;
    Ok(text)
}

/// What is left of a manifest when what others have added to it is removed, as happens behind an update with force.
fn without_surplus(kind: &GroupResource, left: Vec<u8>, wanted: &Value) -> Option<Vec<u8>> {
    let mut found = yaml::read(&left).ok()?;
    let Some(surplus) = update::surplus(kind, &found, wanted) else { return Some(left) };
    json_patch::merge(&mut found, &surplus.removal);
    let mut text = Vec::new();
    yaml::write_value(&found, &mut text).ok()?;
    Some(text)
}

/// The kind as the cluster serves it, in the version that is written, or the texts could not be compared.
fn in_written_version(candidate: &Candidate, served: &HashMap<GroupResource, KindInfo>) -> Option<KindInfo> {
    Some(KindInfo { version: candidate.kind.version.clone(), ..served.get(&candidate.id.kind)?.clone() })
}

async fn load(observed: &mut Observed, source: &Source, cluster: &Cluster, options: &Options) -> Result<(), ObserveError> {
    let Observed { candidates, live, served, .. } = observed;
    let kinds: Arc<HashMap<GroupResource, KindInfo>> = Arc::new(served.kinds().map(|info| (info.group_resource(), info.clone())).collect());
    let differing: Vec<(usize, usize, ObjectId, KindInfo, Arc<KindInfo>, bool)> = candidates
        .iter()
        .enumerate()
        .filter(|(_, candidate)| matches!(candidate.facts.verdict, Verdict::Restore) && !candidate.hidden && candidate.edit.refusal.is_none())
        .filter(|(_, candidate)| candidate.unserved.is_none())
        .filter(|(_, candidate)| options.changes(&candidate.id.kind))
        .filter_map(|(index, candidate)| {
            let found = live.get(&candidate.id).filter(|found| !found.deleting)?;
            let same = candidate.facts.uid.as_ref() == Some(&found.uid) && candidate.facts.resource_version.as_ref() == Some(&found.resource_version);
            let info = in_written_version(candidate, &kinds)?;
            let stored = candidate.stored.clone().unwrap_or_else(|| candidate.kind.clone());
            let read = found.manifest.is_none() || Some(&info.version) != kinds.get(&candidate.id.kind).map(|served| &served.version);
            (!same || candidate.edit.changes).then(|| (index, candidate.item, candidate.id.clone(), info, stored, read))
        })
        .collect();
    let loaded: Vec<(usize, ObjectId, Vec<u8>, Option<LiveObject>)> = stream::iter(differing)
        .map(|(index, item, id, info, stored, read)| async move {
            let stored = source.edited(item, &info, &stored, &options.edits).await?;
            let found = if read { live::get(cluster, &info, &id).await? } else { None };
            Ok::<_, ObserveError>((index, id, stored, found))
        })
        .buffer_unordered(PARALLEL)
        .try_collect()
        .await?;
    for (index, id, stored, found) in loaded {
        if let Some(candidate) = candidates.get_mut(index) {
            candidate.manifest = Some(stored);
        }
        if let Some(found) = found {
            live.insert(id, found);
        }
    }
    Ok(())
}

/// Asks the API server about each update that a plan would hold.
async fn ask(observed: &mut Observed, cluster: &Cluster, options: &Options) -> Result<(), ObserveError> {
    let served: HashMap<GroupResource, KindInfo> = observed.served.kinds().map(|info| (info.group_resource(), info.clone())).collect();
    let updates = updates(observed, options);
    let mut kinds = HashMap::new();
    for info in observed.served.kinds() {
        owners::know(&mut kinds, info);
    }
    let mut calls = Vec::new();
    for candidate in observed.candidates.iter().filter(|candidate| updates.contains(&candidate.id)) {
        let Some(mut object) = candidate.manifest.as_deref().and_then(|text| yaml::read(text).ok()) else { continue };
        let Some(info) = in_written_version(candidate, &served) else { continue };
        let owner = |uid: &str| {
            let owner = candidate.facts.owners.iter().find(|owner| owner.uid == uid)?;
            let id = owners::resolve(owner, candidate.id.namespace.as_deref(), &kinds)?;
            observed.live.get(&id).map(|live| Relink::To(live.uid.clone()))
        };
        let relink = |uid: &str| owner(uid).unwrap_or(Relink::Drop);
        update::prepare(&candidate.id.kind, &mut object, &relink);
        if let Ok(body) = serde_json::to_vec(&object) {
            let call = update::request(&info, &candidate.id, body, options.force, true);
            calls.push((candidate.id.clone(), info, object, call));
        }
    }
    let answers: Vec<(ObjectId, Trial, Option<Vec<u8>>)> = stream::iter(calls)
        .map(|(id, info, wanted, call)| async move {
            match api::look(cluster, call).await {
                Ok(answer) => {
                    let left = answer.parts(&info).ok().map(|parts| parts.manifest);
                    let becomes = if options.force { left.and_then(|left| without_surplus(&id.kind, left, &wanted)) } else { left };
                    (id, Trial::Passes, becomes)
                }
                Err(error) => (id, Trial::of(&error), None),
            }
        })
        .buffer_unordered(PARALLEL)
        .collect()
        .await;
    for (id, trial, becomes) in answers {
        if let Some(live) = observed.live.get_mut(&id) {
            *live = LiveObject { trial: Some(trial), becomes, ..std::mem::take(live) };
        }
    }
    Ok(())
}
