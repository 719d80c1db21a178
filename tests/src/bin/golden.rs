//! Writes the repositories that `tests/golden.rs` reads and that are not there yet. What it has written is never written again.
#![allow(clippy::unwrap_used)]

use kubestash::{
    repository::{Password, Repository},
    store::Store,
};
use kubestash_tests::golden::{self, Golden};

#[tokio::main]
async fn main() {
    for golden in Golden::ALL.into_iter().filter(|golden| !golden.folder().exists()) {
        let folder = golden.folder();
        let store = Store::local(&folder.join("store"), true).unwrap();
        golden::write_to(golden, store.clone()).await;
        for (password, file) in [(golden::FULL, "expected.txt"), (golden::GENERAL, "expected-general.txt")] {
            let repository = Repository::open(store.clone(), &Password::new(password)).await.unwrap();
            std::fs::write(folder.join(file), golden::to_text(&golden::held(&repository).await)).unwrap();
        }
    }
}
