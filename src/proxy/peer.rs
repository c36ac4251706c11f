//! `Peer`: the client at the other end of a connection.

use std::net::IpAddr;

use http::HeaderValue;

use crate::web::RequestId;

/// The client at the other end of the connection.
#[derive(Debug, Clone)]
pub struct Peer {
    /// The client's address, as reported by trusted proxies.
    pub address: IpAddr,
    /// The value of X-Forwarded-For for upstreams.
    pub forwarded_for: HeaderValue,
    /// The request id.
    pub request_id: RequestId,
    /// Set by [`super::Proxy::serve`] when the request had a valid access token for its upstream.
    pub has_good_token: bool,
}
