//! A connection on its way from the listener to the worker that serves it.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::mpsc::{self, Receiver, Sender};

use super::admission::ConnectionSlot;
use crate::server::worker::{OpenConnection, Worker};

/// Connections on their way to one worker. A worker that has so many to begin is overloaded.
const ON_THE_WAY: usize = 256;

/// A connection on its way to a worker: registered with no runtime yet.
pub(in crate::server) struct Accepted {
    pub(in crate::server) stream: std::net::TcpStream,
    pub(in crate::server) peer: SocketAddr,
    pub(in crate::server) permit: ConnectionSlot,
    pub(in crate::server) counted: OpenConnection,
}

/// A worker and the way to it.
#[derive(Clone)]
pub(in crate::server) struct WorkerHandle {
    pub(in crate::server) worker: Arc<Worker>,
    pub(in crate::server) hand_over: Sender<Accepted>,
}

impl WorkerHandle {
    /// Returns the way to a worker, and the end at which it takes the connections.
    pub(in crate::server) fn new(worker: Arc<Worker>) -> (Self, Receiver<Accepted>) {
        let (hand_over, accepted) = mpsc::channel(ON_THE_WAY);
        (Self { worker, hand_over }, accepted)
    }
}
