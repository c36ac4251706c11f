//! The HTTP/2 connections of one worker to one upstream, each shared by many requests.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioTimer};

use super::outgoing::Outgoing;
use super::upstream::MAX_HEAD;
use crate::telemetry::UpstreamConnection;

/// Requests under way on one connection, streams of events among them. RFC 9113 6.5.2 asks every peer to allow so many;
/// one beyond what it allows would wait, and all after it, until another has ended.
const STREAMS: usize = 100;
/// What an upstream may send before it is read: of one answer, and of all, so that those which nobody reads leave the
/// others theirs.
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 100 * STREAM_WINDOW;
/// A connection whose peer is silent is given up after twice this.
const PING: Duration = Duration::from_secs(20);

/// The open connections; none but the first with room is kept without a request.
#[derive(Default)]
pub(super) struct Shared(Mutex<Vec<Line>>);

struct Line {
    sender: SendRequest<Outgoing>,
    /// Held by every request as well, and thereby their number.
    requests: Arc<()>,
}

/// One request's share of a connection.
pub(super) struct Share {
    pub(super) sender: SendRequest<Outgoing>,
    _request: Arc<()>,
}

impl Line {
    fn requests(&self) -> usize {
        Arc::strong_count(&self.requests).saturating_sub(1)
    }

    fn share(&self) -> Share {
        Share { sender: self.sender.clone(), _request: Arc::clone(&self.requests) }
    }
}

impl Shared {
    /// Takes a share of the first connection that has room.
    pub(super) fn take(&self) -> Option<Share> {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut taken = None;
        lines.retain(|line| {
            let has_room = !line.sender.is_closed() && line.requests() < STREAMS;
            if taken.is_none() && has_room {
                taken = Some(line.share());
            }
            !line.sender.is_closed() && line.requests() > 0
        });
        taken
    }

    /// Begins to speak HTTP/2 and shares the connection. It counts as in use until it ends.
    pub(super) async fn open<T>(&self, io: T, counted: UpstreamConnection) -> hyper::Result<Share>
    where
        T: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
    {
        let (sender, connection) = Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .keep_alive_interval(PING)
            .keep_alive_timeout(PING)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(u32::try_from(MAX_HEAD).unwrap_or(u32::MAX))
            .handshake(io)
            .await?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "an upstream connection ended");
            }
            drop(counted);
        });
        let line = Line { sender, requests: Arc::default() };
        let share = line.share();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        Ok(share)
    }
}
