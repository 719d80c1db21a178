//! Until when a store keeps an object, whoever wants it gone: object locks of S3, retention of Google Cloud Storage, immutability of Azure.
//!
//! The client library does not know of them. They stand in the answer to a question about an object, in headers, which are noted here on
//! their way through.

use http::HeaderMap;
use jiff::Timestamp;
use object_store::{
    ClientOptions, GetOptions,
    client::{HttpClient, HttpConnector, HttpError, HttpRequest, HttpResponse, HttpService, ReqwestConnector},
};

use super::{Store, StoreError};

/// Headers with a time before which an object cannot be deleted.
const HEADERS: [&str; 4] = [
    "x-amz-object-lock-retain-until-date",
    "x-goog-object-lock-retain-until-date",
    "x-goog-retention-expiration",
    "x-ms-immutability-policy-until-date",
];

/// What was noted.
#[derive(Debug, Clone, Copy)]
struct KeptUntil(Timestamp);

/// The latest of all times in these headers.
fn kept_until(headers: &HeaderMap) -> Option<Timestamp> {
    let time = |text: &str| text.parse::<Timestamp>().ok().or_else(|| Some(jiff::fmt::rfc2822::parse(text).ok()?.timestamp()));
    HEADERS.iter().filter_map(|name| time(headers.get(*name)?.to_str().ok()?)).max()
}

/// Makes the usual clients, and notes what they are told.
#[derive(Debug, Default)]
pub(super) struct NotingConnector(ReqwestConnector);

#[derive(Debug)]
struct Noting(HttpClient);

impl HttpConnector for NotingConnector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(Noting(self.0.connect(options)?)))
    }
}

#[async_trait::async_trait]
impl HttpService for Noting {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let mut response = self.0.execute(request).await?;
        if let Some(until) = kept_until(response.headers()) {
            response.extensions_mut().insert(KeptUntil(until));
        }
        Ok(response)
    }
}

impl Store {
    /// Until when the store keeps an object, as far as it says so; nothing for one that is not there. Asks buckets only.
    ///
    /// In a bucket with object lock a deletion seems to succeed before that time: the object is hidden, and its space stays taken.
    ///
    /// # Errors
    /// `Denied`, `Timeout` or `Other`.
    pub async fn kept_until(&self, key: &str) -> Result<Option<Timestamp>, StoreError> {
        if self.pages.is_none() {
            return Ok(None);
        }
        let path = self.path(key);
        self.traffic.read(0);
        match self.reading(key, self.inner.get_opts(&path, GetOptions { head: true, ..GetOptions::default() })).await {
            Err(error) if error.is_not_found() => Ok(None),
            found => Ok(found?.extensions.get::<KeptUntil>().map(|KeptUntil(until)| *until)),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn each_provider_has_its_header() {
        let at = |text: &str| Some(text.parse::<Timestamp>().unwrap());
        for (headers, until) in [
            (&[][..], None),
            (
                &[("x-amz-object-lock-retain-until-date", "2026-03-01T12:00:00.5Z"), ("x-amz-object-lock-mode", "GOVERNANCE")],
                at("2026-03-01T12:00:00.5Z"),
            ),
            (&[("x-ms-immutability-policy-until-date", "Sun, 01 Mar 2026 12:00:00 GMT")], at("2026-03-01T12:00:00Z")),
            (
                &[("x-goog-object-lock-retain-until-date", "2026-03-01T12:00:00Z"), ("x-goog-retention-expiration", "2026-03-02T12:00:00Z")],
                at("2026-03-02T12:00:00Z"),
            ),
            (&[("x-amz-object-lock-retain-until-date", "tomorrow")], None),
        ] {
            let map: HeaderMap = headers.iter().map(|(name, value)| (name.parse::<http::HeaderName>().unwrap(), value.parse().unwrap())).collect();
            assert_eq!(kept_until(&map), until, "{headers:?}");
        }
    }
}
