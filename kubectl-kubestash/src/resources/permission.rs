//! What a namespace may use of another one. Checked before a Job gets rights, whether or not the webhook has looked at the object.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::{Client, ResourceExt as _};
use kubestash::api::{BackupStorage, ObjectReference, Repository, Requester, UsagePolicy, labels::ALLOWED_NAMESPACES};

use super::{cluster_wide, namespaced, storage::full_name};

/// Whether the annotations of a Secret let a Job of another namespace use it.
pub fn secret_allows(annotations: &BTreeMap<String, String>, namespace: &str) -> bool {
    let names = annotations.get(ALLOWED_NAMESPACES).map(String::as_str).unwrap_or_default();
    names.split(',').map(str::trim).any(|name| name == "*" || (!name.is_empty() && name == namespace))
}

/// Why a namespace may not use a storage.
pub fn storage_refuses(storage: &BackupStorage, requester: Requester<'_>) -> Option<String> {
    let owner = storage.namespace().unwrap_or_default();
    let allowed = UsagePolicy::allows(storage.spec.usage_policy.as_ref(), &owner, requester);
    let why = || {
        format!(
            "BackupStorage {} does not allow its use from namespace {}; its spec.usagePolicy says who may",
            full_name(storage),
            requester.namespace
        )
    };
    (!allowed).then(why)
}

/// Why a Job of a namespace may not work on repositories; nothing when it may.
///
/// # Errors
/// The API server's.
pub async fn refusal(client: &Client, namespace: &str, repositories: &[Repository], storages: &[BackupStorage]) -> kube::Result<Option<String>> {
    let own = cluster_wide::<Namespace>(client).get_opt(namespace).await?;
    let labels = own.and_then(|own| own.metadata.labels).unwrap_or_default();
    let requester = Requester { namespace, labels: &labels };
    if let Some(why) = storages.iter().find_map(|storage| storage_refuses(storage, requester)) {
        return Ok(Some(why));
    }
    for secret in repositories.iter().filter_map(secret_of) {
        let place = secret.namespace_or(namespace);
        if place == namespace {
            continue;
        }
        let Some(found) = namespaced::<Secret>(client, place).get_metadata_opt(&secret.name).await? else {
            return Ok(Some(format!("Secret {secret} does not exist")));
        };
        if !secret_allows(found.annotations(), namespace) {
            return Ok(Some(format!(
                "Secret {secret} does not allow its use from namespace {namespace}; its annotation {ALLOWED_NAMESPACES} says who may, as in \"{namespace}\""
            )));
        }
    }
    Ok(None)
}

/// The encryption Secret of a repository, with its namespace.
fn secret_of(repository: &Repository) -> Option<ObjectReference> {
    Some(repository.spec.encryption_secret.as_ref()?.resolved(&repository.namespace().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_says_who_may_use_it() {
        let rows = [
            (None, false),
            (Some(""), false),
            (Some("other"), false),
            (Some("team"), true),
            (Some("other, team"), true),
            (Some("team-b"), false),
            (Some("*"), true),
            (Some(" , "), false),
        ];
        for (value, wanted) in rows {
            let annotations = value.map(|value| (ALLOWED_NAMESPACES.to_owned(), value.to_owned())).into_iter().collect();
            assert_eq!(secret_allows(&annotations, "team"), wanted, "{value:?}");
        }
    }
}
