//! Connections of the API server: TLS with a certificate that can be exchanged while it is in use.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, RwLock},
    time::Duration,
};

use anyhow::Context as _;
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, mpsc},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::certificate::Held;

/// Connections that are being agreed on at the same time; more wait in the kernel.
const HANDSHAKES: usize = 64;
/// Who does not finish a handshake in this time is let go.
const PATIENCE: Duration = Duration::from_secs(5);

/// The certificate in use.
#[derive(Debug, Default)]
pub struct Current(RwLock<Option<Arc<CertifiedKey>>>);

impl Current {
    /// Reads a certificate.
    ///
    /// # Errors
    /// Texts that are no certificate, or a key that does not belong to it.
    pub fn read(held: &Held) -> anyhow::Result<CertifiedKey> {
        let chain =
            CertificateDer::pem_slice_iter(held.certificate.as_bytes()).collect::<Result<Vec<_>, _>>().context("tls.crt is no certificate")?;
        let key = PrivateKeyDer::from_pem_slice(held.key.as_bytes()).context("tls.key is no key")?;
        CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider()).context("tls.key does not belong to tls.crt")
    }

    /// Takes a certificate into use for all connections to come.
    pub fn set(&self, certified: CertifiedKey) {
        *self.0.write().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(Arc::new(certified));
    }
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }
}

/// Accepted connections, ready to be read. A slow client keeps nobody else waiting.
pub struct Listener {
    connections: mpsc::Receiver<(TlsStream<TcpStream>, SocketAddr)>,
    address: SocketAddr,
}

impl Listener {
    /// Listens at an address.
    ///
    /// # Errors
    /// A port that is taken.
    pub async fn bind(address: SocketAddr, current: Arc<Current>) -> anyhow::Result<Self> {
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(current);
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?;
        let address = listener.local_addr()?;
        let (send, connections) = mpsc::channel(HANDSHAKES);
        tokio::spawn(accept(listener, acceptor, send));
        Ok(Self { connections, address })
    }
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, send: mpsc::Sender<(TlsStream<TcpStream>, SocketAddr)>) {
    let places = Arc::new(Semaphore::new(HANDSHAKES));
    while !send.is_closed() {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::debug!("a connection cannot be accepted: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let (acceptor, send) = (acceptor.clone(), send.clone());
        tokio::spawn(async move {
            match tokio::time::timeout(PATIENCE, acceptor.accept(stream)).await {
                Ok(Ok(agreed)) => drop(send.send((agreed, peer)).await),
                Ok(Err(error)) => tracing::debug!("{peer} does not agree on TLS: {error}"),
                Err(_) => tracing::debug!("{peer} does not agree on TLS in time"),
            }
            drop(place);
        });
    }
}

impl axum::serve::Listener for Listener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.connections.recv().await {
            Some(connection) => connection,
            // Only when the process ends.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}
