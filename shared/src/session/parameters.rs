//! Parameters of the tasks `manifest-backup` and `manifest-restore`, as text: what a user writes is text, and an unset one arrives empty.

use std::collections::BTreeMap;

use crate::collect::Filters;

/// Cluster-wide records that a restore never takes back: they tell what runs on machines, or what this very program does. Backups in which
/// they were asked for hold them nevertheless.
const NEVER_RESTORED: [&str; 10] = [
    "nodes",
    "events",
    "events.events.k8s.io",
    "csinodes.storage.k8s.io",
    "volumeattachments.storage.k8s.io",
    "backupsessions.core.kubestash.com",
    "backupverificationsession.core.kubestash.com",
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
    fn words() {
        assert_eq!(list(" a ,,b"), ["a", "b"]);
        assert!(list("a,*").is_empty());
        for (text, wanted) in [("", false), ("TRUE", true), ("false", false), (" 1 ", true)] {
            assert_eq!(boolean("x", text), Ok(wanted));
        }
        assert_eq!(boolean("RestorePVs", "maybe").unwrap_err().to_string(), "the parameter RestorePVs is \"maybe\"; write \"true\" or \"false\"");
        assert_eq!(mapping("x", "a=b, c = d,").unwrap(), [("a", "b"), ("c", "d")].map(|(a, b)| (a.to_owned(), b.to_owned())).into());
        for text in ["a", "a=", "=b", "a=b,c"] {
            assert!(mapping("x", text).is_err(), "{text}");
        }
    }
}
