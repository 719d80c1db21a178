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
pub mod edits;
mod exact;
mod facts;
mod fields;
mod labels;
mod observe;
pub mod order;
mod owners;
mod patch;
pub mod plan;
mod policy;
mod progress;
mod reason;
mod related;
mod report;
mod saved;
mod select;
mod snapshot_filter;
mod source;
pub mod transforms;
mod trial;
mod update;
mod verify;
mod versions;
mod window;

pub use exact::ScopeError;
pub use facts::{Facts, Manager, Owner, Verdict};
pub use fields::{FieldError, FieldPath};
pub use labels::{LabelSelector, SelectorError};
pub use observe::{ObserveError, observe};
pub use owners::{OwnerLink, OwnerLinks};
pub use progress::{KindProgress, Progress};
pub use reason::Reason;
pub use report::{CauseGroup, Failure, Outcome, Report};
pub use saved::{SavedPlan, SavedPlanError, moved};
pub use select::{Choice, MountPath, Pick, Selection, SelectionError};
pub use snapshot_filter::{NothingShown, ShowError, SnapshotFilter};
pub use source::{Document, Item, LoadedParts, Source, SourceError};
pub use trial::Trial;
pub use verify::{Difference, DifferenceKind, VerifyError, differences, differs_only_in_generated, entries};
pub use versions::stored_kind;

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    #[test]
    fn the_rules_name_tests_that_are_there() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let rules = fs::read_to_string(root.join("docs/reference/restore-rules.md")).unwrap();
        let named: Vec<(&str, &str)> = rules.split('`').filter_map(|word| word.split_once(".rs::")).collect();
        assert!(named.len() > 100, "only {} tests are named", named.len());
        for (file, test) in named {
            let path = match file.strip_prefix("tests/") {
                Some(real) => root.join("tests/tests").join(real),
                None => root.join("shared/src").join(file),
            };
            let code = fs::read_to_string(path.with_extension("rs")).unwrap_or_else(|error| panic!("{file}.rs: {error}"));
            assert!(code.contains(&format!("fn {test}()")), "there is no {test} in {file}.rs");
        }
    }
}
