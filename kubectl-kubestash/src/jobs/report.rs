//! What a backup tells of itself in the status of a Snapshot. Pure.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kubestash::{
    api::{
        COMPONENT, Component, ComponentPhase, Condition, Driver, KStashStats, NATIVE_PATH, Snapshot, conditions, conditions::reason, format_size,
        go_duration, kstash_component, set_condition,
    },
    repository::Root,
};

use crate::resources::advice::is_forbidden;

/// A component of our driver, which is in a phase.
pub fn component(phase: ComponentPhase) -> Component {
    Component { path: Some(NATIVE_PATH.to_owned()), phase: Some(phase), driver: Some(Driver::KStash), ..Component::default() }
}

/// One that is being written.
pub fn running(objects: u64) -> Component {
    Component { kstash_stats: Some(KStashStats { objects: Some(number(objects)), ..KStashStats::default() }), ..component(ComponentPhase::Running) }
}

/// One that was not written.
pub fn failed(error: &str, milliseconds: u64) -> Component {
    let duration = Some(go_duration(milliseconds));
    // No data of this snapshot is there that could be damaged, and none that has a size.
    Component { error: Some(error.to_owned()), duration, integrity: Some(true), size: Some(format_size(0)), ..component(ComponentPhase::Failed) }
}

/// One that stands in the repository, which holds so many bytes in all.
pub fn succeeded(root: &Root, repository_bytes: u64) -> Component {
    Component { size: Some(format_size(repository_bytes)), ..kstash_component(root) }
}

fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// `BackupPartial`, of a snapshot that lacks something.
pub fn partial(root: &Root) -> Option<Condition> {
    let gaps = crate::commands::gaps(root);
    if gaps.is_empty() {
        return None;
    }
    let names: Vec<&str> = gaps.iter().take(10).map(|(name, _)| name.as_str()).collect();
    let more = gaps.len().saturating_sub(names.len());
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    let refused = gaps.iter().any(|(_, why)| is_forbidden(why));
    let next = if refused { " Let the ServiceAccount of the session get and list them, or exclude them." } else { "" };
    let message = format!("Not read: {}{more}; status.components.{COMPONENT}.kstashStats.notRead of the Snapshot says why.{next}", names.join(", "));
    Some(Condition::new(conditions::BACKUP_PARTIAL, true, reason::SOME_KINDS_NOT_READ, message))
}

/// `SnapshotMetadataUploaded`.
pub fn uploaded(done: Result<(), String>) -> Condition {
    match done {
        Ok(()) => Condition::new(
            conditions::SNAPSHOT_METADATA_UPLOADED,
            true,
            reason::SUCCESSFULLY_UPLOADED_SNAPSHOT_METADATA,
            "Metadata uploaded to backend successfully",
        ),
        Err(error) => Condition::new(conditions::SNAPSHOT_METADATA_UPLOADED, false, reason::FAILED_TO_UPLOAD_SNAPSHOT_METADATA, error),
    }
}

/// Puts a component and conditions into a Snapshot, and computes what follows from them.
pub fn note(snapshot: &mut Snapshot, component: Component, news: impl IntoIterator<Item = Condition>, now: Timestamp) {
    let status = snapshot.status.get_or_insert_default();
    status.total_components = Some(1);
    status.components.insert(COMPONENT.to_owned(), component);
    for condition in news {
        set_condition(&mut status.conditions, condition, now);
    }
    settle(snapshot, now);
}

/// Computes size, integrity and phase anew.
pub fn settle(snapshot: &mut Snapshot, now: Timestamp) {
    let status = snapshot.status.get_or_insert_default();
    status.size = status.compute_size();
    status.integrity = status.compute_integrity();
    status.phase = Some(status.compute_phase());
    status.last_update_time = Some(Time(now));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_have_the_words_of_kubestash() {
        for (condition, status, reason) in [
            (uploaded(Ok(())), "True", "SuccessfullyUploadedSnapshotMetadata"),
            (uploaded(Err("no bucket".to_owned())), "False", "FailedToUploadSnapshotMetadata"),
        ] {
            assert_eq!(
                (condition.type_.as_str(), condition.status.as_str(), condition.reason.as_deref()),
                ("SnapshotMetadataUploaded", status, Some(reason))
            );
        }
    }

    /// Each end of a component, and the phase that it makes of its Snapshot.
    #[test]
    fn a_snapshot_ends_as_its_component_and_its_file_do() {
        let end = |phase, upload: Option<Result<(), String>>, more: &[Condition]| {
            let mut snapshot = Snapshot::default();
            let news = upload.map(uploaded).into_iter().chain(more.iter().cloned());
            note(&mut snapshot, component(phase), news, Timestamp::UNIX_EPOCH);
            snapshot.status.and_then(|status| status.phase).map(|phase| phase.as_str())
        };
        let incomplete = Condition::new(conditions::BACKUP_INCOMPLETE, true, reason::BACKUP_EXECUTOR_TERMINATED_BEFORE_COMPLETION, "killed");
        let unlisted = Condition::new(conditions::RECENT_SNAPSHOT_LIST_UPDATED, false, reason::FAILED_TO_UPDATE_RECENT_SNAPSHOT_LIST, "");
        for (phase, upload, more, wanted) in [
            (ComponentPhase::Running, None, &[][..], "Running"),
            (ComponentPhase::Succeeded, None, &[], "Running"),
            (ComponentPhase::Succeeded, Some(Ok(())), &[], "Succeeded"),
            (ComponentPhase::Succeeded, Some(Err("no bucket".to_owned())), &[], "Failed"),
            (ComponentPhase::Failed, Some(Ok(())), &[], "Failed"),
            (ComponentPhase::Failed, None, std::slice::from_ref(&incomplete), "Failed"),
            (ComponentPhase::Succeeded, Some(Ok(())), std::slice::from_ref(&incomplete), "Failed"),
            (ComponentPhase::Succeeded, Some(Ok(())), std::slice::from_ref(&unlisted), "Failed"),
        ] {
            assert_eq!(end(phase, upload.clone(), more), Some(wanted), "{phase} {upload:?} {more:?}");
        }
    }
}
