//! Repositories that are damaged on purpose.

use std::{
    collections::BTreeSet,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use crate::{
    mounts::sh,
    sample::{PASSWORD, Sample},
};

/// The largest pack.
fn pack(sample: &Sample) -> PathBuf {
    let found = sh(&sample.native(), "find packs -type f -printf '%s %p\\n' | sort -n | tail -1 | cut -d' ' -f2");
    sample.native().join(found.trim())
}

/// Flips a byte of a file; twice is as before.
pub fn flip(pack: &Path, at: u64) {
    let file = std::fs::OpenOptions::new().read(true).write(true).open(pack).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 0x20], at).unwrap();
}

/// Objects whose manifest the library cannot read.
async fn hit(sample: &Sample) -> Option<BTreeSet<String>> {
    let repository = sample.open_with(PASSWORD, |store| store).await;
    let root = repository.snapshots().await.unwrap().roots.pop().unwrap();
    let snapshot = repository.open_snapshot(&root).await.ok()?;
    let mut hit = BTreeSet::new();
    for row in snapshot.catalog().rows() {
        if snapshot.manifest(row.number).await.is_err() {
            hit.insert(row.id().mount_path());
        }
    }
    Some(hit)
}

/// Flips a byte of a pack in a block of manifests; gives the pack, the place, and the objects that it hits.
pub async fn damaged_pack(sample: &Sample) -> (PathBuf, u64, BTreeSet<String>) {
    // Somewhere in the pack lie the catalog's own blocks, without which there is no snapshot.
    let pack = pack(sample);
    let length = pack.metadata().unwrap().len();
    for at in (1..16).map(|sixteenth| length * sixteenth / 16) {
        flip(&pack, at);
        if let Some(hit) = hit(sample).await.filter(|hit| !hit.is_empty()) {
            assert!(hit.len() < 400, "{} objects", hit.len());
            return (pack, at, hit);
        }
        flip(&pack, at);
    }
    panic!("there is no block of manifests");
}
