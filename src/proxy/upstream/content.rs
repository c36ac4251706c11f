//! `Content`: the body of an upstream's answer, whichever version of HTTP it comes by.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::received::Received;
use crate::proxy::fault::ExchangeError;

/// The body of an answer.
pub(in crate::proxy) enum Content {
    /// Of a connection that serves one request at a time.
    Http1(Incoming),
    /// Of a connection that others share.
    Http2(Received),
}

impl Content {
    /// Reads on from now on, whether or not somebody asks: what is not read of an answer on a shared connection burdens
    /// all that it serves.
    pub(in crate::proxy) fn read_ahead(self) -> Self {
        match self {
            Self::Http1(body) => Self::Http1(body),
            Self::Http2(body) => Self::Http2(body.read_ahead()),
        }
    }
}

impl Body for Content {
    type Data = Bytes;
    type Error = ExchangeError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, ExchangeError>>> {
        match self.get_mut() {
            Self::Http1(body) => Pin::new(body).poll_frame(cx).map_err(Into::into),
            Self::Http2(body) => body.poll_data(cx).map_ok(Frame::data).map_err(Into::into),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Http1(body) => body.is_end_stream(),
            Self::Http2(body) => body.is_end(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Http1(body) => body.size_hint(),
            Self::Http2(body) => body.left().map_or_else(SizeHint::default, SizeHint::with_exact),
        }
    }
}
