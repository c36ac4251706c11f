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

use super::GoOn;

/// How many bytes of an unwanted body are still read, so that the answer arrives: as many as a legitimate message has.
pub const LEFT_BYTES: usize = 4 << 20;
/// How long an unwanted body is still read.
pub const LEFT_TIME: Duration = Duration::from_secs(1);

/// The body of a request.
///
/// A server may answer before it has read the body and then reset the stream (RFC 9113 8.1), but some clients lose the
/// answer if they are still sending when the reset arrives. So on HTTP/2 the rest is read and dropped. On HTTP/1.1 the
/// connection does that.
///
/// The default is a body that has ended.
#[derive(Debug, Default)]
pub struct RequestBody {
    /// Taken out when this is dropped.
    incoming: Option<Incoming>,
    is_http2: bool,
    /// Signalled when the body is waited for.
    go_on: Option<Arc<GoOn>>,
}

impl RequestBody {
    /// Takes the body of a request over from hyper.
    pub fn of(request: Request<Incoming>) -> Request<Self> {
        let is_http2 = request.version() == Version::HTTP_2;
        request.map(|incoming| Self { incoming: Some(incoming), is_http2, go_on: None })
    }

    /// For HTTP/2, when the client holds the body back until it gets `100 (Continue)`: `go_on` is signalled when the
    /// body is wanted and nothing of it has arrived. RFC 9110 10.1.1: no such response for a request that is refused
    /// because of its head.
    pub fn hold_back(&mut self, go_on: Arc<GoOn>) {
        self.go_on = Some(go_on).filter(|_| self.is_http2);
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = self.incoming.as_mut().map_or(Poll::Ready(None), |incoming| Pin::new(incoming).poll_frame(cx));
        if let Some(go_on) = self.go_on.take()
            && frame.is_pending()
        {
            go_on.ask();
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
        if self.is_http2
            && let Some(incoming) = self.incoming.take().filter(|incoming| !incoming.is_end_stream())
        {
            drop(tokio::spawn(tokio::time::timeout(LEFT_TIME, read_on(incoming))));
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
