#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::*;

fn at(text: &str) -> Timestamp {
    format!("{text}:00Z").parse().unwrap()
}

/// `2026-03-01T12:00`, then `!` for failed, `~` for running, `#tag`.
fn snapshot(text: &str) -> Candidate {
    let (time, rest) = text.split_at(16);
    let state = match rest.chars().next() {
        Some('!') => State::Failed,
        Some('~') => State::Running,
        _ => State::Succeeded,
    };
    let tags = rest.split('#').skip(1).map(str::to_owned).collect();
    let time = at(time);
    Candidate { id: SnapshotId(ulid::Ulid::from_parts(time.as_millisecond() as u64, 0)), time, tags, state }
}

fn shown(reasons: Vec<Vec<Reason>>) -> Vec<String> {
    reasons.iter().map(|reasons| reasons.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")).collect()
}

fn kept(rules: &KeepRules, snapshots: &[&str]) -> Vec<String> {
    shown(keep(rules, &snapshots.iter().map(|text| snapshot(text)).collect::<Vec<_>>()))
}

#[test]
fn rules_keep_the_newest_of_each_stretch() {
    let rules = KeepRules::default;
    let hours = ["2026-03-01T09:10", "2026-03-01T09:50", "2026-03-01T10:00", "2026-03-01T10:59"];
    assert_eq!(kept(&KeepRules { last: 2, ..rules() }, &hours), ["", "", "last", "last"]);
    assert_eq!(kept(&KeepRules { hourly: 2, ..rules() }, &hours), ["", "hourly", "", "hourly"]);
    assert_eq!(kept(&KeepRules { hourly: 1, last: 1, ..rules() }, &hours), ["", "", "", "last,hourly"]);
    // Days without a snapshot do not count.
    let days = ["2026-01-31T12:00", "2026-02-01T12:00", "2026-02-28T23:59", "2026-03-01T00:00"];
    assert_eq!(kept(&KeepRules { daily: 3, ..rules() }, &days), ["", "daily", "daily", "daily"]);
    assert_eq!(kept(&KeepRules { monthly: 3, ..rules() }, &days), ["monthly", "", "monthly", "monthly"]);
    // The first days of 2027 belong to week 53 of 2026; 28 December 2026 is its Monday.
    let weeks = ["2026-12-27T12:00", "2026-12-28T00:00", "2027-01-03T12:00", "2027-01-04T00:00"];
    assert_eq!(kept(&KeepRules { weekly: 9, ..rules() }, &weeks), ["weekly", "", "weekly", "weekly"]);
    assert_eq!(kept(&KeepRules { yearly: 9, ..rules() }, &weeks), ["", "yearly", "", "yearly"]);
    // Whatever the order in which they are given.
    let turned: Vec<&str> = weeks.into_iter().rev().collect();
    assert_eq!(kept(&KeepRules { weekly: 2, ..rules() }, &turned), ["weekly", "weekly", "", ""]);
}

#[test]
fn rules_keep_what_is_young_or_tagged() {
    let rules = KeepRules::default;
    let snapshots = ["2026-03-01T00:00#gold#old", "2026-03-02T00:00", "2026-03-03T00:00"];
    let within = |text: &str| KeepRules { within: Some(text.parse().unwrap()), ..rules() };
    assert_eq!(kept(&within("1d"), &snapshots), ["", "within", "within"]);
    assert_eq!(kept(&within("23h"), &snapshots), ["", "", "within"]);
    let tags = vec!["gold".to_owned(), "silver".to_owned()];
    assert_eq!(kept(&KeepRules { tags, last: 1, ..rules() }, &snapshots), ["tag gold", "", "last"]);
}

#[test]
fn failed_backups_never_push_out_the_last_complete_one() {
    let rules = KeepRules { last: 2, ..KeepRules::default() };
    let failing = ["2026-03-01T00:00", "2026-03-02T00:00", "2026-03-03T00:00!", "2026-03-04T00:00!"];
    assert_eq!(kept(&rules, &failing), ["", "newest complete", "last", "last"]);
    assert_eq!(kept(&rules, &failing[1..3]), ["last", "last"]);
    assert_eq!(kept(&rules, &failing[2..]), ["last", "last"]);
    // Rules that keep nothing keep nothing.
    assert_eq!(kept(&KeepRules { tags: vec!["none".to_owned()], ..KeepRules::default() }, &failing), ["", "", "", ""]);
}

fn root(name: &str, time: &str, cluster: &str, filters: u8, tag: Option<&str>) -> Root {
    let time = at(time);
    let cluster = ClusterId { uid: cluster.to_owned(), name: cluster.to_owned(), server_version: String::new() };
    Root {
        id: SnapshotId(ulid::Ulid::from_parts(time.as_millisecond() as u64, filters.into())),
        name: name.to_owned(),
        time,
        cluster,
        filters: filters.into(),
        resource_version: None,
        kinds: Vec::new(),
        failed_groups: Vec::new(),
        layers: Vec::new(),
        parent: None,
        tags: tag.map(str::to_owned).into_iter().collect(),
        program: String::new(),
        duration_ms: 0,
        stats: crate::repository::Stats::default(),
    }
}

fn lines(plan: &ForgetPlan) -> Vec<String> {
    let line = |group: &Group, verdict: &Verdict| {
        let why: Vec<String> = verdict.reasons.iter().map(ToString::to_string).collect();
        format!("{} {} {}", group.cluster.uid, verdict.name, if verdict.keep { why.join(",") } else { "goes".to_owned() })
    };
    plan.groups.iter().flat_map(|group| group.snapshots.iter().map(move |verdict| line(group, verdict))).collect()
}

#[test]
fn rules_count_within_a_cluster_and_its_filters() {
    let roots = [
        root("a1", "2026-03-01T00:00", "a", 0, None),
        root("b1", "2026-03-01T01:00", "b", 0, None),
        root("a2", "2026-03-02T00:00", "a", 0, Some("x")),
        root("a3", "2026-03-03T00:00", "a", 1, None),
    ];
    let rules = KeepRules { last: 1, ..KeepRules::default() };
    assert_eq!(lines(&plan(&roots, &rules, |_| true, false).unwrap()), ["a a1 goes", "a a2 last", "b b1 last", "a a3 last"]);
    let tagged = plan(&roots, &rules, |root| root.tags.contains(&"x".to_owned()), false).unwrap();
    assert_eq!(lines(&tagged), ["a a2 last"]);
    assert_eq!(tagged.goes().count(), 0);
}

#[test]
fn nothing_is_forgotten_by_accident() {
    let roots = [root("a1", "2026-03-01T00:00", "a", 0, Some("x")), root("b1", "2026-03-01T01:00", "b", 0, None)];
    assert_eq!(plan(&roots, &KeepRules::default(), |_| true, false), Err(RetentionError::NoRule));
    let tagged = KeepRules { tags: vec!["x".to_owned()], ..KeepRules::default() };
    let refused = plan(&roots, &tagged, |_| true, false).unwrap_err();
    assert_eq!(refused.to_string(), "the rules keep none of the 1 snapshots of cluster b (newest: b1)");
    assert_eq!(lines(&plan(&roots, &tagged, |_| true, true).unwrap()), ["a a1 tag x", "b b1 goes"]);
    assert_eq!(lines(&plan(&roots, &KeepRules::default(), |root| root.name == "a1", true).unwrap()), ["a a1 goes"]);
    assert_eq!(lines(&plan_named(&roots[..1])), ["a a1 goes"]);
}

fn policy(text: &str) -> RetentionPolicySpec {
    serde_json::from_str(text).unwrap()
}

fn applied(policy_text: &str, snapshots: &[&str], current: Option<&str>, keep_newest: bool) -> Vec<String> {
    let snapshots: Vec<Candidate> = snapshots.iter().map(|text| snapshot(text)).collect();
    let options = PolicyOptions { current: current.map(|text| snapshot(text).id), keep_newest };
    shown(apply_policy(&policy(policy_text), &snapshots, options, at("2026-03-10T00:00")).unwrap())
}

#[test]
fn a_retention_policy_counts_successful_and_failed_ones_apart() {
    let snapshots = [
        "2026-03-01T00:00",
        "2026-03-05T00:00!",
        "2026-03-06T00:00!",
        "2026-03-07T00:00",
        "2026-03-07T12:00",
        "2026-03-08T00:00~",
        "2026-03-09T00:00",
    ];
    let table = [
        // One failed snapshot stays when nothing is said; running ones are never touched.
        (r#"{"successfulSnapshots":{"last":2}}"#, ["", "", "last failed", "", "last", "in progress", "last"]),
        (r#"{"successfulSnapshots":{"last":2},"failedSnapshots":{"last":0}}"#, ["", "", "", "", "last", "in progress", "last"]),
        (r#"{"successfulSnapshots":{"daily":2},"failedSnapshots":{}}"#, ["", "", "last failed", "", "daily", "in progress", "daily"]),
        (r#"{"failedSnapshots":{"last":9},"maxRetentionPeriod":"4d"}"#, ["", "", "last failed", "no limit", "no limit", "in progress", "no limit"]),
        (r#"{"successfulSnapshots":{"last":9},"maxRetentionPeriod":"2d"}"#, ["", "", "", "", "", "in progress", "last"]),
        (r#"{"successfulSnapshots":{"last":9},"maxRetentionPeriod":"1h"}"#, ["", "", "", "", "", "in progress", "newest complete"]),
        // Counts that keep none of them keep none.
        (r#"{"successfulSnapshots":{"last":-1}}"#, ["", "", "last failed", "", "", "in progress", ""]),
    ];
    for (text, expected) in table {
        assert_eq!(applied(text, &snapshots, None, true), expected, "{text}");
    }
    let literal = applied(r#"{"maxRetentionPeriod":"1h"}"#, &snapshots, None, false);
    assert_eq!(literal, ["", "", "", "", "", "in progress", ""]);
}

#[test]
fn the_current_snapshot_is_neither_touched_nor_counted() {
    let snapshots = ["2026-03-07T00:00", "2026-03-08T00:00", "2026-03-09T00:00"];
    let text = r#"{"successfulSnapshots":{"last":1}}"#;
    assert_eq!(applied(text, &snapshots, Some("2026-03-09T00:00"), true), ["", "last", "in progress"]);
    // It is the newest good one already, so older ones may go for their age.
    assert_eq!(applied(r#"{"maxRetentionPeriod":"1h"}"#, &snapshots, Some("2026-03-09T00:00"), true), ["", "", "in progress"]);
}

#[test]
fn a_policy_with_an_unreadable_period_is_refused() {
    let options = PolicyOptions { current: None, keep_newest: true };
    let refused = apply_policy(&policy(r#"{"maxRetentionPeriod":"30"}"#), &[], options, Timestamp::UNIX_EPOCH).unwrap_err();
    assert!(refused.to_string().contains("a number has no unit"), "{refused}");
}
