//! What comes behind a step of a reconciler.

use std::time::Duration;

/// What comes behind a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// The next one.
    Next,
    /// The next one, and another look in so long.
    Again(Duration),
    /// What it learned stands in what was seen: it is decided anew, and the steps that are left are forgotten.
    Decide,
}
