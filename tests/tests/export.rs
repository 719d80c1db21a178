//! `kubectl kubestash export`: what a mount shows, without one.
#![cfg(feature = "real")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::{
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::Path,
    process::Stdio,
};

use kubestash_tests::{
    mounts::{Place, sh},
    program::User,
    sample::{GENERAL_PASSWORD, PASSWORD, Sample, Shape},
};

/// Names, types, modes, sizes and times.
const LIST: &str = "find . -printf '%P %y %m %s %T@\\n' | sed 's/ d \\([0-7]*\\) [0-9]* / d \\1 - /' | LC_ALL=C sort";

/// A mount of the newest snapshot.
fn mount(user: &User, args: &[&str]) -> Place {
    let place = Place::new();
    user.ok(&[&["mount"], args, &["one", place.text()]].concat());
    place
}

fn same(mounted: &Path, exported: &Path) {
    assert_eq!(sh(mounted, &format!("diff -r . {} && echo same", exported.display())), "same\n");
    assert_eq!(sh(mounted, LIST), sh(exported, LIST));
}

fn leftovers(folder: &Path) -> Vec<String> {
    let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with('.') && name.contains("out")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_equals_the_mount() {
    let sample = Sample::with_snapshot(Shape::SMALL).await;
    for password in [PASSWORD, GENERAL_PASSWORD] {
        let user = sample.user(password);
        let (plain, full) = (mount(&user, &[]), mount(&user, &["--full"]));
        let out = user.home().join("out");
        let ran = user.run(&["export", "one", out.to_str().unwrap()]);
        assert_eq!((ran.code, ran.out.as_str()), (0, ""), "{ran:?}");
        assert!(ran.err.starts_with("Exported one to ") && ran.err.contains(" files, "), "{ran:?}");
        same(plain.path(), &out);
        if password == PASSWORD {
            assert_eq!(out.join("namespaces/team-0/secrets/secrets-1.yaml").metadata().unwrap().permissions().mode() & 0o777, 0o400);
        }
        // One view at a time; an empty folder may be there.
        for (view, mounted, folders, others) in [
            ("manifests", &plain, &["namespaces", "cluster"][..], &["resources"][..]),
            ("resources", &plain, &["resources"], &["namespaces", "cluster"]),
            ("full", &full, &["namespaces", "cluster"], &["resources"]),
        ] {
            let out = user.home().join(format!("out-{view}"));
            std::fs::create_dir(&out).unwrap();
            user.ok(&["export", "one", out.to_str().unwrap(), "--view", view]);
            for folder in folders {
                same(&mounted.path().join(folder), &out.join(folder));
            }
            assert!(others.iter().all(|folder| !out.join(folder).exists()), "{view}");
        }
        assert_eq!(leftovers(user.home()), Vec::<String>::new());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_named_is_exported_alone() {
    let sample = Sample::with_snapshot(Shape::SMALL).await;
    let user = sample.user(PASSWORD);
    let list = |target: &str, args: &[&str]| {
        user.ok(&[&["export", "one", target], args].concat());
        sh(user.home(), &format!("cd {target} && find . -type f | sort"))
    };
    assert_eq!(list("a", &["cm/configmaps-3", "-n", "team-1", "--view", "manifests"]), "./namespaces/team-1/configmaps/configmaps-3.yaml\n");
    assert_eq!(sh(user.home(), "find a -type d | wc -l").trim(), "4", "no empty directories");
    let of_namespace = list("b", &["-n", "team-2"]);
    // The Namespace belongs to it, in both views, as in a mount.
    assert!(of_namespace.lines().count() == 202 && of_namespace.lines().all(|line| line.contains("/team-2")), "{of_namespace}");
    let filtered = list("e", &["--include-resources", "cm", "--name", "configmaps-1*", "-n", "team-1", "--view", "manifests"]);
    assert!(filtered.lines().count() == 11 && filtered.lines().all(|line| line.contains("/team-1/configmaps/configmaps-1")), "{filtered}");
    let hidden = list("c", &["secrets", "--hide-secrets"]);
    assert_eq!(hidden.lines().count(), 160);
    assert!(sh(user.home(), "cat c/namespaces/team-0/secrets/secrets-1.yaml").contains("token: '<hidden: "));
    for (args, words) in [(&["cm/nothing"][..], "holds no configmaps/nothing"), (&["-n", "nowhere"], "holds no namespace \"nowhere\"")] {
        let ran = user.run(&[&["export", "one", "d"], args].concat());
        assert!(ran.code == 1 && ran.err.contains(words), "{ran:?}");
        assert!(!user.home().join("d").exists());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn archives_hold_the_mount_and_are_always_the_same() {
    let sample = Sample::with_snapshot(Shape::SMALL).await;
    let user = sample.user(PASSWORD);
    let place = mount(&user, &[]);
    let found = sh(place.path(), "find . -mindepth 1 -type d -printf '%P/\\n' -o -type f -printf '%P\\n' | LC_ALL=C sort");
    for (name, unpack) in [("out.tar", "cat"), ("out.tar.gz", "gzip -dc"), ("out.tgz", "gzip -dc"), ("out.tar.zst", "zstd -dc")] {
        user.ok(&["export", "one", name]);
        sh(user.home(), &format!("{unpack} {name} > plain"));
        assert_eq!(sh(user.home(), "tar --quoting-style=literal -tf plain | LC_ALL=C sort"), found, "{name}");
        sh(user.home(), "rm -rf unpacked; mkdir unpacked; tar -C unpacked -xpf plain; touch -d @0 unpacked");
        let quiet = format!("diff -r {} unpacked && echo same", place.text());
        assert_eq!(sh(user.home(), &quiet), "same\n", "{name}");
        let modes = "find . -mindepth 1 -printf '%P %y %m %T@\\n' | LC_ALL=C sort";
        // A tar has whole seconds.
        let seconds = format!("{modes} | sed 's/\\.[0-9]*$//'");
        assert_eq!(sh(&user.home().join("unpacked"), &seconds), sh(place.path(), &seconds), "{name}");
        // The same again, byte by byte; nobody else may read what holds Secrets.
        let before = std::fs::read(user.home().join(name)).unwrap();
        user.ok(&["export", "one", name]);
        assert!(before == std::fs::read(user.home().join(name)).unwrap(), "{name}");
        assert_eq!(user.home().join(name).metadata().unwrap().mode() & 0o777, 0o600);
    }
    let out = user.command(&["export", "one", "-"]).stderr(Stdio::null()).output().unwrap();
    assert!(out.status.success() && out.stdout == std::fs::read(user.home().join("out.tar")).unwrap());
    // A reader that leaves early is no disaster.
    let words =
        format!("set +o pipefail; '{}' export one - | head -c 5 | wc -c", kubestash_tests::program::programs().join("kubectl-kubestash").display());
    let early = user.command(&[]).get_envs().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned()))).collect::<Vec<_>>();
    let output = std::process::Command::new("bash").args(["-c", &words]).envs(early).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "5", "{output:?}");
    assert!(!String::from_utf8_lossy(&output.stderr).contains("panic"), "{output:?}");
    assert_eq!(leftovers(user.home()), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn images_can_be_mounted_and_equal_the_mount() {
    let sample = Sample::with_snapshot(Shape::SMALL).await;
    let user = sample.user(PASSWORD);
    let place = mount(&user, &[]);
    let list = "find . -printf '%P %y %m %U %G %T@\\n' | sed 's/\\.[0-9]*$//' | LC_ALL=C sort";
    let equal = |name: &str, kind: &str, folders: &[&str]| {
        let image = Place::new();
        sh(user.home(), &format!("mount -t {kind} -o ro,loop {name} {}", image.text()));
        for folder in folders {
            let (mounted, other) = (place.path().join(folder), image.path().join(folder));
            assert_eq!(sh(&mounted, &format!("diff -r . {} && echo same", other.display())), "same\n", "{kind}");
            assert_eq!(sh(&mounted, list), sh(&other, list), "{kind}");
        }
    };
    let twice = |args: &[&str]| {
        let name = args[2];
        let ran = user.run(args);
        let before = std::fs::read(user.home().join(name));
        assert_eq!(user.run(args).code, ran.code);
        assert!(before.ok() == std::fs::read(user.home().join(name)).ok(), "{name}");
        ran
    };
    assert_eq!(twice(&["export", "one", "out.squashfs"]).code, 0);
    equal("out.squashfs", "squashfs", &["."]);
    assert_eq!(twice(&["export", "one", "out.erofs", "-n", "team-1"]).code, 0);
    equal("out.erofs", "erofs", &["namespaces/team-1", "resources/secrets/namespaces/team-1"]);
    // Names as long as they can be are too much for some versions of its tools.
    let whole = twice(&["export", "one", "whole.erofs"]);
    if whole.code == 0 {
        equal("whole.erofs", "erofs", &["."]);
    } else {
        assert!(whole.err.contains("hint: version 1.5 fails on file names of 255 bytes") && !user.home().join("whole.erofs").exists(), "{whole:?}");
    }
    assert_eq!(leftovers(user.home()), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_the_way_stays_as_it_is() {
    let sample = Sample::with_snapshot(Shape::SMALL).await;
    let user = sample.user(PASSWORD);
    std::fs::create_dir(user.home().join("full")).unwrap();
    std::fs::write(user.home().join("full/precious"), "x").unwrap();
    let ran = user.run(&["export", "one", "full"]);
    assert!(ran.code == 1 && ran.err.contains("the folder is not empty"), "{ran:?}");
    assert_eq!(std::fs::read(user.home().join("full/precious")).unwrap(), b"x");
    let ran = user.run(&["export", "one", "nowhere/out"]);
    assert!(ran.code == 1 && ran.err.contains("cannot write into"), "{ran:?}");
    let ran = user.run(&["export", "one", "nowhere/out.tar"]);
    assert!(ran.code == 1 && ran.err.contains("cannot write into"), "{ran:?}");
    // A directory with something mounted on it cannot get another in its place.
    let place = Place::new();
    sh(place.path(), &format!("mount -t tmpfs tmpfs {}", place.text()));
    let ran = user.run(&["export", "one", place.text()]);
    assert!(ran.code == 1 && ran.err.contains("something is mounted there"), "{ran:?}");
    assert_eq!(sh(place.path().parent().unwrap(), "ls -A"), "mnt\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_left_out_named_and_in_the_exit_code() {
    let sample = Sample::with_snapshot(Shape::WIDE).await;
    let (_, _, hit) = kubestash_tests::damage::damaged_pack(&sample).await;
    let user = sample.user(PASSWORD);
    for target in ["out", "out.tar"] {
        let ran = user.run(&["export", "one", target, "--view", "manifests"]);
        assert_eq!(ran.code, 3, "{ran:?}");
        let files = if hit.len() == 1 { "1 file".to_owned() } else { format!("{} files", hit.len()) };
        assert!(ran.err.contains(&format!("; {files} could not be read.")), "{ran:?}");
        for path in &hit {
            assert!(ran.err.contains(&format!("warning: {path} is left out: block ")), "{path}: {ran:?}");
        }
    }
    let exported = sh(user.home(), "cd out && find . -type f -printf '%P\\n' | sort");
    assert_eq!(sh(user.home(), "tar --quoting-style=literal -tf out.tar | grep -v /$ | sort"), exported);
    let all = user.ok(&["ls", "one", "all", "-A", "-o", "name"]);
    assert!(all.lines().all(|path| hit.contains(path) != exported.lines().any(|other| other == path)));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_that_is_stopped_leaves_nothing() {
    let sample = Sample::with_snapshot(Shape { namespaces: 8, kinds: 5, each: 400, bytes: 3000 }).await;
    let user = sample.user(PASSWORD);
    let mut child = user.command(&["export", "one", "out"]).stderr(Stdio::piped()).spawn().unwrap();
    kubestash_tests::mounts::wait_for("it has begun", std::time::Duration::from_secs(60), || !leftovers(user.home()).is_empty());
    // SAFETY: a plain system call; the process is one that this test started.
    unsafe { libc::kill(child.id() as i32, libc::SIGINT) };
    let status = child.wait().unwrap();
    if status.code() == Some(1) {
        assert_eq!((leftovers(user.home()), user.home().join("out").exists()), (Vec::new(), false));
    } else {
        // It was faster than the signal.
        assert!(status.success() && user.home().join("out/cluster").exists());
    }
}
