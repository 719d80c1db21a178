//! What an API server was asked, by its own count.

use std::collections::BTreeMap;

use anyhow::ensure;

use crate::cluster::Cluster;

const METRIC: &str = "apiserver_request_total{";
/// Kinds that an API server looks after by itself: its own lease, services of definitions, the addresses of Services.
const OWN: [&str; 3] = ["apiservices", "ipaddresses", "leases"];
const READS: [&str; 2] = ["GET", "LIST"];
const WRITES: [&str; 6] = ["POST", "PUT", "PATCH", "APPLY", "DELETE", "DELETECOLLECTION"];

/// Requests about objects by verb and resource. What an API server asks itself is left out as far as it can be told: watches, and what it
/// writes into subresources and kinds of its own.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Requests {
    /// That read or wrote.
    done: BTreeMap<(String, String), u64>,
    /// That were dry runs.
    tried: BTreeMap<(String, String), u64>,
}

impl Requests {
    /// All until now.
    ///
    /// # Errors
    /// When the API server does not tell.
    pub fn so_far(cluster: &Cluster) -> anyhow::Result<Self> {
        let text = cluster.try_kubectl(&["get", "--raw", "/metrics"], "").map_err(anyhow::Error::msg)?;
        ensure!(text.contains(METRIC), "the API server does not count requests");
        Ok(Self::read(&text))
    }

    fn read(text: &str) -> Self {
        let mut requests = Self::default();
        for line in text.lines() {
            let Some((labels, count)) = line.strip_prefix(METRIC).and_then(|rest| rest.split_once("} ")) else { continue };
            let label = |name: &str| {
                let value = labels.split(',').find_map(|label| label.strip_prefix(name)?.strip_prefix("=\""));
                value.map_or("", |value| value.trim_end_matches('"'))
            };
            let (verb, resource) = (label("verb"), label("resource"));
            if !(READS.contains(&verb) || WRITES.contains(&verb)) || OWN.contains(&resource) || !label("subresource").is_empty() {
                continue;
            }
            // Large numbers come as 1.5e+06.
            let count = count.trim().parse::<f64>().unwrap_or_default() as u64;
            let kind = if label("dry_run").is_empty() { &mut requests.done } else { &mut requests.tried };
            *kind.entry((verb.to_owned(), resource.to_owned())).or_default() += count;
        }
        requests
    }

    /// Those that came after `before`.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let difference = |now: &BTreeMap<(String, String), u64>, before: &BTreeMap<(String, String), u64>| {
            let more = now.iter().map(|(key, count)| (key.clone(), count - before.get(key).copied().unwrap_or_default()));
            more.filter(|(_, count)| *count > 0).collect()
        };
        Self { done: difference(&self.done, &before.done), tried: difference(&self.tried, &before.tried) }
    }

    /// How many there were, dry runs apart.
    pub fn all(&self) -> u64 {
        self.done.values().sum()
    }

    /// How many dry runs of writes there were.
    pub fn tried(&self) -> u64 {
        self.tried.values().sum()
    }

    /// Those that wrote, as `POST secrets: 3`.
    pub fn writes(&self) -> Vec<String> {
        let writes = self.done.iter().filter(|((verb, _), _)| WRITES.contains(&verb.as_str()));
        writes.map(|((verb, resource), count)| format!("{verb} {resource}: {count}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: &str = r#"# TYPE apiserver_request_total counter
apiserver_request_total{code="201",component="apiserver",dry_run="",group="",resource="secrets",scope="resource",subresource="",verb="POST",version="v1"} 10
apiserver_request_total{code="200",component="apiserver",dry_run="",group="",resource="secrets",scope="cluster",subresource="",verb="LIST",version="v1"} 2
"#;
    const AFTER: &str = r#"apiserver_request_total{code="201",component="apiserver",dry_run="",group="",resource="secrets",scope="resource",subresource="",verb="POST",version="v1"} 12
apiserver_request_total{code="409",component="apiserver",dry_run="",group="",resource="secrets",scope="resource",subresource="",verb="POST",version="v1"} 1
apiserver_request_total{code="201",component="apiserver",dry_run="All",group="",resource="secrets",scope="resource",subresource="",verb="POST",version="v1"} 5
apiserver_request_total{code="200",component="apiserver",dry_run="",group="",resource="secrets",scope="cluster",subresource="",verb="LIST",version="v1"} 3
apiserver_request_total{code="0",component="apiserver",dry_run="",group="",resource="secrets",scope="cluster",subresource="",verb="WATCH",version="v1"} 9
apiserver_request_total{code="200",component="apiserver",dry_run="",group="coordination.k8s.io",resource="leases",scope="resource",subresource="",verb="PUT",version="v1"} 4
apiserver_request_total{code="200",component="apiserver",dry_run="",group="apps",resource="deployments",scope="resource",subresource="status",verb="PUT",version="v1"} 4
apiserver_request_total{code="200",component="apiserver",dry_run="",group="",resource="configmaps",scope="resource",subresource="",verb="GET",version="v1"} 1e+06
"#;

    #[test]
    fn what_others_asked_is_counted_and_nothing_else() {
        let asked = Requests::read(AFTER).since(&Requests::read(BEFORE));
        assert_eq!((asked.all(), asked.tried()), (3 + 1 + 1_000_000, 5));
        assert_eq!(asked.writes(), ["POST secrets: 3"]);
        let nothing = Requests::read(BEFORE).since(&Requests::read(BEFORE));
        assert_eq!(nothing, Requests::default());
    }
}
