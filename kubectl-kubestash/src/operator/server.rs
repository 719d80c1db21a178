//! Health and metrics, over plain HTTP.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use anyhow::Context as _;
use axum::{
    Router,
    body::Body,
    http::{StatusCode, header::CONTENT_TYPE},
    routing::get,
};

use super::context::Context;

/// Serves until the process ends. `/readyz` answers as soon as the API server has answered once: also who waits to lead is ready.
///
/// # Errors
/// A port that is taken.
pub async fn serve(port: u16, context: Arc<Context>, ready: Arc<AtomicBool>) -> anyhow::Result<()> {
    let app = Router::new()
        .route("/healthz", get(|| async { "ok" }))
        .route(
            "/readyz",
            get(move || async move {
                if ready.load(Ordering::Relaxed) {
                    (StatusCode::OK, "ok")
                } else {
                    (StatusCode::SERVICE_UNAVAILABLE, "the API server has not answered yet")
                }
            }),
        )
        // Some megabytes where there are thousands of Snapshots: sent piece by piece.
        .route(
            "/metrics",
            get(move || async move {
                let parts = context.metrics.parts().map(Ok::<_, std::convert::Infallible>);
                ([(CONTENT_TYPE, "text/plain; version=0.0.4")], Body::from_stream(futures::stream::iter(parts)))
            }),
        );
    let address = std::net::SocketAddr::from(([0, 0, 0, 0], port));
    let listener = tokio::net::TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?;
    Ok(axum::serve(listener, app).await?)
}
