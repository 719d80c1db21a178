//! Directories to mount on, and mounts inside of the test's own process, whose requests can be counted.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use kstashfs::{Forest, Mount, MountOptions, counters::Counts};

use crate::watchdog::Watchdog;

/// A directory that nothing is mounted on any more when it is dropped, or when the test is killed.
#[derive(Debug)]
pub struct Place {
    folder: Option<tempfile::TempDir>,
    path: PathBuf,
    _watchdog: Watchdog,
}

impl Place {
    /// An empty directory.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mnt");
        std::fs::create_dir(&path).unwrap();
        let watchdog = Watchdog::start("while umount -l \"$1\" 2>/dev/null; do :; done", &path);
        Self { folder: Some(folder), path, _watchdog: watchdog }
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The same as a word of a command line.
    pub fn text(&self) -> &str {
        self.path.to_str().unwrap()
    }
}

impl Default for Place {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        while kstashfs::unmount(&self.path, true).is_ok() {}
        drop(self.folder.take());
    }
}

/// A mount that this process serves.
#[derive(Debug)]
pub struct Mounted {
    mount: Option<Mount>,
    place: Place,
    runtime: Option<tokio::runtime::Runtime>,
}

impl Mounted {
    /// Mounts, with threads of its own: the test may block its own as it likes.
    pub fn new(forest: Forest, options: &MountOptions) -> Self {
        let place = Place::new();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let mount = kstashfs::mount(forest, place.path(), options, runtime.handle().clone()).unwrap();
        Self { mount: Some(mount), place, runtime: Some(runtime) }
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        self.place.path()
    }

    /// Requests so far.
    pub fn counts(&self) -> Counts {
        self.mount.as_ref().unwrap().counters().now()
    }

    /// Unmounts.
    pub fn end(&mut self) {
        self.mount = None;
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        self.end();
        // A test may be async; a runtime must not wait for its threads inside of another.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Runs a shell script in a folder. It is killed after a while: a mount that hangs is a failure, not a wait.
pub fn script(folder: &Path, text: &str) -> Output {
    let mut command = Command::new("timeout");
    command.args(["--kill-after=5", "120", "bash", "-c", text]).current_dir(folder).stdin(Stdio::null());
    command.env("LC_ALL", "C").output().unwrap()
}

/// Runs a script that must succeed, and gives what it printed.
pub fn sh(folder: &Path, text: &str) -> String {
    let output = script(folder, text);
    assert!(output.status.success(), "{text}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Makes the kernel forget names, attributes and pages.
pub fn forget_caches() {
    std::fs::write("/proc/sys/vm/drop_caches", "2").expect("this test makes the kernel forget its caches and needs root");
}

/// Waits until something is so.
pub fn wait_for(what: &str, longest: Duration, mut so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !so() {
        assert!(start.elapsed() < longest, "{what}: not within {longest:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
