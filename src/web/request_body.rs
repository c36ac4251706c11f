//! `RequestBody`: the body of a request; the rest of an unread one is still read for a moment.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Version};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;

/// How many bytes of an unwanted body are still read, so that the answer arrives: as many as a legitimate message has.
pub const LEFT_BYTES: usize = 4 << 20;
/// How long an unwanted body is still read.
pub const LEFT_TIME: Duration = Duration::from_secs(1);

/// What the body of a request tells the connection that it comes from.
pub trait BodyListener: Send + Sync + std::fmt::Debug {
    /// HTTP/2: the body is wanted, and the client may be holding it back until it gets `100 (Continue)`.
    fn is_wanted(&self);

    /// What is left of the body is being read although nobody wants it: the request is still in progress.
    fn begin_rest(&self);

    /// What was left has been read or given up.
    fn end_rest(&self);
}

/// The body of a request.
///
/// An answer may be given before the body has been read, and often before it has arrived, since many clients send head
/// and body apart. If reading ended with the answer, HTTP/2 clients that are still sending could lose it to a reset
/// (RFC 9113 8.1), and HTTP/1.1 clients would send their next request on a connection that is being closed without
/// notice (RFC 9112 9.3: it persists unless `Connection: close` says otherwise). So the rest is read and dropped.
///
/// The default is a body that has ended.
#[derive(Debug, Default)]
pub struct RequestBody {
    /// Taken out when it has ended, and when this is dropped.
    incoming: Option<Incoming>,
    is_http2: bool,
    /// Whether the client waits for `100 (Continue)` before it sends the body.
    is_held_back: bool,
    listener: Option<Arc<dyn BodyListener>>,
}

impl RequestBody {
    /// Takes the body of a request over from hyper.
    pub fn of(request: Request<Incoming>) -> Request<Self> {
        let is_http2 = request.version() == Version::HTTP_2;
        request.map(|incoming| Self { incoming: Some(incoming), is_http2, is_held_back: false, listener: None })
    }

    /// Names who is told what becomes of the body.
    pub fn tell(&mut self, listener: Arc<dyn BodyListener>) {
        self.listener = Some(listener);
    }

    /// Records that the client holds the body back until it gets `100 (Continue)`. RFC 9110 10.1.1: no such response
    /// for a request that is refused because of its head, so a body that nobody asked for is left alone.
    pub fn hold_back(&mut self) {
        self.is_held_back = true;
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = self.incoming.as_mut().map_or(Poll::Ready(None), |incoming| Pin::new(incoming).poll_frame(cx));
        if matches!(frame, Poll::Ready(None)) {
            self.incoming = None;
        }
        if std::mem::take(&mut self.is_held_back)
            && let Some(listener) = self.listener.as_ref().filter(|_| self.is_http2 && frame.is_pending())
        {
            listener.is_wanted();
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        // hyper asks an HTTP/1.1 client to continue as soon as somebody reads.
        if (self.is_http2 || !self.is_held_back)
            && let Some(incoming) = self.incoming.take().filter(|incoming| !incoming.is_end_stream())
        {
            let rest = Rest::begin(self.listener.take());
            drop(tokio::spawn(async move {
                drop(tokio::time::timeout(LEFT_TIME, read_on(incoming)).await);
                drop(rest);
            }));
        }
    }
}

/// What is left of a body, while it is being read.
struct Rest(Option<Arc<dyn BodyListener>>);

impl Rest {
    fn begin(listener: Option<Arc<dyn BodyListener>>) -> Self {
        if let Some(listener) = &listener {
            listener.begin_rest();
        }
        Self(listener)
    }
}

impl Drop for Rest {
    fn drop(&mut self) {
        if let Some(listener) = &self.0 {
            listener.end_rest();
        }
    }
}

async fn read_on(mut incoming: Incoming) {
    let mut left = LEFT_BYTES;
    while let Some(Ok(frame)) = incoming.frame().await {
        left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
        if left == 0 {
            return;
        }
    }
}
