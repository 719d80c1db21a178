//! Where a store is: a folder or a URL, and how to open it.

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use object_store::{BackoffConfig, Certificate, ClientOptions, RetryConfig, aws::AmazonS3Builder};

use super::{Store, StoreError};

/// What an S3 store needs beside its URL. Nothing is read from the environment here: the caller decides where settings come from.
#[derive(Clone, Default)]
pub struct S3Options {
    /// `https://minio.example.com:9000`; empty for AWS.
    pub endpoint: Option<String>,
    /// Defaults to `us-east-1`.
    pub region: Option<String>,
    /// Without a key pair the ambient credentials of the machine are used.
    pub access_key_id: Option<String>,
    /// Goes with the access key.
    pub secret_access_key: Option<String>,
    /// Of temporary credentials.
    pub session_token: Option<String>,
    /// PEM of the authority that signed the endpoint's certificate.
    pub ca_certificate: Option<Vec<u8>>,
    /// Accept any certificate.
    pub insecure_tls: bool,
}

impl fmt::Debug for S3Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Options").field("endpoint", &self.endpoint).field("region", &self.region).finish_non_exhaustive()
    }
}

/// A parsed `--repo`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// A folder on this machine.
    Folder(PathBuf),
    /// `s3://bucket/prefix`.
    S3 {
        /// Bucket name.
        bucket: String,
        /// Folder in the bucket, may be empty.
        prefix: String,
    },
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => write!(f, "{}", path.display()),
            Self::S3 { bucket, prefix } if prefix.is_empty() => write!(f, "s3://{bucket}"),
            Self::S3 { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
        }
    }
}

impl Location {
    /// Reads a folder, a `file://` URL or `s3://bucket/prefix`.
    ///
    /// # Errors
    /// `Unusable` for other schemes and an empty bucket.
    pub fn parse(text: &str) -> Result<Self, StoreError> {
        let unusable = |reason: &str| StoreError::Unusable { store: text.to_owned(), reason: reason.to_owned() };
        match text.split_once("://") {
            None if text.is_empty() => Err(unusable("the place is empty; name a folder or s3://BUCKET/PREFIX")),
            None => Ok(Self::Folder(PathBuf::from(text))),
            Some(("file", path)) => Ok(Self::Folder(PathBuf::from(path))),
            Some(("s3", rest)) => {
                let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
                if bucket.is_empty() {
                    return Err(unusable("the bucket is missing; write s3://BUCKET/PREFIX"));
                }
                Ok(Self::S3 { bucket: bucket.to_owned(), prefix: prefix.trim_matches('/').to_owned() })
            }
            Some((scheme, _)) => Err(unusable(&format!("{scheme}:// is not supported; name a folder or s3://BUCKET/PREFIX"))),
        }
    }

    /// Opens the place; `create` makes a missing folder.
    ///
    /// # Errors
    /// `Unusable` when the folder or the settings do not fit.
    pub fn open(&self, s3: &S3Options, create: bool) -> Result<Store, StoreError> {
        match self {
            Self::Folder(path) => Store::local(path, create),
            Self::S3 { bucket, prefix } => open_s3(bucket, prefix, s3, self.to_string()),
        }
    }
}

fn open_s3(bucket: &str, prefix: &str, options: &S3Options, label: String) -> Result<Store, StoreError> {
    let unusable = |reason: String| StoreError::Unusable { store: label.clone(), reason };
    let mut client = ClientOptions::new()
        .with_connect_timeout(Duration::from_secs(5))
        .with_timeout(Duration::from_secs(60))
        .with_allow_http(true)
        .with_allow_invalid_certificates(options.insecure_tls);
    if let Some(pem) = &options.ca_certificate {
        let certificate = Certificate::from_pem(pem).map_err(|error| unusable(format!("the CA certificate cannot be read: {error}")))?;
        client = client.with_root_certificate(certificate);
    }
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(bucket)
        .with_region(options.region.as_deref().unwrap_or("us-east-1"))
        .with_client_options(client)
        .with_retry(RetryConfig {
            backoff: BackoffConfig { init_backoff: Duration::from_millis(100), max_backoff: Duration::from_secs(5), base: 2.0 },
            max_retries: 6,
            retry_timeout: Duration::from_secs(30),
        });
    if let Some(endpoint) = &options.endpoint {
        builder = builder.with_endpoint(endpoint);
    }
    match (&options.access_key_id, &options.secret_access_key) {
        (Some(id), Some(secret)) => builder = builder.with_access_key_id(id).with_secret_access_key(secret),
        (None, None) => {}
        _ => {
            return Err(unusable("an access key id and a secret access key go together; only one is set".to_owned()));
        }
    }
    if let Some(token) = &options.session_token {
        builder = builder.with_token(token);
    }
    let inner = builder.build().map_err(|error| unusable(error.to_string()))?;
    Ok(Store::new(Arc::new(inner), prefix, label))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn places_parse_and_print() {
        for (text, printed) in [("/a/b", "/a/b"), ("file:///a", "/a"), ("s3://b", "s3://b"), ("s3://b/p/q/", "s3://b/p/q")] {
            assert_eq!(Location::parse(text).unwrap().to_string(), printed);
        }
        for text in ["", "s3://", "s3:///p", "ftp://x"] {
            assert!(Location::parse(text).is_err(), "{text}");
        }
    }
}
