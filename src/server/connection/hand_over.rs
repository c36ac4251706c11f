//! A connection on its way from the listener to the worker that serves it, if there is more than one worker.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::mpsc::{self, Receiver, Sender};

use super::admission::ConnectionSlot;
use crate::server::worker::{OpenConnection, Worker};

/// The most connections queued for one worker. A worker with a full queue is overloaded.
const ON_THE_WAY: usize = 256;

/// An accepted connection, not registered with any runtime yet.
pub(in crate::server) struct Accepted {
    pub(in crate::server) stream: std::net::TcpStream,
    pub(in crate::server) peer: SocketAddr,
    /// Which listener accepted it.
    pub(in crate::server) listener: usize,
    pub(in crate::server) permit: ConnectionSlot,
    pub(in crate::server) counted: OpenConnection,
}

/// A worker, its runtime and the channel for its connections. The runtime ends when no handle is left.
#[derive(Clone)]
pub(in crate::server) struct WorkerHandle {
    pub(in crate::server) worker: Arc<Worker>,
    pub(in crate::server) runtime: Handle,
    pub(in crate::server) hand_over: Sender<Accepted>,
}

impl WorkerHandle {
    /// Returns the handle of a worker, and the receiver of its connections.
    pub(in crate::server) fn new(worker: Arc<Worker>, runtime: Handle) -> (Self, Receiver<Accepted>) {
        let (hand_over, accepted) = mpsc::channel(ON_THE_WAY);
        (Self { worker, runtime, hand_over }, accepted)
    }
}
