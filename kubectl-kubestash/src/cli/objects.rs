//! Objects as kubectl names them, found in a snapshot.

use kubestash::{
    object::{ObjectId, names_kind},
    repository::{Catalog, CatalogKind, Row},
};

use super::errors::hinted;

/// The kind of a catalog that a person means; core kinds first.
pub fn find_kind<'a>(catalog: &'a Catalog, text: &str) -> anyhow::Result<&'a CatalogKind> {
    let found = catalog.kinds().iter().filter(|kind| names_kind(&kind.info, text)).min_by_key(|kind| !kind.info.group.is_empty());
    found.ok_or_else(|| {
        let all: Vec<String> = catalog.kinds().iter().map(|kind| kind.info.group_resource().to_string()).collect();
        hinted(format!("the snapshot holds no {text:?}"), format!("it holds {}", all.join(", ")))
    })
}

/// Rows that `deploy/web`, `deploy web`, `deploy` or mount paths name. `namespace`: where namespaced objects are looked for; `None` for all.
pub fn find_rows<'a>(catalog: &'a Catalog, words: &[String], namespace: Option<&str>) -> anyhow::Result<Vec<Row<'a>>> {
    let mut rows = Vec::new();
    let in_namespace = |row: &Row<'_>| namespace.is_none() || row.namespace.is_none() || row.namespace == namespace;
    let mut kind_of_words: Option<&CatalogKind> = None;
    for word in words {
        if (word.contains("namespaces/") || word.starts_with("cluster/") || word.contains("/cluster/"))
            && let Ok(id) = ObjectId::from_mount_path(word)
        {
            rows.push(catalog.find(&id).and_then(|row| catalog.row(row)).ok_or_else(|| missing(&id.to_string()))?);
            continue;
        }
        let (kind, name) = match (word.split_once('/'), kind_of_words) {
            (Some((kind, name)), _) => (find_kind(catalog, kind)?, name),
            (None, Some(kind)) => (kind, word.as_str()),
            (None, None) => {
                kind_of_words = Some(find_kind(catalog, word)?);
                continue;
            }
        };
        let before = rows.len();
        rows.extend(catalog.rows_of(kind).filter(|row| row.name == name && in_namespace(row)));
        if rows.len() == before {
            let place = namespace.map_or_else(String::new, |namespace| format!(" in namespace {namespace}"));
            return Err(missing(&format!("{}/{name}{place}", kind.info.group_resource())));
        }
    }
    if let (Some(kind), [_]) = (kind_of_words, words) {
        rows.extend(catalog.rows_of(kind).filter(in_namespace));
    }
    Ok(rows)
}

fn missing(what: &str) -> anyhow::Error {
    hinted(format!("the snapshot holds no {what}"), "look with `kubectl kubestash ls SNAPSHOT`; -n names another namespace, -A all of them")
}
