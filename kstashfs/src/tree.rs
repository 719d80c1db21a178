//! The directories and files of one snapshot: inode numbers, names, order. Pure; knows no kernel and reads no object.
//!
//! ```text
//! namespaces/<namespace>/<resource[.group]>/<name>.yaml        the manifest
//! cluster/<resource[.group]>/<name>.yaml
//! resources/<resource[.group]>/{namespaces/<namespace>,cluster}/<name>.yaml        KubeStash's layout: manifest and status
//! ```
//! Inodes: 1 is the root, directories follow, then one per row for the first view and one per row for the second. A directory of files is
//! a range of rows, so files cost no memory beyond the catalog.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use kubestash::{
    object::{file_name, is_shortened},
    repository::Catalog,
};

/// The root's inode within a tree.
pub const ROOT: u64 = 1;

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
        for kind in catalog.kinds() {
            let name = kind.info.group_resource().to_string();
            if !kind.info.namespaced {
                draft.at(&["cluster", &name]).files = Some((kind.rows.clone(), View::Manifest));
                draft.at(&["resources", &name, "cluster"]).files = Some((kind.rows.clone(), View::WithStatus));
                continue;
            }
            let mut start = kind.rows.start;
            let namespace_of = |row: u32| catalog.row(row).and_then(|row| row.namespace).unwrap_or_default();
            while start < kind.rows.end {
                let namespace = namespace_of(start);
                let mut end = start + 1;
                while end < kind.rows.end && namespace_of(end) == namespace {
                    end += 1;
                }
                draft.at(&["namespaces", namespace, &name]).files = Some((start..end, View::Manifest));
                draft.at(&["resources", &name, "namespaces", namespace]).files = Some((start..end, View::WithStatus));
                start = end;
            }
        }
        let mut tree = Self { catalog: Arc::clone(&catalog), directories: Vec::new() };
        tree.settle(draft, ROOT);
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
        if is_shortened(file) {
            return rows.clone().find(|&row| self.file_name(row) == file);
        }
        let name = file.strip_suffix(".yaml")?;
        let (mut low, mut high) = (rows.start, rows.end);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.catalog.row(middle)?.name.cmp(name) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return Some(middle),
            }
        }
        None
    }

    fn file_name(&self, row: u32) -> String {
        self.catalog.row(row).map(|row| file_name(row.name)).unwrap_or_default()
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
                for row in start..rows.end {
                    let file = File { row, view: *view };
                    if !add(u64::from(row - rows.start), &self.file_name(row), Node::File(file)) {
                        return;
                    }
                }
            }
        }
    }

    /// The files beside a file: rows of its directory.
    pub fn siblings(&self, directory: u64) -> Option<(Range<u32>, View)> {
        match &self.directory(directory)?.children {
            Children::Files(rows, view) => Some((rows.clone(), *view)),
            Children::Directories(_) => None,
        }
    }

    /// Rows of the same namespace and kind as a row: those of its directory.
    pub fn neighbours(&self, row: u32) -> Range<u32> {
        let Some(own) = self.catalog.row(row) else { return row..row };
        let Some(kind) = self.catalog.kinds().iter().find(|kind| kind.rows.contains(&row)) else { return row..row };
        let same = |other: u32| self.catalog.row(other).is_some_and(|other| other.namespace == own.namespace);
        let mut end = row + 1;
        // A window is all that is ever pushed, so looking further is of no use.
        while end < kind.rows.end && end - row <= super::push::LARGEST_WINDOW && same(end) {
            end += 1;
        }
        let mut start = row;
        if start > kind.rows.start && same(start - 1) {
            start -= 1;
        }
        start..end
    }
}
