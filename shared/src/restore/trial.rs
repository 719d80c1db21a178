//! What the API server would say to an update, before it is decided upon: asked by a dry run of the update, so that a plan names the managers
//! that it conflicts with and the fields that cannot be changed.

use serde::{Deserialize, Serialize};

use super::apply::FIELD_MANAGER;
use crate::cluster::ApiError;

/// The API server's answer to the dry run of an update.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trial {
    /// It would take the update, or cannot say.
    Passes,
    /// Other managers own fields of it: who, and which fields, in the server's words.
    Conflict(String),
    /// These fields cannot be changed.
    Immutable(Vec<String>),
}

/// Phrases by which API servers say that a field keeps its value for the life of an object.
///
/// Source: apimachinery `ValidateImmutableField`, and the validation of pods, StatefulSets, claims, Services, RBAC bindings and classes.
const IMMUTABLE: [&str; 7] =
    ["immutable", "may not be changed", "may not change", "cannot change", "updates to", "may not be added or removed", "cannot be changed"];
/// How a refusal begins that names other managers.
const APPLY_FAILED: &str = "Apply failed with";
/// What stands behind the path of a field in the text of a refusal.
const BEHIND_FIELD: [&str; 2] = [": Invalid value", ": Forbidden"];

impl Trial {
    /// Reads an answer that is a refusal. Refusals of other causes say nothing about these two questions: they are met when it is written.
    pub fn of(error: &ApiError) -> Self {
        let message = error.to_string();
        match error.status() {
            409 if is_with_ourselves(error) => Self::Passes,
            409 if message.contains(APPLY_FAILED) => Self::Conflict(conflicts(&message)),
            422 if IMMUTABLE.iter().any(|phrase| message.contains(phrase)) => Self::Immutable(fields(&message)),
            _ => Self::Passes,
        }
    }
}

/// Whether an apply conflicts with nobody but an earlier restore, which has created the object: fields that were created count as another
/// manager's than those that were applied, also under one name.
pub fn is_with_ourselves(error: &ApiError) -> bool {
    let message = error.to_string();
    let managers: Vec<&str> = message.split("with \"").skip(1).filter_map(|rest| Some(rest.split_once('"')?.0)).collect();
    error.status() == 409 && message.contains(APPLY_FAILED) && !managers.is_empty() && managers.iter().all(|manager| *manager == FIELD_MANAGER)
}

/// `kubectl-patch (.data.colour)` of a message about conflicts, which names a manager alone or lists the fields of each.
fn conflicts(message: &str) -> String {
    let text = message.split_once("conflict with ").or_else(|| message.split_once("conflicts with ")).map_or(message, |(_, rest)| rest);
    // `"a" using v1: .x` or `"a" using v1:\n- .x\n- .y`, one behind the other.
    text.split_whitespace().filter(|word| *word != "-").collect::<Vec<_>>().join(" ")
}

/// Paths of the fields that a message complains about. The values in it are left out: they may be large, and secret.
fn fields(message: &str) -> Vec<String> {
    let mut found: Vec<String> = BEHIND_FIELD
        .iter()
        .flat_map(|behind| message.match_indices(behind))
        .filter_map(|(at, _)| message.get(..at)?.rsplit([' ', '[', ',']).next().map(str::to_owned))
        .filter(|field| field.starts_with(|first: char| first.is_ascii_lowercase()) && field.len() < 200)
        .collect();
    found.sort();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_tell_managers_and_fields() {
        let immutable = |fields: &[&str]| Trial::Immutable(fields.iter().map(|field| (*field).to_owned()).collect());
        let rows = [
            (
                409,
                r#"Apply failed with 1 conflict: conflict with "kubectl-patch" using v1: .data.colour"#,
                Trial::Conflict(r#""kubectl-patch" using v1: .data.colour"#.to_owned()),
            ),
            (
                409,
                "Apply failed with 2 conflicts: conflicts with \"helm\" using apps/v1:\n- .spec.replicas\n- .spec.paused",
                Trial::Conflict(r#""helm" using apps/v1: .spec.replicas .spec.paused"#.to_owned()),
            ),
            (409, r#"Apply failed with 1 conflict: conflict with "kubectl-kubestash" using v1: .data.colour"#, Trial::Passes),
            (
                409,
                "Apply failed with 2 conflicts: conflicts with \"kubectl-kubestash\" using v1:\n- .data.a\nconflicts with \"helm\" using v1:\n- .data.b",
                Trial::Conflict(r#""kubectl-kubestash" using v1: .data.a conflicts with "helm" using v1: .data.b"#.to_owned()),
            ),
            (409, "Operation cannot be fulfilled on resourcequotas", Trial::Passes),
            (
                422,
                r#"Deployment.apps "web" is invalid: spec.selector: Invalid value: {"matchLabels":{"app":"x"}}: field is immutable"#,
                immutable(&["spec.selector"]),
            ),
            (
                422,
                r#"StatefulSet.apps "db" is invalid: spec: Forbidden: updates to statefulset spec for fields other than 'replicas' are forbidden"#,
                immutable(&["spec"]),
            ),
            (
                422,
                r#"Secret "s" is invalid: [type: Invalid value: "Opaque": field is immutable, data: Forbidden: field is immutable when `immutable` is set]"#,
                immutable(&["data", "type"]),
            ),
            (
                422,
                r#"RoleBinding.rbac.authorization.k8s.io "b" is invalid: roleRef: Invalid value: rbac.RoleRef{Name:"x"}: cannot change roleRef"#,
                immutable(&["roleRef"]),
            ),
            (422, r#"Service "s" is invalid: spec.ports[0].port: Required value"#, Trial::Passes),
            (403, "admission webhook denied the request: labels are immutable", Trial::Passes),
        ];
        for (status, message, expected) in rows {
            let error = ApiError::Refused { status, reason: String::new(), message: message.to_owned(), retry_after: None };
            assert_eq!(Trial::of(&error), expected, "{message}");
        }
    }
}
