//! The Addon `kubedump-addon` and its Functions: KubeStash's names and parameters, our image.

use serde_json::{Value, json};

use super::{Settings, labels};

/// Name of the Addon.
pub const ADDON: &str = "kubedump-addon";

/// Parameters of both tasks: name, what it is for, default, flag of the Job.
const FILTERS: [(&str, &str, &str, &str); 8] = [
    ("ANDedLabelSelectors", "Labels as key:value, separated by commas; only objects with all of them are taken", "", "and-label-selectors"),
    ("ORedLabelSelectors", "Labels as key:value, separated by commas; only objects with one of them are taken", "", "or-label-selectors"),
    ("IncludeClusterResources", "Whether to take cluster-scoped kinds too, Namespaces among them", "false", "include-cluster-resources"),
    ("IncludeNamespaces", "Namespaces to take, as names or globs separated by commas; all if empty", "", "include-namespaces"),
    ("ExcludeNamespaces", "Namespaces to leave out", "", "exclude-namespaces"),
    ("IncludeResources", "Kinds to take, as plural or plural.group; all if empty", "", "include-resources"),
    ("ExcludeResources", "Kinds to leave out", "", "exclude-resources"),
    ("labelSelector", "A label selector as of `kubectl get -l`", "", "selector"),
];

const RESTORE: [(&str, &str, &str, &str); 3] = [
    ("OverrideResources", "Whether to bring existing objects to the state of the snapshot", "false", "override-resources"),
    ("StorageClassMappings", "Storage classes to replace, as old=new, separated by commas", "", "storage-class-mappings"),
    ("RestorePVs", "Whether to restore PersistentVolumes", "false", "restore-pvs"),
];

/// The Addon and its two Functions.
pub fn catalogue(settings: &Settings) -> Vec<Value> {
    let task = |name: &str, function: &str, parameters: &[&[(&str, &str, &str, &str)]]| {
        let parameters = parameters.iter().copied().flatten();
        let parameters: Vec<Value> =
            parameters.map(|(name, usage, default, _)| json!({"name": name, "usage": usage, "required": false, "default": default})).collect();
        json!({
            "name": name, "function": function, "driver": "KStash", "executor": "Job", "singleton": true, "parameters": parameters,
            "volumeTemplate": [{"name": "kubestash-tmp-volume", "usage": "Temporary files", "source": {"emptyDir": {}}}],
            "volumeMounts": [{"name": "kubestash-tmp-volume", "mountPath": "/kubestash-tmp"}],
        })
    };
    let function = |name: &str, first: &[&str], flags: &[&[(&str, &str, &str, &str)]]| {
        let mut args: Vec<String> = first.iter().map(|arg| (*arg).to_owned()).collect();
        args.extend(flags.iter().copied().flatten().map(|(name, _, _, flag)| format!("--{flag}=${{{name}:=}}")));
        json!({
            "apiVersion": "addons.kubestash.com/v1alpha1", "kind": "Function", "metadata": {"name": name, "labels": labels()},
            "spec": {"image": settings.image, "args": args},
        })
    };
    vec![
        json!({
            "apiVersion": "addons.kubestash.com/v1alpha1", "kind": "Addon", "metadata": {"name": ADDON, "labels": labels()},
            "spec": {
                "backupTasks": [task("manifest-backup", "kubedump-backup", &[&FILTERS])],
                "restoreTasks": [task("manifest-restore", "kubedump-restore", &[&FILTERS, &RESTORE])],
            },
        }),
        function("kubedump-backup", &["backup", "--namespace=${namespace:=default}", "--backupsession=${backupSession:=}"], &[&FILTERS]),
        function(
            "kubedump-restore",
            &["restore", "--namespace=${namespace:=default}", "--restoresession=${restoreSession:=}", "--snapshot=${snapshot:=}"],
            &[&FILTERS, &RESTORE],
        ),
    ]
}
