//! Prometheus' text format.

use std::{collections::BTreeMap, fmt::Write as _};

use kubestash::deploy::metrics::METRICS;

/// One value of a metric.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Name of the metric.
    pub name: &'static str,
    /// Its labels, in the order of the list of metrics.
    pub labels: Vec<(&'static str, String)>,
    /// Its value.
    pub value: f64,
}

impl Sample {
    /// A value.
    pub fn new<const N: usize>(name: &'static str, labels: [(&'static str, String); N], value: f64) -> Self {
        Self { name, labels: labels.into(), value }
    }
}

/// Lines of samples by their metric. There may be tens of thousands of samples, so none is kept as a value.
#[derive(Debug, Default)]
pub struct Lines(BTreeMap<&'static str, String>);

impl Lines {
    /// Adds a sample.
    pub fn add(&mut self, sample: &Sample) {
        let text = self.0.entry(sample.name).or_default();
        text.push_str(sample.name);
        for (at, (label, value)) in sample.labels.iter().enumerate() {
            text.push(if at == 0 { '{' } else { ',' });
            text.push_str(label);
            text.push_str("=\"");
            for character in value.chars() {
                match character {
                    '\\' => text.push_str("\\\\"),
                    '"' => text.push_str("\\\""),
                    '\n' => text.push_str("\\n"),
                    other => text.push(other),
                }
            }
            text.push('"');
        }
        // Writing into a String cannot fail.
        let _ = writeln!(text, "{} {}", if sample.labels.is_empty() { "" } else { "}" }, sample.value);
    }

    /// The metrics in the order of their list, each with what it means; those without a sample are left out.
    pub fn parts(mut self) -> impl Iterator<Item = String> {
        METRICS.iter().filter_map(move |metric| {
            let lines = self.0.remove(metric.name)?;
            Some(format!("# HELP {} {}\n# TYPE {} {}\n", metric.name, metric.meaning, metric.name, metric.type_.as_str()) + &lines)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_quoted() {
        let path = "a\"b\\c\nd".to_owned();
        let mut lines = Lines::default();
        lines.add(&Sample::new("storage_kubestash_com_repository_info", [("path", path), ("phase", "Ready".to_owned())], 1.0));
        let text: String = lines.parts().collect();
        let wanted = "# HELP storage_kubestash_com_repository_info What there is to know of the Repository\n\
            # TYPE storage_kubestash_com_repository_info gauge\n\
            storage_kubestash_com_repository_info{path=\"a\\\"b\\\\c\\nd\",phase=\"Ready\"} 1\n";
        assert_eq!(text, wanted);
    }
}
