//! Load tests: what many, slow or hostile peers cost, measured on the process. Each takes 30 s at most, and its thresholds
//! hold for a debug build; `MCPGATE_TEST_BINARY` names another binary to measure.

mod burst;
mod connections;
mod logins;
mod memory;
mod memory_of_answers;
mod memory_of_plain_bytes;
mod messages;
mod pages;
mod pending;
mod registrations;
mod shares;
mod tokens;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use tokio::task::JoinSet;

/// How long many do what they do, beside somebody who is watched.
const FLOOD: Duration = Duration::from_secs(10);
/// How long that one waits at most, on a machine that is busy with other tests.
const PROMPT: Duration = Duration::from_secs(2);

/// Many who do the same over and over at once, each until it is over; each tells what came of it.
struct Flood<T> {
    over: Over,
    strangers: JoinSet<T>,
}

/// Whether it is over.
#[derive(Clone, Default)]
struct Over(Arc<AtomicBool>);

impl Over {
    fn has_come(&self) -> bool {
        self.0.load(Relaxed)
    }
}

impl<T: Send + 'static> Flood<T> {
    fn new() -> Self {
        Self { over: Over::default(), strangers: JoinSet::new() }
    }

    /// Starts one more.
    fn join<F: Future<Output = T> + Send + 'static>(&mut self, stranger: impl FnOnce(Over) -> F) {
        self.strangers.spawn(stranger(self.over.clone()));
    }

    /// Ends it; what came of each. A stranger that panicked fails the test.
    async fn end(self) -> Vec<T> {
        self.over.0.store(true, Relaxed);
        self.strangers.join_all().await
    }
}
