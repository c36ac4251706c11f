//! `Outgoing`: the body of a request towards an upstream.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::Sleep;

use crate::web::{RequestBody, detached};

/// What is sent.
pub(super) enum Outgoing {
    /// Nothing.
    Empty,
    /// Bytes that were read and looked at; sent as they came.
    Whole(Option<Bytes>),
    /// The client's body while it comes.
    Stream(Box<Upload>),
}

/// A body that is passed on unseen: of at most so many bytes, within a time.
pub(super) struct Upload {
    body: RequestBody,
    left: usize,
    deadline: Pin<Box<Sleep>>,
}

impl Outgoing {
    pub(super) fn stream(body: RequestBody, limit: usize, time: Duration) -> Self {
        Self::Stream(Box::new(Upload { body, left: limit, deadline: Box::pin(tokio::time::sleep(time)) }))
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|b| Ok(Frame::data(b)))),
            Self::Stream(upload) => upload.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty | Self::Whole(None) => true,
            Self::Whole(Some(bytes)) => bytes.is_empty(),
            Self::Stream(upload) => upload.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty | Self::Whole(None) => SizeHint::with_exact(0),
            Self::Whole(Some(bytes)) => SizeHint::with_exact(u64::try_from(bytes.len()).unwrap_or(u64::MAX)),
            Self::Stream(upload) => upload.body.size_hint(),
        }
    }
}

impl Upload {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        loop {
            match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    // HS-18: trailers are dropped, whatever they hold.
                    let Ok(data) = frame.into_data() else { continue };
                    let Some(left) = self.left.checked_sub(data.len()) else {
                        return Poll::Ready(Some(Err(io::ErrorKind::FileTooLarge.into())));
                    };
                    self.left = left;
                    // The upstream may take its time: what waits for it must not be a read buffer for each byte.
                    return Poll::Ready(Some(Ok(Frame::data(detached(data)))));
                }
                Poll::Ready(Some(Err(_))) => return Poll::Ready(Some(Err(io::ErrorKind::ConnectionAborted.into()))),
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => {
                    return match self.deadline.as_mut().poll(cx) {
                        Poll::Ready(()) => Poll::Ready(Some(Err(io::ErrorKind::TimedOut.into()))),
                        Poll::Pending => Poll::Pending,
                    };
                }
            }
        }
    }
}
