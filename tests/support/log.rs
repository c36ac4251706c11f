//! What is logged while a test runs. `#[tokio::test]` runs everything on the thread of the test, so a subscriber of this
//! thread hears all of it.

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
    /// While there is one subscriber, tracing asks that of the thread which first comes by an event whether it is wanted at
    /// all, and remembers the answer. With two it asks both.
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

    /// Returns the lines at WARN, and forgets all.
    pub(crate) fn warnings(&self) -> Vec<String> {
        self.take(" WARN ")
    }

    /// Returns the lines with this text, and forgets all.
    pub(crate) fn take(&self, with: &str) -> Vec<String> {
        let bytes = std::mem::take(&mut *self.lines.0.lock().unwrap());
        let text = String::from_utf8(bytes).unwrap();
        text.lines().filter(|line| line.contains(with)).map(str::to_owned).collect()
    }
}
