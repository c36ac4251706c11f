//! Where log lines go: a buffer in memory that one thread writes to standard error, so that a worker never waits for a
//! terminal or a pipe. When the buffer is full, lines are dropped and counted.

use std::borrow::Cow;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::sync::lock;

/// Capacity of the buffer in bytes; some ten thousand lines.
const CAPACITY: usize = 2 << 20;
/// How long lines are collected before they are written together: a write per line costs more than the line.
const GATHER: Duration = Duration::from_millis(10);

/// The byte that begins a terminal escape sequence.
const ESCAPE: u8 = 0x1b;

/// The shared buffer.
#[derive(Debug, Clone)]
pub(super) struct Sink(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    waiting: Mutex<WaitingLines>,
    arrived: Condvar,
    written: Condvar,
    keep_escapes: bool,
}

#[derive(Debug, Default)]
struct WaitingLines {
    lines: Vec<u8>,
    dropped: u64,
    writing: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, WaitingLines> {
        lock(&self.waiting)
    }
}

impl Sink {
    /// Makes the buffer and starts the thread that writes to `out`. With `keep_escapes`, escape sequences for colours
    /// are kept.
    ///
    /// # Errors
    /// The thread could not be started.
    pub(super) fn start(mut out: impl Write + Send + 'static, keep_escapes: bool) -> io::Result<Self> {
        let shared = Arc::new(Shared { keep_escapes, ..Shared::default() });
        let writer = Arc::clone(&shared);
        std::thread::Builder::new().name("log".to_owned()).spawn(move || {
            loop {
                let mut waiting = writer.lock();
                while waiting.lines.is_empty() {
                    waiting = writer.arrived.wait(waiting).unwrap_or_else(PoisonError::into_inner);
                }
                drop(waiting);
                std::thread::sleep(GATHER);
                let mut waiting = writer.lock();
                let lines = std::mem::take(&mut waiting.lines);
                let dropped = std::mem::take(&mut waiting.dropped);
                waiting.writing = true;
                drop(waiting);
                // There is nowhere to report that standard error is closed.
                drop(out.write_all(&lines));
                if dropped > 0 {
                    drop(writeln!(out, "{dropped} log lines were dropped: standard error was too slow"));
                }
                drop(out.flush());
                writer.lock().writing = false;
                writer.written.notify_all();
            }
        })?;
        Ok(Self(shared))
    }

    /// Waits until everything logged so far is written, at most a second.
    pub(super) fn flush(&self) {
        let (guard, _timed_out) = self
            .0
            .written
            .wait_timeout_while(self.0.lock(), Duration::from_secs(1), |w| w.writing || !w.lines.is_empty())
            .unwrap_or_else(PoisonError::into_inner);
        drop(guard);
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
        let shared = &self.sink.0;
        let text = harmless(self.text.strip_suffix(b"\n").unwrap_or(&self.text), shared.keep_escapes);
        let mut waiting = shared.lock();
        if waiting.lines.len() + text.len() > CAPACITY {
            waiting.dropped += 1;
            return;
        }
        let first = waiting.lines.is_empty();
        waiting.lines.extend_from_slice(&text);
        waiting.lines.push(b'\n');
        drop(waiting);
        if first {
            shared.arrived.notify_one();
        }
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
mod tests {
    use super::Sink;
    use std::io::Write;
    use std::sync::{Arc, Mutex};
    use tracing_subscriber::fmt::MakeWriter;

    #[derive(Clone, Default)]
    struct Collected(Arc<Mutex<Vec<u8>>>);

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
        assert_eq!(String::from_utf8_lossy(&out.0.lock().unwrap()), "user=eve level=INFO  [2Jforged \nnext  2J  é\n");
    }
}
