//! How far a restore is: a line, and on a terminal a table of the kinds below it.

use std::time::Duration;

use kubestash::restore::{KindProgress, Progress};
use unicode_width::UnicodeWidthStr as _;

use crate::cli::output::table;

/// Kinds in the table; a terminal that is lower shows fewer.
const ROWS: usize = 8;

/// `1,200/20,000 objects, 512/s, 3 failed`.
pub fn line(progress: &Progress, elapsed: Duration) -> String {
    let (done, total, failed) = (progress.done(), progress.total(), progress.failed());
    let seconds = elapsed.as_secs_f64();
    // The first second says nothing of the others.
    let rate = if seconds < 1.0 { String::new() } else { format!(", {:.0}/s", done as f64 / seconds) };
    format!("{done}/{total} objects{rate}, {failed} failed")
}

/// The line, and the kinds that were begun last, in the order of the restore. At most `height` lines of at most `width` columns.
pub fn picture(progress: &Progress, elapsed: Duration, width: usize, height: usize) -> String {
    let mut lines = vec![line(progress, elapsed)];
    let kinds = progress.kinds();
    let begun: Vec<&KindProgress> = kinds.iter().filter(|kind| kind.done() > 0).collect();
    // The line, the head and the sums.
    let room = ROWS.min(height.saturating_sub(3));
    if begun.is_empty() || room == 0 {
        return lines.concat();
    }
    let before = begun.len().saturating_sub(room);
    let rows: Vec<Vec<String>> = begun.iter().skip(before).map(|kind| row(kind)).collect();
    lines.extend(table(&["KIND", "DONE", "CREATED", "CHANGED", "LEFT", "FAILED"], &rows).lines().map(|line| cut(line, width)));
    let open = kinds.len() - begun.len();
    if before + open > 0 {
        lines.push(format!("{before} kinds before, {open} to come"));
    }
    lines.join("\n")
}

fn row(kind: &KindProgress) -> Vec<String> {
    let done = format!("{}/{}", kind.done(), kind.total);
    [kind.kind.to_string(), done, kind.created().to_string(), kind.changed().to_string(), kind.left().to_string(), kind.failed().to_string()].into()
}

/// The line as far as it fits: a terminal would go on with it in the next one.
fn cut(line: &str, width: usize) -> String {
    let mut kept = String::new();
    for letter in line.chars() {
        if kept.width() + 1 >= width {
            break;
        }
        kept.push(letter);
    }
    kept.trim_end().to_owned()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use kubestash::{
        object::{KindInfo, ObjectId},
        restore::{
            Outcome, Reason,
            order::Stage,
            plan::{Action, Plan, Step, Wave},
        },
    };

    use super::*;

    fn step(resource: &str, name: &str) -> Step {
        let kind = KindInfo { group: String::new(), version: "v1".into(), resource: resource.into(), kind: "K".into(), namespaced: true };
        let id = ObjectId { kind: kind.group_resource(), namespace: Some("demo".into()), name: name.into() };
        Step::new(kind, id, Action::Create, Reason::Missing)
    }

    fn progress(kinds: &[&str]) -> Progress {
        let steps = kinds.iter().flat_map(|kind| [step(kind, "a"), step(kind, "b")]).collect();
        let progress = Progress::default();
        progress.begin(&Plan { waves: vec![Wave { stage: Stage::Configuration, depth: 0, steps }], ..Plan::default() });
        progress
    }

    #[test]
    fn a_line_tells_how_far_it_is() {
        let progress = progress(&["configmaps", "secrets"]);
        assert_eq!(line(&progress, Duration::ZERO), "0/4 objects, 0 failed");
        progress.count(&step("configmaps", "a"), &Outcome::Created);
        progress.count(&step("secrets", "a"), &Outcome::Failed("no".into()));
        assert_eq!(line(&progress, Duration::from_secs(2)), "2/4 objects, 1/s, 1 failed");
    }

    #[test]
    fn kinds_are_shown_as_they_are_begun() {
        let progress = progress(&["configmaps", "secrets", "services"]);
        let shown = |width, height| picture(&progress, Duration::from_secs(2), width, height);
        assert_eq!(shown(80, 24), "0/6 objects, 0/s, 0 failed");
        progress.count(&step("configmaps", "a"), &Outcome::Created);
        progress.count(&step("configmaps", "b"), &Outcome::Skipped(Reason::Exists));
        progress.count(&step("secrets", "a"), &Outcome::Updated);
        progress.count(&step("secrets", "b"), &Outcome::Failed("no".into()));
        assert_eq!(
            shown(80, 24),
            "4/6 objects, 2/s, 1 failed\n\
             KIND         DONE   CREATED   CHANGED   LEFT   FAILED\n\
             configmaps   2/2    1         0         1      0\n\
             secrets      2/2    0         1         0      1\n\
             0 kinds before, 1 to come"
        );
        // A low terminal has room for the kind that was begun last, a narrow one for the first columns.
        assert_eq!(shown(20, 4), "4/6 objects, 2/s, 1 failed\nKIND      DONE   CR\nsecrets   2/2    0\n1 kinds before, 1 to come");
        assert_eq!(shown(80, 3), "4/6 objects, 2/s, 1 failed");
        assert!(shown(80, 24).lines().count() <= ROWS + 3);
    }
}
