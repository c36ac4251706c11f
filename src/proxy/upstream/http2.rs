//! The HTTP/2 connections of one worker to one upstream, each shared by many requests: by no more than the upstream
//! allows, and by none that are new once it has gone quiet or failed one.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hyper::client::conn::http2::{Builder, SendRequest};
use hyper::rt::Executor;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::http1::MAX_HEAD;
use super::observed::{Observed, PeerState};
use super::request_body::Outgoing;
use crate::sync::lock;
use crate::telemetry::UpstreamConnection;

/// Requests under way on one connection at most, streams of events among them, whatever the upstream allows.
const STREAMS: usize = 100;
/// What an upstream may send before it is read: of one answer, and of all, so that those which nobody reads leave the
/// others theirs. h2 keeps some 250 bytes for each frame besides, however small it is, and ends a connection whose frames
/// that nobody has read would take half its window so.
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 100 * STREAM_WINDOW;
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
    sender: SendRequest<Outgoing>,
    peer: Arc<PeerState>,
    requests: AtomicUsize,
    /// When it last went from no request to one.
    busy_since: Mutex<Instant>,
    /// Takes no new requests.
    left: AtomicBool,
    /// Ends all its tasks.
    stop: CancellationToken,
}

/// One request's share of a connection.
pub(in crate::proxy) struct SharedConnection {
    pub(in crate::proxy) sender: SendRequest<Outgoing>,
    connection: Arc<Http2Connection>,
}

impl Http2Connection {
    fn share(self: &Arc<Self>) -> SharedConnection {
        if self.requests.fetch_add(1, Relaxed) == 0 {
            *lock(&self.busy_since) = Instant::now();
        }
        SharedConnection { sender: self.sender.clone(), connection: Arc::clone(self) }
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
    /// Lets no new request onto this connection: it has kept one waiting in vain. Those on it go on.
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
            if connection.sender.is_closed() || connection.left.load(Relaxed) || !connection.is_kept(now) {
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
    ) -> hyper::Result<SharedConnection>
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (peer, stop) = (io.peer(), CancellationToken::new());
        let (sender, connection) = Builder::new(Tasks(stop.clone()))
            .timer(TokioTimer::new())
            .keep_alive_interval(self.ping)
            .keep_alive_timeout(GIVE_UP)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(u32::try_from(MAX_HEAD).unwrap_or(u32::MAX))
            .handshake(TokioIo::new(io))
            .await?;
        let until = stop.clone();
        tokio::spawn(async move {
            if let Some(Err(error)) = until.run_until_cancelled_owned(connection).await {
                tracing::debug!(%error, "an upstream connection ended");
            }
            drop(counted);
        });
        let connection = Arc::new(Http2Connection {
            sender,
            peer,
            requests: AtomicUsize::new(0),
            busy_since: Mutex::new(Instant::now()),
            left: AtomicBool::new(false),
            stop,
        });
        let share = connection.share();
        lock(&self.connections).push(connection);
        Ok(share)
    }
}

/// Starts the tasks of one connection, which end with it.
#[derive(Clone)]
struct Tasks(CancellationToken);

impl<F> Executor<F> for Tasks
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, task: F) {
        drop(tokio::spawn(self.0.clone().run_until_cancelled_owned(task)));
    }
}
