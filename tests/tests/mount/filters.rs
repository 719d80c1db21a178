//! Filters at mount time: every view shows what they leave, and nothing else.

use std::{
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::Path,
    time::Duration,
};

use kstashfs::{FileOptions, Forest, MountOptions};
use kubestash_tests::{
    mounts::{Mounted, Place, script, sh, wait_for},
    program::programs,
    sample::{GENERAL_PASSWORD, PASSWORD, Sample, Shape},
};

/// Options, and a script that takes out of a tree of all what they leave out.
const FILTERS: [(&[&str], &str); 6] = [
    (&["-n", "team-1"], "find . -type f | grep -v -e /team-1/ -e '/team-1\\.yaml$' | xargs -d '\\n' rm"),
    (&["--include-resources", "cm,deploy"], "find . -type f | grep -v -e /configmaps/ -e /deployments.apps/ | xargs -d '\\n' rm"),
    (
        &["--exclude-resources", "secrets,*.example.com", "--exclude-namespaces", "team-*"],
        "find . -type f | grep -e /secrets/ -e example.com -e '/team-' | xargs -d '\\n' rm",
    ),
    (&["-l", "app in (app-3, app-5)"], "grep -rLE '^    app: app-(3|5)$' . | xargs -d '\\n' rm"),
    (
        &["--name", "*-1", "--include-namespaces", "team-?", "--include-resources", "secrets"],
        "find . -type f | grep -v '/secrets/.*-1\\.yaml$' | xargs -d '\\n' rm",
    ),
    (
        &["--include-cluster-resources=false", "--include-resources", "things*,namespaces"],
        "find . -type f | grep -v -e /things4.example.com/ -e cluster/namespaces/ -e /namespaces/cluster/ | xargs -d '\\n' rm",
    ),
];

fn assert_equal(mounted: &Path, expected: &Path) {
    assert_eq!(sh(mounted, &format!("diff -r . {}", expected.display())), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_view_shows_what_filters_leave() {
    let sample = Sample::with_snapshot(Shape::SMALL).await;
    let root = sample.repository().snapshots().await.unwrap().roots.pop().unwrap();
    let snapshot = sample.repository().open_snapshot(&root).await.unwrap();
    let user = sample.user(PASSWORD);
    for (flags, leave_out) in FILTERS {
        let expected = tempfile::tempdir().unwrap();
        Sample::write_tree(&snapshot, false, expected.path()).await;
        sh(expected.path(), &format!("{leave_out}; find . -mindepth 1 -type d -empty -delete; mkdir -p cluster namespaces resources"));
        let files: u64 = sh(expected.path(), "find . -type f | wc -l").trim().parse().unwrap();
        assert!(files > 0 && files < 2 * u64::from(snapshot.catalog().len()), "{flags:?}: {files} files");
        let (one, all) = (Place::new(), Place::new());
        let said = user.run(&[&["mount", one.text()], flags].concat());
        assert!(said.code == 0 && said.err.contains(&format!("{} object", files / 2)), "{said:?}");
        assert_equal(one.path(), expected.path());
        user.ok(&[&["mount", "--all", all.text()], flags].concat());
        assert_equal(&all.path().join("snapshots/one"), expected.path());
        // Left out is absent, also for who knows its name.
        for row in snapshot.catalog().rows() {
            let path = row.id().mount_path();
            assert_eq!(one.path().join(&path).exists(), expected.path().join(&path).exists(), "{flags:?} {path}");
        }
        let counted: u64 = sh(one.path(), "stat -f -c %c .").trim().parse().unwrap();
        assert_eq!(counted, sh(one.path(), "find . | wc -l").trim().parse::<u64>().unwrap());
        // The daemon by itself understands the same.
        if flags.first() != Some(&"-n") {
            let place = Place::new();
            let words = [&["--password-file", "password", sample.place().to_str().unwrap(), place.text()], flags].concat();
            std::fs::write(user.home().join("password"), PASSWORD).unwrap();
            let output = std::process::Command::new(programs().join("kstashfs")).args(words).current_dir(user.home()).output().unwrap();
            assert!(output.status.success(), "{output:?}");
            assert_equal(place.path(), expected.path());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_that_matches_nothing_is_told() {
    let sample = Sample::with_snapshot(Shape::SMALL).await;
    let (user, place) = (sample.user(PASSWORD), Place::new());
    let told = |flags: &[&str], message: &str, hint: &str| {
        for all in [false, true] {
            let ran = user.run(&[&["mount", place.text()][..], flags, if all { &["--all"] } else { &[] }].concat());
            if all && ran.code == 0 {
                // Older snapshots may hold what the newest does not.
                assert!(ran.err.contains("warning: of the newest snapshot, one, nothing is shown") && ran.err.contains(message), "{ran:?}");
                user.ok(&["umount", place.text()]);
                continue;
            }
            assert_eq!(ran.code, 1, "{ran:?}");
            assert!(ran.err.contains(message) && ran.err.contains(hint), "{ran:?}");
        }
    };
    told(&["--include-resources", "ingresses"], "the snapshot holds no \"ingresses\"", "it holds clusterroles.rbac.authorization.k8s.io, configmaps");
    told(&["-n", "nowhere"], "the snapshot holds no namespace \"nowhere\"", "it holds odd, team, team-0");
    told(&["-l", "app=nobody"], "nothing of the snapshot is selected", "kubectl kubestash ls");
    told(&["-l", "app in"], "label selector", "write it as for kubectl -l");
    told(&["--name", "[a"], "pattern \"[a\"", "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_follows_new_snapshots() {
    let sample = Sample::with_snapshot(Shape::SMALL).await;
    let (user, place) = (sample.user(PASSWORD), Place::new());
    user.ok(&["mount", "--all", "-l", "app=app-3", "--include-resources", "configmaps", place.text()]);
    let one = sh(place.path(), "cd snapshots/one && find . -type f | sort");
    sample.back_up("two", 1).await;
    wait_for("the new snapshot shows", Duration::from_secs(10), || place.path().join("snapshots/two").exists());
    assert_eq!(sh(place.path(), "cd snapshots/two && find . -type f | sort"), one);
}

#[tokio::test(flavor = "multi_thread")]
async fn hidden_secrets_are_what_others_see_of_them() {
    let sample = Sample::with_snapshot(Shape::SMALL).await;
    let (mine, theirs) = (sample.repository().clone(), sample.open_with(GENERAL_PASSWORD, |store| store).await);
    let root = mine.snapshots().await.unwrap().roots.pop().unwrap();
    let (snapshot, hidden) = (mine.open_snapshot(&root).await.unwrap(), theirs.open_snapshot(&root).await.unwrap());
    for full in [false, true] {
        let look = FileOptions { full, hide_secrets: true, ..FileOptions::default() };
        let expected = tempfile::tempdir().unwrap();
        Sample::write_tree(&hidden, full, expected.path()).await;
        let one = Mounted::new(Forest::of(&snapshot, look), &MountOptions::default());
        let all = Mounted::new(Forest::all(mine.clone(), vec![root.clone()], look), &MountOptions::default());
        assert_equal(one.path(), expected.path());
        assert_equal(&all.path().join("snapshots/one"), expected.path());
        let secret = one.path().join("namespaces/team-1/secrets/secrets-1.yaml");
        assert!(std::fs::read_to_string(&secret).unwrap().contains("token: '<hidden: "));
        // Nothing is left to be kept from others.
        assert_eq!(secret.metadata().unwrap().permissions().mode() & 0o777, 0o444);
        assert_eq!(secret.metadata().unwrap().size(), std::fs::read(&secret).unwrap().len() as u64);
        let theirs = Mounted::new(Forest::of(&hidden, FileOptions { full, ..FileOptions::default() }), &MountOptions::default());
        assert_eq!(theirs.path().join("namespaces/team-1/secrets/secrets-1.yaml").metadata().unwrap().permissions().mode() & 0o777, 0o444);
    }
    // By the command, too.
    let (user, place) = (sample.user(PASSWORD), Place::new());
    user.ok(&["mount", "--hide-secrets", place.text()]);
    assert!(script(place.path(), "! grep -rL hidden namespaces/team-1/secrets | grep .").status.success());
}
