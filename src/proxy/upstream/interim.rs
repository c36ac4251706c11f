//! Observes the bytes of a connection to an HTTP/1.1 upstream: breaks the connection after too many interim responses
//! to one request (hyper skips any number), and reports whether an answer has begun, and whether one began too early.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// UP-05: the most interim responses to one request (RFC 9110 15.2); normally there are one or two.
pub(in crate::proxy) const MOST_INTERIM: u8 = 7;
/// The beginning of an interim response's head, with any minor version.
const BEGINNING: [u8; 10] = *b"HTTP/1.? 1";

/// Tracks the heads that are read on one connection.
#[derive(Debug, Default)]
struct Heads {
    place: HeadPosition,
    count: u8,
}

/// The position of the next byte.
#[derive(Debug, Clone, Copy, Default)]
enum HeadPosition {
    /// At the beginning of a head; how many bytes matched an interim response.
    Beginning(usize),
    /// In an interim head; the number of line ends since its last visible byte.
    Interim(usize),
    /// In the final answer, until the next request is written.
    #[default]
    Final,
}

impl Heads {
    /// Records that a request is written, whose answer will begin with a head.
    fn asked(&mut self) {
        *self = Self { place: HeadPosition::Beginning(0), count: 0 };
    }

    /// Records bytes that were read; false when there were too many interim responses.
    fn read(&mut self, data: &[u8]) -> bool {
        for byte in data {
            self.place = match self.place {
                HeadPosition::Final => break,
                HeadPosition::Beginning(matched) => match BEGINNING.get(matched) {
                    Some(wished) if wished == byte || *wished == b'?' => HeadPosition::Beginning(matched + 1),
                    // RFC 9112 2.2: empty lines may precede a head.
                    Some(_) if matched == 0 && matches!(byte, b'\r' | b'\n') => HeadPosition::Beginning(0),
                    Some(_) => HeadPosition::Final,
                    // The second digit of the status.
                    None => HeadPosition::Interim(0),
                },
                HeadPosition::Interim(ends) => match (byte, ends) {
                    (b'\n', 0) => HeadPosition::Interim(1),
                    (b'\n', _) => {
                        self.count = self.count.saturating_add(1);
                        HeadPosition::Beginning(0)
                    }
                    (b'\r', _) => HeadPosition::Interim(ends),
                    (_, _) => HeadPosition::Interim(0),
                },
            };
        }
        self.count <= MOST_INTERIM
    }
}

/// What the bytes of a connection have shown; shared with the user of the connection.
#[derive(Debug, Default)]
pub(in crate::proxy) struct ReadProgress {
    /// Whether the next request is about to be written.
    begins: AtomicBool,
    heard: AtomicBool,
    early: AtomicBool,
}

impl ReadProgress {
    /// Announces that the next bytes written belong to another request.
    pub(in crate::proxy) fn begin(&self) {
        self.begins.store(true, Relaxed);
        self.heard.store(false, Relaxed);
    }

    /// Returns whether anything was received since the last request began.
    pub(in crate::proxy) fn has_heard(&self) -> bool {
        self.heard.load(Relaxed)
    }

    /// Returns whether an answer has ever begun before its request was fully written.
    pub(in crate::proxy) fn was_early(&self) -> bool {
        self.early.load(Relaxed)
    }
}

/// The observed connection.
#[derive(Debug)]
pub(in crate::proxy) struct Interim<T> {
    io: T,
    heads: Heads,
    progress: Arc<ReadProgress>,
}

impl<T> Interim<T> {
    pub(in crate::proxy) fn new(io: T) -> Self {
        Self { io, heads: Heads::default(), progress: Arc::default() }
    }

    pub(in crate::proxy) fn progress(&self) -> Arc<ReadProgress> {
        Arc::clone(&self.progress)
    }

    /// Records that something is written: of a new request, or of one that was already answered.
    fn writes(&mut self) {
        if self.progress.begins.load(Relaxed) {
            self.progress.begins.store(false, Relaxed);
            self.heads.asked();
        } else if matches!(self.heads.place, HeadPosition::Final) {
            self.progress.early.store(true, Relaxed);
        }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Interim<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Self { io, heads, progress } = self.get_mut();
        let before = buffer.filled().len();
        let read = Pin::new(io).poll_read(cx, buffer);
        let new = buffer.filled().get(before..).unwrap_or_default();
        if !new.is_empty() {
            progress.heard.store(true, Relaxed);
        }
        let fine = heads.read(new);
        if fine {
            read
        } else {
            Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, "too many interim answers to one request")))
        }
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Interim<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.writes();
        Pin::new(&mut this.io).poll_write(cx, data)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.writes();
        Pin::new(&mut this.io).poll_write_vectored(cx, data)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::{Heads, MOST_INTERIM};

    #[test]
    fn up_05_interim_heads_are_counted_however_they_are_cut_and_nothing_else_is() {
        let hint = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
        let odd = "\r\nHTTP/1.0 100 \nA: b\n\n";
        let last = "HTTP/1.1 200 OK\r\nA: HTTP/1.1 103\r\n\r\n";
        let most = usize::from(MOST_INTERIM);
        for (text, fine) in [
            (format!("{}{last}{}", hint.repeat(most), hint.repeat(9)), true),
            (format!("{}{last}", hint.repeat(most + 1)), false),
            (odd.repeat(most), true),
            (odd.repeat(most + 1), false),
            (format!("x{}", hint.repeat(9)), true),
        ] {
            for size in [1, 2, 7, 40, 4096] {
                let mut heads = Heads::default();
                for _ in 0..2 {
                    heads.asked();
                    assert_eq!(text.as_bytes().chunks(size).all(|piece| heads.read(piece)), fine, "{size}: {text:?}");
                    if !text.contains(last) {
                        break;
                    }
                }
            }
        }
    }
}
