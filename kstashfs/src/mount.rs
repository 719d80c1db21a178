//! Life of a mount: checks, start, end.

use std::{
    io,
    mem::ManuallyDrop,
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicU32},
    time::{Duration, Instant},
};

use fuser::{Config, MountOption, Session, SessionACL};
use tokio::runtime::Handle;

use crate::{
    core::Core,
    counters::Counters,
    forest::Forest,
    history::HistoryFiles,
    kernel::Kernel,
    permissions::{PermissionArgs, Permissions},
    place::{self, SOURCE, State, fusermount, unmount},
    pusher::Pusher,
    status::Status,
};

const DEVICE: &str = "/dev/fuse";
/// How long the end of a mount waits for its event loops. They go on while somebody is inside.
const FAREWELL: Duration = Duration::from_millis(500);

/// How to mount.
#[derive(Debug, Clone)]
pub struct MountOptions {
    /// Let other users in; needs `user_allow_other` in /etc/fuse.conf unless root mounts.
    pub allow_other: bool,
    /// Put neighbours into the page cache before they are asked for. Needs two threads.
    pub push: bool,
    /// Event loops, at least 1.
    pub threads: usize,
    /// What `mount` shows as the source.
    pub source: String,
    /// Owner and modes of what is shown.
    pub permissions: PermissionArgs,
    /// Labels of SELinux, as in `context=system_u:object_r:tmp_t:s0`, for the kernel.
    pub labels: Vec<String>,
}

impl Default for MountOptions {
    fn default() -> Self {
        let (permissions, labels) = (PermissionArgs::default(), Vec::new());
        Self { allow_other: false, push: true, threads: 3, source: "kubestash".to_owned(), permissions, labels }
    }
}

/// Why there is no mount.
#[derive(Debug, thiserror::Error)]
pub enum MountError {
    /// No FUSE in this kernel or container.
    #[error("this machine has no {DEVICE}, so nothing can be mounted")]
    NoDevice,
    /// The device is there and may not be used.
    #[error("{DEVICE} cannot be opened")]
    Device(#[source] io::Error),
    /// Only root mounts without help.
    #[error("fusermount3 is not installed, and without it only root can mount")]
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

impl MountError {
    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NoDevice => "load the module with `modprobe fuse`; a container needs `--device /dev/fuse --cap-add SYS_ADMIN`",
            Self::Device(error) if error.raw_os_error() == Some(libc::EACCES) => "`chmod 666 /dev/fuse` lets users mount, as udev does",
            Self::Device(_) => "a container needs `--device /dev/fuse --cap-add SYS_ADMIN`",
            Self::NoFusermount => "install the package fuse3; root in a container needs `--cap-add SYS_ADMIN` instead",
            Self::Refused { source, .. } if source.to_string().contains("user_allow_other") => {
                "root can allow --allow-other by a line `user_allow_other` in /etc/fuse.conf"
            }
            Self::Refused { source, .. } if source.to_string().contains("context=") => {
                "labels need a kernel with SELinux whose policy knows them, and root: fusermount3 takes none"
            }
            Self::Place { .. } | Self::Refused { .. } => return None,
        };
        Some(hint.to_owned())
    }
}

/// A mount that answers. Dropping it unmounts.
pub struct Mount {
    /// Never dropped: its own end would unmount whatever is mounted on the place by then.
    session: ManuallyDrop<fuser::BackgroundSession>,
    place: PathBuf,
    counters: Arc<Counters>,
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
/// `NoDevice`, `Device`, `NoFusermount`, `Place`, `Refused`.
pub fn mount(forest: Forest, place: &Path, options: &MountOptions, runtime: Handle) -> Result<Mount, MountError> {
    check(place)?;
    let counters = Arc::new(Counters::default());
    let threads = options.threads.max(1);
    let core = Arc::new(Core {
        forest,
        history: HistoryFiles::default(),
        counters: Arc::clone(&counters),
        runtime,
        pusher: Pusher::new(Arc::clone(&counters), options.push, threads),
        permissions: Permissions::of(&options.permissions),
        status: Status::new(place.to_owned(), options.source.clone()),
        listings: AtomicU32::new(0),
    });
    let mut config = Config::default();
    // A comma would begin the next option.
    let source = options.source.replace([',', '\\'], "_");
    config.mount_options = vec![
        MountOption::FSName(format!("{SOURCE}{source}")),
        MountOption::Subtype("kstashfs".to_owned()),
        MountOption::RO,
        MountOption::NoSuid,
        MountOption::NoDev,
        MountOption::NoAtime,
        MountOption::DefaultPermissions,
    ];
    config.mount_options.extend(options.labels.iter().cloned().map(MountOption::CUSTOM));
    config.acl = if options.allow_other { SessionACL::All } else { SessionACL::Owner };
    config.n_threads = Some(threads);
    config.clone_fd = true;
    let refused = |source: io::Error| match source.kind() {
        // Without the right to mount fuser turns to the helper.
        io::ErrorKind::NotFound if fusermount().is_none() => MountError::NoFusermount,
        _ => MountError::Refused { place: place.display().to_string(), source },
    };
    let session = Session::new(Kernel::new(Arc::clone(&core)), place, &config).map_err(refused)?;
    core.pusher.connect(session.notifier());
    let session = ManuallyDrop::new(session.spawn().map_err(refused)?);
    Ok(Mount { session, place: place.to_owned(), counters })
}

/// Whether [`mount`] can work: device, helper, directory. A dead mount on the directory is taken away, a missing directory made.
///
/// # Errors
/// As [`mount`].
pub fn check(place: &Path) -> Result<(), MountError> {
    check_device()?;
    prepare(place)
}

impl Mount {
    /// Requests so far.
    pub fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    /// Whether it still answers: somebody else may have unmounted the directory.
    pub fn is_mounted(&self) -> bool {
        !self.session.guard.is_finished()
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        if !self.is_mounted() {
            return;
        }
        // Lazily: those inside must not keep us, and they lose it when this process ends.
        if let Err(error) = unmount(&self.place, true) {
            tracing::error!("{error}");
            return;
        }
        let started = Instant::now();
        while self.is_mounted() && started.elapsed() < FAREWELL {
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

fn check_device() -> Result<(), MountError> {
    match std::fs::OpenOptions::new().read(true).write(true).open(DEVICE) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound || matches!(error.raw_os_error(), Some(libc::ENODEV | libc::ENXIO)) => {
            return Err(MountError::NoDevice);
        }
        Err(error) => return Err(MountError::Device(error)),
    }
    // SAFETY: no arguments, cannot fail.
    let root = unsafe { libc::geteuid() } == 0;
    if !root && fusermount().is_none() {
        return Err(MountError::NoFusermount);
    }
    Ok(())
}

/// An empty directory that nothing is mounted on.
fn prepare(place: &Path) -> Result<(), MountError> {
    let wrong = |reason: String| MountError::Place { place: place.display().to_string(), reason };
    match place::state(place) {
        State::Free => {}
        State::Alive => return Err(wrong("a snapshot is mounted there already; `kubectl kubestash umount` it first".to_owned())),
        State::Silent => {
            return Err(wrong("the snapshot mounted there does not answer; `kubectl kubestash umount --lazy` takes it away".to_owned()));
        }
        State::Dead => {
            unmount(place, true).map_err(|error| wrong(format!("a dead mount is in the way: {error}")))?;
        }
    }
    match std::fs::read_dir(place) {
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => Err(wrong("the directory is not empty".to_owned())),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            std::fs::create_dir_all(place).map_err(|error| wrong(format!("the directory cannot be made: {error}")))
        }
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => Err(wrong("it is not a directory".to_owned())),
        Err(error) => Err(wrong(error.to_string())),
    }
}
