//! Pages about what stays: configurations, storages and repositories. Pure.

use jiff::Timestamp;
use kube::ResourceExt as _;
use kubestash::api::{
    BackupConfiguration, BackupInvokerPhase, BackupSession, BackupSessionPhase, BackupStorage, BackupStoragePhase, NamespacesFrom, Repository,
    RepositoryPhase, SnapshotPhase, UsagePolicy, is_false,
};

use super::{
    page::{Page, Table, ago, cell},
    runs_of,
};
use crate::cli::output::{age, time};

/// Runs that are listed.
const RUNS: usize = 5;

/// What a BackupConfiguration does when, into which repositories, and how its last runs ended.
pub fn configuration(object: &BackupConfiguration, repositories: &[Repository], sessions: Vec<BackupSession>, now: Timestamp) -> Page {
    let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
    let status = object.status.clone().unwrap_or_default();
    let paused = object.spec.paused.unwrap_or(false);
    let phase = status.phase.map_or("not looked at yet", BackupInvokerPhase::as_str);
    let mut page = Page::new("BackupConfiguration", &namespace, &name, phase);
    page.facts = vec![
        ("paused", paused.then(|| "yes: nothing runs by schedule".to_owned())),
        ("created", ago(object.metadata.creation_timestamp.as_ref(), now)),
    ];
    page.complaints(&status.conditions, &[]);
    for backend in &status.backends {
        let reasons = [
            backend.storage.as_ref().and_then(|storage| storage.reason.clone()),
            backend.retention_policy.as_ref().and_then(|policy| policy.reason.clone()),
        ];
        reasons.into_iter().flatten().for_each(|reason| page.problem_of(&format!("backend {}", backend.name), &reason));
    }
    // What keeps the spec from being valid keeps everything else from being made.
    let invalid = status.phase == Some(BackupInvokerPhase::Invalid);
    for own in status.sessions.iter().filter(|_| !invalid) {
        let waits = own.conditions.iter().find(|condition| condition.type_ == "SchedulerEnsured" && condition.is_false());
        waits.and_then(|condition| condition.message.clone()).into_iter().for_each(|why| page.problem_of(&format!("session {}", own.name), &why));
    }
    for repository in status.repositories.iter().filter(|_| !invalid) {
        repository.reason.iter().for_each(|why| page.problem_of(&format!("repository {}", repository.name), why));
    }
    let runs = runs_of(&name, sessions);
    let ended = |run: &&BackupSession| run.status.as_ref().and_then(|status| status.phase).is_some_and(BackupSessionPhase::is_completed);
    for session in &object.spec.sessions {
        let Some(last) = runs.iter().filter(|run| run.spec.session == session.name).find(ended) else { continue };
        let outcome = last.status.clone().unwrap_or_default();
        match outcome.phase {
            Some(BackupSessionPhase::Failed) => {
                let why = outcome.failure().unwrap_or_else(|| "no reason is known".to_owned());
                page.problem(format!("the last run of {}, {}, failed: {why}", session.name, last.name_any()));
                page.next.push(format!("kubectl kubestash describe session/{} -n {namespace}", last.name_any()));
            }
            Some(BackupSessionPhase::Skipped) => {
                let why = outcome.conditions.iter().find(|condition| condition.type_ == "BackupSkipped").and_then(|skip| skip.message.clone());
                page.problem(format!("the last run of {}, {}, was skipped: {}", session.name, last.name_any(), why.unwrap_or_default()));
            }
            _ => {}
        }
    }
    page.tables.push(Table { heading: "Sessions", header: &["NAME", "SCHEDULE", "NEXT", "LAST", "TASK"], rows: sessions_of(object, &runs, now) });
    page.tables.push(repositories_of(object, repositories, now));
    page.tables.push(runs_table(&runs, now));
    if paused {
        page.next.push(format!("kubectl kubestash resume {name} -n {namespace}"));
    } else if status.phase == Some(BackupInvokerPhase::Ready) {
        page.next.push(format!("kubectl kubestash trigger {name} -n {namespace}"));
    }
    page
}

fn sessions_of(object: &BackupConfiguration, runs: &[BackupSession], now: Timestamp) -> Vec<Vec<String>> {
    let row = |session: &kubestash::api::Session| {
        let own = object.status.iter().flat_map(|status| &status.sessions).find(|own| own.name == session.name);
        let next = own.and_then(|own| own.next_schedule.as_deref()?.parse::<Timestamp>().ok());
        let last = runs.iter().find(|run| run.spec.session == session.name);
        let last = last.map(|run| {
            let phase = run.status.as_ref().and_then(|status| status.phase).map_or("Pending", BackupSessionPhase::as_str);
            format!("{phase}, {}", ago(run.metadata.creation_timestamp.as_ref(), now).unwrap_or_default())
        });
        let tasks: Vec<&str> = session.addon.iter().flat_map(|addon| &addon.tasks).map(|task| task.name.as_str()).collect();
        vec![
            session.name.clone(),
            cell(session.scheduler.as_ref().map(|scheduler| &scheduler.schedule)),
            cell(next.map(|next| format!("in {}", age(now, next)))),
            cell(last),
            tasks.join(","),
        ]
    };
    object.spec.sessions.iter().map(row).collect()
}

fn repositories_of(object: &BackupConfiguration, repositories: &[Repository], now: Timestamp) -> Table {
    let mut rows: Vec<Vec<String>> = Vec::new();
    for info in object.spec.sessions.iter().flat_map(|session| &session.repositories) {
        let found = repositories.iter().find(|repository| repository.name_any() == info.name);
        let status = found.and_then(|found| found.status.clone()).unwrap_or_default();
        let row = vec![
            info.name.clone(),
            cell(info.backend.as_ref()),
            info.directory.clone(),
            found.map_or("not made yet", |_| status.phase.map_or("NotReady", RepositoryPhase::as_str)).to_owned(),
            cell(status.snapshot_count),
            cell(status.size),
            cell(ago(status.last_backup_time.as_ref(), now)),
        ];
        if !rows.contains(&row) {
            rows.push(row);
        }
    }
    Table { heading: "Repositories", header: &["NAME", "BACKEND", "DIRECTORY", "PHASE", "SNAPSHOTS", "SIZE", "LAST BACKUP"], rows }
}

fn runs_table(runs: &[BackupSession], now: Timestamp) -> Table {
    let row = |run: &BackupSession| {
        let status = run.status.clone().unwrap_or_default();
        let phase = status.phase.map_or("Pending", BackupSessionPhase::as_str);
        vec![run.name_any(), phase.to_owned(), cell(status.duration), cell(run.creation_timestamp().map(|made| age(made.0, now)))]
    };
    Table { heading: "Last runs", header: &["BACKUPSESSION", "PHASE", "DURATION", "AGE"], rows: runs.iter().take(RUNS).map(row).collect() }
}

/// Where a BackupStorage is, who may use it, and what lies there.
pub fn storage(object: &BackupStorage, now: Timestamp) -> Page {
    let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
    let status = object.status.clone().unwrap_or_default();
    let phase = status.phase.map_or("not looked at yet", BackupStoragePhase::as_str);
    let mut page = Page::new("BackupStorage", &namespace, &name, phase);
    let policy = object.spec.usage_policy.as_ref();
    let users = match UsagePolicy::from(policy) {
        Some(NamespacesFrom::All) => "every namespace",
        Some(NamespacesFrom::Selector) => "namespaces that spec.usagePolicy selects",
        _ => "its own namespace",
    };
    page.facts = vec![
        ("place", object.spec.storage.as_ref().map(place)),
        ("secret", crate::resources::storage::secret_of(object).map(|secret| format!("{namespace}/{secret}"))),
        ("used by", Some(users.to_owned())),
        ("default", object.spec.default.unwrap_or(false).then(|| "yes".to_owned())),
        ("size", status.total_size),
        ("when deleted", object.spec.deletion_policy.map(|policy| format!("{policy:?}"))),
        ("created", ago(object.metadata.creation_timestamp.as_ref(), now)),
    ];
    page.complaints(&status.conditions, &[]);
    for repository in &status.repositories {
        repository.error.iter().for_each(|why| page.problem_of(&format!("repository {}", repository.name), why));
    }
    let row = |repository: &kubestash::api::StorageRepository| {
        let full = format!("{}/{}", repository.namespace.as_deref().unwrap_or_default(), repository.name);
        vec![full, cell(repository.path.as_ref()), cell(repository.size.as_ref())]
    };
    let rows = status.repositories.iter().map(row).collect();
    page.tables.push(Table { heading: "Repositories", header: &["NAME", "DIRECTORY", "SIZE"], rows });
    page
}

/// Where it is, in the words of its provider.
fn place(storage: &kubestash::api::Storage) -> String {
    let join = |scheme: &str, bucket: &str, prefix: Option<&String>| match prefix.map(|prefix| prefix.trim_matches('/')) {
        Some(prefix) if !prefix.is_empty() => format!("{scheme}://{bucket}/{prefix}"),
        _ => format!("{scheme}://{bucket}"),
    };
    match (&storage.s3, &storage.gcs, &storage.azure) {
        (Some(s3), ..) => {
            let endpoint = s3.endpoint.as_ref().filter(|endpoint| !endpoint.is_empty());
            let at = endpoint.map_or_else(String::new, |endpoint| format!(" at {endpoint}"));
            join("s3", &s3.bucket, s3.prefix.as_ref()) + &at
        }
        (None, Some(gcs), _) => join("gs", &gcs.bucket, gcs.prefix.as_ref()),
        (None, None, Some(azure)) => join("az", &azure.container, azure.prefix.as_ref()),
        (None, None, None) => format!("{}: a volume that Jobs mount", storage.provider),
    }
}

/// Where a Repository is, and what it holds.
pub fn repository(object: &Repository, now: Timestamp) -> Page {
    let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
    let status = object.status.clone().unwrap_or_default();
    let phase = status.phase.map_or("not looked at yet", RepositoryPhase::as_str);
    let mut page = Page::new("Repository", &namespace, &name, phase);
    page.facts = vec![
        ("storage", object.spec.storage_ref.as_ref().map(|reference| reference.object().resolved(&namespace).to_string())),
        ("directory", object.spec.path.clone()),
        ("password", object.spec.encryption_secret.as_ref().map(|secret| format!("Secret {}", secret.resolved(&namespace)))),
        ("snapshots", status.snapshot_count.map(|count| count.to_string())),
        ("size", status.size.clone()),
        ("last backup", status.last_backup_time.as_ref().map(|at| format!("{}, {}", time(at.0), ago(Some(at), now).unwrap_or_default()))),
    ];
    page.complaints(&status.conditions, &[]);
    if status.integrity == Some(false) {
        page.problem(format!("data was found damaged; `kubectl kubestash check --read-data --repo {namespace}/{name}` lists what is hit"));
    }
    let newest = status.recent_snapshots.first();
    if let Some(failed) = newest.filter(|snapshot| snapshot.phase == Some(SnapshotPhase::Failed)) {
        page.problem(format!("the newest Snapshot, {}, failed", failed.name));
        page.next.push(format!("kubectl kubestash describe snapshot/{} -n {namespace}", failed.name));
    }
    let row = |snapshot: &kubestash::api::SnapshotInfo| {
        let phase = snapshot.phase.map_or("Pending", SnapshotPhase::as_str).to_owned();
        let age = cell(snapshot.snapshot_time.as_ref().map(|at| age(at.0, now)));
        vec![snapshot.name.clone(), cell(snapshot.session.as_ref()), phase, cell(snapshot.size.as_ref()), age]
    };
    let rows = status.recent_snapshots.iter().map(row).collect();
    page.tables.push(Table { heading: "Newest Snapshots", header: &["NAME", "SESSION", "PHASE", "SIZE", "AGE"], rows });
    if !is_false(&status.conditions, "RepositoryInitialized") {
        page.next.push(format!("kubectl kubestash snapshots --repo {namespace}/{name}"));
    }
    page
}

#[cfg(test)]
#[path = "places_tests.rs"]
mod tests;
