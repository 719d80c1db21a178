//! Exit codes. Documented for users in docs/reference/exit-codes.md.

/// All that was asked for was done.
pub const OK: u8 = 0;
/// The command failed; `diff` found differences.
pub const ERROR: u8 = 1;
/// The command line is wrong.
pub const USAGE: u8 = 2;
/// Done in part: something could not be read or restored; the output names it.
pub const PARTIAL: u8 = 3;
/// `diff` itself failed.
pub const DIFF_FAILED: u8 = 4;
/// `restore --detailed-exit-code`: everything was as wanted.
pub const NOTHING_TO_DO: u8 = 5;
