//! Pages about what happened once: backups, their Snapshots, restores. Pure.

use jiff::Timestamp;
use kube::ResourceExt as _;
use kubestash::api::{
    BackupSession, BackupSessionPhase, COMPONENT, HookExecutionStatus, RestorePhase, RestoreSession, RetentionPolicyPhase, Snapshot, SnapshotPhase,
    conditions, find_condition,
};

use super::page::{Page, Table, ago, cell};
use crate::cli::output::{count, size, time};

/// Conditions that are bad news when they are `True`.
const BAD_WHEN_TRUE: [&str; 7] = [
    conditions::BACKUP_SKIPPED,
    conditions::BACKUP_INCOMPLETE,
    conditions::BACKUP_PARTIAL,
    conditions::RESTORE_INCOMPLETE,
    conditions::DEADLINE_EXCEEDED,
    conditions::SNAPSHOT_CLEANUP_INCOMPLETE,
    conditions::POD_HAS_BEEN_IN_PENDING_STATE_FOR_LONGER_THAN_EXPECTED,
];
/// Kinds and objects that are listed, of those that were not read or not restored.
const LISTED: usize = 10;

/// How a backup went: its Snapshots, hooks and policies.
pub fn session(object: &BackupSession, snapshots: &[Snapshot], now: Timestamp) -> Page {
    let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
    let status = object.status.clone().unwrap_or_default();
    let mut page = Page::new("BackupSession", &namespace, &name, status.phase.map_or("Pending", BackupSessionPhase::as_str));
    let invoker = object.spec.invoker.as_ref().map(|invoker| invoker.name.clone());
    page.facts = vec![
        ("of", invoker.as_ref().map(|invoker| format!("BackupConfiguration {invoker}, session {}", object.spec.session))),
        ("began", ago(object.metadata.creation_timestamp.as_ref(), now)),
        ("took", status.duration.clone()),
        ("given up at", status.backup_deadline.as_ref().filter(|_| status.phase.is_none()).map(|at| time(at.0))),
        ("tried again", status.next_retry.as_ref().map(|at| time(at.0))),
    ];
    if status.phase == Some(BackupSessionPhase::Failed) {
        page.problem(status.failure().unwrap_or_else(|| "no reason is known".to_owned()));
    }
    for snapshot in &status.snapshots {
        snapshot.message.iter().for_each(|message| page.problem_of(&format!("Snapshot {}", snapshot.name), message));
    }
    page.complaints(&status.conditions, &BAD_WHEN_TRUE);
    for policy in &status.retention_policy {
        let part = format!("RetentionPolicy of {}", policy.repository.as_deref().unwrap_or_default());
        policy.error.iter().for_each(|why| page.problem_of(&part, why));
    }
    page.tables.push(Table {
        heading: "Snapshots",
        header: &["NAME", "REPOSITORY", "PHASE", "OBJECTS", "NEW", "CHANGED", "ADDED"],
        rows: status
            .snapshots
            .iter()
            .map(|listed| {
                let found = snapshots.iter().find(|snapshot| snapshot.name_any() == listed.name);
                let stats = found.and_then(|snapshot| snapshot.status.as_ref()?.components.get(COMPONENT)?.kstash_stats.clone()).unwrap_or_default();
                vec![
                    listed.name.clone(),
                    cell(listed.repository.as_ref()),
                    listed.phase.map_or("Pending", SnapshotPhase::as_str).to_owned(),
                    cell(stats.objects),
                    cell(stats.new),
                    cell(stats.changed),
                    cell(stats.stored_bytes.and_then(|bytes| u64::try_from(bytes).ok()).map(size)),
                ]
            })
            .collect(),
    });
    let hooks = status.hooks.clone().unwrap_or_default();
    page.tables.push(hook_table(&hooks.pre_hooks, &hooks.post_hooks));
    page.tables.push(Table {
        heading: "Retention",
        header: &["REPOSITORY", "POLICY", "PHASE"],
        rows: status
            .retention_policy
            .iter()
            .map(|applied| {
                let phase = applied.phase.map(RetentionPolicyPhase::as_str);
                vec![cell(applied.repository.as_ref()), cell(applied.ref_.as_ref()), cell(phase)]
            })
            .collect(),
    });
    if status.phase.is_some_and(BackupSessionPhase::is_completed) {
        let failed = status.phase != Some(BackupSessionPhase::Succeeded);
        page.next.extend(failed.then(|| format!("kubectl kubestash logs {name} -n {namespace}")));
        page.next.extend(invoker.filter(|_| failed).map(|invoker| format!("kubectl kubestash trigger {invoker} -n {namespace}")));
    } else {
        page.next.push(format!("kubectl kubestash wait {name} -n {namespace}"));
    }
    page
}

fn hook_table(before: &[HookExecutionStatus], after: &[HookExecutionStatus]) -> Table {
    let rows = |when: &'static str, hooks: &[HookExecutionStatus]| -> Vec<Vec<String>> {
        hooks.iter().map(|hook| vec![hook.name.clone(), when.to_owned(), cell(hook.phase.map(|phase| format!("{phase:?}")))]).collect()
    };
    Table { heading: "Hooks", header: &["NAME", "WHEN", "PHASE"], rows: [rows("before", before), rows("after", after)].concat() }
}

/// What a Snapshot holds, and what it lacks.
pub fn snapshot(object: &Snapshot, now: Timestamp) -> Page {
    let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
    let status = object.status.clone().unwrap_or_default();
    let mut page = Page::new("Snapshot", &namespace, &name, status.phase.map_or("Pending", SnapshotPhase::as_str));
    let own = status.components.get(COMPONENT).cloned().unwrap_or_default();
    let stats = own.kstash_stats.clone().unwrap_or_default();
    let number = |value: Option<i64>| u64::try_from(value.unwrap_or(0)).unwrap_or(0);
    page.facts = vec![
        ("repository", Some(object.spec.repository.clone())),
        ("made by", object.spec.backup_session.as_ref().map(|session| format!("BackupSession {session}"))),
        ("time", status.snapshot_time.as_ref().map(|at| format!("{}, {}", time(at.0), ago(Some(at), now).unwrap_or_default()))),
        ("objects", stats.objects.map(|objects| format!("{} of {}", count(number(Some(objects)), "object"), count(number(stats.kinds), "kind")))),
        ("against the one before", stats.new.map(|new| format!("{new} new, {} changed, {} gone", number(stats.changed), number(stats.removed)))),
        ("added", stats.stored_bytes.map(|bytes| size(number(Some(bytes))))),
        ("one moment", stats.resource_version.map(|version| format!("all at resourceVersion {version}"))),
        ("integrity", status.integrity.map(|good| if good { "good" } else { "damaged" }.to_owned())),
        ("when deleted", object.spec.deletion_policy.map(|policy| format!("{policy:?}"))),
    ];
    own.error.iter().for_each(|error| page.problem(error.clone()));
    page.complaints(&status.conditions, &BAD_WHEN_TRUE);
    let rows = stats.not_read.iter().take(LISTED).map(|gap| vec![gap.resource.clone(), gap.reason.clone()]).collect();
    page.tables.push(Table { heading: "Not read", header: &["WHAT", "WHY"], rows });
    if status.phase == Some(SnapshotPhase::Succeeded) {
        let repository = format!("--repo {namespace}/{}", object.spec.repository);
        page.next.push(format!("kubectl kubestash {repository} mount {name} DIR"));
        page.next.push(format!("kubectl kubestash {repository} diff {name} live --stat"));
        page.next.push(format!("kubectl kubestash {repository} restore {name} --dry-run"));
    } else if let Some(session) = &object.spec.backup_session {
        page.next.push(format!("kubectl kubestash describe session/{session} -n {namespace}"));
    }
    page
}

/// How a restore went.
pub fn restore(object: &RestoreSession, now: Timestamp) -> Page {
    let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
    let status = object.status.clone().unwrap_or_default();
    let mut page = Page::new("RestoreSession", &namespace, &name, status.phase.map_or("Pending", RestorePhase::as_str));
    let data = object.spec.data_source.clone().unwrap_or_default();
    let chosen = status.dependencies.iter().find(|dependency| dependency.kind.as_deref() == Some("Snapshot"));
    let own = status.components.get(COMPONENT).cloned().unwrap_or_default();
    let counts = own.counts.map(|counts| {
        let number = |count: Option<i64>| count.unwrap_or(0);
        format!(
            "{} created, {} updated, {} skipped, {} failed",
            number(counts.created),
            number(counts.updated),
            number(counts.skipped),
            number(counts.failed)
        )
    });
    let progress = own.progress.as_ref().and_then(|progress| Some(format!("{} of {} objects", progress.files_done?, progress.total_files?)));
    page.facts = vec![
        ("repository", data.repository),
        ("snapshot", chosen.map(|chosen| chosen.name.clone()).or(data.snapshot)),
        ("began", ago(object.metadata.creation_timestamp.as_ref(), now)),
        ("took", status.duration.clone()),
        ("progress", progress),
        ("objects", counts),
    ];
    own.error.iter().for_each(|error| page.problem(error.clone()));
    page.complaints(&status.conditions, &BAD_WHEN_TRUE);
    let rows = own.failures.iter().take(LISTED).map(|failure| vec![failure.object.clone(), failure.reason.clone()]).collect();
    page.tables.push(Table { heading: "Not restored", header: &["OBJECT", "WHY"], rows });
    let hooks = status.hooks.clone().unwrap_or_default();
    page.tables.push(hook_table(&hooks.pre_hooks, &hooks.post_hooks));
    match status.phase {
        Some(RestorePhase::Succeeded) => {}
        Some(phase) if phase.is_completed() => {
            let has_run = find_condition(&status.conditions, conditions::RESTORE_EXECUTOR_ENSURED).is_some_and(|ensured| ensured.is_true());
            page.next.extend(has_run.then(|| format!("kubectl kubestash logs {name} -n {namespace}")));
        }
        _ => page.next.push(format!("kubectl kubestash wait {name} -n {namespace}")),
    }
    page
}

#[cfg(test)]
#[path = "runs_tests.rs"]
mod tests;
