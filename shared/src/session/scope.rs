//! How much of a cluster a Job is about, as far as the session itself says it.

use std::collections::BTreeSet;

use super::parameters::{boolean, list, namespaces};
use crate::api::{AddonInfo, TaskReference, parameter_text};

/// Where a Job reads or writes objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Anywhere, cluster-wide kinds among them.
    Cluster,
    /// In these namespaces and nowhere else.
    Namespaces(BTreeSet<String>),
}

/// The scope of a session's tasks: namespaces where `IncludeNamespaces` names them one by one and `IncludeClusterResources` is not true, and
/// the whole cluster otherwise. Where a restore maps namespaces to others, those others count: it writes there.
///
/// Defaults of the Addon do not narrow it: what is granted shall be readable from the session alone.
pub fn scope_of(addon: &AddonInfo) -> Scope {
    let mut all = BTreeSet::new();
    for task in &addon.tasks {
        match of_task(task) {
            Some(names) => all.extend(names),
            None => return Scope::Cluster,
        }
    }
    if all.is_empty() { Scope::Cluster } else { Scope::Namespaces(all) }
}

/// The namespaces of a task; none when it is about more.
fn of_task(task: &TaskReference) -> Option<Vec<String>> {
    // Params win over variables, as in the Job.
    let value = |name: &str| {
        let of_params = task.params.iter().flatten().find(|(key, _)| key.as_str() == name).map(|(_, value)| parameter_text(value));
        let of_variables = || task.variables.iter().find(|variable| variable.name == name).map(|variable| variable.value.clone());
        of_params.or_else(of_variables).map(Option::unwrap_or_default).unwrap_or_default()
    };
    if boolean("IncludeClusterResources", &value("IncludeClusterResources")) != Ok(false) {
        return None;
    }
    let names = list(&value("IncludeNamespaces"));
    let exact = |name: &String| name.chars().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-');
    let mappings = namespaces(&value("NamespaceMappings")).ok()?;
    let names: Vec<String> = names.iter().map(|name| mappings.target(name).to_owned()).collect();
    (!names.is_empty() && names.iter().all(exact)).then_some(names)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn scopes() {
        let named = |names: &[&str]| Scope::Namespaces(names.iter().map(|name| (*name).to_owned()).collect());
        let table: [(Value, Scope); 11] = [
            (json!([{"name": "t"}]), Scope::Cluster),
            (json!([{"name": "t", "params": {"IncludeNamespaces": "a, b"}}]), named(&["a", "b"])),
            (json!([{"name": "t", "params": {"IncludeNamespaces": "a", "IncludeClusterResources": "false"}}]), named(&["a"])),
            (json!([{"name": "t", "params": {"IncludeNamespaces": "a", "IncludeClusterResources": true}}]), Scope::Cluster),
            (json!([{"name": "t", "params": {"IncludeNamespaces": "a", "IncludeClusterResources": "perhaps"}}]), Scope::Cluster),
            (json!([{"name": "t", "params": {"IncludeNamespaces": "a,team-*"}}]), Scope::Cluster),
            (json!([{"name": "t", "params": {"IncludeNamespaces": "a,*"}}]), Scope::Cluster),
            (json!([{"name": "t", "variables": [{"name": "IncludeNamespaces", "value": "a"}]}]), named(&["a"])),
            (json!([{"name": "t", "params": {"IncludeNamespaces": "a"}}, {"name": "u"}]), Scope::Cluster),
            (json!([{"name": "t", "params": {"IncludeNamespaces": "a,c", "NamespaceMappings": "a:b"}}]), named(&["b", "c"])),
            (json!([{"name": "t", "params": {"IncludeNamespaces": "a", "NamespaceMappings": "a"}}]), Scope::Cluster),
        ];
        for (tasks, wanted) in table {
            let addon: AddonInfo = serde_json::from_value(json!({"name": "x", "tasks": tasks})).unwrap();
            assert_eq!(scope_of(&addon), wanted, "{tasks}");
        }
    }
}
