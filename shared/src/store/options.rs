//! What a store needs to be told beside its place: credentials, endpoint, certificates, limits.
//!
//! Nothing is read from the environment here. Programs hand in their variables, an operator the keys of a Secret; both go by the names that
//! the providers' own tools and KubeStash use. Values of credentials are in no error and in no debug output.

use std::{collections::BTreeMap, fmt, num::NonZeroUsize, path::PathBuf};

use object_store::azure::AzureAccessKey;

/// Who keeps a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Provider {
    /// AWS, or anything that speaks its S3.
    S3,
    /// Google Cloud Storage.
    Gcs,
    /// Azure Blob Storage.
    Azure,
}

impl Provider {
    /// What stands before `://`.
    pub fn scheme(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::Gcs => "gs",
            Self::Azure => "az",
        }
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::S3 => "S3",
            Self::Gcs => "Google Cloud Storage",
            Self::Azure => "Azure Blob Storage",
        })
    }
}

/// Who asks.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum Credentials {
    /// What the machine gives: the role of a pod (web identity, pod identity, workload identity) or of an instance.
    #[default]
    Ambient,
    /// A key pair of S3.
    AccessKey {
        /// Its public half.
        id: String,
        /// Its secret half.
        secret: String,
        /// Of temporary credentials.
        session_token: Option<String>,
    },
    /// The JSON of a service account's key, for Google Cloud Storage.
    ServiceAccount(String),
    /// A file of Google's application default credentials.
    GoogleFile(PathBuf),
    /// The key of an Azure storage account, base64.
    AccountKey(String),
    /// A shared access signature of Azure.
    SharedAccess(String),
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ambient => "Ambient",
            Self::AccessKey { .. } => "AccessKey(…)",
            Self::ServiceAccount(_) => "ServiceAccount(…)",
            Self::GoogleFile(_) => "GoogleFile(…)",
            Self::AccountKey(_) => "AccountKey(…)",
            Self::SharedAccess(_) => "SharedAccess(…)",
        })
    }
}

/// All of it; the default suits a folder, and a bucket of the provider itself that the machine may use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoreOptions {
    /// `https://minio.example.com:9000`; empty for the provider's own. Azure's begins with the account's name, or ends with it as a folder.
    pub endpoint: Option<String>,
    /// Of S3; defaults to `us-east-1`.
    pub region: Option<String>,
    /// Azure's storage account.
    pub account: Option<String>,
    /// Who asks.
    pub credentials: Credentials,
    /// PEM of the authorities that signed the endpoint's certificate, beside those of the system.
    pub ca_certificate: Option<Vec<u8>>,
    /// Accept any certificate.
    pub insecure_tls: bool,
    /// So many requests at the same time; without it, as many as are asked for.
    pub max_connections: Option<NonZeroUsize>,
}

/// Settings that do not fit together. Holds names of settings, never their values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OptionsError {
    /// One that is needed is not there, or empty.
    #[error("{key} is missing: {provider} needs {needs}")]
    Missing {
        /// For whom.
        provider: Provider,
        /// The key of a Secret, or the variable.
        key: &'static str,
        /// What belongs together.
        needs: &'static str,
    },
    /// One is there that cannot be used.
    #[error("{key} is not {expected}")]
    Invalid {
        /// The key of a Secret, or the variable.
        key: String,
        /// What it should be.
        expected: &'static str,
    },
}

type Get<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The first of several names that is set.
fn first(get: Get<'_>, names: &[&'static str]) -> Option<(&'static str, String)> {
    names.iter().find_map(|&name| Some((name, get(name)?)))
}

fn key_pair(get: Get<'_>) -> Result<Option<Credentials>, OptionsError> {
    let missing = |key| {
        let needs = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or neither of them";
        Err(OptionsError::Missing { provider: Provider::S3, key, needs })
    };
    match (get("AWS_ACCESS_KEY_ID"), get("AWS_SECRET_ACCESS_KEY")) {
        (Some(id), Some(secret)) => Ok(Some(Credentials::AccessKey { id, secret, session_token: get("AWS_SESSION_TOKEN") })),
        (None, None) => Ok(None),
        (Some(_), None) => missing("AWS_SECRET_ACCESS_KEY"),
        (None, Some(_)) => missing("AWS_ACCESS_KEY_ID"),
    }
}

fn service_account(get: Get<'_>) -> Result<Option<Credentials>, OptionsError> {
    let key = "GOOGLE_SERVICE_ACCOUNT_JSON_KEY";
    let Some(json) = get(key) else { return Ok(None) };
    // What a parser says of JSON may quote it.
    let parsed: serde_json::Value = serde_json::from_str(&json).unwrap_or_default();
    let whole = ["client_email", "private_key", "private_key_id"].iter().all(|member| parsed.get(member).is_some_and(serde_json::Value::is_string));
    let expected = "the JSON of a service account's key, with client_email, private_key and private_key_id";
    if whole { Ok(Some(Credentials::ServiceAccount(json))) } else { Err(OptionsError::Invalid { key: key.to_owned(), expected }) }
}

fn account_key(get: Get<'_>) -> Result<Option<Credentials>, OptionsError> {
    let Some((name, key)) = first(get, &["AZURE_ACCOUNT_KEY", "AZURE_STORAGE_KEY", "AZURE_STORAGE_ACCOUNT_KEY"]) else { return Ok(None) };
    let expected = "the key of a storage account, which is base64";
    if AzureAccessKey::try_new(&key).is_err() {
        return Err(OptionsError::Invalid { key: name.to_owned(), expected });
    }
    Ok(Some(Credentials::AccountKey(key)))
}

impl StoreOptions {
    /// From the keys of a Kubernetes Secret as KubeStash names them: `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`;
    /// `GOOGLE_SERVICE_ACCOUNT_JSON_KEY`; `AZURE_ACCOUNT_KEY`; for any of them `CA_CERT_DATA`. Blanks and line breaks around a value do not
    /// count. Without a Secret, use [`StoreOptions::default`].
    ///
    /// # Errors
    /// `Missing` names the key that the Secret lacks, `Invalid` one that cannot be used.
    pub fn from_secret(provider: Provider, data: &BTreeMap<String, Vec<u8>>) -> Result<Self, OptionsError> {
        let mut texts: BTreeMap<&str, String> = BTreeMap::new();
        for (key, value) in data {
            match std::str::from_utf8(value) {
                Ok(text) if !text.trim().is_empty() => drop(texts.insert(key, text.trim().to_owned())),
                Ok(_) => {}
                // Only those that are asked for: a Secret may hold other things.
                Err(_) if NAMES.contains(&key.as_str()) => return Err(OptionsError::Invalid { key: key.clone(), expected: "text" }),
                Err(_) => {}
            }
        }
        let get = |key: &str| texts.get(key).cloned();
        let (credentials, key, needs) = match provider {
            Provider::S3 => (key_pair(&get)?, "AWS_ACCESS_KEY_ID", "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in its Secret"),
            Provider::Gcs => (service_account(&get)?, "GOOGLE_SERVICE_ACCOUNT_JSON_KEY", "the JSON of a service account's key in its Secret"),
            Provider::Azure => (account_key(&get)?, "AZURE_ACCOUNT_KEY", "the key of the storage account in its Secret"),
        };
        let credentials = credentials.ok_or(OptionsError::Missing { provider, key, needs })?;
        let account = get("AZURE_ACCOUNT_NAME").filter(|_| provider == Provider::Azure);
        let options = Self { credentials, account, ca_certificate: get("CA_CERT_DATA").map(String::into_bytes), ..Self::default() };
        options.authorities().map_err(|_| OptionsError::Invalid { key: "CA_CERT_DATA".to_owned(), expected: "one or more certificates in PEM" })?;
        Ok(options)
    }

    /// From environment variables, in the names that the providers' own tools use. What is not set stays empty, and credentials are then
    /// those of the machine.
    ///
    /// # Errors
    /// `Missing` for half a key pair, `Invalid` for one that cannot be used.
    pub fn from_variables(provider: Provider, get: &dyn Fn(&str) -> Option<String>) -> Result<Self, OptionsError> {
        let get: Get<'_> = &|name| get(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
        let named = |names: &[&'static str]| first(get, names).map(|(_, value)| value);
        let mut options = Self::default();
        let found = match provider {
            Provider::S3 => {
                options.endpoint = get("AWS_ENDPOINT_URL");
                options.region = named(&["AWS_REGION", "AWS_DEFAULT_REGION"]);
                key_pair(get)?
            }
            Provider::Gcs => service_account(get)?.or_else(|| get("GOOGLE_APPLICATION_CREDENTIALS").map(|path| Credentials::GoogleFile(path.into()))),
            Provider::Azure => {
                options.endpoint = get("AZURE_STORAGE_ENDPOINT");
                options.account = named(&["AZURE_STORAGE_ACCOUNT", "AZURE_STORAGE_ACCOUNT_NAME", "AZURE_ACCOUNT_NAME"]);
                account_key(get)?.or_else(|| named(&["AZURE_STORAGE_SAS_TOKEN", "AZURE_ACCOUNT_SAS"]).map(Credentials::SharedAccess))
            }
        };
        options.credentials = found.unwrap_or_default();
        Ok(options)
    }

    /// The authorities of [`StoreOptions::ca_certificate`]; a bundle may hold several.
    pub(super) fn authorities(&self) -> Result<Vec<object_store::Certificate>, String> {
        let Some(pem) = &self.ca_certificate else { return Ok(Vec::new()) };
        match object_store::Certificate::from_pem_bundle(pem) {
            Ok(found) if found.is_empty() => Err("there is no certificate in it".to_owned()),
            other => other.map_err(|error| error.to_string()),
        }
    }
}

/// Keys of a Secret that are looked at.
const NAMES: [&str; 7] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "GOOGLE_SERVICE_ACCOUNT_JSON_KEY",
    "AZURE_ACCOUNT_KEY",
    "AZURE_ACCOUNT_NAME",
    "CA_CERT_DATA",
];

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const ACCOUNT: &str = r#"{"client_email":"a@b","private_key":"hush","private_key_id":"1"}"#;

    fn secret(keys: &[(&str, &str)]) -> BTreeMap<String, Vec<u8>> {
        keys.iter().map(|(key, value)| ((*key).to_owned(), value.as_bytes().to_vec())).collect()
    }

    #[test]
    fn a_secret_gives_credentials_or_names_what_it_lacks() {
        let pair = Credentials::AccessKey { id: "id".into(), secret: "hush".into(), session_token: None };
        for (provider, keys, expected) in [
            (Provider::S3, &[("AWS_ACCESS_KEY_ID", "id\n"), ("AWS_SECRET_ACCESS_KEY", "hush")][..], Ok(pair)),
            (Provider::S3, &[("AWS_ACCESS_KEY_ID", "id")], Err("AWS_SECRET_ACCESS_KEY is missing")),
            (Provider::S3, &[("AWS_ACCESS_KEY_ID", "id"), ("AWS_SECRET_ACCESS_KEY", " \n")], Err("AWS_SECRET_ACCESS_KEY is missing")),
            (Provider::S3, &[("AWS_SECRET_ACCESS_KEY", "hush")], Err("AWS_ACCESS_KEY_ID is missing")),
            (Provider::S3, &[("AZURE_ACCOUNT_KEY", "aHVzaA==")], Err("AWS_ACCESS_KEY_ID is missing: S3 needs")),
            (Provider::Gcs, &[("GOOGLE_SERVICE_ACCOUNT_JSON_KEY", ACCOUNT)], Ok(Credentials::ServiceAccount(ACCOUNT.into()))),
            (Provider::Gcs, &[("GOOGLE_SERVICE_ACCOUNT_JSON_KEY", "{\"hush\"")], Err("GOOGLE_SERVICE_ACCOUNT_JSON_KEY is not the JSON of a service")),
            (Provider::Gcs, &[("GOOGLE_PROJECT_ID", "p")], Err("GOOGLE_SERVICE_ACCOUNT_JSON_KEY is missing: Google Cloud Storage needs")),
            (Provider::Azure, &[("AZURE_ACCOUNT_KEY", "aHVzaA==")], Ok(Credentials::AccountKey("aHVzaA==".into()))),
            (Provider::Azure, &[("AZURE_ACCOUNT_KEY", "hush!")], Err("AZURE_ACCOUNT_KEY is not the key of a storage account")),
            (Provider::Azure, &[], Err("AZURE_ACCOUNT_KEY is missing: Azure Blob Storage needs")),
            (
                Provider::S3,
                &[("AWS_ACCESS_KEY_ID", "id"), ("AWS_SECRET_ACCESS_KEY", "hush"), ("CA_CERT_DATA", "hush")],
                Err("CA_CERT_DATA is not one or more certificates in PEM"),
            ),
        ] {
            let found = StoreOptions::from_secret(provider, &secret(keys));
            match (&found, expected) {
                (Ok(options), Ok(credentials)) => assert_eq!(options.credentials, credentials),
                (Err(error), Err(text)) => assert!(error.to_string().starts_with(text), "{error}"),
                (found, expected) => panic!("{found:?} instead of {expected:?}"),
            }
            assert!(!format!("{found:?}").contains("hush"), "{found:?}");
        }
        let binary = BTreeMap::from([("AWS_ACCESS_KEY_ID".to_owned(), vec![0xff]), ("other".to_owned(), vec![0xff])]);
        let refused = StoreOptions::from_secret(Provider::S3, &binary).unwrap_err();
        assert_eq!(refused.to_string(), "AWS_ACCESS_KEY_ID is not text");
    }

    #[test]
    fn variables_of_one_provider_do_not_matter_to_another() {
        let all = BTreeMap::from([
            ("AWS_ENDPOINT_URL", "http://s3"),
            ("AWS_DEFAULT_REGION", "eu-north-1"),
            ("AWS_ACCESS_KEY_ID", "id"),
            ("GOOGLE_APPLICATION_CREDENTIALS", "/a/b.json"),
            ("AZURE_STORAGE_ACCOUNT", "shop"),
            ("AZURE_STORAGE_SAS_TOKEN", "?sig=hush"),
        ]);
        let get = |name: &str| all.get(name).map(|value| (*value).to_owned());
        assert!(StoreOptions::from_variables(Provider::S3, &get).is_err(), "half a key pair");
        let options = StoreOptions::from_variables(Provider::Gcs, &get).unwrap();
        assert_eq!(options, StoreOptions { credentials: Credentials::GoogleFile("/a/b.json".into()), ..StoreOptions::default() });
        let options = StoreOptions::from_variables(Provider::Azure, &get).unwrap();
        assert_eq!((options.account.as_deref(), options.endpoint), (Some("shop"), None));
        assert_eq!(options.credentials, Credentials::SharedAccess("?sig=hush".into()));
        let none = StoreOptions::from_variables(Provider::S3, &|name| if name == "AWS_REGION" { Some("r".into()) } else { None }).unwrap();
        assert_eq!((none.credentials, none.region.as_deref()), (Credentials::Ambient, Some("r")));
    }
}
