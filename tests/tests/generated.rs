//! What lies in `deploy/` is what the code makes: `make generate` writes it.
#![allow(clippy::unwrap_used, missing_docs)]

use std::{collections::BTreeSet, path::Path};

use kubestash::deploy;
use kubestash_tests::tests_folder;

fn names(folder: &Path) -> BTreeSet<String> {
    std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn deploy_is_up_to_date() {
    let folder = tests_folder("../deploy");
    let files = deploy::files().unwrap();
    for file in &files {
        let there = std::fs::read(folder.join(&file.path)).unwrap_or_default();
        assert!(there == file.text, "deploy/{} is not what the code makes: run `make generate`", file.path);
    }
    let wanted: BTreeSet<String> = files.iter().filter_map(|file| file.path.strip_prefix("crds/").map(str::to_owned)).collect();
    assert_eq!(names(&folder.join("crds")), wanted, "deploy/crds holds files that the code does not make");
}
