//! What a restore did.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{Reason, plan::Step};

/// Failures and warnings that are listed one by one; beyond that they are counted.
const LISTED: usize = 1000;
/// Objects named as examples of one cause.
const EXAMPLES: usize = 3;

/// What became of one step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Created.
    Created,
    /// Updated.
    Updated,
    /// Deleted and created anew.
    Recreated,
    /// Removed.
    Removed,
    /// Found in the wanted state.
    Unchanged,
    /// Left alone.
    Skipped(Reason),
    /// Not done.
    Failed(String),
    /// A dry run cannot tell.
    NotCheckable(String),
    /// The restore was stopped before.
    NotAttempted,
}

/// One object that was not restored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The object, as kubectl names it.
    pub object: String,
    /// Why, in one line. Holds no values of the object.
    pub cause: String,
}

/// Equal causes, counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CauseGroup {
    /// The cause, with the names of objects taken out.
    pub cause: String,
    /// How many objects.
    pub count: u64,
    /// Some of them.
    pub examples: Vec<String>,
}

/// Report of a restore, or of a dry run of one.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Report {
    /// Whether nothing was written.
    pub dry_run: bool,
    /// Objects created.
    pub created: u64,
    /// Objects updated.
    pub updated: u64,
    /// Objects deleted and created anew.
    pub recreated: u64,
    /// Objects removed.
    pub removed: u64,
    /// Objects found in the wanted state.
    pub unchanged: u64,
    /// Objects of which the status was written, too.
    #[serde(skip_serializing_if = "is_zero")]
    pub statuses: u64,
    /// Objects left alone, by reason.
    pub skipped: BTreeMap<Reason, u64>,
    /// Objects not restored.
    pub failed: u64,
    /// Failures grouped by cause, the most frequent first.
    pub causes: Vec<CauseGroup>,
    /// Failures one by one, at most 1,000.
    pub failures: Vec<Failure>,
    /// Objects that a dry run cannot check, grouped by reason.
    pub not_checkable: BTreeMap<String, u64>,
    /// Objects that were not reached before the restore was stopped.
    pub not_attempted: u64,
    /// Why nothing more could be done, where nobody asked for that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lost: Option<String>,
    /// Warnings, one line each, at most 1,000.
    pub warnings: Vec<String>,
    /// Warnings beyond that.
    pub more_warnings: u64,
    /// Requests that wrote, or would have.
    pub write_requests: u64,
}

impl Report {
    /// Whether every object of the plan is in the state that the plan wanted.
    pub fn is_complete(&self) -> bool {
        self.failed == 0 && self.not_attempted == 0
    }

    /// Whether nothing was to be done.
    pub fn is_empty(&self) -> bool {
        self.is_complete() && self.changed() == 0 && self.not_checkable.is_empty()
    }

    /// Objects that were changed in whatever way.
    pub fn changed(&self) -> u64 {
        self.created + self.updated + self.recreated + self.removed
    }

    /// Counts one step.
    pub fn add(&mut self, step: &Step, outcome: Outcome) {
        match outcome {
            Outcome::Created => self.created += 1,
            Outcome::Updated => self.updated += 1,
            Outcome::Recreated => self.recreated += 1,
            Outcome::Removed => self.removed += 1,
            Outcome::Unchanged | Outcome::Skipped(Reason::Unchanged) => self.unchanged += 1,
            Outcome::Skipped(reason) => *self.skipped.entry(reason).or_default() += 1,
            Outcome::NotCheckable(reason) => *self.not_checkable.entry(reason).or_default() += 1,
            Outcome::NotAttempted => self.not_attempted += 1,
            Outcome::Failed(cause) => {
                self.failed += 1;
                let object = step.id().to_string();
                self.count_cause(general(&cause, step), &object);
                if self.failures.len() < LISTED {
                    self.failures.push(Failure { object, cause });
                }
            }
        }
    }

    /// Adds warnings about one step.
    pub fn warn(&mut self, step: &Step, warnings: impl IntoIterator<Item = String>) {
        for warning in warnings {
            if self.warnings.len() < LISTED {
                self.warnings.push(format!("{}: {warning}", step.id()));
            } else {
                self.more_warnings += 1;
            }
        }
    }

    fn count_cause(&mut self, cause: String, object: &str) {
        match self.causes.iter_mut().find(|group| group.cause == cause) {
            Some(group) => {
                group.count += 1;
                if group.examples.len() < EXAMPLES {
                    group.examples.push(object.to_owned());
                }
            }
            None => self.causes.push(CauseGroup { cause, count: 1, examples: vec![object.to_owned()] }),
        }
    }

    /// Puts the most frequent causes first.
    pub fn finish(&mut self) {
        self.causes.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.cause.cmp(&b.cause)));
        let unique: BTreeSet<String> = std::mem::take(&mut self.warnings).into_iter().collect();
        self.warnings = unique.into_iter().collect();
    }
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// A cause without the name of the object, so that 5,000 equal failures are one line.
pub(super) fn general(cause: &str, step: &Step) -> String {
    cause.replace(&format!("\"{}\"", step.name), "NAME").replace(&format!("/{}", step.name), "/NAME")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::{
        object::{KindInfo, ObjectId},
        restore::plan::Action,
    };

    fn step(name: &str) -> Step {
        let kind = KindInfo { group: String::new(), version: "v1".into(), resource: "pods".into(), kind: "Pod".into(), namespaced: true };
        let id = ObjectId { kind: kind.group_resource(), namespace: Some("demo".into()), name: name.into() };
        Step::new(kind, id, Action::Create, Reason::Missing)
    }

    #[test]
    fn equal_failures_are_one_cause() {
        let mut report = Report::default();
        for name in ["a", "b", "c", "d"] {
            report.add(&step(name), Outcome::Failed(format!("pods \"{name}\" is forbidden: quota")));
        }
        report.add(&step("e"), Outcome::Failed("other".into()));
        report.add(&step("f"), Outcome::Created);
        report.add(&step("g"), Outcome::Skipped(Reason::Finished));
        report.finish();
        assert_eq!(
            report.causes.first().unwrap(),
            &CauseGroup {
                cause: "pods NAME is forbidden: quota".into(),
                count: 4,
                examples: vec!["pods/a -n demo".into(), "pods/b -n demo".into(), "pods/c -n demo".into()]
            }
        );
        assert_eq!((report.created, report.failed, report.skipped.get(&Reason::Finished)), (1, 5, Some(&1)));
        assert!(!report.is_complete());
        let text = serde_json::to_string(&report).unwrap();
        assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), report);
    }
}
