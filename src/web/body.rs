//! `Body`: the body of a response; and bounded reading of request bodies.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http_body::{Frame, SizeHint};

use super::pace::{Pace, Paced};

/// A body that the proxy relays.
type Relayed = Pin<Box<dyn http_body::Body<Data = Bytes, Error = std::io::Error> + Send>>;

/// A response body.
#[derive(Default)]
pub enum Body {
    /// No content at all.
    #[default]
    Empty,
    /// Bytes that are sent at once.
    Full(Option<Bytes>),
    /// An upstream's body, relayed as it arrives.
    Relayed(Relayed),
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self::Full(Some(bytes))
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            Self::Full(bytes) => Poll::Ready(bytes.take().map(|b| Ok(Frame::data(b)))),
            Self::Relayed(inner) => inner.as_mut().poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty | Self::Full(None) => true,
            Self::Full(Some(bytes)) => bytes.is_empty(),
            Self::Relayed(inner) => inner.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty | Self::Full(None) => SizeHint::with_exact(0),
            Self::Full(Some(bytes)) => SizeHint::with_exact(u64::try_from(bytes.len()).unwrap_or(u64::MAX)),
            Self::Relayed(inner) => inner.size_hint(),
        }
    }
}

/// Why a body could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// It is larger than the limit: 413.
    #[error("the body is larger than allowed")]
    TooLarge,
    /// It was not received in time: 408.
    #[error("the body arrived too slowly")]
    Slow,
    /// The connection was lost.
    #[error("the body is incomplete")]
    Broken,
}

/// Copies a small slice of a large buffer, so that it can be kept or queued: a slice keeps the whole buffer in memory,
/// and a read buffer has at least 8 KiB, however few bytes arrived.
#[must_use]
pub fn detached(data: Bytes) -> Bytes {
    /// Size above which the buffer is not much larger than the slice, and a copy costs more than it saves.
    const SMALL: usize = 4096;
    if data.len() < SMALL { Bytes::copy_from_slice(&data) } else { data }
}

/// Reads a body of at most `limit` bytes at the given pace; trailers are dropped.
///
/// The bytes are copied as they arrive. A frame is a slice of the connection's read buffer and would keep the whole
/// buffer: 8 KiB per byte for a body that arrives byte by byte. With the copy, memory is at most twice the size of the
/// body.
///
/// # Errors
/// `BodyError`.
pub async fn read_bounded<B>(body: B, limit: usize, pace: Pace) -> Result<Bytes, BodyError>
where
    B: http_body::Body<Data = Bytes, Error: std::fmt::Display>,
{
    // A declared length over the limit is refused before a byte of it is read.
    if body.size_hint().lower() > u64::try_from(limit).unwrap_or(u64::MAX) {
        return Err(BodyError::TooLarge);
    }
    let mut paced = Paced::new(pace);
    let mut body = pin!(body);
    let mut read = BytesMut::new();
    loop {
        let frame = poll_fn(|cx| match body.as_mut().poll_frame(cx) {
            Poll::Ready(frame) => Poll::Ready(Ok(frame)),
            Poll::Pending => paced.poll_slow(cx).map(|()| Err(BodyError::Slow)),
        });
        let frame = frame.await?;
        match frame.transpose() {
            Ok(None) => return Ok(read.freeze()),
            Ok(Some(frame)) => {
                let data = frame.into_data().unwrap_or_default();
                if data.len() > limit.saturating_sub(read.len()) {
                    return Err(BodyError::TooLarge);
                }
                paced.received(data.len());
                read.extend_from_slice(&data);
            }
            Err(error) => {
                tracing::debug!(%error, "a body is incomplete");
                return Err(BodyError::Broken);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Body, BodyError, Pace, detached, read_bounded};
    use bytes::Bytes;
    use std::pin::Pin;
    use std::task::{Context, Poll};
    use std::time::Duration;

    const PACE: Pace = Pace { total: Duration::from_secs(10), grace: Duration::from_secs(5) };

    /// A body without a known length that yields `frames`, then ends as specified.
    struct Drip {
        frames: Vec<Bytes>,
        end: Option<std::io::ErrorKind>,
        stall: bool,
    }

    impl Drip {
        fn of(frames: &[&'static str]) -> Self {
            Self { frames: frames.iter().map(|f| Bytes::from_static(f.as_bytes())).collect(), end: None, stall: false }
        }
    }

    impl http_body::Body for Drip {
        type Data = Bytes;
        type Error = std::io::Error;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<http_body::Frame<Bytes>, std::io::Error>>> {
            if !self.frames.is_empty() {
                return Poll::Ready(Some(Ok(http_body::Frame::data(self.frames.remove(0)))));
            }
            match self.end.take() {
                Some(kind) => Poll::Ready(Some(Err(kind.into()))),
                None if self.stall => Poll::Pending,
                None => Poll::Ready(None),
            }
        }
    }

    #[tokio::test]
    async fn a_body_up_to_the_limit_is_read() {
        assert_eq!(read_bounded(Drip::of(&["ab", "cd"]), 4, PACE).await.unwrap(), "abcd");
    }

    #[tokio::test]
    async fn one_byte_more_is_refused_declared_or_not() {
        let declared = Body::from(Bytes::from_static(b"abcde"));
        assert_eq!(read_bounded(declared, 4, PACE).await, Err(BodyError::TooLarge));
        let hidden = Drip { stall: true, ..Drip::of(&["ab", "cde"]) };
        assert_eq!(read_bounded(hidden, 4, PACE).await, Err(BodyError::TooLarge));
    }

    #[tokio::test]
    async fn a_stalled_body_is_given_up() {
        for pace in [Pace { total: Duration::from_millis(1), ..PACE }, Pace { grace: Duration::from_millis(1), ..PACE }]
        {
            let body = Drip { stall: true, ..Drip::of(&["a"]) };
            assert_eq!(read_bounded(body, 4, pace).await, Err(BodyError::Slow));
        }
    }

    #[tokio::test]
    async fn what_is_kept_of_a_body_is_its_bytes_and_not_the_buffers_that_they_came_in() {
        let buffer = Bytes::from(vec![b'a'; 8192]);
        let frames = (0..1000).map(|at| buffer.slice(at..=at)).collect();
        let read = read_bounded(Drip { frames, end: None, stall: false }, 1000, PACE).await.unwrap();
        assert_eq!(read.len(), 1000);
        assert!(buffer.is_unique(), "a part of the buffer is still held");
    }

    #[test]
    fn what_is_queued_keeps_no_buffer_of_many_times_its_size() {
        let buffer = Bytes::from(vec![b'a'; 8192]);
        for length in [1, 100, 4000] {
            let part = detached(buffer.slice(..length));
            assert_eq!(part.len(), length);
            assert!(buffer.is_unique(), "{length}");
        }
        assert_eq!(detached(buffer.slice(..5000)).len(), 5000);
    }

    #[tokio::test]
    async fn a_broken_body_is_not_a_short_one() {
        let body = Drip { end: Some(std::io::ErrorKind::ConnectionReset), ..Drip::of(&["a"]) };
        assert_eq!(read_bounded(body, 4, PACE).await, Err(BodyError::Broken));
    }
}
