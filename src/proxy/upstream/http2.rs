//! The HTTP/2 connections of one worker to one upstream, each shared by many requests: by no more than the upstream
//! allows, and by none that are new once it has gone quiet or failed one.

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

/// Requests under way on one connection at most, streams of events among them, whatever the upstream allows.
const STREAMS: usize = 100;
/// What an upstream may send before its clients take it: of one answer, and of all, so that those which nobody takes
/// leave the others theirs. Frames are read as they come all the same, see `received.rs`.
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 100 * STREAM_WINDOW;
/// Streams that were given up and are remembered, and for how long, so that what still comes on them is ignored.
const REMEMBERED: usize = 1024;
const REMEMBER: Duration = Duration::from_secs(10);
/// A connection whose peer leaves a ping unanswered for so long is closed, with every request on it. A server that
/// computes may be silent for a while, so this is patient; new requests are not: see `Http2Connection::is_quiet`.
const GIVE_UP: Duration = Duration::from_secs(40);
/// How long a connection is kept that no request uses: shorter than what proxies and address translators forget.
const IDLE: Duration = Duration::from_secs(30);

/// The open connections; none but the first with room is kept without a request.
pub(in crate::proxy) struct SharedConnections {
    connections: Mutex<Vec<Arc<Http2Connection>>>,
    /// A peer with requests under way is asked this often for a sign of life, and has as long to give it.
    ping: Duration,
}

/// One connection.
struct Http2Connection {
    sender: SendRequest<Piece>,
    peer: Arc<PeerState>,
    requests: Arc<AtomicUsize>,
    /// When it last went from no request to one.
    busy_since: Mutex<Instant>,
    /// Takes no new requests.
    left: AtomicBool,
    /// Ends all its tasks, or has ended with it.
    stop: CancellationToken,
    /// Tells the connection when nobody can send on it any more, which h2 does not see by itself.
    _users: oneshot::Sender<Infallible>,
}

/// One request's share of a connection.
pub(in crate::proxy) struct SharedConnection {
    connection: Arc<Http2Connection>,
}

impl Http2Connection {
    fn share(self: &Arc<Self>) -> SharedConnection {
        if self.requests.fetch_add(1, Relaxed) == 0 {
            *lock(&self.busy_since) = Instant::now();
        }
        SharedConnection { connection: Arc::clone(self) }
    }

    /// Returns whether a request can be sent at once, and is likely to be answered.
    fn has_room(&self, now: Instant, ping: Duration) -> bool {
        self.requests.load(Relaxed) < STREAMS.min(self.peer.limit()) && !self.is_quiet(now, ping)
    }

    /// Returns whether a ping must have been answered by now and was not.
    fn is_quiet(&self, now: Instant, ping: Duration) -> bool {
        let busy_since = *lock(&self.busy_since);
        let since = self.peer.heard().max(busy_since);
        self.requests.load(Relaxed) > 0 && now.saturating_duration_since(since) > ping * 2
    }

    /// Returns whether it goes on with what it has, or rests for a short while.
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
                // It may go on for as long as the answers take that it has yet to bring.
                connection.left.store(true, Relaxed);
            }
            sent
        }
    }

    /// Takes no new requests: one has waited on it without an answer. Those under way go on.
    pub(in crate::proxy) fn leave(&self) {
        self.connection.left.store(true, Relaxed);
    }
}

impl Drop for SharedConnection {
    fn drop(&mut self) {
        let was_last = self.connection.requests.fetch_sub(1, Relaxed) == 1;
        // Without senders a sound connection sends GOAWAY and closes. One that was left may hold bodies that its peer
        // never takes, and its tasks would wait with them.
        if was_last && self.connection.left.load(Relaxed) {
            self.connection.stop.cancel();
        }
    }
}

impl SharedConnections {
    /// `ping` is how long a sign of life may take.
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
                taken = Some(connection.share());
            }
            connection.requests.load(Relaxed) > 0
        });
        taken
    }

    /// Begins to speak HTTP/2 and shares the connection. It counts as in use until it ends.
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
            // What still comes on a stream that its client has left is nobody's fault, and others share the connection. Floods of
            // control frames are counted by `Observed`, and small frames are read as they come.
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
        let share = connection.share();
        lock(&self.connections).push(connection);
        Ok(share)
    }
}

/// Reads and writes until the connection has ended, or until it is silent. Once its users have gone it says farewell.
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

/// Asks a peer that has requests in progress and says nothing for a sign of life, from time to time; ends when it gives
/// none.
async fn until_silent(pings: Option<PingPong>, peer: Arc<PeerState>, requests: Arc<AtomicUsize>, interval: Duration) {
    let Some(mut pings) = pings else { return std::future::pending().await };
    loop {
        // So that a ping is sent at the latest one interval after something came.
        sleep(interval / 2).await;
        if requests.load(Relaxed) == 0 || peer.heard().elapsed() < interval / 2 {
            continue;
        }
        match timeout(GIVE_UP, pings.ping(Ping::opaque())).await {
            Ok(Ok(_)) => {}
            Err(_) => return,
            // It has ended, as its own future says.
            Ok(Err(_)) => std::future::pending().await,
        }
    }
}
