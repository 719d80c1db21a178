//! What was read from a repository, kept on this machine: catalogs, index files, roots and blocks.
//!
//! ```text
//! <folder>/CACHEDIR.TAG                  tells backup programs to leave it out
//! <folder>/<repository id>/roots/<ULID>.<milliseconds>.<bytes>   time and size in the store: a prune may put another in its place
//!                          index/<64 hex>
//!                          packs/<64 hex>            packs of catalogs, whole
//!                          blocks/<2 hex>/<64 hex>   class of the block (1 byte), then its sealed bytes
//! ```
//! Files hold the encrypted bytes as they are stored, never change, and are proven on every read, as if the store had sent them: by whoever
//! asks, who says when one is damaged. They are written under another name first, so several processes share a folder without a lock; any
//! file may be deleted at any time. Nothing that goes wrong here is an error: it costs a request to the store.
//!
//! When there is more than the limit, files that were not used for the longest time go. Each process looks once in a while, so the limit may
//! be passed by a sixteenth of it for each. Only files with names as above are ever deleted.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use bytes::Bytes;

use super::SnapshotId;
use crate::store::Entry;

/// The times of files are told apart by more than this, so that not every read writes.
const TOUCH: Duration = Duration::from_secs(600);
/// What a process that was killed left under another name.
const LEFT_OVER: Duration = Duration::from_secs(3_600);
const TAG: &[u8] = b"Signature: 8a477f597d28d172789f06886806bc55\n# A cache of kubestash. It may be deleted at any time.\n";

/// A folder for caches of repositories. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct DiskCache {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    folder: PathBuf,
    limit: u64,
    /// Bytes written since it was last looked how much there is; above its bound at the beginning.
    written: AtomicU64,
    /// Writing failed: the disk is full, or the folder may not be written to.
    broken: AtomicBool,
    names: AtomicU64,
    /// Files that were asked for and there, and those that were not.
    hits: AtomicU64,
    misses: AtomicU64,
}

/// A file of the cache.
struct Kept {
    path: PathBuf,
    size: u64,
    used: SystemTime,
}

impl DiskCache {
    /// The usual limit: 1 GiB.
    pub const DEFAULT_LIMIT: u64 = 1 << 30;

    /// A cache in this folder, which is made when something is kept, of at most about so many bytes.
    pub fn new(folder: impl Into<PathBuf>, limit: u64) -> Self {
        let (written, broken, names) = (AtomicU64::new(limit), AtomicBool::new(false), AtomicU64::new(0));
        let (hits, misses) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { inner: Arc::new(Inner { folder: folder.into(), limit, written, broken, names, hits, misses }) }
    }

    /// The part of one repository.
    pub(super) fn of(&self, repository: &str) -> Option<RepositoryCache> {
        // The id comes from the store.
        let safe = repository.len() == 32 && is_hex(repository);
        safe.then(|| RepositoryCache { cache: self.clone(), folder: self.inner.folder.join(repository) })
    }
}

/// The files of one repository.
#[derive(Debug, Clone)]
pub(super) struct RepositoryCache {
    cache: DiskCache,
    folder: PathBuf,
}

impl RepositoryCache {
    /// A file, if it is there and not larger than any of its kind.
    pub(super) async fn get(&self, name: &str, maximum: u64) -> Option<Bytes> {
        let path = self.folder.join(name);
        let found = tokio::task::spawn_blocking(move || read(&path, maximum).ok()).await.ok().flatten();
        let counter = if found.is_some() { &self.cache.inner.hits } else { &self.cache.inner.misses };
        counter.fetch_add(1, Ordering::Relaxed);
        found.map(Bytes::from)
    }

    /// Whether a file is there.
    pub(super) async fn has(&self, name: &str) -> bool {
        tokio::fs::try_exists(self.folder.join(name)).await.unwrap_or(false)
    }

    /// How often a file was there and how often not, by all users of this cache in this process.
    pub(super) fn hits_and_misses(&self) -> (u64, u64) {
        (self.cache.inner.hits.load(Ordering::Relaxed), self.cache.inner.misses.load(Ordering::Relaxed))
    }

    /// Keeps a file, as far as that works.
    pub(super) async fn put(&self, name: &str, parts: Vec<Bytes>) {
        let (inner, path) = (Arc::clone(&self.cache.inner), self.folder.join(name));
        // When the process ends meanwhile there is a file less.
        let _ = tokio::task::spawn_blocking(move || inner.put(&path, &parts)).await;
    }

    /// Removes a file that is damaged.
    pub(super) async fn remove(&self, name: &str) {
        let path = self.folder.join(name);
        let _ = tokio::task::spawn_blocking(move || fs::remove_file(path)).await;
    }
}

fn read(path: &Path, maximum: u64) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    let meta = file.metadata()?;
    if meta.len() > maximum || !meta.is_file() {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut bytes = Vec::with_capacity(meta.len() as usize);
    (&file).take(maximum).read_to_end(&mut bytes)?;
    if meta.modified()?.elapsed().unwrap_or_default() > TOUCH {
        // Another user's cache can be read as well.
        let _ = OpenOptions::new().append(true).open(path).and_then(|file| file.set_modified(SystemTime::now()));
    }
    Ok(bytes)
}

impl Inner {
    fn put(&self, path: &Path, parts: &[Bytes]) {
        let size: u64 = parts.iter().map(|part| part.len() as u64).sum();
        if self.broken.load(Ordering::Relaxed) || size > self.limit / 4 {
            return;
        }
        let kept = self.make_room(size).and_then(|()| self.write(path, parts));
        if let Err(error) = kept {
            self.broken.store(true, Ordering::Relaxed);
            tracing::debug!(%error, path = %path.display(), "nothing more is kept in the cache");
        }
    }

    fn write(&self, path: &Path, parts: &[Bytes]) -> io::Result<()> {
        let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let tag = self.folder.join("CACHEDIR.TAG");
        if !tag.exists() {
            fs::write(tag, TAG)?;
        }
        let name = format!(".{}-{}", std::process::id(), self.names.fetch_add(1, Ordering::Relaxed));
        let temporary = folder.join(name);
        let mut file = match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary) {
            // Of a process that had this number before.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
            file => file?,
        };
        let written = parts.iter().try_for_each(|part| file.write_all(part)).and_then(|()| fs::rename(&temporary, path));
        if written.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        match written {
            // Somebody deleted the folder, as everybody may.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    /// Looks now and then how much there is, and deletes what was not used for the longest time.
    fn make_room(&self, size: u64) -> io::Result<()> {
        if self.written.fetch_add(size, Ordering::Relaxed) < self.limit / 16 {
            return Ok(());
        }
        self.written.store(size, Ordering::Relaxed);
        let mut kept = match kept(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            kept => kept?,
        };
        let sizes: Vec<(SystemTime, u64)> = {
            kept.sort_by_key(|file| file.used);
            kept.iter().map(|file| (file.used, file.size)).collect()
        };
        for file in kept.iter().take(too_many(&sizes, size, self.limit)) {
            // Another process may have been quicker.
            let _ = fs::remove_file(&file.path);
        }
        Ok(())
    }
}

/// How many of these files, the least recently used first, have to go before `size` bytes come: a bit more than needed, so that it is not for
/// each file anew.
fn too_many(files: &[(SystemTime, u64)], size: u64, limit: u64) -> usize {
    let mut bytes = files.iter().map(|(_, size)| size).sum::<u64>().saturating_add(size);
    if bytes <= limit {
        return 0;
    }
    let mut count = 0;
    for (_, size) in files {
        if bytes <= limit - limit / 8 {
            break;
        }
        bytes -= size;
        count += 1;
    }
    count
}

fn is_hex(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// All files of all repositories, and what is left over of old writes.
fn kept(folder: &Path) -> io::Result<Vec<Kept>> {
    let mut found = Vec::new();
    for repository in names(folder)?.into_iter().filter(|name| name.len() == 32 && is_hex(name)) {
        let repository = folder.join(repository);
        collect(&repository.join("roots"), &mut found, is_root);
        let hash = |name: &str| name.len() == 64 && is_hex(name);
        collect(&repository.join("index"), &mut found, hash);
        collect(&repository.join("packs"), &mut found, hash);
        let blocks = repository.join("blocks");
        for part in names(&blocks).unwrap_or_default().into_iter().filter(|name| name.len() == 2 && is_hex(name)) {
            collect(&blocks.join(part), &mut found, hash);
        }
    }
    Ok(found)
}

/// The name of a root that was written to the store at this time.
pub(super) fn root_name(entry: &Entry) -> String {
    format!("{}.{}.{}", entry.key, entry.modified.as_millisecond().max(0), entry.size)
}

fn is_root(name: &str) -> bool {
    let mut parts = name.split('.');
    let is_number = |part: Option<&str>| part.is_some_and(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()));
    parts.next().is_some_and(|id| id.parse::<SnapshotId>().is_ok()) && is_number(parts.next()) && is_number(parts.next()) && parts.next().is_none()
}

fn names(folder: &Path) -> io::Result<Vec<String>> {
    Ok(fs::read_dir(folder)?.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect())
}

/// Files that go while this looks are no longer there, and no error.
fn collect(folder: &Path, found: &mut Vec<Kept>, ours: impl Fn(&str) -> bool) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let (Ok(name), Ok(meta)) = (entry.file_name().into_string(), entry.metadata()) else { continue };
        let used = meta.modified().unwrap_or(SystemTime::UNIX_EPOCH);
        let left_over = name.starts_with('.') && used.elapsed().is_ok_and(|age| age > LEFT_OVER);
        if meta.is_file() && left_over {
            let _ = fs::remove_file(entry.path());
        } else if meta.is_file() && ours(&name) {
            found.push(Kept { path: entry.path(), size: meta.len(), used });
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef";

    fn name(n: u32) -> String {
        format!("packs/{n:064x}")
    }

    #[test]
    fn the_oldest_go_until_there_is_room() {
        let at = |second| SystemTime::UNIX_EPOCH + Duration::from_secs(second);
        let files = |sizes: &[u64]| sizes.iter().enumerate().map(|(n, &size)| (at(n as u64), size)).collect::<Vec<_>>();
        for (sizes, size, limit, expected) in [
            (&[][..], 10, 100, 0),
            (&[50, 40], 10, 100, 0),
            (&[50, 40], 11, 100, 1),
            (&[1, 1, 1, 90], 20, 100, 4),
            (&[30, 30, 30, 30], 10, 100, 2),
            (&[10], u64::MAX, 100, 1),
        ] {
            assert_eq!(too_many(&files(sizes), size, limit), expected, "{sizes:?}");
        }
    }

    #[tokio::test]
    async fn a_bounded_number_of_bytes_is_kept_privately() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("cache");
        fs::create_dir(&place).unwrap();
        // Of somebody else, in the same folder.
        fs::write(place.join("mine"), vec![0; 50_000]).unwrap();
        let cache = DiskCache::new(&place, 16_000);
        let part = cache.of(ID).unwrap();
        for n in 0..100 {
            part.put(&name(n), vec![Bytes::from_static(&[7]), Bytes::from(vec![n as u8; 999])]).await;
        }
        let bytes: u64 = kept(&place).unwrap().iter().map(|file| file.size).sum();
        assert!((8_000..=17_000).contains(&bytes), "{bytes}");
        assert_eq!(part.get(&name(99), 1_000).await.unwrap().first(), Some(&7));
        assert_eq!(part.get(&name(99), 999).await, None, "larger than any");
        assert_eq!(part.get(&name(1), 1_000).await, None);
        assert_eq!(fs::read(place.join("mine")).unwrap().len(), 50_000);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&place.join(ID)), mode(&place.join(ID).join(name(99)))), (0o700, 0o600));
        part.put(&name(200), vec![Bytes::from(vec![0; 4_001])]).await;
        assert_eq!(part.get(&name(200), 10_000).await, None, "above a quarter of the room");
        // It may go at any time, and comes again.
        fs::remove_dir_all(&place).unwrap();
        assert_eq!(part.get(&name(99), 1_000).await, None);
        part.put(&name(1), vec![Bytes::from_static(b"again")]).await;
        assert_eq!(part.get(&name(1), 1_000).await.unwrap(), "again");
        part.remove(&name(1)).await;
        part.remove(&name(1)).await;
        assert_eq!(part.get(&name(1), 1_000).await, None);
        assert!(cache.of("../../etc").is_none());
    }

    #[tokio::test]
    async fn a_folder_that_cannot_be_written_to_is_no_cache() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("file"), "").unwrap();
        let part = DiskCache::new(folder.path().join("file"), 16_000).of(ID).unwrap();
        part.put(&name(1), vec![Bytes::from_static(b"one")]).await;
        assert_eq!(part.get(&name(1), 10).await, None);
    }
}
