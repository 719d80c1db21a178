//! Plans that are kept and executed later.
//!
//! A saved plan holds the choice and the options that it was made with, and every decision. Before it is executed it is made again: where a
//! decision comes out otherwise, the cluster has moved, and nothing is done.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    Choice,
    plan::{Action, Plan, Step},
};
use crate::{
    object::ObjectId,
    repository::{ClusterId, SnapshotId},
};

/// Version of the document.
const VERSION: u32 = 1;

/// A plan, and what it is a plan of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SavedPlan {
    /// Version of the document; others are refused.
    pub version: u32,
    /// When it was made.
    pub made: Timestamp,
    /// The snapshot.
    pub snapshot: SnapshotId,
    /// What people call it.
    pub snapshot_name: String,
    /// The cluster that it is for.
    pub cluster: ClusterId,
    /// What was chosen.
    pub selection: Choice,
    /// The plan itself.
    #[serde(flatten)]
    pub plan: Plan,
}

/// A document that is no plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SavedPlanError {
    /// Not even its version can be read.
    #[error("it is no plan of a restore: {0}")]
    Form(String),
    /// Another program made it.
    #[error("it is a plan of version {found}, this program reads {VERSION}")]
    Version {
        /// What it says.
        found: u64,
    },
}

impl SavedPlan {
    /// A plan that can be saved.
    pub fn new(plan: Plan, selection: Choice, snapshot: (SnapshotId, String), cluster: ClusterId, made: Timestamp) -> Self {
        let (snapshot, snapshot_name) = snapshot;
        Self { version: VERSION, made, snapshot, snapshot_name, cluster, selection, plan }
    }

    /// Reads JSON or YAML.
    ///
    /// # Errors
    /// See [`SavedPlanError`].
    pub fn read(text: &str) -> Result<Self, SavedPlanError> {
        let form = |error: &dyn std::fmt::Display| SavedPlanError::Form(error.to_string());
        let value: serde_json::Value = match serde_json::from_str(text) {
            Ok(value) => value,
            Err(_) => serde_saphyr::from_str(text).map_err(|_| SavedPlanError::Form("not valid JSON or YAML".to_owned()))?,
        };
        match value.get("version").and_then(serde_json::Value::as_u64) {
            Some(found) if found == u64::from(VERSION) => serde_json::from_value(value).map_err(|error| form(&error)),
            Some(found) => Err(SavedPlanError::Version { found }),
            None => Err(SavedPlanError::Form("it has no version".to_owned())),
        }
    }
}

/// What is decided otherwise now than when a plan was saved, one line for each object. Empty means that the plan still holds.
pub fn moved(saved: &Plan, now: &Plan) -> Vec<String> {
    let by_id = |plan: &Plan| plan.steps().map(|step| (key(step), step.clone())).collect::<BTreeMap<_, _>>();
    let (before, after) = (by_id(saved), by_id(now));
    let mut lines = Vec::new();
    for key in before.keys().chain(after.keys()).collect::<BTreeSet<_>>() {
        let id = &key.0;
        match (before.get(key), after.get(key)) {
            (Some(old), Some(new)) if same(old, new) => {}
            (Some(old), Some(new)) if (old.action, old.reason) == (new.action, new.reason) => lines.push(format!("{id}: changed since")),
            (Some(old), Some(new)) => lines.push(format!("{id}: was {}, is {}", decision(old), decision(new))),
            // What is left alone may come and go, as pods do.
            (Some(only), None) | (None, Some(only)) if only.action == Action::Skip => {}
            (Some(old), None) if old.action == Action::Delete => lines.push(format!("{id}: was to be removed, is gone")),
            (Some(old), None) => lines.push(format!("{id}: was {}, is not needed any more", decision(old))),
            (None, Some(new)) => lines.push(format!("{id}: is {} as well", decision(new))),
            (None, None) => {}
        }
    }
    for namespace in saved.bare_namespaces.iter().filter(|name| !now.bare_namespaces.contains(name)) {
        lines.push(format!("namespaces/{namespace}: was missing, is there"));
    }
    lines
}

/// Two objects of a source may come to one place.
fn key(step: &Step) -> (ObjectId, Option<usize>) {
    (step.id(), step.item)
}

/// Whether doing one is doing the other. Status and the like change all the time and do not count, but of Secrets, whose values a
/// difference does not show, every change does.
fn same(old: &Step, new: &Step) -> bool {
    let uid = |step: &Step| step.live.as_ref().map(|live| live.uid.clone());
    let version = |step: &Step| step.live.as_ref().filter(|_| step.kind.is_secret()).map(|live| live.resource_version.clone());
    let written = (&old.kind, &old.stored_as) == (&new.kind, &new.stored_as);
    let decided = written
        && (old.action, old.reason, &old.diff, &old.owners, old.keep_volume) == (new.action, new.reason, &new.diff, &new.owners, new.keep_volume);
    decided && (!old.action.writes() || (uid(old) == uid(new) && version(old) == version(new)))
}

fn decision(step: &Step) -> String {
    let action = match step.action {
        Action::Create => "to be created",
        Action::Update => "to be updated",
        Action::Recreate => "to be created anew",
        Action::Delete => "to be removed",
        Action::Skip => "left alone",
        Action::Fail => "refused",
    };
    format!("{action} ({})", step.reason.text())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::{
        object::KindInfo,
        restore::{
            Reason,
            order::Stage,
            plan::{Seen, Wave},
        },
    };

    fn step(name: &str, resource: &str, action: Action, reason: Reason, version: &str) -> Step {
        let kind = KindInfo { group: String::new(), version: "v1".into(), resource: resource.into(), kind: "K".into(), namespaced: true };
        let id = ObjectId { kind: kind.group_resource(), namespace: Some("demo".into()), name: name.into() };
        let live = Some(Seen { uid: "u".into(), resource_version: version.into(), deleting: false });
        Step { live, item: Some(0), ..Step::new(kind, id, action, reason) }
    }

    fn plan(steps: Vec<Step>) -> Plan {
        Plan { waves: vec![Wave { stage: Stage::Configuration, depth: 0, steps }], ..Plan::default() }
    }

    #[test]
    fn what_the_cluster_did_meanwhile_is_named() {
        let update =
            |version: &str, diff: &str| Step { diff: Some(diff.into()), ..step("a", "configmaps", Action::Update, Reason::Differs, version) };
        let secret = |version: &str| step("a", "secrets", Action::Update, Reason::Differs, version);
        let created = step("a", "configmaps", Action::Create, Reason::Missing, "1");
        let unchanged = step("a", "configmaps", Action::Skip, Reason::Unchanged, "1");
        let removed = Step { item: None, ..step("a", "configmaps", Action::Delete, Reason::NotInSnapshot, "1") };
        let pod = Step { item: None, ..step("web-1-x", "pods", Action::Skip, Reason::OwnedByController, "1") };
        let rows = [
            (vec![update("1", "x")], vec![update("2", "x")], vec![]),
            (vec![update("1", "x")], vec![update("2", "y")], vec!["configmaps/a -n demo: changed since"]),
            (vec![secret("1")], vec![secret("2")], vec!["secrets/a -n demo: changed since"]),
            (
                vec![created.clone()],
                vec![unchanged.clone()],
                vec!["configmaps/a -n demo: was to be created (not in the cluster), is left alone (unchanged)"],
            ),
            (vec![removed.clone()], vec![], vec!["configmaps/a -n demo: was to be removed, is gone"]),
            (vec![removed.clone()], vec![removed.clone(), pod.clone()], vec![]),
            (vec![pod], vec![], vec![]),
            (vec![], vec![removed], vec!["configmaps/a -n demo: is to be removed (not in the snapshot) as well"]),
            (vec![unchanged.clone()], vec![step("a", "configmaps", Action::Skip, Reason::Unchanged, "7")], vec![]),
        ];
        for (saved, now, expected) in rows {
            assert_eq!(moved(&plan(saved), &plan(now)), expected);
        }
        let bare = Plan { bare_namespaces: vec!["x".into()], ..Plan::default() };
        assert_eq!(moved(&bare, &Plan::default()), ["namespaces/x: was missing, is there"]);
    }

    #[test]
    fn saved_plans_are_read_in_both_notations_and_no_others() {
        let id = SnapshotId::new(Timestamp::UNIX_EPOCH).unwrap();
        let made = plan(vec![step("a", "configmaps", Action::Create, Reason::Missing, "1")]);
        let saved = SavedPlan::new(made, Choice::default(), (id, "monday".into()), ClusterId::default(), Timestamp::UNIX_EPOCH);
        let json = serde_json::to_string(&saved).unwrap();
        assert_eq!(SavedPlan::read(&json).unwrap(), saved);
        let mut yaml = Vec::new();
        crate::object::yaml::write_value(&serde_json::to_value(&saved).unwrap(), &mut yaml).unwrap();
        assert_eq!(SavedPlan::read(std::str::from_utf8(&yaml).unwrap()).unwrap(), saved);
        assert_eq!(
            SavedPlan::read(&json.replace("\"version\":1,\"made\"", "\"version\":9,\"made\"")).unwrap_err(),
            SavedPlanError::Version { found: 9 }
        );
        for text in ["", "{}", "[1]", "version: 1", "\t:"] {
            assert!(matches!(SavedPlan::read(text), Err(SavedPlanError::Form(_))), "{text:?}");
        }
    }
}
