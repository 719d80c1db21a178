//! Mounts a snapshot, or all snapshots of a repository, as a directory of YAML manifests.
//!
//! ```text
//! kernel  (fuser: translation only) ─▶ core ─▶ forest  (one tree a snapshot, loaded when entered) ─▶ tree (inodes, names, order)
//!                                         ├──▶ top     (with all snapshots: what is above them) · changes · history (trees of other kinds)
//!                                         ├──▶ content (a file's bytes: cached blocks, or a fetch with a deadline)
//!                                         └──▶ pusher  (neighbours into the page cache before they are asked for; push is its policy)
//! status  (`.kstashfs/`: what is mounted, and figures)
//! browse  (the same tree for readers in this process)
//! mount   (checks, start, end) · place (the table of mounts, unmounting) · mounts (all of a machine) · daemon (life in the background)
//! ```
//! Snapshots never change, so the kernel may keep everything for ever: names, attributes and pages.

pub mod ahead;
pub mod browse;
mod changes;
pub mod content;
mod core;
pub mod counters;
pub mod daemon;
pub mod forest;
mod history;
mod kernel;
#[cfg(test)]
mod model_tests;
pub mod mount;
pub mod mounts;
mod names;
pub mod permissions;
pub mod place;
pub mod push;
mod pusher;
pub mod status;
mod top;
pub mod tree;

pub use content::FileOptions;
pub use forest::Forest;
pub use mount::{Mount, MountError, MountOptions, check, mount};
pub use place::{State, UnmountError, state, unmount};

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use std::{fs, path::Path};

    #[test]
    fn the_promises_name_tests_that_are_there() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let promises = fs::read_to_string(root.join("docs/semantics.md")).unwrap();
        let numbers: Vec<usize> = promises.lines().filter_map(|line| line.strip_prefix("| ")?.split_once(' ')?.0.parse().ok()).collect();
        assert_eq!(numbers, (1..=numbers.len()).collect::<Vec<_>>(), "promises are numbered one by one");
        let named: Vec<(&str, &str)> = promises.split('`').filter_map(|word| word.split_once(".rs::")).collect();
        assert!(numbers.len() > 40 && named.len() > numbers.len(), "{} tests for {} promises", named.len(), numbers.len());
        for (file, test) in named {
            let (package, below) = file.split_once('/').unwrap();
            let folder = root.join(package).join(if package == "tests" { "tests" } else { "src" });
            let code = fs::read_to_string(folder.join(below).with_extension("rs")).unwrap_or_else(|error| panic!("{file}.rs: {error}"));
            assert!(code.contains(&format!("fn {test}(")), "there is no {test} in {file}.rs");
        }
    }
}
