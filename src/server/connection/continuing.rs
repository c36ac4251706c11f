//! Sends `100 (Continue)` over HTTP/2, which hyper's server does not do: written below it, between two of its frames.
//!
//! The frames do not show which requests expect it, because heads are compressed. So as soon as a handler waits for the
//! body of one that does, every request on the connection with only a head so far gets it. RFC 9110 15.2.1: a client
//! that has not asked for it discards it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::web::GoOn;
use crate::web::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, FrameHead, FrameReader, HEADERS, Part, RST_STREAM, Settings,
};

/// A frame `HEADERS` with `:status: 100` as a literal without indexing (RFC 7541 6.2.2), which changes no table; the
/// stream's number follows these five bytes.
const HEAD: [u8; 5] = [0, 0, 5, HEADERS, END_HEADERS];
const STATUS: [u8; 5] = [0x08, 3, b'1', b'0', b'0'];
/// RFC 9113 6.5.2: the setting for the size of the header table, and its initial value.
const HEADER_TABLE_SIZE: u16 = 1;
const TABLE_AT_FIRST: u32 = 4096;
/// The most requests tracked at once; more than a connection may have.
const FOLLOWED: usize = 1024;

/// The stream of an HTTP/2 connection that tells requests to go on.
#[derive(Debug)]
pub(super) struct Continuing<S> {
    inner: S,
    go_on: Arc<GoOn>,
    came: FrameReader,
    settings: Settings,
    left: FrameReader,
    /// Whether one of our heads is incomplete, or no frame of ours was sent yet: nothing may be inserted then.
    is_closed: bool,
    /// Whether the client has set a smaller table: the next head must acknowledge that, and has to come from hyper's
    /// encoder.
    has_small_table: bool,
    /// Requests with only a head so far, and no answer.
    held_back: Vec<u32>,
    /// Whether a body is waited for, but no frame could be inserted yet.
    owed: bool,
    /// The rest of the inserted frames that is still to be written.
    pending: Vec<u8>,
}

impl<S> Continuing<S> {
    pub(super) fn new(inner: S, go_on: Arc<GoOn>) -> Self {
        Self {
            inner,
            go_on,
            came: FrameReader::of_client(),
            settings: Settings::default(),
            left: FrameReader::of_server(),
            is_closed: true,
            has_small_table: false,
            held_back: Vec::new(),
            owed: false,
            pending: Vec::new(),
        }
    }

    /// Tracks the frames in received bytes.
    fn hear(&mut self, mut bytes: &[u8]) {
        while let Some(part) = self.came.next(&mut bytes) {
            match part {
                Part::Head(frame) => {
                    self.settings.begin(frame);
                    let begins = frame.kind == HEADERS && frame.flags & END_STREAM == 0;
                    self.forget(frame);
                    if begins && self.held_back.len() < FOLLOWED {
                        self.held_back.push(frame.stream);
                    }
                }
                Part::Payload(payload) => {
                    self.settings.read(payload, |name, value| {
                        self.has_small_table |= name == HEADER_TABLE_SIZE && value < TABLE_AT_FIRST;
                    });
                }
            }
        }
    }

    /// Tracks the frames in sent bytes.
    fn wrote(&mut self, mut bytes: &[u8]) {
        while let Some(part) = self.left.next(&mut bytes) {
            if let Part::Head(frame) = part {
                let is_head = matches!(frame.kind, HEADERS | CONTINUATION);
                self.is_closed = is_head && frame.flags & END_HEADERS == 0;
                self.forget(frame);
            }
        }
    }

    /// Stops tracking a request that continues, is answered or has ended.
    fn forget(&mut self, frame: FrameHead) {
        if matches!(frame.kind, HEADERS | DATA | RST_STREAM) {
            self.held_back.retain(|stream| *stream != frame.stream);
        }
    }

    /// Makes the frames for requests whose body is held back.
    fn tell(&mut self) {
        for stream in std::mem::take(&mut self.held_back) {
            self.pending.extend(HEAD);
            self.pending.extend(stream.to_be_bytes());
            self.pending.extend(STATUS);
        }
    }
}

impl<S: AsyncWrite + Unpin> Continuing<S> {
    fn poll_pending(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.pending.is_empty() {
            let written = ready!(Pin::new(&mut self.inner).poll_write(cx, &self.pending))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            drop(self.pending.drain(..written.min(self.pending.len())));
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Continuing<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.inner).poll_read(cx, buffer))?;
        this.hear(buffer.filled().get(before..).unwrap_or_default());
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Continuing<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_pending(cx))?;
        let written = ready!(Pin::new(&mut this.inner).poll_write(cx, data))?;
        this.wrote(data.get(..written).unwrap_or_default());
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_pending(cx))?;
        let mut written = ready!(Pin::new(&mut this.inner).poll_write_vectored(cx, data))?;
        let all = written;
        for piece in data {
            let part = piece.get(..written).unwrap_or(piece);
            this.wrote(part);
            written -= part.len();
        }
        Poll::Ready(Ok(all))
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    /// hyper flushes whenever it was woken, after it has written everything.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.owed |= this.go_on.take_asked(cx.waker());
        if this.owed && !this.is_closed && !this.has_small_table && this.left.is_between() {
            this.owed = false;
            this.tell();
        }
        ready!(this.poll_pending(cx))?;
        Pin::new(&mut this.inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::{Continuing, GoOn};
    use std::sync::Arc;
    use std::task::Waker;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
        [&[0, 0, u8::try_from(payload.len()).unwrap(), kind, flags, 0, 0, 0, stream], payload].concat()
    }

    /// Returns what a client sees after it has sent `came`, the server has written `left`, and a body is waited for.
    async fn told(came: Vec<Vec<u8>>, left: &[Vec<u8>]) -> Vec<u8> {
        let (mut client, server) = tokio::io::duplex(1 << 16);
        let go_on = Arc::<GoOn>::default();
        let mut server = Continuing::new(server, Arc::clone(&go_on));
        client.write_all(&[vec![b'P'; 24], came.concat()].concat()).await.unwrap();
        let mut buffer = vec![0; 1 << 16];
        assert!(server.read(&mut buffer).await.unwrap() >= 24);
        for frame in left {
            server.write_all(frame).await.unwrap();
        }
        go_on.ask();
        server.flush().await.unwrap();
        server.flush().await.unwrap();
        assert!(!go_on.take_asked(Waker::noop()));
        drop(server);
        let mut seen = Vec::new();
        client.read_to_end(&mut seen).await.unwrap();
        seen.split_off(left.concat().len())
    }

    #[tokio::test]
    async fn hs_09_who_holds_a_body_back_is_told_to_go_on_and_nobody_else() {
        let ours = [frame(4, 0, 0, &[])];
        let go_on = |stream| frame(1, 4, stream, b"\x08\x03100");
        let head = |stream| frame(1, 4, stream, b"x");
        assert_eq!(told(vec![head(1), head(3)], &ours).await, [go_on(1), go_on(3)].concat());
        // A body that has begun, a request without one, and an aborted one.
        let others =
            vec![head(1), frame(0, 0, 1, b"a"), frame(1, 5, 3, b"x"), head(5), frame(3, 0, 5, &[0; 4]), head(7)];
        assert_eq!(told(others, &ours).await, go_on(7));
        // Requests that are already answered or refused.
        let answers = [ours[0].clone(), frame(1, 4, 1, b"\x88"), frame(3, 0, 3, &[0; 4])];
        assert_eq!(told(vec![head(1), head(3), head(5)], &answers).await, go_on(5));
    }

    #[tokio::test]
    async fn hs_09_who_could_not_be_told_at_once_is_told_when_the_frame_has_ended() {
        let (mut client, server) = tokio::io::duplex(1 << 16);
        let go_on = Arc::<GoOn>::default();
        let mut server = Continuing::new(server, Arc::clone(&go_on));
        client.write_all(&[vec![b'P'; 24], frame(1, 4, 1, b"x")].concat()).await.unwrap();
        assert!(server.read(&mut [0; 64]).await.unwrap() > 24);
        let ours = [frame(4, 0, 0, &[]), frame(0, 0, 3, b"abcdef")].concat();
        let (begun, rest) = ours.split_at(20);
        server.write_all(begun).await.unwrap();
        go_on.ask();
        server.flush().await.unwrap();
        server.write_all(rest).await.unwrap();
        server.flush().await.unwrap();
        drop(server);
        let mut seen = Vec::new();
        client.read_to_end(&mut seen).await.unwrap();
        assert_eq!(seen, [ours, frame(1, 4, 1, b"\x08\x03100")].concat());
    }

    #[tokio::test]
    async fn hs_09_no_frame_is_put_where_it_could_not_be_read() {
        let head = frame(1, 4, 1, b"x");
        let ours = frame(4, 0, 0, &[]);
        // Nothing before our SETTINGS, within one of our heads, or within a frame.
        assert!(told(vec![head.clone()], &[]).await.is_empty());
        assert!(told(vec![head.clone()], &[ours.clone(), frame(1, 0, 3, b"x")]).await.is_empty());
        assert!(told(vec![head.clone()], &[ours.clone(), vec![0, 0, 9, 0, 0]]).await.is_empty());
        // Nothing to a client whose new table size the next head must acknowledge.
        let small = frame(4, 0, 0, &[0, 3, 0, 0, 0, 9, 0, 1, 0, 0, 0, 0]);
        assert!(told(vec![small, head.clone()], std::slice::from_ref(&ours)).await.is_empty());
        let large = frame(4, 0, 0, &[0, 1, 0, 1, 0, 0]);
        assert_eq!(told(vec![large, head], &[ours]).await, frame(1, 4, 1, b"\x08\x03100"));
    }
}
