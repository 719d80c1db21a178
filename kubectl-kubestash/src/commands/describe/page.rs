//! One page about one object: facts, tables, what is wrong, what to type next. Pure.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kubestash::api::Condition;

use crate::cli::output::{age, columns, table};

/// What is shown of an object.
#[derive(Debug, Default, PartialEq)]
pub struct Page {
    /// Kind, namespace and name, and the phase.
    pub title: String,
    /// Labels and values; those without a value are left out.
    pub facts: Vec<(&'static str, Option<String>)>,
    /// What belongs to it.
    pub tables: Vec<Table>,
    /// What went wrong, and what to do about it.
    pub problems: Vec<String>,
    /// Commands that a person would type next.
    pub next: Vec<String>,
}

/// Rows under a heading.
#[derive(Debug, PartialEq)]
pub struct Table {
    /// What the rows are.
    pub heading: &'static str,
    /// Names of the columns.
    pub header: &'static [&'static str],
    /// A table without rows is left out.
    pub rows: Vec<Vec<String>>,
}

impl Page {
    /// A page that has only its title.
    pub fn new(kind: &str, namespace: &str, name: &str, phase: &str) -> Self {
        Self { title: format!("{kind} {namespace}/{name}: {phase}"), ..Self::default() }
    }

    /// As text, with the problems right below the facts: who asks because something is broken shall not have to look for it.
    pub fn render(&self) -> String {
        let mut out = format!("{}\n", self.title);
        let facts = self.facts.iter().filter_map(|(label, value)| Some(vec![format!("  {label}"), value.clone()?]));
        out.push_str(&columns(facts.collect::<Vec<_>>().iter()));
        if !self.problems.is_empty() {
            out.push_str("\nProblems\n");
            out.extend(self.problems.iter().map(|problem| format!("  - {problem}\n")));
        }
        for Table { heading, header, rows } in self.tables.iter().filter(|table| !table.rows.is_empty()) {
            out.push_str(&format!("\n{heading}\n"));
            out.extend(table(header, rows).lines().map(|line| format!("  {line}\n")));
        }
        if !self.next.is_empty() {
            out.push_str("\nNext\n");
            out.extend(self.next.iter().map(|command| format!("  {command}\n")));
        }
        out
    }

    /// Adds a problem, if it is not told yet.
    pub fn problem(&mut self, text: impl Into<String>) {
        self.problem_of("", &text.into());
    }

    /// Adds a problem of a part of the object, if it is not told yet, of whatever part.
    pub fn problem_of(&mut self, part: &str, text: &str) {
        if !self.problems.iter().any(|told| told.contains(text)) {
            self.problems.push(if part.is_empty() { text.to_owned() } else { format!("{part}: {text}") });
        }
    }

    /// Adds what conditions complain about: those that are `False`, and those of these types that are `True`.
    pub fn complaints(&mut self, conditions: &[Condition], bad_when_true: &[&str]) {
        let bad = |condition: &&Condition| condition.is_false() || (condition.is_true() && bad_when_true.contains(&condition.type_.as_str()));
        for condition in conditions.iter().filter(bad) {
            self.problem(condition.message.clone().or_else(|| condition.reason.clone()).unwrap_or_else(|| condition.type_.clone()));
        }
    }
}

/// A cell for what may be unknown.
pub fn cell(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

/// `5m ago`.
pub fn ago(time: Option<&Time>, now: Timestamp) -> Option<String> {
    Some(format!("{} ago", age(time?.0, now)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_read_from_top_to_bottom() {
        let mut page = Page::new("Repository", "demo", "r", "NotReady");
        page.facts = vec![("storage", Some("demo/s".to_owned())), ("size", None), ("path", Some("/d".to_owned()))];
        page.complaints(&[Condition::new("A", true, "Good", "fine"), Condition::new("B", false, "Bad", "no bucket; make it")], &[]);
        page.problem("no bucket");
        page.tables.push(Table { heading: "Snapshots", header: &["NAME", "PHASE"], rows: vec![vec!["x".to_owned(), cell(None::<String>)]] });
        page.tables.push(Table { heading: "Empty", header: &["NAME"], rows: Vec::new() });
        page.next.push("kubectl kubestash snapshots".to_owned());
        let expected = "\
Repository demo/r: NotReady
  storage   demo/s
  path      /d

Problems
  - no bucket; make it

Snapshots
  NAME   PHASE
  x      -

Next
  kubectl kubestash snapshots
";
        assert_eq!(page.render(), expected);
    }
}
