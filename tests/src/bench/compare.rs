//! Changes between two snapshots, found in their catalogs.

use anyhow::ensure;

use super::{
    backup::SNAPSHOTS,
    figure::{Figure, Target, median},
    process,
    stage::Stage,
};

/// What `diff` exits with when it found differences.
const DIFFERENT: i32 = 1;

/// `compare.*`.
///
/// # Errors
/// When the two snapshots do not differ.
pub fn figures(stage: &Stage) -> anyhow::Result<Vec<Figure>> {
    let user = &stage.backups()?.user;
    let (mut times, mut floors, mut changes) = (Vec::new(), Vec::new(), 0);
    for _ in 0..stage.options.rounds.max(3) {
        floors.push(process::run(&mut user.command(&["snapshots"]))?.expect("snapshots", &[0])?.seconds);
        let used = process::run(&mut user.command(&["diff", SNAPSHOTS[0], SNAPSHOTS[1], "--name-only"]))?.expect("diff", &[DIFFERENT])?;
        changes = used.out.lines().count();
        times.push(used.seconds);
    }
    ensure!(changes > 0, "the snapshots do not differ");
    Ok(vec![
        Figure::cost("compare.diff", median(times).unwrap_or_default(), "s")
            .over(median(floors))
            .aims_at_in(stage.size(), Target::Value(1.0))
            .noting(format!("{changes} manifests differ; floor: opening the repository and listing its snapshots")),
    ])
}
