//! The HTTP/2 connections of one worker to one upstream, each shared by as many requests as the upstream allows. A
//! connection that has gone silent or has failed a request gets no new ones.

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use h2::client::{Builder, Connection, SendRequest};
use h2::{Ping, PingPong};
use http::{Request, Response};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::http1::MAX_HEAD;
use super::observed::{Observed, PeerState};
use super::received::Received;
use super::request_body::{Outgoing, Piece};
use super::sending;
use super::sending::SendFailure;
use crate::sync::lock;
use crate::telemetry::UpstreamConnection;

/// Maximum number of requests in progress on one connection, including streams of events, whatever the upstream allows.
const STREAMS: usize = 100;
/// What an upstream may send before clients read it: per answer, and below for all, so that unread answers leave room
/// for others. Frames are nevertheless read as they arrive, see `received.rs`.
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 100 * STREAM_WINDOW;
/// How many cancelled streams are remembered, and below for how long, so that what still arrives on them is ignored.
const REMEMBERED: usize = 1024;
const REMEMBER: Duration = Duration::from_secs(10);
/// How long a peer may leave a ping unanswered before the connection is closed with all its requests. A busy server may
/// be silent for a while, so this is long; new requests are stricter, see `Http2Connection::is_quiet`.
const GIVE_UP: Duration = Duration::from_secs(40);
/// How long an unused connection is kept: shorter than the timeouts of proxies and NAT.
const IDLE: Duration = Duration::from_secs(30);

/// The open connections. Of the unused ones only the first with room is kept.
pub(in crate::proxy) struct SharedConnections {
    connections: Mutex<Vec<Arc<Http2Connection>>>,
    /// Interval of pings while requests are in progress, and how long a peer has to answer one.
    ping: Duration,
}

/// An open HTTP/2 connection.
struct Http2Connection {
    sender: SendRequest<Piece>,
    peer: Arc<PeerState>,
    requests: Arc<AtomicUsize>,
    /// When it last became busy after being idle.
    busy_since: Mutex<Instant>,
    /// Whether it takes no new requests any more.
    left: AtomicBool,
    /// Ends all its tasks; cancelled when the connection has ended.
    stop: CancellationToken,
    /// Tells the connection when nobody can send on it any more, which h2 does not detect.
    _users: oneshot::Sender<Infallible>,
}

/// A request's share of a connection.
pub(in crate::proxy) struct SharedConnection {
    connection: Arc<Http2Connection>,
    /// Whether the connection had served before.
    pub(super) is_reused: bool,
}

impl Http2Connection {
    fn share(self: &Arc<Self>, is_reused: bool) -> SharedConnection {
        if self.requests.fetch_add(1, Relaxed) == 0 {
            *lock(&self.busy_since) = Instant::now();
        }
        SharedConnection { connection: Arc::clone(self), is_reused }
    }

    /// Returns whether a request can be sent at once and is likely to be answered.
    fn has_room(&self, now: Instant, ping: Duration) -> bool {
        self.requests.load(Relaxed) < STREAMS.min(self.peer.limit()) && !self.is_quiet(now, ping)
    }

    /// Returns whether a ping should have been answered by now and was not.
    fn is_quiet(&self, now: Instant, ping: Duration) -> bool {
        let busy_since = *lock(&self.busy_since);
        let since = self.peer.heard().max(busy_since);
        self.requests.load(Relaxed) > 0 && now.saturating_duration_since(since) > ping * 2
    }

    /// Returns whether it is in use, or has only been idle for a short while.
    fn is_kept(&self, now: Instant) -> bool {
        self.requests.load(Relaxed) > 0 || now.saturating_duration_since(self.peer.heard()) < IDLE
    }
}

impl SharedConnection {
    /// Sends a request and waits for the head of its answer.
    pub(in crate::proxy) fn send(
        &self,
        request: Request<Outgoing>,
    ) -> impl Future<Output = Result<Response<Received>, SendFailure>> + Send + 'static {
        let connection = Arc::clone(&self.connection);
        async move {
            let sent = sending::send(connection.sender.clone(), request, connection.stop.clone()).await;
            if matches!(sent, Err(SendFailure::Unsent(..))) {
                // The connection stays open until its remaining answers have arrived.
                connection.left.store(true, Relaxed);
            }
            sent
        }
    }

    /// Takes no new requests, because one has waited without an answer. Those in progress continue.
    pub(in crate::proxy) fn leave(&self) {
        self.connection.left.store(true, Relaxed);
    }
}

impl Drop for SharedConnection {
    fn drop(&mut self) {
        let was_last = self.connection.requests.fetch_sub(1, Relaxed) == 1;
        // Without senders a healthy connection sends GOAWAY and closes. An abandoned one may have bodies that its peer
        // never reads, and its tasks would wait for them.
        if was_last && self.connection.left.load(Relaxed) {
            self.connection.stop.cancel();
        }
    }
}

impl SharedConnections {
    /// Makes an empty list. `ping` is how long a peer has to answer a ping.
    pub(in crate::proxy) fn new(ping: Duration) -> Self {
        Self { connections: Mutex::default(), ping }
    }

    /// Takes a share of the first connection that has room.
    pub(in crate::proxy) fn take(&self) -> Option<SharedConnection> {
        let mut connections = lock(&self.connections);
        if connections.is_empty() {
            return None;
        }
        let now = Instant::now();
        let mut taken = None;
        connections.retain(|connection| {
            if connection.stop.is_cancelled() || connection.left.load(Relaxed) || !connection.is_kept(now) {
                return false;
            }
            if taken.is_none() && connection.has_room(now, self.ping) {
                taken = Some(connection.share(true));
            }
            connection.requests.load(Relaxed) > 0
        });
        taken
    }

    /// Starts HTTP/2 on a connection and shares it. It counts as in use until it ends.
    pub(in crate::proxy) async fn open<T>(
        &self,
        io: Observed<T>,
        counted: UpstreamConnection,
    ) -> Result<SharedConnection, h2::Error>
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (peer, stop) = (io.peer(), CancellationToken::new());
        let (sender, mut connection) = Builder::new()
            .enable_push(false)
            .initial_max_send_streams(STREAMS)
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(u32::try_from(MAX_HEAD).unwrap_or(u32::MAX))
            // Data that still arrives on a cancelled stream is normal, and others share the connection. Floods of
            // control frames are counted by `Observed`, and small frames are read as they arrive.
            .data_frame_budget(usize::MAX)
            .max_concurrent_reset_streams(REMEMBERED)
            .reset_stream_duration(REMEMBER)
            .max_local_error_reset_streams(None)
            .handshake(io)
            .await?;
        let requests = Arc::new(AtomicUsize::new(0));
        let pings = connection.ping_pong();
        let silence = until_silent(pings, Arc::clone(&peer), Arc::clone(&requests), self.ping);
        let (users, gone) = oneshot::channel();
        let until = stop.clone();
        tokio::spawn(async move {
            if let Some(Err(error)) = until.run_until_cancelled(drive(connection, gone, silence)).await {
                tracing::debug!(%error, "an upstream connection ended");
            }
            until.cancel();
            drop(counted);
        });
        let connection = Arc::new(Http2Connection {
            sender,
            peer,
            requests,
            busy_since: Mutex::new(Instant::now()),
            left: AtomicBool::new(false),
            stop,
            _users: users,
        });
        let share = connection.share(false);
        lock(&self.connections).push(connection);
        Ok(share)
    }
}

/// Drives the connection until it has ended or gone silent. Once its users have gone it is closed gracefully.
async fn drive<T>(
    mut connection: Connection<T, Piece>,
    mut gone: oneshot::Receiver<Infallible>,
    silence: impl Future<Output = ()>,
) -> Result<(), h2::Error>
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let mut silence = std::pin::pin!(silence);
    let mut has_users = true;
    loop {
        tokio::select! {
            biased;
            ended = &mut connection => return ended,
            _ = &mut gone, if has_users => has_users = false,
            () = &mut silence => return Ok(()),
        }
    }
}

/// Pings a peer that is silent while requests are in progress; ends when a ping is not answered.
async fn until_silent(pings: Option<PingPong>, peer: Arc<PeerState>, requests: Arc<AtomicUsize>, interval: Duration) {
    let Some(mut pings) = pings else { return std::future::pending().await };
    loop {
        // So that a ping is sent at most one interval after the last data.
        sleep(interval / 2).await;
        if requests.load(Relaxed) == 0 || peer.heard().elapsed() < interval / 2 {
            continue;
        }
        match timeout(GIVE_UP, pings.ping(Ping::opaque())).await {
            Ok(Ok(_)) => {}
            Err(_) => return,
            // It has ended, which its own future reports.
            Ok(Err(_)) => std::future::pending().await,
        }
    }
}
