//! Rights of the operator and of its Jobs: each has what its work needs.

use serde_json::{Value, json};

use super::{NAME, Settings, labels};

/// Reads and writes the state of a backup's Snapshots.
pub const BACKUP_JOB: &str = "kubestash-backup-job";
/// Reads what a restore needs and writes the state of its RestoreSession.
pub const RESTORE_JOB: &str = "kubestash-restore-job";
/// Removes Snapshots.
pub const RETENTION_JOB: &str = "kubestash-retention-policy-job";
/// Makes BackupSessions.
pub const CRON_JOB: &str = "kubestash-cron-job";
/// Writes the state of a storage and its repositories.
pub const STORAGE_JOB: &str = "kubestash-storage-initializer-job";
/// Reads every object of the cluster: bound to a backup whose user names no ServiceAccount.
pub const CLUSTER_READER: &str = "kubestash-cluster-reader";
/// Knows the cluster again: bound to a backup or restore that otherwise has rights in single namespaces.
pub const CLUSTER_IDENTITY: &str = "kubestash-cluster-identity";
/// Creates and changes objects, deletes none: bound to a restore whose user names no ServiceAccount, only in the namespaces that it restores
/// where these are named.
pub const CLUSTER_WRITER: &str = "kubestash-cluster-writer";

const STORAGE: &str = "storage.kubestash.com";
const CORE: &str = "core.kubestash.com";
const ADDONS: &str = "addons.kubestash.com";

fn rule(groups: &[&str], resources: &[&str], verbs: &[&str]) -> Value {
    json!({"apiGroups": groups, "resources": resources, "verbs": verbs})
}

fn cluster_role(name: &str, rules: Vec<Value>) -> Value {
    json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": name, "labels": labels()}, "rules": rules})
}

/// All ClusterRoles, and the binding of the operator's.
pub fn roles(settings: &Settings) -> Vec<Value> {
    let events = rule(&["", "events.k8s.io"], &["events"], &["create", "patch"]);
    let sessions = rule(&[CORE], &["backupsessions", "backupconfigurations", "restoresessions"], &["get"]);
    let places = rule(&[STORAGE], &["repositories", "backupstorages", "snapshots", "retentionpolicies"], &["get", "list"]);
    vec![
        cluster_role(NAME, operator()),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": NAME, "labels": labels()},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": NAME},
            "subjects": [{"kind": "ServiceAccount", "name": NAME, "namespace": settings.namespace}],
        }),
        cluster_role(
            BACKUP_JOB,
            vec![sessions.clone(), places.clone(), rule(&[STORAGE], &["snapshots/status"], &["get", "patch", "update"]), events.clone()],
        ),
        cluster_role(
            RESTORE_JOB,
            vec![sessions.clone(), places.clone(), rule(&[CORE], &["restoresessions/status"], &["get", "patch", "update"]), events.clone()],
        ),
        cluster_role(
            RETENTION_JOB,
            vec![
                sessions.clone(),
                places,
                rule(&[STORAGE], &["snapshots"], &["patch", "delete"]),
                rule(&[CORE], &["backupsessions/status"], &["get", "patch", "update"]),
                events.clone(),
            ],
        ),
        cluster_role(CRON_JOB, vec![rule(&[CORE], &["backupconfigurations"], &["get"]), rule(&[CORE], &["backupsessions"], &["create"])]),
        cluster_role(
            STORAGE_JOB,
            vec![
                rule(&[STORAGE], &["backupstorages", "repositories", "snapshots"], &["get", "list"]),
                rule(&[STORAGE], &["backupstorages/status", "repositories/status", "snapshots/status"], &["get", "patch", "update"]),
                rule(&[STORAGE], &["repositories", "snapshots"], &["create", "patch"]),
                events,
            ],
        ),
        cluster_role(CLUSTER_READER, vec![rule(&["*"], &["*"], &["get", "list"])]),
        cluster_role(
            CLUSTER_IDENTITY,
            vec![json!({"apiGroups": [""], "resources": ["namespaces"], "resourceNames": ["kube-system"], "verbs": ["get"]})],
        ),
        cluster_role(
            CLUSTER_WRITER,
            vec![
                rule(&["*"], &["*"], &["get", "list", "watch", "create", "update", "patch"]),
                // Roles can be restored only by who may hand out the rights in them.
                rule(&["rbac.authorization.k8s.io"], &["clusterroles", "roles"], &["bind", "escalate"]),
            ],
        ),
    ]
}

fn operator() -> Vec<Value> {
    let all = ["get", "list", "watch", "create", "update", "patch", "delete"];
    let handed_out = [BACKUP_JOB, RESTORE_JOB, RETENTION_JOB, CRON_JOB, STORAGE_JOB, CLUSTER_READER, CLUSTER_IDENTITY, CLUSTER_WRITER];
    vec![
        rule(&[STORAGE, CORE, ADDONS], &["*"], &all),
        rule(&["batch"], &["jobs", "cronjobs"], &all),
        rule(&[""], &["serviceaccounts", "persistentvolumeclaims"], &["get", "list", "watch", "create", "patch", "delete"]),
        rule(&[""], &["secrets"], &["get"]),
        rule(&[""], &["namespaces", "pods"], &["get", "list", "watch"]),
        rule(&[""], &["pods/exec"], &["get", "create"]),
        rule(&[""], &["pods/log"], &["get"]),
        // Through these a Deployment owns its Pods, which a hook may name.
        rule(&["apps"], &["replicasets"], &["get"]),
        rule(&["", "events.k8s.io"], &["events"], &["create", "patch"]),
        rule(&["coordination.k8s.io"], &["leases"], &["get", "create", "update", "patch"]),
        rule(
            &["rbac.authorization.k8s.io"],
            &["roles", "rolebindings", "clusterrolebindings"],
            &["get", "list", "watch", "create", "update", "patch", "delete"],
        ),
        // A binding may be made only to these roles.
        json!({
            "apiGroups": ["rbac.authorization.k8s.io"], "resources": ["clusterroles"], "verbs": ["bind"], "resourceNames": handed_out,
        }),
        json!({
            "apiGroups": ["admissionregistration.k8s.io"], "resources": ["validatingwebhookconfigurations"],
            "verbs": ["get", "patch"], "resourceNames": [NAME],
        }),
        rule(&["authorization.k8s.io"], &["subjectaccessreviews"], &["create"]),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verbs_of(role: &str) -> Vec<(String, String)> {
        let settings = Settings::default();
        let roles = roles(&settings);
        let role = roles.iter().find(|found| found["kind"] == "ClusterRole" && found["metadata"]["name"] == role);
        let rules = role.and_then(|role| role["rules"].as_array()).cloned().unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let pairs = rules.iter().flat_map(|rule| {
            let resources = rule["resources"].as_array().cloned().unwrap_or_default();
            let verbs = rule["verbs"].as_array().cloned().unwrap_or_default();
            resources.into_iter().flat_map(move |resource| verbs.clone().into_iter().map(move |verb| (text(&resource), text(&verb))))
        });
        pairs.collect()
    }

    #[test]
    fn a_backup_reads_and_a_trigger_creates_sessions_only() {
        assert!(verbs_of(CLUSTER_READER).iter().all(|(_, verb)| verb == "get" || verb == "list"));
        let writes = |role| verbs_of(role).into_iter().filter(|(_, verb)| verb != "get" && verb != "list").collect::<Vec<_>>();
        let own = |pairs: &[(&str, &str)]| pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect::<Vec<_>>();
        assert_eq!(writes(CRON_JOB), own(&[("backupsessions", "create")]));
        assert_eq!(
            writes(BACKUP_JOB),
            own(&[("snapshots/status", "patch"), ("snapshots/status", "update"), ("events", "create"), ("events", "patch")])
        );
    }

    #[test]
    fn nobody_but_the_operator_reads_secrets_by_a_cluster_role() {
        for role in [BACKUP_JOB, RESTORE_JOB, RETENTION_JOB, CRON_JOB, STORAGE_JOB] {
            assert!(!verbs_of(role).iter().any(|(resource, _)| resource == "secrets" || resource == "*"), "{role}");
        }
        assert!(!verbs_of(CLUSTER_WRITER).iter().any(|(_, verb)| verb.starts_with("delete")));
    }
}
