//! `Peer`: who is at the other end of a connection.

use std::net::IpAddr;

use http::HeaderValue;

/// Who is at the other end of the connection.
#[derive(Debug, Clone)]
pub struct Peer {
    /// The client's address, as far as trusted proxies tell.
    pub address: IpAddr,
    /// X-Forwarded-For as this gateway sends it on.
    pub forwarded_for: HeaderValue,
    /// The request id.
    pub request_id: HeaderValue,
    /// Set by [`super::Proxy::serve`] when the request came with a good access token for its upstream.
    pub has_good_token: bool,
}
