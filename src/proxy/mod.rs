//! The data path: one function of named stages. Knows neither issuer nor store.

use std::sync::Arc;

use crate::clock::Clock;
use crate::config::Config;
use crate::telemetry::WorkerMetrics;
use crate::token_cache::TokenCache;
use crate::web::Response;

/// The route table: built when configuration is loaded, replaced whole.
#[derive(Debug)]
pub struct RouteTable {}

impl RouteTable {
    /// Builds the table.
    ///
    /// # Errors
    /// Says why an upstream's CA file or the system's roots could not be read.
    pub fn build(_config: &Config) -> Result<Self, String> {
        todo!()
    }
    /// Returns the index of the upstream that owns a raw path (never decoded, never normalised), if one does.
    #[must_use]
    pub fn find(&self, _raw_path: &str) -> Option<usize> {
        todo!()
    }
}

/// Who is at the other end of the connection.
#[derive(Debug, Clone)]
pub struct Peer {
    /// The client's address, behind trusted proxies.
    pub address: std::net::IpAddr,
    /// X-Forwarded-For as this gateway sends it on.
    pub forwarded_for: http::HeaderValue,
    /// The request id.
    pub request_id: http::HeaderValue,
}

/// One worker's proxy with its own upstream connections.
pub struct Proxy {}

impl Proxy {
    /// Makes a worker's proxy. `session_key` binds legacy MCP session ids to their user (the same on every replica).
    #[must_use]
    pub fn new(
        _cache: Arc<TokenCache>,
        _clock: Arc<dyn Clock>,
        _metrics: WorkerMetrics,
        _session_key: [u8; 32],
    ) -> Self {
        todo!()
    }
    /// Answers a request to the upstream `route` of `table`. The caller has checked Host.
    pub async fn serve(
        &self,
        _table: &Arc<RouteTable>,
        _route: usize,
        _config: &Arc<Config>,
        _request: http::Request<hyper::body::Incoming>,
        _peer: Peer,
    ) -> Response {
        todo!()
    }
}
