//! Processes at work in one repository on a real S3 server, as machines are: two back up, one forgets and prunes, one mounts and reads. All of them are
//! killed at random moments. What each snapshot holds follows from its name, so that everybody can tell whether it is right.
//!
//! ```text
//! run ─┬─ torture backup 0 ─┐
//!      ├─ torture backup 1 ─┼─▶ bucket        ledger: which snapshots were made, which ones may go, which one is being read
//!      ├─ torture prune ────┤
//!      └─ torture read ─────┘
//! ```
//! The clock of the one who prunes is in a hurry: a grace time of a day is over in less than a minute.

mod content;
mod ledger;
mod roles;
mod run;

use std::path::PathBuf;

use jiff::{SignedDuration, Timestamp};
use kubestash::{
    repository::{Password, Repository, RepositoryError},
    store::{Credentials, Location, Provider, StoreOptions},
};

pub use run::{Summary, run};

/// Opens the repository of the torture.
const PASSWORD: &str = "of the torture";
/// What a second is to the one who prunes, in seconds: 24 hours are 40 seconds, a lock's hour is less than two.
const HURRY: i32 = 2160;

/// What a process of the torture has to know.
#[derive(Debug, Clone, clap::Args)]
pub struct Place {
    /// Where the S3 server listens
    #[arg(long)]
    endpoint: String,
    /// Folder of the ledger
    #[arg(long)]
    ledger: PathBuf,
    /// When the torture began
    #[arg(long)]
    began: Timestamp,
    /// The program that mounts
    #[arg(long)]
    program: PathBuf,
}

/// Part of a process in it.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum Role {
    /// Backs up, again and again
    Backup {
        /// Which of the clusters
        cluster: u64,
        /// Where all of them work
        #[command(flatten)]
        place: Place,
    },
    /// Forgets and prunes
    Prune {
        /// Where all of them work
        #[command(flatten)]
        place: Place,
    },
    /// Mounts and reads
    Read {
        /// Where all of them work
        #[command(flatten)]
        place: Place,
    },
}

impl Role {
    /// Does its part until somebody kills it.
    ///
    /// # Errors
    /// Whatever must not happen: an error that is not one of the known outcomes, or content that is wrong.
    pub fn play(&self) -> anyhow::Result<()> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        runtime.block_on(async {
            match self {
                Self::Backup { cluster, place } => roles::back_up(*cluster, place).await,
                Self::Prune { place } => roles::prune(place).await,
                Self::Read { place } => roles::read(place).await,
            }
        })
    }
}

impl Place {
    /// The storage that `--repo` names.
    fn repo() -> &'static str {
        "s3://bucket/torture"
    }

    async fn open(&self) -> Result<Repository, RepositoryError> {
        let credentials = Credentials::AccessKey { id: "testkey".to_owned(), secret: "testsecret".to_owned(), session_token: None };
        let options = StoreOptions { endpoint: Some(self.endpoint.clone()), credentials, ..StoreOptions::default() };
        let native = format!("torture/cluster-resources/{}", kubestash::api::NATIVE_PATH);
        let store = Location::bucket(Provider::S3, "bucket", &native).and_then(|location| location.open(&options, true));
        Repository::open(store.unwrap(), &Password::new(PASSWORD)).await
    }

    /// The time of the one who prunes.
    fn hurried(&self) -> Timestamp {
        let passed: SignedDuration = Timestamp::now().duration_since(self.began);
        self.began + passed * HURRY
    }
}
