//! The corpus in a running cluster: many connections, each with one app at a time.

use std::{
    io::Write as _,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};
use kubestash::cluster::{Cluster, Method};

use super::{Corpus, Object, kind, revision};

/// Requests in flight.
pub const CONNECTIONS: usize = 32;
/// How long a new definition may take until its kind is served.
const ESTABLISHED: Duration = Duration::from_secs(60);

/// Counts what is done, and says so every few seconds.
struct Counter {
    what: &'static str,
    all: usize,
    done: AtomicUsize,
    started: Instant,
}

impl Counter {
    fn new(what: &'static str, all: usize) -> Arc<Self> {
        Arc::new(Self { what, all, done: AtomicUsize::new(0), started: Instant::now() })
    }

    fn one_more(&self) {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        if done.is_multiple_of(10_000) || done == self.all {
            let rate = done as f64 / self.started.elapsed().as_secs_f64();
            let _ = writeln!(std::io::stderr(), "{} {done} of {} objects, {rate:.0} a second", self.what, self.all);
        }
    }
}

async fn post(cluster: &Cluster, object: Object) -> anyhow::Result<()> {
    let object = object.loadable();
    let path = object.kind.path(object.namespace());
    let sent = cluster.send(Method::Post, &path, Bytes::from(object.value.to_string())).await;
    sent.with_context(|| format!("cannot create {} {}/{}", object.kind.kind, object.namespace().unwrap_or_default(), object.name()))?;
    Ok(())
}

/// Creates every object of the corpus.
///
/// # Errors
/// The first object that the cluster does not take.
pub async fn load(cluster: &Cluster, corpus: &Corpus) -> anyhow::Result<()> {
    let counter = Counter::new("loaded", corpus.len());
    let mut groups = corpus.groups();
    let first = groups.next().unwrap_or_default();
    futures::stream::iter(first.into_iter().map(Ok))
        .try_for_each_concurrent(CONNECTIONS, |object| async {
            post(cluster, object).await?;
            counter.one_more();
            anyhow::Ok(())
        })
        .await?;
    for custom in kind::CUSTOM {
        until_served(cluster, &custom.path(None)).await?;
    }
    // One app after the other on each connection: its ServiceAccount stands before its Pods.
    futures::stream::iter(groups.map(Ok))
        .try_for_each_concurrent(CONNECTIONS, |app| async {
            for object in app {
                post(cluster, object).await?;
                counter.one_more();
            }
            anyhow::Ok(())
        })
        .await
}

/// Waits until a collection is served, as it is a moment after its definition was created.
///
/// # Errors
/// When it is not served in a minute.
pub async fn until_served(cluster: &Cluster, path: &str) -> anyhow::Result<()> {
    let start = Instant::now();
    while let Err(error) = cluster.send(Method::Get, &format!("{path}?limit=1"), Bytes::new()).await {
        if start.elapsed() > ESTABLISHED {
            bail!("{path} is not served {} s after its definition was created: {error}", ESTABLISHED.as_secs());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

/// Makes the changes of the corpus's revision in a cluster that holds the revision before. Gives how many objects changed.
///
/// # Errors
/// The first change that the cluster does not take.
pub async fn change(cluster: &Cluster, corpus: &Corpus) -> anyhow::Result<usize> {
    futures::stream::iter(revision::patches(corpus))
        .map(|patch| async move {
            let body = Bytes::from(patch.body.to_string());
            let sent = cluster.send(Method::Merge, &patch.path, body).await;
            sent.with_context(|| format!("cannot change {}", patch.path))
        })
        .buffer_unordered(CONNECTIONS)
        .try_fold(0, |count, _| async move { Ok(count + 1) })
        .await
}
