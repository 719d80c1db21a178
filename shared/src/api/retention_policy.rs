//! `RetentionPolicy`: which Snapshots stay.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{schema::rules, usage_policy::UsagePolicy};
use crate::repository::retention;

const RULES: [(&str, &str); 2] = [
    (
        "self.?maxRetentionPeriod.orValue('') != '' || has(self.successfulSnapshots)",
        "a RetentionPolicy needs maxRetentionPeriod, successfulSnapshots or both",
    ),
    (
        r"self.?maxRetentionPeriod.orValue('') == '' || self.maxRetentionPeriod.matches('^\\s*(-?[0-9]+(y|mo|w|d|h|m)\\s*)+$')",
        "maxRetentionPeriod must be numbers with the units y, mo, w, d, h and m, as in 30d or 1y6mo",
    ),
];

/// Which Snapshots stay and which are removed.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "storage.kubestash.com",
    version = "v1alpha1",
    kind = "RetentionPolicy",
    plural = "retentionpolicies",
    namespaced,
    category = "kubestash",
    category = "appscode",
    derive = "PartialEq",
    derive = "Default",
    doc = "Which Snapshots stay and which are removed.",
    printcolumn = r#"{"name": "Max-Retention-Period", "type": "string", "jsonPath": ".spec.maxRetentionPeriod"}"#,
    printcolumn = r#"{"name": "Default", "type": "boolean", "jsonPath": ".spec.default"}"#,
    printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = rules(&RULES)))]
pub struct RetentionPolicySpec {
    /// Age from which on Snapshots are removed: numbers with the units `y`, `mo`, `w`, `d`, `h` and `m`, such as `30d` or `1y6mo`.
    #[schemars(length(max = 253))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_retention_period: Option<String>,
    /// Which namespaces may use the policy; its own if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage_policy: Option<UsagePolicy>,
    /// How many successful Snapshots stay; all if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub successful_snapshots: Option<SuccessfulSnapshots>,
    /// How many failed Snapshots stay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_snapshots: Option<FailedSnapshots>,
    /// Whether backups that name no policy use this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<bool>,
}

/// How many successful Snapshots stay. A Snapshot stays if any of the counts keeps it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SuccessfulSnapshots {
    /// The newest ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<i32>,
    /// The newest of each of the latest hours that have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hourly: Option<i32>,
    /// The newest of each of the latest days that have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub daily: Option<i32>,
    /// The newest of each of the latest weeks that have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weekly: Option<i32>,
    /// The newest of each of the latest months that have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub monthly: Option<i32>,
    /// The newest of each of the latest years that have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub yearly: Option<i32>,
}

/// How many failed Snapshots stay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FailedSnapshots {
    /// The newest ones.
    #[schemars(extend("default" = 1))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<i32>,
}

impl RetentionPolicySpec {
    /// What it says about snapshots, in the shape that removes them. What is absent has its default.
    pub fn rules(&self) -> retention::RetentionPolicySpec {
        let counts = |kept: SuccessfulSnapshots| retention::Counts {
            last: kept.last,
            hourly: kept.hourly,
            daily: kept.daily,
            weekly: kept.weekly,
            monthly: kept.monthly,
            yearly: kept.yearly,
        };
        retention::RetentionPolicySpec {
            max_retention_period: self.max_retention_period.clone().filter(|period| !period.trim().is_empty()),
            successful_snapshots: self.successful_snapshots.map(counts),
            failed_snapshots: retention::FailedCounts { last: self.failed_snapshots.and_then(|kept| kept.last).or(Some(1)) },
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn rules_have_the_defaults() {
        let rules = |spec| serde_json::from_value::<RetentionPolicySpec>(spec).unwrap().rules();
        assert_eq!(rules(json!({"maxRetentionPeriod": "30d"})).failed_snapshots, retention::FailedCounts::default());
        assert_eq!(rules(json!({"maxRetentionPeriod": "", "failedSnapshots": {}})), retention::RetentionPolicySpec::default());
        let all = rules(json!({"successfulSnapshots": {"last": 1, "hourly": 2, "daily": 3, "weekly": 4, "monthly": 5, "yearly": 6}}));
        let wanted = retention::Counts { last: Some(1), hourly: Some(2), daily: Some(3), weekly: Some(4), monthly: Some(5), yearly: Some(6) };
        assert_eq!(all.successful_snapshots, Some(wanted));
        assert_eq!(rules(json!({"failedSnapshots": {"last": 0}})).failed_snapshots.last, Some(0));
    }
}
