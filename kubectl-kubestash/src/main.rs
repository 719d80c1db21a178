//! `kubectl kubestash`.
fn main() {}
