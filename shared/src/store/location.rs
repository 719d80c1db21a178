//! Where a store is: a folder or a URL.

use std::{fmt, path::PathBuf};

use super::{Provider, Store, StoreError, StoreOptions, open};

/// A parsed `--repo`, or the place that a BackupStorage names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// A folder on this machine.
    Folder(PathBuf),
    /// `s3://bucket/prefix`, `gs://bucket/prefix`, `az://container/prefix`.
    Bucket {
        /// Who keeps it.
        provider: Provider,
        /// Name of the bucket or container.
        bucket: String,
        /// Folder in it, may be empty.
        prefix: String,
    },
}

const PLACES: &str = "name a folder, s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or az://CONTAINER/PREFIX";

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => write!(f, "{}", path.display()),
            Self::Bucket { provider, bucket, prefix } if prefix.is_empty() => write!(f, "{}://{bucket}", provider.scheme()),
            Self::Bucket { provider, bucket, prefix } => write!(f, "{}://{bucket}/{prefix}", provider.scheme()),
        }
    }
}

impl Location {
    /// Reads a folder, a `file://` URL, `s3://bucket/prefix`, `gs://bucket/prefix` or `az://container/prefix`.
    ///
    /// # Errors
    /// `Unusable` for other schemes and for an empty or impossible bucket.
    pub fn parse(text: &str) -> Result<Self, StoreError> {
        let unusable = |reason: String| StoreError::Unusable { store: text.to_owned(), reason };
        let provider = match text.split_once("://") {
            None if text.is_empty() => return Err(unusable(format!("the place is empty; {PLACES}"))),
            None => return Ok(Self::Folder(PathBuf::from(text))),
            Some(("file", path)) => return Ok(Self::Folder(PathBuf::from(path))),
            Some(("s3", _)) => Provider::S3,
            Some(("gs", _)) => Provider::Gcs,
            Some(("az", _)) => Provider::Azure,
            Some((scheme, _)) => return Err(unusable(format!("{scheme}:// is not supported; {PLACES}"))),
        };
        let rest = text.split_once("://").map_or("", |(_, rest)| rest);
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        Self::bucket(provider, bucket, prefix)
    }

    /// A folder in a bucket.
    ///
    /// # Errors
    /// `Unusable` for a name that no bucket has.
    pub fn bucket(provider: Provider, bucket: &str, prefix: &str) -> Result<Self, StoreError> {
        let place = Self::Bucket { provider, bucket: bucket.to_owned(), prefix: prefix.trim_matches('/').to_owned() };
        let what = if provider == Provider::Azure { "CONTAINER" } else { "BUCKET" };
        let reason = if bucket.is_empty() {
            format!("its {} is missing; write {}://{what}/PREFIX", what.to_lowercase(), provider.scheme())
        } else if bucket.len() > 255 || !bucket.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-$".contains(&byte)) {
            format!("no {} has such a name; write {}://{what}/PREFIX", what.to_lowercase(), provider.scheme())
        } else {
            return Ok(place);
        };
        Err(StoreError::Unusable { store: place.to_string(), reason })
    }

    /// Who keeps it; nobody for a folder.
    pub fn provider(&self) -> Option<Provider> {
        match self {
            Self::Folder(_) => None,
            Self::Bucket { provider, .. } => Some(*provider),
        }
    }

    /// Opens the place; `create` makes a missing folder, and never a bucket. Asks the store nothing yet.
    ///
    /// # Errors
    /// `Unusable` when the folder or the settings do not fit.
    pub fn open(&self, options: &StoreOptions, create: bool) -> Result<Store, StoreError> {
        let store = match self {
            Self::Folder(path) => Store::local(path, create)?,
            Self::Bucket { provider, bucket, prefix } => {
                let unusable = |reason| StoreError::Unusable { store: self.to_string(), reason };
                let client = open::bucket(*provider, bucket, options).map_err(unusable)?;
                Store { pages: Some(client.pages), ..Store::new(client.objects, prefix, self.to_string()) }
            }
        };
        Ok(store.limited_to(options.max_connections))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::Credentials;
    use super::*;

    #[test]
    fn places_parse_and_print() {
        for (text, printed) in [
            ("/a/b", "/a/b"),
            ("file:///a", "/a"),
            ("s3://b", "s3://b"),
            ("s3://b/p/q/", "s3://b/p/q"),
            ("gs://b/p", "gs://b/p"),
            ("az://c/p", "az://c/p"),
        ] {
            assert_eq!(Location::parse(text).unwrap().to_string(), printed);
        }
        for text in ["", "s3://", "s3:///p", "gs://a b/c", "az://user:key@host/c", "ftp://x"] {
            assert!(Location::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn settings_that_do_not_fit_are_told_without_secrets() {
        let options = |change: &dyn Fn(&mut StoreOptions)| {
            let credentials = Credentials::AccessKey { id: "id".into(), secret: "hush".into(), session_token: None };
            let mut options = StoreOptions { credentials, ..StoreOptions::default() };
            change(&mut options);
            options
        };
        for (place, options, said) in [
            ("s3://b", options(&|_| {}), ""),
            ("s3://b", options(&|options| options.endpoint = Some("https://me:hush@host".into())), "must not hold a user or a password"),
            ("s3://b", options(&|options| options.endpoint = Some("minio:9000".into())), "begins with http:// or https://"),
            ("s3://b", options(&|options| options.ca_certificate = Some(b"hush".to_vec())), "the CA certificate cannot be read"),
            ("gs://b", options(&|_| {}), "the credentials are not those of Google Cloud Storage"),
            ("az://c", options(&|options| options.credentials = Credentials::AccountKey("aHVzaA==".into())), "its storage account is not named"),
            (
                "az://c",
                options(&|options| {
                    options.credentials = Credentials::AccountKey("aHVzaA==".into());
                    options.account = Some("shop".into());
                }),
                "",
            ),
            ("az://c", options(&|options| options.account = Some("a/b".into())), "no storage account has such a name"),
        ] {
            match Location::parse(place).unwrap().open(&options, false) {
                Ok(store) => assert_eq!((said, store.label()), ("", place)),
                Err(error) => assert!(!said.is_empty() && error.to_string().contains(said) && !format!("{error:?}").contains("hush"), "{error:?}"),
            }
        }
    }
}
