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

/// All samples, grouped by metric; metrics without one are left out.
pub fn write(samples: &[Sample]) -> String {
    let mut by_name: BTreeMap<&str, Vec<&Sample>> = BTreeMap::new();
    for sample in samples {
        by_name.entry(sample.name).or_default().push(sample);
    }
    let mut text = String::new();
    for metric in METRICS {
        let Some(found) = by_name.get(metric.name) else { continue };
        // Writing into a String cannot fail.
        let _ = writeln!(text, "# HELP {} {}\n# TYPE {} {}", metric.name, metric.meaning, metric.name, metric.type_.as_str());
        for sample in found {
            text.push_str(metric.name);
            for (at, (label, value)) in sample.labels.iter().enumerate() {
                let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
                let _ = write!(text, "{}{label}=\"{value}\"", if at == 0 { '{' } else { ',' });
            }
            let _ = writeln!(text, "{} {}", if sample.labels.is_empty() { "" } else { "}" }, sample.value);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_quoted() {
        let path = "a\"b\\c\nd".to_owned();
        let text = write(&[Sample::new("storage_kubestash_com_repository_info", [("path", path), ("phase", "Ready".to_owned())], 1.0)]);
        let wanted = "# HELP storage_kubestash_com_repository_info What there is to know of the Repository\n\
            # TYPE storage_kubestash_com_repository_info gauge\n\
            storage_kubestash_com_repository_info{path=\"a\\\"b\\\\c\\nd\",phase=\"Ready\"} 1\n";
        assert_eq!(text, wanted);
    }
}
