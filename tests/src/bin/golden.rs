//! Writes the repository that `tests/golden.rs` reads. Run once for each version of the format: what it has written is never written again.
#![allow(clippy::unwrap_used)]

use kubestash::{
    repository::{Password, Repository},
    store::Store,
};
use kubestash_tests::golden;

#[tokio::main]
async fn main() {
    let folder = golden::folder();
    assert!(!folder.exists(), "{} is there: a released format does not change", folder.display());
    let store = Store::local(&folder.join("store"), true).unwrap();
    golden::write_to(store.clone()).await;
    for (password, file) in [(golden::FULL, "expected.txt"), (golden::GENERAL, "expected-general.txt")] {
        let repository = Repository::open(store.clone(), &Password::new(password)).await.unwrap();
        std::fs::write(folder.join(file), golden::to_text(&golden::held(&repository).await)).unwrap();
    }
}
