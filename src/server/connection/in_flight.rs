//! A request in progress, and the body of its answer as hyper sends it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use super::Connection;
use super::stream::Progress;
use crate::web::{Body, BodyListener};

/// A request in progress; counted until it is dropped.
pub(in crate::server) struct InFlight(Arc<Connection>);

impl InFlight {
    /// Begins a request. Returns whether its target had a fragment.
    pub(in crate::server) fn begin(connection: Arc<Connection>) -> (Self, bool) {
        let fragment = connection.activity.begin_request();
        (Self(connection), fragment)
    }

    /// Returns the request's connection.
    pub(in crate::server) fn connection(&self) -> &Connection {
        &self.0
    }

    /// Returns the connection for the request's body.
    pub(in crate::server) fn listener(&self) -> Arc<dyn BodyListener> {
        Arc::<Connection>::clone(&self.0)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.activity.end_request();
    }
}

/// The body of an answer; the request is in progress until hyper drops it.
pub(in crate::server) struct Tracked {
    body: Body,
    progress: Option<Arc<Progress>>,
    frames: u32,
    in_flight: InFlight,
}

impl Tracked {
    /// Wraps the body of an answer.
    pub(in crate::server) fn new(body: Body, in_flight: InFlight, progress: Option<Arc<Progress>>) -> Self {
        Self { body, progress, frames: 0, in_flight }
    }
}

impl http_body::Body for Tracked {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        // h2 limits queued frames by their bytes and keeps some 300 more for each, so no frame follows until the last
        // one was taken. The progress stays as it is, because the stream is waiting for the peer.
        let activity = &self.in_flight.connection().activity;
        if self.frames > 0 && activity.is_stalled() {
            activity.park(cx.waker());
            return Poll::Pending;
        }
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        let this = self.get_mut();
        if let Some(progress) = &this.progress {
            this.frames = this.frames.wrapping_add(1).max(1);
            progress.note(if frame.is_ready() { this.frames } else { 0 });
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
