//! Reads a body without waiting: small messages have usually arrived completely by then, and need no stream.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http_body::Body;

/// What has been read of a body.
#[derive(Default)]
pub(in crate::proxy) struct BufferedBody {
    /// A single frame, the common case, is kept as received.
    first: Option<Bytes>,
    more: BytesMut,
}

/// Why reading stopped.
#[derive(Debug)]
pub(in crate::proxy) enum Stop<E> {
    /// The body has ended.
    End,
    /// At least the requested number of bytes has arrived.
    Full,
    /// The body broke off, with the error.
    Broken(E),
}

impl<E> Stop<E> {
    /// Changes the error.
    pub(in crate::proxy) fn map_broken<T>(self, change: impl FnOnce(E) -> T) -> Stop<T> {
        match self {
            Self::End => Stop::End,
            Self::Full => Stop::Full,
            Self::Broken(error) => Stop::Broken(change(error)),
        }
    }
}

impl BufferedBody {
    pub(in crate::proxy) fn len(&self) -> usize {
        self.first.as_ref().map_or(0, Bytes::len).saturating_add(self.more.len())
    }

    pub(in crate::proxy) fn is_blank(&self) -> bool {
        let blank = |bytes: &[u8]| bytes.iter().all(u8::is_ascii_whitespace);
        self.first.as_deref().is_none_or(blank) && blank(&self.more)
    }

    pub(in crate::proxy) fn push(&mut self, data: Bytes) {
        match self.first.take() {
            None if self.more.is_empty() => self.first = Some(data),
            first => {
                self.more.extend_from_slice(&first.unwrap_or_default());
                self.more.extend_from_slice(&data);
            }
        }
    }

    /// Takes the bytes read so far.
    pub(in crate::proxy) fn take(&mut self) -> Bytes {
        self.first.take().unwrap_or_else(|| self.more.split().freeze())
    }

    /// Reads until `enough` bytes have arrived; trailers are dropped.
    pub(in crate::proxy) fn poll_read<B>(
        &mut self,
        body: &mut B,
        enough: usize,
        cx: &mut Context<'_>,
    ) -> Poll<Stop<B::Error>>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        while !body.is_end_stream() {
            if self.len() >= enough {
                return Poll::Ready(Stop::Full);
            }
            match Pin::new(&mut *body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    if let Ok(data) = frame.into_data() {
                        self.push(data);
                    }
                }
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Stop::Broken(error)),
                Poll::Ready(None) => break,
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(Stop::End)
    }
}
