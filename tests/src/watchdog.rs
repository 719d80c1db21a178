//! Ends what a test started when the test process is gone, however it went.
//!
//! A shell waits for the end of a pipe whose other end only the test process holds. Being killed closes it as well as ending does.

use std::{
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Child, Command, Stdio},
};

/// Runs a command when it is dropped, or when this process is gone.
#[derive(Debug)]
pub struct Watchdog {
    shell: Child,
}

impl Watchdog {
    /// `command` is a shell command; `folder` is `$1` in it.
    pub fn start(command: &str, folder: &Path) -> Self {
        let script = format!("cat >/dev/null; {command}");
        let mut shell = Command::new("sh");
        shell.args(["-c", &script, "watchdog"]).arg(folder).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        // Signals of a terminal reach the whole group of the tests; the watchdog must outlive them.
        shell.process_group(0);
        Self { shell: shell.spawn().expect("sh starts") }
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}
