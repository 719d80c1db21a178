//! `.kstashfs/metrics`: figures in Prometheus' text format. `docs/reference/mount-metrics.md` has them all.

use std::fmt::Write as _;

use jiff::Timestamp;
use kubestash::repository::Reading;

use crate::counters::Counts;

/// All that is told.
pub(super) struct Figures {
    /// Label of every sample, so that files of several mounts go together.
    pub(super) mountpoint: String,
    pub(super) since: Timestamp,
    pub(super) counts: Counts,
    pub(super) reading: Reading,
    pub(super) files: u64,
    pub(super) bytes: u64,
    pub(super) unreadable: u64,
    /// Bytes; nothing where the system does not tell.
    pub(super) resident: Option<u64>,
}

/// A metric: name, type, meaning, and its values by their further label.
struct Metric {
    name: &'static str,
    kind: &'static str,
    meaning: &'static str,
    samples: Vec<(Option<&'static str>, f64)>,
}

impl Figures {
    fn metrics(&self) -> Vec<Metric> {
        let (counts, reading) = (self.counts, self.reading);
        let metric = |name, kind, meaning, samples| Metric { name, kind, meaning, samples };
        let one = |name, kind, meaning, value: u64| metric(name, kind, meaning, vec![(None, value as f64)]);
        let by = |samples: &[(&'static str, u64)]| samples.iter().map(|&(label, value)| (Some(label), value as f64)).collect();
        let requests = [
            ("lookup", counts.lookup),
            ("getattr", counts.getattr),
            ("open", counts.open),
            ("opendir", counts.opendir),
            ("readdirplus", counts.readdirplus),
            ("read", counts.read),
        ];
        let store = [("read", reading.store.reads), ("list", reading.store.lists)];
        let mut metrics = vec![
            metric("kstashfs_mounted_timestamp_seconds", "gauge", "When it was mounted", vec![(None, self.since.as_second() as f64)]),
            one("kstashfs_files", "gauge", "Files and directories that are shown", self.files),
            one("kstashfs_shown_bytes", "gauge", "Bytes of the objects that are shown", self.bytes),
            one("kstashfs_unreadable_files", "gauge", "Files that could not be read because what is stored of them is damaged", self.unreadable),
            metric("kstashfs_requests_total", "counter", "Requests of the kernel", by(&requests)),
            one("kstashfs_pushed_files_total", "counter", "Files put into the page cache before they were asked for", counts.pushed),
            one("kstashfs_read_errors_total", "counter", "Reads that ended in an error", counts.errors),
            metric("kstashfs_store_requests_total", "counter", "Requests to the store of the repository", by(&store)),
            one("kstashfs_store_read_bytes_total", "counter", "Bytes read from the store", reading.store.bytes_read),
            one("kstashfs_disk_cache_hits_total", "counter", "Files that the cache on this machine had", reading.disk_hits),
            one("kstashfs_disk_cache_misses_total", "counter", "Files that it was asked for and did not have", reading.disk_misses),
            one("kstashfs_decoded_blocks_total", "counter", "Blocks that were decrypted and decompressed", reading.decoded),
            one("kstashfs_block_cache_bytes", "gauge", "Decoded blocks in memory", reading.kept_bytes),
            one("kstashfs_block_cache_limit_bytes", "gauge", "The most that may be", reading.kept_limit),
        ];
        if let Some(resident) = self.resident {
            metrics.push(one("kstashfs_resident_memory_bytes", "gauge", "Memory of the process", resident));
        }
        metrics
    }

    pub(super) fn to_text(&self) -> String {
        let place = self.mountpoint.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let mut text = String::new();
        for metric in self.metrics() {
            let Metric { name, kind, meaning, samples } = metric;
            // Writing into a String cannot fail.
            let _ = writeln!(text, "# HELP {name} {meaning}\n# TYPE {name} {kind}");
            for (operation, value) in samples {
                let operation = operation.map_or_else(String::new, |operation| format!(",operation=\"{operation}\""));
                let _ = writeln!(text, "{name}{{mountpoint=\"{place}\"{operation}}} {value}");
            }
        }
        text
    }
}

/// The value of a sample in such a text, all its operations together.
pub fn value(text: &str, name: &str) -> Option<f64> {
    let samples = text.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix('{')?.rsplit_once(' ')?.1.parse::<f64>().ok());
    samples.reduce(|sum, value| sum + value)
}

/// Memory of this process that is in use, in bytes.
pub(super) fn resident() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = text.split(' ').nth(1)?.parse().ok()?;
    // SAFETY: a question about a number that never changes.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    pages.checked_mul(u64::try_from(page).ok()?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn figures() -> Figures {
        Figures {
            mountpoint: "/mnt/\"a\"\\b".into(),
            since: Timestamp::from_second(1_700_000_000).unwrap(),
            counts: Counts { lookup: 1, read: 20, errors: 3, ..Counts::default() },
            reading: Reading { decoded: 5, ..Reading::default() },
            files: 7,
            bytes: 8,
            unreadable: 0,
            resident: Some(9),
        }
    }

    #[test]
    fn figures_become_samples() {
        let text = figures().to_text();
        let wanted = "# HELP kstashfs_read_errors_total Reads that ended in an error\n# TYPE kstashfs_read_errors_total counter\n\
            kstashfs_read_errors_total{mountpoint=\"/mnt/\\\"a\\\"\\\\b\"} 3\n";
        assert!(text.contains(wanted), "{text}");
        assert!(text.contains("kstashfs_requests_total{mountpoint=\"/mnt/\\\"a\\\"\\\\b\",operation=\"read\"} 20\n"), "{text}");
        assert!(text.contains("} 1700000000\n"), "{text}");
        for (name, wanted) in [("kstashfs_requests_total", Some(21.0)), ("kstashfs_files", Some(7.0)), ("kstashfs_x", None), ("kstashfs", None)] {
            assert_eq!(value(&text, name), wanted, "{name}");
        }
        assert!(resident().unwrap() > 100_000);
    }

    #[test]
    fn the_reference_has_every_metric() {
        let page = include_str!("../../../docs/reference/mount-metrics.md");
        for metric in figures().metrics() {
            let row = format!("| `{}` | {} |", metric.name, metric.kind);
            assert!(page.contains(&row) && page.contains(metric.meaning), "docs/reference/mount-metrics.md lacks {row} {}", metric.meaning);
        }
        assert_eq!(page.matches("\n| `kstashfs_").count(), figures().metrics().len());
    }
}
