//! Putting objects of a snapshot, or of a file, back into a cluster.
//!
//! ```text
//! source (snapshot rows | file) ──select──▶ candidates ──facts──┐
//! cluster ──metadata, and whole objects that may differ────────┼──plan (pure)──▶ Plan{waves, steps, reasons} ──apply──▶ Report
//! discovery ──served kinds─────────────────────────────────────┘                     │
//!                                                              table, JSON, dry run ◀┘
//! ```
//! [`plan::plan`] decides everything: what is done to each object, why, in which order. Dry run, table, JSON and execution read the
//! same [`plan::Plan`]. [`apply`] only executes it: one request per new object, waves in parallel. Running a restore again after an
//! interruption continues it, because a plan starts from what is in the cluster.

mod api;
pub mod apply;
mod facts;
mod labels;
mod observe;
pub mod order;
mod owners;
mod patch;
pub mod plan;
mod reason;
mod report;
mod select;
mod source;
pub mod transforms;
mod verify;
mod window;

pub use facts::{Facts, Manager, Owner, Verdict};
pub use labels::{LabelSelector, SelectorError};
pub use observe::{ObserveError, observe};
pub use owners::{OwnerLink, OwnerLinks};
pub use reason::Reason;
pub use report::{CauseGroup, Failure, Outcome, Progress, Report};
pub use select::{MountPath, Pick, Selection, SelectionError};
pub use source::{Document, Item, LoadedParts, Source, SourceError};
pub use verify::{Difference, DifferenceKind, VerifyError, differences, differs_only_in_generated, entries};
