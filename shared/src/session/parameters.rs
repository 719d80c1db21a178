//! Parameters of the tasks `manifest-backup` and `manifest-restore`, as text: what a user writes is text, and an unset one arrives empty.

use std::collections::BTreeMap;

use crate::{
    collect::Filters,
    object::GroupResource,
    restore::{
        edits::{Edits, Mappings, PatchRule, Preset, marks},
        plan::{Existing, Options, Policies},
    },
};

/// Cluster-wide records that a restore never takes back: they tell what runs on machines, or what this very program does. Backups in which
/// they were asked for hold them nevertheless.
const NEVER_RESTORED: [&str; 11] = [
    "nodes",
    "events",
    "events.events.k8s.io",
    "csinodes.storage.k8s.io",
    "volumeattachments.storage.k8s.io",
    "backupsessions.core.kubestash.com",
    "backupverificationsession.core.kubestash.com",
    "backupverifier.core.kubestash.com",
    "restoresessions.core.kubestash.com",
    "repositories.storage.kubestash.com",
    "snapshots.storage.kubestash.com",
];

/// A parameter that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the parameter {name} is {value:?}; {expected}")]
pub struct ParameterError {
    /// Name of the parameter.
    pub name: &'static str,
    /// What was given.
    pub value: String,
    /// What can be given.
    pub expected: &'static str,
}

/// Which objects a task is about, as its Function passes it on. Empty means the default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FilterParameters {
    /// `ANDedLabelSelectors`: `key:value`, `key=value` or `key`, separated by commas; all must be there.
    pub anded_labels: String,
    /// `ORedLabelSelectors`: the same; one must be there.
    pub ored_labels: String,
    /// `labelSelector` of older releases: as of kubectl's `-l`.
    pub label_selector: String,
    /// `IncludeClusterResources`: `true` or `false`, which is the default.
    pub include_cluster_resources: String,
    /// `IncludeNamespaces`: names or globs, separated by commas.
    pub include_namespaces: String,
    /// `ExcludeNamespaces`.
    pub exclude_namespaces: String,
    /// `IncludeResources`: plurals, with group where it is not the only one.
    pub include_resources: String,
    /// `ExcludeResources`.
    pub exclude_resources: String,
}

impl FilterParameters {
    /// The filters of a backup.
    ///
    /// # Errors
    /// A parameter that is neither true nor false.
    pub fn backup(&self) -> Result<Filters, ParameterError> {
        Ok(Filters {
            include_namespaces: list(&self.include_namespaces),
            exclude_namespaces: list(&self.exclude_namespaces),
            include_resources: list(&self.include_resources),
            exclude_resources: list(&self.exclude_resources),
            include_cluster_resources: Some(boolean("IncludeClusterResources", &self.include_cluster_resources)?),
            selector: self.label_selector.trim().to_owned(),
            anded_labels: list(&self.anded_labels),
            ored_labels: list(&self.ored_labels),
            all_kinds: false,
        })
    }

    /// The filters of a restore: as those of a backup, without what is never restored, and without volumes unless they are asked for.
    ///
    /// # Errors
    /// As [`FilterParameters::backup`].
    pub fn restore(&self, restore_volumes: bool) -> Result<Filters, ParameterError> {
        let mut filters = self.backup()?;
        filters.exclude_resources.extend(NEVER_RESTORED.map(str::to_owned));
        if !restore_volumes {
            filters.exclude_resources.push("persistentvolumes".to_owned());
        }
        Ok(filters)
    }
}

/// How a restore is to be done, as its Function passes it on. Empty means the default. All but the first three are ours; KubeStash has none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RestoreParameters {
    /// `OverrideResources`: `true` or `false`.
    pub override_resources: String,
    /// `StorageClassMappings`: `old=new`.
    pub storage_classes: String,
    /// `NamespaceMappings`: `from:to`.
    pub namespaces: String,
    /// `Existing`: `POLICY` and `KIND=POLICY`.
    pub existing: String,
    /// `ForceConflicts`: `true` or `false`.
    pub force_conflicts: String,
    /// `Labels`: `KEY=VALUE` and `KEY-`.
    pub labels: String,
    /// `Annotations`: the same.
    pub annotations: String,
    /// `Drop`: `gitops` and `helm`.
    pub drop: String,
    /// `Patches`: a text of YAML.
    pub patches: String,
    /// `APIVersions`: `KIND=VERSION`.
    pub versions: String,
    /// `ServiceAddresses`: `keep` or `new`.
    pub addresses: String,
    /// `RestoreStatus`: kinds.
    pub status: String,
}

impl RestoreParameters {
    /// The options that they mean. `kind_of` finds the kind that a person means.
    ///
    /// # Errors
    /// The first parameter that cannot be understood.
    pub fn options(&self, kind_of: &dyn Fn(&str) -> Option<GroupResource>) -> Result<Options, ParameterError> {
        let wrong = |name, value: &str, expected| ParameterError { name, value: value.to_owned(), expected };
        let overrides = boolean("OverrideResources", &self.override_resources)?;
        let forces = boolean("ForceConflicts", &self.force_conflicts)?;
        // Overriding means against other field managers too: nobody is there to ask.
        let (existing, force) = match (self.existing.trim(), overrides) {
            ("", true) => (Existing::Update.into(), true),
            ("", false) => (Existing::Skip.into(), forces),
            (_, true) => return Err(wrong("OverrideResources", &self.override_resources, "leave it out where Existing is given")),
            (words, false) => {
                let expected = "write skip, update, recreate or fail, or KIND=POLICY as in jobs=recreate, with kinds of the snapshot or the cluster";
                (Policies::parse(&list(words), kind_of).map_err(|_| wrong("Existing", words, expected))?, forces)
            }
        };
        let kind = |name, word: &str| kind_of(word).ok_or_else(|| wrong(name, word, "write a kind of the snapshot or the cluster"));
        let versions = mapping("APIVersions", &self.versions)?;
        let keep_addresses = match self.addresses.trim() {
            "" => None,
            "keep" => Some(true),
            "new" => Some(false),
            other => return Err(wrong("ServiceAddresses", other, "write keep or new")),
        };
        let preset = |word: String| match word.as_str() {
            "gitops" => Ok(Preset::Gitops),
            "helm" => Ok(Preset::Helm),
            _ => Err(wrong("Drop", &word, "write gitops, helm or both")),
        };
        let mark = |name, text: &str| marks(&list(text)).map_err(|_| wrong(name, text, "write KEY=VALUE or KEY-, and commas between several"));
        Ok(Options {
            existing,
            force,
            keep_addresses,
            versions: versions.into_iter().map(|(word, version)| Ok((kind("APIVersions", &word)?, version))).collect::<Result<_, _>>()?,
            status: list(&self.status).iter().map(|word| kind("RestoreStatus", word)).collect::<Result<_, _>>()?,
            edits: Edits {
                storage_classes: mapping("StorageClassMappings", &self.storage_classes)?,
                namespaces: namespaces(&self.namespaces)?,
                labels: mark("Labels", &self.labels)?,
                annotations: mark("Annotations", &self.annotations)?,
                drop: list(&self.drop).into_iter().map(preset).collect::<Result<_, _>>()?,
                patches: match self.patches.trim() {
                    "" => Vec::new(),
                    text => PatchRule::read(text)
                        .map_err(|_| wrong("Patches", "a text", "write a list of target and patch, as for `restore --patches`"))?,
                },
            },
            ..Options::default()
        })
    }
}

/// Words separated by commas, without blanks around them. `*` is the same as nothing.
pub fn list(text: &str) -> Vec<String> {
    let words: Vec<String> = text.split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect();
    if words.iter().any(|word| word == "*") { Vec::new() } else { words }
}

/// `true`, `false`, or nothing for false; in any case of letters.
///
/// # Errors
/// Any other text.
pub fn boolean(name: &'static str, text: &str) -> Result<bool, ParameterError> {
    match text.trim().to_ascii_lowercase().as_str() {
        "" | "false" | "0" | "no" => Ok(false),
        "true" | "1" | "yes" => Ok(true),
        _ => Err(ParameterError { name, value: text.to_owned(), expected: "write \"true\" or \"false\"" }),
    }
}

/// `old=new` pairs separated by commas.
///
/// # Errors
/// A pair without its equals sign or with an empty side.
pub fn mapping(name: &'static str, text: &str) -> Result<BTreeMap<String, String>, ParameterError> {
    let pairs = text.split(',').map(str::trim).filter(|pair| !pair.is_empty());
    let read = |pair: &str| match pair.split_once('=').map(|(old, new)| (old.trim(), new.trim())) {
        Some((old, new)) if !old.is_empty() && !new.is_empty() => Ok((old.to_owned(), new.to_owned())),
        _ => Err(ParameterError { name, value: text.to_owned(), expected: "write old=new, and commas between several" }),
    };
    pairs.map(read).collect()
}

/// `NamespaceMappings`: `from:to` pairs separated by commas. The parameter is ours; KubeStash has none.
///
/// # Errors
/// A pair that maps nothing.
pub fn namespaces(text: &str) -> Result<Mappings, ParameterError> {
    let expected = "write from:to, and commas between several";
    Mappings::parse(&[text.to_owned()]).map_err(|_| ParameterError { name: "NamespaceMappings", value: text.to_owned(), expected })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn filters_of_the_guide() {
        let given = FilterParameters {
            include_cluster_resources: "true".to_owned(),
            include_namespaces: "demo-a, demo-b".to_owned(),
            exclude_namespaces: "kube-system,longhorn-system".to_owned(),
            include_resources: "*".to_owned(),
            ored_labels: "app:my-app,app:my-sts".to_owned(),
            ..FilterParameters::default()
        };
        let filters = given.backup().unwrap();
        assert_eq!(filters.include_namespaces, ["demo-a", "demo-b"]);
        assert_eq!(filters.exclude_namespaces, ["kube-system", "longhorn-system"]);
        assert_eq!(filters.ored_labels, ["app:my-app", "app:my-sts"]);
        assert!(filters.include_resources.is_empty() && filters.exclude_resources.is_empty());
        assert_eq!(filters.include_cluster_resources, Some(true));
        let restored = given.restore(false).unwrap();
        assert!(restored.exclude_resources.iter().any(|kind| kind == "persistentvolumes"));
        assert!(restored.exclude_resources.iter().any(|kind| kind == "snapshots.storage.kubestash.com"));
        assert!(!given.restore(true).unwrap().exclude_resources.iter().any(|kind| kind == "persistentvolumes"));
    }

    #[test]
    fn nothing_given_is_kubestashs_default() {
        let filters = FilterParameters::default().backup().unwrap();
        assert_eq!(filters, Filters { include_cluster_resources: Some(false), ..Filters::default() });
    }

    #[test]
    fn restore_parameters_mean_what_they_say() {
        let kind_of = |word: &str| (word == "jobs").then(|| GroupResource::new("batch", "jobs"));
        let read = |change: fn(&mut RestoreParameters)| {
            let mut given = RestoreParameters::default();
            change(&mut given);
            given.options(&kind_of)
        };
        assert_eq!(read(|_| {}).unwrap(), Options::default());
        let overriding = Options { existing: Existing::Update.into(), force: true, ..Options::default() };
        assert_eq!(read(|given| given.override_resources = "true".into()).unwrap(), overriding);
        let chosen = read(|given| given.existing = "update, jobs=recreate".into()).unwrap();
        assert_eq!(
            (chosen.existing.default, chosen.existing.of(&GroupResource::new("batch", "jobs")), chosen.force),
            (Existing::Update, Existing::Recreate, false)
        );
        assert!(read(|given| (given.existing, given.force_conflicts) = ("update".into(), "true".into())).unwrap().force);
        let edited = read(|given| {
            (given.labels, given.annotations, given.drop) = ("a=b,c-".into(), "d=e".into(), "gitops,helm".into());
            given.patches = "- {target: {kind: Job}, patch: [{op: remove, path: /spec/suspend}]}".into();
            (given.versions, given.addresses, given.status) = ("jobs=v1".into(), "new".into(), "jobs".into());
            (given.storage_classes, given.namespaces) = ("slow=fast, old=new".into(), "demo:copy".into());
        });
        let Options { edits, versions, status, keep_addresses, .. } = edited.unwrap();
        assert_eq!((edits.labels.len(), edits.annotations.len(), edits.drop.len(), edits.patches.len()), (2, 1, 2, 1));
        assert_eq!((edits.storage_classes.len(), edits.namespaces.target("demo")), (2, "copy"));
        assert_eq!((versions.len(), status.len(), keep_addresses), (1, 1, Some(false)));
        type Change = fn(&mut RestoreParameters);
        let wrong: [(&str, Change); 11] = [
            ("OverrideResources", |given| given.override_resources = "perhaps".into()),
            ("OverrideResources", |given| (given.override_resources, given.existing) = ("true".into(), "skip".into())),
            ("Existing", |given| given.existing = "pods=update".into()),
            ("StorageClassMappings", |given| given.storage_classes = "slow".into()),
            ("NamespaceMappings", |given| given.namespaces = "demo".into()),
            ("Labels", |given| given.labels = "a".into()),
            ("Drop", |given| given.drop = "flux".into()),
            ("Patches", |given| given.patches = "{".into()),
            ("APIVersions", |given| given.versions = "pods=v1".into()),
            ("ServiceAddresses", |given| given.addresses = "old".into()),
            ("RestoreStatus", |given| given.status = "pods".into()),
        ];
        for (name, change) in wrong {
            assert_eq!(read(change).unwrap_err().name, name);
        }
    }

    #[test]
    fn words() {
        assert_eq!(list(" a ,,b"), ["a", "b"]);
        assert!(list("a,*").is_empty());
        for (text, wanted) in [("", false), ("TRUE", true), ("false", false), (" 1 ", true)] {
            assert_eq!(boolean("x", text), Ok(wanted));
        }
        assert_eq!(boolean("RestorePVs", "maybe").unwrap_err().to_string(), "the parameter RestorePVs is \"maybe\"; write \"true\" or \"false\"");
        assert_eq!(mapping("x", "a=b, c = d,").unwrap(), [("a", "b"), ("c", "d")].map(|(a, b)| (a.to_owned(), b.to_owned())).into());
        assert_eq!(namespaces(" a:b, c=d").unwrap().target("c"), "d");
        assert!(namespaces("").unwrap().is_empty() && namespaces("a").is_err());
        for text in ["a", "a=", "=b", "a=b,c"] {
            assert!(mapping("x", text).is_err(), "{text}");
        }
    }
}
