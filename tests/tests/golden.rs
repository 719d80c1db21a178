//! Repositories of the released format, written once and kept in the source tree, read back byte for byte, and can be gone on with.
#![allow(clippy::unwrap_used, missing_docs)]

use std::path::Path;

use jiff::Timestamp;
use kubestash::{
    repository::{
        Access, BackupOptions, CheckDepth, Password, Repository,
        prune::{Grace, PruneOptions},
    },
    store::Store,
};
use kubestash_tests::golden::{FULL, GENERAL, Golden, Held, from_text, held};

async fn open(store: &Path, password: &str) -> Repository {
    Repository::open(Store::local(store, false).unwrap(), &Password::new(password)).await.unwrap()
}

fn expected(golden: Golden, file: &str) -> Vec<(String, Held)> {
    from_text(&std::fs::read_to_string(golden.folder().join(file)).unwrap())
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[tokio::test]
async fn what_was_stored_once_is_read_byte_for_byte() {
    for golden in Golden::ALL {
        let store = golden.folder().join("store");
        for (password, access, file) in [(FULL, Access::Full, "expected.txt"), (GENERAL, Access::General, "expected-general.txt")] {
            let repository = open(&store, password).await;
            assert_eq!(repository.access(), access);
            let (held, expected) = (held(&repository).await, expected(golden, file));
            assert_eq!(expected.iter().map(|(_, held)| held.len()).collect::<Vec<_>>(), [953, 953, 953, 950]);
            for ((day, held), (same, expected)) in held.iter().zip(&expected) {
                let differ: Vec<&String> = expected.iter().filter(|(name, hash)| held.get(*name) != Some(hash)).map(|(name, _)| name).collect();
                assert_eq!((day, differ, held.len()), (same, Vec::new(), expected.len()), "{golden:?} {file}");
            }
            assert_eq!(held.len(), expected.len(), "{golden:?} {file}");
        }
        let report = open(&store, FULL).await.check(CheckDepth::Data, &mut |_, _| {}).await.unwrap();
        assert!(report.errors.is_empty(), "{golden:?} {report:?}");
    }
}

#[tokio::test]
async fn what_was_stored_once_can_be_gone_on_with() {
    for golden in Golden::ALL {
        let place = tempfile::tempdir().unwrap();
        copy(&golden.folder().join("store"), place.path());
        let repository = open(place.path(), FULL).await;
        let roots = repository.snapshots().await.unwrap().roots;
        let parent = roots.last().cloned();
        let next = kubestash_tests::golden::back_up(golden, &repository, BackupOptions { parent, ..BackupOptions::default() }, 4).await;
        assert!(next.stats.unchanged > 800, "names and hashes of what is there are still the same: {:?}", next.stats);
        repository.forget(roots[0].id).await.unwrap();
        let options = PruneOptions { grace: Grace::NONE, re_encrypt: true, ..PruneOptions::new(Timestamp::now()) };
        assert!(repository.prune(options, &mut |_, _, _| {}).await.unwrap().damage.is_empty());
        repository.forget(next.id).await.unwrap();
        assert!(held(&open(place.path(), FULL).await).await == expected(golden, "expected.txt")[1..], "{golden:?}: all but the first day");
    }
}
