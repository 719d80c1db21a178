//! Damage, and stores that fail or stall: an I/O error for what is hit, everything else readable, and never a hang.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use kstashfs::{FileOptions, Forest, MountOptions};
use kubestash::{
    repository::{
        Snapshot,
        prune::{Grace, PruneOptions},
    },
    store::faults::{Faults, Reads},
};
use kubestash_tests::{
    damage::damaged_pack,
    mounts::{Mounted, Place, script, sh, wait_for},
    sample::{PASSWORD, Sample, Shape},
};

/// The newest snapshot behind a store that fails on cue.
async fn behind(faults: &Faults, sample: &Sample) -> Snapshot {
    let repository = sample.open_with(PASSWORD, |store| store.with_faults(faults)).await;
    let root = repository.snapshots().await.unwrap().roots.pop().unwrap();
    repository.open_snapshot(&root).await.unwrap()
}

fn is_io_error(result: std::io::Result<Vec<u8>>) -> bool {
    result.is_err_and(|error| error.raw_os_error() == Some(libc::EIO))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_byte_costs_the_files_of_its_block() {
    let sample = Sample::with_snapshot(Shape::WIDE).await;
    let tree = tempfile::tempdir().unwrap();
    let snapshot = behind(&Faults::default(), &sample).await;
    Sample::write_tree(&snapshot, false, tree.path()).await;
    let (_, _, hit) = damaged_pack(&sample).await;

    let (place, user) = (Place::new(), sample.user(PASSWORD));
    user.ok(&["mount", place.text()]);
    for row in snapshot.catalog().rows() {
        let path = row.id().mount_path();
        let read = std::fs::read(place.path().join(&path));
        if hit.contains(&path) {
            assert!(is_io_error(read), "{path}");
        } else {
            assert_eq!(read.unwrap(), std::fs::read(tree.path().join(&path)).unwrap(), "{path}");
        }
    }
    // The damaged files are still there, with their sizes.
    assert_eq!(sh(place.path(), "find . -type f -printf '%p %s\\n' | sort"), sh(tree.path(), "find . -type f -printf '%p %s\\n' | sort"));
    let log = sh(user.home(), "cat .local/state/kubestash/mounts/*.log");
    let name = hit.iter().next().unwrap().rsplit('/').next().unwrap().trim_end_matches(".yaml");
    let line = log.lines().find(|line| line.contains("cannot read ") && line.contains(name));
    assert!(line.is_some_and(|line| line.contains("of snapshot one") && line.contains("is damaged")), "{log}");
    user.ok(&["umount", place.text()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_pack_is_an_error_of_its_files() {
    let sample = Sample::with_snapshot(Shape::SMALL).await;
    let snapshot = behind(&Faults::default(), &sample).await;
    let mounted = Mounted::new(Forest::of(&snapshot, FileOptions::default()), &MountOptions::default());
    std::fs::remove_dir_all(sample.native().join("packs")).unwrap();
    assert!(is_io_error(std::fs::read(mounted.path().join("cluster/namespaces/odd.yaml"))));
    assert!(!sh(mounted.path(), "ls -lR").is_empty());
    assert!(script(mounted.path(), "! grep -rq connection . && ls -R").status.success());
}

/// What is mounted is written again and the old blocks go; the kernel has seen some of the files, and the daemon none of the blocks of others.
#[tokio::test(flavor = "multi_thread")]
async fn a_prune_beneath_a_mount_is_not_noticed() {
    let sample = Sample::with_snapshot(Shape::WIDE).await;
    let one = sample.repository().newest().await.unwrap().unwrap();
    let two = sample.back_up_on(Some(&sample.repository().open_snapshot(&one).await.unwrap()), "two", 1).await;
    let tree = tempfile::tempdir().unwrap();
    Sample::write_tree(&two, false, tree.path()).await;
    let snapshot = behind(&Faults::default(), &sample).await;
    let mounted = Mounted::new(Forest::of(&snapshot, FileOptions::default()), &MountOptions::default());
    std::fs::read(mounted.path().join("namespaces/team-1/configmaps/configmaps-3.yaml")).unwrap();

    sample.repository().forget(one.id).await.unwrap();
    let options = PruneOptions { grace: Grace::NONE, max_unused: "0%".parse().unwrap(), ..PruneOptions::new(Timestamp::now()) };
    let report = sample.repository().prune(options, &mut |_, _, _| {}).await.unwrap();
    assert!(report.recut.snapshots == 1 && report.deleted.packs > 0, "{report:?}");

    assert_eq!(sh(mounted.path(), &format!("diff -r . {} && echo same", tree.path().display())), "same\n");
    assert_eq!(mounted.counts().errors, 0);
}

/// What is mounted is forgotten and pruned away: listings and what was read stay, the rest is an error and never something else.
#[tokio::test(flavor = "multi_thread")]
async fn a_forgotten_snapshot_ends_in_errors_of_its_files() {
    let sample = Sample::with_snapshot(Shape::SMALL).await;
    let snapshot = behind(&Faults::default(), &sample).await;
    let mounted = Mounted::new(Forest::of(&snapshot, FileOptions::default()), &MountOptions::default());
    let known = mounted.path().join("namespaces/team-1/configmaps/configmaps-3.yaml");
    let (before, tree) = (std::fs::read(&known).unwrap(), sh(mounted.path(), "find . -printf '%p %s\\n' | sort"));
    sample.repository().forget(snapshot.root().id).await.unwrap();
    assert!(std::fs::read_to_string(mounted.path().join("namespaces/team-2/pods/pods-7.yaml")).unwrap().contains("kind: Pod"), "nothing is gone yet");
    let options = PruneOptions { grace: Grace::NONE, ..PruneOptions::new(Timestamp::now()) };
    let report = sample.repository().prune(options, &mut |_, _, _| {}).await.unwrap();
    assert!(report.deleted.packs > 0, "{report:?}");
    assert_eq!(std::fs::read(&known).unwrap(), before);
    assert_eq!(sh(mounted.path(), "find . -printf '%p %s\\n' | sort"), tree);
    let unread = mounted.path().join("namespaces/team-3/things4.example.com/things4-7.yaml");
    assert!(is_io_error(std::fs::read(unread)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_fails_is_asked_again() {
    let (faults, sample) = (Faults::default(), Sample::with_snapshot(Shape::SMALL).await);
    let snapshot = behind(&faults, &sample).await;
    let mounted = Mounted::new(Forest::of(&snapshot, FileOptions::default()), &MountOptions::default());
    let file = mounted.path().join("namespaces/team-1/configmaps/configmaps-3.yaml");
    faults.reads(Reads::Fail);
    for _ in 0..3 {
        assert!(is_io_error(std::fs::read(&file)));
    }
    assert!(mounted.counts().errors >= 3);
    faults.reads(Reads::Late(Duration::from_millis(30)));
    assert!(std::fs::read_to_string(&file).unwrap().contains("kind: ConfigMap"));
    // What was read is in memory: the store may be gone.
    faults.reads(Reads::Fail);
    assert!(std::fs::read_to_string(&file).unwrap().contains("kind: ConfigMap"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_store_gives_the_same_bytes() {
    let (faults, sample) = (Faults::default(), Sample::with_snapshot(Shape::WIDE).await);
    let snapshot = behind(&faults, &sample).await;
    let tree = tempfile::tempdir().unwrap();
    Sample::write_tree(&snapshot, false, tree.path()).await;
    let slow = behind(&faults, &sample).await;
    faults.reads(Reads::Late(Duration::from_millis(20)));
    let mounted = Mounted::new(Forest::of(&slow, FileOptions::default()), &MountOptions::default());
    assert_eq!(sh(mounted.path(), &format!("diff -r . {}", tree.path().display())), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_stalls_keeps_nobody_for_ever() {
    let (faults, sample) = (Faults::default(), Sample::with_snapshot(Shape::SMALL).await);
    let snapshot = behind(&faults, &sample).await;
    let look = FileOptions { deadline: Duration::from_secs(2), ..FileOptions::default() };
    let mut mounted = Mounted::new(Forest::of(&snapshot, look), &MountOptions::default());
    let known = mounted.path().join("namespaces/team-1/configmaps/configmaps-3.yaml");
    std::fs::read(&known).unwrap();
    faults.reads(Reads::Stall);
    let (path, start) = (mounted.path().to_owned(), Instant::now());
    let readers: Vec<_> = (0..8)
        .map(|number| {
            let file = path.join(format!("namespaces/team-{}/deployments.apps/deployments-{number}.yaml", number % 4));
            std::thread::spawn(move || std::fs::read(file))
        })
        .collect();
    // Eight wait; listings and what is in memory go on.
    for _ in 0..20 {
        std::fs::read(&known).unwrap();
        assert!(path.join("namespaces/team-2/pods/pods-7.yaml").exists());
        std::fs::read(path.join("namespaces/team-1/configmaps/configmaps-4.yaml")).unwrap();
    }
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    for reader in readers {
        assert!(is_io_error(reader.join().unwrap()));
    }
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());

    let file = path.join("namespaces/team-3/pods/pods-1.yaml");
    let waiting = std::thread::spawn(move || std::fs::read(file));
    std::thread::sleep(Duration::from_millis(300));
    mounted.end();
    assert_eq!(kstashfs::state(mounted.path()), kstashfs::State::Free, "unmounted with a reader inside");
    assert!(waiting.join().unwrap().is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_stalls_hides_no_snapshot_for_ever() {
    let (faults, sample) = (Faults::default(), Sample::with_snapshot(Shape::SMALL).await);
    let repository = sample.open_with(PASSWORD, |store| store.with_faults(&faults)).await;
    let roots = repository.snapshots().await.unwrap().roots;
    let look = FileOptions { deadline: Duration::from_secs(1), ..FileOptions::default() };
    let mounted = Mounted::new(Forest::all(repository, roots, look), &MountOptions::default());
    faults.reads(Reads::Stall);
    // By now the list is old and is looked for, in vain: the one before is shown.
    std::thread::sleep(Duration::from_secs(4));
    let start = Instant::now();
    assert_eq!(sh(mounted.path(), "ls snapshots").trim(), "one");
    let entered = std::fs::read_dir(mounted.path().join("snapshots/one")).and_then(|mut entries| entries.next().transpose());
    assert_eq!(entered.unwrap_err().raw_os_error(), Some(libc::EIO));
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    faults.reads(Reads::Work);
    wait_for("the snapshot can be entered", Duration::from_secs(5), || mounted.path().join("snapshots/one/namespaces/odd").exists());
}
