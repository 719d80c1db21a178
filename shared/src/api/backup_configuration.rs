//! `BackupConfiguration`: what is backed up, when, how and where to.

use kube::CustomResource;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use super::{
    condition::{Condition, is_false, is_true},
    conditions::{SCHEDULER_ENSURED, VALIDATION_PASSED},
    invoker_status::{BackendStatus, RepositoryReadiness, ResourceFoundStatus, SessionStatus},
    phase::BackupInvokerPhase,
    reference::{ObjectReference, TypedObjectReference},
    schema::{checked_list, rules},
    session::{Backend, Session, find_backend},
};

// An API server refuses rules that could take long. It knows how long lists and names get only where a rule asks for a field directly, and with `has`.
const RULES: [(&str, &str); 3] = [
    ("has(self.sessions)", "a BackupConfiguration needs a session"),
    (
        "!has(self.sessions) || self.sessions.all(s, !has(s.repositories) || s.repositories.all(r, !has(r.backend) || r.backend == '' || \
         (has(self.backends) && self.backends.exists(b, has(b.name) && b.name == r.backend))))",
        "the backend of each repository must be one of spec.backends",
    ),
    (
        "!has(self.sessions) || !has(self.backends) || size(self.backends) < 2 || self.backends.exists(b, !has(b.name)) || \
         self.sessions.all(s, !has(s.repositories) || s.repositories.all(r, has(r.backend) && r.backend != ''))",
        "there are several backends, so each repository must say which one is meant",
    ),
];

/// Of the list of backends.
const BACKENDS_RULES: [(&str, &str); 1] = [(
    "self.filter(a, !has(a.name)).size() < 2 && self.all(a, !has(a.name) || self.exists_one(b, has(b.name) && a.name == b.name))",
    "each backend needs a name of its own",
)];

/// Of a backend.
const BACKEND_RULES: [(&str, &str); 1] = [("has(self.storageRef)", "a backend needs a storageRef, which names its BackupStorage")];

/// Of the list of sessions.
const SESSIONS_RULES: [(&str, &str); 2] = [
    ("size(self) > 0", "a BackupConfiguration needs a session"),
    ("self.all(a, !has(a.name) || self.exists_one(b, has(b.name) && a.name == b.name))", "each session needs a name of its own"),
];

/// Of a session.
const SESSION_RULES: [(&str, &str); 7] = [
    ("has(self.name) && self.name != ''", "a session needs a name"),
    ("has(self.scheduler)", "a session needs a scheduler, which says when it runs"),
    (
        "has(self.addon) && has(self.addon.name) && self.addon.name != '' && has(self.addon.tasks) && size(self.addon.tasks) > 0",
        "a session needs an addon with a name and a task",
    ),
    ("!has(self.addon) || !has(self.addon.tasks) || self.addon.tasks.all(t, has(t.name) && t.name != '')", "each task of an addon needs a name"),
    ("has(self.repositories) && size(self.repositories) > 0", "a session needs a repository, which says where its Snapshots go"),
    (
        "!has(self.repositories) || self.repositories.all(a, has(a.name) && a.name != '' && \
         self.repositories.exists_one(b, has(b.name) && a.name == b.name))",
        "each repository of a session needs a name of its own",
    ),
    (
        "!has(self.repositories) || self.repositories.all(r, has(r.directory) && r.directory != '')",
        "each repository needs a directory, which says where in the storage its data goes",
    ),
];

fn backends(generator: &mut SchemaGenerator) -> Schema {
    checked_list::<Backend>(generator, 32, &BACKENDS_RULES, &BACKEND_RULES)
}

fn sessions(generator: &mut SchemaGenerator) -> Schema {
    checked_list::<Session>(generator, 64, &SESSIONS_RULES, &SESSION_RULES)
}

/// What is backed up, when, how and where to.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "core.kubestash.com",
    version = "v1alpha1",
    kind = "BackupConfiguration",
    plural = "backupconfigurations",
    shortname = "bc",
    namespaced,
    status = "BackupConfigurationStatus",
    category = "kubestash",
    category = "appscode",
    category = "all",
    derive = "PartialEq",
    derive = "Default",
    doc = "What is backed up, when, how and where to.",
    printcolumn = r#"{"name": "Phase", "type": "string", "jsonPath": ".status.phase"}"#,
    printcolumn = r#"{"name": "Paused", "type": "boolean", "jsonPath": ".spec.paused"}"#,
    printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = rules(&RULES)))]
pub struct BackupConfigurationSpec {
    /// The application that is backed up; absent for the resources of the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<TypedObjectReference>,
    /// The storages; the default one if absent.
    #[schemars(schema_with = "backends")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub backends: Vec<Backend>,
    /// The backups.
    #[schemars(schema_with = "sessions")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sessions: Vec<Session>,
    /// Whether nothing is backed up for now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<bool>,
}

impl BackupConfigurationSpec {
    /// What the Repositories and Snapshots name as their application.
    pub fn app_ref(&self) -> TypedObjectReference {
        self.target.clone().unwrap_or_else(TypedObjectReference::none)
    }

    /// The session of a name.
    pub fn session(&self, name: &str) -> Option<&Session> {
        self.sessions.iter().find(|session| session.name == name)
    }

    /// The backend that a repository means; see [`find_backend`].
    pub fn backend(&self, name: Option<&str>) -> Option<&Backend> {
        find_backend(&self.backends, name)
    }
}

/// What is known of a BackupConfiguration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackupConfigurationStatus {
    /// Whether its sessions can run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<BackupInvokerPhase>,
    /// Whether the application is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_found: Option<bool>,
    /// What was observed: `ValidationPassed`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// The storages and policies.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub backends: Vec<BackendStatus>,
    /// The Repositories.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub repositories: Vec<RepositoryReadiness>,
    /// What else it needs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dependencies: Vec<ResourceFoundStatus>,
    /// Its sessions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sessions: Vec<SessionStatus>,
}

impl BackupConfiguration {
    /// The retention policy of a backend: the one that is named, or the default that the status tells. Its namespace is filled in.
    pub fn retention_policy_of(&self, backend: Option<&str>) -> Option<ObjectReference> {
        let named = self.spec.backend(backend);
        let wanted = named.map_or(backend.unwrap_or_default(), |backend| &backend.name);
        let resolved = self.status.iter().flat_map(|status| &status.backends).find(|own| own.name == wanted);
        let resolved = resolved.and_then(|own| own.retention_policy.as_ref()?.ref_.clone());
        let policy = resolved.or_else(|| named.and_then(|backend| backend.retention_policy.clone()))?;
        Some(policy.resolved(self.metadata.namespace.as_deref().unwrap_or_default()))
    }
}

impl BackupConfigurationStatus {
    /// The phase: ready when the application is there, every backend can be used and every session is scheduled. Repositories do not count.
    ///
    /// Where the spec names no backend, the default one counts, which only the status tells.
    pub fn compute_phase(&self, spec: &BackupConfigurationSpec) -> BackupInvokerPhase {
        if is_false(&self.conditions, VALIDATION_PASSED) {
            return BackupInvokerPhase::Invalid;
        }
        let usable = |name: &str| self.backends.iter().any(|status| status.name == name && status.ready == Some(true));
        let backends = match spec.backends.as_slice() {
            [] => !self.backends.is_empty() && self.backends.iter().all(|status| status.ready == Some(true)),
            backends => backends.iter().all(|backend| usable(&backend.name)),
        };
        let scheduled = |name: &str| self.sessions.iter().any(|status| status.name == name && is_true(&status.conditions, SCHEDULER_ENSURED));
        let sessions = spec.sessions.iter().all(|session| scheduled(&session.name));
        let target = spec.target.is_none() || self.target_found == Some(true);
        if target && backends && sessions { BackupInvokerPhase::Ready } else { BackupInvokerPhase::NotReady }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn phase(spec: Value, status: Value) -> BackupInvokerPhase {
        let spec = serde_json::from_value(spec).unwrap();
        serde_json::from_value::<BackupConfigurationStatus>(status).unwrap().compute_phase(&spec)
    }

    fn condition(type_: &str, status: &str) -> Value {
        json!([{"type": type_, "status": status, "lastTransitionTime": "2026-01-01T00:00:00Z"}])
    }

    #[test]
    fn the_policy_of_a_backend_may_be_the_default() {
        let configuration = |backends: Value, status: Value| -> BackupConfiguration {
            serde_json::from_value(json!({
                "apiVersion": "core.kubestash.com/v1alpha1", "kind": "BackupConfiguration", "metadata": {"name": "bc", "namespace": "demo"},
                "spec": {"backends": backends}, "status": {"backends": status},
            }))
            .unwrap()
        };
        let policy =
            |configuration: &BackupConfiguration, backend: Option<&str>| configuration.retention_policy_of(backend).map(|policy| policy.to_string());
        let named = configuration(json!([{"name": "a", "retentionPolicy": {"name": "mine"}}]), json!([]));
        assert_eq!(policy(&named, Some("a")).as_deref(), Some("demo/mine"));
        assert_eq!(policy(&named, None).as_deref(), Some("demo/mine"));
        assert_eq!(policy(&named, Some("b")), None);
        let default = json!({"ref": {"name": "default", "namespace": "other"}, "found": true});
        let unnamed = configuration(json!([{"name": "a"}]), json!([{"name": "a", "retentionPolicy": default}]));
        assert_eq!(policy(&unnamed, Some("a")).as_deref(), Some("other/default"));
        let nothing = configuration(json!([]), json!([{"name": "", "retentionPolicy": default}]));
        assert_eq!(policy(&nothing, None).as_deref(), Some("other/default"));
    }

    #[test]
    fn phases() {
        use BackupInvokerPhase::{Invalid, NotReady, Ready};
        let spec = json!({"backends": [{"name": "b"}], "sessions": [{"name": "s"}]});
        let backends = json!([{"name": "b", "ready": true}]);
        let sessions = json!([{"name": "s", "conditions": condition(SCHEDULER_ENSURED, "True")}]);
        let good = json!({"backends": backends, "sessions": sessions});
        let targeted = json!({"target": {"name": "t"}, "backends": [{"name": "b"}], "sessions": [{"name": "s"}]});
        let rows = [
            (spec.clone(), good.clone(), Ready),
            (spec.clone(), json!({}), NotReady),
            (spec.clone(), json!({"backends": backends, "sessions": sessions, "conditions": condition(VALIDATION_PASSED, "False")}), Invalid),
            (spec.clone(), json!({"backends": backends, "sessions": sessions, "conditions": condition(VALIDATION_PASSED, "True")}), Ready),
            (spec.clone(), json!({"backends": [{"name": "b", "ready": false}], "sessions": sessions}), NotReady),
            (spec.clone(), json!({"backends": [{"name": "other", "ready": true}], "sessions": sessions}), NotReady),
            (spec.clone(), json!({"backends": backends, "sessions": [{"name": "s"}]}), NotReady),
            (spec.clone(), json!({"backends": backends, "sessions": [{"name": "s", "conditions": condition(SCHEDULER_ENSURED, "False")}]}), NotReady),
            (spec, json!({"backends": backends, "sessions": sessions, "repositories": [{"name": "r", "phase": "NotReady"}]}), Ready),
            (targeted.clone(), good.clone(), NotReady),
            (targeted, json!({"backends": backends, "sessions": sessions, "targetFound": true}), Ready),
            (json!({"sessions": [{"name": "s"}]}), json!({"sessions": sessions}), NotReady),
            (json!({"sessions": [{"name": "s"}]}), json!({"backends": [{"ready": true}], "sessions": sessions}), Ready),
        ];
        for (at, (spec, status, wanted)) in rows.into_iter().enumerate() {
            assert_eq!(phase(spec, status), wanted, "row {at}");
        }
    }

    #[test]
    fn a_repository_without_a_backend_means_the_only_one() {
        let named = |name: &str| Backend { name: name.to_owned(), ..Backend::default() };
        let mut spec = BackupConfigurationSpec { backends: vec![named("a")], ..BackupConfigurationSpec::default() };
        assert_eq!(spec.backend(None), Some(&named("a")));
        assert_eq!(spec.backend(Some("b")), None);
        spec.backends.push(named("b"));
        assert_eq!((spec.backend(None), spec.backend(Some("")), spec.backend(Some("b"))), (None, None, Some(&named("b"))));
        spec.backends.push(named(""));
        assert_eq!(spec.backend(None), Some(&named("")));
    }
}
