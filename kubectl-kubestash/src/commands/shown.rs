//! What `mount`, `serve` and `export` show of snapshots, and how.

use std::time::Duration;

use clap::Args;
use kstashfs::{FileOptions, Forest};
use kubestash::{
    collect::Filters,
    repository::{Repository, Root, Snapshot},
    restore::SnapshotFilter,
};

use super::backup::{FilterArgs, live};
use crate::cli::{CliContext, output::count, repo::OpenRepository, snapshots::LIVE};

/// What of each snapshot, and how its files look.
#[derive(Debug, Args)]
pub struct ShownArgs {
    /// Secrets without their values: keys and lengths only
    #[arg(long)]
    pub hide_secrets: bool,
    #[command(flatten)]
    pub filters: FilterArgs,
    /// Objects to take, by names or globs of names; may be repeated
    #[arg(long = "name", value_name = "GLOB", help_heading = "What to take")]
    pub names: Vec<String>,
    /// Seconds that a reader waits for the store before it gets an I/O error
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    pub timeout: u64,
}

/// The same, understood.
pub struct Shown {
    filters: Filters,
    filter: SnapshotFilter,
    look: FileOptions,
}

impl ShownArgs {
    /// Reads the arguments; `full` shows whole objects.
    ///
    /// # Errors
    /// For a filter that says nothing.
    pub fn understood(&self, full: bool, context: &CliContext) -> anyhow::Result<Shown> {
        let filters = self.filters.filters(context);
        let filter = SnapshotFilter::new(&filters, &self.names)?;
        let look = FileOptions { full, hide_secrets: self.hide_secrets, deadline: Duration::from_secs(self.timeout.max(1)) };
        Ok(Shown { filters, filter, look })
    }
}

impl Shown {
    /// How files look.
    pub const fn look(&self) -> FileOptions {
        self.look
    }

    /// What is shown of a snapshot, or of the cluster as it is now.
    ///
    /// # Errors
    /// When there is no such snapshot, it cannot be opened, or nothing of it is left.
    pub async fn snapshot(&self, wanted: &str, open: &OpenRepository, context: &CliContext) -> anyhow::Result<Snapshot> {
        let whole = if wanted == LIVE {
            live(&context.cluster().await?, &self.filters, Vec::new(), &open.repository, true).await?
        } else {
            open.repository.open_snapshot(&open.snapshot(context, wanted).await?).await?
        };
        let snapshot = self.filter.of(&whole).await?;
        self.filter.check(whole.catalog(), snapshot.catalog())?;
        Ok(snapshot)
    }

    /// A snapshot, or with nothing `wanted` all of them; and how to call that.
    ///
    /// # Errors
    /// As [`Shown::snapshot`].
    pub async fn forest(self, wanted: Option<&str>, open: &OpenRepository, context: &CliContext) -> anyhow::Result<(Forest, String)> {
        let Some(wanted) = wanted else {
            let roots = open.list(context).await?.roots;
            self.check_all(&roots, &open.repository, context).await?;
            let what = count(roots.len() as u64, "snapshot");
            return Ok((Forest::all(open.repository.clone(), roots, self.look).filtered(self.filter), what));
        };
        let snapshot = self.snapshot(wanted, open, context).await?;
        let what = format!("{}, {}", snapshot.root().name, count(snapshot.catalog().len().into(), "object"));
        Ok((Forest::of(&snapshot, self.look), what))
    }

    /// Whether there is something to show in the newest snapshot, or may be in others: those are opened when somebody looks into them.
    async fn check_all(&self, roots: &[Root], repository: &Repository, context: &CliContext) -> anyhow::Result<()> {
        let (Some(newest), false) = (roots.last(), self.filter.is_everything()) else { return Ok(()) };
        let whole = repository.open_snapshot(newest).await?;
        self.filter.check_all(Some(whole.catalog()), roots)?;
        let shown = self.filter.of(&whole).await?;
        if let Err(nothing) = self.filter.check(whole.catalog(), shown.catalog()) {
            context.note(&format!("warning: of the newest snapshot, {}, nothing is shown: {nothing}\n{}", newest.name, nothing.hint()));
        }
        Ok(())
    }
}
