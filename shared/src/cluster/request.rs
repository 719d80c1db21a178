//! Single requests: a deadline on each, retries for what may be repeated, errors that keep the API server's own words.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::BodyExt as _;
use kube::client::Body;
use serde::{Deserialize, de::DeserializeOwned};

use super::Cluster;

/// Tries of one request, the first included.
const TRIES: u32 = 6;
/// Longest wait before a try, where the server does not ask for a longer one.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// A server that asks for a longer wait is not asked again.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// HTTP method of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Read.
    Get,
    /// Create.
    Post,
    /// Server-side apply.
    Apply,
    /// Merge patch.
    Merge,
    /// Delete.
    Delete,
}

/// An answer that is an error, or none at all.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ApiError {
    /// The API server refused.
    #[error("{message}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// Kubernetes' reason: `NotFound`, `Forbidden`, `AlreadyExists`, `Invalid`, …
        reason: String,
        /// The server's own words.
        message: String,
        /// Seconds after which to try again.
        retry_after: Option<u64>,
    },
    /// No connection, or it was cut.
    #[error("no connection: {reason}; check that the cluster is up and this machine can reach it")]
    Unreachable {
        /// The transport's words.
        reason: String,
    },
    /// Nothing came for too long.
    #[error("no answer within {seconds} s")]
    Stalled {
        /// The limit.
        seconds: u64,
    },
    /// An answer that makes no sense.
    #[error("the answer cannot be understood: {reason}")]
    Malformed {
        /// What does not fit.
        reason: String,
    },
}

impl ApiError {
    /// HTTP status, 0 where no answer came.
    pub fn status(&self) -> u16 {
        match self {
            Self::Refused { status, .. } => *status,
            _ => 0,
        }
    }

    /// Kubernetes' reason, empty where there is none.
    pub fn reason(&self) -> &str {
        match self {
            Self::Refused { reason, .. } => reason,
            _ => "",
        }
    }

    /// When the server wants to be asked again, in seconds.
    pub fn retry_after(&self) -> Option<u64> {
        match self {
            Self::Refused { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// How long to wait before a try. Never less than the server wants.
    fn pause(&self, attempt: u32) -> Duration {
        let grown = Duration::from_millis(100 << attempt.min(7)).min(LONGEST_PAUSE);
        self.retry_after().map_or(grown, |seconds| Duration::from_secs(seconds).max(grown))
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Status {
    message: String,
    reason: String,
    details: StatusDetails,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct StatusDetails {
    retry_after_seconds: u64,
}

/// The body of a LIST, piece by piece.
pub struct ListBody {
    body: Body,
    deadline: Duration,
    /// What the head of the answer said in `Warning`.
    pub warnings: Vec<String>,
}

impl ListBody {
    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// `Unreachable` when the connection is cut, `Stalled` when nothing comes.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ApiError> {
        loop {
            match tokio::time::timeout(self.deadline, self.body.frame()).await {
                Err(_) => return Err(ApiError::Stalled { seconds: self.deadline.as_secs() }),
                Ok(None) => return Ok(None),
                Ok(Some(Err(error))) => return Err(ApiError::Unreachable { reason: chain(&error) }),
                Ok(Some(Ok(frame))) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
            }
        }
    }

    /// The whole body.
    pub(crate) async fn collect(mut self) -> Result<Bytes, ApiError> {
        let mut bytes = Vec::new();
        while let Some(piece) = self.next().await? {
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes.into())
    }
}

fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let own = error.to_string();
        if !text.contains(&own) {
            text = format!("{text}: {own}");
        }
        cause = error.source();
    }
    text
}

impl Cluster {
    /// Sends one request, never again: for callers whose retries depend on what they asked for.
    pub(crate) async fn once(&self, method: Method, path: &str, accept: &str, body: &Bytes) -> Result<ListBody, ApiError> {
        let (verb, content) = match method {
            Method::Get => ("GET", ""),
            Method::Post => ("POST", "application/json"),
            Method::Apply => ("PATCH", "application/apply-patch+yaml"),
            Method::Merge => ("PATCH", "application/merge-patch+json"),
            Method::Delete => ("DELETE", "application/json"),
        };
        let mut request = Request::builder().method(verb).uri(path).header(header::ACCEPT, accept);
        if !content.is_empty() {
            request = request.header(header::CONTENT_TYPE, content);
        }
        let request =
            request.body(Body::from(body.clone())).map_err(|error| ApiError::Malformed { reason: format!("the request cannot be made: {error}") })?;
        let stalled = |_| ApiError::Stalled { seconds: self.deadline.as_secs() };
        let answer = tokio::time::timeout(self.deadline, self.client.send(request)).await.map_err(stalled)?;
        let answer = answer.map_err(|error| ApiError::Unreachable { reason: chain(&error) })?;
        let (head, body) = answer.into_parts();
        let status = head.status;
        let retry_after = head.headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()).and_then(|seconds| seconds.parse().ok());
        let warnings = head.headers.get_all(header::WARNING).iter().filter_map(|value| value.to_str().ok());
        let warnings = warnings.map(|text| text.trim_start_matches("299 - ").trim_matches('"').to_owned()).collect();
        let body = ListBody { body, deadline: self.deadline, warnings };
        if status.is_success() {
            return Ok(body);
        }
        Err(refused(status, retry_after, &body.collect().await.unwrap_or_default()))
    }

    /// Sends a request and gives the head of the answer; the body follows. Tried again as long as the error is passing and repeating
    /// does no harm: a create that was cut off may have happened, so it is repeated only when the server said that it did nothing.
    ///
    /// # Errors
    /// The last try's.
    pub async fn stream(&self, method: Method, path: &str, accept: &str, body: Bytes) -> Result<ListBody, ApiError> {
        let mut attempt = 0;
        loop {
            match self.once(method, path, accept, &body).await {
                Ok(answer) => return Ok(answer),
                Err(error) => {
                    let harmless = method != Method::Post || matches!(error.status(), 429 | 503);
                    attempt += 1;
                    let pause = error.pause(attempt);
                    if attempt >= TRIES || !harmless || !error.is_passing() || pause > LONGEST_WAIT {
                        return Err(error);
                    }
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }

    /// Sends a request and gives the whole answer with the server's warnings.
    ///
    /// # Errors
    /// As [`Cluster::stream`].
    pub async fn send(&self, method: Method, path: &str, body: Bytes) -> Result<(Bytes, Vec<String>), ApiError> {
        let mut answer = self.stream(method, path, "application/json", body).await?;
        let warnings = std::mem::take(&mut answer.warnings);
        Ok((answer.collect().await?, warnings))
    }

    /// Reads JSON.
    ///
    /// # Errors
    /// As [`Cluster::stream`], and `Malformed`.
    pub async fn get_json<T: DeserializeOwned>(&self, path: &str) -> Result<T, ApiError> {
        self.get_json_as(path, "application/json").await
    }

    pub(super) async fn get_json_as<T: DeserializeOwned>(&self, path: &str, accept: &str) -> Result<T, ApiError> {
        let body = self.stream(Method::Get, path, accept, Bytes::new()).await?.collect().await?;
        serde_json::from_slice(&body).map_err(|error| ApiError::Malformed { reason: format!("{path}: {error}") })
    }
}

fn refused(status: StatusCode, retry_after: Option<u64>, body: &[u8]) -> ApiError {
    let parsed: Status = serde_json::from_slice(body).unwrap_or_default();
    let text = String::from_utf8_lossy(body.get(..body.len().min(300)).unwrap_or_default()).trim().to_owned();
    let message = match (parsed.message.is_empty(), text.is_empty()) {
        (false, _) => parsed.message,
        (true, false) => format!("{status}: {text}"),
        (true, true) => status.to_string(),
    };
    let retry_after = retry_after.or(Some(parsed.details.retry_after_seconds).filter(|&seconds| seconds > 0));
    ApiError::Refused { status: status.as_u16(), reason: parsed.reason, message, retry_after }
}

/// Encodes text for one segment of a path or one value of a query.
pub fn percent_encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_own_words_are_kept() {
        let body = br#"{"kind":"Status","message":"pods is forbidden","reason":"Forbidden","details":{"retryAfterSeconds":3}}"#;
        let error = refused(StatusCode::FORBIDDEN, None, body);
        assert_eq!((error.status(), error.reason(), error.to_string().as_str()), (403, "Forbidden", "pods is forbidden"));
        assert_eq!(error.pause(0), Duration::from_secs(3));
        let patient = refused(StatusCode::TOO_MANY_REQUESTS, Some(45), b"");
        assert_eq!((patient.pause(0), patient.pause(20)), (Duration::from_secs(45), Duration::from_secs(45)), "never sooner than the server wants");
        assert_eq!(refused(StatusCode::BAD_GATEWAY, None, b"oops").to_string(), "502 Bad Gateway: oops");
    }

    #[test]
    fn paths_are_encoded() {
        assert_eq!(percent_encode("system:a/b c"), "system%3Aa%2Fb%20c");
    }
}
