//! `repo init` where something is already: like restic it asks nothing and touches nothing of others, and refuses what may be a repository.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::{fs, path::Path};

use kubestash_tests::program::{Ran, User};

const NATIVE: &str = "cluster-resources/kstash/v1";

/// Makes `place` in a user's home hold these files, and runs `repo init` there.
fn init(user: &User, files: &[(&str, &str)]) -> Ran {
    for (name, text) in files {
        let path = user.home().join("place").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let ran = user.run(&["repo", "init", "--repo", "place"]);
    for (name, text) in files {
        assert_eq!(&fs::read_to_string(user.home().join("place").join(name)).unwrap(), text, "{name} is not as it was: {ran:?}");
    }
    ran
}

fn is_repository(user: &User) -> bool {
    user.run(&["snapshots", "--repo", "place"]).code == 0
}

fn entries(folder: &Path) -> usize {
    fs::read_dir(folder).unwrap().count()
}

#[test]
fn other_files_stay_and_are_told_of() {
    let user = User::new();
    let beside = init(&user, &[("notes.txt", "mine"), ("photos/one.jpg", "…")]);
    assert_eq!((beside.code, beside.out.as_str()), (0, "place\n"), "{beside:?}");
    let told = "Made an encrypted repository at place (cluster-resources), beside files that were there before and stay as they are.\n";
    assert!(beside.err.ends_with(told), "{beside:?}");
    assert!(is_repository(&user));

    let again = user.run(&["repo", "init", "--repo", "place"]);
    assert!(again.code == 1 && again.err.starts_with("error: there is a repository already\n"), "{again:?}");
    assert!(is_repository(&user));

    fs::create_dir(user.home().join("empty")).unwrap();
    let alone = user.run(&["repo", "init", "--repo", "empty"]);
    assert!(alone.code == 0 && alone.err.ends_with("at empty (cluster-resources).\n"), "{alone:?}");
}

#[test]
fn what_is_left_of_a_repository_is_not_buried_under_a_new_one() {
    let user = User::new().variable("KUBESTASH_PASSWORD", "known");
    let packs = format!("{NATIVE}/packs/ab/abcd");
    let refused = init(&user, &[("metadata.yaml", &metadata()), (&packs, "a pack"), (&format!("{NATIVE}/keys/ef"), "a key")]);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.err.contains("/config is missing, and there is data of a repository beside it\n"), "{refused:?}");
    // Even where nothing lists it any more.
    fs::remove_file(user.home().join("place/metadata.yaml")).unwrap();
    let refused = init(&user, &[(&packs, "a pack")]);
    assert!(refused.code == 1 && refused.err.contains("/config is missing"), "{refused:?}");
    assert_eq!(entries(&user.home().join("place").join(NATIVE)), 2, "only what was there");

    // An `init` that was cut off left its key and nothing else: it may be run again.
    fs::remove_dir_all(user.home().join("place").join(NATIVE).join("packs")).unwrap();
    assert_eq!(init(&user, &[]).code, 0);
    assert!(is_repository(&user));
}

#[test]
fn what_kubestash_wrote_stays() {
    let user = User::new();
    let theirs = "apiVersion: storage.kubestash.com/v1alpha1\nkind: Repository\nmetadata:\n  name: theirs\n";
    let ran = init(&user, &[("metadata.yaml", &metadata()), ("cluster-resources/repository.yaml", theirs), ("cluster-resources/config", "restic's")]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(is_repository(&user));
    // A directory beside it is added to the list.
    user.ok(&["repo", "init", "--repo", "place", "--directory", "second"]);
    let list = fs::read_to_string(user.home().join("place/metadata.yaml")).unwrap();
    assert!(list.contains("name: theirs\n") && list.contains("path: second\n"), "{list}");
}

#[test]
fn something_else_of_that_name_is_an_error() {
    let user = User::new();
    let ran = init(&user, &[("metadata.yaml", "title: a song\n")]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.err.contains("cannot read metadata.yaml of place\n") && ran.err.contains("it is not a BackendMeta"), "{ran:?}");
    assert_eq!(entries(&user.home().join("place")), 1, "nothing was made");
}

/// Of a storage in which KubeStash has a repository, with another name than ours.
fn metadata() -> String {
    "apiVersion: config.kubestash.com/v1alpha1\nkind: BackendMeta\nrepositories:\n- name: theirs\n  namespace: demo\n  path: cluster-resources\n"
        .to_owned()
}
