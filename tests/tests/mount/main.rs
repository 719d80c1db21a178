//! Real mounts: what they show, what they cost, and how they live and end. Most of these tests need root and /dev/fuse.
#![cfg(feature = "real")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod faults;
mod life;
mod requests;
mod stress;
mod users;
mod views;
