//! A stream that reports to `Activity` what passes through it: when a head begins, when a write waits, when frames are
//! a flood.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf, Take};

use super::activity::Activity;
use crate::web::ControlFrames;
use crate::web::frames::{FrameReader, Part};

/// Bytes of HTTP/2 that are read at a time: no more of the smallest data frames than h2 accepts before they are read.
const FRAMES_AT_A_TIME: u64 = 4096;

/// A stream that reports to `Activity` when a head begins and when a write waits.
#[derive(Debug)]
pub(super) struct ObservedStream<S, A> {
    inner: Take<S>,
    activity: A,
    place: TextPosition,
    /// The frames received so far; HTTP/2 only.
    frames: Option<(FrameReader, ControlFrames)>,
}

/// The reader's position in HTTP/1 text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TextPosition {
    /// In a request line's method.
    Method,
    /// In a request line's target.
    Target,
    /// After the request line's target.
    Rest,
}

impl<S: AsyncRead, A: AsRef<Activity>> ObservedStream<S, A> {
    /// Watches a stream of HTTP/1 text.
    pub(super) fn text(inner: S, activity: A) -> Self {
        Self { inner: inner.take(u64::MAX), activity, place: TextPosition::Rest, frames: None }
    }

    /// Watches a stream of HTTP/2 frames.
    pub(super) fn frames(inner: S, activity: A) -> Self {
        Self { frames: Some((FrameReader::of_client(), ControlFrames::default())), ..Self::text(inner, activity) }
    }

    /// Returns the underlying stream.
    pub(super) fn into_inner(self) -> S {
        self.inner.into_inner()
    }

    /// Records that a head begins, and whether its target has a fragment, which the parser silently drops (RFC 9112
    /// 3.2: no form of a target has one).
    fn heard(&mut self, mut bytes: &[u8]) {
        let activity = self.activity.as_ref();
        if let Some((reader, control)) = &mut self.frames {
            while let Some(part) = reader.next(&mut bytes) {
                if let Part::Head(frame) = part
                    && control.record_frame(frame)
                {
                    activity.note_flood();
                }
            }
            return;
        }
        if activity.is_busy() {
            return;
        }
        if !activity.is_in_head() {
            // RFC 9112 2.2: empty lines may precede a request line.
            let Some(first) = bytes.iter().find(|byte| !matches!(byte, b'\r' | b'\n')) else { return };
            activity.begin_head();
            // The rest of a body that was not read is also read between two requests; it has no target.
            self.place = if first.is_ascii_uppercase() { TextPosition::Method } else { TextPosition::Rest };
        }
        for byte in bytes {
            self.place = match (self.place, byte) {
                (TextPosition::Method, b' ') => TextPosition::Target,
                (TextPosition::Method, b'\r' | b'\n' | 0x21..) => TextPosition::Method,
                (TextPosition::Target, b'#') => {
                    activity.note_fragment();
                    TextPosition::Rest
                }
                (TextPosition::Target, 0x21..) => TextPosition::Target,
                (TextPosition::Method | TextPosition::Target | TextPosition::Rest, _) => {
                    return self.place = TextPosition::Rest;
                }
            };
        }
    }

    /// Records whether the peer reads what is written: with a slow peer every flush waits, and yet writes succeed.
    fn wrote(&mut self, result: Poll<std::io::Result<usize>>) -> Poll<std::io::Result<usize>> {
        if let Poll::Ready(Ok(bytes @ 1..)) = result {
            self.activity.as_ref().note_written(bytes);
            if let Some((_, control)) = &mut self.frames {
                control.wrote(bytes);
            }
        }
        self.waited(result)
    }

    fn waited<T>(&self, result: Poll<T>) -> Poll<T> {
        self.activity.as_ref().write_waits(result.is_pending());
        result
    }
}

impl<S: AsyncRead + Unpin, A: AsRef<Activity> + Unpin> AsyncRead for ObservedStream<S, A> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        if self.activity.as_ref().is_flooded() {
            return Poll::Pending;
        }
        if let Some((_, control)) = &mut self.frames {
            if control.take_reader_turn() {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            self.inner.set_limit(FRAMES_AT_A_TIME);
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, buf))?;
        if let Some(bytes) = buf.filled().get(before..).filter(|bytes| !bytes.is_empty()) {
            self.heard(bytes);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin, A: AsRef<Activity> + Unpin> AsyncWrite for ObservedStream<S, A> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        let result = Pin::new(self.inner.get_mut()).poll_write(cx, bytes);
        self.wrote(result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        let result = Pin::new(self.inner.get_mut()).poll_write_vectored(cx, bytes);
        self.wrote(result)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.get_ref().is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        let result = Pin::new(self.inner.get_mut()).poll_flush(cx);
        self.waited(result)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        let result = Pin::new(self.inner.get_mut()).poll_shutdown(cx);
        self.waited(result)
    }
}

#[cfg(test)]
mod tests {
    use super::super::activity::{Activity, Phase};
    use super::{ObservedStream, TextPosition};
    use std::sync::Arc;
    use tokio::io::AsyncReadExt;

    #[tokio::test]
    async fn hs_15_a_fragment_is_seen_in_a_target_and_nowhere_else() {
        for (chunks, fragment, phase) in [
            (&["GET /mcp HTTP/1.1\r\nx: #\r\n"][..], false, Phase::Head),
            (&["GET /mcp#x HTTP/1.1\r\n"], true, Phase::Head),
            (&["\r\nGE", "T /m", "cp", "#x HTTP/1.1\r\n"], true, Phase::Head),
            (&["GET /", " HTTP/1.1\r\n", "x: GET /#\r\n"], false, Phase::Head),
            // The rest of a body that was not read.
            (&[r##"{"color":"#fff"}"##], false, Phase::Head),
            (&["a=b #c"], false, Phase::Head),
            (&["\r\n\r\n"], false, Phase::Idle),
            (&["FOO-BAR /mcp#x HTTP/1.1\r\n"], true, Phase::Head),
        ] {
            let activity = Arc::new(Activity::new());
            let mut place = TextPosition::Rest;
            for chunk in chunks {
                let mut observed =
                    ObservedStream { place, ..ObservedStream::text(chunk.as_bytes(), Arc::clone(&activity)) };
                observed.read_to_end(&mut Vec::new()).await.unwrap();
                place = observed.place;
            }
            assert_eq!(activity.phase(), phase, "{chunks:?}");
            assert_eq!(activity.begin_request(), fragment, "{chunks:?}");
            assert_eq!(activity.phase(), Phase::Busy);
        }
    }
}
