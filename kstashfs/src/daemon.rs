//! Going to the background: the program runs itself again, detached, and waits until the mount answers.

use std::{
    io::{self, BufRead as _, BufReader, Write as _},
    os::{
        fd::AsRawFd as _,
        unix::{fs::OpenOptionsExt as _, process::CommandExt as _, process::ExitStatusExt as _},
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Set for the copy in the background.
const MARK: &str = "KSTASHFS_BACKGROUND";
const READY: &str = "ready";
/// How often is looked whether the mount is still there.
const LOOK: Duration = Duration::from_millis(200);

/// How the start of the copy in the background ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Started {
    /// The mount answers.
    Ready,
    /// It ended with this exit code, and has told the user why.
    Failed(u8),
}

/// Whether this process is the copy in the background.
pub fn is_background() -> bool {
    std::env::var_os(MARK).is_some()
}

/// Where the copy in the background writes what it has to say once it is ready. systemd gives root's mounts no home.
pub fn log_file(place: &Path) -> PathBuf {
    // SAFETY: no arguments, cannot fail.
    let root = unsafe { libc::geteuid() } == 0;
    let state = std::env::var_os("XDG_STATE_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/state")))
        .or_else(|| root.then(|| PathBuf::from("/var/log")));
    let name: String = place.to_string_lossy().chars().map(|c| if c.is_ascii_alphanumeric() || "-._".contains(c) { c } else { '_' }).collect();
    state.unwrap_or_else(std::env::temp_dir).join("kubestash/mounts").join(format!("{}.log", name.trim_matches('_')))
}

/// Runs this program again with the same arguments, detached from terminal and session, and waits until it is ready or has ended.
///
/// # Errors
/// When it cannot be started, or was killed before it could say anything.
pub fn run_in_background() -> io::Result<Started> {
    let mut command = Command::new(std::env::current_exe()?);
    let mut words = std::env::args_os();
    // By the name it was called: as `mount.fuse.kstashfs` it reads its words as mount(8) writes them.
    if let Some(name) = words.next() {
        command.arg0(name);
    }
    command.args(words).env(MARK, "1").stdin(Stdio::null()).stdout(Stdio::piped());
    // SAFETY: both calls are safe between fork and exec. `setsid` fails only for a group leader, which a new child is not. What the caller
    // left open beyond the standard streams, such as a lock or a pipe, is not ours to keep; where the kernel lacks the call, it stays open.
    unsafe {
        command.pre_exec(|| {
            libc::setsid();
            libc::syscall(libc::SYS_close_range, 3_u32, u32::MAX, libc::CLOSE_RANGE_CLOEXEC);
            Ok(())
        });
    }
    let mut child = command.spawn()?;
    let mut line = String::new();
    if let Some(out) = child.stdout.take() {
        BufReader::new(out).read_line(&mut line)?;
    }
    if line.trim() == READY {
        return Ok(Started::Ready);
    }
    let status = child.wait()?;
    match (status.code(), status.signal()) {
        (Some(0) | None, Some(signal)) => Err(io::Error::other(format!("the process in the background was ended by signal {signal}"))),
        (Some(0) | None, None) => Err(io::Error::other("the process in the background ended without mounting")),
        (Some(code), _) => Ok(Started::Failed(u8::try_from(code).unwrap_or(1))),
    }
}

/// Tells the waiting process that the mount answers, and lets go of all that belongs to it: its streams and its folder. What is said from
/// now on goes to the log file, or nowhere when there can be none.
///
/// # Errors
/// When nobody waits any more.
pub fn report_ready(log: &Path) -> io::Result<()> {
    let file = open_log(log).or_else(|error| {
        eprintln!("warning: this mount keeps no log, {} cannot be written: {error}", log.display());
        std::fs::OpenOptions::new().write(true).open("/dev/null")
    })?;
    let mut out = io::stdout();
    writeln!(out, "{READY}")?;
    out.flush()?;
    std::env::set_current_dir("/")?;
    for stream in [libc::STDOUT_FILENO, libc::STDERR_FILENO] {
        // SAFETY: both descriptors are open; the standard ones are replaced, as a daemon does.
        if unsafe { libc::dup2(file.as_raw_fd(), stream) } < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// A log of this mount only.
fn open_log(log: &Path) -> io::Result<std::fs::File> {
    if let Some(folder) = log.parent() {
        std::fs::create_dir_all(folder)?;
    }
    // Never through a link that somebody else laid.
    std::fs::OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).custom_flags(libc::O_NOFOLLOW | libc::O_APPEND).open(log)
}

/// The signals that end a mount. They are caught before there is one: whoever sees it may send them at once.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Catches SIGTERM and SIGINT from now on.
    ///
    /// # Errors
    /// The system's.
    pub fn catch() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for one of them, or for the end of the mount by somebody else's hand.
    pub async fn wait(&mut self, mount: &crate::Mount) {
        while mount.is_mounted() {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }
}
