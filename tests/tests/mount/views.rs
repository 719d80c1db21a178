//! What a mount shows is what the library reads, byte for byte, whatever reads it.

use std::{
    collections::BTreeMap,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::Path,
    time::Duration,
};

use kstashfs::{FileOptions, Forest, MountOptions};
use kubestash_tests::{
    mounts::{Mounted, Place, sh, wait_for},
    sample::{GENERAL_PASSWORD, PASSWORD, Sample, Shape},
};

/// Whole tree against a tree on disk, by several programs.
async fn compare(mounted: &Path, snapshot: &kubestash::repository::Snapshot, full: bool) {
    let written = tempfile::tempdir().unwrap();
    Sample::write_tree(snapshot, full, written.path()).await;
    let expected = written.path();
    for folder in [mounted, mounted] {
        assert_eq!(sh(folder, &format!("diff -r . {}", expected.display())), "");
    }
    // Other readers: names, sizes, whole files, a stream of all, from the end to the beginning, and pieces anywhere.
    for command in [
        "find . -type f -printf '%p %s\\n' | sort",
        "find . | sort",
        "grep -r --include='*.yaml' -c connection . | sort",
        "find . -type f -print0 | sort -z | xargs -0 sha256sum",
        "find . -type f -print0 | sort -zr | xargs -0 cat | sha256sum",
        "tar c --sort=name --mtime=@0 --mode=a=r --owner=0 --group=0 . | sha256sum",
        "find . -type f | sort | shuf --random-source=<(yes) | head -30 | while read -r f; do tail -c +500 \"$f\" | head -c 300; done | sha256sum",
    ] {
        assert_eq!(sh(mounted, command), sh(expected, command), "{command}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_view_gives_the_bytes_of_the_library() {
    let sample = Sample::with_snapshot(Shape::SMALL).await;
    for password in [PASSWORD, GENERAL_PASSWORD] {
        let repository = sample.open_with(password, |store| store).await;
        let root = repository.snapshots().await.unwrap().roots.pop().unwrap();
        let snapshot = repository.open_snapshot(&root).await.unwrap();
        for full in [false, true] {
            let look = FileOptions { full, ..FileOptions::default() };
            let one = Mounted::new(Forest::of(&snapshot, look), &MountOptions::default());
            let all = Mounted::new(Forest::all(repository.clone(), vec![root.clone()], look), &MountOptions::default());
            compare(one.path(), &snapshot, full).await;
            compare(&all.path().join("snapshots/one"), &snapshot, full).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_loop_and_no_push_give_the_same() {
    let sample = Sample::with_snapshot(Shape::SMALL).await;
    let snapshot = sample.repository().open_snapshot(&sample.repository().snapshots().await.unwrap().roots[0]).await.unwrap();
    for (threads, push) in [(1, true), (2, true), (3, false)] {
        let options = MountOptions { threads, push, ..MountOptions::default() };
        let mounted = Mounted::new(Forest::of(&snapshot, FileOptions::default()), &options);
        compare(mounted.path(), &snapshot, false).await;
        assert_eq!(mounted.counts().pushed > 0, push && threads > 1, "{threads} threads");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn attributes_are_those_of_a_snapshot() {
    let sample = Sample::with_snapshot(Shape::SMALL).await;
    let snapshot = sample.repository().open_snapshot(&sample.repository().snapshots().await.unwrap().roots[0]).await.unwrap();
    let mounted = Mounted::new(Forest::of(&snapshot, FileOptions::default()), &MountOptions::default());
    let at = |path: &str| mounted.path().join(path).symlink_metadata().unwrap();
    let (mut inodes, mut stack) = (BTreeMap::new(), vec![mounted.path().to_owned()]);
    while let Some(folder) = stack.pop() {
        let mut folders = 0;
        for entry in std::fs::read_dir(&folder).unwrap() {
            let (entry, path) = entry.map(|entry| (entry.metadata().unwrap(), entry.path())).unwrap();
            assert_eq!(inodes.insert(entry.ino(), path.clone()), None, "inodes are given once");
            assert_eq!((entry.uid(), entry.gid()), (0, 0));
            assert_eq!(entry.mtime(), snapshot.root().time.as_second());
            assert_eq!(entry.blocks(), entry.len().div_ceil(512));
            if entry.is_dir() {
                folders += 1;
                assert_eq!(entry.mode(), 0o040_555, "{path:?}");
                stack.push(path);
            } else {
                let mode = if path.components().any(|part| part.as_os_str() == "secrets") { 0o100_400 } else { 0o100_444 };
                assert_eq!((entry.mode(), entry.nlink()), (mode, 1), "{path:?}");
                assert_eq!(std::fs::read(&path).unwrap().len() as u64, entry.len(), "{path:?}");
            }
        }
        assert_eq!(folder.metadata().unwrap().nlink(), 2 + folders, "{folder:?}");
    }
    for (inode, path) in inodes {
        assert_eq!(path.symlink_metadata().unwrap().ino(), inode, "{path:?}");
    }
    assert!(sh(mounted.path(), "ls -a cluster").starts_with(".\n..\n"), "as in every directory");
    assert_eq!(at("namespaces/odd/configmaps/large.yaml").permissions().mode() & 0o777, 0o444);
    assert_eq!(sh(mounted.path(), "stat -f -c '%T %l' .").trim(), "fuseblk 255");
    let files: u64 = sh(mounted.path(), "stat -f -c %c .").trim().parse().unwrap();
    assert_eq!(files, sh(mounted.path(), "find . | wc -l").trim().parse::<u64>().unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_can_be_written() {
    let sample = Sample::with_snapshot(Shape::SMALL).await;
    let snapshot = sample.repository().open_snapshot(&sample.repository().snapshots().await.unwrap().roots[0]).await.unwrap();
    let mounted = Mounted::new(Forest::of(&snapshot, FileOptions::default()), &MountOptions::default());
    let file = "cluster/namespaces/odd.yaml";
    for command in
        ["echo x > new", "echo x >> FILE", "rm FILE", "mkdir new", "rmdir cluster", "mv FILE new", "chmod 777 FILE", "touch FILE", "ln FILE new"]
    {
        let output = kubestash_tests::mounts::script(mounted.path(), &command.replace("FILE", file));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains("Read-only file system"), "{command}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unusual_names_can_be_reached() {
    let sample = Sample::with_snapshot(Shape::SMALL).await;
    let snapshot = sample.repository().open_snapshot(&sample.repository().snapshots().await.unwrap().roots[0]).await.unwrap();
    let mounted = Mounted::new(Forest::of(&snapshot, FileOptions::default()), &MountOptions::default());
    // Asked for by name, before any listing told the kernel of them; and what is not there stays away, also the second time.
    for row in snapshot.catalog().rows() {
        let bytes = snapshot.manifest(row.number).await.unwrap();
        assert_eq!(std::fs::read(mounted.path().join(row.id().mount_path())).unwrap(), bytes, "{}", row.id());
    }
    let almost = format!("namespaces/odd/configmaps/{}~{}.yaml", "n".repeat(217), "0".repeat(32));
    for absent in
        ["cluster/clusterroles.rbac.authorization.k8s.io/system.yaml", "namespaces/odd/secrets", "cluster/x", "x", "latest", almost.as_str()]
    {
        for _ in 0..2 {
            assert_eq!(std::fs::read(mounted.path().join(absent)).unwrap_err().kind(), std::io::ErrorKind::NotFound, "{absent}");
        }
    }
    let before = mounted.counts();
    assert!(!mounted.path().join("cluster/x").exists());
    assert_eq!(mounted.counts(), before, "the kernel remembers what is not there");
    assert!(sh(mounted.path(), "cat cluster/clusterroles*/system:controller:job-controller.yaml").contains("name: system:controller:job-controller"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mount_of_all_follows_the_repository() {
    let sample = Sample::with_snapshot(Shape::SMALL).await;
    let (place, user) = (Place::new(), sample.user(PASSWORD));
    user.ok(&["mount", "--all", place.text()]);
    let list = || sh(place.path(), "ls snapshots").split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let latest = || sh(place.path(), "readlink latest || true").trim().to_owned();
    assert_eq!((list(), latest()), (vec!["one".to_owned()], "snapshots/one".to_owned()));
    let inode = |name: &str| place.path().join("snapshots").join(name).metadata().unwrap().ino();
    let one = inode("one");

    let two = sample.back_up("two", 1).await;
    wait_for("the new snapshot shows", Duration::from_secs(10), || list() == ["one", "two"] && latest() == "snapshots/two");
    compare(&place.path().join("latest"), &two, false).await;
    assert_eq!(inode("one"), one);
    let changed = sh(place.path(), "diff -rq snapshots/one/namespaces snapshots/two/namespaces | wc -l").trim().parse::<u32>().unwrap();
    assert!((1..30).contains(&changed), "{changed} files differ");

    user.ok(&["forget", "one"]);
    wait_for("the forgotten snapshot goes", Duration::from_secs(10), || list() == ["two"]);
    // The kernel may know its folder for a second more.
    wait_for("its files go", Duration::from_secs(10), || !place.path().join("snapshots/one/cluster").exists());
    user.ok(&["forget", "two"]);
    wait_for("no snapshot is left", Duration::from_secs(10), || list().is_empty() && !place.path().join("latest").is_symlink());
    sample.back_up("three", 2).await;
    wait_for("there is one again", Duration::from_secs(10), || latest() == "snapshots/three" && list() == ["three"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn snapshots_are_mounted_by_all_their_names() {
    let sample = Sample::new(Shape { namespaces: 1, kinds: 1, each: 3, bytes: 50 }).await;
    for (revision, name) in ["monday", "tuesday"].into_iter().enumerate() {
        sample.back_up(name, revision).await;
    }
    let user = sample.user(PASSWORD);
    let programs = kubestash_tests::program::programs();
    // Several at once, by both programs.
    let mut places = Vec::new();
    for (wanted, name) in [("latest", "tuesday"), ("mon", "monday"), ("tuesday", "tuesday"), ("2099-01-01", "tuesday")] {
        let (plugin, daemon) = (Place::new(), Place::new());
        user.ok(&["mount", wanted, plugin.text()]);
        let script = "KUBESTASH_PASSWORD='all of it' \"$0\" --snapshot \"$1\" \"$2\" \"$3\"";
        let words = [programs.join("kstashfs"), wanted.into(), sample.place().to_owned(), daemon.path().to_owned()];
        let output = std::process::Command::new("sh").arg("-c").arg(script).args(words).env("HOME", user.home()).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        places.extend([(plugin, name), (daemon, name)]);
    }
    for (place, name) in &places {
        let roots = sample.repository().snapshots().await.unwrap().roots;
        let root = roots.iter().find(|root| root.name == *name).unwrap();
        assert_eq!(place.path().metadata().unwrap().mtime(), root.time.as_second());
        assert_eq!(sh(place.path(), "ls namespaces"), "odd\nteam\nteam-0\n");
    }
    let unknown = user.run(&["mount", "friday", Place::new().text()]);
    assert_eq!(unknown.code, 1, "{unknown:?}");
    assert!(unknown.err.contains("there is no snapshot \"friday\"") && unknown.err.contains("tuesday, monday"), "{unknown:?}");
}
