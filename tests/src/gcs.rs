//! A server in this process that speaks as much of Google Cloud Storage's XML API as the client library uses: objects whole and in parts,
//! creation only of what is not there, listings in pages, deletion, and the tokens that service accounts sign themselves.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    net::SocketAddr,
    process::{Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use jiff::Timestamp;
use kubestash::store::{Credentials, Location, Provider, Store, StoreOptions};

const BUCKET: &str = "bucket";
const EMAIL: &str = "tester@project.iam.gserviceaccount.com";
/// Names in one page of a listing. Google has 1,000; so a small bucket has several pages.
const PAGE: usize = 100;
/// Above the largest object that tests write.
const MAX_BODY: usize = 64 << 20;

#[derive(Clone)]
struct Object {
    content: Bytes,
    generation: u64,
    modified: Timestamp,
}

#[derive(Default)]
struct Bucket {
    objects: BTreeMap<String, Object>,
    generation: u64,
    /// Nothing is deleted or replaced.
    retained: bool,
    asked: Asked,
}

/// What was asked of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Asked {
    /// Requests.
    pub requests: u64,
    /// Bytes of objects that it sent.
    pub bytes: u64,
}

type Shared = Arc<Mutex<Bucket>>;

/// A running server with one bucket.
#[derive(Debug)]
pub struct GcsServer {
    address: SocketAddr,
    private_key: String,
    _runtime: tokio::runtime::Runtime,
    bucket: Arc<Mutex<Bucket>>,
}

impl std::fmt::Debug for Bucket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} objects", self.objects.len())
    }
}

fn locked(bucket: &Shared) -> std::sync::MutexGuard<'_, Bucket> {
    bucket.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The key of a service account, made for the moment.
fn private_key() -> String {
    let made = Command::new("openssl")
        .args(["genpkey", "-quiet", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"])
        .stdin(Stdio::null())
        .output()
        .expect("openssl runs");
    let pem = String::from_utf8(made.stdout).unwrap();
    pem.get(pem.find("-----BEGIN").unwrap_or_else(|| panic!("openssl made no key: {}", String::from_utf8_lossy(&made.stderr)))..).unwrap().to_owned()
}

impl GcsServer {
    /// Starts a server.
    pub fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let bucket = Shared::default();
        let routes = Router::new()
            .route("/{bucket}", get(list))
            .route("/{bucket}/{*key}", get(read).put(write).delete(delete))
            .layer(axum::extract::DefaultBodyLimit::max(MAX_BODY))
            .with_state(Arc::clone(&bucket));
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        runtime.spawn(async move { axum::serve(listener, routes).await });
        Self { address, private_key: private_key(), _runtime: runtime, bucket }
    }

    /// From now on nothing is deleted or replaced, as under a retention policy.
    pub fn retain(&self, retained: bool) {
        locked(&self.bucket).retained = retained;
    }

    /// What was asked since this was asked for the last time.
    pub fn asked(&self) -> Asked {
        std::mem::take(&mut locked(&self.bucket).asked)
    }

    /// The JSON of a service account's key; it also says where this server listens.
    pub fn service_account(&self, email: &str) -> String {
        let url = format!("http://{}", self.address);
        serde_json::json!({"type": "service_account", "client_email": email, "private_key_id": "1", "private_key": self.private_key, "gcs_base_url": url})
            .to_string()
    }

    /// How to reach it.
    pub fn options(&self) -> StoreOptions {
        StoreOptions { credentials: Credentials::ServiceAccount(self.service_account(EMAIL)), ..StoreOptions::default() }
    }

    /// A store in its bucket.
    pub fn store(&self, prefix: &str) -> Store {
        Location::bucket(Provider::Gcs, BUCKET, prefix).unwrap().open(&self.options(), true).unwrap()
    }

    /// `--repo` and the variables that go with it.
    pub fn settings(&self, prefix: &str) -> (String, [(&'static str, String); 1]) {
        (format!("gs://{BUCKET}/{prefix}"), [("GOOGLE_SERVICE_ACCOUNT_JSON_KEY", self.service_account(EMAIL))])
    }
}

/// An error as the XML API words it.
fn refused(status: StatusCode, code: &str) -> Response {
    let body = format!("<?xml version='1.0' encoding='UTF-8'?><Error><Code>{code}</Code><Message>{code}</Message></Error>");
    (status, [(header::CONTENT_TYPE, "application/xml")], body).into_response()
}

/// Whether the token was made for the one account that may do everything here. Its signature is not looked at.
fn check(shared: &Shared, headers: &HeaderMap, bucket: &str) -> Result<(), Response> {
    locked(shared).asked.requests += 1;
    let token = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    let claims = token.and_then(|token| BASE64_URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok());
    let claims: serde_json::Value =
        claims.and_then(|json| serde_json::from_slice(&json).ok()).ok_or_else(|| refused(StatusCode::UNAUTHORIZED, "InvalidAuthentication"))?;
    if claims.get("iss").and_then(serde_json::Value::as_str) != Some(EMAIL) {
        return Err(refused(StatusCode::FORBIDDEN, "AccessDenied"));
    }
    if bucket == BUCKET { Ok(()) } else { Err(refused(StatusCode::NOT_FOUND, "NoSuchBucket")) }
}

fn described(object: &Object) -> [(header::HeaderName, String); 3] {
    [
        (header::ETAG, format!("\"{}\"", object.generation)),
        (header::LAST_MODIFIED, object.modified.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()),
        (header::HeaderName::from_static("x-goog-generation"), object.generation.to_string()),
    ]
}

/// `bytes=FIRST-LAST`, as far as there is something; nothing when it lies behind the end.
fn range_of(header: &str, length: usize) -> Option<(usize, usize)> {
    let (first, last) = header.strip_prefix("bytes=")?.split_once('-')?;
    let (first, last) = (first.parse::<usize>().ok()?, last.parse::<usize>().unwrap_or(usize::MAX));
    (first < length && first <= last).then(|| (first, last.min(length - 1)))
}

async fn read(State(shared): State<Shared>, Path((bucket, key)): Path<(String, String)>, headers: HeaderMap) -> Response {
    if let Err(refused) = check(&shared, &headers, &bucket) {
        return refused;
    }
    let Some(object) = locked(&shared).objects.get(&key).cloned() else { return refused(StatusCode::NOT_FOUND, "NoSuchKey") };
    let length = object.content.len();
    let sent = |bytes: usize| locked(&shared).asked.bytes += bytes as u64;
    let Some(range) = headers.get(header::RANGE) else {
        sent(length);
        return (described(&object), Body::from(object.content)).into_response();
    };
    let Some((first, last)) = range.to_str().ok().and_then(|range| range_of(range, length)) else {
        return refused(StatusCode::RANGE_NOT_SATISFIABLE, "InvalidRange");
    };
    sent(last + 1 - first);
    let content_range = [(header::CONTENT_RANGE, format!("bytes {first}-{last}/{length}"))];
    (StatusCode::PARTIAL_CONTENT, described(&object), content_range, object.content.slice(first..=last)).into_response()
}

async fn write(State(shared): State<Shared>, Path((bucket, key)): Path<(String, String)>, headers: HeaderMap, content: Bytes) -> Response {
    if let Err(refused) = check(&shared, &headers, &bucket) {
        return refused;
    }
    let mut bucket = locked(&shared);
    let there = bucket.objects.contains_key(&key);
    if there && headers.get("x-goog-if-generation-match").is_some_and(|wanted| wanted == "0") {
        return refused(StatusCode::PRECONDITION_FAILED, "PreconditionFailed");
    }
    if there && bucket.retained {
        return refused(StatusCode::FORBIDDEN, "RetentionPolicyNotMet");
    }
    bucket.generation += 1;
    let object = Object { content, generation: bucket.generation, modified: Timestamp::now() };
    let described = described(&object);
    bucket.objects.insert(key, object);
    described.into_response()
}

async fn delete(State(shared): State<Shared>, Path((bucket, key)): Path<(String, String)>, headers: HeaderMap) -> Response {
    if let Err(refused) = check(&shared, &headers, &bucket) {
        return refused;
    }
    let mut bucket = locked(&shared);
    if bucket.retained && bucket.objects.contains_key(&key) {
        return refused(StatusCode::FORBIDDEN, "RetentionPolicyNotMet");
    }
    match bucket.objects.remove(&key) {
        Some(_) => StatusCode::NO_CONTENT.into_response(),
        None => refused(StatusCode::NOT_FOUND, "NoSuchKey"),
    }
}

async fn list(
    State(shared): State<Shared>,
    Path(bucket): Path<String>,
    Query(query): Query<BTreeMap<String, String>>,
    headers: HeaderMap,
) -> Response {
    if let Err(refused) = check(&shared, &headers, &bucket) {
        return refused;
    }
    let asked = |name: &str| query.get(name).map(String::as_str).unwrap_or_default();
    let page = asked("max-keys").parse().map_or(PAGE, |most: usize| most.min(PAGE));
    let (prefix, after) = (asked("prefix"), asked("continuation-token").max(asked("start-after")));
    let bucket = locked(&shared);
    let mut matching = bucket.objects.iter().filter(|(key, _)| key.starts_with(prefix) && key.as_str() > after).peekable();
    let mut body = "<?xml version='1.0' encoding='UTF-8'?><ListBucketResult>".to_owned();
    let mut last = "";
    for (key, object) in matching.by_ref().take(page) {
        let (size, time, generation) = (object.content.len(), object.modified, object.generation);
        let _ =
            write!(body, "<Contents><Key>{key}</Key><Size>{size}</Size><LastModified>{time}</LastModified><ETag>\"{generation}\"</ETag></Contents>");
        last = key;
    }
    if matching.peek().is_some() {
        let _ = write!(body, "<NextContinuationToken>{last}</NextContinuationToken>");
    }
    body.push_str("</ListBucketResult>");
    ([(header::CONTENT_TYPE, "application/xml")], body).into_response()
}
