//! An admission webhook in this process, which decides as a test says.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
    sync::{Arc, Mutex, PoisonError},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use serde_json::{Value, json};
use tokio_rustls::TlsAcceptor;

use crate::certificate;

/// What a webhook says about an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It may be written.
    Allow,
    /// It may not: with which HTTP status.
    Deny(u16),
    /// Nothing.
    Hang,
}

type Judge = Box<dyn Fn(&Value) -> Verdict + Send>;

struct Shared {
    judge: Mutex<Judge>,
    asked: Mutex<Vec<String>>,
}

/// A running webhook.
pub struct Webhook {
    address: SocketAddr,
    authority: Vec<u8>,
    shared: Arc<Shared>,
    runtime: Option<tokio::runtime::Runtime>,
}

fn locked<T>(value: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    value.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Webhook {
    /// Starts one that allows everything, for configurations that name its URL.
    pub fn start() -> Self {
        Self::start_at(Ipv4Addr::LOCALHOST.into(), "IP:127.0.0.1")
    }

    /// The same behind a Service, on an address that endpoints may have: no loopback one.
    pub fn of_service(namespace: &str, name: &str) -> Self {
        Self::start_at(own_address(), &format!("DNS:{name}.{namespace}.svc"))
    }

    fn start_at(address: IpAddr, name: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let authority = certificate::make(folder.path(), name);
        let acceptor = acceptor(folder.path());
        let shared = Arc::new(Shared { judge: Mutex::new(Box::new(|_| Verdict::Allow)), asked: Mutex::default() });
        let listener = std::net::TcpListener::bind((address, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        runtime.spawn(serve(listener, acceptor, Arc::clone(&shared)));
        Self { address, authority, shared, runtime: Some(runtime) }
    }

    /// From now on this decides, given an object.
    pub fn judge(&self, judge: impl Fn(&Value) -> Verdict + Send + 'static) {
        *locked(&self.shared.judge) = Box::new(judge);
        locked(&self.shared.asked).clear();
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// What a configuration holds as `caBundle`.
    pub fn bundle(&self) -> String {
        BASE64_STANDARD.encode(&self.authority)
    }

    /// `OPERATION resource/name` of what it was asked about since then, each as often as it was.
    pub fn asked(&self) -> Vec<String> {
        locked(&self.shared.asked).clone()
    }

    /// A configuration by which it is asked about new ConfigMaps of a namespace; it fails closed, after a second.
    pub fn configuration(&self, name: &str, namespace: &str) -> String {
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration", "metadata": {"name": name},
            "webhooks": [{
                "name": format!("{name}.example.com"), "admissionReviewVersions": ["v1"], "sideEffects": "None", "failurePolicy": "Fail", "timeoutSeconds": 1,
                "clientConfig": {"url": format!("https://{}/", self.address), "caBundle": self.bundle()},
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
                "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]}],
            }],
        })
        .to_string()
    }
}

impl Drop for Webhook {
    fn drop(&mut self) {
        // A runtime cannot be waited for inside another one.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// The address by which this machine reaches others. Nothing is sent.
fn own_address() -> IpAddr {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    socket.connect("198.51.100.1:9").expect("this machine has no address but loopback ones");
    socket.local_addr().unwrap().ip()
}

fn acceptor(folder: &std::path::Path) -> TlsAcceptor {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let certificates = CertificateDer::pem_file_iter(folder.join("cert.pem")).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(folder.join("key.pem")).unwrap();
    let config = rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(certificates, key).unwrap();
    TlsAcceptor::from(Arc::new(config))
}

async fn serve(listener: std::net::TcpListener, acceptor: TlsAcceptor, shared: Arc<Shared>) {
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    loop {
        let Ok((connection, _)) = listener.accept().await else { continue };
        let (acceptor, shared) = (acceptor.clone(), Arc::clone(&shared));
        tokio::spawn(async move {
            let Ok(connection) = acceptor.accept(connection).await else { return };
            let service = service_fn(move |request| answer(Arc::clone(&shared), request));
            let _ = http1::Builder::new().serve_connection(TokioIo::new(connection), service).await;
        });
    }
}

async fn answer(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let body = request.into_body().collect().await?.to_bytes();
    let review: Value = serde_json::from_slice(&body).unwrap_or_default();
    let text = |path: &str| review.pointer(path).and_then(Value::as_str).unwrap_or_default();
    let asked = format!("{} {}/{}", text("/request/operation"), text("/request/resource/resource"), text("/request/name"));
    locked(&shared.asked).push(asked);
    let verdict = locked(&shared.judge)(&review["request"]["object"]);
    let mut answer = json!({"uid": review["request"]["uid"], "allowed": verdict == Verdict::Allow});
    match verdict {
        Verdict::Allow => {}
        Verdict::Deny(status) => answer["status"] = json!({"code": status, "message": "not on a Sunday"}),
        Verdict::Hang => std::future::pending().await,
    }
    let review = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": answer});
    Ok(Response::new(Full::new(Bytes::from(review.to_string()))))
}
