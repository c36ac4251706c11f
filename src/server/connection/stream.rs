//! Resets an HTTP/2 stream whose peer reads nothing of its answer.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Sleep;

/// Progress of an HTTP/2 answer: the number of frames handed over, or 0 while the body has none ready.
#[derive(Debug, Default)]
pub(in crate::server) struct Progress(AtomicU32);

impl Progress {
    /// Records the number of frames handed over, or 0.
    pub(in crate::server) fn note(&self, frames: u32) {
        self.0.store(frames, Relaxed);
    }
}

/// hyper's task of one HTTP/2 stream, ended when the peer's window has blocked all frames for too long. Flow control is
/// per stream, so checking the connection is not enough. Dropping hyper's future resets the stream.
pub(in crate::server) struct Guarded<F> {
    stream: F,
    progress: Arc<Progress>,
    stall: Duration,
    /// The number of frames when it stopped, and a timer for how long it may.
    waiting: Option<(u32, Pin<Box<Sleep>>)>,
}

impl<F> Guarded<F> {
    /// Guards a stream.
    pub(in crate::server) fn new(stream: F, progress: Arc<Progress>, stall: Duration) -> Self {
        Self { stream, progress, stall, waiting: None }
    }
}

impl<F: Future<Output = ()> + Unpin> Future for Guarded<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Self { stream, progress, stall, waiting } = self.get_mut();
        if Pin::new(stream).poll(cx).is_ready() {
            return Poll::Ready(());
        }
        match progress.0.load(Relaxed) {
            // The upstream has sent nothing yet.
            0 => *waiting = None,
            frames if waiting.as_ref().is_none_or(|(seen, _)| *seen != frames) => {
                *waiting = Some((frames, Box::pin(tokio::time::sleep(*stall))));
            }
            _ => {}
        }
        waiting.as_mut().map_or(Poll::Pending, |(_, timer)| timer.as_mut().poll(cx))
    }
}
