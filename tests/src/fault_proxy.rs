//! A proxy between a user and a real API server in which things go wrong on cue: by the number of a request, never by time.
//!
//! ```text
//! program ──HTTP──▶ FaultProxy ──TLS, as the cluster's administrator──▶ API server
//!                      │ script: what is asked ─▶ Fault
//!                      └ log: what was asked, and what became of it
//! ```

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, mpsc},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt as _, Full, combinators::UnsyncBoxBody};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};

use crate::cluster::Cluster;

/// One request, before it is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// HTTP method.
    pub method: Method,
    /// Path without query.
    pub path: String,
    /// Name of the object that it is about; empty for collections that are read.
    pub name: String,
    /// Which write this is, counted from 1; 0 for reads and dry runs.
    pub write: usize,
    /// How often the same was asked before: same method, path and name.
    pub before: usize,
}

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It reaches the API server, and its answer comes.
    Pass,
    /// It comes so much later.
    Late(Duration),
    /// The API server never sees it; the answer has this status and, where there is one, a `Retry-After` in seconds.
    Refused(u16, Option<u64>),
    /// The API server never sees it, and the connection is closed.
    Closed,
    /// The API server does it, and the connection is closed instead of an answer.
    DoneAndClosed,
    /// The API server does it, and half of its answer comes before the connection is closed.
    DoneAndCut,
    /// The API server does it, and no answer ever comes.
    DoneAndSilent,
    /// The API server does it, and the answer has this status instead.
    DoneAndRefused(u16),
    /// The API server never sees it, and no answer comes: [`FaultProxy::held`] tells a test of it.
    Held,
    /// The API server does it, and no answer comes: [`FaultProxy::held`] tells a test of it.
    DoneAndHeld,
}

/// One request and what became of it.
#[derive(Debug, Clone)]
pub struct Seen {
    /// What was asked.
    pub asked: Asked,
    /// What was done about it.
    pub fault: Fault,
    /// When it came.
    pub at: Instant,
}

type Script = Box<dyn FnMut(&Asked) -> Fault + Send>;
type Answer = Response<UnsyncBoxBody<Bytes, Broken>>;

/// Why a connection is closed.
#[derive(Debug)]
struct Broken;

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("closed, for a test")
    }
}

impl std::error::Error for Broken {}

struct Shared {
    upstream: kube::Client,
    script: Mutex<Script>,
    log: Mutex<Vec<Seen>>,
    held: mpsc::Sender<Asked>,
}

/// A running proxy.
pub struct FaultProxy {
    kubeconfig: PathBuf,
    shared: Arc<Shared>,
    held: Mutex<mpsc::Receiver<Asked>>,
    runtime: Option<tokio::runtime::Runtime>,
    _folder: tempfile::TempDir,
}

fn locked<T>(value: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    value.lock().unwrap_or_else(PoisonError::into_inner)
}

impl FaultProxy {
    /// Starts one in front of a cluster. Nothing goes wrong yet.
    pub fn start(cluster: &Cluster) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let (sender, held) = mpsc::channel();
        let upstream = runtime.block_on(upstream(cluster.kubeconfig()));
        let shared = Arc::new(Shared { upstream, script: Mutex::new(Box::new(|_| Fault::Pass)), log: Mutex::default(), held: sender });
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        runtime.spawn(serve(listener, Arc::clone(&shared)));
        let kubeconfig = folder.path().join("kubeconfig");
        let text = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "devcluster",
            "clusters": [{"name": "proxy", "cluster": {"server": format!("http://{address}")}}],
            "users": [{"name": "proxy", "user": {}}],
            "contexts": [{"name": "devcluster", "context": {"cluster": "proxy", "user": "proxy"}}],
        });
        std::fs::write(&kubeconfig, text.to_string()).unwrap();
        Self { kubeconfig, shared, held: Mutex::new(held), runtime: Some(runtime), _folder: folder }
    }

    /// The kubeconfig of whoever is to go through it.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// From now on this decides. Counts of requests begin anew, and so does the log.
    pub fn script(&self, script: impl FnMut(&Asked) -> Fault + Send + 'static) {
        *locked(&self.shared.script) = Box::new(script);
        locked(&self.shared.log).clear();
    }

    /// What was asked since the script began.
    pub fn log(&self) -> Vec<Seen> {
        locked(&self.shared.log).clone()
    }

    /// How many writes were asked for since then.
    pub fn writes(&self) -> usize {
        locked(&self.shared.log).iter().filter(|seen| seen.asked.write > 0).count()
    }

    /// Waits until a request is held; nothing when none is within the time.
    pub fn held(&self, within: Duration) -> Option<Asked> {
        locked(&self.held).recv_timeout(within).ok()
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        // A runtime cannot be waited for inside another one.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn upstream(kubeconfig: &Path) -> kube::Client {
    let kubeconfig = kube::config::Kubeconfig::read_from(kubeconfig).unwrap();
    let mut config = kube::Config::from_custom_kubeconfig(kubeconfig, &kube::config::KubeConfigOptions::default()).await.unwrap();
    // What goes wrong on this side is for the other side to see.
    config.default_retry = false;
    config.read_timeout = None;
    kube::Client::try_from(config).unwrap()
}

async fn serve(listener: tokio::net::TcpListener, shared: Arc<Shared>) {
    loop {
        let Ok((connection, _)) = listener.accept().await else { continue };
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let service = service_fn(move |request| answer(Arc::clone(&shared), request));
            // An error is how a connection is closed.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(connection), service).await;
        });
    }
}

async fn answer(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Answer, Broken> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| Broken)?.to_bytes();
    let asked = note(&shared, &head.method, &head.uri, &body);
    let fault = decide(&shared, &asked);
    let request = Request::from_parts(head, kube::client::Body::from(body));
    match fault {
        Fault::Pass => forward(shared, request).await,
        Fault::Late(time) => {
            tokio::time::sleep(time).await;
            forward(shared, request).await
        }
        Fault::Refused(status, retry_after) => Ok(refusal(status, retry_after)),
        Fault::Closed => Err(Broken),
        Fault::DoneAndClosed => {
            done(&shared, request).await?;
            Err(Broken)
        }
        Fault::DoneAndCut => cut(shared, request).await,
        Fault::DoneAndSilent => {
            done(&shared, request).await?;
            std::future::pending().await
        }
        Fault::DoneAndRefused(status) => {
            done(&shared, request).await?;
            Ok(refusal(status, None))
        }
        Fault::Held => {
            let _ = shared.held.send(asked);
            std::future::pending().await
        }
        Fault::DoneAndHeld => {
            done(&shared, request).await?;
            let _ = shared.held.send(asked);
            std::future::pending().await
        }
    }
}

fn note(shared: &Shared, method: &Method, uri: &http::Uri, body: &[u8]) -> Asked {
    let path = uri.path().to_owned();
    let reads = *method == Method::GET || uri.query().is_some_and(|query| query.contains("dryRun=All"));
    let value: Value = serde_json::from_slice(body).unwrap_or_default();
    let dry = value["dryRun"].as_array().is_some_and(|stages| !stages.is_empty());
    let name = match *method {
        Method::POST => value["metadata"]["name"].as_str().unwrap_or_default().to_owned(),
        Method::GET if uri.query().is_some_and(|query| query.contains("limit=")) => String::new(),
        _ => path.rsplit('/').next().unwrap_or_default().to_owned(),
    };
    let log = locked(&shared.log);
    let same = |seen: &&Seen| seen.asked.method == *method && seen.asked.path == path && seen.asked.name == name;
    let before = log.iter().filter(same).count();
    let write = if reads || dry { 0 } else { log.iter().filter(|seen| seen.asked.write > 0).count() + 1 };
    Asked { method: method.clone(), path, name, write, before }
}

/// Asks the script, and notes what it says.
fn decide(shared: &Shared, asked: &Asked) -> Fault {
    let fault = locked(&shared.script)(asked);
    locked(&shared.log).push(Seen { asked: asked.clone(), fault, at: Instant::now() });
    fault
}

async fn forward(shared: Arc<Shared>, request: Request<kube::client::Body>) -> Result<Answer, Broken> {
    let answer = shared.upstream.send(request).await.map_err(|_| Broken)?;
    Ok(answer.map(|body| UnsyncBoxBody::new(body.map_err(|_| Broken))))
}

/// What the API server does is done also when nobody waits for it any more.
async fn done(shared: &Arc<Shared>, request: Request<kube::client::Body>) -> Result<Response<Bytes>, Broken> {
    let upstream = shared.upstream.clone();
    let task = tokio::spawn(async move {
        let (head, body) = upstream.send(request).await.map_err(|_| Broken)?.into_parts();
        let body = body.collect().await.map_err(|_| Broken)?.to_bytes();
        Ok(Response::from_parts(head, body))
    });
    task.await.map_err(|_| Broken)?
}

async fn cut(shared: Arc<Shared>, request: Request<kube::client::Body>) -> Result<Answer, Broken> {
    let answer = done(&shared, request).await?;
    // With its whole length in the head and half of it behind, nobody can take it for complete.
    let (mut head, body) = answer.into_parts();
    head.headers.remove(http::header::TRANSFER_ENCODING);
    head.headers.insert(http::header::CONTENT_LENGTH, body.len().into());
    let half = body.slice(..body.len() / 2);
    let pieces = futures::stream::iter([Ok(hyper::body::Frame::data(half)), Err(Broken)]);
    Ok(Response::from_parts(head, UnsyncBoxBody::new(http_body_util::StreamBody::new(pieces))))
}

/// A refusal as an API server writes it.
fn refusal(status: u16, retry_after: Option<u64>) -> Answer {
    let body = json!({
        "apiVersion": "v1", "kind": "Status", "status": "Failure", "code": status, "message": format!("refused with {status}, for a test"),
    });
    let mut answer = Response::builder().status(status).header(http::header::CONTENT_TYPE, "application/json");
    if let Some(seconds) = retry_after {
        answer = answer.header(http::header::RETRY_AFTER, seconds);
    }
    answer.body(UnsyncBoxBody::new(Full::new(Bytes::from(body.to_string())).map_err(|never| match never {}))).unwrap()
}
