//! Requests and connections that the operator makes.
//!
//! - 200 to 399 is success, as with a kubelet's probe. Redirections are not followed: one is a success by itself.
//! - Certificates of hosts that a template names are checked against the authorities of the operator's image. At the address of a Pod they are
//!   not, as a kubelet does: no certificate is made out to such an address.
//! - To a Pod the request goes straight; else proxies of the operator's environment are used.

use std::{error::Error as _, time::Duration};

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kubestash::session::hooks::{
    HookError,
    endpoint::{Address, Endpoint},
    plan::{Body, Request},
};
use reqwest::{
    Client, Method, Url,
    header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue},
    redirect::Policy,
};

/// Sends a request, whose answer must be one of success.
pub async fn send(request: &Request, pod: Option<&Pod>, timeout: Duration) -> Result<(), HookError> {
    let endpoint = request.address.resolve(pod)?;
    let (scheme, method) = (if request.tls { "https" } else { "http" }, if request.post { Method::POST } else { Method::GET });
    let shown = format!("{method} {scheme}://{}{}", endpoint.authority(), of(pod));
    let url = format!("{scheme}://{}{}", endpoint.authority(), request.path);
    let url = Url::parse(&url).map_err(|error| HookError::Template(format!("{shown}: host and path make no URL: {error}")))?;
    let mut headers = headers(&request.headers)?;
    let body = match &request.body {
        Body::None => String::new(),
        Body::Text(text) => text.clone(),
        Body::Form(pairs) => {
            headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static("application/x-www-form-urlencoded"));
            form(pairs)
        }
    };
    let client = client(&endpoint, timeout).map_err(|error| HookError::Failed(format!("{shown}: {}", chain(error))))?;
    let mut sent = client.request(method, url).headers(headers);
    if request.post {
        sent = sent.body(body);
    }
    match sent.send().await {
        Ok(answer) if (200..400).contains(&answer.status().as_u16()) => Ok(()),
        Ok(answer) => Err(HookError::Failed(format!("{shown} was answered with {}; 200 to 399 is success", answer.status()))),
        Err(error) if error.is_timeout() => Err(HookError::Failed(format!("{shown} was not answered within {}", seconds(timeout)))),
        Err(error) => Err(HookError::Failed(format!("{shown}: {}", chain(error)))),
    }
}

/// Opens a connection, and closes it.
pub async fn connect(address: &Address, pod: Option<&Pod>, timeout: Duration) -> Result<(), HookError> {
    let endpoint = address.resolve(pod)?;
    let shown = format!("{}{}", endpoint.authority(), of(pod));
    match tokio::time::timeout(timeout, tokio::net::TcpStream::connect(endpoint.authority())).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(HookError::Failed(format!("{shown} cannot be connected to: {error}"))),
        Err(_) => Err(HookError::Failed(format!("{shown} cannot be connected to within {}", seconds(timeout)))),
    }
}

fn of(pod: Option<&Pod>) -> String {
    pod.map_or_else(String::new, |pod| format!(" (Pod {})", pod.name_any()))
}

fn seconds(timeout: Duration) -> String {
    format!("{}s", timeout.as_secs_f64())
}

fn client(endpoint: &Endpoint, timeout: Duration) -> reqwest::Result<Client> {
    let mut builder = Client::builder()
        .user_agent(concat!("kubestash/", env!("CARGO_PKG_VERSION")))
        .redirect(Policy::none())
        .timeout(timeout)
        .connect_timeout(timeout);
    if endpoint.is_pod {
        builder = builder.no_proxy().tls_danger_accept_invalid_certs(true);
    }
    builder.build()
}

fn headers(pairs: &[(String, String)]) -> Result<HeaderMap, HookError> {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        let wrong = |what: &str| HookError::Template(format!("action…httpHeaders: {name:?} has {what} that no header can have"));
        let key = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong("a name"))?;
        let mut value = HeaderValue::from_str(value).map_err(|_| wrong("a value"))?;
        value.set_sensitive(true);
        headers.append(key, value);
    }
    Ok(headers)
}

/// Pairs as a browser sends a form.
fn form(pairs: &[(String, String)]) -> String {
    let url = Url::parse_with_params("http://form", pairs);
    url.ok().and_then(|url| url.query().map(str::to_owned)).unwrap_or_default()
}

/// An error and what it was caused by, without the URL, whose path may be a secret.
fn chain(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut parts = vec![error.to_string()];
    let mut cause = error.source();
    while let Some(next) = cause {
        let text = next.to_string();
        if !parts.contains(&text) {
            parts.push(text);
        }
        cause = next.source();
    }
    super::tail(&parts.join(": "), 400)
}
