//! KubeStash's RetentionPolicy.
//!
//! Candidates are the snapshots of one repository and session that have ended, without the one just being made. Of the failed ones the newest
//! few stay. Of the successful ones stay the newest, and the newest of each of the latest hours, days, weeks, months and years that have
//! one; without counts all of them. What is older than the longest period goes, whatever the counts say.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Candidate, KeepRules, Period, PeriodError, Reason, State, keep, newest_first};
use crate::repository::SnapshotId;

/// How many successful snapshots stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// The newest ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<i32>,
    /// One of each hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hourly: Option<i32>,
    /// One of each day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub daily: Option<i32>,
    /// One of each week.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weekly: Option<i32>,
    /// One of each month.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub monthly: Option<i32>,
    /// One of each year.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub yearly: Option<i32>,
}

/// How many failed snapshots stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FailedCounts {
    /// The newest ones; one if nothing is said.
    #[serde(default = "one", skip_serializing_if = "Option::is_none")]
    pub last: Option<i32>,
}

#[expect(clippy::unnecessary_wraps, reason = "serde wants the type of the field")]
const fn one() -> Option<i32> {
    Some(1)
}

impl Default for FailedCounts {
    fn default() -> Self {
        Self { last: one() }
    }
}

/// What a RetentionPolicy says about snapshots.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RetentionPolicySpec {
    /// Older ones go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_retention_period: Option<String>,
    /// Which successful ones stay; all if it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub successful_snapshots: Option<Counts>,
    /// Which failed ones stay.
    #[serde(default)]
    pub failed_snapshots: FailedCounts,
}

/// What the policy itself does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PolicyOptions {
    /// The snapshot that the session is making: never touched, never counted.
    pub current: Option<SnapshotId>,
    /// Keep the newest successful snapshot even when it is older than the longest period: a session that has failed for long enough
    /// would otherwise remove its last good one. A literal reading of the policy removes it.
    pub keep_newest: bool,
}

/// The reasons to keep each snapshot, in the order given; none means that it goes.
///
/// # Errors
/// A period that cannot be read.
pub fn apply_policy(
    policy: &RetentionPolicySpec,
    snapshots: &[Candidate],
    options: PolicyOptions,
    now: Timestamp,
) -> Result<Vec<Vec<Reason>>, PeriodError> {
    let longest: Option<Period> = policy.max_retention_period.as_deref().map(str::parse).transpose()?;
    let mut reasons = vec![Vec::new(); snapshots.len()];
    let in_progress = |snapshot: &Candidate| snapshot.state == State::Running || Some(snapshot.id) == options.current;
    let order = newest_first(snapshots);
    let of_state = |state| {
        let own = |at: &&usize| snapshots.get(**at).is_some_and(|snapshot| snapshot.state == state && !in_progress(snapshot));
        order.iter().filter(own).copied().collect::<Vec<usize>>()
    };
    let mut add = |at: usize, why: Vec<Reason>| {
        if let Some(found) = reasons.get_mut(at) {
            *found = why;
        }
    };
    for (at, snapshot) in snapshots.iter().enumerate() {
        if in_progress(snapshot) {
            add(at, vec![Reason::InProgress]);
        }
    }
    for at in of_state(State::Failed).into_iter().take(count(policy.failed_snapshots.last)) {
        add(at, vec![Reason::LastFailed]);
    }
    let succeeded = of_state(State::Succeeded);
    match policy.successful_snapshots {
        None => succeeded.iter().for_each(|&at| add(at, vec![Reason::NoLimit])),
        Some(counts) => {
            let own: Vec<Candidate> = succeeded.iter().filter_map(|&at| snapshots.get(at)).cloned().collect();
            for (&at, why) in succeeded.iter().zip(keep(&rules(counts), &own)) {
                add(at, why);
            }
        }
    }
    // The newest successful one of all, be it the current one: only then may the others go for their age.
    let newest = order.iter().copied().find(|&at| snapshots.get(at).is_some_and(|snapshot| snapshot.state == State::Succeeded));
    for (at, (snapshot, why)) in snapshots.iter().zip(&mut reasons).enumerate() {
        let too_old = longest.is_some_and(|longest| longest.is_longer_ago(snapshot.time, now));
        if in_progress(snapshot) || !too_old {
            continue;
        }
        why.clear();
        if options.keep_newest && newest == Some(at) {
            why.push(Reason::NewestComplete);
        }
    }
    Ok(reasons)
}

fn count(number: Option<i32>) -> usize {
    number.and_then(|number| usize::try_from(number).ok()).unwrap_or(0)
}

fn rules(counts: Counts) -> KeepRules {
    let number = |number: Option<i32>| number.and_then(|number| u32::try_from(number).ok()).unwrap_or(0);
    KeepRules {
        last: number(counts.last),
        hourly: number(counts.hourly),
        daily: number(counts.daily),
        weekly: number(counts.weekly),
        monthly: number(counts.monthly),
        yearly: number(counts.yearly),
        ..KeepRules::default()
    }
}
