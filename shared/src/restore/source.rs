//! Where objects to restore come from: a snapshot, or a file of manifests such as one copied out of a mount.

use std::{collections::HashSet, sync::Arc};

use bytes::Bytes;
use serde_json::Value;

use super::{
    edits::{EditError, Edits},
    facts::PartTexts,
    transforms::at,
    versions,
};
use crate::{
    object::{KindInfo, ObjectError, ObjectId, Parts, Sensitivity, TypeMeta, split, yaml},
    repository::{Access, Part, RepositoryError, Snapshot},
};

/// What stands for a hidden value in redacted manifests.
const HIDDEN: &[u8] = b"<hidden: ";

/// One object of a file.
#[derive(Debug, Clone)]
pub struct Document {
    /// Its identity.
    pub id: ObjectId,
    /// Its kind.
    pub kind: KindInfo,
    /// Its parts.
    pub parts: Parts,
}

/// Objects that can be restored. Cloning is cheap.
#[derive(Clone)]
pub enum Source {
    /// The rows of a snapshot.
    Snapshot(Snapshot),
    /// The documents of a file.
    File(Arc<Vec<Document>>),
}

/// One object of a source.
#[derive(Debug, Clone)]
pub struct Item {
    /// Its number in the source.
    pub number: usize,
    /// Its identity.
    pub id: ObjectId,
    /// Its kind, one for all items of it.
    pub kind: Arc<KindInfo>,
}

/// Parts of one object that facts are read from.
#[derive(Debug, Clone, Default)]
pub struct LoadedParts {
    manifest: Bytes,
    status: Bytes,
    server: Bytes,
    /// Whether values are hidden.
    pub hidden: bool,
}

impl LoadedParts {
    /// The texts.
    pub fn texts(&self) -> PartTexts<'_> {
        PartTexts { manifest: &self.manifest, status: &self.status, server: &self.server }
    }

    /// The manifest.
    pub fn manifest(&self) -> &[u8] {
        &self.manifest
    }
}

/// Why a source cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The snapshot cannot.
    #[error("cannot read {object} from the snapshot")]
    Repository {
        /// Which object.
        object: String,
        /// Why.
        source: Box<RepositoryError>,
    },
    /// A stored object is not what a backup writes.
    #[error("cannot understand {object}")]
    Object {
        /// Which object.
        object: String,
        /// Why.
        source: ObjectError,
    },
    /// A file cannot.
    #[error("document {number}: {reason}")]
    Document {
        /// Which document of the file, from 1.
        number: usize,
        /// Why.
        reason: String,
    },
    /// An object does not take what was to be changed on the way.
    #[error(transparent)]
    Edit(#[from] EditError),
    /// The source has no such item.
    #[error("the source has no item {0}")]
    NoSuchItem(usize),
}

impl Source {
    /// Reads a file of one or several YAML or JSON documents; a `List` counts as its items.
    ///
    /// `kind_of` finds the kind for `apiVersion` and `kind`, `default_namespace` stands in where a document names none.
    ///
    /// # Errors
    /// `Document` with the number of the first document that cannot be taken.
    pub fn from_file(text: &str, default_namespace: &str, kind_of: &dyn Fn(&str, &str) -> Option<KindInfo>) -> Result<Self, SourceError> {
        let mut documents = Vec::new();
        for (index, value) in read_documents(text)?.into_iter().enumerate() {
            let number = index + 1;
            let items = match value.get("items").and_then(Value::as_array) {
                Some(items) if value.get("kind").and_then(Value::as_str).is_some_and(|kind| kind.ends_with("List")) => items.clone(),
                _ => vec![value],
            };
            for item in items {
                documents.push(document(&item, default_namespace, kind_of).map_err(|reason| SourceError::Document { number, reason })?);
            }
        }
        Ok(Self::File(Arc::new(documents)))
    }

    /// All objects, in the source's order.
    pub fn items(&self) -> Box<dyn Iterator<Item = Item> + Send + '_> {
        match self {
            Self::Snapshot(snapshot) => {
                let mut last: Option<Arc<KindInfo>> = None;
                Box::new(snapshot.catalog().rows().map(move |row| {
                    // Rows are sorted by kind.
                    let kind = last.take().filter(|last| **last == *row.kind).unwrap_or_else(|| Arc::new(row.kind.clone()));
                    last = Some(Arc::clone(&kind));
                    Item { number: row.number as usize, id: row.id(), kind }
                }))
            }
            Self::File(documents) => {
                Box::new(documents.iter().enumerate().map(|(number, one)| Item { number, id: one.id.clone(), kind: Arc::new(one.kind.clone()) }))
            }
        }
    }

    /// The kinds of all objects, in the versions of their manifests.
    pub fn kinds(&self) -> HashSet<KindInfo> {
        match self {
            Self::Snapshot(snapshot) => snapshot.catalog().kinds().iter().map(|kind| kind.info.clone()).collect(),
            Self::File(documents) => documents.iter().map(|one| one.kind.clone()).collect(),
        }
    }

    /// The parts that facts are read from.
    ///
    /// # Errors
    /// `Repository` when stored bytes cannot be read.
    pub async fn parts(&self, item: &Item) -> Result<LoadedParts, SourceError> {
        let named = |source| SourceError::Repository { object: item.id.to_string(), source: Box::new(source) };
        match self {
            Self::Snapshot(snapshot) => {
                let row = u32::try_from(item.number).map_err(|_| SourceError::NoSuchItem(item.number))?;
                let manifest = snapshot.manifest(row).await.map_err(named)?;
                let hidden = snapshot.access() == Access::General && snapshot.catalog().row(row).is_some_and(|row| row.sensitive);
                if hidden {
                    return Ok(LoadedParts { manifest, hidden, ..LoadedParts::default() });
                }
                // Only these two kinds are judged by their status.
                let status = match (item.kind.group.as_str(), item.kind.resource.as_str()) {
                    ("", "pods") | ("batch", "jobs") => snapshot.read(row, Part::Status).await.map_err(named)?,
                    _ => Bytes::new(),
                };
                let server = snapshot.read(row, Part::Server).await.map_err(named)?;
                Ok(LoadedParts { manifest, status, server, hidden })
            }
            Self::File(documents) => {
                let Parts { manifest, status, server, .. } =
                    documents.get(item.number).map(|one| one.parts.clone()).ok_or(SourceError::NoSuchItem(item.number))?;
                let hidden = item.kind.is_secret() && manifest.windows(HIDDEN.len()).any(|window| window == HIDDEN);
                Ok(LoadedParts { manifest: manifest.into(), status: status.into(), server: server.into(), hidden })
            }
        }
    }

    /// The manifest of one object.
    ///
    /// # Errors
    /// `Repository` when stored bytes cannot be read, `NoSuchItem` for a plan of another source.
    pub async fn manifest(&self, number: usize) -> Result<Bytes, SourceError> {
        match self {
            Self::Snapshot(snapshot) => {
                let row = u32::try_from(number).map_err(|_| SourceError::NoSuchItem(number))?;
                let named = || snapshot.catalog().row(row).map_or_else(|| format!("row {row}"), |row| row.id().to_string());
                snapshot.manifest(row).await.map_err(|source| SourceError::Repository { object: named(), source: Box::new(source) })
            }
            Self::File(documents) => documents.get(number).map(|one| one.parts.manifest.clone().into()).ok_or(SourceError::NoSuchItem(number)),
        }
    }
}

impl Source {
    /// The status of one object; nothing where it has none.
    ///
    /// # Errors
    /// As [`Source::manifest`], and `Object` when it cannot be understood.
    pub async fn status(&self, number: usize) -> Result<Option<Value>, SourceError> {
        let named = || format!("item {number}");
        let text = match self {
            Self::Snapshot(snapshot) => {
                let row = u32::try_from(number).map_err(|_| SourceError::NoSuchItem(number))?;
                let failed = |source| SourceError::Repository { object: named(), source: Box::new(source) };
                snapshot.read(row, Part::Status).await.map_err(failed)?
            }
            Self::File(documents) => documents.get(number).map(|one| one.parts.status.clone().into()).ok_or(SourceError::NoSuchItem(number))?,
        };
        if text.is_empty() {
            return Ok(None);
        }
        let value = yaml::read(&text).map_err(|source| SourceError::Object { object: named(), source })?;
        Ok(at(&value, &["status"]).cloned())
    }

    /// The manifest of one object as a value, brought under the version of `kind` and edited.
    ///
    /// # Errors
    /// As [`Source::manifest`], and `Edit` where the object does not take an edit.
    pub async fn edited_value(&self, number: usize, kind: &KindInfo, edits: &Edits) -> Result<Value, SourceError> {
        let manifest = self.manifest(number).await?;
        let named = || format!("item {number} ({})", kind.group_resource());
        let mut object = yaml::read(&manifest).map_err(|source| SourceError::Object { object: named(), source })?;
        versions::convert(kind, &mut object);
        if !edits.is_empty() {
            edits.apply(kind, &mut object)?;
        }
        Ok(object)
    }

    /// The same as text; `stored` is the kind in the source.
    ///
    /// # Errors
    /// As [`Source::edited_value`].
    pub async fn edited(&self, number: usize, kind: &KindInfo, stored: &KindInfo, edits: &Edits) -> Result<Vec<u8>, SourceError> {
        if edits.is_empty() && kind == stored {
            return Ok(self.manifest(number).await?.to_vec());
        }
        let object = self.edited_value(number, kind, edits).await?;
        let mut text = Vec::new();
        yaml::write_value(&object, &mut text).map_err(|source| SourceError::Object { object: format!("item {number}"), source })?;
        Ok(text)
    }
}

/// Splits a file at its `---` lines. What kubectl printed is read exactly; what a person typed is read as kubectl would.
fn read_documents(text: &str) -> Result<Vec<Value>, SourceError> {
    let mut documents = Vec::new();
    let mut current = String::new();
    let mut pieces = Vec::new();
    for line in text.lines() {
        if line == "---" || line.starts_with("--- ") {
            pieces.push(std::mem::take(&mut current));
        } else {
            current.push_str(line);
            current.push('\n');
        }
    }
    pieces.push(current);
    for (index, piece) in pieces.iter().filter(|piece| !is_blank(piece)).enumerate() {
        let wrong = |reason: String| SourceError::Document { number: index + 1, reason };
        let exact = yaml::read(piece.as_bytes()).ok().filter(|value| {
            // Only text in our own layout is known to be read right: write it back and see.
            let mut again = Vec::new();
            yaml::write_value(value, &mut again).is_ok() && again == piece.as_bytes()
        });
        let value = match exact {
            Some(value) => value,
            // The parser's message may quote values, which may be secret: only the place is passed on.
            None => serde_saphyr::from_str(piece).map_err(|error| {
                wrong(error.location().map_or_else(|| "is not valid YAML".to_owned(), |at| format!("is not valid YAML at line {}", at.line())))
            })?,
        };
        documents.push(value);
    }
    Ok(documents)
}

fn is_blank(piece: &str) -> bool {
    piece.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#'))
}

fn document(value: &Value, default_namespace: &str, kind_of: &dyn Fn(&str, &str) -> Option<KindInfo>) -> Result<Document, String> {
    let text = |path: &[&str]| at(value, path).and_then(Value::as_str).filter(|text| !text.is_empty());
    let api_version = text(&["apiVersion"]).ok_or("has no apiVersion")?;
    let kind_name = text(&["kind"]).ok_or("has no kind")?;
    let name = text(&["metadata", "name"]).ok_or("has no metadata.name")?;
    let kind = kind_of(api_version, kind_name).ok_or_else(|| format!("{kind_name} of {api_version} is not served by the cluster"))?;
    let mut value = value.clone();
    let namespace = kind.namespaced.then(|| text(&["metadata", "namespace"]).unwrap_or(default_namespace).to_owned());
    if let (Some(namespace), Some(metadata)) = (&namespace, value.get_mut("metadata").and_then(Value::as_object_mut)) {
        metadata.insert("namespace".to_owned(), Value::String(namespace.clone()));
    }
    let id = ObjectId { kind: kind.group_resource(), namespace, name: name.to_owned() };
    let mut parts = Parts::default();
    let json = serde_json::to_vec(&value).map_err(|_| "cannot be written as JSON")?;
    split(&json, TypeMeta { api_version, kind: kind_name }, Sensitivity::Open, &mut parts).map_err(|error| error.to_string())?;
    Ok(Document { id, kind, parts })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;

    fn kind_of(api_version: &str, kind: &str) -> Option<KindInfo> {
        let namespaced = kind != "Namespace";
        (api_version == "v1").then(|| KindInfo {
            group: String::new(),
            version: "v1".into(),
            resource: format!("{}s", kind.to_lowercase()),
            kind: kind.into(),
            namespaced,
        })
    }

    fn documents(text: &str) -> Result<Vec<Document>, String> {
        match Source::from_file(text, "fallback", &kind_of) {
            Ok(Source::File(documents)) => Ok(documents.to_vec()),
            Ok(Source::Snapshot(_)) => panic!("a file is no snapshot"),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn files_are_read_as_kubectl_reads_them() {
        let text = "# a comment\n---\napiVersion: v1\ndata:\n  a: \"yes\"\nkind: ConfigMap\nmetadata:\n  name: x\n  namespace: demo\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: team, uid: u}\n---\napiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Secret, metadata: {name: s}}\n";
        let found = documents(text).unwrap();
        let ids: Vec<_> = found.iter().map(|one| one.id.to_string()).collect();
        assert_eq!(ids, ["configmaps/x -n demo", "namespaces/team", "secrets/s -n fallback"]);
        assert_eq!(
            found.first().unwrap().parts.manifest,
            b"apiVersion: v1\ndata:\n  a: \"yes\"\nkind: ConfigMap\nmetadata:\n  name: x\n  namespace: demo\n"
        );
        assert_eq!(found.get(1).unwrap().parts.server, b"metadata:\n  uid: u\n");
    }

    #[test]
    fn what_is_wrong_with_a_file_is_said_by_document() {
        for (text, expected) in [
            ("a: [", "document 1: is not valid YAML"),
            ("kind: X\n", "document 1: has no apiVersion"),
            ("apiVersion: v1\nkind: X\n", "document 1: has no metadata.name"),
            (
                "apiVersion: v1\nkind: A\nmetadata: {name: a}\n---\napiVersion: x/v1\nkind: B\nmetadata: {name: b}\n",
                "document 2: B of x/v1 is not served by the cluster",
            ),
        ] {
            let error = documents(text).unwrap_err();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
