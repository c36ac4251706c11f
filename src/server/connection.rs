//! What is known of a connection, for its requests.

use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use http::HeaderValue;

use super::activity::Activity;
use super::admission::Permit;
use super::stream::Progress;
use super::worker::Worker;
use crate::web::GoOn;
use crate::web::peer::Origin;

/// What is known of a connection, for its requests.
pub(super) struct Connection {
    pub(super) worker: Arc<Worker>,
    /// The peer, or the client that the PROXY header names.
    pub(super) peer: IpAddr,
    /// X-Forwarded-For when no trusted proxy is in between.
    pub(super) forwarded_for: HeaderValue,
    /// The TLS server name, if the client sent one.
    pub(super) server_name: Option<String>,
    pub(super) activity: Arc<Activity>,
    permit: Permit,
    /// HTTP/2 only: the progress of the stream whose request was just begun, on its way to its task.
    pub(super) begun: Mutex<Option<Arc<Progress>>>,
    /// HTTP/2 only: told when a request waits for a body that its client may hold back.
    pub(super) go_on: Arc<GoOn>,
}

impl Connection {
    /// A connection whose peer is known and whose TLS, if any, is set up.
    pub(super) fn new(worker: Arc<Worker>, permit: Permit, peer: IpAddr, server_name: Option<String>) -> Self {
        let forwarded_for = Origin { address: peer, proxies: Vec::new() }.forwarded_for();
        Self {
            worker,
            peer,
            forwarded_for,
            server_name,
            activity: Arc::clone(permit.activity()),
            permit,
            begun: Mutex::default(),
            go_on: Arc::default(),
        }
    }

    /// Notes that a good access token was shown on it.
    pub(super) fn mark_known(&self) {
        self.permit.mark_known();
    }
}
