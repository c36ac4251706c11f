//! A connection on its way from the listener to the worker that serves it.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::mpsc::{self, Receiver, Sender};

use super::admission::Permit;
use super::worker::{OpenConnection, Worker};

/// Connections on their way to one worker. A worker that has so many to begin is overloaded.
const ON_THE_WAY: usize = 256;

/// A connection on its way to a worker: registered with no runtime yet.
pub(super) struct Accepted {
    pub(super) stream: std::net::TcpStream,
    pub(super) peer: SocketAddr,
    pub(super) permit: Permit,
    pub(super) counted: OpenConnection,
}

/// A worker and the way to it.
#[derive(Clone)]
pub(super) struct WorkerHandle {
    pub(super) worker: Arc<Worker>,
    pub(super) hand_over: Sender<Accepted>,
}

impl WorkerHandle {
    /// Returns the way to a worker, and the end at which it takes the connections.
    pub(super) fn new(worker: Arc<Worker>) -> (Self, Receiver<Accepted>) {
        let (hand_over, accepted) = mpsc::channel(ON_THE_WAY);
        (Self { worker, hand_over }, accepted)
    }
}
