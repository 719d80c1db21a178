//! `kubectl kubestash describe`: one page about an object of the operator, with what is wrong and what to do next.

#[cfg(test)]
mod fixture;
mod page;
mod places;
mod runs;

use anyhow::Context as _;
use clap::Args;
use jiff::Timestamp;
use kube::{Client, ResourceExt as _, api::ListParams};
use kubestash::api::{BackupConfiguration, BackupSession, BackupStorage, Repository, RestoreSession, Snapshot, labels};

use self::page::Page;
use crate::{
    cli::{CliContext, errors::hinted, exit, names, output::print_bytes},
    resources::namespaced,
};

/// Describe an object of the operator: state, last runs, problems, what to do next
#[derive(Debug, Args)]
pub struct DescribeArgs {
    /// KIND/NAME, KIND NAME, or only a name that no two objects of the namespace have. Kinds: bc, storage, repo, session, snapshot, restore
    #[arg(required = true, num_args = 1..=2, value_name = "OBJECT")]
    pub object: Vec<String>,
}

/// The kinds that have a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Configuration,
    Storage,
    Repository,
    Session,
    Snapshot,
    Restore,
}

/// All of them, each with the words that mean it: kind, plural, short names.
const KINDS: [(Kind, &[&str]); 6] = [
    (Kind::Configuration, names::CONFIGURATION),
    (Kind::Storage, &["backupstorage", "backupstorages", "storage"]),
    (Kind::Repository, &["repository", "repositories", "repo"]),
    (Kind::Session, names::BACKUP),
    (Kind::Snapshot, &["snapshot", "snapshots"]),
    (Kind::Restore, names::RESTORE),
];

/// What is asked for: a kind, where one is named, and a name.
fn parse(words: &[String]) -> anyhow::Result<(Option<Kind>, String)> {
    let (kind, name) = match words {
        [one] => match one.split_once('/') {
            Some((kind, name)) => (Some(kind), name),
            None => (None, one.as_str()),
        },
        [kind, name] => (Some(kind.as_str()), name.as_str()),
        _ => (None, ""),
    };
    let Some(word) = kind else { return Ok((None, name.to_owned())) };
    let plain = names::kind_word(word);
    let found = KINDS.iter().find(|(_, words)| words.contains(&plain.as_str()));
    let found = found.ok_or_else(|| {
        let known: Vec<&str> = KINDS.iter().filter_map(|(_, words)| words.first().copied()).collect();
        hinted(format!("there is no page about the kind {word:?}"), format!("there is one about {}", known.join(", ")))
    })?;
    Ok((Some(found.0), name.to_owned()))
}

pub async fn run(args: &DescribeArgs, context: &CliContext) -> anyhow::Result<u8> {
    let (kind, name) = parse(&args.object)?;
    let cluster = context.cluster().await?;
    let client = cluster.client();
    let namespace = context.namespace(&cluster);
    let asked: Vec<Kind> = KINDS.iter().map(|(one, _)| *one).filter(|one| kind.is_none_or(|kind| kind == *one)).collect();
    let mut pages = Vec::new();
    for kind in asked {
        pages.extend(page(kind, &name, &client, namespace).await?);
    }
    match pages.as_slice() {
        [page] => print_bytes(page.render().as_bytes())?,
        [] => {
            return Err(hinted(
                format!("there is no object {name} in namespace {namespace} that could be described"),
                format!("`kubectl get kubestash -n {namespace}` lists what is there; -n names another namespace"),
            ));
        }
        several => {
            let titles: Vec<&str> = several.iter().map(|page| page.title.as_str()).collect();
            return Err(hinted(format!("several objects are called {name}: {}", titles.join(", ")), "name the kind too, as in bc/NAME"));
        }
    }
    Ok(exit::OK)
}

/// The page of an object; nothing where it is not there.
async fn page(kind: Kind, name: &str, client: &Client, namespace: &str) -> anyhow::Result<Option<Page>> {
    let now = Timestamp::now();
    let everything = ListParams::default();
    let failed = || format!("cannot read what belongs to {namespace}/{name}");
    Ok(match kind {
        Kind::Configuration => {
            let Some(found) = namespaced::<BackupConfiguration>(client, namespace).get_opt(name).await? else { return Ok(None) };
            let repositories = namespaced::<Repository>(client, namespace).list(&everything).await.with_context(failed)?.items;
            let sessions = namespaced::<BackupSession>(client, namespace).list(&everything).await.with_context(failed)?.items;
            Some(places::configuration(&found, &repositories, sessions, now))
        }
        Kind::Storage => {
            let found = namespaced::<BackupStorage>(client, namespace).get_opt(name).await?;
            found.map(|found| places::storage(&found, now))
        }
        Kind::Repository => {
            let found = namespaced::<Repository>(client, namespace).get_opt(name).await?;
            found.map(|found| places::repository(&found, now))
        }
        Kind::Session => {
            let Some(found) = namespaced::<BackupSession>(client, namespace).get_opt(name).await? else { return Ok(None) };
            let mut snapshots = Vec::new();
            for listed in found.status.iter().flat_map(|status| &status.snapshots) {
                snapshots.extend(namespaced::<Snapshot>(client, namespace).get_opt(&listed.name).await.with_context(failed)?);
            }
            Some(runs::session(&found, &snapshots, now))
        }
        Kind::Snapshot => {
            let found = namespaced::<Snapshot>(client, namespace).get_opt(name).await?;
            found.map(|found| runs::snapshot(&found, now))
        }
        Kind::Restore => {
            let found = namespaced::<RestoreSession>(client, namespace).get_opt(name).await?;
            found.map(|found| runs::restore(&found, now))
        }
    })
}

/// Newest first.
fn by_age(mut sessions: Vec<BackupSession>) -> Vec<BackupSession> {
    sessions.sort_by_key(|session| std::cmp::Reverse((session.creation_timestamp(), session.name_any())));
    sessions
}

/// The runs of a configuration.
fn runs_of(configuration: &str, sessions: Vec<BackupSession>) -> Vec<BackupSession> {
    let own = |session: &BackupSession| {
        let invoker = session.spec.invoker.as_ref().map(|invoker| invoker.name.as_str());
        invoker == Some(configuration) || session.labels().get(labels::INVOKER_NAME).map(String::as_str) == Some(configuration)
    };
    by_age(sessions.into_iter().filter(own).collect())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_named_as_kubectl_names_them() {
        let parsed = |words: &[&str]| parse(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>()).map_err(|error| error.to_string());
        for (words, kind) in [
            (&["bc/x"][..], Some(Kind::Configuration)),
            (&["repo", "x"], Some(Kind::Repository)),
            (&["Snapshots.storage.kubestash.com/x"], Some(Kind::Snapshot)),
            (&["restore/x"], Some(Kind::Restore)),
            (&["x"], None),
        ] {
            assert_eq!(parsed(words), Ok((kind, "x".to_owned())), "{words:?}");
        }
        assert!(parsed(&["pod/x"]).unwrap_err().contains("\"pod\""));
    }
}
