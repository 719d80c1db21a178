//! What an object would have the operator do with rights that its user may not have.
//!
//! The operator runs Pods, reads Secrets and hands out rights for whoever writes a BackupConfiguration or a RestoreSession. So the user must be
//! allowed to do these things without it:
//!
//! | the object | the user must be allowed to |
//! |---|---|
//! | names a ServiceAccount, or shapes a Pod with volumes, containers, variables and the like | create pods in its namespace |
//! | names an encryptionSecret of another namespace | get that Secret |
//! | backs up without naming a ServiceAccount | get and list everything where the backup reads |
//! | restores without naming a ServiceAccount | do everything where the restore writes |

use std::collections::BTreeSet;

use k8s_openapi::api::{
    authentication::v1::UserInfo,
    authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec},
};
use kubestash::{
    api::{AddonInfo, BackupConfigurationSpec, BackupStorageSpec, HookInfo, ObjectReference, RepositorySpec, RestoreSessionSpec, RuntimeSettings},
    session::{
        job::named_account,
        scope::{Scope, scope_of},
    },
};
use serde::Serialize;
use serde_json::Value;

/// One thing that the user must be allowed to do.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Power {
    /// Create pods in a namespace.
    Pods(String),
    /// Get a Secret.
    Secret {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// Get and list everything in a namespace, or in the cluster.
    Read(Option<String>),
    /// Do everything in a namespace, or in the cluster.
    Write(Option<String>),
}

/// A power, and the field that asks for it.
pub type Asked = BTreeSet<(Power, String)>;

/// Fields of a Pod or container that give its user nothing.
const HARMLESS: [&str; 13] = [
    "affinity",
    "enableServiceLinks",
    "ionice",
    "nice",
    "nodeSelector",
    "podAnnotations",
    "podLabels",
    "podPlacementPolicy",
    "resources",
    "schedulerName",
    "terminationGracePeriodSeconds",
    "tolerations",
    "topologySpreadConstraints",
];

/// The first field of some settings that shapes a Pod in more than its place and size.
fn shaping(settings: Option<&impl Serialize>) -> Option<String> {
    shapings(settings).into_iter().next()
}

fn shapings(settings: Option<&impl Serialize>) -> Vec<String> {
    let fields = match settings.map(serde_json::to_value) {
        Some(Ok(Value::Object(fields))) => fields,
        _ => serde_json::Map::new(),
    };
    fields.into_iter().filter(|(name, value)| !HARMLESS.contains(&name.as_str()) && !value.is_null()).map(|(name, _)| name).collect()
}

fn of_settings(settings: Option<&RuntimeSettings>) -> Option<String> {
    let settings = settings?;
    shaping(settings.pod.as_ref())
        .map(|field| format!("pod.{field}"))
        .or_else(|| Some(format!("container.{}", shaping(settings.container.as_ref())?)))
}

fn of_addon(addon: &AddonInfo, at: &str, namespace: &str, restores: bool) -> Asked {
    let mut asked = Asked::new();
    let pods = |field: String| (Power::Pods(namespace.to_owned()), field);
    let template = addon.job_template.as_ref().and_then(|template| template.spec.as_ref());
    match named_account(addon) {
        Some(account) => {
            asked.insert(pods(format!("{at}.jobTemplate.spec.serviceAccountName names ServiceAccount {namespace}/{account}")));
        }
        None => {
            let power = |place: Option<String>| if restores { Power::Write(place) } else { Power::Read(place) };
            let why =
                format!("{at} names no ServiceAccount in jobTemplate.spec.serviceAccountName, so the operator would make one with these rights");
            match scope_of(addon) {
                Scope::Cluster => drop(asked.insert((power(None), why))),
                Scope::Namespaces(names) => asked.extend(names.into_iter().map(|name| (power(Some(name)), why.clone()))),
            }
        }
    }
    asked.extend(
        shapings(template).into_iter().find(|field| field != "serviceAccountName").map(|field| pods(format!("{at}.jobTemplate.spec.{field} is set"))),
    );
    asked.extend(shaping(addon.container_runtime_settings.as_ref()).map(|field| pods(format!("{at}.containerRuntimeSettings.{field} is set"))));
    for task in &addon.tasks {
        if !task.addon_volumes.is_empty() {
            asked.insert(pods(format!("{at}.tasks[].addonVolumes is set")));
        }
        if task.variables.iter().any(|variable| variable.value_from.is_some()) {
            asked.insert(pods(format!("{at}.tasks[].variables takes values from elsewhere")));
        }
    }
    asked
}

fn of_hooks<'a>(hooks: impl IntoIterator<Item = &'a HookInfo>, namespace: &str) -> Asked {
    let shapes = |hook: &&HookInfo| {
        !hook.variables.is_empty()
            || !hook.volumes.is_empty()
            || !hook.volume_mounts.is_empty()
            || of_settings(hook.runtime_settings.as_ref()).is_some()
    };
    let asked = hooks.into_iter().filter(shapes);
    asked.map(|hook| (Power::Pods(namespace.to_owned()), format!("the hook {:?} sets variables, volumes or runtimeSettings", hook.name))).collect()
}

/// A Secret of another namespace.
fn of_secret(secret: Option<&ObjectReference>, at: &str, namespace: &str) -> Option<(Power, String)> {
    let secret = secret?.resolved(namespace);
    let place = secret.namespace.clone().filter(|place| place != namespace)?;
    Some((Power::Secret { namespace: place, name: secret.name.clone() }, format!("{at} names Secret {secret}")))
}

/// What a BackupConfiguration asks for.
pub fn of_configuration(spec: &BackupConfigurationSpec, namespace: &str) -> Asked {
    let mut asked = Asked::new();
    for session in &spec.sessions {
        let at = format!("session {:?}: addon", session.name);
        asked.extend(session.addon.iter().flat_map(|addon| of_addon(addon, &at, namespace, false)));
        let template = session.scheduler.as_ref().and_then(|scheduler| scheduler.job_template.template.as_ref()?.spec.as_ref());
        // The CronJob's account is the operator's choice, whatever stands there.
        let field = shapings(template).into_iter().find(|field| field != "serviceAccountName");
        asked.extend(field.map(|field| {
            (Power::Pods(namespace.to_owned()), format!("session {:?}: scheduler.jobTemplate.template.spec.{field} is set", session.name))
        }));
        asked.extend(session.hooks.iter().flat_map(|hooks| of_hooks(hooks.pre_backup.iter().chain(&hooks.post_backup), namespace)));
        for repository in &session.repositories {
            let at = format!("repository {:?}: encryptionSecret", repository.name);
            asked.extend(of_secret(repository.encryption_secret.as_ref(), &at, namespace));
        }
    }
    asked
}

/// Whether a change of a BackupConfiguration is none but pausing or resuming.
pub fn asks_the_same(before: &BackupConfigurationSpec, after: &BackupConfigurationSpec) -> bool {
    let running = |spec: &BackupConfigurationSpec| BackupConfigurationSpec { paused: None, ..spec.clone() };
    running(before) == running(after)
}

/// What a RestoreSession asks for.
pub fn of_restore(spec: &RestoreSessionSpec, namespace: &str) -> Asked {
    let mut asked: Asked = spec.addon.iter().flat_map(|addon| of_addon(addon, "spec.addon", namespace, true)).collect();
    asked.extend(spec.hooks.iter().flat_map(|hooks| of_hooks(hooks.pre_restore.iter().chain(&hooks.post_restore), namespace)));
    let secret = spec.data_source.as_ref().and_then(|data| data.encryption_secret.as_ref());
    asked.extend(of_secret(secret, "spec.dataSource.encryptionSecret", namespace));
    asked
}

/// What a Repository asks for.
pub fn of_repository(spec: &RepositorySpec, namespace: &str) -> Asked {
    of_secret(spec.encryption_secret.as_ref(), "spec.encryptionSecret", namespace).into_iter().collect()
}

/// What a BackupStorage asks for: its Jobs run beside it, with its volume.
pub fn of_storage(spec: &BackupStorageSpec, namespace: &str) -> Asked {
    let volume = spec.storage.as_ref().is_some_and(|storage| storage.provider == "local").then(|| "spec.storage.local is a volume".to_owned());
    let settings = of_settings(spec.runtime_settings.as_ref()).map(|field| format!("spec.runtimeSettings.{field} is set"));
    volume.or(settings).map(|why| (Power::Pods(namespace.to_owned()), why)).into_iter().collect()
}

impl Power {
    /// In words.
    pub fn text(&self) -> String {
        let place = |namespace: &Option<String>| match namespace {
            Some(namespace) => format!("in namespace {namespace}"),
            None => "in the whole cluster".to_owned(),
        };
        match self {
            Self::Pods(namespace) => format!("create pods in namespace {namespace}"),
            Self::Secret { namespace, name } => format!("get Secret {namespace}/{name}"),
            Self::Read(namespace) => format!("get and list everything {}", place(namespace)),
            Self::Write(namespace) => format!("do everything {}", place(namespace)),
        }
    }

    /// The questions for the API server; all must be answered with yes.
    pub fn reviews(&self, user: &UserInfo) -> Vec<SubjectAccessReview> {
        let attributes = |verb: &str, group: &str, resource: &str, namespace: Option<&String>, name: Option<&String>| ResourceAttributes {
            verb: Some(verb.to_owned()),
            group: Some(group.to_owned()),
            resource: Some(resource.to_owned()),
            namespace: namespace.cloned(),
            name: name.cloned(),
            ..ResourceAttributes::default()
        };
        let all = match self {
            Self::Pods(namespace) => vec![attributes("create", "", "pods", Some(namespace), None)],
            Self::Secret { namespace, name } => vec![attributes("get", "", "secrets", Some(namespace), Some(name))],
            Self::Read(place) => ["get", "list"].map(|verb| attributes(verb, "*", "*", place.as_ref(), None)).to_vec(),
            Self::Write(place) => vec![attributes("*", "*", "*", place.as_ref(), None)],
        };
        let review = |attributes| SubjectAccessReview {
            spec: SubjectAccessReviewSpec {
                resource_attributes: Some(attributes),
                user: user.username.clone(),
                groups: user.groups.clone(),
                uid: user.uid.clone(),
                extra: user.extra.clone(),
                ..SubjectAccessReviewSpec::default()
            },
            ..SubjectAccessReview::default()
        };
        all.into_iter().map(review).collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    fn configuration(change: &dyn Fn(&mut Value)) -> Vec<String> {
        let mut spec = json!({"sessions": [{
            "name": "s",
            "addon": {
                "name": "kubedump-addon", "tasks": [{"name": "manifest-backup", "params": {"IncludeNamespaces": "team"}}],
                "jobTemplate": {"spec": {"serviceAccountName": "mine"}},
            },
            "repositories": [{"name": "r", "directory": "d", "encryptionSecret": {"name": "e"}}],
        }]});
        change(&mut spec["sessions"][0]);
        of_configuration(&serde_json::from_value(spec).unwrap(), "team").into_iter().map(|(power, _)| power.text()).collect()
    }

    type Row = (&'static dyn Fn(&mut Value), &'static [&'static str]);

    #[test]
    fn what_a_configuration_asks_for() {
        const PODS: &str = "create pods in namespace team";
        let rows: [Row; 9] = [
            (&|_| (), &[PODS]),
            (&|s| s["addon"]["jobTemplate"] = Value::Null, &["get and list everything in namespace team"]),
            (
                &|s| {
                    s["addon"]["jobTemplate"] = Value::Null;
                    s["addon"]["tasks"][0]["params"] = json!({"IncludeNamespaces": "a,b"});
                },
                &["get and list everything in namespace a", "get and list everything in namespace b"],
            ),
            (
                &|s| {
                    s["addon"]["jobTemplate"] = json!({"spec": {"nodeSelector": {"a": "b"}, "initContainers": [{"name": "x", "image": "y"}]}});
                    s["addon"]["tasks"][0]["params"] = Value::Null;
                },
                &[PODS, "get and list everything in the whole cluster"],
            ),
            (&|s| s["repositories"][0]["encryptionSecret"]["namespace"] = json!("team"), &[PODS]),
            (&|s| s["repositories"][0]["encryptionSecret"]["namespace"] = json!("vault"), &[PODS, "get Secret vault/e"]),
            (
                &|s| {
                    s["addon"] =
                        json!({"tasks": [{"name": "t", "params": {"IncludeNamespaces": "team"}}], "containerRuntimeSettings": {"resources": {}}})
                },
                &["get and list everything in namespace team"],
            ),
            (
                &|s| {
                    s["addon"] = json!({"tasks": [{"name": "t", "params": {"IncludeNamespaces": "team"}}],
                        "containerRuntimeSettings": {"envFrom": [{"secretRef": {"name": "x"}}]}});
                },
                &[PODS, "get and list everything in namespace team"],
            ),
            (
                &|s| {
                    s["addon"] = json!({"tasks": [{"name": "t", "params": {"IncludeNamespaces": "team"}, "addonVolumes": [{"name": "x", "source": {"hostPath": {"path": "/"}}}]}]});
                },
                &[PODS, "get and list everything in namespace team"],
            ),
        ];
        for (at, (change, wanted)) in rows.into_iter().enumerate() {
            let mut found = configuration(change);
            found.dedup();
            assert_eq!(found, wanted, "row {at}");
        }
    }

    #[test]
    fn what_a_restore_asks_for() {
        let asked = |spec: Value| {
            let asked = of_restore(&serde_json::from_value(spec).unwrap(), "team");
            asked.into_iter().map(|(power, _)| power).collect::<Vec<_>>()
        };
        let tasks = json!([{"name": "t", "params": {"IncludeNamespaces": "team"}}]);
        assert_eq!(asked(json!({"addon": {"tasks": tasks}})), [Power::Write(Some("team".to_owned()))]);
        assert_eq!(asked(json!({"addon": {"tasks": [{"name": "t"}]}})), [Power::Write(None)]);
        let foreign = json!({"dataSource": {"encryptionSecret": {"name": "e", "namespace": "vault"}}});
        assert_eq!(asked(foreign), [Power::Secret { namespace: "vault".to_owned(), name: "e".to_owned() }]);
    }

    #[test]
    fn storages_with_volumes_or_accounts_ask_for_pods() {
        let asked = |spec: Value| of_storage(&serde_json::from_value(spec).unwrap(), "team").len();
        assert_eq!(asked(json!({"storage": {"provider": "s3", "s3": {"bucket": "b"}}, "runtimeSettings": {"pod": {"nodeSelector": {"a": "b"}}}})), 0);
        assert_eq!(asked(json!({"storage": {"provider": "s3", "s3": {"bucket": "b"}}, "runtimeSettings": {"pod": {"serviceAccountName": "x"}}})), 1);
        assert_eq!(asked(json!({"storage": {"provider": "local", "local": {"hostPath": {"path": "/"}}}})), 1);
    }

    #[test]
    fn the_requesting_user_is_asked_about_with_groups() {
        let user = UserInfo { username: Some("anna".to_owned()), groups: Some(vec!["team".to_owned()]), ..UserInfo::default() };
        let reviews = Power::Read(None).reviews(&user);
        assert_eq!(reviews.len(), 2);
        let spec = &reviews[1].spec;
        assert_eq!((spec.user.as_deref(), spec.groups.as_ref().unwrap().len()), (Some("anna"), 1));
        let attributes = spec.resource_attributes.as_ref().unwrap();
        assert_eq!((attributes.verb.as_deref(), attributes.resource.as_deref(), attributes.namespace.as_ref()), (Some("list"), Some("*"), None));
    }
}
