//! `Body`: an enum, not a boxed trait object; and the bounded read.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::{BodyExt, LengthLimitError, Limited};

/// A stream that the proxy relays.
type Relayed = Pin<Box<dyn http_body::Body<Data = Bytes, Error = std::io::Error> + Send>>;

/// A response body.
#[derive(Default)]
pub enum Body {
    /// Nothing.
    #[default]
    Empty,
    /// These bytes.
    Full(Option<Bytes>),
    /// What an upstream sends.
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
    /// More than the limit: 413.
    #[error("the body is larger than allowed")]
    TooLarge,
    /// It did not come in time: 408.
    #[error("the body came too slowly")]
    Slow,
    /// The connection broke.
    #[error("the body broke off")]
    Broken,
}

/// Reads a body of at most `limit` bytes within `time`; trailers are dropped.
///
/// # Errors
/// `BodyError`.
pub async fn read_bounded<B>(body: B, limit: usize, time: Duration) -> Result<Bytes, BodyError>
where
    B: http_body::Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
{
    // A declared length over the limit is refused before a byte of it is read.
    if body.size_hint().lower() > u64::try_from(limit).unwrap_or(u64::MAX) {
        return Err(BodyError::TooLarge);
    }
    match tokio::time::timeout(time, Limited::new(body, limit).collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(cause)) if cause.is::<LengthLimitError>() => Err(BodyError::TooLarge),
        Ok(Err(_)) => Err(BodyError::Broken),
        Err(_) => Err(BodyError::Slow),
    }
}

#[cfg(test)]
mod tests {
    use super::{Body, BodyError, read_bounded};
    use bytes::Bytes;
    use std::pin::Pin;
    use std::task::{Context, Poll};
    use std::time::Duration;

    const SOON: Duration = Duration::from_secs(5);

    /// A body that hides its length and yields `frames`, then ends as told.
    struct Drip {
        frames: Vec<&'static [u8]>,
        end: Option<std::io::ErrorKind>,
        stall: bool,
    }

    impl http_body::Body for Drip {
        type Data = Bytes;
        type Error = std::io::Error;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<http_body::Frame<Bytes>, std::io::Error>>> {
            if !self.frames.is_empty() {
                return Poll::Ready(Some(Ok(http_body::Frame::data(Bytes::from_static(self.frames.remove(0))))));
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
        let body = Drip { frames: vec![b"ab", b"cd"], end: None, stall: false };
        assert_eq!(read_bounded(body, 4, SOON).await.unwrap(), "abcd");
    }

    #[tokio::test]
    async fn ds_07_one_byte_more_is_refused_declared_or_not() {
        let declared = Body::from(Bytes::from_static(b"abcde"));
        assert_eq!(read_bounded(declared, 4, SOON).await, Err(BodyError::TooLarge));
        let hidden = Drip { frames: vec![b"ab", b"cde"], end: None, stall: true };
        assert_eq!(read_bounded(hidden, 4, SOON).await, Err(BodyError::TooLarge));
    }

    #[tokio::test]
    async fn ds_02_a_stalled_body_is_given_up() {
        let body = Drip { frames: vec![b"a"], end: None, stall: true };
        assert_eq!(read_bounded(body, 4, Duration::from_millis(1)).await, Err(BodyError::Slow));
    }

    #[tokio::test]
    async fn a_broken_body_is_not_a_short_one() {
        let body = Drip { frames: vec![b"a"], end: Some(std::io::ErrorKind::ConnectionReset), stall: false };
        assert_eq!(read_bounded(body, 4, SOON).await, Err(BodyError::Broken));
    }
}
