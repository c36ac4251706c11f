//! `Received`: the body of an answer on a shared HTTP/2 connection.
//!
//! h2 keeps some 250 bytes for each unread frame, however small, and closes a connection when that becomes too much,
//! with everybody's requests. So the frames of a streamed answer are read as they arrive and joined, while the peer's
//! window only opens as the client reads: a client that does not read delays only its own answer, and costs no more
//! than the window.

use std::future::poll_fn;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker, ready};

use bytes::{Bytes, BytesMut};
use h2::{FlowControl, RecvStream};
use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use tokio_util::task::AbortOnDropHandle;

use super::unsent::Unsent;
use crate::sync::lock;

/// The most bytes returned at once: one TLS record.
const PIECE: usize = 16 * 1024;
/// Frames from this size on are kept as received, unless they must wait.
const LARGE: usize = 4096;

/// The body of an answer on a shared connection.
pub(in crate::proxy) struct Received {
    source: BodySource,
    /// How many bytes are still to come, if known.
    left: Option<u64>,
    _unsent: Option<Unsent>,
}

enum BodySource {
    /// Read when polled.
    Asked(RecvStream),
    /// Read as it arrives.
    Ahead(Ahead),
}

/// What was read of an answer, and the window that tells the peer that there is room again.
struct Ahead {
    read: Arc<Mutex<Read>>,
    window: FlowControl,
    _reader: AbortOnDropHandle<()>,
}

/// Data that was read, never more than the stream's window.
#[derive(Default)]
struct Read {
    /// A single large frame, if there is nothing else.
    whole: Option<Bytes>,
    joined: BytesMut,
    end: Option<Result<(), h2::Error>>,
    waiting: Option<Waker>,
}

impl Received {
    /// Makes the body of an answer with this head; `unsent` is the rest of its request.
    pub(super) fn new(stream: RecvStream, head: &HeaderMap, unsent: Option<Unsent>) -> Self {
        // h2 enforces the declared length (RFC 9113 8.1.1).
        let said = head.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        let left = said.or_else(|| stream.is_end_stream().then_some(0));
        Self { source: BodySource::Asked(stream), left, _unsent: unsent }
    }

    /// Reads on without being polled, as far as the stream's window lets the peer send.
    pub(in crate::proxy) fn read_ahead(self) -> Self {
        let BodySource::Asked(mut stream) = self.source else { return self };
        let window = stream.flow_control().clone();
        let read = Arc::new(Mutex::new(Read::default()));
        let task = tokio::spawn(read_on(stream, Arc::clone(&read)));
        Self { source: BodySource::Ahead(Ahead { read, window, _reader: AbortOnDropHandle::new(task) }), ..self }
    }

    /// Returns how many bytes are still to come, if known.
    pub(in crate::proxy) fn left(&self) -> Option<u64> {
        self.left
    }

    /// Returns whether everything was returned.
    pub(in crate::proxy) fn is_end(&self) -> bool {
        match &self.source {
            BodySource::Asked(stream) => stream.is_end_stream(),
            BodySource::Ahead(ahead) => {
                let read = lock(&ahead.read);
                read.is_empty() && matches!(read.end, Some(Ok(())))
            }
        }
    }

    /// Returns received data; trailers are dropped.
    pub(in crate::proxy) fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, h2::Error>>> {
        let data = match &mut self.source {
            BodySource::Asked(stream) => {
                let data = ready!(stream.poll_data(cx));
                if let Some(Ok(data)) = &data {
                    release(stream.flow_control(), data.len());
                }
                data
            }
            BodySource::Ahead(ahead) => ready!(ahead.poll_data(cx)),
        };
        if let (Some(Ok(data)), Some(left)) = (&data, &mut self.left) {
            *left = left.saturating_sub(u64::try_from(data.len()).unwrap_or(u64::MAX));
        }
        Poll::Ready(data)
    }
}

impl Ahead {
    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, h2::Error>>> {
        let mut read = lock(&self.read);
        if !read.is_empty() {
            let data = read.take();
            drop(read);
            release(&mut self.window, data.len());
            return Poll::Ready(Some(Ok(data)));
        }
        match &mut read.end {
            None => {
                read.waiting = Some(cx.waker().clone());
                Poll::Pending
            }
            Some(end) => Poll::Ready(std::mem::replace(end, Ok(())).err().map(Err)),
        }
    }
}

impl Read {
    fn is_empty(&self) -> bool {
        self.whole.is_none() && self.joined.is_empty()
    }

    /// Adds a frame. A small one is copied, because it would keep a whole read buffer in memory.
    fn push(&mut self, data: Bytes) {
        if self.is_empty() && data.len() >= LARGE {
            self.whole = Some(data);
            return;
        }
        if let Some(whole) = self.whole.take() {
            self.joined.extend_from_slice(&whole);
        }
        self.joined.extend_from_slice(&data);
    }

    fn take(&mut self) -> Bytes {
        if let Some(whole) = self.whole.take() {
            return whole;
        }
        if self.joined.len() <= PIECE {
            // The stream may now be silent for hours, so no buffer is kept.
            return std::mem::take(&mut self.joined).freeze();
        }
        self.joined.split_to(PIECE).freeze()
    }
}

/// Reads a body to its end.
async fn read_on(mut stream: RecvStream, read: Arc<Mutex<Read>>) {
    poll_fn(|cx| {
        let mut read = lock(&read);
        let end = loop {
            match stream.poll_data(cx) {
                Poll::Ready(Some(Ok(data))) => read.push(data),
                Poll::Ready(Some(Err(error))) => break Poll::Ready(Err(error)),
                Poll::Ready(None) => break Poll::Ready(Ok(())),
                Poll::Pending => break Poll::Pending,
            }
        };
        let has_ended = end.is_ready();
        if let Poll::Ready(end) = end {
            read.end = Some(end);
        }
        let waiting = if has_ended || !read.is_empty() { read.waiting.take() } else { None };
        drop(read);
        if let Some(waiting) = waiting {
            waiting.wake();
        }
        if has_ended { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

/// Tells the peer that there is room for more bytes.
fn release(window: &mut FlowControl, taken: usize) {
    // It only fails for more bytes than were received, and for a stream that has ended.
    let _ended = window.release_capacity(taken);
}
