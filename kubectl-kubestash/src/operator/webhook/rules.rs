//! What one object cannot know: rules across objects. Pure; each tells what is wrong in a sentence.

use std::collections::BTreeMap;

use kube::ResourceExt as _;
use kubestash::api::{
    BackupConfiguration, BackupStorage, CanBeDefault, HookInfo, HookTemplate, ObjectReference, Repository, Requester, RestoreSession,
    RetentionPolicy, UsagePolicy, resolve_backends,
};

use crate::{
    operator::{configuration::validate, restore_session},
    resources::storage::full_name,
};

/// What the cluster holds beside the object in question; kinds that do not matter for it are left empty.
#[derive(Debug, Default)]
pub struct Known {
    /// Of all namespaces.
    pub storages: Vec<BackupStorage>,
    /// Of all namespaces.
    pub policies: Vec<RetentionPolicy>,
    /// Of all namespaces.
    pub repositories: Vec<Repository>,
    /// Those that the object names.
    pub hooks: Vec<HookTemplate>,
    /// Labels of the object's namespace.
    pub namespace_labels: BTreeMap<String, String>,
}

fn others<'a, K: kube::Resource>(own: &'a K, all: &'a [K]) -> impl Iterator<Item = &'a K> {
    let same = |other: &K| other.name_any() == own.name_any() && other.namespace() == own.namespace();
    all.iter().filter(move |other| !same(other) && other.meta().deletion_timestamp.is_none())
}

/// A namespace has one default.
pub fn second_default<K: CanBeDefault<DynamicType = ()>>(own: &K, all: &[K]) -> Option<String> {
    if !own.is_default() {
        return None;
    }
    let other = others(own, all).find(|other| other.is_default() && other.namespace() == own.namespace())?;
    let kind = K::kind(&());
    Some(format!("{kind} {} is the default of its namespace already; set spec.default of one of the two to false", full_name(other)))
}

/// Where a storage is; nothing for volumes, of which nobody can tell whether they are the same.
fn place(storage: &BackupStorage) -> Option<[String; 4]> {
    let spec = storage.spec.storage.as_ref()?;
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let path = |value: &Option<String>| text(value).trim_matches('/').to_owned();
    match spec.provider.as_str() {
        "s3" => spec.s3.as_ref().map(|s3| {
            let endpoint = text(&s3.endpoint).trim_end_matches('/').to_lowercase();
            ["s3".to_owned(), endpoint, s3.bucket.trim_matches('/').to_owned(), path(&s3.prefix)]
        }),
        "gcs" => spec.gcs.as_ref().map(|gcs| ["gcs".to_owned(), String::new(), gcs.bucket.trim_matches('/').to_owned(), path(&gcs.prefix)]),
        "azure" => spec.azure.as_ref().map(|azure| ["azure".to_owned(), text(&azure.storage_account), azure.container.clone(), path(&azure.prefix)]),
        _ => None,
    }
}

/// Two storages at one place would each take what the other holds for its own. Unlike KubeStash, another endpoint is another place.
pub fn same_place(own: &BackupStorage, all: &[BackupStorage]) -> Option<String> {
    let here = place(own)?;
    let other = others(own, all).find(|other| place(other).as_ref() == Some(&here))?;
    Some(format!("BackupStorage {} is at the same place; use that one, or give this one a prefix of its own", full_name(other)))
}

/// Storage and directory of a repository.
fn directory(repository: &Repository) -> Option<(ObjectReference, String)> {
    let own = repository.namespace().unwrap_or_default();
    let storage = repository.spec.storage_ref.as_ref()?.object().resolved(&own);
    Some((storage, repository.spec.path.as_deref().unwrap_or_default().trim_matches('/').to_owned()))
}

/// Two repositories in one directory would remove each other's data.
pub fn same_directory(own: &Repository, all: &[Repository]) -> Option<String> {
    let here = directory(own)?;
    let other = others(own, all).find(|other| directory(other).as_ref() == Some(&here))?;
    Some(format!("Repository {} has the directory {:?} of BackupStorage {} already; choose another one", full_name(other), here.1, here.0))
}

fn not_allowed(kind: &str, object: &str, namespace: &str) -> String {
    format!("{kind} {object} does not allow its use from namespace {namespace}; its spec.usagePolicy says who may")
}

/// The object that a reference means, among those that are known; one that is not there is none of the webhook's business.
fn named<'a, K: kube::Resource>(reference: &ObjectReference, own: &str, all: &'a [K]) -> Option<&'a K> {
    all.iter().find(|object| object.name_any() == reference.name && object.namespace().as_deref() == Some(reference.namespace_or(own)))
}

/// Whether a storage may be used from a namespace.
pub fn storage_usage(reference: &ObjectReference, known: &Known, requester: Requester<'_>) -> Option<String> {
    let storage = named(reference, requester.namespace, &known.storages)?;
    let owner = storage.namespace().unwrap_or_default();
    let allowed = UsagePolicy::allows(storage.spec.usage_policy.as_ref(), &owner, requester);
    (!allowed).then(|| not_allowed("BackupStorage", &full_name(storage), requester.namespace))
}

/// Whether a retention policy may be used from a namespace.
pub fn policy_usage(reference: &ObjectReference, known: &Known, requester: Requester<'_>) -> Option<String> {
    let policy = named(reference, requester.namespace, &known.policies)?;
    let owner = policy.namespace().unwrap_or_default();
    let allowed = UsagePolicy::allows(policy.spec.usage_policy.as_ref(), &owner, requester);
    (!allowed).then(|| not_allowed("RetentionPolicy", &full_name(policy), requester.namespace))
}

/// Whether the templates of hooks may be used from a namespace.
pub fn hook_usage<'a>(hooks: impl IntoIterator<Item = &'a HookInfo>, known: &Known, requester: Requester<'_>) -> Vec<String> {
    let one = |hook: &HookInfo| {
        let template = named(hook.hook_template.as_ref()?, requester.namespace, &known.hooks)?;
        let owner = template.namespace().unwrap_or_default();
        let allowed = UsagePolicy::allows(template.spec.usage_policy.as_ref(), &owner, requester);
        (!allowed).then(|| not_allowed("HookTemplate", &full_name(template), requester.namespace))
    };
    hooks.into_iter().filter_map(one).collect()
}

/// Everything about a Repository.
pub fn repository(own: &Repository, known: &Known) -> Vec<String> {
    let namespace = own.namespace().unwrap_or_default();
    let requester = Requester { namespace: &namespace, labels: &known.namespace_labels };
    let usage = own.spec.storage_ref.as_ref().and_then(|storage| storage_usage(&storage.object(), known, requester));
    same_directory(own, &known.repositories).into_iter().chain(usage).collect()
}

/// Hooks of all sessions.
pub fn hooks_of(configuration: &BackupConfiguration) -> impl Iterator<Item = &HookInfo> {
    let hooks = configuration.spec.sessions.iter().filter_map(|session| session.hooks.as_ref());
    hooks.flat_map(|hooks| hooks.pre_backup.iter().chain(&hooks.post_backup))
}

/// Hooks of a restore.
pub fn hooks_of_restore(session: &RestoreSession) -> impl Iterator<Item = &HookInfo> {
    session.spec.hooks.iter().flat_map(|hooks| hooks.pre_restore.iter().chain(&hooks.post_restore))
}

/// Everything about a BackupConfiguration.
pub fn configuration(own: &BackupConfiguration, known: &Known) -> Vec<String> {
    let namespace = own.namespace().unwrap_or_default();
    let requester = Requester { namespace: &namespace, labels: &known.namespace_labels };
    let backends = resolve_backends(&own.spec.backends, &known.storages, &known.policies, requester);
    let mut all = validate::problems(&own.spec, &backends);
    for backend in &backends {
        all.extend(backend.storage_ref.as_ref().and_then(|storage| storage_usage(&storage.object(), known, requester)));
        all.extend(backend.retention_policy.as_ref().and_then(|policy| policy_usage(policy, known, requester)));
    }
    all.extend(hook_usage(hooks_of(own), known, requester));
    let mut wanted: Vec<Repository> = Vec::new();
    for info in own.spec.sessions.iter().flat_map(|session| &session.repositories) {
        let name = info.backend.as_deref().unwrap_or_default();
        let only = || backends.first().filter(|_| name.is_empty() && backends.len() == 1);
        let Some(storage) = backends.iter().find(|backend| backend.name == name).or_else(only).and_then(|backend| backend.storage_ref.clone()) else {
            continue;
        };
        let mut repository = Repository::new(
            &info.name,
            kubestash::api::RepositorySpec { storage_ref: Some(storage), path: Some(info.directory.clone()), ..Default::default() },
        );
        repository.metadata.namespace = Some(namespace.clone());
        all.extend(same_directory(&repository, &known.repositories));
        all.extend(same_directory(&repository, &wanted));
        let there = named(&ObjectReference::new(&info.name, &namespace), &namespace, &known.repositories);
        if let Some((storage, path)) = there.filter(|there| directory(there) != directory(&repository)).and_then(directory) {
            all.push(format!("a Repository {namespace}/{} is there already, in BackupStorage {storage} at {path:?}; choose another name", info.name));
        }
        wanted.push(repository);
    }
    all.sort();
    all.dedup();
    all
}

/// Everything about a RestoreSession; `repository` is the one that it restores from, where it is known.
pub fn restore(own: &RestoreSession, repository: Option<&Repository>, known: &Known) -> Vec<String> {
    let namespace = own.namespace().unwrap_or_default();
    let requester = Requester { namespace: &namespace, labels: &known.namespace_labels };
    let mut all: Vec<String> = restore_session::problem(&own.spec).into_iter().collect();
    let storage = repository.and_then(directory).and_then(|(storage, _)| storage_usage(&storage, known, requester));
    all.extend(storage);
    all.extend(hook_usage(hooks_of_restore(own), known, requester));
    all
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
