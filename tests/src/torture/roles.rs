//! What each process does, again and again.

use std::{
    path::Path,
    process::{Command, Output, Stdio},
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};
use kubestash::repository::{BackupOptions, ClusterId, CommitInfo, Part, Repository, RepositoryError, Root, prune::PruneOptions};

use super::{PASSWORD, Place, content::Made, ledger::Ledger};
use crate::watchdog::Watchdog;

/// Snapshots of a cluster that stay.
const KEPT: usize = 4;

/// The snapshots with what they must hold, oldest first. One that cannot be read ends the torture.
pub(super) async fn snapshots(repository: &Repository) -> anyhow::Result<Vec<(Made, Root)>> {
    let list = repository.snapshots().await?;
    ensure!(list.damaged.is_empty(), "snapshots are damaged: {:?}", list.damaged);
    list.roots.into_iter().map(|root| Ok((Made::of(&root.name).context("a snapshot that nobody made")?, root))).collect()
}

pub(super) async fn back_up(cluster: u64, place: &Place) -> anyhow::Result<()> {
    let ledger = Ledger::at(&place.ledger)?;
    loop {
        let repository = place.open().await?;
        let own = snapshots(&repository).await?.into_iter().rfind(|(made, _)| made.cluster == cluster);
        let made = Made { cluster, number: own.as_ref().map_or(0, |(made, _)| made.number + 1) };
        match one_backup(&repository, made, own.map(|(_, root)| root)).await {
            Ok(root) => {
                ledger.made(&root.name)?;
                ledger.count("snapshots", 1)?;
            }
            Err(RepositoryError::Overtaken { .. }) => ledger.count("overtaken", 1)?,
            // What it wanted to take over was removed while it worked: its parent was forgotten meanwhile.
            Err(error) if error.is_damage() => ledger.count("overtaken", 1)?,
            Err(error) => return Err(error).context("a backup failed"),
        }
    }
}

async fn one_backup(repository: &Repository, made: Made, parent: Option<Root>) -> Result<Root, RepositoryError> {
    let writer = repository.backup(BackupOptions { parent, ..BackupOptions::default() }).await?;
    let writer = tokio::task::spawn_blocking(move || made.fill(&writer).map(|()| writer)).await;
    let writer = writer.map_err(|error| RepositoryError::Machine(error.to_string()))??;
    let mut info = CommitInfo::new(made.name(), jiff::Timestamp::now());
    info.cluster = ClusterId { uid: format!("cluster {}", made.cluster), ..ClusterId::default() };
    writer.commit(info).await
}

pub(super) async fn prune(place: &Place) -> anyhow::Result<()> {
    let ledger = Ledger::at(&place.ledger)?;
    loop {
        tokio::time::sleep(Duration::from_secs(2)).await;
        let repository = place.open().await?;
        {
            let _held = ledger.hold()?;
            forget(&repository, &ledger).await?;
        }
        let options = PruneOptions::new(place.hurried());
        match repository.prune(options, &mut |_, _, _| {}).await {
            Ok(report) => {
                ensure!(report.damage.is_empty(), "a prune met damage: {:?}", report.damage);
                ledger.count("prunes", 1)?;
                ledger.count("packs deleted", report.deleted.packs as u64)?;
                ledger.count("packs taken back", report.taken_back.packs as u64)?;
            }
            // Of one that was killed.
            Err(RepositoryError::Locked { .. }) => {}
            Err(error) => return Err(error).context("a prune failed"),
        }
    }
}

/// All but the newest of each cluster, and what is being read.
async fn forget(repository: &Repository, ledger: &Ledger) -> anyhow::Result<()> {
    let (all, being_read) = (snapshots(repository).await?, ledger.being_read()?);
    for cluster in [0, 1] {
        let own: Vec<&Root> = all.iter().filter(|(made, _)| made.cluster == cluster).map(|(_, root)| root).collect();
        let old = own.get(..own.len().saturating_sub(KEPT)).unwrap_or_default();
        for root in old.iter().filter(|root| !being_read.contains(&root.name)) {
            ledger.forget(&root.name)?;
            repository.forget(root.id).await?;
        }
    }
    Ok(())
}

pub(super) async fn read(place: &Place) -> anyhow::Result<()> {
    let ledger = Ledger::at(&place.ledger)?;
    for round in 0.. {
        let repository = place.open().await?;
        let chosen = {
            let _held = ledger.hold()?;
            let mut all = snapshots(&repository).await?;
            // The oldest, which is about to be forgotten, and the newest in turn.
            let chosen = if round % 2 == 0 { all.pop() } else { all.into_iter().next() };
            if let Some((_, root)) = &chosen {
                ledger.reads(&root.name)?;
            }
            chosen
        };
        let Some((made, root)) = chosen else {
            tokio::time::sleep(Duration::from_secs(1)).await;
            continue;
        };
        if round % 3 == 2 {
            assert_holds(&repository, made, &root).await?
        } else {
            assert_mounts(place, made)?
        }
        ledger.count("snapshots read", 1)?;
    }
    Ok(())
}

/// Reads every object of a snapshot through the library.
pub(super) async fn assert_holds(repository: &Repository, made: Made, root: &Root) -> anyhow::Result<()> {
    let snapshot = repository.open_snapshot(root).await.with_context(|| format!("cannot open {}", root.name))?;
    let expected = made.objects();
    ensure!(snapshot.catalog().len() as usize == expected.len(), "{} has {} objects", root.name, snapshot.catalog().len());
    for row in snapshot.catalog().rows() {
        let (name, manifest) =
            (row.id().key(), snapshot.read(row.number, Part::Manifest).await.with_context(|| format!("{} in {}", row.id(), root.name))?);
        ensure!(expected.get(&name).is_some_and(|text| text_of(&manifest) == Some(text)), "{name} of {} is wrong", root.name);
    }
    Ok(())
}

/// The value of the one member of `data`; it is on one line, or folded over several.
fn text_of(manifest: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(manifest).ok()?;
    let value = text.lines().find_map(|line| line.trim_start().strip_prefix("text: "))?;
    Some(value.trim_matches('"'))
}

/// Mounts a snapshot as a user does, and reads every file.
fn assert_mounts(place: &Place, made: Made) -> anyhow::Result<()> {
    let mounted = crate::mounts::Place::new();
    // This process may be killed at any moment, also while it mounts.
    let words = [place.program.display().to_string(), "mount".to_owned(), made.name()].map(|word| format!("'{word}'")).join(" ");
    let variables: String = variables(place).into_iter().map(|(name, value)| format!("{name}='{value}' ")).collect();
    let _end = Watchdog::around(&format!("{variables}{words} \"$1\""), "while umount -l \"$1\" 2>/dev/null; do :; done", mounted.path());
    let mut found = 0;
    for (name, text) in made.objects() {
        let (namespace, object) = name.split_once('/').context("a name")?;
        let kind = if object.starts_with('s') { "secrets" } else { "configmaps" };
        let path = mounted.path().join("namespaces").join(namespace).join(kind).join(format!("{object}.yaml"));
        let manifest = std::fs::read(&path).with_context(|| format!("{} of {}", path.display(), made.name()))?;
        ensure!(text_of(&manifest) == Some(&text), "{name} of {} is wrong in the mount", made.name());
        found += 1;
    }
    ensure!(found == files(&mounted.path().join("namespaces"))?, "there are other files in {}", made.name());
    run(place, &["umount", mounted.text()])
}

fn files(folder: &Path) -> anyhow::Result<usize> {
    let mut found = 0;
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        found += if path.is_dir() { files(&path)? } else { 1 };
    }
    Ok(found)
}

/// What the user's program is told by its environment.
fn variables(place: &Place) -> [(&'static str, String); 6] {
    [
        ("KUBESTASH_REPO", Place::repo().to_owned()),
        ("KUBESTASH_PASSWORD", PASSWORD.to_owned()),
        ("HOME", place.ledger.display().to_string()),
        ("AWS_ENDPOINT_URL", place.endpoint.clone()),
        ("AWS_ACCESS_KEY_ID", "testkey".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "testsecret".to_owned()),
    ]
}

/// Runs the user's program.
fn run(place: &Place, args: &[&str]) -> anyhow::Result<()> {
    let mut command = Command::new(&place.program);
    command.args(args).envs(variables(place));
    let Output { status, stderr, .. } = command.stdin(Stdio::null()).output()?;
    if !status.success() {
        bail!("{args:?}: {status}: {}", String::from_utf8_lossy(&stderr));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::text_of;

    #[test]
    fn the_text_is_found() {
        assert_eq!(text_of(b"apiVersion: v1\ndata:\n  text: 00ab\nkind: ConfigMap\n"), Some("00ab"));
        assert_eq!(text_of(b"data:\n  text: \"0012\"\n"), Some("0012"));
        assert_eq!(text_of(b"data: {}\n"), None);
    }
}
