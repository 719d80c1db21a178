//! Runs a program and tells what it took.

use std::{
    fs::File,
    io::{Read as _, Seek as _},
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};

/// How often the memory of a running program is looked at. The kernel keeps the peak; only one in the last moment is missed.
const LOOK: Duration = Duration::from_millis(5);

/// What a program took.
#[derive(Debug, Clone, Default)]
pub struct Used {
    /// From start to end, in seconds.
    pub seconds: f64,
    /// Seconds of all its threads and children, user and system.
    pub cpu_seconds: f64,
    /// Peak of resident memory, MiB.
    pub peak_mib: f64,
    /// Exit code, -1 for a signal.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Used {
    /// Fails unless the exit code is one of these.
    ///
    /// # Errors
    /// With the program's own words.
    pub fn expect(self, what: &str, codes: &[i32]) -> anyhow::Result<Self> {
        ensure!(codes.contains(&self.code), "{what} ended with code {}: {}", self.code, self.err.trim());
        Ok(self)
    }
}

/// Runs a program to its end.
///
/// # Errors
/// When it cannot be started.
pub fn run(command: &mut Command) -> anyhow::Result<Used> {
    // Files and not pipes: a full pipe would stop the program until it is read.
    let (mut out, mut err) = (tempfile::tempfile()?, tempfile::tempfile()?);
    command.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(err.try_clone()?);
    let start = Instant::now();
    let child = command.spawn().with_context(|| format!("cannot start {}", command.get_program().display()))?;
    let (ended, peak) = (AtomicBool::new(false), AtomicU64::new(0));
    let mut status = 0;
    // SAFETY: all zeros is a valid rusage.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    let waited = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !ended.load(Ordering::Relaxed) {
                peak.fetch_max(peak_kib(child.id()).unwrap_or_default(), Ordering::Relaxed);
                std::thread::sleep(LOOK);
            }
        });
        // SAFETY: both places outlive the call; nobody else waits for this child.
        let waited = unsafe { libc::wait4(child.id() as libc::pid_t, &raw mut status, 0, &raw mut usage) };
        ended.store(true, Ordering::Relaxed);
        waited
    });
    let seconds = start.elapsed().as_secs_f64();
    ensure!(waited == child.id() as libc::pid_t, "cannot wait for {}: {}", command.get_program().display(), std::io::Error::last_os_error());
    let time = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    Ok(Used {
        seconds,
        cpu_seconds: time(usage.ru_utime) + time(usage.ru_stime),
        peak_mib: peak.into_inner() as f64 / 1024.0,
        code: if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { -1 },
        out: text(&mut out)?,
        err: text(&mut err)?,
    })
}

fn text(file: &mut File) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The most memory a process was resident with so far, KiB. Not `ru_maxrss`: a child starts with its parent's there.
pub fn peak_kib(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.trim().trim_end_matches(" kB").parse().ok()
}

/// Seconds of processor that a process has used until now, in user mode and in the kernel's.
pub fn cpu_seconds_of(process: u32) -> Option<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // A name may hold blanks and parentheses; user and system time are the 14th and 15th word.
    let words: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks: u64 = words.get(11..13)?.iter().map(|word| word.parse::<u64>().ok()).sum::<Option<u64>>()?;
    // SAFETY: takes a number and touches no memory of ours.
    let ticks_a_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    Some(ticks as f64 / ticks_a_second as f64)
}

/// Seconds of processor that this process has used.
pub fn own_cpu_seconds() -> f64 {
    // SAFETY: all zeros is a valid rusage, and the place outlives the call.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &raw mut usage);
        usage
    };
    let time = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    time(usage.ru_utime) + time(usage.ru_stime)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_measured() {
        let used = run(Command::new("sh").args(["-c", "x=0; while [ $x -lt 200000 ]; do x=$((x+1)); done; echo out; echo err >&2; exit 3"])).unwrap();
        assert_eq!((used.code, used.out.as_str(), used.err.as_str()), (3, "out\n", "err\n"));
        assert!(used.seconds > 0.0 && used.cpu_seconds > 0.0 && used.peak_mib > 0.0 && used.peak_mib < 100.0, "{used:?}");
        assert!(used.expect("sh", &[0]).is_err());
        assert!(run(&mut Command::new("/nonexistent")).is_err());
    }

    #[test]
    fn the_time_of_a_process_is_read() {
        let (read, own) = (cpu_seconds_of(std::process::id()).unwrap(), own_cpu_seconds());
        // The kernel rounds one of them to hundredths, and time goes on between the two.
        assert!(read <= own + 0.02 && read + 1.0 > own, "{read} {own}");
        assert_eq!(cpu_seconds_of(u32::MAX), None);
    }
}
