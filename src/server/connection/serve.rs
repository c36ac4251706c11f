//! Serves one connection: PROXY header, TLS, then HTTP/1.1 or HTTP/2 by ALPN, until it ends or exceeds a time limit.

use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::TcpStream;

use super::Connection;
use super::continuing::Continuing;
use super::deadline::{End, TimeLimits, run_within, unless_reclaimed};
use super::hand_over::Accepted;
use super::observed::ObservedStream;
use super::proxy_header;
use super::stream::{Guarded, Progress};
use crate::config::Config;
use crate::server::dispatch;
use crate::server::tls::acceptor;
use crate::server::worker::Worker;
use crate::sync::lock;
use crate::telemetry::ServerEvent;
use crate::web::peer;
use crate::web::{LEFT_BYTES, LEFT_TIME};

/// How long a PROXY header may take: the proxy sends it in its first packet.
const PROXY_HEADER: Duration = Duration::from_secs(5);
/// Maximum age of a connection: an hour, so that a new certificate or a rebalanced service reaches all clients.
const AGE: Duration = Duration::from_secs(3600);
/// Size of the buffer for a head. A request line of 64 KiB must fit, so that it is answered 414 and not 431.
const READ_BUFFER: usize = 72 << 10;
/// hyper's default limit of header fields. It preallocates room for that many; any other limit costs an allocation per
/// head.
const HYPERS_FIELDS: usize = 100;
/// RFC 9113 6.9.2: what a peer may send on one stream, and on all together, before it was read. h2 keeps some 250 bytes
/// more for each frame, however small, and ends a connection whose frames would use half a window that way.
const STREAM_WINDOW: u32 = 64 << 10;
const CONNECTION_WINDOW: u32 = 256 << 10;
/// What may be queued for sending on one stream; a hundred streams stay within a few MiB.
const SEND_BUFFER: usize = 16 << 10;
/// CVE-2023-44487: the most streams reset by the peer before we have handled them; more is an attack.
const PENDING_RESETS: usize = 20;
/// The most streams that we reset because of the peer's errors; more is an attack.
const LOCAL_RESETS: usize = 128;
/// What the task of a stream may hold: a client can open a hundred, and keep them open.
const STREAM_TASK: usize = 1024;
/// Interval of pings; a peer that does not answer one is gone.
const PING: Duration = Duration::from_secs(20);

/// Serves an accepted connection to its end.
pub(in crate::server) async fn serve(accepted: Accepted) {
    let Accepted { stream, peer, listener, permit, counted } = accepted;
    let worker = Arc::clone(counted.worker());
    let metrics = Arc::clone(&worker.process.metrics);
    let snapshot = worker.snapshot();
    let Ok(mut stream) = TcpStream::from_std(stream) else { return };
    let mut address = peer.ip().to_canonical();
    if snapshot.config.public.proxy_protocol {
        let header = client_behind_proxy(&mut stream, address, &snapshot.config);
        match unless_reclaimed(permit.activity(), header).await {
            Some(Some(client)) => address = client,
            Some(None) => return metrics.server(ServerEvent::RefusedProxyHeader),
            None => return,
        }
        if !peer::is_trusted(address, &snapshot.config.public.trusted_proxies)
            && let Err(event) = permit.claim(address, &snapshot.config.limits)
        {
            return worker.process.admission.tell(event, address);
        }
    }
    let end = match &snapshot.tls {
        None => {
            http1(stream, Arc::new(Connection::new((worker, listener), permit, address, None)), &snapshot.config).await
        }
        Some(tls) => {
            let limit = snapshot.config.timeouts.tls_handshake;
            // Boxed, and its stream as well: it is large, and over in some milliseconds.
            let handshake = Box::pin(acceptor::accept(stream, tls, snapshot.hosts.of(listener), limit));
            let Some(shaken) = unless_reclaimed(permit.activity(), handshake).await else { return };
            let stream = match shaken {
                Ok(stream) => stream,
                Err(error) => {
                    tracing::debug!(%address, %error, "no TLS");
                    return metrics.server(error.event());
                }
            };
            let session = stream.get_ref().1;
            let is_http2 = session.alpn_protocol() == Some(b"h2");
            let name = session.server_name().map(str::to_owned);
            let connection = Arc::new(Connection::new((worker, listener), permit, address, name));
            if is_http2 {
                // Boxed: few connections need its room.
                Box::pin(http2(stream, connection, &snapshot.config)).await
            } else {
                http1(stream, connection, &snapshot.config).await
            }
        }
    };
    tracing::debug!(%address, ?end, "a connection ended");
    if let Some(event) = end.event() {
        metrics.server(event);
    }
    drop(counted);
}

/// Reads the PROXY header. Only a trusted proxy may send one, and it must.
async fn client_behind_proxy(stream: &mut TcpStream, peer: IpAddr, config: &Config) -> Option<IpAddr> {
    if !peer::is_trusted(peer, &config.public.trusted_proxies) {
        tracing::debug!(%peer, "a connection that does not come from a trusted proxy");
        return None;
    }
    match tokio::time::timeout(PROXY_HEADER, proxy_header::read(stream)).await {
        Ok(Ok(client)) => Some(client.map_or(peer, |client| client.to_canonical())),
        Ok(Err(error)) => {
            tracing::warn!(%peer, %error, "a trusted proxy sent no usable PROXY header");
            None
        }
        Err(_) => None,
    }
}

fn time_limits(config: &Config, worker: &Worker) -> TimeLimits {
    // Shortened by up to a tenth, so that connections that began together do not end together.
    let jitter = AGE / 1000 * worker.jitter();
    let timeouts = &config.timeouts;
    TimeLimits {
        head: timeouts.request_head,
        idle: timeouts.keep_alive,
        stall: timeouts.write_stall,
        age: AGE - jitter,
    }
}

// No `async fn`, as `http2`: its future would hold the stream twice.
fn http1<S>(stream: S, connection: Arc<Connection>, config: &Config) -> impl Future<Output = End> + use<S>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let entry = connection.worker.enter(&connection.activity);
    let io = TokioIo::new(ObservedStream::text(stream, Arc::clone(&connection.activity)));
    let serving = Arc::clone(&connection);
    let service = service_fn(move |request: Request<Incoming>| {
        // Boxed, so that a connection whose answer is a stream, or that waits for its next request, does not keep the
        // space.
        Box::pin(dispatch::serve(Arc::clone(&serving), request, None))
    });
    let mut builder = http1::Builder::new();
    // Heads are timed by `run_within`, because hyper's own timer would be reset for every request.
    builder.header_read_timeout(None).max_buf_size(READ_BUFFER);
    if config.limits.header_fields != HYPERS_FIELDS {
        builder.max_headers(config.limits.header_fields);
    }
    let mut http = builder.serve_connection(io, service);
    let limits = time_limits(config, &connection.worker);
    async move {
        let wind_down = http1::Connection::graceful_shutdown;
        let end = run_within(Pin::new(&mut http), wind_down, &connection.activity, limits).await;
        drop(entry);
        if end == End::Closed {
            let stream = http.into_parts().io.into_inner().into_inner();
            Box::pin(linger(stream)).await;
        }
        end
    }
}

/// Keeps reading for a moment after the answer: closing with unread bytes would reset the connection and could lose the
/// answer (RFC 9112 9.6).
async fn linger(mut stream: impl AsyncRead + Unpin) {
    let read = async {
        let mut bytes = vec![0; 4096];
        let mut left = LEFT_BYTES;
        while let Ok(read @ 1..) = stream.read(&mut bytes).await {
            left = left.saturating_sub(read);
            if left == 0 {
                break;
            }
        }
    };
    // Whether the time is up or all bytes are read, the connection is closed now.
    drop(tokio::time::timeout(LEFT_TIME, read).await);
}

fn http2<S>(stream: S, connection: Arc<Connection>, config: &Config) -> impl Future<Output = End> + use<S>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let entry = connection.worker.enter(&connection.activity);
    let stream = Continuing::new(stream, Arc::clone(&connection.go_on));
    let io = TokioIo::new(ObservedStream::frames(stream, Arc::clone(&connection.activity)));
    let serving = Arc::clone(&connection);
    let service = service_fn(move |request: Request<Incoming>| {
        let progress = Arc::<Progress>::default();
        *lock(&serving.begun) = Some(Arc::clone(&progress));
        // Boxed, because hyper and the runtime move a stream's future some eight times before they poll it.
        Box::pin(dispatch::serve(Arc::clone(&serving), request, Some(progress)))
    });
    let streams = Streams { connection: Arc::clone(&connection), stall: config.timeouts.write_stall };
    let http = http2::Builder::new(streams)
        .timer(TokioTimer::new())
        .max_concurrent_streams(config.limits.h2_streams)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(u32::try_from(config.limits.head_bytes).unwrap_or(u32::MAX))
        .max_send_buf_size(SEND_BUFFER)
        .max_pending_accept_reset_streams(PENDING_RESETS)
        .max_local_error_reset_streams(LOCAL_RESETS)
        .keep_alive_interval(PING)
        .keep_alive_timeout(PING)
        .serve_connection(io, service);
    let limits = time_limits(config, &connection.worker);
    async move {
        let end = run_within(pin!(http), http2::Connection::graceful_shutdown, &connection.activity, limits).await;
        drop(entry);
        end
    }
}

/// Starts the tasks of HTTP/2 streams.
#[derive(Clone)]
struct Streams {
    connection: Arc<Connection>,
    stall: Duration,
}

impl<F> hyper::rt::Executor<F> for Streams
where
    F: Future<Output = ()> + Unpin + Send + 'static,
{
    fn execute(&self, stream: F) {
        const { assert!(size_of::<Guarded<F>>() <= STREAM_TASK, "the task of an HTTP/2 stream has grown") };
        // hyper calls the service and then this, for one stream at a time.
        let begun = lock(&self.connection.begun).take();
        match begun {
            Some(progress) => drop(tokio::spawn(Guarded::new(stream, progress, self.stall))),
            None => drop(tokio::spawn(stream)),
        }
    }
}

#[cfg(test)]
#[path = "../../../tests/support/costs.rs"]
mod costs;

#[cfg(test)]
mod tests {
    use super::costs::Costs;
    use super::serve;
    use crate::server::dispatch;

    fn size<A, F>(_: impl Fn(A) -> F) -> usize {
        size_of::<F>()
    }

    /// An idle connection holds both. An argument by value, or an `async fn` around one, brings a copy back unseen.
    #[test]
    fn state_is_held_once() {
        let (connection, handler) =
            (size(serve), size(|(connection, request)| dispatch::serve(connection, request, None)));
        println!("connection {connection}, handler {handler}");
        assert!(connection <= 1600, "{connection} bytes for a connection");
        // 32 of them for the request that opened an answer, which a reload judges again.
        assert!(handler <= 3650, "{handler} bytes for the handler of its requests");
        let bytes = |size: usize| f64::from(u32::try_from(size).unwrap());
        let mut costs = Costs::new("test", "futures", &[]);
        costs.add("bytes_of_the_future_of_a_connection", bytes(connection), 2.0);
        costs.add("bytes_of_the_future_of_a_handler", bytes(handler), 2.0);
        costs.check();
    }
}
