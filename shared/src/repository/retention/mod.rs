//! Which snapshots stay and which go, with the reasons: pure functions of times, tags and states. Nothing here reads or removes anything.
//!
//! Times are compared in UTC: days begin at midnight UTC, weeks are ISO weeks and begin on Monday. The kept snapshot of an hour, day, week,
//! month or year is its newest.

mod period;
mod policy;

use std::fmt;

use jiff::{Timestamp, tz::TimeZone};
use serde::Serialize;

pub use period::{Period, PeriodError};
pub use policy::{Counts, FailedCounts, PolicyOptions, RetentionPolicySpec, apply_policy};

use super::{ClusterId, Root, SnapshotId};

/// How a backup ended, as far as keeping it is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// All that was asked for is in it.
    Succeeded,
    /// Something is missing from it, or all.
    Failed,
    /// It has not ended.
    Running,
}

/// A snapshot as these rules see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Its id.
    pub id: SnapshotId,
    /// When the cluster was read.
    pub time: Timestamp,
    /// Words of the user's.
    pub tags: Vec<String>,
    /// How it ended.
    pub state: State,
}

impl From<&Root> for Candidate {
    fn from(root: &Root) -> Self {
        let state = if root.is_complete() { State::Succeeded } else { State::Failed };
        Self { id: root.id, time: root.time, tags: root.tags.clone(), state }
    }
}

/// A stretch of time of which one snapshot is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Every {
    /// A clock hour.
    Hour,
    /// A day.
    Day,
    /// An ISO week.
    Week,
    /// A month.
    Month,
    /// A year.
    Year,
}

impl Every {
    /// A number that times in the same stretch share.
    fn bucket(self, time: Timestamp) -> (i16, i64) {
        let utc = time.to_zoned(TimeZone::UTC);
        let day = i64::from(utc.day_of_year());
        match self {
            Self::Hour => (utc.year(), day * 24 + i64::from(utc.hour())),
            Self::Day => (utc.year(), day),
            Self::Week => {
                let week = utc.date().iso_week_date();
                (week.year(), week.week().into())
            }
            Self::Month => (utc.year(), utc.month().into()),
            Self::Year => (utc.year(), 0),
        }
    }
}

/// Why a snapshot is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// One of the newest.
    Last,
    /// The newest of its hour, day, week, month or year.
    NewestOf(Every),
    /// Young enough.
    Within,
    /// It has this tag.
    Tag(String),
    /// No other complete snapshot would be left.
    NewestComplete,
    /// One of the newest failed ones.
    LastFailed,
    /// It has not ended, or is the one being made.
    InProgress,
    /// The policy does not limit the number of successful ones.
    NoLimit,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Last => f.write_str("last"),
            Self::NewestOf(Every::Hour) => f.write_str("hourly"),
            Self::NewestOf(Every::Day) => f.write_str("daily"),
            Self::NewestOf(Every::Week) => f.write_str("weekly"),
            Self::NewestOf(Every::Month) => f.write_str("monthly"),
            Self::NewestOf(Every::Year) => f.write_str("yearly"),
            Self::Within => f.write_str("within"),
            Self::Tag(tag) => write!(f, "tag {tag}"),
            Self::NewestComplete => f.write_str("newest complete"),
            Self::LastFailed => f.write_str("last failed"),
            Self::InProgress => f.write_str("in progress"),
            Self::NoLimit => f.write_str("no limit"),
        }
    }
}

impl Serialize for Reason {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What to keep; a snapshot stays when any rule wants it. The default wants nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KeepRules {
    /// So many of the newest.
    pub last: u32,
    /// The newest of so many hours that have one.
    pub hourly: u32,
    /// Of so many days.
    pub daily: u32,
    /// Of so many ISO weeks.
    pub weekly: u32,
    /// Of so many months.
    pub monthly: u32,
    /// Of so many years.
    pub yearly: u32,
    /// All that are at most so much older than the newest one.
    pub within: Option<Period>,
    /// All with one of these tags.
    pub tags: Vec<String>,
}

impl KeepRules {
    /// Whether no rule is given.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn buckets(&self) -> [(Every, u32); 5] {
        [(Every::Hour, self.hourly), (Every::Day, self.daily), (Every::Week, self.weekly), (Every::Month, self.monthly), (Every::Year, self.yearly)]
    }
}

/// Numbers of the newest first.
fn newest_first(snapshots: &[Candidate]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..snapshots.len()).collect();
    order.sort_by_key(|&at| std::cmp::Reverse(snapshots.get(at).map(|snapshot| (snapshot.time, snapshot.id))));
    order
}

/// The reasons to keep each snapshot, in the order given; none means that it goes.
///
/// Where what the rules keep holds no complete snapshot although there is one, the newest complete one stays as well: seven failed
/// backups must not push out the last good one.
pub fn keep(rules: &KeepRules, snapshots: &[Candidate]) -> Vec<Vec<Reason>> {
    let mut reasons = vec![Vec::new(); snapshots.len()];
    let order = newest_first(snapshots);
    let newest = order.first().and_then(|&at| snapshots.get(at)).map(|snapshot| snapshot.time);
    for (rank, &at) in order.iter().enumerate() {
        let (Some(snapshot), Some(found), Some(newest)) = (snapshots.get(at), reasons.get_mut(at), newest) else {
            continue;
        };
        if rank < rules.last as usize {
            found.push(Reason::Last);
        }
        if rules.within.is_some_and(|within| !within.is_longer_ago(snapshot.time, newest)) {
            found.push(Reason::Within);
        }
        found.extend(rules.tags.iter().filter(|&tag| snapshot.tags.contains(tag)).cloned().map(Reason::Tag));
    }
    for (every, count) in rules.buckets() {
        newest_of_each(every, count, &order, snapshots, &mut reasons);
    }
    let complete = |at: &usize| snapshots.get(*at).is_some_and(|snapshot| snapshot.state == State::Succeeded);
    let stays = |at: &usize| reasons.get(*at).is_some_and(|reasons: &Vec<Reason>| !reasons.is_empty());
    if order.iter().any(stays)
        && !order.iter().any(|at| stays(at) && complete(at))
        && let Some(found) = order.iter().find(|at| complete(at)).and_then(|&at| reasons.get_mut(at))
    {
        found.push(Reason::NewestComplete);
    }
    reasons
}

fn newest_of_each(every: Every, count: u32, order: &[usize], snapshots: &[Candidate], reasons: &mut [Vec<Reason>]) {
    let (mut left, mut last) = (count, None);
    for &at in order {
        let (Some(snapshot), Some(found)) = (snapshots.get(at), reasons.get_mut(at)) else {
            continue;
        };
        let bucket = Some(every.bucket(snapshot.time));
        if left > 0 && bucket != last {
            found.push(Reason::NewestOf(every));
            (left, last) = (left - 1, bucket);
        }
    }
}

/// One line of a plan.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Verdict {
    /// The snapshot.
    pub id: SnapshotId,
    /// Its name.
    pub name: String,
    /// When the cluster was read.
    pub time: Timestamp,
    /// Words of the user's.
    pub tags: Vec<String>,
    /// Whether it stays.
    pub keep: bool,
    /// Why it stays; nothing when it goes.
    pub reasons: Vec<Reason>,
}

/// Snapshots of one cluster with the same filters: rules count within a group.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Group {
    /// The cluster, as the newest snapshot knows it.
    pub cluster: ClusterId,
    /// What was asked for.
    pub filters: serde_json::Value,
    /// Oldest first.
    pub snapshots: Vec<Verdict>,
}

/// What a forget would do.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ForgetPlan {
    /// In the order in which they first appear.
    pub groups: Vec<Group>,
}

impl ForgetPlan {
    /// The snapshots that go.
    pub fn goes(&self) -> impl Iterator<Item = &Verdict> {
        self.groups.iter().flat_map(|group| &group.snapshots).filter(|verdict| !verdict.keep)
    }
}

/// A plan that is not made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RetentionError {
    /// Nothing says what stays.
    #[error("no rule says which snapshots to keep")]
    NoRule,
    /// A group would end empty.
    #[error("the rules keep none of the {count} snapshots of cluster {cluster} (newest: {newest})")]
    NothingKept {
        /// Name of the cluster.
        cluster: String,
        /// How many would go.
        count: usize,
        /// Name of the newest one.
        newest: String,
    },
}

/// Sorts snapshots into groups and applies the rules to each. `wanted` leaves the others out of the plan.
///
/// # Errors
/// `NoRule` without a rule, and `NothingKept` when a group would lose all its snapshots, unless `remove_all` allows both.
pub fn plan(roots: &[Root], rules: &KeepRules, wanted: impl Fn(&Root) -> bool, remove_all: bool) -> Result<ForgetPlan, RetentionError> {
    if rules.is_empty() && !remove_all {
        return Err(RetentionError::NoRule);
    }
    let groups = grouped(roots.iter().filter(|root| wanted(root)));
    let mut plan = ForgetPlan::default();
    for members in groups {
        let candidates: Vec<Candidate> = members.iter().map(|root| Candidate::from(*root)).collect();
        let reasons = keep(rules, &candidates);
        let Some(newest) = members.last() else {
            continue;
        };
        if !remove_all && reasons.iter().all(Vec::is_empty) {
            let (cluster, newest) = (newest.cluster.name.clone(), newest.name.clone());
            return Err(RetentionError::NothingKept { cluster, count: members.len(), newest });
        }
        let (cluster, filters) = (newest.cluster.clone(), newest.filters.clone());
        let snapshots = members.into_iter().zip(reasons).map(|(root, reasons)| verdict(root, reasons)).collect();
        plan.groups.push(Group { cluster, filters, snapshots });
    }
    Ok(plan)
}

/// The plan for snapshots that the user named: these go, and the rest of their groups is not shown.
pub fn plan_named(roots: &[Root]) -> ForgetPlan {
    let groups = grouped(roots.iter()).into_iter().filter_map(|members| {
        let newest = members.last()?;
        let (cluster, filters) = (newest.cluster.clone(), newest.filters.clone());
        Some(Group { cluster, filters, snapshots: members.into_iter().map(|root| verdict(root, Vec::new())).collect() })
    });
    ForgetPlan { groups: groups.collect() }
}

/// Equal cluster and equal filters: the snapshots that a backup takes unchanged objects over from.
fn grouped<'a>(roots: impl Iterator<Item = &'a Root>) -> Vec<Vec<&'a Root>> {
    let mut groups: Vec<Vec<&Root>> = Vec::new();
    for root in roots {
        let own = |group: &&mut Vec<&Root>| group.first().is_some_and(|first| first.cluster.uid == root.cluster.uid && first.filters == root.filters);
        match groups.iter_mut().find(own) {
            Some(group) => group.push(root),
            None => groups.push(vec![root]),
        }
    }
    for group in &mut groups {
        group.sort_by_key(|root| (root.time, root.id));
    }
    groups
}

fn verdict(root: &Root, reasons: Vec<Reason>) -> Verdict {
    Verdict { id: root.id, name: root.name.clone(), time: root.time, tags: root.tags.clone(), keep: !reasons.is_empty(), reasons }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
