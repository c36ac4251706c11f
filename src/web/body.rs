//! `Body`: an enum, not a boxed trait object; and the bounded read.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Frame, SizeHint};

/// A stream that the proxy relays.
pub type Relayed = Pin<Box<dyn http_body::Body<Data = Bytes, Error = std::io::Error> + Send>>;

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

/// Why a request body could not be read.
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

/// Reads a request body of at most `limit` bytes within `time`.
///
/// # Errors
/// `BodyError`.
pub async fn read_bounded(_body: hyper::body::Incoming, _limit: usize, _time: Duration) -> Result<Bytes, BodyError> {
    todo!()
}
