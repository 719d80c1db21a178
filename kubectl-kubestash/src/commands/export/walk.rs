//! The tree of a snapshot, entry by entry in a fixed order, into whatever it is exported to.

use std::collections::HashSet;

use bytes::Bytes;
use futures::StreamExt as _;
use kstashfs::browse::{BrowseError, Browser, Entry, Kind};

/// Files that are read at the same time: most of them come out of blocks that are in memory.
const AHEAD: usize = 8;
/// Entries behind which others get their turn: whoever wants to stop it, for one.
const TURN: usize = 64;

/// Where entries go. A directory comes before what is in it.
pub trait Sink {
    /// Makes a directory.
    fn directory(&mut self, path: &str, entry: &Entry) -> anyhow::Result<()>;
    /// Makes a file.
    fn file(&mut self, path: &str, entry: &Entry, content: &Bytes) -> anyhow::Result<()>;
}

/// Which part of the tree is wanted.
#[derive(Debug, Default)]
pub struct Selection<'a> {
    /// Objects by their rows; directories without any are left out. `None`: all of them, and all directories.
    pub rows: Option<HashSet<u32>>,
    /// Directories at the top; `None`: all of them.
    pub folders: Option<&'a [&'a str]>,
}

/// What was written.
#[derive(Debug, Default)]
pub struct Outcome {
    pub files: u64,
    pub bytes: u64,
    /// Files that are missing from it, and why.
    pub unreadable: Vec<(String, String)>,
}

/// All entries that are wanted, in order: the tree of 100,000 objects takes some tens of megabytes.
async fn plan(browser: &Browser, selection: &Selection<'_>) -> Result<Vec<(String, Entry)>, BrowseError> {
    let (mut planned, mut open) = (Vec::new(), vec![(String::new(), browser.root().await?)]);
    while let Some((path, entry)) = open.pop() {
        match entry.kind {
            Kind::Directory => {
                let mut below = browser.list(entry.inode).await?;
                if let Some(folders) = selection.folders.filter(|_| path.is_empty()) {
                    below.retain(|entry| folders.contains(&entry.name.as_str()));
                }
                below.sort_by(|a, b| b.name.cmp(&a.name));
                let at = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") };
                open.extend(below.into_iter().map(|entry| (at(&entry.name), entry)));
                planned.push((path, entry));
            }
            Kind::File(_) if selection.rows.as_ref().is_none_or(|rows| browser.row(&entry).is_some_and(|row| rows.contains(&row))) => {
                planned.push((path, entry));
            }
            Kind::File(_) | Kind::Link(_) => {}
        }
    }
    if selection.rows.is_some() {
        without_empty(&mut planned);
    }
    Ok(planned)
}

/// Leaves out directories without a file below, but for the root: each stands before what is in it.
fn without_empty(planned: &mut Vec<(String, Entry)>) {
    let mut needed: HashSet<&str> = HashSet::from([""]);
    for (path, entry) in planned.iter() {
        let mut path = path.as_str();
        while matches!(entry.kind, Kind::File(_))
            && let Some((parent, _)) = path.rsplit_once('/')
            && needed.insert(parent)
        {
            path = parent;
        }
    }
    let kept: Vec<bool> = planned.iter().map(|(path, entry)| entry.kind != Kind::Directory || needed.contains(path.as_str())).collect();
    let mut kept = kept.into_iter();
    planned.retain(|_| kept.next().unwrap_or(true));
}

/// Writes what is wanted. Files that cannot be read are left out and told.
pub async fn walk(browser: &Browser, selection: &Selection<'_>, sink: &mut impl Sink) -> anyhow::Result<Outcome> {
    let planned = plan(browser, selection).await?;
    let mut outcome = Outcome::default();
    let read = futures::stream::iter(planned).map(async |(path, entry)| {
        let content = match entry.kind {
            Kind::File(_) => Some(browser.read(entry.inode).await),
            Kind::Directory | Kind::Link(_) => None,
        };
        (path, entry, content)
    });
    let mut read = std::pin::pin!(read.buffered(AHEAD));
    let mut turn = 0;
    while let Some((path, entry, content)) = read.next().await {
        turn = (turn + 1) % TURN;
        if turn == 0 {
            tokio::task::yield_now().await;
        }
        match content {
            None => sink.directory(&path, &entry)?,
            Some(Ok(content)) => {
                sink.file(&path, &entry, &content)?;
                outcome.files += 1;
                outcome.bytes += content.len() as u64;
            }
            Some(Err(error)) => outcome.unreadable.push((path, format!("{:#}", anyhow::Error::new(error)))),
        }
    }
    Ok(outcome)
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn directories_without_files_are_left_out() {
        let entry = |kind| Entry { name: String::new(), inode: 0, kind, mode: 0, modified: SystemTime::UNIX_EPOCH };
        let of = |paths: &[&str]| {
            let kind = |path: &str| if path.ends_with(".yaml") { Kind::File(1) } else { Kind::Directory };
            paths.iter().map(|path| ((*path).to_owned(), entry(kind(path)))).collect::<Vec<_>>()
        };
        let mut planned = of(&["", "a", "a/b", "a/b/x.yaml", "a/c", "d", "d/e", "f.yaml", "g", "g/h", "g/h/y.yaml", "g/h/z.yaml"]);
        without_empty(&mut planned);
        let left: Vec<&str> = planned.iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(left, ["", "a", "a/b", "a/b/x.yaml", "f.yaml", "g", "g/h", "g/h/y.yaml", "g/h/z.yaml"]);
    }
}
