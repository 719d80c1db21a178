//! Conditions of a status, and the merge that keeps the time of a transition.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One observation about an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// What is observed.
    #[serde(rename = "type")]
    pub type_: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// When the status was last another one.
    pub last_transition_time: Time,
    /// Why, in one word that programs can compare.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Why, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Generation of the object that was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// How bad it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<String>,
}

impl Condition {
    /// A condition as a controller sees it; [`set_condition`] gives it its time.
    pub fn new(type_: &str, status: bool, reason: &str, message: impl Into<String>) -> Self {
        Self {
            type_: type_.to_owned(),
            status: if status { "True" } else { "False" }.to_owned(),
            last_transition_time: Time(Timestamp::UNIX_EPOCH),
            reason: Some(reason.to_owned()).filter(|reason| !reason.is_empty()),
            message: Some(message.into()).filter(|message| !message.is_empty()),
            observed_generation: None,
            severity: None,
        }
    }

    /// With the generation of the object that was looked at.
    #[must_use]
    pub fn observed(mut self, generation: Option<i64>) -> Self {
        self.observed_generation = generation;
        self
    }

    /// Whether its status is `True`.
    pub fn is_true(&self) -> bool {
        self.status == "True"
    }

    /// Whether its status is `False`.
    pub fn is_false(&self) -> bool {
        self.status == "False"
    }

    /// Whether both say the same, whenever they began to.
    fn says_the_same(&self, other: &Self) -> bool {
        let mut other = other.clone();
        other.last_transition_time = self.last_transition_time.clone();
        *self == other
    }
}

/// Puts a condition into a list, in the place of the one of its type, and tells whether that changed anything.
///
/// `now` becomes the transition time of a new condition and of one with another status; otherwise the old time stays. The order of the list
/// stays, a new condition comes last.
pub fn set_condition(conditions: &mut Vec<Condition>, mut new: Condition, now: Timestamp) -> bool {
    let Some(old) = conditions.iter_mut().find(|condition| condition.type_ == new.type_) else {
        new.last_transition_time = Time(now);
        conditions.push(new);
        return true;
    };
    if old.says_the_same(&new) {
        return false;
    }
    new.last_transition_time = if old.status == new.status { old.last_transition_time.clone() } else { Time(now) };
    *old = new;
    true
}

/// Takes the condition of a type out of a list and tells whether it was there.
pub fn remove_condition(conditions: &mut Vec<Condition>, type_: &str) -> bool {
    let before = conditions.len();
    conditions.retain(|condition| condition.type_ != type_);
    conditions.len() != before
}

/// The condition of a type.
pub fn find_condition<'a>(conditions: &'a [Condition], type_: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.type_ == type_)
}

/// What the first condition says that tells of a failure: one that is `False`, or `True` and of a type for which that is bad.
pub fn find_failure(conditions: &[Condition], bad_when_true: &[&str]) -> Option<String> {
    let is_bad = |condition: &&Condition| condition.is_false() || (condition.is_true() && bad_when_true.contains(&condition.type_.as_str()));
    let condition = conditions.iter().find(is_bad)?;
    Some(condition.message.as_ref().or(condition.reason.as_ref()).unwrap_or(&condition.type_).clone())
}

/// Whether a condition is there and `True`.
pub fn is_true(conditions: &[Condition], type_: &str) -> bool {
    find_condition(conditions, type_).is_some_and(Condition::is_true)
}

/// Whether a condition is there and `False`.
pub fn is_false(conditions: &[Condition], type_: &str) -> bool {
    find_condition(conditions, type_).is_some_and(Condition::is_false)
}

/// Whether a condition is there, whatever it says.
pub fn has_condition(conditions: &[Condition], type_: &str) -> bool {
    find_condition(conditions, type_).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn the_time_stays_while_the_status_does() {
        let mut list = Vec::new();
        assert!(set_condition(&mut list, Condition::new("A", true, "Good", "all is well"), time(1)));
        assert!(set_condition(&mut list, Condition::new("B", false, "Bad", ""), time(2)));
        assert!(!set_condition(&mut list, Condition::new("A", true, "Good", "all is well"), time(3)), "nothing changed");
        assert_eq!(list[0].last_transition_time.0, time(1));

        assert!(set_condition(&mut list, Condition::new("A", true, "Better", "all is very well"), time(4)), "the reason changed");
        assert_eq!((list[0].last_transition_time.0, list[0].reason.as_deref()), (time(1), Some("Better")));

        assert!(set_condition(&mut list, Condition::new("A", false, "Bad", ""), time(5)), "the status changed");
        assert_eq!(list[0].last_transition_time.0, time(5));
        assert_eq!(list.iter().map(|condition| condition.type_.as_str()).collect::<Vec<_>>(), ["A", "B"]);
        assert!(is_false(&list, "A") && !is_true(&list, "A") && has_condition(&list, "B") && !has_condition(&list, "C"));
        assert!(remove_condition(&mut list, "A") && !remove_condition(&mut list, "A"));
    }

    #[test]
    fn a_new_generation_is_a_change() {
        let mut list = Vec::new();
        set_condition(&mut list, Condition::new("A", true, "Good", "").observed(Some(1)), time(1));
        assert!(set_condition(&mut list, Condition::new("A", true, "Good", "").observed(Some(2)), time(2)));
        assert_eq!(list[0].last_transition_time.0, time(1));
    }
}
