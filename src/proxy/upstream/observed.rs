//! Observes the bytes of a connection to an HTTP/2 upstream: how many concurrent requests it allows, when something was
//! last received, and whether it sends floods of frames. h2 reports none of these.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::interim::MOST_INTERIM;
use crate::web::ControlFrames;
use crate::web::frames::{DATA, END_STREAM, FrameHead, FrameReader, HEADERS, Part, RST_STREAM, Settings};

/// The setting's number (RFC 9113 6.5.2).
const MAX_CONCURRENT_STREAMS: u16 = 3;
/// The most answers tracked at once; more than there can be requests on a connection.
const FOLLOWED: usize = 128;

/// Bytes read in a row before the readers of the frames may run: h2 keeps frames until they are read, and small ones
/// take many times their size.
const IN_A_ROW: usize = 16 * 1024;

/// The state of a connection's peer; shared with the users of the connection.
#[derive(Debug)]
pub(in crate::proxy) struct PeerState {
    begun: Instant,
    /// The allowed number of requests; 0 until the peer's first SETTINGS.
    limit: AtomicUsize,
    /// When bytes were last received, in milliseconds after `begun`.
    heard: AtomicU64,
}

impl PeerState {
    /// Returns how many concurrent requests the peer allows: only one until it has sent its settings.
    pub(in crate::proxy) fn limit(&self) -> usize {
        self.limit.load(Relaxed)
    }

    /// Returns when something was last received.
    pub(in crate::proxy) fn heard(&self) -> Instant {
        self.begun + Duration::from_millis(self.heard.load(Relaxed))
    }
}

/// The observed connection.
#[derive(Debug)]
pub(in crate::proxy) struct Observed<T> {
    io: T,
    peer: Arc<PeerState>,
    frames: FrameReader,
    control: ControlFrames,
    settings: Settings,
    /// Whether any settings frame has contained the limit.
    is_limited: bool,
    /// Streams whose answer has begun and not ended, with the number of heads received.
    answers: VecDeque<(u32, u8)>,
    /// Bytes read since other tasks last had a chance to run.
    in_a_row: usize,
}

impl<T> Observed<T> {
    pub(in crate::proxy) fn new(io: T) -> Self {
        let peer = PeerState { begun: Instant::now(), limit: AtomicUsize::new(0), heard: AtomicU64::new(0) };
        Self {
            io,
            peer: Arc::new(peer),
            frames: FrameReader::of_server(),
            control: ControlFrames::default(),
            settings: Settings::default(),
            is_limited: false,
            answers: VecDeque::new(),
            in_a_row: 0,
        }
    }

    pub(in crate::proxy) fn peer(&self) -> Arc<PeerState> {
        Arc::clone(&self.peer)
    }

    /// Tracks received bytes; the error says what is wrong with them.
    fn hear(&mut self, mut bytes: &[u8]) -> Result<(), &'static str> {
        let now = u64::try_from(self.peer.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.peer.heard.store(now, Relaxed);
        while let Some(part) = self.frames.next(&mut bytes) {
            match part {
                Part::Head(frame) => self.begin(frame)?,
                Part::Payload(payload) => self.read_settings(payload),
            }
        }
        Ok(())
    }

    fn begin(&mut self, frame: FrameHead) -> Result<(), &'static str> {
        if self.settings.begin(frame) && frame.length == 0 {
            self.end_settings();
        }
        if self.control.record_frame(frame) {
            return Err("too many HTTP/2 control frames");
        }
        let ends = frame.kind == RST_STREAM || (matches!(frame.kind, DATA | HEADERS) && frame.flags & END_STREAM != 0);
        let place = self.answers.iter().position(|(stream, _)| *stream == frame.stream);
        match (place, frame.kind) {
            (Some(place), _) if ends => drop(self.answers.remove(place)),
            (Some(place), HEADERS) => {
                // UP-05: interim answers, the answer, trailers.
                if let Some((_, heads)) = self.answers.get_mut(place) {
                    *heads = heads.saturating_add(1);
                    if *heads > MOST_INTERIM + 1 {
                        return Err("too many interim answers to one request");
                    }
                }
            }
            (None, HEADERS) if !ends => {
                if self.answers.len() >= FOLLOWED {
                    self.answers.pop_front();
                }
                self.answers.push_back((frame.stream, 1));
            }
            (Some(_) | None, _) => {}
        }
        Ok(())
    }

    fn read_settings(&mut self, payload: &[u8]) {
        let (is_limited, limit) = (&mut self.is_limited, &self.peer.limit);
        let ended = self.settings.read(payload, |name, value| {
            if name == MAX_CONCURRENT_STREAMS {
                *is_limited = true;
                limit.store(usize::try_from(value).unwrap_or(usize::MAX), Relaxed);
            }
        });
        if ended {
            self.end_settings();
        }
    }

    /// Ends a settings frame. Without the setting there is no limit (RFC 9113 6.5.2).
    fn end_settings(&self) {
        if !self.is_limited {
            self.peer.limit.store(usize::MAX, Relaxed);
        }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Observed<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        if this.in_a_row >= IN_A_ROW {
            this.in_a_row = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let read = Pin::new(&mut this.io).poll_read(cx, buffer)?;
        if read.is_pending() {
            this.in_a_row = 0;
            return Poll::Pending;
        }
        let new = buffer.filled().get(before..).unwrap_or_default();
        this.in_a_row = this.in_a_row.saturating_add(new.len());
        Poll::Ready(this.hear(new).map_err(|fault| io::Error::new(io::ErrorKind::InvalidData, fault)))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Observed<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = ready!(Pin::new(&mut this.io).poll_write(cx, data))?;
        this.control.wrote(written);
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = ready!(Pin::new(&mut this.io).poll_write_vectored(cx, data))?;
        this.control.wrote(written);
        Poll::Ready(Ok(written))
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
    use super::{MOST_INTERIM, Observed};

    fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
        let length = u8::try_from(payload.len()).unwrap();
        [&[0, 0, length, kind, flags, 0, 0, 0, stream], payload].concat()
    }

    #[test]
    fn the_limit_of_streams_is_told_however_it_is_cut() {
        let other = [0, 4, 0, 1, 0, 0];
        for (sent, limit) in [
            (vec![], 0),
            (frame(4, 1, 0, &[]), 0),
            (frame(4, 0, 0, &[]), usize::MAX),
            (frame(4, 0, 0, &other), usize::MAX),
            (frame(4, 0, 0, &[other, [0, 3, 0, 0, 0, 7]].concat()), 7),
            (frame(4, 0, 0, &[0, 3, 0, 0, 0, 7])[..14].to_vec(), 0),
            ([frame(4, 0, 0, &[0, 3, 0, 0, 0, 0]), frame(4, 0, 0, &other)].concat(), 0),
            ([frame(4, 0, 0, &[0, 3, 0, 0, 0, 7]), frame(4, 0, 0, &[0, 3, 0, 0, 0, 2])].concat(), 2),
            ([frame(4, 0, 0, &[0, 3, 0, 0, 0, 7]), frame(4, 0, 0, &other)].concat(), 7),
            (frame(1, 4, 1, &[0, 3, 0, 0, 0, 7]), 0),
        ] {
            for cut in [1, 3, 100] {
                let mut observed = Observed::new(());
                assert!(sent.chunks(cut).all(|piece| observed.hear(piece).is_ok()));
                assert_eq!(observed.peer().limit(), limit, "{sent:?}");
            }
        }
    }

    #[test]
    fn up_05_interim_answers_over_http_2_are_counted_for_each_request() {
        let hints = |count: u8, stream| frame(1, 4, stream, b"103").repeat(usize::from(count));
        let last =
            |stream| [frame(1, 4, stream, b"200"), frame(0, 0, stream, b"x"), frame(1, 5, stream, b"t")].concat();
        let many: Vec<u8> = (1..=60).flat_map(|n| [hints(MOST_INTERIM, 2 * n + 1), last(2 * n + 1)].concat()).collect();
        let together = [hints(MOST_INTERIM, 1), hints(MOST_INTERIM, 3), last(1), last(3)].concat();
        for (sent, good) in [
            (many, true),
            (together, true),
            (hints(MOST_INTERIM + 1, 1), true),
            (hints(MOST_INTERIM + 2, 1), false),
            ([hints(MOST_INTERIM + 1, 1), frame(3, 0, 1, &[0; 4]), hints(MOST_INTERIM, 1)].concat(), true),
        ] {
            let mut observed = Observed::new(());
            assert_eq!(observed.hear(&sent).is_ok(), good, "{sent:?}");
        }
    }

    #[test]
    fn an_upstream_that_sends_frames_for_nothing_loses_its_connection() {
        let mut observed = Observed::new(());
        let ping = frame(6, 0, 0, &[0; 8]);
        assert!((0..1000).all(|_| observed.hear(&ping).is_ok()) && observed.hear(&ping).is_err());
    }
}
