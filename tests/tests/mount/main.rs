//! Real mounts: what they show, what they cost, and how they live and end. Most of these tests need root and /dev/fuse.
#![cfg(feature = "real")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod all;
mod faults;
mod filters;
mod fstab;
mod life;
mod mounts;
mod names;
mod requests;
mod status;
mod stress;
mod users;
mod views;
