//! The asynchronous side: lists of all kinds, side by side, at one resourceVersion.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};
use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use tokio::{sync::mpsc, task::JoinSet};

use super::{
    filters::{FilterError, Filters, Matcher},
    plan::CollectPlan,
    worker::{Batch, Message, Taken, Worker, WorkerError},
};
use crate::{
    cluster::{ApiError, Cluster, Method, collection_path, percent_encode},
    object::{KindInfo, ListSplitter, ObjectError},
    repository::{KindOutcome, KindReport, RepositoryError, SnapshotWriter},
};

/// Kinds listed at the same time, each on a connection of its own.
const CONNECTIONS: usize = 8;
/// Objects a page: an API server takes ten seats of fairness for 1,000 and for more.
const PAGE: usize = 1000;
/// After a page came too late: fewer, larger pages.
const PAGE_IN_HURRY: usize = 10_000;
const BATCH_BYTES: usize = 256 << 10;
const BATCHES: usize = 2;
/// Tries of one kind in all.
const TRIES: usize = 4;

/// Counters that a display may read while a cluster is read.
#[derive(Debug, Default)]
pub struct Progress {
    /// Kinds to read.
    pub kinds_total: AtomicU64,
    /// Kinds done.
    pub kinds_done: AtomicU64,
    /// Objects taken.
    pub objects: AtomicU64,
    /// Bytes of these objects.
    pub bytes: AtomicU64,
    /// Set from outside to stop early.
    pub cancelled: AtomicBool,
}

/// What was read.
#[derive(Debug, Clone, Default)]
pub struct CollectReport {
    /// The version of the cut; `None` where the server does not tell one.
    pub resource_version: Option<String>,
    /// Each kind that was to be read.
    pub kinds: Vec<KindReport>,
    /// Groups that did not answer.
    pub failed_groups: Vec<(String, String)>,
}

impl CollectReport {
    /// Whether everything that was planned was read.
    pub fn is_complete(&self) -> bool {
        self.failed_groups.is_empty() && !self.kinds.iter().any(|report| report.outcome.is_gap())
    }
}

/// Why a cluster could not be read at all.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    /// A pattern is wrong.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// Nothing could be listed.
    #[error("the API server lists nothing")]
    Api(#[source] ApiError),
    /// A snapshot cannot be written.
    #[error("cannot write to the repository")]
    Repository(#[from] RepositoryError),
    /// Stopped from outside.
    #[error("stopped; snapshots made before are untouched, run the command again to start anew")]
    Cancelled,
}

struct Job {
    cluster: Cluster,
    matcher: Arc<Matcher>,
    progress: Arc<Progress>,
    writers: Arc<Vec<SnapshotWriter>>,
    version: Option<String>,
}

/// Reads what was planned into every snapshot at once.
///
/// # Errors
/// Only what spoils the whole backup: a repository that cannot be written, an API server that lists nothing. A kind that cannot be read
/// is in the report.
pub async fn collect(
    cluster: &Cluster,
    plan: &CollectPlan,
    filters: &Filters,
    writers: Arc<Vec<SnapshotWriter>>,
    progress: &Arc<Progress>,
) -> Result<CollectReport, CollectError> {
    let matcher = Arc::new(filters.matcher()?);
    let kinds: Vec<KindInfo> = plan.read().cloned().collect();
    progress.kinds_total.store(kinds.len() as u64, Ordering::Relaxed);
    let version = learn_version(cluster, &kinds).await.map_err(CollectError::Api)?;
    let job = Arc::new(Job { cluster: cluster.clone(), matcher, progress: Arc::clone(progress), writers, version: version.clone() });
    let mut report = CollectReport { resource_version: version, kinds: Vec::new(), failed_groups: plan.failed_groups.clone() };
    let mut waiting = kinds.into_iter();
    let mut running = JoinSet::new();
    loop {
        while running.len() < CONNECTIONS {
            let Some(kind) = waiting.next() else { break };
            let job = Arc::clone(&job);
            running.spawn(async move {
                let outcome = read_kind(&job, &kind).await;
                job.progress.kinds_done.fetch_add(1, Ordering::Relaxed);
                outcome.map(|outcome| KindReport { kind, outcome })
            });
        }
        tokio::select! {
            done = running.join_next() => match done {
                None => break,
                Some(Ok(outcome)) => report.kinds.push(outcome?),
                Some(Err(error)) => return Err(RepositoryError::Machine(error.to_string()).into()),
            },
            () = cancelled(progress) => return Err(CollectError::Cancelled),
        }
    }
    report.kinds.sort_by_cached_key(|report| report.kind.group_resource().to_string());
    Ok(report)
}

async fn cancelled(progress: &Progress) {
    while !progress.cancelled.load(Ordering::Relaxed) {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The version of a fresh list; it is the revision of the whole store.
async fn learn_version(cluster: &Cluster, kinds: &[KindInfo]) -> Result<Option<String>, ApiError> {
    #[derive(Deserialize, Default)]
    #[serde(rename_all = "camelCase", default)]
    struct Meta {
        resource_version: String,
    }
    #[derive(Deserialize)]
    struct List {
        #[serde(default)]
        metadata: Meta,
    }
    let mut last = None;
    // Namespaces first: everybody may list them more often than anything else.
    let namespaces = "/api/v1/namespaces".to_owned();
    for path in std::iter::once(namespaces).chain(kinds.iter().take(20).map(|kind| collection_path(kind, None))) {
        match cluster.get_json::<List>(&format!("{path}?limit=1")).await {
            Ok(list) => return Ok(Some(list.metadata.resource_version).filter(|version| !version.is_empty())),
            Err(error @ ApiError::Unreachable { .. }) => return Err(error),
            Err(error) if error.status() == 401 => return Err(error),
            Err(error) => last = Some(error),
        }
    }
    // Someone with rights in one namespace only: read without a common version.
    last.filter(|error| error.status() != 403).map_or(Ok(None), Err)
}

/// How a kind is listed.
#[derive(Debug, Clone, Copy)]
struct Mode {
    exact: bool,
    page: usize,
    sorted: bool,
}

enum ListError {
    Api(ApiError),
    Body(ObjectError),
    /// The worker is gone; its result says why.
    WorkerGone,
}

impl From<ApiError> for ListError {
    fn from(error: ApiError) -> Self {
        Self::Api(error)
    }
}

impl From<ObjectError> for ListError {
    fn from(error: ObjectError) -> Self {
        Self::Body(error)
    }
}

async fn read_kind(job: &Job, kind: &KindInfo) -> Result<KindOutcome, CollectError> {
    let mut mode = Mode { exact: job.version.is_some(), page: PAGE, sorted: false };
    let mut last = String::new();
    for _ in 0..TRIES {
        let (listed, worked) = list_once(job, kind, mode).await?;
        last = match (listed, worked) {
            (Ok(resource_version), Ok(mut taken)) => {
                let exact = mode.exact && Some(&resource_version) == job.version.as_ref();
                let not_stored = taken.take_not_stored();
                let Taken { objects, bytes, left_out, .. } = taken;
                return Ok(KindOutcome::Read { objects, bytes, left_out, not_stored, resource_version, exact });
            }
            (_, Err(WorkerError::Repository(error))) => return Err(error.into()),
            (_, Err(WorkerError::TooLarge)) => return Ok(failed("the server lists it unsorted and it is too large to be sorted here")),
            (_, Err(WorkerError::Item(error))) => return Ok(failed(&error.to_string())),
            (_, Err(WorkerError::OutOfOrder)) => {
                mode.sorted = true;
                "the server lists it in another order at every try".to_owned()
            }
            (Err(ListError::Api(error)), _) => match error.status() {
                404 => return Ok(KindOutcome::Absent),
                401 | 403 => return Ok(KindOutcome::Forbidden { message: error.to_string() }),
                // The version is compacted away, or this server does not know exact versions.
                410 | 400 | 504 if mode.exact => {
                    mode.exact = false;
                    error.to_string()
                }
                410 => {
                    mode.page = PAGE_IN_HURRY;
                    error.to_string()
                }
                _ if error.is_passing() => error.to_string(),
                _ => return Ok(failed(&error.to_string())),
            },
            (Err(ListError::Body(error)), _) => error.to_string(),
            (Err(ListError::WorkerGone), _) | (Ok(_), Err(WorkerError::Abandoned)) => "its reader ended early".to_owned(),
        };
    }
    Ok(failed(&last))
}

fn failed(message: &str) -> KindOutcome {
    KindOutcome::Failed { message: message.to_owned() }
}

/// One try: a worker, and the pages of a list into it.
async fn list_once(job: &Job, kind: &KindInfo, mode: Mode) -> Result<(Result<String, ListError>, Result<Taken, WorkerError>), CollectError> {
    let (sender, receiver) = mpsc::channel(BATCHES);
    let (writers, matcher, progress, own) = (Arc::clone(&job.writers), Arc::clone(&job.matcher), Arc::clone(&job.progress), kind.clone());
    let worker = tokio::task::spawn_blocking(move || {
        let writers = writers.iter().map(|writer| writer.kind(&own)).collect();
        Worker { kind: own, matcher, writers, progress, sorted: mode.sorted }.run(receiver)
    });
    let listed = list_pages(job, kind, mode, &sender).await;
    if listed.is_ok() {
        // A worker that is gone says so in its result.
        let _ = sender.send(Message::Complete).await;
    }
    drop(sender);
    let worked = worker.await.map_err(|error| RepositoryError::Machine(error.to_string()))?;
    Ok((listed, worked))
}

async fn list_pages(job: &Job, kind: &KindInfo, mode: Mode, sender: &mpsc::Sender<Message>) -> Result<String, ListError> {
    let places: Vec<Option<String>> = match job.matcher.exact_namespaces() {
        Some(names) if kind.namespaced => names.into_iter().map(Some).collect(),
        _ => vec![None],
    };
    let mut version = String::new();
    for place in places {
        let path = collection_path(kind, place.as_deref());
        let mut token: Option<String> = None;
        loop {
            let mut query = format!("limit={}", mode.page);
            match (&token, &job.version) {
                (Some(token), _) => query.push_str(&format!("&continue={}", percent_encode(token))),
                (None, Some(version)) if mode.exact => query.push_str(&format!("&resourceVersion={version}&resourceVersionMatch=Exact")),
                (None, _) => {}
            }
            if !job.matcher.selector().is_empty() {
                query.push_str(&format!("&labelSelector={}", percent_encode(job.matcher.selector())));
            }
            let meta = list_page(job, &format!("{path}?{query}"), sender).await?;
            version = meta.resource_version;
            token = meta.continue_token;
            if token.is_none() {
                break;
            }
        }
    }
    Ok(version)
}

async fn list_page(job: &Job, path: &str, sender: &mpsc::Sender<Message>) -> Result<crate::object::ListMeta, ListError> {
    let mut body = job.cluster.stream(Method::Get, path, "application/json", Bytes::new()).await?;
    let mut splitter = ListSplitter::new();
    let mut batch = Batch::default();
    while let Some(piece) = body.next().await? {
        splitter.feed(&piece, &mut |item| {
            batch.bytes.extend_from_slice(item);
            batch.ends.push(batch.bytes.len());
            Ok::<(), ObjectError>(())
        })?;
        if batch.bytes.len() >= BATCH_BYTES {
            sender.send(Message::Items(std::mem::take(&mut batch))).await.map_err(|_| ListError::WorkerGone)?;
        }
    }
    if !batch.ends.is_empty() {
        sender.send(Message::Items(batch)).await.map_err(|_| ListError::WorkerGone)?;
    }
    Ok(splitter.finish()?)
}
