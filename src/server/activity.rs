//! What a connection is doing, told by its bytes and its requests.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use futures_util::task::AtomicWaker;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf, Take};
use tokio::time::Instant;

use crate::web::ControlFrames;
use crate::web::frames::{FrameReader, Part};

/// Bytes of HTTP/2 that are read at a time: of the smallest frames of data no more than h2 takes before somebody has read
/// them.
const FRAMES_AT_A_TIME: u64 = 4096;

/// What is known of a connection. Its worker's thread writes all of it but `reclaimed`; the thread that accepts reads it
/// when it needs room, and then looks for nothing exact.
#[derive(Debug)]
pub(super) struct Activity {
    began: Instant,
    /// Since when it has waited for its peer, in microseconds after `began`.
    rests: AtomicU64,
    known: AtomicBool,
    reclaimed: AtomicBool,
    requests: AtomicU32,
    in_flight: AtomicU32,
    head_begun: AtomicBool,
    fragment: AtomicBool,
    write_waits: AtomicBool,
    written: AtomicU32,
    ending: AtomicBool,
    flooded: AtomicBool,
    waker: AtomicWaker,
    /// The tasks of answers that wait until the peer takes what it was sent.
    parked: Mutex<Vec<Waker>>,
}

impl Activity {
    /// Begins with a connection that has just been accepted.
    pub(super) fn new() -> Self {
        Self {
            began: Instant::now(),
            rests: AtomicU64::new(0),
            known: AtomicBool::new(false),
            reclaimed: AtomicBool::new(false),
            requests: AtomicU32::new(0),
            in_flight: AtomicU32::new(0),
            head_begun: AtomicBool::new(false),
            fragment: AtomicBool::new(false),
            write_waits: AtomicBool::new(false),
            written: AtomicU32::new(0),
            ending: AtomicBool::new(false),
            flooded: AtomicBool::new(false),
            waker: AtomicWaker::new(),
            parked: Mutex::default(),
        }
    }

    /// Notes since when the connection has waited for its peer. Without effect while a request is under way.
    pub(super) fn rests_since(&self, moment: Instant) {
        let micros = moment.saturating_duration_since(self.began).as_micros();
        self.rests.store(u64::try_from(micros).unwrap_or(u64::MAX), Relaxed);
    }

    /// Returns since when the connection has waited for its peer; `None` while a request is under way. One that waits
    /// for its peer to read an answer counts as waiting, too, unless a good token was shown on it.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        let waits = match self.phase() {
            Phase::Idle | Phase::Head => true,
            Phase::Stalled => !self.is_known(),
            Phase::Busy => false,
        };
        waits.then(|| self.began + Duration::from_micros(self.rests.load(Relaxed)))
    }

    /// Notes that a good access token was shown on the connection.
    pub(super) fn know(&self) {
        self.known.store(true, Relaxed);
    }

    /// Returns whether a good access token was shown on the connection.
    pub(super) fn is_known(&self) -> bool {
        self.known.load(Relaxed)
    }

    /// Takes the connection's place away for another one: it ends now, or with the request that has begun meanwhile.
    pub(super) fn reclaim(&self) {
        self.reclaimed.store(true, Relaxed);
        self.waker.wake();
    }

    /// Returns whether its place was taken away.
    pub(super) fn is_reclaimed(&self) -> bool {
        self.reclaimed.load(Relaxed)
    }

    /// A request's head is complete. Returns whether its target had a fragment.
    pub(super) fn begin_request(&self) -> bool {
        self.requests.fetch_add(1, Relaxed);
        self.in_flight.fetch_add(1, Relaxed);
        self.head_begun.store(false, Relaxed);
        self.fragment.swap(false, Relaxed)
    }

    /// A request's answer has left, or was given up.
    pub(super) fn end_request(&self) {
        self.in_flight.fetch_sub(1, Relaxed);
    }

    /// Asks the connection to end when its requests have ended.
    pub(super) fn wind_down(&self) {
        self.ending.store(true, Relaxed);
        self.waker.wake();
    }

    /// Leaves the waker of the connection's task, which `wind_down` and `reclaim` wake.
    pub(super) fn register(&self, waker: &Waker) {
        self.waker.register(waker);
    }

    /// Returns whether `wind_down` was asked.
    pub(super) fn is_ending(&self) -> bool {
        self.ending.load(Relaxed)
    }

    /// Returns whether the peer has sent too many frames for nothing.
    pub(super) fn is_flooded(&self) -> bool {
        self.flooded.load(Relaxed)
    }

    /// Returns whether bytes wait to be written because the peer takes none.
    pub(super) fn is_stalled(&self) -> bool {
        self.write_waits.load(Relaxed)
    }

    /// Leaves the waker of a task that waits until the peer takes bytes again.
    pub(super) fn park(&self, waker: &Waker) {
        let mut parked = self.parked();
        if !parked.iter().any(|other| other.will_wake(waker)) {
            parked.push(waker.clone());
        }
    }

    fn write_waits(&self, waits: bool) {
        if self.is_stalled() == waits {
            return;
        }
        self.write_waits.store(waits, Relaxed);
        if !waits {
            let parked = std::mem::take(&mut *self.parked());
            parked.into_iter().for_each(Waker::wake);
        }
    }

    fn parked(&self) -> MutexGuard<'_, Vec<Waker>> {
        self.parked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns how many requests have begun.
    pub(super) fn requests(&self) -> u32 {
        self.requests.load(Relaxed)
    }

    /// Returns how many bytes the stream has taken; wraps.
    pub(super) fn written(&self) -> u32 {
        self.written.load(Relaxed)
    }

    /// Returns what it is doing.
    pub(super) fn phase(&self) -> Phase {
        if self.is_stalled() {
            Phase::Stalled
        } else if self.in_flight.load(Relaxed) > 0 {
            Phase::Busy
        } else if self.head_begun.load(Relaxed) {
            Phase::Head
        } else {
            Phase::Idle
        }
    }
}

/// What a connection is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Nothing.
    Idle,
    /// A request's head is coming in.
    Head,
    /// At least one request is under way.
    Busy,
    /// Bytes wait to be written and the peer takes none.
    Stalled,
}

/// A stream that tells `Activity` when a head begins and when a write waits.
#[derive(Debug)]
pub(super) struct Observed<S, A> {
    inner: Take<S>,
    activity: A,
    place: Place,
    /// HTTP/2 only.
    frames: Option<(FrameReader, ControlFrames)>,
}

/// Where in HTTP/1 text the reader is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// In the method of a request line.
    Method,
    /// In its target.
    Target,
    /// Beyond it.
    Rest,
}

impl<S: AsyncRead, A: AsRef<Activity>> Observed<S, A> {
    /// Watches a stream of HTTP/1 text.
    pub(super) fn text(inner: S, activity: A) -> Self {
        Self { inner: inner.take(u64::MAX), activity, place: Place::Rest, frames: None }
    }

    /// Watches a stream of HTTP/2 frames.
    pub(super) fn frames(inner: S, activity: A) -> Self {
        Self { frames: Some((FrameReader::of_client(), ControlFrames::default())), ..Self::text(inner, activity) }
    }

    /// Returns the stream.
    pub(super) fn into_inner(self) -> S {
        self.inner.into_inner()
    }

    /// Notes that a head begins, and whether its target has a fragment, which the parser cuts off in silence
    /// (RFC 9112 3.2: no form of a target has one).
    fn heard(&mut self, mut bytes: &[u8]) {
        let activity = self.activity.as_ref();
        if let Some((reader, control)) = &mut self.frames {
            while let Some(part) = reader.next(&mut bytes) {
                if let Part::Head(frame) = part
                    && control.are_a_flood(frame)
                {
                    activity.flooded.store(true, Relaxed);
                }
            }
            return;
        }
        if activity.in_flight.load(Relaxed) > 0 {
            return;
        }
        if !activity.head_begun.load(Relaxed) {
            // RFC 9112 2.2: blank lines may stand before a request line.
            let Some(first) = bytes.iter().find(|byte| !matches!(byte, b'\r' | b'\n')) else { return };
            activity.head_begun.store(true, Relaxed);
            // What is left of a body that nobody wanted is read between two requests as well; it has no target.
            self.place = if first.is_ascii_uppercase() { Place::Method } else { Place::Rest };
        }
        for byte in bytes {
            self.place = match (self.place, byte) {
                (Place::Method, b' ') => Place::Target,
                (Place::Method, b'\r' | b'\n' | 0x21..) => Place::Method,
                (Place::Target, b'#') => {
                    activity.fragment.store(true, Relaxed);
                    Place::Rest
                }
                (Place::Target, 0x21..) => Place::Target,
                (Place::Method | Place::Target | Place::Rest, _) => return self.place = Place::Rest,
            };
        }
    }

    /// Notes whether the peer takes what is written: of a slow one every flush waits, and yet its writes go on.
    fn wrote(&mut self, result: Poll<std::io::Result<usize>>) -> Poll<std::io::Result<usize>> {
        if let Poll::Ready(Ok(bytes @ 1..)) = result {
            // Wraps: only the difference from one look to the next matters.
            self.activity.as_ref().written.fetch_add(u32::try_from(bytes).unwrap_or(u32::MAX), Relaxed);
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

impl<S: AsyncRead + Unpin, A: AsRef<Activity> + Unpin> AsyncRead for Observed<S, A> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        if self.activity.as_ref().is_flooded() {
            return Poll::Pending;
        }
        if let Some((_, control)) = &mut self.frames {
            if control.are_enough_for_now() {
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

impl<S: AsyncRead + AsyncWrite + Unpin, A: AsRef<Activity> + Unpin> AsyncWrite for Observed<S, A> {
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
    use super::{Activity, Observed, Phase, Place};
    use std::sync::Arc;
    use tokio::io::AsyncReadExt;

    #[tokio::test]
    async fn hs_15_a_fragment_is_seen_in_a_target_and_nowhere_else() {
        for (chunks, fragment, phase) in [
            (&["GET /mcp HTTP/1.1\r\nx: #\r\n"][..], false, Phase::Head),
            (&["GET /mcp#x HTTP/1.1\r\n"], true, Phase::Head),
            (&["\r\nGE", "T /m", "cp", "#x HTTP/1.1\r\n"], true, Phase::Head),
            (&["GET /", " HTTP/1.1\r\n", "x: GET /#\r\n"], false, Phase::Head),
            // The rest of a body that nobody wanted.
            (&[r##"{"color":"#fff"}"##], false, Phase::Head),
            (&["a=b #c"], false, Phase::Head),
            (&["\r\n\r\n"], false, Phase::Idle),
            (&["FOO-BAR /mcp#x HTTP/1.1\r\n"], true, Phase::Head),
        ] {
            let activity = Arc::new(Activity::new());
            let mut place = Place::Rest;
            for chunk in chunks {
                let mut observed = Observed { place, ..Observed::text(chunk.as_bytes(), Arc::clone(&activity)) };
                observed.read_to_end(&mut Vec::new()).await.unwrap();
                place = observed.place;
            }
            assert_eq!(activity.phase(), phase, "{chunks:?}");
            assert_eq!(activity.begin_request(), fragment, "{chunks:?}");
            assert_eq!(activity.phase(), Phase::Busy);
        }
    }
}
