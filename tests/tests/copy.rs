//! Copying snapshots as a person does it: from a folder to a bucket of a real S3 server, and back into another folder. No cluster is needed.
#![cfg(feature = "real")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::path::Path;

use kubestash::{
    repository::{Part, Password, Repository},
    store::Store,
};
use kubestash_tests::{
    program::User,
    s3::S3Server,
    sample::{GENERAL_PASSWORD, PASSWORD, Sample, Shape},
};

/// Below what `repo init` makes.
const NATIVE: &str = "cluster-resources/kstash/v1";

fn wait<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(work)
}

/// Three days of a sample; one object in a hundred changes each day.
async fn three_days() -> Sample {
    let sample = Sample::with_snapshot(Shape::SMALL).await;
    sample.back_up("two", 1).await;
    sample.back_up("three", 2).await;
    sample
}

/// Every part of every object of every snapshot, and what roots tell.
async fn assert_equal(from: &Repository, to: &Repository) {
    let (from_roots, to_roots) = (from.snapshots().await.unwrap().roots, to.snapshots().await.unwrap().roots);
    assert_eq!(from_roots.len(), to_roots.len());
    for (a, b) in from_roots.iter().zip(&to_roots) {
        assert_eq!((a.id, &a.name, a.time, &a.cluster, &a.filters, &a.tags), (b.id, &b.name, b.time, &b.cluster, &b.filters, &b.tags));
        let (a, b) = (from.open_snapshot(a).await.unwrap(), to.open_snapshot(b).await.unwrap());
        assert_eq!(a.catalog().len(), b.catalog().len());
        for (a_row, b_row) in a.catalog().rows().zip(b.catalog().rows()) {
            assert_eq!(a_row.id(), b_row.id());
            for part in [Part::Manifest, Part::Status, Part::Server, Part::Redacted] {
                assert!(a.read(a_row.number, part).await.unwrap() == b.read(b_row.number, part).await.unwrap(), "{} {part:?}", a_row.id());
            }
        }
    }
}

async fn open(native: &Path, password: &str) -> Repository {
    Repository::open(Store::local(native, false).unwrap(), &Password::new(password)).await.unwrap()
}

/// A user with a password of his own.
fn user_of(place: &str, variables: &[(&'static str, String)]) -> User {
    let user = variables.iter().fold(User::new(), |user, (name, value)| user.variable(name, value));
    user.variable("KUBESTASH_REPO", place).variable("KUBESTASH_PASSWORD", "of the target")
}

#[test]
fn from_a_folder_to_a_bucket_and_back() {
    let sample = wait(three_days());
    let (server, folder) = (S3Server::start(), tempfile::tempdir().unwrap());
    std::fs::write(folder.path().join("password"), PASSWORD).unwrap();
    let (from, password) = (sample.place().to_str().unwrap(), folder.path().join("password"));
    let (bucket, variables) = server.settings("copies");
    let away = user_of(&bucket, &variables);
    let copy = ["copy", "--from-repo", from, "--from-password-file", password.to_str().unwrap()];

    // The target is not made by the way: a mistyped name would be a new repository.
    let refused = away.run(&copy);
    assert!(refused.code == 1 && refused.err.contains("there is no repository at s3://"), "{refused:?}");
    away.ok(&["repo", "init"]);
    let planned = away.run(&[&copy[..], &["--dry-run"]].concat());
    assert_eq!((planned.code, planned.err.as_str()), (0, "3 snapshots would be copied, 0 there already.\n"));
    assert_eq!(away.ok(&["snapshots", "-o", "name"]), "");

    // One, then the rest.
    let one = away.run(&[&copy[..], &["one"]].concat());
    assert!(one.code == 0 && one.err.ends_with("1 snapshot copied, 0 there already.\n"), "{one:?}");
    let rest = away.run(&[&copy[..], &["-o", "json"]].concat());
    let rest_json: serde_json::Value = serde_json::from_str(&rest.out).unwrap();
    let actions: Vec<&str> = rest_json.as_array().unwrap().iter().map(|item| item["action"].as_str().unwrap()).collect();
    assert_eq!((rest.code, actions), (0, vec!["alreadyThere", "copy", "copy"]));
    let added = |at: usize| rest_json[at]["addedBytes"].as_u64().unwrap();
    let whole = sample_bytes(&away.ok(&["snapshots", "-o", "json"]));
    assert!(added(1) < whole / 3, "{rest_json}: a later day adds what changed");
    assert!(away.ok(&["check", "--read-data"]).ends_with("no damage found\n"));
    assert_eq!(
        away.ok(&["cat", "two", "cm/configmaps-1", "-n", "team-1"]),
        sample.user(PASSWORD).ok(&["cat", "two", "cm/configmaps-1", "-n", "team-1"])
    );
    let again = away.run(&copy);
    assert!(again.code == 0 && again.err.ends_with("0 snapshots copied, 3 there already.\n"), "{again:?}");

    // Back into a folder, with the password from a command, and the bucket's credentials under names of their own.
    let home = user_of(folder.path().join("home").to_str().unwrap(), &[]).variable("KUBESTASH_FROM_REPO", &bucket);
    let home = variables.iter().fold(home, |user, (name, value)| user.variable(&format!("FROM_{name}"), value));
    home.ok(&["repo", "init"]);
    let back = home.run(&["copy", "--from-password-command", "echo of the target"]);
    assert!(back.code == 0 && back.err.ends_with("3 snapshots copied, 0 there already.\n"), "{back:?}");
    wait(async {
        let back = open(&folder.path().join("home").join(NATIVE), "of the target").await;
        assert_equal(sample.repository(), &back).await;
    });
    let files = std::fs::read_dir(folder.path().join("home/cluster-resources/snapshots")).unwrap().count();
    assert_eq!(files, 3, "each snapshot has its YAML file");
    // What came from there is not brought there again.
    let around = sample.user(PASSWORD).run(&[
        "copy",
        "--from-repo",
        folder.path().join("home").to_str().unwrap(),
        "--from-password-command",
        "echo of the target",
    ]);
    assert!(around.code == 0 && around.err.ends_with("0 snapshots copied, 3 there already.\n"), "{around:?}");
}

/// What the first snapshot of a list added.
fn sample_bytes(json: &str) -> u64 {
    let list: serde_json::Value = serde_json::from_str(json).unwrap();
    let first = list.as_array().unwrap().iter().find(|root| root["name"] == "one").unwrap();
    first["stats"]["storedBytes"].as_u64().unwrap()
}

#[test]
fn what_cannot_be_copied_is_refused_or_named() {
    let sample = wait(three_days());
    let folder = tempfile::tempdir().unwrap();
    let target = user_of(folder.path().to_str().unwrap(), &[]);
    target.ok(&["repo", "init"]);
    let from = sample.place().to_str().unwrap();
    let run = |password: &str, args: &[&str]| {
        let command = format!("printf '%s\\n' '{password}'");
        target.run(&[&["copy", "--from-repo", from, "--from-password-command", command.as_str()], args].concat())
    };

    let general = run(GENERAL_PASSWORD, &[]);
    assert_eq!(general.code, 1);
    assert!(general.err.contains("this password does not open the values of Secrets") && general.err.contains(from), "{general:?}");
    let wrong = run("wrong", &[]);
    assert!(wrong.code == 1 && wrong.err.starts_with("error: cannot open the source\n") && wrong.err.contains("wrong password"), "{wrong:?}");
    let itself = sample.user(PASSWORD).run(&["copy", "--from-repo", from]);
    assert!(itself.code == 1 && itself.err.contains("is both source and target"), "{itself:?}");
    let failing = target.run(&["copy", "--from-repo", from, "--from-password-command", "exit 3"]);
    assert!(failing.code == 1 && failing.err.contains("the --from-password-command failed: exit status: 3"), "{failing:?}");
    assert_eq!(target.run(&["copy"]).code, 2);
    assert_eq!(target.ok(&["snapshots", "-o", "name"]), "");

    // Another snapshot has the name: the other two are copied, and this one under a name that is given.
    assert_eq!(run(PASSWORD, &["one", "--name", "two"]).code, 0);
    let taken = run(PASSWORD, &[]);
    assert_eq!(taken.code, 3);
    assert!(
        taken.err.contains("1 snapshot copied, 1 there already, 1 not copied.") && taken.err.contains("another snapshot of this name"),
        "{taken:?}"
    );
    assert_eq!(run(PASSWORD, &["two", "--name", "second"]).code, 0);
    let mut names: Vec<String> = target.ok(&["snapshots", "-o", "name"]).lines().map(str::to_owned).collect();
    names.sort();
    assert_eq!(names, ["second", "three", "two"]);
    wait(async { assert_eq!(open(&folder.path().join(NATIVE), "of the target").await.snapshots().await.unwrap().damaged.len(), 0) });
    assert!(target.ok(&["check", "--read-data"]).ends_with("no damage found\n"));
}
