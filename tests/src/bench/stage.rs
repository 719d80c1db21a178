//! What groups of figures share: the options, a folder to work in, and a repository with two snapshots of a loaded cluster.

use std::{
    cell::OnceCell,
    io::Write as _,
    path::{Path, PathBuf},
};

use tokio::runtime::Runtime;

use super::{backup::Backups, figure::Size};
use crate::{corpus::Corpus, watchdog::Watchdog};

/// What was asked for.
#[derive(Debug, Clone)]
pub struct Options {
    /// Objects in the cluster.
    pub objects: usize,
    /// Rounds of each measurement; figures are medians.
    pub rounds: usize,
    /// Seed of the corpus.
    pub seed: String,
    /// Keep the loaded cluster's data for the next run.
    pub keep: bool,
}

/// The place where everything happens. Its folder goes with it, with whatever is mounted in it.
#[derive(Debug)]
pub struct Stage {
    /// What was asked for.
    pub options: Options,
    folder: tempfile::TempDir,
    runtime: Runtime,
    backups: OnceCell<Backups>,
    _watchdog: Watchdog,
}

impl Stage {
    /// Makes the folder, on the disk that holds `beside`.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn new(options: Options, beside: &Path) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("bench-").tempdir_in(beside)?;
        let end = "grep -o \" $1/[^ ]*\" /proc/mounts | xargs -r umount -l; rm -rf \"$1\"";
        let watchdog = Watchdog::start(end, folder.path());
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        Ok(Self { options, folder, runtime, backups: OnceCell::new(), _watchdog: watchdog })
    }

    /// A path in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs what is asynchronous.
    pub fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// The objects that the cluster is loaded with.
    pub fn corpus(&self) -> Corpus {
        Corpus::new(self.options.objects, &self.options.seed)
    }

    /// How large this run is.
    pub fn size(&self) -> Size {
        Size(self.options.objects)
    }

    /// Tells what is going on.
    pub fn say(&self, text: &str) {
        let _ = writeln!(std::io::stderr(), "bench: {text}");
    }

    /// The backups, made and timed the first time they are asked for.
    ///
    /// # Errors
    /// When the cluster cannot be loaded or a backup is not complete.
    pub fn backups(&self) -> anyhow::Result<&Backups> {
        match self.backups.get() {
            Some(made) => Ok(made),
            None => {
                let made = Backups::make(self)?;
                Ok(self.backups.get_or_init(|| made))
            }
        }
    }
}
