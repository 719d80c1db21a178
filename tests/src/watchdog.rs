//! Ends what a test started when the test process is gone, however it went.
//!
//! A shell waits for the end of a pipe whose other end only the test process holds. Being killed closes it as well as ending does.

use std::{
    io::Read as _,
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
    /// `end` is a shell command; `folder` is `$1` in it.
    pub fn start(end: &str, folder: &Path) -> Self {
        Self::run(&format!("cat >/dev/null; {end}"), folder)
    }

    /// Runs `begin` first and waits for it; `end` follows also when that fails, or when this process is gone before it is through.
    ///
    /// So the two never overlap: an end that came too early would leave what is still being started.
    pub fn around(begin: &str, end: &str, folder: &Path) -> Self {
        let mut watchdog = Self::run(&format!("{begin} </dev/null >/dev/null && echo begun; exec >/dev/null; cat; {end}"), folder);
        let mut said = String::new();
        watchdog.shell.stdout.take().expect("it is piped").read_to_string(&mut said).expect("the shell's output is text");
        assert_eq!(said, "begun\n", "this failed: {begin}");
        watchdog
    }

    fn run(script: &str, folder: &Path) -> Self {
        let mut shell = Command::new("sh");
        // Nobody may be there any more to read what it says.
        shell.args(["-c", &format!("trap '' PIPE; {script}"), "watchdog"]).arg(folder).stdin(Stdio::piped()).stdout(Stdio::piped());
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
