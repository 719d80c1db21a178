//! The same files several times: mounted by kstashfs, in images of the kernel's read-only file systems, plain on the disk, and mounted by
//! restic.

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
    machine::{self, Forget, ImageKind},
    process::{self, peak_kib},
};
use crate::program::User;

/// How long a mount may take to end.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long restic may take to show its snapshots.
const RESTIC_PATIENCE: Duration = Duration::from_secs(60);

/// Both snapshots as folders with `namespaces/` and `cluster/`.
pub trait Trees {
    /// `kstashfs`, `kstashfs-full`, `erofs`, `squashfs`, `restic`, or the disk's file system.
    fn name(&self) -> &str;

    /// Whether it takes part in a figure in this round, counted from 1. Others show other bytes, or would take minutes.
    fn takes_part(&self, _figure: &str, _round: usize) -> bool {
        true
    }

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
    /// Whole objects instead of manifests.
    full: bool,
    repository: PathBuf,
    places: [PathBuf; 2],
    daemons: Vec<Daemon>,
    peak_mib: f64,
}

impl<'a> Kstashfs<'a> {
    /// Nothing is mounted yet.
    ///
    /// # Errors
    /// When folders cannot be made.
    pub fn new(user: &'a User, repository: &Path, places: [PathBuf; 2], full: bool) -> anyhow::Result<Self> {
        for place in &places {
            fs::create_dir_all(place)?;
        }
        Ok(Self { user, full, repository: repository.to_owned(), places, daemons: Vec::new(), peak_mib: 0.0 })
    }

    fn note_peak(&mut self) {
        let peaks = self.daemons.iter().filter_map(Daemon::peak_mib);
        self.peak_mib = peaks.fold(self.peak_mib, f64::max);
    }
}

impl Trees for Kstashfs<'_> {
    fn name(&self) -> &str {
        if self.full { "kstashfs-full" } else { "kstashfs" }
    }

    fn takes_part(&self, figure: &str, _round: usize) -> bool {
        // Two whole objects differ where their manifests do not, so `diff` says something else.
        !self.full || figure != "diff"
    }

    fn renew(&mut self) -> anyhow::Result<f64> {
        self.note_peak();
        self.daemons.clear();
        machine::warm(&self.repository)?;
        let start = Instant::now();
        let mut seconds = None;
        for (snapshot, place) in SNAPSHOTS.iter().zip(&self.places) {
            self.daemons.push(Daemon::start(self.user, snapshot, place, self.full)?);
            seconds.get_or_insert(start.elapsed().as_secs_f64());
        }
        Ok(seconds.unwrap_or_default())
    }

    fn folder(&self, snapshot: usize) -> PathBuf {
        self.places[snapshot].clone()
    }

    fn peak_mib(&self) -> Option<f64> {
        Some(self.daemons.iter().filter_map(Daemon::peak_mib).fold(self.peak_mib, f64::max))
    }
}

/// One mount in the foreground of its own process; dropping it unmounts.
pub(super) struct Daemon {
    child: Child,
    place: PathBuf,
}

impl Daemon {
    /// Mounts, and waits until it is there.
    pub(super) fn start(user: &User, snapshot: &str, place: &Path, full: bool) -> anyhow::Result<Self> {
        let place_text = place.to_str().context("the folder's name is not UTF-8")?;
        let mut command = user.command(&["mount", snapshot, place_text, "--foreground"]);
        command.args(full.then_some("--full"));
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

impl Daemon {
    /// The most memory it was resident with until now.
    pub(super) fn peak_mib(&self) -> Option<f64> {
        Some(peak_kib(self.child.id())? as f64 / 1024.0)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        end(&mut self.child, &self.place);
    }
}

/// Ends the process of a mount, kindly at first.
fn end(child: &mut Child, place: &Path) {
    // SAFETY: the process is our child and was not waited for, so the id is still its own.
    unsafe { libc::kill(child.id() as libc::pid_t, libc::SIGINT) };
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        if matches!(child.try_wait(), Ok(Some(_))) {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let _ = Command::new("umount").arg("-l").arg(place).status();
    let _ = child.kill();
    let _ = child.wait();
}

/// Images in a read-only file system of the kernel. EROFS is the ceiling for anything that shows such files.
pub struct Images {
    kind: ImageKind,
    images: [PathBuf; 2],
    places: [PathBuf; 2],
    mounted: bool,
}

impl Images {
    /// Makes images of two folders.
    ///
    /// # Errors
    /// In the words of the program that makes them.
    pub fn make(kind: ImageKind, of: &Disk, images: [PathBuf; 2], places: [PathBuf; 2]) -> anyhow::Result<Self> {
        for ((image, place), folder) in images.iter().zip(&places).zip(&of.folders) {
            fs::create_dir_all(place)?;
            machine::make_image(kind, image, folder)?;
        }
        Ok(Self { kind, images, places, mounted: false })
    }

    fn unmount(&mut self) -> anyhow::Result<()> {
        if std::mem::take(&mut self.mounted) {
            self.places.iter().try_for_each(|place| machine::unmount(place))?;
        }
        Ok(())
    }
}

impl Trees for Images {
    fn name(&self) -> &str {
        self.kind.name()
    }

    fn renew(&mut self) -> anyhow::Result<f64> {
        self.unmount()?;
        self.images.iter().try_for_each(|image| machine::warm(image))?;
        let start = Instant::now();
        machine::mount_image(self.kind, &self.images[0], &self.places[0])?;
        let seconds = start.elapsed().as_secs_f64();
        machine::mount_image(self.kind, &self.images[1], &self.places[1])?;
        self.mounted = true;
        Ok(seconds)
    }

    fn folder(&self, snapshot: usize) -> PathBuf {
        self.places[snapshot].clone()
    }
}

impl Drop for Images {
    fn drop(&mut self) {
        let _ = self.unmount();
    }
}

/// Both folders in a restic repository, mounted by restic.
pub struct Restic {
    /// Repository, cache and mount point lie here.
    folder: PathBuf,
    /// Ids of the snapshots.
    snapshots: [String; 2],
    daemon: Option<Child>,
}

impl Restic {
    /// Backs two folders up.
    ///
    /// # Errors
    /// In restic's words.
    pub fn back_up(of: &Disk, folder: PathBuf) -> anyhow::Result<Self> {
        fs::create_dir_all(folder.join("mount"))?;
        let mut own = Self { folder, snapshots: Default::default(), daemon: None };
        process::run(own.command().args(["init", "--repository-version", "2"]))?.expect("restic init", &[0])?;
        for (at, folder) in of.folders.iter().enumerate() {
            let backup = process::run(own.command().args(["backup", "--json", "."]).current_dir(folder))?.expect("restic backup", &[0])?;
            let summary: serde_json::Value = serde_json::from_str(backup.out.lines().last().unwrap_or_default())?;
            own.snapshots[at] = summary["snapshot_id"].as_str().context("restic tells no id of a snapshot")?.to_owned();
        }
        Ok(own)
    }

    fn command(&self) -> Command {
        let mut command = Command::new("restic");
        command.arg("--repo").arg(self.folder.join("repository")).arg("--cache-dir").arg(self.folder.join("cache"));
        command.env("RESTIC_PASSWORD", "measured");
        command
    }

    fn unmount(&mut self) {
        let Some(mut daemon) = self.daemon.take() else { return };
        end(&mut daemon, &self.folder.join("mount"));
    }
}

impl Trees for Restic {
    fn name(&self) -> &str {
        "restic"
    }

    fn takes_part(&self, figure: &str, round: usize) -> bool {
        round == 1 && matches!(figure, "ls" | "grep_cold")
    }

    fn renew(&mut self) -> anyhow::Result<f64> {
        self.unmount();
        let start = Instant::now();
        let place = self.folder.join("mount");
        self.daemon =
            Some(self.command().arg("mount").arg(&place).stdout(Stdio::null()).stderr(Stdio::null()).spawn().context("cannot start restic")?);
        while !self.folder(1).join("namespaces").exists() {
            ensure!(start.elapsed() < RESTIC_PATIENCE, "restic does not mount its repository");
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(start.elapsed().as_secs_f64())
    }

    fn folder(&self, snapshot: usize) -> PathBuf {
        let id = self.snapshots[snapshot].get(..8).unwrap_or_default();
        self.folder.join("mount/ids").join(id)
    }
}

impl Drop for Restic {
    fn drop(&mut self) {
        self.unmount();
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
