//! Starts the processes, kills them at random moments, and looks what is left.

use std::{
    fs::File,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use kubestash::{
    repository::{CheckDepth, Repository, prune::PruneOptions},
    store::faults::Random,
};

use super::{
    PASSWORD, Place,
    ledger::Ledger,
    roles::{assert_holds, snapshots},
};
use crate::{
    program::{User, programs},
    s3::S3Server,
};

/// What happened.
#[derive(Debug)]
pub struct Summary {
    /// Snapshots that were made.
    pub snapshots: u64,
    /// Backups that a prune was quicker than.
    pub overtaken: u64,
    /// Prunes that ended.
    pub prunes: u64,
    /// Packs that prunes deleted.
    pub deleted: u64,
    /// Snapshots that were read whole, most of them in a mount.
    pub read: u64,
    /// Processes that were killed.
    pub killed: u64,
}

struct Process<'a> {
    role: &'static [&'static str],
    place: &'a Place,
    child: Child,
    log: std::path::PathBuf,
}

impl<'a> Process<'a> {
    fn start(role: &'static [&'static str], program: &Path, place: &'a Place) -> Self {
        let log = place.ledger.join(format!("{}.log", role.join("-")));
        let file = File::options().create(true).append(true).open(&log).unwrap();
        let mut command = Command::new(program);
        command.args(role).args(["--endpoint", &place.endpoint, "--began", &place.began.to_string()]);
        command.arg("--ledger").arg(&place.ledger).arg("--program").arg(&place.program);
        let child = command.stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file).spawn().unwrap();
        Self { role, place, child, log }
    }

    /// It never ends by itself, unless something is wrong.
    fn assert_alive(&mut self) {
        if let Some(status) = self.child.try_wait().unwrap() {
            panic!("{:?}: {status}\n{}", self.role, std::fs::read_to_string(&self.log).unwrap());
        }
    }

    fn kill(&mut self) {
        self.assert_alive();
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn start_again(&mut self, program: &Path) {
        self.kill();
        *self = Self::start(self.role, program, self.place);
    }
}

impl Drop for Process<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Tortures a repository for so long. `program` is the one that plays the roles.
///
/// # Panics
/// When a process meets what must not be, a snapshot that was made and not forgotten is gone, or anything in one is wrong.
pub fn run(longest: Duration, seed: u64, program: &Path) -> Summary {
    let (server, folder) = (S3Server::start(), tempfile::tempdir().unwrap());
    let place = Place {
        endpoint: server.endpoint(),
        ledger: folder.path().to_owned(),
        began: Timestamp::now(),
        program: programs().join("kubectl-kubestash"),
    };
    let (_, variables) = server.settings("torture");
    let user = variables.iter().fold(User::new(), |user, (name, value)| user.variable(name, value));
    let user = user.variable("KUBESTASH_REPO", Place::repo()).variable("KUBESTASH_PASSWORD", PASSWORD);
    user.ok(&["repo", "init"]);
    let ledger = Ledger::at(&place.ledger).unwrap();

    let roles: [&[&str]; 4] = [&["backup", "0"], &["backup", "1"], &["prune"], &["read"]];
    let mut processes = roles.map(|role| Process::start(role, program, &place));
    let (mut random, mut killed, start) = (Random::new(seed), 0, Instant::now());
    while start.elapsed() < longest {
        let pause = Duration::from_millis(2_000 + random.below(6_000)).min(longest.saturating_sub(start.elapsed()));
        std::thread::sleep(pause);
        processes.iter_mut().for_each(Process::assert_alive);
        if let Some(process) = processes.get_mut(random.below(6) as usize) {
            process.start_again(program);
            killed += 1;
        }
    }
    processes.iter_mut().for_each(Process::kill);
    drop(processes);

    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        assert_whole(&place.open().await.unwrap(), &ledger).await;
        // What a prune was killed at the next one sets right.
        prune_later(&place, 2).await;
        let repository = place.open().await.unwrap();
        let report = repository.check(CheckDepth::Data, &mut |_, _| {}).await.unwrap();
        assert!(report.errors.is_empty(), "{report:?}");
        assert_whole(&repository, &ledger).await;
        assert_empties(&place).await;
    });
    let counted = |what: &str| ledger.counted(what);
    Summary {
        snapshots: counted("snapshots"),
        overtaken: counted("overtaken"),
        prunes: counted("prunes"),
        deleted: counted("packs deleted"),
        read: counted("snapshots read"),
        killed,
    }
}

/// All snapshots that were made and not forgotten are there, and each holds what it must.
async fn assert_whole(repository: &Repository, ledger: &Ledger) {
    let all = snapshots(repository).await.unwrap();
    let mut missing = ledger.must_be_there().unwrap();
    for (made, root) in &all {
        missing.remove(&root.name);
        assert_holds(repository, *made, root).await.unwrap();
    }
    assert!(missing.is_empty(), "lost: {missing:?}");
}

/// So many prunes, each a day after the one before and longer after the last lock.
async fn prune_later(place: &Place, times: i32) {
    for day in 1..=times {
        let now = place.hurried() + jiff::SignedDuration::from_hours(26) * day;
        place.open().await.unwrap().prune(PruneOptions::new(now), &mut |_, _, _| {}).await.unwrap();
    }
}

/// When all is forgotten nothing of it stays.
async fn assert_empties(place: &Place) {
    let repository = place.open().await.unwrap();
    for (_, root) in snapshots(&repository).await.unwrap() {
        repository.forget(root.id).await.unwrap();
    }
    // The clock goes on where the prunes before ended.
    let later = Place { began: place.began, ..place.clone() };
    for day in 4..8 {
        let now = later.hurried() + jiff::SignedDuration::from_hours(26) * day;
        later.open().await.unwrap().prune(PruneOptions::new(now), &mut |_, _, _| {}).await.unwrap();
    }
    let report = place.open().await.unwrap().check(CheckDepth::Data, &mut |_, _| {}).await.unwrap();
    assert!(report.errors.is_empty() && report.packs + report.trashed_packs + report.unreferenced_packs == 0, "{report:?}");
}
