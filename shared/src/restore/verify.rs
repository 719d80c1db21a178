//! Whether what was restored equals what was backed up.

use std::sync::Arc;

use serde_json::Value;

use super::{
    Verdict, facts,
    source::{Item, Source, SourceError},
    transforms,
};
use crate::{
    compare::{self, ChangeKind, Entry},
    object::{GroupResource, ObjectId, yaml},
    repository::{Catalog, RepositoryError, Snapshot},
};

/// One object that is not as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Which object.
    pub id: ObjectId,
    /// How it differs.
    pub kind: DifferenceKind,
}

/// How an object differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DifferenceKind {
    /// It did not come back, although a restore brings such objects back.
    Missing,
    /// It was not there before, and no controller made it.
    Added,
    /// It has another manifest: the difference as text, values of Secrets hidden.
    Changed(String),
}

/// Why two snapshots cannot be compared.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// A source cannot be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A snapshot cannot be read.
    #[error("cannot read {object} from the snapshot")]
    Repository {
        /// Which object.
        object: ObjectId,
        /// Why.
        source: Box<RepositoryError>,
    },
}

/// Objects that differ between two snapshots of one repository, apart from what a restore changes by design.
///
/// Left out are objects that restores never bring back, and those that controllers made or did not make again.
///
/// # Errors
/// When an object that may differ cannot be read.
pub async fn differences(before: &Snapshot, after: &Snapshot) -> Result<Vec<Difference>, VerifyError> {
    let mut found = Vec::new();
    for change in compare::changes(entries(before.catalog()), entries(after.catalog()), &|_| true) {
        let kind = match change.kind {
            ChangeKind::Removed { before: row } => expected(before, row, &change.id).await?.then_some(DifferenceKind::Missing),
            ChangeKind::Added { after: row } => expected(after, row, &change.id).await?.then_some(DifferenceKind::Added),
            ChangeKind::Changed { before: old, after: new } => {
                if expected(before, old, &change.id).await? {
                    changed(before, after, &change.id, (old, new)).await?.map(DifferenceKind::Changed)
                } else {
                    None
                }
            }
        };
        found.extend(kind.map(|kind| Difference { id: change.id, kind }));
    }
    Ok(found)
}

/// Rows of a catalog, as comparing wants them.
pub fn entries(catalog: &Catalog) -> impl Iterator<Item = Entry<'_>> {
    catalog.rows().map(|row| Entry {
        group: &row.kind.group,
        resource: &row.kind.resource,
        namespace: row.namespace,
        name: row.name,
        manifest_hash: *row.manifest_hash,
        row: row.number,
    })
}

/// Whether a restore is expected to bring the object back.
async fn expected(snapshot: &Snapshot, row: u32, id: &ObjectId) -> Result<bool, VerifyError> {
    let Some(found) = snapshot.catalog().row(row) else { return Ok(false) };
    let item = Item { number: row as usize, id: id.clone(), kind: Arc::new(found.kind.clone()) };
    let parts = Source::Snapshot(snapshot.clone()).parts(&item).await?;
    let (facts, _) = facts::read(&item.kind, &id.name, parts.texts()).map_err(|source| SourceError::Object { object: id.to_string(), source })?;
    let controlled = facts.owners.iter().any(|owner| owner.controller);
    Ok(matches!(facts.verdict, Verdict::Restore) && !controlled)
}

/// Whether two manifests of one object differ in nothing but what a server or a controller gives to it, and gives anew to a restored one: uids in
/// selectors and labels, tokens, names of generated volumes, the node of a pod.
///
/// Text that is no manifest differs.
pub fn differs_only_in_generated(kind: &GroupResource, before: &[u8], after: &[u8]) -> bool {
    let value = |text: &[u8]| {
        let mut value = yaml::read(text).ok()?;
        transforms::comparable(kind, &mut value, true);
        Some(value)
    };
    value(before).is_some_and(|before| value(after) == Some(before))
}

async fn changed(before: &Snapshot, after: &Snapshot, id: &ObjectId, (old, new): (u32, u32)) -> Result<Option<String>, VerifyError> {
    let failed = |source| VerifyError::Repository { object: id.clone(), source: Box::new(source) };
    let (old, new) = (before.manifest(old).await.map_err(failed)?, after.manifest(new).await.map_err(failed)?);
    let value = |text: &[u8]| {
        let mut value = yaml::read(text).map_err(|source| SourceError::Object { object: id.to_string(), source })?;
        transforms::comparable(&id.kind, &mut value, true);
        Ok::<Value, SourceError>(value)
    };
    let (left, right) = (value(&old)?, value(&new)?);
    if left == right {
        return Ok(None);
    }
    let text = |value: &Value| {
        let mut out = Vec::new();
        let written = yaml::write_value(value, &mut out);
        written.map(|()| out).map_err(|source| SourceError::Object { object: id.to_string(), source })
    };
    let hide = id.kind.group.is_empty() && id.kind.resource == "secrets";
    Ok(Some(compare::text::unified(id, &text(&left)?, &text(&right)?, hide)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_values_are_told_from_changes() {
        let job = |uid: &str, image: &str| {
            format!(
                "metadata:\n  labels:\n    controller-uid: {uid}\n  name: once\nspec:\n  selector:\n    matchLabels:\n      controller-uid: {uid}\n  template:\n    spec:\n      containers:\n      - image: {image}\n"
            )
        };
        let token = |token: &str, account: &str| {
            format!(
                "data:\n  token: {token}\nmetadata:\n  annotations:\n    kubernetes.io/service-account.name: {account}\n  name: key\ntype: kubernetes.io/service-account-token\n"
            )
        };
        let opaque = |password: &str| format!("data:\n  password: {password}\nmetadata:\n  name: login\ntype: Opaque\n");
        for (kind, before, after, generated) in [
            ("jobs.batch", job("1", "a"), job("2", "a"), true),
            ("jobs.batch", job("1", "a"), job("2", "b"), false),
            ("secrets", token("YQ==", "web"), token("Yg==", "web"), true),
            ("secrets", token("YQ==", "web"), token("YQ==", "admin"), false),
            ("secrets", opaque("YQ=="), opaque("Yg=="), false),
            ("configmaps", "\t".to_owned(), "\t".to_owned(), false),
        ] {
            let Ok(kind) = kind.parse();
            assert_eq!(differs_only_in_generated(&kind, before.as_bytes(), after.as_bytes()), generated, "{before}\n{after}");
        }
    }
}
