//! What a BackupConfiguration must say. The API server and the webhook refuse most of it before; objects may be older than both.

use std::collections::BTreeSet;

use kubestash::{
    api::{Backend, BackupConfigurationSpec, Session, parse_duration},
    session::schedule,
};

/// Everything that is wrong, in sentences; nothing when it is right. `backends` are the spec's with the defaults filled in.
pub fn problems(spec: &BackupConfigurationSpec, backends: &[Backend]) -> Vec<String> {
    let mut all = Vec::new();
    if backends.is_empty() {
        all.push("spec.backends is empty, and there is no default BackupStorage; name one, or set spec.default of a BackupStorage".to_owned());
    }
    let mut names = BTreeSet::new();
    for backend in backends {
        let name = &backend.name;
        if !names.insert(name) {
            all.push(format!("two backends are called {name:?}"));
        }
        if backend.storage_ref.is_none() {
            all.push(format!("backend {name:?} has no storageRef"));
        }
        if backend.retention_policy.is_none() {
            let hint = "and there is no default RetentionPolicy; name one, or set spec.default of a RetentionPolicy";
            all.push(format!("backend {name:?} has no retentionPolicy, {hint}"));
        }
    }
    if spec.sessions.is_empty() {
        all.push("spec.sessions is empty".to_owned());
    }
    let mut names = BTreeSet::new();
    for session in &spec.sessions {
        if session.name.is_empty() {
            all.push("a session has no name".to_owned());
        }
        if !names.insert(&session.name) {
            all.push(format!("two sessions are called {:?}", session.name));
        }
        all.extend(of_session(session, backends).into_iter().map(|text| format!("session {:?}: {text}", session.name)));
    }
    all
}

fn of_session(session: &Session, backends: &[Backend]) -> Vec<String> {
    let mut all = Vec::new();
    match &session.scheduler {
        None => all.push("scheduler is missing".to_owned()),
        Some(scheduler) => all.extend(schedule::next(&scheduler.schedule, jiff::Timestamp::UNIX_EPOCH).err().map(|error| error.to_string())),
    }
    match &session.addon {
        None => all.push("addon is missing; for cluster resources it is kubedump-addon with the task manifest-backup".to_owned()),
        Some(addon) if addon.name.is_empty() => all.push("addon.name is empty".to_owned()),
        Some(addon) if addon.tasks.is_empty() => all.push("addon.tasks is empty".to_owned()),
        Some(addon) if addon.tasks.iter().any(|task| task.name.is_empty()) => all.push("a task of the addon has no name".to_owned()),
        Some(_) => {}
    }
    let timeouts =
        [("backupTimeout", &session.backup_timeout), ("retryConfig.delay", session.retry_config.as_ref().map_or(&None, |retry| &retry.delay))];
    all.extend(timeouts.iter().filter_map(|(field, text)| Some(format!("{field}: {}", parse_duration(text.as_deref()?).err()?))));
    if session.repositories.is_empty() {
        all.push("repositories is empty".to_owned());
    }
    let mut names = BTreeSet::new();
    for repository in &session.repositories {
        let name = &repository.name;
        if !names.insert(name) {
            all.push(format!("two repositories are called {name:?}"));
        }
        let wanted = repository.backend.as_deref().unwrap_or_default();
        let found = backends.iter().any(|backend| backend.name == wanted) || (wanted.is_empty() && backends.len() == 1);
        if !found {
            all.push(format!("repository {name:?} names the backend {wanted:?}, which is not in spec.backends"));
        }
        if repository.directory.trim_matches('/').is_empty() {
            all.push(format!("repository {name:?} has no directory"));
        }
        if repository.encryption_secret.is_none() {
            all.push(format!("repository {name:?} has no encryptionSecret; name a Secret with the key RESTIC_PASSWORD"));
        }
    }
    all
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn guide() -> Value {
        json!({
            "backends": [{"name": "s3", "storageRef": {"name": "s"}, "retentionPolicy": {"name": "r"}}],
            "sessions": [{
                "name": "frequent", "scheduler": {"schedule": "*/5 * * * *", "jobTemplate": {"backoffLimit": 1}},
                "repositories": [{"name": "repo", "backend": "s3", "directory": "/x", "encryptionSecret": {"name": "e"}}],
                "addon": {"name": "kubedump-addon", "tasks": [{"name": "manifest-backup"}]},
            }],
        })
    }

    fn found(spec: Value) -> Vec<String> {
        let spec: BackupConfigurationSpec = serde_json::from_value(spec).unwrap();
        problems(&spec, &spec.backends)
    }

    #[test]
    fn what_is_wrong_is_said() {
        assert_eq!(found(guide()), [] as [String; 0]);
        let table: [(&str, Value, &str); 12] = [
            ("/backends", json!([]), "no default BackupStorage"),
            ("/backends/0/retentionPolicy", Value::Null, "no default RetentionPolicy"),
            ("/backends/0/storageRef", Value::Null, "no storageRef"),
            ("/sessions", json!([]), "sessions is empty"),
            ("/sessions/0/scheduler", Value::Null, "scheduler is missing"),
            ("/sessions/0/scheduler/schedule", json!("every day"), "five fields"),
            ("/sessions/0/addon", Value::Null, "addon is missing"),
            ("/sessions/0/addon/tasks", json!([]), "tasks is empty"),
            ("/sessions/0/repositories", json!([]), "repositories is empty"),
            ("/sessions/0/repositories/0/backend", json!("other"), "\"other\", which is not in spec.backends"),
            ("/sessions/0/repositories/0/directory", json!("/"), "has no directory"),
            ("/sessions/0/repositories/0/encryptionSecret", Value::Null, "has no encryptionSecret"),
        ];
        for (pointer, value, wanted) in table {
            let mut spec = guide();
            *spec.pointer_mut(pointer).unwrap() = value;
            let all = found(spec);
            assert!(all.iter().any(|text| text.contains(wanted)), "{pointer}: {all:?}");
        }
        let mut twice = guide();
        let session = twice["sessions"][0].clone();
        twice["sessions"].as_array_mut().unwrap().push(session);
        assert!(found(twice).iter().any(|text| text.contains("two sessions are called \"frequent\"")));
    }
}
