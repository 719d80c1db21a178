//! Requests to the API server by path, with a deadline each, and its refusals.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::BodyExt as _;
use serde_json::Value;

use crate::object::{KindInfo, ObjectId};

/// Accepts lists of metadata only.
pub const METADATA_LIST: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
/// Plain JSON.
pub const JSON: &str = "application/json";
/// Server-side apply. JSON is YAML.
pub const APPLY: &str = "application/apply-patch+yaml";
/// Merge patch.
pub const MERGE: &str = "application/merge-patch+json";

/// Why a request did not succeed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    /// HTTP status, or 0 where no answer came.
    pub status: u16,
    /// Machine-readable reason: `AlreadyExists`, `Forbidden`.
    pub reason: String,
    /// The server's sentence, or what happened to the connection.
    pub message: String,
    /// When the server wants to be asked again.
    pub retry_after: Option<Duration>,
}

impl ApiError {
    fn connection(message: String) -> Self {
        Self { status: 0, reason: "Connection".to_owned(), message, retry_after: None }
    }

    /// Whether the object is not there.
    pub fn is_not_found(&self) -> bool {
        self.status == 404
    }
}

/// A request.
pub struct Call<'a> {
    /// GET, POST, PATCH.
    pub method: Method,
    /// Path and query.
    pub uri: String,
    /// Accepted media type.
    pub accept: &'a str,
    /// Media type of the body.
    pub content: &'a str,
    /// Body, empty for GET.
    pub body: Vec<u8>,
}

impl Call<'_> {
    /// A GET.
    pub fn get(uri: String) -> Self {
        Self { method: Method::GET, uri, accept: JSON, content: JSON, body: Vec::new() }
    }
}

/// An answer: its body and the server's warnings.
pub struct Answer {
    /// Body.
    pub body: Bytes,
    /// `Warning` headers: deprecated versions, unknown fields.
    pub warnings: Vec<String>,
}

impl Answer {
    /// The body as a value.
    pub fn value(&self) -> Result<Value, ApiError> {
        serde_json::from_slice(&self.body).map_err(|_| ApiError::connection("the API server answered something that is not JSON".to_owned()))
    }
}

/// The API server of one cluster.
#[derive(Clone)]
pub struct Api {
    client: kube::Client,
    deadline: Duration,
}

impl Api {
    /// `deadline` bounds each request; the client must not retry by itself, because a repeated create cannot tell its own object
    /// from another's.
    pub fn new(client: kube::Client, deadline: Duration) -> Self {
        Self { client, deadline }
    }

    /// Sends one request.
    pub async fn call(&self, call: Call<'_>) -> Result<Answer, ApiError> {
        let request = Request::builder()
            .method(call.method)
            .uri(&call.uri)
            .header(header::ACCEPT, call.accept)
            .header(header::CONTENT_TYPE, call.content)
            .body(kube::client::Body::from(call.body))
            .map_err(|error| ApiError::connection(format!("cannot ask for {}: {error}", call.uri)))?;
        let exchange = async {
            let response = self.client.send(request).await.map_err(|error| ApiError::connection(chain(&error)))?;
            let (head, body) = response.into_parts();
            let body = body.collect().await.map_err(|error| ApiError::connection(chain(&error)))?.to_bytes();
            let text = |name: header::HeaderName| head.headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
            if head.status.is_success() {
                return Ok(Answer { body, warnings: text(header::WARNING).map(warning).collect() });
            }
            let retry_after = text(header::RETRY_AFTER).next().and_then(|seconds| seconds.parse().ok()).map(Duration::from_secs);
            Err(refusal(head.status.as_u16(), &body, retry_after))
        };
        match tokio::time::timeout(self.deadline, exchange).await {
            Ok(done) => done,
            Err(_) => Err(ApiError::connection(format!("no answer within {} s", self.deadline.as_secs()))),
        }
    }
}

/// Path of a kind's collection.
pub fn collection(kind: &KindInfo, namespace: Option<&str>) -> String {
    let root = if kind.group.is_empty() { "/api" } else { "/apis" };
    match namespace {
        Some(namespace) => format!("{root}/{}/namespaces/{}/{}", kind.api_version(), segment(namespace), kind.resource),
        None => format!("{root}/{}/{}", kind.api_version(), kind.resource),
    }
}

/// Path of one object.
pub fn object(kind: &KindInfo, id: &ObjectId) -> String {
    format!("{}/{}", collection(kind, id.namespace.as_deref()), segment(&id.name))
}

/// Percent-encodes what may not stand in a path segment or a query value.
pub fn segment(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

fn refusal(status: u16, body: &[u8], retry_after: Option<Duration>) -> ApiError {
    let answer: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
    let text = |key: &str| answer.get(key).and_then(Value::as_str).map(str::to_owned);
    let seconds = answer.pointer("/details/retryAfterSeconds").and_then(Value::as_u64).map(Duration::from_secs);
    ApiError {
        status,
        reason: text("reason").unwrap_or_default(),
        message: text("message").unwrap_or_else(|| format!("the API server answered {status}")),
        retry_after: retry_after.or(seconds.filter(|after| !after.is_zero())),
    }
}

/// The sentence of a `299 - "…"` header.
fn warning(header: &str) -> String {
    header.split_once('"').and_then(|(_, rest)| rest.rsplit_once('"')).map_or(header, |(text, _)| text).replace("\\\"", "\"")
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        source = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_kinds_and_objects() {
        let kind = |group: &str, resource: &str| KindInfo { group: group.into(), version: "v1".into(), resource: resource.into(), kind: "K".into(), namespaced: true };
        assert_eq!(collection(&kind("", "pods"), Some("demo")), "/api/v1/namespaces/demo/pods");
        assert_eq!(collection(&kind("apps", "deployments"), None), "/apis/apps/v1/deployments");
        let id = ObjectId { kind: kind("", "x").group_resource(), namespace: None, name: "system:a b".into() };
        assert_eq!(object(&kind("rbac.authorization.k8s.io", "clusterroles"), &id), "/apis/rbac.authorization.k8s.io/v1/clusterroles/system%3Aa%20b");
    }

    #[test]
    fn refusals_are_read() {
        let body = br#"{"kind":"Status","reason":"TooManyRequests","message":"slow down","details":{"retryAfterSeconds":3}}"#;
        let error = refusal(429, body, None);
        assert_eq!((error.reason.as_str(), error.message.as_str(), error.retry_after), ("TooManyRequests", "slow down", Some(Duration::from_secs(3))));
        assert_eq!(refusal(503, b"<html>", None).message, "the API server answered 503");
        assert_eq!(warning("299 - \"unknown field \\\"spec.x\\\"\""), "unknown field \"spec.x\"");
    }
}
