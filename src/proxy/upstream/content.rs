//! `Content`: the body of an upstream's answer, over either version of HTTP.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::received::Received;
use crate::proxy::fault::ExchangeError;

/// The body of an upstream's answer.
pub(in crate::proxy) enum Content {
    /// On an HTTP/1.1 connection.
    Http1(Incoming),
    /// On a shared HTTP/2 connection.
    Http2(Received),
}

impl Content {
    /// Reads on without being polled: unread data on a shared connection would burden all its requests.
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
