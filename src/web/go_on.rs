//! `GoOn`: how the reader of a request body tells the HTTP/2 connection that it is waiting for a body which the client
//! may hold back.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::Waker;

use futures_util::task::AtomicWaker;

/// Shared by a connection and the bodies of its requests that expect `100 (Continue)`.
#[derive(Debug, Default)]
pub struct GoOn {
    asked: AtomicBool,
    connection: AtomicWaker,
}

impl GoOn {
    /// Reports that a body is waited for.
    pub fn ask(&self) {
        self.asked.store(true, Relaxed);
        self.connection.wake();
    }

    /// Returns whether `ask` was called since the last time. If not, `waker` is woken when it is.
    pub fn take_asked(&self, waker: &Waker) -> bool {
        self.connection.register(waker);
        self.asked.swap(false, Relaxed)
    }
}
