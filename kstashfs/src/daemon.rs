//! Going to the background: the program runs itself again, detached, and waits until the mount answers.

use std::{
    io::{self, BufRead as _, BufReader, Write as _},
    os::{fd::AsRawFd as _, unix::process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Set for the copy in the background.
const MARK: &str = "KSTASHFS_BACKGROUND";
const READY: &str = "ready";

/// Whether this process is the copy in the background.
pub fn is_background() -> bool {
    std::env::var_os(MARK).is_some()
}

/// Where the copy in the background writes what it has to say.
pub fn log_file(place: &Path) -> PathBuf {
    let state = std::env::var_os("XDG_STATE_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/state")));
    let name: String = place.to_string_lossy().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    state.unwrap_or_else(std::env::temp_dir).join("kubestash/mounts").join(format!("{}.log", name.trim_matches('_')))
}

/// Runs this program again with the same arguments, detached from terminal and session, and waits until it is ready.
///
/// Returns its process id, or what it said before it ended.
///
/// # Errors
/// When it cannot be started, or ends before it is ready; its words went to stderr.
pub fn run_in_background() -> io::Result<u32> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(std::env::args_os().skip(1)).env(MARK, "1").stdin(Stdio::null()).stdout(Stdio::piped());
    // SAFETY: setsid is safe between fork and exec, and fails only for a group leader, which a new child is not.
    unsafe {
        command.pre_exec(|| {
            libc::setsid();
            Ok(())
        });
    }
    let mut child = command.spawn()?;
    let mut line = String::new();
    if let Some(out) = child.stdout.take() {
        BufReader::new(out).read_line(&mut line)?;
    }
    if line.trim() == READY {
        return Ok(child.id());
    }
    child.wait()?;
    Err(io::Error::other("the mount did not come up"))
}

/// Tells the waiting process that the mount answers, and turns to the log file.
///
/// # Errors
/// When the log file cannot be made.
pub fn report_ready(log: &Path) -> io::Result<()> {
    if let Some(folder) = log.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let file = std::fs::OpenOptions::new().create(true).append(true).open(log)?;
    let mut out = io::stdout();
    writeln!(out, "{READY}")?;
    out.flush()?;
    // SAFETY: both descriptors are open; the standard ones are replaced, as a daemon does.
    unsafe {
        libc::dup2(file.as_raw_fd(), libc::STDOUT_FILENO);
        libc::dup2(file.as_raw_fd(), libc::STDERR_FILENO);
    }
    Ok(())
}

/// Waits for SIGTERM, SIGINT, or the end of the mount by somebody else's hand.
pub async fn wait_for_end(mount: &crate::Mount) {
    use tokio::signal::unix::{SignalKind, signal};

    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) else { return };
    loop {
        tokio::select! {
            _ = terminate.recv() => return,
            _ = interrupt.recv() => return,
            () = tokio::time::sleep(std::time::Duration::from_millis(200)) => {
                if !mount.is_mounted() {
                    return;
                }
            }
        }
    }
}
