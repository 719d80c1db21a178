//! Ten times as many objects: the same cluster again and again under other names, as ten clusters of its size would be.
//!
//! The objects are poured into a repository from files by a process of their own, as no API server of this size fits on a small machine:
//! what is measured is all that a backup does behind its lists.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader, BufWriter, Write as _},
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use anyhow::{Context as _, ensure};
use jiff::Timestamp;
use kubestash::{
    api::NATIVE_PATH,
    object::KindInfo,
    repository::{BackupOptions, ClusterId, CommitInfo, KeyCost, Password, Repository},
    store::{Location, StoreOptions},
};

use super::{
    corpus_store::listed,
    figure::{Figure, Target},
    machine, process,
    stage::Stage,
    trees::Daemon,
};
use crate::program::User;

/// How often each object is there.
const COPIES: u32 = 10;
/// Stands in the files where the number of the copy belongs.
const COPY: &str = "@copy@";
const PASSWORD: &str = "measured";
const SNAPSHOTS: [&str; 2] = ["first", "second"];
const BACKUP_MIB: f64 = 128.0;
const MOUNT_MIB: f64 = 512.0;
const READY_SECONDS: f64 = 1.5;
const MB: f64 = 1e6;

/// Makes this process a backup of objects that lie in files: the benchmark starts itself with it, to measure memory.
#[derive(Debug, clap::Args)]
pub struct Pour {
    /// Folder of the objects, one file a kind: its description, then one object a line
    #[arg(long, value_name = "FOLDER", hide = true, requires = "into")]
    pour: Option<PathBuf>,
    /// Folder of the repository; it is made if it is missing
    #[arg(long, value_name = "FOLDER", hide = true)]
    into: Option<PathBuf>,
    /// Name of the snapshot
    #[arg(long, value_name = "NAME", hide = true, default_value = "first")]
    as_snapshot: String,
}

impl Pour {
    /// Backs up, if that is what this process is for; tells whether it was.
    ///
    /// # Errors
    /// When files cannot be read or the repository cannot be written.
    pub fn run(&self) -> anyhow::Result<bool> {
        let (Some(folder), Some(target)) = (&self.pour, &self.into) else { return Ok(false) };
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        // Where the commands look for it that read it afterwards.
        let store =
            Location::parse(target.to_str().context("the folder's name is not UTF-8")?)?.open(&StoreOptions::default(), true)?.sub(NATIVE_PATH);
        let password = Password::new(PASSWORD);
        let repository = match target.join(NATIVE_PATH).join("config").exists() {
            true => runtime.block_on(Repository::open(store, &password))?,
            false => runtime.block_on(Repository::init(store, &password, KeyCost::default(), "bench", Timestamp::now()))?,
        };
        let parent = runtime.block_on(repository.newest())?;
        let writer = runtime.block_on(repository.backup(BackupOptions { parent, ..BackupOptions::default() }))?;
        let mut files: Vec<PathBuf> = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
        files.sort();
        for file in files {
            let info: KindInfo = serde_json::from_str(first_line(&file)?.trim_end())?;
            let mut kind = writer.kind(&info);
            for copy in 0..COPIES {
                let mut line = String::new();
                let mut lines = BufReader::new(File::open(&file)?);
                lines.read_line(&mut line)?;
                loop {
                    line.clear();
                    if lines.read_line(&mut line)? == 0 {
                        break;
                    }
                    let object = line.replacen(COPY, &copy.to_string(), 3);
                    let mut parts = object.trim_end().splitn(3, '\t');
                    let (namespace, name) = (parts.next().unwrap_or_default(), parts.next().context("a line holds no name")?);
                    let json = parts.next().context("a line holds no object")?;
                    kind.push(Some(namespace).filter(|namespace| !namespace.is_empty()), name, json.as_bytes())?;
                }
            }
            kind.finish()?;
        }
        let cluster = ClusterId { uid: "corpus".to_owned(), name: "corpus".to_owned(), server_version: String::new() };
        runtime.block_on(writer.commit(CommitInfo { cluster, ..CommitInfo::new(&self.as_snapshot, Timestamp::now()) }))?;
        Ok(true)
    }
}

fn first_line(file: &Path) -> anyhow::Result<String> {
    let mut line = String::new();
    BufReader::new(File::open(file)?).read_line(&mut line)?;
    Ok(line)
}

/// Writes the objects of one state of the corpus, sorted as an API server lists them. Names of namespaces, and those of objects without one,
/// begin with the number of the copy.
fn write_objects(stage: &Stage, revision: u32, folder: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(folder)?;
    for (kind, (info, items)) in listed(&stage.corpus().at_revision(revision)) {
        let mut file = BufWriter::new(File::create(folder.join(kind.replace('/', "_")))?);
        writeln!(file, "{}", serde_json::to_string(&info)?)?;
        for item in items.values() {
            let mut object: serde_json::Value = serde_json::from_str(&item.json)?;
            let (namespace, name) = match &item.namespace {
                Some(namespace) => (format!("c{COPY}-{namespace}"), item.name.clone()),
                None => (String::new(), format!("c{COPY}-{}", item.name)),
            };
            object["metadata"]["name"] = name.as_str().into();
            if item.namespace.is_some() {
                object["metadata"]["namespace"] = namespace.as_str().into();
            }
            writeln!(file, "{namespace}\t{name}\t{object}")?;
        }
        file.flush()?;
    }
    Ok(())
}

/// `million.*`.
///
/// # Errors
/// When a backup or a mount fails, or objects are missing.
pub fn figures(stage: &Stage) -> anyhow::Result<Vec<Figure>> {
    let repository = stage.path("million");
    let own = std::env::current_exe()?;
    let mut backups = Vec::new();
    let mut sizes = Vec::new();
    for (revision, snapshot) in (0..).zip(SNAPSHOTS) {
        let folder = stage.path("million-objects");
        write_objects(stage, revision, &folder)?;
        let mut command = Command::new(&own);
        command.arg("--pour").arg(&folder).arg("--into").arg(&repository).args(["--as-snapshot", snapshot]);
        let used = process::run(&mut command)?.expect("the backup", &[0])?;
        stage.say(&format!("million: {snapshot} took {:.0} s and {:.0} MiB", used.seconds, used.peak_mib));
        sizes.push(machine::bytes_below(&repository)? as f64 / MB);
        backups.push(used);
        fs::remove_dir_all(&folder)?;
    }
    let user = User::new().variable("KUBESTASH_REPO", &repository.to_string_lossy()).variable("KUBESTASH_PASSWORD", PASSWORD);
    let objects = stage.corpus().len() * COPIES as usize;
    let mounted = mounted(&user, &repository, &stage.path("million-mount"), objects)?;
    let diff = process::run(&mut user.command(&["diff", SNAPSHOTS[0], SNAPSHOTS[1], "--stat"]))?.expect("diff", &[0, 1])?;
    ensure!(diff.code == 1, "two different snapshots have no difference");

    let size = stage.size();
    let note = format!("{objects} objects; all behind the lists of a backup, from files");
    Ok(vec![
        Figure::cost("million.backup_rss", backups[0].peak_mib, "MiB").aims_at_in(size, Target::Value(BACKUP_MIB)).noting(note),
        Figure::cost("million.backup", backups[0].seconds, "s"),
        Figure::cost("million.second_rss", backups[1].peak_mib, "MiB").aims_at_in(size, Target::Value(BACKUP_MIB)),
        Figure::cost("million.second", backups[1].seconds, "s"),
        Figure::cost("million.size", sizes[0], "MB"),
        Figure::cost("million.second_size", sizes[1] - sizes[0], "MB"),
        Figure::cost("million.mount_ready", mounted.ready, "s").aims_at_in(size, Target::Value(READY_SECONDS)),
        Figure::cost("million.mount_rss", mounted.peak_mib, "MiB")
            .aims_at_in(size, Target::Value(MOUNT_MIB))
            .noting("after find over all files and grep over those of one copy"),
        Figure::cost("million.find", mounted.find, "s"),
        Figure::cost("million.diff_rss", diff.peak_mib, "MiB").aims_at_in(size, Target::Value(MOUNT_MIB)),
        Figure::cost("million.diff", diff.seconds, "s"),
    ])
}

/// What a mount of the first snapshot took.
struct Mounted {
    ready: f64,
    find: f64,
    peak_mib: f64,
}

fn mounted(user: &User, repository: &Path, place: &Path, objects: usize) -> anyhow::Result<Mounted> {
    fs::create_dir_all(place)?;
    machine::warm(repository)?;
    let start = Instant::now();
    let daemon = Daemon::start(user, SNAPSHOTS[0], place, false)?;
    let ready = start.elapsed().as_secs_f64();
    let find = process::run(Command::new("sh").args(["-c", "find namespaces cluster -type f | wc -l"]).current_dir(place))?.expect("find", &[0])?;
    ensure!(find.out.trim() == objects.to_string(), "the mount shows {} files of {objects}", find.out.trim());
    let grep = "grep -r -c nomatch namespaces/c0-* | wc -l";
    process::run(Command::new("sh").args(["-c", grep]).current_dir(place))?.expect("grep", &[0])?;
    Ok(Mounted { ready, find: find.seconds, peak_mib: daemon.peak_mib().context("the mount's memory is not known")? })
}
