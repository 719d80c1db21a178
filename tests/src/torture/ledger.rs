//! Files that the processes of the torture tell each other by: which snapshots were made, which ones may be gone, which one is being read.

use std::{
    collections::BTreeSet,
    fs::{File, create_dir_all, read_dir, read_to_string, remove_file, write},
    path::{Path, PathBuf},
};

/// The folder of these files.
#[derive(Debug, Clone)]
pub(super) struct Ledger(PathBuf);

/// Who holds it forgets no snapshot that somebody is about to read, and the other way round. It goes when its process goes.
pub(super) struct Held(#[expect(dead_code, reason = "only held")] File);

impl Ledger {
    pub(super) fn at(folder: &Path) -> anyhow::Result<Self> {
        for folder in ["made", "forgotten", "reading", "notes"].map(|name| folder.join(name)) {
            create_dir_all(folder)?;
        }
        Ok(Self(folder.to_owned()))
    }

    pub(super) fn hold(&self) -> anyhow::Result<Held> {
        let file = File::create(self.0.join("lock"))?;
        file.lock()?;
        Ok(Held(file))
    }

    fn mark(&self, folder: &str, name: &str) -> anyhow::Result<()> {
        Ok(write(self.0.join(folder).join(name), name)?)
    }

    fn marked(&self, folder: &str) -> anyhow::Result<BTreeSet<String>> {
        let entries = read_dir(self.0.join(folder))?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
        entries.collect()
    }

    /// Behind its commit.
    pub(super) fn made(&self, name: &str) -> anyhow::Result<()> {
        self.mark("made", name)
    }

    /// Before it is forgotten.
    pub(super) fn forget(&self, name: &str) -> anyhow::Result<()> {
        self.mark("forgotten", name)
    }

    /// The snapshots that must be there.
    pub(super) fn must_be_there(&self) -> anyhow::Result<BTreeSet<String>> {
        Ok(self.marked("made")?.difference(&self.marked("forgotten")?).cloned().collect())
    }

    /// Nobody forgets it from now on, until another one is read.
    pub(super) fn reads(&self, name: &str) -> anyhow::Result<()> {
        self.done_reading()?;
        self.mark("reading", name)
    }

    pub(super) fn done_reading(&self) -> anyhow::Result<()> {
        for name in self.marked("reading")? {
            remove_file(self.0.join("reading").join(name))?;
        }
        Ok(())
    }

    pub(super) fn being_read(&self) -> anyhow::Result<BTreeSet<String>> {
        self.marked("reading")
    }

    /// Adds to a number that the summary tells.
    pub(super) fn count(&self, what: &str, more: u64) -> anyhow::Result<()> {
        let _held = self.hold()?;
        Ok(write(self.0.join("notes").join(what), (self.counted(what) + more).to_string())?)
    }

    /// Such a number; 0 where nobody added to it, or was killed while he wrote it.
    pub(super) fn counted(&self, what: &str) -> u64 {
        read_to_string(self.0.join("notes").join(what)).ok().and_then(|text| text.parse().ok()).unwrap_or_default()
    }
}
