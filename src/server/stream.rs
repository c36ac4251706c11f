//! One answer on its way: its body as hyper sends it, and the guard that resets an HTTP/2 stream whose peer takes none.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::time::Sleep;

use super::connection::Connection;
use crate::web::Body;

/// A request under way; counted while it lives.
pub(super) struct Flight(Arc<Connection>);

impl Flight {
    /// Begins a request. Returns whether its target had a fragment.
    pub(super) fn begin(connection: Arc<Connection>) -> (Self, bool) {
        let fragment = connection.activity.begin_request();
        (Self(connection), fragment)
    }

    /// Returns the connection.
    pub(super) fn connection(&self) -> &Connection {
        &self.0
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.0.activity.end_request();
    }
}

/// How an HTTP/2 answer gets on: the number of frames handed over, or 0 while the body has none to hand over.
#[derive(Debug, Default)]
pub(super) struct Progress(AtomicU32);

/// The body of an answer; the request is under way until hyper lets go of it.
pub(super) struct Tracked {
    body: Body,
    progress: Option<Arc<Progress>>,
    frames: u32,
    flight: Flight,
}

impl Tracked {
    /// Tracks a body.
    pub(super) fn new(body: Body, flight: Flight, progress: Option<Arc<Progress>>) -> Self {
        Self { body, progress, frames: 0, flight }
    }
}

impl http_body::Body for Tracked {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        // h2 queues frames by their bytes and keeps some 300 for each frame besides, so one that is not taken is not
        // followed by another. The progress stays as it is: the peer is what this stream waits for.
        let activity = &self.flight.connection().activity;
        if self.frames > 0 && activity.is_stalled() {
            activity.park(cx.waker());
            return Poll::Pending;
        }
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        let this = self.get_mut();
        if let Some(progress) = &this.progress {
            this.frames = this.frames.wrapping_add(1).max(1);
            progress.0.store(if frame.is_ready() { this.frames } else { 0 }, Relaxed);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// hyper's task of one HTTP/2 stream, ended when the peer's window has let no frame through for too long. Flow control
/// is per stream, so the connection's own stall is not enough.
pub(super) struct Guarded<F> {
    stream: F,
    progress: Arc<Progress>,
    stall: Duration,
}

impl<F: Future<Output = ()>> Guarded<F> {
    /// Guards a stream.
    pub(super) fn new(stream: F, progress: Arc<Progress>, stall: Duration) -> Self {
        Self { stream, progress, stall }
    }

    /// Runs it to its end. Dropping hyper's future resets the stream.
    pub(super) async fn run(self) {
        let Self { stream, progress, stall } = self;
        let mut stream = pin!(stream);
        let mut waiting: Option<(u32, Pin<Box<Sleep>>)> = None;
        std::future::poll_fn(move |cx| {
            if stream.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
            match progress.0.load(Relaxed) {
                // The upstream has nothing yet.
                0 => waiting = None,
                frames if waiting.as_ref().is_none_or(|(seen, _)| *seen != frames) => {
                    waiting = Some((frames, Box::pin(tokio::time::sleep(stall))));
                }
                _ => {}
            }
            waiting.as_mut().map_or(Poll::Pending, |(_, timer)| timer.as_mut().poll(cx))
        })
        .await;
    }
}
