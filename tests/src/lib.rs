//! Harness for tests against real clusters, stores and mounts. Everything a test starts ends with it, also when it is killed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot start its tools shall say so loudly")]

pub mod awkward;
pub mod azure;
pub mod bench;
pub mod certificate;
pub mod cluster;
pub mod contract;
pub mod copies;
pub mod corpus;
pub mod damage;
pub mod differences;
pub mod digits;
pub mod fault_proxy;
pub mod gcs;
pub mod golden;
pub mod guide;
pub mod image;
pub mod kubectl;
pub mod latency;
pub mod manifests;
pub mod mounts;
pub mod operator;
pub mod ports;
pub mod printed;
pub mod program;
pub mod restoring;
pub mod s3;
pub mod sample;
pub mod second_reader;
pub mod torture;
pub mod traces;
pub mod watchdog;
pub mod webhook;
pub mod write;

use std::path::{Path, PathBuf};

/// A path below the tests folder.
pub fn tests_folder(below: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(below)
}

/// Where tools are kept between runs: outside of the checkout.
pub fn cache_folder() -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")));
    cache.expect("HOME is set").join("kubestash-tests")
}
