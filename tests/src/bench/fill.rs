//! What empty clusters are filled with, and filling them by raw POSTs: the floor of a restore.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};
use kubestash::cluster::{Cluster, Method};
use serde_json::{Value, json};

use crate::corpus::{
    Corpus, Object,
    kind::CUSTOM,
    load::{CONNECTIONS, until_served},
};

/// Random bytes in each Secret: as much as a few passwords and a certificate.
const SECRET_BYTES: usize = 1024;
/// Objects of each definition.
const OBJECTS_OF_A_DEFINITION: usize = 3;
/// How long discovery may lag behind.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks at it.
const LOOK: Duration = Duration::from_millis(500);

/// One object to create.
#[derive(Debug, Clone)]
struct Post {
    /// Of its collection.
    path: String,
    body: Bytes,
}

impl Post {
    fn new(path: impl Into<String>, object: &Value) -> Self {
        Self { path: path.into(), body: Bytes::from(object.to_string()) }
    }
}

impl From<Object> for Post {
    fn from(object: Object) -> Self {
        let object = object.loadable();
        Self::new(object.kind.path(object.namespace()), &object.value)
    }
}

/// Objects that may be created at the same time.
#[derive(Debug, Clone, Default)]
struct Batch {
    /// The objects of a chain are created one after the other, chains side by side.
    chains: Vec<Vec<Post>>,
    /// Collections that must be served before the next batch begins.
    serves: Vec<String>,
}

/// What raw POSTs took.
#[derive(Debug, Clone, Copy)]
pub struct Raw {
    /// Seconds in which requests were on their way.
    pub posting: f64,
    /// Seconds of waiting for definitions to be served.
    pub waiting: f64,
}

/// All objects of a cluster, their requests made beforehand: making them is no part of the floor.
#[derive(Debug, Clone)]
pub struct Fill {
    batches: Vec<Batch>,
}

impl Fill {
    /// So many Secrets in a namespace of their own. Their names are `secret-00000` and so on.
    pub fn secrets(namespace: &str, count: usize) -> Self {
        let home = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
        let secret = |number: usize| {
            let mut content = [0; SECRET_BYTES];
            blake3::Hasher::new().update(&number.to_le_bytes()).finalize_xof().fill(&mut content);
            let metadata = json!({"name": format!("secret-{number:05}"), "namespace": namespace, "labels": {"app": format!("app-{}", number % 100)}});
            let object =
                json!({"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": metadata, "data": {"value": STANDARD.encode(content)}});
            vec![Post::new(format!("/api/v1/namespaces/{namespace}/secrets"), &object)]
        };
        Self {
            batches: vec![
                Batch::of(vec![Post::new("/api/v1/namespaces", &home)]),
                Batch { chains: (0..count).map(secret).collect(), serves: Vec::new() },
            ],
        }
    }

    /// The made-up cluster: what is cluster-wide first, then one app after the other on each connection.
    pub fn corpus(corpus: &Corpus) -> Self {
        let mut groups = corpus.groups().map(|group| group.into_iter().map(Post::from).collect::<Vec<Post>>());
        let first = Batch { serves: CUSTOM.iter().map(|kind| kind.path(None)).collect(), ..Batch::of(groups.next().unwrap_or_default()) };
        Self { batches: vec![first, Batch { chains: groups.collect(), serves: Vec::new() }] }
    }

    /// So many definitions, each with some objects.
    pub fn definitions(count: usize) -> Self {
        let collection = |number: usize| format!("/apis/bench.example.com/v1/things{number}");
        let definition = |number: usize| {
            let names = json!({"kind": format!("Thing{number}"), "plural": format!("things{number}"), "singular": format!("thing{number}")});
            let spec = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
            let schema = json!({"type": "object", "properties": {"spec": spec}});
            let version = json!({"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}});
            let object = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
                "metadata": {"name": format!("things{number}.bench.example.com")},
                "spec": {"group": "bench.example.com", "scope": "Cluster", "names": names, "versions": [version]}});
            Post::new("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", &object)
        };
        let thing = |number: usize| {
            let (of, which) = (number / OBJECTS_OF_A_DEFINITION, number % OBJECTS_OF_A_DEFINITION);
            let (kind, name) = (format!("Thing{of}"), format!("thing-{which}"));
            let object = json!({"apiVersion": "bench.example.com/v1", "kind": kind, "metadata": {"name": name}, "spec": {"size": number}});
            Post::new(collection(of), &object)
        };
        let definitions = Batch { serves: (0..count).map(collection).collect(), ..Batch::of((0..count).map(definition).collect()) };
        Self { batches: vec![definitions, Batch::of((0..count * OBJECTS_OF_A_DEFINITION).map(thing).collect())] }
    }

    /// How many objects there are.
    pub fn objects(&self) -> usize {
        self.batches.iter().flat_map(|batch| &batch.chains).map(Vec::len).sum()
    }

    /// Creates everything.
    ///
    /// # Errors
    /// The first object that the cluster does not take, or a definition that is not served.
    pub async fn post(&self, cluster: &Cluster) -> anyhow::Result<Raw> {
        let mut raw = Raw { posting: 0.0, waiting: 0.0 };
        for batch in &self.batches {
            let start = Instant::now();
            let chains = futures::stream::iter(batch.chains.iter().map(anyhow::Ok));
            chains.try_for_each_concurrent(CONNECTIONS, |chain| create(cluster, chain)).await?;
            raw.posting += start.elapsed().as_secs_f64();
            let start = Instant::now();
            let served = futures::stream::iter(&batch.serves).map(|path| until_served(cluster, path));
            served.buffer_unordered(CONNECTIONS).try_collect::<()>().await?;
            raw.waiting += start.elapsed().as_secs_f64();
        }
        Ok(raw)
    }

    /// Waits until discovery tells of every kind that was defined, which is seconds after it is served: a backup finds kinds so.
    ///
    /// # Errors
    /// When it does not in a minute.
    pub async fn until_discovered(&self, cluster: &Cluster) -> anyhow::Result<()> {
        let wanted: Vec<&String> = self.batches.iter().flat_map(|batch| &batch.serves).collect();
        let start = Instant::now();
        loop {
            let discovery = cluster.discover().await?;
            let known: HashSet<String> = discovery.kinds.iter().map(|kind| kind.path(None)).collect();
            let Some(missing) = wanted.iter().find(|path| !known.contains(**path)) else { return Ok(()) };
            ensure!(start.elapsed() < PATIENCE, "discovery does not tell of {missing} after {} s", PATIENCE.as_secs());
            tokio::time::sleep(LOOK).await;
        }
    }
}

impl Batch {
    /// Objects that do not depend on each other.
    fn of(posts: Vec<Post>) -> Self {
        Self { chains: posts.into_iter().map(|post| vec![post]).collect(), serves: Vec::new() }
    }
}

async fn create(cluster: &Cluster, chain: &[Post]) -> anyhow::Result<()> {
    for post in chain {
        let sent = cluster.send(Method::Post, &post.path, post.body.clone()).await;
        sent.with_context(|| format!("cannot create an object at {}", post.path))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fills_hold_what_they_say() {
        assert_eq!(Fill::secrets("vault", 3).objects(), 4);
        assert_eq!(Fill::definitions(2).objects(), 2 + 2 * OBJECTS_OF_A_DEFINITION);
        assert_eq!(Fill::corpus(&Corpus::new(800, "one")).objects(), 800);
    }
}
