//! `UpstreamOrigin`: the address of an upstream, and the authority in requests to it.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use http::uri::{Authority, Scheme};
use rustls::ClientConfig;

/// The address of an upstream.
pub(in crate::proxy) struct UpstreamOrigin {
    pub(in crate::proxy) host: url::Host,
    pub(in crate::proxy) port: u16,
    pub(in crate::proxy) scheme: Scheme,
    /// The authority of its URL.
    pub(in crate::proxy) authority: Authority,
    /// The authority in requests: that of its URL, or a configured one.
    pub(in crate::proxy) named: Authority,
    pub(in crate::proxy) host_header: HeaderValue,
    /// The TLS configuration, for https.
    pub(in crate::proxy) tls: Option<Arc<ClientConfig>>,
    pub(in crate::proxy) connect_timeout: Duration,
}
