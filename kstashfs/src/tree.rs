//! The directories and files of one snapshot: inode numbers, names, order. Pure; knows no kernel and reads no object.
//!
//! ```text
//! namespaces/<namespace>/<resource[.group]>/<name>.yaml        the manifest
//! cluster/<resource[.group]>/<name>.yaml
//! resources/<resource[.group]>/{namespaces/<namespace>,cluster}/<name>.yaml        KubeStash's layout: manifest and status
//! ```
//! The three directories at the top are there also when nothing is in them. Inodes: 1 is the root, directories follow, then one per row
//! for the first view and one per row for the second. A directory of files is a range of rows, so files cost no memory beyond the catalog.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use kubestash::{
    object::{directory_name, file_name, push_file_name, shortened_head},
    repository::Catalog,
};

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
}

#[derive(Debug)]
enum Children {
    Directories(Vec<(String, u64)>),
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
    /// Lays a catalog out.
    pub fn new(catalog: Arc<Catalog>) -> Self {
        let mut draft = Draft::default();
        for name in TOP {
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
                if let Some(namespace) = namespace {
                    let namespace = directory_name(namespace);
                    draft.at(&["namespaces", &namespace, &name]).files = Some((run.clone(), View::Manifest));
                    draft.at(&["resources", &name, "namespaces", &namespace]).files = Some((run.clone(), View::WithStatus));
                } else {
                    draft.at(&["cluster", &name]).files = Some((run.clone(), View::Manifest));
                    draft.at(&["resources", &name, "cluster"]).files = Some((run.clone(), View::WithStatus));
                }
                runs.push(Run { rows: run, directories: [ROOT; 2] });
                start = end;
            }
        }
        let mut tree = Self { catalog, directories: Vec::new(), runs };
        tree.settle(draft, ROOT);
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
        let children = draft.files.map_or_else(|| Children::Directories(Vec::new()), |(rows, view)| Children::Files(rows, view));
        self.directories.push(Directory { parent, children });
        let below: Vec<(String, u64)> = draft.directories.into_iter().map(|(name, draft)| (name, self.settle(draft, inode))).collect();
        if !below.is_empty()
            && let Some(directory) = self.directories.get_mut((inode - ROOT) as usize)
        {
            directory.children = Children::Directories(below);
        }
        inode
    }

    /// The catalog below.
    pub fn catalog(&self) -> &Arc<Catalog> {
        &self.catalog
    }

    fn first_file(&self) -> u64 {
        ROOT + self.directories.len() as u64
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
        (row < rows).then_some(Node::File(File { row: row as u32, view }))
    }

    /// Looks a name up in a directory.
    pub fn lookup(&self, parent: u64, name: &str) -> Option<Node> {
        match &self.directory(parent)?.children {
            Children::Directories(below) => {
                let at = below.binary_search_by(|(own, _)| own.as_str().cmp(name)).ok()?;
                below.get(at).map(|(_, inode)| Node::Directory(*inode))
            }
            Children::Files(rows, view) => self.find_file(rows, name).map(|row| Node::File(File { row, view: *view })),
        }
    }

    fn find_file(&self, rows: &Range<u32>, file: &str) -> Option<u32> {
        // Rows of a run are sorted by name.
        let first_from = |name: &str| {
            let (mut low, mut high) = (rows.start, rows.end);
            while low < high {
                let middle = low + (high - low) / 2;
                if self.name(middle) < name { low = middle + 1 } else { high = middle }
            }
            low
        };
        let is = |row: &u32| file_name(self.name(*row)) == file;
        if file.contains('%') {
            // Escaped names sort otherwise than their objects; they are next to never seen.
            return rows.clone().find(is);
        }
        match shortened_head(file) {
            Some(head) => (first_from(head)..rows.end).take_while(|&row| self.name(row).starts_with(head)).find(is),
            None => Some(first_from(file.strip_suffix(".yaml")?)).filter(|row| rows.contains(row)).filter(is),
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
            Some(Children::Directories(below)) => below.len() as u32,
            _ => 0,
        }
    }

    /// Number of directories and files in all.
    pub fn nodes(&self) -> u64 {
        self.directories.len() as u64 + 2 * u64::from(self.catalog.len())
    }

    /// Entries of a directory from the `from`-th on, in a fixed order, until `add` returns false.
    pub fn list(&self, directory: u64, from: u64, add: &mut dyn FnMut(u64, &str, Node) -> bool) {
        let Some(directory) = self.directory(directory) else { return };
        match &directory.children {
            Children::Directories(below) => {
                for (at, (name, inode)) in below.iter().enumerate().skip(from as usize) {
                    if !add(at as u64, name, Node::Directory(*inode)) {
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
            Children::Directories(_) => None,
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
