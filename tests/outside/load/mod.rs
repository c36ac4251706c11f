//! Load tests: the cost of many, slow or hostile peers, measured on the process. Each takes at most 30 s, and its
//! thresholds hold for a debug build; `MCPGATE_TEST_BINARY` names another binary to measure.

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

/// The duration of a flood, during which another user is measured.
const FLOOD: Duration = Duration::from_secs(10);
/// The longest that this user may wait, on a machine that is busy with other tests.
const PROMPT: Duration = Duration::from_secs(2);

/// Concurrent strangers, each of which repeats the same requests until the flood is over and then returns a result.
struct Flood<T> {
    over: Over,
    strangers: JoinSet<T>,
}

/// Whether the flood is over.
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

    /// Starts one more stranger.
    fn join<F: Future<Output = T> + Send + 'static>(&mut self, stranger: impl FnOnce(Over) -> F) {
        self.strangers.spawn(stranger(self.over.clone()));
    }

    /// Ends the flood and returns the results. A stranger that panicked fails the test.
    async fn end(self) -> Vec<T> {
        self.over.0.store(true, Relaxed);
        self.strangers.join_all().await
    }
}
