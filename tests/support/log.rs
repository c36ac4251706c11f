//! Captures log lines during a test. `#[tokio::test]` runs everything on the thread of the test, so a subscriber for
//! this thread receives all of them.

use std::io::Write;
use std::sync::{Arc, Mutex};

use tracing::Dispatch;
use tracing::subscriber::{DefaultGuard, NoSubscriber};

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The log of this thread, until it is dropped.
pub(crate) struct Log {
    lines: Lines,
    _guard: DefaultGuard,
    /// With one subscriber, tracing caches the interest of the thread that first reaches an event. With two it asks
    /// both.
    _second: Dispatch,
}

impl Log {
    pub(crate) fn start() -> Self {
        let lines = Lines::default();
        let to = lines.clone();
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || to.clone()).finish();
        let second = Dispatch::new(NoSubscriber::new());
        Self { lines, _guard: tracing::subscriber::set_default(subscriber), _second: second }
    }

    /// Returns the lines at WARN, and clears the log.
    pub(crate) fn warnings(&self) -> Vec<String> {
        self.take(" WARN ")
    }

    /// Returns the lines with this text, and clears the log.
    pub(crate) fn take(&self, with: &str) -> Vec<String> {
        let bytes = std::mem::take(&mut *self.lines.0.lock().unwrap());
        let text = String::from_utf8(bytes).unwrap();
        text.lines().filter(|line| line.contains(with)).map(str::to_owned).collect()
    }
}
