//! `history/`: the versions of each object over all snapshots of a mount.
//!
//! ```text
//! history/namespaces/<namespace>/<resource[.group]>/<name>/<time>.yaml        the manifest, at the first snapshot that has it so
//! history/cluster/<resource[.group]>/<name>/<time>.yaml
//! …/<name>/<time>.deleted                                                     empty: the first snapshot that has the object no more
//! ```
//! Who first looks has the catalogs of all snapshots read, one after the other; of new snapshots only theirs. Nothing else is fetched until
//! a version is read. Inodes are given to what is seen, and keep their meaning: a version stays the object in that snapshot.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use fuser::{Errno, FileAttr, FileType};
use kubestash::{
    compare::{Content, History, HistoryKind},
    object::{ObjectId, directory_name},
    repository::{Access, Part, RepositoryError, Snapshot},
};

use crate::{
    content::ContentError,
    core::{Core, DataReply, Entry, FOREVER, Found, Listing, SHORT, add_dots, errno, explain, part},
    counters::Counters,
    forest::{Forest, HISTORY, Slot, join},
    names::{find_object_directory, object_directory},
    tree::ROOT,
};

/// What an inode of the history is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Node {
    Root,
    /// `namespaces/`
    Namespaces,
    Namespace(u32),
    /// A kind in a namespace; or in `cluster/`, which is such a directory itself.
    Kind(Option<u32>, u32),
    Cluster,
    Object {
        kind: u32,
        object: u32,
    },
    /// An object at the first snapshot that has it so.
    Version {
        kind: u32,
        object: u32,
        snapshot: u32,
    },
    /// The same for its absence.
    Deleted {
        kind: u32,
        object: u32,
        snapshot: u32,
    },
}

/// The history of a mount.
#[derive(Default)]
pub(crate) struct HistoryFiles {
    state: Mutex<State>,
    /// One more than the generation of the list of snapshots that it is of; 0 for none. Told without the state, which is locked for as long
    /// as a catalog is looked through.
    is_of: AtomicU64,
    /// Held by whoever reads catalogs.
    reading: tokio::sync::Mutex<()>,
    /// The snapshot that was last looked at again, because an object was not where it had been, and its number.
    moved: tokio::sync::Mutex<Option<(u64, Snapshot)>>,
}

/// What is known of it.
struct State {
    history: History,
    /// Snapshots that were looked at.
    seen: HashSet<u32>,
    /// Inode n is at n - 1.
    nodes: Vec<Node>,
    inodes: HashMap<Node, u64>,
}

impl Default for State {
    fn default() -> Self {
        let nodes = vec![Node::Root, Node::Namespaces, Node::Cluster];
        let inodes = nodes.iter().copied().zip(ROOT..).collect();
        Self { history: History::default(), seen: HashSet::new(), nodes, inodes }
    }
}

impl State {
    fn node(&self, inode: u64) -> Option<Node> {
        self.nodes.get(usize::try_from(inode.checked_sub(ROOT)?).ok()?).copied()
    }

    fn inode(&mut self, node: Node) -> u64 {
        let nodes = &mut self.nodes;
        *self.inodes.entry(node).or_insert_with(|| {
            nodes.push(node);
            nodes.len() as u64
        })
    }

    fn namespace(&self, namespace: u32) -> Option<&str> {
        self.history.namespaces().get(namespace as usize).map(String::as_str)
    }

    fn shows(&self, kind: u32, own: &HistoryKind, namespace: Option<u32>) -> bool {
        own.objects(namespace).iter().any(|&object| self.history.is_shown(kind, object))
    }

    fn kinds(&self) -> impl Iterator<Item = (u32, &HistoryKind)> {
        (0..).zip(self.history.kinds())
    }

    fn parent(&self, node: Node) -> Node {
        match node {
            Node::Root | Node::Namespaces | Node::Cluster => Node::Root,
            Node::Namespace(_) => Node::Namespaces,
            Node::Kind(None, _) => Node::Cluster,
            Node::Kind(Some(namespace), _) => Node::Namespace(namespace),
            Node::Object { kind, object } => {
                let own = self.history.kind(kind).and_then(|own| own.namespace(object));
                let namespace = own.and_then(|own| self.history.namespaces().iter().position(|name| name == own));
                Node::Kind(namespace.map(|namespace| namespace as u32), kind)
            }
            Node::Version { kind, object, .. } | Node::Deleted { kind, object, .. } => Node::Object { kind, object },
        }
    }

    /// Entries of a directory behind a place, each with its own place, which stays with it. In the order of places.
    fn entries(&self, directory: Node, behind: u64) -> Box<dyn Iterator<Item = (u64, Node)> + '_> {
        let later = move |(place, _): &(u64, Node)| *place > behind;
        match directory {
            Node::Root => Box::new([(1, Node::Cluster), (2, Node::Namespaces)].into_iter().filter(later)),
            Node::Namespaces => {
                let all = (0..self.history.namespaces().len() as u32).map(|namespace| (u64::from(namespace) + 1, namespace));
                let shown = all.filter(move |(place, namespace)| {
                    *place > behind && self.kinds().any(|(kind, own)| own.namespaced() && self.shows(kind, own, Some(*namespace)))
                });
                Box::new(shown.map(|(place, namespace)| (place, Node::Namespace(namespace))))
            }
            Node::Cluster | Node::Namespace(_) => {
                let namespace = if let Node::Namespace(namespace) = directory { Some(namespace) } else { None };
                let within = self.kinds().filter(move |(_, own)| own.namespaced() == namespace.is_some());
                let shown = within.filter(move |(kind, own)| u64::from(*kind) + 1 > behind && self.shows(*kind, own, namespace));
                Box::new(shown.map(move |(kind, _)| (u64::from(kind) + 1, Node::Kind(namespace, kind))))
            }
            Node::Kind(namespace, kind) => {
                let objects = self.history.kind(kind).map_or(&[][..], |own| own.objects(namespace));
                let rest = objects.iter().copied().enumerate().skip(usize::try_from(behind).unwrap_or(usize::MAX));
                let shown = rest.filter(move |(_, object)| self.history.is_shown(kind, *object));
                Box::new(shown.map(move |(at, object)| (at as u64 + 1, Node::Object { kind, object })))
            }
            Node::Object { kind, object } => {
                let mut versions: Vec<(u64, Node)> = self.versions(kind, object).map(|node| (place_of(node), node)).filter(later).collect();
                versions.sort_unstable_by_key(|(place, _)| *place);
                Box::new(versions.into_iter())
            }
            Node::Version { .. } | Node::Deleted { .. } => Box::new(std::iter::empty()),
        }
    }

    fn versions(&self, kind: u32, object: u32) -> impl Iterator<Item = Node> + use<> {
        self.history.versions(kind, object).into_iter().map(move |version| match (version.snapshot, version.content) {
            (snapshot, Some(_)) => Node::Version { kind, object, snapshot },
            (snapshot, None) => Node::Deleted { kind, object, snapshot },
        })
    }

    /// What a node is called in its directory.
    fn name(&self, node: Node, forest: &Forest) -> String {
        let time = |snapshot: u32| forest.slot(snapshot.into()).map(|slot| slot.time_name.clone()).unwrap_or_default();
        match node {
            Node::Root => "history".to_owned(),
            Node::Namespaces => "namespaces".to_owned(),
            Node::Cluster => "cluster".to_owned(),
            Node::Namespace(namespace) => directory_name(self.namespace(namespace).unwrap_or_default()).into_owned(),
            Node::Kind(_, kind) => self.history.kind(kind).map(|own| directory_name(&own.kind().to_string()).into_owned()).unwrap_or_default(),
            Node::Object { kind, object } => object_directory(self.history.kind(kind).map_or("", |own| own.name(object))),
            Node::Version { snapshot, .. } => format!("{}.yaml", time(snapshot)),
            Node::Deleted { snapshot, .. } => format!("{}.deleted", time(snapshot)),
        }
    }

    fn lookup(&self, directory: Node, name: &str, forest: &Forest) -> Option<Node> {
        let Node::Kind(namespace, kind) = directory else {
            return self.entries(directory, 0).map(|(_, node)| node).find(|node| self.name(*node, forest) == name);
        };
        let own = self.history.kind(kind)?;
        let sorted = own.sorted(match namespace {
            Some(namespace) => Some(self.namespace(namespace)?),
            None => None,
        });
        let name_at = |place: u32| sorted.get(place as usize).map_or("", |&object| own.name(object));
        let object = *sorted.get(find_object_directory(0..sorted.len() as u32, &name_at, name)? as usize)?;
        self.history.is_shown(kind, object).then_some(Node::Object { kind, object })
    }

    fn id(&self, kind: u32, object: u32) -> Option<ObjectId> {
        let own = self.history.kind(kind)?;
        let (namespace, name) = (own.namespace(object).map(str::to_owned), own.name(object).to_owned());
        Some(ObjectId { kind: own.kind().clone(), namespace, name })
    }
}

/// Versions are listed by the numbers of their snapshots; of one snapshot each cluster has but one.
fn place_of(node: Node) -> u64 {
    match node {
        Node::Version { snapshot, .. } | Node::Deleted { snapshot, .. } => u64::from(snapshot),
        _ => 0,
    }
}

impl HistoryFiles {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_current(&self, generation: u64) -> bool {
        self.is_of.load(Ordering::Acquire) == generation + 1
    }

    /// Reads the catalogs of snapshots that were not looked at. One whose catalog is damaged tells nothing, and hides nothing.
    async fn follow(&self, forest: &Forest) -> Result<(), ContentError> {
        let _reading = self.reading.lock().await;
        loop {
            let (generation, listed) = forest.in_time();
            if self.is_current(generation) {
                return Ok(());
            }
            if self.read(forest, &listed).await? {
                let numbers: HashSet<u32> = listed.iter().filter_map(|(number, _)| u32::try_from(*number).ok()).collect();
                self.state().history.list(&|number| numbers.contains(&number));
                self.is_of.store(generation + 1, Ordering::Release);
                return Ok(());
            }
        }
    }

    /// False where a snapshot is older than one that was looked at, and all is to be read anew.
    async fn read(&self, forest: &Forest, listed: &[(u64, Arc<Slot>)]) -> Result<bool, ContentError> {
        let hidden = hides(forest);
        for (number, slot) in listed {
            let Some(number) = u32::try_from(*number).ok().filter(|number| !self.state().seen.contains(number)) else { continue };
            let snapshot = match forest.open(number.into()).await {
                Err(ContentError::Repository(error)) if error.is_damage() => {
                    tracing::error!("the history lacks snapshot {}: {}", slot.name, explain(&error));
                    None
                }
                opened => Some(opened?),
            };
            let mut state = self.state();
            if state.history.add(number, &slot.root, snapshot.as_ref().map(|snapshot| snapshot.catalog()), hidden).is_err() {
                state.history.forget_versions();
                state.seen.clear();
                return Ok(false);
            }
            state.seen.insert(number);
        }
        Ok(true)
    }
}

impl HistoryFiles {
    /// Reads an object of a snapshot where it lies now. The last snapshot that was opened for that stays open.
    async fn moved(&self, forest: &Forest, number: u64, id: &ObjectId, part: Part) -> Result<Bytes, ContentError> {
        let mut last = self.moved.lock().await;
        if let Some((_, snapshot)) = last.as_ref().filter(|(own, _)| *own == number)
            && let Some(row) = snapshot.catalog().find(id)
        {
            match snapshot.read(row, part).await {
                Err(RepositoryError::Missing { .. }) => {}
                read => return Ok(read?),
            }
        }
        let slot = forest.slot(number).ok_or(ContentError::NoFile)?;
        let opened = forest.repository().open_snapshot(&slot.root).await?;
        let opened = opened.moved().await?.unwrap_or(opened);
        let row = opened.catalog().find(id).ok_or(ContentError::NoFile)?;
        let (_, opened) = last.insert((number, opened));
        Ok(opened.read(row, part).await?)
    }
}

/// Whether sensitive objects are shown without their values.
fn hides(forest: &Forest) -> bool {
    forest.options().hide_secrets || forest.repository().access() == Access::General
}

impl Core {
    pub(crate) fn history_root(&self) -> FileAttr {
        self.directory(join(HISTORY, ROOT), 2, self.forest.changed())
    }

    /// Runs `work` when the history is that of the snapshots which are there now.
    pub(crate) fn with_history<R: Send + 'static>(self: &Arc<Self>, reply: R, work: impl FnOnce(&Arc<Self>, Result<(), Errno>, R) + Send + 'static) {
        if !self.forest.is_all() {
            return work(self, Err(Errno::ENOENT), reply);
        }
        self.looked(reply, |core, reply| {
            if core.history.is_current(core.forest.generation()) {
                return work(core, Ok(()), reply);
            }
            let core = Arc::clone(core);
            core.runtime.clone().spawn(async move {
                // It goes on when the wait for it has ended: who comes later finds more of it.
                let reader = Arc::clone(&core);
                let follow = core.runtime.spawn(async move { reader.history.follow(&reader.forest).await });
                let deadline = core.forest.options().deadline;
                let ready = match tokio::time::timeout(deadline, follow).await {
                    Ok(Ok(followed)) => followed,
                    Ok(Err(_)) => Err(ContentError::NoFile),
                    Err(_) => Err(ContentError::Deadline(deadline)),
                };
                let ready = ready.map_err(|error| {
                    Counters::add(&core.counters.errors);
                    tracing::error!("cannot read the history: {}", explain(&error));
                    errno(&error)
                });
                work(&core, ready, reply);
            });
        });
    }

    fn history_attr(&self, state: &mut State, node: Node) -> Option<FileAttr> {
        let inode = join(HISTORY, state.inode(node));
        let (content, snapshot) = match node {
            Node::Version { kind, object, snapshot } => (Some(state.history.at(kind, object, snapshot)?), snapshot),
            Node::Deleted { snapshot, .. } => (None, snapshot),
            // Nobody counts what is in them, as on btrfs.
            Node::Root | Node::Namespaces | Node::Cluster | Node::Namespace(_) | Node::Kind(..) | Node::Object { .. } => {
                let attr = self.directory(inode, 0, self.forest.changed());
                return Some(FileAttr { nlink: 1, ..attr });
            }
        };
        let time = self.forest.slot(snapshot.into())?.root.time.into();
        let shows_secrets = content.is_some_and(|content| content.sensitive && !hides(&self.forest));
        let size = content.map_or(0, |content| u64::from(content.place.length));
        Some(self.attr(inode, FileType::RegularFile, size, (self.permissions.file(shows_secrets), 1), time))
    }

    pub(crate) fn history_lookup(&self, parent: u64, name: &str) -> Result<Found, Errno> {
        let mut state = self.history.state();
        let directory = state.node(parent).ok_or(Errno::ENOENT)?;
        let node = state.lookup(directory, name, &self.forest).ok_or(Errno::ENOENT)?;
        self.history_attr(&mut state, node).map(|attr| self.found_above(attr)).ok_or(Errno::ENOENT)
    }

    pub(crate) fn history_stat(&self, own: u64) -> Result<(FileAttr, std::time::Duration), Errno> {
        let mut state = self.history.state();
        let node = state.node(own).ok_or(Errno::ENOENT)?;
        let ttl = if matches!(node, Node::Version { .. } | Node::Deleted { .. }) { FOREVER } else { SHORT };
        self.history_attr(&mut state, node).map(|attr| (attr, ttl)).ok_or(Errno::ENOENT)
    }

    pub(crate) fn history_list(&self, own: u64, from: u64, mut listing: impl Listing) {
        let mut state = self.history.state();
        let Some(directory) = state.node(own) else { return listing.fail(Errno::ENOENT) };
        let parent = if directory == Node::Root { None } else { Some(state.parent(directory)) };
        let above = match parent {
            Some(parent) => self.history_attr(&mut state, parent),
            None => self.top(ROOT).map(|top| self.top_attr(top)),
        };
        let dots = self.history_attr(&mut state, directory).zip(above);
        let Some((attr, above)) = dots else { return listing.fail(Errno::ENOENT) };
        if add_dots(from, [attr, above], SHORT, &mut listing) {
            let mut behind = from.saturating_sub(2);
            // Entries are taken one by one: a large directory is answered in many pages.
            loop {
                let next = state.entries(directory, behind).next();
                let Some((place, node)) = next else { break };
                behind = place;
                let name = state.name(node, &self.forest);
                let Some(attr) = self.history_attr(&mut state, node) else { continue };
                if !listing.add(&Entry { next: place + 2, name: &name, attr, ttl: SHORT }) {
                    break;
                }
            }
        }
        drop(state);
        listing.done();
    }

    /// What a file of the history holds: an object in a snapshot, or nothing where it tells that there was none.
    fn history_version(&self, own: u64) -> Result<Option<(Content, ObjectId, u64)>, Errno> {
        let state = self.history.state();
        match state.node(own) {
            Some(Node::Version { kind, object, snapshot }) => {
                let found = state.history.at(kind, object, snapshot).zip(state.id(kind, object));
                found.map(|(content, id)| Some((content, id, snapshot.into()))).ok_or(Errno::ENOENT)
            }
            Some(Node::Deleted { .. }) => Ok(None),
            Some(_) => Err(Errno::EISDIR),
            None => Err(Errno::ENOENT),
        }
    }

    /// Answers a read of a version.
    pub(crate) fn history_read(self: &Arc<Self>, own: u64, range: (u64, u32), reply: impl DataReply) {
        let (content, id, snapshot) = match self.history_version(own) {
            Ok(Some(version)) => version,
            Ok(None) => return reply.bytes(&[]),
            Err(errno) => return reply.fail(errno),
        };
        let core = Arc::clone(self);
        self.runtime.spawn(async move {
            match core.version(content, &id, snapshot).await {
                Ok(bytes) => reply.bytes(part(&bytes, range)),
                Err(error) => reply.fail(errno(&error)),
            }
        });
    }

    /// The bytes of a version, for readers in this process.
    pub(crate) async fn history_bytes(&self, own: u64) -> Result<Bytes, ContentError> {
        match self.history_version(own) {
            Ok(Some((content, id, snapshot))) => self.version(content, &id, snapshot).await,
            Ok(None) => Ok(Bytes::new()),
            Err(_) => Err(ContentError::NoFile),
        }
    }

    async fn version(&self, content: Content, id: &ObjectId, snapshot: u64) -> Result<Bytes, ContentError> {
        let deadline = self.forest.options().deadline;
        let read = tokio::time::timeout(deadline, self.version_now(content, id, snapshot)).await;
        read.unwrap_or(Err(ContentError::Deadline(deadline))).inspect_err(|error| {
            Counters::add(&self.counters.errors);
            tracing::error!("cannot read {id} in the history: {}", explain(error));
        })
    }

    async fn version_now(&self, content: Content, id: &ObjectId, snapshot: u64) -> Result<Bytes, ContentError> {
        match self.forest.repository().read(content.place).await {
            // A prune may have put it elsewhere.
            Err(RepositoryError::Missing { .. }) => {
                let part = if content.sensitive && hides(&self.forest) { Part::Redacted } else { Part::Manifest };
                self.history.moved(&self.forest, snapshot, id, part).await
            }
            read => Ok(read?),
        }
    }
}
