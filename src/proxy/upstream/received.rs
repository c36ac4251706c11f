//! `Received`: the body of an answer on a shared HTTP/2 connection.
//!
//! h2 keeps some 250 bytes for each frame that nobody has read, however small it is, and ends a connection on which
//! that becomes too much, with the requests of everybody who shares it. So the frames of an answer that goes to a client
//! as a stream are read as they come and joined, while the peer's window opens only as the client takes them: a client
//! that does not read holds up its own answer, and costs no more than the window.

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

/// What is given away at once: one TLS record.
const PIECE: usize = 16 * 1024;
/// Frames from this size on are kept as they came, unless they must wait.
const LARGE: usize = 4096;

/// The body of an answer.
pub(in crate::proxy) struct Received {
    source: BodySource,
    /// How many bytes are to come, if that is known.
    left: Option<u64>,
    _unsent: Option<Unsent>,
}

enum BodySource {
    /// Read when somebody asks.
    Asked(RecvStream),
    /// Read as it comes.
    Ahead(Ahead),
}

/// What was read of an answer, and how its peer is told that there is room again.
struct Ahead {
    read: Arc<Mutex<Read>>,
    window: FlowControl,
    _reader: AbortOnDropHandle<()>,
}

/// Never more than the window of the stream.
#[derive(Default)]
struct Read {
    /// One large frame, if it is all there is.
    whole: Option<Bytes>,
    joined: BytesMut,
    end: Option<Result<(), h2::Error>>,
    waiting: Option<Waker>,
}

impl Received {
    /// The body of an answer with such a head, and what is yet to be sent of its request.
    pub(super) fn new(stream: RecvStream, head: &HeaderMap, unsent: Option<Unsent>) -> Self {
        // h2 holds it to the length that it says (RFC 9113 8.1.1).
        let said = head.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        let left = said.or_else(|| stream.is_end_stream().then_some(0));
        Self { source: BodySource::Asked(stream), left, _unsent: unsent }
    }

    /// Reads on from now on, as far as the window of the stream lets the peer send.
    pub(in crate::proxy) fn read_ahead(self) -> Self {
        let BodySource::Asked(mut stream) = self.source else { return self };
        let window = stream.flow_control().clone();
        let read = Arc::new(Mutex::new(Read::default()));
        let task = tokio::spawn(read_on(stream, Arc::clone(&read)));
        Self { source: BodySource::Ahead(Ahead { read, window, _reader: AbortOnDropHandle::new(task) }), ..self }
    }

    /// Returns how many bytes are to come, if that is known.
    pub(in crate::proxy) fn left(&self) -> Option<u64> {
        self.left
    }

    /// Returns whether all of it has been given away.
    pub(in crate::proxy) fn is_end(&self) -> bool {
        match &self.source {
            BodySource::Asked(stream) => stream.is_end_stream(),
            BodySource::Ahead(ahead) => {
                let read = lock(&ahead.read);
                read.is_empty() && matches!(read.end, Some(Ok(())))
            }
        }
    }

    /// Gives away what has come; trailers are dropped.
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

    /// Adds a frame. A small one is copied: it is a part of a read buffer, and would keep all of that.
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
            // Nothing is kept for a stream that may be silent now for hours.
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

/// Tells the peer that there is room for so many more bytes.
fn release(window: &mut FlowControl, taken: usize) {
    // It fails for more bytes than have come, which these are not, and for a stream that has ended.
    let _ended = window.release_capacity(taken);
}
