//! Fields of KubeStash that are taken and do nothing here. A warning says so; nobody's YAML is refused for them.

use kubestash::api::{AddonInfo, Backend, BackupConfigurationSpec, BackupStorageSpec, RestoreSessionSpec};

/// Parameters that our tasks do not look at.
const PARAMETERS: [&str; 5] = ["enableCache", "scratchDir", "sanitize", "includeDependants", "MaxIterations"];

fn said(field: impl std::fmt::Display, why: &str) -> String {
    format!("{field} is ignored: {why}")
}

fn of_addon(addon: &AddonInfo, at: &str) -> Vec<String> {
    let mut all = Vec::new();
    for task in &addon.tasks {
        if task.target_volumes.is_some() {
            all.push(said(format!("{at}.tasks[].targetVolumes"), "cluster resources lie in no volume"));
        }
        let unread = task.params.iter().flatten().map(|(name, _)| name.as_str()).filter(|name| PARAMETERS.contains(name));
        all.extend(unread.map(|name| said(format!("{at}.tasks[].params.{name}"), "nothing here depends on it")));
    }
    let settings = addon.container_runtime_settings.as_ref();
    if settings.is_some_and(|settings| settings.nice.is_some() || settings.ionice.is_some()) {
        all.push(said(format!("{at}.containerRuntimeSettings.nice and ionice"), "set resources instead"));
    }
    all
}

fn of_backend(backend: &Backend) -> Option<String> {
    let storage = backend.storage_ref.as_ref()?;
    let typed = storage.api_group.is_some() || storage.kind.is_some();
    typed.then(|| said(format!("apiGroup and kind of the storageRef of backend {:?}", backend.name), "it always means a BackupStorage"))
}

/// Of a BackupConfiguration.
pub fn of_configuration(spec: &BackupConfigurationSpec) -> Vec<String> {
    let mut all: Vec<String> = spec.backends.iter().filter_map(of_backend).collect();
    if spec.target.as_ref().is_some_and(|target| !target.is_none()) {
        all.push(said("spec.target", "a backup is about cluster resources; say which with the task's params"));
    }
    for session in &spec.sessions {
        let at = format!("session {:?}: ", session.name);
        if session.failure_policy.is_some() {
            all.push(said(format!("{at}failurePolicy"), "use retryConfig"));
        }
        all.extend(session.addon.iter().flat_map(|addon| of_addon(addon, &format!("{at}addon"))));
        let verified = session.repositories.iter().filter(|repository| repository.backup_verifier.is_some());
        all.extend(
            verified.map(|repository| said(format!("{at}backupVerifier of repository {:?}", repository.name), "use `kubectl kubestash check`")),
        );
    }
    all
}

/// Of a RestoreSession.
pub fn of_restore(spec: &RestoreSessionSpec) -> Vec<String> {
    let mut all: Vec<String> = spec.addon.iter().flat_map(|addon| of_addon(addon, "spec.addon")).collect();
    if spec.target.as_ref().is_some_and(|target| !target.is_none()) {
        all.push(said("spec.target", "a restore is about cluster resources; say which with the task's params"));
    }
    if spec.manifest_options.is_some() {
        all.push(said("spec.manifestOptions", "it is meant for databases"));
    }
    all
}

/// Of a BackupStorage.
pub fn of_storage(spec: &BackupStorageSpec) -> Vec<String> {
    let storage = spec.storage.as_ref();
    let mut all = Vec::new();
    if storage.and_then(|storage| storage.local.as_ref()).is_some_and(|local| local.max_connections.is_some()) {
        all.push(said("spec.storage.local.maxConnections", "a volume has no connections"));
    }
    if storage.and_then(|storage| storage.s3.as_ref()).is_some_and(|s3| s3.secret.is_some()) {
        all.push("spec.storage.s3.secret is the old name of secretName; please use that".to_owned());
    }
    all
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_does_nothing_is_told() {
        let session = json!({
            "name": "s", "failurePolicy": "Retry",
            "addon": {"name": "a", "tasks": [{"name": "t", "params": {"sanitize": "true", "IncludeResources": "*"}}], "containerRuntimeSettings": {"nice": {"adjustment": 5}}},
            "repositories": [{"name": "r", "backupVerifier": {"name": "v"}}],
        });
        let spec = json!({
            "target": {"kind": "Deployment", "name": "web"}, "sessions": [session],
            "backends": [{"name": "b", "storageRef": {"name": "s", "kind": "BackupStorage"}}],
        });
        let all = of_configuration(&serde_json::from_value(spec).unwrap());
        for wanted in ["spec.target", "failurePolicy", "params.sanitize", "nice and ionice", "backupVerifier", "backend \"b\""] {
            assert!(all.iter().any(|text| text.contains(wanted)), "{wanted}: {all:?}");
        }
        assert_eq!(all.len(), 6);
        let restore = json!({"manifestOptions": {}, "target": {"kind": "Deployment", "name": "web"}});
        assert_eq!(of_restore(&serde_json::from_value(restore).unwrap()).len(), 2);
        let storage = json!({"storage": {"provider": "local", "local": {"hostPath": {"path": "/"}, "maxConnections": 5}}});
        assert_eq!(of_storage(&serde_json::from_value(storage).unwrap()).len(), 1);
        assert!(of_configuration(&BackupConfigurationSpec::default()).is_empty());
    }
}
