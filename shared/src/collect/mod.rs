//! Reading a cluster: what to read, one consistent cut, a bounded pipeline into snapshots.
//!
//! ```text
//! discovery ─▶ plan (read or skip, with a reason) ─▶ one resourceVersion ─▶ LIST all kinds at it, 8 at a time
//!     LIST body ─▶ splitter ─▶ batches of 256 KiB ─bounded channel─▶ blocking worker: filter ─▶ KindWriter of each snapshot
//! ```
//! Memory: two batches a kind in flight, whatever the size of the cluster.

mod filters;
mod plan;
mod read;
mod worker;

pub use filters::{FilterError, Filters};
pub(crate) use filters::{Matcher, Wanted};
pub use plan::{CollectPlan, PlannedKind, Skip, plan};
pub use read::{CollectError, CollectReport, Progress, collect};
