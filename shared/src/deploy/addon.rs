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

const RESTORE: [(&str, &str, &str, &str); 15] = [
    ("OverrideResources", "Whether to bring existing objects to the state of the snapshot", "false", "override-resources"),
    ("StorageClassMappings", "Storage classes to replace, as old=new, separated by commas", "", "storage-class-mappings"),
    ("NamespaceMappings", "Namespaces to restore into others, as from:to, separated by commas", "", "namespace-mappings"),
    ("MaxIterations", "Accepted from KubeStash: one pass in the right order needs no others", "", "max-iterations"),
    ("RestorePVs", "Whether to restore PersistentVolumes", "false", "restore-pvs"),
    (
        "Existing",
        "What to do with existing objects: skip, update, recreate or fail; KIND=POLICY for one kind. Instead of OverrideResources",
        "",
        "existing",
    ),
    ("ForceConflicts", "With Existing: whether to take fields over from other field managers", "false", "force-conflicts"),
    ("Names", "Names of objects to restore, as globs separated by commas; all if empty", "", "names"),
    ("Labels", "Labels to set or remove on every object, as KEY=VALUE or KEY-, separated by commas", "", "labels"),
    ("Annotations", "Annotations to set or remove on every object", "", "annotations"),
    ("Drop", "Tools whose traces to leave out: gitops, helm", "", "drop"),
    ("Patches", "JSON patches by kind, name, namespace and labels, as YAML", "", "patches"),
    ("APIVersions", "Versions to write kinds under, as KIND=VERSION, separated by commas", "", "api-versions"),
    ("ServiceAddresses", "keep or new: whether Services get their addresses back; by default in the same cluster", "", "service-addresses"),
    ("RestoreStatus", "Kinds of which the status is restored as well, separated by commas", "", "restore-status"),
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
