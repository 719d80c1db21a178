//! Random requests against a plain tree that is made from the library: valid ones give what it holds, any others an error.
//!
//! Seeds are fixed; each failure prints its own. `KSTASHFS_SEEDS=1000` runs more of them.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        mpsc::{Receiver, Sender, channel},
    },
    time::Duration,
};

use fuser::{Errno, FileAttr, FileType};
use jiff::Timestamp;
use kubestash::{
    api::time_name,
    object::{KindInfo, directory_name, file_name},
    repository::{BackupOptions, CommitInfo, KeyCost, Password, Repository, Root},
    store::Store,
};
use serde_json::json;

use crate::{
    FileOptions, Forest,
    core::{Core, DataReply, Entry, Listing},
    forest::{HISTORY, join},
    names::object_directory,
    permissions::{PermissionArgs, Permissions},
};

/// What stands at a path.
#[derive(Debug, Clone, PartialEq)]
enum Held {
    Directory,
    File { bytes: Vec<u8>, mode: u16 },
    Link(String),
}

/// Paths below the mount; the root is the empty one.
type Model = BTreeMap<String, Held>;

fn put(model: &mut Model, path: &str, held: Held) {
    let mut above = String::new();
    model.entry(String::new()).or_insert(Held::Directory);
    for (at, _) in path.match_indices('/') {
        above.clear();
        above.push_str(&path[..at]);
        model.entry(above.clone()).or_insert(Held::Directory);
    }
    model.insert(path.to_owned(), held);
}

fn children<'a>(model: &'a Model, directory: &str) -> BTreeMap<&'a str, &'a str> {
    let prefix = if directory.is_empty() { String::new() } else { format!("{directory}/") };
    let below = model.keys().filter(|path| !path.is_empty() && path.starts_with(&prefix));
    below.filter_map(|path| Some((&path[prefix.len()..], path.as_str())).filter(|(name, _)| !name.contains('/'))).collect()
}

/// A small generator of numbers, the same for a seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed ^ (mixed >> 29)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }

    fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}

const KINDS: [(&str, &str, &str, bool); 4] = [
    ("", "configmaps", "ConfigMap", true),
    ("", "secrets", "Secret", true),
    ("example.com", "things", "Thing", true),
    ("rbac.authorization.k8s.io", "clusterroles", "ClusterRole", false),
];

fn kind((group, resource, kind, namespaced): (&str, &str, &str, bool)) -> KindInfo {
    KindInfo { group: group.into(), version: "v1".into(), resource: resource.into(), kind: kind.into(), namespaced }
}

/// Objects of one snapshot, by kind and key, with a number that makes the content.
type Objects = BTreeMap<(usize, String), usize>;

fn name(random: &mut Random) -> String {
    let odd = ["system:node", "A", "a", "a.yaml", "..", ".", "a%b", "a/b", "\u{e4}", "two words", "~", "-", "x:y:z", "%"];
    match random.below(6) {
        0 => (*random.one(&odd)).to_owned(),
        1 => "n".repeat(247 + random.below(8)),
        _ => format!("object-{}", random.below(30)),
    }
}

fn objects(random: &mut Random, before: &Objects) -> Objects {
    let mut objects = before.clone();
    for _ in 0..20 {
        let at = random.below(KINDS.len());
        // Only what has no namespace may have a slash in its name.
        let name = if KINDS[at].3 { name(random).replace('/', ":") } else { name(random) };
        let key = if KINDS[at].3 { format!("{}/{name}", random.one(&["demo", "demo-x", "a", "cluster"])) } else { name };
        match random.below(4) {
            0 => drop(objects.remove(&(at, key))),
            _ => drop(objects.insert((at, key), random.below(5))),
        }
    }
    objects
}

async fn back_up(repository: &Repository, number: i64, objects: Objects) -> Root {
    let writer = repository.backup(BackupOptions::default()).await.unwrap();
    let writer = tokio::task::spawn_blocking(move || {
        for (at, of_kind) in KINDS.into_iter().enumerate() {
            let mut kind = writer.kind(&kind(of_kind));
            for ((_, key), value) in objects.iter().filter(|((own, _), _)| *own == at) {
                let (namespace, name) =
                    if of_kind.3 { key.split_once('/').map(|(own, name)| (Some(own), name)).unwrap() } else { (None, key.as_str()) };
                let data = json!({"v": value.to_string(), "text": format!("{name} ").repeat(value * 300)});
                let object = json!({"metadata": {"name": name, "namespace": namespace, "uid": "u"}, "data": data, "status": {"v": value}});
                kind.push(namespace, name, object.to_string().as_bytes()).unwrap();
            }
            kind.finish().unwrap();
        }
        writer
    });
    // Half a day apart, beginning before 1970: no time is special.
    let time = Timestamp::from_second(-40_000 + number * 43_200).unwrap();
    writer.await.unwrap().commit(CommitInfo::new(format!("s{number}"), time)).await.unwrap()
}

/// A snapshot's files: path, whether it is a second view, bytes, mode.
async fn files(repository: &Repository, root: &Root) -> Vec<(String, bool, Vec<u8>, u16)> {
    let snapshot = repository.open_snapshot(root).await.unwrap();
    let mut files = Vec::new();
    for row in snapshot.catalog().rows() {
        let (path, mode) = (row.id().mount_path(), if row.sensitive { 0o400 } else { 0o444 });
        let kind = directory_name(&row.kind.group_resource().to_string()).into_owned();
        let scope = row.namespace.map_or_else(|| "cluster".to_owned(), |name| format!("namespaces/{}", directory_name(name)));
        let second = format!("resources/{kind}/{scope}/{}", file_name(row.name));
        files.push((path, false, snapshot.manifest(row.number).await.unwrap().to_vec(), mode));
        files.push((second, true, snapshot.with_status(row.number).await.unwrap().to_vec(), mode));
    }
    files
}

async fn model_of_one(repository: &Repository, root: &Root) -> Model {
    let mut model = Model::new();
    for top in ["cluster", "namespaces", "resources"] {
        put(&mut model, top, Held::Directory);
    }
    for (path, _, bytes, mode) in files(repository, root).await {
        put(&mut model, &path, Held::File { bytes, mode });
    }
    model
}

async fn model_of_all(repository: &Repository, roots: &[Root]) -> Model {
    let mut model = Model::new();
    for top in ["by-day", "changes", "history/cluster", "history/namespaces", "snapshots"] {
        put(&mut model, top, Held::Directory);
    }
    let mut last: BTreeMap<String, (Vec<u8>, u16)> = BTreeMap::new();
    for (number, root) in roots.iter().enumerate() {
        let (name, time) = (&root.name, time_name(root.time));
        let day = root.time.strftime("%Y-%m-%d");
        put(&mut model, &format!("by-day/{day}/{name}"), Held::Link(format!("../../snapshots/{name}")));
        for (path, held) in model_of_one(repository, root).await {
            put(&mut model, format!("snapshots/{name}/{path}").trim_end_matches('/'), held);
        }
        let shown = files(repository, root).await.into_iter().filter(|(_, second, ..)| !second);
        let now: BTreeMap<String, (Vec<u8>, u16)> = shown.map(|(path, _, bytes, mode)| (path, (bytes, mode))).collect();
        if number > 0 {
            for below in ["cluster", "namespaces"] {
                put(&mut model, &format!("changes/{name}/{below}"), Held::Directory);
            }
        }
        for (path, (bytes, mode)) in now.iter().filter(|(path, now)| last.get(*path) != Some(now)) {
            let file = Held::File { bytes: bytes.clone(), mode: *mode };
            // Directories of versions are called as files are, unless no directory can be.
            let (folder, own) = path.rsplit_once('/').unwrap();
            let own = own.strip_suffix(".yaml").unwrap();
            let own = if matches!(own, "" | "." | "..") { object_directory(own) } else { own.to_owned() };
            put(&mut model, &format!("history/{folder}/{own}/{time}.yaml"), file.clone());
            if number > 0 {
                put(&mut model, &format!("changes/{name}/{path}"), file);
            }
        }
        let gone: Vec<&String> = last.keys().filter(|path| !now.contains_key(*path)).collect();
        for path in &gone {
            let (folder, own) = path.rsplit_once('/').unwrap();
            let own = own.strip_suffix(".yaml").unwrap();
            let own = if matches!(own, "" | "." | "..") { object_directory(own) } else { own.to_owned() };
            put(&mut model, &format!("history/{folder}/{own}/{time}.deleted"), Held::File { bytes: Vec::new(), mode: 0o444 });
        }
        if number > 0 {
            // In the order of catalogs, which sort kinds first; told apart below.
            let text: String = gone.iter().map(|path| format!("{path}\n")).collect();
            put(&mut model, &format!("changes/{name}/REMOVED"), Held::File { bytes: text.into_bytes(), mode: 0o444 });
        }
        last = now;
    }
    put(&mut model, "latest", Held::Link(format!("snapshots/{}", roots.last().unwrap().name)));
    model
}

/// A page of a directory: cookie, name, inode.
type Page = Vec<(u64, String, u64)>;

struct Collect {
    room: usize,
    page: Page,
    out: Sender<Result<Page, Errno>>,
}

impl Listing for Collect {
    fn add(&mut self, entry: &Entry<'_>) -> bool {
        let fits = self.page.len() < self.room;
        if fits {
            self.page.push((entry.next, entry.name.to_owned(), entry.attr.ino.0));
        }
        fits
    }

    fn done(self) {
        self.out.send(Ok(self.page)).unwrap();
    }

    fn fail(self, errno: Errno) {
        self.out.send(Err(errno)).unwrap();
    }
}

struct Read(Sender<Result<Vec<u8>, Errno>>);

impl DataReply for Read {
    fn bytes(self, bytes: &[u8]) {
        self.0.send(Ok(bytes.to_vec())).unwrap();
    }

    fn fail(self, errno: Errno) {
        self.0.send(Err(errno)).unwrap();
    }
}

fn answer<T>(of: &Receiver<T>) -> T {
    // Every request is answered, whatever it asks for.
    of.recv_timeout(Duration::from_secs(60)).unwrap()
}

/// A mount without a kernel, its model, and what was seen of it.
struct Session {
    core: Arc<Core>,
    model: Model,
    /// Inodes by path, as they were told.
    inodes: BTreeMap<String, u64>,
    paths: HashMap<u64, String>,
}

impl Session {
    fn new(forest: Forest, model: Model, runtime: tokio::runtime::Handle) -> Self {
        let permissions = PermissionArgs { uid: Some(7), gid: Some(8), ..PermissionArgs::default() };
        let core = Arc::new(Core::unmounted(forest, Permissions::of(&permissions), runtime));
        let mut session = Self { core, model, inodes: BTreeMap::new(), paths: HashMap::new() };
        session.told("", 1);
        session
    }

    /// Each path has one inode for ever, and each inode one path.
    fn told(&mut self, path: &str, inode: u64) {
        assert_eq!(*self.inodes.entry(path.to_owned()).or_insert(inode), inode, "{path}");
        assert_eq!(self.paths.entry(inode).or_insert_with(|| path.to_owned()), path, "{inode}");
    }

    fn check(&self, path: &str, attr: &FileAttr) {
        assert_eq!((attr.uid, attr.gid), (7, 8));
        let (kind, size, mode) = match &self.model[path] {
            Held::Directory => (FileType::Directory, 4096, 0o555),
            Held::File { bytes, mode } => (FileType::RegularFile, bytes.len() as u64, *mode),
            Held::Link(target) => (FileType::Symlink, target.len() as u64, 0o777),
        };
        assert_eq!((attr.kind, attr.size, attr.perm), (kind, size, mode), "{path}");
    }

    fn lookup(&mut self, parent: u64, name: &str) {
        let (send, found) = channel();
        self.core.lookup(parent, name.to_owned(), send, |send, found| send.send(found.map(|found| found.attr)).unwrap());
        let found = answer(&found).ok().filter(|attr| attr.ino.0 != 0);
        let Some(directory) = self.paths.get(&parent).cloned() else { return };
        let path = if directory.is_empty() { name.to_owned() } else { format!("{directory}/{name}") };
        let held = !name.contains('/') && !name.is_empty() && self.model.get(&directory) == Some(&Held::Directory) && self.model.contains_key(&path);
        assert_eq!(found.is_some(), held, "lookup of {path}");
        if let Some(attr) = found {
            self.told(&path, attr.ino.0);
            self.check(&path, &attr);
        }
    }

    fn stat(&self, inode: u64) {
        let (send, found) = channel();
        self.core.stat(inode, send, |send, found| send.send(found.map(|(attr, _)| attr)).unwrap());
        let found = answer(&found);
        if let Some(path) = self.paths.get(&inode) {
            let attr = found.unwrap_or_else(|error| panic!("{path}: {error:?}"));
            assert_eq!(attr.ino.0, inode, "{path}");
            self.check(path, &attr);
        }
    }

    fn page(&self, inode: u64, from: u64, room: usize) -> Result<Page, Errno> {
        let (out, page) = channel();
        self.core.list(inode, from, Collect { room, page: Vec::new(), out });
        answer(&page)
    }

    /// A whole directory in pages of random length, and from any of its places on again.
    fn list(&mut self, inode: u64, random: &mut Random) {
        let (mut all, mut from) = (Page::new(), 0);
        loop {
            let page = match self.page(inode, from, 1 + random.below(9)) {
                Ok(page) if !page.is_empty() => page,
                _ => break,
            };
            from = page.last().unwrap().0;
            all.extend(page);
            assert!(all.len() < 100_000, "a directory without an end");
        }
        let Some(directory) = self.paths.get(&inode).cloned().filter(|path| self.model[path] == Held::Directory) else { return };
        let dots: Vec<&str> = all.iter().take(2).map(|(_, name, _)| name.as_str()).collect();
        assert_eq!(dots, [".", ".."], "{directory}");
        assert_eq!(all[0].2, inode, "{directory}");
        let above = directory.rsplit_once('/').map_or("", |(above, _)| above);
        if let Some(parent) = self.inodes.get(above) {
            assert_eq!(all[1].2, *parent, "above {directory}");
        }
        let mut names: Vec<&str> = all.iter().skip(2).map(|(_, name, _)| name.as_str()).collect();
        names.sort_unstable();
        let expected: Vec<&str> = children(&self.model, &directory).into_keys().collect();
        assert_eq!(names, expected, "{directory}");
        let at = random.below(all.len());
        let rest = self.page(inode, all[at].0, usize::MAX).unwrap();
        assert_eq!(rest, all[at + 1..], "{directory} from {at} on");
        for (_, name, own) in all.into_iter().skip(2) {
            self.told(&if directory.is_empty() { name } else { format!("{directory}/{name}") }, own);
        }
    }

    fn read(&self, inode: u64, offset: u64, size: u32) {
        let (send, read) = channel();
        self.core.read(inode, (offset, size), Read(send));
        let read = answer(&read);
        let Some(path) = self.paths.get(&inode) else { return };
        match &self.model[path] {
            Held::File { bytes, .. } => {
                let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
                let end = start.saturating_add(size as usize).min(bytes.len());
                assert_eq!(read.unwrap(), bytes[start..end], "{path} {offset} {size}");
            }
            Held::Directory | Held::Link(_) => assert!(read.is_err(), "{path}"),
        }
    }

    fn link(&self, inode: u64) {
        let target = self.core.link(inode);
        if let Some(path) = self.paths.get(&inode) {
            let expected = if let Held::Link(target) = &self.model[path] { Some(target.clone()) } else { None };
            assert_eq!(target, expected, "{path}");
        }
    }

    fn inode(&self, random: &mut Random) -> u64 {
        let known: Vec<u64> = self.paths.keys().copied().collect();
        match random.below(10) {
            0 => random.next(),
            1 => join(random.below(12) as u64, random.below(200) as u64),
            2 => join(HISTORY, random.below(200) as u64),
            3 => *random.one(&[0, 1, u64::MAX, (1 << 40) - 1, join(1, (1 << 40) - 1), join(HISTORY, 0)]),
            _ => {
                let mut known = known;
                known.sort_unstable();
                *random.one(&known)
            }
        }
    }

    fn name(&self, inode: u64, random: &mut Random) -> String {
        let own = self.paths.get(&inode).map(|path| children(&self.model, path)).unwrap_or_default();
        let names: Vec<&str> = own.into_keys().collect();
        match random.below(6) {
            0 => name(random),
            1 => String::from_utf8_lossy(&random.next().to_le_bytes()).into_owned(),
            2 => (*random.one(&["", ".", "..", "/", "\0", "%", "~", ".yaml", "latest", "history"])).to_owned(),
            3 if !names.is_empty() => format!("{}{}", random.one(&names), random.one(&["", "x", "~", "%", ".yaml"])),
            _ if !names.is_empty() => (*random.one(&names)).to_owned(),
            _ => name(random),
        }
    }

    fn step(&mut self, random: &mut Random) {
        let inode = self.inode(random);
        match random.below(8) {
            0 | 1 => {
                let name = self.name(inode, random);
                // The kernel itself answers these two.
                if name != "." && name != ".." {
                    self.lookup(inode, &name);
                }
            }
            2 => self.stat(inode),
            3 | 4 => self.list(inode, random),
            5 => {
                let from = *random.one(&[0, 1, 2, 3, 17, u64::MAX, u64::MAX - 1, 1 << 40]);
                drop(self.page(inode, from, random.below(5)));
            }
            6 => {
                let (offset, size) = (*random.one(&[0, 0, 1, 100, 4095, u64::MAX, 1 << 63]), *random.one(&[0, 1, 4096, 131_072, u32::MAX]));
                let (more, less) = (random.below(3000) as u64, random.below(3000) as u32);
                self.read(inode, offset.saturating_add(more), size.saturating_sub(less));
            }
            _ => {
                self.link(inode);
                let _ = self.core.forest.totals();
            }
        }
    }

    /// All of it, from the root on.
    fn walk(&mut self, random: &mut Random) {
        let mut stack = vec![String::new()];
        while let Some(path) = stack.pop() {
            let inode = self.inodes[&path];
            self.stat(inode);
            match &self.model[&path] {
                Held::Directory => {
                    self.list(inode, random);
                    stack.extend(children(&self.model, &path).into_values().map(str::to_owned));
                }
                Held::File { .. } => self.read(inode, 0, u32::MAX),
                Held::Link(_) => self.link(inode),
            }
        }
        assert_eq!(self.inodes.len(), self.model.len());
    }
}

/// Lists of what was removed are in the order of catalogs; the model's are sorted by path.
fn in_catalog_order(model: &mut Model, removed: &BTreeMap<String, String>) {
    for (name, text) in removed {
        if let Some(Held::File { bytes, .. }) = model.get_mut(&format!("changes/{name}/REMOVED")) {
            let mut lines: Vec<&str> = text.lines().collect();
            lines.sort_unstable();
            assert_eq!(lines.iter().map(|line| format!("{line}\n")).collect::<String>().into_bytes(), *bytes, "{name}");
            *bytes = text.clone().into_bytes();
        }
    }
}

async fn repository(random: &mut Random) -> (Repository, Vec<Root>) {
    let repository = Repository::init(Store::memory(), &Password::new("p"), KeyCost::CHEAP, "test", Timestamp::UNIX_EPOCH).await.unwrap();
    let (mut roots, mut now) = (Vec::new(), Objects::new());
    for number in 0..4 {
        now = objects(random, &now);
        roots.push(back_up(&repository, number, now.clone()).await);
    }
    (repository, roots)
}

async fn removed(repository: &Repository, roots: &[Root]) -> BTreeMap<String, String> {
    let mut texts = BTreeMap::new();
    for pair in roots.windows(2) {
        let (before, after) = (repository.open_snapshot(&pair[0]).await.unwrap(), repository.open_snapshot(&pair[1]).await.unwrap());
        let gone = before.catalog().rows().filter(|row| after.catalog().find(&row.id()).is_none());
        texts.insert(pair[1].name.clone(), gone.map(|row| format!("{}\n", row.id().mount_path())).collect());
    }
    texts
}

#[test]
fn random_requests_give_what_a_plain_tree_holds() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let seeds: u64 = std::env::var("KSTASHFS_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(6);
    for seed in 0..seeds {
        println!("seed {seed}");
        let mut random = Random(seed);
        let (repository, roots) = runtime.block_on(repository(&mut random));
        let snapshot = runtime.block_on(repository.open_snapshot(roots.last().unwrap())).unwrap();
        let mut all = runtime.block_on(model_of_all(&repository, &roots));
        in_catalog_order(&mut all, &runtime.block_on(removed(&repository, &roots)));
        let one = runtime.block_on(model_of_one(&repository, roots.last().unwrap()));
        let options = FileOptions::default();
        for (forest, model) in [(Forest::of(&snapshot, options), one), (Forest::all(repository.clone(), roots.clone(), options), all)] {
            let mut session = Session::new(forest, model, runtime.handle().clone());
            for _ in 0..600 {
                session.step(&mut random);
            }
            session.walk(&mut random);
        }
    }
}

/// Names and inodes in `snapshots/`, from a place on.
fn snapshots(session: &Session, from: u64, room: usize) -> Page {
    session.page(2, from, room).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_go_on_when_snapshots_come_and_go() {
    let mut random = Random(1);
    let (repository, roots) = repository(&mut random).await;
    let forest = Forest::all(repository.clone(), roots.clone(), FileOptions::default());
    let session = Session::new(forest, Model::new(), tokio::runtime::Handle::current());
    let first = snapshots(&session, 0, 4);
    assert_eq!(first.iter().map(|(_, name, _)| name.as_str()).collect::<Vec<_>>(), [".", "..", "s0", "s1"]);
    for root in [&roots[0], &roots[2]] {
        repository.forget(root.id).await.unwrap();
    }
    back_up(&repository, 4, Objects::new()).await;
    session.core.forest.look().await.unwrap();
    let rest = snapshots(&session, first[3].0, 9);
    assert_eq!(rest.iter().map(|(_, name, _)| name.as_str()).collect::<Vec<_>>(), ["s3", "s4"]);
    let again = snapshots(&session, 0, 9);
    assert_eq!(again[2..], [&first[3..], &rest].concat());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_snapshots_of_one_name_and_time_are_told_apart() {
    let (repository, mut roots) = repository(&mut Random(2)).await;
    let twin = back_up(&repository, 0, [((0, "demo/x".to_owned()), 1)].into()).await;
    roots.push(twin.clone());
    let session = Session::new(Forest::all(repository, roots, FileOptions::default()), Model::new(), tokio::runtime::Handle::current());
    let names: Vec<String> = snapshots(&session, 2, 9).into_iter().map(|(_, name, _)| name).collect();
    assert_eq!(names, ["s0", "s1", "s2", "s3", &format!("s0.{}", twin.id)]);
    let times: Vec<String> = session.core.forest.listed().into_iter().map(|(_, slot)| slot.time_name.clone()).collect();
    assert_eq!(times[4], format!("{}_{}", times[0], twin.id));
    // Shown in this order, the later one behind the other.
    assert!(format!("{}.yaml", times[0]) < format!("{}.yaml", times[4]) && format!("{}.yaml", times[4]) < format!("{}.yaml", times[1]));
}
