//! How often the kernel has to ask: free of noise, and what speed comes from.

use kstashfs::{FileOptions, Forest, MountOptions, counters::Counts};
use kubestash::repository::DiskCache;
use kubestash_tests::{
    mounts::{Mounted, sh},
    sample::{PASSWORD, Sample, Shape},
};

async fn mounted(shape: Shape, options: &MountOptions) -> (Sample, Mounted) {
    let sample = Sample::with_snapshot(shape).await;
    let root = sample.repository().snapshots().await.unwrap().roots.pop().unwrap();
    let snapshot = sample.repository().open_snapshot(&root).await.unwrap();
    let mounted = Mounted::new(Forest::of(&snapshot, FileOptions::default()), options);
    (sample, mounted)
}

/// What a command costs.
fn cost(mounted: &Mounted, command: &str) -> Counts {
    let before = mounted.counts();
    sh(mounted.path(), command);
    let after = mounted.counts();
    Counts {
        lookup: after.lookup - before.lookup,
        getattr: after.getattr - before.getattr,
        open: after.open - before.open,
        opendir: after.opendir - before.opendir,
        readdirplus: after.readdirplus - before.readdirplus,
        read: after.read - before.read,
        pushed: after.pushed - before.pushed,
        errors: after.errors - before.errors,
    }
}

/// What a command costs once the kernel knows everything. It may forget at any time, as when somebody else on this machine needs its
/// memory; then the command is run again.
fn warm_cost(mounted: &Mounted, command: &str) -> Counts {
    let costs = (0..4).map(|_| cost(mounted, command));
    costs.min_by_key(|cost| cost.read + cost.lookup + cost.getattr + cost.readdirplus).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cold_grep_reads_few_files_and_a_warm_one_asks_nothing() {
    let (_sample, mounted) = mounted(Shape::WIDE, &MountOptions::default()).await;
    let grep = "grep -r -c nomatch . | wc -l";
    let cold = cost(&mounted, grep);
    let files: u64 = sh(mounted.path(), "find . -type f | wc -l").trim().parse().unwrap();
    assert!(files > 4_800, "{files}");
    assert_eq!((cold.lookup, cold.open, cold.opendir, cold.errors), (0, 1, 1, 0), "{cold:?}");
    assert!(cold.getattr <= 1, "{cold:?}");
    assert!(cold.read * 100 <= files * 8, "{} of {files} files were read one by one: {cold:?}", cold.read);
    assert!(cold.read + cold.pushed >= files, "{cold:?}");
    for command in [grep, "tar c . | cat | wc -c", "ls -lR . | wc -l", "diff -r cluster cluster"] {
        assert_eq!(warm_cost(&mounted, command), Counts::default(), "{command}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn listing_asks_for_directories_only() {
    let (_sample, mounted) = mounted(Shape::WIDE, &MountOptions::default()).await;
    let long = cost(&mounted, "ls -lR . | wc -l");
    assert_eq!((long.lookup, long.open, long.opendir, long.read), (0, 0, 1, 0), "{long:?}");
    assert!(long.getattr <= 1, "{long:?}");
    assert_eq!(warm_cost(&mounted, "find . -type f | wc -l"), Counts::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mount_of_all_asks_for_its_list_only() {
    let sample = Sample::with_snapshot(Shape::WIDE).await;
    let roots = sample.repository().snapshots().await.unwrap().roots;
    let mounted = Mounted::new(Forest::all(sample.repository().clone(), roots, FileOptions::default()), &MountOptions::default());
    let cold = cost(&mounted, "grep -r -c nomatch snapshots/one | wc -l");
    assert_eq!((cold.open, cold.opendir), (1, 1), "{cold:?}");
    // Mount point, `snapshots` and `one`: the kernel keeps them for a second, all below for ever.
    let warm = warm_cost(&mounted, "cd snapshots/one && sleep 2 && grep -r -c nomatch . | wc -l");
    assert!(warm.lookup <= 4 && warm.getattr <= 2, "{warm:?}");
    assert_eq!((warm.open, warm.opendir, warm.readdirplus, warm.read, warm.pushed), (0, 0, 0, 0, 0), "{warm:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_reads_here_and_there_gets_nothing_pushed() {
    let (_sample, mounted) = mounted(Shape::WIDE, &MountOptions::default()).await;
    sh(mounted.path(), "ls -R . | wc -l");
    let cats = cost(&mounted, "cd namespaces/team-1/configmaps && for n in 57 23 99 41 73 12; do cat configmaps-$n.yaml; done");
    assert_eq!((cats.read, cats.pushed), (6, 0), "{cats:?}");
    let silent = MountOptions { push: false, ..MountOptions::default() };
    let (_sample, mounted) = self::mounted(Shape::SMALL, &silent).await;
    let files: u64 = sh(mounted.path(), "find . -type f | wc -l").trim().parse().unwrap();
    let grep = cost(&mounted, "grep -r -c nomatch . | wc -l");
    assert!(grep.read >= files && grep.pushed == 0, "{grep:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_file_costs_few_requests_of_the_store() {
    let sample = Sample::with_snapshot(Shape::WIDE).await;
    let (mut store, mut traffic) = (None, Vec::new());
    let opened = sample.open_with(PASSWORD, |own| store.insert(own).clone()).await;
    let store = store.unwrap();
    let root = opened.newest().await.unwrap().unwrap();
    let snapshot = opened.open_snapshot(&root).await.unwrap();
    let mounted = Mounted::new(Forest::of(&snapshot, FileOptions::default()), &MountOptions::default());
    for file in ["namespaces/team-1/configmaps/configmaps-57.yaml", "resources/deployments.apps/namespaces/team-3/deployments-7.yaml"] {
        let before = store.traffic().requests();
        assert!(!std::fs::read(mounted.path().join(file)).unwrap().is_empty());
        traffic.push(store.traffic().requests() - before);
    }
    assert!(traffic.iter().all(|requests| (1..=4).contains(requests)), "{traffic:?}");
}

/// A store that is far away is asked for many blocks at once by whoever reads all, and for one by whoever reads one.
#[tokio::test(flavor = "multi_thread")]
async fn a_grep_over_a_far_store_needs_few_requests() {
    let sample = Sample::with_snapshot(Shape { namespaces: 4, kinds: 2, each: 600, bytes: 6_000 }).await;
    let cache = tempfile::tempdir().unwrap();
    let opened = sample.open_with(PASSWORD, |own| own).await.with_cache(&DiskCache::new(cache.path(), DiskCache::DEFAULT_LIMIT));
    let root = opened.newest().await.unwrap().unwrap();
    let snapshot = opened.open_snapshot(&root).await.unwrap();
    let mounted = Mounted::new(Forest::of(&snapshot, FileOptions::default()), &MountOptions::default());
    let reading = || {
        let reading = opened.reading();
        (reading.store.requests(), reading.decoded)
    };
    let before = reading();
    std::fs::read(mounted.path().join("namespaces/team-1/configmaps/configmaps-457.yaml")).unwrap();
    let one = reading();
    // The index is read for the first block.
    assert!(one.0 - before.0 <= 4 && one.1 - before.1 <= 2, "{before:?} {one:?}");
    let found = sh(mounted.path(), "grep -r -c nomatch namespaces cluster | wc -l");
    assert!(found.trim().parse::<u32>().unwrap() >= 4_800, "{found}");
    let all = reading();
    let (requests, blocks) = (all.0 - one.0, all.1 - one.1);
    assert!(blocks > 30 && requests * 3 <= blocks, "{requests} requests for {blocks} blocks");
}
