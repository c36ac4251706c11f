//! The HTTP/1.1 connections of one worker to one upstream: one request at a time each, last used first used again.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hyper::client::conn::http1::{Builder, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::interim::{Interim, ReadProgress};
use super::request_body::Outgoing;
use crate::sync::lock;
use crate::telemetry::UpstreamConnection;

/// Common servers close a connection that was idle for 5 s without saying so; one second less avoids the race that
/// ends in a 502, and a new connection costs a loopback or data-centre upstream next to nothing.
const IDLE: Duration = Duration::from_secs(4);
/// The longest answer head.
pub(in crate::proxy) const MAX_HEAD: usize = 32 * 1024;
/// The read buffer of a connection at most: four TLS records.
const MAX_BUFFER: usize = 64 * 1024;

/// A connection.
pub(in crate::proxy) struct Http1Connection {
    pub(in crate::proxy) sender: SendRequest<Outgoing>,
    progress: Arc<ReadProgress>,
    counted: UpstreamConnection,
    task: AbortHandle,
}

impl Http1Connection {
    /// Begins to speak HTTP/1.1.
    pub(in crate::proxy) async fn open<T>(io: Interim<T>, counted: UpstreamConnection) -> hyper::Result<Self>
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let progress = io.progress();
        let mut builder = Builder::new();
        builder.max_buf_size(MAX_BUFFER).max_header_size(MAX_HEAD);
        let (sender, connection) = builder.handshake(TokioIo::new(io)).await?;
        let task = tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "an upstream connection ended");
            }
        });
        Ok(Self { sender, progress, counted, task: task.abort_handle() })
    }

    /// What its bytes tell.
    pub(in crate::proxy) fn progress(&self) -> &ReadProgress {
        &self.progress
    }

    /// Returns whether it can serve another request. HS-19: one that still sends, or has sent on after the answer began,
    /// cannot: its upstream may take what it did not wait for as another request.
    fn is_sound(&self) -> bool {
        self.sender.is_ready() && !self.progress.was_early()
    }

    /// Closes the connection now, whatever is still being sent on it.
    pub(in crate::proxy) fn cut(self) {
        self.task.abort();
    }

    /// Closes the connection: in good order, if it has nothing left to send.
    fn let_go(self) {
        if !self.is_sound() {
            self.cut();
        }
    }
}

/// The connections that wait for the next request.
#[derive(Default)]
pub(in crate::proxy) struct IdleConnections {
    lines: Mutex<Vec<Idle>>,
    /// Whether a task closes those that nobody uses.
    tended: AtomicBool,
}

struct Idle {
    line: Http1Connection,
    since: Instant,
}

impl IdleConnections {
    /// Takes one that is ready.
    pub(in crate::proxy) fn take(&self) -> Option<Http1Connection> {
        let mut lines = lock(&self.lines);
        // The one used last is the warmest; those below it rest until they are too old.
        while let Some(Idle { mut line, since }) = lines.pop() {
            if line.is_sound() && since.elapsed() < IDLE {
                line.counted.set_idle(false);
                return Some(line);
            }
            line.let_go();
        }
        None
    }

    /// Keeps one whose answer was read to the end.
    pub(in crate::proxy) fn put_back(self: &Arc<Self>, mut line: Http1Connection) {
        if line.sender.is_closed() {
            return;
        }
        line.counted.set_idle(true);
        let mut lines = lock(&self.lines);
        lines.push(Idle { line, since: Instant::now() });
        let tended = self.tended.swap(true, Relaxed);
        drop(lines);
        if !tended {
            tokio::spawn(Arc::clone(self).close_old());
        }
    }

    /// Closes connections that nobody has used for long; ends when there are none.
    async fn close_old(self: Arc<Self>) {
        loop {
            tokio::time::sleep(IDLE).await;
            let mut lines = lock(&self.lines);
            let is_old = |idle: &mut Idle| !idle.line.is_sound() || idle.since.elapsed() >= IDLE;
            lines.extract_if(.., is_old).for_each(|idle| idle.line.let_go());
            if lines.is_empty() {
                // Told while the list is locked, so that who adds to it next starts another.
                self.tended.store(false, Relaxed);
                return;
            }
        }
    }
}
