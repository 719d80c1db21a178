//! Several machines at work in one bucket, all of them killed again and again: nothing is lost. `TORTURE_SECONDS` says for how long, and
//! `TORTURE_SEED` which moments.
#![cfg(feature = "real")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::{path::Path, time::Duration};

use kubestash_tests::torture::run;

#[test]
fn nothing_is_lost_among_many() {
    let number = |name: &str, default| std::env::var(name).map_or(default, |text| text.parse().unwrap());
    let (seconds, seed) = (number("TORTURE_SECONDS", 100), number("TORTURE_SEED", 5));
    println!("TORTURE_SECONDS={seconds} TORTURE_SEED={seed}");
    let summary = run(Duration::from_secs(seconds), seed, Path::new(env!("CARGO_BIN_EXE_torture")));
    println!("{summary:?}");
    assert!(summary.snapshots > 4 && summary.read > 2 && summary.prunes > 2 && summary.killed > 2, "all of it happens: {summary:?}");
    // A pack is deleted a day after it was given up.
    assert!(seconds < 90 || summary.deleted > 0, "{summary:?}");
}
