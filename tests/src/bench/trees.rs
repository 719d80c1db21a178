//! The same files three times: mounted by kstashfs, in EROFS images, and plain on the disk.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};

use super::{
    backup::SNAPSHOTS,
    machine::{self, Forget},
    process::peak_kib,
};
use crate::program::User;

/// How long a mount may take to end.
const PATIENCE: Duration = Duration::from_secs(10);

/// Both snapshots as folders with `namespaces/` and `cluster/`.
pub trait Trees {
    /// `kstashfs`, `erofs`, or the disk's file system.
    fn name(&self) -> &str;

    /// Mounts anew what can be mounted. Gives the seconds until the first snapshot's folder was there.
    ///
    /// # Errors
    /// When it cannot be mounted.
    fn renew(&mut self) -> anyhow::Result<f64>;

    /// The folder of the first or second snapshot.
    fn folder(&self, snapshot: usize) -> PathBuf;

    /// What is forgotten for a cold start: data stays in memory where a daemon or an image would have it there too.
    fn cold(&self) -> Forget {
        Forget::Names
    }

    /// The most memory a daemon of it was resident with, MiB.
    fn peak_mib(&self) -> Option<f64> {
        None
    }
}

/// Mounted by the real program.
pub struct Kstashfs<'a> {
    user: &'a User,
    repository: PathBuf,
    places: [PathBuf; 2],
    daemons: Vec<Daemon>,
    peak_kib: u64,
}

impl<'a> Kstashfs<'a> {
    /// Nothing is mounted yet.
    ///
    /// # Errors
    /// When folders cannot be made.
    pub fn new(user: &'a User, repository: &Path, places: [PathBuf; 2]) -> anyhow::Result<Self> {
        for place in &places {
            fs::create_dir_all(place)?;
        }
        Ok(Self { user, repository: repository.to_owned(), places, daemons: Vec::new(), peak_kib: 0 })
    }

    fn note_peak(&mut self) {
        let peak = self.daemons.iter().filter_map(|daemon| peak_kib(daemon.child.id())).max();
        self.peak_kib = self.peak_kib.max(peak.unwrap_or_default());
    }
}

impl Trees for Kstashfs<'_> {
    fn name(&self) -> &str {
        "kstashfs"
    }

    fn renew(&mut self) -> anyhow::Result<f64> {
        self.note_peak();
        self.daemons.clear();
        machine::warm(&self.repository)?;
        let start = Instant::now();
        let mut seconds = None;
        for (snapshot, place) in SNAPSHOTS.iter().zip(&self.places) {
            self.daemons.push(Daemon::start(self.user, snapshot, place)?);
            seconds.get_or_insert(start.elapsed().as_secs_f64());
        }
        Ok(seconds.unwrap_or_default())
    }

    fn folder(&self, snapshot: usize) -> PathBuf {
        self.places[snapshot].clone()
    }

    fn peak_mib(&self) -> Option<f64> {
        let now = self.daemons.iter().filter_map(|daemon| peak_kib(daemon.child.id())).max().unwrap_or_default();
        Some(self.peak_kib.max(now) as f64 / 1024.0)
    }
}

/// One mount in the foreground of its own process; dropping it unmounts.
struct Daemon {
    child: Child,
    place: PathBuf,
}

impl Daemon {
    fn start(user: &User, snapshot: &str, place: &Path) -> anyhow::Result<Self> {
        let place_text = place.to_str().context("the folder's name is not UTF-8")?;
        let mut command = user.command(&["mount", snapshot, place_text, "--foreground"]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().context("cannot start the mount")?;
        let said = child.stderr.take().context("the mount has no stderr")?;
        let own = Self { child, place: place.to_owned() };
        let mut all = String::new();
        let mut lines = BufReader::new(said);
        loop {
            let mut line = String::new();
            if lines.read_line(&mut line)? == 0 {
                bail!("the mount of {snapshot} ended: {}", all.trim());
            }
            if line.starts_with("Mounted ") {
                // Whatever it says later must not fill the pipe.
                std::thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
                return Ok(own);
            }
            all.push_str(&line);
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // SAFETY: the process is our child and was not waited for, so the id is still its own.
        unsafe { libc::kill(self.child.id() as libc::pid_t, libc::SIGTERM) };
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = Command::new("umount").arg("-l").arg(&self.place).status();
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Images in the kernel's own read-only file system: the ceiling for anything that shows such files.
pub struct Erofs {
    images: [PathBuf; 2],
    places: [PathBuf; 2],
    mounted: bool,
}

impl Erofs {
    /// Makes images of two folders.
    ///
    /// # Errors
    /// In the words of mkfs.erofs.
    pub fn make(of: &Disk, images: [PathBuf; 2], places: [PathBuf; 2]) -> anyhow::Result<Self> {
        for ((image, place), folder) in images.iter().zip(&places).zip(&of.folders) {
            fs::create_dir_all(place)?;
            machine::make_erofs(image, folder)?;
        }
        Ok(Self { images, places, mounted: false })
    }

    fn unmount(&mut self) -> anyhow::Result<()> {
        if std::mem::take(&mut self.mounted) {
            self.places.iter().try_for_each(|place| machine::unmount(place))?;
        }
        Ok(())
    }
}

impl Trees for Erofs {
    fn name(&self) -> &str {
        "erofs"
    }

    fn renew(&mut self) -> anyhow::Result<f64> {
        self.unmount()?;
        self.images.iter().try_for_each(|image| machine::warm(image))?;
        let start = Instant::now();
        machine::mount_erofs(&self.images[0], &self.places[0])?;
        let seconds = start.elapsed().as_secs_f64();
        machine::mount_erofs(&self.images[1], &self.places[1])?;
        self.mounted = true;
        Ok(seconds)
    }

    fn folder(&self, snapshot: usize) -> PathBuf {
        self.places[snapshot].clone()
    }
}

impl Drop for Erofs {
    fn drop(&mut self) {
        let _ = self.unmount();
    }
}

/// Plain files.
pub struct Disk {
    name: String,
    folders: [PathBuf; 2],
}

impl Disk {
    /// Copies both snapshots out of a mount.
    ///
    /// # Errors
    /// When tar fails.
    pub fn copy(from: &dyn Trees, folders: [PathBuf; 2]) -> anyhow::Result<Self> {
        for (snapshot, folder) in folders.iter().enumerate() {
            fs::create_dir_all(folder)?;
            let script = "set -o pipefail; tar -C \"$0\" -cf - namespaces cluster | tar -C \"$1\" -xf -";
            let output = Command::new("bash").args(["-c", script]).args([&from.folder(snapshot), folder]).output()?;
            ensure!(output.status.success(), "cannot copy the files of a mount: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(Self { name: machine::file_system(&folders[0]), folders })
    }
}

impl Trees for Disk {
    fn name(&self) -> &str {
        &self.name
    }

    fn renew(&mut self) -> anyhow::Result<f64> {
        Ok(0.0)
    }

    fn folder(&self, snapshot: usize) -> PathBuf {
        self.folders[snapshot].clone()
    }

    fn cold(&self) -> Forget {
        Forget::Everything
    }
}

/// Seconds until the first byte of a file is there.
///
/// # Errors
/// When there is none.
pub fn first_byte(file: &Path) -> anyhow::Result<f64> {
    let start = Instant::now();
    fs::File::open(file).and_then(|mut file| file.read_exact(&mut [0])).with_context(|| format!("cannot read {}", file.display()))?;
    Ok(start.elapsed().as_secs_f64())
}
