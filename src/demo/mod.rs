//! The built-in demo upstream: a small but complete MCP server for trying out mcpgate and for its tests.
//!
//! It speaks streamable HTTP of 2025-03-26, 2025-06-18 and 2025-11-25 (handshake, sessions, batches) and of 2026-07-28
//! (stateless). It has no authentication of its own: it is behind the gateway, on loopback. Start with `transport.rs`;
//! `features.rs` has what it offers.

mod count;
mod features;
mod message;
mod modern;
mod notes;
mod sessions;
mod transport;

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::watch;

use transport::DemoTransport;

/// Pause after a connection could not be accepted.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves until `shutdown` resolves, then lets open streams end.
pub async fn serve(listener: Arc<tokio::net::TcpListener>, shutdown: impl Future<Output = ()>) {
    let (stop, stopped) = watch::channel(false);
    let transport = Arc::new(DemoTransport::new(stopped));
    tokio::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut shutdown => break,
        };
        let socket = match accepted {
            Ok((socket, _)) => socket,
            // The peer has disconnected already, or file descriptors have run out.
            Err(error) => {
                tracing::debug!(%error, "a connection to the demo upstream could not be accepted");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let transport = Arc::clone(&transport);
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let transport = Arc::clone(&transport);
                async move { Ok::<_, Infallible>(transport.answer(request).await) }
            });
            let connection =
                http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(socket), service);
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection to the demo upstream broke");
            }
        });
    }
    stop.send_replace(true);
}
