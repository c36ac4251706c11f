//! Where log lines go: buffers in memory that one thread writes to standard error, so that a worker never waits for a
//! terminal, a pipe or another worker. When a buffer is full, lines are dropped and counted.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::sync::lock;

/// Capacity of a buffer in bytes; some ten thousand lines.
const CAPACITY: usize = 2 << 20;
/// Capacity that an empty buffer keeps, in bytes.
const KEPT: usize = 256 << 10;
/// How long lines are collected before they are written together: a write per line costs more than the line.
const GATHER: Duration = Duration::from_millis(10);

/// The byte that begins a terminal escape sequence.
const ESCAPE: u8 = 0x1b;

thread_local! {
    /// The sink with this thread's own buffer, if it has one. Never dropped, because a thread may log until it ends.
    static OWN: OnceCell<&'static Sink> = const { OnceCell::new() };
}

/// A handle to the log, with the buffer that it appends to.
#[derive(Debug, Clone)]
pub(super) struct Sink {
    shared: Arc<Shared>,
    buffer: Arc<Mutex<Buffer>>,
}

/// Whole lines that have not been written yet, in order of arrival.
#[derive(Debug, Default)]
struct Buffer {
    lines: Vec<u8>,
    dropped: u64,
}

/// What the writing thread shares with all others.
#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    arrived: Condvar,
    written: Condvar,
    keep_escapes: bool,
}

#[derive(Debug, Default)]
struct State {
    buffers: Vec<Arc<Mutex<Buffer>>>,
    /// Whether an empty buffer has received lines since the writing thread last started to write all buffers.
    has_lines: bool,
    /// How many calls of `flush` there were, and how many of them have been served.
    asked: u64,
    answered: u64,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Tells the writing thread that a buffer is no longer empty.
    fn tell(&self) {
        if !std::mem::replace(&mut self.lock().has_lines, true) {
            self.arrived.notify_one();
        }
    }

    /// Waits for lines, then for more lines to collect; returns the buffers, and `State::asked`.
    fn gathered(&self) -> (Vec<Arc<Mutex<Buffer>>>, u64) {
        let state = self.arrived.wait_while(self.lock(), |state| !state.has_lines);
        let (mut state, _timed_out) = self
            .arrived
            .wait_timeout_while(state.unwrap_or_else(PoisonError::into_inner), GATHER, |s| s.asked == s.answered)
            .unwrap_or_else(PoisonError::into_inner);
        state.has_lines = false;
        (state.buffers.clone(), state.asked)
    }
}

/// Writes the content of a buffer. `spare` is swapped in, and afterwards is the old buffer, empty.
fn empty(buffer: &Mutex<Buffer>, spare: &mut Vec<u8>, out: &mut impl Write) -> io::Result<()> {
    let mut waiting = lock(buffer);
    std::mem::swap(&mut waiting.lines, spare);
    let dropped = std::mem::take(&mut waiting.dropped);
    drop(waiting);
    let written = out.write_all(spare);
    spare.clear();
    spare.shrink_to(KEPT);
    written?;
    if dropped > 0 {
        writeln!(out, "{dropped} log lines were dropped: standard error was too slow")?;
    }
    out.flush()
}

impl Sink {
    /// Creates the common buffer and starts the thread that writes to `out`. With `keep_escapes`, escape sequences for
    /// colours are kept.
    ///
    /// # Errors
    /// The thread could not be started.
    pub(super) fn start(mut out: impl Write + Send + 'static, keep_escapes: bool) -> io::Result<Self> {
        let shared = Arc::new(Shared { keep_escapes, ..Shared::default() });
        let writer = Arc::clone(&shared);
        std::thread::Builder::new().name("log".to_owned()).spawn(move || {
            let mut spare = Vec::new();
            loop {
                let (buffers, asked) = writer.gathered();
                for buffer in &buffers {
                    // There is nowhere to report that standard error is closed.
                    drop(empty(buffer, &mut spare, &mut out));
                }
                writer.lock().answered = asked;
                writer.written.notify_all();
            }
        })?;
        Ok(Self::with_buffer(shared))
    }

    fn with_buffer(shared: Arc<Shared>) -> Self {
        let buffer = Arc::default();
        shared.lock().buffers.push(Arc::clone(&buffer));
        Self { shared, buffer }
    }

    /// Gives the current thread a buffer of its own. For threads that run as long as the process.
    pub(super) fn own_buffer(&self) {
        OWN.with(|own| {
            own.get_or_init(|| Box::leak(Box::new(Self::with_buffer(Arc::clone(&self.shared)))));
        });
    }

    /// Waits until everything logged so far is written, at most a second.
    pub(super) fn flush(&self) {
        let mut state = self.shared.lock();
        state.asked += 1;
        state.has_lines = true;
        let asked = state.asked;
        self.shared.arrived.notify_one();
        let limit = Duration::from_secs(1);
        let waited = self.shared.written.wait_timeout_while(state, limit, |state| state.answered < asked);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    /// Appends a line, which `write` writes without its end, to this thread's buffer. If `write` returns `None`, so
    /// does this, and nothing is logged. `write` must not log anything itself.
    pub(super) fn append(&self, write: impl FnOnce(&mut Vec<u8>) -> Option<()>) -> Option<()> {
        let own = OWN.with(|own| own.get().copied()).filter(|own| Arc::ptr_eq(&own.shared, &self.shared));
        let mut buffer = lock(&own.unwrap_or(self).buffer);
        let before = buffer.lines.len();
        let written = write(&mut buffer.lines);
        if written.is_none() {
            buffer.lines.truncate(before);
            return None;
        }
        if buffer.lines.len() >= CAPACITY {
            buffer.lines.truncate(before);
            buffer.dropped += 1;
            return written;
        }
        buffer.lines.push(b'\n');
        drop(buffer);
        if before == 0 {
            self.shared.tell();
        }
        written
    }
}

/// One event on its way into the buffer.
#[derive(Debug)]
pub(super) struct Line<'a> {
    sink: &'a Sink,
    text: Vec<u8>,
}

impl Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        let text = self.text.strip_suffix(b"\n").unwrap_or(&self.text);
        let text = harmless(text, self.sink.shared.keep_escapes);
        let _written = self.sink.append(|lines| {
            lines.extend_from_slice(&text);
            Some(())
        });
    }
}

/// Replaces characters that could start a new line, control the terminal, or reorder the rest of a line, because the
/// values in it come from strangers.
fn harmless(text: &[u8], keep_escapes: bool) -> Cow<'_, [u8]> {
    let is_plain = |byte: &u8| matches!(byte, b' '..=b'~') || (*byte == ESCAPE && keep_escapes);
    if text.iter().all(is_plain) {
        return Cow::Borrowed(text);
    }
    let text = String::from_utf8_lossy(text);
    let blanked = text.chars().map(|c| match c {
        c if c == char::from(ESCAPE) && keep_escapes => c,
        // Direction marks and isolates, and the separators that some viewers treat as line ends.
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => ' ',
        c if c.is_control() => ' ',
        c => c,
    });
    Cow::Owned(blanked.collect::<String>().into_bytes())
}

impl<'a> tracing_subscriber::fmt::MakeWriter<'a> for Sink {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line { sink: self, text: Vec::with_capacity(256) }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::{CAPACITY, Sink};
    use std::io::Write;
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::sync::{Arc, Mutex};
    use tracing_subscriber::fmt::MakeWriter;

    #[derive(Clone, Default)]
    pub(in crate::telemetry) struct Collected(Arc<Mutex<Vec<u8>>>);

    impl Collected {
        /// Returns what was written, and forgets it.
        pub(in crate::telemetry) fn take(&self) -> String {
            String::from_utf8(std::mem::take(&mut self.0.lock().unwrap())).unwrap()
        }
    }

    impl Write for Collected {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lk_04_a_value_cannot_start_a_line() {
        let out = Collected::default();
        let sink = Sink::start(out.clone(), false).unwrap();
        sink.make_writer().write_all(b"user=eve\nlevel=INFO \x1b[2Jforged\r\n").unwrap();
        sink.make_writer().write_all("next \u{9b}2J\u{202e}\u{2028}é\n".as_bytes()).unwrap();
        sink.flush();
        assert_eq!(out.take(), "user=eve level=INFO  [2Jforged \nnext  2J  é\n");
    }

    fn append(sink: &Sink, text: &str) -> Option<()> {
        sink.append(|lines| {
            lines.extend_from_slice(text.as_bytes());
            Some(())
        })
    }

    #[test]
    fn lines_of_all_threads_arrive_whole_and_those_of_one_thread_in_their_order() {
        let out = Collected::default();
        let sink = Sink::start(out.clone(), false).unwrap();
        let log = |thread: usize| {
            // The others share one.
            if thread < 3 {
                sink.own_buffer();
            }
            for number in 0..2000 {
                append(&sink, &format!("{thread} {number}")).unwrap();
            }
        };
        std::thread::scope(|scope| (0..5).for_each(|thread| drop(scope.spawn(move || log(thread)))));
        sink.flush();
        let written = out.take();
        for thread in 0..5 {
            let begins = format!("{thread} ");
            let numbers: Vec<usize> =
                written.lines().filter_map(|line| line.strip_prefix(&begins)?.parse().ok()).collect();
            assert_eq!(numbers, (0..2000).collect::<Vec<_>>(), "thread {thread}");
        }
        assert_eq!(written.lines().count(), 10_000);
    }

    #[test]
    fn a_line_that_is_given_up_leaves_nothing() {
        let out = Collected::default();
        let sink = Sink::start(out.clone(), false).unwrap();
        append(&sink, "one").unwrap();
        let given_up = sink.append(|lines| {
            lines.extend_from_slice(b"half");
            None
        });
        assert_eq!(given_up, None);
        append(&sink, "two").unwrap();
        sink.flush();
        assert_eq!(out.take(), "one\ntwo\n");
    }

    /// Tells that it is written to, and waits for each write to be allowed.
    struct Slow(Collected, Sender<()>, Receiver<()>);

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            // Whoever allows writes has gone: then all are allowed.
            let _allowed = self.1.send(()).map(|()| self.2.recv());
            self.0.write(bytes)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_full_buffer_drops_lines_and_says_how_many() {
        let out = Collected::default();
        let ((wrote, writes), (allow, allowed)) = (channel(), channel());
        let sink = Sink::start(Slow(out.clone(), wrote, allowed), false).unwrap();
        append(&sink, "first").unwrap();
        writes.recv().unwrap();
        let long = "x".repeat(CAPACITY / 4 - 1);
        (0..6).for_each(|_| append(&sink, &long).unwrap());
        drop(allow);
        sink.flush();
        let lines = out.take();
        let lengths: Vec<_> = lines.lines().map(str::len).collect();
        assert_eq!(lengths[..4], [5, long.len(), long.len(), long.len()]);
        assert!(lines.ends_with("2 log lines were dropped: standard error was too slow\n"), "{lengths:?}");
    }
}
