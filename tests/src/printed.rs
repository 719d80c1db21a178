//! All objects of a live cluster, each as `kubectl get -o yaml --show-managed-fields` prints it alone.
//!
//! Asked for many objects kubectl prints one List, in which long text is folded at other places than in a single object, and asking for each
//! alone takes minutes. But with `--watch` it prints the objects that are there one by one, each as a document of its own, before it waits for
//! changes; a time limit ends the waiting. So a kind costs one call, and nothing has to be cut out of a List.

use std::{
    collections::BTreeMap,
    fmt,
    sync::atomic::{AtomicUsize, Ordering},
};

use crate::{
    cluster::{Cluster, kubectl},
    kubectl::documents,
};

/// How long a call may list and then waits, in seconds; the longer ones are for a machine that is too busy to list in time.
const LIMITS: [u32; 3] = [2, 10, 60];
/// Calls at a time: they wait more than they work.
const CALLS: usize = 12;

/// Which object: the path of its file in a mounted snapshot, without `.yaml`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name {
    /// `pods`, `deployments.apps`.
    pub resource: String,
    /// Its namespace, if it has one.
    pub namespace: Option<String>,
    /// Its own name.
    pub name: String,
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "namespaces/{namespace}/{}/{}", self.resource, self.name),
            None => write!(f, "cluster/{}/{}", self.resource, self.name),
        }
    }
}

/// Plural names with groups of everything that kubectl can list; `verbs` are more that it must know.
pub fn listable(cluster: &Cluster, verbs: &str) -> Vec<String> {
    let verbs = format!("--verbs=list,get{verbs}");
    cluster.kubectl(&["api-resources", &verbs, "-o", "name"]).lines().map(str::to_owned).collect()
}

/// The objects of some kinds.
pub fn print_all(cluster: &Cluster, resources: &[String]) -> BTreeMap<Name, String> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut own = BTreeMap::new();
        while let Some(resource) = resources.get(next.fetch_add(1, Ordering::Relaxed)) {
            own.extend(print_kind(cluster, resource));
        }
        own
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..CALLS).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    })
}

fn print_kind(cluster: &Cluster, resource: &str) -> BTreeMap<Name, String> {
    let mut complaints = Vec::new();
    for limit in LIMITS {
        let output = kubectl()
            .arg("--kubeconfig")
            .arg(cluster.kubeconfig())
            .args(["get", resource, "-A", "-o", "yaml", "--show-managed-fields", "--watch", &format!("--request-timeout={limit}s")])
            .output()
            .unwrap();
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        // What is computed at each request cannot be watched; it is printed all the same.
        if output.status.success() || complaint.contains("watch is not supported on resources of kind") {
            let printed = String::from_utf8(output.stdout).unwrap();
            return documents(&printed).into_iter().map(|document| (name_of(resource, &document), document)).collect();
        }
        complaints.push(complaint);
    }
    panic!("kubectl get {resource}: {complaints:?}");
}

/// A field of an object's metadata, by lines: the text may hold what YAML readers other than kubectl's stumble over.
fn metadata(document: &str, field: &str) -> Option<String> {
    let head = format!("  {field}: ");
    let lines = document.lines().skip_while(|line| *line != "metadata:").skip(1);
    let mut own = lines.take_while(|line| line.is_empty() || line.starts_with(' '));
    own.find_map(|line| line.strip_prefix(&head)).map(|value| serde_yaml::from_str(value).unwrap())
}

fn name_of(resource: &str, document: &str) -> Name {
    let name = metadata(document, "name").unwrap_or_else(|| panic!("{resource}: an object without name:\n{document}"));
    Name { resource: resource.to_owned(), namespace: metadata(document, "namespace"), name }
}

/// The `resourceVersion` in an object's text; empty for what is computed at each request.
pub fn version(document: &str) -> String {
    metadata(document, "resourceVersion").unwrap_or_default()
}
