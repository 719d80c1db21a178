//! Life of a mount: checks, start, end.

use std::{
    collections::HashSet,
    ffi::CString,
    io,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicBool, AtomicUsize},
    },
    time::{Duration, SystemTime},
};

use fuser::{Config, MountOption, Session, SessionACL};
use tokio::runtime::Handle;

use crate::{
    counters::Counters,
    forest::Forest,
    kernel::{Core, Kernel},
};

/// What the source of our mounts begins with in the table of mounts: a root mount shows no subtype there.
const SOURCE: &str = "kstashfs:";
/// How often the list of snapshots is read anew in a mount of all.
const REFRESH: Duration = Duration::from_secs(5);

/// How to mount.
#[derive(Debug, Clone)]
pub struct MountOptions {
    /// Let other users in; needs `user_allow_other` in /etc/fuse.conf unless root mounts.
    pub allow_other: bool,
    /// Put neighbours into the page cache before they are asked for.
    pub push: bool,
    /// Event loops, at least 1.
    pub threads: usize,
    /// What `mount` shows as the source.
    pub source: String,
}

impl Default for MountOptions {
    fn default() -> Self {
        Self { allow_other: false, push: true, threads: 3, source: "kubestash".to_owned() }
    }
}

/// Why there is no mount.
#[derive(Debug, thiserror::Error)]
pub enum MountError {
    /// No FUSE in this kernel or container.
    #[error(
        "/dev/fuse is not there: load the module with `modprobe fuse`; in a container pass the device through (--device /dev/fuse --cap-add SYS_ADMIN)"
    )]
    NoDevice,
    /// Only root mounts without help.
    #[error("fusermount3 is not installed, and only root can mount without it: install the package fuse3")]
    NoFusermount,
    /// The directory does not fit.
    #[error("cannot mount on {place}: {reason}")]
    Place {
        /// The directory.
        place: String,
        /// Why not.
        reason: String,
    },
    /// The kernel or fusermount3 refused.
    #[error("cannot mount on {place}")]
    Refused {
        /// The directory.
        place: String,
        /// Its words.
        #[source]
        source: io::Error,
    },
}

/// A mount that answers. Dropping it unmounts.
pub struct Mount {
    session: Option<fuser::BackgroundSession>,
    place: PathBuf,
    counters: Arc<Counters>,
    refresher: Option<tokio::task::JoinHandle<()>>,
}

impl std::fmt::Debug for Mount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Mount({})", self.place.display())
    }
}

/// Mounts a forest. Requests are answered by threads of their own; fetches run on `runtime`.
///
/// A directory that is missing is made. A mount whose daemon died is taken away first.
///
/// # Errors
/// `NoDevice`, `NoFusermount`, `Place`, `Refused`.
pub fn mount(forest: Forest, place: &Path, options: &MountOptions, runtime: Handle) -> Result<Mount, MountError> {
    check_device()?;
    prepare(place)?;
    let counters = Arc::new(Counters::default());
    let threads = options.threads.max(1);
    // SAFETY: these calls have no arguments and cannot fail.
    let owner = unsafe { (libc::geteuid(), libc::getegid()) };
    let core = Arc::new(Core {
        forest,
        counters: Arc::clone(&counters),
        runtime: runtime.clone(),
        notifier: OnceLock::new(),
        threads,
        push: AtomicBool::new(options.push && threads > 1),
        owner,
        group_readable: false,
        policy: Mutex::default(),
        reading: Mutex::new(HashSet::new()),
        pushing: AtomicUsize::new(0),
        mounted_at: SystemTime::now(),
    });
    let mut config = Config::default();
    config.mount_options = vec![
        MountOption::FSName(format!("{SOURCE}{}", options.source)),
        MountOption::Subtype("kstashfs".to_owned()),
        MountOption::RO,
        MountOption::NoSuid,
        MountOption::NoDev,
        MountOption::NoAtime,
        MountOption::DefaultPermissions,
    ];
    config.acl = if options.allow_other { SessionACL::All } else { SessionACL::Owner };
    config.n_threads = Some(threads);
    config.clone_fd = true;
    let refused = |source| MountError::Refused { place: place.display().to_string(), source };
    let session = Session::new(Kernel::new(Arc::clone(&core)), place, &config).map_err(refused)?;
    let _ = core.notifier.set(session.notifier());
    let session = session.spawn().map_err(refused)?;
    let refresher = core.forest.is_all().then(|| {
        let core = Arc::clone(&core);
        runtime.spawn(async move {
            loop {
                tokio::time::sleep(REFRESH).await;
                match core.forest.refresh().await {
                    Ok(true) => {
                        if let Some(notifier) = core.notifier.get() {
                            // The kernel may not know it, which is as well.
                            let _ = notifier.inval_entry(fuser::INodeNo(crate::tree::ROOT), std::ffi::OsStr::new("latest"));
                        }
                    }
                    Ok(false) => {}
                    Err(error) => tracing::warn!("the list of snapshots cannot be read anew: {error}"),
                }
            }
        })
    });
    Ok(Mount { session: Some(session), place: place.to_owned(), counters, refresher })
}

impl Mount {
    /// Requests so far.
    pub fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    /// Whether the directory is still mounted: somebody else may have unmounted it.
    pub fn is_mounted(&self) -> bool {
        self.session.as_ref().is_some_and(|session| !session.guard.is_finished())
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        if let Some(refresher) = self.refresher.take() {
            refresher.abort();
        }
        let Some(session) = self.session.take() else { return };
        if session.guard.is_finished() {
            return;
        }
        // Someone may still be inside: then it goes away as soon as they leave, and our threads end then.
        if unmount(&self.place, true).is_ok() {
            std::mem::forget(session);
        }
    }
}

fn check_device() -> Result<(), MountError> {
    if !Path::new("/dev/fuse").exists() {
        return Err(MountError::NoDevice);
    }
    // SAFETY: no arguments, cannot fail.
    let root = unsafe { libc::geteuid() } == 0;
    if !root && fusermount().is_none() {
        return Err(MountError::NoFusermount);
    }
    Ok(())
}

fn fusermount() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join("fusermount3")).find(|program| program.exists())
}

/// An empty directory that nothing is mounted on.
fn prepare(place: &Path) -> Result<(), MountError> {
    let wrong = |reason: String| MountError::Place { place: place.display().to_string(), reason };
    match std::fs::read_dir(place) {
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) if is_kstashfs(place) => Err(wrong("a snapshot is mounted there already; `kubectl kubestash umount` it first".to_owned())),
            Some(_) => Err(wrong("the directory is not empty".to_owned())),
        },
        // The daemon of an earlier mount died.
        Err(error) if error.raw_os_error() == Some(libc::ENOTCONN) => {
            unmount(place, true).map_err(|error| wrong(format!("a dead mount is in the way and cannot be taken away: {error}")))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            std::fs::create_dir_all(place).map_err(|error| wrong(format!("it cannot be made: {error}")))
        }
        Err(error) => Err(wrong(error.to_string())),
    }
}

/// Whether one of our mounts is there, alive or dead.
pub fn is_kstashfs(place: &Path) -> bool {
    // A dead mount cannot be resolved; its path as given is what the table holds then.
    let resolved = place.canonicalize().unwrap_or_else(|_| std::path::absolute(place).unwrap_or_else(|_| place.to_owned()));
    let table = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    table.lines().any(|line| {
        let mut fields = line.split(' ');
        let (source, at) = (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
        source.starts_with(SOURCE) && Path::new(&at.replace("\\040", " ")) == resolved
    })
}

/// Unmounts a directory; lazily: as soon as nobody is inside any more.
///
/// # Errors
/// The system's, as `EBUSY` when somebody is inside and it is not lazy.
pub fn unmount(place: &Path, lazy: bool) -> io::Result<()> {
    let path = CString::new(place.as_os_str().as_bytes()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    let flags = if lazy { libc::MNT_DETACH } else { 0 };
    // SAFETY: the path is a valid C string that outlives the call.
    if unsafe { libc::umount2(path.as_ptr(), flags) } == 0 {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    let Some(program) = fusermount().filter(|_| error.raw_os_error() == Some(libc::EPERM)) else { return Err(error) };
    let mut command = std::process::Command::new(program);
    command.arg("-u");
    if lazy {
        command.arg("-z");
    }
    let output = command.arg(place).output()?;
    if output.status.success() { Ok(()) } else { Err(io::Error::other(String::from_utf8_lossy(&output.stderr).trim().to_owned())) }
}
