//! In which Pods a hook runs.

use k8s_openapi::{api::core::v1::Pod, apimachinery::pkg::apis::meta::v1::OwnerReference};
use kube::ResourceExt as _;

use super::{HookError, endpoint::no_container};
use crate::api::{PodHookExecutor, PodHookStrategy};

/// Which Pods are meant.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    /// As the API server reads it.
    pub selector: String,
    /// What they belong to.
    pub owner: Option<OwnerReference>,
    /// All of them, or any one.
    pub all: bool,
}

impl Choice {
    /// From the template; its parameters are resolved.
    ///
    /// # Errors
    /// A selector that is missing, or a part of it without its equals sign.
    pub fn new(executor: &PodHookExecutor) -> Result<Self, HookError> {
        let text = executor.selector.as_deref().unwrap_or_default();
        let parts: Vec<&str> = text.split(',').map(str::trim).filter(|part| !part.is_empty()).collect();
        if parts.is_empty() {
            return Err(HookError::Template("executor.pod.selector is missing; write the labels of the Pods, as in app=web,tier=front".to_owned()));
        }
        if let Some(odd) = parts.iter().find(|part| !part.contains('=')) {
            return Err(HookError::Template(format!("executor.pod.selector has the part {odd:?}; write key=value, and commas between several")));
        }
        let all = executor.strategy == Some(PodHookStrategy::ExecuteOnAll);
        Ok(Self { selector: parts.join(","), owner: executor.owner.clone(), all })
    }

    /// The Pods that run the hook, of those that match selector and owner: running ones, by name, and the first ready one where any will do.
    ///
    /// # Errors
    /// That there is none. It may come.
    pub fn choose<'a>(&self, matching: &'a [Pod], namespace: &str) -> Result<Vec<&'a Pod>, HookError> {
        let mut running: Vec<&Pod> = matching.iter().filter(|pod| runs(pod)).collect();
        running.sort_by_key(|pod| pod.name_any());
        if !self.all {
            running.sort_by_key(|pod| !is_ready(pod));
            running.truncate(1);
        }
        if running.is_empty() {
            let owner = self.owner.as_ref().map_or_else(String::new, |owner| format!(" and belongs to {} {}", owner.kind, owner.name));
            let others = match matching.len() {
                0 => String::new(),
                count => format!(" ({count} that do not run)"),
            };
            return Err(HookError::Failed(format!(
                "no running Pod of namespace {namespace} matches {}{owner}{others}; look at executor.pod of the HookTemplate",
                self.selector
            )));
        }
        Ok(running)
    }
}

fn runs(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_none() && pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Running")
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// Whether an owner is among references: the same UID, or where none is written the same kind, group and name.
pub fn belongs(references: &[OwnerReference], owner: &OwnerReference) -> bool {
    let group = |version: &str| version.split_once('/').map_or(String::new(), |(group, _)| group.to_owned());
    references.iter().any(|reference| {
        if owner.uid.is_empty() {
            let same_group = owner.api_version.is_empty() || group(&owner.api_version) == group(&reference.api_version);
            same_group && reference.kind == owner.kind && reference.name == owner.name
        } else {
            reference.uid == owner.uid
        }
    })
}

/// The container that runs a command: the named one, or the first.
///
/// # Errors
/// A name that no container of the Pod has.
pub fn container(pod: &Pod, named: Option<&str>) -> Result<String, HookError> {
    let containers = pod.spec.as_ref().map(|spec| spec.containers.as_slice()).unwrap_or_default();
    let mut names = containers.iter().map(|container| container.name.as_str());
    let Some(wanted) = named.filter(|name| !name.is_empty()) else {
        return Ok(names.next().unwrap_or_default().to_owned());
    };
    if names.clone().any(|name| name == wanted) { Ok(wanted.to_owned()) } else { Err(no_container(&pod.name_any(), wanted, names)) }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn executor(value: Value) -> PodHookExecutor {
        serde_json::from_value(value).unwrap()
    }

    fn pod(name: &str, phase: &str, ready: &str) -> Pod {
        serde_json::from_value(json!({
            "metadata": {"name": name}, "spec": {"containers": [{"name": "first"}, {"name": "second"}]},
            "status": {"phase": phase, "conditions": [{"type": "Ready", "status": ready}]},
        }))
        .unwrap()
    }

    #[test]
    fn selectors() {
        let choice = Choice::new(&executor(json!({"selector": "name=test-app, test=hook,"}))).unwrap();
        assert_eq!((choice.selector.as_str(), choice.all), ("name=test-app,test=hook", false));
        for (selector, said) in [(json!(null), "is missing"), (json!(" , "), "is missing"), (json!("a=b,c"), "the part \"c\"")] {
            let error = Choice::new(&executor(json!({"selector": selector}))).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn one_or_all() {
        let mut going = pod("a", "Running", "True");
        going.metadata.deletion_timestamp = serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap();
        let pods = [pod("d", "Running", "True"), pod("c", "Running", "True"), pod("b", "Running", "False"), going, pod("e", "Pending", "False")];
        let names = |strategy: &str| {
            let choice = Choice::new(&executor(json!({"selector": "a=b", "strategy": strategy}))).unwrap();
            choice.choose(&pods, "demo").unwrap().into_iter().map(|pod| pod.name_any()).collect::<Vec<_>>()
        };
        assert_eq!(names("ExecuteOnOne"), ["c"]);
        assert_eq!(names("ExecuteOnAll"), ["b", "c", "d"]);
    }

    #[test]
    fn nobody_is_an_error_that_may_pass() {
        let owner = json!({"kind": "StatefulSet", "name": "db", "apiVersion": "apps/v1", "uid": ""});
        let choice = Choice::new(&executor(json!({"selector": "a=b", "owner": owner}))).unwrap();
        let error = choice.choose(&[pod("x", "Succeeded", "False")], "demo").unwrap_err();
        assert_eq!(
            error,
            HookError::Failed("no running Pod of namespace demo matches a=b and belongs to StatefulSet db (1 that do not run); look at executor.pod of the HookTemplate".to_owned())
        );
    }

    #[test]
    fn owners() {
        let reference = |value: Value| serde_json::from_value::<OwnerReference>(value).unwrap();
        let own = [reference(json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "db", "uid": "u1"}))];
        for (wanted, same) in [
            (json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "db", "uid": "u1"}), true),
            (json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "db", "uid": "u2"}), false),
            (json!({"apiVersion": "apps/v1beta1", "kind": "StatefulSet", "name": "db", "uid": ""}), true),
            (json!({"apiVersion": "", "kind": "StatefulSet", "name": "db", "uid": ""}), true),
            (json!({"apiVersion": "kruise.io/v1", "kind": "StatefulSet", "name": "db", "uid": ""}), false),
            (json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "other", "uid": ""}), false),
        ] {
            assert_eq!(belongs(&own, &reference(wanted.clone())), same, "{wanted}");
        }
    }

    #[test]
    fn containers() {
        let pod = pod("p", "Running", "True");
        assert_eq!(container(&pod, None).as_deref(), Ok("first"));
        assert_eq!(container(&pod, Some("second")).as_deref(), Ok("second"));
        assert!(container(&pod, Some("third")).unwrap_err().to_string().contains("there are first, second"));
    }
}
