//! Objects of the source that selected ones refer to, and those that these refer to.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::Value;

use super::{ObserveError, PARALLEL};
use crate::{
    object::{GroupResource, ObjectId, yaml},
    restore::{
        owners,
        plan::Served,
        related::{Kinds, bound_accounts, references},
        source::{Item, Source, SourceError},
    },
};

/// Bindings: what they give is found from the ServiceAccounts that they name.
const BINDINGS: [&str; 2] = ["rolebindings.rbac.authorization.k8s.io", "clusterrolebindings.rbac.authorization.k8s.io"];

/// Items that are not selected and that selected ones refer to, each with the object that does.
pub async fn related(source: &Source, selected: &HashSet<ObjectId>, served: &Served) -> Result<Vec<(Item, ObjectId)>, ObserveError> {
    let items: HashMap<ObjectId, Item> = source.items().map(|item| (item.id.clone(), item)).collect();
    let mut kinds = Kinds::new();
    for info in items.values().map(|item| item.kind.as_ref()).chain(served.kinds()) {
        owners::know(&mut kinds, info);
    }
    let mut taken: BTreeMap<ObjectId, ObjectId> = BTreeMap::new();
    let mut frontier: BTreeSet<ObjectId> = selected.iter().cloned().collect();
    while !frontier.is_empty() {
        let values = read(source, frontier.iter().filter_map(|id| items.get(id))).await?;
        let mut next = BTreeSet::new();
        for (item, value) in &values {
            for id in references(&item.kind, item.id.namespace.as_deref(), value, &kinds) {
                if items.contains_key(&id) && !selected.contains(&id) && !taken.contains_key(&id) {
                    taken.insert(id.clone(), item.id.clone());
                    next.insert(id);
                }
            }
        }
        for (binding, account) in bindings(source, &items, &frontier).await? {
            if !selected.contains(&binding) && !taken.contains_key(&binding) {
                taken.insert(binding.clone(), account);
                next.insert(binding);
            }
        }
        frontier = next;
    }
    Ok(taken.into_iter().filter_map(|(id, by)| Some((items.get(&id)?.clone(), by))).collect())
}

/// Bindings of the source that give rights to one of the objects, with the account.
async fn bindings(source: &Source, items: &HashMap<ObjectId, Item>, of: &BTreeSet<ObjectId>) -> Result<Vec<(ObjectId, ObjectId)>, ObserveError> {
    let account = GroupResource::new("", "serviceaccounts");
    if !of.iter().any(|id| id.kind == account) {
        return Ok(Vec::new());
    }
    let is_binding = |item: &&Item| BINDINGS.iter().any(|kind| item.id.kind.to_string() == *kind);
    let values = read(source, items.values().filter(is_binding)).await?;
    let found = values.into_iter().filter_map(|(item, value)| {
        let account = bound_accounts(item.id.namespace.as_deref(), &value).into_iter().find(|account| of.contains(account))?;
        Some((item.id, account))
    });
    Ok(found.collect())
}

async fn read<'a>(source: &Source, items: impl Iterator<Item = &'a Item>) -> Result<Vec<(Item, Value)>, ObserveError> {
    let items: Vec<Item> = items.cloned().collect();
    let read = stream::iter(items).map(|item| async move {
        let text = source.manifest(item.number).await?;
        let value = yaml::read(&text).map_err(|source| SourceError::Object { object: item.id.to_string(), source })?;
        Ok::<_, SourceError>((item, value))
    });
    Ok(read.buffered(PARALLEL).try_collect().await?)
}
