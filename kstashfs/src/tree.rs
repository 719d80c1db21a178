//! The directories and files of one snapshot: inode numbers, names, order. Pure; knows no kernel and reads no object.
//!
//! ```text
//! namespaces/<namespace>/<resource[.group]>/<name>.yaml        the manifest
//! cluster/<resource[.group]>/<name>.yaml
//! resources/<resource[.group]>/{namespaces/<namespace>,cluster}/<name>.yaml        KubeStash's layout: manifest and status
//! ```
//! The three directories at the top are there also when nothing is in them. A tree of changes has the first two, and texts of its own beside
//! them. Inodes: 1 is the root, directories follow, then one per row for the first view and one per row for the second, then texts. A
//! directory of files is a range of rows, so files cost no memory beyond the catalog.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use bytes::Bytes;
use kubestash::{
    object::{directory_name, push_file_name},
    repository::Catalog,
};

use crate::names::find_file;

/// The root's inode within a tree.
pub const ROOT: u64 = 1;
/// Directories at the top of every snapshot.
pub const TOP: [&str; 3] = ["cluster", "namespaces", "resources"];

/// What a file shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum View {
    /// `namespaces/` and `cluster/`.
    Manifest,
    /// `resources/`.
    WithStatus,
}

/// A file: the row of an object and what of it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct File {
    /// Row of the catalog.
    pub row: u32,
    /// What is shown.
    pub view: View,
}

/// What an inode is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Node {
    /// A directory, by its inode.
    Directory(u64),
    /// A file.
    File(File),
    /// A text that no object has: its place among those of the tree.
    Text(usize),
}

#[derive(Debug)]
enum Children {
    /// Directories, and texts, by name.
    Named(Vec<(String, u64)>),
    Files(Range<u32>, View),
}

#[derive(Debug)]
struct Directory {
    parent: u64,
    children: Children,
}

/// The tree of one snapshot.
#[derive(Debug)]
pub struct Tree {
    catalog: Arc<Catalog>,
    directories: Vec<Directory>,
    runs: Vec<Run>,
    views: &'static [View],
    texts: Vec<Bytes>,
}

/// Rows of one kind and namespace: what one directory of files holds, in each of the views.
#[derive(Debug)]
struct Run {
    rows: Range<u32>,
    /// The directories, by view.
    directories: [u64; 2],
}

/// Directories by path, while the tree is built.
#[derive(Default)]
struct Draft {
    directories: BTreeMap<String, Draft>,
    files: Option<(Range<u32>, View)>,
}

impl Draft {
    fn at(&mut self, path: &[&str]) -> &mut Self {
        path.iter().fold(self, |draft, name| draft.directories.entry((*name).to_owned()).or_default())
    }
}

impl Tree {
    /// Lays a catalog out, in both views.
    pub fn new(catalog: Arc<Catalog>) -> Self {
        Self::laid_out(catalog, &[View::Manifest, View::WithStatus], Vec::new())
    }

    /// The manifests alone, and texts beside `cluster/` and `namespaces/`.
    pub fn of_changes(catalog: Arc<Catalog>, texts: Vec<(&'static str, String)>) -> Self {
        Self::laid_out(catalog, &[View::Manifest], texts)
    }

    fn laid_out(catalog: Arc<Catalog>, views: &'static [View], texts: Vec<(&'static str, String)>) -> Self {
        let mut draft = Draft::default();
        for name in TOP.into_iter().take(1 + views.len()) {
            draft.at(&[name]);
        }
        let mut runs = Vec::new();
        for kind in catalog.kinds() {
            let name = kind.info.group_resource().to_string();
            let name = directory_name(&name);
            let mut start = kind.rows.start;
            while start < kind.rows.end {
                let namespace = catalog.row(start).and_then(|row| row.namespace);
                let mut end = start + 1;
                while end < kind.rows.end && catalog.row(end).and_then(|row| row.namespace) == namespace {
                    end += 1;
                }
                let run = start..end;
                let namespace = namespace.map(directory_name);
                for &view in views {
                    let directory = match (view, &namespace) {
                        (View::Manifest, Some(namespace)) => draft.at(&["namespaces", namespace, &name]),
                        (View::Manifest, None) => draft.at(&["cluster", &name]),
                        (View::WithStatus, Some(namespace)) => draft.at(&["resources", &name, "namespaces", namespace]),
                        (View::WithStatus, None) => draft.at(&["resources", &name, "cluster"]),
                    };
                    directory.files = Some((run.clone(), view));
                }
                runs.push(Run { rows: run, directories: [ROOT; 2] });
                start = end;
            }
        }
        let mut tree = Self { catalog, directories: Vec::new(), runs, views, texts: Vec::new() };
        tree.settle(draft, ROOT);
        tree.add_texts(texts);
        for (directory, inode) in tree.directories.iter().zip(ROOT..) {
            if let Children::Files(rows, view) = &directory.children {
                let at = tree.runs.partition_point(|run| run.rows.end <= rows.start);
                if let Some(run) = tree.runs.get_mut(at) {
                    run.directories[*view as usize] = inode;
                }
            }
        }
        tree
    }

    /// Gives a draft and all below it their inodes.
    fn settle(&mut self, draft: Draft, parent: u64) -> u64 {
        let inode = self.directories.len() as u64 + ROOT;
        let children = draft.files.map_or_else(|| Children::Named(Vec::new()), |(rows, view)| Children::Files(rows, view));
        self.directories.push(Directory { parent, children });
        let below: Vec<(String, u64)> = draft.directories.into_iter().map(|(name, draft)| (name, self.settle(draft, inode))).collect();
        if !below.is_empty()
            && let Some(directory) = self.directories.get_mut((inode - ROOT) as usize)
        {
            directory.children = Children::Named(below);
        }
        inode
    }

    fn add_texts(&mut self, texts: Vec<(&'static str, String)>) {
        let first = self.first_text();
        if let Some(Directory { children: Children::Named(names), .. }) = self.directories.first_mut() {
            names.extend((first..).zip(&texts).map(|(inode, (name, _))| ((*name).to_owned(), inode)));
            names.sort_unstable();
        }
        self.texts = texts.into_iter().map(|(_, text)| text.into()).collect();
    }

    /// The catalog below.
    pub fn catalog(&self) -> &Arc<Catalog> {
        &self.catalog
    }

    fn first_file(&self) -> u64 {
        ROOT + self.directories.len() as u64
    }

    fn first_text(&self) -> u64 {
        self.first_file() + 2 * u64::from(self.catalog.len())
    }

    /// A text of the tree.
    pub fn text(&self, at: usize) -> Option<&Bytes> {
        self.texts.get(at)
    }

    /// The inode of a text.
    pub fn text_inode(&self, at: usize) -> u64 {
        self.first_text() + at as u64
    }

    fn directory(&self, inode: u64) -> Option<&Directory> {
        self.directories.get(usize::try_from(inode.checked_sub(ROOT)?).ok()?)
    }

    /// The inode of a file.
    pub fn inode(&self, file: File) -> u64 {
        let view = match file.view {
            View::Manifest => 0,
            View::WithStatus => u64::from(self.catalog.len()),
        };
        self.first_file() + view + u64::from(file.row)
    }

    /// What an inode is; `None` for one that the tree does not have.
    pub fn node(&self, inode: u64) -> Option<Node> {
        if self.directory(inode).is_some() {
            return Some(Node::Directory(inode));
        }
        let rows = u64::from(self.catalog.len());
        let at = inode.checked_sub(self.first_file())?;
        let (row, view) = if at < rows { (at, View::Manifest) } else { (at - rows, View::WithStatus) };
        if row < rows {
            return self.views.contains(&view).then_some(Node::File(File { row: row as u32, view }));
        }
        let at = usize::try_from(inode.checked_sub(self.first_text())?).ok()?;
        (at < self.texts.len()).then_some(Node::Text(at))
    }

    /// Looks a name up in a directory.
    pub fn lookup(&self, parent: u64, name: &str) -> Option<Node> {
        match &self.directory(parent)?.children {
            Children::Named(below) => {
                let at = below.binary_search_by(|(own, _)| own.as_str().cmp(name)).ok()?;
                self.node(below.get(at)?.1)
            }
            Children::Files(rows, view) => find_file(rows.clone(), &|row| self.name(row), name).map(|row| Node::File(File { row, view: *view })),
        }
    }

    fn name(&self, row: u32) -> &str {
        self.catalog.row(row).map(|row| row.name).unwrap_or_default()
    }

    /// The directory above.
    pub fn parent(&self, directory: u64) -> u64 {
        self.directory(directory).map_or(ROOT, |directory| directory.parent)
    }

    /// Number of directories in a directory.
    pub fn subdirectories(&self, directory: u64) -> u32 {
        match self.directory(directory).map(|directory| &directory.children) {
            Some(Children::Named(below)) => below.iter().filter(|(_, inode)| *inode < self.first_file()).count() as u32,
            _ => 0,
        }
    }

    /// Number of directories and files in all.
    pub fn nodes(&self) -> u64 {
        self.directories.len() as u64 + self.views.len() as u64 * u64::from(self.catalog.len()) + self.texts.len() as u64
    }

    /// Entries of a directory from the `from`-th on, in a fixed order, until `add` returns false.
    pub fn list(&self, directory: u64, from: u64, add: &mut dyn FnMut(u64, &str, Node) -> bool) {
        let Some(directory) = self.directory(directory) else { return };
        match &directory.children {
            Children::Named(below) => {
                for (at, (name, inode)) in below.iter().enumerate().skip(usize::try_from(from).unwrap_or(usize::MAX)) {
                    if self.node(*inode).is_some_and(|node| !add(at as u64, name, node)) {
                        return;
                    }
                }
            }
            Children::Files(rows, view) => {
                let start = u64::from(rows.start).saturating_add(from).min(u64::from(rows.end)) as u32;
                let mut name = String::new();
                for row in start..rows.end {
                    name.clear();
                    push_file_name(self.name(row), &mut name);
                    if !add(u64::from(row - rows.start), &name, Node::File(File { row, view: *view })) {
                        return;
                    }
                }
            }
        }
    }

    /// The files of a directory: its rows.
    pub fn files(&self, directory: u64) -> Option<(Range<u32>, View)> {
        match &self.directory(directory)?.children {
            Children::Files(rows, view) => Some((rows.clone(), *view)),
            Children::Named(_) => None,
        }
    }

    /// The first file of the directory that a walk of the whole tree comes to next.
    pub fn next_directory(&self, file: File) -> Option<File> {
        let behind = self.run_of(file.row)?.directories[file.view as usize] + 1;
        let files = (behind..self.first_file()).find_map(|directory| self.files(directory))?;
        Some(File { row: files.0.start, view: files.1 })
    }

    /// The rows beside a row: those of its directory.
    pub fn run(&self, row: u32) -> Range<u32> {
        self.run_of(row).map_or(row..row, |run| run.rows.clone())
    }

    fn run_of(&self, row: u32) -> Option<&Run> {
        let at = self.runs.partition_point(|run| run.rows.end <= row);
        self.runs.get(at).filter(|run| run.rows.contains(&row))
    }
}
