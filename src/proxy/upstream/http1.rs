//! The HTTP/1.1 connections of one worker to one upstream: one request at a time on each, most recently used first.

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
use super::timer::Timer;
use crate::sync::lock;
use crate::telemetry::UpstreamConnection;

/// How long an idle connection is kept. Common servers close one after 5 s without notice; one second less avoids the
/// race that ends in a 502, and a new connection to a loopback or data-centre upstream costs next to nothing.
const IDLE: Duration = Duration::from_secs(4);
/// Maximum size of an answer's head in bytes.
pub(in crate::proxy) const MAX_HEAD: usize = 32 * 1024;
/// Maximum size of a connection's read buffer: four TLS records.
const MAX_BUFFER: usize = 64 * 1024;

/// An open HTTP/1.1 connection.
pub(in crate::proxy) struct Http1Connection {
    pub(super) sender: SendRequest<Outgoing>,
    /// Of the waits for its answers.
    pub(super) timer: Timer,
    progress: Arc<ReadProgress>,
    counted: UpstreamConnection,
    task: AbortHandle,
}

impl Http1Connection {
    /// Starts HTTP/1.1 on a connection.
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
        Ok(Self { sender, timer: Timer::default(), progress, counted, task: task.abort_handle() })
    }

    /// Returns what its bytes have shown.
    pub(in crate::proxy) fn progress(&self) -> &ReadProgress {
        &self.progress
    }

    /// Returns whether it can be reused. HS-19: not if it is still sending, or was when the answer began: the upstream
    /// may take the rest for another request.
    fn is_sound(&self) -> bool {
        self.sender.is_ready() && !self.progress.was_early()
    }

    /// Closes the connection at once, whatever is still being sent on it.
    pub(in crate::proxy) fn cut(self) {
        self.task.abort();
    }

    /// Closes the connection, gracefully if nothing is left to send.
    fn let_go(self) {
        if !self.is_sound() {
            self.cut();
        }
    }
}

/// Idle connections, waiting for the next request.
#[derive(Default)]
pub(in crate::proxy) struct IdleConnections {
    lines: Mutex<Vec<Idle>>,
    /// Whether a task is running that closes unused ones.
    tended: AtomicBool,
}

struct Idle {
    line: Http1Connection,
    since: Instant,
}

impl IdleConnections {
    /// Takes a connection that is ready and has not been idle for too long at `now`.
    pub(in crate::proxy) fn take(&self, now: Instant) -> Option<Http1Connection> {
        let mut lines = lock(&self.lines);
        // The most recently used one first; the others stay idle until they are too old.
        while let Some(Idle { mut line, since }) = lines.pop() {
            if line.is_sound() && now.saturating_duration_since(since) < IDLE {
                line.counted.set_idle(false);
                return Some(line);
            }
            line.let_go();
        }
        None
    }

    /// Keeps a connection whose answer was read to the end at `now`.
    pub(in crate::proxy) fn put_back(self: &Arc<Self>, mut line: Http1Connection, now: Instant) {
        if line.sender.is_closed() {
            return;
        }
        line.counted.set_idle(true);
        let mut lines = lock(&self.lines);
        lines.push(Idle { line, since: now });
        let tended = self.tended.swap(true, Relaxed);
        drop(lines);
        if !tended {
            tokio::spawn(Arc::clone(self).close_old());
        }
    }

    /// Closes connections that were idle for too long; ends when there are none.
    async fn close_old(self: Arc<Self>) {
        loop {
            tokio::time::sleep(IDLE).await;
            let mut lines = lock(&self.lines);
            let is_old = |idle: &mut Idle| !idle.line.is_sound() || idle.since.elapsed() >= IDLE;
            lines.extract_if(.., is_old).for_each(|idle| idle.line.let_go());
            if lines.is_empty() {
                // Cleared while the list is locked, so that the next one to be added starts another task.
                self.tended.store(false, Relaxed);
                return;
            }
        }
    }
}
