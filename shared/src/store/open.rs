//! Building the client of a bucket from its options.

use std::{sync::Arc, time::Duration};

use object_store::{
    BackoffConfig, ClientOptions, ObjectStore, RetryConfig,
    aws::{AmazonS3Builder, AmazonS3ConfigKey},
    azure::{AzureConfigKey, MicrosoftAzureBuilder},
    gcp::GoogleCloudStorageBuilder,
    list::PaginatedListStore,
};

use super::{Credentials, Provider, StoreOptions, retention::NotingConnector};

const CONNECT: Duration = Duration::from_secs(5);
/// For one try. A pack of 8 MiB needs 140 kB a second.
const TRY: Duration = Duration::from_secs(60);
/// Tries behind the first one, and how long new ones are begun.
const RETRIES: (usize, Duration) = (6, Duration::from_secs(30));

/// Variables in which platforms tell a pod who it is. They count only where no credentials are given.
const AWS_IDENTITY: [(AmazonS3ConfigKey, &str); 7] = [
    (AmazonS3ConfigKey::WebIdentityTokenFile, "AWS_WEB_IDENTITY_TOKEN_FILE"),
    (AmazonS3ConfigKey::RoleArn, "AWS_ROLE_ARN"),
    (AmazonS3ConfigKey::RoleSessionName, "AWS_ROLE_SESSION_NAME"),
    (AmazonS3ConfigKey::StsEndpoint, "AWS_ENDPOINT_URL_STS"),
    (AmazonS3ConfigKey::ContainerCredentialsRelativeUri, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"),
    (AmazonS3ConfigKey::ContainerCredentialsFullUri, "AWS_CONTAINER_CREDENTIALS_FULL_URI"),
    (AmazonS3ConfigKey::ContainerAuthorizationTokenFile, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"),
];

/// The same of Azure.
const AZURE_IDENTITY: [(AzureConfigKey, &str); 5] = [
    (AzureConfigKey::ClientId, "AZURE_CLIENT_ID"),
    (AzureConfigKey::AuthorityId, "AZURE_TENANT_ID"),
    (AzureConfigKey::ClientSecret, "AZURE_CLIENT_SECRET"),
    (AzureConfigKey::FederatedTokenFile, "AZURE_FEDERATED_TOKEN_FILE"),
    (AzureConfigKey::AuthorityHost, "AZURE_AUTHORITY_HOST"),
];

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn retries() -> RetryConfig {
    let (max_retries, retry_timeout) = RETRIES;
    let backoff = BackoffConfig { init_backoff: Duration::from_millis(100), max_backoff: Duration::from_secs(5), base: 2.0 };
    RetryConfig { backoff, max_retries, retry_timeout }
}

fn client(options: &StoreOptions) -> Result<ClientOptions, String> {
    // Pods are given their credentials over plain connections that do not leave the machine.
    let plain = options.credentials == Credentials::Ambient || options.endpoint.as_ref().is_some_and(|endpoint| endpoint.starts_with("http://"));
    let client = ClientOptions::new()
        .with_connect_timeout(CONNECT)
        .with_timeout(TRY)
        .with_allow_http(plain)
        .with_allow_invalid_certificates(options.insecure_tls);
    let authorities = options.authorities().map_err(|error| format!("the CA certificate cannot be read: {error}"))?;
    Ok(authorities.into_iter().fold(client, ClientOptions::with_root_certificate))
}

fn check_endpoint(endpoint: &str) -> Result<(), String> {
    let Some(rest) = endpoint.strip_prefix("https://").or_else(|| endpoint.strip_prefix("http://")) else {
        return Err("its endpoint is not a URL, which begins with http:// or https://".to_owned());
    };
    if rest.split('/').next().unwrap_or_default().contains('@') {
        return Err("its endpoint must not hold a user or a password: they belong into the credentials".to_owned());
    }
    Ok(())
}

/// The client of a bucket.
pub(super) struct Client {
    pub(super) objects: Arc<dyn ObjectStore>,
    /// The same, asked for listings page by page.
    pub(super) pages: Arc<dyn PaginatedListStore>,
}

impl Client {
    fn of(client: impl ObjectStore + PaginatedListStore) -> Self {
        let client = Arc::new(client);
        Self { objects: Arc::clone(&client) as Arc<dyn ObjectStore>, pages: client }
    }
}

/// The client of a bucket; the error says what does not fit.
pub(super) fn bucket(provider: Provider, bucket: &str, options: &StoreOptions) -> Result<Client, String> {
    if let Some(endpoint) = &options.endpoint {
        check_endpoint(endpoint)?;
    }
    match provider {
        Provider::S3 => s3(bucket, options),
        Provider::Gcs => gcs(bucket, options),
        Provider::Azure => azure(bucket, options),
    }
}

fn foreign(provider: Provider) -> String {
    format!("the credentials are not those of {provider}")
}

fn s3(bucket: &str, options: &StoreOptions) -> Result<Client, String> {
    let region = options.region.as_deref().unwrap_or("us-east-1");
    let mut builder = AmazonS3Builder::new()
        .with_http_connector(NotingConnector::default())
        .with_bucket_name(bucket)
        .with_region(region)
        .with_client_options(client(options)?)
        .with_retry(retries());
    if let Some(endpoint) = &options.endpoint {
        builder = builder.with_endpoint(endpoint);
    }
    builder = match &options.credentials {
        Credentials::Ambient => AWS_IDENTITY.into_iter().fold(builder, |builder, (key, name)| match variable(name) {
            Some(value) => builder.with_config(key, value),
            None => builder,
        }),
        Credentials::AccessKey { id, secret, session_token } => {
            let builder = builder.with_access_key_id(id).with_secret_access_key(secret);
            session_token.iter().fold(builder, AmazonS3Builder::with_token)
        }
        _ => return Err(foreign(Provider::S3)),
    };
    Ok(Client::of(builder.build().map_err(|error| error.to_string())?))
}

fn gcs(bucket: &str, options: &StoreOptions) -> Result<Client, String> {
    let mut client = client(options)?;
    let mut builder = GoogleCloudStorageBuilder::new().with_http_connector(NotingConnector::default()).with_bucket_name(bucket).with_retry(retries());
    if let Some(endpoint) = &options.endpoint {
        builder = builder.with_base_url(endpoint);
    }
    builder = match &options.credentials {
        Credentials::Ambient => builder,
        Credentials::ServiceAccount(json) => {
            // A key may name a test server of its own.
            client = client.with_allow_http(options.endpoint.as_ref().is_some_and(|url| url.starts_with("http://")) || names_plain_server(json));
            builder.with_service_account_key(json)
        }
        Credentials::GoogleFile(path) => match path.to_str() {
            Some(text) => builder.with_application_credentials(text),
            None => return Err("the name of its credentials file is not UTF-8".to_owned()),
        },
        _ => return Err(foreign(Provider::Gcs)),
    };
    // What the builder says of a key that it cannot read may quote it.
    let failed = |error: object_store::Error| match &options.credentials {
        Credentials::ServiceAccount(_) => "the service account's key cannot be used: its private_key is not an RSA key in PEM".to_owned(),
        _ => error.to_string(),
    };
    Ok(Client::of(builder.with_client_options(client).build().map_err(failed)?))
}

fn names_plain_server(json: &str) -> bool {
    let parsed: serde_json::Value = serde_json::from_str(json).unwrap_or_default();
    parsed.get("gcs_base_url").and_then(serde_json::Value::as_str).is_some_and(|url| url.starts_with("http://"))
}

fn azure(container: &str, options: &StoreOptions) -> Result<Client, String> {
    let account =
        options.account.as_deref().ok_or("its storage account is not named: set AZURE_STORAGE_ACCOUNT, or storageAccount of the backend")?;
    // The name becomes a part of the host's.
    if account.is_empty() || account.len() > 63 || !account.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        return Err("no storage account has such a name".to_owned());
    }
    let mut builder = MicrosoftAzureBuilder::new()
        .with_http_connector(NotingConnector::default())
        .with_account(account)
        .with_container_name(container)
        .with_client_options(client(options)?)
        .with_retry(retries());
    if let Some(endpoint) = &options.endpoint {
        builder = builder.with_endpoint(endpoint.clone());
    }
    builder = match &options.credentials {
        Credentials::Ambient => AZURE_IDENTITY.into_iter().fold(builder, |builder, (key, name)| match variable(name) {
            Some(value) => builder.with_config(key, value),
            None => builder,
        }),
        Credentials::AccountKey(key) => builder.with_access_key(key),
        Credentials::SharedAccess(signature) => builder.with_config(AzureConfigKey::SasKey, signature),
        _ => return Err(foreign(Provider::Azure)),
    };
    let failed = |error: object_store::Error| match &options.credentials {
        Credentials::SharedAccess(_) => "its shared access signature cannot be read".to_owned(),
        _ => error.to_string(),
    };
    Ok(Client::of(builder.build().map_err(failed)?))
}
