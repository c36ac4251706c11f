//! A connection of the public listener, from being accepted to its end.
//!
//! For: limits (`admission.rs`), the PROXY header, HTTP/1.1 and HTTP/2, when a connection is ended, and what its
//! requests need to know of it (`Connection`). Not for: handling requests (`dispatch.rs`). Start with `listener.rs`,
//! then `serve.rs`, then `deadline.rs`.

pub(super) mod activity;
pub(super) mod admission;
mod continuing;
mod deadline;
pub(super) mod hand_over;
mod idle;
pub(super) mod in_flight;
pub(super) mod listener;
mod observed;
mod proxy_header;
mod refused;
pub(super) mod serve;
pub(super) mod stream;
mod table;

use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use http::HeaderValue;

use super::worker::Worker;
use crate::web::peer::Origin;
use crate::web::{BodyListener, GoOn};
use activity::Activity;
use admission::ConnectionSlot;
use stream::Progress;

/// What requests need to know of their connection.
pub(super) struct Connection {
    pub(super) worker: Arc<Worker>,
    /// The listener that accepted it: 0 is the public one, and those of upstreams follow as in the configuration.
    pub(super) listener: usize,
    /// The peer's address, or the client's from the PROXY header.
    pub(super) peer: IpAddr,
    /// The value of `X-Forwarded-For` when there is no trusted proxy in between.
    pub(super) forwarded_for: HeaderValue,
    /// The TLS server name, if the client sent one.
    pub(super) server_name: Option<String>,
    pub(super) activity: Arc<Activity>,
    permit: ConnectionSlot,
    /// HTTP/2 only: the progress of the stream whose request has just begun, to be taken by its task.
    pub(super) begun: Mutex<Option<Arc<Progress>>>,
    /// HTTP/2 only: signalled when a request waits for a body that its client may be holding back.
    pub(super) go_on: Arc<GoOn>,
}

impl Connection {
    /// Makes a connection whose peer is known and whose TLS, if any, is set up.
    pub(super) fn new(
        (worker, listener): (Arc<Worker>, usize),
        permit: ConnectionSlot,
        peer: IpAddr,
        server_name: Option<String>,
    ) -> Self {
        let forwarded_for = Origin { address: peer, proxies: Vec::new() }.forwarded_for();
        Self {
            worker,
            listener,
            peer,
            forwarded_for,
            server_name,
            activity: Arc::clone(permit.activity()),
            permit,
            begun: Mutex::default(),
            go_on: Arc::default(),
        }
    }

    /// Records that a good access token was shown on the connection.
    pub(super) fn mark_known(&self) {
        self.permit.mark_known();
    }
}

impl BodyListener for Connection {
    fn is_wanted(&self) {
        self.go_on.ask();
    }

    fn begin_rest(&self) {
        self.activity.begin_rest();
    }

    fn end_rest(&self) {
        self.activity.end_rest();
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("peer", &self.peer).finish_non_exhaustive()
    }
}
