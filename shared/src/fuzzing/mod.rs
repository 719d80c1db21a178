//! For tests only: every decoder of bytes that come from outside, as a function that does not return what it read but panics where a promise of
//! the decoder does not hold. `fuzz/` feeds them with what libFuzzer makes up; the tests here replay what it found.

#[cfg(test)]
mod bounded_tests;
#[cfg(test)]
mod memory;
#[cfg(test)]
mod mutations_tests;
mod objects;
#[cfg(test)]
mod seeds;

use crate::repository::fuzzing as repository;

/// A decoder by the name of its folder in `fuzz/corpus`.
type Decoder = (&'static str, fn(&[u8]));

/// All decoders.
pub const DECODERS: [Decoder; 14] = [
    ("config", repository::config),
    ("key", repository::key),
    ("pack", repository::pack),
    ("index", repository::index),
    ("content", repository::content),
    ("table", repository::table),
    ("segment", repository::segment),
    ("catalog", repository::catalog),
    ("root", repository::root),
    ("yaml", objects::yaml),
    ("parts", objects::parts),
    ("list", objects::list),
    ("json", objects::json),
    ("documents", objects::documents),
];

/// Runs the decoder of a name. Does nothing where there is none.
pub fn decode(name: &str, bytes: &[u8]) {
    if let Some((_, run)) = DECODERS.iter().find(|(own, _)| *own == name) {
        run(bytes);
    }
}
